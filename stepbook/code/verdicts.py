"""Whether a recorded fingerprint still holds, and what has changed if it does not."""

from __future__ import annotations

import functools
from json import dumps, loads
from typing import Final, Literal, NamedTuple

from .contents import BY_ITSELF, NONE, PLAIN
from .hashes import python_of

#: Changes in a message.
_MOST_TOLD: Final = 6
#: Characters of a name or value in a message.
_SHOWN: Final = 40


class Verdict(NamedTuple):
    """What comparing two fingerprints has shown.

    Attributes:
        kind: ``same`` if all parts are, ``stale`` if one is known to differ, else ``unknown``.
        changes: what differs, in words.
        unknown: the parts that cannot be compared.
        in_code: whether something else than arguments differs.
    """

    kind: Literal["same", "stale", "unknown"]
    changes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    in_code: bool = False

    @property
    def words(self) -> str:
        """What has changed, for a message."""
        more = len(self.changes) - _MOST_TOLD
        return "; ".join([*self.changes[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else [])])


SAME: Final = Verdict("same")


@functools.lru_cache(maxsize=1024)  # a thousand steps of one function are alike
def compare(recorded: str | None, current: str) -> Verdict:
    """Compare the fingerprint that was recorded with the one of the code as it is now.

    Args:
        recorded: from the record, so it may be any text; None if there is none.
        current: from :func:`.fingerprints.of_call`.

    Example:
        >>> compare('{"code":"@a","reached":{"K":"=2"}}', '{"code":"@a","reached":{"K":"=10"}}')
        Verdict(kind='stale', changes=('K: 2 -> 10',), unknown=(), in_code=True)
    """
    if recorded == current and f'"{NONE}' not in current:
        return SAME
    before, now = _parts(recorded), _parts(current)
    if before is None or now is None:
        return Verdict("unknown", unknown=("its code",))
    changes: list[str] = []
    unknown: list[str] = []
    in_code = False
    for key in [*now, *(key for key in before if key not in now)]:
        old, new = before.get(key), now.get(key)
        if _is_unknown(old, new):
            unknown.append(key[1] or "its code")
        elif old != new:
            changes.append(_words(*key, old, new))
            in_code |= key[0] != "arguments"
    if changes:
        return Verdict("stale", tuple(changes), tuple(unknown), in_code)
    return Verdict("unknown", unknown=tuple(unknown)) if unknown else SAME


def _parts(text: str | None) -> dict[tuple[str, str], str] | None:
    """Return the parts of a fingerprint by kind and name; None if it is none."""
    try:
        told = loads(text or "")
        found = {("code", ""): told["code"]}
        for kind in "reached", "arguments":
            found |= {(kind, name): part for name, part in told.get(kind, {}).items()}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return found if all(type(part) is str for part in found.values()) else None


def without_own_changes(before: str, after: str) -> str:
    """Return a fingerprint without what the body itself has changed: a counter, a list of results.

    Args:
        before: of the call, before the body was executed.
        after: of the same call afterwards.
    """
    if before == after:
        return before
    old, new = loads(before), loads(after)
    for kind in "reached", "arguments":
        now = new.get(kind, {})
        for name, part in old.get(kind, {}).items():
            if now.get(name) != part:
                old[kind][name] = BY_ITSELF
    return dumps(old, separators=(",", ":"))


def _is_unknown(old: str | None, new: str | None) -> bool:
    """Whether nobody can say if two parts are the same."""
    if (old or "").startswith(NONE) or (new or "").startswith(NONE):
        return True
    if old is None or new is None or old == new:
        return False
    # One is of the syntax tree, or both are of bytecode, by other Pythons.
    return python_of(old) != python_of(new)


def _words(kind: str, name: str, old: str | None, new: str | None) -> str:
    if kind == "code":
        return "its code changed"
    name = _short(name)
    what = f"argument {name}" if kind == "arguments" else name
    if old is None:
        return f"{what} is new"
    if new is None:
        return f"{what} is no longer used"
    if old.startswith(PLAIN) and new.startswith(PLAIN):
        return f"{what}: {_short(old[1:])} -> {_short(new[1:])}"
    return f"{what} changed"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

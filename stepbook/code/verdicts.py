"""Whether a recorded fingerprint still holds, and what has changed if it does not."""

from __future__ import annotations

import functools
import re
from json import dumps, loads
from typing import TYPE_CHECKING, Final, NamedTuple

from .contents import BY_ITSELF, HASH, MADE_BY, NONE, ORIGIN, PLAIN, UNDEFINED
from .files import NOT_THERE
from .hashes import python_of

if TYPE_CHECKING:
    from ..model.rows import VerdictKind

#: What is found in code by following it: other code, what it reads, and what names share.
_FOUND: Final = ("reached", "inputs", "shared")
#: What the person has declared: code, files and folders, a version.
_DECLARED: Final = ("deps", "files", "given")
#: The inputs of a cell that are left out of its fingerprint, by name.
IGNORED: Final = "ignored"
#: The parts of a fingerprint, beside the code itself.
_KINDS: Final = (*_FOUND, "arguments", *_DECLARED, IGNORED)
_CODE: Final = ("code", "reached", "deps")
#: What only somebody who edits the code changes.
_EDITED: Final = (*_CODE, "given")
#: Stands between names that share something.
AND: Final = ", "
#: How a fingerprint begins that has nothing but the code of a cell, as earlier versions made it.
_CELL: Final = "cell:"
#: Stands before the run in what stands for an attempt.
_OF_RUN: Final = " of run_"
#: What stands for an attempt; more may stand behind it.
_ATTEMPT: Final = re.compile(
    r"(?P<step>.*), attempt \d+ of (?P<run>run_[0-9a-z]{12})(?![0-9a-z])", re.DOTALL
)
#: Changes in a message.
_MOST_TOLD: Final = 6
#: Characters of a name or value in a message.
_SHOWN: Final = 40


class Verdict(NamedTuple):
    """What comparing two fingerprints has shown.

    Attributes:
        kind: ``same`` if all parts are, ``stale`` if one is known to differ, else ``unknown``.
        changes: what differs, in words.
        unknown: the parts that cannot be compared. Not those that the step itself changes: they are
            left out, so that with nothing else the verdict is ``unknown`` and this is empty.
        in_code: whether something else than arguments differs.
    """

    kind: VerdictKind
    changes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    in_code: bool = False

    @property
    def words(self) -> str:
        """What has changed, or else cannot be compared, for a message."""
        told = self.changes or [f"{_short(name)} cannot be compared" for name in self.unknown]
        more = len(told) - _MOST_TOLD
        return "; ".join([*told[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else [])])


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
    before, now = parts_of(recorded), parts_of(current)
    if before is None or now is None:
        return Verdict("unknown", unknown=("its code",))
    changes: dict[tuple[str, str], str] = {}
    unknown: list[str] = []
    left_out, left_out_then = (_names_of(IGNORED, parts) for parts in (now, before))
    in_code = False
    bare = (recorded or "").startswith(_CELL)
    for key in [*now, *(key for key in before if key not in now)]:
        old, new = before.get(key), now.get(key)
        if key[0] in _FOUND and (old is None or new is None) and left_out != left_out_then:
            # It is, or comes with, what was left out of one of the two.
            unknown += [key[1]] if left_out_then - left_out else []
            continue
        is_older = bare and old is None and key[0] not in _DECLARED
        if is_older or key[0] == IGNORED or _is_of_one_attempt(old, new):
            continue
        old, new = _comparable(old, new)
        if _is_unknown(old, new) or (key[0] == "shared" and not _is_told(key[1], before)):
            unknown.append("" if BY_ITSELF in (old, new) else key[1] or "its code")
        elif old != new:
            changes[key] = _words(*key, old, new)
            in_code |= key[0] in _EDITED
    named = tuple(filter(None, unknown))
    if changes:
        return Verdict("stale", _told(changes), named, in_code)
    if bare and now.keys() - before.keys():
        return Verdict("unknown", unknown=("its inputs",))
    return Verdict("unknown", unknown=named) if unknown else SAME


def no_longer_ignored(recorded: str | None, current: str) -> list[str]:
    """Return the inputs that were left out when a cell was recorded, and are not any more."""
    then, now = (_names_of(IGNORED, parts_of(text) or {}) for text in (recorded, current))
    return sorted(then - now)


def _names_of(kind: str, parts: dict[tuple[str, str], str]) -> set[str]:
    return {name for found, name in parts if found == kind}


def _told(changes: dict[tuple[str, str], str]) -> tuple[str, ...]:
    """Return what has changed, in words, without what says nothing more."""
    told = [
        words
        for (kind, name), words in changes.items()
        # What is shared changes with what is in it, and code that is declared may be reached, too.
        if kind != "shared" and not (kind == "deps" and ("reached", name) in changes)
    ]
    return tuple(told or changes.values())


def parts_of(text: str | None) -> dict[tuple[str, str], str] | None:
    """Return the parts of a fingerprint by kind and name; None if it is none."""
    if (text or "").startswith(_CELL):
        return {("code", ""): text or ""}
    try:
        told = loads(text or "")
        found = {("code", ""): told["code"]}
        for kind in _KINDS:
            found |= {(kind, name): part for name, part in told.get(kind, {}).items()}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return found if all(type(part) is str for part in found.values()) else None


def makers_of(fingerprint: str | None, run_id: str) -> set[str]:
    """Return the names of the steps of a run that the inputs of a cell come from."""
    parts = parts_of(fingerprint) or {}
    origins = (_ATTEMPT.fullmatch(maker_of(parts[key])) for key in parts if key[0] == "inputs")
    return {origin["step"] for origin in origins if origin and origin["run"] == run_id}


def maker_of(part: str) -> str:
    """Return what stands for the attempt that has made an input; empty if a part tells none.

    It may also stand for a plain cell. With what has no content, the known part of that may stand
    behind it.
    """
    content, _, made_by = part.partition(MADE_BY)
    if made_by or not content.startswith(ORIGIN):
        return made_by
    origin = content.removeprefix(ORIGIN)
    attempt = _ATTEMPT.match(origin)  # the name of a step can have any characters
    return attempt[0] if attempt else origin.partition(" ")[0]


def code_of(fingerprint: str | None) -> dict[tuple[str, str], str]:
    """Return the parts of a fingerprint that are code: nothing if it is none."""
    return {key: part for key, part in (parts_of(fingerprint) or {}).items() if key[0] in _CODE}


def without_own_changes(before: str, after: str, changed: set[str]) -> str:
    """Return a fingerprint without what bodies change themselves: a counter, a cache of results.

    Args:
        before: of the call, before the body was executed.
        after: of the same call afterwards.
        changed: the names of what bodies that were executed before have changed, and a replay of
            them does not; takes in what this one has.
    """
    if before == after and not changed:
        return before
    old, new = loads(before), loads(after)
    for kind in _KINDS:
        now = new.get(kind, {})
        for name, part in old.get(kind, {}).items():
            # A replay finds a file as the body has left it.
            is_argument = kind == "files" or (kind == "arguments" and not name.endswith("()"))
            if now.get(name) != part:
                if not is_argument:
                    changed.add(name.removesuffix("()"))
            elif is_argument or name.removesuffix("()") not in changed:
                continue
            old[kind][name] = BY_ITSELF
    return dumps(old, separators=(",", ":"))


def with_origins(text: str, origins: dict[str, str]) -> str:
    """Return a fingerprint in which some inputs count by what stands for the attempt behind them.

    Args:
        text: the fingerprint.
        origins: for each of these inputs, what stands for the attempt.
    """
    told = loads(text)
    told["inputs"] |= {name: ORIGIN + by + MADE_BY + by for name, by in origins.items()}
    return dumps(told, separators=(",", ":"))


def _is_of_one_attempt(old: str | None, new: str | None) -> bool:
    """Whether both are what one attempt of a step has left, as executed or as brought back."""
    made_by = (old or "").partition(MADE_BY)[2]
    return made_by != "" and made_by == (new or "").partition(MADE_BY)[2]


def _comparable(old: str | None, new: str | None) -> tuple[str | None, str | None]:
    """Return both without the attempts that have made them: as these, if one has no content."""
    if old and new and ORIGIN in (old[0], new[0]):
        first, second = (part.partition(MADE_BY)[2] for part in (old, new))
        if first and second:
            return ORIGIN + first, ORIGIN + second
    return _content(old), _content(new)


def _content(part: str | None) -> str | None:
    return None if part is None else content_of(part)


def content_of(part: str) -> str:
    """Return a part of a fingerprint without the attempt that has made it."""
    return part.partition(MADE_BY)[0]


def _is_told(names: str, before: dict[tuple[str, str], str]) -> bool:
    """Whether the record tells what names that share something held."""
    held = [before.get(("inputs", name), "") for name in names.split(AND)]
    return not any(part.startswith(NONE) for part in held)


def _is_unknown(old: str | None, new: str | None) -> bool:
    """Whether nobody can say if two parts are the same."""
    if old == new == UNDEFINED:
        return False
    if (old or "").startswith(NONE) or (new or "").startswith(NONE):
        # What a value without content is a part of can be known to differ.
        return _known_part(old) == _known_part(new) or not (_known_part(old) and _known_part(new))
    if old is None or new is None or old == new:
        return False
    if old.startswith(ORIGIN) or new.startswith(ORIGIN):
        # Where something comes from can be compared within one run.
        parts = (part.rpartition(_OF_RUN)[2] for part in (old, new) if _OF_RUN in part)
        return old[:1] != new[:1] or len({part.partition(" ")[0] for part in parts}) > 1
    # One is of the syntax tree, or both are of bytecode, by other Pythons.
    return python_of(old) != python_of(new)


def _known_part(text: str | None) -> str:
    """Return the hash of what is known of a value of which a part has no content."""
    return text.partition(f" {HASH}")[2] if text and text.startswith(NONE) else ""


def _words(kind: str, name: str, old: str | None, new: str | None) -> str:
    if kind == "code":
        return "its code changed"
    if kind in _DECLARED:
        return _words_on_declared(kind, name, old, new)
    name = _short(name.rpartition(": ")[2])  # without the variable through which it is reached
    if kind == "shared":
        return f"what {name} share changed"
    what = {"arguments": f"argument {name}", "inputs": f"input {name}"}.get(kind, name)
    if name.startswith("deps["):
        what = name
    return _words_on_values(what, old, new)


def _words_on_declared(kind: str, name: str, old: str | None, new: str | None) -> str:
    if kind == "given":
        first, second = (_short(part[1:]) if part else "none" for part in (old, new))
        return f"{name}: {first} -> {second}"
    # The end of a path says most.
    short = _short(name) if kind == "deps" or len(name) <= _SHOWN else "…" + name[1 - _SHOWN :]
    if kind == "deps" or old is None or new is None:
        return _words_on_values(f"dependency {short}", old, new)
    is_folder = any(part.endswith((" file", " files")) for part in (old, new))
    what = f"{'folder' if is_folder else 'file'} {short}"
    if NOT_THERE in (old, new):
        return f"{what} is {'gone' if new == NOT_THERE else 'there now'}"
    return _words_on_values(what, old, new)


def _words_on_values(what: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"{what} is new"
    if new is None:
        return f"{what} is no longer used"
    if old.startswith(PLAIN) and new.startswith(PLAIN):
        return f"{what}: {_short(old[1:])} -> {_short(new[1:])}"
    sizes = [part.partition(" ")[2] for part in (old, new) if part.startswith(HASH)]
    more = f": {' -> '.join(sizes)}" if len({*sizes} - {""}) > 1 else ""
    return f"{what} changed{more}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

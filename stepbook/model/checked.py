"""What a file says, checked before it counts as a row: the border of a book.

A journal may come from a stranger, a newer version or a broken program. A line with a right
checksum can still say anything, so each field is looked at here, once, and nothing behind this
border asks again what a row holds.
"""

from __future__ import annotations

from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from .rows import (
    LEVELS,
    CellRow,
    Kind,
    LogRow,
    PassRow,
    Policy,
    RunRow,
    ScanRow,
    ScanStatus,
    Status,
    StepRow,
    TriggerType,
    VerdictKind,
    is_book_id,
    row_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .rows import Row

_LONGEST_SHOWN: Final = 40
#: What a column of BIGINT, and one of INTEGER, holds of what counts something.
_BIGINT: Final = (1 << 63) - 1
_INTEGER: Final = (1 << 31) - 1
#: The times that Python and DuckDB can both show, in every time zone: 0001-01-02 to 9999-12-30.
_FIRST_US: Final = -62_135_510_400_000_000
_LAST_US: Final = 253_402_214_400_000_000
#: Seconds of which the microseconds are a BIGINT.
_MOST_S: Final = 1e12


class OddError(ValueError):
    """What was read is not what stepbook writes.

    Attributes:
        newer: whether a newer stepbook can have written it.
    """

    def __init__(self, why: str, *, newer: bool = False) -> None:
        super().__init__(why)
        self.newer = newer


class _Kind(NamedTuple):
    """What a field may hold: a test, and what to call that."""

    holds: Callable[[Any], bool]
    what: str
    newer: bool = False


def is_text(value: object) -> bool:
    """Whether a value is a text that can be written as UTF-8: it has no half of a character."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_json(value: object) -> bool:
    """Whether a value is a text of JSON, as both Python and DuckDB read it."""
    if not is_text(value):
        return False
    try:
        found = loads(value)  # type: ignore[arg-type]
        if "\\u" in value:  # type: ignore[operator] # half of a character can be written so
            dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        return True  # how deep is too deep is for those to say who read the value
    except ValueError:
        return False
    return True


def _is_count(most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and 0 <= value <= most


def is_time(value: object) -> bool:
    """Whether a value is a time in microseconds that everybody can show."""
    return type(value) is int and _FIRST_US <= value <= _LAST_US


def _is_seconds(value: object) -> bool:
    return type(value) in (int, float) and -_MOST_S <= value <= _MOST_S  # type: ignore[operator]


def _one_of(known: tuple[str, ...]) -> _Kind:
    return _Kind(lambda value: isinstance(value, str) and value in known, "known here", newer=True)


_TEXT: Final = _Kind(is_text, "a text")
_NAME: Final = _Kind(lambda value: is_text(value) and bool(value), "a text that is not empty")
_JSON: Final = _Kind(is_json, "JSON text")
_TIME: Final = _Kind(is_time, "a time in microseconds")
_SECONDS: Final = _Kind(_is_seconds, "a number of seconds")
_FLAG: Final = _Kind(lambda value: type(value) is bool, "true or false")
_NUMBER: Final = _Kind(_is_count(_BIGINT), "a whole number of 0 or more")
_ATTEMPT: Final = _Kind(_is_count(_INTEGER), "a whole number of 0 or more")

_CREATED: Final = {
    "loop": _NAME,
    "key": _TEXT,
    "trigger_type": _one_of(get_args(TriggerType)),
    "input": _JSON,
    "created_at": _TIME,
    "environment": _JSON,
}
#: What the fields of each kind of row hold, as a journal calls them.
FIELDS: Final[dict[type, dict[str, _Kind]]] = {
    RunRow: {
        **_CREATED,
        "id": _NAME,  # compared with the run's before it is used
        "status": _one_of(get_args(Status)),
        "output": _JSON,
        "started_at": _TIME,
        "completed_at": _TIME,
        "tags": _JSON,
        "note": _TEXT,
    },
    StepRow: {
        "seq": _NUMBER,
        "name": _NAME,
        "kind": _one_of(get_args(Kind)),
        "status": _one_of(get_args(Status)),
        "attempt": _ATTEMPT,
        "parent": _TEXT,
        "item": _TEXT,
        "started_at": _TIME,
        "completed_at": _TIME,
        "seconds": _SECONDS,
        "return": _JSON,
        "error": _JSON,
        "fingerprint": _TEXT,
        "stale": _FLAG,
        "handled": _FLAG,
        "progress": _JSON,
        "cell_id": _TEXT,
        "policy": _one_of(get_args(Policy)),
        "verdict": _one_of(get_args(VerdictKind)),
        "changes": _TEXT,
        "reason": _TEXT,
    },
    ScanRow: {
        "id": _NAME,
        "step": _NAME,
        "status": _one_of(get_args(ScanStatus)),
        "created_at": _TIME,
        "metadata": _JSON,
        "results": _JSON,
        "expires_at": _TIME,
        "completed_at": _TIME,
    },
    LogRow: {
        "level": _one_of(LEVELS),
        "message": _TEXT,
        "created_at": _TIME,
        "step": _TEXT,
        "metadata": _JSON,
    },
    PassRow: {
        "started_at": _TIME,
        "executed": _NUMBER,
        "replayed": _NUMBER,
        "seconds_saved": _SECONDS,
    },
    CellRow: {
        "step": _NAME,
        "attempt": _ATTEMPT,
        "source": _TEXT,
        "variables": _JSON,
        "outputs": _JSON,
    },
}
_HEADER: Final[dict[str, _Kind]] = {
    **_CREATED,
    # Compared with the file's name before it is used.
    "run": _Kind(lambda _: True, "anything"),
    "book": _Kind(is_book_id, "the id of a book"),
    "format": _Kind(_is_count(_BIGINT), "a whole number"),
    "number": _NUMBER,
    "first": _Kind(lambda value: _NUMBER.holds(value) and value > 0, "a whole number above 0"),
    "owner": _Kind(lambda value: isinstance(value, dict), "an object"),
}
_HEADER_MAY_LACK: Final = frozenset({"environment", "owner", "number"})


def _of(row: type) -> tuple[Mapping[str, _Kind], frozenset[str], frozenset[str]]:
    """Return what the fields of a kind of row hold, those it must have, and those never null."""
    names = {("value" if name == "return" else name): name for name in FIELDS[row]}
    may_lack: dict[str, Any] = row._field_defaults  # type: ignore[attr-defined]
    needed = frozenset(name for field, name in names.items() if field not in may_lack)
    nullable = {name for field, name in names.items() if may_lack.get(field, 0) is None}
    return FIELDS[row], needed, frozenset(names.values()) - nullable


_OF: Final = {row: _of(row) for row in FIELDS}


def checked_row(kind: object, fields: object) -> Row:
    """Return the row that a line of a journal tells; fields that nobody knows are left out.

    Raises:
        OddError: it is none.
    """
    if not isinstance(kind, str):
        raise OddError(f"its type is {shown(kind)}, not a text")
    row = row_of(kind)
    if row is None:
        raise OddError(f"its type is {shown(kind)}", newer=kind != "header")
    known, needed, never_null = _OF[row]
    found = _checked(kind, fields, known, needed, never_null)
    if "return" in found:
        found["value"] = found.pop("return")
    made: Row = row(**found)
    return made


def checked_header(fields: object) -> dict[str, Any]:
    """Return what the first line of a journal says, once all of it can be used.

    Raises:
        OddError: it is not what stepbook writes.
    """
    needed = _HEADER.keys() - _HEADER_MAY_LACK
    _checked("header", fields, _HEADER, frozenset(needed), frozenset(needed))
    found: dict[str, Any] = fields  # type: ignore[assignment] # an object: just checked
    return {**found, "owner": found.get("owner") or {}}


def _checked(
    kind: str,
    fields: object,
    known: Mapping[str, _Kind],
    needed: frozenset[str],
    never_null: frozenset[str],
) -> dict[str, Any]:
    if not isinstance(fields, dict):
        raise OddError(f"the row of its {kind} is {shown(fields)}, not an object")
    found: dict[str, Any] = {}
    for name, value in fields.items():
        field = known.get(name)
        if field is None:
            continue
        found[name] = value
        if value is None and name not in never_null:
            continue
        if not field.holds(value):
            newer = field.newer and is_text(value)
            raise OddError(
                f"the field {name} of its {kind} is {shown(value)}, which is not {field.what}",
                newer=newer,
            )
    if not needed <= found.keys():
        missing = ", ".join(sorted(needed - found.keys()))
        raise OddError(f"its {kind} lacks {missing}")
    return found


def shown(value: object) -> str:
    """Return what to show of a value that was not expected, in one short line."""
    try:
        text = ascii(value)
    except (RecursionError, ValueError):  # deep, or an integer of many thousand digits
        return f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."

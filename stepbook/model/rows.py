"""The records of a book: runs, steps, scans, logs and passes, as the tables hold them.

Every record is a row of the table of the same name (``docs/files-and-tables.md``), and a journal
line carries one such row whole. So the journal, the memory of an open run and DuckDB agree by
construction: the newest row of a key wins.

Times are integers, microseconds since 1970-01-01 UTC; columns of JSON hold JSON text.
"""

from __future__ import annotations

import os
import re
import time
from json import dumps, loads
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Callable

Status = Literal["pending", "running", "succeeded", "failed"]
ScanStatus = Literal["pending", "ready", "completed", "failed", "timeout"]
Kind = Literal["do", "cell", "scan", "sleep", "map"]
Level = Literal["debug", "log", "info", "warn", "error"]
TriggerType = Literal["user", "api_token", "system"]
#: Why nothing is stored of a step that has succeeded, so that each pass executes it again.
Policy = Literal["no-store", "max-size", "free-disk"]
VerdictKind = Literal["same", "stale", "unknown"]

PENDING: Final = "pending"
RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"

#: How far an attempt is; whatever else a status may be is an end.
PHASES: Final[dict[str, int]] = {PENDING: 0, RUNNING: 1}
ENDED: Final = 2

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
#: Kinds whose attempt outlives the process that began it (``docs/scans.md``).
DURABLE_KINDS: Final = frozenset({"scan", "sleep"})
DEFAULT_SCAN: Final = "Wait for scan"
#: What ``progress`` has of an attempt that was not executed, but has what an earlier one has made:
#: the number of that one.
MADE_BY: Final = "made_by"
#: What it has where somebody has said that a value stands for other code than it was made with.
ACCEPTED: Final = "accepted"
#: What it has where somebody has given the value.
RESOLVED: Final = "resolved"
#: What ``progress`` has where the body of a step has used the generators of random numbers.
DREW: Final = "drew"
#: What the metadata of a message has that tells of a change by hand, with the change.
BY_HAND: Final = "by_hand"

# Crockford's base 32 in lower case: no i, l, o, u, so that an id can be read aloud.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"

#: What the id of a run looks like, for Python and for SQL.
RUN_ID: Final = f"run_[{_ALPHABET}]{{12}}"
_RUN_ID: Final = re.compile(RUN_ID)
_BOOK_ID: Final = re.compile(r"[0-9a-f]{16}")

#: Where the place of a run stands in the text of its environment, for Python and for SQL. It cannot
#: match within a text there, in which quotes are escaped.
ORDER: Final = '"order": ?([0-9]{1,18})[,}]'
_ORDER: Final = re.compile(ORDER)


def new_id(prefix: str) -> str:
    """Return a fresh id: *prefix*, an underscore and 12 random characters (60 bits)."""
    return prefix + "_" + "".join([_ALPHABET[byte & 31] for byte in os.urandom(12)])


def is_run_id(text: object) -> bool:
    """Whether *text*, read from a file, is the id of a run.

    Ids become names of files and folders. Whoever reads one from tables, journals or names asks
    here first, and uses anything else for nothing.
    """
    return isinstance(text, str) and _RUN_ID.fullmatch(text) is not None


def is_book_id(text: object) -> bool:
    """Whether *text*, read from a file, is the id of a book; as :func:`is_run_id`."""
    return isinstance(text, str) and _BOOK_ID.fullmatch(text) is not None


def now_us() -> int:
    """Return the wall clock in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


def fields_of(text: str | None) -> dict[str, Any]:
    """Return the object that a column of JSON holds; nothing if it holds anything else."""
    try:
        found = loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def order_of(environment: str | None, created_at: int) -> int:
    """Return the place of a run among the runs of its book: a number that only grows.

    It is the time of its creation, as long as clocks only go forward. Where a run is created while
    the clock is behind a run that is recorded, its place is the next number, and stands in the
    column ``environment``.
    """
    found = _ORDER.search(environment) if environment else None
    return created_at if found is None else int(found[1])


def with_order(environment: str | None, order: int) -> str:
    """Return *environment* with the place of a run in it."""
    return dumps({**fields_of(environment), "order": order}, ensure_ascii=False)


class RunRow(NamedTuple):
    """One execution of a loop."""

    id: str
    loop: str
    key: str
    status: Status
    trigger_type: TriggerType
    input: str
    created_at: int
    output: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    tags: str | None = None
    note: str | None = None
    environment: str | None = None

    @property
    def order(self) -> int:
        """Its place among the runs of its book."""
        return order_of(self.environment, self.created_at)


#: What a run is created with, besides its id: the header of its journal has it, and no event
#: changes it.
RUN_CREATED: Final = ("loop", "key", "trigger_type", "input", "created_at", "environment")


class StepRow(NamedTuple):
    """The state of one attempt of a step; a step's current row is that of its last attempt.

    ``value`` is the column ``return``: the JSON text of what the step returned. It is None where
    nothing was returned, where nothing was stored (``policy`` says why), and also where a succeeded
    step's text was left on disk to save memory.

    ``reason`` is why the attempt was executed, in words; None for the first. ``verdict`` and
    ``changes`` are of the last replay: whether the code and the inputs are what was recorded, and
    what in them is not. None: nothing was recorded to compare.
    """

    seq: int
    name: str
    kind: Kind
    status: Status
    attempt: int
    parent: str | None = None
    item: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    seconds: float | None = None
    value: str | None = None
    error: str | None = None
    fingerprint: str | None = None
    stale: bool = False
    handled: bool = False
    progress: str | None = None
    cell_id: str | None = None
    policy: Policy | None = None
    verdict: VerdictKind | None = None
    changes: str | None = None
    reason: str | None = None

    def ended(
        self,
        status: Status,
        seconds: float,
        *,
        value: str | None = None,
        error: str | None = None,
        policy: Policy | None = None,
    ) -> StepRow:
        """Return the end, right now, of this attempt, whose body took *seconds*."""
        completed_at = max(now_us(), (self.started_at or 0) + int(seconds * 1e6))
        end = completed_at, seconds, value, error
        # Each step passes here, and _replace takes twice as long.
        is_known = status == SUCCEEDED and self.fingerprint is not None
        more = *self[12:17], policy, "same" if is_known else None, *self[19:]
        return StepRow._make((*self[:3], status, *self[4:8], *end, *more))

    def judged_same(self) -> StepRow:
        """Return this as one of which no replay has found that anything differs."""
        verdict: VerdictKind | None = None if self.fingerprint is None else "same"
        return self._replace(stale=False, verdict=verdict, changes=None)

    def noting(self, facts: dict[str, Any]) -> StepRow:
        """Return this with more in its ``progress``."""
        progress = {**fields_of(self.progress), **facts}
        return self._replace(progress=dumps(progress, ensure_ascii=False))

    @property
    def executes_again(self) -> bool:
        """Whether the step has succeeded, and the next pass executes it again all the same."""
        return self.policy is not None and self.status == SUCCEEDED

    @property
    def has_drawn(self) -> bool:
        """Whether a row of ``cells`` tells how the body has left the random generators."""
        return self.progress is not None and f'"{DREW}"' in self.progress

    @property
    def made_by(self) -> int:
        """The attempt that has made what this one has: itself, or an earlier one."""
        if self.progress is None or MADE_BY not in self.progress:
            return self.attempt
        found = fields_of(self.progress).get(MADE_BY)
        return found if type(found) is int else self.attempt

    @property
    def is_accepted(self) -> bool:
        """Whether somebody has said that it stands for other code than it was made with."""
        return self.progress is not None and f'"{ACCEPTED}"' in self.progress

    @property
    def is_resolved(self) -> bool:
        """Whether somebody has given its value, in the place of a body."""
        return self.progress is not None and RESOLVED in fields_of(self.progress)

    @property
    def left_on_disk(self) -> bool:
        """Whether the value is in the tables only: whoever succeeds has one, if it was stored."""
        return self.value is None and self.status == SUCCEEDED and self.policy is None


def is_late(row: StepRow, known: StepRow) -> bool:
    """Whether *row* comes too late: a later attempt has begun, or its own has gone further.

    An attempt only goes on, from pending over running to its end, and a step only to the next
    attempt. The fold holds the same rule (``record.tables.fold``), so tables and memory agree.
    """
    if row.attempt != known.attempt:
        return row.attempt < known.attempt
    return PHASES.get(row.status, ENDED) < PHASES.get(known.status, ENDED)


class ScanRow(NamedTuple):
    """The record of one awaited scan."""

    id: str
    step: str
    status: ScanStatus
    created_at: int
    metadata: str | None = None
    results: str | None = None
    expires_at: int | None = None
    completed_at: int | None = None


class LogRow(NamedTuple):
    """One message of a run."""

    level: Level
    message: str
    created_at: int
    step: str | None = None
    metadata: str | None = None


class PassRow(NamedTuple):
    """One walk through the code of a run that executed something."""

    started_at: int
    executed: int
    replayed: int
    seconds_saved: float


class CellRow(NamedTuple):
    """What one attempt of a step of kind ``cell`` has done to the notebook.

    ``variables`` and ``outputs`` are JSON text, as the notebook's part of stepbook writes it.
    """

    step: str
    attempt: int
    source: str
    variables: str | None = None
    outputs: str | None = None


Row = RunRow | StepRow | ScanRow | LogRow | PassRow | CellRow

#: The ``type`` of a journal line for each kind of row.
ROW_TYPES: Final[dict[type, str]] = {
    RunRow: "run",
    StepRow: "step",
    ScanRow: "scan",
    LogRow: "log",
    PassRow: "pass",
    CellRow: "cell",
}
_BY_TYPE: Final[dict[str, type]] = {name: cls for cls, name in ROW_TYPES.items()}


def _columns(fields: tuple[str, ...]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """Return the names that a line gives to a row's fields, and what puts these in their order."""
    order = sorted(range(len(fields)), key=lambda place: fields[place] == "value")  # that one last
    names = (fields[place] for place in order)
    return tuple("return" if name == "value" else name for name in names), itemgetter(*order)


_COLUMNS: Final = {cls: _columns(cls._fields) for cls in ROW_TYPES}  # type: ignore[attr-defined]


def row_to_json(row: Row) -> dict[str, Any]:
    """Return the fields of *row* that are not None; ``value`` under its column's name."""
    names, ordered = _COLUMNS[type(row)]
    return {k: v for k, v in zip(names, ordered(row), strict=True) if v is not None}


def row_of(kind: str) -> type | None:
    """Return the class of the rows that lines of the type *kind* carry; None if none do."""
    return _BY_TYPE.get(kind)


def row_from_json(kind: str, fields: dict[str, Any]) -> Row:
    """Return the row that :func:`row_to_json` wrote; unknown fields are left out.

    Of what this process has written itself: what comes from a file goes through
    :func:`.checked.checked_row`.

    Raises:
        KeyError: *kind* is unknown.
        TypeError: a field without a default is missing.
    """
    cls = _BY_TYPE[kind]
    fields = {("value" if k == "return" else k): v for k, v in fields.items()}
    row: Row = cls(**{k: v for k, v in fields.items() if k in cls._fields})  # type: ignore[attr-defined]
    return row

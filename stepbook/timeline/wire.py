"""The messages between Python and the timeline; ``js/src/model/wire.ts`` reads them.

A snapshot is everything; a delta holds the rows that changed after revision ``since``, whole, up to
revision ``rev``. Applying a row twice changes nothing, so deltas may overlap.
``tests/fixtures/wire.json`` holds one of each and is read by the tests of both sides.

Pure: records in, plain JSON out.
"""

from __future__ import annotations

import math
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final, get_args

from ..model import failures
from ..model.rows import PENDING, Kind, Policy, Status, VerdictKind
from ..values.reader import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..model.rows import RunRow, StepRow
    from ..show.html import RunLine

_STATUSES: Final = frozenset(get_args(Status))
_KINDS: Final = frozenset(get_args(Kind))
_POLICIES: Final = frozenset(get_args(Policy))
_VERDICTS: Final = frozenset(get_args(VerdictKind))
WIRE_VERSION: Final = 1

#: The columns of a row, in the order in which a row travels as an array.
FIELDS: Final = (
    "seq",
    "name",
    "kind",
    "parent",
    "item",
    "status",
    "attempt",
    "started_at",
    "completed_at",
    "seconds",
    "return",
    "return_size",
    "error",
    "error_size",
    "stale",
    "handled",
    "progress",
    "usual",
    "expires_at",
    "policy",
    "verdict",
    "changes",
    "reason",
)

#: A return or an error up to so many characters is sent whole, if there are few rows ...
MOST_CHARS: Final = 4_000
#: ... and the more rows, the less of each: all together take about so much.
ALL_CHARS: Final = 4_000_000
#: Of a text that is not sent whole, so much is.
HEAD_CHARS: Final = 120
_RUN_FIELDS: Final = (
    "id",
    "loop",
    "key",
    "status",
    "trigger_type",
    "input",
    "output",
    "created_at",
    "started_at",
    "completed_at",
)
_NOTHING: Final[Mapping[str, Any]] = {}


def room_for(rows: int) -> int:
    """Return how many characters of a return or an error are sent unasked, for so many rows."""
    return max(HEAD_CHARS, min(MOST_CHARS, ALL_CHARS // max(rows, 1)))


def run_fields(run: RunRow) -> dict[str, Any]:
    """Return what the timeline shows of a run itself."""
    return {
        **{name: getattr(run, name) for name in _RUN_FIELDS},
        "status": known_status(run.status),
    }


def row_fields(
    step: StepRow,
    room: int,
    *,
    usual: float | None = None,
    expires_at: int | None = None,
) -> list[Any]:
    """Return a step as the array that travels.

    Args:
        step: the step's current row.
        room: texts longer than this are cut; their whole length stands beside them.
        usual: seconds of the step in the previous run of the loop.
        expires_at: when the open wait ends, in microseconds since the epoch.
    """
    # Of a value that was left on disk nothing is known but that it is there.
    value, value_size = ("", 0) if step.left_on_disk else _cut(step.value, room)
    error, error_size = _cut_error(step.error, room)
    return [
        step.seq,
        step.name,
        step.kind if step.kind in _KINDS else "do",
        step.parent,
        step.item,
        known_status(step.status),
        step.attempt,
        step.started_at,
        step.completed_at,
        step.seconds,
        value,
        value_size,
        error,
        error_size,
        step.stale,
        step.handled,
        step.progress,
        usual,
        expires_at,
        step.policy if step.policy in _POLICIES else None,
        step.verdict if step.verdict in _VERDICTS else None,
        step.changes,
        step.reason,
    ]


def snapshot(
    run: RunRow,
    steps: Iterable[StepRow],
    *,
    rev: int,
    now: int,
    room: int | None = None,
    usual: Mapping[str, float] = _NOTHING,
    expires: Mapping[str, int] = _NOTHING,
) -> dict[str, Any]:
    """Return the message that holds everything.

    Args:
        run: the run.
        steps: the current row of each step.
        rev: the revision that this message brings its reader to.
        now: the clock, in microseconds since the epoch.
        room: how long a return or an error may be to be sent whole; by default the more rows, the
            less.
        usual: seconds of each step in the previous run of the loop, by name.
        expires: the end of each open wait, by the step's name.
    """
    if room is None:
        steps = list(steps)
        room = room_for(len(steps))
    head = {"type": "snapshot", "rev": rev}
    return _message(head, run, steps, now=now, room=room, usual=usual, expires=expires)


def delta(
    run: RunRow,
    steps: Iterable[StepRow],
    *,
    since: int,
    rev: int,
    now: int,
    room: int | None = None,
    usual: Mapping[str, float] = _NOTHING,
    expires: Mapping[str, int] = _NOTHING,
) -> dict[str, Any]:
    """Return the message that holds the rows that changed after revision *since*."""
    if room is None:
        steps = list(steps)
        room = room_for(len(steps))
    head = {"type": "delta", "since": since, "rev": rev}
    return _message(head, run, steps, now=now, room=room, usual=usual, expires=expires)


def encode(message: Any) -> str:
    """Return a message as JSON that every reader reads: no NaN, and nothing that UTF-8 refuses."""
    try:
        text = dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = dumps(_finite(message), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


def _finite(value: Any) -> Any:
    """Return *value* with None for every number that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def known_status(status: str) -> str:
    """Return *status* if a page knows it; of any other nothing is known to have been done."""
    return status if status in _STATUSES else PENDING


def runs(lines: Iterable[RunLine]) -> dict[str, Any]:
    """Return the message that holds the list of a book's runs."""
    records = [{**line._asdict(), "status": known_status(line.status)} for line in lines]
    return {"v": WIRE_VERSION, "type": "runs", "runs": records}


def reply(request: int, value: Any) -> dict[str, Any]:
    """Return the answer to a request."""
    return {"v": WIRE_VERSION, "type": "reply", "id": request, "ok": True, "value": value}


def refusal(request: int, error: str) -> dict[str, Any]:
    """Return the answer to a request that could not be met: a sentence for the reader."""
    return {"v": WIRE_VERSION, "type": "reply", "id": request, "ok": False, "error": error}


def _message(
    head: dict[str, Any],
    run: RunRow,
    steps: Iterable[StepRow],
    *,
    now: int,
    room: int,
    usual: Mapping[str, float],
    expires: Mapping[str, int],
) -> dict[str, Any]:
    return {
        "v": WIRE_VERSION,
        **head,
        "now": now,
        "run": run_fields(run),
        "fields": list(FIELDS),
        "rows": [
            row_fields(
                step,
                room,
                usual=usual.get(step.name),
                expires_at=expires.get(step.name) if step.status == "running" else None,
            )
            for step in steps
        ],
    }


def _cut(text: str | None, room: int) -> tuple[str | None, int | None]:
    """Return *text*, or its beginning and its whole length if it is longer than *room*."""
    if text is None or len(text) <= room:
        return text, None
    slim = without_bytes(text)
    if len(slim) <= MOST_CHARS:
        return slim, None
    return text[:HEAD_CHARS], len(text)


def without_bytes(text: str) -> str:
    """Return the JSON of a table, array or sealed value without its bytes: the rest is shown."""
    is_sealed = text.startswith('{"$stepbook":"sealed"')
    if not is_sealed and (not text.startswith('{"$stepbook":') or '"shape":' not in text[:200]):
        return text
    try:
        node = loads(text)
    except (ValueError, RecursionError):
        return text
    node = shown(node) if is_sealed else {k: v for k, v in node.items() if k != "data"}
    return dumps(node, ensure_ascii=False, separators=(",", ":"))


def _cut_error(text: str | None, room: int) -> tuple[str | None, int | None]:
    """Return an error record, without its stack if it is longer than *room*: still JSON."""
    if text is None or len(text) <= room:
        return text, None
    error = failures.read(text)
    short = {"type": error["type"][:HEAD_CHARS], "message": error["message"][:room]}
    return dumps(short, ensure_ascii=False), len(text)

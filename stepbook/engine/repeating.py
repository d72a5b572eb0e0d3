"""A verification, from inside: in the processes that execute the code once more.

A new run takes the id of the recorded run that it repeats, so that ``ctx.idempotency_key`` is the
same, too, and what that run has waited for is there at once. :mod:`.verifying` is the outside. The
two talk through the folder of the verification: ``plan.json`` says which run is meant, each line of
``begun.jsonl`` tells of a run that was begun, and ``refused`` says why nothing is executed.
"""

from __future__ import annotations

from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import InvalidInputError, RunNotFoundError, StepbookError
from ..model import failures
from ..model.rows import ScanRow, is_run_id, new_id, now_us
from ..record.inbox import Delivery, delivery
from ..record.records import Records
from ..system import scratch
from .attempt import shorten

if TYPE_CHECKING:
    from ..model.rows import RunRow
    from ..record.ledger import State
    from ..record.ports import Inbox

PLAN: Final = "plan.json"
_REFUSED: Final = "refused"
_BEGUN: Final = "begun.jsonl"
#: What a wait gets of which the record has no end. It is an error of the step, and told.
NOT_RECORDED: Final = "stepbook verify does not wait, and nothing is recorded for this wait"


class Refused(SystemExit):
    """There is nothing to compare with, so the code goes no further: no ``except`` of its own does.

    ``refused`` in the folder of the verification says why.
    """


class Plan(NamedTuple):
    """What is to be repeated.

    Attributes:
        run: the id of the recorded run.
        book: the file in which it is recorded.
        only: whether the code must open this run before any other.
    """

    run: str
    book: str
    only: bool


class Begun(NamedTuple):
    """A run that the verified code has begun.

    Attributes:
        id: its id.
        loop: its loop.
        key: its key.
        book: the file that it is recorded in, for the verification; empty for one in memory.
        origin: the file that it would be recorded in, and that the run it repeats is recorded in.
        recorded: whether it repeats a recorded run.
    """

    id: str
    loop: str
    key: str
    book: str
    origin: str
    recorded: bool


def goes_on() -> bool:
    """Whether this process executes code for a verification."""
    return scratch.folder() is not None


def id_of(path: Path | None, loop: str, key: str) -> str:
    """Return the id for a new run: while code is verified, that of the run that it repeats.

    Raises:
        Refused: the first run that the code opens has no record to compare it with.
    """
    folder = scratch.folder()
    if folder is None:
        return new_id("run")
    begun = begun_in(folder)
    if path is None:  # a book in memory, which holds no record
        _tell(folder, Begun(new := new_id("run"), loop, key, "", "", recorded=False))
        return new
    plan = _plan(folder)
    origin = Path(plan.book) if plan is not None else scratch.origin(path) or path
    try:
        found = _repeated(plan, origin, loop, key, first=not any(run.book for run in begun))
    except StepbookError as error:
        refuse(folder, str(error))
        raise Refused(2) from error
    recorded = is_run_id(found) and found not in {run.id for run in begun}
    run_id = found if recorded and found is not None else new_id("run")
    _tell(folder, Begun(run_id, loop, key, str(path), str(origin), recorded))
    return run_id


def _repeated(plan: Plan | None, origin: Path, loop: str, key: str, *, first: bool) -> str | None:
    """Return the id of the recorded run that a new one repeats, or None."""
    if plan is not None:
        row = _peek(origin, plan.run).run
        if (row.loop, row.key) == (loop, key):
            return row.id
        if first and plan.only:
            raise InvalidInputError(_another(row, loop, key))
        return None
    original = Records(origin)
    latest = original.latest(loop, [key]) if original.exists else None
    if latest is None and first:
        raise RunNotFoundError(
            f"nothing is recorded of the loop {loop!r} with the key {key} in {origin}, so there is "
            "nothing to compare with. `stepbook runs` lists what is recorded; `stepbook verify "
            "NOTEBOOK RUN` compares with another run."
        )
    return None if latest is None else latest.id


def _another(row: RunRow, loop: str, key: str) -> str:
    """Return why a run is not the one that was asked for."""
    if row.loop != loop:
        meant, opened = f"of the loop {row.loop!r}", f"one of the loop {loop!r}"
    else:
        meant, opened = f"with the key {row.key}", f"one with the key {key}"
    return (
        f"{row.id} is a run {meant}, but the code opens {opened} first, so it was stopped there. "
        "`stepbook runs` lists all runs; without RUN, each run that a notebook opens is compared "
        "with the latest of its loop and key."
    )


def refuse(folder: Path, why: str) -> None:
    """Say why nothing is executed: what the code makes of an error is nothing for the person."""
    (folder / _REFUSED).write_text(why, encoding="utf-8")


def refused(folder: Path) -> str | None:
    """Return why nothing is executed, or None."""
    try:
        return (folder / _REFUSED).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _tell(folder: Path, run: Begun) -> None:
    with (folder / _BEGUN).open("a", encoding="utf-8") as file:
        file.write(dumps(run) + "\n")


def session(path: Path | None, run_id: str, step: str) -> ScanRow:
    """Return a new session of a scan: while code is verified, the recorded one begun once more."""
    state = _recorded(path, run_id)
    sessions = [] if state is None else state.scans.get(step, [])
    if not sessions:
        return ScanRow(new_id("scan"), step, "pending", now_us())
    return ScanRow(sessions[-1].id, step, "pending", sessions[-1].created_at)


def deliver(inbox: Inbox, path: Path | None, run_id: str, step: str, number: int) -> None:
    """While code is verified, deliver what the recorded run has got at this wait.

    Args:
        inbox: where it is delivered to.
        path: the book of the run.
        run_id: the run that waits.
        step: the name of the wait.
        number: of its session.
    """
    if path is not None and goes_on():
        state = _recorded(path, run_id)
        found = None if state is None else _delivered(state, step)
        content = delivery(error=NOT_RECORDED) if found is None else found
        inbox.claim(run_id, step, number, content)


def _recorded(path: Path | None, run_id: str) -> State | None:
    """Return what is recorded of the run that this one repeats; None if it repeats none."""
    folder = scratch.folder()
    if folder is None or path is None:
        return None
    for one in begun_in(folder):
        if one.id == run_id and one.recorded:
            return _peek(Path(one.origin), run_id)
    return None


def _delivered(state: State, step: str) -> Delivery | None:
    """Return what has ended the last wait of a step; None if none has ended."""
    ended = [scan for scan in state.scans.get(step, []) if scan.status not in ("pending", "ready")]
    if not ended:
        return None
    last = ended[-1]
    if last.status == "completed":
        return delivery(payload=last.results)
    if last.status == "timeout":
        return delivery(timeout=True)
    row = state.steps.get(step)
    message = str(failures.read(row.error).get("message")) if row is not None else ""
    return delivery(error=message.removeprefix(f"the scan {shorten(step)} failed: "))


def _plan(folder: Path) -> Plan | None:
    try:
        return Plan(*loads((folder / PLAN).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


_states: Final[dict[tuple[Path, str], Any]] = {}


def _peek(path: Path, run_id: str) -> State:
    """Return what is recorded of a run; it stays as it was when it was looked at first."""
    key = path, run_id
    if key not in _states:
        _states[key] = Records(path).peek(run_id)
    state: State = _states[key]
    return state


def begun_in(folder: Path) -> list[Begun]:
    """Return the runs that the verified code has begun, in order."""
    try:
        lines = (folder / _BEGUN).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [Begun(*loads(line)) for line in lines]

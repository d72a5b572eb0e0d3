"""Changing what was recorded, by hand: redo, rewind, accept, resolve. ``undo`` takes it back.

Each change moves steps to their next attempt, so that no attempt is lost, and is logged with these
moves in the same commit: the message first, so that nothing is moved without one.
"""

from __future__ import annotations

from contextlib import ExitStack
from json import dumps
from typing import TYPE_CHECKING, Any, Final

from ..errors import StepError, StepNotFoundError
from ..model.rows import ACCEPTED, MADE_BY, PENDING, RESOLVED, SUCCEEDED, StepRow, now_us
from ..show.words import counted
from ..system.interrupts import section
from . import revisions, storing
from .attempt import check_name, shorten
from .books import AT_ONCE
from .downstream import of_steps
from .meant import is_several, listed, meant
from .revisions import Move, next_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..model.rows import LogRow, Row
    from .books import Recorded
    from .opened import OpenRun
    from .revisions import Change

_AGAIN: Final = "will be executed again in the next pass"


def redo(run: OpenRun, name: str, *, downstream: bool = False) -> str:
    """See ``Run.redo``; returns what to tell."""
    state = run.state()
    steps = meant(state, run.id, name)
    several = is_several(state, name)
    subject = _subject(len(steps), name, several=several)
    of = subject if several else f"step {subject}"
    if downstream:
        return _redo_downstream(run, name, steps, subject, of)
    _reset(run, "redo", of, steps)
    return f"stepbook: {subject} {_AGAIN}.{_later(run, steps, name)}"


def _subject(count: int, name: str, *, several: bool) -> str:
    """Return what to call the steps that a name or a pattern means."""
    if not several:
        return repr(name)
    return f"{counted(count, 'step')} that {'matches' if count == 1 else 'match'} {name!r}"


def _later(run: OpenRun, steps: list[StepRow], name: str) -> str:
    """Return what to say of the steps behind the first of those that are executed again."""
    first, chosen = steps[0].seq, {step.name for step in steps}
    rows = run.state().steps.values()
    later = [s.name for s in rows if s.seq > first and s.name not in chosen]
    if not later:
        return ""
    rewind = f"run.rewind({name!r}) executes"
    if len(later) == 1:
        return f" The later step {later[0]!r} keeps its result; {rewind} it again, too."
    return (
        f" The {len(later)} later steps keep their results: {listed(later)}. {rewind} them again, "
        "too."
    )


def _redo_downstream(run: OpenRun, name: str, steps: list[StepRow], subject: str, of: str) -> str:
    found = of_steps(run.state(), steps)
    behind = [step.name for step in found.steps]
    _reset(run, "redo", f"{of} with {counted(len(behind), 'step')} downstream", steps + found.steps)
    it = "it" if len(steps) == 1 else "them"
    rewind = f"run.rewind({name!r}) executes {it} and all later steps again."
    if not found.told:
        return (
            f"stepbook: {subject} {_AGAIN}. No step of this run has recorded where its inputs come "
            f"from, as only cells do: what is downstream is not known. {rewind}"
        )
    if behind:
        text = f"{subject} and {counted(len(behind), 'step')} with inputs from {it} {_AGAIN}"
        text = f"stepbook: {text}: {listed(behind)}."
    else:
        text = f"stepbook: {subject} {_AGAIN}. No recorded input comes from {it}."
    if not found.untold:
        return text
    keep = "keeps its result" if len(found.untold) == 1 else "keep their results"
    return (
        f"{text} {counted(len(found.untold), 'later step')} {keep}, since it is not recorded where "
        f"the inputs come from: {listed(found.untold)}. {rewind}"
    )


def rewind(run: OpenRun, name: str | None) -> str:
    """See ``Run.rewind``; returns what to tell."""
    state = run.state()
    first = None if name is None else meant(state, run.id, name)[0]
    steps = [row for row in state.steps.values() if first is None or row.seq >= first.seq]
    count = counted(len(steps), "step")
    if first is None:
        _reset(run, "rewind", f"all of {count}", steps)
    else:
        _reset(run, "rewind", f"{count} from {first.name!r} on", steps)
        if is_several(state, name):
            count = f"{count}, from {first.name!r} on,"
    return f"stepbook: {count} {_AGAIN}."


def accept(run: OpenRun, name: str) -> str:
    """See ``Run.accept``; returns what to tell."""
    with section(run.lock):
        state = run.state()
        steps = meant(state, run.id, name)
        several = is_several(state, name)
        names = [step.name for step in steps]
        _refuse_executing(run, names)
        stored = run.book.last_stored(run.id, names)
        usable = [step for step in steps if step.name in stored]
        if not usable:
            raise _nothing_stored(run, steps, name, several=several)
        subject = _subject(len(usable), name, several=several)
        moves = [(step.seq, Move(step.attempt, next_attempt(step))) for step in usable]
        of = subject if several else f"step {subject}"
        run.owned().commit(*revisions.rows("accept", of, moves))
        bring_all_back(run, [(step, stored[step.name]) for step in usable], _as_accepted)
    stand = "stands for its" if len(usable) == 1 else "stands for their"
    left = len(steps) - len(usable)
    more = f" {counted(left, 'step')} had nothing stored." if left else ""
    return f"stepbook: what is recorded of {subject} {stand} code as it is in the next pass.{more}"


def _as_accepted(row: StepRow) -> StepRow:
    return row.judged_same()._replace(fingerprint=None).noting({ACCEPTED: True})


def _nothing_stored(
    run: OpenRun, steps: list[StepRow], name: str, *, several: bool
) -> StepNotFoundError:
    whose = f"any of {_subject(len(steps), name, several=True)}" if several else shorten(name)
    of = f"of {whose}" if several else f"of the step {whose}"
    again = "executes them" if len(steps) > 1 else "executes it"
    return StepNotFoundError(
        f"no attempt {of} of run {run.id} has stored a value, so there is nothing to accept. The "
        f"next pass {again}."
    )


def adopt(run: OpenRun, step: StepRow, fingerprint: str) -> bool:
    """Have an accepted step count as recorded with what is here now; return whether it is one."""
    if not step.is_accepted or step.fingerprint is not None:
        return False
    run.owned().note(run.book.whole(run.id, step)._replace(fingerprint=fingerprint))
    return True


def resolve(run: OpenRun, name: str, value: Any) -> str:
    """See ``Run.resolve``; returns what to tell."""
    with section(run.lock):
        ledger = run.owned()
        steps = ledger.state.steps
        several = is_several(ledger.state, name)
        if several:
            chosen: list[StepRow | None] = [*meant(ledger.state, run.id, name)]
            names = [step.name for step in chosen if step is not None]
        else:
            names = [check_name(name, steps)]
            chosen = [steps.get(names[0])]
        _refuse_executing(run, names)
        subject = _subject(len(names), name if several else names[0], several=several)
        rows = [_resolved(old, one, len(steps) + 1) for one, old in zip(names, chosen, strict=True)]
        moves = [
            (row.seq, Move(0 if old is None else old.attempt, row.attempt))
            for row, old in zip(rows, chosen, strict=True)
        ]
        of = subject if several else f"step {subject}"
        messages = revisions.rows("resolve", of, moves)
        for start in range(0, len(rows), AT_ONCE):
            _give(run, value, rows[start : start + AT_ONCE], [] if start else messages)
    has = "has" if len(names) == 1 else "have"
    return f"stepbook: {subject} {has} succeeded, with the value that was given."


def _give(run: OpenRun, value: Any, rows: list[StepRow], messages: list[LogRow]) -> None:
    """Record rows with a value that somebody gives, behind *messages*."""
    # The lock of the artifacts is held until the event that names them is on the disk.
    with section(run.lock), ExitStack() as held:
        events: list[Row] = [*messages]
        for row in rows:
            address = run.address(row.name, row.attempt)
            writer = held.enter_context(run.codec.writing(address=address))
            # Whoever gives the value names its class by that.
            text = writer.encode(value, hint=type(value), slot=storing.RETURN)
            events.append(row._replace(value=text))
        run.owned().commit(*events)


def _resolved(old: StepRow | None, name: str, seq: int) -> StepRow:
    """Return the row of a step whose value is given, without this value.

    Args:
        old: what is recorded of it.
        name: its name.
        seq: its number, if it is new.
    """
    now = now_us()
    return StepRow(
        seq=seq if old is None else old.seq,
        name=name,
        kind="do" if old is None else old.kind,
        status=SUCCEEDED,
        attempt=next_attempt(old),
        parent=None if old is None else old.parent,
        started_at=now,
        completed_at=now,
        seconds=0.0,
        progress=dumps({RESOLVED: "by hand"}),
    )


def bring_back(run: OpenRun, earlier: StepRow) -> StepRow:
    """Have a step stand as an earlier attempt has left it, as its next attempt.

    Args:
        run: the run.
        earlier: that attempt; its value may have been left on disk.
    """
    with section(run.lock):
        _refuse_executing(run, [earlier.name])
        step = run.state().steps[earlier.name]
        bring_all_back(run, [(step, earlier.attempt)], StepRow.judged_same)
        return run.state().steps[earlier.name]


def bring_all_back(
    run: OpenRun,
    steps: list[tuple[StepRow, int]],
    change: Callable[[StepRow], StepRow] = lambda row: row,
) -> None:
    """Have steps stand as earlier attempts have left them, each as its next attempt.

    Args:
        run: the run; in a section of its lock.
        steps: what they are now, each with the number of the attempt.
        change: makes of the row of an attempt what is recorded.

    Raises:
        StepError: the tables do not hold one of the attempts.
    """
    wanted = [(step.name, attempt) for step, attempt in steps]
    left = iter(steps)
    for found in run.book.recorded(run.id, wanted):
        events: list[Row] = []
        for source, (step, attempt) in zip(found, left, strict=False):
            if source is None:
                raise StepError(
                    f"the tables hold no attempt {attempt} of the step {shorten(step.name)} of run "
                    f"{run.id}, or not its value: somebody has changed them. "
                    f"run.redo({step.name!r}) has it executed again."
                )
            events += _again(step, source, change)
        run.owned().commit(*events)


def _again(step: StepRow, source: Recorded, change: Callable[[StepRow], StepRow]) -> Iterator[Row]:
    number = next_attempt(step)
    if source.cell is not None:
        yield source.cell._replace(attempt=number)
    row = change(source.row)._replace(seq=step.seq, attempt=number, reason=None)
    yield row.noting({MADE_BY: source.row.made_by})


def pending(step: StepRow) -> StepRow:
    """Return the next attempt of a step, not begun."""
    return StepRow(
        seq=step.seq,
        name=step.name,
        kind=step.kind,
        status=PENDING,
        attempt=step.attempt + 1,
        parent=step.parent,
        item=step.item,
        fingerprint=step.fingerprint,
        cell_id=step.cell_id,
    )


def _reset(run: OpenRun, change: Change, of: str, steps: list[StepRow]) -> None:
    """Make steps pending, each as its next attempt."""
    with section(run.lock):
        _refuse_executing(run, (step.name for step in steps))
        ledger = run.owned()
        now = (ledger.state.steps[step.name] for step in steps)  # others may have gone on
        moving = [step for step in now if step.status != PENDING]
        moves = [(step.seq, Move(step.attempt, step.attempt + 1)) for step in moving]
        ledger.commit(*revisions.rows(change, of, moves), *map(pending, moving))


def _refuse_executing(run: OpenRun, names: Iterable[str]) -> None:
    for name in names:
        if run.is_executing(name):
            raise StepError(f"the step {shorten(name)} is executing right now; stop it first.")

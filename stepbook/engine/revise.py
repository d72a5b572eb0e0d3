"""Changing what was recorded, by hand: redo, rewind, accept, resolve."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from ..errors import StepError, StepNotFoundError
from ..model.rows import ACCEPTED, MADE_BY, PENDING, SUCCEEDED, StepRow, now_us
from ..model.spelling import spelled
from ..show.words import counted
from ..system.interrupts import section
from . import storing
from .attempt import check_name, log_row, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..record.ledger import Ledger, State
    from .opened import OpenRun

_SHOWN: Final = 5


def redo(run: OpenRun, name: str) -> str:
    """See ``Run.redo``; returns what to tell."""
    step = known(run.state(), run.id, name)
    later = [s.name for s in run.state().steps.values() if s.seq > step.seq]
    _reset(run, [step])
    tail = ""
    if len(later) == 1:
        tail = (
            f" The later step {later[0]!r} keeps its result; run.rewind({name!r}) executes it "
            "again, too."
        )
    elif later:
        more = f", … ({len(later)} in all)" if len(later) > _SHOWN else ""
        tail = (
            f" The {len(later)} later steps keep their results: {', '.join(later[:_SHOWN])}{more}. "
            f"run.rewind({name!r}) executes them again, too."
        )
    return f"stepbook: {name!r} will be executed again in the next pass.{tail}"


def rewind(run: OpenRun, name: str | None) -> str:
    """See ``Run.rewind``; returns what to tell."""
    first = 0 if name is None else known(run.state(), run.id, name).seq
    steps = [step for step in run.state().steps.values() if step.seq >= first]
    _reset(run, steps)
    return f"stepbook: {counted(len(steps), 'step')} will be executed again in the next pass."


def accept(run: OpenRun, name: str) -> str:
    """See ``Run.accept``; returns what to tell."""
    step = known(run.state(), run.id, name)
    with section(run.lock):
        _refuse_executing(run, [step.name])
        if step.status == SUCCEEDED and step.policy is None:
            row = run.book.whole(run.id, step).judged_same()
        else:
            row = bring_back(run, _last_success(run, step))
        run.owned().commit(row._replace(fingerprint=None).noting({ACCEPTED: True}))
        run.owned().note(log_row(f"step {step.name!r} was accepted", "info", step.name, None))
    return (
        f"stepbook: what is recorded of {step.name!r} stands for its code as it is in the next "
        "pass."
    )


def _last_success(run: OpenRun, step: StepRow) -> StepRow:
    for earlier in reversed(run.book.attempts(run.id, step.name)):
        if earlier.status == SUCCEEDED and earlier.policy is None:
            return earlier
    raise StepNotFoundError(
        f"no attempt of the step {shorten(step.name)} of run {run.id} has stored a value, so there "
        "is nothing to accept. The next pass executes it."
    )


def adopt(run: OpenRun, step: StepRow, fingerprint: str) -> bool:
    """Have an accepted step count as recorded with what is here now; return whether it is one."""
    if not step.is_accepted or step.fingerprint is not None:
        return False
    run.owned().note(run.book.whole(run.id, step)._replace(fingerprint=fingerprint))
    return True


def resolve(run: OpenRun, name: str, value: Any) -> None:
    """See ``Run.resolve``."""
    name = check_name(name, run.state().steps)
    with section(run.lock):
        _refuse_executing(run, [name])
        ledger = run.owned()
        old = ledger.state.steps.get(name)
        attempt = 1 if old is None else old.attempt + (old.status != PENDING)
        # The lock of the artifacts is held until the event that names them is on the disk.
        with run.codec.writing(address=run.address(name, attempt)) as writer:
            # Whoever gives the value names its class by that.
            text = writer.encode(value, hint=type(value), slot=storing.RETURN)
            _resolved(ledger, old, name, attempt, text)


def _resolved(ledger: Ledger, old: StepRow | None, name: str, attempt: int, text: str) -> None:
    now = now_us()
    ledger.note(log_row(f"step {name!r} was resolved by hand", "info", name, None))
    ledger.commit(
        StepRow(
            seq=len(ledger.state.steps) + 1 if old is None else old.seq,
            name=name,
            kind="do" if old is None else old.kind,
            status=SUCCEEDED,
            attempt=attempt,
            parent=None if old is None else old.parent,
            started_at=now,
            completed_at=now,
            seconds=0.0,
            value=text,
            progress='{"resolved":"by hand"}',
        )
    )


def bring_back(run: OpenRun, earlier: StepRow) -> StepRow:
    """Have a step stand as an earlier attempt has left it, as its next attempt.

    Args:
        run: the run.
        earlier: that attempt; its value may have been left on disk.
    """
    name = earlier.name
    with section(run.lock):
        _refuse_executing(run, [name])
        ledger = run.owned()
        old = ledger.state.steps[name]
        number = old.attempt + (old.status != PENDING)
        row = run.book.whole(run.id, earlier).judged_same()._replace(seq=old.seq, attempt=number)
        row = row.noting({MADE_BY: earlier.made_by})
        cell = run.book.cell(run.id, name, earlier.attempt)
        ledger.commit(*([] if cell is None else [cell._replace(attempt=number)]), row)
    return row


def _reset(run: OpenRun, steps: list[StepRow]) -> None:
    """Make steps pending, each as its next attempt."""
    with section(run.lock):
        _refuse_executing(run, (step.name for step in steps))
        run.owned().commit(
            *(
                StepRow(
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
                for step in steps
                if step.status != PENDING
            )
        )


def _refuse_executing(run: OpenRun, names: Iterable[str]) -> None:
    for name in names:
        if run.is_executing(name):
            raise StepError(f"the step {shorten(name)} is executing right now; stop it first.")


def known(state: State, run_id: str, name: str) -> StepRow:
    """Return the row of a step.

    Raises:
        StepNotFoundError: the run has no such step.
    """
    steps = state.steps
    found = spelled(name, steps) if isinstance(name, str) else name
    if found in steps:
        return steps[found]
    close = difflib.get_close_matches(str(name), steps, n=3, cutoff=0.5)
    if close:
        hint = f" Did you mean {' or '.join(map(repr, close))}?"
    elif steps:
        first = ", ".join(map(repr, list(steps)[:_SHOWN]))
        hint = f" It has {first}{f', … ({len(steps)} in all)' if len(steps) > _SHOWN else ''}."
    else:
        hint = " It has none yet."
    raise StepNotFoundError(f"run {run_id} has no step {shorten(name)}.{hint}")

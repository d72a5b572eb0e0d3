"""Taking back what was changed by hand last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import StepError
from ..model.rows import PENDING
from ..show.words import counted
from ..system.interrupts import section
from . import revisions
from .meant import listed
from .revise import bring_all_back, pending

if TYPE_CHECKING:
    from ..model.rows import StepRow
    from .opened import OpenRun
    from .revisions import Move


def undo(run: OpenRun) -> str:
    """See ``Run.undo``; returns what to tell."""
    ledger = run.owned()
    with section(run.lock):
        revision = revisions.last(run)
        if revision is None:
            raise StepError(
                f"there is nothing to take back: run {run.id} has no redo, rewind, resolve or "
                "accept that was not taken back already."
            )
        moved = list(revision.moved(list(ledger.state.steps.values())))
        later = [step.name for step, move in moved if _was_executed(step, move)]
        left = [(step, move) for step, move in moved if not _was_executed(step, move)]
        if revision.change == "accept":
            _withdraw(run, [step for step, move in left if step.attempt >= move.after])
        _make_pending(run, [(step, move) for step, move in left if move.was_pending])
        # What stands at the attempt before was not moved: the process that moved it has died.
        gone = [(s, m.before) for s, m in left if not m.was_pending and s.attempt > m.before]
        bring_all_back(run, gone)
        # The message comes last: if this process dies before, the next undo does the rest.
        what = f"the {revision.change} of {revision.of}"
        ledger.commit(*revisions.rows("undo", what))
    return f"stepbook: {what} was taken back: {_told(len(left), later)}"


def _was_executed(step: StepRow, move: Move) -> bool:
    """Whether a step has been executed since it was moved."""
    by_hand = step.status == PENDING or step.is_resolved
    return not by_hand and step.made_by >= move.after


def _withdraw(run: OpenRun, steps: list[StepRow]) -> None:
    """Have what was accepted stand for no code: an edit would find it again by its fingerprint."""
    accepted = [step for step in steps if step.is_accepted and step.fingerprint is not None]
    run.owned().commit(
        *(run.book.whole(run.id, step)._replace(fingerprint=None) for step in accepted)
    )


def _make_pending(run: OpenRun, moved: list[tuple[StepRow, Move]]) -> None:
    """Have steps wait for their execution again, as before.

    The number of a pending attempt is used by what comes, so its row is not in the record any more.
    It was made of the attempt before it.
    """
    others = [(step, move) for step, move in moved if step.status != PENDING]
    made_of = [(step.name, move.before - 1) for step, move in others]
    steps = (step for step, _ in others)
    for found in run.book.recorded(run.id, made_of):
        rows = [
            pending(step)._replace(fingerprint=None if source is None else source.row.fingerprint)
            for source, step in zip(found, steps, strict=False)
        ]
        run.owned().commit(*rows)


def _told(restored: int, later: list[str]) -> str:
    stand = "stands" if restored == 1 else "stand"
    told = f"{counted(restored, 'step')} {stand} as before."
    if len(later) == 1:
        told += f" {later[0]!r} was executed since and stays as it is now."
    elif later:
        told += (
            f" {counted(len(later), 'step')} were executed since and stay as they are now: "
            f"{listed(later)}."
        )
    return told

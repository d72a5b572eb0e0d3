"""What the record says about a step that the code asks for: replay, raise or execute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from ..model.rows import FAILED, RUNNING, SUCCEEDED, fields_of

if TYPE_CHECKING:
    from ..model.rows import StepRow
    from ..record.ledger import State
    from .opened import OpenRun

Decision = Literal["replay", "raise", "execute"]

REPLAY: Final = "replay"
RAISE: Final = "raise"
EXECUTE: Final = "execute"
#: The type of the error of an attempt that has not failed by itself.
_INTERRUPTS: Final = ("Interrupted", "KeyboardInterrupt")


def decide(step: StepRow | None, *, stores: bool = True) -> Decision:
    """Return what is to be done about a step, by its row alone.

    Args:
        step: the row, settled; None if the run does not know the step.
        stores: whether its value is to be stored; else what was stored before is not used.
    """
    if step is None:
        return EXECUTE
    if step.status == SUCCEEDED:
        return REPLAY if stores and step.policy is None else EXECUTE
    if step.status == FAILED and step.handled and step.error is not None:
        return RAISE
    return EXECUTE


def reason(step: StepRow | None) -> str | None:
    """Return why a step is executed that the record does not keep from it; None for the first time.

    Args:
        step: the row, settled, as :func:`decide` has it.
    """
    if step is None:
        return None
    if step.status == FAILED:
        ended = "was interrupted" if fields_of(step.error).get("type") in _INTERRUPTS else "failed"
        return f"its attempt {step.attempt} {ended}"
    if step.status == SUCCEEDED:
        return "nothing of it is stored"
    return "it was asked for"


def settled(run: OpenRun, state: State, name: str) -> StepRow | None:
    """Return the row of a step, once what was left of its recording is on the disk.

    Raises:
        JournalWriteError: that still cannot be written.
    """
    step = state.steps.get(name)
    if step is None or step.status == RUNNING:
        step = run.owned().settled(name)
    return step

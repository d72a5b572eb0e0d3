"""Whether what was recorded of a cell still holds for the cell as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..code.verdicts import compare, no_longer_ignored
from ..engine import revise
from ..engine.attempt import shorten
from ..engine.validity import mark, tell_stale
from ..errors import StaleStepError
from ..model.durations import describe
from ..model.rows import SUCCEEDED
from ..system.console import stable, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..engine.opened import OpenRun
    from ..engine.options import OnChange
    from ..model.rows import StepRow
    from .inputs import Reading

    #: Gives what a step is executed with, as far as one of its records needs it.
    Read = Callable[[StepRow], Reading]

#: From how many seconds on a person is told how to keep what was recorded.
_LONG: Final = 600.0


def usable(
    run: OpenRun,
    step: StepRow,
    read: Read,
    on_change: OnChange,
    *,
    edited: bool,
    warned: set[tuple[str, str, str]],
) -> StepRow | str:
    """Return the row of a cell that is to be replayed, or why the cell is to be executed.

    Args:
        run: the run.
        step: what is recorded: a cell that has ended.
        read: tells what it would be executed with.
        on_change: what to do if that is not what was recorded.
        edited: whether its code was edited in this session.
        warned: changed steps that the person was told of.

    Raises:
        StaleStepError: it has changed, and *on_change* is ``error``.
    """
    if on_change == "ignore":
        return step
    reading = read(step)
    now = reading.after(step.fingerprint)
    if revise.adopt(run, step, now):
        return step
    verdict = compare(step.fingerprint, now)
    if verdict.kind != "stale":
        mark(run, step, verdict)
        if verdict.kind == "unknown":
            _tell_ignored(step, no_longer_ignored(step.fingerprint, now))
        _tell_returned(step, reading.returned(step.fingerprint))
        return step
    line = f"%stepbook redo {step.name}"
    if on_change == "rerun" or edited:
        earlier = _matching(run, step, read)
        if earlier is not None:
            return earlier
        tell(f"stepbook: {step.name!r}: {verdict.words}; it is executed again.{_long(step)}")
        _tell_found(step, reading.returned(step.fingerprint))
        return verdict.words
    if on_change == "error":
        raise StaleStepError(
            f"the cell of step {shorten(step.name)} has changed since it was recorded: "
            f"{verdict.words}. {line} executes it again; --on-change warn uses what was recorded."
        )
    mark(run, step, verdict)
    if (run.id, step.name, now) not in warned:
        warned.add((run.id, step.name, now))
        tell_stale(step, f"the cell {step.name!r}", f": {verdict.words}", line)
    return step


def _matching(run: OpenRun, step: StepRow, read: Read) -> StepRow | None:
    """Return the step as an attempt has left it that was made with what is here now."""
    for earlier in reversed(run.book.attempts(run.id, step.name)):
        usable = earlier.status == SUCCEEDED and earlier.kind == "cell" and earlier.policy is None
        if not usable or earlier.attempt == step.attempt:
            continue
        now = read(earlier).after(earlier.fingerprint)
        if compare(earlier.fingerprint, now).kind == "same":
            tell(
                f"stepbook: {step.name!r} is as it was in its attempt {earlier.made_by}, which is "
                "replayed."
            )
            return revise.bring_back(run, earlier)
    return None


def _tell_returned(step: StepRow, names: list[str]) -> None:
    if names:
        have, them = ("have", "them") if len(names) > 1 else ("has", "it")
        tell(
            f"stepbook: {step.name!r} is replayed. Since then {', '.join(names)} {have} changed: "
            f"the step itself, or one behind it, has changed {them}. To execute it on what is "
            f"there now: %stepbook redo {step.name}"
        )


def _tell_ignored(step: StepRow, names: list[str]) -> None:
    if names:
        tell(
            f"stepbook: {step.name!r} is replayed. It was recorded with --ignore "
            f"{','.join(names)}, so nobody knows whether that has changed since. To execute it on "
            f"what is there now: %stepbook redo {step.name}"
        )


def _tell_found(step: StepRow, names: list[str]) -> None:
    """Say that a cell which somebody has gone back to executes on what cells behind it have left.

    What it makes of that is recorded and replayed: a plain *Run All* would not give it.
    """
    if names:
        tell(
            f"stepbook: {step.name!r} finds {', '.join(names)} as the step itself, or one behind "
            "it, has changed it. To have it execute on what the cells above it leave: "
            f"%stepbook redo {step.name}, and Run All."
        )


def _long(step: StepRow) -> str:
    """Return what to say of a step that has taken long, besides that it is executed again."""
    if (step.seconds or 0.0) < _LONG or stable():
        return ""
    return (
        f" It took {describe(step.seconds or 0.0)}. To keep what was recorded, interrupt it, and "
        f"then: %stepbook accept {step.name}"
    )

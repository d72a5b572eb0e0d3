"""Whether what was recorded of a step still holds for the code that asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..code.verdicts import compare
from ..errors import StaleStepError
from ..model.durations import describe
from ..model.rows import now_us
from ..system.console import stable, tell
from .attempt import shorten
from .revise import adopt

if TYPE_CHECKING:
    from ..code.verdicts import Verdict
    from ..model.rows import StepRow
    from .opened import OpenRun
    from .options import OnChange

#: So many messages about stale steps, in a process and run.
_MOST_TOLD: Final = 5


def outdated(run: OpenRun, step: StepRow, fingerprint: str, on_change: OnChange) -> str:
    """Return why a step is to be executed again, if its code or its arguments have changed.

    Args:
        run: the run.
        step: its row; it has ended.
        fingerprint: of the code and the arguments as they are now.
        on_change: what to do if they differ; not ``ignore``.

    Returns:
        What has changed; nothing if the step is to be replayed.

    Raises:
        StaleStepError: they do, and *on_change* is ``error``.
    """
    if adopt(run, step, fingerprint):
        return ""
    recorded, redaction = step.fingerprint, run.codec.redaction
    if redaction is not None:  # both as they are recorded, whenever that was
        recorded = redaction.fingerprint(recorded)
        fingerprint = redaction.fingerprint(fingerprint) or ""
    verdict = compare(recorded, fingerprint)
    if verdict.kind != "stale":
        mark(run, step, verdict, reads=False)
        return ""
    why = verdict.words
    if on_change == "rerun" or (not verdict.in_code and _follows_new_work(run, step)):
        tell(f"stepbook: {step.name!r}: {why}; it is executed again.")
        return why
    line = f"run.redo({step.name!r})"
    if on_change == "error":
        raise StaleStepError(
            f"the step {shorten(step.name)} was recorded with other code or arguments: {why}. "
            f'{line} executes it again; on_change="warn" uses what was recorded.'
        )
    mark(run, step, verdict, reads=False)  # it may be one of thousands
    _warn(run, step, verdict, line)
    return ""


def _follows_new_work(run: OpenRun, step: StepRow) -> bool:
    """Whether an earlier step was executed after this one was recorded."""
    ended = step.completed_at or 0
    rows = run.state().steps.values()
    return any(row.seq < step.seq and (row.started_at or 0) > ended for row in rows)


def mark(run: OpenRun, step: StepRow, verdict: Verdict, *, reads: bool = True) -> None:
    """Record what has been found of a step that replays, if that is news.

    Args:
        run: the run.
        step: its row.
        verdict: the same, stale or unknown, and what in it.
        reads: whether a value that was left on disk may be read, to be recorded again.
    """
    if verdict.kind == "same" and step.verdict in ("same", None):
        return  # soon: thousands of steps replay in a row
    changes = verdict.words or None
    kind = verdict.kind if changes else "same"  # what a step itself changes is no news
    if (step.verdict or "same", step.changes) == (kind, changes):
        return
    ledger = run.owned()
    row = step if step.left_on_disk and not reads else run.book.whole(run.id, step)
    row = row._replace(stale=kind == "stale", verdict=kind, changes=changes)
    if row.left_on_disk:
        ledger.state.steps[step.name] = row
    else:
        ledger.note(row)


def _warn(run: OpenRun, step: StepRow, verdict: Verdict, line: str) -> None:
    """Say that a step is stale: once for what has changed, and not for each of thousands."""
    about = "stale", *verdict.changes
    told = sum(key[0] == "stale" for key in run.told)
    if about in run.told or told > _MOST_TOLD:
        return
    run.told.add(about)
    if told == _MOST_TOLD:
        tell("stepbook: more steps have changed; the column 'stale' of run.steps() lists them all.")
        return
    tell_stale(step, repr(step.name), f": {verdict.words}", line)


def tell_stale(step: StepRow, what: str, why: str, line: str) -> None:
    """Say that a step has changed and replays all the same.

    Args:
        step: its row.
        what: has changed, for the message.
        why: what in it, or nothing.
        line: executes it again.
    """
    ago = ""
    if step.completed_at is not None and not stable():
        ago = f", {describe(max(0.0, (now_us() - step.completed_at) / 1e6))} ago"
    tell(
        f"stepbook: {what} has changed since it was recorded{ago}{why}. "
        "What was recorded is used. To execute it again:",
        f"  {line}",
    )

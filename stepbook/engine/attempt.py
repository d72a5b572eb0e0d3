"""One attempt of a step: how it begins, who takes its end, how it ends."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from ..errors import DuplicateStepError, JournalWriteError, StepbookError, StepError, StepNameError
from ..model import failures
from ..model.rows import FAILED, PENDING, RUNNING, SUCCEEDED, Kind, StepRow, now_us
from ..system.interrupts import take
from .context import StepContext, current, log_row
from .passes import same_flow

if TYPE_CHECKING:
    from ..api.run import Run
    from ..model.rows import Row
    from ..record.ledger import Ledger

_MAX_SHOWN: Final = 60


def shorten(name: object) -> str:
    """Return the repr of a name, shortened for a message."""
    text = repr(name)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 2] + "…" + text[-1]


def check_name(name: object) -> str:
    """Return *name* as a plain string.

    Raises:
        StepNameError: it is not a string, empty, or not Unicode text.
    """
    if not isinstance(name, str):
        raise StepNameError(
            f"the name of a step is a string, not {type(name).__name__}: {shorten(name)}. "
            'The name comes first: run.do("Load profile", load_profile).'
        )
    if not name:
        raise StepNameError('a step needs a name: run.do("Load profile", load_profile).')
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise StepNameError(
            f"the step name {shorten(name)} holds a lone surrogate, which is not Unicode text."
        ) from error
    return str(name)


def start(run: Run, name: str, kind: Kind, **fields: Any) -> StepContext:
    """Record that a step begins; the next attempt, or the first.

    Raises:
        DuplicateStepError: its body is executing right now.
        JournalWriteError: the journal cannot be written.
    """
    ledger = run._owned()
    held: list[object] = []
    try:
        take(run._lock, held)
        parent = current.get() or run._walk().body_of(run)
        if executing(run, name):
            raise DuplicateStepError(
                f"the step {shorten(name)} is executing right now, in another thread or task. "
                "Wait for it, or give this piece of work a name of its own."
            )
        old = ledger.settled(name)
        if old is not None and old.status == RUNNING:
            # Two interrupts in a row: the second one fell into the recording of the first.
            ledger.note(interrupted_row(old, "it was interrupted"))
        row = StepRow(
            seq=len(ledger.state.steps) + 1 if old is None else old.seq,
            name=name,
            kind=kind,
            status=RUNNING,
            attempt=1 if old is None else old.attempt + (old.status != PENDING),
            parent=parent.name if parent is not None and parent.run_id == run.id else None,
            started_at=now_us(),
            **fields,
        )
        context = StepContext(run, ledger, row, current.get())
        try:
            run._executing[name] = context
            run._executes(name)
            ledger.note(row)
        except BaseException:
            leave(run, context)
            raise
    finally:
        if held:
            run._lock.release()
    return context


def executing(run: Run, name: str) -> bool:
    """Whether the body of a step is executing right now.

    After two interrupts in a row it may only look so: its frame is gone.
    """
    busy = run._executing.get(name)
    if busy is None or not same_flow(busy):
        return busy is not None
    here = current.get()
    while here is not None and here is not busy:
        here = here._parent
    return here is busy


def interrupted_row(row: StepRow, reason: str) -> StepRow:
    """Return *row* as a failed attempt of type ``Interrupted``."""
    record: dict[str, Any] = {
        "type": "Interrupted",
        "message": f"the step was running when {reason}",
        "stack": "",
        "notes": [],
        "cause": None,
    }
    text = json.dumps(record, ensure_ascii=False)
    return row._replace(status=FAILED, completed_at=now_us(), seconds=None, error=text)


def succeed(run: Run, context: StepContext, value: Any, hint: Any = None) -> Any:
    """Record a success and return the value as a replay would.

    Args:
        run: the run.
        context: the step.
        value: what its body returned.
        hint: names the classes that it may be rebuilt as; see :meth:`Codec.decode`.

    Raises:
        NotSerializableError: the value cannot be stored.
        JournalWriteError: the journal cannot be written; the value is in ``value``.
    """
    seconds = time.perf_counter() - context._began
    codec = run._codec
    with codec.writing() as writer:
        text = writer.encode(value, hint=hint, files=context._files)
        complete(run, context, value, text, seconds)
    return codec.decode(text, hint=hint, where=context.name, ready=writer.ready)


def taker(run: Run, context: StepContext) -> Ledger:
    """Return where the end of an attempt is recorded; a run that was let go of is taken again.

    Raises:
        StepError: another process has ended this attempt meanwhile.
        RunInUseError: another process holds the run.
    """
    ledger = run._owned()
    if ledger is context._ledger:
        return ledger  # nobody else can have had it
    row = ledger.state.steps.get(context.name)
    if row is None or row.attempt != context.attempt or row.status != RUNNING:
        raise StepError(
            f"the run {run.id} was let go of while the step {shorten(context.name)} executed, and "
            f"another process has ended its attempt {context.attempt} since. What this process "
            "made is not recorded: the next pass gets what the record holds. Close a run when its "
            "steps have ended."
        )
    context._ledger = ledger
    return ledger


def complete(
    run: Run, context: StepContext, value: Any, text: str, seconds: float, *rows: Row
) -> None:
    """Record a success, with what else belongs to it.

    Args:
        run: the run.
        context: the step.
        value: what its body returned.
        text: the same as it is recorded.
        seconds: how long the body took.
        *rows: what is recorded together with the end of the step.

    Raises:
        JournalWriteError: the journal cannot be written; the value is in ``value``.
        StepError: another process has ended this attempt meanwhile; as above.
        RunInUseError: another process holds the run; as above.
    """
    row = context._row
    assert row.started_at is not None  # noqa: S101 - it was started
    end = row._replace(
        status=SUCCEEDED,
        completed_at=max(now_us(), row.started_at + int(seconds * 1e6)),
        seconds=seconds,
        value=text,
    )
    context._end_row = end
    try:
        taker(run, context).commit(*rows, end)
    except StepbookError as error:
        error.value = value  # type: ignore[attr-defined]
        raise
    leave(run, context)


def fail(run: Run, context: StepContext, error: BaseException) -> None:
    """Record a failure; of a step that had succeeded already, make sure of that instead."""
    row = context._row
    rows: list[Any] = []
    if context._end_row is None:
        seconds = max(0.0, time.perf_counter() - context._began) if context._began else 0.0
        record = failures.describe(error)
        started = row.started_at or now_us()
        context._end_row = row._replace(
            status=FAILED,
            completed_at=max(now_us(), started + int(seconds * 1e6)),
            seconds=seconds,
            error=json.dumps(record, ensure_ascii=False),
        )
        context._failed = True
        message = f"step {row.name!r} failed: {failures.summary(record)}"
        metadata = json.dumps(
            {"attempt": row.attempt, "stack": record["stack"]}, ensure_ascii=False
        )
        rows.append(log_row(message, "error", row.name, metadata))
    try:
        ledger = taker(run, context)
    except StepbookError as refused:
        leave(run, context)
        if refused is not error:
            failures.note(error, f"stepbook: not recorded: {refused}")
        return
    try:
        for log in rows:
            ledger.note(log)
        ledger.commit(context._end_row)
    except JournalWriteError as unwritten:
        failures.note(error, f"stepbook: not recorded yet: {unwritten}")
    finally:
        leave(run, context)
    if context._failed:
        walk, steps = run._walk(), ledger.state.steps
        inner = [step for step in walk.failures if steps[step].parent == row.name]
        # An interrupt, a cancellation or a full disk is no outcome of the work: it is never handled
        # for good.
        outcome = isinstance(error, Exception) and not isinstance(error, JournalWriteError)
        walk.fail(row.name if outcome else None, inner)
        failures.mark(error, run.id, row.name, row.attempt)


def leave(run: Run, context: StepContext) -> None:
    """Note that the body is no longer executing."""
    if run._executing.get(context.name) is context:
        run._executing.pop(context.name, None)

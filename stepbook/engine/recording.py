"""How an attempt of a step is recorded: how it begins, who takes its end, how it ends."""

from __future__ import annotations

import time
from json import dumps
from typing import TYPE_CHECKING, Any, Final

from ..errors import (
    DuplicateStepError,
    JournalWriteError,
    NotSerializableError,
    StepbookError,
    StepError,
)
from ..model import failures
from ..model.blobs import Limit, TooBig
from ..model.rows import FAILED, PENDING, RUNNING, SUCCEEDED, CellRow, Kind, StepRow, now_us
from ..system.console import tell
from ..system.interrupts import take
from ..values.kinds import to_text
from ..values.mask import SecretError
from ..values.masking import masked_node
from ..values.plain import plain
from . import decide, draws, redacting, storing
from .attempt import Attempt, current, interrupted_row, log_row, shorten
from .forks import end_child
from .hooks import HOOKS
from .kept import Keeper
from .options import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model.rows import Policy, Row
    from ..record.ledger import Ledger
    from ..values.redact import Redaction
    from ..values.writer import Writer
    from .opened import OpenRun
    from .options import Options

_MAX_SHOWN: Final = 60


def start(
    run: OpenRun,
    name: str,
    kind: Kind,
    fingerprint: str | None = None,
    reason: str | None = None,
    **fields: Any,
) -> Attempt:
    """Record that a step begins; the next attempt, or the first.

    Args:
        run: the run.
        name: the step.
        kind: of the step.
        fingerprint: of its code, and of what that is given.
        reason: why it is executed, if that is not to be seen in the record.
        **fields: other columns of its row.

    Raises:
        DuplicateStepError: its body is executing right now.
        JournalWriteError: the journal cannot be written.
    """
    if HOOKS.body_begins is not None and kind == "do":
        HOOKS.body_begins()
    ledger = run.owned()
    outer = current.get()
    held: list[object] = []
    try:
        take(run.lock, held)
        parent = outer or run.walking().body_of(run.executing)
        if run.is_executing(name):
            raise DuplicateStepError(
                f"the step {shorten(name)} is executing right now, in another thread or task. "
                "Wait for it, or give this piece of work a name of its own."
            )
        old = ledger.settled(name)
        if old is not None and old.status == RUNNING:
            # Two interrupts in a row: the second one fell into the recording of the first.
            ledger.note(interrupted_row(old, "it was interrupted"))
        row = StepRow(
            len(ledger.state.steps) + 1 if old is None else old.seq,
            name,
            kind,
            RUNNING,
            1 if old is None else old.attempt + (old.status != PENDING),
            parent.name if parent is not None and parent.run.id == run.id else None,
            None,
            now_us(),
            fingerprint=fingerprint,
            reason=reason or decide.reason(old),
        )
        if fields:
            row = row._replace(**fields)
        attempt = Attempt(run, ledger, row, outer)
        try:
            run.executing[name] = attempt
            run.executes(name)
            ledger.note(row)
        except BaseException:
            leave(run, attempt)
            raise
    finally:
        if held:
            run.lock.release()
    return attempt


def succeed(
    run: OpenRun,
    attempt: Attempt,
    value: Any,
    hint: Any = None,
    options: Options = DEFAULTS,
    settle: Callable[[Attempt], None] | None = None,
) -> Any:
    """Record a success and return the value as a replay would; as it is if it is not stored.

    Args:
        run: the run.
        attempt: the step.
        value: what its body returned.
        hint: names the classes that it may be rebuilt as; see :meth:`Codec.decode`.
        options: whether it is stored, and how much of it.
        settle: called before the end is recorded, when the time was taken.

    Raises:
        NotSerializableError: the value cannot be stored.
        JournalWriteError: the journal cannot be written; the value is in ``value``.
        ForkedError: this is a child that the body has forked.
    """
    seconds = time.perf_counter() - attempt.began
    if run.is_forked:
        taker(run, attempt)  # refuses
    if settle is not None:
        settle(attempt)
    if not options.store:
        limit = storing.limit(run, None)
        return _succeed_unstored(run, attempt, value, seconds, storing.NO_STORE, limit)
    limit = storing.limit(run, options.max_size)
    drew = draws.drawn(attempt)
    if limit is storing.HALF and not attempt.files and attempt.shown is None and drew is None:
        small = plain(value)
        if small is not None and run.codec.redaction is not None:
            small = _masked(run, attempt, run.codec.redaction, small)
        if small is not None:
            text, copy = small
            complete(run, attempt, value, text, seconds)
            return copy
    codec, address = run.codec, run.address(attempt.name, attempt.number)
    try:
        with codec.writing(limit, address) as writer:
            text = writer.encode(value, hint=hint, files=attempt.files, slot=storing.RETURN)
            redacting.tell_step(run.told, attempt.name, writer.masked)
            complete(run, attempt, value, text, seconds, *_left(run, writer, attempt, drew))
    except TooBig as much:
        storing.told(run, attempt, much)
        return _succeed_unstored(run, attempt, value, seconds, storing.policy_of(much), limit)
    given: Any = {"hint": hint, "where": attempt.name, "address": address}
    return codec.decode(text, ready=writer.ready, **given)


def _masked(
    run: OpenRun, attempt: Attempt, redaction: Redaction, small: tuple[str, Any]
) -> tuple[str, Any] | None:
    """Return a small value of plain JSON without its secrets; None if it is to be refused."""
    found: list[str] = []
    try:
        masked = masked_node(redaction, small[1], found)
    except SecretError:
        return None  # the writer says why
    if not found:
        return small
    redacting.tell_step(run.told, attempt.name, found)
    return to_text(masked), masked


def _succeed_unstored(
    run: OpenRun, attempt: Attempt, value: Any, seconds: float, policy: Policy, limit: Limit
) -> Any:
    with run.codec.writing(limit) as writer:
        rows = _left(run, writer, attempt)
        complete(run, attempt, value, None, seconds, *rows, policy=policy)
    return value


def _left(run: OpenRun, writer: Writer, attempt: Attempt, drew: str | None = None) -> list[Row]:
    """Return the row of what a body has left beside its value: what it has shown and drawn.

    Args:
        run: the run.
        writer: encodes it.
        attempt: of the step.
        drew: how it has left the random generators; see :func:`.draws.drawn`.
    """
    outputs = [] if attempt.shown is None else attempt.shown.as_outputs()
    text = _shown(run, writer, attempt, outputs) if outputs else None
    if text is None and drew is None:
        return []
    return [CellRow(attempt.name, attempt.number, "", drew, text)]


def _shown(run: OpenRun, writer: Writer, attempt: Attempt, outputs: list[Any]) -> str | None:
    try:
        return writer.encode(outputs)
    except (NotSerializableError, JournalWriteError, TooBig) as error:
        why = getattr(error, "reason", "") or error
        if isinstance(error, TooBig):
            why = storing.reason(run, attempt, error)
        tell(f"stepbook: what the step {shorten(attempt.name)} has shown is not recorded: {why}")
        return None


def taker(run: OpenRun, attempt: Attempt) -> Ledger:
    """Return where the end of an attempt is recorded; a run that was let go of is taken again.

    Raises:
        StepError: another process has ended this attempt meanwhile.
        RunInUseError: another process holds the run.
    """
    ledger = run.owned()
    if ledger is attempt.ledger:
        return ledger  # nobody else can have had it
    row = ledger.state.steps.get(attempt.name)
    if row is None or row.attempt != attempt.number or row.status != RUNNING:
        raise StepError(
            f"the run {run.id} was let go of while the step {shorten(attempt.name)} executed, and "
            f"another process has ended its attempt {attempt.number} since. What this process "
            "made is not recorded: the next pass gets what the record holds. Close a run when its "
            "steps have ended."
        )
    attempt.ledger = ledger
    return ledger


def complete(
    run: OpenRun,
    attempt: Attempt,
    value: Any,
    text: str | None,
    seconds: float,
    *rows: Row,
    policy: Policy | None = None,
) -> None:
    """Record a success, with what else belongs to it.

    Args:
        run: the run.
        attempt: the step.
        value: what its body returned.
        text: the same as it is recorded; None if it is not.
        seconds: how long the body took.
        *rows: what is recorded together with the end of the step.
        policy: why its value is not stored.

    Raises:
        JournalWriteError: the journal cannot be written; the value is in ``value``.
        StepError: another process has ended this attempt meanwhile; as above.
        RunInUseError: another process holds the run; as above.
    """
    attempt.end_row = end = attempt.row.ended(SUCCEEDED, seconds, value=text, policy=policy)
    try:
        taker(run, attempt).commit(*rows, end)
    except StepbookError as error:
        error.value = value  # type: ignore[attr-defined]
        raise
    leave(run, attempt)


def fail(run: OpenRun, attempt: Attempt, error: BaseException) -> None:
    """Record a failure; of a step that had succeeded already, make sure of that instead."""
    if run.is_forked:
        end_child(error)
        _not_recorded(run, attempt, error)
        return
    rows: list[Any] = []
    drew = draws.drawn(attempt) if attempt.end_row is None else None
    row = attempt.row
    if attempt.end_row is None:
        seconds = max(0.0, time.perf_counter() - attempt.began) if attempt.began else 0.0
        redacting.learn_from(run.codec.redaction, error)
        record = failures.describe(error, Keeper().keep)
        text = dumps(record, ensure_ascii=False)
        attempt.end_row = row.ended(FAILED, seconds, error=text)
        attempt.failed = True
        message = f"step {row.name!r} failed: {failures.summary(record)}"
        metadata = dumps({"attempt": row.attempt, "stack": record["stack"]}, ensure_ascii=False)
        rows.append(log_row(message, "error", row.name, metadata))
    ledger = _not_recorded(run, attempt, error)
    if ledger is None:
        return
    try:
        with run.codec.writing() as writer:
            if attempt.failed:
                rows += _left(run, writer, attempt, drew)
            for before in rows:
                ledger.note(before)
            ledger.commit(attempt.end_row)
    except JournalWriteError as unwritten:
        failures.note(error, f"stepbook: not recorded yet: {unwritten}")
    finally:
        leave(run, attempt)
    if attempt.failed:
        walk, steps = run.walking(), ledger.state.steps
        inner = [step for step in walk.failures if steps[step].parent == row.name]
        # An interrupt, a cancellation or a full disk is no outcome of the work: it is never handled
        # for good.
        outcome = isinstance(error, Exception) and not isinstance(error, JournalWriteError)
        walk.fail(row.name if outcome else None, inner)
        failures.mark(error, run.id, row.name, row.attempt)


def _not_recorded(run: OpenRun, attempt: Attempt, error: BaseException) -> Ledger | None:
    """Return what takes the end of an attempt; if nothing does, note on the error why."""
    try:
        return taker(run, attempt)
    except StepbookError as refused:
        leave(run, attempt)
        if refused is not error:
            failures.note(error, f"stepbook: not recorded: {refused}")
        return None


def leave(run: OpenRun, attempt: Attempt) -> None:
    """Note that the body is no longer executing."""
    if run.executing.get(attempt.name) is attempt:
        run.executing.pop(attempt.name, None)

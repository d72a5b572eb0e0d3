"""Delivering a scan: the sender's side, in any process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import BookBusyError, ScanAlreadyDelivered, ScanClosed, ScanNotFoundError
from ..model import failures
from ..model.rows import DEFAULT_SCAN, PENDING, RUNNING, SUCCEEDED, fields_of
from ..record.inbox import delivery
from . import redacting
from .attempt import check_name, shorten
from .sessions import open_session

if TYPE_CHECKING:
    from ..record.ledger import State
    from ..record.records import Records
    from .books import OpenBook

#: How long a sender waits for the database before it makes do with the journals.
_PATIENCE_S: Final = 1.0


class _Target(NamedTuple):
    step: str
    session: int


def deliver(
    book: OpenBook, run_id: str, payload: Any, name: str | None, error: str | BaseException | None
) -> None:
    """Fill the slot of a session; see ``Book.deliver_scan``.

    Under the open lock: a slot is removed under it, too, so one that this sender sees free has
    not just been emptied.
    """
    records = book.records
    book.check_fork()
    book.check_exists()
    if not records.has_folders:
        records.ensure()
    book.secure()
    masked: list[str] = []
    text = book.codec.encode(payload, masked=masked)
    redacting.tell_given("payload", masked)
    run_id = book.resolve(run_id)
    if isinstance(error, BaseException):
        error = failures.summary(failures.describe(error))
    if error is not None and book.codec.redaction is not None:
        error = book.codec.redaction.text(str(error))
    content = delivery(error=str(error)) if error is not None else delivery(payload=text)
    with records.open_lock():
        target = _target(_state(records, run_id), run_id, name)
        if records.inbox.claim(run_id, *target, content):
            return
        held = records.inbox.read(run_id, *target)
    if held is not None and held.timeout:
        raise _closed(run_id, target.step, "its deadline has passed")
    raise ScanAlreadyDelivered(
        f"something was delivered to the scan {shorten(target.step)} of run {run_id} before; the "
        "first delivery counts. run.redo(name) opens a new session."
    )


def _state(records: Records, run_id: str) -> State:
    try:
        return records.peek(run_id, _PATIENCE_S)
    except BookBusyError:
        # Somebody keeps the database open. The journals of a run that waits tell enough: a wait
        # writes its session into them when it begins and when it is taken up.
        state = records.peek_journals(run_id)
        if state is None or not _waiting(state):
            raise
        return state


def _waiting(state: State) -> dict[str, int]:
    """Return the waits that are going on, by name, with the numbers of their sessions."""
    numbers = {
        step.name: fields_of(step.progress).get("number")
        for step in state.steps.values()
        if step.kind == "scan" and step.status == RUNNING
    }
    return {name: number for name, number in numbers.items() if isinstance(number, int)}


def _target(state: State, run_id: str, name: str | None) -> _Target:
    """Return the slot that a delivery goes to.

    Raises:
        ScanNotFoundError: several waits are open and none was named.
        ScanAlreadyDelivered: the session was completed by another delivery.
        ScanClosed: the session has ended.
    """
    waiting = _waiting(state)
    for scan, sessions in state.scans.items():  # and those that a body has created
        known = state.steps.get(scan)
        if open_session(sessions) and (known is None or known.status != SUCCEEDED):
            waiting.setdefault(scan, len(sessions))
    if name is None:
        if len(waiting) > 1:
            raise ScanNotFoundError(
                f"run {run_id} waits for several scans: {', '.join(map(repr, waiting))}. Name the "
                "one that is meant: name=... or --name."
            )
        name = next(iter(waiting), DEFAULT_SCAN)
    else:
        name = check_name(name, state.steps, state.scans)
    if name in waiting:
        return _Target(name, waiting[name])
    sessions = state.scans.get(name, [])
    step = state.steps.get(name)
    if sessions and (step is None or step.status != PENDING):
        if sessions[-1].status == "completed":
            raise ScanAlreadyDelivered(
                f"the scan {shorten(name)} of run {run_id} was delivered before and has been "
                "taken. run.redo(name) opens a new session."
            )
        ended = "resolved by hand" if open_session(sessions) else sessions[-1].status
        raise _closed(run_id, name, f"it ended as {ended}")
    return _Target(name, len(sessions) + 1)


def _closed(run_id: str, name: str, why: str) -> ScanClosed:
    return ScanClosed(
        f"the scan {shorten(name)} of run {run_id} takes no more deliveries: {why}. The next pass "
        "of the run waits anew, unless the timeout was handled; run.redo(name) opens a session."
    )

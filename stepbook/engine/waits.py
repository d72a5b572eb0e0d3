"""Waiting inside a run: for a scan, and for time to pass.

Both outlive the process: interrupted or orphaned they stay ``running`` and go on as the same
attempt, with the deadline that was fixed when they were first recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import ScanFailed, ScanTimeout
from ..model import failures
from ..model.durations import Duration, describe, seconds
from ..model.rows import (
    DEFAULT_SCAN,
    FAILED,
    RUNNING,
    SUCCEEDED,
    ScanRow,
    ScanStatus,
    StepRow,
    fields_of,
    new_id,
    now_us,
)
from ..record.inbox import Delivery, delivery
from ..system.console import stable, tell
from ..system.interrupts import section
from . import attempt, execute
from .context import log_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..api.run import Run
    from ..record.ledger import Ledger, State
    from ..record.ports import Inbox
    from .context import StepContext

POLL_S: Final = 0.1
_PACKAGE: Final = str(Path(__file__).parents[1])
_OPEN: Final = ("pending", "ready")
NO_DEFAULT: Final = object()


def open_session(sessions: list[ScanRow]) -> ScanRow | None:
    """Return the session that has not ended; only the newest can be it."""
    return sessions[-1] if sessions and sessions[-1].status in _OPEN else None


def close_sessions(state: State, inbox: Inbox) -> list[ScanRow]:
    """Return the ends of sessions that were lost with their process: their steps have ended.

    Args:
        state: the run's rows.
        inbox: has the payload still, where memory has no room for it.
    """
    ends = []
    for name, sessions in state.scans.items():
        session, step = open_session(sessions), state.steps.get(name)
        if session is None or step is None or step.status not in {SUCCEEDED, FAILED}:
            continue
        if fields_of(step.progress).get("session") == session.id:
            status: ScanStatus = "completed"
            if step.status == FAILED:
                failed = failures.read(step.error)["type"]
                status = "timeout" if failed == "ScanTimeout" else "failed"
            results = step.value
            if step.left_on_disk:
                found = inbox.read(state.run.id, name, len(sessions))
                results = None if found is None else found.payload
            ends.append(
                session._replace(status=status, results=results, completed_at=step.completed_at)
            )
    return ends


def create_scan(
    run: Run, ledger: Ledger, name: str, expires_in: Duration | None, metadata: Any
) -> dict[str, Any]:
    """Create the session of a scan, or make the one that waits ready; see ``ScanConnector``."""
    name = attempt.check_name(name)
    lifetime = None if expires_in is None else seconds(expires_in, "lifetime of a scan session")
    text = None if metadata is None else run._codec.encode(metadata)
    with section(run._lock):
        session = open_session(ledger.state.scans.get(name, []))
        if session is None:
            session = ScanRow(new_id("scan"), name, "pending", now_us())
        expires = session.expires_at
        if lifetime is not None:
            until = now_us() + int(lifetime * 1e6)
            expires = until if expires is None else min(expires, until)
        session = session._replace(status="ready", metadata=text, expires_at=expires)
        ledger.commit(session)
    return {
        "id": session.id,
        "name": name,
        "status": session.status,
        "metadata": metadata,
        "expires_at": None if expires is None else _iso(expires),
    }


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="seconds")


class _Deadline:
    """A point in wall-clock time that a clock set back cannot put off."""

    def __init__(self, at: int | None) -> None:
        self._at = at
        self._ends = None if at is None else time.monotonic() + (at - now_us()) / 1e6

    def left(self) -> float:
        """Seconds until then, 0 when it has passed; infinite without a deadline."""
        if self._at is None or self._ends is None:
            return float("inf")
        return max(0.0, min((self._at - now_us()) / 1e6, self._ends - time.monotonic()))


class _Wait:
    """One wait that is going on."""

    def __init__(self, run: Run, context: StepContext, at: int | None) -> None:
        self.run, self.context = run, context
        self.deadline = _Deadline(at)

    def _end(self, status: str, **fields: Any) -> StepRow:
        row = self.context._row
        started, now = row.started_at or 0, now_us()
        return row._replace(
            status=status,  # type: ignore[arg-type]
            completed_at=max(now, started),
            seconds=max(0, now - started) / 1e6,
            **fields,
        )


class _Sleep(_Wait):
    """A wait for time to pass."""

    def poll(self) -> bool:
        """Return whether it is over."""
        return self.deadline.left() <= 0

    def finish(self) -> None:
        """Record the end.

        Raises:
            StepError: another process has ended this attempt.
        """
        ledger = attempt.taker(self.run, self.context)
        ledger.commit(self._end(SUCCEEDED, value="null"))


class _ScanWait(_Wait):
    """A wait for a scan."""

    def __init__(self, run: Run, context: StepContext, number: int, session: ScanRow) -> None:
        super().__init__(run, context, session.expires_at)
        self.number, self.session = number, session
        self.found: Delivery | None = None

    def poll(self) -> bool:
        """Return whether the session was decided, by a delivery or by its deadline."""
        slot = (self.run.id, self.session.step, self.number)
        inbox = self.run.book._inbox
        self.found = inbox.read(*slot)
        if self.found is None and self.deadline.left() <= 0:
            mark = delivery(timeout=True)
            self.found = mark if inbox.claim(*slot, mark) else inbox.read(*slot)
        return self.found is not None

    def finish(self, default: Any) -> Any:
        """Record the outcome and return the payload, or *default* after a timeout.

        Raises:
            ScanTimeout: nothing arrived, and there is no default.
            ScanFailed: the sender reported an error.
            StepError: another process has ended this attempt.
        """
        found = self.found
        assert found is not None  # noqa: S101 - poll() said so
        ledger = attempt.taker(self.run, self.context)
        session = self.session._replace(completed_at=now_us())
        if found.payload is not None:
            # The step first: of two events only the first may survive, and close_sessions() tells
            # the second from it.
            ledger.commit(
                self._end(SUCCEEDED, value=found.payload),
                session._replace(status="completed", results=found.payload),
            )
            return self.run._codec.decode(found.payload)
        error: ScanTimeout | ScanFailed
        name = attempt.shorten(self.session.step)
        if found.timeout:
            waited = describe(self._end(FAILED).seconds)
            error = ScanTimeout(f"nothing was delivered for the scan {name} in {waited}.")
        else:
            error = ScanFailed(f"the scan {name} failed: {found.error}")
        record = failures.describe(error)
        record["stack"] = _where_asked() + record["stack"]
        handled = found.timeout and default is not NO_DEFAULT
        text = json.dumps(record, ensure_ascii=False)
        ledger.note(
            log_row(
                f"step {name} failed: {failures.summary(record)}", "error", self.session.step, None
            )
        )
        ledger.commit(
            self._end(FAILED, error=text, handled=handled),
            session._replace(status="timeout" if found.timeout else "failed"),
        )
        if handled:
            return default
        self.run._walk().fail(self.session.step)
        failures.mark(error, self.run.id, self.session.step, self.context.attempt)
        raise error


def _where_asked() -> str:
    frames = [f for f in traceback.extract_stack() if not f.filename.startswith(_PACKAGE)]
    return "Traceback (most recent call last):\n" + "".join(traceback.format_list(frames))


@contextlib.contextmanager
def _going_on(run: Run, name: str, kind: Any) -> Iterator[StepContext]:
    """Begin a wait, or take up the one that was left; it stays running if the block is left."""
    old = run._state().steps.get(name)
    if old is not None and old.status == RUNNING and old.kind == kind:
        context = run._take_up(old)
    else:
        context = attempt.start(run, name, kind)
    try:
        yield context
    finally:
        attempt.leave(run, context)


def _replayed(run: Run, name: str, default: Any) -> tuple[Any, bool]:
    """As ``enter``; a recorded timeout of a wait with a default gives the default."""
    try:
        return execute.enter(run, name)
    except ScanTimeout:
        step = run._state().steps.get(name)
        if default is NO_DEFAULT or step is None or not step.handled:
            raise
        return default, False


@contextlib.contextmanager
def _scan(run: Run, name: str, timeout: Duration | None) -> Iterator[_ScanWait]:
    limit = None if timeout is None else seconds(timeout, "timeout")
    with _going_on(run, name, "scan") as context:
        ledger = run._owned()
        with section(run._lock):
            sessions = ledger.state.scans.get(name, [])
            session, number = open_session(sessions), len(sessions)
            waiting = session is not None and context._row.progress is not None
            if session is None:
                session, number = ScanRow(new_id("scan"), name, "pending", now_us()), number + 1
            if not waiting:
                if limit is not None:
                    until = (context._row.started_at or now_us()) + int(limit * 1e6)
                    known = session.expires_at
                    session = session._replace(
                        expires_at=until if known is None else min(known, until)
                    )
                # From here on the deadline is fixed, and a later process knows that it is.
                about = {"session": session.id, "number": number, "until": session.expires_at}
                context._row = context._row._replace(progress=json.dumps(about))
            # Taken up in another process, it is written again: the journals of a run that waits
            # then tell senders of its session while the database is held by others.
            ledger.commit(session, context._row)
        wait = _ScanWait(run, context, number, session)
        if not wait.poll():
            _announce(run, session)
        yield wait


def _announce(run: Run, session: ScanRow) -> None:
    """Show the command that delivers."""
    named = "" if session.step == DEFAULT_SCAN else f" --name {shlex.quote(session.step)}"
    if stable():
        tell(f"Waiting for scan {session.step!r}; stepbook deliver RUN JSON{named} delivers.")
        return
    path = run.book.path
    book = "" if path is None else f" --book {shlex.quote(str(path))}"
    until = "" if session.expires_at is None else f" until {_iso(session.expires_at)}"
    tell(
        f"Waiting for scan {session.step!r}{until}. To deliver:\n"
        f"  stepbook deliver {run.id} '{{\"ok\": true}}'{named}{book}"
    )


def wait_for_scan(run: Run, timeout: Duration | None, name: str, default: Any) -> Any:
    """See ``Run.wait_for_scan``."""
    value, ready = _replayed(run, name, default)
    if not ready:
        return value
    with _scan(run, name, timeout) as wait:
        while wait.found is None and not wait.poll():
            time.sleep(min(POLL_S, wait.deadline.left()))
        return wait.finish(default)


async def wait_for_scan_async(run: Run, timeout: Duration | None, name: str, default: Any) -> Any:
    """See ``Run.wait_for_scan_async``."""
    value, ready = _replayed(run, name, default)
    if not ready:
        return value
    with _scan(run, name, timeout) as wait:
        while wait.found is None and not wait.poll():
            await asyncio.sleep(min(POLL_S, wait.deadline.left()))
        return wait.finish(default)


@contextlib.contextmanager
def _sleep(run: Run, name: str, duration: Duration) -> Iterator[_Sleep]:
    length = seconds(duration)
    with _going_on(run, name, "sleep") as context:
        row = context._row
        until = fields_of(row.progress).get("until")
        if not isinstance(until, int):
            until = (row.started_at or now_us()) + int(length * 1e6)
            context._row = row = row._replace(progress=json.dumps({"until": until}))
            run._owned().commit(row)
        yield _Sleep(run, context, until)


def sleep(run: Run, name: str, duration: Duration) -> None:
    """See ``Run.sleep``."""
    if execute.enter(run, name)[1]:
        with _sleep(run, name, duration) as wait:
            while not wait.poll():
                time.sleep(min(1.0, wait.deadline.left()))
            wait.finish()


async def sleep_async(run: Run, name: str, duration: Duration) -> None:
    """See ``Run.sleep_async``."""
    if execute.enter(run, name)[1]:
        with _sleep(run, name, duration) as wait:
            while not wait.poll():
                await asyncio.sleep(min(POLL_S, wait.deadline.left()))
            wait.finish()

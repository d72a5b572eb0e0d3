"""Waiting inside a run: for a scan, and for time to pass.

Both outlive the process: interrupted or orphaned they stay ``running`` and go on as the same
attempt, with the deadline that was fixed when they were first recorded.
"""

from __future__ import annotations

import contextlib
import shlex
import time
import traceback
from json import dumps
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
    StepRow,
    fields_of,
    new_id,
    now_us,
)
from ..record.inbox import Delivery, delivery
from ..system.console import stable, tell
from ..system.interrupts import section
from . import execute, recording, repeating
from .attempt import check_name, log_row, shorten
from .sessions import iso, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .attempt import Attempt
    from .opened import OpenRun

POLL_S: Final = 0.1
_PACKAGE: Final = str(Path(__file__).parents[1])
NO_DEFAULT: Final = object()


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

    def __init__(self, run: OpenRun, attempt: Attempt, at: int | None) -> None:
        self.run, self.attempt = run, attempt
        self.deadline = _Deadline(at)

    def _end(self, status: str, **fields: Any) -> StepRow:
        row = self.attempt.row
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
        ledger = recording.taker(self.run, self.attempt)
        ledger.commit(self._end(SUCCEEDED, value="null"))


class _ScanWait(_Wait):
    """A wait for a scan."""

    def __init__(self, run: OpenRun, attempt: Attempt, number: int, session: ScanRow) -> None:
        super().__init__(run, attempt, session.expires_at)
        self.number, self.session = number, session
        self.found: Delivery | None = None

    def poll(self) -> bool:
        """Return whether the session was decided, by a delivery or by its deadline."""
        slot = (self.run.id, self.session.step, self.number)
        inbox = self.run.book.records.inbox
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
        ledger = recording.taker(self.run, self.attempt)
        session = self.session._replace(completed_at=now_us())
        if found.payload is not None:
            # The step first: of two events only the first may survive, and close_sessions() tells
            # the second from it.
            ledger.commit(
                self._end(SUCCEEDED, value=found.payload),
                session._replace(status="completed", results=found.payload),
            )
            return self.run.codec.decode(found.payload)
        error: ScanTimeout | ScanFailed
        name = shorten(self.session.step)
        if found.timeout:
            waited = describe(self._end(FAILED).seconds)
            error = ScanTimeout(f"nothing was delivered for the scan {name} in {waited}.")
        else:
            error = ScanFailed(f"the scan {name} failed: {found.error}")
        record = failures.describe(error)
        record["stack"] = _where_asked() + record["stack"]
        handled = found.timeout and default is not NO_DEFAULT
        text = dumps(record, ensure_ascii=False)
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
        self.run.walking().fail(self.session.step)
        failures.mark(error, self.run.id, self.session.step, self.attempt.number)
        raise error


def _where_asked() -> str:
    frames = [f for f in traceback.extract_stack() if not f.filename.startswith(_PACKAGE)]
    return "Traceback (most recent call last):\n" + "".join(traceback.format_list(frames))


@contextlib.contextmanager
def _going_on(run: OpenRun, name: str, kind: Any) -> Iterator[Attempt]:
    """Begin a wait, or take up the one that was left; it stays running if the block is left."""
    old = run.state().steps.get(name)
    if old is not None and old.status == RUNNING and old.kind == kind:
        attempt = run.take_up(old)
    else:
        attempt = recording.start(run, name, kind)
    try:
        yield attempt
    finally:
        recording.leave(run, attempt)


def _replayed(run: OpenRun, name: str, default: Any) -> tuple[Any, bool]:
    """As ``enter``; a recorded timeout of a wait with a default gives the default."""
    try:
        return execute.enter(run, name)
    except ScanTimeout:
        step = run.state().steps.get(name)
        if default is NO_DEFAULT or step is None or not step.handled:
            raise
        return default, False


@contextlib.contextmanager
def _scan(run: OpenRun, name: str, timeout: Duration | None) -> Iterator[_ScanWait]:
    limit = None if timeout is None else seconds(timeout, "timeout")
    with _going_on(run, name, "scan") as attempt:
        ledger = run.owned()
        with section(run.lock):
            sessions = ledger.state.scans.get(name, [])
            session, number = open_session(sessions), len(sessions)
            waiting = session is not None and attempt.row.progress is not None
            if session is None:
                session, number = ScanRow(new_id("scan"), name, "pending", now_us()), number + 1
            if not waiting:
                if limit is not None:
                    until = (attempt.row.started_at or now_us()) + int(limit * 1e6)
                    known = session.expires_at
                    session = session._replace(
                        expires_at=until if known is None else min(known, until)
                    )
                # From here on the deadline is fixed, and a later process knows that it is.
                about = {"session": session.id, "number": number, "until": session.expires_at}
                attempt.row = attempt.row._replace(progress=dumps(about))
            # Taken up in another process, it is written again: the journals of a run that waits
            # then tell senders of its session while the database is held by others.
            ledger.commit(session, attempt.row)
        repeating.deliver(run.book.records.inbox, run.book.path, run.id, name, number)
        wait = _ScanWait(run, attempt, number, session)
        if not wait.poll():
            _announce(run, session)
        yield wait


def _announce(run: OpenRun, session: ScanRow) -> None:
    """Show the command that delivers."""
    named = "" if session.step == DEFAULT_SCAN else f" --name {shlex.quote(session.step)}"
    if stable():
        tell(f"Waiting for scan {session.step!r}; stepbook deliver RUN JSON{named} delivers.")
        return
    path = run.book.path
    book = "" if path is None else f" --book {shlex.quote(str(path))}"
    until = "" if session.expires_at is None else f" until {iso(session.expires_at)}"
    tell(
        f"Waiting for scan {session.step!r}{until}. To deliver:",
        f"  stepbook deliver {run.id} '{{\"ok\": true}}'{named}{book}",
    )


def _named(run: OpenRun, name: object) -> str:
    """Return the name of a wait as its step, or a session that is made already, has it."""
    state = run.state()
    return check_name(name, state.steps, state.scans)


def wait_for_scan(run: OpenRun, timeout: Duration | None, name: str, default: Any) -> Any:
    """See ``Run.wait_for_scan``."""
    name = _named(run, name)
    value, ready = _replayed(run, name, default)
    if not ready:
        return value
    with _scan(run, name, timeout) as wait:
        while wait.found is None and not wait.poll():
            time.sleep(min(POLL_S, wait.deadline.left()))
        return wait.finish(default)


async def wait_for_scan_async(
    run: OpenRun, timeout: Duration | None, name: str, default: Any
) -> Any:
    """See ``Run.wait_for_scan_async``."""
    import asyncio  # noqa: PLC0415 - 14 ms, and who awaits this has it

    name = _named(run, name)
    value, ready = _replayed(run, name, default)
    if not ready:
        return value
    with _scan(run, name, timeout) as wait:
        while wait.found is None and not wait.poll():
            await asyncio.sleep(min(POLL_S, wait.deadline.left()))
        return wait.finish(default)


@contextlib.contextmanager
def _sleep(run: OpenRun, name: str, duration: Duration) -> Iterator[_Sleep]:
    length = seconds(duration)
    with _going_on(run, name, "sleep") as attempt:
        row = attempt.row
        until = fields_of(row.progress).get("until")
        if not isinstance(until, int):
            until = (row.started_at or now_us()) + int(length * 1e6)
            if repeating.goes_on():
                until = row.started_at or now_us()  # it does not wait
            attempt.row = row = row._replace(progress=dumps({"until": until}))
            run.owned().commit(row)
        yield _Sleep(run, attempt, until)


def sleep(run: OpenRun, name: str, duration: Duration) -> None:
    """See ``Run.sleep``."""
    name = execute.named(run, name)
    if execute.enter(run, name)[1]:
        with _sleep(run, name, duration) as wait:
            while not wait.poll():
                time.sleep(min(1.0, wait.deadline.left()))
            wait.finish()


async def sleep_async(run: OpenRun, name: str, duration: Duration) -> None:
    """See ``Run.sleep_async``."""
    import asyncio  # noqa: PLC0415 - as above

    name = execute.named(run, name)
    if execute.enter(run, name)[1]:
        with _sleep(run, name, duration) as wait:
            while not wait.poll():
                await asyncio.sleep(min(POLL_S, wait.deadline.left()))
            wait.finish()

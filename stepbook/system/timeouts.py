"""Ending code that takes too long.

What ends it is no ``Exception``, so that a body that catches and goes on does not go on after its
time. Code that swallows it all the same is told again, and has failed in the end whatever it
returns: a limit that has passed holds.
"""

from __future__ import annotations

import _thread
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .interrupts import Bell, gate, section, take

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

_SHORTEST_S: Final = 1e-6
#: Whoever goes on after the limit is told again after as long as the limit, and this at least: what
#: cleans up behind the failure has that time.
_AGAIN_S: Final = 1.0


class _Late(BaseException):
    """The time is up: raised in the code that takes too long, by a class of each call's own."""


def call_within(seconds: float, error: Callable[[], BaseException], call: Callable[[], Any]) -> Any:
    """Return ``call()``; raise ``error()`` when that has taken longer than *seconds*.

    In the main thread the call is ended by an alarm signal, which also ends a ``time.sleep`` or a
    read of a socket. Elsewhere, and on systems without alarms, it ends when it next executes
    Python code: a call into C is not cut short. What of stepbook's own must not be cut short is
    not (:mod:`.interrupts`). An exception of the call that comes after its time is the cause of
    the error; what ends the program or its task passes as it is.
    """

    class Late(_Late):
        """Of this call: it may be within another one."""

    main = threading.current_thread() is threading.main_thread()
    limited = _with_alarm if main and hasattr(signal, "setitimer") else _raised_from_outside
    ends = time.monotonic() + seconds
    try:
        value = limited(seconds, Late, call)
    except Late as late:
        raise error().with_traceback(late.__traceback__) from None
    except Exception as other:
        if time.monotonic() < ends:
            raise
        raise error() from other
    if time.monotonic() >= ends:
        raise error()
    return value


def _with_alarm(seconds: float, late: type[_Late], call: Callable[[], Any]) -> Any:
    alarm = _Alarm(seconds, late)
    try:
        alarm.start()
        return call()
    finally:
        # Whatever cuts short what follows: no alarm of this call goes off later.
        alarm.going_on = False
        alarm.stop()


class _Alarm:
    """The alarm of one call, which may be within the time of another one."""

    def __init__(self, seconds: float, late: type[_Late]) -> None:
        self.going_on = True
        self._late = late
        self._seconds = seconds
        self._began = time.monotonic()
        self._ends = self._began + seconds
        self._before: Any = None
        self._outer, self._repeat = 0.0, 0.0
        self._outer_ends = float("inf")

    def start(self) -> None:
        """Set it."""
        with section():
            self._before = signal.signal(signal.SIGALRM, self._ring)
            first = max(self._seconds, _SHORTEST_S)
            self._outer, self._repeat = signal.setitimer(signal.ITIMER_REAL, first)
            if 0 < self._outer < first:
                self._outer_ends = self._began + self._outer
                _set(self._outer)

    def stop(self) -> None:
        """Have what was set before go on with what is left."""
        with section():
            if self._before is not None:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, self._before)
            if self._outer:
                _set(self._outer - (time.monotonic() - self._began), self._repeat)

    def _ring(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if not self.going_on:  # an interrupt has kept the one before from being put back
            self._outer_rings(number, frame)
        elif self._outer_ends <= now < self._ends:
            self._outer_ends = float("inf")
            _set(self._ends - now)
            self._outer_rings(number, frame)
        else:
            self._ends = now + max(self._seconds, _AGAIN_S)
            _set(min(self._ends, self._outer_ends) - now)
            gate().arrive(number, self._fire)

    def _outer_rings(self, number: int, frame: Any) -> None:
        if callable(self._before):
            self._before(number, frame)

    def _fire(self) -> None:
        if self.going_on:
            raise self._late


def _set(seconds: float, repeat: float = 0.0) -> None:
    signal.setitimer(signal.ITIMER_REAL, max(seconds, _SHORTEST_S), repeat)


def _raised_from_outside(seconds: float, late: type[_Late], call: Callable[[], Any]) -> Any:
    import ctypes  # noqa: PLC0415 - for limits outside of the main thread only

    def fire() -> NoReturn:
        raise late

    thread, here, ended = threading.get_ident(), gate(), Bell()
    outer = here.watch
    lock = here.watch = outer or threading.Lock()
    going_on, rung = True, False

    def watch() -> None:
        nonlocal rung
        pause = seconds
        while not ended.wait(pause):
            with section(lock):
                if not going_on:
                    return
                rung = True
                if here.is_shut:
                    here.waiting[id(fire)] = fire
                else:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(thread), ctypes.py_object(late)
                    )
            pause = max(seconds, _AGAIN_S)

    held: list[object] = []
    try:
        try:
            _thread.start_new_thread(watch, ())
            return call()
        finally:
            going_on = False
            ended.ring()
            try:
                take(lock, held)  # from here on nothing is raised that is not on its way
            finally:
                if held:
                    lock.release()
            if rung and here.waiting.pop(id(fire), None) is None:
                for _ in range(100):
                    time.sleep(0)  # let it arrive here
    finally:
        here.watch = outer


async def await_within(
    seconds: float, error: Callable[[], BaseException], call: Callable[[], Awaitable[Any]]
) -> Any:
    """Return ``await call()``; raise ``error()`` when that has taken longer than *seconds*.

    The task is cancelled at the end of its time, and again if it goes on. An exception that comes
    after its time is the cause of the error, a cancellation from elsewhere passes.
    """
    import asyncio  # noqa: PLC0415 - 14 ms, and who awaits this has it

    ends = time.monotonic() + seconds
    try:
        async with asyncio.timeout(seconds) as limit:
            insisting = _Insisting(max(seconds, _AGAIN_S), limit.when() or 0.0)
            try:
                value = await call()
            finally:
                insisting.end()
    except Exception as other:
        if time.monotonic() < ends and not limit.expired():
            raise
        raise error() from other
    if time.monotonic() >= ends or limit.expired():
        raise error()
    return value


class _Insisting:
    """Cancels the current task again and again, from *pause* seconds after *when* on."""

    def __init__(self, pause: float, when: float) -> None:
        import asyncio  # noqa: PLC0415 - as above

        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._pause = pause
        self._asked = 0
        self._timer = self._loop.call_at(when + pause, self._ask)

    def _ask(self) -> None:
        if self._task is not None:
            self._asked += 1
            self._task.cancel()
        self._timer = self._loop.call_later(self._pause, self._ask)

    def end(self) -> None:
        """Cancel no more, and take back what was asked for: others count it, too."""
        self._timer.cancel()
        for _ in range(self._asked):
            if self._task is not None:
                self._task.uncancel()

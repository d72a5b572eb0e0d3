"""Raising an error in code that takes too long."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .interrupts import Bell, gate, section, take

if TYPE_CHECKING:
    from collections.abc import Callable

_SHORTEST_S: Final = 1e-6


def call_within(seconds: float, error: Callable[[], BaseException], call: Callable[[], Any]) -> Any:
    """Return ``call()``, in which ``error()`` is raised when it takes longer than *seconds*.

    In the main thread by an alarm signal, which also ends a ``time.sleep`` or a read of a socket.
    Elsewhere, and on systems without alarms, the error arrives when the call next executes
    Python code: a call into C is not cut short. What of stepbook's own must not be cut short is
    not (:mod:`.interrupts`).
    """
    main = threading.current_thread() is threading.main_thread()
    if main and hasattr(signal, "setitimer"):
        return _with_alarm(seconds, error, call)
    return _raised_from_outside(seconds, error, call)


def _with_alarm(seconds: float, error: Callable[[], BaseException], call: Callable[[], Any]) -> Any:
    going_on = True

    def fire() -> None:
        if going_on:
            raise error()

    def ring(number: int, frame: Any) -> None:
        if going_on:
            gate().arrive(number, fire)
        elif callable(before):  # an interrupt has kept it from being put back
            before(number, frame)

    before: Any = None
    began = time.monotonic()
    outer = 0.0
    try:
        with section():
            before = signal.signal(signal.SIGALRM, ring)
            outer, _ = signal.setitimer(signal.ITIMER_REAL, max(seconds, _SHORTEST_S))
        return call()
    finally:
        going_on = False  # whatever cuts short what follows: no alarm of this call goes off later
        with section():
            if before is not None:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            if outer:  # an outer step's alarm goes on with what is left
                left = outer - (time.monotonic() - began)
                signal.setitimer(signal.ITIMER_REAL, max(left, _SHORTEST_S))


def _raised_from_outside(
    seconds: float, error: Callable[[], BaseException], call: Callable[[], Any]
) -> Any:
    import ctypes  # noqa: PLC0415 - for limits outside of the main thread only

    class Late(BaseException):
        """What is raised from outside: only a class can be, so it is replaced here."""

    def fire() -> NoReturn:
        raise Late

    thread, here, ended = threading.get_ident(), gate(), Bell()
    outer = here.watch
    lock = here.watch = outer or threading.Lock()
    going_on, rung = True, False

    def watch() -> None:
        nonlocal rung
        if ended.wait(seconds):
            return
        with section(lock):
            if not going_on:
                return
            rung = True
            if here.is_shut:
                here.waiting[id(fire)] = fire
            else:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(Late)
                )

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
    except Late:
        raise error() from None
    finally:
        here.watch = outer

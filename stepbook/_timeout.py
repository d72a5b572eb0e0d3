"""Raising an error in code that takes too long."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def interrupt_after(seconds: float, error: Callable[[], BaseException]) -> Iterator[None]:
    """Raise ``error()`` in the block when it takes longer than *seconds*.

    In the main thread by an alarm signal, which also ends a ``time.sleep`` or a read of a socket.
    Elsewhere, and on systems without alarms, the error arrives when the block next executes
    Python code: a call into C is not cut short.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and hasattr(signal, "setitimer"):
        with _alarm(seconds, error):
            yield
    else:
        with _raised_from_outside(seconds, error):
            yield


@contextlib.contextmanager
def _alarm(seconds: float, error: Callable[[], BaseException]) -> Iterator[None]:
    def ring(_signal: int, _frame: Any) -> None:
        raise error()

    before = signal.signal(signal.SIGALRM, ring)
    began = time.monotonic()
    outer, _ = signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:  # an outer step's alarm goes on with what is left
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - began), 1e-6))


@contextlib.contextmanager
def _raised_from_outside(seconds: float, error: Callable[[], BaseException]) -> Iterator[None]:
    thread = threading.get_ident()
    lock = threading.Lock()
    ended = rung = False

    class _Late(BaseException):
        """What is raised from outside: only a class can be, so it is replaced here."""

    def ring() -> None:
        nonlocal rung
        with lock:
            if not ended:
                rung = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(_Late)
                )

    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    try:
        try:
            yield
        finally:
            with lock:
                ended = True
            timer.cancel()
            if rung:
                # The error may still be on its way: let it arrive here.
                for _ in range(100):
                    time.sleep(0)
    except _Late:
        raise error() from None

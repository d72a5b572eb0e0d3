"""Where interrupts may arrive: nothing else decides about them.

Python raises what Ctrl-C (or an alarm) means between any two steps of the main thread's code. One
that falls between taking a lock and noting that it is held leaves the lock behind, and whoever
wants it next waits for ever. Measured with random signals, ``with lock`` leaks that way on Python
3.14, and ``acquire(); try``, generators, ``ExitStack``, ``Condition`` and any ``__enter__`` written
in Python on every version. Two ways leak on none of them, and a test forbids all others:

- :class:`section` keeps interrupts away for the length of a block, and lets them arrive after it.
  For what takes long anyway: opening, folding, closing. Inside, :class:`allowed` marks what a
  person may want to leave, such as a query or a wait.
- :func:`take` acquires and notes within one call into C. For locks that recording a step takes::

      held: list[object] = []
      try:
          take(self._lock, held)
          ...
      finally:
          if held:
              self._lock.release()
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # has no stub
import _thread
import contextlib
import functools
import importlib
import queue
import signal
import sys
import threading
import weakref
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType


class Lock(Protocol):
    """What can be held: a lock of ``threading``."""

    def acquire(self) -> Any:
        """Wait for it and take it."""

    def release(self) -> None:
        """Give it back."""


_acquire: Final = methodcaller("acquire")
# As ``signal`` has them, without a look-up of each handler in an enum: 11 us on Python 3.11.
_get_handler: Final[Callable[[int], Any]] = _signal.getsignal
_set_handler: Final[Callable[[int, Any], Any]] = _signal.signal


def take(lock: Lock, held: list[object]) -> None:
    """Acquire *lock* and note that in *held*, which belongs to the caller.

    Nothing can be raised between the two: both happen within one call into C. Releasing is safe as
    the first call of a ``finally``, where no interrupt is looked for before it.
    """
    held.extend(map(_acquire, (lock,)))


def _nobody() -> None:
    """Stand for a weak reference to what is gone."""


#: Nothing keeps interrupts away; they are kept away; they are let through for a part of a section.
_OPEN, _SHUT, _AJAR = range(3)


class Gate:
    """What lets interrupts through to one thread, or keeps them.

    Attributes:
        state: open, shut or ajar.
        handler: what Ctrl-C does outside of the section that is going on.
        section: the section that has put a handler of its own in its place.
        waiting: what has come while it was shut, by kind; calling it raises.
        raised: what has been raised where it is ajar.
        watch: held by a timer of another thread while it looks at the state and acts on it.
    """

    __slots__ = ("handler", "raised", "section", "state", "waiting", "watch")

    def __init__(self) -> None:
        self.state = _OPEN
        self.handler: Any = None
        self.section: Callable[[], section | None] = _nobody
        self.waiting: dict[int, Callable[[], object]] = {}
        self.raised: BaseException | None = None
        self.watch: Lock | None = None

    @property
    def is_shut(self) -> bool:
        """Whether nothing may be raised in this thread now."""
        return self.state == _SHUT

    def set(self, state: int) -> None:
        """Change the state, not while a timer looks at it."""
        held: list[object] = []
        watch = self.watch
        try:
            if watch is not None:
                take(watch, held)
        finally:
            self.state = state
            if held:
                watch.release()  # type: ignore[union-attr]

    def arrive(self, kind: int, fire: Callable[[], object]) -> None:
        """Call *fire*, which raises, now or when the section that is going on lets it."""
        state = self.state
        if state == _SHUT:
            self.waiting[kind] = fire
            return
        if state == _OPEN:
            fire()
            return
        # What leads out of the section from here must not be cut short in its turn.
        self.state = _SHUT
        self.waiting.pop(kind, None)
        try:
            fire()
        except BaseException as error:
            self.raised = error
            raise
        self.state = _AJAR

    def let_through(self) -> None:
        """Have what has come meanwhile arrive here."""
        while self.waiting:
            kind, fire = self.waiting.popitem()
            self.arrive(kind, fire)


class _Local(threading.local):
    def __init__(self) -> None:
        self.gate = Gate()


_local: Final = _Local()


def gate() -> Gate:
    """Return the gate of this thread."""
    return _local.gate


def _on_sigint(number: int, frame: FrameType | None) -> None:
    """Stand in for the handler of Ctrl-C while a section is going on in the main thread."""
    gate = _local.gate
    fire = functools.partial(gate.handler, number, frame)
    if gate.section() is None:
        # It was left without its exit, by what the handler of another signal has raised right
        # before that.
        gate.state = _OPEN
        _set_handler(signal.SIGINT, gate.handler)
        fire()
    elif gate.state == _OPEN:  # the section is about to shut it
        gate.waiting[number] = fire
    else:
        gate.arrive(number, fire)


class section:  # noqa: N801 - used as a statement, like contextlib.suppress
    """Keep interrupts away for the length of a block; what came meanwhile arrives at its end.

    In the main thread by a handler of its own for Ctrl-C, put in place for this block; and what
    limits the time of a step, in any thread, asks before it raises. Sections nest. In the block
    nothing is awaited: another task would run in this section.

    Args:
        *locks: what to hold meanwhile, taken in this order.
        patient: whether Ctrl-C leaves the wait for them, too: for a lock that others may hold for
            long. Not where the block puts away what must not stay.
    """

    __slots__ = (
        "__weakref__",
        "_before",
        "_gate",
        "_held",
        "_installed",
        "_locks",
        "_patient",
    )

    def __init__(self, *locks: Lock, patient: bool = True) -> None:
        self._locks = locks
        self._patient = patient
        self._held: list[object] = []
        self._gate: Gate | None = None
        self._installed = False
        self._before = _OPEN

    def __enter__(self) -> Self:
        gate = _local.gate
        self._before = gate.state
        try:
            self._gate = gate
            if threading.current_thread() is threading.main_thread():
                handler = _get_handler(signal.SIGINT)
                if handler is not _on_sigint and callable(handler):
                    self._before, gate.handler, gate.waiting = _OPEN, handler, {}
                    gate.section = weakref.ref(self)
                    self._installed = True
                    _set_handler(signal.SIGINT, _on_sigint)
            gate.set(_SHUT)
            for lock in self._locks:
                if self._patient:
                    take(lock, self._held)
                else:
                    with allowed():
                        take(lock, self._held)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        gate, self._gate = self._gate, None
        if gate is None:
            return
        for lock in reversed(self._locks[: len(self._held)]):
            lock.release()
        self._held.clear()
        if self._installed:
            found: Any = _on_sigint
            try:
                found = _set_handler(signal.SIGINT, gate.handler)
            finally:
                # From the line above on interrupts are raised, but not before these were done.
                waiting, gate.waiting = gate.waiting, {}
                gate.state = _OPEN
            if found is not _on_sigint:  # somebody has set another one in the block
                _set_handler(signal.SIGINT, found)
            for fire in waiting.values():
                fire()
        else:
            gate.set(self._before)
            if self._before != _SHUT and gate.waiting:
                gate.let_through()


class allowed:  # noqa: N801 - as section
    """Let interrupts arrive in a block that is part of a section, as exceptions of the block.

    One that raises shuts the gate behind it. Where none is kept away it changes nothing. What
    DuckDB makes of an interrupt in its query is raised as what the interrupt was.
    """

    __slots__ = ("_gate", "_shut")

    def __enter__(self) -> None:
        self._gate = gate = _local.gate
        self._shut = gate.state == _SHUT
        if self._shut:
            gate.set(_AJAR)
            if gate.waiting:
                gate.let_through()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        gate = self._gate
        if self._shut:
            gate.set(_SHUT)
        raised, gate.raised = gate.raised, None
        if kind is RuntimeError and str(error) == "Query interrupted":
            raise raised or KeyboardInterrupt() from error


class Bell:
    """Wakes a thread from any other; ringing takes no lock, so it can be cut short anywhere.

    ``threading.Event`` takes one, in Python.
    """

    def __init__(self) -> None:
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._rung = False

    def ring(self) -> None:
        """Wake whoever waits, or will wait next."""
        if not self._rung:
            self._rung = True
            self._rings.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Return True when it was rung since the last time, False after *timeout* seconds."""
        try:
            self._rings.get(timeout=timeout)
        except queue.Empty:
            return False
        self._rung = False  # from here on a ring is a new one
        return True


def in_thread(call: Callable[[], Any], stop: Callable[[], None] | None = None) -> Any:
    """Return what *call* returns, called in a thread of its own.

    There it is at the bottom of a stack, and no handler of a signal runs. With the low-level
    module, as starting a Thread takes frames that may not be there any more.

    Args:
        call: what is called.
        stop: ends the call early when an interrupt arrives here meanwhile; none arrives before the
            call has ended.
    """
    outcome: list[tuple[bool, Any]] = []
    done = _thread.allocate_lock()
    done.acquire()

    def work() -> None:
        try:
            outcome.append((True, call()))
        except BaseException as error:  # noqa: BLE001 - raised again where it belongs
            outcome.append((False, error))
        finally:
            done.release()

    _thread.start_new_thread(work, ())
    try:
        done.acquire()
    except BaseException:
        if stop is not None:
            with section():
                stop()
                # The interrupt may have come when the lock was taken already.
                if not outcome:
                    done.acquire()
        raise
    succeeded, result = outcome[0]
    if succeeded:
        return result
    raise result


def load(name: str) -> Any:
    """Import a library where no interrupt can fall into the middle of it, and return it.

    One that does leaves a library in pieces that cannot be imported again in this process (numpy
    and what needs it), and inside of a call of DuckDB it aborts the process.
    """
    if name not in sys.modules and threading.current_thread() is threading.main_thread():
        with section(), contextlib.suppress(ImportError):  # raised again below, by this thread
            in_thread(lambda: importlib.import_module(name))
    return importlib.import_module(name)

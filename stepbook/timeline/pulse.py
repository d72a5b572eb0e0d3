"""One thread that keeps all timelines of this process up to date.

It looks at the runs instead of being told by them, so recording pays nothing for being watched.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from ..system.interrupts import Bell, section

if TYPE_CHECKING:
    from collections.abc import Callable

#: Looking takes at most this share of a processor, however long the run is ...
SHARE: Final = 0.025
#: ... in the long run: so many seconds of it are lent, so that one slow look makes nobody wait ...
CREDIT_S: Final = 0.15
#: ... and nobody waits longer than this.
MOST_S: Final = 1.0
#: How long the end of the process waits for a look that is going on.
_PATIENCE_S: Final = 5.0

_log = logging.getLogger("stepbook")


class Watched(Protocol):
    """Something that looks for news."""

    def beat(self) -> float | None:
        """Look, and return after how many seconds to look again; None to be left alone."""


class Pulse:
    """Calls each watched thing at its own rate, from one daemon thread that ends with the last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[Watched, float] = {}
        self._debts: dict[Watched, tuple[float, float]] = {}
        self._lock = threading.Lock()
        self._bell = Bell()
        self._thread: threading.Thread | None = None
        self._ended = False

    def watch(self, thing: Watched) -> None:
        """Look at *thing* from now on."""
        with section(self._lock):
            if self._ended:
                return
            self._due[thing] = 0.0
            if self._thread is None or not self._thread.is_alive():
                # ipykernel 7.0 finds the cell that a message belongs to in a context variable.
                context = contextvars.copy_context()
                self._thread = threading.Thread(
                    target=context.run, args=(self._go,), name="stepbook-timeline", daemon=True
                )
                self._thread.start()
        self._bell.ring()

    def end(self) -> None:
        """Look at nothing any more, and wait for the end of a look that is going on.

        Python ends a thread that returns to it while it finalizes; within DuckDB that aborts the
        whole process.
        """
        with section(self._lock):
            self._ended = True
            self._due.clear()
            thread = self._thread
        self._bell.ring()
        if thread is not None and thread.is_alive():
            with section():  # a join that is cut short leaves a lock behind
                thread.join(_PATIENCE_S)

    def _go(self) -> None:
        while True:
            pause = self._round()
            if pause is None:
                return
            self._bell.wait(pause)

    def _round(self) -> float | None:
        """Look at what is due; return how long nothing will be, or None if nothing is left."""
        for thing, due in list(self._due.items()):
            if due > self._clock():
                continue
            # Time on the processor: waiting for a file, or for others, is no work.
            used = time.thread_time()
            try:
                again = thing.beat()
            except Exception:  # noqa: BLE001 - a door: it must not stop the other timelines
                _log.exception("a timeline has stopped")
                again = None
            with section(self._lock):
                if again is None or self._ended:
                    self._due.pop(thing, None)
                    self._debts.pop(thing, None)
                else:
                    rest = self._rest(thing, time.thread_time() - used)
                    self._due[thing] = self._clock() + max(again, rest)
        with section(self._lock):
            if not self._due:
                self._thread = None
                return None
            return max(0.0, min(self._due.values()) - self._clock())

    def _rest(self, thing: Watched, used: float) -> float:
        """Return how long to leave a thing alone that has just used so much of the processor."""
        now = self._clock()
        debt, then = self._debts.get(thing, (0.0, now))
        debt = max(0.0, debt - (now - then) * SHARE) + used
        self._debts[thing] = debt, now
        return min(max(0.0, debt - CREDIT_S) / SHARE, MOST_S)


PULSE: Final = Pulse()
atexit.register(PULSE.end)

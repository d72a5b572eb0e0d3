"""Folding in the background: what the journals hold reaches the tables within a second."""

from __future__ import annotations

import threading
import time
import warnings
from typing import TYPE_CHECKING, Final

from ..errors import BookBusyError, JournalWriteError, StepbookWarning
from ..system.interrupts import Bell, section
from ..system.platform import leave_signals_to_others

if TYPE_CHECKING:
    from collections.abc import Callable

#: Events gather this long before a fold: folding each by itself would cost a transaction a step.
GATHER_S: Final = 0.4
_RETRY_S: Final = 0.25
_REPORT_S: Final = 60.0


class Folder(threading.Thread):
    """The thread that folds, one for each book of a process.

    Args:
        fold: folds what there is, and waits so many seconds while others hold the tables.
    """

    def __init__(self, fold: Callable[[float], None]) -> None:
        super().__init__(name="stepbook-fold", daemon=True)
        self._fold = fold
        self._bell = Bell()
        self._end = Bell()
        self._ended = False
        self._behind_since: float | None = None
        self._reported = False

    def wake(self) -> None:
        """Say that there is something to fold."""
        self._bell.ring()

    def stop(self) -> None:
        """End the thread; a fold that is going on is waited for."""
        self._ended = True
        self._end.ring()
        self._bell.ring()
        if self is not threading.current_thread():
            with section():  # a join that is cut short leaves a lock behind
                self.join(timeout=5.0)

    def run(self) -> None:
        """Fold until stopped."""
        # A signal that this thread or one of DuckDB's takes does not wake the main thread: an
        # interrupt during a fold would be noticed only at the end of a blocking call there.
        leave_signals_to_others()
        while not self._ended:
            self._bell.wait()
            if self._end.wait(GATHER_S):
                return
            self._bell.wait(0)  # what has come meanwhile is folded now
            try:
                self._fold(0.0)
            except BookBusyError as error:
                self._behind(error)
            except Exception as error:  # noqa: BLE001 - a thread's door: it must go on folding
                self._report(error)
            else:
                self._behind_since, self._reported = None, False

    def _behind(self, error: BookBusyError) -> None:
        now = time.monotonic()
        self._behind_since = self._behind_since or now
        if now - self._behind_since > _REPORT_S:
            self._report(error)
        self._end.wait(_RETRY_S)
        self._bell.ring()

    def _report(self, error: Exception) -> None:
        if not self._reported:
            self._reported = True
            goes_on = not isinstance(error, JournalWriteError)
            state = "the tables are behind the journal; recording goes on. " if goes_on else ""
            warnings.warn(f"stepbook: {state}{error}", StepbookWarning, stacklevel=1)

"""Folding in the background: what the journals hold reaches the tables within a second."""

from __future__ import annotations

import threading
import time
import warnings
from typing import TYPE_CHECKING, Final

from ._errors import BookBusyError, StepbookWarning
from ._platform import leave_signals_to_others

if TYPE_CHECKING:
    from ._records import Records

#: Events gather this long before a fold: folding each by itself would cost a transaction a step.
GATHER_S: Final = 0.4
_RETRY_S: Final = 0.25
_REPORT_S: Final = 60.0


class Folder(threading.Thread):
    """The thread that folds, one for each book of a process."""

    def __init__(self, records: Records) -> None:
        super().__init__(name="stepbook-fold", daemon=True)
        self._records = records
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._behind_since: float | None = None
        self._reported = False

    def wake(self) -> None:
        """Say that there is something to fold."""
        if not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """End the thread; a fold that is going on is waited for."""
        self._stopped.set()
        self._wake.set()
        if self is not threading.current_thread():
            self.join(timeout=5.0)

    def run(self) -> None:
        """Fold until stopped."""
        # A signal that this thread or one of DuckDB's takes does not wake the main thread: an
        # interrupt during a fold would be noticed only at the end of a blocking call there.
        leave_signals_to_others()
        while not self._stopped.is_set():
            self._wake.wait()
            if self._stopped.wait(GATHER_S):
                return
            self._wake.clear()
            try:
                self._records.fold_open(timeout=0.0)
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
        self._stopped.wait(_RETRY_S)
        self._wake.set()

    def _report(self, error: Exception) -> None:
        if not self._reported:
            self._reported = True
            warnings.warn(
                f"stepbook: the tables are behind the journal; recording goes on. {error}",
                StepbookWarning,
                stacklevel=1,
            )

"""Who owns which run, and how its events reach the tables."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from typing import TYPE_CHECKING, Final

from ._errors import (
    BookBusyError,
    BookError,
    BookNotFoundError,
    JournalWriteError,
    RunInUseError,
    RunNotFoundError,
    StepbookWarning,
)
from ._files import Files
from ._folder import Folder
from ._interrupts import allowed, section
from ._journal_format import files_by_run, files_of, merge, read_files
from ._ledger import Ledger, State
from ._locks import FileLock
from ._model import now_us
from ._platform import disk, owner
from ._store import BUSY_S, POLL_S, GapError
from ._tell import asks_new

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ._model import CellRow, RunRow

FORMAT: Final = 1
OWN_S: Final = 1.0
_OPEN_S: Final = 10.0


class Records(Files):
    """The files of one book, with the runs that this process owns.

    Args:
        path: the database file, absolute and resolved, or None for a book in memory.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self._folder: Folder | None = None
        self._abandoned: list[Ledger] = []
        self._patience = BUSY_S

    # ---- owning -----------------------------------------------------------------------------

    def create(self, row: RunRow) -> Ledger:
        """Create a run and own it; under the open lock."""
        with section():
            lock = self._take(row.id, OWN_S)
            ledger = Ledger(
                State(row),
                None if self.path is None else self.journals,
                lock,
                self.book_id,
                merge([], 0),
                0,
                known=False,
            )
            with _released_on_error(lock):
                ledger.begin()
            self._adopt(ledger)
            return ledger

    def own(self, run_id: str, timeout: float = OWN_S) -> Ledger:
        """Return the ledger of a run; from a dead owner it is taken over.

        Raises:
            RunInUseError: another live process holds the run.
            RunNotFoundError: there is no such run.
            BookMismatchError: tables and journals do not fit together.
            JournalDamagedError: a synced line cannot be read.
        """
        with section(self.lock, patient=False):
            ledger = self.ledgers.get(run_id)
            if ledger is not None:
                with contextlib.suppress(ValueError):
                    self._abandoned.remove(ledger)
                return ledger
            self.ensure()
            lock = self._take(run_id, timeout)
            with _released_on_error(lock):
                ledger = self._load(run_id, lock)
            self._adopt(ledger)
            return ledger

    def _load(self, run_id: str, lock: FileLock | None, timeout: float = BUSY_S) -> Ledger:
        files = []
        if self.path is not None:
            paths = files_of(self.journals, run_id)
            for path in paths:
                _sync(path)
            files = read_files(paths)
        with self.store.reading(timeout) as reader:
            state, events, folded = self.assemble(run_id, reader, files)
        folder = None if self.path is None else self.journals
        last = events.lines[-1].seq if events.lines else folded or 0
        return Ledger(state, folder, lock, self.book_id, events, last, known=folded is not None)

    def _take(self, run_id: str, timeout: float) -> FileLock | None:
        """Take a run's lock and sign it; in a section."""
        if self.path is None:
            return None
        lock = FileLock.at(self.locks / f"{run_id}.lock")
        if not lock.acquire(timeout=timeout):
            raise RunInUseError(
                f"run {run_id} is in use by {lock.describe_holder()}. Close it there "
                "(run.close() or %stepbook close, or shut the kernel down), or start another run "
                f"with {asks_new.get()}.",
                pid=lock.note().get("pid"),
            )
        lock.write_note({**owner(), "opened_at": now_us()})
        return lock

    def _adopt(self, ledger: Ledger) -> None:
        """Own a run; in a section."""
        self.ledgers[ledger.state.run.id] = ledger
        if ledger.lock is not None:
            ledger.previous = ledger.lock.previous
        if self._folder is None or not self._folder.is_alive():
            self._folder = Folder(self)
            self._folder.start()
        ledger.on_change = self._folder.wake
        if ledger.unfolded:
            self._folder.wake()

    def release(self, run_id: str) -> None:
        """Let go of a run: fold it, remove its journals if nothing can be lost, unlock."""
        with section(self.lock, patient=False):
            ledger = self.ledgers.get(run_id)
            if ledger is None:
                return
            with section(ledger.fold_lock, patient=False):
                with contextlib.suppress(OSError):
                    ledger.settle()
                try:
                    self._fold(ledger, timeout=self._patience, tidy=True)
                except BookError as error:
                    if isinstance(error, BookBusyError):
                        self._patience = 0.0  # several runs closed in a row wait once
                    state = (
                        "is let go of with events that could not be written; the steps that raised "
                        "JournalWriteError are executed again"
                        if isinstance(error, JournalWriteError)
                        else "is safe in its journal and reaches the tables with the next use"
                    )
                    warnings.warn(
                        f"stepbook: run {run_id} {state}. {error}", StepbookWarning, stacklevel=4
                    )
                else:
                    self._patience = BUSY_S
                ledger.end()
            del self.ledgers[run_id]
            if ledger.lock is not None:
                ledger.lock.release()

    def abandon(self, run_id: str) -> None:
        """Have the folding thread release a run of which the last reference is gone.

        Called by the garbage collector, so it may not wait for any lock.
        """
        ledger = self.ledgers.get(run_id)
        if ledger is None:
            return  # it was closed; whoever opens the run from now on has another ledger
        self._abandoned.append(ledger)
        folder = self._folder
        if folder is not None:
            folder.wake()

    # ---- folding ----------------------------------------------------------------------------

    def fold_open(self, timeout: float = BUSY_S) -> None:
        """Fold the runs that this process owns.

        Raises:
            BookBusyError: the database is still held after *timeout* seconds.
            BookMismatchError: the tables are older than a journal.
        """
        while self._abandoned:
            with section(self.lock, patient=False):
                if self._abandoned:
                    ledger = self._abandoned.pop()
                    if self.ledgers.get(ledger.state.run.id) is ledger:
                        self.release(ledger.state.run.id)
        for ledger in list(self.ledgers.values()):
            if ledger.unfolded:
                with section(ledger.fold_lock, patient=False):
                    if not ledger.ended:  # else it was let go meanwhile, and may be another's
                        self._fold(ledger, timeout, tidy=False)

    def _fold(self, ledger: Ledger, timeout: float, *, tidy: bool) -> None:
        run_id = ledger.state.run.id
        ledger.keep()
        ledger.settle()
        files = [] if self.path is None else files_of(self.journals, run_id)
        if not ledger.unfolded and not (tidy and files):
            return
        goal = ledger.last_seq  # what is recorded from now on is for the next fold
        whole = False
        with self.store.writing(timeout) as writer:
            lines = ledger.unfolded_lines()
            while True:
                try:
                    folded = writer.fold(run_id, ledger.header, lines)
                except GapError as error:
                    raise self.gap(run_id, error.missing) from None
                ledger.mark_folded(lines)
                with allowed():  # nothing is under way here
                    pass
                lines = ledger.unfolded_lines() if folded < goal else []
                if not lines:
                    break
            if tidy:
                whole = writer.folded_seq(run_id) == ledger.last_seq and writer.checkpoint()
        if whole:
            ledger.end()
            self._tidy(run_id, files, ledger.state)

    def _tidy(self, run_id: str, files: list[Path], state: State) -> None:
        """Remove journals and slots: all they hold is in the database file."""
        for path in files:
            with contextlib.suppress(FileNotFoundError):
                disk.unlink(path)
        ended = [
            (step, number)
            for step, sessions in state.scans.items()
            for number, session in enumerate(sessions, start=1)
            if session.completed_at is not None
        ]
        if ended:
            with self.open_lock():
                for step, number in ended:
                    self.inbox.remove(run_id, step, number)

    def fold_left(self) -> None:
        """Fold the journals that dead processes have left.

        Raises:
            BookBusyError: the database is held by others.
        """
        if self.path is None:
            return
        left = [run_id for run_id in files_by_run(self.journals) if run_id not in self.ledgers]
        deadline = time.monotonic() + BUSY_S
        while left:
            try:
                self._fold_one_left(left[-1])
                left.pop()
            except BookBusyError:  # wait without the run's lock: its owner may want it
                if time.monotonic() > deadline:
                    raise
                with allowed():
                    time.sleep(POLL_S)

    def _fold_one_left(self, run_id: str) -> None:
        with section():
            lock = FileLock.at(self.locks / f"{run_id}.lock")
            if not lock.acquire():
                return  # its owner folds it within a second
            try:
                ledger = self._load(run_id, lock, timeout=0.0)
                with section(ledger.fold_lock):
                    self._fold(ledger, timeout=0.0, tidy=True)
            except RunNotFoundError:
                # Its process died while it created the file: nobody was told of this run.
                for path in files_of(self.journals, run_id):
                    disk.unlink(path)
            except BookBusyError:
                raise
            except (BookError, OSError) as error:
                warnings.warn(
                    f"stepbook: the journal of run {run_id} was left as it is. {error}",
                    StepbookWarning,
                    stacklevel=6,
                )
            finally:
                lock.release()

    def fresh(self) -> None:
        """Bring the tables up to date, as far as this process may.

        Raises:
            BookNotFoundError: there is no book.
            BookBusyError: the database is held by others.
        """
        if not self.exists:
            raise BookNotFoundError(
                f"there is no book at {self.path}. The first run creates it; to read another one "
                "give its path to stepbook.connect(), or set STEPBOOK_BOOK."
            )
        self.ensure()
        self.fold_open()
        self.fold_left()

    def loops(self) -> list[str]:
        """Return the names of all loops.

        Raises:
            BookNotFoundError: there is no book.
        """
        self.fresh()
        with self.store.reading() as reader:
            return reader.loops()

    def cell(self, run_id: str, step: str, attempt: int) -> CellRow | None:
        """Return what one attempt of a cell has done."""
        self.fold_open()
        with self.store.reading() as reader:
            return reader.cell(run_id, step, attempt)

    def remove(self, run_id: str) -> None:
        """Remove a run that nobody holds, with its journals, slots and lock.

        Raises:
            RunInUseError: a live process holds it.
        """
        with section():
            lock = self._take(run_id, OWN_S)
            try:
                with self.open_lock(), self.store.writing(BUSY_S) as writer:
                    # Files first: a journal that came back after a power cut would bring back the
                    # run.
                    self.inbox.remove_run(run_id)
                    if lock is not None:
                        for path in files_of(self.journals, run_id):
                            disk.unlink(path)
                        disk.sync_dir(self.journals)
                    writer.delete_runs([run_id])
                    if self.artifacts is not None:
                        self.artifacts.forget(run_id)
            finally:
                if lock is not None:
                    lock.release()

    def remove_artifacts(self) -> None:
        """Remove the files that no run refers to any more."""
        if self.artifacts is None:
            return
        try:
            self.artifacts.prune(self._references)
        except TimeoutError as error:
            warnings.warn(
                f"stepbook: files that nothing refers to any more were left for the next time: "
                f"{error}",
                StepbookWarning,
                stacklevel=3,
            )

    def _references(self) -> Iterator[str]:
        # Journals first: what is folded and removed meanwhile is then found in the tables.
        for path in self.journals.glob("*.jsonl"):
            with contextlib.suppress(FileNotFoundError):
                yield path.read_text("utf-8", "replace")
        with self.store.reading() as reader:
            yield from reader.artifacts()

    def close(self) -> None:
        """Release all runs and stop the folding thread."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.stop()
        for run_id in list(self.ledgers):
            self.release(run_id)


@contextlib.contextmanager
def _released_on_error(lock: FileLock | None) -> Iterator[None]:
    """Give a run's lock back if the block does not come to own the run; in a section."""
    try:
        yield
    except BaseException:
        if lock is not None:
            lock.release()
        raise


def _sync(path: Path) -> None:
    """Sync a journal that another process has written, before anything is built on it."""
    fd = disk.open(path, os.O_RDWR)
    try:
        disk.sync(fd)
    finally:
        disk.close(fd)

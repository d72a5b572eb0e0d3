"""Who owns which run, and how its events reach the tables."""

from __future__ import annotations

import contextlib
import time
import warnings
from typing import TYPE_CHECKING, Final, cast

from ..errors import (
    BookBusyError,
    BookError,
    BookNotFoundError,
    RunError,
    RunNotFoundError,
    StepbookWarning,
)
from ..system.interrupts import allowed, section
from .folding import Folder
from .journals import gap, tell_damaged
from .ledger import Ledger, State, run_from_header
from .lines import merge, read_files, set_aside
from .lookup import Lookup
from .tables.overlay import Unfolded
from .tables.store import BUSY_S, POLL_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ..model.rows import CellRow, Row, RunRow, StepRow
    from .ports import RunLock

OWN_S: Final = 1.0


class Records(Lookup):
    """One book, with the runs that this process owns.

    Args:
        path: the database file, absolute and resolved, or None for a book in memory.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self._folder: Folder | None = None
        self._abandoned: list[Ledger] = []
        self._patience = BUSY_S
        self._strange: list[Path] = []  # files that were told of
        self._said: set[str] = set()
        self._mask: Callable[[Row], Row] | None = None
        self.store.beyond = self._beyond

    def ensure(self) -> bool:
        """Create what is missing; return whether the book is new.

        Raises:
            NotABookError: the path cannot hold a book.
            BookError: it can only be read.
        """
        self.home.check()
        self.check_writable()
        with section(self.lock, patient=False):
            if self.book_id and self.store.exists and self.has_folders:
                return False
            self.book_id, new = self.home.create(self.book_id)
        if new:  # also in place of one that was lost: what is open here is folded again
            for ledger in list(self.ledgers.values()):
                with section(ledger.fold_lock):
                    ledger.mark_unfolded(0)
        return new

    def mask(self, mask: Callable[[Row], Row] | None) -> None:
        """Have every row go through *mask* before it is recorded, those of open runs as well."""
        self._mask = mask
        for ledger in list(self.ledgers.values()):
            ledger.mask = mask

    def open_lock(self) -> AbstractContextManager[None]:
        """Hold the open lock: nobody else finds, creates or delivers meanwhile.

        Raises:
            BookError: the book can only be read.
        """
        self.check_writable()
        return self.locks.open_lock()

    def check_writable(self) -> None:
        """Look whether this process may record in the book; nothing if there is none yet.

        Raises:
            BookError: it can only be read.
        """
        closed = self.home.read_only
        if closed and not self.ledgers:  # who has runs open is told when writing fails
            raise BookError(
                f"{self.path} can be read and not recorded in: this user may not write to "
                f"{closed}. Nothing was changed. To run, deliver or prune, copy the database and "
                f"the folder {self.home.path}.d beside it to where you may write, and connect to "
                "the copy; lists, frames, queries and `stepbook show` work here as well."
            )

    # ---- owning -----------------------------------------------------------------------------

    def create(self, row: RunRow) -> Ledger:
        """Create a run and own it; under the open lock."""
        if self._mask is not None:
            row = cast("RunRow", self._mask(row))
        with section():
            lock = self.locks.take(row.id, OWN_S)
            ledger = Ledger(
                State(row),
                self.journals,
                lock,
                self.book_id,
                merge([], 0),
                0,
                known=False,
                restore=lambda base: self.home.restore(row.id, lock, base, self.book_id),
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
            lock = self.locks.take(run_id, timeout)
            with _released_on_error(lock):
                ledger = self._load(run_id, lock)
            self._adopt(ledger)
            return ledger

    def _load(self, run_id: str, lock: RunLock, timeout: float = BUSY_S) -> Ledger:
        self.journals.sync(run_id)
        files = self.journals.read(run_id)
        with self.store.reading(timeout) as reader:
            state, events, folded = self.assemble(run_id, reader, files)
        last = events.lines[-1].seq if events.lines else folded or 0
        return Ledger(
            state,
            self.journals,
            lock,
            self.book_id,
            events,
            last,
            known=folded is not None,
            restore=lambda base: self.home.restore(run_id, lock, base, self.book_id),
            files=files,
        )

    def _adopt(self, ledger: Ledger) -> None:
        """Own a run; in a section."""
        ledger.mask = self._mask
        self.ledgers[ledger.state.run.id] = ledger
        if self._folder is None or not self._folder.is_alive():
            self._folder = Folder(self.fold_open)
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
                except (BookError, OSError) as error:
                    if isinstance(error, BookBusyError):
                        self._patience = 0.0  # several runs closed in a row wait once
                    warnings.warn(ledger.farewell(error), StepbookWarning, stacklevel=4)
                else:
                    self._patience = BUSY_S
                ledger.end()
            del self.ledgers[run_id]
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
        files = self.journals.paths(run_id)
        if not ledger.unfolded and not (tidy and files):
            return
        goal = ledger.last_seq  # what is recorded from now on is for the next fold
        whole = False
        with self.store.writing(timeout) as writer:
            if ledger.fold(writer, goal) < goal:
                # The tables have lost what they had: they were replaced, or made again.
                missing = ledger.mark_unfolded(writer.folded_seq(run_id))
                if missing or ledger.fold(writer, goal) < goal:
                    raise gap(self.path, run_id, missing)
            if tidy:
                whole = writer.folded_seq(run_id) == ledger.last_seq and writer.checkpoint()
        if whole:
            # Another file may have come under the name of one of these meanwhile.
            files = [path for path in files if ledger.owns(path)]
            garbled = ledger.garbled
            ledger.end()
            for path in garbled.intersection(files):
                with contextlib.suppress(OSError):  # it stays where it is, and is found again
                    set_aside(path)
            self._tidy(run_id, [path for path in files if path not in garbled], ledger.state)

    def _tidy(self, run_id: str, files: list[Path], state: State) -> None:
        """Remove journals and slots: all they hold is in the database file."""
        for path in files:
            with contextlib.suppress(OSError):  # the next reader removes it
                self.journals.unlink(path)
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
        found = self.journals.look()
        tell_damaged(found.damaged)
        if found.strange and found.strange != self._strange:
            warnings.warn(
                f"stepbook: {found.strange[0]} is not called by the id of a run, so it is not "
                "read. `stepbook doctor` lists all such files.",
                StepbookWarning,
                stacklevel=5,
            )
        self._strange = found.strange
        left = [run for run in {**found.unborn, **found.files} if run not in self.ledgers]
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
            lock = self.locks.take_free(run_id)
            if lock is None:
                return  # its owner folds it within a second
            try:
                names = self.journals.look()
                for path in names.unborn.get(run_id, []):
                    # Its process died while it created the file: nobody was told of anything in it.
                    self.journals.unlink(path)
                paths = names.files.get(run_id, [])
                if not paths or self._set_aside_unknown(run_id, paths):
                    return
                ledger = self._load(run_id, lock, timeout=0.0)
                with section(ledger.fold_lock):
                    self._fold(ledger, timeout=0.0, tidy=True)
            except BookBusyError:
                raise
            except (BookError, RunError, OSError) as error:
                warnings.warn(
                    f"stepbook: the journal of run {run_id} was left as it is. {error}",
                    StepbookWarning,
                    stacklevel=6,
                )
            finally:
                lock.release()

    def _set_aside_unknown(self, run_id: str, paths: list[Path]) -> bool:
        """Set journals aside of which nothing can be read, if the tables do not know their run."""
        if not all(file.blank for file in read_files(paths, attempts=3)):
            return False
        with self.store.reading(timeout=0.0) as reader:
            if reader.run(run_id) is not None:
                return False
        tell_damaged({run_id: [set_aside(path) for path in paths]})
        return True

    def fresh(self) -> None:
        """Bring the tables up to date, as far as this process may.

        Raises:
            BookNotFoundError: there is no book.
            BookBusyError: the database is held by others.
        """
        if not self.exists and not self.ledgers:
            raise BookNotFoundError(
                f"there is no book at {self.path}. The first run creates it; to read another one "
                "give its path to stepbook.connect(), or set STEPBOOK_BOOK."
            )
        if self.home.read_only and not self.ledgers:
            self.home.check()
            with contextlib.suppress(BookError):  # then it is not compared
                self.book_id = self.book_id or self.home.read_id()
            return  # what the tables lack is laid over them
        self.ensure()
        self.fold_open()
        self.fold_left()

    def _beyond(self) -> list[Unfolded]:
        """Return what the journals of a book hold that can only be read; else nothing."""
        if not self.home.read_only:
            return []
        found = []
        for run_id in self.journals.look().files.keys() - self.ledgers.keys():
            try:
                found += self._unfolded_of(run_id)
            except BookError as error:
                self._say_once(f"what the journal of run {run_id} holds is not shown. {error}")
        return found

    def _unfolded_of(self, run_id: str) -> list[Unfolded]:
        files = self.journals.read(run_id, attempts=3)
        self._check_headers(run_id, files)
        headers = [file.header for file in files if file.header]
        # The fold leaves out what the tables have.
        events = merge(files, headers[0]["first"] - 1 if headers else 0)
        if events.damage is not None:
            raise events.damage.error()
        if headers:
            State(run_from_header(headers[0])).apply_events(events)  # refuses another run's
        lines = [line.raw for line in events.lines]
        return [Unfolded(run_id, headers[0], lines)] if lines or headers else []

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            warnings.warn(f"stepbook: {text}", StepbookWarning, stacklevel=4)

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

    def attempts(self, run_id: str, name: str) -> list[StepRow]:
        """Return the attempts of a step that have begun, oldest first, without their values."""
        self.fold_open()
        with self.store.reading() as reader:
            return reader.attempts(run_id, name)

    def remove(self, run_id: str) -> None:
        """Remove a run that nobody holds, with its journals, slots and lock.

        Raises:
            RunInUseError: a live process holds it.
        """
        self.check_writable()
        with section():
            lock = self.locks.take(run_id, OWN_S)
            try:
                with self.open_lock():
                    with self.store.writing(BUSY_S) as writer:
                        # Files first: a journal that came back after a power cut would bring back
                        # the run.
                        self.inbox.remove_run(run_id)
                        self.journals.remove(run_id)
                        writer.delete_runs([run_id])
                        self.home.forget(run_id)
                    lock.remove()
            finally:
                lock.release()

    def remove_left(self) -> None:
        """Remove what runs that are gone have left: their locks, deliveries and workspaces.

        Of a run that was removed by an earlier version, or by a process that died over it.
        """
        with contextlib.suppress(BookBusyError, OSError):  # else with the next one
            self._remove_left()

    def _remove_left(self) -> None:
        # While the tables are open here nobody folds: a run that is begun meanwhile has a journal.
        with section(), self.open_lock(), self.store.kept_open(), self.store.reading() as reader:
            left = self.home.left().difference(self.ledgers, reader.run_ids())
            for run_id in left:
                lock = self.locks.take_free(run_id)
                if lock is None:
                    continue  # somebody begins it, or looks for it
                try:
                    if not self.journals.paths(run_id):
                        self.inbox.remove_run(run_id)
                        self.home.forget(run_id)
                        lock.remove()
                finally:
                    lock.release()

    def remove_artifacts(self) -> None:
        """Remove the files that no run refers to any more."""
        try:
            self.home.prune(self._references)
        except OSError as error:
            warnings.warn(
                f"stepbook: files that nothing refers to any more were left for the next time: "
                f"{error}",
                StepbookWarning,
                stacklevel=3,
            )

    def _references(self) -> Iterator[str]:
        for ledger in list(self.ledgers.values()):
            ledger.secure()  # else what only its journal names would not be found
        # Journals first: what is folded and removed meanwhile is then found in the tables.
        yield from self.journals.texts()
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
def _released_on_error(lock: RunLock) -> Iterator[None]:
    """Give a run's lock back if the block does not come to own the run; in a section."""
    try:
        yield
    except RunNotFoundError:
        lock.remove()  # it was made for nothing, or for a run that is gone
        lock.release()
        raise
    except BaseException:
        lock.release()
        raise

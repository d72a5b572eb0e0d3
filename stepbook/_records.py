"""A book's files: who owns which run, what is read from tables and journals, what is folded."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ._errors import (
    BookBusyError,
    BookError,
    BookMismatchError,
    BookNotFoundError,
    NotABookError,
    RunInUseError,
    RunNotFoundError,
    StepbookWarning,
)
from ._folder import Folder
from ._inbox import Inbox, MemoryInbox
from ._journal_format import files_by_run, files_of, merge, read_files, read_header
from ._ledger import Ledger, State, run_from_header
from ._model import now_us
from ._platform import FileLock, describe_owner, disk, owner, write_file
from ._store import BUSY_S, GapError, Store

if TYPE_CHECKING:
    from pathlib import Path

    from ._journal_format import Events
    from ._model import RunRow
    from ._store import Reader

FORMAT: Final = 1
OWN_S: Final = 1.0
_OPEN_S: Final = 10.0


class Found(NamedTuple):
    """A run that was recorded: what finds it again."""

    id: str
    loop: str
    key: str
    created_at: int


class Records:
    """The files of one book.

    Args:
        path: the database file, absolute and resolved, or None for a book in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.store = Store(path)
        self.ledgers: dict[str, Ledger] = {}
        self.book_id = ""
        self.inbox: Inbox | MemoryInbox = MemoryInbox()
        self._folder: Folder | None = None
        self._lock = threading.RLock()
        self._abandoned: list[str] = []
        if path is not None:
            self.home = path.with_name(path.name + ".d")
            self.journals = self.home / "journal"
            self.locks = self.home / "locks"
            self.inbox = Inbox(self.home / "inbox")

    # ---- creating ---------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether the book has been created."""
        return self.store.exists if self.path is None else self.path.exists() or self.home.exists()

    def ensure(self) -> bool:
        """Create what is missing; return whether the book is new.

        Raises:
            NotABookError: the path cannot hold a book.
        """
        if self.book_id and self.store.exists:
            return False
        if self.path is None:
            self.book_id = "memory"
            new = not self.store.exists
            self.store.create(self.book_id)
            return new
        try:
            if self.path.exists():
                with self.store.reading():
                    pass  # refuses what is not a book, before anything is written beside it
            for name in ("journal", "locks", "inbox", "artifacts"):
                (self.home / name).mkdir(parents=True, exist_ok=True)
            if not (self.home / ".gitignore").exists():
                (self.home / ".gitignore").write_text("*\n")
        except OSError as error:
            raise NotABookError(
                f"a book cannot be created at {self.path}: {error.strerror} ({error.filename}). "
                "Give another path to stepbook.connect(), or set STEPBOOK_BOOK."
            ) from error
        with self.open_lock():
            new = not self.path.exists()
            self.book_id = self._identity()
            self.store.create(self.book_id)
        return new

    def _identity(self) -> str:
        """Return the book's id: from book.json, else from the tables, else a new one."""
        assert self.path is not None  # noqa: S101 - only files have one
        recorded = None
        if self.path.exists():
            with self.store.reading() as reader:
                recorded = reader.meta()["book"]
        about = self.home / "book.json"
        try:
            known = str(json.loads(about.read_bytes())["book"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            book_id = recorded or secrets.token_hex(8)
            fresh = self.home / f".book.{secrets.token_hex(4)}.new"
            write_file(fresh, json.dumps({"book": book_id, "format": FORMAT}).encode() + b"\n")
            disk.rename(fresh, about)
            disk.sync_dir(self.home)
            return book_id
        if recorded not in (None, known):
            raise BookMismatchError(
                f"{self.path} and {self.home} belong to different books ({recorded} and {known}), "
                "so nothing was changed. Put the database and its folder back together, or use "
                "another path."
            )
        return known

    @contextlib.contextmanager
    def open_lock(self) -> Any:
        """Hold the open lock: nobody else finds, creates or delivers meanwhile."""
        if self.path is None:
            with self._lock:
                yield
            return
        lock = FileLock.at(self.locks / "open.lock")
        try:
            held = lock.held(timeout=_OPEN_S)
            held.__enter__()
        except TimeoutError as error:
            raise BookBusyError(f"{error}. Try again when it is done.", pid=None) from error
        try:
            yield
        finally:
            held.__exit__(None, None, None)

    # ---- finding ----------------------------------------------------------------------------

    def latest(self, loop: str, key: str | None) -> Found | None:
        """Return the newest run of *loop*, and of *key* if given, in tables and journals."""
        found: list[Found] = []
        if self.store.exists:
            with self.store.reading() as reader:
                recorded = reader.latest_run(loop, key)
            if recorded is not None:
                row = recorded.row
                found.append(Found(row.id, row.loop, row.key, row.created_at))
        found += [
            run for run in self._unfolded() if run.loop == loop and key in (None, run.key)
        ]
        return max(found, key=lambda run: (run.created_at, run.id), default=None)

    def _unfolded(self) -> list[Found]:
        """Return the runs that have journals."""
        if self.path is None:
            rows = [ledger.state.run for ledger in self.ledgers.values()]
            return [Found(row.id, row.loop, row.key, row.created_at) for row in rows]
        headers = (
            next(filter(None, map(read_header, paths)), {})
            for paths in files_by_run(self.journals).values()
        )
        return [
            Found(header["run"], header["loop"], header["key"], header["created_at"])
            for header in headers
            if header
        ]

    def ids(self, prefix: str = "") -> list[str]:
        """Return the ids of all runs that begin with *prefix*, sorted."""
        found = {run.id for run in self._unfolded() if run.id.startswith(prefix)}
        if self.store.exists:
            with self.store.reading() as reader:
                found |= set(reader.run_ids(prefix))
        return sorted(found)

    # ---- reading one run --------------------------------------------------------------------

    def peek(self, run_id: str) -> State:
        """Return what is recorded of a run, without owning it.

        Raises:
            RunNotFoundError: there is no such run.
        """
        ledger = self.ledgers.get(run_id)
        if ledger is not None:
            return ledger.state
        # Journals first: what is folded and removed meanwhile is then found in the tables.
        files = [] if self.path is None else read_files(files_of(self.journals, run_id), attempts=3)
        if not self.store.exists:
            return self._assemble(run_id, None, files)[0]
        with self.store.reading() as reader:
            return self._assemble(run_id, reader, files)[0]

    def peek_journals(self, run_id: str) -> State | None:
        """Return what the journals alone tell of a run, without the tables; None without any."""
        files = [] if self.path is None else read_files(files_of(self.journals, run_id))
        readable = [file for file in files if file.header]
        if not readable:
            return None
        state = State(run_from_header(readable[0].header))
        state.apply_events(merge(files, readable[0].first - 1))
        return state

    def _assemble(
        self, run_id: str, reader: Reader | None, files: list[Any]
    ) -> tuple[State, Events, int | None]:
        """Return a run's state, its events beyond the tables, and its number folded last."""
        recorded = reader.run(run_id) if reader is not None else None
        folded = 0 if recorded is None else recorded.folded_seq
        events = merge(files, folded)
        if recorded is None and not events.header:
            raise RunNotFoundError(
                f"there is no run {run_id!r} in {self.path}. `stepbook runs` lists them."
            )
        if events.header and self.book_id not in ("", events.header.get("book")):
            raise BookMismatchError(
                f"the journal of run {run_id} in {self.journals} belongs to another book "
                f"({events.header.get('book')}, this one is {self.book_id}). Nothing was folded. "
                "Put the journals back beside their own database."
            )
        if events.gap:
            raise self._gap(run_id, events.gap)
        if events.damage is not None:
            raise events.damage.error()
        state = State(recorded.row if recorded is not None else run_from_header(events.header))
        if reader is not None and recorded is not None:
            for step in reader.steps(run_id, state.budget):
                state.apply(step)
            for scan in reader.scans(run_id):
                state.apply(scan)
        state.apply_events(events)
        return state, events, None if recorded is None else folded

    def _gap(self, run_id: str, missing: int) -> BookMismatchError:
        return BookMismatchError(
            f"the database {self.path} is older than the journal of run {run_id} by {missing} "
            "events: it was lost, or restored from an older copy. Nothing was folded over the gap. "
            "Restore the database that belongs to these journals, or start the run over with "
            "new=True."
        )

    # ---- owning -----------------------------------------------------------------------------

    def create(self, row: RunRow) -> Ledger:
        """Create a run and own it; under the open lock."""
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
        try:
            ledger.begin()
        except BaseException:
            if lock is not None:
                lock.release()
            raise
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
        with self._lock:
            ledger = self.ledgers.get(run_id)
            if ledger is not None:
                with contextlib.suppress(ValueError):
                    self._abandoned.remove(run_id)
                return ledger
            self.ensure()
            lock = self._take(run_id, timeout)
            try:
                ledger = self._load(run_id, lock)
            except BaseException:
                if lock is not None:
                    lock.release()
                raise
            self._adopt(ledger)
            return ledger

    def _load(self, run_id: str, lock: FileLock | None) -> Ledger:
        files = []
        if self.path is not None:
            paths = files_of(self.journals, run_id)
            for path in paths:
                _sync(path)
            files = read_files(paths)
        with self.store.reading() as reader:
            state, events, folded = self._assemble(run_id, reader, files)
        folder = None if self.path is None else self.journals
        last = events.lines[-1].seq if events.lines else folded or 0
        return Ledger(state, folder, lock, self.book_id, events, last, known=folded is not None)

    def _take(self, run_id: str, timeout: float) -> FileLock | None:
        if self.path is None:
            return None
        lock = FileLock.at(self.locks / f"{run_id}.lock")
        if not lock.acquire(timeout=timeout):
            holder = lock.note()
            raise RunInUseError(
                f"run {run_id} is in use by {describe_owner(holder)}. Close it there "
                "(run.close() or %stepbook close, or shut the kernel down), or start another run "
                "with new=True.",
                pid=holder.get("pid"),
            )
        return lock

    def _adopt(self, ledger: Ledger) -> None:
        self.ledgers[ledger.state.run.id] = ledger
        if ledger.lock is not None:
            ledger.previous = ledger.lock.note()
            ledger.lock.write_note({**owner(), "opened_at": now_us()})
        if self._folder is None or not self._folder.is_alive():
            self._folder = Folder(self)
            self._folder.start()
        ledger.on_change = self._folder.wake
        if ledger.unfolded:
            self._folder.wake()

    def release(self, run_id: str) -> None:
        """Let go of a run: fold it, remove its journals if nothing can be lost, unlock."""
        with self._lock:
            ledger = self.ledgers.get(run_id)
            if ledger is None:
                return
            with ledger.fold_lock:
                with contextlib.suppress(OSError):
                    ledger.settle()
                try:
                    self._fold(ledger, timeout=BUSY_S, tidy=True)
                except (BookBusyError, BookMismatchError) as error:
                    warnings.warn(
                        f"stepbook: run {run_id} is safe in its journal and reaches the tables "
                        f"when the book is next used. {error}",
                        StepbookWarning,
                        stacklevel=4,
                    )
                ledger.end()
            del self.ledgers[run_id]
            if ledger.lock is not None:
                ledger.lock.release()

    def abandon(self, run_id: str) -> None:
        """Have the folding thread release a run of which the last reference is gone.

        Called by the garbage collector, so it may not wait for any lock.
        """
        self._abandoned.append(run_id)
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
            with self._lock:
                if self._abandoned:
                    self.release(self._abandoned.pop())
        for ledger in list(self.ledgers.values()):
            if ledger.unfolded:
                with ledger.fold_lock:
                    self._fold(ledger, timeout, tidy=False)

    def _fold(self, ledger: Ledger, timeout: float, *, tidy: bool) -> None:
        run_id = ledger.state.run.id
        ledger.settle()
        files = [] if self.path is None else files_of(self.journals, run_id)
        if not ledger.unfolded and not (tidy and files):
            return
        deadline = time.monotonic() + max(timeout, 1.0)
        whole = False
        with self.store.writing(timeout) as writer:
            while ledger.unfolded:
                lines = ledger.unfolded_lines()
                try:
                    writer.fold(run_id, ledger.header, lines)
                except GapError as error:
                    raise self._gap(run_id, error.missing) from None
                ledger.mark_folded(lines)
                if not tidy and time.monotonic() > deadline:
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
        """Fold the journals that dead processes have left."""
        if self.path is None:
            return
        for run_id in files_by_run(self.journals):
            if run_id in self.ledgers:
                continue
            lock = FileLock.at(self.locks / f"{run_id}.lock")
            if not lock.acquire():
                continue  # its owner folds it within a second
            try:
                ledger = self._load(run_id, lock)
                with ledger.fold_lock:
                    self._fold(ledger, timeout=BUSY_S, tidy=True)
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
                    stacklevel=5,
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

    def remove(self, run_id: str) -> None:
        """Remove a run that nobody holds, with its journals, slots and lock.

        Raises:
            RunInUseError: a live process holds it.
        """
        lock = self._take(run_id, OWN_S)
        try:
            with self.open_lock():
                with self.store.writing(BUSY_S) as writer:
                    writer.delete_runs([run_id])
                self.inbox.remove_run(run_id)
                if lock is not None:
                    for path in files_of(self.journals, run_id):
                        disk.unlink(path)
        finally:
            if lock is not None:
                lock.release()

    def close(self, *, at_exit: bool = False) -> None:
        """Release all runs and stop the folding thread."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.stop()
        for run_id in list(self.ledgers):
            with contextlib.suppress(Exception if at_exit else ()):
                self.release(run_id)


def _sync(path: Path) -> None:
    """Sync a journal that another process has written, before anything is built on it."""
    fd = disk.open(path, os.O_RDWR)
    try:
        disk.sync(fd)
    finally:
        disk.close(fd)

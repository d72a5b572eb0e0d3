"""The files of a book: where they are, who is in them, what is read from them."""

from __future__ import annotations

import contextlib
import json
import secrets
import stat
import threading
import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import (
    BookBusyError,
    BookMismatchError,
    InvalidInputError,
    NotABookError,
    RunNotFoundError,
    StepbookError,
    StepbookWarning,
)
from ..model.rows import is_book_id
from ..system.console import asks_new
from ..system.interrupts import section
from ..system.locks import FileLock
from ..system.platform import disk, not_plain, read_plain, write_file
from ..system.refusals import NO_ROOM, refused, trouble, unusable
from .artifacts import Artifacts
from .inbox import Inbox, MemoryInbox
from .ledger import Ledger, State, run_from_header
from .lines import JournalFile, files_by_run, files_of, look, merge, read_files, read_header
from .tables.store import BUSY_S, Store

if TYPE_CHECKING:
    from pathlib import Path

    from .lines import Damage, Events
    from .tables.reader import Reader

FORMAT: Final = 1
OWN_S: Final = 1.0
_OPEN_S: Final = 10.0


class Found(NamedTuple):
    """A run that was recorded: what finds it again."""

    id: str
    loop: str
    key: str
    created_at: int


class Files:
    """The files of one book, as anybody may look at them.

    Args:
        path: the database file, absolute and resolved, or None for a book in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.store = Store(path)
        self.ledgers: dict[str, Ledger] = {}
        self.book_id = ""
        self.inbox: Inbox | MemoryInbox = MemoryInbox()
        self.artifacts: Artifacts | None = None
        self.lock = threading.RLock()
        self.folders: tuple[Path, ...] = ()
        if path is not None:
            self.home = path.with_name(path.name + ".d")
            self.journals = self.home / "journal"
            self.locks = self.home / "locks"
            self.inbox = Inbox(self.home / "inbox")
            self.artifacts = Artifacts(self.home / "artifacts", self.locks / "artifacts.lock")
            inside = (self.journals, self.locks, self.home / "inbox", self.artifacts.folder)
            #: Those that a book cannot do without.
            self._folders = inside
            #: From the outside in, so that none is looked at through a link.
            self.folders = (self.home, *inside, self.artifacts.folder / "work")

    # ---- creating ---------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether the book has been created."""
        return self.store.exists if self.path is None else self.path.exists() or self.home.exists()

    @property
    def has_folders(self) -> bool:
        """Whether something can be put beside the tables without creating anything first."""
        return self.path is None or all(folder.is_dir() for folder in self._folders)

    def check_folders(self) -> None:
        """Look whether the book's folders are folders.

        Raises:
            NotABookError: one is a link, or something else; nothing behind it was touched.
        """
        for folder in self.folders:
            error = not_plain(folder, stat.S_IFDIR)
            if error is not None:
                raise NotABookError(
                    f"{folder} is not used: {error.strerror}. Nothing behind it was read or "
                    "changed. Put a folder in its place (an empty one will do if you do not need "
                    "what the other held), or give another path to stepbook.connect(). To keep a "
                    "book elsewhere, move the database and its folder together, and link only the "
                    "database."
                )

    def ensure(self) -> bool:
        """Create what is missing; return whether the book is new.

        Raises:
            NotABookError: the path cannot hold a book.
        """
        self.check_folders()
        with section(self.lock, patient=False):
            whole = self.book_id and self.store.exists and self.has_folders
            return False if whole else self._create()

    def _create(self) -> bool:
        if self.path is None:
            self.book_id = "memory"
            new = not self.store.exists
            self.store.create(self.book_id)
            return new
        try:
            if self.path.exists():
                with self.store.reading():
                    pass  # refuses what is not a book, before anything is written beside it
            self._make_folders()
            with self.open_lock():
                new = not self.path.exists()
                book_id = self._identity()
                self.store.create(book_id)
                # Whoever created them may have died before this: nothing is recorded under names
                # that a power cut takes away.
                disk.sync_dir(self.home)
                disk.sync_dir(self.path.parent)
                self.book_id = book_id
        except StepbookError:
            raise
        except OSError as error:
            if error.errno in NO_ROOM:
                raise refused(f"the book {self.path}", error, "the book was not opened") from error
            raise NotABookError(
                f"a book cannot be created at {self.path}: {error.strerror} ({error.filename}). "
                "Give another path to stepbook.connect(), or set STEPBOOK_BOOK."
            ) from error
        return new

    def _make_folders(self) -> None:
        for folder in self._folders:
            disk.make_dirs(folder)
        with contextlib.suppress(FileExistsError):
            write_file(self.home / ".gitignore", b"*\n")

    def _identity(self) -> str:
        """Return the book's id: from book.json, else from the tables, else a new one.

        A book that this process has open keeps its id, whatever was lost.
        """
        assert self.path is not None  # noqa: S101 - only files have one
        recorded = None
        if self.path.exists():
            with self.store.reading() as reader:
                recorded = reader.meta()["book"]
        known = read_book_id(self._about)
        if known is None:
            known = recorded or self.book_id or secrets.token_hex(8)
            fresh = self._fresh_note(known)
            disk.rename(fresh, self._about)
        if recorded not in (None, known):
            raise BookMismatchError(
                f"{self.path} and {self.home} belong to different books ({recorded} and {known}), "
                "so nothing was changed. Put the database and its folder back together, or use "
                "another path."
            )
        return known

    def _restored_identity(self) -> str:
        """Return the id in book.json, put back if it was lost; without the open lock."""
        known = read_book_id(self._about)
        if known is None:
            fresh = self._fresh_note(self.book_id)
            try:
                with contextlib.suppress(FileExistsError):  # somebody else has been faster
                    disk.link(fresh, self._about)
            finally:
                disk.unlink(fresh)
            disk.sync_dir(self.home)
            known = read_book_id(self._about)
        return known or ""

    @property
    def _about(self) -> Path:
        return self.home / "book.json"

    def _fresh_note(self, book_id: str) -> Path:
        """Write a book.json under another name."""
        fresh = self.home / f".book.{secrets.token_hex(4)}.new"
        write_file(fresh, json.dumps({"book": book_id, "format": FORMAT}).encode() + b"\n")
        return fresh

    @contextlib.contextmanager
    def open_lock(self) -> Any:
        """Hold the open lock: nobody else finds, creates or delivers meanwhile."""
        if self.path is None:
            with section(self.lock):
                yield
            return
        with section():
            lock = FileLock.at(self.locks / "open.lock")
            held = lock.held(timeout=_OPEN_S)
            try:
                held.__enter__()
            except TimeoutError as error:
                raise BookBusyError(f"{error}. Try again when it is done.", pid=None) from error
            except OSError as error:
                raise trouble(f"the lock {lock.path}", error, "nothing was begun") from error
            try:
                yield
            finally:
                held.__exit__(None, None, None)

    # ---- finding ----------------------------------------------------------------------------

    def latest(self, loop: str, key: str | None) -> Found | None:
        """Return the newest run of *loop*, and of *key* if given, in tables and journals."""
        # Journals first: what is folded and removed meanwhile is then found in the tables.
        found = [run for run in self._unfolded() if run.loop == loop and key in (None, run.key)]
        if self.store.exists:
            with self.store.reading() as reader:
                recorded = reader.latest_run(loop, key)
            if recorded is not None:
                row = recorded.row
                found.append(Found(row.id, row.loop, row.key, row.created_at))
        return max(found, key=lambda run: (run.created_at, run.id), default=None)

    def _unfolded(self) -> list[Found]:
        """Return the runs that have journals."""
        rows = [ledger.state.run for ledger in self.ledgers.values()]
        found = [Found(row.id, row.loop, row.key, row.created_at) for row in rows]
        if self.path is None:
            return found
        names = look(self.journals)
        tell_damaged(names.damaged)
        for run_id, paths in names.files.items():
            if run_id in self.ledgers:
                continue
            header = next(filter(None, map(read_header, paths)), {})
            if header:
                if header.get("run") == run_id:
                    found.append(Found(run_id, header["loop"], header["key"], header["created_at"]))
            elif any(path.exists() for path in paths):  # else it was folded and removed just now
                _tell_unknown(run_id, paths)
        return found

    def ids(self, prefix: str = "") -> list[str]:
        """Return the ids of the runs that begin with *prefix*, sorted; of a whole id, it."""
        found = {run.id for run in self._unfolded() if run.id.startswith(prefix)}
        if self.path is not None:  # by its name also one of which the first line is damaged
            found |= set(files_by_run(self.journals, prefix))
        if prefix not in found and self.store.exists:
            with self.store.reading() as reader:
                found |= set(reader.run_ids(prefix))
        return sorted(found)

    def resolve(self, text: str) -> str:
        """Return the id of the run that is meant.

        Args:
            text: an id, the name of a loop (its latest run), or the beginning of only one id, also
                without ``run_``.

        Raises:
            RunNotFoundError: there is none, or there are several.
            InvalidInputError: *text* is no text.
        """
        if not isinstance(text, str) or not text:
            raise InvalidInputError(f"a run's id is a text such as run_7k2m9q4xw3hd, not {text!r}.")
        self.check_folders()
        prefix = text if text.startswith("run_") else f"run_{text}"
        ids = self.ids(prefix)
        if prefix in ids:
            return prefix
        latest = self.latest(text, None)
        if latest is not None:
            return latest.id
        if len(ids) == 1:
            return ids[0]
        if ids:
            some = ", ".join(ids[:5])
            raise RunNotFoundError(f"{text!r} begins {len(ids)} ids: {some}. Write more of it.")
        raise RunNotFoundError(
            f"there is no run and no loop {text!r} in {self.path}. `stepbook runs` and book.runs() "
            "list them."
        )

    # ---- reading one run --------------------------------------------------------------------

    def peek(self, run_id: str, timeout: float = BUSY_S) -> State:
        """Return what is recorded of a run, without owning it.

        Raises:
            RunNotFoundError: there is no such run.
        """
        ledger = self.ledgers.get(run_id)
        if ledger is not None:
            return ledger.state
        self.check_folders()
        # Journals first: what is folded and removed meanwhile is then found in the tables.
        files = self.journal_files(run_id, attempts=3)
        if not self.store.exists:
            return self.assemble(run_id, None, files)[0]
        with self.store.reading(timeout) as reader:
            return self.assemble(run_id, reader, files)[0]

    def peek_journals(self, run_id: str) -> State | None:
        """Return what the journals alone tell of a run, without the tables; None without any."""
        files = self.journal_files(run_id)
        readable = [file for file in files if file.header]
        if not readable:
            return None
        self._check_headers(run_id, readable)
        state = State(run_from_header(readable[0].header))
        state.apply_events(merge(files, readable[0].first - 1))
        return state

    def journal_files(self, run_id: str, attempts: int = 1) -> list[JournalFile]:
        """Return a run's journal files, read back; see :func:`read_files`.

        Raises:
            BookError: one cannot be read, or is not a plain file.
        """
        if self.path is None:
            return []
        try:
            return read_files(files_of(self.journals, run_id), attempts=attempts)
        except OSError as error:
            raise unusable(error) from error

    def _check_headers(self, run_id: str, files: list[JournalFile]) -> None:
        for file in files:
            if not file.header:
                continue
            if file.header.get("run") != run_id:
                raise BookMismatchError(
                    f"the journal {file.path} holds events of another run, "
                    f"{file.header.get('run')!r}, so nothing of it is used. Give the file back its "
                    "name, or move it elsewhere."
                )
            if self.book_id not in ("", file.header.get("book")):
                raise BookMismatchError(
                    f"the journal of run {run_id} in {self.journals} belongs to another book "
                    f"({file.header.get('book')}, this one is {self.book_id}). Nothing was folded. "
                    "Put the journals back beside their own database."
                )

    def assemble(
        self, run_id: str, reader: Reader | None, files: list[JournalFile]
    ) -> tuple[State, Events, int | None]:
        """Return a run's state, its events beyond the tables, and its number folded last."""
        recorded = reader.run(run_id) if reader is not None else None
        folded = 0 if recorded is None else recorded.folded_seq
        events = merge(files, folded)
        _tell_of(events)
        if recorded is None and not events.header:
            raise RunNotFoundError(
                f"there is no run {run_id!r} in {self.path}. `stepbook runs` lists them."
            )
        self._check_headers(run_id, files)
        if events.gap:
            raise self.gap(run_id, events.gap)
        state = State(recorded.row if recorded is not None else run_from_header(events.header))
        if reader is not None and recorded is not None:
            for step in reader.steps(run_id, state.budget):
                state.apply(step)
            for scan in reader.scans(run_id):
                state.apply(scan)
            if any(step.kind == "cell" for step in state.steps.values()):
                for cell in reader.cells(run_id, state.budget):
                    state.apply(cell)
        state.apply_events(events)
        return state, events, None if recorded is None else folded

    def gap(self, run_id: str, missing: int) -> BookMismatchError:
        """Return the error that says that the tables are older than a journal."""
        return BookMismatchError(
            f"the database {self.path} is older than the journal of run {run_id} by {missing} "
            "events: it was lost, or restored from an older copy. Nothing was folded over the gap. "
            "Restore the database that belongs to these journals, or start the run over with "
            f"{asks_new.get()}."
        )


def read_book_id(about: Path) -> str | None:
    """Return the id that ``book.json`` tells; None if it is missing or tells none.

    Raises:
        NotABookError: it cannot be read, or is not a plain file.
    """
    try:
        known = json.loads(read_plain(about))["book"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotABookError(
            f"{about} cannot be read: {error.strerror}. It was left as it is. Remove it: it is "
            "made again from the tables."
        ) from error
    except (ValueError, KeyError, TypeError):
        return None
    return known if is_book_id(known) else None


def _tell_of(events: Events) -> None:
    """Tell of what is damaged.

    Raises:
        JournalDamagedError: events that had been synced are.
    """
    if events.damage is not None:
        raise events.damage.error()
    for garbled in events.garbled:
        _warn(about_garbled(garbled))


def tell_damaged(damaged: dict[str, list[Path]]) -> None:
    """Tell of the journals that were set aside."""
    for paths in damaged.values():
        for path in paths:
            _warn(about_damaged(path))


def about_damaged(path: Path) -> str:
    """Return what to say of a journal that was set aside."""
    old, _, _ = path.name.partition(".damaged")
    return (
        f"{path}: this journal was damaged and is kept under this name. Steps that it held and the "
        f"tables lack are executed again. To use it restore it from a backup as {old}; else "
        "remove it."
    )


def about_garbled(damage: Damage) -> str:
    """Return what to say of a journal of which the end cannot be read."""
    return (
        f"{damage.where}: what stands from here on is damaged and is not used. A step whose end "
        "stood there is executed again. The file is kept; restore it from a backup before you go "
        "on with the run."
    )


def _tell_unknown(run_id: str, paths: list[Path]) -> None:
    _warn(
        f"{paths[0]}: the first line of this journal is damaged, so it is not known which loop run "
        f"{run_id} is of. If it is the one that you open, its steps are executed again. Restore "
        "the file from a backup first; `stepbook doctor` lists what is readable."
    )


def _warn(text: str) -> None:
    warnings.warn(f"stepbook: {text}", StepbookWarning, stacklevel=3)

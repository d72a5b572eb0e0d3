"""The files of a book: where they are, who is in them, what is read from them."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ._artifacts import Artifacts
from ._errors import (
    BookBusyError,
    BookMismatchError,
    InvalidInputError,
    NotABookError,
    RunNotFoundError,
)
from ._inbox import Inbox, MemoryInbox
from ._interrupts import section
from ._journal_format import files_by_run, files_of, merge, read_files, read_header
from ._ledger import Ledger, State, run_from_header
from ._locks import FileLock
from ._platform import disk, write_file
from ._store import BUSY_S, Store
from ._tell import asks_new

if TYPE_CHECKING:
    from pathlib import Path

    from ._journal_format import Events
    from ._reader import Reader

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
        if path is not None:
            self.home = path.with_name(path.name + ".d")
            self.journals = self.home / "journal"
            self.locks = self.home / "locks"
            self.inbox = Inbox(self.home / "inbox")
            self.artifacts = Artifacts(self.home / "artifacts", self.locks / "artifacts.lock")

    # ---- creating ---------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether the book has been created."""
        return self.store.exists if self.path is None else self.path.exists() or self.home.exists()

    @property
    def has_folders(self) -> bool:
        """Whether something can be put beside the tables without creating anything first."""
        return self.path is not None and self.locks.exists()

    def ensure(self) -> bool:
        """Create what is missing; return whether the book is new.

        Raises:
            NotABookError: the path cannot hold a book.
        """
        with section(self.lock, patient=False):
            return False if self.book_id and self.store.exists else self._create()

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
            for name in ("journal", "locks", "inbox", "artifacts"):
                disk.make_dirs(self.home / name)
            if not (self.home / ".gitignore").exists():
                (self.home / ".gitignore").write_text("*\n")
        except OSError as error:
            raise NotABookError(
                f"a book cannot be created at {self.path}: {error.strerror} ({error.filename}). "
                "Give another path to stepbook.connect(), or set STEPBOOK_BOOK."
            ) from error
        with self.open_lock():
            new = not self.path.exists()
            book_id = self._identity()
            self.store.create(book_id)
            # Whoever created them may have died before this: nothing is recorded under names that
            # a power cut takes away.
            disk.sync_dir(self.home)
            disk.sync_dir(self.path.parent)
            self.book_id = book_id
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
            with section(self.lock):
                yield
            return
        with section():
            held = FileLock.at(self.locks / "open.lock").held(timeout=_OPEN_S)
            try:
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
        # Journals first: what is folded and removed meanwhile is then found in the tables.
        files = [] if self.path is None else read_files(files_of(self.journals, run_id), attempts=3)
        if not self.store.exists:
            return self.assemble(run_id, None, files)[0]
        with self.store.reading(timeout) as reader:
            return self.assemble(run_id, reader, files)[0]

    def peek_journals(self, run_id: str) -> State | None:
        """Return what the journals alone tell of a run, without the tables; None without any."""
        files = [] if self.path is None else read_files(files_of(self.journals, run_id))
        readable = [file for file in files if file.header]
        if not readable:
            return None
        state = State(run_from_header(readable[0].header))
        state.apply_events(merge(files, readable[0].first - 1))
        return state

    def assemble(
        self, run_id: str, reader: Reader | None, files: list[Any]
    ) -> tuple[State, Events, int | None]:
        """Return a run's state, its events beyond the tables, and its number folded last."""
        recorded = reader.run(run_id) if reader is not None else None
        folded = 0 if recorded is None else recorded.folded_seq
        events = merge(files, folded)
        if events.damage is not None:
            raise events.damage.error()
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
        return BookMismatchError(
            f"the database {self.path} is older than the journal of run {run_id} by {missing} "
            "events: it was lost, or restored from an older copy. Nothing was folded over the gap. "
            "Restore the database that belongs to these journals, or start the run over with "
            f"{asks_new.get()}."
        )

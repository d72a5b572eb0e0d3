"""Where a book is, and what it consists of: files beside a database, or memory."""

from __future__ import annotations

import contextlib
import secrets
import stat
import threading
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

from ..errors import BookMismatchError, JournalWriteError, NotABookError, StepbookError
from ..model.rows import is_book_id, is_run_id
from ..system.platform import disk, may_write, not_plain, read_plain, write_file
from ..system.refusals import NO_ROOM, PENDING, refusals, refused
from .artifacts import Artifacts
from .inbox import Inbox
from .journals import FileJournals
from .locks import FileLocks, note
from .memory import MemoryHome
from .tables.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from .ports import Home, RunLock

FORMAT: Final = 1


def at(path: Path | None) -> Home:
    """Return what the book at *path* consists of.

    Args:
        path: the database file, absolute and resolved, or None for a book in memory.
    """
    return MemoryHome() if path is None else FileHome(path)


class FileHome:
    """A database file and the folder beside it.

    Args:
        path: the database file, absolute and resolved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.with_name(path.name + ".d")
        self.lock = threading.RLock()
        self.tables = Store(path)
        self.journals = FileJournals(self.folder / "journal")
        self.inbox = Inbox(self.folder / "inbox")
        self.locks = FileLocks(self.folder / "locks")
        self.artifacts = Artifacts(self.folder / "artifacts", self.locks.folder / "artifacts.lock")
        #: What book.json is to say of secrets, where it is written again.
        self._redact: Any = None
        #: Those that a book cannot do without.
        self._needed = (
            self.journals.folder,
            self.locks.folder,
            self.inbox.folder,
            self.artifacts.folder,
        )
        #: From the outside in, so that none is looked at through a link.
        self.folders = (self.folder, *self._needed, self.artifacts.folder / "work")

    @property
    def exists(self) -> bool:
        """Whether the book has been created."""
        return self.path.exists() or self.folder.exists()

    @property
    def has_folders(self) -> bool:
        """Whether something can be put beside the tables without creating anything first."""
        return all(folder.is_dir() for folder in self._needed)

    @property
    def read_only(self) -> str:
        """What of the book this process may not write to; empty if it can record there.

        A share, an archive, a container's image, or the book of a colleague.
        """
        if not self.exists:
            return ""
        needed = (self.path.parent, self.path, self.folder, *self._needed)
        there = (path for path in needed if path.exists())
        return next((str(path) for path in there if not may_write(path)), "")

    def read_id(self) -> str:
        """Return the id that ``book.json`` tells; empty if it tells none."""
        return read_book_id(self.about) or ""

    @property
    def redact(self) -> Any:
        """What ``book.json`` says of secrets; what it said last if it is gone.

        Raises:
            NotABookError: it cannot be read, or something else is in the place of the book's
                folders.
        """
        self.check()  # nothing behind a link is read
        about = _read_about(self.about)
        if about is not None:
            self._redact = about.get("redact")
        return self._redact

    def set_redact(self, settings: Any) -> None:
        """Have ``book.json`` say this of secrets; without one, it is created with it."""
        book_id = self.read_id()
        self._redact = settings
        if book_id:
            with refusals(f"the settings of the book {self.path}", PENDING):
                disk.rename(self._fresh_note(book_id), self.about)
                disk.sync_dir(self.folder)

    def check(self) -> None:
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

    def create(self, known: str) -> tuple[str, bool]:
        """Create what is missing; return the book's id, and whether it is new.

        Args:
            known: the id that this process knows the book by, or nothing.

        Raises:
            NotABookError: the path cannot hold a book.
        """
        try:
            # A blank database beside a book's folder stands where that has lost its own.
            if self.path.exists() and not (self.tables.is_blank and (known or self.about.exists())):
                with self.tables.reading():
                    pass  # refuses what is not a book, before anything is written beside it
            self._make_folders()
            with self.locks.open_lock():
                new = not self.tables.exists
                book_id = self._identity(known)
                self.tables.create(book_id)
                # Whoever created them may have died before this: nothing is recorded under names
                # that a power cut takes away.
                disk.sync_dir(self.folder)
                disk.sync_dir(self.path.parent)
                return book_id, new
        except StepbookError:
            raise
        except OSError as error:
            if error.errno in NO_ROOM:
                raise refused(f"the book {self.path}", error, "the book was not opened") from error
            raise NotABookError(
                f"a book cannot be created at {self.path}: {error.strerror} ({error.filename}). "
                "Give another path to stepbook.connect(), or set STEPBOOK_BOOK."
            ) from error

    def restore(self, run_id: str, lock: RunLock, base: int, known: str) -> None:
        """Make sure that a journal of *run_id* can be found, since one could not be any more.

        Without any lock: it is called in the middle of recording.

        Args:
            run_id: the run.
            lock: its lock, which may have lost its name, too.
            base: the last event that the journal cannot begin with.
            known: the book's id.

        Raises:
            JournalWriteError: the record would not be whole.
        """
        lost = f"the journal of run {run_id} in {self.journals.folder} has lost its name"
        if not self.path.parent.is_dir():
            raise JournalWriteError(
                f"{lost}, and so has the folder {self.path.parent}. What is recorded waits until "
                "it is there again. If you moved it, move it back, or restart this process and "
                "open the book at its new place.",
                path=str(self.path),
            )
        if base and not self.tables.exists:
            raise JournalWriteError(
                f"{lost}, and the database {self.path} is gone with the first {base} events of "
                "the run, which were only there. Put the database back from a backup, then run "
                "the step again, or start over with a new run.",
                path=str(self.path),
            )
        with refusals(f"the folder {self.folder}", PENDING):
            self._make_folders()
            found = self._restored_identity(known)
            kept = lock.regain(note())
        if not kept:
            raise JournalWriteError(
                f"{lost}, and so has its lock: {lock.describe_holder()} has opened the run "
                "meanwhile. Nothing more is recorded here. Close it there, then restart this "
                "process and run the step again.",
                path=str(self.path),
            )
        if found != known:
            raise JournalWriteError(
                f"{lost}, and another book ({found}, this one is {known}) was created at "
                f"{self.path}. Nothing was written into it. Restart this process; it then records "
                "in that book.",
                path=str(self.path),
            )

    def forget(self, run_id: str) -> None:
        """Remove what attempts of a run have left in their workspaces."""
        self.artifacts.forget(run_id)

    def left(self) -> set[str]:
        """Return the runs that have something besides tables and journals: locks, slots, work."""
        found = (*self.locks.runs(), *self.inbox.runs(), *self.artifacts.runs())
        return {run_id for run_id in found if is_run_id(run_id)}

    def prune(self, references: Callable[[], Iterable[str]]) -> None:
        """Remove the artifacts that nothing refers to; see :meth:`Artifacts.prune`."""
        self.artifacts.prune(references)

    def _make_folders(self) -> None:
        for folder in self._needed:
            disk.make_dirs(folder)
        with contextlib.suppress(FileExistsError):
            write_file(self.folder / ".gitignore", b"*\n")

    def _identity(self, known: str) -> str:
        """Return the book's id: from book.json, else from the tables, else a new one.

        Args:
            known: the id of a book that this process has open, which keeps it whatever was lost.
        """
        recorded = None
        if self.tables.exists:
            with self.tables.reading() as reader:
                recorded = reader.meta()["book"]
        told = read_book_id(self.about)
        if told is None:
            told = recorded or known or secrets.token_hex(8)
            fresh = self._fresh_note(told)
            disk.rename(fresh, self.about)
        if recorded not in (None, told):
            raise BookMismatchError(
                f"{self.path} and {self.folder} belong to different books ({recorded} and {told}), "
                "so nothing was changed. Put the database and its folder back together, or use "
                "another path."
            )
        return told

    def _restored_identity(self, book_id: str) -> str:
        """Return the id in book.json, put back if it was lost; without the open lock."""
        known = read_book_id(self.about)
        if known is None:
            fresh = self._fresh_note(book_id)
            try:
                with contextlib.suppress(FileExistsError):  # somebody else has been faster
                    disk.link(fresh, self.about)
            finally:
                disk.unlink(fresh)
            disk.sync_dir(self.folder)
            known = read_book_id(self.about)
        return known or ""

    @property
    def about(self) -> Path:
        """The file that tells the book's id."""
        return self.folder / "book.json"

    def _fresh_note(self, book_id: str) -> Path:
        """Write a book.json under another name."""
        fresh = self.folder / f".book.{secrets.token_hex(4)}.new"
        about: dict[str, Any] = {"book": book_id, "format": FORMAT}
        if self._redact is not None:
            about["redact"] = self._redact
        write_file(fresh, dumps(about).encode() + b"\n")
        return fresh


def read_book_id(about: Path) -> str | None:
    """Return the id that ``book.json`` tells; None if it is missing or tells none.

    Raises:
        NotABookError: it cannot be read, or is not a plain file.
    """
    known = (_read_about(about) or {}).get("book")
    return known if is_book_id(known) else None


def _read_about(about: Path) -> dict[str, Any] | None:
    """Return what ``book.json`` tells; None if it is missing or tells nothing."""
    try:
        told = loads(read_plain(about))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotABookError(
            f"{about} cannot be read: {error.strerror}. It was left as it is. Remove it: it is "
            "made again from the tables."
        ) from error
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None

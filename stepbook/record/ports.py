"""What the records need of whoever stores them: tables, journals, slots, locks, a home of these.

Files are one adapter (:mod:`.home`), memory is another (:mod:`.memory`); which of them a book has
is decided in :func:`.home.at` and asked nowhere else. ``tests/record/test_ports.py`` holds both to
one contract. Artifacts have a protocol of their own, :class:`stepbook.model.blobs.Blobs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ..model.blobs import Blobs
    from ..model.rows import Row
    from ..system.platform import Identity
    from .inbox import Delivery
    from .lines import JournalFile, Names
    from .tables.overlay import Unfolded
    from .tables.reader import Reader
    from .tables.store import Writer


class Tables(Protocol):
    """The rows that anybody can query."""

    @property
    def connected(self) -> threading.RLock:
        """Held while they are open here; a fork waits for it."""

    @property
    def exists(self) -> bool:
        """Whether there are tables to read."""

    def create(self, book_id: str) -> None:
        """Create the tables, whole or not at all; nothing if they exist."""

    @property
    def beyond(self) -> Callable[[], list[Unfolded]] | None:
        """Gives what the tables lack, where nobody may fold it."""

    @beyond.setter
    def beyond(self, give: Callable[[], list[Unfolded]]) -> None: ...

    def reading(self, timeout: float = ...) -> AbstractContextManager[Reader]:
        """Open them for reading, for a block: it sees all that was written before."""

    def kept_open(self) -> AbstractContextManager[None]:
        """Share what is opened between all that this thread reads in a block."""

    def writing(self, timeout: float) -> AbstractContextManager[Writer]:
        """Open them for writing, for a block; each change is there whole or not at all."""

    def close(self) -> None:
        """Let go of what is kept between two uses."""


class Journal(Protocol):
    """The events of one run that its owner writes."""

    left: bool

    @property
    def first(self) -> int:
        """The number of the first event that it can still give."""

    @property
    def synced_seq(self) -> int:
        """The number of the last event that is durable."""

    @property
    def pending(self) -> bool:
        """Whether something was appended that is not yet durable."""

    @property
    def unfolded(self) -> bool:
        """Whether there are events that :meth:`mark_folded` has not passed."""

    @property
    def identities(self) -> set[Identity]:
        """The files that it has written, as nothing else can be taken for them."""

    def append(self, row: Row, *, durable: bool) -> int:
        """Queue one event and return its number; a durable one takes effect with its sync."""

    def sync(self, seq: int | None = None) -> None:
        """Return when the event *seq* (without it: all that was appended) is durable."""

    def read_unfolded(self, limit: int) -> list[bytes]:
        """Return durable lines that :meth:`mark_folded` has not passed, at least one if any are.

        Args:
            limit: about how many bytes to return at the most.
        """

    def mark_folded(self, lines: list[bytes]) -> None:
        """Say that *lines*, as :meth:`read_unfolded` returned them, are in the tables."""

    def mark_unfolded(self) -> None:
        """Say that the tables have lost what they had: what it can still give is given again."""

    def secure(self) -> None:
        """Make sure that what it holds can be found, or raise JournalWriteError."""

    def close(self) -> None:
        """Let go of it; what is pending must be durable."""


class Journals(Protocol):
    """The journals of a book."""

    @property
    def folder(self) -> Path:
        """Where they are, for messages."""

    def begin(
        self,
        run_id: str,
        header: dict[str, Any],
        synced: int,
        apply: Callable[[Row], None],
        restore: Callable[[int], list[bytes]],
    ) -> Journal:
        """Begin a journal behind all that the run has; see :class:`.journal.Journal`."""

    def look(self) -> Names:
        """Return what is there, by run."""

    def paths(self, run_id: str) -> list[Path]:
        """Return what a run has, in the order it was written."""

    def read(self, run_id: str, attempts: int = ...) -> list[JournalFile]:
        """Read what a run has; bad content is described, not raised."""

    def sync(self, run_id: str) -> None:
        """Make durable what a run has, whoever has written it."""

    def unlink(self, path: Path) -> None:
        """Remove one that :meth:`look` or :meth:`paths` has named; OSError if that is refused."""

    def remove(self, run_id: str) -> None:
        """Remove all that a run has; durable on return."""

    def texts(self) -> Iterator[str]:
        """Yield what all of them hold, for a search."""


class Inbox(Protocol):
    """The slots that payloads are delivered to; whoever fills one first has decided."""

    def claim(self, run_id: str, step: str, session: int, content: Delivery) -> bool:
        """Fill the slot and return True, or False if it is filled; durable on return."""

    def read(self, run_id: str, step: str, session: int) -> Delivery | None:
        """Return what the slot holds, or None."""

    def remove(self, run_id: str, step: str, session: int) -> None:
        """Empty a slot."""

    def remove_run(self, run_id: str) -> None:
        """Empty all slots of a run."""


class RunLock(Protocol):
    """A run that is held: nobody else has it until :meth:`release`."""

    @property
    def path(self) -> Path:
        """Where it is, for messages."""

    @property
    def previous(self) -> dict[str, Any]:
        """What the owner before has said of itself."""

    def regain(self, note: dict[str, Any]) -> bool:
        """Whether it is still ours alone; made sure of again where that is possible."""

    def describe_holder(self) -> str:
        """Return words for who holds it."""

    def remove(self) -> None:
        """Leave nothing of it behind: its run is gone. The last thing before :meth:`release`."""

    def release(self) -> None:
        """Give it back; nothing if it is not held."""


class Locks(Protocol):
    """Who may do what: one owner for each run, one at a time who finds, creates or delivers."""

    def open_lock(self) -> AbstractContextManager[None]:
        """Hold the open lock for a block."""

    def take(self, run_id: str, timeout: float) -> RunLock:
        """Own a run, and say so to others; in a section.

        Raises:
            RunInUseError: somebody else still owns it after *timeout* seconds.
        """

    def take_free(self, run_id: str) -> RunLock | None:
        """Own a run for a moment if nobody does, without saying so; in a section."""


class Home(Protocol):
    """One book's tables, journals, slots, locks and artifacts, and their being there."""

    @property
    def path(self) -> Path | None:
        """The database file; None without one."""

    @property
    def lock(self) -> threading.RLock:
        """What threads of this process exclude each other by."""

    @property
    def tables(self) -> Tables:
        """Its tables."""

    @property
    def journals(self) -> Journals:
        """Its journals."""

    @property
    def inbox(self) -> Inbox:
        """Its slots."""

    @property
    def locks(self) -> Locks:
        """Its locks."""

    @property
    def artifacts(self) -> Blobs | None:
        """The files of its values; None where values have none."""

    @property
    def exists(self) -> bool:
        """Whether the book has been created."""

    @property
    def has_folders(self) -> bool:
        """Whether something can be put beside the tables without creating anything first."""

    @property
    def read_only(self) -> str:
        """What of it cannot be written to by this process; empty if it can be recorded in."""

    def read_id(self) -> str:
        """Return the id that it tells without its tables; empty if it tells none."""

    @property
    def redact(self) -> Any:
        """What the book's settings say of secrets, as JSON; None for nothing."""

    def set_redact(self, settings: Any) -> None:
        """Have them say this; a book that is not there yet is created with it."""

    def check(self) -> None:
        """Raise NotABookError if something else is in the place of what it uses."""

    def create(self, known: str) -> tuple[str, bool]:
        """Create what is missing; return the book's id, and whether it is new.

        Args:
            known: the id that this process knows the book by, or nothing.
        """

    def restore(self, run_id: str, lock: RunLock, base: int, known: str) -> None:
        """Make sure that a journal of a run can be found, since one could not be any more."""

    def forget(self, run_id: str) -> None:
        """Remove what attempts of a run have left unfinished."""

    def left(self) -> set[str]:
        """Return the runs that have something besides tables and journals: locks, slots, work."""

    def prune(self, references: Callable[[], Iterable[str]]) -> None:
        """Remove the artifacts that nothing refers to; OSError if that is refused."""

"""A book without files: everything is in the memory of one process, and ends with it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..system.interrupts import allowed, section
from .lines import Names, event, seal_event
from .locks import in_use
from .tables.reader import Reader
from .tables.store import BUSY_S, Writer, in_memory, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import duckdb

    from ..model.rows import Row
    from ..system.platform import Identity
    from .inbox import Delivery
    from .lines import JournalFile
    from .ports import RunLock
    from .tables.overlay import Unfolded

#: What messages call the place of such a book.
_NOWHERE: Final = Path(":memory:")
_POLL_S: Final = 0.01


class MemoryHome:
    """What a book in memory consists of."""

    def __init__(self) -> None:
        self.path = None
        self.lock = threading.RLock()
        self.tables = MemoryTables()
        self.journals = MemoryJournals()
        self.inbox = MemoryInbox()
        self.locks = MemoryLocks(self.lock)
        self.artifacts = None
        self._redact: Any = None

    @property
    def exists(self) -> bool:
        """Whether the book has been created."""
        return self.tables.exists

    @property
    def has_folders(self) -> bool:
        """Return True: it needs none."""
        return True

    @property
    def read_only(self) -> str:
        """Return nothing: it can be written to."""
        return ""

    def read_id(self) -> str:
        """Return nothing."""
        return ""

    @property
    def redact(self) -> Any:
        """What was set."""
        return self._redact

    def set_redact(self, settings: Any) -> None:
        """Keep it."""
        self._redact = settings

    def check(self) -> None:
        """Do nothing: nothing else can be in its place."""

    def create(self, known: str) -> tuple[str, bool]:
        """Create the tables; return the book's id, and whether it is new."""
        new, book_id = not self.tables.exists, known or "memory"
        self.tables.create(book_id)
        return book_id, new

    def restore(self, run_id: str, lock: RunLock, base: int, known: str) -> None:
        """Do nothing: nobody can take a journal away."""

    def forget(self, run_id: str) -> None:
        """Do nothing: an attempt can leave no file."""

    def left(self) -> set[str]:
        """Return nothing: what belongs to a run goes with it."""
        return set()

    def prune(self, references: Callable[[], Iterable[str]]) -> None:
        """Do nothing: there are no artifacts."""


class MemoryTables:
    """Tables in a DuckDB database that has no file."""

    def __init__(self) -> None:
        self.connected = threading.RLock()
        self.beyond: Callable[[], list[Unfolded]] | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._name = ""

    @property
    def exists(self) -> bool:
        """Whether there are tables to read."""
        return self._connection is not None

    def create(self, book_id: str) -> None:
        """Create the tables; nothing if they exist."""
        with section(self.connected):
            if self._connection is None:
                self._connection, self._name = in_memory(book_id)

    @contextlib.contextmanager
    def reading(self, timeout: float = BUSY_S) -> Iterator[Reader]:  # noqa: ARG002 - never busy
        """Open the tables for reading, for the length of a block."""
        with self._open() as connection:
            yield Reader(connection)

    @contextlib.contextmanager
    def kept_open(self) -> Iterator[None]:
        """Do nothing: opening costs nothing."""
        yield

    @contextlib.contextmanager
    def writing(self, timeout: float) -> Iterator[Writer]:  # noqa: ARG002 - never busy
        """Open the tables for writing, for the length of a block."""
        with translated(_NOWHERE), self._open() as connection:
            yield Writer(connection, self._name)

    @contextlib.contextmanager
    def _open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with section(self.connected):
            assert self._connection is not None  # noqa: S101 - create() comes first
            yield self._connection

    def close(self) -> None:
        """Drop the tables."""
        with section(self.connected):
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class MemoryJournals:
    """Journals of which nothing is left when their owner lets go of them."""

    folder = _NOWHERE

    def begin(
        self,
        run_id: str,  # noqa: ARG002 - this and the others: nothing is named by them here
        header: dict[str, Any],  # noqa: ARG002
        synced: int,
        apply: Callable[[Row], None],
        restore: Callable[[int], list[bytes]],  # noqa: ARG002
    ) -> MemoryJournal:
        """Begin a journal behind number *synced*."""
        return MemoryJournal(synced, apply)

    def look(self) -> Names:
        """Return nothing."""
        return Names({}, {}, {}, [])

    def paths(self, run_id: str) -> list[Path]:  # noqa: ARG002
        """Return nothing."""
        return []

    def read(self, run_id: str, attempts: int = 1) -> list[JournalFile]:  # noqa: ARG002
        """Return nothing."""
        return []

    def sync(self, run_id: str) -> None:
        """Do nothing."""

    def unlink(self, path: Path) -> None:
        """Do nothing: :meth:`paths` has named nothing."""

    def remove(self, run_id: str) -> None:
        """Do nothing."""

    def texts(self) -> Iterator[str]:
        """Yield nothing."""
        yield from ()


class MemoryJournal:
    """The events of one run, until they are in the tables."""

    def __init__(self, synced: int, apply: Callable[[Row], None]) -> None:
        self.left = False
        self.synced_seq = synced
        self._apply = apply
        self._queue: deque[tuple[Row, bool]] = deque()
        self._lines: list[bytes] = []
        self._lock = threading.Lock()

    @property
    def first(self) -> int:
        """The number of the first event that is still here."""
        return self.synced_seq - len(self._lines) + 1

    @property
    def pending(self) -> bool:
        """Whether something was appended that :meth:`sync` has not passed."""
        return bool(self._queue)

    @property
    def unfolded(self) -> bool:
        """Whether there are events that :meth:`mark_folded` has not passed."""
        return bool(self._queue or self._lines)

    @property
    def identities(self) -> set[Identity]:
        """Return nothing: there are no files."""
        return set()

    def append(self, row: Row, *, durable: bool) -> int:
        """Queue one event and return its number; a durable one takes effect with :meth:`sync`."""
        with section(self._lock):
            self._queue.append((row, durable))
            if not durable:
                self._apply(row)
            return self.synced_seq + len(self._queue)

    def sync(self, seq: int | None = None) -> None:  # noqa: ARG002 - all at once is as cheap
        """Have all that was appended take effect."""
        with section(self._lock):
            while self._queue:
                row, durable = self._queue[0]
                if durable:
                    self._apply(row)
                number = self.synced_seq + 1
                line = seal_event(number, self.synced_seq, event(row))
                self._lines.append(line[:-1])
                self.synced_seq = number
                self._queue.popleft()
            self.left = False

    def read_unfolded(self, limit: int) -> list[bytes]:  # noqa: ARG002 - they are in memory anyway
        """Return the lines that :meth:`mark_folded` has not passed."""
        with section(self._lock):
            return list(self._lines)

    def mark_folded(self, lines: list[bytes]) -> None:
        """Say that *lines* are in the tables: nobody needs them any more."""
        with section(self._lock):
            del self._lines[: len(lines)]

    def mark_unfolded(self) -> None:
        """Do nothing: what is still here has not been folded."""

    def secure(self) -> None:
        """Do nothing: nobody can take it away."""

    def close(self) -> None:
        """Do nothing."""


class MemoryInbox:
    """The slots of a book in memory."""

    def __init__(self) -> None:
        self._slots: dict[tuple[str, str, int], Delivery] = {}
        self._lock = threading.Lock()

    def claim(self, run_id: str, step: str, session: int, content: Delivery) -> bool:
        """Create the slot and return True, or False if it exists."""
        with section(self._lock):
            return self._slots.setdefault((run_id, step, session), content) is content

    def read(self, run_id: str, step: str, session: int) -> Delivery | None:
        """Return what the slot holds, or None while it does not exist."""
        return self._slots.get((run_id, step, session))

    def remove(self, run_id: str, step: str, session: int) -> None:
        """Remove a slot."""
        self._slots.pop((run_id, step, session), None)

    def remove_run(self, run_id: str) -> None:
        """Remove all slots of a run."""
        with section(self._lock):
            for key in [key for key in self._slots if key[0] == run_id]:
                del self._slots[key]


class MemoryLocks:
    """Who holds which run, among the threads of one process.

    Args:
        mutex: what the open lock is.
    """

    def __init__(self, mutex: threading.RLock) -> None:
        self._mutex = mutex
        self._held: dict[str, MemoryLock] = {}

    @contextlib.contextmanager
    def open_lock(self) -> Iterator[None]:
        """Hold the open lock for a block."""
        with section(self._mutex):
            yield

    def take(self, run_id: str, timeout: float) -> MemoryLock:
        """Own a run; in a section.

        Raises:
            RunInUseError: it is still owned after *timeout* seconds.
        """
        deadline = time.monotonic() + timeout
        while (lock := self.take_free(run_id)) is None:
            if time.monotonic() >= deadline:
                raise in_use(run_id, "this process", None)
            with allowed():
                time.sleep(_POLL_S)
        return lock

    def take_free(self, run_id: str) -> MemoryLock | None:
        """Own a run if nobody does; in a section."""
        lock = MemoryLock(run_id, self._held)
        return lock if self._held.setdefault(run_id, lock) is lock else None


class MemoryLock:
    """A run that is held."""

    path = _NOWHERE

    def __init__(self, run_id: str, held: dict[str, MemoryLock]) -> None:
        self.previous: dict[str, Any] = {}
        self._run_id = run_id
        self._held = held

    def regain(self, note: dict[str, Any]) -> bool:  # noqa: ARG002 - nobody can take it away
        """Whether it is still held."""
        return self._held.get(self._run_id) is self

    def describe_holder(self) -> str:
        """Return words for who holds it."""
        return "this process"

    def remove(self) -> None:
        """Do nothing: there is no file."""

    def release(self) -> None:
        """Give it back."""
        if self._held.get(self._run_id) is self:
            del self._held[self._run_id]

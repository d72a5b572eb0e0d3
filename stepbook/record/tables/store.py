"""The DuckDB tables: create, read, fold. The only module that imports duckdb.

A connection is opened for one piece of work and closed again, so that others can open the file.
Folds and reads that meet a busy database wait; what waits how long is the caller's to say.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, Final

from ...errors import BookBusyError, BookError, NotABookError, StepbookWarning
from ...model.rows import RUN_CREATED
from ...system.interrupts import allowed, load, section
from ...system.platform import describe_process, disk
from ...system.refusals import refused
from .catalogue import (
    add_what_came_later,
    look_up_built_ins_first,
    quoted,
    schema_of,
    strange_ids,
)
from .columns import OF_RUNS
from .fold import BEGIN, FOLD, STAGE
from .looking import look_apart
from .opening import (
    State,
    beside,
    check_files,
    check_header,
    gone,
    holder_of,
    is_blank,
    is_same_file,
    says_held,
    state_of,
)
from .overlay import Unfolded, lay_over
from .reader import Reader
from .schema import CREATE_META, MIGRATIONS, SCHEMA_VERSION
from .vouched import note, noted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import duckdb

#: Every supported version of DuckDB opens a file of this storage version.
STORAGE_VERSION: Final = "v1.2.0"
BUSY_S: Final = 5.0
POLL_S: Final = 0.05
_PID: Final = re.compile(r"\(PID (\d+)\)")
_NEW_TABLE: Final = re.compile(r"\A\s*CREATE TABLE ")


class Store:
    """One book's tables.

    Args:
        path: the database file, absolute and resolved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Held while a connection is open here. A fork waits for it, so that no child inherits
        #: an open database: closing it there could lose the parent's rows.
        self.connected = threading.RLock()
        self._kept = threading.local()
        #: The file as this process has left it, and the schema that it then had: as long as it is
        #: so, nobody has put anything else into it. For the processes that come, it is noted
        #: (:mod:`.vouched`).
        self._left: State | None = None
        self._schema = 0
        #: The file as it was looked at, or as nobody could look at it; and whether it passed.
        self._looked: State | None = None
        self._passed = False
        #: Until when nobody looks, since others hold the file; and what was said of them.
        self._held = (0.0, "")
        self._name = ""  # that the database has in SQL
        self._told: list[str] = []
        #: Gives what the tables lack, where nobody may fold it; asked before they are opened.
        self.beyond: Callable[[], list[Unfolded]] | None = None

    # ---- creating ---------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether there are tables to read, or what else is not to be touched."""
        return self.path.exists() and not self.is_blank

    @property
    def is_blank(self) -> bool:
        """Whether DuckDB has made the file, and nobody has put anything into it."""
        return is_blank(self.path)

    def create(self, book_id: str) -> None:
        """Create the tables, whole or not at all; nothing if they exist."""
        duckdb = load("duckdb")

        if self.exists:
            return
        if self.path.exists():
            self._fill(book_id)
            return
        fresh = self.path.with_name(f".{self.path.name}.{book_id}.new")
        left = (
            fresh,
            beside(fresh, ".wal"),
            beside(self.path, ".wal"),
        )  # a log without its database
        with section(self.connected, patient=False):
            for path in left:
                _remove(path)
            try:
                _create_file(fresh, book_id)
            except duckdb.Error as error:
                for path in left:
                    _remove(path)
                raise refused(
                    f"the database {self.path}", OSError(_first_line(error)), "nothing was begun"
                ) from error
            disk.rename(fresh, self.path)
            self._left, self._schema = state_of(self.path), SCHEMA_VERSION
            note(self.path, self._left)

    def _fill(self, book_id: str) -> None:
        """Create the tables in a blank database: others may have it open, so it stays where it is.

        Raises:
            BookBusyError: they hold it.
        """
        with (
            section(self.connected, patient=False),
            contextlib.closing(self._open(self.path, read_only=False)) as connection,
        ):
            _create(connection, book_id)
            connection.execute("CHECKPOINT")

    # ---- connections ------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self, timeout: float = BUSY_S, *, bare: bool = False) -> Iterator[Reader]:
        """Open the tables for reading, for the length of a block.

        Args:
            timeout: seconds to wait while others hold the database.
            bare: leave out what only the journals hold, also where it cannot be folded.

        Raises:
            BookBusyError: they still hold it then.
            NotABookError: the file is not a book, or holds more than one.
            BookMismatchError: the file is gone.
            BookVersionError: a newer stepbook has written it.
        """
        kept: Reader | None = getattr(self._kept, "reader", None)
        if kept is not None:
            yield kept
            return
        # Journals first: what is folded and removed meanwhile is then found in the tables.
        unfolded = [] if bare or self.beyond is None else self.beyond()
        with self._connection(timeout, read_only=True) as connection:
            if unfolded:
                lay_over(connection, self._name, self._schema, unfolded, self._into(connection))
            elif self._schema < SCHEMA_VERSION:
                add_what_came_later(connection, self._name, self._schema, MIGRATIONS)
            yield Reader(connection)

    def _into(self, connection: duckdb.DuckDBPyConnection) -> Callable[[Unfolded], None]:
        writer = Writer(connection, self._name)

        def fold(one: Unfolded) -> None:
            try:
                writer.fold(one.run_id, one.header, one.lines)
            except GapError as error:
                warnings.warn(
                    f"stepbook: {error.missing} events of run {one.run_id} between the tables "
                    "and its journal are missing, so what the journal holds is not shown.",
                    StepbookWarning,
                    stacklevel=2,
                )

        return fold

    @contextlib.contextmanager
    def kept_open(self) -> Iterator[None]:
        """Share one connection between all that this thread reads in a block.

        Opening the file costs more than most queries. Nothing is folded meanwhile.
        """
        if not self.exists or getattr(self._kept, "reader", None) is not None:
            yield
            return
        with self.reading() as reader:
            self._kept.reader = reader
            try:
                yield
            finally:
                self._kept.reader = None

    @contextlib.contextmanager
    def _connection(
        self, timeout: float, *, read_only: bool
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        deadline = time.monotonic() + timeout
        while True:
            with section(self.connected, patient=False), contextlib.ExitStack() as stack:
                found = check_files(self.path)
                if found != self._left:
                    check_header(self.path)
                try:
                    if found not in (self._left, self._looked):
                        self._look_apart(found)
                    connection = self._open(self.path, read_only=read_only)
                except BookBusyError:
                    if time.monotonic() >= deadline:
                        raise
                else:
                    stack.callback(self._leave, self.path, read_only=read_only)
                    stack.callback(connection.close)
                    if self.is_blank and (
                        self._schema or not is_same_file(found, state_of(self.path))
                    ):  # it has vanished, maybe since the look at it
                        self._left = None
                        raise gone(self.path)
                    self._accept(connection, found)
                    yield connection
                    return
            with allowed():
                time.sleep(POLL_S)

    def _look_apart(self, found: State) -> None:
        """Have a process of its own look at a file that none of this user's has left so.

        Raises:
            BookBusyError: somebody holds it, so that nobody can look.
            NotABookError: it must not be opened.
            BookVersionError: a newer stepbook has written it.
        """
        if noted(self.path) == found:
            return
        holder = holder_of(self.path)
        until, said = self._held
        began = time.monotonic()
        if holder is None and began >= until:
            told = look_apart(self.path, found)
            if raised := told.get("raised"):
                raise NotABookError(
                    f"{self.path} cannot be read as a book and was left untouched: "
                    f"{raised}. Check the path and its permissions, restore the file from a "
                    "backup, or give another path; what is still in "
                    f"{self.path.name}.d/journal is not lost."
                )
            said, self._passed = told.get("busy", ""), not told
            now = time.monotonic()
            if said:  # not again and again, if the system did not tell
                self._held = now + 4 * (now - began), said
            holder = int(match[1]) if (match := _PID.search(said)) else None
        if holder == os.getpid():
            said, self._passed = "", False  # it is open here already: nothing is kept away any more
        elif holder is not None:
            said = f"(PID {holder})"
        if said:
            raise self._explain(self.path, OSError(said))
        self._looked = found

    def _open(self, path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        duckdb = load("duckdb")

        try:
            try:
                return duckdb.connect(path, read_only=read_only)  # type: ignore[no-any-return]
            except duckdb.ConnectionException:
                # This kernel has its own connection of the other kind; share that instance.
                if read_only:
                    return duckdb.connect(path)  # type: ignore[no-any-return]
                raise
        except (duckdb.IOException, duckdb.ConnectionException, duckdb.BinderException) as error:
            raise self._explain(path, error) from None
        except duckdb.Error as error:
            raise NotABookError(
                f"{path} cannot be opened as a DuckDB database, so it is left untouched: "
                f"{_first_line(error)}. Give another path, or restore the file from a backup; "
                f"what is still in {path.name}.d/journal is not lost."
            ) from error

    @staticmethod
    def _explain(path: Path, error: Exception) -> Exception:
        text = str(error)
        if match := _PID.search(text):
            pid = int(match[1])
            return BookBusyError(
                f"{path} is held by {describe_process(pid)}. Close it there, or wait: what is "
                "recorded meanwhile goes to the journal and reaches the tables later.",
                pid=pid,
            )
        if "different configuration" in text or "Unique file handle" in text:
            return BookBusyError(
                f"{path} is open in this process with another configuration (read_only=True?). "
                "Close that connection, or open it with plain duckdb.connect(path).",
                pid=None,
            )
        if says_held(text):
            return BookBusyError(
                f"{path} is held by another process: {_first_line(error)}", pid=None
            )
        if path.is_dir():
            return NotABookError(
                f"{path} is a folder. Give the path of a file, e.g. {path}/stepbook.duckdb"
            )
        return NotABookError(
            f"{path} cannot be read as a DuckDB database and was left untouched: "
            f"{_first_line(error)}. Check the path and its permissions, or give another one."
        )

    def _accept(self, connection: duckdb.DuckDBPyConnection, found: State) -> None:
        """Make the connection safe to query; look at what it holds if others may have changed it.

        Raises:
            NotABookError: it is not a book, or holds more than one.
            BookVersionError: a newer stepbook has written it.
        """
        duckdb = load("duckdb")

        known, self._left = self._left, None
        try:
            self._name = look_up_built_ins_first(connection)
            if found != known:
                self._schema = schema_of(
                    connection, self._name, self.path, MIGRATIONS, duckdb.connect
                )
                self._tell(strange_ids(connection))
        except duckdb.Error as error:
            raise NotABookError(
                f"{self.path} cannot be read as a book and was left untouched: "
                f"{_first_line(error)}. Restore it from a backup, or give another path."
            ) from error
        self._left = found
        if self._passed and found == self._looked == state_of(self.path):
            note(self.path, found)

    def _leave(self, path: Path, *, read_only: bool) -> None:
        if self._left is not None and not read_only:  # what has changed are our own rows
            before, self._left = self._left, state_of(path)
            if self._left != before:
                note(path, self._left)

    def _tell(self, strange: list[str]) -> None:
        if strange and strange != self._told:
            some = ", ".join(map(repr, strange[:3]))
            count = "1 run" if len(strange) == 1 else f"{len(strange)} runs"
            warnings.warn(
                f"stepbook: the tables of {self.path} hold {count} under names that are not ids "
                f"({some}): they can be read, and are used for nothing else. `stepbook doctor` "
                "lists them.",
                StepbookWarning,
                stacklevel=2,
            )
        self._told = strange

    # ---- folding ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self, timeout: float) -> Iterator[Writer]:
        """Open the tables for writing, for the length of a block; see :meth:`reading`.

        Raises:
            BookError: DuckDB refused a change; nothing of it was kept.
        """
        with translated(self.path), self._connection(timeout, read_only=False) as connection:
            if self._schema < SCHEMA_VERSION:
                migrate(connection, self._name)
                self._schema = SCHEMA_VERSION
            yield Writer(connection, self._name)

    def close(self) -> None:
        """Do nothing: what was opened is closed again at once."""


class Writer:
    """Changes over one open connection, each in one transaction.

    Args:
        connection: to the database.
        name: that the database has in SQL.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        self._connection = connection
        self._name = name

    def fold(self, run_id: str, header: dict[str, Any], lines: list[bytes]) -> int:
        """Move events into the tables, each exactly once, and return the last number folded.

        Args:
            run_id: the run.
            header: the header of its journal, for a run that the tables do not know yet.
            lines: journal lines in order and without a gap; those folded before are left out.

        Raises:
            GapError: events between the tables and the first line are missing.
        """
        connection = self._connection
        with transaction(connection):
            folded = self.folded_seq(run_id)
            if not folded:
                connection.execute(BEGIN, [run_id, *map(header.get, RUN_CREATED)])
            connection.execute(STAGE, ["[" + b",".join(lines).decode() + "]", folded])
            [(first, last, types)] = connection.execute(
                "SELECT min(n), max(n), list(DISTINCT type) FROM staged"
            ).fetchall()
            if first is None:
                return folded
            if first > folded + 1:
                raise GapError(first - folded - 1)
            for kind in types:
                for statement in FOLD.get(kind, ()):
                    connection.execute(statement, [run_id])
            connection.execute("UPDATE runs SET folded_seq = $2 WHERE id = $1", [run_id, last])
        return int(last)

    def folded_seq(self, run_id: str) -> int:
        """Return the number of the last event of a run that is in the tables, 0 if none is."""
        row = self._connection.execute(
            "SELECT folded_seq FROM runs WHERE id = $1", [run_id]
        ).fetchone()
        return row[0] if row else 0

    def checkpoint(self) -> bool:
        """Write everything into the database file itself; return whether that worked."""
        duckdb = load("duckdb")

        try:
            self._connection.execute(f"CHECKPOINT {quoted(self._name)}")
        except duckdb.Error:
            return False  # others in this process have a transaction open
        return True

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs with everything that belongs to them."""
        with transaction(self._connection):
            for table in OF_RUNS:
                self._connection.execute(
                    f"DELETE FROM {table} WHERE run_id IN (SELECT unnest($1::VARCHAR[]))",
                    [list(run_ids)],
                )
            self._connection.execute(
                "DELETE FROM runs WHERE id IN (SELECT unnest($1::VARCHAR[]))", [list(run_ids)]
            )


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn an error of DuckDB in a block into one of stepbook."""
    duckdb = load("duckdb")

    try:
        yield
    except duckdb.Error as error:
        raise BookError(
            f"{path}: DuckDB refused to write: {_first_line(error)}. Nothing recorded is lost: it "
            "is in the journal and is tried again. `stepbook doctor` looks at the whole book."
        ) from error


class GapError(Exception):
    """Events are missing between the tables and a journal."""

    def __init__(self, missing: int) -> None:
        super().__init__(missing)
        self.missing = missing


@contextlib.contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """One transaction; anything that escapes the block rolls it back, an interrupt too.

    Never catch an error inside: DuckDB 2.0 then commits nothing and says nothing.
    """
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _remove(path: Path) -> None:
    """Remove what an earlier attempt has left in the place of a new book."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise NotABookError(
            f"{path} is in the way of a new book: {error.strerror}. Remove it."
        ) from error


def _create_file(path: Path, book_id: str) -> None:
    """Create a database file with the tables."""
    duckdb = load("duckdb")

    with contextlib.closing(duckdb.connect()) as connection:
        name = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{name}' AS fresh (STORAGE_VERSION '{STORAGE_VERSION}')")
        connection.execute("USE fresh")
        _create(connection, book_id)
        connection.execute("CHECKPOINT fresh")
        connection.execute("USE memory")
        connection.execute("DETACH fresh")


def in_memory(book_id: str) -> tuple[duckdb.DuckDBPyConnection, str]:
    """Return a database in memory with the tables, and its name in SQL."""
    connection = load("duckdb").connect()
    _create(connection, book_id)
    return connection, look_up_built_ins_first(connection)


def _create(connection: duckdb.DuckDBPyConnection, book_id: str) -> None:
    with transaction(connection):
        connection.execute(CREATE_META[0])
        connection.execute(CREATE_META[1], [book_id])
    migrate(connection)


def migrate(connection: duckdb.DuckDBPyConnection, name: str | None = None) -> None:
    """Bring the tables to this version, one transaction a step.

    Args:
        connection: to the database.
        name: of the database, where built-ins are looked up first: a table is made in the first
            place of the search path unless it is told where.
    """
    done = int(Reader(connection).meta()["schema"])
    place = "" if name is None else f"{quoted(name)}.main."
    for version, statements in enumerate(MIGRATIONS[done:], start=done + 1):
        with transaction(connection):
            for statement in statements:
                connection.execute(_NEW_TABLE.sub(lambda new: new[0] + place, statement))
            connection.execute("UPDATE meta SET value = $1 WHERE key = 'schema'", [str(version)])


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

"""The DuckDB tables: create, read, fold. The only module that imports duckdb.

A connection is opened for one piece of work and closed again, so that others can open the file.
Folds and reads that meet a busy database wait; what waits how long is the caller's to say.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from ._errors import BookBusyError, BookError, BookMismatchError, BookVersionError, NotABookError
from ._interrupts import allowed, load, section
from ._platform import describe_process, disk
from ._reader import Reader
from ._schema import CREATE_META, FOLD, MIGRATIONS, SCHEMA_VERSION, STAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import duckdb

#: Every supported version of DuckDB opens a file of this storage version.
STORAGE_VERSION: Final = "v1.2.0"
BUSY_S: Final = 5.0
POLL_S: Final = 0.05
_PID: Final = re.compile(r"\(PID (\d+)\)")


class Store:
    """One book's tables.

    Args:
        path: the database file, absolute and resolved, or None for one in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._memory: duckdb.DuckDBPyConnection | None = None
        #: Held while a connection is open here. A fork waits for it, so that no child inherits
        #: an open database: closing it there could lose the parent's rows.
        self.connected = threading.RLock()
        self._checked = False
        self._kept = threading.local()

    # ---- creating ---------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether there are tables to read."""
        return self._memory is not None if self.path is None else self.path.exists()

    def create(self, book_id: str) -> None:
        """Create the tables, whole or not at all; nothing if they exist."""
        duckdb = load("duckdb")

        if self.path is None:
            with section(self.connected):
                if self._memory is None:
                    connection = duckdb.connect()
                    _create(connection, book_id)
                    self._memory = connection
            return
        if self.path.exists():
            return
        fresh = self.path.with_name(f".{self.path.name}.{book_id}.new")
        with section(self.connected, patient=False):
            for left in (fresh, _wal(fresh), _wal(self.path)):  # a log without its database
                left.unlink(missing_ok=True)
            with contextlib.closing(duckdb.connect()) as connection:
                name = str(fresh).replace("'", "''")
                connection.execute(
                    f"ATTACH '{name}' AS fresh (STORAGE_VERSION '{STORAGE_VERSION}')"
                )
                connection.execute("USE fresh")
                _create(connection, book_id)
                connection.execute("CHECKPOINT fresh")
                connection.execute("USE memory")
                connection.execute("DETACH fresh")
        disk.rename(fresh, self.path)

    # ---- connections ------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self, timeout: float = BUSY_S) -> Iterator[Reader]:
        """Open the tables for reading, for the length of a block.

        Args:
            timeout: seconds to wait while others hold the database.

        Raises:
            BookBusyError: they still hold it then.
            NotABookError: the file is not a book.
            BookVersionError: a newer stepbook has written it.
        """
        kept: Reader | None = getattr(self._kept, "reader", None)
        if kept is not None:
            yield kept
            return
        with self._connection(timeout, read_only=True) as connection:
            yield Reader(connection)

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
        if self.path is None:
            with section(self.connected):
                assert self._memory is not None  # noqa: S101 - create() comes first
                yield self._memory
            return
        deadline = time.monotonic() + timeout
        while True:
            with section(self.connected, patient=False), contextlib.ExitStack() as stack:
                try:
                    connection = self._open(self.path, read_only=read_only)
                except BookBusyError:
                    if time.monotonic() >= deadline:
                        raise
                else:
                    stack.callback(connection.close)
                    self._check(connection)
                    yield connection
                    return
            with allowed():
                time.sleep(POLL_S)

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
        if "lock" in text.lower():
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

    def _check(self, connection: duckdb.DuckDBPyConnection) -> None:
        if self._checked:
            return
        duckdb = load("duckdb")

        try:
            meta = Reader(connection).meta()
        except duckdb.Error:
            meta = {}
        if meta.get("format") != "stepbook":
            raise NotABookError(
                f"{self.path} is a DuckDB database of another application and was left untouched. "
                "Give another path to stepbook.connect(), or set STEPBOOK_BOOK."
            )
        if int(meta["schema"]) > SCHEMA_VERSION:
            raise BookVersionError(
                f"{self.path} was written by a newer stepbook (schema {meta['schema']}; this one "
                f"knows {SCHEMA_VERSION}) and was left untouched. Upgrade: pip install -U stepbook"
            )
        self._checked = int(meta["schema"]) == SCHEMA_VERSION

    # ---- folding ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self, timeout: float) -> Iterator[Writer]:
        """Open the tables for writing, for the length of a block; see :meth:`reading`.

        Raises:
            BookMismatchError: the database file is gone.
            BookError: DuckDB refused a change; nothing of it was kept.
        """
        if self.path is not None and not self.path.exists():
            # DuckDB would create an empty file in its place.
            raise BookMismatchError(
                f"the database {self.path} is gone. What is recorded stays in the journals beside "
                "it; put the file back, or start again to have a new one made from them."
            )
        with _translated(self.path), self._connection(timeout, read_only=False) as connection:
            if not self._checked:
                migrate(connection)
                self._checked = True
            yield Writer(connection)

    def close(self) -> None:
        """Drop a database in memory."""
        with section(self.connected):
            if self._memory is not None:
                self._memory.close()
                self._memory = None


class Writer:
    """Changes over one open connection, each in one transaction."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

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
                _insert_run(connection, run_id, header)
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
            self._connection.execute("CHECKPOINT")
        except duckdb.Error:
            return False  # others in this process have a transaction open
        return True

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs with everything that belongs to them."""
        with transaction(self._connection):
            for table in ("steps", "attempts", "cells", "passes", "scans", "logs"):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE run_id IN (SELECT unnest($1::VARCHAR[]))",
                    [list(run_ids)],
                )
            self._connection.execute(
                "DELETE FROM runs WHERE id IN (SELECT unnest($1::VARCHAR[]))", [list(run_ids)]
            )


@contextlib.contextmanager
def _translated(path: Path | None) -> Iterator[None]:
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


def _wal(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _create(connection: duckdb.DuckDBPyConnection, book_id: str) -> None:
    with transaction(connection):
        connection.execute(CREATE_META[0])
        connection.execute(CREATE_META[1], [book_id])
    migrate(connection)


def migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the tables to this version, one transaction a step."""
    done = int(Reader(connection).meta()["schema"])
    for version, statements in enumerate(MIGRATIONS[done:], start=done + 1):
        with transaction(connection):
            for statement in statements:
                connection.execute(statement)
            connection.execute("UPDATE meta SET value = $1 WHERE key = 'schema'", [str(version)])


def _insert_run(connection: duckdb.DuckDBPyConnection, run_id: str, header: dict[str, Any]) -> None:
    connection.execute(
        """INSERT INTO runs (id, loop, key, status, trigger_type, input, created_at, environment,
             folded_seq)
           SELECT $1, $2, $3, 'pending', $4, $5, make_timestamptz($6), $7, 0
           WHERE NOT EXISTS (FROM runs WHERE id = $1)""",
        [
            run_id,
            header["loop"],
            header["key"],
            header["trigger_type"],
            header["input"],
            header["created_at"],
            header.get("environment"),
        ],
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

"""The first look at a database that nobody here has written, taken in a process of its own.

DuckDB is written for files that DuckDB wrote: one that was made for that can end the process that
opens it, or take all of its memory. So such a file is first opened where that harms nobody
(:mod:`stepbook.system.isolated`), without external access, and read once; then as usual.

What is opened there is a copy, as far as the file is not big: DuckDB locks what it opens, and the
lock of another process would have a ``duckdb.connect()`` of the user's own fail.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...errors import BookBusyError, NotABookError
from ...system.interrupts import section
from ...system.isolated import Ended, Limits, ask
from . import queries
from .catalogue import look_up_built_ins_first, schema_of
from .columns import tables_of
from .opening import copy_files, says_held, state_of
from .schema import MIGRATIONS

if TYPE_CHECKING:
    import duckdb

    from .opening import State

_LIMITS: Final = Limits(memory=2 << 30, cpu_s=20, seconds=30.0)
#: So long the rows are read; of a big book not all of them.
_ROWS_S: Final = 3.0
_LIBRARIES: Final = ("duckdb",)
#: Of a bigger one no copy is made.
_COPY_BYTES: Final = 256 << 20
#: The times of files are no finer than that: a file that is written to later gets another time.
_TICK_NS: Final = 20_000_000
_SETTINGS: Final = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "memory_limit": "1500MB",
    "threads": "1",
    "temp_directory": "",
}


def look_apart(path: Path, found: State) -> dict[str, Any]:
    """Have a process of its own open the database at *path*; return what it told.

    Args:
        path: the database.
        found: how it and its log are on the disk.

    Returns:
        ``busy``: what was said if somebody holds it, so that nothing is known of it. ``raised``:
        the first line of DuckDB's error, if it cannot read the file. ``unavailable``: why no
        process could look. Nothing, if all is well.

    Raises:
        BookBusyError: it has changed meanwhile.
        NotABookError: it is none, or looking at it has ended that process.
        BookVersionError: a newer stepbook has written it.
    """
    with contextlib.ExitStack() as stack:
        seen = path
        if sum(one[2] for one in found if one is not None) <= _COPY_BYTES:
            _wait_for_the_next_tick(found)
            with contextlib.suppress(OSError):  # no room, or no such folder: then the file itself
                made = tempfile.TemporaryDirectory(prefix="stepbook-look-")
                stack.callback(made.cleanup)
                seen = copy_files(path, Path(made.name))
            _check_unchanged(path, found)  # else the copy may be of two halves
        try:
            told: dict[str, Any] = ask(
                f"{__name__}:look", str(seen), str(path), limits=_LIMITS, libraries=_LIBRARIES
            )
        except Ended as error:
            if error.why == "unavailable":
                return {"unavailable": str(error)}
            raise NotABookError(
                f"{path} is not opened: {error.text} when it was looked at in a process of its "
                "own. The file is damaged, or was made to do that. It was left untouched. Restore "
                f"it from a backup; what is still in {path.name}.d/journal is not lost. If you did "
                "not make this file, do not use it."
            ) from error
    _check_unchanged(path, found)
    return told


def _check_unchanged(path: Path, found: State) -> None:
    if state_of(path) != found:
        raise BookBusyError(
            f"{path} is being written to by another process. Close it there, or wait: what is "
            "recorded meanwhile goes to the journal and reaches the tables later.",
            pid=None,
        )


def _wait_for_the_next_tick(found: State) -> None:
    """Return when whoever writes to a file gives it another time than it was found with."""
    written = max(one[3] for one in found if one is not None)
    age = time.time_ns() - written
    if 0 <= age < _TICK_NS:
        time.sleep((_TICK_NS - age) / 1e9)


def look(seen: str, named: str) -> dict[str, Any]:
    """Open a database and read it; executed in a process of its own.

    Args:
        seen: the path of the database, or of a copy.
        named: the path of the database, for messages.
    """
    import duckdb  # noqa: PLC0415 - only there

    try:
        connection = duckdb.connect(seen, read_only=True, config=dict(_SETTINGS))
        name = look_up_built_ins_first(connection)
        version = schema_of(connection, name, Path(named), MIGRATIONS, duckdb.connect)
        _read(connection, version)
    except duckdb.Error as error:
        said = str(error).replace(seen, named)
        if says_held(said):
            return {"busy": said}
        return {"raised": (said.strip().splitlines() or [type(error).__name__])[0]}
    return {}


def _read(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Read all rows, or as many as there is time and memory for.

    Column by column, so that nothing hides behind an error of another one; then as lists of runs
    are made, which sorts and joins.

    Raises:
        duckdb.Error: there is something that cannot be read although its checksums are right.
    """
    import duckdb  # noqa: PLC0415 - only there

    tables = tables_of(MIGRATIONS[:version])
    rows = [f"SELECT * FROM {table}" for table in tables]  # noqa: S608 - names from here
    columns = [
        f'SELECT CAST("{column.name}" AS VARCHAR) FROM {table}'  # noqa: S608 - as above
        for table, known in tables.items()
        for column in known
    ]
    end = time.monotonic() + _ROWS_S

    def watch() -> None:
        time.sleep(_ROWS_S)
        connection.interrupt()

    with section():
        threading.Thread(target=watch, daemon=True).start()
    lists = [(queries.RUNS, [None]), (queries.OVERVIEW, [1000]), (queries.SUMMARY, [None])]
    for query, given in [*((query, []) for query in (*rows, *columns)), *lists]:
        try:
            # All of it is computed, and nothing becomes an object of Python.
            hashed = f"SELECT count(*), bit_xor(hash(t)) FROM ({query}) AS t"  # noqa: S608 - as above
            connection.execute(hashed, given).fetchall()
        except (duckdb.InterruptException, duckdb.OutOfMemoryException):
            break  # it is big
        except duckdb.Error as error:
            # Damage by chance: whoever needs this block is told, and the rest can be used.
            if "checksum" not in str(error):
                raise
        if time.monotonic() > end:
            break

"""What a database may hold to be a book, and where names in our SQL are looked up.

A book may come from a stranger, and a DuckDB file can hold more than rows: a macro called
``length`` replaces the built-in one in every query, and so do views, types and generated columns.
So built-ins are looked up first, and only the known plain tables are accepted.

Nothing here is set for the whole instance: the user's own connection in the same kernel shares it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from ...errors import BookVersionError, NotABookError
from ...model.rows import RUN_ID, is_book_id
from .columns import tables_of
from .schema import CREATE_META

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import duckdb

#: SHA-256 of the tables of each schema version, as :func:`_digest` computes it. DuckDB 1.4 to 2.0
#: write the same text; where another one does not, it is asked how it writes them (25 ms).
KNOWN: Final = {
    1: "eaf85cd4f6fd42295cb7fec82524c1e888948e086abc9658ef733f1c247b0fa1",
    2: "982dc780c7b92afe3b501b4bdddabad6447d3bd56fdfb86acff2bb297e529ad9",
    3: "46ef4cc85492f9ed241c73ce4a07c225ae29eff156464bdd471c9463d15a93eb",
}
_LONGEST_VERSION: Final = 6
_SHOWN: Final = 5
_PLAIN: Final = (
    "A book holds only stepbook's own plain tables, because what else is in it can change what "
    "queries mean. Nothing was changed"
)

_TABLES: Final = """
SELECT schema_name, table_name, sql, index_count FROM duckdb_tables() WHERE database_name = $1
"""
#: What a book has none of: what it is called, and a query for the names of those in ``$1``.
_OTHERS: Final = (
    ("VIEW", "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal"),
    ("TRIGGER", "SELECT table_name, trigger_name FROM duckdb_triggers() WHERE true"),
    ("INDEX", "SELECT schema_name, index_name FROM duckdb_indexes() WHERE true"),
    ("SCHEMA", "SELECT NULL, schema_name FROM duckdb_schemas() WHERE NOT internal"),
)


def quoted(name: str) -> str:
    """Return *name* as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def look_up_built_ins_first(connection: duckdb.DuckDBPyConnection) -> str:
    """Have names mean the built-ins, on this connection alone; return the database's name.

    To be the first thing that a connection is used for.
    """
    # With all its parts the name of a function cannot be shadowed.
    [(name,)] = connection.execute("SELECT system.main.current_database()").fetchall()
    path = f"temp.main,system.main,{quoted(name)}.main".replace("'", "''")
    connection.execute(f"SET search_path = '{path}'")
    return str(name)


def schema_of(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    path: Path | None,
    migrations: Sequence[Sequence[str]],
    scratch: Callable[[], duckdb.DuckDBPyConnection],
) -> int:
    """Return the schema version of a database that holds a book's tables and nothing else.

    Args:
        connection: to it, with the built-ins looked up first.
        name: of the database there.
        path: of its file, for messages.
        migrations: what makes the tables of each version.
        scratch: opens a database in memory.

    Raises:
        NotABookError: it is none, or it holds something else besides.
        BookVersionError: a newer stepbook has written it.
    """
    found = connection.execute(_TABLES, [name]).fetchall()
    tables = {table: sql for schema, table, sql, _ in found if schema == "main"}
    meta = _meta(connection) if "meta" in tables else {}  # a view of that name is not read
    version = str(meta.get("schema"))
    if meta.get("format") != "stepbook" or not is_book_id(meta.get("book")):
        raise NotABookError(
            f"{path} is a DuckDB database of another application (it has no id of a book) and was "
            "left untouched. Give another path to stepbook.connect(), or set STEPBOOK_BOOK."
        )
    if not (version.isascii() and version.isdigit() and len(version) <= _LONGEST_VERSION):
        raise NotABookError(
            f"{path} gives {version!r} as the version of its schema, which is not a number. It was "
            "left untouched. Restore it from a backup."
        )
    if int(version) > len(migrations):
        raise BookVersionError(
            f"{path} was written by a newer stepbook (schema {version}; this one "
            f"knows {len(migrations)}) and was left untouched. Upgrade: pip install -U stepbook"
        )
    strange = _others(connection, name, found)
    if _digest(tables) != KNOWN.get(int(version)):
        known = _made(scratch, migrations[: int(version)])
        missing = sorted(known.keys() - tables.keys())
        if missing:
            raise NotABookError(
                f"{path} lacks the table {missing[0]} of a book and was left untouched. Restore it "
                "from a backup."
            )
        for table, sql in tables.items():
            if table in known and sql != known[table]:
                raise NotABookError(
                    f"{path}: the table {table} is not as stepbook makes it: {sql} {_PLAIN}. "
                    "Restore the book from a backup, or copy its rows into a fresh one."
                )
        strange += [("TABLE", "main", table) for table in tables.keys() - known.keys()]
    if strange:
        raise NotABookError(_told(path, strange))
    return int(version)


def add_what_came_later(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    version: int,
    migrations: Sequence[Sequence[str]],
) -> None:
    """Have queries on this connection find the columns of later versions, empty.

    So a book is read as it is: it may be in a folder that cannot be written to.

    Args:
        connection: to a book, where what is temporary is looked up first.
        name: of the database there.
        version: of its schema.
        migrations: what makes the tables of each version.
    """
    before = tables_of(migrations[:version])
    for table, columns in tables_of(migrations).items():
        has = {column.name for column in before.get(table, ())}
        new = [f'CAST(NULL AS {c.type}) AS "{c.name}"' for c in columns if c.name not in has]
        if new:
            source = f"FROM {quoted(name)}.main.{table}" if has else "WHERE false"
            selected = ", ".join(["*", *new] if has else new)
            connection.execute(f"CREATE TEMP VIEW {table} AS SELECT {selected} {source}")


def strange_ids(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the ids of runs in the tables that are not ids."""
    query = f"SELECT id FROM runs WHERE NOT regexp_full_match(id, '{RUN_ID}') ORDER BY id"  # noqa: S608
    return [row[0] for row in connection.execute(query).fetchall()]


def _others(
    connection: duckdb.DuckDBPyConnection, name: str, found: list[tuple[Any, ...]]
) -> list[tuple[str, str | None, str]]:
    """Return what is in the database besides tables of its own schema."""
    strange = [("TABLE", schema, table) for schema, table, *_ in found if schema != "main"]
    for kind, query in _OTHERS:
        if kind == "INDEX" and not any(count for *_, count in found):
            continue
        try:
            rows = connection.execute(f"{query} AND database_name = $1", [name]).fetchall()
        except Exception as error:
            if kind != "TRIGGER" or "duckdb_triggers does not exist" not in str(error):
                raise
            continue  # a DuckDB that has no triggers
        strange += [(kind, *row) for row in rows]
    return strange


def _told(path: Path | None, strange: list[tuple[str, str | None, str]]) -> str:
    names = []
    for kind, place, name in strange[:_SHOWN]:
        whole = quoted(name)
        if kind == "TRIGGER":
            whole += f" ON {quoted(place or '')}"
        elif place not in (None, "main"):
            whole = f"{quoted(place or '')}.{whole}"
        names.append(f"{kind} {whole}")
    more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
    return (
        f"{path} holds more than a book: {', '.join(names)}{more}. {_PLAIN}. Keep it in a database "
        f"of your own, which can ATTACH this one, and remove it here: "
        f"duckdb.connect(path).execute({f'DROP {names[0]}'!r}). If you did not put it there, do "
        "not use this file."
    )


def _meta(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return the rows of a table ``meta``, which may be another application's."""
    result = connection.execute("SELECT * FROM meta LIMIT 10")
    names = [column[0] for column in result.description or ()]
    return dict(result.fetchall()) if names == ["key", "value"] else {}


def _digest(tables: dict[str, str]) -> str:
    return hashlib.sha256("\n".join(sorted(tables.values())).encode()).hexdigest()


def _made(
    scratch: Callable[[], duckdb.DuckDBPyConnection], migrations: Sequence[Sequence[str]]
) -> dict[str, str]:
    """Return the tables that *migrations* make, as this DuckDB writes them."""
    with scratch() as memory:
        memory.execute(CREATE_META[0])
        for statements in migrations:
            for statement in statements:
                memory.execute(statement)
        return {table: sql for _, table, sql, _ in memory.execute(_TABLES, ["memory"]).fetchall()}

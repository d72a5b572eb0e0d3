"""What the journals hold beyond the tables, laid over them for one connection.

A book that can only be read is not folded: its events go into temporary tables, and queries find
those rows in the place of the older ones. The file is not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .catalogue import quoted
from .columns import TABLES, tables_of
from .schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb


class Unfolded(NamedTuple):
    """Events of a run that the tables may lack.

    Attributes:
        run_id: the run.
        header: of its journal.
        lines: journal lines in order and without a gap.
    """

    run_id: str
    header: dict[str, Any]
    lines: list[bytes]


def lay_over(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    version: int,
    unfolded: Sequence[Unfolded],
    fold: Callable[[Unfolded], object],
) -> None:
    """Have queries on this connection find what *unfolded* holds, as if it were in the tables.

    Args:
        connection: to a book, where what is temporary is looked up first.
        name: of the database there.
        version: of its schema.
        unfolded: what is to be found.
        fold: moves a run's events into the tables that are found first.
    """
    ids = [one.run_id for one in unfolded]
    before = tables_of(MIGRATIONS[:version])
    for table, columns in TABLES.items():
        shape = ", ".join(f'"{column.name}" {column.type}' for column in columns)
        connection.execute(f"CREATE TEMP TABLE {table} ({shape})")
        if table in before:
            query = (
                f"INSERT INTO {table} BY NAME SELECT * FROM {_place(name, table)} "  # noqa: S608
                f"WHERE {_run_of(table)} IN (SELECT unnest($1::VARCHAR[])) ORDER BY rowid"
            )
            connection.execute(query, [ids])
    for one in unfolded:
        fold(one)
    others = ", ".join(f"'{run_id}'" for run_id in ids)  # checked: they are ids
    for table in TABLES:
        own = f"temp.main.unfolded_{table}"
        connection.execute(f"ALTER TABLE {table} RENAME TO unfolded_{table}")
        # The order of messages that were said at the same time is that of the rows.
        what = "TABLE" if table == "logs" else "VIEW"
        query = f"SELECT * FROM {own}"  # noqa: S608
        if table in before:
            query += (
                f" UNION ALL BY NAME SELECT * FROM {_place(name, table)} "  # noqa: S608
                f"WHERE {_run_of(table)} NOT IN ({others})"
            )
        connection.execute(f"CREATE TEMP {what} {table} AS {query}")


def _place(name: str, table: str) -> str:
    return f"{quoted(name)}.main.{table}"


def _run_of(table: str) -> str:
    return "id" if table == "runs" else "run_id"

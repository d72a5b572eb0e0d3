"""The columns of each table, read from the statements that make the tables.

So a column is written down where it must be, in a migration and in its row, and everything else
follows from there: what a fold puts into it, what readers ask for, what lists and frames show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ...model.rows import ORDER, CellRow, LogRow, PassRow, RunRow, ScanRow, StepRow
from .schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: The rows of each table, as the journal has them.
ROWS: Final[dict[str, type]] = {
    "runs": RunRow,
    "steps": StepRow,
    "attempts": StepRow,
    "cells": CellRow,
    "passes": PassRow,
    "scans": ScanRow,
    "logs": LogRow,
}


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: what it is called.
        type: as SQL has it.
        needed: whether it holds something in every row.
    """

    name: str
    type: str
    needed: bool


def tables_of(migrations: Iterable[Iterable[str]]) -> dict[str, tuple[Column, ...]]:
    """Return the columns of each table that *migrations* make, in their order."""
    found: dict[str, tuple[Column, ...]] = {}
    for statement in (statement for statements in migrations for statement in statements):
        match statement.split():  # not by patterns: they take a millisecond of every import
            case ["CREATE", "TABLE", table, *_]:
                inside = statement.partition("(")[2].rstrip().removesuffix(")")
                found[table] = tuple(_column(text.split()) for text in inside.split(","))
            case ["ALTER", "TABLE", table, "ADD", "COLUMN", *words]:
                found[table] += (_column(words),)
    return found


def _column(words: list[str]) -> Column:
    match words:
        case [name, type_]:
            return Column(name.strip('"'), type_, needed=False)
        case [name, type_, "NOT", "NULL"]:
            return Column(name.strip('"'), type_, needed=True)
        case _:
            raise ValueError(f"{' '.join(words)!r} is not how a migration writes a column")


TABLES: Final = tables_of(MIGRATIONS)
_TYPES: Final = {column.name: column.type for columns in TABLES.values() for column in columns}

#: Names of columns that hold JSON text, whatever their table.
JSON: Final = frozenset(name for name, type_ in _TYPES.items() if type_ == "JSON")
#: Names of columns that hold a time.
TIMES: Final = frozenset(name for name, type_ in _TYPES.items() if type_ == "TIMESTAMPTZ")
#: Tables with rows that belong to a run.
OF_RUNS: Final = tuple(
    table for table, columns in TABLES.items() if any(c.name == "run_id" for c in columns)
)


def names(table: str, *, without: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of a table's columns, in its order."""
    return tuple(column.name for column in TABLES[table] if column.name not in without)


def recorded(row: type) -> tuple[str, ...]:
    """Return the names of the columns that a row of the journal fills, in its order."""
    fields: tuple[str, ...] = row._fields  # type: ignore[attr-defined]
    return tuple("return" if field == "value" else field for field in fields)


def selected(name: str, table: str = "") -> str:
    """Return how SQL asks for a column, its times in microseconds since 1970.

    DuckDB hands out a TIMESTAMPTZ only where pytz is installed.

    Args:
        name: of the column.
        table: what the query calls its table.
    """
    quoted = f'{table}."{name}"' if table else f'"{name}"'
    return f"epoch_us({quoted})" if name in TIMES else quoted


def order(table: str = "runs") -> str:
    """Return the place of a run among those of its book, in SQL; see ``model.rows.order_of``."""
    written = f"regexp_extract(CAST({table}.environment AS VARCHAR), '{ORDER}', 1)"
    return f"coalesce(TRY_CAST({written} AS BIGINT), epoch_us({table}.created_at))"


def is_loop(place: str, table: str = "runs") -> str:
    """Return whether a run is one of the loop in *place*, however that is spelled, in SQL."""
    return f"nfc_normalize({table}.loop) = nfc_normalize({place})"


def staged() -> dict[str, str]:
    """Return the type of each field of a journal's rows, for DuckDB to read their JSON.

    JSON columns travel as text: DuckDB would rewrite their numbers.
    """
    plain = {"JSON": "VARCHAR", "TIMESTAMPTZ": "BIGINT"}
    return {
        name: plain.get(_TYPES[name], _TYPES[name])
        for row in ROWS.values()
        for name in recorded(row)
    }


def folded(column: Column) -> str:
    """Return what a fold of the run ``$1`` puts into a column, given a staged row ``r``."""
    if column.name == "run_id":
        return "$1"
    if column.type == "INTERVAL":  # of a step, for people; seconds are for computing
        return "to_microseconds(CAST(round(r.seconds * 1000000) AS BIGINT))"
    value = f'r."{column.name}"'
    if column.type == "TIMESTAMPTZ":
        return f"make_timestamptz({value})"
    if column.type == "BOOLEAN" and column.needed:  # a journal of before may lack it
        return f"coalesce({value}, false)"
    return value

"""Queries over one open connection: what the tables hold."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...model.blobs import NAME
from ...model.rows import RUN_ID, CellRow, RunRow, ScanRow, StepRow, is_run_id
from ...system.interrupts import allowed, in_thread, load
from .columns import TABLES, order, recorded, selected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb
    import pandas as pd

#: What may refer to artifacts.
_WITH_VALUES: Final = tuple(
    (table, column.name)
    for table, columns in TABLES.items()
    for column in columns
    if column.type == "JSON"
)


def _columns(row: type, **instead: str) -> str:
    """Return the columns of a kind of row, as a query lists them.

    Args:
        row: the kind.
        instead: what to ask for in the place of a column.
    """
    return ", ".join(instead.get(name) or selected(name) for name in recorded(row))


#: Steps and attempts, from two lists.
_WANTED: Final = "(SELECT unnest($2::VARCHAR[]) AS name, unnest($3::BIGINT[]) AS attempt)"


def _lists(wanted: Sequence[tuple[str, int]]) -> tuple[list[str], list[int]]:
    return [name for name, _ in wanted], [attempt for _, attempt in wanted]


class Recorded(NamedTuple):
    """What the tables hold of one run."""

    row: RunRow
    folded_seq: int


class Reader:
    """Queries over one open connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        # Nobody can change the tables while this connection is open.
        self._known: dict[str, Recorded] = {}

    def _rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with allowed():
            return self._connection.execute(query, list(parameters)).fetchall()

    def meta(self) -> dict[str, str]:
        """Return the rows of the table meta."""
        return dict(self._rows("SELECT key, value FROM meta"))

    def run(self, run_id: str) -> Recorded | None:
        """Return the run of this id."""
        if not is_run_id(run_id):
            return None
        return self._known.get(run_id) or self._recorded("id = $1", [run_id])

    def latest_run(
        self, loops: Sequence[str], keys: Sequence[str] | None = None
    ) -> Recorded | None:
        """Return the last run of one of *loops*; with *keys* only of one of those."""
        if keys is None:
            return self._recorded("list_contains($1, loop)", [list(loops)])
        condition = "list_contains($1, loop) AND list_contains($2, key)"
        return self._recorded(condition, [list(loops), list(keys)])

    def last_order(self) -> int:
        """Return the highest place that a run has; see ``model.rows.order_of``."""
        [(found,)] = self._rows(f"SELECT max({order()}) FROM runs")
        return found or 0

    def _recorded(self, condition: str, parameters: list[Any]) -> Recorded | None:
        rows = self._rows(
            f"SELECT {_columns(RunRow)}, folded_seq FROM runs WHERE {condition} "
            f"AND regexp_full_match(id, '{RUN_ID}') ORDER BY {order()} DESC, id DESC LIMIT 1",
            parameters,
        )
        if not rows:
            return None
        found = Recorded(RunRow(*rows[0][:-1]), rows[0][-1])
        self._known[found.row.id] = found
        return found

    def run_ids(self, prefix: str = "") -> list[str]:
        """Return the ids of all runs that begin with *prefix*."""
        rows = self._rows("SELECT id FROM runs WHERE starts_with(id, $1)", [prefix])
        return [row[0] for row in rows if is_run_id(row[0])]

    def loops(self) -> list[str]:
        """Return the names of all loops."""
        return [row[0] for row in self._rows("SELECT DISTINCT loop FROM runs ORDER BY loop")]

    def steps(self, run_id: str, budget: int) -> list[StepRow]:
        """Return the current row of every step, in the order they first started.

        Args:
            run_id: the run.
            budget: characters of returned values to read; if there are more, they are all None.
        """
        value = f"""CASE WHEN sum(length("return")) OVER () <= {budget:d} THEN "return" END"""
        columns = _columns(StepRow, **{"return": value})
        query = f"SELECT {columns} FROM steps WHERE run_id = $1 ORDER BY seq"
        return list(map(StepRow._make, self._rows(query, [run_id])))

    def values(self, run_id: str, first_seq: int, budget: int) -> dict[tuple[str, int], str]:
        """Return returned values by step name and attempt, from step *first_seq* on.

        About *budget* characters; the first is returned however long it is.
        """
        rows = self._rows(
            """SELECT name, attempt, "return" FROM (
                 SELECT seq, name, attempt, "return",
                   sum(length("return")) OVER (ORDER BY seq) - length("return") AS before
                 FROM steps WHERE run_id = $1 AND seq >= $2 AND "return" IS NOT NULL)
               WHERE before <= $3 ORDER BY seq""",
            [run_id, first_seq, budget],
        )
        return {(name, attempt): text for name, attempt, text in rows}

    def value(self, run_id: str, name: str, attempt: int) -> str | None:
        """Return what one attempt of a step has returned."""
        rows = self._rows(
            """SELECT "return" FROM attempts WHERE run_id = $1 AND name = $2 AND attempt = $3""",
            [run_id, name, attempt],
        )
        return rows[0][0] if rows else None

    def outlines(self, run_id: str) -> list[StepRow]:
        """Return the current row of every step, with the SHA-256 of each value in its place."""
        columns = _columns(StepRow, **{"return": 'sha256(CAST("return" AS VARCHAR))'})
        query = f"SELECT {columns} FROM steps WHERE run_id = $1 ORDER BY seq"
        return list(map(StepRow._make, self._rows(query, [run_id])))

    def values_of(self, run_id: str, names: Sequence[str], budget: int) -> dict[str, str]:
        """Return what some steps have returned, by name.

        Args:
            run_id: the run.
            names: of the steps.
            budget: characters to read; what is beyond is left out.
        """
        rows = self._rows(
            """SELECT name, "return" FROM (
                 SELECT name, "return", sum(length("return")) OVER (ORDER BY seq) AS size
                 FROM steps WHERE run_id = $1 AND "return" IS NOT NULL
                   AND name IN (SELECT unnest($2::VARCHAR[])))
               WHERE size <= $3""",
            [run_id, list(names), budget],
        )
        return dict(rows)

    def attempts(self, run_id: str, name: str) -> list[StepRow]:
        """Return the attempts of a step that have begun, oldest first, without their values."""
        columns = _columns(StepRow, **{"return": "NULL"})
        query = f"""SELECT {columns} FROM attempts
                    WHERE run_id = $1 AND name = $2 AND status <> 'pending' ORDER BY attempt"""
        return list(map(StepRow._make, self._rows(query, [run_id, name])))

    def attempts_of(self, run_id: str, wanted: Sequence[tuple[str, int]]) -> list[StepRow]:
        """Return attempts of steps, with their values.

        Args:
            run_id: the run.
            wanted: the names of the steps, with the numbers of the attempts.
        """
        query = f"""SELECT {_columns(StepRow)} FROM attempts JOIN {_WANTED} USING (name, attempt)
                    WHERE run_id = $1"""
        return list(map(StepRow._make, self._rows(query, [run_id, *_lists(wanted)])))

    def cells_of(self, run_id: str, wanted: Sequence[tuple[str, int]]) -> list[CellRow]:
        """Return what attempts of cells have done; see :meth:`attempts_of`."""
        query = f"""SELECT {_columns(CellRow)} FROM
                      (SELECT *, step AS name FROM cells WHERE run_id = $1)
                    JOIN {_WANTED} USING (name, attempt)"""
        return list(map(CellRow._make, self._rows(query, [run_id, *_lists(wanted)])))

    def last_stored(self, run_id: str, names: Sequence[str]) -> dict[str, int]:
        """Return the last attempt of each step that has stored a value; none of those without."""
        rows = self._rows(
            """SELECT name, max(attempt) FROM attempts
               WHERE run_id = $1 AND status = 'succeeded' AND policy IS NULL
                 AND name IN (SELECT unnest($2::VARCHAR[])) GROUP BY name""",
            [run_id, list(names)],
        )
        return dict(rows)

    def metadata(self, run_id: str, key: str) -> list[str]:
        """Return the metadata of the messages of a run that hold *key*, in their order."""
        rows = self._rows(
            """SELECT CAST(metadata AS VARCHAR) FROM logs
               WHERE run_id = $1 AND contains(CAST(metadata AS VARCHAR), $2) ORDER BY rowid""",
            [run_id, f'"{key}"'],
        )
        return [row[0] for row in rows]

    def variables(self, run_id: str) -> list[CellRow]:
        """Return the variables that the cells of a run have left, each by its current attempt."""
        columns = _columns(CellRow, source="''", outputs="NULL")
        rows = self._rows(
            f"""SELECT {columns} FROM (
                 SELECT c.* FROM cells AS c JOIN steps AS s
                   ON s.run_id = c.run_id AND s.name = c.step AND s.attempt = c.attempt
                 WHERE c.run_id = $1 AND s.kind = 'cell' AND c.variables IS NOT NULL)""",
            [run_id],
        )
        return list(map(CellRow._make, rows))

    def cells(self, run_id: str, budget: int) -> list[CellRow]:
        """Return what the cells of a run have done, those that succeeded, without their source.

        Of what is no cell, without what it has shown: only a replay of a cell shows that again.

        Args:
            run_id: the run.
            budget: characters to read; what is beyond is left out.
        """
        shown = "CASE WHEN kind = 'cell' THEN outputs END"
        rows = self._rows(
            f"""SELECT {_columns(CellRow, source="''", outputs=shown)} FROM (
                 SELECT c.*, s.kind,
                   sum(coalesce(length(c.variables), 0)
                     + CASE WHEN s.kind = 'cell' THEN coalesce(length(c.outputs), 0) ELSE 0 END)
                     OVER (ORDER BY s.seq) AS size
                 FROM cells AS c JOIN steps AS s
                   ON s.run_id = c.run_id AND s.name = c.step AND s.attempt = c.attempt
                 WHERE c.run_id = $1 AND (s.status = 'succeeded' OR s.handled)
                   AND (s.kind = 'cell' OR c.variables IS NOT NULL))
               WHERE size <= $2""",
            [run_id, budget],
        )
        return list(map(CellRow._make, rows))

    def cell(self, run_id: str, step: str, attempt: int) -> CellRow | None:
        """Return what one attempt of a cell has done."""
        rows = self._rows(
            f"""SELECT {_columns(CellRow)} FROM cells
               WHERE run_id = $1 AND step = $2 AND attempt = $3""",
            [run_id, step, attempt],
        )
        return CellRow(*rows[0]) if rows else None

    def scans(self, run_id: str) -> list[ScanRow]:
        """Return the scan sessions of a run, oldest first."""
        rows = self._rows(
            f"SELECT {_columns(ScanRow)} FROM scans WHERE run_id = $1 ORDER BY created_at, id",
            [run_id],
        )
        return list(map(ScanRow._make, rows))

    def artifacts(self) -> Iterator[str]:
        """Yield the names of all artifacts that the tables refer to, and what looks like one."""
        for table, column in _WITH_VALUES:
            query = f"""SELECT DISTINCT unnest(regexp_extract_all("{column}"::VARCHAR, $1))
                        FROM {table} WHERE contains("{column}"::VARCHAR, 'sha256')"""
            yield from (row[0] for row in self._rows(query, [NAME.pattern]))

    def frame(self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> pd.DataFrame:
        """Return the result of *query* as a DataFrame, as DuckDB makes it."""
        connection = self._connection
        given = parameters if isinstance(parameters, dict) else list(parameters)
        load("pandas")  # DuckDB would, in the middle of its call

        def ask() -> pd.DataFrame:
            with warnings.catch_warnings():
                # DuckDB 2.0 uses a keyword that pandas 3.1 has deprecated.
                warnings.filterwarnings("ignore", "The inplace keyword", category=Warning)
                return connection.execute(query, given).df()

        if threading.current_thread() is not threading.main_thread():
            return ask()
        with allowed():
            # DuckDB may do all of the work in the thread that asks, and then sees no interrupt.
            frame: pd.DataFrame = in_thread(ask, connection.interrupt)
        return frame

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of *query*."""
        return self._rows(query, parameters)

"""DataFrames of many steps, against the same rows from a bare DuckDB query to pandas.

`run.steps()` parses what steps returned, so there the bare side does so, too.
"""

from __future__ import annotations

import json
import shutil
from time import perf_counter_ns
from typing import TYPE_CHECKING

import duckdb

import stepbook

from ._harness import Worker, interleave
from ._table import Goal, Row
from .peers import body, step_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd

WORK = "frames"
DATABASE = "book.duckdb"
RECORDED = 1000  # really; the rest are copies of their rows
RUNS = 10
LIMIT = Goal(2)

MORE_STEPS = """
INSERT INTO steps SELECT s.* REPLACE (s.seq + $1 * k AS seq, s.name || ' ' || k AS name)
FROM range(1, $2) AS more(k), steps AS s ORDER BY seq
"""
MORE_RUNS = """
INSERT INTO runs SELECT r.* REPLACE (r.id || '-' || k AS id, r.key || '-' || k AS key)
FROM runs AS r, range(1, $1) AS more(k)
"""
STEPS_OF_MORE_RUNS = """
INSERT INTO steps SELECT s.* REPLACE (s.run_id || '-' || k AS run_id)
FROM range(1, $1) AS more(k), steps AS s ORDER BY run_id, seq
"""
OF_RUN = "SELECT * FROM steps WHERE run_id = $1 ORDER BY seq"
OF_BOOK = """
SELECT r.loop, r.key, r.input, s.* FROM steps AS s JOIN runs AS r ON r.id = s.run_id
ORDER BY r.created_at, r.id, s.seq
"""


class Stepbook:
    """Asks through the public names."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / DATABASE
        self.book = stepbook.connect(self.path)

    def make(self, steps_of_a_run: int) -> str:
        """Make a book of ten runs of so many steps and return the id of one."""
        with self.book.run("bench") as run:
            for name in step_names(RECORDED):
                run.do(name, body)
        with duckdb.connect(self.path) as connection:
            connection.execute(MORE_STEPS, (RECORDED, steps_of_a_run // RECORDED))
            connection.execute(MORE_RUNS, (RUNS,))
            connection.execute(STEPS_OF_MORE_RUNS, (RUNS,))
        return run.id

    def run_steps(self, run_id: str, rows: int) -> list[int]:
        run = self.book.get(run_id)
        return _timed(run.steps, rows)

    def book_steps(self, rows: int) -> list[int]:
        return _timed(self.book.steps, rows)


class DuckDB:
    """Asks a copy of the same database for the same rows: connect, query, close."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / DATABASE

    def run_steps(self, run_id: str, rows: int) -> list[int]:
        return _timed(lambda: self._parsed(run_id), rows)

    def book_steps(self, rows: int) -> list[int]:
        return _timed(lambda: self._frame(OF_BOOK), rows)

    def _parsed(self, run_id: str) -> pd.DataFrame:
        frame = self._frame(OF_RUN, [run_id])
        frame["return"] = [json.loads(text) for text in frame["return"]]
        return frame

    def _frame(self, query: str, parameters: list[str] | None = None) -> pd.DataFrame:
        with duckdb.connect(self.path) as connection:
            return connection.execute(query, parameters).df()


def _timed(frame: Callable[[], object], rows: int) -> list[int]:
    start = perf_counter_ns()
    found = frame()
    taken = perf_counter_ns() - start
    if len(found) != rows:
        raise RuntimeError(f"{len(found)} rows, not {rows}")
    return [taken]


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:
    rows, rounds = (10_000, 3) if quick else (100_000, 5)
    own_target, bare_target = f"{__name__}:Stepbook", f"{__name__}:DuckDB"
    own_folder, bare_folder = folder / "stepbook", folder / "duckdb"
    with Worker(own_target, own_folder) as own, Worker(bare_target, bare_folder) as bare:
        run_id = own.call("make", steps_of_a_run=rows)
        shutil.copy(own_folder / DATABASE, bare_folder)
        for call, bare_what, arguments in (
            ("run_steps", "DuckDB to pandas, JSON parsed", {"run_id": run_id, "rows": rows}),
            ("book_steps", "DuckDB to pandas", {"rows": rows * RUNS}),
        ):
            turns = {
                name: lambda worker=worker, call=call, given=arguments: worker.call(call, **given)
                for name, worker in (("duckdb", bare), ("stepbook", own))
            }
            interleave(turns, 1)  # warm up
            samples = interleave(turns, rounds)
            what = f"{call.replace('_', '.')}(), {arguments['rows']:,} rows"
            for name in turns:
                yield Row(
                    WORK,
                    what if name == "stepbook" else bare_what,
                    value=samples[name].median,
                    unit="µs",
                    ratio=samples[name].ratio(samples["duckdb"]) if name == "stepbook" else None,
                    times="DuckDB",
                    goal=LIMIT if name == "stepbook" else None,
                )

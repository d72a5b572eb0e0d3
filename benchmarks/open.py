"""Open a finished run of many steps, against opening its database once and selecting the rows."""

from __future__ import annotations

import shutil
import tracemalloc
from time import perf_counter_ns
from typing import TYPE_CHECKING

import duckdb

import stepbook

from ._harness import Worker, interleave
from ._table import Goal, Row
from .peers import body, step_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORK = "open a finished run"
STEPS = 1000
DATABASE = "book.duckdb"
# Times as integers: as Python objects they would need pytz, and cost the bare side more.
SELECT = """
SELECT * EXCLUDE (run_id, duration)
  REPLACE (epoch_us(started_at) AS started_at, epoch_us(completed_at) AS completed_at)
FROM steps WHERE run_id = (SELECT id FROM runs) ORDER BY seq
"""

BIG_STEPS, BIG_CHARACTERS = 1500, 60_000
TIME_LIMIT = Goal(1.5)
MEMORY_LIMIT = Goal(64 * 1.1, on="value")  # a tenth for the rows around the values


class Stepbook:
    """Opens the run through the public names."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / DATABASE

    def make(self, steps: int, characters: int = 0) -> None:
        text = "x" * characters
        with stepbook.connect(self.path).run("bench") as run:
            for name in step_names(steps):
                run.do(name, (lambda: text) if text else body)

    def open(self, times: int) -> list[int]:
        return [self._open() for _ in range(times)]

    def _open(self) -> int:
        start = perf_counter_ns()
        run = stepbook.connect(self.path).run("bench")
        taken = perf_counter_ns() - start
        run.close()
        return taken

    def memory(self, steps: int) -> int:
        """Return the most bytes of Python objects held while the run is opened and replayed."""
        tracemalloc.start()
        run = stepbook.connect(self.path).run("bench")
        replay = run.options(on_change="ignore")  # it was another body that made the values
        for name in step_names(steps):
            replay.do(name, body)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        run.close()
        return peak


class DuckDB:
    """Opens a copy of the same database and selects the same rows."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / DATABASE

    def open(self, times: int) -> list[int]:
        return [self._open() for _ in range(times)]

    def _open(self) -> int:
        start = perf_counter_ns()
        with duckdb.connect(self.path) as connection:
            connection.execute(SELECT).fetchall()
        return perf_counter_ns() - start


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:
    rounds, times = (3, 5) if quick else (10, 10)
    own_target, bare_target = f"{__name__}:Stepbook", f"{__name__}:DuckDB"
    own_folder, bare_folder = folder / "stepbook", folder / "duckdb"
    with Worker(own_target, own_folder) as own, Worker(bare_target, bare_folder) as bare:
        own.call("make", steps=STEPS)
        shutil.copy(own_folder / DATABASE, bare_folder)
        turns = {
            "stepbook": lambda: own.call("open", times=times),
            "duckdb": lambda: bare.call("open", times=times),
        }
        interleave(turns, 1)  # warm up
        samples = interleave(turns, rounds)
    yield Row.of_samples(WORK, "DuckDB: connect, SELECT, close", samples["duckdb"])
    yield Row.of_samples(
        WORK,
        f"stepbook, {STEPS:,} steps",
        samples["stepbook"],
        ratio=samples["stepbook"].ratio(samples["duckdb"]),
        times="DuckDB",
        goal=TIME_LIMIT,
    )

    with Worker(own_target, folder / "big") as big:
        big.call("make", steps=BIG_STEPS, characters=BIG_CHARACTERS)
        peak = big.call("memory", steps=BIG_STEPS)
    what = f"opened, replayed: peak of values of {BIG_STEPS * BIG_CHARACTERS / 1e6:.0f} MB"
    yield Row(WORK, what, value=peak / 2**20, unit="MiB", goal=MEMORY_LIMIT)

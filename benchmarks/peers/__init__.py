"""One module per way to remember a step, each run in a process of its own.

All peers are asked for named steps and run the same body. *synced* in `PEERS` says honestly when
a step is safe from a power cut: a peer that does not sync does less work than one that does.
"""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class PeerInfo:
    """What is known of a peer without importing it."""

    target: str
    label: str
    synced: str


def _peer(target: str, label: str, synced: str) -> PeerInfo:
    return PeerInfo(f"{__name__}.{target}", label, synced)


PEERS = {
    "append": _peer("raw:RawAppend", "raw append + fdatasync", "every step"),
    "preallocated": _peer("raw:RawPreallocated", "raw preallocated + fdatasync", "every step"),
    "stepbook": _peer("stepbook_run:StepbookRun", "stepbook", "every step"),
    "duckdb": _peer("duckdb_rows:DuckDBRows", "DuckDB, held, INSERT", "every step"),
    "diskcache": _peer("disk_cache:DiskCache", "diskcache, synchronous=FULL", "every step"),
    "dbos": _peer("dbos_sqlite:DBOSOnSQLite", "DBOS on SQLite", "every step"),
    "joblib": _peer("joblib_memory:JoblibMemory", "joblib.Memory", "never"),
    "marimo": _peer("marimo_cache:MarimoCache", "marimo persistent_cache", "never"),
}


#: Bodies that this process has executed: proves that a replay is one.
_executed = 0


def body() -> dict[str, object]:
    """Do the trivial work of a step: what is left is the cost of remembering it."""
    global _executed  # noqa: PLW0603 - a counter that costs least
    _executed += 1
    return {"patient": "p-17", "region": "north", "score": 0.5}


class Peer:
    """A way to remember steps in *folder*, driven by the harness.

    A peer needs `record`; where asking for a known step is another call it has `replay`, too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = itertools.count(1)  # of the steps recorded so far; threads may share it
        self.open()

    def open(self) -> None:
        """Open what is in the folder."""

    def close(self) -> None:
        """Let go of everything that is open."""

    def walk(self, work: Callable[[], None]) -> None:
        """Call *work*, which asks for steps, where steps can be asked for."""
        work()

    def record(self, name: str) -> object:
        """Execute the body as the step *name* and remember what it returned."""
        raise NotImplementedError

    def replay(self, name: str) -> object:
        """Return what the step *name* returned, without executing it."""
        return self.record(name)

    def settle(self) -> None:
        """Finish what was left to the background, outside any measured time."""

    # What the harness calls:

    def record_for(self, seconds: float) -> list[int]:
        """Record new steps for so many *seconds* and return the nanoseconds of each."""
        samples: list[int] = []

        def work() -> None:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                samples.append(timed(self.record, self._next()))

        self.walk(work)
        self.settle()
        return samples

    def record_together(self, threads: int, seconds: float) -> list[float]:
        """Record new steps from several *threads*; return the nanoseconds per step, one figure."""
        done: list[int] = []

        def work() -> None:
            with ThreadPoolExecutor(threads) as pool:
                start = time.perf_counter()
                pending = [pool.submit(self._record_until, start + seconds) for _ in range(threads)]
                done.extend(one.result() for one in pending)
                done.append(int((time.perf_counter() - start) * 1e9))

        self.walk(work)
        self.settle()
        *counts, nanoseconds = done
        return [nanoseconds / sum(counts)]

    def _record_until(self, end: float) -> int:
        count = 0
        while time.perf_counter() < end:
            self.record(self._next())
            count += 1
        return count

    def _next(self) -> str:
        return f"Step {next(self.numbers)}"

    def prepare(self, count: int) -> None:
        """Record *count* steps, then open anew, as the next process would."""

        def work() -> None:
            for name in step_names(count):
                self.record(name)

        self.walk(work)
        self.close()
        self.open()

    def replay_all(self, count: int) -> list[int]:
        """Replay the *count* prepared steps and return the nanoseconds of each."""
        samples: list[int] = []
        before = _executed

        def work() -> None:
            samples.extend(timed(self.replay, name) for name in step_names(count))

        self.walk(work)
        if _executed != before:
            raise RuntimeError("a replay executed the body")
        return samples


def step_names(count: int, first: int = 1) -> list[str]:
    """Return the names of *count* steps, from the one numbered *first*."""
    return [f"Step {number}" for number in range(first, first + count)]


def timed(step: Callable[[str], object], name: str) -> int:
    """Return how many nanoseconds the *step* takes."""
    start = time.perf_counter_ns()
    step(name)
    return time.perf_counter_ns() - start

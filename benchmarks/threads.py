"""Eight threads that record at once, against one thread and against a raw append.

Threads may share a sync. A figure is the time that passed over the number of steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._harness import Worker, interleave
from ._table import Goal, Row
from .peers import PEERS
from .record import share_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORK = "threads"
THREADS = 8
LIMIT = Goal(2, at_least=True)


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:
    rounds, seconds = (3, 0.2) if quick else (20, 0.6)
    own_target, raw_target = PEERS["stepbook"].target, PEERS["append"].target
    with Worker(own_target, folder / "own") as own, Worker(raw_target, folder / "raw") as raw:
        size = share_bytes({"stepbook": own, "append": raw})
        turns = {
            "raw": lambda: raw.call("record_together", threads=1, seconds=seconds),
            "one": lambda: own.call("record_together", threads=1, seconds=seconds),
            "all": lambda: own.call("record_together", threads=THREADS, seconds=seconds),
        }
        interleave(turns, 1)  # warm up
        samples = interleave(turns, rounds)

    yield Row(WORK, f"raw append + fdatasync, {size} bytes", value=samples["raw"].median, unit="µs")
    yield Row(WORK, "stepbook, 1 thread", value=samples["one"].median, unit="µs")
    for base, rate in (("one", "1 thread's rate"), ("raw", "raw append's rate")):
        yield Row(
            WORK,
            f"stepbook, {THREADS} threads, per step",
            value=samples["all"].median,
            unit="µs",
            ratio=samples[base].ratio(samples["all"]),
            times=rate,
            goal=LIMIT,
        )

"""Eight threads that record at once, against one thread and against a raw append.

Threads may share a sync. A figure is the time that passed over the number of steps. On a disk
that syncs in no time there is little to share: so the same again, with a disk on which each sync
takes a millisecond.
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
SLOW_SECONDS = 0.001
SLOW_LIMIT = Goal(3, at_least=True)


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:
    rounds, seconds = (3, 0.2) if quick else (20, 0.6)
    own_target, raw_target = PEERS["stepbook"].target, PEERS["append"].target
    with (
        Worker(own_target, folder / "own") as own,
        Worker(own_target, folder / "slow") as slow,
        Worker(raw_target, folder / "raw") as raw,
    ):
        size = share_bytes({"stepbook": own, "append": raw})
        turns = {
            "raw": lambda: raw.call("record_together", threads=1, seconds=seconds),
            "one": lambda: own.call("record_together", threads=1, seconds=seconds),
            "all": lambda: own.call("record_together", threads=THREADS, seconds=seconds),
            "slow one": lambda: slow.call("record_together", threads=1, seconds=seconds),
            "slow all": lambda: slow.call("record_together", threads=THREADS, seconds=seconds),
        }
        slow.call("slow_down", seconds=SLOW_SECONDS)
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
    slow_one, slow_all = samples["slow one"], samples["slow all"]
    yield Row(WORK, "the same, a sync takes 1 ms, 1 thread", value=slow_one.median, unit="µs")
    yield Row(
        WORK,
        f"the same, a sync takes 1 ms, {THREADS} threads, per step",
        value=slow_all.median,
        unit="µs",
        ratio=slow_one.ratio(slow_all),
        times="1 thread's rate",
        goal=SLOW_LIMIT,
    )

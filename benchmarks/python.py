"""What Python itself takes to record a step: no syncs, and system calls not counted.

Beside what the same Python takes to write and read one step as JSON: the ratio means the same on
every machine. Of each round the fastest tenth counts, since others interrupt the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._harness import Worker, interleave
from ._table import Goal, Row
from .peers import PEERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORK = "Python's part"
LIMIT = Goal(3.2)  # half of what it was when it was first measured


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:
    rounds, seconds = (3, 0.2) if quick else (20, 0.5)
    with Worker(PEERS["stepbook"].target, folder / "own") as worker:

        def fastest(method: str) -> list[int]:
            samples = sorted(worker.call(method, seconds=seconds))
            return samples[: max(1, len(samples) // 10)]

        turns = {name: lambda name=name: fastest(name) for name in ("record_apart", "encode_for")}
        interleave(turns, 1)  # warm up
        samples = interleave(turns, rounds)
    yield Row(WORK, "a step as JSON, there and back", value=samples["encode_for"].median, unit="µs")
    yield Row(
        WORK,
        "record a step, without the disk",
        value=samples["record_apart"].median,
        unit="µs",
        ratio=samples["record_apart"].ratio(samples["encode_for"]),
        times="a step as JSON",
        goal=LIMIT,
    )

"""The 10th step of a run against the last of very many, recorded and replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import stepbook

from ._harness import Worker, interleave
from ._table import Goal, Row
from .peers import body, step_names, timed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORK = "scale"
NEAR = 20  # steps measured around each place
LIMIT = Goal(1.2)


class Stepbook:
    """A short run and a long one in the same book."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "book.duckdb"
        self.book = stepbook.connect(self.path)
        self.long = self.book.run("long")
        self.steps = 0

    def grow(self, steps: int) -> None:
        self._record(self.long, steps - NEAR)

    def record_early(self) -> list[int]:
        """Record the steps around the 10th of a run of its own."""
        with self.book.run("short", new=True) as run:
            for name in step_names(NEAR // 2):
                run.do(name, body)
            return _near(run, NEAR // 2 + 1)

    def record_late(self) -> list[int]:
        """Record the next steps of the long run."""
        return self._record(self.long, NEAR)

    def reopen(self) -> None:
        self.long.close()
        self.book = stepbook.connect(self.path)

    def replay_early(self) -> list[int]:
        """Replay the steps around the 10th, in a pass of their own."""
        return _near(self.book.run("long"), NEAR // 2 + 1)

    def replay_late(self) -> list[int]:
        """Replay the last steps, in a pass of their own."""
        return _near(self.book.run("long"), self.steps - NEAR + 1)

    def _record(self, run: stepbook.Run, count: int) -> list[int]:
        first = self.steps + 1
        self.steps += count
        return _near(run, first, count)


def _near(run: stepbook.Run, first: int, count: int = NEAR) -> list[int]:
    return [timed(lambda name: run.do(name, body), name) for name in step_names(count, first)]


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:
    steps, rounds = (5_000, 10) if quick else (100_000, 50)
    with Worker(f"{__name__}:Stepbook", folder / "stepbook") as worker:
        worker.call("grow", steps=steps)
        for verb in ("record", "replay"):
            samples = interleave(
                {
                    "early": lambda verb=verb: worker.call(f"{verb}_early"),
                    "late": lambda verb=verb: worker.call(f"{verb}_late"),
                },
                rounds,
            )
            yield Row.of_samples(WORK, f"{verb} around step 10", samples["early"])
            yield Row.of_samples(
                WORK,
                f"{verb} around step {steps:,}",
                samples["late"],
                ratio=samples["late"].ratio(samples["early"]),
                times="step 10",
                goal=LIMIT,
            )
            if verb == "record":
                worker.call("reopen")

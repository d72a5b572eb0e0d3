"""Workers in processes of their own, asked in turn, and what their samples say."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PATIENCE_SECONDS = 20

Missing = dict[str, str]  # the name of a subject, and why it has no figures


class WorkerError(Exception):
    """A worker could not do what it was asked; its message is the worker's own."""


class Worker:
    """A child process that holds one object and calls its methods on request."""

    def __init__(self, target: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.log = (folder.parent / f"{folder.name}.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._worker", target, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
        )
        try:
            self._answer()
        except WorkerError:
            self.close()
            raise

    def call(self, method: str, **arguments: object) -> Any:
        """Return what *method* returns in the child.

        Raises:
            WorkerError: the method raised, or the child is gone.
        """
        request = {"call": method, "with": arguments}
        self.process.stdin.write(json.dumps(request) + "\n")
        return self._answer()

    def close(self) -> None:
        """End the child, by force if it does not end by itself."""
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self) -> Any:
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(f"ended by itself: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["value"]

    def _last_words(self) -> str:
        self.log.seek(0)
        return (self.log.read().strip().splitlines() or ["no message"])[-1]


@contextmanager
def workers(targets: dict[str, str], folder: Path) -> Iterator[tuple[dict[str, Worker], Missing]]:
    """Start a worker per target in *folder* and end them all; one that cannot start is missing."""
    started: dict[str, Worker] = {}
    missing: Missing = {}
    try:
        for name, target in targets.items():
            try:
                started[name] = Worker(target, folder / name)
            except WorkerError as error:
                missing[name] = str(error)
        yield started, missing
    finally:
        for worker in started.values():
            worker.close()


@dataclass
class Samples:
    """What one subject took, in microseconds, round by round."""

    rounds: list[list[float]] = field(default_factory=list)

    def add(self, nanoseconds: Sequence[float]) -> None:
        """Add a round."""
        self.rounds.append([sample / 1000 for sample in nanoseconds])

    @property
    def median(self) -> float:
        return statistics.median(self._all())

    @property
    def mean(self) -> float:
        return statistics.fmean(self._all())

    @property
    def p99(self) -> float:
        ordered = sorted(self._all())
        return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]

    def ratio(self, base: Samples) -> float:
        """Return how many times *base* this took: the median over rounds of the medians' ratio.

        Neighbours in a round met the same disk and the same load; the whole run did not.
        """
        pairs = zip(self.rounds, base.rounds, strict=True)
        return statistics.median(
            statistics.median(own) / statistics.median(other) for own, other in pairs
        )

    def _all(self) -> list[float]:
        return [sample for one in self.rounds for sample in one]


def interleave(
    subjects: dict[str, Callable[[], Sequence[float]]],
    rounds: int,
    missing: Missing | None = None,
) -> dict[str, Samples]:
    """Measure every subject once a round, each round beginning with another one.

    With *missing*, a subject that fails on the way goes there and the others go on without it.

    Raises:
        WorkerError: a subject failed, and nobody asked for *missing*.
    """
    samples = {name: Samples() for name in subjects}
    for number in range(rounds):
        names = list(samples)
        turn = number % len(names) if names else 0
        for name in names[turn:] + names[:turn]:
            try:
                samples[name].add(subjects[name]())
            except WorkerError as error:
                if missing is None:
                    raise
                missing[name] = str(error)
                del samples[name]
    return samples

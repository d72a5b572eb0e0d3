"""stepbook itself, through its public names."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import stepbook
from stepbook.system.platform import disk

from . import Peer, body

if TYPE_CHECKING:
    from collections.abc import Callable


#: What a step asks of the disk, besides a sync.
DISK_CALLS = ("pwrite", "preallocate", "named")


class StepbookRun(Peer):
    """One run; each walk is a pass of it."""

    def open(self) -> None:
        self.book = stepbook.connect(self.folder / "bench.duckdb")
        self.run = self.book.run("bench")

    def close(self) -> None:
        self.run.close()

    def walk(self, work: Callable[[], None]) -> None:
        self.run = self.book.run("bench")
        work()

    def record(self, name: str) -> object:
        return self.run.do(name, body)

    def settle(self) -> None:
        self.book.sql("SELECT 1")  # reading folds what is recorded

    def record_apart(self, seconds: float) -> list[int]:
        """Record new steps, never waiting for the disk; return the nanoseconds of each.

        Those of its other system calls are not counted. After a real sync a processor begins
        with cold caches, so that a figure would tell of the disk again.
        """
        spent = 0

        def clocked(call: Callable[..., object]) -> Callable[..., object]:
            def timed(*args: object) -> object:
                nonlocal spent
                begun = time.perf_counter_ns()
                try:
                    return call(*args)
                finally:
                    spent += time.perf_counter_ns() - begun

            return timed

        samples: list[int] = []
        for name in DISK_CALLS:
            setattr(disk, name, clocked(getattr(disk, name)))
        disk.sync = lambda _fd: None
        try:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                name, before, begun = self._next(), spent, time.perf_counter_ns()
                self.record(name)
                samples.append(time.perf_counter_ns() - begun - (spent - before))
        finally:
            for name in (*DISK_CALLS, "sync"):
                delattr(disk, name)
        self.settle()
        return samples

    def slow_down(self, seconds: float) -> None:
        """Have each sync take so many *seconds*, as on a slower disk; its real work is left out."""
        disk.sync = lambda _fd: time.sleep(seconds)

    def encode_for(self, seconds: float) -> list[int]:
        """Write and read a step as JSON again and again: what Python takes on this machine."""
        step = {
            "seq": 17,
            "name": "Load profile",
            "kind": "do",
            "status": "succeeded",
            "attempt": 1,
            "started_at": 1_700_000_000_000_000,
            "completed_at": 1_700_000_000_000_123,
            "seconds": 1.23e-4,
            "return": json.dumps(body()),
        }
        samples: list[int] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            begun = time.perf_counter_ns()
            json.loads(json.dumps(step))
            samples.append(time.perf_counter_ns() - begun)
        return samples

    def bytes_of_a_step(self) -> str:
        """Return what one step adds to the journal: the last of a few, on their average size."""
        count = 50
        before = len(self._journal())
        for number in range(count):
            self.record(f"Probe {number}")
        journal = self._journal()
        return journal[-((len(journal) - before) // count) :]

    def _journal(self) -> str:
        (path,) = (self.folder / "bench.duckdb.d" / "journal").glob("*.jsonl")
        return path.read_bytes().rstrip(b"\0").decode()

"""stepbook itself, through its public names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import stepbook

from . import Peer, body

if TYPE_CHECKING:
    from collections.abc import Callable


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

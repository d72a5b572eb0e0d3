"""Rounds of jobs over one book; behind each the book is compared with what the witness has seen."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import checks, plan, witness
from .pool import Pool
from .story import Story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Processes at once.
AT_ONCE: Final = 5
_ROUND_S: Final = 15.0
_DRAIN_S: Final = 100.0
_TELL_S: Final = 3.0
_SHOWN_FAULTS: Final = 8
_SHOWN_LINES: Final = 25
#: What a job works on belongs to this kind of jobs.
_RUNS_OF: Final = {"sender": "scan"}


class Campaign:
    """One book, and all that happens to it.

    Args:
        seed: of the plan.
        say: prints a line.
    """

    def __init__(self, seed: int, say: Callable[[str], None]) -> None:
        self.seed, self.say = seed, say
        self.folder = Path(tempfile.mkdtemp(prefix="stepbook-faults-"))
        self.book = self.folder / "project" / "stepbook.duckdb"
        self.book.parent.mkdir()
        self.witness = self.folder / "witness"
        witness.use(self.witness)
        self.story = Story()
        self.pool = Pool(self.folder)
        self.checked = 0
        self._plan: Iterator[plan.Job] = plan.jobs(seed)
        self._offset = 0
        self._generations: Counter[str] = Counter()

    def run(self, seconds: float) -> list[str]:
        """Go on for *seconds*, or until something is wrong; return that."""
        until = time.monotonic() + seconds
        for number in itertools.count(1):
            self._round(min(until, time.monotonic() + _ROUND_S))
            faults = [*self.story.faults, *self.pool.faults]
            if not faults:
                faults = self._check(number)
            if faults or time.monotonic() >= until:
                return faults
        return []

    def _round(self, until: float) -> None:
        told = time.monotonic()
        while time.monotonic() < until and not self.story.faults and not self.pool.faults:
            if len(self.pool) < AT_ONCE:
                job = next(self._plan)
                self.pool.start(job, self.book, self._key(job))
            self.pool.attend()
            self._follow()
            if time.monotonic() - told > _TELL_S:
                told = time.monotonic()
                self.say(self.progress())
        self.pool.drain(_DRAIN_S)
        self._follow()

    def _key(self, job: plan.Job) -> str:
        """Return which run a job works on: the next one when one is finished."""
        slot = f"{_RUNS_OF.get(job.kind, job.kind)}-{job.slot}"
        if f"{slot}-{self._generations[slot]}" in self.story.finished:
            self._generations[slot] += 1
        return f"{slot}-{self._generations[slot]}"

    def _follow(self) -> None:
        if self.witness.exists():
            lines, self._offset = witness.read(self.witness, self._offset)
            for line in lines:
                self.story.tell(line)

    def _check(self, number: int) -> list[str]:
        """Check in a process of its own, so that this one never opens the book."""
        result = self.folder / "checked"
        pid = os.fork()
        if pid == 0:
            try:
                found = checks.faults(self.story, self.book, random.Random(self.seed + number))
                result.write_text(json.dumps(found))
            except BaseException:  # noqa: BLE001 - told, and the process ends
                result.write_text(json.dumps([f"the check: {traceback.format_exc()}"]))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        self.checked += 1
        found = json.loads(result.read_text())
        result.unlink()
        return list(found)

    def progress(self) -> str:
        """Return a line of how far it is."""
        told, done = self.story.counts, self.pool.counts
        attacks = sum(n for what, n in done.items() if what.startswith("attack"))
        injuries = sum(n for what, n in told.items() if what.startswith("struck"))
        return (
            f"{len(self.pool.jobs)} processes, {attacks} attacks, {injuries} injuries: "
            f"{told['ack']} acknowledged, {told['exec']} executed, {told['sent']} delivered, "
            f"{len(self.story.finished)} runs finished, {self.checked} checks"
        )

    def summary(self) -> str:
        """Return all counts."""
        counts = {**self.pool.counts, **self.story.counts}
        return "\n".join(f"  {what:<22}{counts[what]:>8,}" for what in sorted(counts))

    def describe(self, faults: list[str]) -> str:
        """Return *faults*, and what led to those of a run."""
        shown = [*faults[:_SHOWN_FAULTS]]
        if len(faults) > _SHOWN_FAULTS:
            shown.append(f"and {len(faults) - _SHOWN_FAULTS} more")
        lines, _ = witness.read(self.witness, 0)
        keys = {word.rstrip(",:") for fault in faults for word in fault.split()}
        about = [line for line in lines if keys.intersection(map(str, line[2:3]))]
        for line in about[-_SHOWN_LINES:]:
            word, pid, *facts = line
            job = self.pool.jobs.get(pid)
            shown.append(f"  {word} {' '.join(map(str, facts))}: {job or 'the pool'}")
        return "\n".join([*shown, f"everything is in {self.folder}"])

    def remove(self) -> None:
        """Remove all that it has written."""
        shutil.rmtree(self.folder, ignore_errors=True)

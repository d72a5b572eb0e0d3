"""Starts a process for each job, attacks it from outside, and waits for its end."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import signal
import sys
import time
import traceback
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from . import jobs, witness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .plan import Job

_LIMIT_S: Final = 90.0
_POLL_S: Final = 0.005
_STORM_S: Final = 0.02
_SHOWN: Final = 3000
#: What a process must not write, unless somebody has interrupted it.
_WRONG: Final = ("Traceback (most recent call last)", "Exception ignored in")
_INTERRUPTS: Final = ("interrupt", "storm")


@dataclass(slots=True)
class Process:
    """A process of a job.

    Attributes:
        job: what it does.
        pid: its number.
        log: where it writes.
        due: when the next thing is done to it, by ``time.monotonic``; infinite if nothing is.
        limit: when it must have ended.
        stopped: whether it is stopped.
        attacked: how often something was done to it.
    """

    job: Job
    pid: int
    log: Path
    due: float
    limit: float
    stopped: bool = False
    attacked: int = 0
    hung: bool = False


@dataclass(slots=True)
class Pool:
    """The processes that are alive.

    Attributes:
        folder: where they write.
        faults: what was wrong with their ends.
        jobs: the job of each process there was.
        counts: how often what was done, and how processes have ended.
    """

    folder: Path
    faults: list[str] = field(default_factory=list)
    jobs: dict[int, Job] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    _alive: list[Process] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._alive)

    def __iter__(self) -> Iterator[Process]:
        return iter(list(self._alive))

    def start(self, job: Job, book: Path, key: str) -> None:
        """Start the process of a job."""
        log = self.folder / f"job-{job.number}.log"
        pid = os.fork()
        if pid == 0:
            _be(jobs.Place(job, book, key), log)
        now = time.monotonic()
        due = now + job.after if job.outside else float("inf")
        self._alive.append(Process(job, pid, log, due, now + _LIMIT_S))
        self.jobs[pid] = job
        self._count(f"job {job.kind}")
        if job.injury:
            self._count(f"injury {job.injury}")

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def attend(self) -> None:
        """Do what is due, and let go of what has ended."""
        now = time.monotonic()
        for process in self:
            if now >= process.due:
                self._attack(process, now)
            if now >= process.limit:
                self._end_hung(process, now)
            pid, status = os.waitpid(process.pid, os.WNOHANG)
            if pid:
                self._ended(process, status)
        time.sleep(_POLL_S)

    def _attack(self, process: Process, now: float) -> None:
        job, pid = process.job, process.pid
        process.due = float("inf")
        process.attacked += 1
        if process.stopped:
            process.stopped = False
            os.kill(pid, signal.SIGCONT)
            return
        self._count(f"attack {job.outside}")
        if job.outside == "kill":
            witness.tell("killing", pid)
            os.kill(pid, signal.SIGKILL)
        elif job.outside == "stop":
            os.kill(pid, signal.SIGSTOP)
            process.stopped = True
            process.due = now + job.lasting
        else:
            witness.tell("interrupting", pid)
            os.kill(pid, signal.SIGINT)
            if job.outside == "storm" and process.attacked < 30:
                process.due = now + _STORM_S

    def _end_hung(self, process: Process, now: float) -> None:
        if process.hung:
            os.kill(process.pid, signal.SIGKILL)
            return
        process.hung = True
        process.limit = now + 5
        process.due = float("inf")
        os.kill(process.pid, signal.SIGCONT)
        os.kill(process.pid, signal.SIGABRT)  # says where it is

    def _ended(self, process: Process, status: int) -> None:
        self._alive.remove(process)
        code = os.waitstatus_to_exitcode(status)
        witness.tell("dead", process.pid)
        written = process.log.read_text(errors="replace") if process.log.exists() else ""
        interrupted = process.job.outside in _INTERRUPTS
        self._count("killed" if code == -signal.SIGKILL else "ended")
        wrong = ""
        if process.hung:
            wrong = f"did not end within {_LIMIT_S:g} s"
        elif code != 0 and not (code == -signal.SIGKILL and process.job.outside == "kill"):
            wrong = f"ended with {code}"
        elif process.job.kind != "cells" and not interrupted and any(w in written for w in _WRONG):
            wrong = "has written a traceback"
        if wrong:
            self.faults.append(f"{process.job} {wrong}:\n{written[-_SHOWN:]}")
        else:
            process.log.unlink(missing_ok=True)

    def drain(self, seconds: float) -> None:
        """Wait for all, and kill what has not ended by then."""
        until = time.monotonic() + seconds
        while self._alive and time.monotonic() < until:
            self.attend()
        for process in self:
            if process.job.outside != "kill":
                self.faults.append(f"{process.job} does not end")
            witness.tell("killing", process.pid)
            os.kill(process.pid, signal.SIGKILL)
            os.waitpid(process.pid, 0)
            self._alive.remove(process)


def _be(place: jobs.Place, log: Path) -> None:
    """Be the process of a job."""
    mine = os.getpid()
    interrupts = place.job.outside in _INTERRUPTS
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        faulthandler.enable()
        warnings.resetwarnings()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            jobs.perform(place)
        except BaseException as error:  # noqa: BLE001 - told, and the process ends
            if os.getpid() == mine and not (interrupts and isinstance(error, KeyboardInterrupt)):
                witness.tell("fault", f"{place.job}:\n{traceback.format_exc()}")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if place.job.end != "exit" or os.getpid() != mine:
            atexit._run_exitfuncs()
        witness.tell("exiting")
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)

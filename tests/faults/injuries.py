"""What goes wrong inside of a process: its disk, its clock, forks, copies, a sudden end."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

from stepbook.system.platform import disk

from .witness import tell

if TYPE_CHECKING:
    from pathlib import Path

    from .plan import Job

#: A fork that does not end is killed after that.
_FORK_S = 20
_real_ns, _real = time.time_ns, time.time


class Injury:
    """What goes wrong in the process of a job.

    Args:
        job: the job.
        book: the path of the book.
    """

    def __init__(self, job: Job, book: Path) -> None:
        self.job, self.book = job, book
        self.struck = 0  # how often something went wrong
        self._calls = self._bodies = 0
        self._lock = threading.Lock()

    def install(self) -> None:
        """Have it go wrong from here on."""
        if self.job.injury in ("full", "broken", "short", "exit"):
            original = getattr(disk, self.job.call)
            setattr(disk, self.job.call, lambda *args: self._call(original, args))
        elif self.job.injury == "clock":
            original = disk.pwrite
            setattr(disk, "pwrite", lambda *args: self._jump(original, args))  # noqa: B010

    def _is_now(self) -> bool:
        with self._lock:
            self._calls += 1
            now = self.job.at <= self._calls < self.job.at + self.job.times
        if now:
            self._strike()
        return now

    def _strike(self) -> None:
        self.struck += 1
        if self.struck == 1:
            tell("struck", self.job.injury)

    def _call(self, original: Any, args: tuple[Any, ...]) -> Any:
        if not self._is_now():
            return original(*args)
        if self.job.injury == "full":
            number = errno.ENOSPC if self.job.chance % 2 else errno.EDQUOT
            raise OSError(number, os.strerror(number), str(args[0]))
        if self.job.injury == "broken":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        before = self.job.chance % 3
        if self.job.injury == "short":
            fd, data, offset = args
            written: int = os.pwrite(fd, data[: max(1, len(data) // 2)], offset)
            if before:
                return written
        elif before == 0:
            original(*args)
        tell("exiting")
        os._exit(0)

    def _jump(self, original: Any, args: tuple[Any, ...]) -> Any:
        if self._is_now():
            far = self.job.chance % (40 * 86_400) - 20 * 86_400
            time.time_ns = lambda: _real_ns() + far * 10**9
            time.time = lambda: _real() + far
        return original(*args)

    def in_body(self) -> None:
        """Do what a body does that goes wrong."""
        self._bodies += 1
        if self._bodies != 1 + self.job.at % 5:
            return
        if self.job.injury == "fork":
            self._strike()
            self._fork()
        elif self.job.injury == "copy":
            self._strike()
            copy = tempfile.mkdtemp(prefix="copy-", dir=self.book.parent.parent)
            folder = self.book.with_name(self.book.name + ".d")
            with contextlib.suppress(shutil.Error):  # what was removed meanwhile
                shutil.copytree(folder, copy, dirs_exist_ok=True, ignore=_vanished)
            shutil.rmtree(copy)

    def _fork(self) -> None:
        how = ("exit", "sys.exit", "collect")[self.job.chance % 3]
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_FORK_S)
            if how == "sys.exit":
                sys.exit(0)
            if how == "collect":
                import gc

                gc.collect()
            os._exit(0)
        status = _waited(pid)
        if os.waitstatus_to_exitcode(status) == -signal.SIGALRM:
            tell("fault", f"a fork that ends by {how} does not end")


def _waited(pid: int) -> int:
    while True:
        try:
            return os.waitpid(pid, 0)[1]
        except KeyboardInterrupt:  # it is raised when the fork has ended
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise


def _vanished(folder: str, names: list[str]) -> list[str]:
    """Leave out what is gone already."""
    return [name for name in names if not os.path.lexists(os.path.join(folder, name))]  # noqa: PTH118

"""Who owns which run, by locks on files."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Final

from ..errors import BookBusyError, RunInUseError
from ..model.rows import now_us
from ..system.console import asks_new
from ..system.interrupts import section
from ..system.locks import FileLock
from ..system.platform import names_in, owner
from ..system.refusals import refusals, trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OPEN_S: Final = 10.0


def note() -> dict[str, Any]:
    """Return what this process says of itself as the owner of a run."""
    return {**owner(), "opened_at": now_us()}


def in_use(run_id: str, holder: str, pid: int | None) -> RunInUseError:
    """Return what to raise when somebody else owns a run."""
    workers: Any = sys.modules.get("multiprocessing.process")
    if workers is not None and getattr(workers.current_process(), "_inheriting", False):
        return RunInUseError(
            f"run {run_id} is in use by {holder}, and this is one of its workers, which execute "
            'the file once more. Open runs below `if __name__ == "__main__":`, give the workers '
            "data, and record there what they return.",
            pid=pid,
        )
    return RunInUseError(
        f"run {run_id} is in use by {holder}. Close it there "
        "(run.close() or %stepbook close, or shut the kernel down), or start another run "
        f"with {asks_new.get()}.",
        pid=pid,
    )


class FileLocks:
    """The locks of one book, each on a file of its own.

    Args:
        folder: where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def open_path(self) -> Path:
        """The file of the open lock."""
        return self.folder / "open.lock"

    @contextlib.contextmanager
    def open_lock(self) -> Iterator[None]:
        """Hold the open lock: nobody else finds, creates or delivers meanwhile.

        Raises:
            BookBusyError: somebody else has held it for long.
        """
        with section():
            lock = FileLock.at(self.open_path)
            held = lock.held(timeout=_OPEN_S)
            try:
                held.__enter__()
            except TimeoutError as error:
                raise BookBusyError(f"{error}. Try again when it is done.", pid=None) from error
            except OSError as error:
                raise trouble(f"the lock {lock.path}", error, "nothing was begun") from error
            try:
                yield
            finally:
                held.__exit__(None, None, None)

    def take(self, run_id: str, timeout: float) -> FileLock:
        """Own a run, and sign it; in a section.

        Raises:
            RunInUseError: a live process still owns it after *timeout* seconds.
        """
        lock = self._at(run_id)
        if not _acquired(lock, timeout):
            raise in_use(run_id, lock.describe_holder(), lock.note().get("pid"))
        with contextlib.suppress(OSError):  # a full disk: others are told less, no more
            lock.write_note(note())
        return lock

    def take_free(self, run_id: str) -> FileLock | None:
        """Own a run for a moment if nobody does, without signing it; in a section."""
        lock = self._at(run_id)
        return lock if _acquired(lock) else None

    def runs(self) -> list[str]:
        """Return the names of those that have a lock, as they are: maybe no ids."""
        suffix = ".lock"
        return [n.removesuffix(suffix) for n in names_in(self.folder) if n.endswith(suffix)]

    def _at(self, run_id: str) -> FileLock:
        return FileLock.at(self.folder / f"{run_id}.lock")


def _acquired(lock: FileLock, timeout: float = 0.0) -> bool:
    """Take a lock, or return False if others hold it; in a section."""
    with refusals(str(lock.path), "the run was not opened"):
        return lock.acquire(timeout=timeout)

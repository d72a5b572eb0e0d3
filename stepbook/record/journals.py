"""The journals of a book as files in one folder, and what is said of damaged ones."""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import TYPE_CHECKING, Any

from ..errors import BookMismatchError, StepbookWarning
from ..system.console import asks_new
from ..system.platform import disk, read_plain
from ..system.refusals import refusals, unusable
from .journal import Journal
from .lines import files_of, look, number_of, read_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ..model.rows import Row
    from .lines import Damage, Events, JournalFile, Names


class FileJournals:
    """The journals of one book.

    Args:
        folder: where the files are; it may be missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(
        self,
        run_id: str,
        header: dict[str, Any],
        synced: int,
        apply: Callable[[Row], None],
        restore: Callable[[int], list[bytes]],
    ) -> Journal:
        """Begin a run's next file; see :class:`Journal`."""
        number = max(map(number_of, self.paths(run_id)), default=0) + 1
        return Journal(self.folder, run_id, number, header, synced, apply, restore)

    def look(self) -> Names:
        """Return what is in the folder, by run."""
        return look(self.folder)

    def paths(self, run_id: str) -> list[Path]:
        """Return the files of a run, in the order they were written."""
        return files_of(self.folder, run_id)

    def read(self, run_id: str, attempts: int = 1) -> list[JournalFile]:
        """Return a run's files, read back; see :func:`read_files`.

        Raises:
            BookError: one cannot be read, or is not a plain file.
        """
        try:
            return read_files(self.paths(run_id), attempts=attempts)
        except OSError as error:
            raise unusable(error) from error

    def sync(self, run_id: str) -> None:
        """Sync what another process may have written, before anything is built on it."""
        for path in self.paths(run_id):
            with refusals(str(path), "the run was not opened"):
                fd = disk.open(path, os.O_RDWR)
                try:
                    disk.sync(fd)
                finally:
                    disk.close(fd)

    def unlink(self, path: Path) -> None:
        """Remove one file; OSError if that is refused."""
        disk.unlink(path)

    def remove(self, run_id: str) -> None:
        """Remove a run's files; durable on return."""
        unborn = self.look().unborn.get(run_id, [])
        for path in (*self.paths(run_id), *unborn):
            disk.unlink(path)
        if self.folder.exists():
            disk.sync_dir(self.folder)

    def texts(self) -> Iterator[str]:
        """Yield what the files hold, damaged ones too."""
        for path in self.folder.glob("*.jsonl*"):
            with contextlib.suppress(FileNotFoundError):
                yield read_plain(path).decode("utf-8", "replace")


def gap(database: Path | None, run_id: str, missing: int) -> BookMismatchError:
    """Return what to raise when events between the tables and a journal are missing."""
    return BookMismatchError(
        f"the database {database} is older than the journal of run {run_id} by {missing} "
        "events: it was lost, or restored from an older copy. Nothing was folded over the gap. "
        "Restore the database that belongs to these journals, or start the run over with "
        f"{asks_new.get()}."
    )


def tell_of(events: Events) -> None:
    """Tell of what is damaged.

    Raises:
        JournalDamagedError: events that had been synced are.
    """
    if events.damage is not None:
        raise events.damage.error()
    for garbled in events.garbled:
        _warn(about_garbled(garbled))


def tell_damaged(damaged: dict[str, list[Path]]) -> None:
    """Tell of the journals that were set aside."""
    for paths in damaged.values():
        for path in paths:
            _warn(about_damaged(path))


def about_damaged(path: Path) -> str:
    """Return what to say of a journal that was set aside."""
    old, _, _ = path.name.partition(".damaged")
    return (
        f"{path}: this journal was damaged and is kept under this name. Steps that it held and the "
        f"tables lack are executed again. To use it restore it from a backup as {old}; else "
        "remove it."
    )


def about_garbled(damage: Damage) -> str:
    """Return what to say of a journal of which the end cannot be read."""
    return (
        f"{damage.where}: what stands from here on is damaged and is not used. A step whose end "
        "stood there is executed again. The file is kept; restore it from a backup before you go "
        "on with the run."
    )


def tell_unknown(run_id: str, paths: list[Path], odd: Damage | None) -> None:
    """Tell of a run's journals of which the first line cannot be read, or is *odd*."""
    if odd is not None:
        _warn(str(odd.error()))
        return
    _warn(
        f"{paths[0]}: the first line of this journal is damaged, so it is not known which loop run "
        f"{run_id} is of. If it is the one that you open, its steps are executed again. Restore "
        "the file from a backup first; `stepbook doctor` lists what is readable."
    )


def _warn(text: str) -> None:
    warnings.warn(f"stepbook: {text}", StepbookWarning, stacklevel=3)

"""The writing side of a run's journal.

Writing is made of steps that can be done again: lines wait in a queue until their sync returned,
positions move by single assignments, and bytes go to a place computed from the last position. So
an interrupt, a short write or a full disk anywhere leaves a journal of which the next append
writes the pending lines again, at the same place.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ._errors import JournalWriteError
from ._interrupts import section, take
from ._journal_format import FORMAT, number_of, seal, seq_of
from ._model import ROW_TYPES, Row, row_to_json
from ._platform import disk, write_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FIRST_CHUNK: Final = 1 << 16
_LAST_CHUNK: Final = 1 << 22


class _Queued(NamedTuple):
    seq: int
    row: Row
    durable: bool  # takes effect only once it is synced


class _Position(NamedTuple):
    seq: int
    offset: int


class Journal:
    """The writing side, used by the run's owner, from any thread.

    Args:
        folder: the book's journal folder.
        run_id: the run.
        number: number of the first file to create; it must not exist.
        header: what the header line says about the run and its owner.
        synced: the last sequence number that is already on the disk, in earlier files or tables.
        apply: called once or more for every row, in order, when it takes effect: durable rows
            after their sync, others after their write.
    """

    def __init__(
        self,
        folder: Path,
        run_id: str,
        number: int,
        header: dict[str, Any],
        synced: int,
        apply: Callable[[Row], None],
    ) -> None:
        self.folder, self.run_id, self._header, self._apply = folder, run_id, header, apply
        #: Whether an interrupt or an error has left an event that was not written.
        self.left = False
        self._queue: deque[_Queued] = deque()
        self._lock = threading.Lock()  # the queue, the positions, the file's bytes
        self._sync_lock = threading.Lock()  # one sync at a time; whoever waits finds it done
        self._synced = self._folded = _Position(synced, 0)
        self._path: Path | None = None
        self._failed: OSError | None = None  # the sync that ended this file
        self._older: list[tuple[Path, int, int]] = []  # unfolded regions of ended files
        self._start_file(number)

    def _start_file(self, number: int) -> None:
        path, fd = self._create(number)
        number = number_of(path)
        after = self._synced.seq
        first = {**self._header, "format": FORMAT, "number": number, "first": after + 1}
        data = seal(after, after, "header", first)
        try:
            disk.preallocate(fd, 0, _FIRST_CHUNK)
            write_all(fd, data, 0)
            disk.sync(fd)
            disk.sync_dir(self.folder)
        except BaseException:
            disk.close(fd)
            # Never named by anything: better gone than read as the run's next file.
            with contextlib.suppress(OSError):
                disk.unlink(path)
            raise
        start = _Position(after, len(data))
        older = [*self._older]
        if self._path is not None and self._folded.offset < self._synced.offset:
            older.append((self._path, self._folded.offset, self._synced.offset))
        # Plain stores, between which no interrupt is delivered.
        self._path, self.number, self._fd, self._allocated = path, number, fd, _FIRST_CHUNK
        self._written = self._synced = self._folded = start
        self._older, self._failed = older, None

    def _create(self, number: int) -> tuple[Path, int]:
        """Create the file of this number, or of the first one behind it that is free."""
        while True:
            path = self.folder / f"{self.run_id}.{number}.jsonl"
            try:
                return path, disk.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR)
            except FileExistsError:  # an interrupt fell between its creation and its use
                number += 1

    @property
    def path(self) -> Path:
        """The file that is written to."""
        assert self._path is not None  # noqa: S101 - set by __init__
        return self._path

    @property
    def unfolded(self) -> bool:
        """Whether there are events that :meth:`mark_folded` has not passed."""
        return bool(self._queue or self._older) or self._folded.seq < self._synced.seq

    @property
    def synced_seq(self) -> int:
        """The last sequence number that is known to be on the disk."""
        return self._synced.seq

    @property
    def pending(self) -> bool:
        """Whether something was appended that is not yet synced."""
        return bool(self._queue)

    def append(self, row: Row, *, durable: bool) -> int:
        """Queue one event and return its number; :meth:`sync` makes it durable.

        A durable one is written with its sync, so that threads which wait for one sync share one
        write, too; another one is written at once.

        Raises:
            JournalWriteError: it could not be written; it stays queued.
        """
        held: list[object] = []
        try:
            take(self._lock, held)
            seq = (self._queue[-1].seq if self._queue else self._synced.seq) + 1
            self._queue.append(_Queued(seq, row, durable))
            if not durable:
                self._write()
        except BaseException:
            self.left = True
            raise
        finally:
            if held:
                self._lock.release()
        return seq

    def sync(self, seq: int | None = None) -> None:
        """Return when the event *seq* (without it: all that was appended) is on the disk.

        Threads share syncs: whoever waits for the lock mostly finds its line covered.

        Raises:
            JournalWriteError: it could not be made durable; it stays queued.
        """
        failed_before = False
        while self._queue:
            if seq is not None and self._synced.seq >= seq:
                return
            held: list[object] = []
            try:
                take(self._sync_lock, held)
                if seq is not None and self._synced.seq >= seq:
                    return
                target, fd = self._write_all()
                try:
                    disk.sync(fd)
                except OSError as error:
                    self._failed = error
                    if failed_before:
                        raise _write_error(self.path, error) from error
                    failed_before = True
                    continue
                self._settle(target)
            finally:
                if held:
                    self._sync_lock.release()
            if seq is None and self._synced.seq >= target.seq:
                return

    def _write_all(self) -> tuple[_Position, int]:
        """Write what is queued; return how far the file goes then, and its descriptor."""
        held: list[object] = []
        try:
            take(self._lock, held)
            self._write()
            return self._written, self._fd
        finally:
            if held:
                self._lock.release()

    def _settle(self, target: _Position) -> None:
        held: list[object] = []
        try:
            take(self._lock, held)
            for queued in self._queue:
                if queued.seq > target.seq:
                    break
                if queued.durable:
                    self._apply(queued.row)
            self._synced = target
            while self._queue and self._queue[0].seq <= target.seq:
                self._queue.popleft()
            if not self._queue:
                self.left = False
        finally:
            if held:
                self._lock.release()

    def _write(self) -> None:
        if self._failed is not None:
            self._next_file(self._failed)
        written, synced = self._written, self._synced.seq
        if not self._queue or self._queue[-1].seq <= written.seq:
            return
        todo = [queued for queued in self._queue if queued.seq > written.seq]
        data = b"".join(
            seal(queued.seq, synced, ROW_TYPES[type(queued.row)], row_to_json(queued.row))
            for queued in todo
        )
        end = written.offset + len(data)
        try:
            if end > self._allocated:
                chunk = max(end - self._allocated, min(self._allocated, _LAST_CHUNK))
                disk.preallocate(self._fd, self._allocated, chunk)
                self._allocated += chunk
            write_all(self._fd, data, written.offset)
        except OSError as error:
            raise _write_error(self.path, error) from error
        for queued in todo:
            if not queued.durable:
                self._apply(queued.row)
        self._written = _Position(todo[-1].seq, end)

    def _next_file(self, error: OSError) -> None:
        """Go on in a new file: after a failed sync nothing of this one can be trusted.

        The kernel may have dropped the unwritten pages and report success the next time. The
        lines behind the last good sync are still queued and are written again.
        """
        fd = self._fd
        try:
            self._start_file(self.number + 1)
        except OSError as again:
            raise _write_error(self.path, error) from again
        with contextlib.suppress(OSError):
            disk.close(fd)

    def read_unfolded(self, limit: int) -> list[bytes]:
        """Return synced lines that :meth:`mark_folded` has not passed.

        Args:
            limit: about how many bytes to return at the most; at least one line is returned.
        """
        with section(self._sync_lock, self._lock):
            regions = [*self._older, (self.path, self._folded.offset, self._synced.offset)]
        path, start, end = next((r for r in regions if r[1] < r[2]), regions[-1])
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(min(limit, end - start))
            while data and b"\n" not in data:
                data += file.read(min(len(data), end - start - len(data)))
        return data[: data.rfind(b"\n")].split(b"\n") if data else []

    def mark_folded(self, lines: list[bytes]) -> None:
        """Say that *lines*, as :meth:`read_unfolded` returned them, are in the tables."""
        size = sum(map(len, lines)) + len(lines)
        with section(self._sync_lock, self._lock):
            if self._older:
                path, start, end = self._older[0]
                self._older[:1] = [(path, start + size, end)] if start + size < end else []
            else:
                self._folded = _Position(seq_of(lines[-1]), self._folded.offset + size)

    def close(self) -> None:
        """Give back the reserved space and close the file; what is pending must be synced."""
        with section(self._sync_lock, self._lock):
            fd, self._fd = self._fd, -1  # whoever writes later gets an error, not another file
            with contextlib.suppress(OSError):
                disk.truncate(fd, self._written.offset)
            disk.close(fd)


def _write_error(path: Path, error: OSError) -> JournalWriteError:
    return JournalWriteError(
        f"the journal {path} could not be written: {error.strerror or error}. Nothing that was "
        "recorded is lost; what is pending is written with the next step. Free some space or "
        "mend the disk, then run the step again.",
        path=str(path),
    )


class MemoryJournal:
    """The journal of a book in memory: nothing to write, and so nothing to sync."""

    def __init__(self, synced: int, apply: Callable[[Row], None]) -> None:
        self.number, self.pending, self.left = 1, False, False
        self.synced_seq = synced
        self._apply = apply
        self._lines: list[bytes] = []
        self._lock = threading.Lock()

    @property
    def unfolded(self) -> bool:
        """Whether there are events that :meth:`mark_folded` has not passed."""
        return bool(self._lines)

    def append(self, row: Row, *, durable: bool) -> int:  # noqa: ARG002 - the face of Journal
        """Record one event; it takes effect at once."""
        with section(self._lock):
            seq = self.synced_seq + 1
            line = seal(seq, self.synced_seq, ROW_TYPES[type(row)], row_to_json(row))
            self._lines.append(line[:-1])
            self._apply(row)
            self.synced_seq = seq
        return seq

    def sync(self, seq: int | None = None) -> None:
        """Do nothing."""

    def read_unfolded(self, limit: int) -> list[bytes]:  # noqa: ARG002 - the face of Journal
        """Return the lines that :meth:`mark_folded` has not passed."""
        with section(self._lock):
            return list(self._lines)

    def mark_folded(self, lines: list[bytes]) -> None:
        """Say that *lines* are in the tables."""
        with section(self._lock):
            del self._lines[: len(lines)]

    def close(self) -> None:
        """Do nothing."""

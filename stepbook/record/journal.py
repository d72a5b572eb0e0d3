"""The writing side of a run's journal.

Writing is made of steps that can be done again: lines wait in a queue until their sync returned,
positions move by single assignments, and bytes go to a place computed from the last position. So
an interrupt, a short write or a full disk anywhere leaves a journal of which the next append
writes the pending lines again, at the same place.

A sync says that the bytes are on the disk, not that anybody will find them: the file may have been
removed, or another one may have its name. So whoever is told that an event is safe is told after a
look at the name. The descriptor of a file without a name still holds its bytes: the journal goes on
in a new file that begins with all of them.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import warnings
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import JournalWriteError, StepbookWarning
from ..system.interrupts import section, take
from ..system.platform import Identity, disk, write_all
from ..system.refusals import PENDING, refusals, refused
from .journal_file import File, NameLostError, create, free_path
from .lines import FORMAT, event, number_of, seal, seal_event, seq_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ..model.rows import Row

_FIRST_CHUNK: Final = 1 << 16
_LAST_CHUNK: Final = 1 << 22


#: An event's number, its row, whether it takes effect only once it is synced, and what its line
#: says of it. A plain tuple: two are made for each step.
_Queued = tuple[int, "Row", bool, bytes]


class _Position(NamedTuple):
    seq: int
    offset: int


class _Folded(NamedTuple):
    """How far the tables have come: the number, and the place behind it in which file."""

    seq: int
    file: int
    offset: int


class Journal:
    """The writing side, used by the run's owner, from any thread.

    Args:
        folder: the book's journal folder.
        run_id: the run.
        number: number of the first file to create.
        header: what the header line says about the run and its owner.
        synced: the last sequence number that is already on the disk, in earlier files or tables.
        apply: called once or more for every row, in order, when it takes effect: durable rows
            after their sync, others after their write.
        restore: called when the file has lost its name, before the next one is created, with the
            number of the last event that no file of this journal holds. Makes sure that a file
            can be found in *folder*, and returns the lines up to that number that the next file
            has to begin with; JournalWriteError if it would not make the record whole.

    Raises:
        JournalWriteError: the first file could not be written.
    """

    def __init__(
        self,
        folder: Path,
        run_id: str,
        number: int,
        header: dict[str, Any],
        synced: int,
        apply: Callable[[Row], None],
        restore: Callable[[int], list[bytes]],
    ) -> None:
        self.folder, self.run_id, self._header, self._apply = folder, run_id, header, apply
        self._restore = restore
        #: Whether an interrupt or an error has left an event that was not written.
        self.left = False
        self._queue: deque[_Queued] = deque()
        self._lock = threading.Lock()  # the queue, the positions, the file's bytes
        self._sync_lock = threading.Lock()  # one sync at a time
        self._group = threading.Lock()  # held by the one who syncs for all who wait for it
        self._synced = _Position(synced, 0)
        self._files: tuple[File, ...] = ()
        self._failed: OSError | None = None  # what ended this file
        self._news: str | None = None  # what has happened to a file, to be told
        self._retired: list[File] = []  # lost their names; who reads them may not be done
        with refusals(f"a journal of run {run_id} in {folder}", PENDING):
            try:
                self._begin(number, [])
            except FileNotFoundError:  # the folder is gone
                self._begin(number, restore(synced))

    def _begin(self, number: int, older: list[bytes]) -> None:
        """Go on in a new file, behind the last event that is known to be on the disk.

        Args:
            number: its number, or a lower one.
            older: lines that come before, to be written again.
        """
        after = seq_of(older[0]) - 1 if older else self._synced.seq
        file, position, folded = self._create(number, after, iter(older))
        ended = self._files
        if ended:
            ended = (*ended[:-1], replace(ended[-1], end=self._synced.offset))
        mark = self._folded if ended else folded
        self._take(ended, file, position, mark)

    def _begin_again(self) -> None:
        """Go on in a new file that holds all that the files so far do: they have lost a name.

        Raises:
            JournalWriteError: events that the tables may lack cannot be read any more.
        """
        base = self._reach()
        if base > self._folded.seq:
            raise JournalWriteError(
                f"the journal {self.path} was removed, replaced or changed by another program, "
                f"and the events {self._folded.seq + 1} to {base} of run {self.run_id} cannot be "
                "read from it any more. Nothing more is recorded in this run, since it could not "
                "be read back. Restore the file from a backup and open the run again in a new "
                "process, or start over with a new run.",
                path=str(self.path),
            )
        older = self._restore(base)
        before = self.path
        after = seq_of(older[0]) - 1 if older else base
        held = (raw for raw in self._held() if raw is not None and seq_of(raw) > base)
        file, position, folded = self._create(self.number + 1, after, itertools.chain(older, held))
        ended = self._files
        self._retired += ended
        self._take((), file, position, folded)
        for one in ended:
            one.unlink()
        self._news = (
            f"stepbook: the journal {before} has lost its name or its end: another program has "
            f"removed, moved, replaced or cut it, or its folder. Nothing is lost: run "
            f"{self.run_id} goes on in "
            f"{file.path}, which holds all events since number {after + 1}. Keep programs that "
            f"clean up or synchronize away from {self.folder.parent} while a run is open."
        )

    def _take(
        self, ended: tuple[File, ...], file: File, position: _Position, folded: _Folded
    ) -> None:
        allocated = max(_FIRST_CHUNK, position.offset)
        # Plain stores, between which no interrupt is delivered.
        self._allocated = allocated
        self._written = self._synced = position
        self._folded = folded
        self._files = (*ended, file)
        self._failed = None

    def _create(
        self, number: int, after: int, lines: Iterator[bytes]
    ) -> tuple[File, _Position, _Folded]:
        """Create a file that begins with *lines*, those behind number *after*."""
        path = free_path(self.folder, self.run_id, number)
        first = {
            **self._header,
            "format": FORMAT,
            "number": number_of(path),
            "first": after + 1,
        }
        data = seal(after, after, "header", first)
        known = self._folded.seq if self._files else self._synced.seq
        end = len(data)
        last, folded = _Position(after, end), _Folded(after, 0, end)

        def content() -> Iterator[bytes]:
            nonlocal last, folded
            yield data
            for raw in lines:
                yield raw + b"\n"
                last = _Position(seq_of(raw), last.offset + len(raw) + 1)
                if last.seq <= known:
                    folded = _Folded(last.seq, 0, last.offset)

        file = create(path, after + 1, end, content(), _FIRST_CHUNK)
        return file, last, folded

    def _reach(self) -> int:
        """Return the number behind which the descriptors hold every synced event."""
        first, last = 0, 0
        for raw in self._held():
            if raw is None:
                first = last = 0
                continue
            seq = seq_of(raw)
            first, last = (first if first and seq == last + 1 else seq), seq
        return first - 1 if first and last == self._synced.seq else self._synced.seq

    def _held(self) -> Iterator[bytes | None]:
        """Yield the synced lines that the descriptors still hold, None for what is no line."""
        for index, file in enumerate(self._files):
            yield from file.lines(self._end_of(index))

    def _end_of(self, index: int) -> int:
        """Return where the synced events of a file end."""
        last = index == len(self._files) - 1
        return self._synced.offset if last else self._files[index].end

    def secure(self) -> None:
        """Look whether the journal can still be found, and write it again where it cannot.

        Raises:
            JournalWriteError: that is impossible.
        """
        with section(self._sync_lock, self._lock):
            try:
                for index, file in enumerate(self._files):
                    file.look(self._end_of(index))
                if self._reach() > self._folded.seq:
                    raise NameLostError(0, "another program has written into it")  # noqa: TRY301
            except NameLostError as error:
                self._failed = error
                self._next_file(error)
        self._pass_on_news()

    def _pass_on_news(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            warnings.warn(news, StepbookWarning, stacklevel=2)

    @property
    def _fd(self) -> int:
        return self._files[-1].fd if self._files else -1

    @property
    def number(self) -> int:
        """The number of the file that is written to."""
        return number_of(self.path)

    @property
    def first(self) -> int:
        """The number of the first event that the journal's files hold."""
        return self._files[0].first

    @property
    def identities(self) -> set[Identity]:
        """Its files, as nothing else can be taken for them."""
        return {file.identity for file in self._files}

    @property
    def path(self) -> Path:
        """The file that is written to."""
        return self._files[-1].path

    @property
    def unfolded(self) -> bool:
        """Whether there are events that :meth:`mark_folded` has not passed."""
        return bool(self._queue) or self._folded.seq < self._synced.seq

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
        # Before it is queued: an event that cannot be written would keep all later ones waiting.
        told = event(row)
        held: list[object] = []
        try:
            take(self._lock, held)
            queue = self._queue
            seq = (queue[-1][0] if queue else self._synced.seq) + 1
            queue.append((seq, row, durable, told))
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

        Threads share syncs. While one goes on, those who come gather in a group: the first waits
        for it to end and syncs for them all, the others wait for the first. They do not wait for
        the lock that all syncs take, where whoever comes later could go first with the next one.

        Raises:
            JournalWriteError: it could not be made durable; it stays queued.
        """
        self._sync(self._last_queued() if seq is None else seq)
        if self._news is not None:
            self._pass_on_news()

    def _last_queued(self) -> int:
        held: list[object] = []
        try:
            take(self._lock, held)
            return self._queue[-1][0] if self._queue else 0
        finally:
            if held:
                self._lock.release()

    def _sync(self, seq: int) -> None:
        failed_before = False
        while self._queue:
            held: list[object] = []
            # After the event was queued, so that the group's sync covers it; and before the look
            # whether it is covered, or a group might be joined long after.
            group = self._group
            if self._synced.seq >= seq:
                return
            try:
                take(group, held)
                if self._synced.seq >= seq:
                    return
                if group is not self._group:
                    continue  # its sync was cut short, and whoever waits now is in another one
                try:
                    self._sync_group()
                except JournalWriteError:  # told already
                    raise
                except OSError as error:
                    if failed_before:
                        raise refused(f"the journal {self.path}", error) from error
                    failed_before = True
            finally:
                if held:
                    group.release()

    def _sync_group(self) -> None:
        """Sync what is queued, for all who wait for it.

        Raises:
            OSError: the sync has failed, so that the file is not used any more.
            JournalWriteError: it could not be written.
        """
        held: list[object] = []
        try:
            take(self._sync_lock, held)
            self._group = threading.Lock()  # whoever comes from here on waits for the next sync
            target, file = self._write_queued()
            try:
                disk.sync(file.fd)
                file.look(target.offset)
            except OSError as error:
                self._failed = error
                raise
            self._settle(target)
        finally:
            if held:
                self._sync_lock.release()

    def _write_queued(self) -> tuple[_Position, Any]:
        """Write what is queued; return up to where, and the file."""
        held: list[object] = []
        try:
            take(self._lock, held)
            self._write()
            return self._written, self._files[-1]
        finally:
            if held:
                self._lock.release()

    def _settle(self, target: _Position) -> None:
        held: list[object] = []
        try:
            take(self._lock, held)
            queue, last = self._queue, target.seq
            for seq, row, durable, _ in queue:
                if seq > last:
                    break
                if durable:
                    self._apply(row)
            self._synced = target
            if queue and queue[-1][0] <= last:
                queue.clear()
            while queue and queue[0][0] <= last:
                queue.popleft()
            if not queue:
                self.left = False
        finally:
            if held:
                self._lock.release()

    def _write(self) -> None:
        if self._failed is not None:
            self._next_file(self._failed)
        queue, (written, offset), synced = self._queue, self._written, self._synced.seq
        if not queue or queue[-1][0] <= written:
            return
        # From the end: what was written may wait for its sync in great numbers before it.
        last = queue[-1][0]
        lines, effects = [], []
        for place in range(written - last, 0):
            seq, row, durable, told = queue[place]
            lines.append(seal_event(seq, synced, told))
            if not durable:
                effects.append(row)
        data = b"".join(lines)
        end = offset + len(data)
        try:
            if end > self._allocated:
                chunk = max(end - self._allocated, min(self._allocated, _LAST_CHUNK))
                disk.preallocate(self._fd, self._allocated, chunk)
                self._allocated += chunk
                self._files = (*self._files[:-1], self._files[-1].grown())
            write_all(self._files[-1].fd, data, offset)
        except OSError as error:
            raise refused(f"the journal {self.path}", error) from error
        for row in effects:
            self._apply(row)
        # Twice for each step, and by its own constructor it takes three times as long.
        self._written = tuple.__new__(_Position, (last, end))

    def _next_file(self, error: OSError) -> None:
        """Go on in a new file: nothing that this one takes from now on can be trusted.

        After a failed sync the kernel may have dropped the unwritten pages and report success the
        next time. The lines behind the last good sync are still queued and are written again.
        """
        with refusals(f"a journal of run {self.run_id} in {self.folder}", PENDING):
            if isinstance(error, NameLostError):
                self._begin_again()
            else:
                try:
                    self._begin(self.number + 1, [])
                except FileNotFoundError:  # the folder is gone, too
                    self._begin_again()

    def read_unfolded(self, limit: int) -> list[bytes]:
        """Return synced lines that :meth:`mark_folded` has not passed.

        Args:
            limit: about how many bytes to return at the most; at least one line is returned.
        """
        with section(self._sync_lock, self._lock):
            index, start = self._next_unfolded()
            fd, end = self._files[index].fd, self._end_of(index)
        data = b""
        while start < end and (len(data) < limit or b"\n" not in data):
            wanted = max(limit - len(data), len(data))
            chunk = disk.pread(fd, min(wanted, end - start), start)
            if not chunk:
                break
            data, start = data + chunk, start + len(chunk)
        return data[: data.rfind(b"\n")].split(b"\n") if data else []

    def _next_unfolded(self) -> tuple[int, int]:
        """Return in which file, and where, the first event is that the tables lack."""
        index, offset = self._folded.file, self._folded.offset
        while offset >= self._end_of(index) and index < len(self._files) - 1:
            index += 1
            offset = self._files[index].start
        return index, offset

    def mark_folded(self, lines: list[bytes]) -> None:
        """Say that *lines*, as :meth:`read_unfolded` returned them, are in the tables."""
        with section(self._sync_lock, self._lock):
            index, offset = self._next_unfolded()
            size = sum(map(len, lines)) + len(lines)
            self._folded = _Folded(seq_of(lines[-1]), index, offset + size)

    def mark_unfolded(self) -> None:
        """Say that the tables have lost what they had: everything is to be folded again."""
        with section(self._sync_lock, self._lock):
            self._folded = _Folded(self.first - 1, 0, self._files[0].start)

    def close(self) -> None:
        """Give back the reserved space and close the files; what is pending must be synced."""
        with section(self._sync_lock, self._lock):
            files = self._files
            # Whoever writes later gets an error, not another file.
            self._files = (*files[:-1], replace(files[-1], fd=-1))
            with contextlib.suppress(OSError):
                disk.truncate(files[-1].fd, self._written.offset)
            for file in (*files, *self._retired):
                with contextlib.suppress(OSError):  # all of it was synced
                    disk.close(file.fd)

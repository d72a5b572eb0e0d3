"""One file of a journal, open: created whole, looked for by its name, read through its descriptor.

A file gets its name when its header is on the disk. So one that has a name was whole once, and
what dies on the way leaves nothing that could be taken for a record.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..system.platform import Identity, disk, identity_of, write_all
from .lines import parse_line, unborn_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_CHUNK_BYTES: Final = 1 << 20


class NameLostError(OSError):
    """A file is no longer what its name stands for."""


@dataclass(frozen=True, slots=True)
class File:
    """A journal file that this process writes.

    Attributes:
        path: its name.
        name: the same as text, which a system call takes as it is.
        fd: its descriptor: reads and writes it also when it has no name any more.
        identity: what tells it from another file of its name.
        first: the number of its first event.
        start: where its events begin.
        size: how large it is with the room that was reserved; it only grows while it is open.
        end: where its synced events end; known when it has ended.
    """

    path: Path
    name: str
    fd: int
    identity: Identity
    first: int
    start: int
    size: int = 0
    end: int = 0

    def look(self, end: int) -> None:
        """Look whether the name still stands for this file, and for all that is before *end*.

        One that was cut short has grown again when the next line was written behind the hole. So
        it is compared with the room that was reserved for it, too.

        Raises:
            NameLostError: it does not.
        """
        try:
            found = disk.named(self.name)
        except OSError as error:
            raise NameLostError(*error.args) from error
        if (found.st_dev, found.st_ino) != self.identity:
            raise NameLostError(0, "another file has its name")
        if found.st_size < max(end, self.size):
            raise NameLostError(0, "another program has cut it short")

    def grown(self) -> File:
        """Return it as large as it is now: room was reserved behind its end."""
        return replace(self, size=os.fstat(self.fd).st_size)

    def unlink(self) -> None:
        """Remove it if its name still stands for it: another file holds what is not in the tables.

        One that was cut short would be reported as damaged by whoever reads it.
        """
        with contextlib.suppress(OSError):
            if identity_of(disk.named(self.name)) == self.identity:
                disk.unlink(self.path)

    def lines(self, end: int) -> Iterator[bytes | None]:
        """Yield the lines before *end*, None for what is no line."""
        offset, rest = self.start, b""
        while offset < end:
            chunk = disk.pread(self.fd, min(_CHUNK_BYTES, end - offset), offset)
            if not chunk:
                yield None
                return
            offset += len(chunk)
            *raws, rest = (rest + chunk).split(b"\n")
            for raw in raws:
                yield None if parse_line(raw) is None else raw
        if rest:
            yield None


def free_path(folder: Path, run_id: str, number: int) -> Path:
    """Return a name that nothing has, with *number* or the next one that is free."""
    while os.path.lexists(path := folder / f"{run_id}.{number}.jsonl"):
        number += 1
    return path


def create(path: Path, first: int, start: int, content: Iterable[bytes], room: int) -> File:
    """Create a file and make it safe, name included.

    Args:
        path: its name.
        first: the number of its first event.
        start: where its events begin.
        content: its header line and the events that it begins with.
        room: how many bytes to reserve.

    Raises:
        OSError: that was impossible; nothing of it remains.
    """
    unborn = unborn_of(path)
    fd = _create_fresh(unborn)
    try:
        try:
            disk.preallocate(fd, 0, room)
            _write(fd, content)
            disk.sync(fd)
        finally:
            disk.close(fd)
        disk.rename(unborn, path)
        fd = disk.open(path, os.O_RDWR)
    except BaseException:
        with contextlib.suppress(OSError):
            disk.unlink(unborn)
        raise
    try:
        disk.sync_dir(path.parent)
        made = os.fstat(fd)
        return File(path, str(path), fd, identity_of(made), first, start, made.st_size)
    except BaseException:
        disk.close(fd)
        # Nobody was told of it: better gone than read as the run's next file.
        with contextlib.suppress(OSError):
            disk.unlink(path)
        raise


def _write(fd: int, content: Iterable[bytes]) -> None:
    waiting, offset = b"", 0
    for data in content:
        waiting += data
        if len(waiting) >= _CHUNK_BYTES:
            write_all(fd, waiting, offset)
            waiting, offset = b"", offset + len(waiting)
    write_all(fd, waiting, offset)


def _create_fresh(path: Path) -> int:
    """Create *path*; what a process has left there that died, or was interrupted, is removed."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
    try:
        return disk.open(path, flags)
    except FileExistsError:
        disk.unlink(path)
        return disk.open(path, flags)

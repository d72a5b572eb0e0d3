"""What is looked at before DuckDB opens a database.

DuckDB follows a ``.wal`` that is a link, and overwrites what it leads to; it waits for a pipe; of a
SQLite file it fetches an extension. So it sees only plain files, and only a database that begins
as its own do.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import sys
import threading
from typing import TYPE_CHECKING, Final

from ...errors import BookMismatchError, NotABookError
from ...system.interrupts import section
from ...system.platform import identity_of, not_plain, open_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if sys.platform == "linux":
    import fcntl

#: How a database and its log are on the disk; equal means that nobody has changed them since.
State = tuple[tuple[int, ...] | None, ...]

_MAGIC: Final = b"DUCK"
_MAGIC_AT: Final = 8
#: What DuckDB has beside the database: its log, those of a checkpoint and of a recovery.
_LOGS: Final = (".wal", ".wal.checkpoint", ".wal.recovery")
_SPILL: Final = ".tmp"
_CHUNK_BYTES: Final = 1 << 20
#: The size of a database that DuckDB has made and nobody has put anything into: three headers.
_BLANK_BYTES: Final = 3 * 4096

# Closing any descriptor of a file drops the POSIX locks that this process has on it: DuckDB's own,
# also those of a connection of the user. So a database that was looked into stays open here, one
# descriptor for each file, until the file has no name any more.
_kept: dict[tuple[int, int], int] = {}
_lock: Final = threading.Lock()


def beside(path: Path, suffix: str) -> Path:
    """Return the path of what DuckDB has beside the database at *path*."""
    return path.with_name(path.name + suffix)


def state_of(path: Path) -> State:
    """Return how the database at *path* and its log are now."""
    return tuple(map(_identity, (path, beside(path, _LOGS[0]))))


def is_same_file(one: State, other: State) -> bool:
    """Whether both are states of one file, whatever it holds."""
    return one[0] is not None and other[0] is not None and one[0][:2] == other[0][:2]


def check_files(path: Path) -> State:
    """Return the state of a database whose files are all plain ones.

    Raises:
        NotABookError: one is a link, a pipe, or something else that DuckDB must not see.
        BookMismatchError: the database is gone.
    """
    error = not_plain(path)
    if error is not None:
        raise NotABookError(
            f"{path} is not opened: {error.strerror}. It was left untouched. Give the path of a "
            "book's file, or another path to stepbook.connect()."
        )
    error = next(filter(None, _beside(path)), None)
    if error is not None:
        raise NotABookError(
            f"{error.filename} is not used: {error.strerror}. DuckDB would write to it, so the "
            "database was not opened, and nothing was changed. Remove it if you did not put it "
            "there; what belongs to the database is a plain file of this name."
        )
    found = state_of(path)
    if found[0] is None:
        # DuckDB would create an empty file in its place.
        raise gone(path)
    return found


def gone(path: Path) -> BookMismatchError:
    """Return what to raise when the database is not there any more."""
    return BookMismatchError(
        f"the database {path} is gone. What is recorded stays in the journals beside "
        "it; put the file back, or start again to have a new one made from them."
    )


def is_blank(path: Path) -> bool:
    """Whether a database is one into which nobody has put anything.

    DuckDB makes one wherever it is to write and finds none: also when the file vanishes between a
    look at it and the opening.
    """
    file, log = state_of(path)
    if file is None or file[2] > _BLANK_BYTES or (log is not None and log[2] > 0):
        return False
    try:
        return not_plain(path) is None and _read(path, len(_MAGIC), _MAGIC_AT) == _MAGIC
    except OSError:
        return False


def check_header(path: Path) -> None:
    """Look whether a file begins as DuckDB's do.

    Raises:
        NotABookError: it does not, or it cannot be read.
    """
    try:
        begin = _read(path, len(_MAGIC), _MAGIC_AT)
    except OSError as error:
        raise NotABookError(
            f"{path} cannot be read: {error.strerror}. It was left untouched. Check the path and "
            "its permissions, or give another one."
        ) from error
    if begin != _MAGIC:
        raise NotABookError(
            f"{path} is not a DuckDB database and was left untouched. Give another path to "
            "stepbook.connect(), or restore the file from a backup; what is still in "
            f"{path.name}.d/journal is not lost."
        )


def _read(path: Path, count: int, offset: int) -> bytes:
    if os.name == "nt":  # locks belong to the handle there; nothing is lost by closing another
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(count)
    with section(_lock):
        return os.pread(_descriptor(path), count, offset)


def _descriptor(path: Path) -> int:
    """Return the descriptor that is kept of a file; hold ``_lock``."""
    fd = _kept.get(identity_of(path.lstat()))
    if fd is None:
        _forget()
        fd = open_plain(path)
        _kept[identity_of(os.fstat(fd))] = fd
    return fd


def copy_files(path: Path, folder: Path) -> Path:
    """Copy a database and its log into *folder*; return the path of the copy.

    DuckDB opens the copy without a lock on the database, so nobody is kept away meanwhile.

    Raises:
        OSError: it cannot be read, or there is no room for the copy.
    """
    for source in (path, beside(path, _LOGS[0])):
        if _identity(source) is None:
            continue
        with (folder / source.name).open("xb") as target:
            while chunk := _read(source, _CHUNK_BYTES, target.tell()):
                target.write(chunk)
    return folder / path.name


def says_held(text: str) -> bool:
    """Whether an error of DuckDB says that another process has the database open.

    A word in it is not enough: others tell of blocks.
    """
    return "could not set lock" in text.lower() or "used by another process" in text


def holder_of(path: Path) -> int | None:
    """Return the process that has the database open to write to it, this one included.

    None if nobody has, or if the system does not tell.
    """
    if sys.platform != "linux":
        return None
    # As DuckDB asks for it to read: the whole file. Of a description's lock no process is the
    # owner, so that this process's own locks are told of, too.
    asked = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    with section(_lock), contextlib.suppress(OSError):
        told = fcntl.fcntl(_descriptor(path), fcntl.F_OFD_GETLK, asked)
        kind, _, _, _, pid = struct.unpack("hhqqi4x", told)
        return None if kind == fcntl.F_UNLCK or pid <= 0 else int(pid)
    return None


def _forget() -> None:
    """Close the descriptors of files that no name leads to: nobody else can open those."""
    for key, fd in list(_kept.items()):
        if os.fstat(fd).st_nlink == 0:
            del _kept[key]
            os.close(fd)


def _not_written_to(path: Path) -> OSError | None:
    """Return why DuckDB must not write to *path*, which may be missing."""
    error = not_plain(path)
    if error is None and (found := _identity(path)) is not None and found[-1] > 1:
        error = OSError(errno.EMLINK, "it is a file with other names (hard links)", str(path))
    return error


def _beside(path: Path) -> Iterator[OSError | None]:
    """Yield what is wrong with each file that DuckDB may have beside the database."""
    yield from (_not_written_to(beside(path, suffix)) for suffix in _LOGS)
    spill = beside(path, _SPILL)  # for what does not fit into memory
    yield not_plain(spill, stat.S_IFDIR)
    if spill.is_dir():
        yield from (_not_written_to(spill / name) for name in os.listdir(spill))


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return found.st_dev, found.st_ino, found.st_size, *times, found.st_nlink

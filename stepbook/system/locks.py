"""Locks on files: one process owns a run, and everybody can tell which.

On Linux an open-file-description lock on one byte far behind the note of the holder. It belongs to
the description that opened the file: the record locks of POSIX would vanish when any descriptor of
the file is closed in the process, and a copy of the folder is enough for that. The two exclude each
other, so a process of an older stepbook, which takes record locks, and one of this exclude each
other, too. On macOS and BSD ``flock``; where a Linux refuses description locks, ``flock`` and a
record lock. On Windows ``msvcrt``. See fcntl(2), "Open file description locks (non-POSIX)".

A lock's file goes with what it stands for. Its holder removes it (:meth:`FileLock.remove`), and
whoever has opened it meanwhile finds, once it is locked, that the name leads elsewhere, and begins
again.

A second description of the same file is refused in the same process, too. So a file is entered in
:attr:`FileLock.held_here` before it is opened, nothing forks in between, and taking and releasing
can be done again after they were cut short anywhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
import threading
import time
import weakref
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..errors import BookError
from .interrupts import allowed, section
from .platform import (
    describe_owner,
    describe_process,
    disk,
    identity_of,
    open_plain,
    started_at,
)
from .refusals import unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

#: Which byte is locked: far behind the note, which stays readable where locks are mandatory.
_BYTE: Final = 1 << 30
_HELD_BY_OTHERS: Final = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
#: A kernel, or a sandbox, without locks of descriptions.
_REFUSED: Final = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_FIRST_PAUSE_S: Final = 0.001
#: So often in a row a file may be removed between being opened and being locked.
_MOST_REMOVED: Final = 100
_LONGEST_PAUSE_S: Final = 0.02


class FileLock:
    """A lock on a file of its own, held by this process: exclusive, or shared with others.

    One object for a path in a process, from :meth:`at`: threads exclude each other by it.

    Attributes:
        path: the file; its folder exists.
        kind: what it is locked with, in words; empty until it was locked once.
        previous: the note that was there before this process wrote its own.
    """

    #: Those that have a file open here, or are about to. Strong references: a description that
    #: nobody knows of would keep everybody out, this process included.
    held_here: ClassVar[set[FileLock]] = set()
    _known: ClassVar[weakref.WeakValueDictionary[str, FileLock]] = weakref.WeakValueDictionary()
    #: Held while a file is opened or closed, and by a fork.
    opening: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kind = ""
        self.previous: dict[str, Any] = {}
        self._fd: int | None = None
        self._holders = 0
        self._exclusive = False
        self._mutex = threading.RLock()

    @classmethod
    def at(cls, path: Path) -> FileLock:
        """Return this process's lock for *path*."""
        key = str(path)
        with section(cls.opening):
            lock = cls._known.get(key)
            if lock is None:
                lock = cls._known[key] = cls(path)
            return lock

    @classmethod
    def forget_all(cls) -> None:
        """Begin again in a forked child: close what its parent holds, and unlock nothing.

        Unlocking would take the parent's locks away: they share the descriptions.
        """
        for lock in cls.held_here:
            lock.forget()
        cls.held_here = set()
        cls._known = weakref.WeakValueDictionary()

    def forget(self) -> None:
        """Close the file and unlock nothing, as above."""
        fd, self._fd, self._holders = self._fd, None, 0
        if fd is not None:
            with contextlib.suppress(OSError):
                os.close(fd)

    @classmethod
    def try_out(cls, path: Path) -> str:
        """Take and give back the lock at *path*; return its kind, empty while others hold it."""
        lock = cls.at(path)
        with section():
            if not lock.acquire():
                return ""
            lock.release()
            return lock.kind

    # ---- taking and giving back -------------------------------------------------------------

    def acquire(self, *, shared: bool = False, timeout: float = 0.0) -> bool:
        """Take the lock; return False if others still hold it after *timeout* seconds.

        In a section: whoever takes it notes, or hands on, that it is held.

        Raises:
            BookError: there is something in the place of the file that is no plain file.
            OSError: the file cannot be opened, or its file system has no locks.
        """
        deadline = time.monotonic() + timeout
        pause = _FIRST_PAUSE_S
        with section():
            while not self._try(shared=shared):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                with allowed():
                    time.sleep(min(left, pause))
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            return True

    def release(self) -> None:
        """Give the lock back; nothing if it is not held."""
        with section(self._mutex):
            self._holders = max(0, self._holders - 1)
            if not self._holders:
                self._close()

    def remove(self) -> None:
        """Remove the file, as the last thing that is done while the lock is held; in a section.

        From then on others take a new one, so what the lock has kept them from must be done.
        """
        with section(self._mutex):
            if self._holders and self._exclusive and not self.is_lost():
                with contextlib.suppress(OSError):  # Windows does not, while it is open
                    disk.unlink(self.path)

    @contextlib.contextmanager
    def held(self, *, shared: bool = False, timeout: float = 0.0) -> Iterator[None]:
        """Hold the lock for a block, which is a section.

        Raises:
            TimeoutError: others still hold it after *timeout* seconds.
        """
        with section():
            self.hold(shared=shared, timeout=timeout)
            try:
                yield
            finally:
                self.release()

    def hold(self, *, shared: bool = False, timeout: float = 0.0) -> None:
        """Take the lock, as :meth:`acquire` does; in a section.

        Raises:
            TimeoutError: others still hold it after *timeout* seconds.
        """
        if not self.acquire(shared=shared, timeout=timeout):
            raise TimeoutError(
                f"{self.path} is locked by {self.describe_holder()} for over {timeout:g} s"
            )

    def _try(self, *, shared: bool) -> bool:
        with section(self._mutex):
            if self._holders:
                if self._exclusive or not shared:
                    return False
                self._holders += 1
                return True
            # Whoever held it before may have removed the file: then this is a lock on nothing, and
            # the next one takes another file of the same name.
            for _ in range(_MOST_REMOVED):
                try:
                    if not self._lock(self._open(), shared=shared):
                        return False
                    if not self.is_lost():
                        self._holders, self._exclusive = 1, not shared
                        return True
                finally:
                    if not self._holders:
                        self._close()
            return False

    def _open(self) -> int:
        with section(FileLock.opening):
            if self._fd is None:
                FileLock.held_here.add(self)
                self._fd = _opened(self.path)
            return self._fd

    def _close(self) -> None:
        """Unlock and close the file, if it is open."""
        with section(FileLock.opening):
            fd, self._fd = self._fd, None
            FileLock.held_here.discard(self)
            if fd is not None:
                with contextlib.suppress(OSError):
                    # Closing would not do: a child that is about to execute another program has
                    # the description open, too, until it does.
                    _unlock(fd)
                os.close(fd)

    def _lock(self, fd: int, *, shared: bool) -> bool:
        try:
            self.kind = _lock(fd, shared=shared)
        except OSError as error:
            if error.errno in _HELD_BY_OTHERS:
                return False
            raise
        return True

    # ---- who holds it -----------------------------------------------------------------------

    def note(self) -> dict[str, Any]:
        """Return what the holder wrote about itself; empty if nothing can be read."""
        with section(self._mutex), contextlib.suppress(OSError, BookError):
            if self._fd is not None and not self.is_lost():
                # Opening it once more and closing that would drop a record lock.
                return _parsed(_read(self._fd))
            fd = _opened(self.path, create=False)
            try:
                return _parsed(_read(fd))
            finally:
                os.close(fd)
        return {}

    def write_note(self, note: dict[str, Any]) -> None:
        """Write into the lock's file who holds it; only while holding it exclusively."""
        with section(self._mutex):
            if self._fd is not None:
                self.previous = self.note()
                # The first line counts: whoever reads before the rest is cut off sees it whole.
                data = dumps(note).encode() + b"\n"
                os.lseek(self._fd, 0, os.SEEK_SET)
                os.write(self._fd, data)
                os.ftruncate(self._fd, len(data))

    def describe_holder(self) -> str:
        """Return words for who holds the lock.

        A process that has ended can leave it to a child: that inherits the open file and keeps it.
        """
        note = self.note()
        if not has_ended(note):
            return describe_owner(note)
        heirs = _processes_with(self.path)
        who = " and ".join(map(describe_process, heirs)) if heirs else "a process"
        return f"{who}, a child of {describe_owner(note)}, which has ended"

    def is_lost(self) -> bool:
        """Whether the file was removed or replaced meanwhile, so that others can lock another."""
        with section(self._mutex):
            if self._fd is None:
                return True
            try:
                there = self.path.lstat()
            except OSError:
                return True
            return identity_of(os.fstat(self._fd)) != identity_of(there)

    def regain(self, note: dict[str, Any]) -> bool:
        """Whether this process is still the only holder; the file may have to be made again.

        Args:
            note: the holder's, for a new file.

        Returns:
            False if others hold the file that is there now, or have held it: their note is in it.
        """
        with section(self._mutex, FileLock.opening):
            if self._fd is None or not self.is_lost():
                return self._fd is not None
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = _opened(self.path)
            try:
                if not self._lock(fd, shared=False) or _is_of_another(_parsed(_read(fd)), note):
                    return False
                if identity_of(os.fstat(fd)) != identity_of(self.path.lstat()):
                    return False  # others are at it
                self._fd, fd = fd, self._fd
                self.write_note(note)
                return True
            finally:
                os.close(fd)  # the one that is not needed


def _opened(path: Path, *, create: bool = True) -> int:
    """Open a lock's file for reading and writing, and return its descriptor.

    Raises:
        BookError: there is a link, a folder, a FIFO or a device in its place.
        OSError: it cannot be opened.
    """
    try:
        return open_plain(path, os.O_RDWR | os.O_CREAT if create else os.O_RDWR)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise unusable(error) from error
        raise


def _is_of_another(found: dict[str, Any], note: dict[str, Any]) -> bool:
    """Whether a note is there, and not of the same process: a copy of the folder holds a copy."""
    who = ("host", "pid", "started_at")
    return bool(found) and [found.get(k) for k in who] != [note.get(k) for k in who]


def _read(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    return os.read(fd, 1 << 16)


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        note = loads(text.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


if sys.platform == "win32":

    def _lock(fd: int, *, shared: bool) -> str:  # noqa: ARG001 - there is no shared form
        os.lseek(fd, _BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        return "msvcrt"

    def _unlock(fd: int) -> None:
        os.lseek(fd, _BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:

    def _lock(fd: int, *, shared: bool) -> str:
        """Lock the open file without waiting, and return what with; OSError if others hold it."""
        if sys.platform == "linux":
            try:
                fcntl.fcntl(
                    fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_RDLCK if shared else fcntl.F_WRLCK)
                )
            except OSError as error:
                if error.errno not in _REFUSED:
                    raise
            else:
                return "open file description locks"
        how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        fcntl.flock(fd, how)
        if sys.platform != "linux":
            return "flock"
        fcntl.lockf(fd, how, 1, _BYTE)
        return "flock and record locks, for this system has no open file description locks"

    def _unlock(fd: int) -> None:
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK))
        fcntl.flock(fd, fcntl.LOCK_UN)  # closing drops a record lock

    def _flock(kind: int) -> bytes:
        """Return a ``struct flock`` of Linux that means the one byte; its pid must be 0."""
        return struct.pack("hhqqi4x", kind, os.SEEK_SET, _BYTE, 1, 0)


def has_ended(note: dict[str, Any]) -> bool:
    """Whether the process of an owner's note is known to have ended: it was one of this host."""
    pid = note.get("pid")
    if not isinstance(pid, int) or note.get("host") != socket.gethostname():
        return False
    if sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    known, now = note.get("started_at"), started_at(pid)
    return bool(known and now and known != now)  # another process has its number now


def _processes_with(path: Path) -> list[int]:
    """Return the processes that have *path* open, as far as the system tells."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(os.readlink(link) == str(path) for link in (folder / "fd").iterdir()):  # noqa: PTH115
                found.append(int(folder.name))
    return found

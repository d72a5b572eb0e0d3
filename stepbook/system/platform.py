"""What differs between systems: writes, syncs, and who this process is.

All system calls that durability rests on go through :data:`disk`, one object that tests record,
replay and make fail.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import stat
import sys
import threading
from pathlib import Path
from typing import Any, Final

from .interrupts import section

if sys.platform == "darwin":
    import fcntl

#: No preallocation there, or the file system cannot do it: the file then grows by its writes.
_NO_PREALLOCATION: Final = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENOSPC}


#: A link is not followed, a pipe that nobody else has open is not waited for.
_CAREFULLY: Final = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)
_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_plain(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open *path*, a plain file, and return the descriptor, closed on exec.

    A book may come from a stranger: what stands in place of a file of it is neither followed nor
    waited for.

    Raises:
        OSError: it cannot be opened, or is not a plain file; ``strerror`` says why.
    """
    try:
        fd = os.open(path, flags | _CAREFULLY, 0o666)  # less the umask
    except OSError as error:
        raise not_plain(path) or error from None
    if not stat.S_ISREG(os.fstat(fd).st_mode) or (os.name == "nt" and path.is_symlink()):
        os.close(fd)
        raise not_plain(path) or OSError(errno.EINVAL, "it is not a plain file", str(path))
    return fd


def read_plain(path: Path) -> bytes:
    """Return the content of *path*, a plain file; see :func:`open_plain`."""
    with open(open_plain(path), "rb") as file:
        return file.read()


def may_write(path: Path) -> bool:
    """Whether this process may write to *path*, as far as the system tells."""
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.W_OK, effective_ids=effective)


def names_in(folder: Path) -> list[str]:
    """Return what is in a folder, in no order; nothing if there is none."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def not_plain(path: Path, kind: int = stat.S_IFREG) -> OSError | None:
    """Return the error that says what *path* is; None if it is missing or of the *kind* wanted.

    Args:
        path: the file or folder.
        kind: ``S_IFREG`` for a plain file, ``S_IFDIR`` for a folder.
    """
    try:
        found = stat.S_IFMT(path.lstat().st_mode)
    except OSError:
        return None
    if found == kind:
        return None
    wanted = "a plain file" if kind == stat.S_IFREG else "a folder"
    what = _KINDS.get(found, "a plain file")
    if found == stat.S_IFLNK:
        with contextlib.suppress(OSError):
            what = f"a link to {path.readlink()}"
    return OSError(errno.ELOOP, f"it is {what} and not {wanted}", str(path))


#: What tells a file from all others: its device and its inode.
Identity = tuple[int, int]


def identity_of(stat: os.stat_result) -> Identity:
    """Return which file *stat* is of."""
    return stat.st_dev, stat.st_ino


#: Whether the system reads and writes at a given place.
_HAS_PLACES: Final = hasattr(os, "pread") and hasattr(os, "pwrite")


class Disk:
    """The system calls that durability rests on."""

    def __init__(self) -> None:
        self._seeking = threading.Lock()  # where a place can only be sought, not given

    def open(self, path: Path, flags: int) -> int:
        """Open *path* and return the descriptor; see :func:`open_plain`."""
        return open_plain(path, flags)

    def close(self, fd: int) -> None:
        """Close *fd*."""
        os.close(fd)

    def pwrite(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """Write *data* at *offset* and return how many bytes were written."""
        if _HAS_PLACES:
            return os.pwrite(fd, data, offset)
        with section(self._seeking):
            os.lseek(fd, offset, os.SEEK_SET)
            return os.write(fd, data)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """Return up to *length* bytes at *offset*."""
        if _HAS_PLACES:
            return os.pread(fd, length, offset)
        with section(self._seeking):
            os.lseek(fd, offset, os.SEEK_SET)
            return os.read(fd, length)

    def named(self, path: str) -> os.stat_result:
        """Return what has the name *path*; a link is not followed."""
        return os.lstat(path)

    def free(self, path: Path) -> int | None:
        """Return how many bytes are free for us where *path* is; None if nobody knows."""
        import shutil  # noqa: PLC0415 - brings three compressors

        try:
            return shutil.disk_usage(path).free
        except OSError:
            return None

    def preallocate(self, fd: int, offset: int, length: int) -> None:
        """Reserve *length* zero bytes at *offset*, where the file system can.

        A sync of a write into reserved space needs no change of the file's size: measured at 0.7
        of a sync after an append on ext4.
        """
        if not hasattr(os, "posix_fallocate"):
            return
        try:
            os.posix_fallocate(fd, offset, length)
        except OSError as error:
            if error.errno not in _NO_PREALLOCATION:
                raise

    def truncate(self, fd: int, length: int) -> None:
        """Cut the file to *length* bytes."""
        os.ftruncate(fd, length)

    def sync(self, fd: int) -> None:
        """Return when everything written to *fd* is on the disk."""
        if sys.platform == "darwin":
            # fsync on macOS stops at the drive's cache.
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        elif hasattr(os, "fdatasync"):
            os.fdatasync(fd)
        else:
            os.fsync(fd)

    def sync_dir(self, path: Path) -> None:
        """Return when the names in the directory *path* are on the disk."""
        if sys.platform == "win32":
            return  # NTFS journals names itself; directories cannot be opened
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_dirs(self, path: Path) -> None:
        """Create the directory *path* and what is missing above it."""
        path.mkdir(parents=True, exist_ok=True)

    def link(self, source: Path, target: Path) -> None:
        """Create *target* as a second name of *source*; FileExistsError if it exists."""
        os.link(source, target)

    def rename(self, source: Path, target: Path) -> None:
        """Give *source* the name *target*, replacing what has it."""
        os.replace(source, target)  # noqa: PTH105 - the layer speaks of system calls

    def unlink(self, path: Path) -> None:
        """Remove the name *path*."""
        os.unlink(path)  # noqa: PTH108 - the layer speaks of system calls


disk = Disk()


def write_all(fd: int, data: bytes, offset: int) -> None:
    """Write the whole of *data* at *offset*, however many calls that takes."""
    written = disk.pwrite(fd, data, offset)
    if written == len(data):
        return
    rest = memoryview(data)[written:]
    while rest:
        offset += written
        written = disk.pwrite(fd, rest, offset)
        rest = rest[written:]


def write_file(path: Path, data: bytes) -> None:
    """Create *path* with *data* and sync it, or leave nothing; FileExistsError if it exists."""
    fd = disk.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    try:
        try:
            write_all(fd, data, 0)
            disk.sync(fd)
        finally:
            disk.close(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            disk.unlink(path)
        raise


def leave_signals_to_others() -> None:
    """Have this thread, and those that it starts, take no signal that other threads can take."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGALRM, signal.SIGTERM})


def started_at(pid: int | None = None) -> int:
    """When a process started (this one), in microseconds since 1970 UTC; 0 if it is not known."""
    try:
        # proc(5): field 22 is the start in clock ticks after boot; the name may hold spaces.
        ticks = int(Path(f"/proc/{pid or 'self'}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime ")
        )
        return boot * 1_000_000 + ticks * 1_000_000 // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, StopIteration, AttributeError):
        return 0


def _notebook() -> str:
    """Where this process's code comes from: the notebook or the script, as far as it is told."""
    main = sys.modules.get("__main__")
    named = os.environ.get("JPY_SESSION_NAME") or getattr(main, "__vsc_ipynb_file__", None)
    if isinstance(named, str) and named:
        return named
    if "IPython" in sys.modules and not getattr(main, "__file__", None):
        return "a notebook or IPython session"
    return str(getattr(main, "__file__", None) or "an interactive session")


def owner() -> dict[str, Any]:
    """Return who this process is: pid, its start time, host, and the notebook or script."""
    return {
        "pid": os.getpid(),
        "started_at": started_at(),
        "host": socket.gethostname(),
        "notebook": _notebook(),
    }


def person() -> str:
    """Return who uses this process, and where: ``ann@laptop``."""
    import getpass  # noqa: PLC0415 - brings the terminal, for something rare

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without a list of users
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def describe_owner(note: dict[str, Any]) -> str:
    """Return words for an :func:`owner` record."""
    if "pid" not in note:
        return "another process"
    host = note.get("host")
    where = "" if host in (None, socket.gethostname()) else f" on {host}"
    return f"process {note['pid']}{where} ({note.get('notebook', 'unknown')})"


def describe_process(pid: int) -> str:
    """Return *pid* with its command line, where the system tells it."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (OSError, ValueError):
        command = ""
    return f"process {pid}" + (f" ({command[:120]})" if command else "")

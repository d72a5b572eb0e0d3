"""A disk that remembers: what would be on it if the power failed at any moment.

:class:`PowerDisk` stands in for the methods of ``stepbook.system.platform.disk``. Every call is
executed and written down. :func:`after_power_loss` makes a directory as a disk may hold it when the
power fails behind one of those calls: what was synced is there; of the rest each write, each change
of size and each change of a directory is there, is torn, or is not, independently.

DuckDB syncs its own file: it is taken as DuckDB left it when it was closed last.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stepbook.system.platform import Disk, disk

if TYPE_CHECKING:
    import random
    from pathlib import Path

_CALLS = (
    "open", "close", "pwrite", "preallocate", "truncate", "sync", "sync_dir", "make_dirs", "link",
    "rename", "unlink",
)  # fmt: skip


class PowerDisk:
    """Executes and remembers; see the module.

    Attributes:
        calls: what was called, in order: a name and its facts.
        failing_syncs: how many of the next syncs are to fail.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.failing_syncs = 0
        self.calls: list[tuple[Any, ...]] = []
        self._real = Disk()
        self._lock = threading.RLock()
        self._inodes = itertools.count()
        self._open: dict[int, int] = {}
        self._names: dict[str, int] = {}

    def install(self, monkeypatch) -> None:
        for name in _CALLS:
            monkeypatch.setattr(disk, name, getattr(self, name), raising=True)

    def mark(self, *facts: Any) -> None:
        """Write down what somebody was told, or what DuckDB has on the disk."""
        with self._lock:
            self.calls.append(facts)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.root))

    def open(self, path: Path, flags: int) -> int:
        with self._lock:
            new = not path.exists()
            fd = self._real.open(path, flags)
            name = self._name(path)
            if new:
                self._names[name] = next(self._inodes)
                self.calls.append(("create", name, self._names[name]))
            self._open[fd] = self._names[name]
            return fd

    def close(self, fd: int) -> None:
        with self._lock:
            self._open.pop(fd, None)
            self._real.close(fd)

    def pwrite(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        with self._lock:
            written = self._real.pwrite(fd, data, offset)
            self.calls.append(("write", self._open[fd], offset, bytes(data[:written])))
            return written

    def preallocate(self, fd: int, offset: int, length: int) -> None:
        with self._lock:
            self._real.preallocate(fd, offset, length)
            self.calls.append(("grow", self._open[fd], offset + length))

    def truncate(self, fd: int, length: int) -> None:
        with self._lock:
            self._real.truncate(fd, length)
            self.calls.append(("cut", self._open[fd], length))

    def sync(self, fd: int) -> None:
        with self._lock:
            if self.failing_syncs:  # what it was to make safe stays as unsafe as it was
                self.failing_syncs -= 1
                raise OSError(errno.EIO, "Input/output error")
            self._real.sync(fd)
            self.calls.append(("sync", self._open[fd]))

    def sync_dir(self, path: Path) -> None:
        with self._lock:
            self._real.sync_dir(path)
            self.calls.append(("sync_dir", self._name(path)))

    def make_dirs(self, path: Path) -> None:
        with self._lock:
            missing = [p for p in (path, *path.parents) if not p.exists()]
            self._real.make_dirs(path)
            self.calls += [("mkdir", self._name(p), None) for p in reversed(missing)]

    def link(self, source: Path, target: Path) -> None:
        with self._lock:
            self._real.link(source, target)
            inode = self._names[self._name(target)] = self._names[self._name(source)]
            self.calls.append(("create", self._name(target), inode))

    def rename(self, source: Path, target: Path) -> None:
        with self._lock:
            if self._name(source) not in self._names:  # DuckDB's: made and synced by DuckDB
                self._names[self._name(source)] = inode = next(self._inodes)
                self.calls += [("write", inode, 0, source.read_bytes()), ("sync", inode)]
            self._real.rename(source, target)
            inode = self._names[self._name(target)] = self._names.pop(self._name(source))
            self.calls.append(("rename", self._name(source), self._name(target), inode))

    def unlink(self, path: Path) -> None:
        with self._lock:
            self._real.unlink(path)
            self.calls.append(("unlink", self._name(path)))

    def duckdb_closed(self, path: Path) -> None:
        """Remember what DuckDB has on the disk; nobody may have it open."""
        with self._lock:
            inode = self._names.get(self._name(path))
            wal = path.with_name(path.name + ".wal")
            log = wal.read_bytes() if wal.exists() else None
            self.calls.append(("duckdb", inode, path.read_bytes(), self._name(wal), log))


@dataclass
class _File:
    safe: bytearray = field(default_factory=bytearray)
    unsafe: list[tuple[Any, ...]] = field(default_factory=list)


def _apply(content: bytearray, call: tuple[Any, ...]) -> None:
    kind, _, *facts = call
    if kind == "write":
        offset, data = facts
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data
    elif kind == "grow":
        content.extend(bytes(max(0, facts[0] - len(content))))
    else:
        content.extend(bytes(max(0, facts[0] - len(content))))
        del content[facts[0] :]


def _torn(call: tuple[Any, ...], chance: random.Random) -> tuple[Any, ...] | None:
    """Return what is there of an unsynced change: all, nothing, or some bytes of it."""
    fate = chance.random()
    if fate < 0.35:
        return None
    if call[0] != "write" or fate < 0.6:
        return call
    kind, inode, offset, data = call
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    if fate < 0.8:
        start = 0
    return kind, inode, offset + start, data[start:end]


def after_power_loss(
    calls: list[tuple[Any, ...]], target: Path, chance: random.Random, *, lost: bool = False
) -> None:
    """Put into *target* what may be on the disk when the power fails behind the last of *calls*.

    Args:
        calls: what was called until then.
        target: an empty directory.
        chance: decides about what was not synced.
        lost: whether all of that is lost.
    """
    files: dict[int, _File] = {}
    names: dict[str, int | None] = {}  # what is safe; None stands for a directory
    pending: list[tuple[str, tuple[Any, ...]]] = []  # changes of directories, with the directory
    logs: dict[str, bytes | None] = {}
    for call in calls:
        kind = call[0]
        if kind in ("write", "grow", "cut"):
            files.setdefault(call[1], _File()).unsafe.append(call)
        elif kind == "sync":
            file = files.setdefault(call[1], _File())
            for change in file.unsafe:
                _apply(file.safe, change)
            file.unsafe.clear()
        elif kind in ("create", "mkdir", "rename", "unlink"):
            pending.append((_parent(call[1]), call))
        elif kind == "sync_dir":
            for folder, change in pending:
                if folder == call[1]:
                    _change(names, change)
            pending = [(folder, change) for folder, change in pending if folder != call[1]]
        elif kind == "duckdb":
            files[call[1]] = _File(bytearray(call[2]))
            logs[call[3]] = call[4]
    for _, change in pending:
        if not lost and chance.random() < 0.6:
            _change(names, change)
    _materialise(files, names, target, chance, lost=lost)
    for name, log in logs.items():
        if log is not None:
            (target / name).write_bytes(log)


def _materialise(files, names, target: Path, chance: random.Random, *, lost: bool) -> None:
    contents: dict[int, bytes] = {}
    for name, inode in sorted(names.items()):
        path = target / name
        if not path.parent.is_dir():
            continue  # the name of its directory is lost
        if inode is None:
            path.mkdir(exist_ok=True)
            continue
        if inode not in contents:
            file = files.get(inode, _File())
            content = bytearray(file.safe)
            for change in file.unsafe:
                kept = None if lost else _torn(change, chance)
                if kept is not None:
                    _apply(content, kept)
            contents[inode] = bytes(content)
        path.write_bytes(contents[inode])


def _parent(name: str) -> str:
    return name.rpartition("/")[0] or "."


def _change(names: dict[str, int | None], change: tuple[Any, ...]) -> None:
    kind, name, *facts = change
    if kind in ("create", "mkdir"):
        names[name] = facts[0]
    elif kind == "unlink":
        names.pop(name, None)
    else:
        names.pop(name, None)
        names[facts[0]] = facts[1]


@contextlib.contextmanager
def remembered(monkeypatch, root: Path):
    """Remember what stepbook does to the disk below *root*, DuckDB's part included."""
    from stepbook.record.tables.store import Store

    power = PowerDisk(root)
    connection = Store._connection

    @contextlib.contextmanager
    def watched(store, timeout, *, read_only):
        with store.connected:
            with connection(store, timeout, read_only=read_only) as opened:
                yield opened
            if not read_only and store.path is not None:
                power.duckdb_closed(store.path)

    with monkeypatch.context() as patch:
        power.install(patch)
        patch.setattr(Store, "_connection", watched)
        yield power

"""Files named by their content: values too big or too rich to stand in the record itself.

A file is written under a temporary name, hashed on its way, synced, and then renamed to
``<sha256>.<ext>``; only after the folder is synced may an event name it. So a named file is whole,
and two equal values are one file.

A reader tells a changed file from the recorded one by a second hash that is written into the
record: XXH3 of 128 bits, which takes a twentieth of SHA-256's time and so next to nothing beside
the reading. It is there for what happens to files (a bad disk, a half-copied folder, a hand that
edits). Against somebody who forges files on purpose no hash in the same folder would help.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from ..errors import ArtifactError, JournalWriteError
from ..model.blobs import NAME, Stored, TooBig
from ..system.interrupts import allowed, section
from ..system.locks import FileLock
from ..system.platform import disk, identity_of, names_in, not_plain, open_plain
from ..system.refusals import IN_VALUE, refusals
from .hashing import CHUNK_BYTES, THREAD_BYTES, Digest, fill, has_holes, hash_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

#: How long a writer waits for a prune to end, and a prune for writers, in seconds.
LOCK_TIMEOUT_S: Final = 60.0

#: How the names of files end that are not whole yet.
TEMPORARY: Final = ".tmp"
#: Longer than the name of an artifact: 64 digits, a dot and an ending.
_LONGEST_NAME: Final = 100
#: Longer than any tick of a file system's clock (FAT's two seconds apart), in nanoseconds.
_TICK_NS: Final = 50_000_000


class Artifacts:
    """The folder of a book's artifacts, and the lock that keeps prune away from writers.

    Args:
        folder: where the files are; created with the first one.
        lock: path of the artifact lock's file; its folder exists when the lock is taken.

    Example:
        >>> artifacts = Artifacts(folder, locks / "artifacts.lock")
        >>> with artifacts.writing():
        ...     stored = artifacts.write("txt", lambda file: file.write(b"hello"))
        ...     ...  # name it in the record, and sync that, before the block ends
    """

    def __init__(self, folder: Path, lock: Path) -> None:
        self.folder = folder
        self._work = folder / "work"
        self._lock_path = lock
        # Files whose hash this process has seen to be right, by name. The identity changes with
        # every write to the file, so equal means unchanged since.
        self._known: dict[str, tuple[int, ...]] = {}
        # How often a file was wanted that this process has made, with its identity; and how often
        # of that in vain, for something that is not recorded.
        self._wanted: dict[str, tuple[tuple[int, ...], int]] = {}
        self._in_vain: Counter[str] = Counter()
        self._counting = threading.RLock()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keep prune away for a block: from before a file is written until it is referred to.

        Raises:
            JournalWriteError: the lock cannot be taken, or a prune has held it for over a minute.
        """
        with section():
            self.hold()
            try:
                yield
            finally:
                self.let_go()

    def hold(self) -> None:
        """Keep prune away until :meth:`let_go`; in a section.

        Raises:
            JournalWriteError: the lock cannot be taken, or a prune has held it for over a minute.
        """
        with refusals(f"the lock {self._lock_path}", IN_VALUE):
            self._lock_path.parent.mkdir(parents=True, exist_ok=True)
            FileLock.at(self._lock_path).hold(shared=True, timeout=LOCK_TIMEOUT_S)

    def let_go(self) -> None:
        """Undo one :meth:`hold`; in a section."""
        FileLock.at(self._lock_path).release()

    def free(self) -> int | None:
        """Return how many more bytes there is room for; None if nobody knows."""
        return disk.free(self.folder if self.folder.exists() else self._lock_path.parent)

    def write(self, ext: str, produce: Callable[[Sink], object], most: int | None = None) -> Stored:
        """Store what *produce* writes and return its name; durable on return.

        Args:
            ext: ending of the file's name: lower-case letters and digits.
            produce: called with a binary file to write to, of which only ``write`` works.
            most: how many bytes it may have; None for any number.

        Raises:
            TooBig: it has more; nothing of it remains.
            JournalWriteError: the file could not be written; nothing of it remains.
        """
        with self._refusals():
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = self.folder / f"{secrets.token_hex(16)}{TEMPORARY}"
            fd = disk.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        try:
            stored, known = self._fill(fd, ext, produce, most)
            with self._refusals():
                if known:
                    disk.unlink(temporary)
                    self._want(stored.file)
                    return stored
                # A file of this name that nobody has checked is replaced: it may be damaged.
                self._put(temporary, stored.file)
        except BaseException:
            with contextlib.suppress(OSError):
                disk.unlink(temporary)
            raise
        with self._refusals():
            disk.sync_dir(self.folder)
            seen = _identity((self.folder / stored.file).lstat())
        self._trust(stored.file, seen, time.time_ns())
        return stored

    def _put(self, path: Path, file: str) -> None:
        """Have what is at *path* in the store, and note whether it is new there."""
        target, mine = self.folder / file, _which(path.lstat())
        with section(self._counting):
            identity, times = self._wanted.pop(file, ((), 0))
            if not os.path.lexists(target) or _which(target.lstat()) == identity:
                self._wanted[file] = mine, times + 1
            disk.rename(path, target)

    def _want(self, file: str) -> None:
        with section(self._counting):
            identity, times = self._wanted.get(file, ((), 0))
            if times:
                self._wanted[file] = identity, times + 1

    def drop(self, files: Iterable[str]) -> None:
        """Remove files again that were written for nothing, where nobody else has wanted them.

        Whoever writes holds the lock until a record names what was written; and another process
        that has written the same has put a file of its own there. While somebody else writes,
        nothing is removed until the next time, or a prune.

        Args:
            files: for each file that was wanted in vain its name, as often as it was.
        """
        with section(self._counting):
            self._in_vain.update(files)
        with contextlib.suppress(OSError), FileLock.at(self._lock_path).held():
            for file, times in self._in_vain.items():
                identity, wanted = self._wanted.pop(file, ((), 0))
                if wanted > times:
                    self._wanted[file] = identity, wanted - times
                elif wanted:  # else it was there before
                    self._known.pop(file, None)
                    with contextlib.suppress(OSError):
                        if _which((self.folder / file).lstat()) == identity:
                            disk.unlink(self.folder / file)
            self._in_vain.clear()

    def _fill(
        self, fd: int, ext: str, produce: Callable[[Sink], object], most: int | None
    ) -> tuple[Stored, bool]:
        """Write an open file, and close it; return also whether it is in the store already."""
        sink = Sink(fd, self._refusals, most)
        try:
            with allowed():  # as long as the value is big
                sink.take(produce)
            with self._refusals():
                if sink.size > THREAD_BYTES:
                    disk.sync(fd)  # while the hash is still being computed
                stored = sink.digest.stored(ext)
                known = self._is_known(stored)
                if not known and sink.size <= THREAD_BYTES:
                    disk.sync(fd)
        finally:
            with self._refusals():
                disk.close(fd)
        return stored, known

    def _refusals(self) -> AbstractContextManager[None]:
        return refusals(f"the file of a value in {self.folder}", IN_VALUE)

    def read(self, stored: Stored, allocate: Callable[[int], Any] = bytearray) -> memoryview:
        """Return the content in a fresh buffer, after its hash was found right.

        Args:
            stored: name and length, as recorded.
            allocate: makes the writable buffer, given its length in bytes.

        Raises:
            ArtifactError: the file is missing, or is not what was recorded.
        """
        return self._read(stored, allocate)

    def _read(self, stored: Stored, allocate: Callable[[int], Any] | None = None) -> memoryview:
        """Read a file into a buffer, or only check it, and raise ArtifactError if it is wrong."""
        view = memoryview(b"")
        try:
            fd = disk.open(self.path(stored.file), os.O_RDONLY)
        except FileNotFoundError:
            raise ArtifactError(
                f"the file {self.folder / stored.file} is missing. Put it back, or run the step "
                "again with run.redo(name)."
            ) from None
        except OSError as error:
            raise ArtifactError(
                f"the file {self.folder / stored.file} cannot be read: {error.strerror}. Put the "
                "recorded file in its place, or run the step again with run.redo(name)."
            ) from error
        with os.fdopen(fd, "rb", buffering=0) as file:
            before, seen_ns = _identity(os.fstat(fd)), time.time_ns()
            digest = stored.hashing()
            whole = os.fstat(fd).st_size == stored.size and not has_holes(fd)
            if whole and allocate is not None:  # not before: the record may say any length
                view = memoryview(allocate(stored.size)).cast("B")
                whole = fill(file, view, digest) == stored.size and stored.matches(digest)
            elif whole and self._known.get(stored.file) != before:
                hash_file(file, digest)
                whole = stored.matches(digest)
            if not whole or _identity(os.fstat(fd)) != before:
                raise ArtifactError(
                    f"the file {self.folder / stored.file} has changed since it was recorded. Run "
                    "the step again with run.redo(name)."
                )
        self._trust(stored.file, before, seen_ns)
        return view

    def check(self, stored: Stored) -> Path:
        """Return the path of a file of which the hash was found right, without keeping its content.

        Once in a process for each state of the file: models can be of any size. As long as inode,
        size and times of change stay the same it is not hashed again.

        Raises:
            ArtifactError: the file is missing, or is not what was recorded.
        """
        self._read(stored)
        self._want(stored.file)
        return self.path(stored.file)

    def adopt(self, path: Path, ext: str) -> Stored:
        """Take the file at *path*, which is in the same file system, into the store.

        A file that has other names too is copied: they stay writable and apart from the record.

        Raises:
            JournalWriteError: the store cannot be written to; it stays where it is.
            OSError: it cannot be opened or read, or is a link; as above.
        """
        with self._refusals():
            self.folder.mkdir(parents=True, exist_ok=True)
        fd = disk.open(path, os.O_RDWR)
        try:
            with open(fd, "rb", buffering=0, closefd=False) as file:
                if os.fstat(fd).st_nlink > 1:
                    stored = self.write(ext, lambda sink: shutil.copyfileobj(file, sink))
                    disk.unlink(path)
                    return stored
                digest = Digest(threaded=False)
                hash_file(file, digest)
            stored = digest.stored(ext)
            with self._refusals():
                disk.sync(fd)
        finally:
            disk.close(fd)
        with self._refusals():
            if os.name == "posix":
                # Its path is given away; whoever writes there means another file.
                path.chmod(path.lstat().st_mode & 0o444 | stat.S_IRUSR)
            self._put(path, stored.file)
            try:
                disk.sync_dir(self.folder)
            except BaseException:
                self.give_back(stored, path)
                raise
        return stored

    def give_back(self, stored: Stored, path: Path) -> None:
        """Have an adopted file at *path* again: it is not recorded, and the store may drop it.

        It is a name of a file of the store until :meth:`part` was called.
        """
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            disk.link(self.folder / stored.file, path)

    def part(self, path: Path) -> None:
        """Make a file that was given back one of its own, to be written to like any other."""
        with contextlib.suppress(OSError), allowed():
            if path.lstat().st_nlink > 1:  # the store has it still
                copy = path.with_name(f"{secrets.token_hex(16)}{TEMPORARY}")
                shutil.copyfile(path, copy)
                disk.rename(copy, path)
            path.chmod(path.stat().st_mode | stat.S_IWUSR)

    def workspace(self, run_id: str, step: str) -> Path:
        """Return an empty folder for the files that an attempt of a step writes.

        Raises:
            ArtifactError: there is something else in the place of one of its folders.
            JournalWriteError: it cannot be created.
        """
        folder = self._workspaces(run_id) / hashlib.sha256(step.encode()).hexdigest()[:16]
        with refusals(f"the folder {folder}", "the step is executed again"):
            shutil.rmtree(folder, ignore_errors=True)  # a link there is left alone
            disk.make_dirs(folder)
        return folder

    def forget(self, run_id: str) -> None:
        """Remove what attempts of a run have left in their workspaces."""
        shutil.rmtree(self._workspaces(run_id), ignore_errors=True)

    def runs(self) -> list[str]:
        """Return the names of those that have workspaces, as they are: maybe no ids."""
        plain = all(not_plain(folder, stat.S_IFDIR) is None for folder in (self.folder, self._work))
        return names_in(self._work) if plain else []

    def _workspaces(self, run_id: str) -> Path:
        """Return the folder of a run's workspaces, of which none on the way is a link."""
        own = self._work / run_id
        for folder in (self.folder, self._work, own):
            error = not_plain(folder, stat.S_IFDIR)
            if error is not None:
                raise ArtifactError(
                    f"{folder} is not used: {error.strerror}. Nothing behind it was touched. "
                    "Remove it; the folder is made again."
                )
        return own

    def path(self, file: str) -> Path:
        """Return the path of the artifact called *file*.

        Raises:
            ArtifactError: that is not the name of an artifact.
        """
        if not isinstance(file, str) or not NAME.fullmatch(file):
            raise ArtifactError(f"{file!r} is not the name of an artifact.")
        return self.folder / file

    def prune(self, references: Callable[[], Iterable[str]]) -> int:
        """Remove every file that nothing refers to, and what crashed writers have left.

        Args:
            references: gives the texts that may name artifacts: called, and read to its end,
                while no writer is between writing a file and naming it. Stored JSON that is
                referred to is searched as well.

        Returns:
            How many bytes were freed.

        Raises:
            TimeoutError: writers have held the lock for over a minute.
        """
        if not self.folder.is_dir():
            return 0
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock.at(self._lock_path).held(timeout=LOCK_TIMEOUT_S):
            live: set[str] = set()
            for text in references():
                self._refer(text, live)
            freed = 0
            for path in self.folder.iterdir():
                with allowed():  # one more or one less: the next prune goes on
                    pass
                if path.name in live or not (
                    NAME.fullmatch(path.name) or path.name.endswith(TEMPORARY)
                ):
                    continue
                found = path.lstat()
                if stat.S_ISDIR(found.st_mode):
                    continue  # none of ours; doctor tells of it
                disk.unlink(path)
                freed += found.st_size
                self._known.pop(path.name, None)
            return freed

    def _refer(self, text: str, live: set[str]) -> None:
        waiting: list[Iterable[str]] = [[text]]
        while waiting:
            for piece in waiting.pop():
                for match in NAME.finditer(piece):
                    file = match.group()
                    if file not in live:
                        live.add(file)
                        if file.endswith(".json"):
                            waiting.append(self._pieces(file))

    def _pieces(self, file: str) -> Iterator[str]:
        """Yield what a file of JSON holds, a piece at a time: a name is whole in one of them."""
        rest = ""
        with (
            contextlib.suppress(OSError),
            os.fdopen(open_plain(self.folder / file), "rb") as opened,
        ):
            while not has_holes(opened.fileno()) and (data := opened.read(CHUNK_BYTES)):
                # Names are ASCII; of other texts it does not matter which these are.
                piece = rest + data.decode("latin-1")
                yield piece
                rest = piece[-_LONGEST_NAME:]

    def _trust(self, file: str, identity: tuple[int, ...], seen_ns: int) -> None:
        # A file system's clock ticks every few milliseconds: what was written just before it was
        # looked at may be written once more without a sign of it.
        if seen_ns - identity[_MODIFIED] > _TICK_NS:
            self._known[file] = identity

    def _is_known(self, stored: Stored) -> bool:
        known = self._known.get(stored.file)
        if known is None:
            return False
        try:
            return _identity((self.folder / stored.file).lstat()) == known
        except OSError:
            return False


class Sink:
    """A file that is written once, from its beginning, and hashed on the way."""

    def __init__(
        self, fd: int, refusals: Callable[[], AbstractContextManager[None]], most: int | None
    ) -> None:
        self._fd = fd
        self._refusals = refusals
        self._most = sys.maxsize if most is None else most
        self._refused: JournalWriteError | TooBig | None = None
        self.digest = Digest(threaded=True)
        self.size = 0
        self.closed = False

    def take(self, produce: Callable[[Sink], object]) -> None:
        """Have *produce* write the file.

        Raises:
            JournalWriteError: the disk has refused it, whatever a library has made of that.
            TooBig: there is more than may be written; as above.
        """
        try:
            produce(self)
        except Exception as error:
            if self._refused is not None:
                raise self._refused from error
            raise

    def write(self, data: Any) -> int:
        """Write *data*, any buffer that stays as it is afterwards, and return its length."""
        view = memoryview(data).cast("B")
        length = view.nbytes
        if self.size + length > self._most:
            self._refused = TooBig()
            raise self._refused
        self.digest.update(view)
        try:
            with self._refusals():
                while view:
                    written = disk.pwrite(self._fd, view, self.size)
                    self.size += written
                    view = view[written:]
        except JournalWriteError as error:
            self._refused = error
            raise
        return length

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def close(self) -> None:
        """Do nothing: the file belongs to the store."""

    def readable(self) -> bool:
        """Return False."""
        return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return False."""
        return False


#: Where in an identity the time of the last write is.
_MODIFIED: Final = 3


def _which(of: os.stat_result) -> tuple[int, ...]:
    return (*identity_of(of), of.st_mtime_ns)


def _identity(of: os.stat_result) -> tuple[int, ...]:
    return of.st_dev, of.st_ino, of.st_size, of.st_mtime_ns, of.st_ctime_ns

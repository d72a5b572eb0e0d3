"""The hashes of files, computed beside the writing and reading of them."""

from __future__ import annotations

import _thread
import hashlib
import os
import queue
import sys
import weakref
from typing import Any, Final

import xxhash

from ..model.blobs import Stored

CHUNK_BYTES: Final = 1 << 20
#: From here on hashing runs beside the writing, in a thread of its own.
THREAD_BYTES: Final = 4 << 20
#: Shorter files are read whatever they say.
_LONG_BYTES: Final = 1 << 30
#: Chunks that may wait to be hashed: bounds the memory that they hold.
_WAITING: Final = 4


class Digest:
    """The two hashes of a file.

    Args:
        threaded: from :data:`THREAD_BYTES` on SHA-256 is computed in a thread of its own, beside
            the writing. What is added must then stay as it is until :meth:`stored`.
    """

    def __init__(self, *, threaded: bool) -> None:
        self._sha256 = hashlib.sha256()
        self._xxh3 = xxhash.xxh3_128()
        self._threshold = THREAD_BYTES if threaded else sys.maxsize
        self._seen = 0
        self._hashing: _Hashing | None = None

    def update(self, view: memoryview) -> None:
        """Add *view*."""
        self._seen += view.nbytes
        if self._hashing is None and self._seen >= self._threshold:
            self._hashing = _Hashing(self._sha256)
        if self._hashing is None:
            self._sha256.update(view)
        else:
            self._hashing.add(view)
        self._xxh3.update(view)

    def stored(self, ext: str) -> Stored:
        """Return what tells of a file of all that was added; nothing can be added afterwards."""
        if self._hashing is not None:
            self._hashing.finish()
            self._hashing = None
        return Stored(f"{self._sha256.hexdigest()}.{ext}", self._seen, self._xxh3.hexdigest())


class _Hashing:
    """A thread that adds to a hash, a few buffers behind. It ends with this object, at the latest.

    With queues that take no lock in Python, which an interrupt could leave behind.
    """

    def __init__(self, digest: Any) -> None:
        self._views: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(_WAITING):
            self._room.put(None)
        self._gone = weakref.ref(self, self._views.put)
        _thread.start_new_thread(_hash_views, (digest, self._views, self._room))

    def add(self, view: memoryview) -> None:
        """Hash *view* after what was added before; wait while too many do."""
        self._room.get()
        self._views.put(view)

    def finish(self) -> None:
        """Return when everything is hashed."""
        self._views.put(None)
        for _ in range(_WAITING + 1):
            self._room.get()


def _hash_views(digest: Any, views: queue.SimpleQueue[Any], room: queue.SimpleQueue[None]) -> None:
    while isinstance(view := views.get(), memoryview):
        digest.update(view)
        room.put(None)
    room.put(None)


def has_holes(fd: int) -> bool:
    """Whether a file says to be longer than its disk, as one without content can.

    To hash it would take hours. A file that a disk compresses is shorter than that.
    """
    size = os.fstat(fd).st_size
    if size < _LONG_BYTES or not hasattr(os, "fstatvfs"):
        return False
    about = os.fstatvfs(fd)
    return size > about.f_blocks * about.f_frsize


def hash_file(file: Any, digest: Any) -> None:
    """Add what *file* holds to *digest*."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while count := file.readinto(buffer):
        digest.update(buffer[:count])


def fill(file: Any, view: memoryview, digest: Any) -> int:
    """Fill *view* from *file*, hashing each part while it is in the processor's cache."""
    filled = 0
    while filled < view.nbytes:
        chunk = view[filled : filled + CHUNK_BYTES]
        count = file.readinto(chunk)
        if not count:
            break
        digest.update(chunk[:count])
        filled += count
    return filled

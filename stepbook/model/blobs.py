"""Files that stand beside a record because they are too big or too rich for it.

The store that keeps them belongs to the record; whoever turns values into files and back knows only
what is said here.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import xxhash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

#: What such a file may be called; anything else in a record is damage, never a path.
NAME: Final = re.compile(r"([0-9a-f]{64})\.[a-z0-9]{1,16}")


class Stored(NamedTuple):
    """A file in the store.

    Attributes:
        file: its name, ``<sha256>.<ext>``.
        size: its length in bytes.
        xxh3: the XXH3 of its content, 32 hex digits; None in the first books, which are checked
            against the name.
    """

    file: str
    size: int
    xxh3: str | None = None

    @property
    def sha256(self) -> str:
        """The hash of its content, 64 hex digits."""
        return self.file.partition(".")[0]

    def matches(self, content: Any) -> bool:
        """Whether the hash *content*, begun by :meth:`hashing`, is that of this file."""
        return bool(content.hexdigest() == (self.xxh3 or self.sha256))

    def hashing(self) -> Any:
        """Return the hash, of nothing yet, that :meth:`matches` compares."""
        return xxhash.xxh3_128() if self.xxh3 else hashlib.sha256()


class TooBig(Exception):  # noqa: N818 - it is not an error: what is too big is not stored
    """More was to be written than may be; what was begun is gone again.

    Attributes:
        most: how many bytes may be written.
        is_asked: whether somebody has said so; else it is what a disk with little room allows.
    """

    def __init__(self, most: int = 0, *, is_asked: bool = False) -> None:
        super().__init__(most)
        self.most = most
        self.is_asked = is_asked


class Limit(NamedTuple):
    """How much may be written for one value.

    Attributes:
        most: so many bytes; None for half of what is free on the disk.
    """

    most: int | None = None


class Blobs(Protocol):
    """Where such files are kept."""

    @property
    def folder(self) -> Path:
        """The folder they are in, for messages."""

    def free(self) -> int | None:
        """Return how many more bytes there is room for; None if nobody knows."""

    def writing(self) -> AbstractContextManager[None]:
        """Keep new files from being pruned, for a block that ends when a record names them."""

    def hold(self) -> None:
        """Begin such a block; in a section of interrupts."""

    def let_go(self) -> None:
        """End it."""

    def write(self, ext: str, produce: Callable[[Any], object], most: int | None = None) -> Stored:
        """Store what *produce* writes, of *most* bytes; durable on return."""

    def adopt(self, path: Path, ext: str) -> Stored:
        """Take the file at *path* into the store."""

    def give_back(self, stored: Stored, path: Path) -> None:
        """Undo one :meth:`adopt`, up to :meth:`part`."""

    def part(self, path: Path) -> None:
        """Make a file that was given back one of its own."""

    def drop(self, files: Iterable[str]) -> None:
        """Remove files again that were written for nothing; after :meth:`let_go`."""

    def read(self, stored: Stored, allocate: Callable[[int], Any] = ...) -> memoryview:
        """Return the content in a fresh buffer, after its hash was found right."""

    def check(self, stored: Stored) -> Path:
        """Return the path of a file, after its hash was found right."""

    def path(self, file: str) -> Path:
        """Return the path of the file called *file*."""

    def workspace(self, run_id: str, step: str) -> Path:
        """Return an empty folder for the files that an attempt of a step writes."""

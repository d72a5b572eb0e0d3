"""What rebuilding one value may take, by what its record and its files really have.

A record is a text, and a text can say anything: five gigabytes of which one byte is there, two
files that name each other, a million numbers with one hash. So each decode has a budget, and what
allocates by a number of the record asks it first. A value that was written from a real one passes,
of whatever size: what is allowed grows with what is on the disk.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: Bytes in memory for each byte that is on the disk: texts as objects, copies on the way.
_GROWTH: Final = 16
#: The same for bytes as they are before compression, which were granted as well.
_GROWTH_UNPACKED: Final = 3
#: What any value may take, and the share of the machine's memory if that is more.
_ALLOWANCE: Final = 1 << 30
_SHARE: Final = 8
#: What reading one file again costs beside its bytes.
_AGAIN: Final = 64 << 10
#: How many files may name each other in a row: tables with tables in their cells.
_LEVELS: Final = 16
#: Steps through iterators and the like.
_STEPS: Final = 10_000_000
#: Items of which equal hashes cost nothing that anybody would notice.
SOME: Final = 64
#: Comparisons of items with equal hashes: for each item, and in any case.
_COMPARED_EACH: Final = 512
_COMPARED: Final = 100_000


class Budget:
    """The budget of one decode.

    Args:
        trusted: whether a seal of this user's was found right. Then only the machine's memory is a
            limit.
    """

    def __init__(self, *, trusted: bool = False) -> None:
        self._trusted = trusted
        self._granted = 0
        self._taken = 0
        self._steps = 0
        self._levels = 0
        self._files: dict[str, int] = {}
        self._has_text = False

    def file(self, name: str, size: int) -> None:
        """Take in a file that is about to be read, of which *size* was found right."""
        if name not in self._files:
            self._files[name] = size
            self._granted += size * _GROWTH
            self.allocate(size)
        else:
            self.allocate(size + _AGAIN)

    def text(self, size: int) -> None:
        """Take in the length of a text that is here."""
        self._granted += size * _GROWTH

    def unpacked(self, name: str, size: int) -> None:
        """Take in what a file, or the bytes called *name*, have without compression."""
        if f"{name}*" not in self._files:
            self._files[f"{name}*"] = size
            self._granted += size * _GROWTH_UNPACKED
        self.allocate(size)

    def allocate(self, size: int) -> None:
        """Ask for *size* bytes of memory.

        Raises:
            ArtifactError: what is recorded does not account for that much.
        """
        self._taken += size
        if size <= _ALLOWANCE and self._taken <= _ALLOWANCE:
            return
        memory = _memory()
        if memory is not None and size > memory:
            raise ArtifactError(
                f"it takes {_gigabytes(size)} in one piece, and this machine has "
                f"{_gigabytes(memory)}"
            )
        most = self._granted + max(_ALLOWANCE, (memory or 0) // _SHARE)
        if self._taken > most and not self._trusted:
            raise ArtifactError(
                f"the record says that it takes {_gigabytes(self._taken)}, and has no more than "
                f"{_gigabytes(sum(self._files.values()))}: it was not written by stepbook"
            )

    def step(self, count: int) -> None:
        """Ask for *count* steps of something that takes one for each.

        Raises:
            ArtifactError: there were too many.
        """
        self._steps += count
        if count < 0 or self._steps > _STEPS:
            raise ArtifactError("it takes more steps than any value that stepbook writes")

    def whole_text(self) -> None:
        """Take in that the text of the value is in a file: once, and never within that file.

        Raises:
            ArtifactError: it is not the first time.
        """
        if self._has_text:
            raise ArtifactError("texts in files that name each other: stepbook writes one at most")
        self._has_text = True

    def enter(self) -> None:
        """Begin a value that stands in the file of another one.

        Raises:
            ArtifactError: too many are around it.
        """
        self._levels += 1
        if self._levels > _LEVELS:
            raise ArtifactError(f"more than {_LEVELS} files that name each other")

    def leave(self) -> None:
        """End what :meth:`enter` has begun."""
        self._levels -= 1

    def allowing(self, name: str | None, allocate: Callable[[int], Any]) -> Callable[[int], Any]:
        """Return *allocate* for the bytes of a file, which asks first."""

        def ask(size: int) -> Any:
            if name is None:
                self.allocate(size)
            else:
                self.file(name, size)
            return allocate(size)

        return ask


def check_hashes(items: Collection[Any]) -> None:
    """Refuse items that a set or dict would compare with each other more often than it should.

    The hashes of numbers are no secret, so a text can hold any number of items with one hash; each
    is then compared with all before it.

    Raises:
        ArtifactError: too many have equal hashes.
        TypeError: one has no hash.
    """
    count = len(items)
    if count <= SOME:
        return
    hashes = [*map(hash, items)]
    if len(set(hashes)) == count:
        return
    compared = sum(n * (n - 1) // 2 for n in Counter(hashes).values())
    if compared > count * _COMPARED_EACH + _COMPARED:
        raise ArtifactError("most of its items were chosen to have the same hash")


@functools.cache
def _memory() -> int | None:
    """Return how many bytes of memory this machine, or its container, has; None if unknown."""
    found = []
    with suppress(AttributeError, OSError, ValueError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError, ValueError):
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min((size for size in found if size > 0), default=None)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 10**8 else f"{size / 1e6:.1f} MB"

"""Values by parts: what is in the store already is referred to, and only the rest is written.

A part is a column of a table, or a piece of an array. This process remembers where it has written
or read each part, by the XXH3 of its content. A value of which some parts are known gets one new
file with the others, in the form that such values always have; its record lists all files, and the
place of each part in them::

    {"files": [{"file": ..., "bytes": ..., "sha256": ..., "xxh3_128": ...}, ...],
     "places": [[0, 0], [0, 1], [1, 0]]}

A place is the number of a file and where in it the part is. Nothing of it is kept beside the
record: a file lives as long as a record names it, and a value names all that it needs.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import xxhash

from ..system.interrupts import allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from ..model.blobs import Stored
    from .budget import Budget

    Reading = Callable[[Callable[[int], Any]], memoryview]

#: Smaller values are always written as a whole.
LEAST_BYTES: Final = 4 << 20
#: Parts are no smaller than that, on the average: each takes room in the record.
LEAST_PART_BYTES: Final = 64 << 10
#: A value refers to a file only if it uses at least this share of it. So at least that much of each
#: file that prune leaves is live, whatever has gone, and no file is read for a crumb.
LEAST_SHARE: Final = 0.25
#: Parts that are remembered, at most twice as many; those met last.
_REMEMBERED: Final = 1 << 16


class Place(NamedTuple):
    """Where a part is.

    Attributes:
        stored: the file.
        content: bytes of all parts in that file, as they are in memory, equal ones once.
        at: where in the file.
    """

    stored: Stored
    content: int
    at: tuple[int, ...]


class Part(NamedTuple):
    """A part that was found in a file.

    Attributes:
        digest: of its content; None if that is not known.
        at: where in the file.
        size: how many bytes it has in memory.
    """

    digest: bytes | None
    at: tuple[int, ...]
    size: int


class Divided(Protocol):
    """A value as parts.

    Attributes:
        digests: of the content of each part; of a part that was written, of what was written, or
            None if that is not known.
        sizes: bytes of each part.
        alike: equal for values that may have parts in common; see :meth:`Known.saw`.
        facts: what decoding needs to know in addition when the parts are in several files.
    """

    digests: list[bytes | None]
    sizes: list[int]
    alike: Hashable
    facts: dict[str, Any]

    def write(self, file: Any, chosen: Sequence[int]) -> None:
        """Write some parts, or all of them, to a file; set their digests."""

    def places(self, chosen: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Yield where in such a file each of the chosen parts is."""

    def brief(self, places: list[list[int]]) -> list[list[int]]:
        """Return the places of all parts, in order, as the record lists them."""

    def look(self, read: Reading) -> tuple[list[Part], bytes]:
        """Return the parts that are in a file, and its :meth:`frame`."""

    def frame(self) -> bytes:
        """Return what tells of a file that holds the whole, beside its parts: all the rest."""


class Known:
    """Where the parts are that this process has written or read, of one book."""

    def __init__(self) -> None:
        self._places: dict[bytes, Place] = {}
        self._older: dict[bytes, Place] = {}
        self._unseen: dict[Hashable, dict[str, Stored]] = {}
        self._seen: set[str] = set()
        self._wholes: dict[bytes, Stored] = {}

    def saw(self, alike: Hashable, stored: Stored) -> None:
        """Take note of a file with parts that was read.

        Reading must cost nothing, so what it holds is looked up when a value that may have the
        same parts is written: one that is *alike*.
        """
        if stored.file not in self._seen:
            self._unseen.setdefault(alike, {})[stored.file] = stored

    def add(self, stored: Stored, found: list[Part], frame: bytes) -> list[Place]:
        """Remember the parts of a file, and return their places.

        Args:
            stored: the file.
            found: all its parts.
            frame: see :meth:`Divided.frame`.
        """
        content = sum({part.digest or part.at: part.size for part in found}.values())
        places = [Place(stored, content, part.at) for part in found]
        for part, place in zip(found, places, strict=True):
            if len(self._places) >= _REMEMBERED:
                self._older, self._places = self._places, {}
            if part.digest is not None:
                self._places[part.digest] = place
        self._seen.add(stored.file)
        self._wholes[_of_whole(frame, [part.digest for part in found])] = stored
        return places

    def find(self, digest: bytes | None) -> Place | None:
        """Return where a part is, None if that is not known."""
        if digest is None:
            return None
        return self._places.get(digest) or self._older.get(digest)

    def usable(
        self,
        parts: Divided,
        reading: Callable[[Stored], Reading],
        is_there: Callable[[Stored], bool],
    ) -> tuple[list[Place | None], list[int]]:
        """Return the place of each part that can be referred to, and the numbers of the others.

        Args:
            parts: what is to be stored.
            reading: returns what reads a file.
            is_there: whether a file is in the store, and what it was.
        """
        if any(self.find(digest) is None for digest in parts.digests):
            self._look(parts, reading)
        places = [self.find(digest) for digest in parts.digests]
        used: Counter[tuple[Stored, int]] = Counter()
        for place, size in {*zip(places, parts.sizes, strict=True)}:
            if place is not None:
                used[place.stored, place.content] += size
        refused = {
            stored
            for (stored, content), size in used.items()
            if size < content * LEAST_SHARE or not is_there(stored)
        }
        for number, place in enumerate(places):
            if place is not None and place.stored in refused:
                places[number] = None
        return places, [number for number, place in enumerate(places) if place is None]

    def _look(self, parts: Divided, reading: Callable[[Stored], Reading]) -> None:
        """Look into the files that were read and may have parts in common."""
        for stored in self._unseen.pop(parts.alike, {}).values():
            # Whatever is wrong with a file, or in it: then its parts are not known.
            with suppress(Exception), allowed():
                self.add(stored, *parts.look(reading(stored)))

    def put(
        self,
        parts: Divided,
        reading: Callable[[Stored], Reading],
        is_there: Callable[[Stored], bool],
        write: Callable[[Callable[[Any], object]], Stored],
    ) -> Stored | list[Place]:
        """Have those parts written that cannot be referred to, and return where all of them are.

        Args:
            parts: what is to be stored.
            reading: returns what reads a file.
            is_there: whether a file is in the store, and what it was.
            write: stores what it is given to produce.

        Returns:
            The one file that holds just this, as it would be written; else a place for each part.
        """
        found, new = self.usable(parts, reading, is_there)
        if new:
            stored = write(lambda file: parts.write(file, new))
            written = [
                Part(parts.digests[number], at, parts.sizes[number])
                for number, at in zip(new, parts.places(new), strict=True)
            ]
            whole = len(new) == len(found)
            places = self.add(stored, written, parts.frame() if whole else stored.file.encode())
            if whole:
                return stored
            for number, place in zip(new, places, strict=True):
                found[number] = place
        else:
            equal = self._wholes.get(_of_whole(parts.frame(), parts.digests))
            if equal is not None and is_there(equal):
                return equal
        return [place for place in found if place is not None]


def _of_whole(frame: bytes, digests: list[bytes | None]) -> bytes:
    parts = b"".join(digest or b"?" for digest in digests)
    return xxhash.xxh3_128_digest(xxhash.xxh3_128_digest(frame) + parts)


@dataclass
class Source:
    """A file with parts of a value, or the whole of it.

    Attributes:
        read: reads it into a buffer made by the function that it is given.
        stored: the file; None if its bytes are in the record.
    """

    read: Reading
    stored: Stored | None = None

    @property
    def size(self) -> int:
        """How many bytes the file has, 0 if there is none."""
        return 0 if self.stored is None else self.stored.size


class Content:
    """The bytes of a node, for its family to rebuild a value from.

    Args:
        sources: the files: one that holds the whole, or several with parts.
        budget: what rebuilding the value may take.
        places: of each part the number of its file and where in it it is; None for the whole.
        known: where to note the files that were read.
    """

    def __init__(
        self,
        sources: list[Source],
        budget: Budget,
        places: list[tuple[int, ...]] | None = None,
        known: Known | None = None,
    ) -> None:
        self._known = known
        self.budget = budget
        self.sources = sources
        self.places = places

    def __call__(self, allocate: Callable[[int], Any] = bytearray) -> memoryview:
        """Return the bytes of the whole, in a buffer made by *allocate*."""
        (source,) = self.sources
        return source.read(allocate)

    @property
    def is_divided(self) -> bool:
        """Whether parts of it are listed."""
        return self.places is not None

    def note(self, alike: Hashable) -> None:
        """Note the files, which were read, for values that are alike."""
        if self._known is None:
            return
        for source in self.sources:
            if source.stored is not None and (self.is_divided or source.size >= LEAST_BYTES):
                self._known.saw(alike, source.stored)

    def by_source(self, length: int) -> Iterator[tuple[Source, list[Any]]]:
        """Yield each file with its parts: the number of a part, and its place in the file.

        Args:
            length: how many numbers tell a place in a file.

        Raises:
            ValueError: what is listed is nothing of the kind.
        """
        wanted: list[list[Any]] = [[] for _ in self.sources]
        for number, place in enumerate(self.places or ()):
            if len(place) != length + 1 or min(place) < 0 or place[0] >= len(wanted):
                raise ValueError("not the place of a part")
            wanted[place[0]].append((number, *place[1:]))
        if not all(wanted):
            raise ValueError("a file without a part of the value")
        yield from zip(self.sources, wanted, strict=True)


def listed(
    parts: Divided, found: Sequence[Place], location: Callable[[Stored], dict[str, Any]]
) -> dict[str, Any]:
    """Return what the record tells of the parts of a value.

    Args:
        parts: the value.
        found: where each part is.
        location: tells of a file.
    """
    numbers: dict[Stored, int] = {}
    places = [[numbers.setdefault(place.stored, len(numbers)), *place.at] for place in found]
    files = [location(stored) for stored in numbers]
    return {"bytes": sum(parts.sizes), "parts": {"files": files, "places": parts.brief(places)}}

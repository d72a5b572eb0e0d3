"""Values by parts: what is in the store already is referred to, and only the rest is written.

A part is a column of a table, or a piece of an array. This process remembers where it has written
or read each part, by the XXH3 of its content. A value of which some parts are known gets one new
file with the others, in the form that such values always have; its record lists all files, and the
place of each part in them::

    {"files": [{"file": ..., "bytes": ..., "sha256": ..., "xxh3_128": ..., "content": ...}],
     "places": [[0, 0], [0, 1], [1, 0]]}

A place is the number of a file and where in it the part is. Nothing of it is kept beside the
record: a file lives as long as a record names it, and a value names all that it needs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..model.blobs import Stored

#: Smaller values are always written as a whole.
LEAST_BYTES: Final = 4 << 20
#: Parts are no smaller than that, on the average: each takes room in the record.
LEAST_PART_BYTES: Final = 64 << 10
#: A value refers to a file only if it uses at least this share of it. So no file that lives is
#: mostly dead, however many of the values that used it are gone, and none is read for a crumb.
LEAST_SHARE: Final = 0.25
#: Parts that are remembered, at most twice as many; those met last.
_REMEMBERED: Final = 1 << 16


class Place(NamedTuple):
    """Where a part is.

    Attributes:
        stored: the file.
        content: bytes of all parts in that file, as they are in memory.
        at: where in the file.
    """

    stored: Stored
    content: int
    at: tuple[int, ...]


class Divided(Protocol):
    """A value as parts.

    Attributes:
        digests: of the content of each part; of a part that was written, of what was written, or
            None if that is not known.
        sizes: bytes of each part.
        facts: what decoding needs to know in addition when the parts are in several files.
    """

    digests: list[bytes | None]
    sizes: list[int]
    facts: dict[str, Any]

    def write(self, file: Any, chosen: Sequence[int]) -> None:
        """Write some parts, or all of them, to a file; set their digests."""

    def places(self, chosen: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Yield where in such a file each of the chosen parts is."""

    def brief(self, places: list[list[int]]) -> list[list[int]]:
        """Return the places of all parts, in order, as the record lists them."""


class Known:
    """Where the parts are that this process has written or read, of one book."""

    def __init__(self) -> None:
        self._places: dict[bytes, Place] = {}
        self._older: dict[bytes, Place] = {}

    def add(self, digest: bytes, place: Place) -> None:
        """Remember a part."""
        if len(self._places) >= _REMEMBERED:
            self._older, self._places = self._places, {}
        self._places[digest] = place

    def find(self, digest: bytes | None) -> Place | None:
        """Return where a part is, None if that is not known."""
        if digest is None:
            return None
        return self._places.get(digest) or self._older.get(digest)

    def usable(
        self, parts: Divided, is_there: Callable[[Stored], bool]
    ) -> tuple[list[Place | None], list[int]]:
        """Return the place of each part that can be referred to, and the numbers of the others.

        Args:
            parts: what is to be stored.
            is_there: whether a file is in the store, and what it was.
        """
        places = [self.find(digest) for digest in parts.digests]
        used: Counter[Stored] = Counter()
        content: dict[Stored, int] = {}
        for place, size in zip(places, parts.sizes, strict=True):
            if place is not None:
                used[place.stored] += size
                content[place.stored] = place.content
        refused = {
            stored
            for stored, size in used.items()
            if size < content[stored] * LEAST_SHARE or not is_there(stored)
        }
        for number, place in enumerate(places):
            if place is not None and place.stored in refused:
                places[number] = None
        return places, [number for number, place in enumerate(places) if place is None]


@dataclass
class Source:
    """A file with parts of a value, or the whole of it.

    Attributes:
        read: reads it into a buffer made by the function that it is given.
        content: bytes of all parts in it; None if the record does not tell.
        known: where to remember the parts that are met; None if they are too small.
        stored: the file.
    """

    read: Callable[[Callable[[int], Any]], memoryview]
    content: int | None = None
    known: Known | None = None
    stored: Stored | None = None

    def is_worth(self, parts: int) -> bool:
        """Whether its parts are big enough to be remembered, if it has so many."""
        return self.content is not None or self.size >= max(LEAST_BYTES, parts * LEAST_PART_BYTES)

    @property
    def size(self) -> int:
        """How many bytes the file has, 0 if there is none."""
        return 0 if self.stored is None else self.stored.size

    def learn(self, found: Iterable[tuple[bytes, tuple[int, ...]]], content: int) -> None:
        """Remember parts that were read.

        Args:
            found: digest and place of each.
            content: bytes of all that was read.
        """
        if self.known is None or self.stored is None:
            return
        for digest, at in found:
            self.known.add(digest, Place(self.stored, self.content or content, at))


class Content:
    """The bytes of a node, for its family to rebuild a value from.

    Args:
        sources: the files: one that holds the whole, or several with parts.
        places: of each part the number of its file and where in it it is; None for the whole.
    """

    def __init__(self, sources: list[Source], places: list[tuple[int, ...]] | None = None) -> None:
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
    content: dict[Stored, int] = {}
    places = []
    for place in found:
        number = numbers.setdefault(place.stored, len(numbers))
        content[place.stored] = place.content
        places.append([number, *place.at])
    files = [{**location(stored), "content": content[stored]} for stored in numbers]
    return {
        "bytes": sum(parts.sizes),
        "parts": {"files": files, "places": parts.brief(places)},
    }

"""Files that cells have written under names that stand in their text.

A replay does not write them again. So what they were is recorded, and a cell that executes and
names one that is gone, or is another now, is told so.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Texts of a cell that are looked for as files, at most.
_MOST: Final = 200
_LONGEST: Final = 255
#: Above this, a file is told by its size and time alone.
_HASHED_BYTES: Final = 64 << 20
_CHUNK: Final = 1 << 20

Facts = list[Any]
#: Size and time of the files that were there, by what the text calls them.
Found = dict[str, tuple[int, int]]


def names_of(texts: Iterable[str]) -> list[str]:
    """Return the texts of a cell that may be the names of files."""
    likely = (t for t in texts if 0 < len(t) <= _LONGEST and t.isprintable() and not t.isspace())
    return sorted(text for text in likely if "." in text or "/" in text or "\\" in text)[:_MOST]


def found(names: Iterable[str]) -> Found:
    """Return which of the names are files, with size and time."""
    there = {}
    for name in names:
        try:
            facts = os.stat(name)  # noqa: PTH116 - as quick as can be
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(facts.st_mode):
            there[name] = facts.st_size, facts.st_mtime_ns
    return there


def written(before: Found, names: Iterable[str]) -> dict[str, Facts]:
    """Return size, time and hash of the files that have come or changed since."""
    return {
        name: [*facts, _hash(name, facts[0])]
        for name, facts in found(names).items()
        if before.get(name) != facts
    }


def _hash(name: str, size: int) -> str | None:
    if size > _HASHED_BYTES:
        return None
    hashed = xxhash.xxh3_128()
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - as above
            while chunk := file.read(_CHUNK):
                hashed.update(chunk)
    except OSError:
        return None
    return hashed.hexdigest()


@dataclass(frozen=True)
class _Written:
    step: str
    facts: Facts


class Files:
    """What the replayed steps of a session had written."""

    def __init__(self) -> None:
        self._written: dict[str, _Written] = {}

    def replayed(self, step: str, recorded: dict[str, Facts]) -> None:
        """Note what a step had written that was brought back without being executed."""
        for name, facts in recorded.items():
            self._written[os.path.abspath(name)] = _Written(step, facts)  # noqa: PTH100

    def missed(self, names: Iterable[str]) -> list[str]:
        """Return what is to be said of files that a cell names, before it executes; once each."""
        said = []
        for name in names:
            was = self._written.pop(os.path.abspath(name), None)  # noqa: PTH100
            if was is None:
                continue
            now = found([name]).get(name)
            size, time, hashed = was.facts
            if now is None:
                what = "is missing"
            elif now == (size, time) or (now[0] == size and hashed == _hash(name, size)):
                continue
            else:
                what = f"has changed since ({size:,} bytes then, {now[0]:,} now)"
            said.append(
                f"the file {name!r}, which this cell names, was written by the step {was.step!r} "
                f"and {what}. %stepbook redo {was.step} writes it again."
            )
        return said

"""Files that cells have written.

A replay does not write them again. So what they were is recorded, and a cell that executes and
names or reads one that is gone, or is another now, is told so. Those are followed that are opened
below the working folder, and those of which the names stand in a cell's text, whoever writes them.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import xxhash

from . import opens

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Texts of a cell that are looked for as files, at most.
_MOST: Final = 200
_LONGEST: Final = 255
#: Above this, a file is told by its size and time alone.
_HASHED_BYTES: Final = 64 << 20
#: The same for all files of one cell.
_HASHED_OF_CELL: Final = 256 << 20
_CHUNK: Final = 1 << 20

#: Files of one cell that are followed, at most.
_MOST_WRITTEN: Final = 500

Facts = list[Any]
#: Of a file that is gone.
GONE: Final[Facts] = [-1, 0, None]
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
    """The files that the steps of a session have written."""

    def __init__(self) -> None:
        #: What steps have written that were brought back without being executed.
        self._written: dict[str, _Written] = {}
        #: Size and time of what the steps of this session have written.
        self._known: Found = {}
        # Of the cell that executes:
        self._folder = ""
        self._names: set[str] = set()
        self._executes = False
        self._before: Found = {}
        self._opened: set[str] = set()
        self._said: list[str] = []
        self._ours = ""

    # ---- while a cell executes ------------------------------------------------------------------

    def begin(self, texts: Iterable[str], ours: str = "") -> list[str]:
        """Note that a cell begins; return what is to be said of files that it names.

        Args:
            texts: the texts in it.
            ours: how the paths of the book's own files begin.
        """
        names = [_absolute(name) for name in names_of(texts)]
        if self._executes:  # the code in its `%%time`, or its next attempt
            self._names.update(names)
            return self._missed(names, "names")
        self._executes, self._ours = True, ours
        self._opened, self._said, self._names = set(), [], set(names)
        self.set_folder()
        said = self._missed(names, "names")
        self._before = found({*self._known, *names})
        opens.hear(self._hear)
        return said

    def end(self) -> list[str]:
        """Note that no cell executes any more; return what is to be said of files it has read."""
        opens.rest()
        self._executes = False
        said, self._said = self._said, []
        return said

    def _hear(self, path: str, writes: bool) -> None:  # noqa: FBT001 - as it is told
        if not writes:
            if path in self._written:
                self._said += self._missed([path], "reads")
            return
        self._written.pop(path, None)
        ours = self._ours and path.startswith(self._ours)
        if not ours and self._is_near(path) and len(self._opened) < _MOST_WRITTEN:
            self._opened.add(path)

    def _is_near(self, path: str) -> bool:
        """Whether a file is in the working folder, and neither hidden there nor Python's cache."""
        if not path.startswith(os.path.join(self._folder, "")):  # noqa: PTH118 - a text
            return path in self._names
        parts = path[len(self._folder) :].split(os.sep)  # noqa: PTH206 - as quick as can be
        return not any(part.startswith((".", "__pycache__")) for part in parts)

    def written(self) -> dict[str, Facts]:
        """Return size, time and hash of what the cell has written, by its path from the folder."""
        names = {*self._names, *self._opened, *self._known}
        now = found(names)
        changed = {path: facts for path, facts in now.items() if self._before.get(path) != facts}
        gone = [path for path in self._before if path in self._known and path not in now]
        self._known.update(changed)
        for path in gone:
            del self._known[path]
        for path in (*changed, *gone):
            self._written.pop(path, None)
        recorded: dict[str, Facts] = {}
        left = _HASHED_OF_CELL
        for path, facts in changed.items():
            left -= facts[0]
            recorded[path] = [*facts, _hash(path, facts[0]) if left >= 0 else None]
        recorded.update((path, list(GONE)) for path in gone)
        return {os.path.relpath(path, self._folder): facts for path, facts in recorded.items()}

    # ---- what replayed steps had written --------------------------------------------------------

    def set_folder(self) -> None:
        """Note the folder in which a replay begins."""
        self._folder = os.getcwd()  # noqa: PTH109 - a text

    def replayed(self, step: str, recorded: dict[str, Facts]) -> None:
        """Note what a step had written that was brought back without being executed."""
        for name, facts in recorded.items():
            path = os.path.normpath(os.path.join(self._folder, name))  # noqa: PTH118 - a text
            if facts == GONE:
                self._written.pop(path, None)
                self._known.pop(path, None)
            else:
                self._written[path] = _Written(step, facts)
                self._known[path] = facts[0], facts[1]

    def _missed(self, paths: Iterable[str], how: str) -> list[str]:
        """Return what is to be said of files that a cell names or reads; once each."""
        said = []
        for path in paths:
            was = self._written.pop(path, None)
            if was is None:
                continue
            now = found([path]).get(path)
            size, time, hashed = was.facts
            if now is None:
                what = "is missing"
            elif now == (size, time) or (now[0] == size and hashed == _hash(path, size)):
                continue
            else:
                what = f"has changed since ({size:,} bytes then, {now[0]:,} now)"
            name = os.path.relpath(path, self._folder)
            said.append(
                f"the file {name!r}, which this cell {how}, was written by the step {was.step!r} "
                f"and {what}. %stepbook redo {was.step} writes it again."
            )
        return said


def _absolute(name: str) -> str:
    return os.path.abspath(name)  # noqa: PTH100 - a text

"""How this user's processes have left a database: as long as it is so, nobody else has changed it.

One note for each database, in the user's own folder, where whoever writes a book cannot write. It
is named by the path and holds what the system tells of the file: device, inode, size and times.
Without such a folder each process knows only of what it has left itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from json import dumps, loads
from typing import TYPE_CHECKING, Final

from ...system.userdata import put, user_folder

if TYPE_CHECKING:
    from pathlib import Path

    from .opening import State

_FOLDER: Final = "books"
#: Of more databases than this, those that were left longest ago are forgotten.
_MOST: Final = 1000


def noted(path: Path) -> State | None:
    """Return how this user's processes have left the database at *path*; None if nobody knows."""
    folder = user_folder()
    if folder is None:
        return None
    try:
        found = loads(_note_of(folder, path).read_bytes())
        return tuple(None if one is None else tuple(map(int, one)) for one in found)
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def note(path: Path, left: State) -> None:
    """Note how this user's process has left the database at *path*; nothing if that cannot be."""
    folder = user_folder(create=True)
    if folder is None:
        return
    target = _note_of(folder, path)
    with contextlib.suppress(OSError):  # then it is looked at once more
        new = not target.exists()
        put(target, dumps(left))
        if new:
            _forget_the_oldest(target.parent)


def _note_of(folder: Path, path: Path) -> Path:
    return folder / _FOLDER / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"


def _forget_the_oldest(folder: Path) -> None:
    """Leave half of the notes when there are too many: one that is missing costs one look."""
    with os.scandir(folder) as entries:
        found = [(entry.stat(follow_symlinks=False).st_mtime_ns, entry.path) for entry in entries]
    if len(found) > _MOST:
        for _, old in sorted(found)[: len(found) - _MOST // 2]:
            with contextlib.suppress(OSError):
                os.unlink(old)  # noqa: PTH108 - as the system has named it

"""Where things are: a book, and Python's libraries."""

from __future__ import annotations

import functools
import os
import sysconfig
from pathlib import Path
from typing import Final

from ..errors import InvalidInputError, NotABookError
from .scratch import moved

BOOK_NAME: Final = "stepbook.duckdb"
_ROOT_MARKS: Final = (".git", "pyproject.toml")


def book_path(path: str | os.PathLike[str] | None) -> Path:
    """Return the absolute path of the book that is meant.

    *path*; without it ``$STEPBOOK_BOOK``; else the nearest ``stepbook.duckdb`` from the current
    folder up to the project's root (the folder with ``.git`` or ``pyproject.toml``); else one in
    that root; without a root, in the current folder. For a process that verifies it stands
    elsewhere; see :mod:`.scratch`.

    Raises:
        InvalidInputError: *path* is empty or no path.
        NotABookError: it is a folder, or a link that leads nowhere.
    """
    if path is None:
        path = os.environ.get("STEPBOOK_BOOK") or None
    if path is None:
        path = _nearest(Path.cwd())
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise InvalidInputError(
            f"{path!r} is no path of a book; give a file such as {BOOK_NAME!r}, or nothing."
        )
    # Resolved, since DuckDB would open one file by two names twice.
    found = Path(path).expanduser().resolve()
    if found.is_dir():
        raise NotABookError(
            f"{found} is a folder; a book is a file. Did you mean {found / BOOK_NAME}?"
        )
    if os.name != "nt" and "\\" in str(found):
        # DuckDB 2.0 would open another file than the one that is looked at before.
        raise InvalidInputError(
            f"{found} has a backslash in it, which DuckDB takes for the border of a folder. Give "
            "another name to the file or the folder."
        )
    return moved(found)


def _nearest(folder: Path) -> Path:
    folder = folder.resolve()
    for parent in (folder, *folder.parents):
        found = parent / BOOK_NAME
        if found.is_symlink() and not found.exists():
            raise NotABookError(
                f"{found} is a link to {found.readlink()}, where nothing is. Remove the link, or "
                "create that book by its own path: stepbook.connect(path)."
            )
        if found.is_file() or any((parent / mark).exists() for mark in _ROOT_MARKS):
            return found
    return folder / BOOK_NAME


#: What folders of installed packages are called, those of a user or of the system as well.
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


@functools.cache
def library_folders() -> tuple[str, ...]:
    """Return the folders of Python's own library and of installed packages."""
    paths = sysconfig.get_paths()
    found = (paths.get(key) for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple(path for path in found if path)


def is_library_file(path: str) -> bool:
    """Whether a file belongs to Python's own library or to an installed package.

    By its path, so never a reason to execute anything: anybody can name a folder like that.
    """
    return path.startswith(library_folders()) or not _INSTALLED.isdisjoint(Path(path).parts)

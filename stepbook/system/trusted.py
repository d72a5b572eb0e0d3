"""What this user has decided to trust of books that others have recorded.

One file for each run, in the user's own folder, names by their hashes the values and outputs that
were there when the user decided: what is changed later is not trusted.
"""

from __future__ import annotations

from json import dumps, loads
from typing import TYPE_CHECKING, Final

from ..errors import BookError
from .platform import read_plain
from .userdata import put, user_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_FOLDER: Final = "trusted"
#: By file: its state on the disk and its content.
_read: Final[dict[str, tuple[object, frozenset[str]]]] = {}


def trusted(book: str, run: str) -> frozenset[str]:
    """Return the hashes of what this user trusts in a run.

    Args:
        book: the id of the book.
        run: the id of the run.
    """
    path = _file(book, run)
    if path is None:
        return frozenset()
    try:
        found = path.lstat()
        state = found.st_ino, found.st_size, found.st_mtime_ns
        known = _read.get(str(path))
        if known is None or known[0] != state:
            marks = loads(read_plain(path))["trusted"]
            known = _read[str(path)] = state, frozenset(map(str, marks))
    except (OSError, ValueError, LookupError, TypeError):
        return frozenset()
    return known[1]


def trust(book: str, run: str, marks: Iterable[str]) -> None:
    """Trust what has these hashes in a run, from now on.

    Raises:
        BookError: this user has no folder of their own for that.
    """
    path = _file(book, run, create=True)
    if path is None:
        raise BookError(
            "there is no folder of this user's own to keep in what is trusted: it is missing, or "
            "others can write to it. Set XDG_DATA_HOME to a folder that only you can write to."
        )
    text = dumps({"trusted": sorted(trusted(book, run) | set(marks))})
    try:
        put(path, text)
    except OSError as error:
        raise BookError(f"{path} cannot be written: {error}") from error


def distrust(book: str, run: str) -> bool:
    """Trust nothing of a run any more; return whether something was trusted."""
    path = _file(book, run)
    if path is None or not path.exists():
        return False
    path.unlink()
    return True


def _file(book: str, run: str, *, create: bool = False) -> Path | None:
    folder = user_folder(create=create)
    if folder is None or not (_is_word(book) and _is_word(run)):
        return None
    folder /= _FOLDER
    if folder.is_symlink():
        return None
    return folder / f"{book}.{run}.json"


def _is_word(text: str) -> bool:
    return text.isascii() and text.replace("_", "").replace("-", "").isalnum() and len(text) < 80  # noqa: PLR2004

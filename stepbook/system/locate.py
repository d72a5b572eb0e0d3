"""Where a book is, and which of its runs is meant."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

from ..errors import InvalidInputError, NotABookError
from ..values.nodes import TAG

BOOK_NAME: Final = "stepbook.duckdb"
_ROOT_MARKS: Final = (".git", "pyproject.toml")
_LONGEST_KEY: Final = 200


def book_path(path: str | os.PathLike[str] | None) -> Path:
    """Return the absolute path of the book that is meant.

    *path*; without it ``$STEPBOOK_BOOK``; else the nearest ``stepbook.duckdb`` from the current
    folder up to the project's root (the folder with ``.git`` or ``pyproject.toml``); else one in
    that root; without a root, in the current folder.

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
    return found


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


def run_key(key: str | None, input_text: str) -> str:
    """Return what finds a run again: *key*, else the canonical JSON of the input.

    Canonical: keys sorted, no spaces; above 200 characters its SHA-256 in hex.

    Raises:
        InvalidInputError: *key* is empty or not a string.
    """
    if key is not None:
        if not isinstance(key, str) or not key:
            raise InvalidInputError(f"key is a text that finds the run again, not {key!r}.")
        return key
    text = input_text
    with contextlib.suppress(ValueError):  # an int too long for this: its text as it is
        text = _canonical(json.loads(input_text, object_hook=_keys_sorted))
    if len(text) <= _LONGEST_KEY:
        return text
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(node: Any) -> str:
    return json.dumps(node, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _keys_sorted(node: dict[str, Any]) -> dict[str, Any]:
    """Sort the pairs as which a dict is written that has other keys than strings."""
    if node.get(TAG) == "dict":
        node["items"].sort(key=lambda pair: _canonical(pair[0]))
    return node

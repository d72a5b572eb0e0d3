"""A verification: every book that its processes open is one of their own, in a folder that goes.

``$STEPBOOK_VERIFY`` names the folder. It is a variable of the environment so that it also holds for
the processes that the verified code starts.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

VERIFY: Final = "STEPBOOK_VERIFY"
_ORIGIN: Final = "origin"


def folder() -> Path | None:
    """Return the folder of the verification that this process is a part of, or None."""
    found = os.environ.get(VERIFY)
    return Path(found) if found else None


def moved(path: Path) -> Path:
    """Return where the book at *path* is for this process: elsewhere while it verifies."""
    home = folder()
    if home is None or path.is_relative_to(home):
        return path
    place = home / hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    if not (place / _ORIGIN).exists():
        place.mkdir(parents=True, exist_ok=True)
        (place / _ORIGIN).write_bytes(os.fsencode(path))
    return place / path.name


def origin(path: Path) -> Path | None:
    """Return the book that a moved one stands for; None for one that was not moved."""
    try:
        return Path(os.fsdecode((path.parent / _ORIGIN).read_bytes()))
    except FileNotFoundError:
        return None

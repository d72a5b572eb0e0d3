"""The folder in which stepbook keeps what belongs to the user and not to a book."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path


def user_folder(*, create: bool = False) -> Path | None:
    """Return this user's own folder for data of stepbook, or None where none can be trusted.

    It is where the platform keeps such data (``$XDG_DATA_HOME/stepbook`` or
    ``~/.local/share/stepbook`` on Linux). Nothing of a book leads here, so whoever writes a book
    cannot write this.

    Args:
        create: make the folder if it is missing, for this user only (mode 0700).

    Returns:
        The folder. None if it does not exist, cannot be created, is a link, or belongs to or can
        be written by somebody else.
    """
    import platformdirs  # noqa: PLC0415 (only who needs the folder loads it)

    try:
        folder = Path(platformdirs.user_data_path("stepbook", appauthor=False))
        if create and not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except (OSError, RuntimeError):  # RuntimeError: no home
        return None
    if not stat.S_ISDIR(found.st_mode):
        return None
    if os.name != "nt" and (found.st_uid != os.geteuid() or found.st_mode & 0o022):
        return None
    return folder


def put(path: Path, text: str) -> None:
    """Write a file of this user's folder, for this user only, whole or not at all.

    Args:
        path: the file; its folder is made if it is missing.
        text: what it is to hold. On the disk only when the system comes to it.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_name(f".{secrets.token_hex(8)}.new")
    try:
        number = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w") as file:
            file.write(text)
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise

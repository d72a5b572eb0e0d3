"""Hears which files this process opens, through Python's audit events.

Such a hook cannot be taken out again. So there is one, which does nothing while no cell executes.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_told: Callable[[str, bool], None] | None = None
_installed = False
_telling = False  # who is told opens files, too, to compare them


def hear(tell: Callable[[str, bool], None]) -> None:
    """Have each file that is opened told, with whether it is opened for writing."""
    global _told, _installed  # noqa: PLW0603 - there is one hook in a process
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)
    _told = tell


def rest() -> None:
    """Hear nothing until the next :func:`hear`."""
    global _told  # noqa: PLW0603 - as above
    _told = None


def _hook(event: str, args: tuple[Any, ...]) -> None:
    global _telling  # noqa: PLW0603 - as above
    if event != "open" or _told is None or _telling:
        return
    _telling = True
    try:
        path, _, flags = args
        if isinstance(path, str | bytes | os.PathLike):
            _told(os.path.abspath(os.fsdecode(path)), bool(flags & _WRITES))  # noqa: PTH100
    except Exception:  # noqa: BLE001, S110 - the file must be opened, whatever is wrong here
        pass
    finally:
        _telling = False

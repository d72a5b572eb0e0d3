"""One-line messages to the person: to the cell's output in a notebook, else to standard error."""

from __future__ import annotations

import os
import re
import sys
from contextvars import ContextVar
from typing import Any, Final

from ..seen import seen

#: How to ask for a fresh run where one is being opened: in Python, or in ``%stepbook run``.
asks_new: Final = ContextVar("asks_new", default="new=True")

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


def uncoloured(text: str) -> str:
    """Return a text without the escapes that colour it on a terminal."""
    return _COLOURS.sub("", text)


def stable() -> bool:
    """Whether output must be the same in every run: ``STEPBOOK_STABLE_REPR=1``, for nbval."""
    return os.environ.get("STEPBOOK_STABLE_REPR", "") not in ("", "0")


def shell() -> Any:
    """Return the IPython shell of this process, or None; IPython is not imported for it."""
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


def in_ipython() -> bool:
    """Whether this code runs in an IPython shell or kernel."""
    return shell() is not None


def tell(*lines: str) -> None:
    """Print a message, most often one line; a script's standard output stays its own."""
    text = "\n".join(map(seen, lines))
    print(text, file=sys.stdout if in_ipython() else sys.stderr, flush=True)

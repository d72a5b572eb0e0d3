"""One-line messages to the person: to the cell's output in a notebook, else to standard error."""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from typing import Final

#: How to ask for a fresh run where one is being opened: in Python, or in ``%stepbook run``.
asks_new: Final = ContextVar("asks_new", default="new=True")


def stable() -> bool:
    """Whether output must be the same in every run: ``STEPBOOK_STABLE_REPR=1``, for nbval."""
    return os.environ.get("STEPBOOK_STABLE_REPR", "") not in ("", "0")


def in_ipython() -> bool:
    """Whether this code runs in an IPython shell or kernel."""
    module = sys.modules.get("IPython")
    return module is not None and module.get_ipython() is not None


def tell(message: str) -> None:
    """Print *message*; a script's standard output stays its own."""
    print(message, file=sys.stdout if in_ipython() else sys.stderr, flush=True)

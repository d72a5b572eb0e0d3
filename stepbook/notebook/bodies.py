"""What the bodies of ``run.do`` show in a notebook: kept with their attempts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ..engine import runs
from ..engine.attempt import current
from ..engine.hooks import HOOKS
from ..system.console import shell
from . import hooks
from .listen import listener
from .page import Page

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..engine.attempt import Attempt


class Bodies:
    """Hears what is shown, and gives it to the body that shows it.

    Args:
        shell: where the bodies execute.
    """

    parent: str | None = None

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def begins(self) -> None:
        """Listen, from the first body that a cell executes to the end of the cell."""
        found = listener(self._shell)
        if found.bodies is None:
            found.bodies = self
            found.attach()

    def hear(self, what: str, *args: Any, within: Any = None) -> None:  # noqa: ARG002 - as an ear
        """Take in one thing that is shown; see :class:`.listen.Ear`."""
        attempt = current.get() or _started_from()
        if attempt is None or attempt.row.kind != "do" or attempt.end_row is not None:
            return
        if attempt.shown is None:
            attempt.shown = Page()
        if what == "fill":
            attempt.shown.display(*args)
        elif what != "result":  # "fill" says what it looks like
            attempt.shown.take(what, *args)


def _started_from() -> Attempt | None:
    """Return the body that has most probably started this thread, which has no context."""
    if threading.current_thread() is threading.main_thread():
        return None
    found = [run.walk.body_of(run.executing) for run in runs.open_runs() if run.walk is not None]
    bodies = [body for body in found if body is not None]
    return bodies[-1] if bodies else None


def attach() -> None:
    """Follow the cells of this process's IPython shell, and what their steps show."""
    hooks.attach()
    here = shell()
    if here is not None and HOOKS.body_begins is None:
        HOOKS.body_begins = Bodies(here).begins

"""The kernel's side of ``stepbook run``: :mod:`.headless` calls these functions in the kernel."""

from __future__ import annotations

import contextlib
import os
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell

from ..api.book import run_of
from ..engine import opening, runs
from ..engine.hooks import HOOKS
from ..engine.wishes import Wishes
from .extension import load
from .session import session_of

if TYPE_CHECKING:
    from ..engine.opened import OpenRun


def prepare(loop: str, wishes: str, owned: str) -> None:
    """Load the extension; have the first step open a run if the notebook opens none.

    Args:
        loop: the name of that run.
        wishes: the fields of :class:`Wishes`, as JSON.
        owned: the file in which to note the runs that this process takes.
    """
    shell = InteractiveShell.instance()
    load(shell)
    session = session_of(shell)
    assert session is not None  # noqa: S101 - just loaded
    HOOKS.wishes = Wishes(**loads(wishes))
    process = os.getpid()

    def note(run: OpenRun) -> None:
        if os.getpid() != process or run.book.path is None:
            return
        line = dumps([str(run.book.path), run.id]) + "\n"
        with contextlib.suppress(OSError), Path(owned).open("a", encoding="utf-8") as file:
            file.write(line)  # else whoever would read it is gone

    HOOKS.owned = note

    def open_run() -> OpenRun:
        opened = opening.open_run(runs.book_at(), loop)
        shell.user_ns["run"] = run_of(opened)
        return opened

    session.open_run = open_run


def conclude(*, good: bool) -> None:
    """Finish the run that was opened for the notebook, and print the :class:`Outcome`."""
    session = session_of(InteractiveShell.instance())
    opened = None if session is None else session.last()
    wishes = HOOKS.wishes
    found: dict[str, Any] = {"ignored": wishes is not None and wishes.is_input_unused}
    if opened is not None and session is not None:
        run = run_of(opened)
        if good and session.open_run is None and run.status != "succeeded":
            run.finish()
        replayed, saved = session.replayed(opened)
        found |= {"run_id": run.id, "text": repr(run), "replayed": replayed, "saved": saved}
        if run.book.path is not None:
            found["book"] = str(run.book.path)
    print(dumps(found))  # noqa: T201 - it is read

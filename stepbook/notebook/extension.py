"""Loading the extension into a shell, and taking it out again without a trace."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..engine import runs
from . import bodies, complete, hooks, listen
from . import session as sessions
from .cells import CellStep
from .magics import StepbookMagics

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load(shell: InteractiveShell) -> None:
    """Make ``%stepbook``, ``%%step`` and ``#| step:`` work in a shell."""
    if sessions.session_of(shell) is not None:
        return
    session = sessions.begin(shell, CellStep)
    bodies.attach()
    listen.listener(shell)
    hooks.at_end.append(session.cell_ended)
    hooks.at_pass.append(session.count)
    shell.input_transformers_cleanup.append(session.lines)
    shell.ast_transformers.append(session.code)
    shell.events.register("post_run_cell", session.executed.note)
    shell.register_magics(StepbookMagics(session))
    complete.add(session)


def unload(shell: InteractiveShell) -> None:
    """Take out what :func:`load` has put in.

    Runs stay open. While one is, cells go on being its passes; with none, nothing is left.
    """
    session = sessions.session_of(shell)
    if session is None:
        return
    complete.remove(session)
    magics = shell.magics_manager
    for kind, name in (("line", "stepbook"), ("line", "%step"), ("cell", "step")):
        magics.magics[kind].pop(name, None)
    magics.registry.pop("StepbookMagics", None)
    with contextlib.suppress(ValueError):
        shell.input_transformers_cleanup.remove(session.lines)
    with contextlib.suppress(ValueError):  # IPython itself takes out one that fails
        shell.ast_transformers.remove(session.code)
    shell.events.unregister("post_run_cell", session.executed.note)
    session.cell_ended()
    listen.end(shell)
    hooks.at_end.remove(session.cell_ended)
    hooks.at_pass.remove(session.count)
    sessions.end(shell)
    if not runs.open_runs():
        hooks.detach(shell)

"""``stepbook run``: a notebook executed as a run, with a line for each cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..engine.runs import book_at
from ..errors import InvalidInputError
from ..model.durations import describe
from ..notebook import headless
from ..system.console import stable
from . import terminal
from .terminal import IGNORED

if TYPE_CHECKING:
    from ..engine.wishes import Wishes
    from ..notebook.headless import Outcome


def main(
    notebook: Path, wishes: Wishes, *, book: str | None, kernel: str | None, output: Path | None
) -> int:
    """Execute a notebook, print what came of it, and return the exit code.

    Args:
        notebook: its file.
        wishes: about its runs.
        book: the book that ``--book`` names.
        kernel: the kernel that ``--kernel`` names.
        output: where to write the notebook as executed.

    Raises:
        StepbookError: nothing was executed, or its end could not be recorded.
    """
    if output is not None and not output.absolute().parent.is_dir():
        raise InvalidInputError(f"--output: there is no folder {output.absolute().parent}.")
    env = dict(os.environ)
    if book is not None:
        env["STEPBOOK_BOOK"] = str(Path(book).absolute())
    outcome = headless.execute(
        notebook.absolute(), terminal.Cells(), wishes=wishes, env=env, kernel=kernel, output=output
    )
    if outcome.died:
        terminal.complain(outcome.died)
        headless.record_death(outcome)
    click.echo()
    _show(outcome)
    return 0 if outcome.good else 1


def _show(outcome: Outcome) -> None:
    if outcome.ignored:
        terminal.complain(IGNORED, "running")
    if outcome.run_id is None:
        if outcome.good:
            what = "the notebook has left no run open; stepbook runs lists all"
            terminal.complain(what, "running")
    elif outcome.book is None:
        terminal.block(outcome.text, None)
    else:
        state = book_at(outcome.book).peek(outcome.run_id)
        terminal.timeline(state.run, list(state.steps.values()), terminal.console())
    if outcome.replayed:
        saved = "" if stable() else f", {describe(outcome.saved)} saved"
        terminal.said(f"  {outcome.replayed} replayed{saved}", "quiet")

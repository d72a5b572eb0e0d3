"""``stepbook redo``, ``rewind`` and ``accept``: what the next pass does about recorded steps."""

from __future__ import annotations

import click

from . import options


@click.command()
@options.run_argument
@click.argument("step", shell_complete=options.complete_step)
@options.book_option
def redo(run: str, step: str) -> None:
    """Have the next pass execute one step again.

    Later steps keep their results; `stepbook rewind` executes them again, too.
    """
    options.book().get(run).redo(step)


@click.command()
@options.run_argument
@click.argument("step", required=False, shell_complete=options.complete_step)
@options.book_option
def rewind(run: str, step: str | None) -> None:
    """Have the next pass execute a step and all after it again.

    Without STEP it executes everything again. Earlier attempts stay in the history.
    """
    options.book().get(run).rewind(step)


@click.command()
@options.run_argument
@click.argument("step", shell_complete=options.complete_step)
@options.book_option
def accept(run: str, step: str) -> None:
    """Have what is recorded of a step stand for its code and inputs as they are now.

    The next pass replays it. If the last attempt has failed or was interrupted, what the last
    success has left is used.
    """
    options.book().get(run).accept(step)

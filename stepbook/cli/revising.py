"""``stepbook redo``, ``rewind``, ``accept`` and ``undo``: what the next pass does about steps."""

from __future__ import annotations

from typing import Final

import click

from . import options

#: What stands below the help of commands that take a pattern.
_PATTERNS: Final = """\b
Where no step has this name, * and ? in STEP are wildcards; brackets stand for themselves.
Quote it for the shell:
  {}"""


@click.command(epilog=_PATTERNS.format("stepbook redo health-review 'Score [*]'"))
@options.run_argument
@click.argument("step", shell_complete=options.complete_step)
@click.option(
    "--downstream",
    is_flag=True,
    help="Also the cells with inputs that come from it, as far as that is recorded.",
)
@options.book_option
def redo(run: str, step: str, *, downstream: bool) -> None:
    """Have the next pass execute one step again, or all that match.

    Later steps keep their results; `stepbook rewind` executes them again, too. `stepbook undo`
    takes it back.
    """
    options.book().get(run).redo(step, downstream=downstream)


@click.command(epilog=_PATTERNS.format("stepbook rewind health-review 'Score [*]'"))
@options.run_argument
@click.argument("step", required=False, shell_complete=options.complete_step)
@options.book_option
def rewind(run: str, step: str | None) -> None:
    """Have the next pass execute a step and all after it again.

    Without STEP it executes everything again; with a pattern, from the first that matches. Earlier
    attempts stay in the history. `stepbook undo` takes it back.
    """
    options.book().get(run).rewind(step)


@click.command(epilog=_PATTERNS.format("stepbook accept health-review 'Score [*]'"))
@options.run_argument
@click.argument("step", shell_complete=options.complete_step)
@options.book_option
def accept(run: str, step: str) -> None:
    """Have what is recorded of a step stand for its code and inputs as they are now.

    The next pass replays it. If the last attempt has failed or was interrupted, what the last
    success has left is used. `stepbook undo` takes it back.
    """
    options.book().get(run).accept(step)


@click.command()
@options.run_argument
@options.book_option
def undo(run: str) -> None:
    """Take the last redo, rewind, resolve or accept of a run back.

    Steps that were executed since stay as they are. Once more takes the change before that back.
    """
    options.book().get(run).undo()

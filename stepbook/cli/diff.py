"""``stepbook diff``: two runs, or two attempts of a step, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from ..engine import differences, runs
from ..model.durations import describe
from ..show import changes
from . import options, terminal
from .terminal import Column

if TYPE_CHECKING:
    from ..show.changes import Row

_RUN_COLUMNS: Final = (
    Column("step", "name", widest=32, narrowest=12),
    Column("status", "statuses", widest=22, narrowest=9),
    Column("duration", "took", widest=22, narrowest=8),
    Column("what changed", "changed"),
)
_ATTEMPT_COLUMNS: Final = (
    Column("what", "what"),
    Column("where", "where", widest=32, narrowest=12),
    Column("first", "first", widest=40, narrowest=12),
    Column("second", "second", widest=40, narrowest=12),
    Column("change", "change"),
)


@click.command(
    epilog="""\b
Examples:
  stepbook diff 7k2m 9q4x
  stepbook diff health-review 7k2m --format json
  stepbook diff health-review --step Train --attempts 1,3"""
)
@options.run_argument
@click.argument("other", required=False, shell_complete=options.complete_run)
@click.option(
    "--step",
    metavar="NAME",
    shell_complete=options.complete_step,
    help="Compare two attempts of this step instead of two runs.",
)
@click.option("--attempts", metavar="N,N", help="Which two; without it the last two.")
@options.format_option
@options.book_option
def diff(
    run: str, other: str | None, step: str | None, attempts: str | None, form: terminal.Format
) -> None:
    """Show what differs between two runs, or between two attempts of one step.

    RUN and OTHER side by side, step by step: how each ended, how long it took, what changed in its
    code, its arguments and its value. With --step two attempts of one step of RUN.
    """
    if (other is None) == (step is None):
        raise click.UsageError("give RUN and OTHER, or RUN and --step NAME.")
    if attempts is not None and step is None:
        raise click.UsageError("--attempts are those of a step: give --step NAME.")
    book = options.opened()
    one = runs.get(book, run)
    if other is not None:
        found = differences.of_runs(one, runs.get(book, other))
        shown = [_told(row) for row in found] if form == "table" else found
        terminal.rows(shown, _RUN_COLUMNS, form, list(changes.OF_RUNS))
    elif step is not None:
        found = differences.of_attempts(one, step, *_numbers(attempts))
        terminal.rows(found, _ATTEMPT_COLUMNS, form, list(changes.OF_ATTEMPTS))


def _numbers(text: str | None) -> tuple[int | None, int | None]:
    """Return the two numbers of ``--attempts``."""
    if text is None:
        return None, None
    first, _, second = text.partition(",")
    try:
        return int(first), int(second)
    except ValueError as error:
        why = f"two numbers with a comma, as in 1,2: not {text!r}."
        raise click.BadParameter(why, param_hint="'--attempts'") from error


def _told(row: Row) -> Row:
    """Return a row as people read it: both sides in one column, and in one what changed."""
    sides = "", "_other"
    statuses = dict.fromkeys(filter(None, (row[f"status{side}"] for side in sides)))
    took = (describe(row[f"seconds{side}"]) for side in sides)
    fingerprint = row["fingerprint"] and f"code: {row['fingerprint'].removeprefix('its code ')}"
    return {
        **row,
        "statuses": " -> ".join(statuses),
        "took": " -> ".join(filter(None, took)),
        "changed": "; ".join(filter(None, (row["differs"], fingerprint))),
    }

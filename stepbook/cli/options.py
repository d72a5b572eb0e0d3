"""What the commands have in common: options, completion, and JSON on the command line."""

from __future__ import annotations

import math
import sys
from json import loads
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem

from ..api.book import connect
from ..engine.runs import book_at
from ..errors import InvalidInputError, StepbookError
from ..notebook import parameters
from ..record import listing
from ..seen import seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..api.book import Book
    from ..engine.books import OpenBook

_BOOK: Final = "stepbook.book"  # where the option stands in the context
#: What makes a shell do something.
_ACTIVE: Final = frozenset("$`\\;&|<>")


def named() -> str | None:
    """Return the file that ``--book`` names, or None."""
    found: str | None = click.get_current_context().meta.get(_BOOK)
    return found


def _keep_book(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[_BOOK] = value


def book_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command, or the group, the option ``--book``."""
    return click.option(
        "--book",
        type=click.Path(dir_okay=True),
        metavar="FILE",
        expose_value=False,
        callback=_keep_book,
        is_eager=True,
        help="The book; without it $STEPBOOK_BOOK, else the nearest stepbook.duckdb.",
    )(command)


def book() -> Book:
    """Return the book that is meant."""
    return connect(named())


def opened() -> OpenBook:
    """Return the state behind it."""
    return book_at(named())


def complete_run(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer runs and loops."""
    runs, loops = _known(ctx)
    return _offered((*loops, *runs), typed)


def _complete_loop(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    return _offered(_known(ctx)[1], typed)


def _offered(names: Iterable[str], typed: str) -> list[CompletionItem]:
    """Return the names that go on from what was typed.

    They go into a line that a shell executes: a name in which it, or the terminal, would find more
    than text is left out.
    """
    return [
        CompletionItem(name)
        for name in names
        if name.startswith(typed) and seen(name) == name and _ACTIVE.isdisjoint(name)
    ]


def _known(ctx: click.Context) -> tuple[list[str], list[str]]:
    try:
        return listing.known(book_at(ctx.meta.get(_BOOK)).records)
    except (StepbookError, OSError):
        return [], []  # no book, or a busy one: nothing to offer, and no place to say so


def complete_step(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the steps of the run that was typed."""
    try:
        book = book_at(ctx.meta.get(_BOOK))
        state = book.peek(book.resolve(ctx.params["run"]))
    except (StepbookError, OSError, KeyError):
        return []
    return _offered(state.steps, typed)


def complete_kernel(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the kernels of this machine."""
    try:
        from ..notebook.kernels import installed  # noqa: PLC0415 - brings IPython
    except ImportError:
        return []  # nothing here executes notebooks
    return _offered(installed(), typed)


def readable(
    read: Callable[[str, str], object], what: str
) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Return the callback of an option whose text *read* must understand, here and not in a cell.

    Args:
        read: reads the text, given what it is.
        what: what it is, for the error.
    """

    def check(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        try:
            return value if value is None else (read(value, what), value)[1]
        except InvalidInputError as error:
            raise click.BadParameter(str(error)) from error

    return check


run_argument: Final = click.argument("run", shell_complete=complete_run)
loop_option: Final = click.option(
    "--loop", metavar="NAME", shell_complete=_complete_loop, help="Only runs of this loop."
)
format_option: Final = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="A table for people, or every field for programs.",
)


def parse(text: str) -> Any:
    """Return the value of a JSON text; of standard input if it is ``-``."""
    try:
        given = sys.stdin.buffer.read() if text == "-" else text
        return loads(given, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(
            f"{error}. A text needs its quotes: '\"done\"'.", param_hint="'JSON'"
        ) from error


def parse_input(text: str) -> Any:
    """Return the input of a notebook's run, of which the items become variables."""
    found = parse(text)
    parameters.check(found)
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}")


def _finite(text: str) -> float:
    found = float(text)
    if math.isinf(found):
        raise ValueError(f"{text} is too large for a number of Python's")
    return found

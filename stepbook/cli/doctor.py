"""``stepbook doctor``: is everything in the book's files as it should be? Changes nothing."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from ..show.text import Role, Span
from ..show.words import counted, glyph
from . import terminal
from .checks import examine

if TYPE_CHECKING:
    from ..engine.books import OpenBook


def report(book: OpenBook) -> bool:
    """Check a book, print what was found, and return whether all is well.

    Raises:
        BookNotFoundError: there is no book.
    """
    screen = terminal.console()
    width = None if screen is None else screen.width

    def say(*spans: Span) -> None:
        terminal.show(spans, screen)

    say(Span(str(book.path), "title"))
    wrong = 0
    for checked in examine(book):
        status: Role = "failed" if checked.problems else "succeeded"
        facts = ", ".join(checked.facts)
        say(
            Span(f"  {glyph(status)} ", status),
            Span(f"{checked.area:<11}", "value"),
            Span(facts, "quiet"),
        )
        for problem in checked.problems:
            wrong += 1
            say(Span(f"    {problem.where}", "title"))
            what = problem.what.removeprefix(problem.where).lstrip(": ")
            text = [what] if width is None else textwrap.wrap(what, width - 4)
            for line in text:
                say(Span(f"    {line}", "failed"))
    if wrong:
        say(Span(counted(wrong, "problem"), "failed"))
    else:
        say(Span("nothing is wrong", "succeeded"))
    return not wrong

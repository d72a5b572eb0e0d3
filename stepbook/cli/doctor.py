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
    wrong, held = 0, False
    for checked in examine(book):
        status: Role = "failed" if checked.problems else "running" if checked.held else "succeeded"
        facts = ", ".join([*checked.facts, *(["not looked at"] if checked.held else [])])
        held = held or bool(checked.held)
        say(
            Span(f"  {glyph(status)} ", status),
            Span(f"{checked.area:<11}", "value"),
            Span(facts, "quiet"),
        )
        for line in _lines(checked.held, width):
            say(Span(f"    {line}", "running"))
        for problem in checked.problems:
            wrong += 1
            say(Span(f"    {problem.where}", "title"))
            what = problem.what.removeprefix(problem.where).lstrip(": ")
            for line in _lines(what, width):
                say(Span(f"    {line}", "failed"))
    if wrong:
        say(Span(counted(wrong, "problem"), "failed"))
    elif held:
        say(Span("nothing is wrong in what could be looked at; ask again later", "running"))
    else:
        say(Span("nothing is wrong", "succeeded"))
    return not wrong


def _lines(text: str, width: int | None) -> list[str]:
    if width is None:
        return [text] if text else []
    return textwrap.wrap(text, width - 4)

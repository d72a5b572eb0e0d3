"""What the command line prints: coloured and fitted on a terminal, plain and whole elsewhere.

Whatever a book holds is text here: :func:`~stepbook.seen.seen` has the last look at each line.
"""

from __future__ import annotations

import contextlib
import csv
import os
import re
import sys
from dataclasses import dataclass
from datetime import datetime
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import click

from ..errors import StepbookError
from ..model import failures
from ..model.durations import describe
from ..record.tables.columns import JSON
from ..seen import in_colour, seen, seen_in_json
from ..show import text as show_text
from ..show import words
from ..show.text import Role, Span
from ..show.values import readable
from ..system.console import stable, uncoloured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text

    from ..model.rows import RunRow, StepRow
    from ..notebook.headless import Problem
    from ..record.listing import Row
    from ..values.codec import Codec

Format = Literal["table", "json", "csv"]

#: Colours of the terminal's own palette, so that light and dark themes both stay readable.
STYLES: Final[dict[Role, str]] = {
    "succeeded": "green",
    "failed": "red",
    "running": "yellow",
    "pending": "dim",
    "title": "bold",
    "name": "bold",
    "value": "none",
    "quiet": "dim",
    "code": "cyan",
}
#: Said where an input was given, and no run and no cell for parameters has taken it.
IGNORED: Final = (
    "--input is not the input of the run: the notebook opens its run with an input of its own."
)
#: Levels of messages that stand out, and what they look like.
_LEVELS: Final[dict[str, Role]] = {"error": "failed", "warn": "running"}
#: What a spreadsheet takes for a formula when a cell of a CSV begins with it, unless a number does.
_FORMULA: Final = tuple("=+-@＝＋－＠")  # noqa: RUF001 - the wide ones count, too
_NUMBER: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NARROWEST: Final = 40
_NARROWEST_LAST: Final = 16
_CELL_FACTS: Final = 15  # a status, and a duration as wide as "59 min 59 s"
_GAP: Final = 2


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table for people.

    Attributes:
        title: its heading.
        field: the field of the row that it shows.
        kind: how that is written.
        widest: how many cells of a terminal it may take.
        narrowest: to how many cells it can be squeezed.
    """

    title: str
    field: str
    kind: Literal["text", "status", "glyph", "seconds", "json", "outcome"] = "text"
    widest: int = 24
    narrowest: int = 24


def console(file: TextIO | None = None) -> Console | None:
    """Return the terminal behind *file* (standard output), or None if there is none."""
    stream = sys.stdout if file is None else file
    forced = os.environ.get("FORCE_COLOR", "") != ""
    if not (stream.isatty() or forced):
        return None
    from rich.console import Console  # noqa: PLC0415 - 0.1 s that a pipe does not need

    return Console(file=stream, highlight=False, markup=False, emoji=False)


def timeline(run: RunRow, steps: Sequence[StepRow], screen: Console | None) -> None:
    """Print the text timeline of a run, every step of it."""
    width = None if screen is None else max(_NARROWEST, screen.width)
    for line in show_text.spans(run, steps, width=width, everything=True):
        show(line, screen)


def show(line: Sequence[Span], screen: Console | None, end: str = "\n") -> None:
    """Print one line."""
    if screen is None:
        print(seen(show_text.plain(line)), end=end, flush=True)  # noqa: T201 - this module prints
        return
    from rich.text import Text  # noqa: PLC0415 - only with a console

    text = Text.assemble(*((seen(span.text), STYLES[span.role]) for span in line))
    _send(text, screen, end)


def _send(text: Text, screen: Console, end: str = "\n") -> None:
    screen.print(text, no_wrap=True, overflow="ignore", crop=False, end=end)
    screen.file.flush()


def block(text: str, screen: Console | None, before: str = "", role: Role = "value") -> None:
    """Print what a cell has printed or raised: as many lines as it has, in its own colours.

    Args:
        text: with the escapes that colour it.
        screen: the terminal; elsewhere there are no colours.
        before: stands in front of each line.
        role: what it is, where it has no colours.
    """
    for line in text.splitlines():
        if screen is None:
            print(before + seen(uncoloured(line)), flush=True)  # noqa: T201 - as above
            continue
        from rich.text import Text  # noqa: PLC0415 - only with a console

        _send(Text(before) + Text.from_ansi(in_colour(line), style=STYLES[role]), screen)


def program(data: Any) -> None:
    """Print JSON, for programs."""
    print(seen_in_json(dumps(data, ensure_ascii=False, indent=2)))  # noqa: T201


def rows(
    found: Sequence[Row], columns: Sequence[Column], form: Format, every: Sequence[str]
) -> None:
    """Print rows.

    Args:
        found: the rows.
        columns: what a table shows of them.
        form: "table"; "json" or "csv" print every field.
        every: the names of the fields, for the heading of a CSV.
    """
    if form == "json":
        program([_jsonable(row) for row in found])
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(every)
        writer.writerows([_csv(name, row[name]) for name in every] for row in found)
    else:
        screen = console()
        if screen is None:
            _tabs(found, columns)
        else:
            _table(found, columns, screen)


def _jsonable(row: Row) -> Row:
    parsed = dict(row)
    for name, value in row.items():
        if isinstance(value, datetime):
            parsed[name] = value.isoformat()
        elif name in JSON and value is not None:
            with contextlib.suppress(ValueError, RecursionError):  # else the text as it is
                parsed[name] = loads(value)
    return parsed


def _csv(name: str, value: Any) -> Any:
    """Return a value as a cell of a CSV: one line, and text that no spreadsheet computes."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    text = seen(value)
    if text != value and name in JSON:
        text = seen(seen_in_json(value))  # parsed, it is the same value
    if text.lstrip().startswith(_FORMULA) and _NUMBER.fullmatch(text) is None:
        return f"'{text}"
    return text


def _tabs(found: Sequence[Row], columns: Sequence[Column]) -> None:
    """Print columns separated by tabs, for cut, awk and the like; nothing is shortened."""
    print("\t".join(column.title for column in columns))  # noqa: T201
    for row in found:
        print("\t".join(show_text.one_line(_plain(row, column), None) for column in columns))  # noqa: T201


def _plain(row: Row, column: Column) -> str:
    value = row[column.field]
    if column.kind == "outcome":
        return _outcome(row)
    if column.kind == "json":
        return readable(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:.6f}"
    return "" if value is None else str(value)


def _table(found: Sequence[Row], columns: Sequence[Column], screen: Console) -> None:
    """Print aligned columns; the last one takes what the others leave."""
    if not found:
        show([Span("none", "quiet")], screen)
        return
    cells = [[_cell(row, column) for column in columns] for row in found]
    widths = [
        min(column.widest, max(map(show_text.cells, [_title(column), *(c[i].text for c in cells)])))
        for i, column in enumerate(columns)
    ]
    room = screen.width - _GAP * (len(widths) - 1)
    while (excess := sum(widths[:-1]) + _NARROWEST_LAST - room) > 0:
        widest = max(
            (i for i, column in enumerate(columns[:-1]) if column.narrowest < widths[i]),
            key=widths.__getitem__,
            default=None,
        )
        if widest is None:
            break  # a very narrow terminal wraps its lines
        widths[widest] = max(columns[widest].narrowest, widths[widest] - excess)
    widths[-1] = max(_NARROWEST_LAST, room - sum(widths[:-1]))
    heading = [Span(_title(column), "quiet") for column in columns]
    for line in (heading, *cells):
        spans = []
        for column, span, width in zip(columns, line, widths, strict=True):
            text = show_text.one_line(span.text, width)
            rest = " " * (width - show_text.cells(text))
            text = rest + text if column.kind == "seconds" else text + rest
            spans.append(Span(text if column is columns[-1] else text + " " * _GAP, span.role))
        spans[-1] = Span(spans[-1].text.rstrip(), spans[-1].role)
        show(spans, screen)


def _title(column: Column) -> str:
    return {"glyph": "", "seconds": "duration"}.get(column.kind, column.title)


def _cell(row: Row, column: Column) -> Span:
    value = row[column.field]
    if column.kind == "status":
        return Span(f"{words.glyph(value)} {value}", show_text.role_of(value))
    if column.kind == "glyph":
        return Span(words.glyph(value), show_text.role_of(value))
    if column.kind == "outcome":
        return Span(_outcome(row), "value" if row["error"] is None else "failed")
    if isinstance(value, datetime):
        return Span(value.astimezone().strftime("%Y-%m-%d %H:%M"), "quiet")
    if column.kind == "seconds":
        return Span(describe(value), "quiet")
    if column.kind == "json":
        value = readable(value)
    return Span("" if value is None else str(value), "name" if column.field == "name" else "value")


def _outcome(row: Row) -> str:
    """Return what a step returned, or why it failed."""
    if row["error"] is not None:
        return failures.summary(failures.read(row["error"]))
    if row["policy"] is not None:
        return f"not stored ({row['policy']})"
    return "" if row["return"] in (None, "null") else readable(row["return"])


def log_lines(found: Sequence[Row], screen: Console | None) -> None:
    """Print the messages of a run."""
    for row in found:
        at: datetime | None = row["created_at"]
        if at is None:  # a time that no calendar has
            clock = "?"
        elif screen is None:
            clock = at.isoformat(timespec="milliseconds")
        else:
            clock = at.astimezone().strftime("%H:%M:%S")
        where = "" if row["step"] is None else f"  [{show_text.one_line(row['step'], 48)}]"
        head = f"  {clock}  {show_text.one_line(row['level'], 8):<5}{where}  "
        room = None if screen is None else max(_NARROWEST, screen.width - show_text.cells(head))
        message = show_text.one_line(row["message"], room)
        show([Span(head, "quiet"), Span(message, _LEVELS.get(row["level"], "value"))], screen)


def outputs(found: Sequence[Row], codec: Codec, screen: Console | None) -> None:
    """Print what steps have shown: text in its colours, of pictures and the like their kind."""
    from ..notebook.page import is_output  # noqa: PLC0415 - only for this

    for row in found:
        attempt = f" (attempt {row['attempt']})" if row["attempt"] > 1 else ""
        show([Span(f"  {show_text.one_line(row['step'], None)}{attempt}", "name")], screen)
        try:
            shown = codec.decode(row["outputs"], where=row["step"])
        except StepbookError as error:  # a missing file, a class of the notebook's
            show([Span(f"    {error}", "failed")], screen)
            continue
        for output in filter(is_output, shown if isinstance(shown, list) else []):
            role: Role = "failed" if output.get("name") == "stderr" else "value"
            block(_text_of(output), screen, "    ", role)


def _text_of(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        text = output["text"]
    elif output["output_type"] == "error":
        text = f"{output['ename']}: {output['evalue']}"
    else:
        text = output["data"].get("text/plain") or f"({', '.join(output['data'])})"
    return str(text)


def complain(message: str, role: Role = "failed") -> None:
    """Print one line on standard error: why something was not done, or what to know."""
    screen = console(sys.stderr)
    text = f"stepbook: {seen(message)}"
    if screen is None:
        click.echo(text, err=True)
    else:
        screen.print(text, style=STYLES[role])


def said(message: str, role: Role = "value") -> None:
    """Print one line about what was done."""
    show([Span(message, role)], console())


class Cells:
    """Prints the cells of a notebook while they are executed, one line each."""

    def __init__(self) -> None:
        self._screen = console()
        self._head = ""
        self._title = ""

    def begins(self, number: int, total: int, title: str) -> None:
        """Show the cell that is executed now, where a terminal lets the line be written again."""
        self._head, self._title = f"[{number:{len(str(total))}}/{total}] ", title
        if self._screen is not None:
            show(self._line("running", ""), self._screen, end="\r")

    def ended(self, seconds: float, problem: Problem | None) -> None:
        """Print how the cell has ended; *problem* is what went wrong, if there is more to say."""
        status: Role = "succeeded" if problem is None else "failed"
        show(self._line(status, "" if stable() else describe(seconds)), self._screen)
        if problem is None or problem.died or not problem.text:  # that is told at the end
            return
        several = len(problem.text.splitlines()) > 1
        if several:
            click.echo()
        block(problem.text, self._screen, "" if several else " " * len(self._head))

    def _line(self, status: Role, took: str) -> list[Span]:
        room = None
        if self._screen is not None:
            room = max(_NARROWEST, self._screen.width) - len(self._head) - _CELL_FACTS
        title = show_text.one_line(self._title, room)
        facts = [Span(f"  {took}", "quiet")] if took else []
        return [
            Span(self._head, "quiet"),
            Span(f"{words.GLYPHS[status]} ", status),
            Span(title, "value"),
            *facts,
        ]

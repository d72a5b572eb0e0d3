"""A run as text: a vertical timeline for terminals, logs and notebooks without widgets.

A pure function of rows. :func:`spans` gives the text in pieces, each with what it is, so that a
terminal can colour the very same text that :func:`timeline` returns.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from ..model import failures
from ..model.durations import describe
from ..model.rows import fields_of, now_us
from ..seen import seen
from ..system.console import asks_new, stable
from .values import readable
from .words import GLYPHS, counted, glyph, judged, standing, unstored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from ..model.rows import RunRow, StepRow

#: What a piece of the text is: a status, or one of these.
Role = Literal[
    "pending", "running", "succeeded", "failed", "title", "name", "value", "quiet", "code"
]

_WIDTH: Final = 100
_NAME_LIMIT: Final = 48
_NAME_FLOOR: Final = 16
_STATUS: Final = 13  # what a sign and "succeeded" take
_FACTS: Final = 34  # what a duration and two short facts take
_DURATION: Final = 11  # as wide as "59 min 59 s"
_DEEPEST: Final = 8  # deeper steps are indented no further
_ERROR_LINES: Final = 8
_ENDS: Final = 20  # steps at the beginning and at the end that are never left out
_MOST_UNUSUAL: Final = 20


class Span(NamedTuple):
    """A piece of a line."""

    text: str
    role: Role


class _Placed(NamedTuple):
    """A step in the tree of steps."""

    step: StepRow
    rails: str  # before its glyph
    below: str  # before the lines beneath it


def timeline(run: RunRow, steps: Sequence[StepRow]) -> str:
    """Return the run as text: a line for each step, its return or error beneath.

    Without durations, times and ids when ``STEPBOOK_STABLE_REPR=1``, so that two executions of a
    notebook print the same. Of long runs, the steps that succeeded in the middle are left out.
    """
    return "\n".join(map(plain, spans(run, steps, width=_WIDTH, everything=False)))


def spans(
    run: RunRow, steps: Sequence[StepRow], *, width: int | None, everything: bool
) -> Iterator[list[Span]]:
    """Yield the lines of the timeline.

    Args:
        run: the run.
        steps: its steps, in the order they first started.
        width: cells of a terminal that a line may take; None for no limit.
        everything: whether to show each step of a long run.
    """
    yield from _head(run, steps, width)
    if run.input != "null":
        yield _value("  input ", run.input, width)
    placed = _tree(steps)
    shown = range(len(placed)) if everything else _visible(placed)
    limit = _NAME_LIMIT if width is None else max(_NAME_FLOOR, min(_NAME_LIMIT, width - _FACTS))
    names: dict[int, str] = {}
    column = 0
    for index in shown:
        indent = cells(placed[index].rails)
        room = max(_NAME_FLOOR, limit + 2 - indent)
        names[index] = name = one_line(placed[index].step.name, None if width is None else room)
        column = max(column, indent + min(cells(name), room))
    before = -1
    for index in shown:
        if index > before + 1:
            yield _gap([one.step for one in placed[before + 1 : index]])
        yield _row(placed[index], names[index], column, width)
        yield from _beneath(placed[index], width)
        before = index
    if run.status == "succeeded" and run.output not in (None, "null"):
        yield _value("  output ", run.output or "", width)


def _head(run: RunRow, steps: Sequence[StepRow], width: int | None) -> Iterator[list[Span]]:
    """Yield the line about the run, and another one for what a narrow terminal has no room for."""
    role = role_of(run.status)
    how_many, *failed = standing(step.status for step in steps) if steps else ["no steps yet"]
    facts = [one_line(run.status, None), how_many]
    if run.status != "failed" or failed != ["1 failed"]:  # else the run's status says it
        facts += failed
    if not stable():
        if run.started_at is not None and run.completed_at is not None:
            facts.append(describe((run.completed_at - run.started_at) / 1e6))
        facts.append(one_line(run.id, None))
    room = None if width is None else min(_NAME_LIMIT, max(_NAME_FLOOR, width - _STATUS))
    name = one_line(run.loop, room)
    line = [
        Span(glyph(run.status) + " ", role),
        Span(name, "title"),
        Span("  " + facts[0], role),
    ]
    for fact in facts[1:]:
        text = " · " + fact
        if width is not None and cells(plain(line) + text) > width:
            yield line
            line, text = [], "  " + fact
        line.append(Span(text, "quiet"))
    yield line


def role_of(status: str) -> Role:
    """Return what a piece of text is that shows this status."""
    return cast("Role", status) if status in GLYPHS else "quiet"


def _tree(steps: Sequence[StepRow]) -> list[_Placed]:
    """Return the steps with each one's inner steps behind it; siblings in the order they ran."""
    known = {step.name for step in steps}
    children: dict[str | None, list[StepRow]] = {}
    for step in steps:
        children.setdefault(step.parent if step.parent in known else None, []).append(step)
    placed: list[_Placed] = []
    seen: set[str] = set()
    # Last, every step again: two that name each other as the outer one are nobody's inner step.
    for top in (children.get(None, []), steps):
        todo = [(step, "  ", step is top[-1], 0) for step in reversed(top)]
        while todo:
            step, rails, last, depth = todo.pop()
            if step.name in seen:
                continue
            seen.add(step.name)
            inner = children.get(step.name, [])
            below = rails + ("  " if last else "│ ")
            placed.append(_Placed(step, rails, below))
            next_rails = below if depth < _DEEPEST else rails
            todo += [(s, next_rails, s is inner[-1], depth + 1) for s in reversed(inner)]
    return placed


def _visible(placed: Sequence[_Placed]) -> list[int]:
    """Return which steps to show: the first, the last, and what did not simply succeed."""
    if len(placed) <= 2 * _ENDS + _MOST_UNUSUAL:
        return list(range(len(placed)))
    middle = range(_ENDS, len(placed) - _ENDS)
    unusual = [i for i in middle if placed[i].step.status != "succeeded"][:_MOST_UNUSUAL]
    return [*range(_ENDS), *unusual, *range(len(placed) - _ENDS, len(placed))]


def _gap(steps: Sequence[StepRow]) -> list[Span]:
    counts = {status: sum(step.status == status for step in steps) for status in GLYPHS}
    if counts["succeeded"] == len(steps):
        what = "succeeded"
    else:
        what = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return [Span(f"  ⋮ {counted(len(steps), 'more step')}, {what}", "quiet")]


def _row(placed: _Placed, name: str, column: int, width: int | None) -> list[Span]:
    step = placed.step
    line = [
        Span(placed.rails, "quiet"),
        Span(glyph(step.status) + " ", role_of(step.status)),
        Span(name, "name"),
    ]
    facts = " · ".join(_facts(step))
    if stable():
        tail = facts
    else:
        tail = f"{describe(step.seconds):>{_DURATION}}" + ("  " + facts if facts else "")
    if tail.strip():
        padding = " " * max(0, column - cells(placed.rails) - cells(name))
        used = column + 4
        line.append(Span(padding + "  " + _cut(tail, width and width - used).rstrip(), "quiet"))
    return line


def _facts(step: StepRow) -> Iterator[str]:
    progress = fields_of(step.progress)
    if step.status == "running":
        until = progress.get("until")
        if step.kind in ("scan", "sleep"):
            verb = "waiting" if step.kind == "scan" else "sleeping"
            at = "" if stable() else _moment(until, step.started_at)
            yield f"{verb} until {at}" if at else verb
        elif progress.get("done") is not None:
            total = progress.get("total")
            done = f"{progress['done']}" + (f" of {total}" if total is not None else "")
            yield one_line(done, None)
            if progress.get("message"):
                yield one_line(str(progress["message"]), None)
        else:
            yield "running"
    if step.attempt > 1:
        yield f"attempt {step.attempt}"
    if step.status == "failed" and step.handled:
        yield "handled"
    if progress.get("resolved"):
        yield one_line(f"resolved {progress['resolved']}", None)
    if step.stale or step.verdict == "unknown":
        yield step.verdict or "stale"


def _moment(at: Any, since: int | None) -> str:
    """Return a time in UTC, with its date unless that is the one of *since*.

    Nothing for what is no time, or one that no calendar has.
    """
    try:
        moment = datetime.fromtimestamp(at / 1e6, UTC)
        begun = None if since is None else datetime.fromtimestamp(since / 1e6, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return ""
    same = begun is not None and begun.date() == moment.date()
    return moment.strftime("%H:%M:%S UTC" if same else "%Y-%m-%d %H:%M:%S UTC")


def _beneath(placed: _Placed, width: int | None) -> Iterator[list[Span]]:
    step = placed.step
    if found := judged(step):
        room = None if width is None else width - cells(placed.below)
        yield [Span(placed.below, "quiet"), Span(one_line(found, room), "quiet")]
    if step.status == "failed" and step.error is not None:
        lines = failures.summary(failures.read(step.error)).rstrip().split("\n")
        more = 0 if width is None else len(lines) - _ERROR_LINES
        room = None if width is None else width - cells(placed.below)
        for line in lines[: len(lines) if more <= 1 else _ERROR_LINES]:
            yield [Span(placed.below, "quiet"), Span(one_line(line, room), "failed")]
        if more > 1:
            yield [Span(f"{placed.below}… {more} more lines", "quiet")]
    elif step.executes_again:
        yield [Span(placed.below, "quiet"), Span(unstored(step.policy), "quiet")]
    elif step.left_on_disk:
        yield [Span(placed.below, "quiet"), Span("its value is in the book", "quiet")]
    elif step.value is not None and step.value != "null":
        yield _value(placed.below, step.value, width)


def _value(before: str, text: str, width: int | None) -> list[Span]:
    room = None if width is None else width - cells(before)
    return [Span(before, "quiet"), Span(one_line(readable(text), room), "value")]


# ---- text in cells of a terminal ------------------------------------------------------------


def one_line(text: str, room: int | None) -> str:
    """Return *text* on one line, with what no terminal should be sent escaped, see :func:`seen`.

    Args:
        text: any text.
        room: cells that it may take; what is left out ends in "…".
    """
    if room is not None:
        text = text[: 4 * room + 4]  # enough: joiners and marks take no cell of their own
    return _cut(seen(text), room)


def _cut(text: str, room: int | None) -> str:
    if room is None or (len(text) <= room and text.isascii()) or cells(text) <= room:
        return text
    if text.isascii():
        return text[: max(0, room - 1)] + "…"
    from rich.cells import chop_cells  # noqa: PLC0415 - as in cells

    return next(iter(chop_cells(text, max(1, room - 1))), "") + "…"


def cells(text: str) -> int:
    """Return how many cells of a terminal *text* takes: 2 for a wide character."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - 20 ms that most timelines do not need

    return cell_len(text)


def plain(line: Iterable[Span]) -> str:
    """Return the text of a line."""
    return "".join(span.text for span in line)


def opened_again(
    row: RunRow, steps: Collection[StepRow], before: dict[str, Any], retried: int = 0
) -> str:
    """Return the line that says which run was opened again.

    Args:
        row: the run.
        steps: its steps.
        before: who had it open last, as its lock says.
        retried: how many failures that were handled will be executed again.
    """
    done = sum(step.status == "succeeded" and not step.executes_again for step in steps)
    now = now_us()
    ago = describe(max(0.0, (now - (row.created_at or now)) / 1e6))
    last = f", last opened from {_place(before)}" if "pid" in before else ""
    again = f", {counted(retried, 'handled failure')} will be executed again" if retried else ""
    # What matters comes first: notebooks break a line wherever it ends.
    return (
        f"stepbook: {row.loop!r} again, {done} of {len(steps)} steps will replay{again}. "
        f"{asks_new.get()} starts a fresh run. ({row.id}, {row.status}, begun {ago} ago{last})"
    )


def _place(owner: dict[str, Any]) -> str:
    """Return words for where a run was open: the file's name, and the host if it is another."""
    name = str(owner.get("notebook", "another process"))
    host = owner.get("host")
    where = "" if host in (None, socket.gethostname()) else f" on {host}"
    return f"{Path(name).name}{where}"

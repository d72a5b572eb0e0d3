"""A run as HTML: a static view that needs no script, and a page of its own that is interactive.

The static view is what GitHub, nbviewer, mail and a notebook without its kernel show. They keep
``<details>`` and inline styles, and drop ``<style>``, ``<svg>`` and scripts, so it uses neither;
its colours are those of the text around it, so it fits light and dark.

Whatever a book holds only ever becomes text or the value of an attribute: :func:`tag` is the one
place where markup is made, and :func:`escaped` the one through which all else goes.

Pure: records in, text out.
"""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from ..model import failures
from ..model.durations import describe
from ..seen import seen
from .values import readable
from .words import glyph, judged, standing, unstored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..model.rows import RunRow, StepRow


class Markup(str):
    """Text that is markup already; only this module makes any."""

    __slots__ = ()


def escaped(value: object) -> Markup:
    """Return *value* as markup that shows its text; what cannot be seen as Python writes it."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(seen(str(value), keep="\t\n\r")))


def tag(name: str, *inside: object, **attributes: object) -> Markup:
    """Return an element; an attribute that is None is left out, one that is True has no value.

    Args:
        name: of the element, from the code.
        *inside: what stands in it.
        **attributes: by name; ``class_`` for ``class``.
    """
    given = "".join(
        f" {key.rstrip('_')}" + ("" if value is True else f'="{escaped(value)}"')
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{''.join(map(escaped, inside))}</{name}>")


def slotted(slot: str, inside: Markup) -> Markup:
    """Return a static view in a place that the live one takes while there is a kernel."""
    return tag("div", inside, class_=f"stepbook-slot-{slot}")


#: The static view shows so many rows and characters; the book has the rest.
MOST_ROWS: Final = 200
MOST_CHARS: Final = 120_000
#: A list of runs shows so many.
MOST_RUNS: Final = 50
_OPEN_LINES: Final = 5
_KEY_CHARS: Final = 60
_BARS: Final = "▁▂▃▄▅▆▇█"
_SPARKS: Final = 12
_COLOURS: Final = {"succeeded": "#2a8a3e", "failed": "#d9363e", "running": "#2a7de1"}
_QUIET: Final = Markup("opacity:.75;font-size:.92em")
_BOX: Final = Markup(
    "border:1px solid rgba(128,128,128,.4);border-radius:4px;padding:6px 10px;max-width:60em;"
    "font-family:system-ui,-apple-system,'Segoe UI',sans-serif;font-size:13px;line-height:1.5;"
    "overflow-wrap:anywhere"
)
_PRE: Final = Markup(
    "margin:2px 0 6px 1.6em;padding:0;white-space:pre-wrap;overflow-wrap:anywhere;background:none;"
    "border:0;font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:12px"
)
_ROW: Final = Markup("border-top:1px solid rgba(128,128,128,.25);padding:3px 0")


class _Look(NamedTuple):
    """What holds for the whole view."""

    room: int
    stable: bool


def static_html(run: RunRow, steps: Sequence[StepRow], *, stable: bool = False) -> Markup:
    """Return a run as HTML that needs no script, style sheet, or network.

    Args:
        run: the run.
        steps: the current row of each step, in the order they ran.
        stable: leave out what differs from run to run: times, durations, ids.
    """
    shown = _choose(steps)
    look = _Look(max(200, min(4000, MOST_CHARS // max(len(shown), 1))), stable)
    inner: dict[str, list[StepRow]] = {}
    names = {step.name for step in shown}
    roots = []
    for step in shown:
        if step.parent is not None and step.parent in names and step.parent != step.name:
            inner.setdefault(step.parent, []).append(step)
        else:
            roots.append(step)
    rows = [_row(step, inner, look) for step in roots]
    # Two that name each other as the outer one are nobody's inner step.
    rows += [_row(step, inner, look) for step in shown if step.name in inner]
    left = len(steps) - len(shown)
    if left:
        style = Markup(f"{_ROW};{_QUIET}")
        rows.append(tag("div", f"{left:,} more steps are in the book.", style=style))
    return tag("div", *_head(run, steps, look), *rows, style=_BOX)


def page_html(title: str, data: str, bundle: str, static: Markup) -> str:
    """Return one self-contained, interactive page: the data and the bundle stand in it.

    Args:
        title: of the page.
        data: the message with everything as JSON, as the widget gets it.
        bundle: the text of the front end.
        static: the static view, for readers without scripts.
    """
    # Within a script element only "</script" and "<!--" mean something; JSON has another way to
    # write "<", and in the bundle both can only stand in strings.
    data = data.replace("<", "\\u003c")
    code = bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    # The policy lets the page load nothing, whatever stands in the data.
    policy = (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"{tag('title', title)}\n</head>\n"
        f'<body class="sb-page">\n{tag("noscript", static)}\n'
        f'<script type="application/vnd.stepbook.timeline+json">{data}</script>\n'
        f'<script type="module">{code}</script>\n</body>\n</html>\n'
    )


class RunLine(NamedTuple):
    """One run of a list, as the query ``OVERVIEW`` gives it; times in µs."""

    id: str
    loop: str
    key: str
    status: str
    created_at: int
    started_at: int | None
    completed_at: int | None
    steps: int
    succeeded: int
    failed: int
    total: int

    @property
    def seconds(self) -> float | None:
        """How long the run took, if it has ended."""
        if self.started_at is None or self.completed_at is None:
            return None
        return (self.completed_at - self.started_at) / 1e6


def runs_html(title: str, runs: Sequence[RunLine]) -> Markup:
    """Return a list of runs, newest first, as HTML that needs no script.

    Args:
        title: what stands above the list.
        runs: the runs, newest first.
    """
    cell = "padding:2px 14px 2px 0;text-align:left;vertical-align:top"
    line = "border-top:1px solid rgba(128,128,128,.25);background:none"
    names = ("Status", "Loop", "Key", "Started", "Duration", "Steps", "Run")
    head = [tag("th", name, style=f"{cell};font-weight:600") for name in names]
    rows = []
    for run in runs:
        key = "" if run.key == "null" else run.key
        took = describe(run.seconds)
        steps = f"{run.succeeded:,} of {run.steps:,}" + (
            f", {run.failed:,} failed" if run.failed else ""
        )
        cells: tuple[tuple[object, ...], ...] = (
            (_glyph(run.status), " ", run.status),
            (tag("b", run.loop),),
            (key if len(key) <= _KEY_CHARS else f"{key[:_KEY_CHARS]}…",),
            (_moment(run.created_at if run.started_at is None else run.started_at),),
            (took, " ", _sparkline(run, runs)),
            (steps,),
            (tag("code", run.id),),
        )
        rows.append(tag("tr", *(tag("td", *c, style=cell) for c in cells), style=line))
    left = (runs[0].total - len(runs)) if runs else 0
    note = f"{left:,} older runs: book.runs() has them all." if left else ""
    note = note or ("" if runs else "No runs yet.")
    table = tag(
        "table",
        tag("thead", tag("tr", *head)),
        tag("tbody", *rows),
        style="border-collapse:collapse;font-size:inherit",
    )
    return tag(
        "div",
        tag("div", title),
        table,
        tag("div", note, style=_QUIET),
        style=Markup(f"{_BOX};max-width:none;overflow-x:auto"),
    )


def _moment(at: int | None) -> str:
    """Return a time in the reader's zone; nothing for one that no calendar has."""
    try:
        return f"{datetime.fromtimestamp((at or 0) / 1e6, UTC).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return ""


def _sparkline(run: RunLine, runs: Sequence[RunLine]) -> Markup:
    """Return the durations of a loop's last runs as bars; beside its newest run only."""
    same = [other for other in runs if other.loop == run.loop]
    times = [max(0.0, other.seconds) for other in same if other.seconds is not None]
    times = times[:_SPARKS][::-1]
    if same[0] is not run or len(times) < 2:  # noqa: PLR2004 - one bar tells nothing
        return Markup()
    most = max(times) or 1.0
    bars = "".join(_BARS[min(len(_BARS) - 1, int(t / most * len(_BARS)))] for t in times)
    told = ", ".join(map(describe, times))
    return tag("span", bars, title=f"the last runs took {told}")


def _choose(steps: Sequence[StepRow]) -> list[StepRow]:
    """Return the rows to show, in order: failed ones before all others, then the first."""
    if len(steps) <= MOST_ROWS:
        return list(steps)
    failed = [step.seq for step in steps if step.status == "failed"][: MOST_ROWS // 2]
    room = MOST_ROWS - len(failed)
    chosen = {*failed, *[step.seq for step in steps[:room]]}
    return [step for step in steps if step.seq in chosen]


def _head(run: RunRow, steps: Sequence[StepRow], look: _Look) -> Iterator[Markup]:
    # The items of a map are not steps of their own here.
    facts = [", ".join(standing(step.status for step in steps if step.item is None))]
    if not look.stable:
        if run.started_at is not None and run.completed_at is not None:
            facts.append(describe((run.completed_at - run.started_at) / 1e6))
        facts.append(run.id)
    quiet = tag("span", " · ".join(facts), style=_QUIET)
    title = (_glyph(run.status), " ", tag("b", run.loop), f" {run.status} \N{NO-BREAK SPACE} ")
    yield tag("div", *title, quiet)
    for label, text in (("Input", run.input), ("Output", run.output)):
        if text is not None and text != "null":
            shown = tag("pre", _shorten(readable(text, page=True), look.room), style=_PRE)
            yield tag("details", tag("summary", label), shown, style=_QUIET)


def _facts(step: StepRow, look: _Look) -> Iterator[str]:
    if step.attempt > 1 and not look.stable:
        yield f"attempt {step.attempt}"
    if found := judged(step):
        yield found
    if step.value == "null":
        yield "null"
    if step.executes_again:
        yield unstored(step.policy)
    if step.left_on_disk:
        yield "its value is in the book"
    if step.seconds is not None and not look.stable:
        yield describe(step.seconds)


def _row(step: StepRow, inner: dict[str, list[StepRow]], look: _Look) -> Markup:
    failed = step.status == "failed"
    summary = (
        _glyph(step.status),
        " ",
        tag("b", step.name) if failed else step.name,
        " ",
        tag("span", " · ".join(_facts(step, look)), style=_QUIET),
        " ",
        tag("span", step.status, style="position:absolute;clip-path:inset(50%)"),
    )
    body: list[Markup] = []
    if step.error is not None:
        body.append(_error(step.error, look))
    if step.value is not None and step.value != "null":
        body.append(tag("pre", _shorten(readable(step.value, page=True), look.room), style=_PRE))
    below = [_row(child, inner, look) for child in inner.pop(step.name, ())]
    if below:
        below = [tag("div", *below, style="margin-left:1.6em")]
    if not body and (not below or step.kind != "map"):
        # A row without a body has nothing to fold; the space keeps the names in one line.
        return tag("div", tag("div", *summary, style="padding-left:1em"), *below, style=_ROW)
    opened = failed or (
        step.value is not None and readable(step.value, page=True).count("\n") < _OPEN_LINES + 2
    )
    inside, outside = ([*body, *below], []) if step.kind == "map" else (body, below)
    head = tag("summary", *summary, style="cursor:pointer")
    folded = tag("details", head, *inside, open=True if opened else None)
    return tag("div", folded, *outside, style=_ROW)


def _error(text: str, look: _Look) -> Markup:
    error = failures.read(text)
    told = (tag("b", error["type"]), ": ", _shorten(error["message"], look.room))
    parts = [tag("div", *told, style="white-space:pre-wrap")]
    # A traceback names files of this machine: no stable view can hold it.
    if error["stack"] and not look.stable:
        stack = tag("pre", _shorten(error["stack"], look.room), style=_PRE)
        parts.append(tag("details", tag("summary", "Stack", style=_QUIET), stack))
    edge = f"margin:2px 0 6px 1.6em;border-left:3px solid {_COLOURS['failed']};padding-left:10px"
    return tag("div", *parts, style=edge)


def _glyph(status: str) -> Markup:
    colour = _COLOURS.get(status)
    style = f"color:{colour}" if colour else None
    return tag("span", glyph(status), style=style, title=status)


def _shorten(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[:room]}… ({len(text):,} characters)"

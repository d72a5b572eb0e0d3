"""A run as HTML: a static view that needs no script, and a page of its own that is interactive.

The static view is what GitHub, nbviewer, mail and a notebook without its kernel show. They keep
``<details>`` and inline styles, and drop ``<style>``, ``<svg>`` and scripts, so it uses neither;
its colours are those of the text around it, so it fits light and dark.

Pure: records in, text out.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepbook._model import RunRow, StepRow

#: The static view shows so many rows and characters; the book has the rest.
MOST_ROWS: Final = 200
MOST_CHARS: Final = 120_000
#: A list of runs shows so many.
MOST_RUNS: Final = 50
_OPEN_LINES: Final = 5
_KEY_CHARS: Final = 60
_BARS: Final = "▁▂▃▄▅▆▇█"
_SPARKS: Final = 12
_GLYPHS: Final = {"pending": "○", "running": "◐", "succeeded": "✓", "failed": "✕"}
_COLOURS: Final = {"succeeded": "#2a8a3e", "failed": "#d9363e", "running": "#2a7de1"}
_QUIET: Final = "opacity:.75;font-size:.92em"
_BOX: Final = (
    "border:1px solid rgba(128,128,128,.4);border-radius:4px;padding:6px 10px;max-width:60em;"
    "font-family:system-ui,-apple-system,'Segoe UI',sans-serif;font-size:13px;line-height:1.5;"
    "overflow-wrap:anywhere"
)
_PRE: Final = (
    "margin:2px 0 6px 1.6em;padding:0;white-space:pre-wrap;overflow-wrap:anywhere;background:none;"
    "border:0;font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:12px"
)
_ROW: Final = "border-top:1px solid rgba(128,128,128,.25);padding:3px 0"


class _Look(NamedTuple):
    """What holds for the whole view."""

    room: int
    stable: bool


def static_html(run: RunRow, steps: Sequence[StepRow], *, stable: bool = False) -> str:
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
    rows = "".join(_row(step, inner, look) for step in roots)
    left = len(steps) - len(shown)
    more = (
        f'<div style="{_ROW};{_QUIET}">{left:,} more steps are in the book.</div>' if left else ""
    )
    return f'<div style="{_BOX}">{_head(run, steps, look)}{rows}{more}</div>'


def page_html(snapshot: dict[str, Any], bundle: str, static: str) -> str:
    """Return one self-contained, interactive page: the data and the bundle stand in it.

    Args:
        snapshot: the message with everything, as the widget gets it.
        bundle: the text of the front end.
        static: the static view, for readers without scripts.
    """
    # Within a script element only "</script" and "<!--" mean something; JSON has another way to
    # write "<", and in the bundle both can only stand in strings.
    data = json.dumps(snapshot, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    code = bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    title = escape(f"{snapshot['run']['loop']} {snapshot['run']['id']}")
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
        f"<title>{title}</title>\n</head>\n"
        f'<body class="sb-page">\n<noscript>{static}</noscript>\n'
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


def runs_html(title: str, runs: Sequence[RunLine]) -> str:
    """Return a list of runs, newest first, as HTML that needs no script.

    Args:
        title: what stands above the list.
        runs: the runs, newest first.
    """
    cell = "padding:2px 14px 2px 0;text-align:left;vertical-align:top"
    line = "border-top:1px solid rgba(128,128,128,.25);background:none"
    names = ("Status", "Loop", "Key", "Started", "Duration", "Steps", "Run")
    head = "".join(f'<th style="{cell};font-weight:600">{name}</th>' for name in names)
    rows = []
    for run in runs:
        key = "" if run.key == "null" else run.key
        when = datetime.fromtimestamp((run.started_at or run.created_at) / 1e6, UTC).astimezone()
        took = "" if run.seconds is None else format_duration(run.seconds)
        steps = f"{run.succeeded:,} of {run.steps:,}" + (
            f", {run.failed:,} failed" if run.failed else ""
        )
        cells = (
            f"{_glyph(run.status)} {run.status}",
            f"<b>{escape(run.loop)}</b>",
            escape(key if len(key) <= _KEY_CHARS else f"{key[:_KEY_CHARS]}…"),
            f"{when:%Y-%m-%d %H:%M:%S}",
            f"{took} {_sparkline(run, runs)}",
            steps,
            f"<code>{escape(run.id)}</code>",
        )
        rows.append(
            f'<tr style="{line}">'
            + "".join(f'<td style="{cell}">{c}</td>' for c in cells)
            + "</tr>"
        )
    left = (runs[0].total - len(runs)) if runs else 0
    note = f"{left:,} older runs: book.runs() has them all." if left else ""
    note = note or ("" if runs else "No runs yet.")
    return (
        f'<div style="{_BOX};max-width:none;overflow-x:auto"><div>{escape(title)}</div>'
        f'<table style="border-collapse:collapse;font-size:inherit"><thead><tr>{head}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table><div style="{_QUIET}">{note}</div></div>'
    )


def _sparkline(run: RunLine, runs: Sequence[RunLine]) -> str:
    """Return the durations of a loop's last runs as bars; beside its newest run only."""
    same = [other for other in runs if other.loop == run.loop]
    times = [other.seconds for other in same if other.seconds is not None][:_SPARKS][::-1]
    if same[0] is not run or len(times) < 2:  # noqa: PLR2004 - one bar tells nothing
        return ""
    most = max(times) or 1.0
    bars = "".join(_BARS[min(len(_BARS) - 1, int(t / most * len(_BARS)))] for t in times)
    told = ", ".join(map(format_duration, times))
    return f'<span title="the last runs took {told}">{bars}</span>'


def format_duration(seconds: float) -> str:
    """Return a duration for people: ``0.4 ms``, ``12 ms``, ``1.24 s``, ``2 min 05 s``."""
    ms = seconds * 1000
    for limit, text in (
        (0.095, f"{round(ms * 1000)} µs"),
        (9.95, f"{ms:.1f} ms"),
        (999.5, f"{round(ms)} ms"),
        (9995, f"{seconds:.2f} s"),
        (59950, f"{seconds:.1f} s"),
    ):
        if ms < limit:
            return text
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min"


def count_steps(steps: Iterable[StepRow]) -> str:
    """Return how many steps there are and how they stand: ``12 of 14 steps, 1 failed``.

    The items of a map are no steps of their own here.
    """
    statuses = [step.status for step in steps if step.item is None]
    total, done, failed = len(statuses), statuses.count("succeeded"), statuses.count("failed")
    text = f"{total:,} step{'' if total == 1 else 's'}"
    if done != total:
        text = f"{done:,} of {text}"
    return f"{text}, {failed:,} failed" if failed else text


def _choose(steps: Sequence[StepRow]) -> list[StepRow]:
    """Return the rows to show, in order: failed ones before all others, then the first."""
    if len(steps) <= MOST_ROWS:
        return list(steps)
    failed = [step.seq for step in steps if step.status == "failed"][: MOST_ROWS // 2]
    room = MOST_ROWS - len(failed)
    chosen = {*failed, *[step.seq for step in steps[:room]]}
    return [step for step in steps if step.seq in chosen]


def _head(run: RunRow, steps: Sequence[StepRow], look: _Look) -> str:
    facts = [count_steps(steps)]
    if not look.stable:
        if run.started_at is not None and run.completed_at is not None:
            facts.append(format_duration((run.completed_at - run.started_at) / 1e6))
        facts.append(run.id)
    quiet = f'<span style="{_QUIET}">{escape(" · ".join(facts))}</span>'
    head = f"<div>{_glyph(run.status)} <b>{escape(run.loop)}</b> {run.status} &nbsp; {quiet}</div>"
    values = [
        f'<details style="{_QUIET}"><summary>{label}</summary>'
        f'<pre style="{_PRE}">{escape(_shorten(_pretty(text), look.room))}</pre></details>'
        for label, text in (("Input", run.input), ("Output", run.output))
        if text is not None and text != "null"
    ]
    return head + "".join(values)


def _row(step: StepRow, inner: dict[str, list[StepRow]], look: _Look) -> str:
    failed = step.status == "failed"
    facts = []
    if step.attempt > 1 and not look.stable:
        facts.append(f"attempt {step.attempt}")
    if step.stale:
        facts.append("stale")
    if step.value == "null":
        facts.append("null")
    if step.seconds is not None and not look.stable:
        facts.append(format_duration(step.seconds))
    name = escape(step.name)
    summary = (
        f"{_glyph(step.status)} {f'<b>{name}</b>' if failed else name} "
        f'<span style="{_QUIET}">{escape(" · ".join(facts))}</span> '
        f'<span style="position:absolute;clip-path:inset(50%)">{step.status}</span>'
    )
    body = ""
    if step.error is not None:
        body += _error(step.error, look)
    if step.value is not None and step.value != "null":
        body += f'<pre style="{_PRE}">{escape(_shorten(_pretty(step.value), look.room))}</pre>'
    below = "".join(_row(child, inner, look) for child in inner.pop(step.name, ()))
    if below:
        below = f'<div style="margin-left:1.6em">{below}</div>'
    if not body and (not below or step.kind != "map"):
        # A row without a body has nothing to fold; the space keeps the names in one line.
        return f'<div style="{_ROW}"><div style="padding-left:1em">{summary}</div>{below}</div>'
    opened = failed or (
        step.value is not None and _pretty(step.value).count("\n") < _OPEN_LINES + 2
    )
    inside, outside = (body + below, "") if step.kind == "map" else (body, below)
    return (
        f'<div style="{_ROW}"><details{" open" if opened else ""}>'
        f'<summary style="cursor:pointer">{summary}</summary>{inside}</details>{outside}</div>'
    )


def _error(text: str, look: _Look) -> str:
    try:
        error = json.loads(text)
        kind, message, stack = str(error["type"]), str(error["message"]), str(error["stack"] or "")
    except (ValueError, TypeError, KeyError):
        kind, message, stack = "Error", text, ""
    told = f"<b>{escape(kind)}</b>: {escape(_shorten(message, look.room))}"
    # A traceback names files of this machine: no stable view can hold it.
    rest = (
        f'<details><summary style="{_QUIET}">Stack</summary>'
        f'<pre style="{_PRE}">{escape(_shorten(stack, look.room))}</pre></details>'
        if stack and not look.stable
        else ""
    )
    return (
        f'<div style="margin:2px 0 6px 1.6em;border-left:3px solid {_COLOURS["failed"]};'
        f'padding-left:10px"><div style="white-space:pre-wrap">{told}</div>{rest}</div>'
    )


def _glyph(status: str) -> str:
    colour = _COLOURS.get(status)
    style = f' style="color:{colour}"' if colour else ""
    return f'<span{style} title="{status}">{_GLYPHS.get(status, "")}</span>'


def _pretty(text: str) -> str:
    """Return JSON text for people: indented, and of a table or array only what tells about it."""
    if len(text) > MOST_CHARS:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict) and "$stepbook" in value and "shape" in value:
        shape = " × ".join(f"{n:,}" for n in value["shape"])  # noqa: RUF001 - meant
        return "\n".join([f"{value['$stepbook']} {shape}", *_sample(value.get("preview") or ())])
    return json.dumps(value, indent=2, ensure_ascii=False)


def _sample(sample: Any) -> list[str]:
    """Return the rows of a table, each behind the labels that pandas calls it by."""
    if not isinstance(sample, dict) or "rows" not in sample:
        return [json.dumps(row, ensure_ascii=False) for row in sample]
    rows = zip(sample["index"], sample["rows"], strict=False)
    return [
        f"{', '.join(map(str, labels))}: {json.dumps(row, ensure_ascii=False)}"
        for labels, row in rows
    ]


def _shorten(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[:room]}… ({len(text):,} characters)"

"""How executions compare, as text for people and as data for programs."""

from __future__ import annotations

import itertools
import re
import textwrap
from typing import TYPE_CHECKING, Any, Final

from ..system.console import stable
from .text import Role, Span, cells, one_line
from .words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .verdicts import Finding, Report, Verdict

_SIGNS: Final[dict[str, tuple[str, Role, str]]] = {
    "same": ("✓", "succeeded", "same"),
    "differs": ("≠", "failed", "differs"),
    "skipped": ("○", "pending", "not compared"),
    "gone": ("-", "failed", "did not run"),
    "new": ("+", "failed", "not in the record"),
}
_NAME_LIMIT: Final = 48
_NAME_FLOOR: Final = 12
#: Where a difference may be broken: in front of the two sides that `words.contrast` names.
_SIDES: Final = re.compile(r",? (?=recorded: )|, (?=now: )")
#: Differences of one step that people are shown; programs get all.
_MOST: Final = 5
#: So many steps in a row that are the same are shown one by one.
_MANY: Final = 12
#: So many runs in a row of which nothing is to be said are shown one by one.
_MANY_RUNS: Final = 3


def spans(
    reports: Sequence[Report], beside: Sequence[str], width: int | None
) -> Iterator[list[Span]]:
    """Yield the lines that tell how executions compare.

    Args:
        reports: one for each recorded run that was repeated.
        beside: the loops of other runs that were begun.
        width: cells of a terminal that a line may take; None for no limit.
    """
    for like, group in itertools.groupby(reports, _like):
        reports = list(group)
        if like is not None and len(reports) > _MANY_RUNS:
            yield []
            yield _head(reports[0], width, len(reports))
            continue
        for report in reports:
            yield []
            yield _head(report, width)
            yield from _steps(report.verdicts, width)
    if beside:
        loops = one_line(", ".join(dict.fromkeys(beside)), None)
        yield []
        yield [Span(f"  also opened, and not compared: {loops}", "quiet")]
    yield []
    yield _summary(reports)


def _like(report: Report) -> tuple[str, tuple[str, ...]] | None:
    """Return what reports have in common of which one stands for all: nothing is to be said."""
    if all(map(_is_plain, report.verdicts)):
        return report.run.loop, tuple(verdict.name for verdict in report.verdicts)
    return None


def _head(report: Report, width: int | None, alike: int = 1) -> list[Span]:
    kind = "same" if report.same else "differs"
    sign, role, word = _SIGNS[kind]
    room = None if width is None else min(_NAME_LIMIT, width - 12)
    if alike > 1:
        steps = counted(alike * len(report.verdicts), "step")
        rest = f" · {counted(alike, 'run')}, {steps}"
    else:
        rest = "" if stable() else f" · {report.run.id}"
    return [
        Span(f"{sign} ", role),
        Span(one_line(report.run.loop, room), "title"),
        Span(f"  {word}", role),
        Span(rest, "quiet"),
    ]


def _steps(verdicts: Sequence[Verdict], width: int | None) -> Iterator[list[Span]]:
    word = max((len(_SIGNS[v.kind][2]) for v in verdicts), default=0)
    limit = None if width is None else max(_NAME_FLOOR, min(_NAME_LIMIT, width - 6 - word))
    names = [one_line(v.name or "the run", limit) for v in verdicts]
    column = max(map(cells, names), default=0)
    known: dict[Finding, str] = {}
    place = 0
    while place < len(verdicts):
        alike = 0
        while place + alike < len(verdicts) and _is_plain(verdicts[place + alike]):
            alike += 1
        if width is not None and alike > _MANY:
            yield [Span(f"  ⋮ {counted(alike, 'step')}, all the same", "quiet")]
            place += alike
            continue
        for index in range(place, place + max(1, alike)):
            yield from _step(verdicts[index], names[index], column, width, known)
        place += max(1, alike)


def _is_plain(verdict: Verdict) -> bool:
    return verdict.kind == "same" and not verdict.skipped and not verdict.notes


def _step(
    verdict: Verdict, name: str, column: int, width: int | None, known: dict[Finding, str]
) -> Iterator[list[Span]]:
    """Yield the lines of a step; a difference that it has from an earlier one is not told twice."""
    sign, role, word = _SIGNS[verdict.kind]
    padding = " " * (column - cells(name) + 2)
    yield [Span(f"  {sign} ", role), Span(name, "name"), Span(padding + word, role)]
    # The value of a cell is often one of its variables: that is told once.
    known_here = {one[1:] for one in verdict.differences if one.part.startswith("variable ")}
    every = [one for one in verdict.differences if one.part != "value" or one[1:] not in known_here]
    shown = every if width is None else every[:_MOST]
    for one in shown:
        before = known.setdefault(one, name)
        line = one if before == name else one._replace(text=f"the same difference as in {before}")
        yield from _beneath(str(line), "value", width)
    more = len(every) - len(shown)
    if more:
        yield from _beneath(
            f"and {counted(more, 'more difference')}; --json lists all", "quiet", width
        )
    why: dict[str, list[str]] = {}
    for skipped in verdict.skipped:
        why.setdefault(str(skipped.text), []).append(skipped.part + skipped.where)
    for text, parts in why.items():
        named = ", ".join(filter(None, parts))
        told = f"not compared: {named} ({text})" if named else text
        yield from _beneath(told, "quiet", width)
    for note in verdict.notes:
        yield from _beneath(note, "quiet", width)


def _beneath(text: str, role: Role, width: int | None) -> Iterator[list[Span]]:
    text = one_line(text, None)
    if width is None:
        yield [Span("    │ ", "quiet"), Span(text, role)]
        return
    # Where it does not fit, the two sides stand below each other.
    blocks = [text] if cells(text) <= width - 6 else _SIDES.split(text)
    indent = ""
    for block in blocks:
        if indent and block.startswith("now: "):
            block = block.replace("now: ", "now:      ", 1)  # noqa: PLW2901 - below "recorded: "
        for line in textwrap.wrap(block, width - 8) or [""]:
            yield [Span(f"    │ {indent}", "quiet"), Span(line, role)]
            indent = "  "


def _summary(reports: Sequence[Report]) -> list[Span]:
    same = all(report.same for report in reports)
    verdicts = [verdict for report in reports for verdict in report.verdicts]
    steps = [verdict for verdict in verdicts if verdict.name]
    kinds = [verdict.kind for verdict in steps]
    other = len(kinds) - kinds.count("same") - kinds.count("skipped")
    facts = []
    if same:
        text = f"same: {counted(kinds.count('same'), 'step')}"
    elif other:
        text = f"differs: {other:,} of {counted(len(steps), 'step')}"
    else:
        text = f"differs: the run itself; its {counted(len(steps), 'step')} are the same"
    if kinds.count("skipped"):
        facts.append(f"{kinds.count('skipped'):,} not compared")
    return [
        Span(text, "succeeded" if same else "failed"),
        Span("".join(f" · {fact}" for fact in facts), "quiet"),
    ]


def as_json(report: Report) -> dict[str, Any]:
    """Return a report for programs."""
    words = {"skipped": "not compared", "gone": "not executed", "new": "not recorded"}
    return {
        "run": report.run.id,
        "loop": report.run.loop,
        "same": report.same,
        "steps": [
            {
                "name": verdict.name or None,
                "verdict": words.get(verdict.kind, verdict.kind),
                "differences": list(map(_data, verdict.differences)),
                "not_compared": list(map(_data, verdict.skipped)),
                "notes": verdict.notes,
            }
            for verdict in report.verdicts
        ],
    }


def _data(finding: Finding) -> dict[str, str]:
    return {**finding._asdict(), "text": str(finding.text)}

"""A run as text: a vertical timeline for terminals, logs and notebooks without widgets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from . import _failure
from ._duration import describe
from ._tell import stable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._model import RunRow, StepRow

GLYPHS: Final = {"pending": "○", "running": "◐", "succeeded": "✓", "failed": "✗"}
_WIDTH: Final = 100
_VALUE_WIDTH: Final = 92
_MOST_STEPS: Final = 60
_HEAD: Final = 40
_NAME_WIDTH: Final = 60


def timeline(run: RunRow, steps: Sequence[StepRow]) -> str:
    """Return the run as text: a line for each step, its return or error beneath.

    Without durations, times and ids when ``STEPBOOK_STABLE_REPR=1``, so that two executions of a
    notebook print the same.
    """
    done = sum(step.status == "succeeded" for step in steps)
    failed = sum(step.status == "failed" for step in steps)
    facts = [run.status, f"{done} of {len(steps)} steps" if steps else "no steps yet"]
    if failed:
        facts.append(f"{failed} failed")
    if not stable():
        if run.started_at is not None and run.completed_at is not None:
            facts.append(describe((run.completed_at - run.started_at) / 1e6))
        facts.append(run.id)
    lines = [f"{GLYPHS[run.status]} {run.loop} · " + " · ".join(facts)]
    depth = _depths(steps)
    shown, hidden = _visible(steps)
    width = max((_name_width(step, depth) for step in shown), default=0)
    for index, step in enumerate(shown):
        if index == _HEAD and hidden:
            lines.append(f"  … {hidden} more steps; run.steps() has them all")
        lines += _step_lines(step, depth[step.name], width)
    return "\n".join(lines)


def _visible(steps: Sequence[StepRow]) -> tuple[list[StepRow], int]:
    if len(steps) <= _MOST_STEPS:
        return list(steps), 0
    tail = _MOST_STEPS - _HEAD
    return [*steps[:_HEAD], *steps[-tail:]], len(steps) - _MOST_STEPS


def _depths(steps: Sequence[StepRow]) -> dict[str, int]:
    depths: dict[str, int] = {}
    for step in steps:
        depths[step.name] = depths.get(step.parent, -1) + 1 if step.parent is not None else 0
    return depths


def _name(step: StepRow) -> str:
    """The name on one line, with what cannot be shown escaped."""
    name = "".join(c if c.isprintable() else repr(c)[1:-1] for c in step.name)
    return name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + "…"


def _name_width(step: StepRow, depth: dict[str, int]) -> int:
    return len(_name(step)) + 2 * depth[step.name]


def _step_lines(step: StepRow, depth: int, width: int) -> list[str]:
    indent = "  " * (depth + 1)
    facts = []
    if not stable() and step.seconds is not None:
        facts.append(f"{describe(step.seconds):>9}")
    if step.attempt > 1:
        facts.append(f"attempt {step.attempt}")
    if step.status == "running" and step.kind in ("scan", "sleep"):
        facts.append("waiting")
    if step.stale:
        facts.append("stale")
    name = _name(step).ljust(width - 2 * depth)
    lines = [f"{indent}{GLYPHS[step.status]} {name}  {'  '.join(facts)}".rstrip()]
    if step.status == "failed" and step.error is not None:
        text = _failure.summary(json.loads(step.error))
    elif step.value is not None and step.value != "null":
        text = step.value
    else:
        return lines
    lines.append(f"{indent}  {_shorten(text)}")
    return lines


def _shorten(text: str) -> str:
    line = " ".join(text[: 4 * _WIDTH].split())
    return line if len(line) <= _VALUE_WIDTH else line[: _VALUE_WIDTH - 1] + "…"

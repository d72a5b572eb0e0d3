"""Two runs, or two attempts of a step, side by side: rows for tables and for programs.

Pure. What differs is found by :func:`.verdicts.judge`; here it is told as a change from the one to
the other: ``return.auc: 0.91 -> 0.93 (+0.02)``. Every text is one line that terminals may be given.
"""

from __future__ import annotations

import difflib
import itertools
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ..model import failures
from ..model.durations import describe
from ..model.rows import FAILED, SUCCEEDED
from ..seen import seen
from .values import readable
from .words import Contrast, counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..model.rows import StepRow
    from .verdicts import Finding, Verdict

Row = dict[str, Any]

#: The columns of two runs side by side, and those of two attempts, with their dtypes. Where there
#: is too little room, pandas leaves out what stands in the middle.
OF_RUNS: Final = {
    "name": "str",
    "status": "object",
    "status_other": "object",
    "attempt": "Int64",  # with gaps
    "attempt_other": "Int64",
    "fingerprint": "str",
    "seconds": "float",
    "seconds_other": "float",
    "change": "float",
    "differs": "str",
}
OF_ATTEMPTS: Final = dict.fromkeys(("what", "where", "first", "second", "change"), "str")

#: Differences that are told of one step among others, and of a step by itself.
_FEW: Final = 3
_MANY: Final = 20
#: Lines of source that are told; of much longer sources only how long they are.
_MOST_LINES: Final = 40
_LONG_SOURCE: Final = 5_000
#: Characters of a value, and of any text; of a number that is not rounded.
_SHOWN: Final = 60
_LONG_TEXT: Final = 240
_LONG_NUMBER: Final = 8
_SAME: Final = "same"
#: Said of two things that look alike.
_OTHER_CONTENT: Final = "other content"


# ---- two runs -------------------------------------------------------------------------------


def of_runs(
    one: Sequence[StepRow],
    other: Sequence[StepRow],
    verdicts: Mapping[str, Verdict],
    fingerprints: Mapping[str, Sequence[str] | None],
) -> list[Row]:
    """Return a row for each step of two runs: those of the one, and what only the other has.

    Args:
        one: the steps of the run that is the measure.
        other: those of the other.
        verdicts: how they compare, by name.
        fingerprints: what has changed in code and arguments, in words, by name.
    """
    left, right = ({step.name: step for step in steps} for steps in (one, other))
    return [
        _beside(left.get(name), right.get(name), verdicts[name], fingerprints.get(name))
        for name in {**left, **right}
    ]


def _beside(
    one: StepRow | None, other: StepRow | None, verdict: Verdict, fingerprint: Sequence[str] | None
) -> Row:
    seconds = [step and _seconds(step) for step in (one, other)]
    apart = None if None in seconds else round(seconds[1] - seconds[0], 6)  # type: ignore[operator]
    if one is None:
        differs = "only in the other run"
    elif other is None:
        differs = "only in this run"
    elif one.status not in (SUCCEEDED, FAILED):  # there is nothing to compare with
        differs = "" if one.status == other.status else f"{one.status} -> {other.status}"
    else:
        differs = "; ".join(_phrases(verdict))
    return {
        "name": verdict.name,
        "status": one and seen(one.status),
        "status_other": other and seen(other.status),
        "attempt": one and one.attempt,
        "attempt_other": other and other.attempt,
        "fingerprint": seen("; ".join(_cut(words, _LONG_TEXT) for words in fingerprint or ())),
        "seconds": seconds[0],
        "seconds_other": seconds[1],
        "change": apart,
        "differs": seen(differs),
    }


def _seconds(step: StepRow) -> float | None:
    return step.seconds if step.seconds is not None and math.isfinite(step.seconds) else None


def _phrases(verdict: Verdict) -> Iterator[str]:
    """Yield a few of the differences, how many more there are, and what was not compared."""
    found = _told_once(verdict)
    for finding in found[:_FEW]:
        place, told = _place(finding), _as_change(finding.text)
        yield _cut(f"{place}: {told}" if place else told, _LONG_TEXT)
    more = max(0, len(found) - _FEW) + verdict.more
    if more:
        yield f"and {more:,} more"
    whys: dict[str, list[str]] = {}
    for finding in verdict.skipped:
        whys.setdefault(str(finding.text), []).append(_place(finding))
    for why, places in whys.items():
        told = f"not compared: {', '.join(filter(None, places))} ({why})" if any(places) else why
        yield _cut(told, _LONG_TEXT)


def _told_once(verdict: Verdict) -> list[Finding]:
    """Return the differences; the value of a cell is often one of its variables."""
    variables = {one[1:] for one in verdict.differences if one.part.startswith("variable ")}
    return [one for one in verdict.differences if one.part != "value" or one[1:] not in variables]


def _place(finding: Finding) -> str:
    """Return what a finding is about: ``return.auc``, ``column "Age", row 3``, ``variable df``.

    Errors write a place as ``$.auc``. Here there are several in one text, and a notebook would take
    what is between two dollars for a formula.
    """
    where, of = finding.where, finding.text.of if isinstance(finding.text, Contrast) else ""
    if finding.part != "value":
        place = finding.part + where
    else:
        place = where.removeprefix(", ") if where.startswith(", ") else f"return{where}"
    return ", ".join(filter(None, (place, of)))


def _as_change(text: str | Contrast) -> str:
    """Return what it takes to come from the one to the other: ``0.5 -> 0.7 (+0.2)``."""
    if not isinstance(text, Contrast):
        return text
    if text.after is None:
        return f"without {text.before}" if text.members else _with("gone", text.before or "")
    if text.before is None:
        return f"with {text.after}" if text.members else _with("new", text.after)
    if text.before == text.after:
        return f"{text.before}, {_OTHER_CONTENT}"
    apart = ", ".join(filter(None, (text.change, text.note)))
    return ", ".join(filter(None, (_with(" -> ".join(_sides(text)), apart), text.counted)))


def _with(words: str, more: str) -> str:
    return f"{words} ({more})" if more else words


def _sides(text: Contrast) -> tuple[str, str]:
    """Return the two sides, long numbers rounded as far as they stay apart."""
    sides = text.before or "", text.after or ""
    rounded = (_rounded(sides[0]), _rounded(sides[1])) if text.change else sides
    return sides if rounded[0] == rounded[1] else rounded


def _rounded(text: str) -> str:
    try:
        value = float(text)
    except ValueError:  # a count: "3 items"
        return text
    if "." not in text or len(text) <= _LONG_NUMBER:
        return text
    return str(round(value, 6)) if abs(value) >= 1 else f"{value:.6g}"


# ---- two attempts of a step -----------------------------------------------------------------


def of_attempts(
    steps: tuple[StepRow, StepRow],
    verdict: Verdict,
    fingerprint: Sequence[str] | None,
    sources: tuple[str, str],
) -> list[Row]:
    """Return what two attempts of a step have been, row by row.

    Args:
        steps: the attempt that is the measure, and the other, with their values.
        verdict: how they compare.
        fingerprint: what has changed in code and arguments, in words; None if nothing is known.
        sources: the texts of the cell that each has executed; empty if none is recorded.
    """
    one, other = steps
    seconds, longer = _lengths(one, other)
    rows = [
        _row("attempt", one.attempt, other.attempt),
        _row("status", one.status, other.status),
        _row("started_at", _time(one), _time(other), _later(one, other)),
        _row("seconds", *seconds, longer),
    ]
    if one.error or other.error:
        rows.append(_row("error", *_errors(one, other)))
    rows += _values(one, other, verdict)
    if fingerprint is not None:
        rows += [_row("fingerprint", change=words) for words in fingerprint or (_SAME,)]
    if all(sources):
        rows += _lines(*sources)
    return rows


def _row(
    what: str, first: object = "", second: object = "", change: str = "", where: str = ""
) -> Row:
    texts = (_cut(str(text), _LONG_TEXT) for text in (what, where, first, second, change))
    return dict(zip(OF_ATTEMPTS, map(seen, texts), strict=True))


def _time(step: StepRow) -> str:
    try:
        at = datetime.fromtimestamp((step.started_at or 0) / 1e6, UTC)
    except (ValueError, OverflowError, OSError):
        return ""  # a time of no calendar: somebody has written it
    return f"{at:%Y-%m-%d %H:%M:%S}" if step.started_at else ""


def _later(one: StepRow, other: StepRow) -> str:
    if not one.started_at or not other.started_at:
        return ""
    apart = describe(abs(other.started_at - one.started_at) / 1e6)
    return f"{'+' if other.started_at >= one.started_at else '-'}{apart}" if apart else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".")


def _lengths(one: StepRow, other: StepRow) -> tuple[tuple[str, str], str]:
    """Return how many seconds each has taken, and how many more the other has."""
    before, after = _seconds(one), _seconds(other)
    apart = "" if before is None or after is None else _number(after - before)
    more = apart if not apart or apart.startswith("-") else f"+{apart}"
    return (_number(before), _number(after)), more


def _errors(one: StepRow, other: StepRow) -> tuple[str, str, str]:
    first, second = (
        failures.summary(failures.read(step.error)) if step.error else "" for step in (one, other)
    )
    change = _SAME if first == second else "gone" if not second else "new" if not first else ""
    return _cut(first), _cut(second), change


def _values(one: StepRow, other: StepRow, verdict: Verdict) -> Iterator[Row]:
    """Yield what differs in the value and in the variables, and what could not be compared."""
    found, skipped = (
        [finding for finding in findings if finding.part]
        for findings in (verdict.differences, verdict.skipped)
    )
    found.sort(key=lambda finding: finding.part != "value")
    if not any(finding.part == "value" for finding in (*found, *skipped)):
        first, second = (_cut(readable(step.value or "")) for step in (one, other))
        yield _row("return", first, second, _SAME if first and second else "")
    for finding in found[:_MANY]:
        yield _finding(finding)
    more = max(0, len(found) - _MANY) + verdict.more
    if more:
        yield _row("", change=f"and {more:,} more")
    for finding in skipped:
        what, where = _what(finding)
        yield _row(what, where=where, change=f"not compared: {finding.text}")


def _what(finding: Finding) -> tuple[str, str]:
    """Return what a finding is about, and the place in it."""
    place = _place(finding)
    if finding.part == "value":
        return "return", place.removeprefix("return").removeprefix(", ")
    what, _, name = place.partition(" ")
    return what, name


def _finding(finding: Finding) -> Row:
    (what, where), text = _what(finding), finding.text
    if not isinstance(text, Contrast):
        return _row(what, change=text, where=where)
    if text.before is None or text.after is None:
        change = "new" if text.before is None else "gone"
        return _row(what, text.before or "", text.after or "", change, where)
    apart = _OTHER_CONTENT if text.before == text.after else text.change
    told = ", ".join(filter(None, (apart, text.note, text.counted)))
    return _row(what, *_sides(text), told, where)


def _lines(before: str, after: str) -> Iterator[Row]:
    """Yield the lines in which two sources differ, side by side."""
    left, right = before.splitlines(), after.splitlines()
    if left == right:
        yield _row("source", change=_SAME)
        return
    if max(len(left), len(right)) > _LONG_SOURCE:
        yield _row("source", change=_as_change(counts(len(left), len(right), "line")))
        return
    found = [
        (here, there)
        for tag, i, i_end, j, j_end in difflib.SequenceMatcher(None, left, right).get_opcodes()
        if tag != "equal"
        for here, there in itertools.zip_longest(range(i, i_end), range(j, j_end))
    ]
    for here, there in found[:_MOST_LINES]:
        first, second = (
            "" if at is None else lines[at].expandtabs(4)
            for at, lines in ((here, left), (there, right))
        )
        change = "gone" if there is None else "new" if here is None else ""
        number = (there if here is None else here) + 1
        yield _row("source", first, second, change, where=f"line {number:,}")
    if len(found) > _MOST_LINES:
        yield _row("source", change=f"and {len(found) - _MOST_LINES:,} more lines")


def _cut(text: str, limit: int = _SHOWN) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"

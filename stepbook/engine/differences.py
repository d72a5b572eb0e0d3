"""Two runs, or two attempts of a step, read for a comparison.

Only what may differ is read: values whose hashes are the same are the same. Files of artifacts are
told apart by their hashes and by what the record says of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ..code import verdicts as code
from ..errors import InvalidInputError, RunNotFoundError
from ..show import changes
from ..show.verdicts import Side, judge
from ..values.codec import Codec
from ..values.nodes import step as place
from .attempt import shorten
from .meant import known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model.rows import CellRow, RunRow, StepRow
    from .books import OpenBook
    from .opened import OpenRun

#: Characters of values of each run that are compared.
_BUDGET: Final = 64 * 1024 * 1024
_TOO_MUCH: Final = "more than 64 MB of values differ"
#: Attempts, and parts of a fingerprint, that a text names.
_SHOWN: Final = 6
#: Reads what stands in the record itself, and no file.
_INLINE: Final = Codec(None)


class _Outline(NamedTuple):
    """What is read of a run at first: hashes stand in the place of values."""

    run: RunRow
    steps: list[StepRow]
    cells: dict[str, CellRow]


def of_runs(one: OpenRun, other: OpenRun) -> list[changes.Row]:
    """Return the steps of two runs side by side; see ``Run.diff``.

    Raises:
        RunNotFoundError: one of them was deleted.
    """
    outlines = [_outline(run) for run in (one, other)]
    left, right = ({step.name: step for step in outline.steps} for outline in outlines)
    both = [name for name in left if name in right]
    unequal = [name for name in both if left[name].value != right[name].value]
    sides = [
        _side(run, outline, unequal) for run, outline in zip((one, other), outlines, strict=True)
    ]
    verdicts = {v.name: v for v in judge(*sides, outputs=False, place=place).verdicts}
    fingerprints = {name: _words(left[name].fingerprint, right[name].fingerprint) for name in both}
    return changes.of_runs(outlines[0].steps, outlines[1].steps, verdicts, fingerprints)


def of_attempts(
    run: OpenRun, name: str, first: int | None, second: int | None
) -> list[changes.Row]:
    """Return what two attempts of a step have been; see ``Run.diff_attempts``."""
    book = run.book
    _bring_up_to_date(book)
    name = known(run.look(), run.id, name).name
    with book.records.store.reading() as reader:
        attempts = {row.attempt: row for row in reader.attempts(run.id, name)}
        one, other = (
            row._replace(value=reader.value(run.id, name, row.attempt))
            for row in _chosen(name, attempts, first, second)
        )
        cells = [reader.cell(run.id, name, row.attempt) for row in (one, other)]
    sides = [
        Side(run.row, [step], {} if cell is None else {name: cell}, _INLINE, {})
        for step, cell in zip((one, other), cells, strict=True)
    ]
    verdict = judge(*sides, outputs=False, place=place).verdicts[0]
    words = _words(one.fingerprint, other.fingerprint)
    before, after = ("" if cell is None else cell.source for cell in cells)
    return changes.of_attempts((one, other), verdict, words, (before, after))


def _chosen(
    name: str, attempts: dict[int, StepRow], first: int | None, second: int | None
) -> tuple[StepRow, StepRow]:
    """Return the attempts that are meant: without numbers the last two.

    Raises:
        InvalidInputError: the step has no such attempt, or there are not two of them.
    """
    numbers = list(attempts)
    for number in (first, second):
        if number is not None and (type(number) is not int or number not in attempts):
            raise InvalidInputError(
                f"the step {shorten(name)} has no attempt {number!r}, {_told(numbers)}."
            )
    if first is None or second is None:
        others = [number for number in numbers if number not in (first, second)]
        if len(numbers) < 2:  # noqa: PLR2004
            raise InvalidInputError(
                f"the step {shorten(name)} has nothing to compare, {_told(numbers)}. "
                "Each execution of its body is an attempt; run.diff(other) compares two runs."
            )
        second = others[-1] if second is None else second
        first = [number for number in others if number != second][-1] if first is None else first
    return attempts[first], attempts[second]


def _told(numbers: Sequence[int]) -> str:
    """Return which attempts there are."""
    if len(numbers) < 2:  # noqa: PLR2004
        return f"only attempt {numbers[0]}" if numbers else "as it was not executed yet"
    some = [*map(str, numbers[:_SHOWN])]
    if len(numbers) > _SHOWN:
        return f"only {', '.join(some)}, … up to {numbers[-1]}"
    return f"only {', '.join(some[:-1])} and {some[-1]}"


# ---- reading --------------------------------------------------------------------------------


def _bring_up_to_date(book: OpenBook) -> None:
    book.check_fork()
    book.records.fresh()


def _outline(run: OpenRun) -> _Outline:
    book = run.book
    _bring_up_to_date(book)
    with book.records.store.reading() as reader:
        recorded = reader.run(run.id)
        if recorded is None:
            raise RunNotFoundError(f"run {run.id} is no longer in {book!r}: it was deleted.")
        cells = {cell.step: cell for cell in reader.variables(run.id)}
        return _Outline(recorded.row, reader.outlines(run.id), cells)


def _side(run: OpenRun, outline: _Outline, unequal: Sequence[str]) -> Side:
    """Return a run with those of its values that differ from the other's."""
    with run.book.records.store.reading() as reader:
        values = reader.values_of(run.id, unequal, _BUDGET)
    steps = [step._replace(value=values.get(step.name)) for step in outline.steps]
    there = {step.name for step in outline.steps if step.value is not None}
    unread = {name: _TOO_MUCH for name in unequal if name in there and name not in values}
    return Side(outline.run, steps, outline.cells, _INLINE, unread)


def _words(recorded: str | None, other: str | None) -> list[str] | None:
    """Return what has changed between two fingerprints, in words; None if there are none."""
    if recorded is None and other is None:
        return None
    verdict = code.compare(recorded, other or "")
    more = len(verdict.changes) - _SHOWN
    return [
        *verdict.changes[:_SHOWN],
        *([f"and {more:,} more"] if more > 0 else []),
        *(f"unknown: {name}" for name in verdict.unknown[:_SHOWN]),
    ]

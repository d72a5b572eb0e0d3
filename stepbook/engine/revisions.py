"""What was changed by hand, as the logs of a run have it: what, by whom, and what it has moved.

Each change moves steps from one attempt to the next. The logs tell which, so that ``undo`` can take
the last change back, also in another process. What was taken back is logged, too: read in order,
the changes are a stack.
"""

from __future__ import annotations

from bisect import bisect_right
from json import dumps
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from ..model.rows import BY_HAND, PENDING, StepRow, fields_of
from ..system.platform import owner, person
from .attempt import log_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..model.rows import LogRow
    from .opened import OpenRun

Change = Literal["redo", "rewind", "resolve", "accept", "undo"]

UNDO: Final = "undo"
#: What it has where the message goes on with what an earlier one has begun.
_CONTINUES: Final = "continues"
#: Spans in one message. Items of a map that stand alike are one.
_MOST_SPANS: Final = 1_000


class Move(NamedTuple):
    """How a change has moved one step.

    Attributes:
        before: the number of the attempt that was current; 0 if the step was not there.
        after: of the one that was current then. The same if the step was pending: an attempt that
            has not begun gives its number away.
    """

    before: int
    after: int

    @property
    def was_pending(self) -> bool:
        """Whether nothing was recorded of the step, or it was to be executed again."""
        return self.before in (0, self.after)


class _Span(NamedTuple):
    """Steps with neighbouring numbers that have moved alike."""

    first: int
    last: int
    before: int
    after: int


class Revision(NamedTuple):
    """One change.

    Attributes:
        change: which.
        of: of what, in words.
        spans: the steps that it has moved, by their numbers, and how.
    """

    change: str
    of: str
    spans: tuple[_Span, ...]

    def moved(self, steps: Iterable[StepRow]) -> Iterator[tuple[StepRow, Move]]:
        """Yield those of *steps* that it has moved, and how."""
        for step in steps:
            at = bisect_right(self.spans, step.seq, key=lambda span: span.first) - 1
            if at >= 0 and step.seq <= self.spans[at].last:
                yield step, Move(*self.spans[at][2:])


def next_attempt(old: StepRow | None) -> int:
    """Return the number of the attempt that comes next; one that is pending has not begun."""
    return 1 if old is None else old.attempt + (old.status != PENDING)


def rows(change: Change, of: str, moves: Iterable[tuple[int, Move]] = ()) -> list[LogRow]:
    """Return the messages that record a change.

    Args:
        change: which.
        of: of what, in words.
        moves: the numbers of the steps that it moves, and how.
    """
    who = owner()
    by = {"by": person(), "pid": who["pid"], "notebook": who["notebook"]}
    message = f"{change} of {of} by {by['by']}"
    spans = _spans(moves)
    found = []
    for start in range(0, len(spans) or 1, _MOST_SPANS):
        more = {_CONTINUES: True} if start else {}
        part = {"of": of, **by, **more, "steps": spans[start : start + _MOST_SPANS]}
        metadata = dumps({BY_HAND: change, **part}, ensure_ascii=False)
        found.append(log_row(message, "info", None, metadata))
    return found


def _spans(moves: Iterable[tuple[int, Move]]) -> list[_Span]:
    spans: list[_Span] = []
    for seq, move in sorted(moves):
        if spans and spans[-1][1:] == (seq - 1, *move):
            spans[-1] = spans[-1]._replace(last=seq)
        else:
            spans.append(_Span(seq, seq, *move))
    return spans


def last(run: OpenRun) -> Revision | None:
    """Return the last change that has moved something and was not taken back."""
    standing: list[Revision] = []
    for text in run.book.by_hand(run.id):
        told = fields_of(text)
        if told.get(BY_HAND) == UNDO:
            del standing[-1:]
        elif spans := _read(told.get("steps")):
            if told.get(_CONTINUES) is True and standing:
                spans = sorted((*standing.pop().spans, *spans))
            standing.append(Revision(str(told.get(BY_HAND)), str(told.get("of")), tuple(spans)))
    return standing[-1] if standing else None


def _read(told: Any) -> list[_Span]:
    """Return the spans of a message; what somebody else has written there is none."""
    if not isinstance(told, list):
        return []
    return sorted(
        _Span(*span)
        for span in told
        if isinstance(span, list) and len(span) == len(_Span._fields) and _are_numbers(span)
    )


def _are_numbers(span: list[Any]) -> bool:
    return all(type(number) is int and number >= 0 for number in span)

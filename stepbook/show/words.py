"""The signs and words that every way of showing a run has in common."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model.rows import StepRow

#: What stands for each status, the same in a terminal and in a page.
GLYPHS: Final = {"pending": "○", "running": "◐", "succeeded": "✓", "failed": "✗"}


def glyph(status: str) -> str:
    """Return the sign of a status; a question mark for one that a newer version has written."""
    return GLYPHS.get(status, "?")


#: Characters of a line that are shown; how many may begin alike, and are shown of those.
_LINE: Final = 60
_ALIKE: Final = 40
_BEFORE: Final = 20
#: What only one of two sides has, beside a record.
_GONE: Final = "in the record, but missing now"
_NEW: Final = "new, not in the record"
#: From here on the distance of two numbers tells nothing that the numbers do not.
_FAR: Final = 10**15

#: Why nothing is stored of a step; ``js/src/model/rows.ts`` has the same.
_UNSTORED: Final = {
    "no-store": "not stored, as asked",
    "max-size": "not stored: larger than max_size",
    "free-disk": "not stored: too little room on the disk",
}


def unstored(policy: str | None) -> str:
    """Return what is said of a step that succeeded and is executed again in each pass."""
    return f"{_UNSTORED.get(policy or '', 'not stored')}; executed again in each pass"


def judged(step: StepRow) -> str:
    """Return what a replay has found to differ, in words; nothing if all is what was recorded."""
    if step.stale:
        return f"changed since: {step.changes or 'its code'}"
    if step.verdict == "unknown":
        return f"not known to be the same: {step.changes or 'its code'}"
    return ""


def counted(count: int, noun: str) -> str:
    """Return how many there are: ``1 step``, ``2,000 steps``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class Contrast(NamedTuple):
    """Two things side by side. Its text tells a record from what there is now.

    Attributes:
        before: the one that is the measure; None where only the other one is.
        after: the other; None where it is missing. Where both look alike, their content differs.
        of: what of the whole is told: a dtype, the first row that differs.
        change: how far two numbers are apart, as in ``+0.2``.
        note: what is to be said of that.
        tally: how many values differ and how many there are, if this is the first of them.
        members: whether these are members of a set, of which one side alone is told.
    """

    before: str | None
    after: str | None
    of: str = ""
    change: str = ""
    note: str = ""
    tally: tuple[int, int] = (1, 1)
    members: bool = False

    def __str__(self) -> str:
        if self.after is None:
            return f"only in the record: {self.before}" if self.members else _GONE
        if self.before is None:
            return f"only now: {self.after}" if self.members else _NEW
        if self.before == self.after:
            return f"the content differs, shown as {self.before} both times"
        verb = "differs" if self.tally[0] == 1 else "differ"
        place = "; ".join(filter(None, (self.counted and f"{self.counted} {verb}", self.of)))
        sides = f"recorded: {self.before}, now: {self.after}"
        return ", ".join(filter(None, (place, sides))) + (f" ({self.note})" if self.note else "")

    @property
    def counted(self) -> str:
        """How many values differ: ``3 of 712 values``; nothing where there is only one."""
        count, total = self.tally
        return f"{count:,} of {counted(total, 'value')}" if total > 1 else ""


def contrast(recorded: object, now: object, *, of: str = "") -> Contrast:
    """Return two things side by side."""
    return Contrast(str(recorded), str(now), of)


def one_sided(text: str, *, is_new: bool, members: bool = False) -> Contrast:
    """Return what only one of two sides has; it is *new* if that is the other side."""
    before, after = (None, text) if is_new else (text, None)
    return Contrast(before, after, members=members)


def counts(recorded: int, now: int, noun: str) -> Contrast:
    """Return two counts side by side: ``recorded: 3 items, now: 4``."""
    return Contrast(counted(recorded, noun), f"{now:,}", change=change(recorded, now))


def change(recorded: Any, now: Any) -> str:
    """Return how far two numbers are apart: ``+0.2``; nothing for anything else.

    Example:
        >>> change(0.5, 0.7)
        '+0.2'
    """
    if {type(recorded), type(now)} <= {int, float}:
        try:
            apart = now - recorded
        except OverflowError:  # an int that no float holds
            return ""
        if apart and abs(apart) < _FAR:
            return f"{apart:+,}" if isinstance(apart, int) else f"{apart:+.6g}"
    return ""


def texts(recorded: str, now: str) -> str | Contrast:
    """Return how two texts differ: by their first line that does, if they have several."""
    before, after = recorded.splitlines(), now.splitlines()
    if len(before) < 2 and len(after) < 2:  # noqa: PLR2004
        if recorded.rstrip() != now.rstrip():
            recorded, now = recorded.rstrip(), now.rstrip()
        return _lines(recorded, now)
    for number, (left, right) in enumerate(zip(before, after, strict=False), start=1):
        if left != right:
            return _lines(left, right, f"line {number:,}")
    if len(before) == len(after):
        return "only the line endings differ"
    return counts(len(before), len(after), "line")


def _lines(recorded: str, now: str, of: str = "") -> Contrast:
    """Return two lines side by side; long ones that begin alike from where they differ."""
    both = enumerate(zip(recorded, now, strict=False))
    at = next((n for n, (left, right) in both if left != right), min(len(recorded), len(now)))
    if at > _ALIKE and max(len(recorded), len(now)) > _LINE:
        of = ", ".join(filter(None, (of, f"character {at + 1:,}")))
        recorded, now = (f"…{line[at - _BEFORE :]}" for line in (recorded, now))
    return contrast(_quoted(recorded), _quoted(now), of=of)


def _quoted(line: str) -> str:
    text = repr(line)
    return text if len(text) <= _LINE else text[: _LINE - 1] + "…"


def standing(statuses: Iterable[str]) -> list[str]:
    """Return how many steps there are and how they stand: ``12 of 14 steps`` and ``1 failed``."""
    counts = Counter(statuses)
    total, done, failed = counts.total(), counts["succeeded"], counts["failed"]
    steps = counted(total, "step")
    found = [steps if done == total else f"{done:,} of {steps}"]
    return [*found, f"{failed:,} failed"] if failed else found

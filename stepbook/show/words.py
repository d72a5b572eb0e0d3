"""The signs and words that every way of showing a run has in common."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What stands for each status, the same in a terminal and in a page.
GLYPHS: Final = {"pending": "○", "running": "◐", "succeeded": "✓", "failed": "✗"}


def glyph(status: str) -> str:
    """Return the sign of a status; a question mark for one that a newer version has written."""
    return GLYPHS.get(status, "?")


#: Why nothing is stored of a step; ``js/src/model/rows.ts`` has the same.
_UNSTORED: Final = {
    "no-store": "not stored, as asked",
    "max-size": "not stored: larger than max_size",
    "free-disk": "not stored: too little room on the disk",
}


def unstored(policy: str | None) -> str:
    """Return what is said of a step that succeeded and is executed again in each pass."""
    return f"{_UNSTORED.get(policy or '', 'not stored')}; executed again in each pass"


def counted(count: int, noun: str) -> str:
    """Return how many there are: ``1 step``, ``2,000 steps``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def contrast(recorded: object, now: object) -> str:
    """Return two things side by side: ``recorded: 3, now: 4``."""
    return f"recorded: {recorded}, now: {now}"


def standing(statuses: Iterable[str]) -> list[str]:
    """Return how many steps there are and how they stand: ``12 of 14 steps`` and ``1 failed``."""
    counts = Counter(statuses)
    total, done, failed = counts.total(), counts["succeeded"], counts["failed"]
    steps = counted(total, "step")
    found = [steps if done == total else f"{done:,} of {steps}"]
    return [*found, f"{failed:,} failed"] if failed else found

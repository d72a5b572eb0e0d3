"""What a person sees: cases that differ, and counts."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .examine import Verdict

WIDTH = 230
_LINES = 3


def show(verdict: Verdict, *, verbose: bool) -> None:
    """Print a case that differs."""
    if not verdict.found:
        return
    print(f"{'TELLS  ' if verdict.holds else 'DIFFERS'} {verdict.case.name}")
    for difference in verdict.found if verbose else _first(verdict):
        print(f"    {str(difference)[: None if verbose else WIDTH]}")


def _first(verdict: Verdict) -> list[object]:
    """Return a few differences, the silent ones first."""
    ordered = sorted(verdict.found, key=lambda difference: difference.told)
    more = len(ordered) - _LINES
    return [*ordered[:_LINES], *([f"and {more} more"] if more > 0 else [])]


class Progress:
    """Counts cases, on standard error while it is a terminal or now and then.

    Args:
        total: how many there are, if that is known.
    """

    def __init__(self, total: int | None = None) -> None:
        self._total = total
        self._begun = self._last = time.monotonic()
        self.counts: Counter[str] = Counter()

    def count(self, verdict: Verdict) -> None:
        """Take in a verdict."""
        self.counts["cases"] += 1
        self.counts["holds"] += verdict.holds
        self.counts["silent"] += bool(verdict.silent)
        self.counts["told"] += bool(verdict.found) and not verdict.silent
        now = time.monotonic()
        if now - self._last >= (1 if sys.stderr.isatty() else 30):
            self._last = now
            of = f" of {self._total}" if self._total else ""
            print(f"{self.counts['cases']}{of} cases, {now - self._begun:.0f} s", file=sys.stderr)

    def closing(self, sessions: int) -> str:
        """Return the closing lines."""
        counts, seconds = self.counts, time.monotonic() - self._begun
        rate = counts["cases"] / seconds if seconds else 0.0
        return (
            f"{counts['silent']} differ silently, {counts['told']} only as stepbook says\n"
            f"{sessions} sessions in {seconds:.0f} s, {rate:.2f} cases a second\n"
            f"{counts['holds']} of {counts['cases']} cases hold"
        )

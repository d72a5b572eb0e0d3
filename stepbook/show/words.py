"""The signs and words that every way of showing a run has in common."""

from __future__ import annotations

from typing import Final

#: What stands for each status, the same in a terminal and in a page.
GLYPHS: Final = {"pending": "○", "running": "◐", "succeeded": "✓", "failed": "✗"}


def glyph(status: str) -> str:
    """Return the sign of a status; a question mark for one that a newer version has written."""
    return GLYPHS.get(status, "?")

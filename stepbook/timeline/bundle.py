"""The built front end: one ESM file, with its styles in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..errors import StepbookError

PATH = Path(__file__).parent.parent / "static" / "timeline.js"


@cache
def bundle() -> str:
    """Return the text of the bundle.

    Raises:
        StepbookError: it has not been built; the message says what to run.
    """
    try:
        return PATH.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StepbookError(
            f"the timeline's bundle {PATH} is missing. In a checkout, run "
            "`npm ci --ignore-scripts && npm run build` in its root; otherwise install stepbook "
            "again: its wheels contain the bundle"
        ) from None

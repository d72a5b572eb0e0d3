"""Pictures that tests in a browser take, for people to look at."""

from __future__ import annotations

import os
from pathlib import Path


def keep(page, name):
    """Keep a picture of a page where ``STEPBOOK_SCREENSHOTS`` says, if it does."""
    if folder := os.environ.get("STEPBOOK_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")

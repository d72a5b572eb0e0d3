"""Several names by one pattern: ``Score [*]`` is whatever begins ``Score [`` and ends ``]``.

Only ``*`` and ``?`` are wildcards. Brackets stand for themselves: many names have some.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def is_pattern(name: str) -> bool:
    """Whether a name has a wildcard in it."""
    return "*" in name or "?" in name


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Return those of *names* that a pattern matches as a whole, however accents are written.

    Example:
        >>> matching("Score [*]", ["Score", "Score [p-17]", "Score [p-18]"])
        ['Score [p-17]', 'Score [p-18]']
    """
    literal = unicodedata.normalize("NFC", pattern).replace("[", "[[]")
    match = re.compile(fnmatch.translate(literal)).match
    return [name for name in names if match(unicodedata.normalize("NFC", name))]

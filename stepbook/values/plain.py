"""Small values of plain JSON: what most steps return.

They need no nodes and no files, and their copy need not be read back from their text. A shortcut
and nothing else: the text is the one that a :class:`.writer.Writer` writes, and the copy is what
reading it gives (measured: 2.0 us for a dict of three items, where the long way takes 5.1).
"""

from __future__ import annotations

import math
from typing import Any, Final

from .kinds import to_text
from .nodes import BIG, TAG

#: What has more may turn out to be something else only after all that has been copied.
_MOST_ITEMS: Final = 100
_MOST_LEVELS: Final = 4
_MOST_TEXT: Final = 16 << 10

_ATOMS: Final = frozenset({str, bool, type(None)})
_KEYS: Final = {str}


class NotPlainError(Exception):
    """A value is not small, or not plain JSON."""


def plain(value: Any) -> tuple[str, Any] | None:
    """Return the text of a small value of plain JSON and a copy of it; None for any other."""
    try:
        copy = _copy(value, _MOST_LEVELS)
    except (NotPlainError, RuntimeError):  # or it changes right now
        return None
    text = to_text(copy)
    # Other text may hold what is not Unicode: the long way says where.
    return (text, copy) if len(text) <= _MOST_TEXT and text.isascii() else None


def _copy(value: Any, levels: int) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is int and -BIG < value < BIG:
        return value
    if kind is float and math.isfinite(value):
        return value
    if (kind is list or kind is dict) and levels and len(value) <= _MOST_ITEMS:
        below = levels - 1
        if kind is list:
            return [item if type(item) in _ATOMS else _copy(item, below) for item in value]
        if TAG not in value and {*map(type, value)} <= _KEYS:
            return {
                key: item if type(item) in _ATOMS else _copy(item, below)
                for key, item in value.items()
            }
    raise NotPlainError

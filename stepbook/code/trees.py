"""Containers of nothing but plain values, told in one go: thirty times as fast as part by part."""

from __future__ import annotations

import itertools
import marshal
from typing import Any, Final

_LEAVES: Final = frozenset({bool, int, float, complex, type(None), str, bytes})
_INNER: Final = frozenset({list, dict, tuple})
#: The last version of the format that writes each object where it stands, and strings all alike.
_FORMAT: Final = 2


def tree_of(value: Any, most: int) -> bytes | None:
    """Return the bytes that stand for a tree of lists, dicts, tuples and plain values.

    They are of Python's marshal format, which is the same in all supported versions, and are never
    read again.

    Args:
        value: a list, dict or tuple.
        most: values in it, at most.

    Returns:
        None if it holds anything else, or the same list or dict twice.
    """
    met: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if type(one) is not tuple:
            if id(one) in met:
                return None
            met.add(id(one))
        most -= len(one)
        if most < 0:
            return None
        for part in itertools.chain(one, one.values()) if type(one) is dict else one:
            kind = type(part)
            if kind in _INNER:
                waiting.append(part)
            elif kind not in _LEAVES:
                return None
    try:
        return marshal.dumps(value, _FORMAT)
    except ValueError:  # too deep
        return None

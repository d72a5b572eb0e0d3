"""The person's own code behind what a library has made of it: a cache, a dispatcher, a retry."""

from __future__ import annotations

import types
from typing import Any

from .attributes import closure_of, fields_of, static
from .own import is_own


def own_behind(value: Any) -> list[Any]:
    """Return the functions and classes of the person's own that an object of a library executes.

    It is one that wraps them, such as ``functools.cache``, a function with such in its closure, as
    those that decorators make, or an object that has them as attributes, as ``np.vectorize`` does.
    """
    if is_own(value):  # most often
        return [value]
    found: list[Any] = []
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        if is_own(one):
            found.append(one)
            continue
        held = _held_by(one)
        waiting += [part for part in held if type(part) is types.FunctionType or is_own(part)]
        wrapped = static(one, "__wrapped__")
        if wrapped is not None:
            waiting.append(wrapped)
    return found


def wrapped_by(value: Any) -> list[Any]:
    """Return the code of the person's own behind a function that a library has made of it."""
    if type(value) is types.FunctionType or static(value, "__wrapped__") is not None:
        return own_behind(value)
    return []


def _held_by(value: Any) -> list[Any]:
    """Return what an object of a library has: in its closure, there in dicts too, or attributes."""
    if type(value) is not types.FunctionType:
        return [*(fields_of(value) or {}).values()]
    held: list[Any] = []
    for content in closure_of(value):
        held += content.values() if type(content) is dict else [content]
    return held

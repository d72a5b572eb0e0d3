"""The fingerprint of a call: the function's code, what that reaches, and the arguments.

It is JSON, each part by itself, so that a change can be named::

    {"code": "@3f…", "reached": {"clean": "@a1…", "K": "=2"}, "arguments": {"path": "='a.csv'"}}

Code has a hash of its syntax tree, without comments, docstrings and formatting: ``@…``. Where the
source is not known it is a hash of the bytecode, which only the same Python compares: ``@b311:…``.
Values are told by :mod:`.contents`. Code of libraries counts by its name.
"""

from __future__ import annotations

import functools
import types
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, Final

from .contents import MOST_PARTS_REACHED, NONE, Contents
from .hashes import CODE, code_hash
from .own import is_own_class, is_own_function
from .walk import DATA, MISSING, Walk, content_of, defaults_of

#: Functions of which what they reach is known, at most.
_MOST: Final = 4096


def of_call(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return the fingerprint of a call, as it is recorded.

    Args:
        fn: the function, or anything else that can be called.
        args: its positional arguments.
        kwargs: its other arguments.

    Example:
        >>> of_call(abs, (2,), {})
        '{"code":"@abs","arguments":{"0":"=2"}}'
    """
    try:
        return _of_call(fn, args, kwargs)
    except Exception:  # noqa: BLE001 - a metaclass, a descriptor: what cannot be looked at is unknown
        return f'{{"code":{_quoted(NONE + "unknown")}}}'


def _of_call(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    while type(fn) is functools.partial:
        fn, args, kwargs = fn.func, (*fn.args, *args), {**fn.keywords, **kwargs}
    if type(fn) is types.FunctionType and is_own_function(fn):
        function, owner = fn, MISSING
    else:
        function, owner = _behind_call(fn)
    text, names = _of_code(fn, function)
    told = _of_arguments(names, owner, args, kwargs, function)
    return f'{text},"arguments":{_json(told)}}}' if told else text + "}"


def _behind_call(fn: Any) -> tuple[Any, Any]:
    """Return the function or class of the person's own that a call executes, and its ``self``."""
    owner: Any = MISSING
    function: Any
    if isinstance(fn, types.MethodType):
        function, owner = fn.__func__, fn.__self__
    elif isinstance(fn, type):
        return (fn if is_own_class(fn) else None), owner
    elif isinstance(getattr(fn, "__wrapped__", None), types.FunctionType):
        function = fn.__wrapped__  # by functools.cache, or a library's decorator
    elif isinstance(fn, (types.BuiltinFunctionType, types.FunctionType)):
        owner = getattr(fn, "__self__", None)
        return None, MISSING if isinstance(owner, (types.ModuleType, type(None))) else owner
    else:
        function, owner = getattr(type(fn), "__call__", None), fn  # noqa: B004 - of an instance
    is_own = isinstance(function, types.FunctionType) and is_own_function(function)
    return (function if is_own else None), owner


def _of_code(fn: Any, function: Any) -> tuple[str, tuple[str, ...]]:
    """Return what tells of code, without the closing brace, and the names of the parameters."""
    if isinstance(function, types.FunctionType):
        reached = _reached(function)
        return reached.text(function), reached.parameters
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    text = f'{{"code":{_quoted(CODE + name)}'
    if isinstance(function, type):
        walk = Walk()
        walk.code_of(function)
        text += f',"reached":{_json(walk.parts())}'
    return text, ()


def _of_arguments(
    names: tuple[str, ...],
    owner: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    function: Any,
) -> dict[str, str]:
    """Return the arguments by name, those that the call leaves out too, and the code in them."""
    told: dict[str, str] = {}
    contents = Contents()
    if owner is not MISSING:
        told["self"], names = contents.of(owner), names[1:]
    for place, value in enumerate(args):
        told[names[place] if place < len(names) else str(place)] = contents.of(value)
    for name, value in kwargs.items():
        told[name] = contents.of(value)
    if isinstance(function, types.FunctionType) and (
        function.__defaults__ is not None or function.__kwdefaults__
    ):
        for name, value in defaults_of(function):
            if name not in told:
                told[name] = contents.of(value)
    if contents.code:  # a function, the class of an instance
        walk = Walk()
        for item in contents.code:
            walk.code_of(item)
        told |= {f"{name}()": value for name, value in walk.parts().items()}
    return told


def _json(parts: dict[str, str]) -> str:
    return "{" + ",".join([f"{_quoted(k)}:{_quoted(v)}" for k, v in parts.items()]) + "}"


# ---- what functions reach, kept -----------------------------------------------------------------


class _Reached:
    """What functions of one code reach: what was found, and what shows that it is still so.

    Attributes:
        parameters: the names of those that can be given by position.
    """

    def __init__(self, walk: Walk, code: types.CodeType, *, has_closure: bool) -> None:
        self.parameters = code.co_varnames[: code.co_argcount]
        #: What stands in the closure of each function anew.
        self._free = () if has_closure else code.co_freevars
        self._walk = walk
        self._code = f'{{"code":{_quoted(code_hash(code))}'
        self._whole = self._code
        if walk.static:
            self._whole += ',"reached":' + _json(walk.static)

    def holds(self) -> bool:
        """Whether every name still has the object that it had, and every function its code."""
        walk = self._walk
        for space, name, value in walk.names:
            if space.get(name, MISSING) is not value:
                return False
        for cell, value in walk.cells:
            if content_of(cell) is not value:
                return False
        for function, code, defaults, keywords in walk.functions:
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not keywords
            ):
                return False
        return all(
            len(items) == count and all(items.get(name) is value for name, value in code)
            for items, count, code in walk.classes
        )

    def text(self, function: types.FunctionType) -> str:
        """Return what tells of code, as it is recorded, without the closing brace."""
        walk = self._walk
        if not walk.changing and not self._free:
            return self._whole
        contents = Contents(MOST_PARTS_REACHED)
        cells = zip(self._free, function.__closure__ or (), strict=False)
        parts = walk.parts() | {name: contents.of(content_of(cell)) for name, cell in cells}
        return f'{self._code},"reached":{_json(parts)}'


_kept: Final[dict[tuple[int, int], tuple[types.CodeType, _Reached]]] = {}


def _reached(fn: types.FunctionType) -> _Reached:
    """Return what a function reaches, from the last time if nothing has changed."""
    if not _is_plain(fn.__closure__):
        return _walked(fn, has_closure=True)
    key = id(fn.__code__), id(fn.__globals__)
    known = _kept.get(key)
    if known is not None and known[0] is fn.__code__ and known[1].holds():
        return known[1]
    if len(_kept) >= _MOST:
        _kept.clear()
    found = _walked(fn, has_closure=False)
    _kept[key] = fn.__code__, found
    return found


def _walked(fn: types.FunctionType, *, has_closure: bool) -> _Reached:
    walk = Walk()
    walk.function(fn, closure=has_closure)
    return _Reached(walk, fn.__code__, has_closure=has_closure)


def _is_plain(closure: tuple[types.CellType, ...] | None) -> bool:
    """Whether a closure holds values only, which are told each time: no code."""
    return closure is None or all(type(content_of(cell)) in DATA for cell in closure)

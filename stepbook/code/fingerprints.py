"""The fingerprint of a call: the function's code, what that reaches, and the arguments.

It is JSON, each part by itself, so that a change can be named::

    {"code": "@3f…", "reached": {"clean": "@a1…", "K": "=2"}, "arguments": {"path": "='a.csv'"}}

Code has a hash of its syntax tree, without comments, docstrings and formatting: ``@…``. Where the
source is not known it is a hash of the bytecode, which only the same Python compares: ``@b311:…``.
Values are told by :mod:`.contents`. Code of libraries counts by its name. What was declared in
addition stands behind the arguments: ``deps`` is code, ``files`` are files and folders, and
``given`` is the version.
"""

from __future__ import annotations

import functools
import inspect
import types
from json.encoder import encode_basestring_ascii as _quoted
from typing import TYPE_CHECKING, Any, Final

from .attributes import static
from .behind import own_behind
from .contents import MOST_PARTS_REACHED, NONE, Contents
from .hashes import CODE, code_hash, name_of
from .own import is_own, is_own_class, is_own_function
from .walk import DATA, MISSING, Walk, content_of, defaults_of

if TYPE_CHECKING:
    from .deps import Deps

#: Functions of which what they reach is known, at most.
_MOST: Final = 4096
#: Functions and methods that are written in C.
_BUILT_IN: Final = (types.BuiltinFunctionType, types.MethodWrapperType)


def of_call(
    fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], deps: Deps | None = None
) -> str:
    """Return the fingerprint of a call, as it is recorded.

    Args:
        fn: the function, or anything else that can be called.
        args: its positional arguments.
        kwargs: its other arguments.
        deps: what it was declared to depend on in addition.

    Example:
        >>> of_call(abs, (2,), {})
        '{"code":"@abs","arguments":{"0":"=2"}}'
    """
    try:
        return _of_call(fn, args, kwargs, deps)
    except Exception:  # noqa: BLE001 - a metaclass, a descriptor: what cannot be looked at is unknown
        return f'{{"code":{_quoted(NONE + "unknown")}}}'


def _of_call(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], deps: Deps | None) -> str:
    while type(fn) is functools.partial:
        fn, args, kwargs = fn.func, (*fn.args, *args), {**fn.keywords, **kwargs}
    if type(fn) is types.FunctionType and is_own_function(fn):
        code, owner = [fn], MISSING
        text, names = _of_function(fn)
    else:
        code, owner = _behind_call(fn)
        text, names = _of_code(fn, code)
    values = () if deps is None else deps.values
    told = _of_arguments(names, owner, args, kwargs, code[0] if code else None, values)
    if told:
        text += f',"arguments":{_json(told)}'
    for kind, parts in () if deps is None else deps.parts().items():
        text += f',"{kind}":{_json(parts)}'
    return text + "}"


def _behind_call(fn: Any) -> tuple[list[Any], Any]:
    """Return the functions or the class of the person's own that a call executes, and ``self``."""
    kind = type(fn)
    if kind is types.MethodType:
        return own_behind(fn.__func__), fn.__self__
    if issubclass(kind, type):
        return own_behind(fn), MISSING
    if kind in _BUILT_IN:
        owner = fn.__self__
        return [], MISSING if owner is None or type(owner) is types.ModuleType else owner
    is_wrapped = not is_own_class(kind) and static(fn, "__wrapped__") is not None
    if kind is types.FunctionType or is_wrapped:
        return own_behind(fn), MISSING  # by functools.cache, or a library's decorator
    called = static(kind, "__call__")  # of an instance
    return [called] if type(called) is types.FunctionType and is_own_function(called) else [], fn


def _of_code(fn: Any, code: list[Any]) -> tuple[str, tuple[str, ...]]:
    """Return what tells of code, without the closing brace, and the names of the parameters."""
    first = code[0] if code else None
    if len(code) == 1 and type(first) is types.FunctionType:
        return _of_function(first)
    is_named = static(fn, "__qualname__") is not None or issubclass(type(fn), type)
    named = fn if is_named else type(fn)
    name = named.__qualname__ if is_own(named) else name_of(named)
    text = f'{{"code":{_quoted(CODE + name)}'
    walk = Walk()
    for one in code:
        walk.code_of(one)
    if code:
        text += f',"reached":{_json(walk.parts())}'
    return text, _parameters(first)


def _parameters(function: Any) -> tuple[str, ...]:
    if type(function) is not types.FunctionType:
        return ()
    code = function.__code__
    return code.co_varnames[: code.co_argcount]


def _of_arguments(
    names: tuple[str, ...],
    owner: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    function: Any,
    values: tuple[tuple[str, Any], ...],
) -> dict[str, str]:
    """Return the arguments by name, those that the call leaves out too, and the code in them."""
    told: dict[str, str] = {}
    contents = Contents()
    if owner is not MISSING:
        told["self"], names = contents.of(owner), names[1:]
    for place, value in enumerate(args):
        told[names[place] if place < len(names) else str(place)] = contents.of(value)
    for name, value in kwargs.items():
        told[f"**{name}" if name in told else name] = contents.of(value)
    if type(function) is types.FunctionType:
        if function.__defaults__ is not None or function.__kwdefaults__:
            for name, value in defaults_of(function):
                if name not in told:
                    told[name] = contents.of(value)
        if len(kwargs) > 1 and len(free := _free(function, kwargs)) > 1:
            told["**"] = contents.of(free)  # the order that the function finds them in
    for name, value in values:
        told[name] = contents.of(value)
    return told | _of_code_in(contents) if contents.code else told


def _of_code_in(contents: Contents) -> dict[str, str]:
    """Return the code that arguments bring with them: a function, the class of an instance."""
    walk = Walk()
    for item in contents.code:
        walk.code_of(item)
    return {f"{name}()": value for name, value in walk.parts().items()}


def _free(function: Any, kwargs: dict[str, Any]) -> list[str]:
    """Return the arguments that ``**`` takes, by which a function knows their order."""
    free = [*kwargs]
    takes = 0
    while type(function) is types.FunctionType:
        code = function.__code__
        named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        free = [name for name in free if name not in named]
        takes = code.co_flags & inspect.CO_VARKEYWORDS
        function = vars(function).get("__wrapped__")
    return free if takes else []


def _json(parts: dict[str, str]) -> str:
    return "{" + ",".join([f"{_quoted(k)}:{_quoted(v)}" for k, v in parts.items()]) + "}"


# ---- what functions reach, kept -----------------------------------------------------------------


class _Reached:
    """What functions of one code reach: what was found, and what shows that it is still so.

    Attributes:
        parameters: the names of those that can be given by position.
        walk: has found it.
    """

    def __init__(self, walk: Walk, function: types.FunctionType, *, has_closure: bool) -> None:
        code = function.__code__
        self.parameters = _parameters(function)
        #: What stands in the closure of each function anew.
        self._free = () if has_closure else code.co_freevars
        self.walk = walk
        self._code = f'{{"code":{_quoted(code_hash(code))}'
        self._whole = self._code
        if walk.static:
            self._whole += ',"reached":' + _json(walk.static)

    def text(self, function: types.FunctionType) -> tuple[str, bool]:
        """Return what tells of code, as it is recorded, without the closing brace.

        Returns:
            The text, and whether all the code in the values was walked: a registry may have more.
        """
        walk = self.walk
        if not walk.changing and not self._free:
            return self._whole, True
        contents = Contents(MOST_PARTS_REACHED)
        cells = zip(self._free, function.__closure__ or (), strict=False)
        parts = walk.parts(contents)
        parts |= {name: contents.of(content_of(cell)) for name, cell in cells}
        return f'{self._code},"reached":{_json(parts)}', walk.has_seen(contents.code)


_kept: Final[dict[tuple[int, int], tuple[types.CodeType, _Reached]]] = {}


def _of_function(fn: types.FunctionType) -> tuple[str, tuple[str, ...]]:
    """Return what tells of a function, from the last time if nothing has changed."""
    key = id(fn.__code__), id(fn.__globals__)
    is_plain = _is_plain(fn.__closure__)
    known = _kept.get(key) if is_plain else None
    if known is not None and known[0] is fn.__code__ and known[1].walk.holds():
        text, is_all = known[1].text(fn)
        if is_all:
            return text, known[1].parameters
    if is_plain:
        found = _walked(fn, has_closure=False)
        text, is_all = found.text(fn)
        if is_all:
            if len(_kept) >= _MOST:
                _kept.clear()
            _kept[key] = fn.__code__, found
            return text, found.parameters
    # A container in the closure holds code, which belongs to this function only.
    found = _walked(fn, has_closure=True)
    return found.text(fn)[0], found.parameters


def _walked(fn: types.FunctionType, *, has_closure: bool) -> _Reached:
    walk = Walk()
    walk.function(fn, closure=has_closure)
    return _Reached(walk, fn, has_closure=has_closure)


def _is_plain(closure: tuple[types.CellType, ...] | None) -> bool:
    """Whether a closure holds values only, which are told each time: no code."""
    return closure is None or all(type(content_of(cell)) in DATA for cell in closure)

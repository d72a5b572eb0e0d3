"""How objects are told by their attributes, and by what they have of a built-in type.

Nothing of the person's is called: attributes are read where Python keeps them, and a class that
extends a built-in type is asked for its content as that type is, whatever it gives for it itself.
"""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import types
from collections import OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any, Final

from . import tables
from .attributes import dict_getter

if TYPE_CHECKING:
    from collections.abc import Callable

_WORD: Final = object.__basicsize__ // 2
#: A flag of types that class statements make.
_OF_A_STATEMENT: Final = 1 << 9


def _parts(*getters: Any) -> Callable[[Any], Any]:
    """Return what reads attributes by their descriptors."""
    return lambda value: [getter.__get__(value) for getter in getters]


_factory: Final[Any] = vars(defaultdict)["default_factory"]
_maxlen: Final[Any] = vars(deque)["maxlen"]
#: What a class that extends one of these types has of it.
_BUILT_IN: Final[dict[type, Callable[[Any], Any]]] = {
    dict: lambda value: [*dict.items(value)],
    OrderedDict: lambda value: [*OrderedDict.items(value)],
    defaultdict: lambda value: [[*dict.items(value)], _factory.__get__(value)],
    list: lambda value: [*list.__iter__(value)],
    tuple: lambda value: [*tuple.__iter__(value)],
    set: lambda value: {*set.__iter__(value)},
    frozenset: lambda value: {*frozenset.__iter__(value)},
    deque: lambda value: [[*deque.__iter__(value)], _maxlen.__get__(value)],
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    bytearray: lambda value: bytearray.__getitem__(value, slice(None)),
    dt.date: lambda value: dt.date.__reduce__(value)[1],
    dt.datetime: lambda value: dt.datetime.__reduce_ex__(value, 4)[1],
    dt.time: lambda value: dt.time.__reduce_ex__(value, 4)[1],
    dt.timedelta: lambda value: dt.timedelta.__reduce__(value)[1],
    decimal.Decimal: decimal.Decimal.__str__,
    functools.partial: _parts(*(vars(functools.partial)[n] for n in ("func", "args", "keywords"))),
    BaseException: _parts(vars(BaseException)["args"]),
}


def instances_of(kind: type, *, is_own: bool) -> Callable[[Any, Any], Any]:
    """Return what tells the instances of a class.

    Args:
        kind: the class.
        is_own: whether it is code of the person's, which counts as well.
    """
    name, fields = kind.__qualname__, dict_getter(kind)
    slots, cached = _slots(kind), _cached(kind)
    inherited, hidden = _inherited(kind)
    if fields is None and any("__dict__" in vars(base) for base in kind.__mro__):
        hidden = name  # a property of that name stands before the attributes

    def instance(contents: Any, value: Any) -> Any:
        if is_own:
            contents.code[kind] = None
        own = None if fields is None else dict(fields.__get__(value))
        if cached and own:
            own = {key: part for key, part in own.items() if key not in cached}
        held = [_slot(value, slot) for slot in slots] if slots else None
        more = None if inherited is None else inherited(value)
        if hidden:
            more = contents.without(hidden)
        return "object", name, own, held, more

    return instance


def has_hidden_state(kind: type) -> bool:
    """Whether objects of a type have a state that their attributes do not show."""
    return _inherited(kind)[1] != ""


def _inherited(kind: type) -> tuple[Callable[[Any], Any] | None, str]:
    """Return what tells what objects have of a built-in type, and the type of which it is hidden.

    What is written in C has room in its objects that no attribute shows.
    """
    base: Any = kind
    while base is not object:
        tell = _BUILT_IN.get(base) or tables.extended(base)
        if tell is not None:
            return tell, ""
        above = base.__base__
        shown = [n for n, item in vars(base).items() if _is_room(n, item)]
        is_more = base.__basicsize__ - above.__basicsize__ > len(shown) * _WORD
        if is_more and not issubclass(base, BaseException):
            return None, base.__qualname__
        base = above
    return None, ""


def _is_room(name: str, item: Any) -> bool:
    return name in ("__dict__", "__weakref__") or type(item) is types.MemberDescriptorType


def _slots(kind: type) -> list[Any]:
    """Return what gives the attributes that are not in ``__dict__``."""
    return [
        item
        for base in kind.__mro__
        for name, item in vars(base).items()
        if type(item) is types.MemberDescriptorType
        and (base.__flags__ & _OF_A_STATEMENT or not name.startswith("__"))
    ]


def _slot(value: Any, slot: Any) -> Any:
    try:
        return (slot.__get__(value),)
    except AttributeError:
        return ()


def _cached(kind: type) -> frozenset[str]:
    """Return the names of properties that are kept when they are asked for: they say no more."""
    return frozenset(
        name
        for base in kind.__mro__
        for name, item in vars(base).items()
        if type(item) is functools.cached_property
    )

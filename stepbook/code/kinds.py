"""How values of each type are told: what stands for them in the pickle that is hashed.

Nothing of the person's is called: an instance of a class of theirs counts by its attributes.
"""

from __future__ import annotations

import array
import enum
import functools
import gc
import operator
import pathlib
import types
import typing
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..model.libraries import library
from . import tables
from .attributes import closure_of, fields_of
from .hashes import code_hash, name_of
from .imports import module_hash
from .instances import has_hidden_state, instances_of
from .own import is_own_class, is_own_function

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[["Contents", Any], Any]


class Contents(Protocol):
    """What a value is told for.

    Attributes:
        code: functions and classes of the person's own that were met.
    """

    code: dict[Any, None]

    def hash_of(self, value: Any) -> str:
        """Return the hash of a part of the value."""

    def make_room(self, parts: int) -> None:
        """Refuse a container that is too big."""

    def of_library(self, value: Any) -> Any:
        """Return what stands for an object of a library that has no content."""


#: What is used for its effects; which one it is says nothing about a result.
FOR_EFFECTS: Final = frozenset({"logging", "tqdm", "warnings"})
#: Modules of the standard library of which objects pickle by value.
_BY_VALUE: Final = frozenset(
    {"datetime", "decimal", "fractions", "ipaddress", "operator", "re", "uuid"}
)
#: Libraries of which objects are nothing but their attributes.
_BY_ATTRIBUTES: Final = frozenset(
    {"argparse", "builtins", "collections", "configparser", "string", "types"}
    | {"annotated_types", "pydantic"}
)
#: Types of which there is one object.
_ALONE: Final = frozenset({"PydanticUndefinedType"})
#: Types of which the members of a set can be sorted, if it has no others.
_SORTED: Final = frozenset({str, int, bytes})
_BUILT_IN: Final = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)

_VIEWS: Final = tuple(
    type(view)
    for made in (dict[str, str](), OrderedDict[str, str]())
    for view in (made.keys(), made.values(), made.items())
)


def _set(contents: Contents, value: Any) -> Any:
    """Tell a set by its members, and take in their code, in an order that is the same each time."""
    contents.make_room(len(value))
    name = type(value).__name__
    kinds = {*map(type, value)}
    if len(kinds) == 1 and not kinds.isdisjoint(_SORTED):
        return name, sorted(value)
    code, told = contents.code, []
    for member in value:
        contents.code = {}
        told.append((contents.hash_of(member), contents.code))
    told.sort(key=operator.itemgetter(0))
    for _, brought in told:
        code |= brought
    contents.code = code
    return name, [text for text, _ in told]


def _mapping(_: Contents, value: Any) -> Any:
    made = getattr(value, "default_factory", None)
    return type(value).__name__, list(value.items()), made


def _deque(_: Contents, value: Any) -> Any:
    return "deque", list(value), value.maxlen


def _path(_: Contents, value: Any) -> Any:
    return "path", pathlib.PurePath.__str__(value)


def _function(contents: Contents, value: Any) -> Any:
    if not is_own_function(value):
        return contents.of_library(value)
    contents.code[value] = None
    given = value.__defaults__, value.__kwdefaults__, closure_of(value)
    return "function", code_hash(value.__code__), *given


def _built_in(_: Contents, value: Any) -> Any:
    owner = getattr(value, "__self__", None)
    if owner is None or issubclass(type(owner), types.ModuleType):
        return "function", name_of(value)
    return "function", value.__qualname__, owner


def _method(_: Contents, value: Any) -> Any:
    return "method", value.__func__, value.__self__


def _partial(_: Contents, value: Any) -> Any:
    return "partial", value.func, value.args, value.keywords


def _class(contents: Contents, value: Any) -> Any:
    if is_own_class(value):
        contents.code[value] = None
        return "class", value.__qualname__
    return "class", name_of(value)


def _module(_: Contents, value: Any) -> Any:
    return "module", value.__name__, module_hash(value)


def _member(_: Contents, value: Any) -> Any:
    fields = fields_of(value) or {}
    name = fields.get("_name_")
    return "member", type(value), fields.get("_value_") if name is None else name


def _alias(_: Contents, value: Any) -> Any:
    """Tell ``list[int]``, ``int | None`` and the like by what they are made of."""
    origin = typing.get_origin(value)
    return "alias", str(value) if origin is None else origin, typing.get_args(value)


def _view(_: Contents, value: Any) -> Any:
    return type(value).__name__, [*value]


def _shown(_: Contents, value: Any) -> Any:
    """Tell a view of a mapping by the mapping, which is not asked."""
    return type(value).__name__, *gc.get_referents(value)


def _memory(_: Contents, value: Any) -> Any:
    view = memoryview(value)
    return type(value).__name__, view.format, view.shape, view.tobytes()


def _dispatch(_: Contents, value: Any) -> Any:
    return "dispatch", value.dispatcher


def _as_it_is(_: Contents, __: Any) -> Any:
    return None


def _none(contents: Contents, value: Any) -> Any:
    return contents.of_library(value)


#: What tells objects that can change, so that it matters whether two of them are one.
CHANGEABLE: Final[set[Tell]] = {
    _set,
    _mapping,
    _deque,
    _function,
    tables.array,
    tables.table,
}
_known: Final[dict[type, Tell]] = {
    set: _set,
    frozenset: _set,
    **dict.fromkeys((OrderedDict, defaultdict, Counter, ChainMap), _mapping),
    deque: _deque,
    types.FunctionType: _function,
    types.MethodType: _method,
    types.ModuleType: _module,
    functools.partial: _partial,
    functools.partialmethod: _partial,
    functools.singledispatchmethod: _dispatch,
    types.MappingProxyType: _shown,
    **dict.fromkeys(_VIEWS, _view),
    **dict.fromkeys((memoryview, array.array), _memory),
    **dict.fromkeys((types.GenericAlias, types.UnionType), _alias),
    **dict.fromkeys(_BUILT_IN, _built_in),
}


def how(value: Any) -> Tell:
    """Return what tells values of this type."""
    kind = type(value)
    known = _known.get(kind)
    if known is None:
        known = _known[kind] = _found(value, kind)
    return known


def _found(value: Any, kind: type) -> Tell:
    package = library(value)
    found: Tell = _none
    if issubclass(kind, type):
        found = _class
    elif issubclass(kind, enum.Enum):
        found = _member
    elif issubclass(kind, pathlib.PurePath):
        found = _path
    elif is_own_class(kind) or (package in _BY_ATTRIBUTES and not has_hidden_state(kind)):
        found = instances_of(kind, is_own=is_own_class(kind))
        CHANGEABLE.add(found)
    elif package in _BY_VALUE:
        found = _as_it_is
    elif package in FOR_EFFECTS:
        found = lambda _, __: ("for its effects",)  # noqa: E731 - one line
    elif kind.__name__ in _ALONE:
        found = lambda _, one: ("one of", type(one).__qualname__)  # noqa: E731 - the same
    elif package == "typing":
        found = _alias
    elif package == "zoneinfo":
        found = lambda _, zone: ("zone", str(zone))  # noqa: E731 - one line
    else:
        found = tables.how(kind) or _none
    return found

"""What a value holds, as a short text: equal for equal values, in any process.

Small plain values are told as they are, so that a change can be shown; others by a hash of their
content. A value without a content, such as a connection, has none. Nothing of the person's is
called: an instance of a class of theirs counts by its attributes.

The hash is of a pickle that goes nowhere but into XXH3, written without a memo: texts and numbers
may be one object or several. An object that can change, and stands in a value twice, is told as the
one that it is: ``[[0]] * 2`` is not ``[[0], [0]]``. So is memory that two arrays are on. Sets are
told by their members, tables by their columns.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import pathlib
import pickle
import types
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any, Final

import xxhash

from ..model.libraries import library
from ..values.plain import plain
from ..values.types.living import slots_of
from ..values.types.memory import owner_of
from . import tables
from .hashes import code_hash
from .own import is_own_class, is_own_function

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[["Contents", Any], Any]

#: What stands before a text says what it is: a plain value, a hash, or the type of what has none.
PLAIN: Final = "="
HASH: Final = "#"
NONE: Final = "?"
#: Of a value that has no content: which step, or which code, has made it.
ORIGIN: Final = "~"
#: Stands behind a content, before the attempt of a step that has made it.
MADE_BY: Final = "\n"
#: What a name has that nothing is bound to.
UNDEFINED: Final = NONE + "undefined"
#: Of a value that the body itself changes: how it was before says nothing.
BY_ITSELF: Final = NONE + "changed by the step"
_LONGEST: Final = 80
#: Objects in one value: as an argument, and where code reaches it by a name, since each step that
#: does so tells it anew.
MOST_PARTS: Final = 1_000_000
MOST_PARTS_REACHED: Final = 20_000

_SMALL: Final = frozenset({bool, int, float, complex, type(None)})
_ATOMS: Final = frozenset({bool, int, float, complex, type(None), str, bytes, tuple, range, slice})
#: What pickles by value, and can change.
_CONTAINERS: Final = frozenset({list, dict, bytearray})
#: Modules of the standard library of which objects pickle by value.
_BY_VALUE: Final = frozenset({"datetime", "decimal", "fractions", "ipaddress", "re", "uuid"})
_ATOMS_EXTENDED: Final = (str, int, float, bytes)
#: Built-in types that classes extend.
_EXTENDED: Final = (dict, list, tuple, set, frozenset, *_ATOMS_EXTENDED)
_TABLES: Final = (tables.array, tables.table)
_COUNTED: Final = frozenset({list, dict, tuple, set, frozenset})
_BUILT_IN: Final = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)


class NoContentError(Exception):
    """A value, or a part of it, has no content; the message is its type."""


class Contents:
    """Tells values; notes the code that they bring with them.

    Args:
        most_parts: objects in one value; what has more has no content.

    Attributes:
        code: functions and classes of the person's own that were met.
    """

    def __init__(self, most_parts: int = MOST_PARTS) -> None:
        self.most_parts = most_parts
        self.code: dict[Any, None] = {}

    def of(self, value: Any) -> str:
        """Return the text for a value."""
        kind = type(value)
        if kind in _SMALL or (kind is str and len(value) < _LONGEST):
            text = repr(value)
            if len(text) <= _LONGEST:
                return PLAIN + text
        if (kind is dict or kind is list) and (small := plain(value)) and not _repeats(value):
            text = small[0]
            if len(text) <= _LONGEST:
                return PLAIN + text
            return HASH + xxhash.xxh3_64_hexdigest(text.encode())
        try:
            return HASH + self.hash_of(value) + _size_of(value)
        except NoContentError as error:
            return NONE + str(error)
        except Exception:  # noqa: BLE001 - a value that cannot be told must not fail the step
            return NONE + kind.__qualname__

    def hash_of(self, value: Any) -> str:
        """Return the hash of the content of a value.

        Raises:
            NoContentError: it has none.
        """
        return _Pickler(self).hash_of(value)


def shared(values: dict[str, Any]) -> dict[frozenset[str], str]:
    """Return which names share an object that can change, or memory, and what each such group has.

    Names of which the value has no content are left out.
    """
    contents, met = Contents(), {}
    for name, value in values.items():
        pickler = _Pickler(contents)
        with contextlib.suppress(Exception):  # as in Contents.of
            pickler.dump(value)
            met[name] = pickler.met  # held to the end: an id is one object's for as long
    groups: list[set[str]] = []
    for name, ids in met.items():
        near = [group for group in groups if any(not ids.keys().isdisjoint(met[n]) for n in group)]
        groups = [group for group in groups if group not in near]
        groups.append({name}.union(*near))
    return {
        frozenset(group): contents.of(tuple(values[name] for name in sorted(group)))
        for group in groups
        if len(group) > 1
    }


def _size_of(value: Any) -> str:
    """Return how big a table, an array or a container is, for a message about a change."""
    shape = value.shape if tables.how(value) in _TABLES else None
    if shape:
        return " " + " x ".join(map(str, shape))
    return f" {len(value)} items" if type(value) in _COUNTED else ""


def _repeats(value: Any) -> bool:
    """Whether a list or dict stands twice in a value of nothing but lists, dicts and atoms."""
    met: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if id(one) in met:
            return True
        met.add(id(one))
        parts = one.values() if type(one) is dict else one
        waiting += [part for part in parts if type(part) in _CONTAINERS]
    return False


class _Sink:
    """Hashes what is written."""

    def __init__(self) -> None:
        self.hash = xxhash.xxh3_128()

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return len(data)


class _Pickler(pickle.Pickler):
    """Writes one value.

    Attributes:
        contents: takes in the code that is met.
        met: objects that can change, each with its number, and memory of arrays by its negative
            id; held, so that no other object gets the id.
    """

    def __init__(self, contents: Contents) -> None:
        self._sink = _Sink()
        super().__init__(self._sink, 5)
        self.fast = True
        self.contents = contents
        self.met: dict[int, tuple[int, Any]] = {}
        self._left = contents.most_parts

    def hash_of(self, value: Any) -> str:
        """Return the hash of a value."""
        self.dump(value)
        return self._sink.hash.hexdigest()[:20]

    def persistent_id(self, value: Any) -> Any:
        """Return what is hashed in place of *value*; None for what pickles by value."""
        self._left -= 1
        if self._left < 0:
            raise NoContentError(f"value of more than {self.contents.most_parts:,} parts")
        kind = type(value)
        if kind in _ATOMS:
            return None
        if kind in _CONTAINERS:
            return self._again(value)
        tell = _HOW.get(kind)
        if tell is None:
            tell = _how(value)
        if tell in _CHANGEABLE and (again := self._again(value)) is not None:
            return again
        if tell is tables.array:
            return tell(self.contents, value), self._memory_of(value)
        return tell(self.contents, value)

    def _again(self, value: Any) -> tuple[str, int] | None:
        """Return which object this is, if it was met before in this value."""
        met = self.met.get(id(value))
        if met is not None:
            return "again", met[0]
        self.met[id(value)] = len(self.met), value
        return None

    def _memory_of(self, value: Any) -> tuple[str, int, int] | None:
        """Return which array that was met before is on the same memory, and how far off."""
        owner = owner_of(value)
        met = self.met.get(-id(owner))
        place = value.__array_interface__["data"][0]
        if met is None:
            self.met[-id(owner)] = len(self.met), (owner, place)
            return None
        return "memory", met[0], place - met[1][1]


# ---- kinds --------------------------------------------------------------------------------------


def _set(contents: Contents, value: Any) -> Any:
    return type(value).__name__, sorted(map(contents.hash_of, value))


def _mapping(_: Contents, value: Any) -> Any:
    made = getattr(value, "default_factory", None)
    return type(value).__name__, list(value.items()), made


def _deque(_: Contents, value: Any) -> Any:
    return "deque", list(value), value.maxlen


def _path(_: Contents, value: Any) -> Any:
    return "path", str(value)


def _function(contents: Contents, value: Any) -> Any:
    if not is_own_function(value):
        return "function", value.__qualname__
    contents.code[value] = None
    cells = [cell.cell_contents for cell in value.__closure__ or ()]
    return "function", code_hash(value.__code__), value.__defaults__, value.__kwdefaults__, cells


def _built_in(_: Contents, value: Any) -> Any:
    owner = getattr(value, "__self__", None)
    if isinstance(owner, (types.ModuleType, type(None))):
        return "function", value.__qualname__
    return "function", value.__qualname__, owner


def _method(_: Contents, value: Any) -> Any:
    return "method", value.__func__, value.__self__


def _partial(_: Contents, value: Any) -> Any:
    return "partial", value.func, value.args, value.keywords


def _class(contents: Contents, value: Any) -> Any:
    if is_own_class(value):
        contents.code[value] = None
    return "class", value.__qualname__


def _module(_: Contents, value: Any) -> Any:
    return "module", value.__name__


def _member(_: Contents, value: Any) -> Any:
    return "member", type(value), value.name


def _instances_of(kind: type) -> Tell:
    """Return what tells instances of a class of the person's by their attributes."""
    name, slots, extends = kind.__qualname__, slots_of(kind), issubclass(kind, _EXTENDED)

    def instance(contents: Contents, value: Any) -> Any:
        contents.code[kind] = None
        try:
            fields = dict(object.__getattribute__(value, "__dict__"))
        except AttributeError:
            fields = None  # it has slots only
        held = [_slot(value, slot) for slot in slots] if slots else None
        return "object", name, fields, held, _inherited(value) if extends else None

    return instance


def _slot(value: Any, name: str) -> Any:
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return None


def _inherited(value: Any) -> Any:
    """Return what an instance has as a built-in type that its class extends."""
    if isinstance(value, dict):
        return list(dict.items(value))
    if isinstance(value, (list, tuple)):
        return [*value]
    if isinstance(value, (set, frozenset)):
        return set(value)
    bases: tuple[Any, ...] = _ATOMS_EXTENDED
    return next((base(value) for base in bases if isinstance(value, base)), None)


def _as_it_is(_: Contents, __: Any) -> Any:
    return None


def _none(_: Contents, value: Any) -> Any:
    raise NoContentError(f"{library(value)}.{type(value).__qualname__}".removeprefix("builtins."))


#: What tells objects that can change, so that it matters whether two of them are one.
_CHANGEABLE: Final[set[Tell]] = {
    _set,
    _mapping,
    _deque,
    _function,
    tables.array,
    tables.table,
}
_HOW: Final[dict[type, Tell]] = {
    set: _set,
    frozenset: _set,
    **dict.fromkeys((OrderedDict, defaultdict, Counter, ChainMap), _mapping),
    deque: _deque,
    types.FunctionType: _function,
    types.MethodType: _method,
    types.ModuleType: _module,
    functools.partial: _partial,
    **dict.fromkeys(_BUILT_IN, _built_in),
}


def _how(value: Any) -> Tell:
    """Return how values of this type are told."""
    kind = type(value)
    package = library(value)
    found: Tell = _none
    if isinstance(value, type):
        found = _class
    elif isinstance(value, enum.Enum):
        found = _member
    elif isinstance(value, pathlib.PurePath):
        found = _path
    elif is_own_class(kind):
        found = _instances_of(kind)
        _CHANGEABLE.add(found)
    elif package in _BY_VALUE:
        found = _as_it_is
    elif package == "zoneinfo":
        found = lambda _, zone: ("zone", str(zone))  # noqa: E731 - one line
    else:
        found = tables.how(value) or _none
    _HOW[kind] = found
    return found

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
import pickle
import types
from typing import Any, Final

import xxhash

from ..model.libraries import library
from ..values.plain import plain
from ..values.types.memory import owner_of
from . import tables
from .attributes import static
from .behind import own_behind
from .hashes import code_hash, name_of
from .kinds import CHANGEABLE, how
from .trees import tree_of

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
#: Bytes of a tree that may be short as text.
_SHORT_TREE: Final = 1_000
#: Objects in one value: as an argument, and where code reaches it by a name, since each step that
#: does so tells it anew.
MOST_PARTS: Final = 1_000_000
MOST_PARTS_REACHED: Final = 20_000

_SMALL: Final = frozenset({bool, int, float, complex, type(None)})
_ATOMS: Final = frozenset({bool, int, float, complex, type(None), str, bytes, tuple, range, slice})
#: What pickles by value, and can change.
_CONTAINERS: Final = frozenset({list, dict, bytearray})
_TABLES: Final = (tables.array, tables.table)
_COUNTED: Final = frozenset({list, dict, tuple, set, frozenset})


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
        #: The value that is being told, and the type of a part of it that has no content.
        self._value: Any = None
        self._unknown = ""
        #: What tells the value that the one which is being told is a part of.
        self._outer: _Pickler | None = None

    def of(self, value: Any) -> str:
        """Return the text for a value."""
        kind = type(value)
        if kind in _SMALL or (kind is str and len(value) < _LONGEST):
            try:
                text = repr(value)
            except ValueError:  # of an int with thousands of digits
                text = ""
            if 0 < len(text) <= _LONGEST:
                return PLAIN + text
        if kind is dict or kind is list or kind is tuple:
            tree = tree_of(value, self.most_parts)
            if tree is not None:
                small = plain(value) if len(tree) <= _SHORT_TREE else None
                if small is not None and len(small[0]) <= _LONGEST:
                    return PLAIN + small[0]
                return HASH + xxhash.xxh3_128_hexdigest(tree)[:20] + _size_of(value)
        self._value, self._unknown = value, ""
        try:
            told = HASH + self.hash_of(value)
        except NoContentError as error:
            return NONE + str(error)
        except Exception:  # noqa: BLE001 - a value that cannot be told must not fail the step
            return NONE + kind.__qualname__
        return f"{NONE}{self._unknown} {told}" if self._unknown else told + _size_of(value)

    @property
    def knows_a_part(self) -> bool:
        """Whether the value that was told last has content beside what has none."""
        return self._unknown != ""

    def hash_of(self, value: Any) -> str:
        """Return the hash of the content of a value, or of a part of the one that is being told.

        Raises:
            NoContentError: it has none.
        """
        outer = self._outer
        self._outer = pickler = _Pickler(self, outer)
        try:
            return pickler.hash_of(value)
        finally:
            self._outer = outer
            if outer is not None:
                outer.left = pickler.left

    def make_room(self, parts: int) -> None:
        """Refuse a container that is too big before it is looked through.

        Raises:
            NoContentError: it has more parts than the value may still have.
        """
        if self._outer is not None and parts > self._outer.left:
            raise NoContentError(f"value of more than {self.most_parts:,} parts")

    def without(self, name: str) -> tuple[str, ...]:
        """Note that a part of the value has no content, and return what stands for it.

        The rest of the value counts nevertheless: what is known to differ has changed.

        Args:
            name: of its type.
        """
        self._unknown = self._unknown or name
        return ("unknown",)

    def of_library(self, value: Any) -> Any:
        """Return what stands for an object of a library that has no content.

        Raises:
            NoContentError: that is the whole value.
        """
        code = own_behind(value)
        self.code |= dict.fromkeys(code)
        told = [code_hash(part.__code__) for part in code if type(part) is types.FunctionType]
        if told and static(value, "__wrapped__") is not None:
            return "wrapped", told
        if callable(value) and static(value, "__qualname__") is not None:
            return "function", name_of(value)
        name = f"{library(value)}.{type(value).__qualname__}".removeprefix("builtins.")
        if value is self._value and not told:
            raise NoContentError(name)
        return (*self.without(name), told)


def shared(values: dict[str, Any]) -> dict[frozenset[str], str]:
    """Return which names share an object that can change, or memory, and what each such group has.

    Names of which the value has no content are left out.
    """
    contents, met = Contents(), {}
    for name, value in values.items():
        pickler = _Pickler(contents, None)
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
    shape = value.shape if how(value) in _TABLES else None
    if shape:
        return " " + " x ".join(map(str, shape))
    return f" {len(value)} items" if type(value) in _COUNTED else ""


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
        above: the same of each value that this one is a part of.
        left: objects that the value may still have.
    """

    def __init__(self, contents: Contents, outer: _Pickler | None) -> None:
        self._sink = _Sink()
        super().__init__(self._sink, 5)
        self.fast = True
        self.contents = contents
        self.met: dict[int, tuple[int, Any]] = {}
        self.above: tuple[dict[int, tuple[int, Any]], ...] = ()
        self.left = contents.most_parts
        if outer is not None:
            self.above = *outer.above, outer.met
            self.left = outer.left

    def hash_of(self, value: Any) -> str:
        """Return the hash of a value."""
        self.dump(value)
        return self._sink.hash.hexdigest()[:20]

    def persistent_id(self, value: Any) -> Any:
        """Return what is hashed in place of *value*; None for what pickles by value."""
        self.left -= 1
        if self.left < 0:
            raise NoContentError(f"value of more than {self.contents.most_parts:,} parts")
        kind = type(value)
        if kind in _ATOMS:
            return None
        if kind in _CONTAINERS:
            return self._again(value)
        tell = how(value)
        if tell in CHANGEABLE and (again := self._again(value)) is not None:
            return again
        if tell is tables.array:
            return tell(self.contents, value), self._memory_of(value)
        return tell(self.contents, value)

    def _again(self, value: Any) -> tuple[Any, ...] | None:
        """Return which object this is, if it was met before in this value."""
        met = self.met.get(id(value))
        if met is not None:
            return "again", met[0]
        for level, above in enumerate(self.above):
            met = above.get(id(value))
            if met is not None:
                return "above", level, met[0]
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

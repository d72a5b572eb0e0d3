"""Arguments that a body changes: a replay does not change them again, so the person is told.

A help, not a proof. Small arguments are compared whole, of large ones the outline and a sample;
objects without attributes, such as connections, are not compared. Nothing of a class is called.
"""

from __future__ import annotations

import functools
import inspect
import types
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from ..errors import StepbookWarning
from ..model.libraries import OF_THE_MOMENT
from .attempt import shorten

if TYPE_CHECKING:
    from collections.abc import Callable

    from .opened import OpenRun

#: So many parts, and bytes of arrays, are compared whole.
_MOST_PARTS: Final = 1000
_MOST_BYTES: Final = 1 << 20
#: Of larger arrays so many pieces, evenly spread, of so many bytes.
_PIECES: Final = 64
_PIECE: Final = 1 << 10

_ATOMS: Final = frozenset(
    {
        str,
        int,
        float,
        complex,
        bool,
        type(None),
        bytes,
        range,
        slice,
        type,
        types.FunctionType,
        types.BuiltinFunctionType,
        types.ModuleType,
    }
)
#: Of their objects nothing is compared: beside those of the moment, what is fixed or a connection.
_NOT_COMPARED: Final = OF_THE_MOMENT | frozenset(
    """
    urllib http io _io boto3 botocore pathlib datetime decimal uuid re enum functools unittest
    """.split()
)
_ITERATORS: Final = frozenset(map(type, ([].__iter__(), ().__iter__(), {}.__iter__(), iter(""))))

_CONTAINERS: Final = frozenset({dict, list, tuple, set, frozenset, deque})

Look = list[tuple[str | int, Any, Any]]


class _Same:
    """An object, equal to itself alone; kept, so that no other one gets its place."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    __hash__ = None  # type: ignore[assignment]


def look(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Look | None:
    """Return what a body may change, and how it looks; None if there is nothing of the kind."""
    fn, args, kwargs = unwrapped(fn, args, kwargs)
    found: Look = []
    owner = getattr(fn, "__self__", None)
    if type(owner) not in _ATOMS:
        found.append(("", owner, _outline(owner)))
    for place, value in enumerate(args):
        if type(value) not in _ATOMS:
            found.append((place, value, _outline(value)))
    for name, value in kwargs.items():
        if type(value) not in _ATOMS:
            found.append((name, value, _outline(value)))
    return found or None


def unwrapped(
    fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Return the function and the arguments of a call through ``functools.partial``."""
    while isinstance(fn, functools.partial):
        fn, args, kwargs = fn.func, (*fn.args, *args), {**fn.keywords, **kwargs}
    return fn, args, kwargs


def _outline(value: Any) -> Any:
    try:
        return _Looking().at(value)
    except Exception:  # noqa: BLE001 - whatever it is, a help does not fail a step
        return None


class _Looking:
    """One look at one argument, as far as it goes."""

    __slots__ = ("bytes", "parts", "seen")

    def __init__(self) -> None:
        self.parts, self.bytes = _MOST_PARTS, _MOST_BYTES
        self.seen: set[int] = set()

    def at(self, value: Any) -> Any:  # noqa: PLR0911 - one for each kind
        """Return what is equal as long as *value* is the same."""
        kind = type(value)
        if id(value) in self.seen:
            return _Same(value)
        self.seen.add(id(value))
        if kind in _CONTAINERS:
            self.parts -= len(value)
            if self.parts < 0:  # of many only how many there are
                return len(value)
            return self._items([*value, *value.values()] if kind is dict else list(value))
        if kind is bytearray:
            return self._buffer(memoryview(value))
        if kind in _ITERATORS:
            return value.__length_hint__()
        if kind is types.GeneratorType:
            return None if value.gi_frame is None else value.gi_frame.f_lasti
        return self._object(value, kind)

    def _items(self, items: list[Any]) -> list[Any]:
        if _ATOMS.issuperset(map(type, items)):
            return items
        return [one if type(one) in _ATOMS else [_Same(one), self.at(one)] for one in items]

    def _object(self, value: Any, kind: type) -> Any:
        library = str(kind.__module__).partition(".")[0]
        if library in _NOT_COMPARED:
            return None
        if library == "numpy" and hasattr(kind, "__array_interface__"):
            return self._array(value)
        if library == "pandas":
            return self._table(value)
        try:
            own = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return None
        self.parts -= len(own)
        if type(own) is not dict or self.parts < 0:
            return None
        # What is private may be a count or a cache.
        shown = {name: one for name, one in own.items() if not str(name).startswith("_")}
        return self._items([*shown, *shown.values()])

    def _array(self, array: Any) -> Any:
        if array.dtype.hasobject:
            few = self._items(list(array.flat)) if array.size < self.parts else None
            return [array.shape, few]
        try:
            flat = array.reshape(-1).view("u1")
        except ValueError:
            return array.shape
        return [array.shape, array.dtype.str, self._buffer(memoryview(flat))]

    def _buffer(self, content: memoryview) -> Any:
        from xxhash import xxh3_64_intdigest  # noqa: PLC0415 - where there are arrays

        size = len(content)
        self.bytes -= size
        if self.bytes >= 0:
            return size, xxh3_64_intdigest(content)
        stride = max(1, size // _PIECES)
        pieces = [content[at : at + _PIECE] for at in range(0, size, stride)]
        return size, [xxh3_64_intdigest(piece) for piece in pieces]

    def _table(self, value: Any) -> Any:
        manager = getattr(value, "_mgr", None)
        if manager is None:
            return None
        axes = [_Same(axis) for axis in manager.axes]
        return [axes, [self._column(values) for values in manager.arrays]]

    def _column(self, values: Any) -> Any:
        if hasattr(values, "__array_interface__"):
            return self._array(values)
        inner = [getattr(values, name, None) for name in ("_ndarray", "_data", "_mask")]
        found = [self._array(one) for one in inner if hasattr(one, "__array_interface__")]
        return [_Same(getattr(values, "_pa_array", None)), found]


def warn(run: OpenRun, name: str, fn: Any, before: Look, value: Any) -> None:
    """Warn of what a body has changed, once for each function, unless it returned it."""
    found = [(place, given) for place, given, was in before if not _is_same(was, _outline(given))]
    if not found:
        return
    returned = [value]
    if type(value) in (list, tuple):
        returned += value
    elif type(value) is dict:
        returned += value.values()
    changed = [one for one in found if not any(one[1] is kept for kept in returned)]
    if not changed:
        return
    fn, _, _ = unwrapped(fn, (), {})
    about = getattr(fn, "__qualname__", type(fn).__qualname__), *(place for place, _ in changed)
    if about in run.told:
        return
    run.told.add(about)
    names = " and ".join(_named(fn, place, given) for place, given in changed)
    warnings.warn(
        f"stepbook: the step {shorten(name)} has changed {names}. A replay gives what the step "
        "returned and changes nothing, so the code after it would see it as it was before. Have "
        f"the body return it, and go on with what run.do({shorten(name)}, ...) gives.",
        StepbookWarning,
        stacklevel=5,
    )


def _is_same(before: Any, after: Any) -> bool:
    try:
        return bool(before == after)
    except Exception:  # noqa: BLE001 - as above
        return True


def _named(fn: Callable[..., Any], place: str | int, value: Any) -> str:
    """Return words for an argument."""
    kind = type(value).__name__
    if place == "":
        return f"the {kind} of which {getattr(fn, '__name__', 'it')} is a method"
    if isinstance(place, int):
        try:
            parameters = list(inspect.signature(fn).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        named = [p.name for p in parameters if p.kind <= p.POSITIONAL_OR_KEYWORD]
        place = named[place] if place < len(named) else f"number {place + 1}"
    return f"its argument {place} ({kind})"

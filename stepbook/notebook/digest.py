"""What an object graph looks like, quickly: a digest, and the identities in it.

The digest is of a pickle that goes nowhere but into a hash; nothing is ever unpickled. It says
whether a graph may have changed in this process, and is free to say so without cause: equal graphs
can differ, a changed one never looks the same. The state of an object of unknown kind is asked for
as pickle asks; one that has none counts by its identity.
"""

from __future__ import annotations

import array
import functools
import gc
import io
import itertools
import pickle
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any, Final

import xxhash

from ..model.libraries import OF_THE_MOMENT, library
from ..system.interrupts import in_thread
from ..values.types.living import slots_of
from ..values.types.memory import exporter, memory_of, owner_of, parts_of
from ..values.types.tables import notes_of
from .effects import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable

#: What arrays are made on, beside arrays.
_BUFFERS: Final = (bytearray, array.array)
_ALIKE: Final = (str, bytes, int, float, complex, bool, type(None), tuple, frozenset, range, slice)
_LIBRARY_KINDS: Final = (
    types.BuiltinFunctionType,
    types.ModuleType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.ClassMethodDescriptorType,
)
_SURE: Final = frozenset({list, dict, set, types.CellType})
_NEVER: Final = frozenset({*_ALIKE, *_LIBRARY_KINDS, type})
_VIEWS: Final[tuple[type, ...]] = (
    *(type({}.keys()), type({}.values()), type({}.items())),
    types.MappingProxyType,
)
_DESCRIPTORS: Final = (property, staticmethod, classmethod)
#: Values that do not change, of libraries: sharing one is not noticed.
_FIXED_MODULES: Final = frozenset(
    {
        "datetime",
        "decimal",
        "_decimal",
        "fractions",
        "uuid",
        "pathlib",
        "zoneinfo",
        "dateutil",
        "pytz",
        "re",
        "enum",
    }
)


def _stand(*_: Any) -> None:
    """Stand for the kind of an object in a pickle that nobody reads."""


class Look:
    """What a graph looks like.

    Attributes:
        digest: of its content and its inner sharing; None if it could not be told.
        ids: the objects and memory in it that can change, by identity.
        lent: memory that pandas shares by copying on write.
        names: global names that functions in it use.
        everything: whether a function in it reaches every name.
        views: for each owner of memory how many arrays use it, itself included; also for what
            tables are made on, such as an index, how often something else holds it.
        tables: what tables use of these.
    """

    __slots__ = ("digest", "everything", "ids", "lent", "names", "tables", "views")

    def __init__(self) -> None:
        self.digest: bytes | None = None
        self.ids: frozenset[int] = frozenset()
        self.lent: frozenset[int] = frozenset()
        self.names: set[str] = set()
        self.everything = False
        self.views: dict[int, int] = {}
        self.tables: set[int] = set()

    @property
    def shared_memory(self) -> set[int]:
        """The owners of memory that an array shares with another one, or with a table."""
        return {o for o, n in self.views.items() if n > 1 or o in self.tables}


class _Sink:
    """Hashes what is written."""

    __slots__ = ("hash", "write")

    def __init__(self) -> None:
        self.hash = xxhash.xxh3_128()
        self.write = self.hash.update


class _Pickler(pickle.Pickler):
    def __init__(self, sink: _Sink, look: Look, is_own: Callable[[Any], bool]) -> None:
        super().__init__(sink, 5, buffer_callback=self._buffer)
        self._sink = sink
        self._look = look
        self._is_own = is_own
        self._numpy: Any = sys.modules.get("numpy")
        self._pandas: Any = sys.modules.get("pandas")
        self.owners: set[int] = set()
        self.lent: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._contents: dict[int, int] = {}
        self.keep: list[Any] = []
        self.passing: set[int] = set()

    def _buffer(self, buffer: pickle.PickleBuffer) -> bool:
        try:
            self._sink.hash.update(buffer.raw())
        except BufferError:
            self._sink.hash.update(bytes(memoryview(buffer)))
        return False

    def _atom(self, value: Any) -> Any:
        self.keep.append(value)
        return _stand, (id(value),)

    def reducer_override(self, value: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - one for each kind
        kind = type(value)
        if value is _stand:
            return NotImplemented
        if kind is types.FunctionType:
            return self._function(value)
        if kind is types.CellType:
            try:
                return _stand, ("cell",), (value.cell_contents,)
            except ValueError:
                return _stand, ("cell",)
        if kind in _LIBRARY_KINDS:
            owner = getattr(value, "__self__", None)
            if owner is not None and not isinstance(owner, (types.ModuleType, type)):
                return _stand, (value.__name__,), (owner,)
            return self._atom(value)
        if kind is types.MethodType:
            return _stand, ("method",), (value.__self__, value.__func__)
        if isinstance(value, type):
            return self._class(value)
        if kind is memoryview:
            return self._memoryview(value)
        if kind in _DESCRIPTORS:
            return _stand, (kind.__name__,), (_function_behind(value),)
        if self._numpy is not None:
            if isinstance(value, self._numpy.ndarray):
                return self._array(value)
            if isinstance(value, self._numpy.void) and value.base is not None:
                number = self._held(owner_of(value.base))
                return _stand, (str(value.dtype), number, value.tobytes())
            if isinstance(value, self._numpy.flatiter):
                return _stand, ("flat", value.index), (value.base,)
        package = library(value)
        if package == "pandas":
            reduced = self._of_pandas(value)
            if reduced is not None:
                return reduced
        if kind in _VIEWS:
            return _stand, (kind.__name__,), tuple(gc.get_referents(value))
        if kind is types.GeneratorType:
            frame = value.gi_frame
            if frame is None:
                return _stand, ("generator", id(value))
            return _stand, ("generator", id(value), frame.f_lasti), tuple(frame.f_locals.items())
        if isinstance(value, io.IOBase) and kind not in (io.BytesIO, io.StringIO):
            try:
                return _stand, ("file", id(value), value.tell())
            except (OSError, ValueError):
                return _stand, ("file", id(value), value.closed)
        if issubclass(kind, weakref.ref):  # it belongs together with what it refers to
            return _stand, ("weak", id(value)), (value(),)
        if package in OF_THE_MOMENT:
            return self._atom(value)
        if self._is_own(kind):
            fields = getattr(value, "__dict__", None)
            slots = tuple(getattr(value, name, None) for name in slots_of(kind))
            # What the class itself has counts with the name of the class.
            self._look.names.add(kind.__name__)
            return _stand, (kind.__qualname__, id(kind)), (fields, slots, _content(value))
        if isinstance(value, BaseException):
            return _stand, (kind,), (value.args, value.__dict__)
        return self._reduced(value)

    def _reduced(self, value: Any) -> Any:
        """Return the state of an object as pickle gets it; its identity if it has none."""
        try:
            reduced = value.__reduce_ex__(5)
        except Exception:  # noqa: BLE001 - whatever it raises: it cannot be pickled
            reduced = None
        if not isinstance(reduced, tuple):
            wrapped = getattr(value, "__wrapped__", None)
            if isinstance(wrapped, types.FunctionType) and self._is_own(wrapped):
                # What a decorator in C has made, and what it keeps: functools.lru_cache.
                self.keep.append(value)
                return _stand, (id(value),), tuple(gc.get_referents(value))
            return self._atom(value)
        make, args, *rest = reduced
        state = rest[0] if rest else None
        items = tuple(rest[1]) if len(rest) > 1 and rest[1] is not None else ()
        pairs = tuple(rest[2]) if len(rest) > 2 and rest[2] is not None else ()  # noqa: PLR2004
        for part in (state, *args, *(state if isinstance(state, tuple) else ())):
            # Nobody holds it but this state: made for the pickle, and gone after it.
            if isinstance(part, (dict, list, set)) and sys.getrefcount(part) <= _PASSING:
                self.passing.add(id(part))
        name = getattr(make, "__qualname__", "")
        return _stand, (type(value), name), (args, state, items, pairs)

    def _function(self, value: types.FunctionType) -> Any:
        if not self._is_own(value):
            # A decorator of a library: what it wraps is the person's.
            wrapped = getattr(value, "__wrapped__", None)
            if wrapped is None and not value.__closure__:
                return self._atom(value)
            return _stand, (id(value),), (wrapped, value.__closure__, value.__dict__)
        names = names_in(value.__code__)
        self._look.names |= names
        self._look.everything |= not names.isdisjoint(EVERYTHING)
        state = (
            value.__defaults__,
            value.__kwdefaults__,
            value.__closure__,
            value.__dict__ or None,
        )
        return _stand, (_number(value.__code__),), state

    def _class(self, value: type) -> Any:
        if not self._is_own(value):
            return self._atom(value)
        self._look.names.add(value.__name__)
        state = tuple(
            (name, _function_behind(item))
            for name, item in vars(value).items()
            if name not in _CLASS_NOISE
        )
        return _stand, (value.__qualname__,), (id(value), value.__bases__, state)

    def _held(self, owner: Any) -> int:
        """Note that something is on memory; return the memory's number in this graph.

        So a graph looks otherwise when something is on other memory, however equal.
        """
        self.owners.add(id(owner))
        self.keep.append(owner)
        views = self._look.views
        # A buffer that is none of NumPy's may be held by a name, too.
        views[id(owner)] = views.get(id(owner), int(type(owner) in _BUFFERS)) + 1
        return self._numbers.setdefault(id(owner), len(self._numbers))

    def _lent(self, thing: Any) -> None:
        """Note that a table uses memory, an index or an array of pandas."""
        self.lent.add(id(thing))
        self.keep.append(thing)
        self._look.tables.add(id(thing))

    def _memoryview(self, value: memoryview) -> Any:
        try:
            of = exporter(value)
            facts = (value.format, value.shape, value.strides)
        except ValueError:  # it was released
            return self._atom(value)
        return _stand, ("memoryview", *facts, self._held(owner_of(of))), (of,)

    def _array(self, value: Any) -> Any:
        self.owners.add(id(value))
        number = self._held(owner_of(value))
        facts = (str(value.dtype), value.shape, value.flags.writeable, type(value), number)
        # A subclass may do something else when it is looked at.
        plain = self._numpy.ndarray.view(value, self._numpy.ndarray)
        if plain.dtype.hasobject:
            return _stand, facts, (_objects(plain), _extra(value))
        return _stand, (*facts, *_parts_of(plain)), _extra(value)

    def _of_pandas(self, value: Any) -> Any:
        pandas = self._pandas
        if pandas is None:
            return None
        if isinstance(value, (pandas.DataFrame, pandas.Series)):
            manager = value._mgr  # noqa: SLF001 - a pickle of a small frame costs ten times that
            blocks = tuple(
                (self._block(block.values), block.mgr_locs.as_array.tobytes())
                for block in manager.blocks
            )
            axes = tuple(map(self._axis, manager.axes))
            labels = getattr(value, "_name", None), axes, notes_of(value)
            facts = (type(value), *labels, value.attrs, value.flags.allows_duplicate_labels)
            return _stand, ("pandas",), (blocks, facts)
        if isinstance(value, pandas.Index):
            number = self._held(value)
            for part in memory_of(value):
                self._lent(owner_of(part))
            return _stand, ("index", number), (self._labels(value), notes_of(value))
        if isinstance(value, pandas.api.extensions.ExtensionArray):
            numbers = [self._held(value)]
            numbers += [self._held(owner_of(part)) for part in memory_of(value)]
            return _stand, ("extension", *numbers), (self._content_of(value),)
        return None

    def _block(self, values: Any) -> Any:
        """Return the content of columns of one dtype; their memory is pandas' own affair."""
        if isinstance(values, self._numpy.ndarray):  # most are
            self._lent(owner_of(values))
        else:
            self._lent(values)
            for part in memory_of(values):
                self._lent(owner_of(part))
        return self._content_of(values)

    def _axis(self, index: Any) -> Any:
        """Return the content of an index of a table; itself it is pandas' own affair."""
        self._lent(index)
        if type(index) is not self._pandas.RangeIndex:
            for part in memory_of(index):
                self._lent(owner_of(part))
        return self._labels(index)

    def _labels(self, index: Any) -> Any:
        """Return the content of an index."""
        kind = type(index)
        if kind is self._pandas.RangeIndex:
            return kind, index.start, index.stop, index.step, index.name
        if kind is self._pandas.MultiIndex:
            levels = tuple(map(self._labels, index.levels))
            return kind, levels, tuple(map(self._content_of, index.codes)), tuple(index.names)
        freq = getattr(index, "freqstr", None)
        return kind, freq, self._content_of(index._values), index.name  # noqa: SLF001

    def _dtype(self, dtype: Any) -> Any:
        """Return what tells a dtype; the name of a categorical one says nothing of it."""
        categories = getattr(dtype, "categories", None)
        if categories is None:
            return str(dtype)
        return str(dtype), self._labels(categories), dtype.ordered

    def _content_of(self, values: Any) -> Any:
        """Return what an array of NumPy or pandas holds, whoever else is on its memory."""
        facts = (type(values), self._dtype(values.dtype), values.shape)
        if isinstance(values, self._numpy.ndarray):
            inner = _objects(values) if values.dtype.hasobject else _parts_of(values)
            return (*facts, inner)
        # Tables that are parts of each other have the same ones; each of them once.
        if id(values) in self._contents:
            return (*facts, self._contents[id(values)])
        self._contents[id(values)] = len(self._contents)
        self.keep.append(values)
        parts = parts_of(values)
        if parts is None:
            return (*facts, self._reduced(values))  # by its own pickle
        freq = getattr(values, "_freq", None)
        return (*facts, freq, *map(self._content_of, parts.values()))


#: References to what was made for a pickle: the state, the loop's tuple and name, and the call.
_PASSING: Final = 5
_CLASS_NOISE: Final = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "_abc_impl", "__abstractmethods__"}
)


def _objects(values: Any) -> tuple[Any, ...]:
    return tuple(values.ravel(order="K").tolist())


def _function_behind(item: Any) -> Any:
    if isinstance(item, (staticmethod, classmethod)):
        return item.__func__
    if isinstance(item, property):
        return (item.fget, item.fset, item.fdel)
    return item


def _content(value: Any) -> Any:
    """Return what an instance has as a built-in type that its class extends."""
    if isinstance(value, dict):
        return tuple(value.items())
    if isinstance(value, list | set | tuple | frozenset):
        return tuple(value)
    bases: tuple[Any, ...] = (str, int, float, bytes)
    return next((base(value) for base in bases if isinstance(value, base)), None)


def _extra(value: Any) -> Any:
    """Return what a subclass of arrays has beside its numbers."""
    fields = getattr(value, "__dict__", None)
    mask = getattr(value, "_mask", None)
    return (mask, fields) if fields or mask is not None else None


def _parts_of(value: Any) -> tuple[Any, ...]:
    """Return the digest of an array's memory, with the order of it."""
    flags = value.flags
    if flags.c_contiguous or flags.f_contiguous:
        order = "C" if flags.c_contiguous else "F"
        flat = value.ravel(order="K")
        return order, xxhash.xxh3_128_digest(flat.view("u1") if flat.size else b"")
    hashed = xxhash.xxh3_128()
    rows = max(1, (1 << 20) // max(1, value[:1].nbytes)) if value.ndim else 1
    if value.ndim == 0:
        hashed.update(value.tobytes())
    else:
        for start in range(0, len(value), rows):
            hashed.update(value[start : start + rows].tobytes())
    return "strided", hashed.digest()


def names_in(code: types.CodeType) -> set[str]:
    """Return the names that a function, and those in it, look up beside their own."""
    found = set(code.co_names)
    waiting = [code]
    while waiting:
        for part in waiting.pop().co_consts:
            if isinstance(part, types.CodeType):
                found.update(part.co_names)
                waiting.append(part)
    return found


_fresh: Final = itertools.count()


@functools.lru_cache(maxsize=4096)
def _number(_: types.CodeType) -> int:
    """Return a number for a function's code, the same for equal code.

    Its hash says less: Python 3.11 leaves the instructions out.
    """
    return next(_fresh)


def look(value: Any, is_own: Callable[[Any], bool]) -> Look:
    """Return what a graph looks like.

    Args:
        value: its root.
        is_own: whether a function or class was written by the person.
    """
    found = Look()
    try:
        _look(value, found, is_own)
    except RecursionError:
        try:
            in_thread(lambda: _look(value, found, is_own))
        except Exception:  # noqa: BLE001 - see below
            found.digest = None
    except Exception:  # noqa: BLE001 - code of the person's own is asked for state: it may do anything
        found.digest = None
    if found.digest is None:
        # Not known, so never the same as before.
        found.digest = b"unknown %d" % next(_fresh)
        found.ids |= {id(value)}
    return found


def _look(value: Any, found: Look, is_own: Callable[[Any], bool]) -> None:
    # A million small tuples make the collector of garbage run again and again: eight times slower.
    collecting = gc.isenabled()
    gc.disable()
    try:
        _take(value, found, is_own)
    finally:
        if collecting:
            gc.enable()


def _take(value: Any, found: Look, is_own: Callable[[Any], bool]) -> None:
    sink = _Sink()
    pickler = _Pickler(sink, found, is_own)
    pickler.dump(value)
    found.digest = sink.hash.digest()
    passing = pickler.passing
    ids = {
        key
        for key, (_, item) in pickler.memo.copy().items()
        if key not in passing
        and (type(item) in _SURE or (type(item) not in _NEVER and _can_change(item)))
    }
    found.ids = frozenset(ids | pickler.owners)
    found.lent = frozenset(pickler.lent)


def _can_change(item: Any) -> bool:
    if isinstance(item, type):
        return False
    if type(item) is types.FunctionType:
        return bool(item.__module__ == "__main__")
    module = library(item)
    if module in _FIXED_MODULES or module in OF_THE_MOMENT:
        return False
    if module == "numpy":
        # Scalars and dtypes have the first; universal functions are called.
        return not hasattr(item, "newbyteorder") and not callable(item)
    if module == "pandas":
        return hasattr(item, "_mgr")
    return module != "pyarrow"

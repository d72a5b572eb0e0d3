"""A deep description of variables: values, types, and which objects and memory they share.

It is the same text for what nobody can tell apart, whatever the addresses and orders of hashes. A
mutable object is written out where it is first reached; later it is named by that path.
"""

from __future__ import annotations

import collections
import functools
import itertools
import random
import re
import types
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

DEEPEST = 14
_PLAIN: Final = (int, float, complex, str, bytes, bool, type(None), type(...), range, slice)
_WALKED_ITERATORS: Final = (
    type(iter([])),
    type(iter(())),
    type(iter({})),
    type(iter(range(0))),
    type(reversed([])),
    enumerate,
    zip,
    map,
    filter,
    itertools.count,
    itertools.cycle,
    itertools.chain,
    itertools.islice,
)


def describer(names: dict[str, Any]) -> Callable[..., str]:
    """Return ``describe`` for a namespace: one line for each of the names it is given."""

    def describe(*wanted: str) -> str:
        walker = _Walker(names)
        lines = []
        for name in wanted:
            text = walker.walk(names[name], name, 0) if name in names else "undefined"
            lines.append(f"{name} = {text}".replace("\n", "\\n"))
        return "\n".join(lines)

    return describe


class _Walker:
    """Describes the objects of one namespace.

    Args:
        names: the namespace.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._paths: dict[int, str] = {}
        self._alive: list[Any] = []  # an address must not be given away while it stands for a path
        self._arrays: list[tuple[str, Any]] = []

    def walk(self, value: Any, path: str, depth: int) -> str:
        """Return the text of a value that is reached by a path."""
        kind = type(value)
        if kind.__name__ == "NotStored":
            return "!NotStoredError on use"
        if kind in _PLAIN:
            return f"{kind.__name__} {value!r}" if kind is not int else repr(value)
        if depth > DEEPEST:
            return "..."
        if kind is tuple:
            return f"({self._all(value, path, depth)})"
        if id(value) in self._paths:
            return f"<{self._paths[id(value)]}>"
        self._paths[id(value)] = path
        self._alive.append(value)
        return self._written(value, path, depth + 1)

    def _all(self, values: Any, path: str, depth: int) -> str:
        texts = [self.walk(value, f"{path}[{n}]", depth) for n, value in enumerate(values)]
        return ", ".join(texts)

    def _pairs(self, pairs: Any, path: str, depth: int) -> str:
        texts = []
        for key, value in pairs:
            shown = self.walk(key, f"{path}.key", depth)
            texts.append(f"{shown}: {self.walk(value, f'{path}[{shown}]', depth)}")
        return ", ".join(texts)

    def _written(self, value: Any, path: str, depth: int) -> str:
        kind = type(value)
        for test, write in self._WRITERS:
            if isinstance(value, test):
                return f"{_name(kind)} {write(self, value, path, depth)}"
        library = kind.__module__.partition(".")[0]
        if library in ("numpy", "pandas"):
            return f"{_name(kind)} {self._of_library(value, path, depth)}"
        if isinstance(value, kind) and hasattr(kind, "__dict__") and self._state(value):
            own = self._own(kind)
            return f"{own} {{{self._pairs(sorted(self._state(value).items()), path, depth)}}}"
        shown = re.sub(r"0x[0-9a-f]+", "0x", repr(value))
        return f"{self._own(kind)} {shown}"

    def _own(self, kind: type) -> str:
        """Return the name of a class; whether it is the notebook's of now, if it is one of its."""
        if kind.__module__ != "__main__":
            return _name(kind)
        now = self._names.get(kind.__name__) is kind
        return f"{kind.__name__}" + ("" if now else " of another definition")

    @staticmethod
    def _state(value: Any) -> dict[str, Any]:
        state = dict(getattr(value, "__dict__", {}))
        for base in type(value).__mro__:
            slots = base.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, slot) and slot not in ("__dict__", "__weakref__"):
                    state[slot] = getattr(value, slot)
        return {key: held for key, held in state.items() if not key.startswith("_repr_")}

    def _of_library(self, value: Any, path: str, depth: int) -> str:
        import numpy as np  # noqa: PLC0415 - prepared processes have it
        import pandas as pd  # noqa: PLC0415 - the same

        if isinstance(value, np.ndarray):
            shared = [p for p, other in self._arrays if np.shares_memory(other, value)]
            self._arrays.append((path, value))
            writes = "" if value.flags.writeable else " read-only"
            held = (
                self._all(value.ravel().tolist(), path, depth)
                if value.dtype.hasobject
                else repr(value.tolist())
            )
            memory = f" on {shared}" if shared else ""
            return f"{value.dtype}{value.shape}{writes}{memory} {held}"
        if isinstance(value, np.random.Generator):
            seeds = getattr(value.bit_generator, "seed_seq", None)
            spawned = getattr(seeds, "n_children_spawned", None)
            return f"{self.walk(value.bit_generator, f'{path}.bits', depth)} spawned {spawned}"
        if isinstance(value, (np.random.BitGenerator, np.random.RandomState)):
            return _digest(value.state if hasattr(value, "state") else value.get_state())
        if isinstance(value, pd.DataFrame):
            columns = [
                f"{value.columns[n]!r}: {self._column(value.iloc[:, n], path, depth)}"
                for n in range(value.shape[1])
            ]
            index = self._column(value.index, path, depth)
            of = f"columns named {list(value.columns.names)} attrs {value.attrs!r}"
            return f"[{'; '.join(columns)}] index {index} {of}"
        if isinstance(value, (pd.Series, pd.Index)):
            rest = ""
            if isinstance(value, pd.Series):
                rest = f" index {self._column(value.index, path, depth)} attrs {value.attrs!r}"
            return self._column(value, path, depth) + rest
        return re.sub(r"0x[0-9a-f]+", "0x", repr(value))

    def _column(self, values: Any, path: str, depth: int) -> str:
        held = list(values)
        text = self._all(held, path, depth) if values.dtype == object else repr(held)
        return f"{values.dtype!r} {getattr(values, 'names', None) or values.name!r} {text}"

    # ---- of each type ---------------------------------------------------------------------------

    def _sequence(self, value: Any, path: str, depth: int) -> str:
        rest = f" maxlen {value.maxlen}" if isinstance(value, collections.deque) else ""
        return f"[{self._all(list(value), path, depth)}]{rest}{self._extra(value, path, depth)}"

    def _mapping(self, value: Any, path: str, depth: int) -> str:
        rest = ""
        if isinstance(value, collections.defaultdict):
            rest = f" default {self.walk(value.default_factory, f'{path}.default', depth)}"
        pairs = self._pairs(list(value.items()), path, depth)
        return f"{{{pairs}}}{rest}{self._extra(value, path, depth)}"

    def _members(self, value: Any, path: str, depth: int) -> str:
        return f"{{{', '.join(sorted(self.walk(v, f'{path}.in', depth) for v in value))}}}"

    def _extra(self, value: Any, path: str, depth: int) -> str:
        """Return the attributes that an instance of a subclass has beside its elements."""
        state = getattr(value, "__dict__", None)
        return f" with {{{self._pairs(sorted(state.items()), path, depth)}}}" if state else ""

    def _function(self, value: Any, path: str, depth: int) -> str:
        closure = [_content(cell) for cell in value.__closure__ or ()]
        parts = {
            "defaults": value.__defaults__,
            "keywords": tuple(sorted((value.__kwdefaults__ or {}).items())),
            "closure": tuple(closure),
            "attributes": tuple(sorted(value.__dict__.items())),
        }
        texts = [f"{k} {self.walk(v, f'{path}.{k}', depth)}" for k, v in parts.items() if v]
        home = "" if value.__module__ != "__main__" or value.__globals__ is self._names else " away"
        return f"{value.__qualname__}{home} {_code(value.__code__)} {' '.join(texts)}"

    def _class(self, value: Any, path: str, depth: int) -> str:
        if value.__module__ != "__main__":
            return _name(value)
        held = {
            key: v
            for key, v in vars(value).items()
            if not (key.startswith("__") and key.endswith("__")) and not key.startswith("_abc_")
        }
        bases = ", ".join(self._own(base) for base in value.__bases__)
        return f"{self._own(value)}({bases}) {{{self._pairs(sorted(held.items()), path, depth)}}}"

    def _wrapped(self, value: Any, path: str, depth: int) -> str:
        inner = value.fget if isinstance(value, property) else value.__func__
        return self.walk(inner, f"{path}.function", depth)

    def _method(self, value: Any, path: str, depth: int) -> str:
        return f"{value.__func__.__name__} of {self.walk(value.__self__, f'{path}.self', depth)}"

    def _partial(self, value: Any, path: str, depth: int) -> str:
        parts = value.func, value.args, tuple(sorted(value.keywords.items()))
        return self.walk(parts, path, depth)

    def _generator(self, value: Any, path: str, depth: int) -> str:
        frame = value.gi_frame
        if frame is None:
            return f"{value.__name__} exhausted"
        local = self._pairs(sorted(frame.f_locals.items()), path, depth)
        return f"{value.__name__} at {frame.f_lasti} {{{local}}}"

    def _iterator(self, value: Any, path: str, depth: int) -> str:
        reduced = value.__reduce__()
        return self.walk(tuple(reduced[1:]), path, depth)

    def _chance(self, value: random.Random, _path: str, _depth: int) -> str:
        return _digest(value.getstate())

    def _module(self, value: types.ModuleType, _path: str, _depth: int) -> str:
        return value.__name__

    _WRITERS: Final = (
        ((list, collections.deque), _sequence),
        (dict, _mapping),
        ((set, frozenset), _members),
        (types.FunctionType, _function),
        (type, _class),
        ((staticmethod, classmethod, property), _wrapped),
        (types.MethodType, _method),
        (functools.partial, _partial),
        (types.GeneratorType, _generator),
        (_WALKED_ITERATORS, _iterator),
        (random.Random, _chance),
        (types.ModuleType, _module),
    )


def _name(kind: type) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "nothing yet"


def _code(code: types.CodeType) -> str:
    """Return what a function's code is, without where it stands."""
    constants = [_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return _digest((code.co_code.hex(), code.co_names, code.co_varnames, constants))


def _digest(value: Any) -> str:
    """Return a short text for a long value."""
    import hashlib  # noqa: PLC0415 - only here

    return hashlib.blake2s(repr(value).encode(), digest_size=6).hexdigest()

"""The variables that a cell leaves behind: found, stored, and brought back on replay.

The column ``variables`` holds one JSON object: for each name ``{"value": ...}`` as the codec writes
it, ``{"lines": [...]}`` for what a shell command has printed, ``{"random": state}`` for a random
generator, ``{"book": path}`` and ``{"run": id, "book": path}`` for what stepbook itself gives,
``{"same": other name}``, ``{"deleted": true}``, or ``{"missing": why, "type": ...}``;
``$definitions`` are the numbers of the definitions that the cell has executed, and ``$random`` is
how it has left the random generators of the modules random and numpy.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import types
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from IPython.utils.text import SList

from ..api.book import Book, connect
from ..api.run import Run
from ..errors import ArtifactError, BookNotFoundError, NotSerializableError, RunNotFoundError
from ..values.nodes import expect
from .chance import changed, from_state, hidden, set_hidden, state_of
from .effects import defined_names
from .stub import NotStored

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterable, Iterator

    from ..values.codec import Codec
    from ..values.writer import Writer
    from .effects import Effects

_MISSING: Final[Any] = object()
DEFINITIONS: Final = "$definitions"
CHANCE: Final = "$random"

#: Values that cannot change in place.
_FIXED: Final = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    tuple,
    frozenset,
    range,
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
)
_CONTAINERS: Final = (list, dict, set, bytearray, deque)
#: Methods that change a value of these libraries; all others return something new.
_CHANGING: Final = {
    "pandas": {"insert", "pop", "update", "isetitem"},
    "numpy": {"sort", "fill", "resize", "put", "partition", "itemset", "setfield", "byteswap"},
}
#: Libraries of which the objects are of the moment: plots, connections, streams, our own.
_OF_THE_MOMENT: Final = frozenset(
    {
        "matplotlib",
        "mpl_toolkits",
        "seaborn",
        "plotly",
        "bokeh",
        "altair",
        "sqlite3",
        "_sqlite3",
        "duckdb",
        "_duckdb",
        "sqlalchemy",
        "psycopg",
        "psycopg2",
        "requests",
        "httpx",
        "aiohttp",
        "urllib3",
        "socket",
        "ssl",
        "_io",
        "io",
        "logging",
        "tqdm",
        "threading",
        "_thread",
        "asyncio",
        "_asyncio",
        "concurrent",
        "queue",
        "ipywidgets",
        "anywidget",
        "IPython",
        "stepbook",
        "contextvars",
        "_contextvars",
        "weakref",
        "_weakref",
    }
)
#: Parts of what a cell reads that are compared before and after, in all.
_MOST_PARTS: Final = 20_000
_MOST_ELEMENTS: Final = 200_000
#: Names that IPython binds itself.
_IPYTHON: Final = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open", "_", "__", "___"})


_HISTORY: Final = re.compile(r"_(i{1,3}|i?\d+|ih|oh|dh)")


def library(value: Any) -> str:
    """Return the name of the package that the class of *value* comes from."""
    return type(value).__module__.partition(".")[0]


def _is_own(name: str) -> bool:
    """Whether a name is IPython's or ours, not the person's."""
    if name in _IPYTHON:
        return True
    return (name.startswith("__") and name.endswith("__")) or _HISTORY.fullmatch(name) is not None


# ---- before and after -----------------------------------------------------------------------


class Watch:
    """Sees what a cell binds or changes: made before it executes, asked after.

    Args:
        names: the notebook's names.
        effects: what the cell's text tells.
        codec: compares what the cell reads.
    """

    def __init__(self, names: dict[str, Any], effects: Effects, codec: Codec) -> None:
        self._names = names
        self._effects = effects
        self._codec = codec
        self._before = dict(names)
        self._defined: dict[str, Any] = {}
        self._parts = _MOST_PARTS
        self._looks = self._look()
        self._chance = hidden()

    def defined(self, node: ast.stmt) -> None:
        """Note that a definition was executed: what it has bound is not stored."""
        for name in defined_names(node):
            if name == "*":
                module = sys.modules.get(getattr(node, "module", None) or "")
                for public, value in vars(module).items() if module is not None else ():
                    if self._names.get(public, _MISSING) is value:
                        self._defined[public] = value
            elif name in self._names:
                self._defined[name] = self._names[name]

    def touched(self) -> list[str]:
        """Return the names that were bound, changed or deleted, in the order of the text."""
        found = {
            name
            for name in self._names.keys() | self._before.keys()
            if self._names.get(name, _MISSING) is not self._before.get(name, _MISSING)
            and not _is_own(name)
            and not self._is_definition(name)
        }
        found |= self._changed()
        order = self._effects.order
        return sorted(found, key=lambda name: (order.get(name, sys.maxsize), name))

    def chance(self) -> dict[str, Any]:
        """Return the states of the modules' random generators, those that have changed."""
        return changed(self._chance, hidden())

    def _is_definition(self, name: str) -> bool:
        return name in self._defined and self._names.get(name) is self._defined[name]

    def _changed(self) -> set[str]:
        effects = self._effects
        suspects = set(effects.changed)
        for name, methods in effects.methods.items():
            known = _CHANGING.get(library(self._names.get(name)))
            if known is None or methods & known:
                suspects.add(name)
        for function, name in effects.given:
            if getattr(self._names.get(function), "__module__", None) == "__main__":
                suspects.add(name)
        changed = {
            name
            for name in effects.wholes(suspects)
            if name in self._names and _can_change(self._names[name])
        }
        after = self._look(self._looks)
        changed |= {name for name, look in self._looks.items() if after.get(name) != look}
        # Another name of the same object has changed with it.
        objects = {id(self._names[name]) for name in changed if name in self._names}
        return {
            name
            for name, value in self._names.items()
            if id(value) in objects and not _is_own(name)
        }

    def _look(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """Return how small things that the cell reads look, so that a change of them is seen."""
        if names is None:
            names = self._reach()
        looks = {}
        self._parts = _MOST_PARTS
        for name in names:
            value = self._names.get(name, _MISSING)
            if self._is_small(value):
                looks[name] = self._text(value)
        return looks

    def _reach(self) -> set[str]:
        """Return the names that the cell reads, itself or in the notebook's functions."""
        found: set[str] = set()
        waiting = [name for name in self._effects.reads if name in self._names]
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found.add(name)
            function = self._names.get(name)
            if isinstance(function, types.FunctionType) and function.__globals__ is self._names:
                codes = [function.__code__]
                while codes:
                    code = codes.pop()
                    waiting += [inner for inner in code.co_names if inner in self._names]
                    codes += [part for part in code.co_consts if isinstance(part, types.CodeType)]
        return found

    def _is_small(self, value: Any) -> bool:
        if state_of(value) is not None:
            return True
        if library(value) in _CHANGING:
            size = getattr(value, "size", _MOST_ELEMENTS + 1)
            return isinstance(size, int) and size <= _MOST_ELEMENTS and hasattr(value, "__len__")
        if not isinstance(value, _CONTAINERS):
            return False
        waiting = [value]
        while waiting and self._parts >= 0:
            part = waiting.pop()
            if isinstance(part, (*_CONTAINERS, tuple, frozenset)) and not isinstance(
                part, bytearray
            ):
                self._parts -= len(part) + 1
                if self._parts >= 0:
                    waiting += part.values() if isinstance(part, dict) else part
        return self._parts >= 0

    def _text(self, value: Any) -> Any:
        try:
            return self._codec.encode(state_of(value) or value)
        except NotSerializableError:
            if isinstance(value, dict):
                return [*map(id, value), *map(id, value.values())]
            return [*map(id, value)] if isinstance(value, _CONTAINERS) else id(value)


def _can_change(value: Any) -> bool:
    return not isinstance(value, _FIXED) and library(value) not in _OF_THE_MOMENT


# ---- storing --------------------------------------------------------------------------------


def classes_in(names: dict[str, Any]) -> tuple[type, ...]:
    """Return the classes that the notebook's own code names: their values can be rebuilt."""
    return tuple(value for value in names.values() if isinstance(value, type))


def encode(
    writer: Writer,
    names: dict[str, Any],
    touched: list[str],
    ran: list[int],
    chance: dict[str, Any],
    *,
    insist: bool,
) -> tuple[str, dict[str, str]]:
    """Return the JSON text of variables, and the names that could not be stored, with why.

    Args:
        writer: encodes values.
        names: the notebook's names.
        touched: which of them.
        ran: the numbers of the definitions that were executed.
        chance: the states of the modules' random generators, those that have changed.
        insist: whether every one of them must be storable.

    Raises:
        NotSerializableError: one is not, and it must be.
    """
    parts = []
    missing: dict[str, str] = {}
    known: dict[int, str] = {}
    hint = classes_in(names)
    for name in touched:
        value = names.get(name, _MISSING)
        if value is _MISSING:
            part = '{"deleted":true}'
        elif id(value) in known and not isinstance(value, _FIXED):
            part = json.dumps({"same": known[id(value)]})
        else:
            known[id(value)] = name
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            key = "value"
            state = state_of(value)
            own = _reference(value)
            if own is not None:
                parts.append(f"{json.dumps(name)}:{json.dumps(own)}")
                continue
            if type(value) is SList:
                key, value = "lines", list(value)
            elif state is not None:
                key, value = "random", state
            try:
                part = f'{{"{key}":{writer.encode(value, hint=hint)}}}'
            except NotSerializableError as error:
                if insist:
                    error.add_note(f"stepbook: it is the variable {name!r}, which --out names")
                    raise
                reason = error.reason or str(error)
                part = json.dumps({"missing": reason, "type": kind})
                missing[name] = reason
        parts.append(f"{json.dumps(name)}:{part}")
    if chance:
        parts.append(f'"{CHANCE}":{writer.encode(chance)}')
    parts.append(f'"{DEFINITIONS}":{json.dumps(ran)}')
    return "{" + ",".join(parts) + "}", missing


def _reference(value: Any) -> dict[str, str] | None:
    """Return how a book or a run is found again; None for anything else."""
    book = value.book if isinstance(value, Run) else value
    if not isinstance(book, Book) or book.path is None:
        return None
    found = {"book": str(book.path)}
    return {"run": value.id, **found} if isinstance(value, Run) else found


def is_missed(value: Any) -> bool:
    """Whether the person should be told that a value was not stored."""
    return not isinstance(value, types.ModuleType) and library(value) not in _OF_THE_MOMENT


# ---- bringing back --------------------------------------------------------------------------


class Restorer:
    """Brings the variables of a recorded cell back, in the order of the text.

    Args:
        codec: decodes values.
        names: the notebook's names.
        text: what :func:`encode` gave.
        step: the name of the step.
        alive: returns a value that could not be stored and still lives in this kernel, or None.
    """

    def __init__(
        self,
        codec: Codec,
        names: dict[str, Any],
        text: str | None,
        step: str,
        alive: Callable[[str], Any],
    ) -> None:
        self._alive = alive
        self._codec = codec
        self._names = names
        self._step = step
        with self._reading():
            self._entries: dict[str, Any] = expect(json.loads(text or "{}"), dict)
            self.ran: list[int] = expect(self._entries.pop(DEFINITIONS, []), list)
        self._chance: Any = self._entries.pop(CHANCE, None)
        self._done: dict[str, Any] = {}

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Say of a record that is not as stepbook writes it what to do."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ArtifactError(
                f"{self._step}: what was recorded of its variables is damaged: "
                f"{type(error).__name__}: {error}. %stepbook redo {self._step} executes the cell "
                "again."
            ) from error

    def up_to(self, number: int | None, order: dict[str, int]) -> None:
        """Bring back what is bound before statement *number*; None for all that is left."""
        for name in self._entries:
            if name not in self._done and (number is None or order.get(name, sys.maxsize) < number):
                self._restore(name)

    def finish(self, order: dict[str, int]) -> None:
        """Bring back the rest, and what a definition has overwritten meanwhile."""
        self.up_to(None, order)
        for name, value in self._done.items():
            self._set(name, value)
        if self._chance is not None:
            set_hidden(self._decode(self._chance, CHANCE))

    def _restore(self, name: str) -> Any:
        if name in self._done:
            return self._done[name]
        with self._reading():
            value = self._value(expect(self._entries[name], dict), name)
        self._done[name] = value
        self._set(name, value)
        return value

    def _value(self, entry: dict[str, Any], name: str) -> Any:
        value: Any
        if "value" in entry:
            value = self._decode(entry["value"], name)
        elif "lines" in entry:
            value = SList(expect(entry["lines"], list))
        elif "random" in entry:
            value = from_state(self._decode(entry["random"], name))
        elif "book" in entry:
            value = self._found(entry, name)
        elif "same" in entry:
            value = self._restore(entry["same"])
        elif "deleted" in entry:
            value = _MISSING
        else:
            value = self._alive(name)
            if value is None:
                value = NotStored(name, self._step, entry["type"], entry["missing"])
        return value

    def _found(self, entry: dict[str, str], name: str) -> Any:
        """Return a book, or a run of it to look at: using it for more opens it."""
        book = connect(entry["book"])
        if "run" not in entry:
            return book
        try:
            return book.get(entry["run"])
        except (BookNotFoundError, RunNotFoundError) as error:
            return NotStored(name, self._step, "stepbook.Run", str(error))

    def _decode(self, node: Any, name: str) -> Any:
        return self._codec.decode(
            json.dumps(node, ensure_ascii=False),
            hint=classes_in(self._names),
            where=f"{self._step}, variable {name}",
        )

    def _set(self, name: str, value: Any) -> None:
        if value is _MISSING:
            self._names.pop(name, None)
        else:
            self._names[name] = value

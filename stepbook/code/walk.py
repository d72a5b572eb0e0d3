"""What code reaches: functions, classes and values of the person's own, each once."""

from __future__ import annotations

import ast
import builtins
import functools
import importlib.machinery
import inspect
import sys
import types
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..model.libraries import library
from .contents import MOST_PARTS_REACHED, NONE, PLAIN, UNDEFINED, Contents
from .hashes import CODE, THIS_BYTECODE, code_hash, is_of_bytecode
from .own import is_own_class, is_own_file, is_own_function, is_own_module
from .reads import reads_of
from .shapes import hash_of, short_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: What is used for its effects; which one it is says nothing about a result.
_SKIPPED: Final = frozenset({"stepbook", "logging", "tqdm", "warnings"})
_CLASS_NOISE: Final = frozenset(
    """
    __dict__ __weakref__ __doc__ __module__ __qualname__ __slots__ __hash__ __match_args__
    __abstractmethods__ _abc_impl __dataclass_params__ __static_attributes__ __firstlineno__
    __orig_bases__ __parameters__ __type_params__ __annotate__ __annotations_cache__ __slotnames__
    """.split()
)
#: What pydantic keeps of a class.
_PYDANTIC: Final = "__pydantic"
#: What ``@dataclass`` writes into a class.
_GENERATED: Final = frozenset(
    """
    __init__ __repr__ __eq__ __lt__ __le__ __gt__ __ge__ __setattr__ __delattr__ __replace__
    """.split()
)
#: Types of values that hold no code, most often.
DATA: Final = frozenset({str, int, float, bool, type(None), bytes, list, dict, tuple, set})
#: What a name has that has nothing.
MISSING: Final[Any] = object()


class Walk:
    """Follows what code reaches, each function and class once.

    Attributes:
        static: what stays the same while what follows does.
        changing: what may change as it is, with what gives it.
        names: where a name was looked up, and what it had.
        cells: cells of closures, and what they had.
        functions: functions, with their code and defaults.
        classes: what classes have, how much that was, and the part of it that is code.
    """

    def __init__(self) -> None:
        self.static: dict[str, str] = {}
        self.changing: dict[str, Callable[[], Any]] = {}
        self.names: list[tuple[dict[str, Any], str, Any]] = []
        self.cells: list[tuple[types.CellType, Any]] = []
        self.functions: list[tuple[types.FunctionType, Any, Any, Any]] = []
        self.classes: list[tuple[Mapping[str, Any], int, list[tuple[str, Any]]]] = []
        self._labels: dict[str, int] = {}
        self._seen: set[int] = set()

    def _label(self, name: str, value: Any) -> str:
        """Return *name*, told apart from another object of that name."""
        label, number = name, 1
        while self._labels.setdefault(label, id(value)) != id(value):
            number += 1
            label = f"{name} ({number})"
        return label

    def code_of(self, value: Any) -> None:
        """Take in a function or class of the person's own."""
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        name = self._label(value.__qualname__.rpartition("<locals>.")[2], value)
        if isinstance(value, type):
            told = repr(self._class(name, value))
            mark = THIS_BYTECODE if is_of_bytecode(told) else CODE
            self.static[name] = mark + short_hash(told)
            return
        self.static[name] = code_hash(value.__code__)
        self._inside(value, f"{name}.")

    def parts(self) -> dict[str, str]:
        """Return all of it, what may have changed as it is now."""
        if not self.changing:
            return self.static
        contents = Contents(MOST_PARTS_REACHED)
        return self.static | {name: contents.of(get()) for name, get in self.changing.items()}

    def _inside(self, value: types.FunctionType, prefix: str) -> None:
        """Take in what a function reaches that others reach, and its defaults."""
        given = value.__defaults__, value.__kwdefaults__
        self.functions.append((value, value.__code__, *given))
        self.function(value, prefix)
        for parameter, default in defaults_of(value):
            self._value(prefix + parameter, default, functools.partial(_itself, default))

    def function(
        self, value: types.FunctionType, prefix: str = "", *, closure: bool = True
    ) -> None:
        """Take in what a function reaches."""
        reads = reads_of(value.__code__)
        space = value.__globals__
        for chain in reads.chains:
            self._chain(space, chain)
        for name in reads.imports:
            self._import(name)
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            found = content_of(cell) if closure else MISSING
            if found is not MISSING and self._value(
                prefix + name, found, functools.partial(content_of, cell)
            ):
                self.cells.append((cell, found))
        wrapped = vars(value).get("__wrapped__")
        if _is_own(wrapped):
            self.code_of(wrapped)

    def _chain(self, space: dict[str, Any], chain: tuple[str, ...]) -> None:
        name, *rest = chain
        value = space.get(name, MISSING)
        if value is MISSING:
            self.names.append((space, name, MISSING))  # someone may define it, or shadow a built-in
            if not hasattr(builtins, name):
                self.static[name] = UNDEFINED
            return
        label = name
        while isinstance(value, types.ModuleType):
            self.names.append((space, name, value))
            if not is_own_module(value.__name__) or not rest:
                return
            space, name = vars(value), rest.pop(0)
            label += "." + name
            value = space.get(name, MISSING)
            if value is MISSING:
                return
        if self._value(label, value, functools.partial(space.get, name)):
            self.names.append((space, name, value))

    def _value(self, label: str, value: Any, get: Callable[[], Any]) -> bool:
        """Take in a value that code reads.

        Args:
            label: what it is called.
            value: what it is now.
            get: returns what it is later.

        Returns:
            Whether it may be held, to be compared with what is there later. A table may not: it
            would outlive the notebook's own name for it.
        """
        if _is_own(value):
            self.code_of(value)
        elif type(value) in DATA:  # most values, and what follows takes microseconds
            return self._content(label, value, get)
        elif _is_own(wrapped := _static(value, "__wrapped__")):
            self.code_of(wrapped)  # by functools.cache, or a library's decorator
        elif isinstance(value, type) or _is_function(value):
            self.static[self._label(label, value)] = f"{CODE}{value.__qualname__}"
        elif library(value) not in _SKIPPED and not isinstance(value, types.ModuleType):
            return self._content(label, value, get)
        return True

    def _content(self, label: str, value: Any, get: Callable[[], Any]) -> bool:
        contents = Contents(MOST_PARTS_REACHED)
        text = contents.of(value)
        name = self._label(label, value)
        if text.startswith(PLAIN) and not isinstance(value, (dict, list)):
            self.static[name] = text
        else:
            self.changing[name] = get
        for item in contents.code:
            self.code_of(item)
        return name not in self.changing

    def _class(self, label: str, cls: type) -> list[Any]:
        """Return what a class is, beside what its methods reach."""
        items = vars(cls)
        code: list[tuple[str, Any]] = []
        self.classes.append((items, len(items), code))
        for base in (*cls.__bases__, type(cls)):
            if is_own_class(base):
                self.code_of(base)
        found: list[Any] = [[base.__qualname__ for base in cls.__bases__]]
        if issubclass(cls, Enum):
            found += [[member.name, Contents().of(member.value)] for member in cls]
        is_dataclass = "__dataclass_params__" in items
        for name, item in sorted(items.items()):
            if name in _CLASS_NOISE or name.startswith(_PYDANTIC):
                continue
            for part in _behind(item):
                if callable(part):
                    code.append((name, item))
                if not isinstance(part, types.FunctionType):
                    found += self._other(label, cls, name, part)
                    continue
                if not (is_dataclass and name in _GENERATED and _has_no_file(part)):
                    found += self._method(f"{label}.{name}.", name, part)
        return found

    def _method(self, prefix: str, name: str, part: types.FunctionType) -> list[Any]:
        if not is_own_function(part) or part.__code__.co_filename.startswith("<namedtuple"):
            return []
        self._inside(part, prefix)
        return [[name, code_hash(part.__code__)]]

    def _other(self, label: str, cls: type, name: str, part: Any) -> list[Any]:
        if name == "__annotations__":
            return [[name, sorted((k, _annotation(v)) for k, v in part.items())]]
        if name == "__dataclass_fields__":
            return [[k, _annotation(v.type), _factory(v)] for k, v in part.items()]
        if library(part) in _SKIPPED:
            return []  # what stands for something that could not be stored
        if callable(part) and not isinstance(part, type):
            return [[name, _static(part, "__qualname__") or type(part).__qualname__]]
        if not issubclass(cls, Enum):
            self._attribute(f"{label}.{name}", vars(cls), name, part)
        return []

    def _attribute(self, label: str, items: Mapping[str, Any], name: str, value: Any) -> None:
        """Take in what a class has that is no code: it may be given another value at any time."""
        contents = Contents(MOST_PARTS_REACHED)
        if not contents.of(value).startswith(NONE):
            self.changing[label] = functools.partial(items.get, name)
        for item in contents.code:
            self.code_of(item)

    def _import(self, name: str) -> None:
        """Take in a module of the person's own that a function imports."""
        if name in sys.modules:
            if is_own_module(name):
                path = getattr(sys.modules[name], "__file__", None)
                self.static[f"import {name}"] = _file_hash(path)
            return
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            return
        try:
            spec = importlib.machinery.PathFinder.find_spec(top)
        except (ImportError, ValueError):
            spec = None
        path = getattr(spec, "origin", None)
        if isinstance(path, str) and is_own_file(path):
            self.static[f"import {name}"] = _file_hash(path)


def _is_own(value: Any) -> bool:
    """Whether a value is a function or class of the person's own."""
    if isinstance(value, type):
        return is_own_class(value)
    return isinstance(value, types.FunctionType) and is_own_function(value)


def _static(value: Any, name: str) -> Any:
    """Return an attribute without calling anything of the value's, as a proxy would have it."""
    return inspect.getattr_static(value, name, None)


def _is_function(value: Any) -> bool:
    """Whether a value is a function of a library, by whatever it was made."""
    is_bound = isinstance(value, types.MethodType)
    return callable(value) and not is_bound and _static(value, "__qualname__") is not None


def _has_no_file(function: types.FunctionType) -> bool:
    return function.__code__.co_filename == "<string>"


def _itself(value: Any) -> Any:
    return value


def content_of(cell: types.CellType) -> Any:
    """Return what a cell of a closure has; :data:`MISSING` if nothing."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _annotation(value: Any) -> str:
    return value.__qualname__ if isinstance(value, type) else str(value)


def _factory(field: Any) -> str:
    make = field.default_factory
    code = getattr(make, "__code__", None)
    return code_hash(code) if code is not None else getattr(make, "__qualname__", "")


def _behind(item: Any) -> Iterator[Any]:
    """Yield the functions behind a descriptor of a class; anything else itself."""
    if isinstance(item, (staticmethod, classmethod)):
        yield item.__func__
    elif isinstance(item, property):
        yield from (part for part in (item.fget, item.fset, item.fdel) if part is not None)
    elif isinstance(item, functools.cached_property):
        yield item.func
    else:
        yield item


def _file_hash(path: str | None) -> str:
    try:
        return CODE + hash_of(ast.parse(Path(path or "").read_bytes()))
    except (OSError, SyntaxError, ValueError):
        return NONE + "module"


def defaults_of(function: types.FunctionType) -> list[tuple[str, Any]]:
    """Return the parameters of a function that have a default, with their values."""
    code, values = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(values) : code.co_argcount]
    return [*zip(names, values, strict=True), *(function.__kwdefaults__ or {}).items()]

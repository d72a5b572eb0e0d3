"""What code reaches: functions, classes and values of the person's own, each once."""

from __future__ import annotations

import builtins
import functools
import types
from typing import TYPE_CHECKING, Any, Final

from ..model.libraries import library
from .attributes import static
from .behind import own_behind, wrapped_by
from .classes import behind_descriptor, is_generated, is_noise, is_of_enum, told_of
from .contents import MOST_PARTS_REACHED, NONE, PLAIN, UNDEFINED, Contents
from .hashes import CODE, THIS_BYTECODE, code_hash, is_of_bytecode, name_of, name_of_module
from .imports import files_of, package_of
from .kinds import FOR_EFFECTS
from .own import is_own, is_own_class, is_own_function, is_own_module
from .reads import reads_of
from .shapes import short_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .imports import Import, Stamp

_SKIPPED: Final = FOR_EFFECTS | {"stepbook"}
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
        stamps: files of modules, as they were.
        seen: the code that was taken in, by id; held, so that no other gets that.
    """

    def __init__(self) -> None:
        self.static: dict[str, str] = {}
        self.changing: dict[str, Callable[[], Any]] = {}
        self.names: list[tuple[dict[str, Any], str, Any]] = []
        self.cells: list[tuple[types.CellType, Any]] = []
        self.functions: list[tuple[types.FunctionType, Any, Any, Any]] = []
        self.classes: list[tuple[Mapping[str, Any], int, list[tuple[str, Any]]]] = []
        self.stamps: list[Stamp] = []
        self.seen: dict[int, Any] = {}
        self._labels: dict[str, int] = {}
        #: Code that is still to be followed; each in its turn, since it may be nested deeply.
        self._waiting: list[tuple[str, Any]] = []
        self._is_following = False

    def _label(self, name: str, value: Any) -> str:
        """Return *name*, told apart from another object of that name."""
        label, number = name, 1
        while self._labels.setdefault(label, id(value)) != id(value):
            number += 1
            label = f"{name} ({number})"
        return label

    def code_of(self, value: Any) -> None:
        """Take in a function or class of the person's own."""
        if id(value) in self.seen:
            return
        self.seen[id(value)] = value
        name = self._label(value.__qualname__.rpartition("<locals>.")[2], value)
        self._waiting.append((name, value))
        if self._is_following:
            return
        self._is_following = True
        try:
            while self._waiting:
                self._follow(*self._waiting.pop())
        finally:
            self._is_following = False

    def _follow(self, name: str, value: Any) -> None:
        if isinstance(value, type):
            told = repr(self._class(name, value))
            mark = THIS_BYTECODE if is_of_bytecode(told) else CODE
            self.static[name] = mark + short_hash(told)
            return
        self.static[name] = code_hash(value.__code__)
        self._inside(value, f"{name}.")

    def parts(self, contents: Contents | None = None) -> dict[str, str]:
        """Return all of it, what may have changed as it is now.

        Args:
            contents: tells that, and takes in the code in it.
        """
        told = contents or Contents(MOST_PARTS_REACHED)
        return self.static | {name: told.of(get()) for name, get in self.changing.items()}

    def holds(self) -> bool:
        """Whether every name still has the object that it had, and every function its code."""
        for space, name, value in self.names:
            if space.get(name, MISSING) is not value:
                return False
        for cell, value in self.cells:
            if content_of(cell) is not value:
                return False
        for function, code, defaults, keywords in self.functions:
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not keywords
            ):
                return False
        for stamp in self.stamps:
            if not stamp.holds():
                return False
        return all(
            len(items) == count and all(items.get(name) is value for name, value in code)
            for items, count, code in self.classes
        )

    def has_seen(self, code: Iterable[Any]) -> bool:
        """Whether all this code, which values bring with them, was taken in."""
        return all(id(one) in self.seen for one in code)

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
            self._chain(space, chain, reads.given)
        for name in sorted(reads.named & space.keys()):
            self._chain(space, (name,))
        for one in reads.imports:
            self._import(one, package_of(space))
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            found = content_of(cell) if closure else MISSING
            if found is not MISSING and self._value(
                prefix + name, found, functools.partial(content_of, cell)
            ):
                self.cells.append((cell, found))
        wrapped = vars(value).get("__wrapped__")
        if wrapped is not None:
            self._all_code(own_behind(wrapped))

    def _chain(
        self,
        space: dict[str, Any],
        chain: tuple[str, ...],
        given: frozenset[str] = frozenset(),
    ) -> None:
        name, *rest = chain
        value = space.get(name, MISSING)
        if value is MISSING:
            self.names.append((space, name, MISSING))  # someone may define it, or shadow a built-in
            if not hasattr(builtins, name):
                self.static[name] = UNDEFINED
            return
        label = name
        while issubclass(type(value), types.ModuleType):
            self.names.append((space, name, value))
            if not is_own_module(value.__name__):
                self._library(label, value)
                return
            if not rest:
                self._files(label, [value.__name__])
                return
            space, name = vars(value), rest.pop(0)
            label += "." + name
            value = space.get(name, MISSING)
            if value is MISSING:
                self._asked(space, name)
                return
        if self._value(label, value, functools.partial(space.get, name)):
            self.names.append((space, name, value))
        if rest and rest[0] not in given and type(value) is types.FunctionType:
            self._kept_on(label, value, rest[0])

    def _library(self, label: str, module: types.ModuleType) -> None:
        """Take in what a module of a library is called here, if that is not its name."""
        package = module.__name__.partition(".")[0]
        if label != module.__name__ and package not in _SKIPPED:
            self.static[self._label(label, module)] = CODE + name_of_module(module.__name__)

    def _asked(self, space: dict[str, Any], name: str) -> None:
        """Take in what a module of the person's own gives for a name that it has not."""
        self.names.append((space, name, MISSING))
        give = space.get("__getattr__")
        if is_own(give):
            self.names.append((space, "__getattr__", give))
            self.code_of(give)

    def _kept_on(self, label: str, function: types.FunctionType, name: str) -> None:
        """Take in an attribute that code reads of a function of the person's own."""
        fields = vars(function)
        value = fields.get(name, MISSING)
        if value is not MISSING and is_own_function(function):
            label, get = f"{label}.{name}", functools.partial(fields.get, name)
            if self._value(label, value, get):
                self.names.append((fields, name, value))

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
        kind = type(value)
        if is_own(value):
            self.code_of(value)
        elif kind in DATA or is_own_class(kind):  # what follows takes microseconds
            return self._content(label, value, get)
        elif behind := wrapped_by(value):
            for code in behind:
                self.code_of(code)
        elif issubclass(kind, type) or _is_function(value):
            self.static[self._label(label, value)] = CODE + name_of(value)
        elif library(value) not in _SKIPPED and not issubclass(kind, types.ModuleType):
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
        self._all_code(contents.code)
        return name not in self.changing

    def _class(self, label: str, cls: type) -> list[Any]:
        """Return what a class is, beside what its methods reach."""
        items, bases = vars(cls), cls.__bases__
        code: list[tuple[str, Any]] = []
        self.classes.append((items, len(items), code))
        for base in (*bases, type(cls)):
            if is_own_class(base):
                self.code_of(base)
        contents = Contents()
        found: list[Any] = [[b.__qualname__ if is_own(b) else name_of(b) for b in bases]]
        for name, item in sorted(items.items()):
            if is_noise(name, item):
                continue
            told = told_of(cls, name, item, contents)
            if told is not None:
                found.append([name, told])
                continue
            for part in behind_descriptor(item):
                if callable(part):
                    code.append((name, item))
                if type(part) is not types.FunctionType:
                    found += self._other(label, cls, name, part)
                elif not is_generated(items, name, part):
                    found += self._method(f"{label}.{name}.", name, part)
        self._all_code(contents.code)
        return found

    def _method(self, prefix: str, name: str, part: types.FunctionType) -> list[Any]:
        if is_own_function(part):
            self._inside(part, prefix)
            return [[name, code_hash(part.__code__)]]
        behind = own_behind(part)
        self._all_code(behind)
        # What a library gives a class by itself has such a name, another in another version.
        is_given = name.startswith("__") and name.endswith("__")
        return [] if behind or is_given else [[name, name_of(part)]]

    def _other(self, label: str, cls: type, name: str, part: Any) -> list[Any]:
        if library(part) in _SKIPPED:
            return []  # what stands for something that could not be stored
        is_code = issubclass(type(part), type) or _is_function(part)
        if is_code and not is_own(part) and not own_behind(part):
            return [[name, name_of(part)]]
        if not is_of_enum(cls, name):
            self._attribute(f"{label}.{name}", vars(cls), name, part)
        return []

    def _attribute(self, label: str, items: Mapping[str, Any], name: str, value: Any) -> None:
        """Take in what a class has that is no code: it may be given another value at any time."""
        contents = Contents(MOST_PARTS_REACHED)
        if not contents.of(value).startswith(NONE) or contents.knows_a_part:
            held = items.get(name)
            get = functools.partial(items.get, name) if held is value else None
            self.changing[label] = get or functools.partial(_itself, value)
        self._all_code(contents.code)

    def _all_code(self, code: Iterable[Any]) -> None:
        for item in code:
            self.code_of(item)

    def _import(self, one: Import, package: str) -> None:
        """Take in the modules of the person's own that an import statement in a function names."""
        modules = one.modules(package)
        if modules:
            self._files(f"import {modules[0]}", modules)

    def _files(self, label: str, modules: list[str]) -> None:
        files = files_of(modules)
        if files.hash:
            self.static[label] = CODE + files.hash
            self.stamps += files.stamps


def _is_function(value: Any) -> bool:
    """Whether a value is a function of a library, by whatever it was made."""
    if not callable(value) or type(value) is types.MethodType:
        return False
    if type(value) is types.BuiltinFunctionType and type(value.__self__) is not types.ModuleType:
        # A method: of an object that has content, such as a dict, it counts by that.
        return value.__self__ is None or Contents().of(value.__self__).startswith(NONE)
    return static(value, "__qualname__") is not None


def _itself(value: Any) -> Any:
    return value


def content_of(cell: types.CellType) -> Any:
    """Return what a cell of a closure has; :data:`MISSING` if nothing."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def defaults_of(function: types.FunctionType) -> list[tuple[str, Any]]:
    """Return the parameters of a function that have a default, with their values."""
    code, values = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(values) : code.co_argcount]
    return [*zip(names, values, strict=True), *(function.__kwdefaults__ or {}).items()]

"""Pickles of what nothing else can store: the notebook's own code by reference, buffers beside it.

They are loaded only after a seal was accepted; see :mod:`.seals`.
"""

from __future__ import annotations

import copyreg
import importlib
import importlib.util
import io
import pickle
import pickletools
import sys
import threading
import types
import warnings
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..errors import NotSerializableError
from ..system.locate import library_folders
from .forms import FormReader, FormWriter, split
from .nodes import TAG, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .world import World

#: Smaller buffers stay in the pickle.
_LEAST_BYTES: Final = 64 << 10
#: What a pickle would bring back as something else: files and folders of the moment, memory that is
#: a file, what runs when an object goes.
_REFUSED_MODULES: Final = frozenset({"tempfile", "_tempfile", "mmap", "weakref", "_weakref"})
_REFUSED_CLASSES: Final = frozenset({"memmap"})
_OURS: Final = "stepbook"
#: What :func:`modules_in` says of a module that cannot be told.
UNKNOWN: Final = "?"


@dataclass
class Pickled:
    """A value as a pickle.

    Attributes:
        data: the pickle.
        buffers: big buffers of it, in order.
        packages: the packages that its classes are of, with their versions where those are known.
    """

    data: bytes
    buffers: list[memoryview]
    packages: dict[str, str] = field(default_factory=dict)


class CannotPickleError(Exception):
    """A value, or a part of it, cannot be pickled."""


def dumps(
    value: Any,
    *,
    world: World | None = None,
    owners: set[int] | frozenset[int] = frozenset(),
    refuses: frozenset[str] = frozenset(),
    leave: Callable[[Any, str], int] | None = None,
) -> Pickled:
    """Return *value* as a pickle.

    Args:
        value: what to pickle.
        world: what the host knows of its code; functions of it are told by their places there.
        owners: what owns memory of which several arrays are in the value, by id.
        refuses: packages of which no object is pickled.
        leave: is given what cannot be pickled, with the reason, and gives the number of what stands
            for it; None to refuse the whole.

    Raises:
        CannotPickleError: it cannot be pickled.
    """
    file = io.BytesIO()
    pickler = _Pickler(file, world, owners, refuses, leave)
    try:
        pickler.dump(value)
    except RecursionError:
        raise
    except Exception as error:
        raise CannotPickleError(f"it cannot be pickled: {error}") from error
    if pickler.shares_attributes():
        raise CannotPickleError("it holds the attributes of an object as a dict of their own")
    versions = {}
    for package in sorted(pickler.packages - {"builtins", _OURS}):
        if package.startswith("_"):  # __main__, and what compilers make
            continue
        found = getattr(sys.modules.get(package), "__version__", None)
        versions[package] = found if isinstance(found, str) else ""
    return Pickled(file.getvalue(), pickler.buffers, versions)


class _Pickler(pickle.Pickler):
    def __init__(
        self,
        file: io.BytesIO,
        world: World | None,
        owners: set[int] | frozenset[int],
        refuses: frozenset[str],
        leave: Callable[[Any, str], int] | None,
    ) -> None:
        super().__init__(file, 5, buffer_callback=self._take_buffer)
        self._world = world
        self._forms = None if world is None else FormWriter(world, set(owners))
        self._refuses = _REFUSED_MODULES | refuses
        self._leave = leave
        self._cells: dict[int, types.CellType] = {}
        self._attributes: dict[int, Any] = {}
        self.buffers: list[memoryview] = []
        self.packages: set[str] = set()

    def _take_buffer(self, buffer: pickle.PickleBuffer) -> bool:
        view = memoryview(buffer)
        if view.nbytes < _LEAST_BYTES or not (view.c_contiguous or view.f_contiguous):
            return True
        self.buffers.append(buffer.raw())
        return False

    def reducer_override(self, value: Any) -> Any:  # noqa: C901, PLR0911 - one for each kind
        """Say how an object that is no plain data is pickled."""
        kind = type(value)
        if kind is types.FunctionType:
            return self._function(value)
        if isinstance(value, type):
            self._note(value)
            return NotImplemented
        if kind is types.ModuleType:
            return self._module(value)
        if kind is types.CellType:
            if id(value) in self._cells:
                return _cell, ()
            return self._left_out(value, "a cell of a closure by itself")
        self._note(kind)
        module, _, _ = kind.__module__.partition(".")
        if module in self._refuses or kind.__name__ in _REFUSED_CLASSES:
            return self._left_out(value, f"values of the type {name_of(kind)} cannot be stored")
        found = self._form(value)
        if found is not None:
            return found
        named = _name_in_module(value)
        if named is not None:
            return _attribute, named
        if kind in copyreg.dispatch_table:
            return NotImplemented
        try:
            reduced = value.__reduce_ex__(5)
        except RecursionError:
            raise
        except Exception as error:  # noqa: BLE001 - of the object's own code
            return self._left_out(value, str(error))
        if isinstance(reduced, str) and getattr(value, "__module__", "") == "__main__":
            return self._left_out(value, "it is told by a name of the notebook")
        return self._with_own_attributes(value, reduced)

    def _with_own_attributes(self, value: Any, reduced: Any) -> Any:
        """Return the same with a copy of the dict of an object's attributes.

        So only a dict that somebody else holds gets into the pickle as itself.
        """
        attributes = value.__dict__ if type(value).__dictoffset__ else None
        if self._forms is None or type(attributes) is not dict:
            return reduced
        self._attributes[id(attributes)] = attributes
        if not isinstance(reduced, tuple) or len(reduced) < 3:  # noqa: PLR2004 - its third part is the state
            return reduced
        made, given, state, *others = reduced
        if state is attributes:
            state = dict(attributes)
        elif isinstance(state, tuple):
            state = tuple(dict(part) if part is attributes else part for part in state)
        return made, given, state, *others

    def shares_attributes(self) -> bool:
        """Whether somebody else holds the dict of an object's attributes.

        A pickle gives the object a dict of its own, and fills it from the other one.
        """
        return bool(self._attributes) and not self._attributes.keys().isdisjoint(self.memo.copy())

    def _note(self, cls: type) -> None:
        self.packages.add(str(cls.__module__).partition(".")[0])

    def _left_out(self, value: Any, why: str) -> Any:
        if self._leave is None:
            raise pickle.PicklingError(why)
        return _missing, (self._leave(value, why),)

    def _module(self, value: types.ModuleType) -> Any:
        if sys.modules.get(value.__name__) is not value or value.__name__ == "__main__":
            return self._left_out(value, "a module that is not imported by its name")
        return _module, (value.__name__,)

    def _function(self, value: types.FunctionType) -> Any:
        world = self._world
        if world is None or value.__globals__ is not world.names:
            if world is not None and value.__module__ == "__main__":
                # A wrapper, under the name of the function in it: what has that name in the
                # notebook is what a replay is about to bring back.
                return self._left_out(value, "a function that a library has made")
            return NotImplemented  # found by its name, or refused
        place = world.place_of(value.__code__)
        if place is None:
            return self._left_out(value, "a function of which the source is in no cell")
        cells = value.__closure__ or ()
        self._cells.update((id(cell), cell) for cell in cells)
        contents = [(cell, cell.cell_contents) for cell in cells if _is_bound(cell)]
        state = {
            "defaults": value.__defaults__,
            "kwdefaults": value.__kwdefaults__,
            "attributes": dict(value.__dict__),
            "annotations": dict(value.__annotations__),
            "doc": value.__doc__,
            "contents": contents,
        }
        made = (place, value.__name__, value.__qualname__, cells)
        return _function, made, state, None, None, _set_function

    def _form(self, value: Any) -> Any:
        """Return how an object is pickled of which its own pickle would lose something."""
        if self._forms is None:
            return None
        try:
            node = self._forms.form_of(value)
        except NotSerializableError as error:
            return self._left_out(value, error.reason or str(error))
        if node is None:
            return None
        made, later = split(node)
        return (_formed, (made,), later, None, None, _fill) if later else (_formed, (made,))


def _is_bound(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - asks whether it is there
    except ValueError:
        return False
    return True


#: What modules hold under a name, by the module's name: id to name.
_names: Final[dict[str, dict[int, str]]] = {}


def _name_in_module(value: Any) -> tuple[str, str] | None:
    """Return where the module of an object's class holds that very object: a constant, a default.

    A copy would not be what ``is`` finds.
    """
    home = type(value).__module__
    module = sys.modules.get(home)
    if home in ("__main__", "builtins") or module is None:
        return None
    names = _names.get(home)
    if names is None:
        names = _names[home] = {
            id(held): name
            for name, held in list(vars(module).items())
            if type(held).__module__ == home and not isinstance(held, type)
        }
    name = names.get(id(value))
    if name is None or getattr(module, name, None) is not value:
        return None
    return home, name


# ---- loading ------------------------------------------------------------------------------------


class NeedsImportError(Exception):
    """A pickle names a module that is not imported, and is not a library's."""


@dataclass
class _Loading:
    world: World | None
    missing: Sequence[dict[str, Any]]
    _forms: FormReader | None = None

    def forms(self) -> FormReader:
        if self.world is None:
            raise pickle.UnpicklingError("it is of a notebook's variables, and loaded only there")
        if self._forms is None:
            self._forms = FormReader(self.world)
        return self._forms


_loading: Final[ContextVar[_Loading]] = ContextVar("_loading")


def loads(
    data: Any,
    buffers: Sequence[Any],
    *,
    world: World | None = None,
    missing: Sequence[dict[str, Any]] = (),
) -> tuple[Any, list[str]]:
    """Return the value of a pickle, and the warnings that came while it was loaded.

    To be called for what carries an accepted seal only: it executes what the pickle says.

    Args:
        data: the pickle.
        buffers: its big buffers.
        world: as for :func:`dumps`.
        missing: what is told of the parts that were left out.

    Raises:
        NeedsImportError: a module has to be imported first.
        Exception: whatever the classes of the value raise.
    """
    token = _loading.set(_Loading(world, missing))
    unpickler = _Unpickler(io.BytesIO(data), buffers=buffers)
    try:
        if threading.current_thread() is not threading.main_thread():
            return unpickler.load(), []  # filters of warnings belong to all threads
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = unpickler.load()
        told = dict.fromkeys(f"{one.category.__name__}: {one.message}" for one in caught)
        return value, list(told)
    finally:
        _loading.reset(token)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function by its name; its module is imported if a library has it."""
        _import(module)
        return super().find_class(module, name)


def _import(module: str) -> None:
    """Import a module that is installed; what is found in the current folder is not touched.

    Raises:
        NeedsImportError: it is somewhere else.
    """
    if module in sys.modules:
        return
    package = module.partition(".")[0]
    if package not in sys.modules:
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            spec = None
        origin = None if spec is None else spec.origin
        built_in = origin in ("built-in", "frozen")
        if not built_in and not (isinstance(origin, str) and origin.startswith(library_folders())):
            raise NeedsImportError(module)
    importlib.import_module(module)


def _missing(number: int) -> Any:
    loading = _loading.get()
    node = loading.missing[number]
    if loading.world is None:
        raise pickle.UnpicklingError(f"a part could not be stored: {node['why']}")
    return loading.world.missing({TAG: "missing", "number": number, **node})


def _module(name: str) -> types.ModuleType:
    _import(name)
    return sys.modules[name]


def _attribute(module: str, name: str) -> Any:
    _import(module)
    return getattr(sys.modules[module], name)


def _formed(node: dict[str, Any]) -> Any:
    return _loading.get().forms().made(node)


def _fill(value: Any, later: dict[str, Any]) -> None:
    _loading.get().forms().fill(value, later)


def _cell() -> types.CellType:
    return types.CellType()


def _function(place: Any, name: str, qualname: str, cells: tuple[types.CellType, ...]) -> Any:
    world = _loading.get().world
    code = None if world is None else world.code_at(place)
    if world is None or code is None:
        raise pickle.UnpicklingError(
            f"the source of its function {name!r} is not in a cell that was executed here"
        )
    function = types.FunctionType(code, world.names, name, None, cells or None)
    function.__qualname__ = qualname
    function.__module__ = world.names.get("__name__", "__main__")
    return function


def _set_function(function: types.FunctionType, state: dict[str, Any]) -> None:
    function.__defaults__ = state["defaults"]
    function.__kwdefaults__ = state["kwdefaults"]
    function.__dict__.update(state["attributes"])
    function.__annotations__ = state["annotations"]
    function.__doc__ = state["doc"]
    for cell, content in state["contents"]:
        cell.cell_contents = content


# ---- looking ------------------------------------------------------------------------------------


def modules_in(data: bytes) -> set[str]:
    """Return the modules that a pickle names, read from its text without loading it."""
    found: set[str] = set()
    memo: dict[int, str | None] = {}
    pushed: list[str | None] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "GLOBAL" and isinstance(argument, str):
                found.add(argument.partition(" ")[0])
            elif opcode.name == "STACK_GLOBAL":
                found.add((pushed[-2] if len(pushed) > 1 else None) or UNKNOWN)
            if opcode.name == "MEMOIZE":
                memo[len(memo)] = pushed[-1] if pushed else None
            elif opcode.name in ("BINGET", "LONG_BINGET") and isinstance(argument, int):
                pushed.append(memo.get(argument))
            elif opcode.name not in ("FRAME", "PROTO", "MARK"):
                is_text = isinstance(argument, str) and "UNICODE" in opcode.name
                pushed.append(argument if is_text else None)
    except Exception:  # noqa: BLE001 - whoever has written it; it is not loaded
        found.add(UNKNOWN)
    return found

"""What this kernel knows of the notebook's own code: the world that graphs are stored against."""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any, Final

from IPython.display import DisplayHandle
from IPython.utils.text import SList

from ..api.book import Book, connect
from ..api.run import Run
from ..code.own import is_own_module
from ..errors import BookNotFoundError, RunNotFoundError
from ..values.nodes import TAG, expect
from .chance import from_parts, parts_of
from .stub import NotStored

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..values.world import GraphWriter
    from .sources import Sources

#: Modules of which everything may be named: none of it reaches files, processes or code.
_OPEN: Final = ("numpy", "pandas", "datetime", "collections", "operator", "math", "numpy.linalg")
_CALLABLE: Final = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    type,
    types.ModuleType,
)
#: Classes of libraries, with what extends them, of which instances are told by their attributes.
_STATEFUL: Final = {
    "sklearn.base": ("BaseEstimator",),
    "sklearn.utils": ("Bunch",),
    "scipy.sparse": ("spmatrix", "sparray"),
}
#: Functions of Python itself that do nothing but give a value.
_PURE: Final = frozenset(
    """
    Ellipsis NotImplemented abs all any ascii bin callable chr divmod format hash hex id isinstance
    issubclass iter len max min next oct ord pow print repr round sorted sum
    """.split()
)


class Notebook:
    """The world of one shell.

    Args:
        names: the notebook's names.
        sources: the text of its cells.

    Attributes:
        defined: names that imports and definitions have bound last.
        told: kinds of what a replay does not set again, of which it was told.
        stub: makes what stands for an object that was not stored, from its node.
    """

    def __init__(self, names: dict[str, Any], sources: Sources) -> None:
        self.names = names
        self.sources = sources
        self.defined: set[str] = set()
        self.told: set[str] = set()
        self.stub: Callable[[dict[str, Any]], Any] = lambda node: NotStored(
            "a part of it", "?", node["type"], node["why"]
        )
        self.code_at = sources.code_at
        self.place_of = sources.place_of

    def is_own(self, value: Any) -> bool:
        """Whether a function or class was written by the person: here, or in a module of theirs."""
        if isinstance(value, types.FunctionType):
            return value.__globals__ is self.names or is_own_module(value.__module__)
        return is_own_module(getattr(value, "__module__", None))

    def is_open(self, cls: type) -> bool:
        """Whether a class is an estimator of scikit-learn, or a sparse array of SciPy."""
        for name, bases in _STATEFUL.items():
            module = sys.modules.get(name)
            known = tuple(filter(None, (getattr(module, base, None) for base in bases)))
            package = name.partition(".")[0]
            if known and issubclass(cls, known) and cls.__module__.startswith(f"{package}."):
                return True
        return False

    def reference(self, value: Any) -> str | None:  # noqa: C901, PLR0911 - one for each place
        """Return what a function, class or module is found by again."""
        if not _is_code(value):
            return None
        if isinstance(value, types.BuiltinFunctionType | types.MethodType):
            owner = value.__self__
            if owner is not None and not isinstance(owner, types.ModuleType | type):
                return None
        name: Any = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
        if not isinstance(name, str):
            return None
        if _found("builtins", name) is value:
            return f"builtins:{name}" if _is_harmless(name, value) else None
        for module in _OPEN:
            if "." not in name and _found(module, name) is value and not self.is_own(value):
                return f"{module}:{name}"
        if isinstance(value, types.FunctionType) and value.__globals__ is self.names:
            return None  # it has defaults and attributes: stored by its place
        home: Any = getattr(value, "__module__", None)
        if is_own_module(home) and home != "__main__" and _found(home, name) is value:
            return f"{home}:{name}"
        for known in [name, *self.defined]:
            if known in self.defined and self.names.get(known) is value:
                return known
        return None

    def referred(self, reference: str) -> Any:  # noqa: C901 - one for each place
        """Return what a reference stands for."""
        module, colon, name = reference.rpartition(":")
        if not colon:
            value = self.names[name]
            if name not in self.defined or not _is_code(value):
                raise LookupError(reference)
            return value
        if module == "builtins":
            value = _found(module, name)
            if not _is_harmless(name, value):
                raise LookupError(reference)
            return value
        if module in _OPEN:
            if "." in name:  # the way to a module behind it
                raise LookupError(reference)
            importlib.import_module(module)
        elif module.startswith(("sklearn.", "scipy.")):
            found = _found(module, name)  # only what the notebook has imported
            if not (isinstance(found, type) and self.is_open(found)):
                raise LookupError(reference)
            return found
        elif not is_own_module(module):
            raise LookupError(reference)
        value = _found(module, name)
        if value is None or isinstance(value, types.ModuleType):
            raise LookupError(reference)
        return value

    def other(self, value: Any, writer: GraphWriter) -> dict[str, Any] | None:
        """Return the node of a shell's lines, a random generator, a book or a run."""
        if type(value) is SList:
            return {TAG: "host.lines", "items": list(value)}
        if isinstance(value, types.ModuleType):
            name = self.reference(value)
            return None if name is None else {TAG: "name", "name": name}
        if type(value) is DisplayHandle:
            return {TAG: "host.display", "id": writer.node(value.display_id)}
        parts = parts_of(value)
        if parts is not None:
            return {TAG: "host.random", **{name: writer.node(v) for name, v in parts.items()}}
        book = value.book if isinstance(value, Run) else value
        if isinstance(book, Book) and book.path is not None:
            found: dict[str, Any] = {TAG: "host.book", "book": str(book.path)}
            return {**found, "run": value.id} if isinstance(value, Run) else found
        return None

    def made(self, node: dict[str, Any]) -> Any:
        """Return what :meth:`other` has written."""
        kind = node[TAG]
        if kind == "host.lines":
            return SList(expect(node["items"], list))
        if kind == "host.random":
            return from_parts(node)
        if kind == "host.display":
            return DisplayHandle(expect(node["id"], str))  # type: ignore[no-untyped-call]
        if kind != "host.book":
            raise LookupError(kind)
        book = connect(node["book"])
        if "run" not in node:
            return book
        try:
            return book.get(node["run"])
        except (BookNotFoundError, RunNotFoundError) as error:
            return self.stub({"type": "stepbook.Run", "why": str(error)})

    def missing(self, node: dict[str, Any]) -> Any:
        """Return what stands for an object that was not stored."""
        return self.stub(node)


def _is_harmless(name: str, value: Any) -> bool:
    """Whether a name of Python is a type, a method of one, or does nothing but give a value."""
    owner, _, method = name.rpartition(".")
    if owner:
        return isinstance(_found("builtins", owner), type) and not method.startswith("__")
    return isinstance(value, type) or name in _PURE


def _is_code(value: Any) -> bool:
    """Whether a value is a function, class or module, of whatever kind."""
    return isinstance(value, _CALLABLE) or (callable(value) and hasattr(value, "__name__"))


def _found(module: str | None, name: str) -> Any:
    found: Any = sys.modules.get(module or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found

"""The modules, classes of libraries and objects in them that the code of a cell can reach."""

from __future__ import annotations

import dis
import functools
import itertools
import sys
import types
from typing import TYPE_CHECKING, Any, Final

from ..model.libraries import OF_THE_MOMENT
from .memory import is_hidden
from .stub import NotStored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .digest import Look

GONE: Final[Any] = object()
#: Owners of which others take care, or which are of the moment.
_OTHERS: Final = OF_THE_MOMENT | {
    "__main__",
    "builtins",
    "warnings",
    "random",
    "decimal",
    "stepbook",
}
#: Modules of which data says what is executed, and from where: a book must not say it.
_TRUSTED: Final = frozenset(
    """
    code codeop ctypes importlib os pickle pkgutil posixpath ntpath runpy shutil site ssl
    subprocess sys sysconfig tempfile zipimport
    """.split()
)
#: Operations that give an attribute or a global another value.
_STORING: Final = frozenset({"STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL"})
PLAIN: Final = (type(None), bool, int, float, complex, str, bytes)
CONTAINERS: Final = (list, tuple, dict, set, frozenset)
#: Items of a container in which functions are looked for.
_MOST_PARTS: Final = 100
#: Owners that one cell reaches, at most.
_MOST_OWNERS: Final = 1_000

#: An owner, as it is found again, and a name in it.
Place = tuple[str, str]


@functools.lru_cache(maxsize=2_000)
def words_in(code: types.CodeType) -> frozenset[str]:
    """Return the names, and texts that may be names, in a function and those within it."""
    found = set(code.co_names)
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            found |= words_in(part)
        elif type(part) is str and part.replace(".", "_").isidentifier():
            found.add(part)
        elif type(part) in (tuple, frozenset):
            found.update(p for p in part if type(p) is str and p.isidentifier())
    return frozenset(found)


class Reach:
    """The owners that the code of a cell can reach by names in it.

    Args:
        words: the names in the text of the cell.
        stores: those that it may give another value.
        names: the notebook's names.
        is_own: whether a function or class was written by the person.
        seen: returns how a name of the notebook was seen last.
        origins: the places that names of the notebook were imported from.

    Attributes:
        owners: modules, classes and objects, by what they are found by again.
        words: the names in all of the code.
    """

    def __init__(
        self,
        words: Iterable[str],
        stores: Iterable[str],
        names: dict[str, Any],
        is_own: Callable[[Any], bool],
        seen: Callable[[str], Look | None],
        origins: dict[str, Place],
    ) -> None:
        self.owners: dict[str, Any] = {}
        self.words: set[str] = set()
        self._names = names
        self._origins = origins
        self._is_own = is_own
        self._seen = seen
        self._stores = frozenset(stores)
        self._codes: set[types.CodeType] = set()
        self._ids: set[int] = set()
        fresh = set(words)
        while fresh and len(self.owners) < _MOST_OWNERS:
            self.words |= fresh
            fresh = self._follow(fresh) - self.words

    def _follow(self, fresh: set[str]) -> set[str]:
        """Follow names that have come; return those in the code behind them."""
        found: set[str] = set()
        for name in fresh & self._names.keys():
            if not is_hidden(name):
                seen = self._seen(name)
                found |= set() if seen is None else seen.names
                self._visit(self._names[name], found)
                if name in self._origins:
                    found.update(self._origins[name])
        for name in fresh & sys.modules.keys():
            self._visit(sys.modules[name], found)
        for label, owner in list(self.owners.items()):
            self._inside(label, owner, fresh, found)
        return found

    def _visit(self, value: Any, found: set[str]) -> None:
        """Take in what a name of the notebook, or of an own object, holds."""
        if isinstance(value, types.ModuleType):
            name = field(value, "__name__")
            if sys.modules.get(name) is value:
                self._add(name, value, found)
        elif isinstance(value, types.FunctionType):
            self._function(value, found)
        elif isinstance(value, type):
            self._class(value, found)
        elif isinstance(value, types.MethodType):
            self._function(value.__func__, found)
        elif type(value) in CONTAINERS:
            self._parts(value.values() if type(value) is dict else value, found)
        elif type(value) not in PLAIN and self._is_own(type(value)):
            self._class(type(value), found)
            self._parts((fields(value) or {}).values(), found)

    def _parts(self, parts: Iterable[Any], found: set[str]) -> None:
        for part in itertools.islice(parts, _MOST_PARTS):
            if isinstance(part, types.FunctionType | types.ModuleType):
                self._visit(part, found)

    def _function(self, value: Any, found: set[str]) -> None:
        if isinstance(value, types.FunctionType) and self._is_own(value):
            found |= words_in(value.__code__)
            self._codes.add(value.__code__)
            if value.__globals__ is not self._names:
                self._visit(sys.modules.get(value.__module__), found)

    def _class(self, value: type, found: set[str]) -> None:
        if value.__module__ != "__main__":
            label = f"{value.__module__}:{value.__qualname__}"
            if owner_at(label) is value:
                self._add(label, value, found)
        if self._is_own(value) and id(value) not in self._ids:
            self._ids.add(id(value))
            for part in vars(value).values():
                wraps = isinstance(part, staticmethod | classmethod)
                self._function(part.__func__ if wraps else part, found)
                if isinstance(part, property):
                    self._function(part.fget, found)
                    self._function(part.fset, found)

    def _add(self, label: str, owner: Any, found: set[str]) -> None:
        package = label.partition(".")[0].partition(":")[0]
        if id(owner) not in self._ids and package not in _OTHERS and package not in _TRUSTED:
            self._ids.add(id(owner))
            self.owners[label] = owner
            self._inside(label, owner, self.words, found)

    def _inside(self, label: str, owner: Any, words: set[str], found: set[str]) -> None:
        """Follow the names that lead from an owner to others."""
        inside = fields(owner) or {}
        for word in words & inside.keys():
            value = inside[word]
            if type(value) in PLAIN or type(value) in CONTAINERS:
                continue
            self._visit(value, found)
            if not isinstance(value, type | types.ModuleType) and type(fields(value)) is dict:
                inner = f"{label}.{word}" if ":" in label else f"{label}:{word}"
                self._add(inner, value, found)

    def places(self) -> Iterator[tuple[Place, Any]]:
        """Give all places, each with what is there."""
        for label, owner in self.owners.items():
            inside = fields(owner) or {}
            for word in self.words & inside.keys():
                if not word.startswith("__"):
                    yield (label, word), inside[word]

    def may_change(self, place: Place) -> bool:
        """Whether the code of the cell names what is at a place."""
        label, word = place
        return label in self.owners and word in self.words and not word.startswith("__")

    def may_bind(self, place: Place) -> bool:
        """Whether the code of the cell may put something else there."""
        stores = self._stores.union(*map(_stored_in, self._codes))
        return self.may_change(place) and place[1] in stores


def _stored_in(code: types.CodeType) -> frozenset[str]:
    """Return the names of attributes and globals that a function assigns, and texts in it."""
    found = {i.argval for i in dis.get_instructions(code) if i.opname in _STORING}
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            found |= _stored_in(part)
        elif type(part) is str:
            found.add(part)
    return frozenset(found)


def fields(owner: Any) -> Any:
    """Return the attributes of an owner, or None, without calling anything of its own."""
    try:
        return (
            vars(owner) if isinstance(owner, type) else object.__getattribute__(owner, "__dict__")
        )
    except (AttributeError, TypeError):
        return None


def field(owner: Any, name: str) -> Any:
    """Return one of them, or GONE."""
    return (fields(owner) or {}).get(name, GONE)


def owner_at(label: str) -> Any:
    """Return what is found by ``module:Class.attribute``, of modules that are loaded."""
    module, _, path = label.partition(":")
    found: Any = sys.modules.get(module)
    for name in filter(None, path.split(".")):
        found = field(found, name)
    return None if found is GONE else found


# ---- setting again ------------------------------------------------------------------------------


def put(place: Place, how: dict[str, Any], value: Any) -> None:
    """Set what is at a place again.

    Args:
        place: the owner and the name in it.
        how: what :meth:`.variables.Storer.add_places` has noted.
        value: what was stored.

    Raises:
        ValueError: it could not be stored.
        LookupError: there is no such owner any more.
    """
    label, word = place
    owner = owner_at(label)
    if owner is None:
        raise LookupError("what holds it is not loaded")
    now = field(owner, word)
    if how.get("deleted"):
        if now is not GONE:
            delattr(owner, word)
    elif isinstance(value, NotStored):
        raise ValueError("it could not be stored")
    elif "gone" in how:
        if type(now) is not dict:
            raise ValueError("it is no dict here")
        for key in value["gone"]:
            now.pop(key, None)
        stubs = [key for key, item in value["set"].items() if isinstance(item, NotStored)]
        now.update((key, item) for key, item in value["set"].items() if key not in stubs)
        if stubs:
            raise ValueError(f"{', '.join(map(repr, stubs))} could not be stored")
    elif how.get("kept") and type(now) is type(value) and now is not value:
        _fill(owner, word, now, value)
    else:
        setattr(owner, word, value)


def _fill(owner: Any, word: str, now: Any, value: Any) -> None:
    """Give an object that others may hold, too, the content of another one."""
    if type(now) is list:
        now[:] = value
    elif type(now) in (dict, set):
        now.clear()
        now.update(value)
    elif type(fields(now)) is dict and not isinstance(now, type | types.FunctionType):
        fields(now).clear()
        fields(now).update(fields(value))
    else:
        setattr(owner, word, value)

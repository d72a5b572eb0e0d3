"""Objects of which a pickle would lose something, told in it as graphs tell them.

pandas forgets which tables share memory, ``attrs`` and attributes of the person's own. NumPy
forgets views, their order, and that an array is read-only. Some of Python has no pickle. The nodes
of a graph hold all that (:mod:`.heap`). So the pickle of such an object has the node in its place,
with the objects inside instead of their nodes: the pickle has each of these once.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Final

from .budget import Budget
from .nodes import TAG, name_of, unstorable
from .types import caches, carried, composed, living, tables, views
from .types.blocks import blocks_of
from .types.memory import owner_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .world import World

#: What has no pickle, or one that is the name of something else.
_LIVING: Final = frozenset(
    {property, staticmethod, classmethod, memoryview, types.MappingProxyType}
    | {type({}.keys()), type({}.values()), type({}.items())}
    | {*living.ITERATORS}
)
#: What an object is given when it is made, since it may hold the object itself.
_LATER: Final[dict[str, tuple[tuple[str, ...], living.Shell]]] = {
    tables.SHARED_TABLE: (("attrs", "notes"), tables.SHELL),
    "exception": (("args", "fields", "cause"), living.SHELLS["exception"]),
}
_COMPOSED: Final = ("numpy.masked", "numpy.recarray")


class FormWriter:
    """Gives nodes with objects inside; a :class:`.world.GraphWriter`.

    Args:
        world: what the host knows of its code.
        owners: what owns memory of which several arrays are in the value, by id.
    """

    def __init__(self, world: World, owners: set[int]) -> None:
        self.world = world
        self.owners = owners
        self.bases: dict[int, Any] = {}
        self._numbers: dict[int, tuple[int, Any]] = {}
        #: What is pickled as its library does it; kept, so that no id is used again.
        self._plain: dict[int, Any] = {}

    def form_of(self, value: Any) -> dict[str, Any] | None:
        """Return the node of an object; None if its own pickle loses nothing.

        Raises:
            NotSerializableError: it would, and no node holds the object either.
        """
        kind = type(value)
        if kind is caches.KIND:
            return living.encode(self, value) or caches.encode(self, value)
        if kind in _LIVING:
            return living.encode(self, value)
        if isinstance(value, BaseException):
            node = living.encode(self, value)
            return None if node is None else {**node, "class": kind}
        package = kind.__module__.partition(".")[0]
        if package not in ("numpy", "pandas") or id(value) in self._plain:
            return None
        return self._array(value) if package == "numpy" else self._table(value)

    def _array(self, value: Any) -> dict[str, Any] | None:
        import numpy as np  # noqa: PLC0415 - there are arrays

        found = views.encode(self, value)
        if found is None:
            found = composed.encode_array(self, value)
        if found is not None or not isinstance(value, np.ndarray):
            return found
        plain = type(value) is np.ndarray
        if not plain and id(owner_of(value)) in self.owners:
            raise unstorable(f"a {name_of(type(value))} on memory that others use, too")
        if value.flags.writeable:
            return None
        if not plain:
            raise unstorable(f"a read-only {name_of(type(value))}")
        # A copy, for views of it may be writable.
        return {TAG: "numpy.readonly", "of": self.table(value.copy(order="K"))}

    def _table(self, value: Any) -> dict[str, Any] | None:
        import pandas as pd  # noqa: PLC0415 - there is a table

        found = carried.encode(self, value)
        if found is None:
            if tables.is_noted(value):
                raise unstorable("an index that was given attributes of its own")
            found = tables.encode(self, value, alone=False)
        if found is None and isinstance(value, pd.Series | pd.DataFrame):  # of another class
            if any(self._is_shared(values) for values, _ in blocks_of(value)):
                raise unstorable(f"a {name_of(type(value))} on memory that others use, too")
            own = tables.notes_of(value).keys() - set(value._metadata)  # noqa: SLF001 - as pandas has it
            if own or value.attrs:
                raise unstorable(f"a {name_of(type(value))} with attributes of its own")
        return found

    def _is_shared(self, values: Any) -> bool:
        return id(owner_of(values)) in self.owners or carried.is_shared(self, values)

    # ---- as a writer of graphs --------------------------------------------------------------

    def node(self, value: Any) -> Any:
        """Return *value*: it is pickled where its node would be."""
        return value

    needed = node

    def field(self, name: str, value: Any) -> Any:  # noqa: ARG002 - of errors
        """Return *value*."""
        return value

    def table(self, value: Any) -> Any:
        """Return *value*, which its library pickles."""
        self._plain[id(value)] = value
        return value

    def has_met(self, value: Any) -> bool:  # noqa: ARG002 - whatever it is
        """Return True: a part is told by itself, for somebody may hold it."""
        return True

    def forbid(self, value: Any, reason: str) -> None:
        """Allow it: what has been met is told by itself."""

    def number_of(self, thing: Any) -> int:
        """Return the number of something that is not a value."""
        return self._numbers.setdefault(id(thing), (len(self._numbers), thing))[0]

    def is_plain(self, value: Any) -> bool:  # noqa: ARG002 - as above
        """Return False: its own pickle tells of it."""
        return False

    def finds(self, reference: str, cls: type) -> bool:  # noqa: ARG002 - as above
        """Return False: classes are told by the pickle."""
        return False

    def attempt(self, make: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:  # noqa: ARG002 - as above
        """Return None: whether it can be pickled is not known yet."""
        return None


class FormReader:
    """Makes objects of nodes with objects inside; a :class:`.world.GraphReader`.

    Args:
        world: what the host knows of its code.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.budget = Budget(trusted=True)  # its seal was accepted
        self.refs: dict[int, Any] = {}

    def resolve(self, node: Any) -> Any:
        """Return the object that stands there."""
        return node

    def made(self, node: dict[str, Any]) -> Any:
        """Return the object of a node, without what :meth:`fill` gives it."""
        kind = node[TAG]
        if kind == tables.SHARED_TABLE:
            return tables.SHELL.make(self, node)
        if kind == caches.CACHED:
            made = caches.SHELL.make(self, node)
            caches.SHELL.fill(self, made, node)
            return made
        if kind == "exception":
            return living.bare_exception(node["class"])
        if kind in _COMPOSED:
            return composed.decode(kind, node)
        return living.decode(self, kind, node)

    def fill(self, value: Any, later: dict[str, Any]) -> None:
        """Give an object what may hold the object itself."""
        _, shell = _LATER[later[TAG]]
        shell.fill(self, value, later)

    def when_whole(self, keys: list[Any], fill: Callable[[], None]) -> None:  # noqa: ARG002 - they are here
        """Call *fill*."""
        fill()

    def class_of(self, reference: str) -> type:
        """Refuse: classes are told by the pickle."""
        raise LookupError(reference)


def split(node: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return what an object is made of, and what it is given afterwards."""
    names, _ = _LATER.get(node[TAG], ((), None))
    if not names:
        return node, None
    later = {name: node[name] for name in (TAG, *names) if name in node}
    return {name: part for name, part in node.items() if name not in names}, later

"""What graphs of objects are stored against, and what their writers and readers are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import types
    from collections.abc import Callable

    from .budget import Budget


class World(Protocol):
    """What the host knows of the code that it executes.

    Attributes:
        names: the globals of its functions.
    """

    names: dict[str, Any]

    def place_of(self, code: types.CodeType) -> list[Any] | None:
        """Return where in the host's code a function stands; None if it is not known."""

    def code_at(self, place: Any) -> types.CodeType | None:
        """Return the function's code that stands at a place, None if no such code is here."""

    def reference(self, value: Any) -> str | None:
        """Return what a function, class or module is found by again; None for one that is not."""

    def referred(self, reference: str) -> Any:
        """Return what :meth:`reference` stands for; LookupError if there is nothing."""

    def is_own(self, cls: type) -> bool:
        """Whether a class was written by the person: instances are stored by their state."""

    def is_open(self, cls: type) -> bool:
        """Whether a class is a library's of which instances may be stored by their state, too."""

    def other(self, value: Any, writer: GraphWriter) -> dict[str, Any] | None:
        """Return the node of an object of the host's own, None for any other."""

    def made(self, node: dict[str, Any]) -> Any:
        """Return what :meth:`other` has written."""

    def missing(self, node: dict[str, Any]) -> Any:
        """Return what stands for an object that could not be stored."""


class GraphWriter(Protocol):
    """Makes the nodes of a graph; see :class:`.heap.HeapWriter`.

    Attributes:
        world: what the host knows of its code.
        owners: what owns memory of which several arrays are in the graph, by id.
        bases: for each of them the array of which the others are written as views.
    """

    world: World
    owners: set[int]
    bases: dict[int, Any]

    def node(self, value: Any) -> Any:
        """Return what stands for *value* in JSON."""

    def field(self, name: str, value: Any) -> Any:
        """Return the node of *value*, which errors will call ``.name``."""

    def is_plain(self, value: Any) -> bool:
        """Whether an object is told by its attributes, not by what is known of its class."""

    def table(self, value: Any) -> Any:
        """Return what stands for a table by itself."""

    def needed(self, value: Any) -> Any:
        """Return the node of a part without which what it is a part of could not be made."""

    def has_met(self, value: Any) -> bool:
        """Whether an object stands in the graph already."""

    def number_of(self, thing: Any) -> int:
        """Return the number of something that is no value of the graph."""

    def forbid(self, value: Any, reason: str) -> None:
        """Refuse an object that is a part of another one and could not be shared with it."""

    def finds(self, reference: str, cls: type) -> bool:
        """Whether a reader in this notebook would find a class by what the record calls it."""

    def attempt(self, make: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """Return what *make* gives; None, and nothing done, if something cannot be stored."""


class GraphReader(Protocol):
    """Rebuilds a graph; see :class:`.heap.HeapReader`.

    Attributes:
        world: what the host knows of its code.
        budget: what rebuilding the value may take.
        refs: by what pandas knows that blocks are on the same memory, by number.
    """

    world: World
    budget: Budget
    refs: dict[int, Any]

    def resolve(self, node: Any) -> Any:
        """Return the object of a node; what it holds may be filled in later."""

    def when_whole(self, keys: list[Any], fill: Callable[[], None]) -> None:
        """Call *fill*, which asks for hashes of *keys*, as soon as those have their content."""

    def class_of(self, reference: str) -> type:
        """Return a class that the host's code names."""

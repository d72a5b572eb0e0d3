"""What the code of a cell reads: other code of the person's, and variables of the notebook.

Code is told as functions tell what they reach. Variables are told apart from it, each by itself:
whoever follows the notebook knows their contents, and which cell has changed them last.
"""

from __future__ import annotations

from json import dumps
from typing import TYPE_CHECKING, Any

from .contents import NONE
from .imports import package_of
from .reads import reads_of
from .walk import MISSING, Walk

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Collection, Iterable


class CellWalk(Walk):
    """Follows what the code of a cell reaches.

    Args:
        names: the notebook's names.
        tell: returns what a variable holds, as a text, and the functions and classes in it.
        everything: names by which code reaches every other name.
        stub: the class of what stands for variables that could not be stored.
        ignored: names that are left out.

    Attributes:
        inputs: the variables, each as a text.
        reaches_all: whether some of the code reaches every name.
        stubs: the variables that could not be stored: nothing can be told of them.
        left_out: the names that the code reads and that are left out.
    """

    def __init__(
        self,
        names: dict[str, Any],
        tell: Callable[[str], tuple[str, Iterable[Any]]],
        everything: frozenset[str],
        stub: type,
        ignored: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.inputs: dict[str, str] = {}
        self.reaches_all = False
        self.stubs: set[str] = set()
        self.left_out: set[str] = set()
        self._ignored = frozenset(ignored)
        self._names = names
        self._tell = tell
        self._everything = everything
        self._stub = stub
        #: The variable through which what follows is reached.
        self._root = ""

    def cell(self, code: types.CodeType, needed: Collection[str]) -> None:
        """Take in what a cell reads.

        Args:
            code: of its statements.
            needed: the names that these may read before they give them a value.
        """
        reads = reads_of(code)
        for chain in (*reads.chains, *reads.counters, *((name,) for name in sorted(reads.named))):
            if chain[0] in needed and (chain[0] in self._names or chain[0] in self._ignored):
                self._chain(self._names, chain, reads.given)
        for one in reads.imports:
            self._import(one, package_of(self._names))

    def variable(self, name: str) -> None:
        """Take in a variable, or a function or class under this name."""
        self._chain(self._names, (name,))

    def function(
        self, value: types.FunctionType, prefix: str = "", *, closure: bool = True
    ) -> None:
        """Take in what a function reaches, and what it counts on in the notebook."""
        super().function(value, prefix, closure=closure)
        self.reaches_all |= not self._everything.isdisjoint(value.__code__.co_names)
        if value.__globals__ is self._names:
            for chain in reads_of(value.__code__).counters:
                self._chain(self._names, chain)

    def _chain(
        self,
        space: dict[str, Any],
        chain: tuple[str, ...],
        given: frozenset[str] = frozenset(),
    ) -> None:
        before = self._root
        if space is self._names:
            if chain[0] in self._ignored:
                self.left_out.add(chain[0])
                return
            self._root = chain[0]
        super()._chain(space, chain, given)
        self._root = before

    def _follow(self, name: str, value: Any) -> None:
        before, self._root = self._root, _root_of(name)
        super()._follow(name, value)
        self._root = before

    def _label(self, name: str, value: Any) -> str:
        """Return *name*, with the variable through which it is reached: ``model: Model.fit``."""
        if _root_of(name) != self._root:
            name = f"{self._root}: {name}"
        return super()._label(name, value)

    def _value(self, label: str, value: Any, get: Callable[[], Any]) -> bool:
        if issubclass(type(value), self._stub):  # which asks a proxy for nothing
            self.stubs.add(label)
            return True
        return super()._value(label, value, get)

    def _content(self, label: str, value: Any, get: Callable[[], Any]) -> bool:
        if self._names.get(label, MISSING) is not value:
            return super()._content(label, value, get)
        if label not in self.inputs:
            self.inputs[label] = NONE  # while it is being told
            self.inputs[label], code = self._tell(label)
            for item in code:
                self.code_of(item)
        return True


def _root_of(label: str) -> str:
    return label.partition(": ")[0].partition(".")[0]


def text_of(code: str, parts: dict[str, dict[str, str]]) -> str:
    """Return the fingerprint of a cell, as it is recorded.

    Args:
        code: stands for the code of the cell itself.
        parts: what it reaches, reads and shares, and what was declared, each by name.
    """
    told = {kind: found for kind, found in parts.items() if found}
    return dumps({"code": code, **told}, separators=(",", ":"))

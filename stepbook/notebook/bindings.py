"""Which names a record may give a value to: a book must not say what the notebook's code does not.

A record can come from somebody else. What it holds for a name that the code does not bind, as
``print`` or the address of a database, is not brought back.
"""

from __future__ import annotations

import ast
import builtins
import types
from typing import TYPE_CHECKING, Any

from ..values.heap import ATOMS
from .effects import defined_names, scope_of

if TYPE_CHECKING:
    from .effects import Effects

_CODE = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)


class Bindings:
    """What the code of a notebook may bind, as far as its cells were executed or replayed.

    Args:
        names: the notebook's names.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._imported: set[str] = set()
        self._globals: set[str] = set()
        self._everything = False

    def note(self, body: list[ast.stmt], effects: Effects) -> None:
        """Take in a cell, before it executes or is replayed."""
        imported = {
            name
            for node in scope_of(body)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in defined_names(node)
        }
        self._imported = (self._imported - effects.binds) | imported
        for statement in body:
            for node in ast.walk(statement):
                if isinstance(node, ast.Global):
                    self._globals.update(node.names)
        self._everything |= effects.everything

    def may_bind(self, name: str, effects: Effects) -> bool:
        """Whether a cell may give a name another value.

        Its text binds it; or a function of the notebook does, or it was bound earlier in this pass
        and code may have changed what it holds. Then it is no built-in, and not what an import
        gave that cannot be changed: a text, a function, a module.

        Args:
            name: the name.
            effects: what the text of the cell does.
        """
        if name in effects.binds:
            return True
        if hasattr(builtins, name):
            return False
        held = self._names.get(name)
        if name in self._imported and (type(held) in ATOMS or isinstance(held, _CODE)):
            return False
        return name in self._names or name in self._globals or self._everything

"""Which imports and definitions of a cell a replay executes, and which it is given."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING, Any, Final

from .effects import defined_names, effects_of, is_definition
from .memory import is_hidden

if TYPE_CHECKING:
    from .session import Session
    from .transform import Body
    from .variables import Storer


#: Decorators that give a function to the shell.
_REGISTERING: Final = ("register_line_magic", "register_cell_magic", "register_line_cell_magic")


class Definitions:
    """Those of one execution of a cell.

    Args:
        session: of the shell.
        body: the code of the cell.

    Attributes:
        ran: the numbers of those that were executed; at the end of those that a replay executes.
    """

    def __init__(self, session: Session, body: Body) -> None:
        self._session = session
        self._body = body
        self._names: dict[str, Any] = session.shell.user_ns
        self._made: dict[int, list[Any]] = {}
        # Those that nothing notes, in the strings of magics, always count as executed.
        self.ran = list(range(body.noted, body.always))

    def executed(self, number: int) -> None:
        """Note that the body has executed one of them."""
        if number not in self.ran:
            self.ran.append(number)
        node = self._body.definitions[number]
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._session.memory.baseline(self._bound_by(node))
            self._session.surroundings.loaded()
            self._session.places.loaded()
        elif number < self._body.noted:
            self._made[number] = [self._names.get(name) for name in defined_names(node)]

    def again(self, storer: Storer) -> set[str]:
        """Choose which of them a replay executes; return the names that it binds by that."""
        executed: set[str] = set()
        remade: set[str] = set()
        for number in sorted(self.ran):
            node = self._body.definitions[number]
            names = {name for name in self._bound_by(node) if name in self._names}
            if isinstance(node, ast.Import | ast.ImportFrom):
                memory = self._session.memory
                executed |= {n for n in names if is_hidden(n) or memory.is_import(n)}
            elif isinstance(node, ast.ClassDef) or not is_definition(node):
                # Its statement makes it; what it has beside that is stored.
                executed |= {n for n in names if not isinstance(self._names[n], type)}
            elif self._is_kept(node, names, remade, storer):
                self.ran.remove(number)
            elif [self._names.get(name) for name in defined_names(node)] == self._made.get(number):
                executed |= names  # the decorator of a library is called again
                remade |= names
        return executed

    def _is_kept(self, node: Any, names: set[str], remade: set[str], storer: Storer) -> bool:
        """Whether a function is stored, and its definition is not executed again."""
        decorators = getattr(node, "decorator_list", ())
        reads = effects_of([ast.Expr(d) for d in decorators]).reads & self._names.keys()
        if reads & remade:  # `@area.register`, of an `area` that is made anew
            return False
        magic: Any = sys.modules.get("IPython.core.magic")
        registers = [getattr(magic, name, None) for name in _REGISTERING]
        if any(self._names.get(name) in registers for name in reads):
            return False
        if not decorators or all(map(storer.can_store, names)):
            return True
        # Else a stub would decorate it on replay.
        return not all(map(storer.can_store, reads - self._session.notebook.defined))

    def _bound_by(self, node: ast.stmt) -> set[str]:
        """Return the names that a definition has bound."""
        found = set(defined_names(node))
        if "*" in found:
            module = sys.modules.get(getattr(node, "module", None) or "")
            public = {} if module is None else vars(module)
            found = {n for n, value in public.items() if self._names.get(n, self) is value}
        return found

"""Where the functions of a notebook stand in the text of its cells.

A function is recorded as a place: the fingerprint of its cell, and its number among the functions
of that cell, in the order of the text. It is rebuilt from the code of a cell that this kernel has
executed, so never from what a book holds.
"""

from __future__ import annotations

import ast
import linecache
from typing import TYPE_CHECKING, Any

from ..code.shapes import fingerprint
from ..code.sources import FUTURE, functions_in, positions
from .effects import nested_code

if TYPE_CHECKING:
    import types
    from collections.abc import Iterator


class _Cell:
    """The functions of one cell."""

    def __init__(self, body: list[ast.stmt], name: str) -> None:
        # As the step's own fingerprint is made: without what stands for the magic's line.
        self.key = fingerprint([s for s in body if not _is_future(s)])
        self._texts = [body, *nested_code(body)]
        self._name = name
        self._codes: dict[int, list[types.CodeType | None]] = {}

    def codes(self, future: int) -> list[types.CodeType | None]:
        """Return the code of each function, compiled with the flags of ``__future__``."""
        if future not in self._codes:
            self._codes[future] = [c for t in self._texts for c in _codes(t, self._name, future)]
        return self._codes[future]

    def number(self, code: types.CodeType, future: int) -> int | None:
        """Return which of its functions has *code*."""
        codes = self.codes(future)
        same = [n for n, own in enumerate(codes) if own == code]
        exact = [n for n in same if _positions(codes[n]) == _positions(code)]
        found = exact or same
        return found[0] if found else None


class Sources:
    """The cells that this kernel has executed."""

    def __init__(self) -> None:
        self._cells: dict[str, _Cell | None] = {}
        self._places: dict[types.CodeType, list[Any] | None] = {}
        self._keys: dict[str, _Cell] = {}

    def place_of(self, code: types.CodeType) -> list[Any] | None:
        """Return the cell and the number of a function."""
        cell = self._cell(code.co_filename)
        # An import from __future__ holds for all cells behind it, too.
        future = code.co_flags & FUTURE
        for known in [cell] if cell is not None else reversed(list(self._all())):
            number = known.number(code, future)
            if number is not None:
                return [known.key, number, future]
        return None

    def code_at(self, place: Any) -> types.CodeType | None:
        """Return the code of a function, from a cell that was executed here."""
        if not (isinstance(place, list) and list(map(type, place)) == [str, int, int]):
            return None
        key, number, future = place
        if key not in self._keys:
            for _ in self._all():
                pass
        cell = self._keys.get(key)
        codes = [] if cell is None else cell.codes(future & FUTURE)
        return codes[number] if 0 <= number < len(codes) else None

    def _all(self) -> Iterator[_Cell]:
        # IPython keeps the text of cells there, without a time, as they have no file.
        for name, entry in list(linecache.cache.items()):
            if len(entry) > 1 and entry[1] is None:
                cell = self._cell(name)
                if cell is not None:
                    yield cell

    def _cell(self, name: str) -> _Cell | None:
        if name in self._cells:
            return self._cells[name]
        entry = linecache.cache.get(name)
        if entry is None or len(entry) == 1 or entry[1] is not None:
            return None
        try:
            body = ast.parse("".join(entry[2])).body
        except (SyntaxError, ValueError, RecursionError):
            self._cells[name] = None
            return None
        cell = self._cells[name] = _Cell(without_marker(body), name)
        self._keys[cell.key] = cell
        return cell


def without_marker(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements of a cell without the string that stands for ``%%step NAME``."""
    first = body[0] if body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
        and first.value.value.startswith(("%%step", "#|"))
    ):
        body = body[1:]
    return body


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _codes(body: list[ast.stmt], name: str, future: int) -> list[types.CodeType | None]:
    """Return the code of each function of a text, in the order of the text."""
    return [code for _, code in functions_in(body, name, future)]


def _positions(code: types.CodeType | None) -> Any:
    return None if code is None else positions(code)

"""The source of functions, as this process has executed it.

A file may have changed since it was imported, so text alone proves nothing: it is compiled, and
counts for a function only if it gives the very code that the function has.
"""

from __future__ import annotations
import __future__

import ast
import linecache
import types
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_FLAGS: Final = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
#: The flag of ``from __future__ import annotations``, which changes what is compiled.
FUTURE: Final = __future__.annotations.compiler_flag
#: Texts that are kept parsed, at most.
_MOST_TEXTS: Final = 256

#: A function in a text, and its code.
Found = tuple[ast.AST, types.CodeType]


class _Text:
    """The functions of one file or cell."""

    def __init__(self, lines: list[str], name: str) -> None:
        self.lines = lines
        self._name = name
        self._body: list[ast.stmt] = []
        with suppress(SyntaxError, ValueError, RecursionError):
            self._body = ast.parse("".join(lines)).body
        self._places: dict[int, dict[tuple[str, int], list[Found]]] = {}

    def node_of(self, code: types.CodeType) -> ast.AST | None:
        """Return the function in this text that has *code*."""
        # In a cell, an import from __future__ holds for all cells behind it, too.
        future = code.co_flags & FUTURE
        if future not in self._places:
            places = self._places[future] = {}
            for node, own in functions_in(self._body, self._name, future):
                if own is not None:
                    places.setdefault((own.co_name, own.co_firstlineno), []).append((node, own))
        for node, own in self._places[future].get((code.co_name, code.co_firstlineno), ()):
            if own == code and positions(own) == positions(code):
                return node
        return None


_texts: Final[dict[str, _Text]] = {}


def node_of(code: types.CodeType) -> ast.AST | None:
    """Return the statement or lambda that *code* was compiled from; None if it is not known."""
    name = code.co_filename
    known = _texts.get(name)
    if known is not None and (node := known.node_of(code)) is not None:
        return node
    if known is not None:
        linecache.checkcache(name)
    lines = linecache.getlines(name)
    if not lines or (known is not None and known.lines == lines):
        return None
    if len(_texts) >= _MOST_TEXTS:
        _texts.clear()
    text = _texts[name] = _Text(lines, name)
    return text.node_of(code)


def functions_in(
    body: list[ast.stmt], name: str, future: int
) -> list[tuple[ast.AST, types.CodeType | None]]:
    """Return each function of a text with its code, in the order of the text.

    Args:
        body: the text, parsed.
        name: of its file or cell.
        future: the flags of ``__future__`` that hold in it besides its own.
    """
    try:
        flags = _FLAGS | future
        module = compile(ast.Module(body, []), name, "exec", flags=flags, dont_inherit=True)
    except (SyntaxError, ValueError, TypeError, RecursionError):
        return []
    compiled: dict[tuple[str, int], list[types.CodeType]] = {}
    waiting = [module]
    while waiting:
        code = waiting.pop()
        inner = [part for part in code.co_consts if isinstance(part, types.CodeType)]
        for part in inner:
            compiled.setdefault((part.co_name, part.co_firstlineno), []).append(part)
        waiting += inner
    return [(node, _code_of(node, compiled)) for node in _functions(body)]


def positions(code: types.CodeType) -> list[Any]:
    """Return where in its text each instruction of *code* comes from."""
    return list(code.co_positions())


def _functions(body: list[ast.stmt]) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = list(reversed(body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, _FUNCTIONS):
            yield node
        waiting += reversed(list(ast.iter_child_nodes(node)))


def _code_of(
    node: Any, compiled: dict[tuple[str, int], list[types.CodeType]]
) -> types.CodeType | None:
    name = getattr(node, "name", "<lambda>")
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    found = compiled.get((name, first)) or compiled.get((name, node.lineno)) or []
    if len(found) > 1:
        # Several lambdas on one line: the outermost of those within the node.
        within = [code for code in found if _is_within(code, node)]
        within.sort(key=lambda code: len(positions(code)), reverse=True)
        found = within or found
    return found[0] if found else None


def _is_within(code: types.CodeType, node: Any) -> bool:
    start, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
    for line, last, column, until in code.co_positions():
        if column is None or line is None or last is None or until is None or until == 0:
            continue
        if (line, column) < start or (last, until) > end:
            return False
    return True

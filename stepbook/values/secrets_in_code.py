"""Literals in the code of a cell that are given to names with secrets."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from .mask import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def without_literals(
    source: str, hides: Callable[[object], bool], learn: Callable[[object], None]
) -> str:
    """Return the code of a cell with the literals masked that names with secrets get."""
    tree = _parsed(source)
    if tree is None:
        return source
    spans: set[tuple[int, int, int, int]] = set()
    for node in ast.walk(tree):
        for value in _given(node, hides):
            spans.update(_literals(value, hides, learn))
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    for first, start, last, end in sorted(spans, reverse=True):
        whole = lines[first - 1][:start] + f'"{MASK}"'.encode() + lines[last - 1][end:]
        lines[first - 1 : last] = [whole]
    return b"".join(lines).decode()


def _parsed(source: str) -> ast.Module | None:
    magic = re.compile(r"^([ \t]*)[%!?].*$", re.MULTILINE)
    for text in (source, magic.sub(r"\1pass", source)):
        try:
            # Lines as ast counts them, and not as texts are split.
            if len(text.splitlines()) == len(text.split("\n")) - text.endswith("\n"):
                return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _given(node: ast.AST, hides: Any) -> Iterator[ast.AST]:
    """Yield what a node of code gives to names with secrets."""
    match node:
        case ast.Assign(targets=targets, value=value):
            if any(hides(name) for target in targets for name in _names(target)):
                yield value
        case (
            ast.AnnAssign(target=target, value=ast.expr() as value)
            | ast.AugAssign(target=target, value=value)
            | ast.NamedExpr(target=target, value=value)
        ):
            if any(map(hides, _names(target))):
                yield value
        case ast.keyword(arg=str(name), value=value) if hides(name):
            yield value
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and hides(key.value):
                    yield value
        case _:
            yield from _beside(node, hides)


def _beside(node: ast.AST, hides: Any) -> Iterator[ast.AST]:
    """Yield what stands beside names with secrets, where they are told or compared."""
    match node:
        case ast.Call(args=args) if any(
            isinstance(one, ast.Constant) and hides(one.value) for one in args
        ):
            yield from args
        case ast.Compare(left=left, comparators=right):
            if any(hides(name) for one in (left, *right) for name in _names(one)):
                yield from (left, *right)


def _names(target: ast.AST) -> Iterator[str]:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            yield name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            yield name
        case ast.Tuple(elts=items) | ast.List(elts=items):
            for item in items:
                yield from _names(item)
        case ast.Starred(value=item):
            yield from _names(item)


def _literals(node: ast.AST, hides: Any, learn: Any) -> Iterator[tuple[int, int, int, int]]:
    if isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant)
        and type(node.value) in (str, bytes, int, float, complex)
        and not hides(node.value)
    ):
        assert node.end_lineno is not None  # noqa: S101 - of parsed text
        assert node.end_col_offset is not None  # noqa: S101
        if isinstance(node, ast.Constant):
            learn(node.value)
        yield node.lineno, node.col_offset, node.end_lineno, node.end_col_offset
        return
    for inner in ast.iter_child_nodes(node):
        yield from _literals(inner, hides, learn)

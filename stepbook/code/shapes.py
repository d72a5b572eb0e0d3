"""The shape of code: the same for the same code, however it is written and wherever it stands."""

from __future__ import annotations

import ast
import hashlib
from typing import Any, Final

_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_DOCUMENTED: Final = (*_DEFINITIONS, ast.Module)
#: Fields that say nothing of what the code does, or that not every Python version has.
_NOTHING: Final = frozenset({"ctx", "type_comment", "kind"})
#: Hex digits of the hash of a function: 64 bits, among the handful that a step reaches.
_DIGITS: Final = 16


def fingerprint(body: list[ast.stmt]) -> str:
    """Return what stands for the code of a cell: the same for the same code, however written."""
    text = repr([_shape(statement) for statement in body])
    return "cell:" + hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def hash_of(function: ast.AST) -> str:
    """Return a hash of the code of one function, its own name left out."""
    shape = _shape(function)
    if isinstance(function, _DEFINITIONS):
        shape = [shape[0], [field for field in shape[1] if field[0] != "name"]]
    return short_hash(repr(shape))


def short_hash(text: str) -> str:
    """Return a hash of a text."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS]


def _shape(node: Any) -> Any:
    """Return the tree as nested lists, without what is empty: Python versions differ in that."""
    if isinstance(node, list):
        return [_shape(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Constant):
        return ["Constant", repr(node.value)]
    fields = []
    for name, value in ast.iter_fields(node):
        shown = value
        if name == "body" and isinstance(node, _DOCUMENTED):
            shown = _without_docstring(value)
        if shown not in (None, []) and name not in _NOTHING:
            fields.append([name, _shape(shown)])
    return [type(node).__name__, fields]


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        return body[1:]
    return body

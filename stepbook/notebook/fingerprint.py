"""What stands for the code of a cell: the same for the same code, however it is written."""

from __future__ import annotations

import ast
import hashlib
from typing import Any


def fingerprint(body: list[ast.stmt]) -> str:
    """Return what stands for the code of a cell: the same for the same code, however written."""
    text = repr([_shape(statement) for statement in body])
    return "cell:" + hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


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
        if name == "body" and isinstance(
            node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        ):
            shown = _without_docstring(value)
        if shown not in (None, []) and name not in ("ctx", "type_comment", "kind"):
            fields.append([name, _shape(shown)])
    return [type(node).__name__, fields]


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        return body[1:]
    return body

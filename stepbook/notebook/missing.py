"""What the person is told of what a cell has left behind and could not be stored."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from .memory import is_hidden
from .variables import is_missed

if TYPE_CHECKING:
    from collections.abc import Iterable


def missed(missing: list[tuple[str, str, Any]], statements: Iterable[ast.stmt]) -> dict[str, str]:
    """Return what is to be told: names, each with why it could not be stored.

    Args:
        missing: for each object a key, why, and the object.
        statements: the code of the cell. What only its loops and ``with`` have bound was there to
            be used in them: a stub says enough if somebody uses it later.
    """
    left = leftovers(statements) if missing else set()
    told = {}
    for key, why, value in missing:
        name, _, _ = key.partition("#")
        if name not in left and not is_hidden(name) and is_missed(value):
            told[key] = why
    return told


def in_words(step: str, told: dict[str, str]) -> str:
    """Return the warning."""
    shown = "; ".join(f"{key.partition('#')[0]} ({reason})" for key, reason in told.items())
    return (
        f"step {step!r} is recorded without {shown}. On replay, using "
        f"{'it' if len(told) == 1 else 'one of them'} raises NotStoredError."
    )


def leftovers(statements: Iterable[ast.stmt]) -> set[str]:
    """Return the names that only loops and ``with`` bind."""
    passing: set[str] = set()
    lasting: set[str] = set()
    waiting: list[tuple[ast.AST, bool]] = [(statement, False) for statement in statements]
    while waiting:
        node, passes = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            lasting.add(getattr(node, "name", ""))
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            (passing if passes else lasting).add(node.id)
        target = None
        if isinstance(node, ast.For | ast.AsyncFor):
            target = node.target
        elif isinstance(node, ast.withitem):
            target = node.optional_vars
        waiting += [(inner, passes or inner is target) for inner in ast.iter_child_nodes(node)]
    return passing - lasting

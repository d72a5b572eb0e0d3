"""What the person is told of what a cell has left behind and could not be stored."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from ..model.libraries import is_of_the_moment
from .memory import is_hidden

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .variables import Missing


def missed(missing: list[Missing], statements: Iterable[ast.stmt]) -> list[Missing]:
    """Return those of the objects that could not be stored of which the person is to be told.

    Args:
        missing: the objects.
        statements: the code of the cell. What only its loops and ``with`` have bound was there to
            be used in them: a stub says enough if somebody uses it later.
    """
    left = leftovers(statements) if missing else set()
    return [
        one
        for one in missing
        if one.name not in left and not is_hidden(one.name) and not is_of_the_moment(one.value)
    ]


def in_words(step: str, told: list[Missing]) -> str:
    """Return the warning."""
    shown = "; ".join(
        f"{f'the part {one.part} of {one.name}' if one.part else one.name} ({one.why})"
        for one in told
    )
    return (
        f"step {step!r} is recorded without {shown}. On replay, using "
        f"{'it' if len(told) == 1 else 'one of them'} raises NotStoredError."
    )


def made_each_time(step: str, lost: list[Missing], makers: dict[str, str]) -> str:
    """Return the warning about objects that another step makes each time, and this one changes.

    Args:
        step: the one that has changed them, which replays.
        lost: the objects, or their parts, that cannot be stored.
        makers: the steps that make the variables, of which nothing is stored.
    """
    names = list(dict.fromkeys(one.name for one in lost))
    shown = " and ".join(names)
    made = " and ".join(dict.fromkeys(repr(makers[name]) for name in names))
    return (
        f"step {step!r} changes {shown}, which {made} makes each time and which cannot be stored "
        f"({lost[0].why}). When {step!r} is replayed, using {shown} raises NotStoredError. Give it "
        "--no-store, too: then it is executed each time."
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

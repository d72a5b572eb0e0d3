"""Statements put into the text of a cell, where it is to fail or to die."""

from __future__ import annotations

import ast
from typing import NamedTuple

FAIL = "raise RuntimeError('it fails here, and is repaired')"
KILL = "__import__('os').kill(__import__('os').getpid(), 9)"


class Place(NamedTuple):
    """Where a statement can be put in: before the one that stands here."""

    line: int
    column: int  # in bytes, as the parser counts
    simple: bool

    def __str__(self) -> str:
        return f"line {self.line + 1}"


def places(text: str) -> list[Place]:
    """Return the places before the statements of a cell; only its begin where it is no Python."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return [Place(_first(text), 0, simple=False)]
    found: list[Place] = []
    while body:
        node, *body = body
        decorators = getattr(node, "decorator_list", [])
        if decorators:
            found.append(Place(decorators[0].lineno - 1, node.col_offset, simple=False))
        else:
            simple = not isinstance(getattr(node, "body", None), list)
            found.append(Place(node.lineno - 1, node.col_offset, simple))
        if isinstance(node, (ast.If, ast.For, ast.While, ast.With, ast.Try)):
            body = [*node.body, *getattr(node, "orelse", []), *body]
    elif_ = {(p.line, p.column) for p in found if _is_elif(text, p)}
    kept = [p for p in found if (p.line, p.column) not in elif_]
    return kept or [Place(_first(text), 0, simple=False)]


def _first(text: str) -> int:
    """Return the number of the first line below cell magics."""
    lines = text.split("\n")
    return next((n for n, line in enumerate(lines) if not line.startswith("%%")), len(lines))


def _is_elif(text: str, place: Place) -> bool:
    line = text.encode().split(b"\n")[place.line]
    return line[place.column :].startswith(b"elif")


def with_statement(text: str, place: Place, statement: str) -> str:
    """Return the text of a cell with a simple statement put in."""
    lines = text.encode().split(b"\n")
    line = lines[place.line] if place.line < len(lines) else b""
    before, after = line[: place.column], line[place.column :]
    if place.simple:
        lines[place.line] = before + statement.encode() + b"; " + after
    else:
        lines[place.line : place.line + 1] = [before + statement.encode(), before + after]
    return b"\n".join(lines).decode()

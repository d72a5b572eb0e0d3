"""Which names the statements of a cell may read before they have given them a value.

Only these are inputs of a cell: what ``for i in rows: print(i)`` has left in ``i`` is not one of
its next execution. A name counts as given a value where every way through the code has done so.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Final

from .effects import code_in, defined_names

if TYPE_CHECKING:
    from collections.abc import Iterable

_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LEAVING: Final = (ast.Raise, ast.Return, ast.Break, ast.Continue)

#: The names that have a value; None where no way leads on.
Bound = set[str] | None


def needed(body: list[ast.stmt]) -> set[str]:
    r"""Return the names that a cell may need from before it.

    Example:
        >>> sorted(needed(ast.parse("total = 0\\nfor x in rows: total += x").body))
        ['rows']
    """
    needs = _Needs()
    needs.block(body, set())
    return needs.found


class _Needs:
    """Follows statements in their order.

    Attributes:
        found: the names.
    """

    def __init__(self) -> None:
        self.found: set[str] = set()

    def block(self, body: Iterable[ast.stmt], bound: Bound) -> Bound:
        """Follow statements; return the names that have a value after them."""
        for statement in body:
            if bound is None:
                break
            bound = self._statement(statement, bound)
        return bound

    def _statement(self, node: Any, bound: set[str]) -> Bound:
        follow = getattr(self, f"_{type(node).__name__.lower()}", None)
        if isinstance(node, ast.If):
            self._read(node.test, bound)
            return _both(self.block(node.body, {*bound}), self.block(node.orelse, {*bound}))
        if isinstance(node, ast.For | ast.AsyncFor):
            self._read(node.iter, bound)
            inside = {*bound}
            self._read(node.target, inside)
            self.block(node.body, inside)
            self.block(node.orelse, {*bound})
        elif isinstance(node, ast.While):
            self._read(node.test, bound)
            self.block(node.body, {*bound})
            self.block(node.orelse, {*bound})
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                self._read(item, bound)
            return self.block(node.body, bound)
        elif follow is not None:
            found: Bound = follow(node, bound)
            return found
        else:
            self._read(node, bound)
            if isinstance(node, _LEAVING):
                return None
        return bound

    # ---- statements that bind -------------------------------------------------------------------

    def _assign(self, node: ast.Assign, bound: set[str]) -> Bound:
        self._read(node.value, bound)
        for target in node.targets:
            self._read(target, bound)
        return bound

    def _annassign(self, node: ast.AnnAssign, bound: set[str]) -> Bound:
        self._read(node.annotation, bound)
        if node.value is not None:
            self._read(node.value, bound)
            self._read(node.target, bound)
        return bound

    def _augassign(self, node: ast.AugAssign, bound: set[str]) -> Bound:
        if isinstance(node.target, ast.Name) and node.target.id not in bound:
            self.found.add(node.target.id)
        self._read(node.value, bound)
        self._read(node.target, bound)
        return bound

    def _import(self, node: ast.Import | ast.ImportFrom, bound: set[str]) -> Bound:
        return bound.union(defined_names(node))

    _importfrom = _import

    def _functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef, bound: set[str]) -> Bound:
        for part in (*node.decorator_list, node.args):
            self._read(part, bound)
        if node.returns is not None:
            self._read(node.returns, bound)
        bound.add(node.name)  # it may call itself
        self._called(node.body, bound)
        return bound

    _asyncfunctiondef = _functiondef

    def _classdef(self, node: ast.ClassDef, bound: set[str]) -> Bound:
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self._read(part, bound)
        self.block(node.body, {*bound})
        bound.add(node.name)
        return bound

    def _try(self, node: Any, bound: set[str]) -> Bound:
        ways = [self.block(node.orelse, self.block(node.body, {*bound}))]
        for handler in node.handlers:
            if handler.type is not None:
                self._read(handler.type, bound)
            inside = {*bound, handler.name} if handler.name else {*bound}
            ways.append(self.block(handler.body, inside))
        after = ways[0]
        for way in ways[1:]:
            after = _both(after, way)
        behind = self.block(node.finalbody, {*bound})
        return None if after is None or behind is None else after | behind

    _trystar = _try

    def _match(self, node: ast.Match, bound: set[str]) -> Bound:
        self._read(node.subject, bound)
        for case in node.cases:
            inside = {*bound}
            for part in ast.walk(case.pattern):
                name = getattr(part, "name", None) or getattr(part, "rest", None)
                if isinstance(name, str):
                    inside.add(name)
                elif isinstance(part, ast.expr):
                    self._read(part, bound)
            if case.guard is not None:
                self._read(case.guard, inside)
            self.block(case.body, inside)
        return bound

    # ---- expressions ----------------------------------------------------------------------------

    def _read(self, node: Any, bound: set[str]) -> None:  # noqa: C901 - one for each kind
        """Follow an expression, or what is made of some, in the order in which it is evaluated."""
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                bound.add(node.id)
            elif node.id not in bound:
                self.found.add(node.id)
        elif isinstance(node, ast.NamedExpr):
            self._read(node.value, bound)
            self._read(node.target, bound)
        elif isinstance(node, ast.BoolOp):
            self._read(node.values[0], bound)
            inside = {*bound}
            for value in node.values[1:]:
                self._read(value, inside)
        elif isinstance(node, ast.IfExp):
            self._read(node.test, bound)
            self._read(node.body, {*bound})
            self._read(node.orelse, {*bound})
        elif isinstance(node, _COMPREHENSIONS):
            self._comprehension(node, {*bound})
        elif isinstance(node, ast.Lambda):
            self._read(node.args, bound)
            self._called([node.body], bound)
        elif isinstance(node, ast.Call) and (inner := code_in(node)):
            bound |= self.block(inner, {*bound}) or set()
        else:
            for part in ast.iter_child_nodes(node):
                self._read(part, bound)

    def _comprehension(self, node: Any, inside: set[str]) -> None:
        for part in node.generators:
            self._read(part.iter, inside)
            self._read(part.target, inside)
            for condition in part.ifs:
                self._read(condition, inside)
        for name in ("key", "value", "elt"):
            if hasattr(node, name):
                self._read(getattr(node, name), inside)

    def _called(self, body: Iterable[ast.AST], bound: set[str]) -> None:
        """Take in what the body of a function may read, whenever it is called."""
        for node in (part for statement in body for part in ast.walk(statement)):
            if isinstance(node, ast.Name) and node.id not in bound:
                self.found.add(node.id)
            elif isinstance(node, ast.Global):
                self.found.update(node.names)


def _both(one: Bound, other: Bound) -> Bound:
    """Return the names that have a value whichever of two ways was taken."""
    if one is None or other is None:
        return other if one is None else one
    return one & other

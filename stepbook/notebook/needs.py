"""Which names the statements of a cell may read before they have given them a value.

Only these are inputs of a cell: what ``for i in rows: print(i)`` has left in ``i`` is not one of
its next execution. A name counts as given a value where every way through the code has done so.
"""

from __future__ import annotations

import ast
import types
from typing import TYPE_CHECKING, Any, Final

from ..code.behind import own_behind
from ..code.own import is_own_class
from ..code.reads import named_in
from .effects import code_in, defined_names, expanded_in, times

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LEAVING: Final = (ast.Raise, ast.Return, ast.Break, ast.Continue)
#: What is in the names of context managers of libraries behind which code goes on after an error.
_ENDING_ERRORS: Final = ("suppress", "raises", "ignor", "exitstack")

#: The names that have a value; None where no way leads on.
Bound = set[str] | None


def needs_of(body: list[ast.stmt], names: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Return the names that a cell may need from before it, and those in lines of the shell.

    Args:
        body: its statements.
        names: the notebook's names, by which context managers of the person's own are known.
    """
    needs = _Needs(names)
    needs.block(body, set())
    return needs.found, needs.expanded


def needed(body: list[ast.stmt]) -> set[str]:
    r"""Return the names that a cell may need from before it.

    Example:
        >>> sorted(needed(ast.parse("total = 0\nfor x in rows: total += x").body))
        ['rows']
    """
    return needs_of(body, {})[0]


class _Needs:
    """Follows statements in their order.

    Args:
        names: the notebook's names.

    Attributes:
        found: the names that are needed.
        expanded: those of them that stand in a line which the shell expands.
    """

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.found: set[str] = set()
        self.expanded: set[str] = set()
        self._names = names
        #: Functions and classes that the cell itself has defined so far.
        self._defined: set[str] = set()
        #: In the body of a class: the names that have a value around it.
        self._around: set[str] | None = None

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
            after = self.block(node.body, {*bound})
            ends = any(self._may_end_errors(item.context_expr) for item in node.items)
            return bound if ends else after
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
        self._defined.add(node.name)
        self._called(node.body, bound)
        return bound

    _asyncfunctiondef = _functiondef

    def _classdef(self, node: ast.ClassDef, bound: set[str]) -> Bound:
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self._read(part, bound)
        # What stands in a class is seen by its own statements, not by the functions in it.
        before = self._around
        self._around = {*bound} if before is None else before
        self.block(node.body, {*bound})
        self._around = before
        bound.add(node.name)
        self._defined.add(node.name)
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

    def _read(self, node: Any, bound: set[str]) -> None:  # noqa: C901, PLR0912 - one for each kind
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
            self._perhaps(node.values[1:], bound)
        elif isinstance(node, ast.Compare):
            self._read(node.left, bound)
            self._read(node.comparators[0], bound)
            self._perhaps(node.comparators[1:], bound)
        elif isinstance(node, ast.IfExp):
            self._read(node.test, bound)
            self._read(node.body, {*bound})
            self._read(node.orelse, {*bound})
        elif isinstance(node, _COMPREHENSIONS):
            self._comprehension(node, bound)
        elif isinstance(node, ast.Lambda):
            self._read(node.args, bound)
            self._called([node.body], bound)
        elif isinstance(node, ast.Call) and (inner := code_in(node)):
            after = self.block(inner, {*bound}) or set()
            if not times(node):
                bound |= after
        elif isinstance(node, ast.Constant):
            self.found.update(name for name in named_in(node.value) if name not in bound)
        else:
            if isinstance(node, ast.Call):
                found = expanded_in(node) - bound
                self.found |= found
                self.expanded |= found
            for part in ast.iter_child_nodes(node):
                self._read(part, bound)

    def _perhaps(self, nodes: Iterable[ast.expr], bound: set[str]) -> None:
        """Follow expressions of which each is evaluated only after some values of those before."""
        inside = {*bound}
        for node in nodes:
            self._read(node, inside)

    def _comprehension(self, node: Any, bound: set[str]) -> None:
        self._read(node.generators[0].iter, {*bound})
        around, self._around = self._around, None
        inside = {*(bound if around is None else around)}
        for number, part in enumerate(node.generators):
            if number:
                self._read(part.iter, inside)
            self._read(part.target, inside)
            for condition in part.ifs:
                self._read(condition, inside)
        for name in ("key", "value", "elt"):
            if hasattr(node, name):
                self._read(getattr(node, name), inside)
        self._around = around

    def _called(self, body: Iterable[ast.AST], bound: set[str]) -> None:
        """Take in what the body of a function may read, whenever it is called."""
        bound = bound if self._around is None else self._around
        for node in (part for statement in body for part in ast.walk(statement)):
            if isinstance(node, ast.Name) and node.id not in bound:
                self.found.add(node.id)
            elif isinstance(node, ast.Global):
                self.found.update(node.names)
            elif isinstance(node, ast.Constant):
                self.found.update(name for name in named_in(node.value) if name not in bound)

    def _may_end_errors(self, node: ast.expr) -> bool:
        """Whether code goes on behind a context manager in which there was an error.

        Of what is not the person's own its name tells.
        """
        maker = node.func if isinstance(node, ast.Call) else node
        parts: list[str] = []
        while isinstance(maker, ast.Attribute):
            parts.insert(0, maker.attr)
            maker = maker.value
        if not isinstance(maker, ast.Name):
            return True
        value = self._names.get(maker.id)
        for part in parts:
            value = vars(value).get(part) if isinstance(value, types.ModuleType) else None
        kind = value if isinstance(value, type) else type(value)
        if maker.id in self._defined or is_own_class(kind) or own_behind(value):
            return True
        name = (parts or [maker.id])[-1].lower()
        return any(part in name for part in _ENDING_ERRORS)


def _both(one: Bound, other: Bound) -> Bound:
    """Return the names that have a value whichever of two ways was taken."""
    if one is None or other is None:
        return other if one is None else one
    return one & other

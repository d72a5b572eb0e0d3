"""What a cell binds, changes and defines, as far as its text tells.

Only the cell's own scope counts: the bodies of functions bind their own names, those of classes
bind attributes, and comprehensions bind nothing but what ``:=`` in them does.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DEFINITIONS: Final = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    *((ast.TypeAlias,) if hasattr(ast, "TypeAlias") else ()),
)


def is_definition(node: ast.stmt) -> bool:
    """Whether a replay executes *node*: it imports or defines, and does no work."""
    if isinstance(node, ast.Assign):
        return isinstance(node.value, ast.Lambda) and all(
            isinstance(target, ast.Name) for target in node.targets
        )
    return isinstance(node, _DEFINITIONS)


def defined_names(node: ast.stmt) -> list[str]:
    """Return the names that a definition binds; ``*`` for ``import *``."""
    if isinstance(node, ast.Import):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    name = getattr(node, "name", None)
    return [name.id if isinstance(name, ast.Name) else str(name)]


@dataclass
class Effects:
    """What the statements of a cell do to names.

    Attributes:
        order: for each name the number of the first statement that binds or changes it.
        changed: names of which the object is changed in place, for certain.
        methods: for each name the methods called on it where nobody uses what they return.
        given: names given to functions of which nobody uses what they return, with the function.
        reads: names that are read, in functions, too.
        awaits: whether the cell awaits something itself.
    """

    order: dict[str, int] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    methods: dict[str, set[str]] = field(default_factory=dict)
    given: list[tuple[str, str]] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    awaits: bool = False
    #: What a name is a part of: ``for row in rows`` makes rows change with row.
    part_of: dict[str, set[str]] = field(default_factory=dict)

    def wholes(self, names: Iterable[str]) -> set[str]:
        """Return *names* with all that they are parts of."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(self.part_of.get(name, ()))
        return found


def effects_of(body: list[ast.stmt]) -> Effects:
    """Return what the statements of a cell do."""
    visitor = _Visitor()
    for number, statement in enumerate(body):
        visitor.number = number
        visitor.visit(statement)
    effects = visitor.effects
    for name in effects.changed | set(effects.methods):
        for whole in effects.wholes([name]):
            effects.order.setdefault(whole, effects.order.get(name, len(body)))
    return effects


def _base(node: ast.expr | None) -> str | None:
    """Return the name that an expression such as ``a.b[0].c`` begins with."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


class _Visitor(ast.NodeVisitor):
    """Walks the statements of a cell, in order."""

    def __init__(self) -> None:
        self.effects = Effects()
        self.number = 0
        self._inside = 0  # functions and classes around

    # ---- names ------------------------------------------------------------------------------

    def _touch(self, name: str) -> None:
        self.effects.order.setdefault(name, self.number)

    def _change(self, node: ast.expr | None) -> None:
        name = _base(node)
        if name is not None:
            self.effects.changed.add(name)
            self._touch(name)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.effects.reads.add(node.id)
        elif not self._inside:
            self._touch(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._change(node.target)
        if isinstance(node.target, ast.Name):
            self.effects.reads.add(node.target.id)
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name is not None and not self._inside:
            self._touch(node.name)
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name is not None and not self._inside:
            self._touch(node.name)

    # ---- calls ------------------------------------------------------------------------------

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        # a.sort().b() changes a, if anything.
        function = call.func if isinstance(call, ast.Call) else None
        while isinstance(function, ast.Attribute):
            inner: ast.expr = function.value
            method = function.attr
            while isinstance(inner, (ast.Attribute, ast.Subscript)):
                inner = inner.value
            if isinstance(inner, ast.Name):
                self.effects.methods.setdefault(inner.id, set()).add(method)
                self._touch(inner.id)
                break
            function = inner.func if isinstance(inner, ast.Call) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            values = [*call.args, *(keyword.value for keyword in call.keywords)]
            bases = filter(None, map(_base, values))
            self.effects.given += [(call.func.id, base) for base in bases]
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            value = keyword.value
            if keyword.arg == "out":
                self._change(value)
            elif (
                keyword.arg == "inplace"
                and isinstance(node.func, ast.Attribute)
                and not (isinstance(value, ast.Constant) and value.value is False)
            ):
                self._change(node.func.value)
        self.generic_visit(node)

    # ---- parts ------------------------------------------------------------------------------

    def _part(self, target: ast.expr, whole: ast.expr) -> None:
        names = {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
        wholes = {n.id for n in ast.walk(whole) if isinstance(n, ast.Name)} - names
        for name in names:
            self.effects.part_of.setdefault(name, set()).update(wholes)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._part(node.target, node.iter)
        self.generic_visit(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.effects.awaits |= not self._inside
        self.visit_For(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        # Not what a call returns: that is most often something new.
        if _base(node.value) is not None:
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self._part(target, node.value)
        self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> None:
        self.effects.awaits |= not self._inside
        self.generic_visit(node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        self.effects.awaits |= not self._inside
        self.generic_visit(node)

    # ---- scopes -----------------------------------------------------------------------------

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        if not isinstance(node, ast.Lambda) and not self._inside:
            self._touch(node.name)
        for decorator in getattr(node, "decorator_list", ()):
            self.visit(decorator)
        self.visit(node.args)
        body = node.body if isinstance(node.body, list) else [node.body]
        self._inside += 1
        for part in body:
            # Only what it reads: calling it may change that.
            for inner in ast.walk(part):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
                    self.effects.reads.add(inner.id)
        self._inside -= 1

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if not self._inside:
            self._touch(node.name)
        self._inside += 1
        self.generic_visit(node)
        self._inside -= 1

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    ) -> None:
        for inner in ast.walk(node):
            if isinstance(inner, ast.NamedExpr):
                self.visit(inner.target)
            elif isinstance(inner, ast.Await) or (
                isinstance(inner, ast.comprehension) and inner.is_async
            ):
                self.effects.awaits |= not self._inside
            elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
                self.effects.reads.add(inner.id)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

"""From the text of a cell to code that replays or executes it.

The input transformer sees the text and replaces only the line ``%%step NAME`` by a string of the
same text, so that line numbers stay and tracebacks read as the cell does. The AST transformer finds
that string and rewrites what follows it::

    if step.executes():          # a while, with retries
        with step:
            <the body; the last expression goes through step.show(...)>
        step.pause()             # with retries; awaited where the body awaits something
    if step.replays():
        <imports and definitions of the body, each behind step.defines(number)>
        step.replayed()
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..code.shapes import fingerprint
from ..errors import StepbookWarning
from .effects import (
    BLOCKS,
    Effects,
    effects_of,
    is_definition,
    makes_class,
    nested_code,
    sets_shell,
)
from .requests import Request, parse, take_once

if TYPE_CHECKING:
    from collections.abc import Callable

_MAGIC: Final = re.compile(r"%%step(?:[ \t]+(.*))?$")
_COMMENT: Final = re.compile(r"#\|[ \t]*step:[ \t]*(.*)$")


# ---- text -----------------------------------------------------------------------------------


class Lines:
    """The input transformer: finds the line that names a step.

    Args:
        automagic: what the shell makes of a cell of one line: ``pwd`` is a magic there.

    Attributes:
        requests: what was found last, by the string that stands for the line.
        has_side_effects: not to be called to find out whether what was typed at a prompt is
            complete: a cell magic is not before an empty line.
    """

    has_side_effects: Final = True

    def __init__(self, automagic: Callable[[str], str]) -> None:
        self.requests: dict[str, Request] = {}
        self._automagic = automagic

    def __call__(self, lines: list[str]) -> list[str]:
        """Return the lines of a cell with the one that names a step replaced."""
        try:
            found = self._find(lines)
        except Exception as error:  # noqa: BLE001 - else no cell of this kernel works any more
            _tell_fault(error)
            return lines
        if found is None:
            return lines
        number, request = found
        take_once(request, lines)
        request.source = "".join(lines[number + 1 :])
        self.requests[request.line] = request
        below = _nested(lines[number + 1 :])
        text = "".join(below)
        if len(text.splitlines()) == 1:
            below = self._automagic(text).splitlines(keepends=True)
        return [*lines[:number], f"{request.line!r}\n", *below]

    def _find(self, lines: list[str]) -> tuple[int, Request] | None:
        above = False
        for number, whole in enumerate(lines):
            line = whole.strip("\n")
            if number == 0 or line.startswith("#|"):
                found = _COMMENT.match(line) if not above else None
                if found:
                    return number, parse(line, found[1])
            found = _MAGIC.match(line)
            if found:
                request = parse(line, found[1] or "")
                if above or number:
                    request.problem = (
                        f"{line} must be the first line of the cell: move what is above it below."
                    )
                return number, request
            if line.strip() and not line.startswith("#"):
                return None
            above = above or (bool(line.strip()) and not line.startswith("#|"))
        return None


def _nested(lines: list[str]) -> list[str]:
    """Have a cell magic that is the first line of the body work as on its own."""
    for number, line in enumerate(lines):
        if line.startswith("%%"):
            name, _, rest = line[2:].rstrip("\n").partition(" ")
            body = "".join(lines[number + 1 :])
            call = f"get_ipython().run_cell_magic({name!r}, {rest!r}, {body!r})\n"
            return [*lines[:number], call]
        if line.strip() and not line.startswith("#"):
            break
    return lines


# ---- code -----------------------------------------------------------------------------------


@dataclass
class Body:
    """The code of a cell that is a step.

    Attributes:
        fingerprint: of its text, without comments, docstrings and formatting.
        effects: what it does to names.
        definitions: the statements that a replay executes.
        top: how many of them stand for themselves, and where: the number of the statement, or
            None for one inside another statement.
    """

    fingerprint: str
    effects: Effects
    definitions: list[ast.stmt]
    top: list[int | None]
    places: list[int]
    statements: list[ast.stmt]
    #: How many of the definitions the code notes when they were executed.
    noted: int = 0
    #: Up to which number the next ones count as executed; lines for the shell are noted again.
    always: int = 0


class Code(ast.NodeTransformer):
    """The AST transformer: makes a cell that names a step replay or execute.

    Args:
        lines: the input transformer.
        prepare: is given the request and the body and returns the name that the step's object has
            in the notebook.
        plain: is given the statements of a cell that is no step.
        interactivity: what the shell shows: ``ast_node_interactivity``.
    """

    def __init__(
        self,
        lines: Lines,
        prepare: Callable[[Request, Body], str],
        plain: Callable[[list[ast.stmt]], None],
        interactivity: Callable[[], str],
    ) -> None:
        self._lines = lines
        self._prepare = prepare
        self._plain = plain
        self._interactivity = interactivity

    def visit(self, node: ast.AST) -> Any:
        """Return *node*, rewritten if it is a cell that names a step."""
        marker = _marker(node)
        request = self._lines.requests.pop(marker, None) if marker is not None else None
        if not isinstance(node, ast.Module):
            return node
        if request is None:
            try:
                self._plain(node.body)
            except Exception as error:  # noqa: BLE001 - as below
                _tell_fault(error)
            return node
        body = node.body[1:]
        if request.retries and not _compiles(body):
            return node  # IPython says what is wrong, at its place
        try:
            return _rewritten(
                node.body[0],
                body,
                request.retries,
                self._interactivity(),
                lambda found: self._prepare(request, found),
            )
        except Exception as error:  # noqa: BLE001 - IPython would use this transformer no more
            _tell_fault(error)
            return node


def _tell_fault(error: Exception) -> None:
    warnings.warn(
        "stepbook: this cell is executed, but neither replayed nor recorded, for a fault of "
        f"stepbook's own. {type(error).__name__}: {error}",
        StepbookWarning,
        stacklevel=2,
    )


def _marker(node: ast.AST) -> str | None:
    first = node.body[0] if isinstance(node, ast.Module) and node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return first.value.value if isinstance(first.value.value, str) else None
    return None


def _compiles(body: list[ast.stmt]) -> bool:
    """Whether the body stands on its own; in the loop of retries ``break`` would be let pass."""
    try:
        compile(ast.Module(body, []), "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return False
    return True


def _rewritten(  # noqa: C901 - one shape of code, told from top to bottom
    marker: ast.stmt,
    body: list[ast.stmt],
    retries: int,
    interactivity: str,
    prepare: Callable[[Body], str],
) -> ast.Module:
    future = [s for s in body if isinstance(s, ast.ImportFrom) and s.module == "__future__"]
    body = [s for s in body if s not in future]
    found = Body(fingerprint(body), effects_of(body), [], [], [], list(body))
    for number, statement in enumerate(body):
        _collect(statement, number, number, found)
    # Behind the others, whose numbers are in records of earlier versions.
    for number, statement in enumerate(body):
        if makes_class(statement):
            _define(statement, number, number, found)
    found.noted = len(found.definitions)
    for number, statement in enumerate(body):
        for inner in nested_code([statement]):
            for definition in filter(is_definition, inner):
                _define(definition, number, None, found)
    found.always = len(found.definitions)
    for number, statement in enumerate(body):
        if sets_shell(statement):
            _define(statement, number, number, found)
    name = prepare(found)

    def call(method: str, *args: ast.expr) -> ast.Call:
        function = ast.Attribute(ast.Name(name, ast.Load()), method, ast.Load())
        return ast.Call(function, list(args), [])

    def noted(statement: ast.stmt) -> list[ast.stmt]:
        number = found.definitions.index(statement)
        note = ast.Expr(call("defined", ast.Constant(number)))
        return [statement, ast.copy_location(note, statement)]

    executed = [part for s in _noting(body, noted) for part in s]
    executed = _shown(executed, body, interactivity, call)
    block = ast.With([ast.withitem(ast.Name(name, ast.Load()))], executed or [ast.Pass()])
    attempt: list[ast.stmt] = [block]
    if retries and found.effects.awaits:
        attempt.append(ast.Expr(ast.Await(call("pause_async"))))
    elif retries:
        attempt.append(ast.Expr(call("pause")))
    loop = ast.While if retries else ast.If
    order = sorted(range(len(found.definitions)), key=lambda number: found.places[number])
    replay: list[ast.stmt] = [
        ast.copy_location(
            ast.If(call("defines", ast.Constant(number)), [found.definitions[number]], []),
            found.definitions[number],
        )
        for number in order
    ]
    replay.append(ast.Expr(call("replayed")))
    module = ast.Module(
        [
            *future,
            loop(call("executes"), attempt, []),
            ast.If(call("replays"), replay, []),
        ],
        [],
    )
    for statement in module.body[len(future) :]:
        ast.copy_location(statement, marker)
    return module  # the shell fills in the locations that are missing


def _collect(statement: Any, number: int, top: int | None, found: Body) -> None:
    """Find the definitions in a statement and the blocks in it, in order."""
    if isinstance(statement, ast.stmt) and is_definition(statement):
        _define(statement, number, top, found)
        return
    for block in BLOCKS:
        for inner in getattr(statement, block, ()):
            _collect(inner, number, None, found)


def _define(statement: ast.stmt, number: int, top: int | None, found: Body) -> None:
    found.definitions.append(statement)
    found.top.append(top)
    found.places.append(number)


def _noting(
    body: list[Any], noted: Callable[[ast.stmt], list[ast.stmt]], *, top: bool = True
) -> list[list[ast.stmt]]:
    """Return each statement with what notes, behind each definition, that it was executed."""
    groups: list[list[ast.stmt]] = []
    for statement in body:
        if isinstance(statement, ast.stmt) and any(
            belongs(statement) for belongs in (is_definition, makes_class, sets_shell)
        ):
            groups.append(noted(statement) if top or is_definition(statement) else [statement])
            continue
        for block in BLOCKS:
            inner = getattr(statement, block, None)
            if inner:
                setattr(
                    statement,
                    block,
                    [s for group in _noting(inner, noted, top=False) for s in group],
                )
        groups.append([statement])
    return groups


def _shown(
    executed: list[ast.stmt],
    body: list[ast.stmt],
    interactivity: str,
    call: Callable[..., ast.Call],
) -> list[ast.stmt]:
    """Send what IPython would show through the step, so that it is recorded."""
    last = body[-1] if body else None

    def shows(statement: ast.stmt) -> bool:
        return interactivity == "all" or (statement is last and interactivity != "none")

    own = set(map(id, body))
    result: list[ast.stmt] = []
    for statement in executed:
        if isinstance(statement, ast.Expr) and id(statement) in own:
            method = "show" if shows(statement) else "keep" if statement is last else ""
            if method:
                shown = ast.Expr(call(method, statement.value))
                result.append(ast.copy_location(shown, statement))
                continue
        result.append(statement)
    if interactivity == "last_expr_or_assign":
        target = _assigned(last)
        if target is not None and last is not None:
            shown = ast.Expr(call("show", ast.Name(target, ast.Load())))
            result.append(ast.copy_location(shown, last))
    return result


def _assigned(statement: ast.stmt | None) -> str | None:
    target = None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
        target = statement.target
    return target.id if isinstance(target, ast.Name) else None

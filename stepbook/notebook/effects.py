"""Which names a cell binds and reads, and what it defines, as far as its text tells.

Only the cell's own scope binds: the bodies of functions bind their own names, those of classes bind
attributes, and comprehensions bind nothing but what ``:=`` in them does. Code in strings counts
where a magic that executes it is known, as ``%%time``.
"""

from __future__ import annotations

import ast
import contextlib
import re
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DEFINITIONS: Final = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    *((ast.TypeAlias,) if hasattr(ast, "TypeAlias") else ()),
)
#: What makes a class, or stands for a type, when it is called.
_MAKERS: Final = frozenset(
    {
        "namedtuple",
        "NamedTuple",
        "Enum",
        "IntEnum",
        "StrEnum",
        "Flag",
        "IntFlag",
        "make_dataclass",
        "create_model",
        "NewType",
        "TypeVar",
        "ParamSpec",
        "TypedDict",
        "type",
    }
)
#: Magics that execute what stands behind them, or below them, as Python.
_EXECUTING: Final = frozenset({"time", "timeit", "prun", "capture", "memit", "mprun", "lprun"})
#: Magics that neither bind nor change a name.
_HARMLESS: Final = frozenset(
    """
    matplotlib config load_ext reload_ext unload_ext autoreload pip conda mamba micromamba uv env
    set_env cd pwd pushd popd dirs ls ll who who_ls whos xmode precision lsmagic quickref history
    notebook doctest_mode colors page pdoc pdef psource pfile pinfo pinfo2 psearch stepbook sx
    system alias bookmark bash sh script html HTML javascript js latex markdown svg SVG writefile
    file debug
    """.split()
)
#: Magics that only change how the shell works: a replay executes their lines again.
_SETTING: Final = frozenset(
    """
    alias alias_magic autoawait autocall automagic autoreload colors config load_ext matplotlib
    pdb precision reload_ext unalias unload_ext xmode
    """.split()
)
#: How lines for the system's shell are executed.
_SYSTEM: Final = frozenset({"system", "getoutput", "getsystem"})
_SHELLS: Final = frozenset({"bash", "sh", "script", "sx", "system"})
_BETWEEN: Final = re.compile(r"[\s;|&<>()'\"=]+")
#: A name, or the name of a module within another one.
_NAME: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
#: What the shell expands in a line: ``{rows[0]}`` and ``$name``.
_IN_BRACES: Final = re.compile(r"\{([^{}]+)\}")
_BEHIND_DOLLAR: Final = re.compile(r"(?<!\$)\$([^\W\d]\w*)")
#: Where statements hold statements.
BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")
#: Names by which code reaches every other name.
EVERYTHING: Final = frozenset(
    {"exec", "eval", "globals", "locals", "vars", "get_ipython", "__main__", "_getframe", "user_ns"}
)


def is_definition(node: ast.stmt) -> bool:
    """Whether a statement imports or defines, and does no work."""
    if isinstance(node, ast.Assign):
        return isinstance(node.value, ast.Lambda) and all(
            isinstance(target, ast.Name) for target in node.targets
        )
    return isinstance(node, _DEFINITIONS)


def makes_class(node: Any) -> bool:
    """Whether a statement binds a class that a call makes from what stands there."""
    if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
        return False
    function = node.value.func
    name = getattr(function, "id", getattr(function, "attr", None))
    return (
        name in _MAKERS
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and not any(
            isinstance(part, (ast.Call, ast.Await, ast.NamedExpr, ast.Lambda))
            for part in ast.walk(node)
            if part is not node.value
        )
    )


def sets_shell(node: Any) -> bool:
    """Whether a statement is a magic's line that only changes how the shell works."""
    magic = _magic(node.value) if _is_call(node) else None
    return magic is not None and magic[0] == "run_line_magic" and magic[1] in _SETTING


def _is_call(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def defined_names(node: ast.stmt) -> list[str]:
    """Return the names that a definition binds; ``*`` for ``import *``."""
    if isinstance(node, ast.Import):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.Expr):
        return []
    name = getattr(node, "name", None)
    return [name.id if isinstance(name, ast.Name) else str(name)]


@dataclass
class Effects:
    """What the statements of a cell do to names.

    Attributes:
        order: for each name that is bound, the number of the first statement that binds it.
        reads: names that are read, in functions, too.
        everything: whether the code may reach names that it does not mention.
        awaits: whether the cell awaits something itself.
        attributes: what is assigned or deleted behind a name, as ``pd.options.x``, in its parts.
        texts: the texts in it.
        words: names, of attributes and imports, too, and texts that may be names.
        stores: those of them that code may give another value.
    """

    order: dict[str, int] = field(default_factory=dict)
    reads: set[str] = field(default_factory=set)
    everything: bool = False
    awaits: bool = False
    attributes: set[tuple[str, ...]] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    stores: set[str] = field(default_factory=set)

    @property
    def binds(self) -> set[str]:
        """The names that are bound or deleted."""
        return set(self.order)


def effects_of(body: list[ast.stmt]) -> Effects:
    """Return what the statements of a cell do."""
    visitor = _Visitor()
    for number, statement in enumerate(body):
        visitor.number = number
        visitor.visit(statement)
    parts = [node for s in (*body, *chain(*nested_code(body))) for node in ast.walk(s)]
    constants = (node.value for node in parts if isinstance(node, ast.Constant))
    visitor.effects.texts = {text for text in constants if type(text) is str}
    visitor.effects.texts |= {word for node in parts for word in _shell_words(node)}
    visitor.effects.words = set(_words(parts, visitor.effects))
    visitor.effects.stores = visitor.effects.words & (
        visitor.effects.words
        if visitor.effects.everything
        else set(_stores(parts, visitor.effects))
    )
    return visitor.effects


def _stores(parts: list[ast.AST], effects: Effects) -> Iterator[str]:
    """Give the names of attributes that are assigned, and texts that may be such names."""
    yield from effects.texts
    for node in parts:
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            yield node.attr
        elif isinstance(node, ast.Global):
            yield from node.names


def _shell_words(node: ast.AST) -> list[str]:
    """Return the words of a line for the system's shell, of which some may be names of files."""
    magic = _magic(node) if isinstance(node, ast.Call) else None
    if magic is None:
        return []
    if magic[0] not in _SYSTEM and not (magic[0].startswith("run_") and magic[1] in _SHELLS):
        return []
    return [word for text in magic[1:2] + tuple(magic[2]) for word in _BETWEEN.split(text) if word]


def _words(parts: list[ast.AST], effects: Effects) -> Iterator[str]:
    """Give the names in code, and the texts that may be names."""
    for node in parts:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.name for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                yield node.module or ""
    for text in effects.texts:
        if effects.everything:  # it may be code
            yield from re.findall(r"\w+", text)
        elif _NAME.fullmatch(text):
            yield text


def defined_in(body: list[ast.stmt]) -> set[str]:
    """Return the names that a cell binds by imports and to classes, in blocks and magics, too."""
    found: set[str] = set()
    for node in scope_of(body):
        if isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef) or makes_class(node):
            found.update(defined_names(node))
    return found


def scope_of(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Give the statements of a cell, those in blocks, definitions and magics, too."""
    waiting: list[Any] = [*body, *(s for part in nested_code(body) for s in part)]
    while waiting:
        node = waiting.pop()
        yield node
        for block in BLOCKS:
            waiting += getattr(node, block, ())


def _path(node: ast.Attribute) -> list[tuple[str, ...]]:
    """Return the names of ``a.b.c``, if it is nothing but names."""
    parts = [node.attr]
    inner = node.value
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return [(inner.id, *reversed(parts))] if isinstance(inner, ast.Name) else []


def nested_code(body: list[ast.stmt]) -> list[list[ast.stmt]]:
    """Return the code in the strings of magics that execute it, in the order of the text."""
    found = []
    for statement in body:
        for node in ast.walk(statement):
            inner = code_in(node) if isinstance(node, ast.Call) else None
            if inner:
                found.append(inner)
    return found


def _magic(node: ast.Call) -> tuple[str, str, list[str]] | None:
    """Return method, name and texts of a call of a magic; None for any other call."""
    function = node.func
    if not (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Call)
        and isinstance(function.value.func, ast.Name)
        and function.value.func.id == "get_ipython"
    ):
        return None
    texts = [a.value for a in node.args if isinstance(a, ast.Constant) and type(a.value) is str]
    return function.attr, texts[0] if texts else "", texts[1:]


def code_in(node: ast.Call) -> list[ast.stmt]:
    """Return the code in the string of a call of a magic that executes it; nothing of others."""
    magic = _magic(node)
    if magic is None or magic[1] not in _EXECUTING or not magic[2]:
        return []
    text = magic[2][-1]
    if magic[0] == "run_line_magic":
        text = text.lstrip()
        while text.startswith("-"):  # the options of timeit and others
            text = text.partition(" ")[2].lstrip()
    try:
        from IPython.core import inputtransformer2  # noqa: PLC0415 - rare

        manager: Any = inputtransformer2.TransformerManager
        body: list[ast.stmt] = ast.parse(manager().transform_cell(text)).body
    except (SyntaxError, ValueError):
        return []
    return body


def expanded_in(node: ast.Call) -> set[str]:
    """Return the names in what the shell expands in a magic's line: ``!head {file} $lines``."""
    magic = _magic(node)
    if magic is None or magic[1] in _EXECUTING:
        return set()
    line = magic[1] if magic[0] in _SYSTEM else "".join(magic[2][:1])
    found = set(_BEHIND_DOLLAR.findall(line))
    for text in _IN_BRACES.findall(line):
        with contextlib.suppress(SyntaxError, ValueError):
            parts = ast.walk(ast.parse(text.strip(), mode="eval"))
            found.update(part.id for part in parts if isinstance(part, ast.Name))
    return found


def times(node: ast.Call) -> bool:
    """Whether a call of a magic executes its code inside of a function, where it binds no name."""
    magic = _magic(node)
    return magic is not None and magic[1] == "timeit"


class _Visitor(ast.NodeVisitor):
    """Walks the statements of a cell, in order."""

    def __init__(self) -> None:
        self.effects = Effects()
        self.number = 0
        self._inside = 0  # functions and classes around

    def _bind(self, name: str | None) -> None:
        if name is not None and not self._inside:
            self.effects.order.setdefault(name, self.number)

    def _read(self, name: str) -> None:
        self.effects.reads.add(name)
        if name in EVERYTHING:
            self.effects.everything = True

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._read(node.id)
        else:
            self._bind(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in EVERYTHING:
            self.effects.everything = True
        if not isinstance(node.ctx, ast.Load) and not self._inside:
            self.effects.attributes.update(_path(node))
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._read(node.target.id)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name in defined_names(node):
            if name == "__main__":
                self.effects.everything = True
            elif name != "*":
                self._bind(name)

    visit_ImportFrom = visit_Import  # noqa: N815

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._bind(node.name)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self._bind(node.name)
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        self._bind(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self._bind(node.rest)
        self.generic_visit(node)

    def visit_TypeAlias(self, node: Any) -> None:
        self._bind(node.name.id)

    # ---- calls ------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        magic = _magic(node)
        if magic is None:
            self.generic_visit(node)
            return
        method, name, texts = magic
        if method in _SYSTEM:
            if method == "system":  # as the shell binds it
                self._bind("_exit_code")
            return
        inner = code_in(node)
        if name == "capture" and len(texts) > 1:
            words = [word for word in texts[0].split() if not word.startswith("-")]
            self._bind(words[0] if words else None)
        for statement in inner:
            self.visit(statement)
        if not inner and name not in _HARMLESS and name not in _EXECUTING:
            self.effects.everything = True

    # ---- awaits -----------------------------------------------------------------------------

    def visit_Await(self, node: ast.AST) -> None:
        self.effects.awaits |= not self._inside
        self.generic_visit(node)

    visit_AsyncFor = visit_AsyncWith = visit_Await  # noqa: N815

    # ---- scopes -----------------------------------------------------------------------------

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self._bind(getattr(node, "name", None))
        for decorator in getattr(node, "decorator_list", ()):
            self.visit(decorator)
        self.visit(node.args)
        if getattr(node, "returns", None) is not None:
            self.visit(node.returns)  # type: ignore[union-attr, arg-type]
        body = node.body if isinstance(node.body, list) else [node.body]
        for part in body:
            self._only_read(part)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function  # noqa: N815

    def _only_read(self, node: ast.AST) -> None:
        """Take in what a function reads, or binds as global: calling it may change that."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                if isinstance(inner.ctx, ast.Load):
                    self._read(inner.id)
            elif isinstance(inner, ast.Global):
                self.effects.reads.update(inner.names)
            elif isinstance(inner, ast.Attribute):
                self.effects.everything |= inner.attr in EVERYTHING
                if not isinstance(inner.ctx, ast.Load):
                    self.effects.attributes.update(_path(inner))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._bind(node.name)
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
                self._read(inner.id)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

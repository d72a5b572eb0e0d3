"""Which loops a file opens, as far as its text tells: nothing of it is executed.

A verification of the wrong file is refused by it before any of its code has had an effect. It says
"I cannot tell" rather than guess: code of the person's own that a file imports may open runs, too.
"""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
from importlib.machinery import PathFinder
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: `%stepbook run NAME`, up to its options.
_OPENS: Final = re.compile(r"\s*%stepbook\s+run\s+(.+?)(?:\s+--[a-z].*)?\s*$")
#: A step's cell, and the magics that execute their cell as it stands.
_FIRST_LINE: Final = re.compile(r"\s*%%(?:step|time|timeit|capture|prun)\b")
#: A line of IPython's that brings no code with it.
_LINE: Final = re.compile(r"(\s*)(?:%(?!run\b|load\b|recall\b|rerun\b|macro\b|%)|!)")
_OPENERS: Final = ("run", "loop")
#: Names by which code is found that is not in the text.
_HIDDEN: Final = frozenset({"exec", "eval", "__import__", "importlib", "runpy", "get_ipython"})
_LIBRARIES: Final = tuple(
    path for key, path in sysconfig.get_paths().items() if key in ("purelib", "platlib")
)


class _UnknownError(Exception):
    """The text does not tell."""


def loops_of(path: Path) -> frozenset[str] | None:
    """Return the loops that a notebook or a Python file opens; None if the text does not tell."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            # Steps that find no run get one that is named like the file.
            return frozenset({path.stem, *_in_notebook(text, path.parent)})
        return frozenset(_in_code(text, path.parent))
    except (
        _UnknownError,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        SyntaxError,
        RecursionError,
    ):
        return None


def file_of(module: str, folder: Path) -> Path | None:
    """Return the file of a module that would be imported from *folder*, without importing it."""
    where: Sequence[str] = [str(folder), *sys.path]
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:count]), where)
        if spec is None:
            return None
        where = spec.submodule_search_locations or ()
    return None if spec is None or spec.origin is None else Path(spec.origin)


def _in_notebook(text: str, folder: Path) -> Iterator[str]:
    for cell in loads(text)["cells"]:
        if cell["cell_type"] != "code":
            continue
        lines = "".join(cell["source"]).splitlines()
        if lines and _FIRST_LINE.match(lines[0]):
            lines[0] = ""
        for number, line in enumerate(lines):
            opens = _OPENS.match(line)
            if opens is not None:
                yield opens[1].strip("\"'")
            magic = _LINE.match(line)
            if magic is not None:
                lines[number] = f"{magic[1]}pass"
        yield from _in_code("\n".join(lines), folder)


def _in_code(text: str, folder: Path) -> Iterator[str]:
    tree = ast.parse(text)
    libraries = set(_imports(tree, folder))
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in _HIDDEN:
            raise _UnknownError
        call = called.get(id(node))
        if isinstance(node, ast.Attribute):
            opens = node.attr in _OPENERS and _root(node) not in libraries  # asyncio.run opens none
        else:  # a variable may be called `run` as well
            opens = isinstance(node, ast.Name) and node.id in _OPENERS and call is not None
        if opens:
            yield _loop_in(call)


def _loop_in(call: ast.Call | None) -> str:
    named = [] if call is None else [k.value for k in call.keywords if k.arg in ("loop", "name")]
    given = named if call is None else [*call.args[:1], *named]
    if not given or not isinstance(given[0], ast.Constant):
        raise _UnknownError
    return str(given[0].value)


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else ""


def _imports(tree: ast.AST, folder: Path) -> Iterator[str]:
    """Yield the names that imports of libraries bind."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = ["." * node.level + (node.module or "")]
        else:
            continue
        tops = {module.partition(".")[0] for module in modules}
        renamed = any(alias.asname and alias.name in _OPENERS for alias in node.names)
        if ("stepbook" in tops and renamed) or not all(_is_library(top, folder) for top in tops):
            raise _UnknownError
        if "stepbook" not in tops:
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)


def _is_library(top: str, folder: Path) -> bool:
    if top in ("", "stepbook"):  # a relative import has no top
        return bool(top)
    if top in sys.stdlib_module_names and top not in ("importlib", "runpy"):
        return not (folder / f"{top}.py").exists()
    found = file_of(top, folder)
    return found is not None and str(found).startswith(_LIBRARIES)

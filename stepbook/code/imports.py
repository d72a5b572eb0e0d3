"""Modules of the person's that code imports itself, or hands on: told by their files.

What these import of the person's counts as well. Whether any of it is imported yet makes no
difference, and nothing is executed to find out.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .own import is_own_file, is_own_module
from .shapes import hash_of, short_hash

if TYPE_CHECKING:
    import types
    from collections.abc import Iterable

#: Files of one import, at most: the nearest count.
_MOST: Final = 200
_MOST_READ: Final = 4096
#: When a file was written, and how long it is; nothing of one that is gone.
Stamp = tuple[int, ...]


class Import(NamedTuple):
    """An import statement: ``from ..tools import clean`` is ``(2, "tools", ("clean",))``."""

    level: int
    name: str
    names: tuple[str, ...] = ()

    def modules(self, package: str) -> list[str]:
        """Return the modules that it may import, in a module of this package."""
        try:
            name = importlib.util.resolve_name("." * self.level + self.name, package)
        except ImportError:  # above the outermost package
            return []
        return [name, *(f"{name}.{part}" for part in self.names)]


class Files(NamedTuple):
    """The files of modules and of what they import.

    Attributes:
        hash: of the code in them; nothing if there is no file of the person's.
        stamps: when each was written.
    """

    hash: str
    stamps: tuple[tuple[str, Stamp], ...]


def files_of(modules: Iterable[str]) -> Files:
    """Return the files of the person's among these modules, and of what they import."""
    found: dict[str, tuple[str, str]] = {}
    waiting = [*modules]
    for name in waiting:  # which grows
        if name in found or len(found) >= _MOST:
            continue
        path = _file_of(name)
        if path is not None:
            told, imports = _read(path, stamp_of(path))
            found[name] = path, told
            package = name if Path(path).stem == "__init__" else name.rpartition(".")[0]
            waiting += [module for one in imports for module in one.modules(package)]
    if not found:
        return Files("", ())
    told = repr(sorted((name, text) for name, (_, text) in found.items()))
    paths = (path for path, _ in found.values())
    return Files(short_hash(told), tuple((path, stamp_of(path)) for path in paths))


def module_hash(module: types.ModuleType) -> str:
    """Return a hash of the code of a module of the person's; nothing for one of a library."""
    name = module.__name__
    return files_of([name]).hash if is_own_module(name) else ""


def package_of(space: dict[str, Any]) -> str:
    """Return the package that relative imports start from, where these are the global names."""
    package = space.get("__package__")
    if package is None:
        package = str(space.get("__name__", "")).rpartition(".")[0]
    return str(package)


def stamp_of(path: str) -> Stamp:
    """Return what changes when a file is written."""
    try:
        found = os.stat(path)  # noqa: PTH116 - each time that a step is asked for
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=_MOST_READ)
def _read(path: str, _: Stamp) -> tuple[str, tuple[Import, ...]]:
    """Return a hash of the code in a file, and what it imports."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return "", ()
    imports = [one for node in ast.walk(tree) for one in _imports_in(node)]
    return hash_of(tree), tuple(imports)


def _imports_in(node: ast.AST) -> list[Import]:
    if isinstance(node, ast.Import):
        return [Import(0, alias.name) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [Import(node.level, node.module or "", tuple(a.name for a in node.names))]
    return []


def _file_of(name: str) -> str | None:
    """Return the file of a module of the person's; None if it is none, or has none."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    path = getattr(sys.modules.get(name), "__file__", None) or _found(name)
    is_source = isinstance(path, str) and path.endswith(".py")
    return path if is_source and is_own_file(path) else None


def _found(name: str) -> str | None:
    """Return where an import would find a module, without importing what it is in."""
    folders: list[str] | None = None
    parts = name.split(".")
    for number in range(len(parts)):
        above = sys.modules.get(".".join(parts[:number]))
        if above is not None:
            folders = [*getattr(above, "__path__", ())]
        try:
            spec = PathFinder.find_spec(".".join(parts[: number + 1]), folders)
        except (ImportError, ValueError, AttributeError):
            return None
        if spec is None or (number + 1 < len(parts) and not spec.submodule_search_locations):
            return None
        folders = [*(spec.submodule_search_locations or ())]
    return spec.origin if spec is not None else None

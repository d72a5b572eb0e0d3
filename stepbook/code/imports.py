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
    from importlib.machinery import ModuleSpec

#: Files of one import, at most: the nearest count.
_MOST: Final = 100
_MOST_READ: Final = 4096
#: Where statements have other statements.
_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")
#: When a file was written, and how long it is; nothing of one that is gone.
Version = tuple[int, ...]


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


class Stamp(NamedTuple):
    """A file of a module, as it was when it was looked at.

    Attributes:
        name: of the module.
        path: of the file.
        version: of the file.
        spec: what the module was loaded by, which a reload replaces; None if it is not loaded.
    """

    name: str
    path: str
    version: Version
    spec: Any

    def holds(self) -> bool:
        """Whether neither the file nor the module has changed."""
        return self.version == _version(self.path) and self.spec is _spec_of(self.name)


class Files(NamedTuple):
    """The files of modules and of what they import.

    Attributes:
        hash: of the code in them; nothing if there is no file of the person's.
        stamps: each of them.
    """

    hash: str
    stamps: tuple[Stamp, ...]


def files_of(modules: Iterable[str]) -> Files:
    """Return the files of the person's among these modules, and of what they import."""
    folders = _Folders()
    asked = tuple((name, folders.file_of(name)) for name in modules)
    known = _found.get(asked)
    if known is None or not all(stamp.holds() for stamp in known.stamps):
        if len(_found) >= _MOST_READ:
            _found.clear()
        known = _found[asked] = _look_for([name for name, _ in asked], folders)
    return known


#: What was found, for modules in these files.
_found: Final[dict[tuple[tuple[str, str | None], ...], Files]] = {}


def _look_for(waiting: list[str], folders: _Folders) -> Files:
    told: dict[str, str] = {}
    stamps: list[Stamp] = []
    for name in waiting:  # which grows
        path = None if name in told or len(told) >= _MOST else folders.file_of(name)
        if path is None:
            continue
        stamp = Stamp(name, path, _version(path), _spec_of(name))
        told[name], imports = _read(path, _executed(stamp))
        stamps.append(stamp)
        package = name if Path(path).stem == "__init__" else name.rpartition(".")[0]
        waiting += [module for one in imports for module in one.modules(package)]
    return Files(short_hash(repr(sorted(told.items()))) if told else "", tuple(stamps))


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


def _version(path: str) -> Version:
    try:
        found = os.stat(path)  # noqa: PTH116 - each time that a step is asked for
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size


def _spec_of(name: str) -> Any:
    return getattr(sys.modules.get(name), "__spec__", None)


#: What modules were loaded by, and the version of the file when they were first seen.
_loaded: Final[dict[str, tuple[Any, Version]]] = {}


def _executed(stamp: Stamp) -> Version:
    """Return the version of the file that executes: not one that waits for a reload."""
    if stamp.spec is None:
        return stamp.version
    known = _loaded.get(stamp.path)
    if known is None or known[0] is not stamp.spec:
        known = _loaded[stamp.path] = stamp.spec, stamp.version
    return known[1]


@functools.lru_cache(maxsize=_MOST_READ)
def _read(path: str, _: Version) -> tuple[str, tuple[Import, ...]]:
    """Return a hash of the code in a file, and what it imports."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return "", ()
    imports: list[Import] = []
    waiting: list[Any] = [tree]
    for node in waiting:  # which grows
        imports += _imports_in(node)
        for block in _BLOCKS:
            waiting += getattr(node, block, ())
    return hash_of(tree), tuple(imports)


def _imports_in(node: ast.AST) -> list[Import]:
    if isinstance(node, ast.Import):
        return [Import(0, alias.name) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [Import(node.level, node.module or "", tuple(a.name for a in node.names))]
    return []


class _Folders:
    """Finds the files of modules, without importing what they are in."""

    def __init__(self) -> None:
        #: The folders of packages, and what a module is found in that is none.
        self._known: dict[str, list[str]] = {}

    def file_of(self, name: str) -> str | None:
        """Return the file of a module of the person's; None if it is none, or has none."""
        above, _, last = name.rpartition(".")
        if above and not self._of(above):
            return None
        loaded = getattr(sys.modules.get(name), "__file__", None)
        if loaded is not None:
            found = [loaded]
        elif above:
            places = [Path(folder, last) for folder in self._of(above)]
            found = [
                str(p) for at in places for p in (at / "__init__.py", at.with_name(f"{last}.py"))
            ]
        else:
            spec = _spec(name)
            found = [spec.origin] if spec is not None and spec.origin is not None else []
        return next(
            (p for p in found if p.endswith(".py") and is_own_file(p) and _version(p)), None
        )

    def _of(self, package: str) -> list[str]:
        """Return the folders of the person's that a package is in; none if it is no package."""
        if package not in self._known:
            self._known[package] = [f for f in self._look_for(package) if is_own_file(f)]
        return self._known[package]

    def _look_for(self, package: str) -> list[str]:
        if package in sys.modules:
            return [*getattr(sys.modules[package], "__path__", ())]
        above, _, last = package.rpartition(".")
        if above:
            places = (Path(folder, last) for folder in self._of(above))
            return [str(place) for place in places if place.is_dir()]
        spec = _spec(package)
        return [] if spec is None else [*(spec.submodule_search_locations or ())]


def _spec(name: str) -> ModuleSpec | None:
    """Return where an import would find a module that is in no package."""
    if name in sys.stdlib_module_names:
        return None
    try:
        return PathFinder.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None

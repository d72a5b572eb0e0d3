"""The house: imports go down only, heavy libraries have one owner, errors are one tree."""

from __future__ import annotations

import ast
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stepbook
from stepbook import errors

PACKAGE = Path(stepbook.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
#: Who alone may import them.
OWNERS = {"duckdb": {"_store.py"}, "IPython": {"notebook"}}


def top_level(tree: ast.Module):
    """Statements that are executed by an import, those for type checkers left out."""
    todo = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
            continue
        yield node
        todo += ast.iter_child_nodes(node)


def imported(nodes) -> set[str]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            if node.module:
                names.add(dots + node.module)
            else:
                names |= {dots + alias.name for alias in node.names}
    return names


def needs(module: Path) -> set[Path]:
    """The modules of the package that an import of *module* executes."""
    found = set()
    for name in imported(top_level(ast.parse(module.read_text()))):
        dots = len(name) - len(name.lstrip("."))
        if dots:
            target = module.parents[dots - 1].joinpath(*name[dots:].split("."))
            found |= {p for p in (target.with_suffix(".py"), target / "__init__.py") if p.exists()}
    return found


def test_imports_point_one_way():
    graph = {module: needs(module) for module in MODULES}
    placed: list[Path] = []
    while graph:
        free = sorted(m for m, wanted in graph.items() if wanted <= set(placed) | {m})
        assert free, f"a circle among {sorted(m.name for m in graph)}"
        placed += free
        for module in free:
            del graph[module]
    order = [module.name for module in placed]
    layers = ["errors.py", "_journal.py", "_ledger.py", "_records.py", "_book.py", "_loop.py"]
    assert [order.index(name) for name in layers] == sorted(order.index(n) for n in layers)


def test_errors_and_the_model_import_nothing_of_the_package():
    for name in ("errors.py", "_model.py", "_interrupts.py"):
        assert not needs(PACKAGE / name), name
    assert needs(PACKAGE / "_platform.py") == {PACKAGE / "_interrupts.py"}


@pytest.mark.parametrize("library", OWNERS)
def test_each_heavy_library_has_one_owner(library):
    users = set()
    for module in MODULES:
        tree = ast.parse(module.read_text())
        only_typed = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            for inner in ast.walk(node)
        }
        names = imported(node for node in ast.walk(tree) if id(node) not in only_typed)
        if any(name.split(".")[0] == library for name in names):
            users.add(module.relative_to(PACKAGE).parts[0])
    assert users <= OWNERS[library]


@pytest.mark.parametrize(
    "library", ["pandas", "pyarrow", "numpy", "duckdb", "IPython", "anywidget"]
)
def test_no_module_imports_a_heavy_library_when_it_is_imported(library):
    for module in MODULES:
        # These packages are themselves imported inside functions only.
        if (module.parent.name, library) in {("notebook", "IPython"), ("timeline", "anywidget")}:
            continue
        names = imported(top_level(ast.parse(module.read_text())))
        assert library not in {name.split(".")[0] for name in names}, module.name


def test_import_stepbook_loads_no_heavy_library():
    heavy = {"pandas", "numpy", "pyarrow", "IPython", "anywidget", "ipywidgets", "duckdb", "rich"}
    code = f"import sys, stepbook; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_no_module_is_longer_than_500_lines():
    long = {m.name: n for m in MODULES if (n := len(m.read_text().splitlines())) > 500}
    assert not long


def test_all_lists_the_public_names():
    public = {
        name for name in vars(stepbook) if not name.startswith("_") and not name[0].islower()
    } | {"__version__", "connect", "context", "loop", "run"}
    extra = {name for name in stepbook.__all__ if name[0].islower()}
    assert public - {"Any"} <= set(stepbook.__all__)
    assert all(callable(getattr(stepbook, name)) for name in extra)
    assert len(stepbook.__all__) == len(set(stepbook.__all__))


ERRORS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.StepbookError)
]


@pytest.mark.parametrize("cls", ERRORS)
def test_every_error_pickles_with_its_message_and_fields_and_is_public(cls):
    error = cls("the message", extra={"a": 1})
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert str(again) == "the message"
    assert again.extra == {"a": 1}
    assert getattr(stepbook, cls.__name__) is cls


def test_the_tree_of_errors_in_the_docstring_is_complete_and_right():
    parents: list[str] = []
    drawn = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line)
        if match:
            depth = len(match[1]) // 4
            parents[depth:] = [match[2]]
            drawn[match[2]] = parents[depth - 1] if depth else None
    drawn.pop("StepbookWarning", None)
    assert drawn == {
        cls.__name__: None if cls is errors.StepbookError else cls.__bases__[0].__name__
        for cls in ERRORS
    }

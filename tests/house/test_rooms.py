"""The house: rooms import one way, heavy libraries have one owner, errors are one tree."""

from __future__ import annotations

import ast
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stepbook
import stepbook.testing
from stepbook import errors

PACKAGE = Path(stepbook.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
#: Who alone may import them.
OWNERS = {"duckdb": {"record"}, "IPython": {"notebook"}, "anywidget": {"timeline"}}

#: Each room and what it may import, within functions and for types as well. ARCHITECTURE.md shows
#: it as a picture.
ROOMS = {
    "errors": set(),
    "model": {"errors"},
    "system": {"errors"},
    "values": {"model", "system", "errors"},
    "record": {"model", "system", "errors"},
    "code": {"values", "model", "system", "errors"},
    "show": {"code", "model", "values", "system", "errors"},
    "engine": {"record", "code", "values", "show", "model", "system", "errors"},
    "timeline": {"engine", "record", "show", "values", "model", "system", "errors"},
    "api": {"engine", "timeline", "record", "show", "values", "model", "system", "errors"},
    "notebook": {
        "api",
        "engine",
        "timeline",
        "code",
        "values",
        "show",
        "model",
        "system",
        "errors",
        "seen",
    },
}
for below in ROOMS.values():
    below.add("seen")
ROOMS["seen"] = set()
ROOMS["testing"] = {"api", "engine", "errors"}
#: The command line and the package itself put together what they need.
ROOMS["cli"] = set(ROOMS)
ROOMS["__main__"] = {"cli"}
ROOMS["__init__"] = set(ROOMS)


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def targets(module: Path, node: ast.ImportFrom) -> set[Path]:
    """The modules that one relative import of *module* names."""
    folder = module.parents[node.level - 1].joinpath(*(node.module or "").split("."))
    names = [folder / alias.name for alias in node.names]
    inner = {p for name in names for p in (name.with_suffix(".py"), name / "__init__.py")}
    outer = {folder.with_suffix(".py"), folder / "__init__.py"}
    return {p for p in inner if p.exists()} or {p for p in outer if p.exists()}


def imports(module: Path) -> set[Path]:
    """The modules of the package that *module* names in an import, wherever it stands."""
    nodes = ast.walk(ast.parse(module.read_text()))
    relative = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level]
    return {target for node in relative for target in targets(module, node)}


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
    for node in top_level(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            found |= targets(module, node)
    return found


def test_each_room_imports_only_rooms_below_it():
    up = {
        f"{module.relative_to(PACKAGE)} -> {target.relative_to(PACKAGE)}"
        for module in MODULES
        for target in sorted(imports(module))
        if room_of(target) not in {room_of(module), *ROOMS[room_of(module)]}
    }
    assert up == set()


def test_every_module_is_in_a_room():
    assert {room_of(module) for module in MODULES} <= set(ROOMS)


def test_no_import_executes_itself_in_a_circle():
    graph = {module: needs(module) - {module} for module in MODULES}
    while free := [module for module, wanted in graph.items() if not wanted & graph.keys()]:
        for module in free:
            del graph[module]
    assert sorted(str(module.relative_to(PACKAGE)) for module in graph) == []


def reached(graph: dict[Path, set[Path]], start: Path) -> set[Path]:
    found: set[Path] = set()
    todo = [start]
    while todo:
        new = graph[todo.pop()] - found
        found |= new
        todo += new
    return found


def circles(graph: dict[Path, set[Path]]) -> set[frozenset[Path]]:
    """The groups of modules that reach each other."""
    reach = {module: reached(graph, module) for module in graph}
    return {
        frozenset(other for other in reach[module] if module in reach[other])
        for module in graph
        if module in reach[module]
    }


#: Circles that are only of types, or of imports within functions, and why they stay.
CIRCLES = {
    # Two public classes whose signatures name each other: a book gives runs, a run has its book.
    frozenset({"api/book.py", "api/run.py"}),
}


def test_no_other_modules_name_each_other_not_even_for_types():
    graph = {module: imports(module) - {module} for module in MODULES}
    for needed in graph.values():  # of the package's own module only what it loads when asked
        needed.discard(PACKAGE / "__init__.py")
    found = {
        frozenset(str(module.relative_to(PACKAGE)) for module in circle)
        for circle in circles(graph)
    }
    assert found == CIRCLES


def test_a_circle_is_found_with_all_its_modules_and_nothing_else():
    a, b, c, d, e = map(Path, "abcde")
    assert circles({a: {b}, b: {c, d}, c: {a}, d: {e}, e: set()}) == {frozenset({a, b, c})}


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


PUBLIC = ["Book", "Loop", "Run", "StepContext", "connect", "context", "loop", "register"]


def fresh(code: str) -> str:
    """What *code* prints in a new interpreter."""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_import_stepbook_loads_only_what_it_names_itself():
    unneeded = {"asyncio", "dataclasses", "hashlib", "inspect", "tenacity", "click", "traceback"}
    unneeded |= {"stepbook.api.book", "stepbook.show.text", "stepbook.record.records"}
    code = f"import sys, stepbook; print(sorted({unneeded!r} & set(sys.modules)))"
    assert fresh(code) == "[]"


def test_recording_loads_no_asyncio():
    code = "stepbook.connect(':memory:').run('a').do('b', int); print('asyncio' in sys.modules)"
    assert fresh(f"import sys, stepbook; {code}").endswith("False")


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_can_be_imported_first_and_is_offered_before(name):
    code = f"import stepbook; print({name!r} in dir(stepbook), {name!r} in vars(stepbook))"
    assert fresh(code) == "True False"
    assert fresh(f"from stepbook import {name}; print({name}.__module__)").startswith("stepbook")


def test_a_star_import_gives_every_public_name():
    code = "from stepbook import *; import stepbook; print(set(stepbook.__all__) - set(globals()))"
    assert fresh(code) == "set()"


def test_what_stepbook_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Bok'"):
        _ = stepbook.Bok


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


def test_public_classes_call_themselves_by_their_public_names():
    public = [getattr(stepbook, name) for name in stepbook.__all__]
    classes = [value for value in public if isinstance(value, type)]
    assert {cls.__module__ for cls in classes} == {"stepbook"}
    assert repr(stepbook.Book) == "<class 'stepbook.Book'>"


def test_the_public_modules_are_errors_and_testing():
    assert stepbook.errors.BookError is stepbook.BookError
    assert set(stepbook.testing.__all__) == {"assert_replays", "temporary_book"}


def test_functions_of_json_are_bound_when_stepbook_is_imported():
    """A cell can put others in their place, and what stepbook writes must not change with them."""
    loose = {
        str(module.relative_to(PACKAGE))
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Import) and any(alias.name == "json" for alias in node.names)
    }
    assert loose == {"cli/demo_loop.py"}  # the code of a person

"""No lock is taken in a way that an interrupt can leave it behind; see system/interrupts.py."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import stepbook

PACKAGE = Path(stepbook.__file__).parent
#: The primitives themselves, and the demo: a process of its own that holds no lock.
EXCEPT = {"interrupts.py", "demo.py"}
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.name not in EXCEPT)
LOCKS = {"Lock", "RLock", "allocate_lock"}
#: They take locks in Python, where an interrupt leaves them behind.
FORBIDDEN = {"Barrier", "BoundedSemaphore", "Condition", "Event", "Semaphore", "Timer"}
FORBIDDEN |= {"Queue", "LifoQueue", "PriorityQueue", "ThreadPoolExecutor"}
#: What hands out something that is held.
TAKING = {"acquire", "hold", "__enter__", "enter_context"}
#: Starting and joining one takes locks, too.
THREADS = {"Thread", "Folder"}
#: What names of the whole package stand for a thread, besides those that one is assigned to.
CALLED = {"folder"}


def last(node: ast.AST) -> str:
    """The last name of ``a.b.c`` or ``a.b.c(...)``."""
    if isinstance(node, ast.Call):
        return last(node.func)
    return getattr(node, "attr", getattr(node, "id", ""))


def last_part(module: str | None) -> str:
    """The module that ``from a.b import`` names."""
    return (module or "").rpartition(".")[2]


def names_of(kinds: set[str], trees) -> set[str]:
    """The names to which something of these kinds is assigned."""
    found = set()
    for tree in trees:
        for node in ast.walk(tree):
            value = getattr(node, "value", None)
            if (
                isinstance(node, (ast.Assign, ast.AnnAssign))
                and isinstance(value, ast.Call)
                and last(value) in kinds
            ):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {last(target) for target in targets}
    return found


def is_section(node: ast.AST) -> bool:
    return isinstance(node, (ast.With, ast.AsyncWith)) and any(
        isinstance(item.context_expr, ast.Call) and last(item.context_expr) == "section"
        for item in node.items
    )


def in_section(parents: list[ast.AST]) -> bool:
    """Whether a node is in the body of a section, or of a function that says that it is."""
    for parent in reversed(parents):
        if is_section(parent):
            return True
        if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return "in a section" in (ast.get_docstring(parent) or "").lower()
    return False


def releases(statements: list[ast.stmt], lock: str) -> bool:
    """Whether *statements* begin with ``if held: lock.release()``."""
    first = statements[0] if statements else None
    return (
        isinstance(first, ast.If)
        and isinstance(first.test, ast.Name)
        and ast.unparse(first.body[0]) == f"{lock}.release()"
    )


def faults(tree: ast.Module, locks: set[str]) -> list[str]:
    found = []
    threads = THREADS | CALLED | names_of(THREADS, [tree])
    other_take = any(  # the decoder has one, the ledger another
        getattr(node, "name", "") == "take"
        or (
            isinstance(node, ast.ImportFrom)
            and last_part(node.module) != "interrupts"
            and any(alias.name == "take" for alias in node.names)
        )
        for node in tree.body
    )

    def visit(node: ast.AST, parents: list[ast.AST]) -> None:
        where = f"line {getattr(node, 'lineno', 0)}"
        if isinstance(node, (ast.With, ast.AsyncWith)):
            found.extend(
                f"{where}: with {ast.unparse(item.context_expr)}"
                for item in node.items
                if last(item.context_expr) in locks
            )
        if isinstance(node, ast.Call):
            name = last(node)
            if name in FORBIDDEN and not (name == "Event" and isinstance(node.func, ast.Name)):
                found.append(f"{where}: {name}")
            of = last(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            taking = (name in TAKING and of not in ("", "section")) or (
                name in ("start", "join") and of in threads
            )
            if taking and not in_section(parents):
                found.append(f"{where}: {ast.unparse(node.func)} outside of a section")
            if name == "take" and isinstance(node.func, ast.Name) and not other_take:
                attempt = parents[-2]
                first = isinstance(attempt, ast.Try) and attempt.body[0] is parents[-1]
                if not (first and releases(attempt.finalbody, ast.unparse(node.args[0]))):
                    found.append(f"{where}: take without its try and finally")
            if name == "release" and not node.args and not in_section(parents):
                held = [p for p in parents if isinstance(p, ast.If)]
                if not (held and ast.unparse(held[-1].test) == "held"):
                    found.append(f"{where}: {ast.unparse(node.func)} outside of a section")
        for child in ast.iter_child_nodes(node):
            visit(child, [*parents, node])

    visit(tree, [])
    return found


#: No lock is in it: a task that wakes the event loop.
HARMLESS = {"cells.py": ("around.enter_context",)}


def test_locks_are_taken_in_sections_or_noted_within_one_call():
    trees = {module: ast.parse(module.read_text()) for module in MODULES}
    locks = names_of(LOCKS, trees.values())
    assert {"_lock", "_sync_lock", "fold_lock", "connected", "lock", "_guard"} <= locks
    found = {
        str(module.relative_to(PACKAGE)): left
        for module, tree in trees.items()
        if (
            left := [
                fault
                for fault in faults(tree, locks)
                if not any(known in fault for known in HARMLESS.get(module.name, ()))
            ]
        )
    }
    assert not found


TAKE = "from ..system.interrupts import section, take\n"


@pytest.mark.parametrize(
    "code",
    [
        f"{TAKE}held = []\ntake(self._lock, held)",
        "with self._lock: pass",
        "with open(x), run._lock: pass",
        "self._lock.acquire()",
        "def f():\n  lock.acquire()\n  try: pass\n  finally: lock.release()",
        "stack.enter_context(self._lock)",
        "held = []\ntake(self._lock, held)\ntry: pass\nfinally:\n  if held: self._lock.release()",
        "try:\n  take(self._lock, held)\nfinally:\n  print()\n  if held: self._lock.release()",
        "try:\n  take(self._lock, held)\nfinally:\n  if held: self._other.release()",
        "self._changed = threading.Condition()",
        "self._queue = queue.Queue()",
        "threading.Thread(target=f).start()",
        "reading = threading.Thread(target=f)\nreading.start()",
        "self._reading = Thread(target=f)\nself._reading.join()",
        "with ThreadPoolExecutor(1) as beside: beside.submit(f)",
        "with section():\n  def f(): self._lock.acquire()",
    ],
)
def test_other_ways_are_found(code):
    assert faults(ast.parse(code), {"_lock", "lock"})


@pytest.mark.parametrize(
    "code",
    [
        "with section(self._lock): pass",
        "with section():\n  lock.acquire()\n  lock.release()",
        "try:\n  take(self._lock, held)\n  f()\nfinally:\n  if held: self._lock.release()",
        "def f():\n  'Take it; in a section.'\n  lock.acquire()",
    ],
)
def test_the_two_ways_are_not(code):
    assert not faults(ast.parse(code), {"_lock", "lock"})

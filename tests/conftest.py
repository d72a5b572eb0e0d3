"""What all tests share: a book of their own, and real child processes."""

from __future__ import annotations

import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from pythons import environment

import stepbook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


#: Files of tests that take minutes: they begin first, so that no one of them is left at the end.
SLOW = (
    "browser/test_notebook.py",
    "notebook/test_fidelity.py",
    "cli/test_verify.py",
    "system/test_faults.py",
    "cli/test_run.py",
    "hostile/test_hostile_books.py",
    "values/test_value_texts.py",
    "record/test_links.py",
    "record/test_lost_journal.py",
    "values/test_values_by_parts.py",
    "cli/test_cli.py",
    "record/test_shadows.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the slow files first; ``--no-loadscope-reorder`` keeps that order among processes.

    Of a test with the mark ``by_turns`` several processes run only that share of its parameters,
    others each time: all of them would take too long. A module that has the mark runs that share
    of its tests. One process runs all that it is asked for.
    """
    places = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: places.get("/".join(item.path.parts[-2:]), len(SLOW)))
    seed = os.environ.get("PYTEST_XDIST_TESTRUNUID")  # the same in all processes
    if seed is None or os.environ.get("STEPBOOK_ALL_TESTS") == "1":
        return
    chance = random.Random(seed)
    groups: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        for node, mark in item.iter_markers_with_node("by_turns"):
            by_file = isinstance(node, pytest.Module)
            name = item.nodeid.partition("::" if by_file else "[")[0]
            groups[name, mark.args[0]].append(item)
            break
    left = set()
    for (_, share), group in groups.items():
        left |= set(chance.sample(group, len(group) - math.ceil(share * len(group))))
    config.hook.pytest_deselected(items=[item for item in items if item in left])
    items[:] = [item for item in items if item not in left]


def pytest_configure(config: pytest.Config) -> None:
    """Keep what belongs to the user who runs the tests out of them, children's included."""
    folder = tempfile.mkdtemp(prefix="stepbook-tests-user-")
    os.environ["XDG_DATA_HOME"] = folder
    os.environ["STEPBOOK_KEY"] = "7e" * 32  # one that is made says so where it may not last
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(autouse=True)
def _no_book_from_outside(monkeypatch):
    monkeypatch.delenv("STEPBOOK_BOOK", raising=False)
    monkeypatch.delenv("STEPBOOK_STABLE_REPR", raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stepbook.duckdb"


@pytest.fixture
def book(path: Path) -> Iterator[stepbook.Book]:
    book = stepbook.connect(path)
    yield book
    book.close()


class Child:
    """A real Python process that executes a script of a test."""

    def __init__(self, script: Path, *arguments: object, python: str = sys.executable) -> None:
        self.script = script
        self.process = subprocess.Popen(
            [python, str(script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def expect(self, text: str) -> str:
        """Wait for a line that begins with *text* and return the rest of it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(text):
                return line[len(text) :].strip()
        raise AssertionError(f"the child ended without {text!r}: {self.process.communicate()[1]}")

    def say(self, text: str = "") -> None:
        """Send a line to the child's input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Wait for the end of the child; return its code and what it wrote."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture
def child(tmp_path):
    """Start children from source code; those that are left over are killed."""
    started: list[Child] = []

    def start(
        source: str, *arguments: object, name: str = "child.py", python: str = sys.executable
    ) -> Child:
        script = tmp_path / name
        script.write_text(textwrap.dedent(source))
        started.append(Child(script, *arguments, python=python))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()

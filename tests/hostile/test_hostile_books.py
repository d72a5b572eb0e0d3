"""Each book that somebody has made to do harm does none: nothing crashes, hangs or leaves it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .books import BOOKS, VICTIM, write_all

#: One book is done within that; books of many values have a hundred of them.
SECONDS = 120
#: The first test waits for all of them; on a machine where others are at work that takes long.
pytestmark = pytest.mark.timeout(1800)
VISITOR = Path(__file__).with_name("visitor.py")


def visit(report: Path, asked: list[tuple[str, Path]]) -> None:
    """Have processes open books: another one goes on behind a book that has ended the first."""
    while asked:
        words = [word for part, path in asked for word in (part, str(path))]
        with report.with_suffix(".log").open("a") as log:
            child = subprocess.Popen(
                [sys.executable, "-P", str(VISITOR), str(report), *words], stdout=log, stderr=log
            )
            why = follow(report, child)
        begun, ended = told(report)
        if why is not None and not begun:
            raise RuntimeError(report.with_suffix(".log").read_text()[-2000:])
        done = {*ended}
        asked = [(part, path) for part, path in asked if str(path) not in done]
        if why is not None and asked:
            path = begun[-1] if begun and begun[-1] not in done else str(asked[0][1])
            with report.open("a") as file:
                file.write(json.dumps({"ended": path, "troubles": [why], "heard": []}) + "\n")
            asked = [(part, at) for part, at in asked if str(at) != path]


def follow(report: Path, child: subprocess.Popen[bytes]) -> str | None:
    """Wait for a process; return what ended it, or None."""
    seen = -1
    while True:
        try:
            code = child.wait(SECONDS)
        except subprocess.TimeoutExpired:
            size = report.stat().st_size if report.exists() else 0
            if size > seen:
                seen = size
                continue
            child.kill()
            child.wait()
            return f"it took more than {SECONDS} seconds"
        return None if code == 0 else f"the process ended with {code}"


def told(report: Path) -> tuple[list[str], dict[str, dict]]:
    lines = (
        [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    )
    ended = {line["ended"]: line for line in lines if "ended" in line}
    return [line["begun"] for line in lines if "begun" in line], ended


@pytest.fixture(scope="session")
def visited(request, tmp_path_factory):
    """What became of each book that a test asks for."""
    items = [i for i in request.session.items if "visited" in getattr(i, "fixturenames", ())]
    wanted = {item.callspec.params["name"] for item in items}
    folder = tmp_path_factory.mktemp("hostile")
    paths = write_all(folder, sorted(wanted))
    groups, cores = defaultdict(list), max(2, os.cpu_count() or 2)
    for number, (name, path) in enumerate(paths.items()):
        part = BOOKS[name][0]
        groups[part if part in ("values", "cells") else number % cores].append((part, path))
    reports = [folder / f"report-{number}.jsonl" for number in range(len(groups))]
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(visit, reports, groups.values()))
    ended = {path: line for report in reports for path, line in told(report)[1].items()}
    return {name: (path, ended[str(path)]) for name, path in paths.items()}


@pytest.mark.by_turns(0.3)
@pytest.mark.parametrize("name", BOOKS)
def test_a_hostile_book_does_no_harm(name, visited):
    path, found = visited[name]
    assert found["troubles"] == []
    assert found["heard"] == []
    place = path.parents[1]
    assert {child.name for child in place.iterdir()} == {"book", "outside", "victim.txt"}
    assert [child.name for child in (place / "outside").iterdir()] == ["victim.txt"]
    for file in place / "victim.txt", place / "outside" / "victim.txt":
        assert file.read_text() == VICTIM

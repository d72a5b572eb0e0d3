"""What ``%%step`` adds to an empty cell, executed and replayed, in an IPython shell."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from ._harness import Samples
from ._table import Goal, Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORK = "cell"
LIMIT = Goal(5, on="value")
SCRIPT = """
import json, sys
from time import perf_counter_ns
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
count = int(sys.argv[1])
figures = {"bare": [], "executed": [], "replayed": []}

def run(kind, cell):
    start = perf_counter_ns()
    result = shell.run_cell(cell, store_history=True)
    figures[kind].append(perf_counter_ns() - start)
    assert result.success

shell.run_cell("%load_ext stepbook")
shell.run_cell("%stepbook run cells --new")
for number in range(count):
    run("bare", "pass")
    run("executed", f"%%step {number}\\npass")
    run("replayed", f"%%step {number}\\npass")
print(json.dumps(figures))
"""


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:
    command = [sys.executable, "-c", SCRIPT, "50" if quick else "400"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    samples = {name: Samples() for name in figures}
    for name, found in figures.items():
        samples[name].add(found[5:])
    bare = samples["bare"]
    yield Row.of_samples(WORK, "an empty cell", bare)
    for name, synced in (("executed", "yes"), ("replayed", "")):
        yield Row.of_samples(WORK, f"the same with %%step, {name}", samples[name], synced=synced)
        above = (samples[name].median - bare.median) / 1000
        what = f"what %%step adds, {name}"
        yield Row(WORK, what, value=above, unit="ms", goal=LIMIT)

"""`import stepbook` against `import duckdb`, each in a new interpreter, its start not counted."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from ._harness import interleave
from ._table import Goal, Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORK = "import"
LIMIT = Goal(50, on="value")
SCRIPT = """
from time import perf_counter_ns
start = perf_counter_ns()
import {module}
print(perf_counter_ns() - start)
"""


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:  # noqa: ARG001 - nothing to write
    modules = ("duckdb", "stepbook")
    turns = {name: lambda name=name: [_import(name)] for name in modules}
    interleave(turns, 1)  # warm up: the files are read, the bytecode is written
    samples = interleave(turns, 5 if quick else 15)
    for name in modules:
        yield Row(WORK, f"import {name}", value=samples[name].median, unit="µs")
    above = (samples["stepbook"].median - samples["duckdb"].median) / 1000
    yield Row(WORK, "stepbook above duckdb", value=above, unit="ms", goal=LIMIT)


def _import(module: str) -> int:
    script = SCRIPT.format(module=module)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return int(done.stdout)

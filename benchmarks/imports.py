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
{before}
from time import perf_counter_ns
start = perf_counter_ns()
{work}
print(perf_counter_ns() - start)
"""
#: What is executed before, and what is measured. A run needs duckdb anyway, so what stepbook adds
#: is measured behind it: alone, and with all that a first run loads.
CASES = {
    "import duckdb": ("", "import duckdb"),
    "import stepbook": ("", "import stepbook"),
    "stepbook above duckdb": ("import duckdb", "import stepbook"),
    "all of it above duckdb": (
        "import duckdb",
        "import stepbook; [getattr(stepbook, name) for name in stepbook.__all__]",
    ),
}


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:  # noqa: ARG001 - nothing to write
    turns = {what: lambda case=case: [_time(*case)] for what, case in CASES.items()}
    interleave(turns, 1)  # warm up: the files are read, the bytecode is written
    samples = interleave(turns, 5 if quick else 15)
    for what, found in samples.items():
        yield Row(
            WORK,
            what,
            value=found.median / 1000,
            unit="ms",
            ratio=found.ratio(samples["import duckdb"]),
            times="import duckdb",
            goal=LIMIT if "above" in what else None,
        )


def _time(before: str, work: str) -> int:
    script = SCRIPT.format(before=before, work=work)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return int(done.stdout)

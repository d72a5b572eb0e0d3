"""What ``%%step`` adds to an empty cell, executed and replayed, in a kernel as a front end sees it.

From the request to the kernel's word that it is idle again. pandas, NumPy and matplotlib are
imported there, as in the notebooks that people have: then there are plots to look for, random
generators to compare.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from ._harness import Samples, WorkerError
from ._table import Goal, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WORK = "cell"
LIMIT = Goal(5, on="value")
LONGEST_S = 60
COUNTS = {True: 50, False: 400}
WARM_UP = 5


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:
    figures: dict[str, list[int]] = {"bare": [], "executed": [], "replayed": []}
    with kernel(folder) as run:
        run("%matplotlib inline\nimport matplotlib.pyplot, numpy, pandas")
        run("%load_ext stepbook\n%stepbook run cells --new")
        for number in range(COUNTS[quick]):
            figures["bare"].append(run("pass"))
            for kind in ("executed", "replayed"):
                figures[kind].append(run(f"%%step {number}\npass"))
    samples = {name: Samples() for name in figures}
    for name, found in figures.items():
        samples[name].add(found[WARM_UP:])
    bare = samples["bare"]
    yield Row.of_samples(WORK, "an empty cell", bare)
    for name, synced in (("executed", "yes"), ("replayed", "")):
        yield Row.of_samples(WORK, f"the same with %%step, {name}", samples[name], synced=synced)
        above = (samples[name].median - bare.median) / 1000
        what = f"what %%step adds, {name}"
        yield Row(WORK, what, value=above, unit="ms", goal=LIMIT)


@contextmanager
def kernel(folder: Path) -> Iterator[Callable[[str], int]]:
    """Start a kernel in *folder* and give what executes a cell in it and returns nanoseconds."""
    from jupyter_client.manager import start_new_kernel  # noqa: PLC0415 - only this one needs it

    env = {**os.environ, "STEPBOOK_BOOK": str(folder / "stepbook.duckdb")}
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=env)

    def execute(cell: str) -> int:
        start = perf_counter_ns()
        request = client.execute(cell)
        error: dict[str, Any] | None = None
        while True:
            message = client.get_iopub_msg(timeout=LONGEST_S)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "error":
                error = content
            elif kind == "status" and content["execution_state"] == "idle":
                break
        took = perf_counter_ns() - start
        client.get_shell_msg(timeout=LONGEST_S)
        if error is not None:
            raise WorkerError(f"{cell!r}: {error['ename']}: {error['evalue']}")
        return took

    try:
        yield execute
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

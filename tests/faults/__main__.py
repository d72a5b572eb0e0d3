"""Attack a book with real processes and compare what they were told with what is recorded.

Everything is done that can go wrong: SIGKILL, SIGINT and SIGSTOP at any moment, disks that are
full, fail or write half of it, a clock that jumps, ``os._exit`` at any call of the disk, forks,
copies of the folder in the owner's process, a database that others hold, folders that vanish,
journals that are cut and flipped. A witness that does not use stepbook says what each process was
told. Nothing acknowledged may be lost, nothing that has succeeded be executed again, nothing be
taken for succeeded that did not come to its end, and a delivery is received exactly once.

Exit code 1, with what was seen, when anything is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import random
import sys
import time

from . import plan
from .campaign import Campaign


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long; 60")
    parser.add_argument("--seed", type=int, help="of the plan; a fresh one, which is printed")
    parser.add_argument("--plan", type=int, metavar="N", help="only print the first N jobs")
    options = parser.parse_args()
    seed = options.seed
    if seed is None:
        seed = random.SystemRandom().randrange(1 << 32)
    if options.plan:
        for job in itertools.islice(plan.jobs(seed), options.plan):
            print(job)
        return 0
    print(f"seed {seed}", flush=True)
    _prepare()
    began = time.monotonic()
    campaign = Campaign(seed, lambda text: print(text, flush=True))
    faults = campaign.run(options.seconds)
    print(campaign.progress())
    print(campaign.summary())
    if faults:
        print(f"WRONG, seed {seed}, after {time.monotonic() - began:.0f} s:")
        print(campaign.describe(faults))
        return 1
    campaign.remove()
    print(f"nothing is wrong, seed {seed}, {time.monotonic() - began:.0f} s")
    return 0


def _prepare() -> None:
    """Import once what each process needs; no book is opened here."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    os.environ.pop("STEPBOOK_BOOK", None)
    for name in (
        "duckdb", "numpy", "pandas", "pyarrow", "IPython.core.interactiveshell",
        "stepbook.api.book", "stepbook.cli.main", "stepbook.notebook.extension",
    ):  # fmt: skip
        importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(main())

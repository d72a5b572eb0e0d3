"""Run the benchmarks and print one table.

The workers write on the disk of the current folder: figures of a memory file system mean nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from ._harness import WorkerError
from ._table import Row, text

BENCHMARKS = (
    "record",
    "python",
    "replay",
    "open",
    "scale",
    "threads",
    "frames",
    "values",
    "imports",
    "cells",
)
PACKAGES = ("stepbook", "duckdb", "pandas", "joblib", "diskcache", "marimo", "dbos")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute in all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")

    about = _about(quick=options.quick)
    rows: list[Row] = []
    failures = 0
    with tempfile.TemporaryDirectory(prefix=".benchmarks-", dir=Path.cwd()) as scratch:
        for name in options.names or BENCHMARKS:
            begun = time.perf_counter()
            try:
                rows += _rows(name, Path(scratch) / name, quick=options.quick)
            except WorkerError as error:
                failures += 1
                rows.append(Row(name, "failed", note=str(error)))
            print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        # Before the scratch folder goes: a busy disk takes its time over all those small files.
        _report(about, rows, options.json)
    return 1 if failures else 0


def _report(about: dict[str, str], rows: list[Row], file: Path | None) -> None:
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    print(f"\n{text(rows)}", flush=True)
    if file:
        figures = {**about, "rows": [row.as_json() for row in rows]}
        file.write_text(json.dumps(figures, indent=1) + "\n")


def _rows(name: str, folder: Path, *, quick: bool) -> list[Row]:
    folder.mkdir()
    benchmark = importlib.import_module(f".{name}", __package__)
    return list(benchmark.measure(folder, quick=quick))


def _about(*, quick: bool) -> dict[str, str]:
    """Say where and with what the figures are made, and whether others are at work there."""
    cores = os.cpu_count() or 1
    about = {
        "machine": f"{platform.platform(terse=True)}, {cores} cores",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "sizes": "quick: figures are rough" if quick else "full",
    }
    if hasattr(os, "getloadavg"):
        load = os.getloadavg()[0]
        others = ": others are at work here, and peers that sync suffer most" if load > 1 else ""
        about["load before"] = f"{load:.1f}{others}"
    return about


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


if __name__ == "__main__":
    raise SystemExit(main())

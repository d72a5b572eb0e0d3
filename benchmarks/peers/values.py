"""The peers with a body that returns 100 MB: an array of floats, or a mixed DataFrame."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pyarrow import feather

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("array", "frame")


def make(kind: str, megabytes: int) -> np.ndarray | pd.DataFrame:
    """Return a value of about so many megabytes."""
    random = np.random.default_rng(0)
    if kind == "array":
        return random.random(megabytes * 125_000)
    rows = megabytes * 25_000  # 40 bytes each
    words = np.array([f"region {i}" for i in range(1000)], dtype=object)
    return pd.DataFrame(
        {
            "number": np.arange(rows),
            "score": random.random(rows),
            "at": pd.date_range("2020", periods=rows, freq="s"),
            "region": words[np.arange(rows) % 1000],
        }
    )


class Values:
    """Records and replays one big value, as a peer of the other benchmarks does small ones."""

    module = ""
    peer = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.value: np.ndarray | pd.DataFrame | None = None
        if self.module:
            module = importlib.import_module(f".{self.module}", __package__)
            module.body = lambda: self.value
            self.subject = getattr(module, self.peer)(folder)

    def load(self, kind: str, megabytes: int) -> int:
        """Make the value; return its size in bytes."""
        self.kind = kind
        self.value = make(kind, megabytes)
        size = self.value.nbytes if kind == "array" else self.value.memory_usage(deep=True).sum()
        return int(size)

    def touch(self, number: int) -> None:
        """Change the value a little, so that no round finds the file of the one before."""
        if self.kind == "array":
            self.value[0] = number
        else:
            self.value.iloc[0, 0] = number

    def record(self, number: int) -> list[int]:
        """Return the nanoseconds of recording the value as a new step, and of waiting for it."""
        self.touch(number)
        return self._timed(lambda: self.subject.record(f"Value {number}"))

    def replay(self, number: int) -> list[int]:
        """Return the nanoseconds of getting it back."""
        return self._timed(lambda: self.subject.replay(f"Value {number}"))

    def _timed(self, call: Callable[[], object]) -> list[int]:
        taken: list[int] = []

        def work() -> None:
            gc.collect()
            start = time.perf_counter_ns()
            given = call()
            taken.append(time.perf_counter_ns() - start)
            assert len(given) == len(self.value)

        self._walk(work)
        return taken

    def _walk(self, work: Callable[[], None]) -> None:
        self.subject.walk(work)

    def peak(self, call: str, number: int) -> float:
        """Return the extra memory of a record or replay at its worst, in bytes; Linux only."""
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        before = _memory("VmRSS")
        getattr(self, call)(number)
        return _memory("VmHWM") - before

    def forget(self) -> None:
        """Remove what is on the disk; nothing of it is measured."""


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


class Plain(Values):
    """The floor: the same format written and synced by hand, and read back."""

    def _walk(self, work: Callable[[], None]) -> None:
        work()

    def record(self, number: int) -> list[int]:
        self.touch(number)
        return self._timed(self._write)

    def replay(self, number: int) -> list[int]:  # noqa: ARG002 - there is one file
        return self._timed(self._read)

    def _write(self) -> object:
        path = self.folder / "plain"
        if self.kind == "array":
            with path.open("wb") as file:
                np.save(file, self.value)
        else:
            feather.write_feather(self.value, path, compression="lz4")
        file = os.open(path, os.O_RDWR)
        os.fsync(file)
        os.close(file)
        return self.value

    def _read(self) -> object:
        path = self.folder / "plain"
        return np.load(path) if self.kind == "array" else feather.read_feather(path)


class Stepbook(Values):
    """stepbook, which syncs, and checks what it reads."""

    module, peer = "stepbook_run", "StepbookRun"

    def forget(self) -> None:
        for path in (self.folder / "bench.duckdb.d" / "artifacts").glob("*.*"):
            path.unlink()


class Joblib(Values):
    """joblib.Memory."""

    module, peer = "joblib_memory", "JoblibMemory"

    def forget(self) -> None:
        shutil.rmtree(self.folder / "joblib", ignore_errors=True)


class Marimo(Values):
    """marimo's persistent_cache."""

    module, peer = "marimo_cache", "MarimoCache"


class DBOS(Values):
    """DBOS on SQLite; a replay is a fork of the workflow past its only step."""

    module, peer = "dbos_sqlite", "DBOSOnSQLite"

    def replay(self, number: int) -> list[int]:
        subject = self.subject
        subject._prepared = (subject._last, 2)
        try:
            return super().replay(number)
        finally:
            subject._prepared = None

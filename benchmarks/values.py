"""A step that returns 100 MB: recorded, replayed, and the memory that takes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ._harness import WorkerError, interleave, workers
from ._table import Goal, Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ._harness import Samples, Worker

PEERS = {
    "plain": ("Plain", "np.save / feather lz4, fsync", "every step"),
    "stepbook": ("Stepbook", "stepbook", "every step"),
    "joblib": ("Joblib", "joblib.Memory", "never"),
    "marimo": ("Marimo", "marimo persistent_cache", "never"),
    "dbos": ("DBOS", "DBOS on SQLite", "every step"),
}
RECORD, REPLAY, MEMORY = Goal(1.5), Goal(1.3), Goal(1.2)
NO_SLOWER = Goal(1, at_least=True)


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:
    rounds, megabytes = (3, 10) if quick else (9, 100)
    targets = {name: f"benchmarks.peers.values:{cls}" for name, (cls, _, _) in PEERS.items()}
    for kind in ("array", "frame"):
        (folder / kind).mkdir()
        with workers(targets, folder / kind) as (running, missing):
            sizes = {
                name: worker.call("load", kind=kind, megabytes=megabytes)
                for name, worker in running.items()
            }
            recorded, replayed = _rounds(running, rounds, missing)
            what = f"{kind} of {megabytes} MB"
            yield from _rows(f"record, {what}", recorded, missing, RECORD)
            yield from _rows(f"replay, {what}", replayed, missing, REPLAY)
            if sys.platform == "linux":
                yield from _memory(running["stepbook"], kind, sizes["stepbook"], rounds)


def _rounds(
    running: dict[str, Worker], rounds: int, missing: dict[str, str]
) -> tuple[dict[str, Samples], dict[str, Samples]]:
    numbers = dict.fromkeys(running, 0)

    def record(name: str) -> list[int]:
        worker = running[name]
        worker.call("forget")
        numbers[name] += 1
        return worker.call("record", number=numbers[name])

    def replay(name: str) -> list[int]:
        return running[name].call("replay", number=numbers[name])

    turns: dict[str, object] = {}
    for name in running:
        turns[name] = lambda name=name: [*record(name), *replay(name)]
    both = interleave(turns, rounds, missing)
    recorded, replayed = {}, {}
    for name, samples in both.items():
        recorded[name] = type(samples)([[one[0]] for one in samples.rounds])
        replayed[name] = type(samples)([[one[1]] for one in samples.rounds])
    return recorded, replayed


def _rows(
    work: str, samples: dict[str, Samples], missing: dict[str, str], goal: Goal
) -> Iterator[Row]:
    for name, (_, label, synced) in PEERS.items():
        if name not in samples:
            yield Row(work, label, note=f"missing: {missing.get(name, 'no figures')}")
            continue
        base = "plain" if name == "stepbook" else "stepbook"
        yield Row.of_samples(
            work,
            label,
            samples[name],
            synced=synced,
            ratio=samples[name].ratio(samples[base]),
            times=base,
            goal={"stepbook": goal, "joblib": NO_SLOWER}.get(name),
        )


def _memory(worker: Worker, kind: str, size: int, rounds: int) -> Iterator[Row]:
    """Measure the extra memory of a first run, which gives a copy, and of a replay beyond that."""
    number = rounds + 1
    try:
        worker.call("forget")
        extra = worker.call("peak", call="record", number=number)
        beyond = worker.call("peak", call="replay", number=number) - size
    except WorkerError as error:
        yield Row("memory", kind, note=str(error))
        return
    for what, figure in ((f"{kind}: first run", extra), (f"{kind}: replay, beyond it", beyond)):
        yield Row(
            "extra memory at its peak",
            what,
            value=figure / 1e6,
            unit="MB",
            ratio=figure / size,
            times="the value",
            goal=MEMORY,
        )

"""Replay recorded steps, one call each, from what was opened anew after recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._harness import WorkerError, interleave, workers
from ._table import Goal, Row
from .peers import PEERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORK = "replay a step"
NAMES = ("stepbook", "duckdb", "diskcache", "dbos", "joblib", "marimo")
OWN_LIMIT = Goal(13, on="value")  # with the fingerprint of a body that reaches little


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:
    rounds, count = (3, 300) if quick else (10, 1000)
    targets = {name: PEERS[name].target for name in NAMES}
    with workers(targets, folder) as (running, missing):
        for name, worker in list(running.items()):
            try:
                worker.call("prepare", count=count)
            except WorkerError as error:
                missing[name] = str(error)
        turns = {
            name: lambda worker=worker: worker.call("replay_all", count=count)
            for name, worker in running.items()
            if name not in missing
        }
        samples = interleave(turns, rounds, missing)

    own = samples.get("stepbook")
    for name in NAMES:
        label = PEERS[name].label
        goal = OWN_LIMIT if name == "stepbook" else None
        if name in missing:
            yield Row(WORK, label, unit="µs", note=f"missing: {missing[name]}", goal=goal)
        elif name == "stepbook" or own is None:
            yield Row.of_samples(WORK, label, samples[name], goal=goal)
        else:
            ratio = samples[name].ratio(own)
            yield Row.of_samples(WORK, label, samples[name], ratio=ratio, times="stepbook")

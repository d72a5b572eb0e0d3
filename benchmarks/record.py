"""Record steps of a trivial body, each durable before the next where the peer syncs at all."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ._harness import WorkerError, interleave, workers
from ._table import Goal, Row
from .peers import PEERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ._harness import Worker

WORK = "record a step"
TYPICAL_BYTES = 600  # of a step, where stepbook cannot be asked

# What stepbook must reach beside each: (its ratio to the peer) or (the peer's ratio to it).
OWN_LIMIT = Goal(1.1)
PEER_LIMITS = {
    "dbos": Goal(9, at_least=True),
    "joblib": Goal(1, at_least=True),
    "marimo": Goal(1, at_least=True),
}


def measure(folder: Path, *, quick: bool) -> Iterator[Row]:
    rounds, seconds = (3, 0.2) if quick else (30, 0.5)
    targets = {name: peer.target for name, peer in PEERS.items()}
    with workers(targets, folder) as (running, missing):
        size = share_bytes(running)
        for worker in running.values():
            worker.call("record_for", seconds=0.1)  # warm up
        turns = {
            name: lambda worker=worker: worker.call("record_for", seconds=seconds)
            for name, worker in running.items()
        }
        samples = interleave(turns, rounds, missing)

    own, floor = samples.get("stepbook"), samples.get("append")
    for name, peer in PEERS.items():
        what = f"{peer.label}, {size} bytes" if name in {"append", "preallocated"} else peer.label
        goal = OWN_LIMIT if name == "stepbook" else PEER_LIMITS.get(name)
        if name in missing:
            yield Row(WORK, what, note=f"missing: {missing[name]}", goal=goal)
            continue
        base, base_name = (floor, "append") if name == "stepbook" else (own, "stepbook")
        ratio = samples[name].ratio(base) if base else None
        yield Row.of_samples(
            WORK,
            what,
            samples[name],
            synced=peer.synced,
            ratio=ratio,
            times=base_name,
            goal=goal,
        )


def share_bytes(running: dict[str, Worker]) -> int:
    """Let the raw peers write the bytes of one of stepbook's steps; return how many they are."""
    payload = "x" * (TYPICAL_BYTES - 1) + "\n"
    if "stepbook" in running:
        with suppress(WorkerError):  # its own row will say so
            payload = running["stepbook"].call("bytes_of_a_step")
    for name in {"append", "preallocated"} & running.keys():
        running[name].call("take", payload=payload)
    return len(payload.encode())

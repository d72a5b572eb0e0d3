"""Which jobs come, and what goes wrong in each: the same seed gives the same ones."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How many runs of a kind are worked on at once.
SLOTS: Final = 3
_KINDS: Final = {
    "loop": 34, "scan": 10, "cells": 9, "short": 9, "prune": 4, "reader": 7,
    "holder": 4, "command": 6, "damage": 4, "vanish": 6,
}  # fmt: skip
_COMMANDS: Final = (
    ("runs",), ("runs", "--loop", "work"), ("show", "work"), ("steps",), ("doctor",),
    ("show", "scans"), ("prune", "--loop", "short", "--keep", "2"),
)  # fmt: skip
_CALLS: Final = (
    "open", "pwrite", "preallocate", "sync", "sync_dir", "make_dirs", "link", "rename", "unlink",
)  # fmt: skip
_INJURIES: Final = {
    "": 40, "full": 12, "broken": 8, "short": 5, "exit": 14, "clock": 8, "fork": 8, "copy": 5,
}  # fmt: skip
#: How often a process calls what it calls for each step; the rest it calls a few times.
_OFTEN: Final = {"pwrite": 40, "sync": 40}
_SELDOM: Final = 5
_OUTSIDE: Final = {"": 35, "kill": 35, "interrupt": 15, "storm": 5, "stop": 10}
#: They are attacked from inside.
_RECORDING: Final = ("loop", "scan", "sender", "cells", "short")
#: A second of the machine counts for as much as that of a fast one.
_LONGEST_LIFE_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class Job:
    """What one process does, and what is done to it.

    Attributes:
        number: of the job.
        kind: what it does with the book.
        slot: which of the runs of its kind it works on.
        chance: from which it draws what is left open here.
        injury: what goes wrong inside of it, by a name of ``injuries``.
        call: the method of the disk that goes wrong.
        at: at which of its calls, or at which body.
        times: how often in a row.
        outside: what the pool does to it.
        after: when, in seconds.
        lasting: for how long.
        end: how it ends if nothing ends it: "close", "leave" (what is left to do at the exit of
            the process closes) or "exit" (nothing is closed).
        threads: how many threads do the steps.
        redo: whether a step is asked to be executed again.
        arguments: of a command.
    """

    number: int
    kind: str
    slot: int
    chance: int
    injury: str = ""
    call: str = ""
    at: int = 0
    times: int = 0
    outside: str = ""
    after: float = 0.0
    lasting: float = 0.0
    end: str = "close"
    threads: int = 1
    redo: bool = False
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        inside = f", {self.injury} {self.call} at {self.at} x{self.times}" if self.injury else ""
        outside = f", {self.outside} after {self.after:.3f} s" if self.outside else ""
        return f"job {self.number} ({self.kind} {self.slot}{inside}{outside}, {self.end})"


def jobs(seed: int) -> Iterator[Job]:
    """Yield jobs without an end."""
    chance = random.Random(seed)
    number = 0
    while True:
        kind = _of(chance, _KINDS)
        slot = chance.randrange(SLOTS)
        # Who waits for a scan needs a sender, and more than one must not get through.
        senders = ["sender"] * chance.choice((1, 1, 2, 3)) if kind == "scan" else []
        for one in (kind, *senders):
            number += 1
            yield _job(number, one, slot, chance)


def _of(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _job(number: int, kind: str, slot: int, chance: random.Random) -> Job:
    recording = kind in _RECORDING
    injury = _of(chance, _INJURIES) if recording else ""
    if injury in ("fork", "copy") and kind not in ("loop", "short"):
        injury = ""
    call = {"broken": "sync", "short": "pwrite", "full": chance.choice(_CALLS)}.get(injury, "")
    if injury == "exit":
        call = chance.choice(_CALLS)
    outside = _of(chance, _OUTSIDE) if recording or kind in ("prune", "command") else ""
    return Job(
        number=number,
        kind=kind,
        slot=slot,
        chance=chance.randrange(1 << 32),
        injury=injury,
        call=call,
        at=1 + chance.randrange(_OFTEN.get(call, _SELDOM)),
        times=chance.choice((1, 1, 2, 5, 1000)),
        outside=outside,
        after=chance.choice((0.1, 0.4, 1.0)) * chance.random() * _LONGEST_LIFE_S,
        lasting=chance.uniform(0.1, 1.5),
        end=chance.choice(("close", "leave", "exit")),
        threads=chance.choice((1, 1, 1, 3)),
        redo=chance.random() < 0.15,
        arguments=chance.choice(_COMMANDS) if kind == "command" else (),
    )

"""Kinds of scenario: which sessions a case runs, and what each of them must look like."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .cases import PLAIN
from .interruptions import FAIL, KILL, places, with_statement
from .sessions import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cases import Case

#: In the order of a report.
KINDS = (
    "replay",
    "cut",
    "edit",
    "twice",
    "repaired",
    "inside",
    "storing",
    "redo",
    "unstored",
    "kernel",
)
#: What runs unless the command line says otherwise: a kernel takes seconds to start.
USUAL = KINDS[:-1]
#: What the line of a step says of which nothing is to be stored: at once, or once it is too big.
UNSTORED = ("--no-store", "--max-size 1")


@dataclass(frozen=True)
class Stage:
    """One session of a chain.

    Attributes:
        label: names it in a report; None for one that is not compared.
        turns: what it executes.
        truth: what a plain session executes that must look the same.
        executes: numbers of the cells that must execute, if that is known.
        on_from: whether cells behind those may execute too, if their inputs have changed: what has
            no content is another with each attempt.
        folds: whether its book is closed at the end.
        settled: whether it is compared only if no cell fails plain. What has failed at last
            executes once more in a replay, from what was recorded: no plain session does that.
    """

    label: str | None
    turns: tuple[Turn, ...]
    truth: tuple[Turn, ...]
    executes: tuple[int, ...] | None = None
    on_from: bool = False
    folds: bool = False
    settled: bool = False


@dataclass(frozen=True)
class Chain:
    """Sessions with one book, one after the other.

    Attributes:
        kind: of :data:`KINDS`.
        stages: the sessions.
        kernel: whether real kernels execute them.
    """

    kind: str
    stages: tuple[Stage, ...]
    kernel: bool = False


def chains(
    case: Case, kinds: tuple[str, ...] = USUAL, *, every: bool = False, seed: object = 0
) -> list[Chain]:
    """Return what a case runs.

    Args:
        case: the case.
        kinds: of :data:`KINDS`.
        every: each place where a cell can be interrupted, instead of one chosen by chance.
        seed: what the choice depends on, beside the case's name.
    """
    wanted = [k for k in kinds if not case.only or k in case.only]
    chance = random.Random(f"{seed} {case.name}")
    found: list[Chain] = []
    for kind in wanted:
        found += _MAKERS[kind](case, chance, every=every)
    return found


def _turns(cells: tuple[str, ...]) -> tuple[Turn, ...]:
    return tuple(Turn(number, text) for number, text in enumerate(cells))


def _steps(case: Case) -> list[int]:
    return [n for n, text in enumerate(case.cells) if not text.startswith(PLAIN)]


def _replay(case: Case, _: random.Random, *, every: bool) -> Iterator[Chain]:
    turns = _turns(case.cells)
    if case.edit is not None:
        return
    stages = [
        Stage("fresh", turns, turns),
        Stage("replay", turns, turns, executes=(), folds=True),
        Stage("replay from tables", turns, turns, executes=()),
    ]
    yield Chain("replay", tuple(stages))


def _cut(case: Case, _: random.Random, *, every: bool) -> Iterator[Chain]:
    turns = _turns(case.cells)
    if case.edit is not None:
        return
    # After the last cell it is a replay, but for how the session before it ended.
    for k in range(len(turns) if every or len(turns) == 1 else len(turns) - 1):
        killed = (*turns[:k], replace(turns[k], kill_after=True))
        stages = Stage(None, killed, turns), Stage(f"cut {k}", turns, turns)
        yield Chain("cut", stages)


def _edit(case: Case, _: random.Random, *, every: bool) -> Iterator[Chain]:
    if case.edit is None:
        return
    turns, edited = _turns(case.cells), _turns(case.edit)
    yield Chain(
        "edit",
        (
            Stage("fresh", turns, turns),
            Stage("edited", edited, edited, executes=case.executes),
            Stage("edited, replay", edited, edited, executes=()),
            Stage("edit undone", turns, turns, executes=None if case.executes is None else ()),
        ),
    )
    # Run All, an edit, and Run All in the same session.
    yield Chain("edit", (Stage("edited in the session", (*turns, *edited), edited),))


def _twice(case: Case, _: random.Random, *, every: bool) -> Iterator[Chain]:
    """Each cell executed, redone and executed again: the living kernel's state is the truth."""
    turns = _turns(case.cells)
    pairs = ([t] if t.text.startswith(PLAIN) else [t, replace(t, redo=True)] for t in turns)
    again = tuple(turn for pair in pairs for turn in pair)
    truth = turns if case.twice else again
    if case.edit is None:
        stages = (
            Stage("twice", again, truth),
            Stage("twice, replay", turns, truth, executes=(), settled=True),
        )
        yield Chain("twice", stages)


def _repaired(case: Case, chance: random.Random, *, every: bool) -> Iterator[Chain]:
    """Each cell first fails, at its end or in its middle, is repaired and executed again."""
    turns = _turns(case.cells)
    if case.edit is not None:
        return
    for where in ("at the end", "in the middle"):
        tried: list[Turn] = []
        for turn in turns:
            if not turn.text.startswith(PLAIN):
                if where == "at the end":
                    broken = f"{turn.text}\n{FAIL}"
                else:
                    broken = with_statement(turn.text, chance.choice(places(turn.text)), FAIL)
                tried.append(replace(turn, text=broken, fails=True))
            tried.append(turn)
        every_turn = tuple(tried)
        truth = turns if case.twice and where == "at the end" else every_turn
        label = f"repaired {where}"
        stages = (
            Stage(label, every_turn, truth),
            Stage(f"{label}, replay", turns, truth, executes=(), settled=True),
        )
        yield Chain("repaired", stages)


def _inside(case: Case, chance: random.Random, *, every: bool) -> Iterator[Chain]:
    """The process is killed between two statements of a cell."""
    turns = _turns(case.cells)
    if case.edit is not None or not _steps(case):
        return
    spots = [(k, place) for k in _steps(case) for place in places(turns[k].text)]
    for k, place in spots if every else [chance.choice(spots)]:
        killed = (*turns[:k], Turn(k, with_statement(turns[k].text, place, KILL), kill_after=True))
        label = f"killed inside cell {k}, at {place}"
        yield Chain("inside", (Stage(None, killed, turns), Stage(label, turns, turns)))


def _storing(case: Case, chance: random.Random, *, every: bool) -> Iterator[Chain]:
    """The process is killed before a sync while a cell's result is being stored."""
    turns = _turns(case.cells)
    if case.edit is not None or not _steps(case):
        return
    spots = [(k, sync) for k in _steps(case) for sync in (1, 2, 3)]
    for k, sync in spots if every else [chance.choice(spots)]:
        killed = (*turns[:k], replace(turns[k], kill_sync=sync))
        label = f"killed at sync {sync} of cell {k}"
        yield Chain("storing", (Stage(None, killed, turns), Stage(label, turns, turns)))


def _redo(case: Case, chance: random.Random, *, every: bool) -> Iterator[Chain]:
    """A step is redone when its turn comes in a new session, and the last one after all."""
    turns, steps = _turns(case.cells), _steps(case)
    if case.edit is not None or not steps:
        return
    stages = [Stage(None, turns, turns)]
    for k in steps if every else [chance.choice(steps)]:
        redone = (*turns[:k], replace(turns[k], redo=True), *turns[k + 1 :])
        label = f"redo {k}"
        stages += [
            Stage(label, redone, turns, executes=(k,), on_from=True),
            Stage(f"{label}, replay", turns, turns, executes=()),
        ]
    if steps[-1] == len(turns) - 1:
        last = (*turns, replace(turns[-1], redo=True))
        stages += [
            Stage("last redone", last, last, executes=(len(turns) - 1,)),
            Stage("last redone, replay", turns, last, executes=(), settled=True),
        ]
    yield Chain("redo", tuple(stages))


def _unstored(case: Case, chance: random.Random, *, every: bool) -> Iterator[Chain]:
    """Nothing is stored of a step: it executes in each session, and all others replay."""
    turns, steps = _turns(case.cells), _steps(case)
    if case.edit is not None or not steps:
        return
    ways = [(k, options) for k in steps for options in UNSTORED]
    for k, options in ways if every else [chance.choice(ways)]:
        left = (*turns[:k], replace(turns[k], options=options), *turns[k + 1 :])
        label = f"{k} {options}"
        yield Chain(
            "unstored",
            (
                Stage(label, left, turns),
                Stage(f"{label}, replay", left, turns, executes=(k,), folds=True),
                Stage(f"{label}, replay from tables", left, turns, executes=(k,)),
            ),
        )


def _kernel(case: Case, chance: random.Random, *, every: bool) -> Iterator[Chain]:
    for chain in [*_replay(case, chance, every=every), *_edit(case, chance, every=every)]:
        yield replace(chain, kind="kernel", kernel=True)


_MAKERS = {
    "replay": _replay,
    "cut": _cut,
    "edit": _edit,
    "twice": _twice,
    "repaired": _repaired,
    "inside": _inside,
    "storing": _storing,
    "redo": _redo,
    "unstored": _unstored,
    "kernel": _kernel,
}

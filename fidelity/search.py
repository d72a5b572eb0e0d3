"""Cases by chance, run until the time is over; what differs silently is made small."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from .examine import examine, screened
from .generate import cases
from .kinds import chains
from .shrink import shrink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .cases import Case
    from .examine import Verdict
    from .kinds import Chain
    from .pool import Pool

#: Always run, and one of those that come with chance.
_ALWAYS = ("replay", "cut")
_SOMETIMES = ("repaired", "twice", "inside", "storing", "redo", "unstored")


def plan(case: Case) -> list[Chain]:
    """Return what a generated case runs."""
    extra = random.Random(f"kinds {case.name}").choice(_SOMETIMES)
    return chains(case, (*_ALWAYS, extra))


def search(pool: Pool, screen: Pool, seed: int, seconds: float) -> Iterator[Verdict]:
    """Give the verdicts of generated cases.

    Args:
        pool: runs their sessions.
        screen: runs their cells once plain, to leave out those that fail.
        seed: of the generator.
        seconds: when to begin no more.
    """
    ends = time.monotonic() + seconds

    def made() -> Iterator[Case]:
        for case in cases(seed):
            if time.monotonic() >= ends:
                return
            yield _valid(screen, case)

    yield from examine(pool, made(), plan)


def _valid(screen: Pool, case: Case) -> Case:
    """Leave out the cells that fail; one in eight cases keeps them."""
    if random.Random(f"fails {case.name}").random() < 1 / 8:
        return case
    failed = screened(screen, case)
    kept = tuple(text for number, text in enumerate(case.cells) if number not in failed)
    return replace(case, cells=kept)


def smallest(pool: Pool, verdict: Verdict) -> Case:
    """Return a small case with the same kind of silent difference, which runs that kind only."""
    case = verdict.case
    kind = verdict.kind_of(verdict.silent[0])
    # The places of interruptions are chosen by the name, which shrinking keeps.
    only: Callable[[Case], list[Chain]] = lambda one: chains(one, (kind,))  # noqa: E731

    def differs(one: Case) -> bool:
        [found] = examine(pool, [one], only)
        return bool(found.silent)

    if not differs(case):
        return case  # it needs what went before, or it is not the same each time
    return shrink(case, differs)

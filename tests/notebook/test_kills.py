"""A kernel that is killed anywhere: Run All goes on, and ends as if nothing had happened."""

from __future__ import annotations

import os
import random

import pytest
from harness import cells_of, disturb, undisturbed
from varied import NOTEBOOKS


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_killed_notebook_ends_like_an_undisturbed_one(name):
    seed = int(os.environ.get("STEPBOOK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    cells = cells_of(NOTEBOOKS[name])
    report = disturb(cells, undisturbed(cells), random.Random(f"{seed} {name}"))
    print(report)
    assert set(report.twice) <= {report.killed}, "more than the killed body was executed twice"
    assert not report.differences

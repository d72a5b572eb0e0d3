"""Nothing is lost, doubled or made up, whatever happens to the processes; see ``tests/faults``."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import plan
from tests.faults.story import Story

ROOT = Path(__file__).parents[2]
SECONDS = os.environ.get("STEPBOOK_FAULTS_SECONDS", "30")
FRESH = random.SystemRandom().randrange(1 << 32)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")
@pytest.mark.parametrize("seed", [7, FRESH], ids=["fixed seed", "fresh seed"])
def test_whatever_happens_to_processes_the_book_holds_what_they_were_told(seed):
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--seconds", SECONDS, "--seed", str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_seed_gives_the_same_plan_and_another_one_another():
    first, again, other = (list(itertools.islice(plan.jobs(seed), 200)) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert {job.kind for job in first} >= {"loop", "scan", "sender", "cells", "damage", "vanish"}


STEP = ("work-0-0", "step 1")


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([("exec", *STEP, "a"), ("end", *STEP, "a"), ("ack", *STEP, "a")], ""),
        (
            [("exec", *STEP, "a"), ("end", *STEP, "a"), ("ack", *STEP, "a"), ("exec", *STEP, "b")],
            "is executed again",
        ),
        (
            [
                ("exec", *STEP, "a"),
                ("end", *STEP, "a"),
                ("ack", *STEP, "a"),
                ("redo", *STEP),
                ("exec", *STEP, "b"),
            ],
            "",
        ),
        ([("exec", *STEP, "a"), ("ack", *STEP, "a")], "which no body has"),
        (
            [
                ("exec", *STEP, "a"),
                ("end", *STEP, "a"),
                ("end", *STEP, "b"),
                ("ack", *STEP, "a"),
                ("ack", *STEP, "b"),
            ],
            "returned b, and a before",
        ),
        ([("open", "k", "run_1"), ("open", "k", "run_2")], "has several runs"),
        ([("sending", "k", "a"), ("sent", "k", "a"), ("received", "k", "a")], ""),
        ([("sent", "k", "a"), ("sent", "k", "b")], "has taken 2 deliveries"),
        ([("received", "k", "a")], "which nobody has sent"),
        (
            [("sending", "k", "a"), ("not sent", "k", "a"), ("received", "k", "a")],
            "whose sender was refused",
        ),
        ([("fault", "a traceback")], "a traceback"),
    ],
)
def test_what_contradicts_itself_is_told(lines, fault):
    story = Story()
    for word, *facts in lines:
        story.tell([word, 1, *facts])
    if fault:
        assert fault in story.faults[0]
    else:
        assert not story.faults


@pytest.mark.parametrize(
    ("between", "told"), [([], 1), ([["closing", 1, "k"]], 0), ([["killing", 9, 1]], 0)]
)
def test_two_owners_of_a_run_are_told(between, told):
    story = Story()
    for line in (["open", 1, "k", "run"], *between, ["open", 2, "k", "run"]):
        story.tell(line)
    assert len(story.faults) == told

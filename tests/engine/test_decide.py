"""Replay, raise or execute: what the row of a step decides, for run.do and for cells."""

from __future__ import annotations

import itertools

from stepbook.engine.decide import EXECUTE, RAISE, REPLAY, decide
from stepbook.model.rows import StepRow

ERROR = '{"type": "ValueError", "message": "no"}'


def row(status, *, handled, error):
    return StepRow(1, "a", "do", status, 1, handled=handled, error=error)


def test_a_step_that_the_run_does_not_know_is_executed():
    assert decide(None) == EXECUTE


def test_only_success_replays_and_only_a_handled_failure_with_its_error_raises():
    statuses = ("pending", "running", "succeeded", "failed")
    for status, handled, error in itertools.product(statuses, (True, False), (ERROR, None)):
        found = decide(row(status, handled=handled, error=error))
        if status == "succeeded":
            assert found == REPLAY
        elif status == "failed" and handled and error is not None:
            assert found == RAISE
        else:
            assert found == EXECUTE

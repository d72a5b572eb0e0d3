"""The benchmarks' own machinery: verdicts, ratios, workers. The figures are not tested."""

import pytest

from benchmarks._harness import Samples, Worker, WorkerError, interleave, workers
from benchmarks._table import Goal, Row, text
from benchmarks.peers import PEERS


def test_a_goal_says_reached_or_not():
    assert Row("w", "x", ratio=1.1, goal=Goal(1.1)).verdict == "reached"
    assert Row("w", "x", ratio=1.2, goal=Goal(1.1)).verdict == "NOT REACHED"
    assert Row("w", "x", ratio=8.9, goal=Goal(9, at_least=True)).verdict == "NOT REACHED"
    assert Row("w", "x", value=7, ratio=99, goal=Goal(8, on="value")).verdict == "reached"
    assert Row("w", "x", goal=Goal(1)).verdict == "NOT MEASURED"


def test_a_ratio_is_taken_round_by_round():
    own, base = Samples(), Samples()
    for load in (1, 1, 50):  # a busy moment slows both alike
        own.add([2000 * load])
        base.add([1000 * load])
    assert own.ratio(base) == 2


def test_a_missing_peer_is_named_with_its_reason(tmp_path):
    targets = {"raw": PEERS["append"].target, "gone": "no_such_module:Peer"}
    with workers(targets, tmp_path) as (running, missing):
        assert running.keys() == {"raw"}
        assert len(running["raw"].call("record_for", seconds=0.01)) > 0
    assert "no_such_module" in missing["gone"]
    assert "missing" in text([Row("w", "gone", note=f"missing: {missing['gone']}")])


def test_a_worker_passes_its_error_on_and_lives(tmp_path):
    with Worker(PEERS["append"].target, tmp_path / "raw") as worker:
        with pytest.raises(WorkerError, match="no_such_method"):
            worker.call("no_such_method")
        worker.call("settle")


def test_a_subject_that_fails_on_the_way_goes_missing():
    def fail():
        raise WorkerError("broken")

    missing = {}
    samples = interleave({"good": lambda: [1.0], "bad": fail}, 2, missing)
    assert len(samples["good"].rounds) == 2
    assert missing == {"bad": "broken"}

"""The tables of the document that this project was made from, row by row."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pandas as pd
import pytest

import stepbook


@pytest.fixture
def run():
    book = stepbook.connect(":memory:")
    yield book.run("health-review", input={"patient_id": "p-17"})
    book.close()


def row(run, name):
    frame = run.steps()
    return frame[frame["name"] == name].iloc[0]


def fails():
    raise ValueError("no such patient")


# ---- what is captured per step


def test_name_is_what_was_passed_and_identifies_the_step_across_replays(run):
    name = "Load profile — 'p-17'\n🩺"
    assert run.do(name, lambda: 1) == 1
    assert run.book.run("health-review", input={"patient_id": "p-17"}).do(name, fails) == 1
    assert list(run.steps()["name"]) == [name]


def test_name_must_be_unique_within_a_single_pass(run):
    run.do("Load profile", lambda: 1)
    with pytest.raises(stepbook.DuplicateStepError, match="twice in one pass"):
        run.do("Load profile", lambda: 2)


def test_status_is_one_of_pending_running_succeeded_failed(run):
    run.do("Load profile", lambda: 1)
    assert list(run.steps()["status"].cat.categories) == [
        "pending",
        "running",
        "succeeded",
        "failed",
    ]


def test_started_at_is_when_the_step_began_executing(run):
    inside = []
    before = datetime.now(UTC)
    run.do("Load profile", lambda: inside.append(datetime.now(UTC)))
    assert before <= row(run, "Load profile")["started_at"] <= inside[0]


def test_completed_at_is_when_the_step_finished(run):
    inside = []
    run.do("Load profile", lambda: inside.append(datetime.now(UTC)))
    assert inside[0] <= row(run, "Load profile")["completed_at"] <= datetime.now(UTC)


def test_completed_at_is_null_while_the_step_is_in_flight(run):
    seen = []
    run.do("Load profile", lambda: seen.append(row(run, "Load profile")))
    assert pd.isna(seen[0]["completed_at"])


def test_return_is_the_value_that_the_body_returned_and_replay_does_not_rerun_it(run):
    value = {"id": "p-17", "region": "north", "plan": None}
    run.do("Load profile", lambda: value)
    assert row(run, "Load profile")["return"] == value
    assert (
        run.book.run("health-review", input={"patient_id": "p-17"}).do("Load profile", fails)
        == value
    )


def test_return_must_be_storable(run):
    with pytest.raises(stepbook.NotSerializableError):
        run.do("Load profile", object)


def test_error_is_the_message_and_the_stack(run):
    with pytest.raises(ValueError, match="no such patient"):
        run.do("Load profile", fails)
    error = row(run, "Load profile")["error"]
    assert error["message"] == "no such patient"
    assert 'raise ValueError("no such patient")' in error["stack"]


def test_error_is_only_present_on_failed_steps(run):
    run.do("Load profile", lambda: 1)
    with pytest.raises(ValueError, match="no such patient"):
        run.do("Notify", fails)
    assert [error is None for error in run.steps()["error"]] == [True, False]


def test_the_return_of_a_wait_is_the_payload_that_arrived(run):
    run.book.deliver_scan(run.id, {"ok": True})
    assert run.wait_for_scan(timeout=5) == {"ok": True}
    assert row(run, "Wait for scan")["return"] == {"ok": True}


def test_the_return_of_a_wait_is_empty_on_timeout(run):
    with pytest.raises(stepbook.ScanTimeout):
        run.wait_for_scan(timeout=0)
    assert row(run, "Wait for scan")["return"] is None


# ---- statuses


def test_pending_is_a_step_that_is_registered_and_has_not_started(run):
    run.do("Load profile", lambda: 1)
    run.redo("Load profile")
    found = row(run, "Load profile")
    assert found["status"] == "pending"
    assert pd.isna(found["started_at"])


def test_running_is_a_step_whose_body_is_executing(run):
    seen = []
    run.do("Load profile", lambda: seen.append(row(run, "Load profile")["status"]))
    assert seen == ["running"]


def test_running_is_a_wait_that_is_suspended(run):
    waiting = threading.Thread(target=run.wait_for_scan, kwargs={"timeout": 30})
    waiting.start()
    while "Wait for scan" not in run._opened.state().steps:
        pass
    status = row(run, "Wait for scan")["status"]
    run.book.deliver_scan(run.id, 1)
    waiting.join()
    assert status == "running"


def test_succeeded_is_a_body_that_returned_with_its_value_persisted(run):
    run.do("Load profile", lambda: [1])
    assert row(run, "Load profile")["status"] == "succeeded"
    assert row(run, "Load profile")["return"] == [1]


def test_succeeded_is_a_wait_that_resolved(run):
    run.book.deliver_scan(run.id, None)
    assert run.wait_for_scan(timeout=5) is None
    assert row(run, "Wait for scan")["status"] == "succeeded"


def test_failed_is_a_body_that_raised(run):
    with pytest.raises(ValueError, match="no such patient"):
        run.do("Load profile", fails)
    assert row(run, "Load profile")["status"] == "failed"


def test_failed_is_a_wait_that_timed_out_with_the_error_recorded(run):
    with pytest.raises(stepbook.ScanTimeout):
        run.wait_for_scan(timeout=0)
    found = row(run, "Wait for scan")
    assert (found["status"], found["error"]["type"]) == ("failed", "ScanTimeout")


# ---- the timeline


def test_the_timeline_shows_glyph_name_duration_return_and_error_in_the_order_they_ran(run):
    run.do("Load profile", lambda: {"region": "north"})
    with pytest.raises(ValueError, match="no such patient"):
        run.do("Notify", fails)
    text = repr(run)
    load, notify = text.index("✓ Load profile"), text.index("✗ Notify")
    assert load < text.index('"north"') < notify < text.index("ValueError: no such")
    assert " ms" in text or " s" in text


def test_a_replayed_step_shows_the_same_way_as_a_freshly_executed_one(run):
    run.do("Load profile", lambda: 1)
    before = repr(run)
    run.book.run("health-review", input={"patient_id": "p-17"}).options(on_change="ignore").do(
        "Load profile", fails
    )
    assert repr(run) == before


def test_one_row_per_step_per_run_in_the_order_they_ran(run):
    for name in ("b", "a", "c"):
        run.do(name, lambda: 1)
    run.redo("b")
    again = run.book.run("health-review", input={"patient_id": "p-17"})
    for name in ("b", "a", "c"):
        again.do(name, lambda: 1)
    assert list(run.steps()["name"]) == ["b", "a", "c"]

"""The messages to the timeline: what they hold, and the fixture that both sides read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recorded import T0, error, recorded_list, recorded_run

from stepbook.model.rows import StepRow
from stepbook.timeline import wire

FIXTURE = Path(__file__).parents[1] / "fixtures" / "wire.json"


def fixture():
    """One of each message, as the fixture holds them."""
    run, rows = recorded_run()
    now = T0 + 1_330_000_000
    done = rows[9]._replace(
        status="succeeded", completed_at=now, seconds=3.6, value='{"loss":0.031}', progress=None
    )
    ended = run._replace(status="succeeded", completed_at=now, output='{"sent":true}')
    return {
        "snapshot": wire.snapshot(run, rows, rev=40, now=now, usual={"Train": 5.25}, expires={}),
        "delta": wire.delta(ended, [done], since=40, rev=41, now=now, usual={"Train": 5.25}),
        "reply": wire.reply(7, "[1, 2]"),
        "runs": wire.runs(recorded_list()),
        "refusal": wire.refusal(8, "The kernel has no run of this id."),
    }


def write_fixture():
    FIXTURE.write_text(json.dumps(fixture(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def test_the_fixture_is_what_python_writes():
    assert json.loads(FIXTURE.read_text(encoding="utf-8")) == fixture(), (
        "the messages changed: if that is meant, run `python tests/timeline/test_wire.py`, then "
        "`npm test`"
    )


def test_rows_have_the_declared_columns():
    message = fixture()["snapshot"]
    assert all(len(row) == len(message["fields"]) for row in message["rows"])


def test_a_long_return_is_cut_and_its_length_told():
    step = StepRow(1, "Long", "do", "succeeded", 1, value="x" * 5000)
    row = dict(zip(wire.FIELDS, wire.row_fields(step, 4000), strict=True))
    assert (len(row["return"]), row["return_size"]) == (wire.HEAD_CHARS, 5000)


def test_a_long_error_keeps_its_type_and_message():
    step = StepRow(1, "Long", "do", "failed", 1, error=error("KeyError", "'plan'", "x" * 9000))
    row = dict(zip(wire.FIELDS, wire.row_fields(step, 4000), strict=True))
    assert json.loads(row["error"]) == {"type": "KeyError", "message": "'plan'"}
    assert row["error_size"] > 9000


@pytest.mark.parametrize("rows", [1, 1000, 10_000, 100_000])
def test_a_snapshot_stays_within_its_budget(rows):
    assert wire.room_for(rows) <= 64 * 1024
    assert rows * wire.room_for(rows) <= max(wire.ALL_CHARS, rows * wire.HEAD_CHARS)


if __name__ == "__main__":
    write_fixture()

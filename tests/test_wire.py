"""The messages to the timeline: what they hold, and the fixture that both sides read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stepbook.model.rows import RunRow, StepRow
from stepbook.show.html import RunLine
from stepbook.timeline import wire

FIXTURE = Path(__file__).parent / "fixtures" / "wire.json"
T0 = 1_790_000_000_000_000


def _error(kind, message, stack="", **more):
    return json.dumps(
        {"type": kind, "message": message, "stack": stack, "notes": [], "cause": None} | more
    )


STACK = """Traceback (most recent call last):
  File "/opt/venv/lib/python3.12/site-packages/stepbook/_execute.py", line 88, in execute
    value = fn(*args, **kwargs)
  File "/home/ada/health/review.ipynb", line 4, in score
    return model.predict(row["image"])
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/venv/lib/python3.12/site-packages/vision/model.py", line 310, in predict
    raise ValueError(f"image is {width} px wide, {self.width} expected")
ValueError: image is 640 px wide, 1024 expected
"""


def recorded_run():
    """A run as it may be recorded: every kind, every status, nested steps, a map with failures."""
    at = T0 + 400_000
    rows = [
        StepRow(
            1,
            "Load profile",
            "do",
            "succeeded",
            1,
            started_at=at,
            completed_at=at + 212_000,
            seconds=0.212,
            value='{"id":"p-17","region":"EU","plan":"gold"}',
        ),
        StepRow(
            2,
            "Generate health scan",
            "do",
            "succeeded",
            2,
            started_at=at + 220_000,
            completed_at=at + 1_620_000,
            seconds=1.4,
            value='{"session":"s-901"}',
        ),
        StepRow(
            3,
            "Warm up the device",
            "do",
            "succeeded",
            1,
            parent="Generate health scan",
            started_at=at + 260_000,
            completed_at=at + 890_000,
            seconds=0.63,
            value="null",
        ),
        StepRow(
            4,
            "Wait for scan",
            "scan",
            "succeeded",
            1,
            started_at=at + 1_630_000,
            completed_at=at + 1_321_630_000,
            seconds=1320.0,
            value=json.dumps(
                {
                    "images": [{"id": f"i-{n}", "width": 1024 if n else 640} for n in range(4)],
                    "device": "MRI 3",
                }
            ),
        ),
        StepRow(
            5,
            "Score",
            "map",
            "failed",
            1,
            started_at=at + 1_322_000_000,
            completed_at=at + 1_325_100_000,
            seconds=3.1,
            error=_error("ValueError", "image is 640 px wide, 1024 expected", STACK),
        ),
        *(
            StepRow(
                6 + n,
                f"Score [i-{n}]",
                "do",
                "failed" if n == 0 else "succeeded",
                1,
                parent="Score",
                item=f"i-{n}",
                started_at=at + 1_322_000_000 + n * 700_000,
                completed_at=at + 1_322_690_000 + n * 700_000,
                seconds=0.69,
                value=None if n == 0 else json.dumps({"score": 0.5 + n / 10}),
                error=_error("ValueError", "image is 640 px wide, 1024 expected", STACK)
                if n == 0
                else None,
            )
            for n in range(4)
        ),
        StepRow(
            10,
            "Train",
            "cell",
            "running",
            1,
            started_at=at + 1_326_000_000,
            progress='{"done":3,"total":10,"message":"epoch 3"}',
            stale=True,
        ),
        StepRow(
            11,
            "Big table",
            "do",
            "succeeded",
            1,
            started_at=at + 1_326_100_000,
            completed_at=at + 1_326_150_000,
            seconds=0.05,
            value=json.dumps(list(range(2000))),
            handled=False,
        ),
        StepRow(12, "Send notification", "do", "pending", 1),
    ]
    run = RunRow(
        "run_7c0ffee7c0de",
        "health-review",
        '{"patient_id":"p-17"}',
        "running",
        "user",
        '{"patient_id":"p-17"}',
        T0,
        None,
        T0 + 350_000,
        None,
    )
    return run, rows


def recorded_list():
    """The newest runs of a book, as they may be: of each status, one of them not yet started."""
    at = T0 + 3_000_000
    return [
        RunLine("run_2", "health-review", "p-19", "pending", at, None, None, 0, 0, 0, 240),
        RunLine("run_1", "health-review", "p-18", "running", at - 1, at, None, 4, 3, 0, 240),
        RunLine("run_0", "nightly", "null", "failed", at - 2, at, at + 5, 3, 2, 1, 240),
        RunLine("run_9", "nightly", "null", "succeeded", at - 3, at, at + 7, 3, 3, 0, 240),
    ]


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
        "the messages changed: if that is meant, run `python tests/test_wire.py` and `npm test`"
    )


def test_rows_have_the_declared_columns():
    message = fixture()["snapshot"]
    assert all(len(row) == len(message["fields"]) for row in message["rows"])


def test_a_long_return_is_cut_and_its_length_told():
    step = StepRow(1, "Long", "do", "succeeded", 1, value="x" * 5000)
    row = dict(zip(wire.FIELDS, wire.row_fields(step, 4000), strict=True))
    assert (len(row["return"]), row["return_size"]) == (wire.HEAD_CHARS, 5000)


def test_a_long_error_keeps_its_type_and_message():
    step = StepRow(1, "Long", "do", "failed", 1, error=_error("KeyError", "'plan'", "x" * 9000))
    row = dict(zip(wire.FIELDS, wire.row_fields(step, 4000), strict=True))
    assert json.loads(row["error"]) == {"type": "KeyError", "message": "'plan'"}
    assert row["error_size"] > 9000


@pytest.mark.parametrize("rows", [1, 1000, 10_000, 100_000])
def test_a_snapshot_stays_within_its_budget(rows):
    assert wire.room_for(rows) <= 64 * 1024
    assert rows * wire.room_for(rows) <= max(wire.ALL_CHARS, rows * wire.HEAD_CHARS)


if __name__ == "__main__":
    write_fixture()

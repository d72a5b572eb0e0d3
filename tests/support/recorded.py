"""A run and a list of runs as they may be recorded, for what shows them."""

from __future__ import annotations

import json

from stepbook.model.rows import RunRow, StepRow
from stepbook.show.html import RunLine

T0 = 1_790_000_000_000_000


def error(kind, message, stack="", **more):
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
            error=error("ValueError", "image is 640 px wide, 1024 expected", STACK),
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
                error=error("ValueError", "image is 640 px wide, 1024 expected", STACK)
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
            verdict="stale",
            changes="K: 2 -> 10",
            reason="its attempt 1 failed",
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


def files_of(book):
    """The paths of a book's artifacts, in the order of their names."""
    folder = book.path.with_name(f"{book.path.name}.d") / "artifacts"
    return sorted(path for path in folder.iterdir() if path.is_file())

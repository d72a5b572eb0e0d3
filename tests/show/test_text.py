"""The text timeline: a pure function of rows."""

import datetime as dt
import decimal
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len

from stepbook.model.rows import Policy, RunRow, StepRow
from stepbook.show import text as show_text
from stepbook.show.values import readable
from stepbook.show.words import unstored
from stepbook.values.codec import Codec

AT = 1_700_000_000_000_000  # 2023-11-14 22:13:20 UTC


def run(**fields):
    known = {
        "id": "run_7k2m9q4xw3hd",
        "loop": "health-review",
        "key": "k",
        "status": "succeeded",
        "trigger_type": "user",
        "input": "null",
        "created_at": AT,
        "started_at": AT,
        "completed_at": AT + 2_100_000,
    }
    return RunRow(**{**known, **fields})


def step(seq, name, status="succeeded", **fields):
    known = {
        "seq": seq,
        "name": name,
        "kind": "do",
        "status": status,
        "attempt": 1,
        "started_at": AT,
        "seconds": 0.012,
        "value": "null" if status == "succeeded" else None,
    }
    return StepRow(**{**known, **fields})


def failed(seq, name, message, **fields):
    error = json.dumps({"type": "ValueError", "message": message})
    return step(seq, name, "failed", error=error, **fields)


def waiting(name, kind, until):
    return step(1, name, "running", kind=kind, seconds=None, progress=json.dumps({"until": until}))


def lines(found, steps, width=80, *, everything=False):
    return [
        show_text.plain(line)
        for line in show_text.spans(found, steps, width=width, everything=everything)
    ]


@pytest.fixture(autouse=True)
def _not_stable(monkeypatch):
    monkeypatch.delenv("STEPBOOK_STABLE_REPR", raising=False)


def test_a_failing_run_shows_glyphs_names_durations_values_and_the_error():
    steps = [
        step(1, "Load profile", value='{"region": "eu"}'),
        step(2, "Wait for scan", kind="scan", seconds=1234.5, value="97"),
        failed(3, "Send notification", "no answer", attempt=2),
    ]
    shown = show_text.timeline(run(status="failed", input='{"patient": "p-17"}'), steps)
    assert shown.splitlines() == [
        "✗ health-review  failed · 2 of 3 steps · 2.10 s · run_7k2m9q4xw3hd",
        '  input {"patient": "p-17"}',
        "  ✓ Load profile             12 ms",
        '  │ {"region": "eu"}',
        "  ✓ Wait for scan      20 min 35 s",
        "  │ 97",
        "  ✗ Send notification        12 ms  attempt 2",
        "    ValueError: no answer",
    ]


def test_an_empty_run_says_that_it_has_no_steps_yet():
    found = run(status="pending", started_at=None, completed_at=None)
    assert lines(found, []) == [
        "○ health-review  pending · no steps yet · run_7k2m9q4xw3hd",
    ]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_the_line_about_the_run_fits_and_what_has_no_room_stands_below(width):
    found = run(loop="a loop with a name that is longer than a narrow terminal", status="succeeded")
    shown = lines(found, [step(1, "Load"), failed(2, "Notify", "refused")], width)
    above = shown[: next(i for i, line in enumerate(shown) if "Load" in line)]
    assert max(map(cell_len, shown)) <= width
    for fact in ("succeeded", "1 of 2 steps", "1 failed", found.id):
        assert any(fact in line for line in above)


def test_inner_steps_stand_under_their_outer_step_in_the_order_they_ran():
    steps = [
        step(1, "Score"),
        step(2, "Report"),
        step(3, "Score [a]", parent="Score", value="1"),
        step(4, "Score [b]", parent="Score", value="2"),
        step(5, "Detail", parent="Score [b]", value="3"),
    ]
    assert [line[:14].rstrip() for line in lines(run(), steps)[1:]] == [
        "  ✓ Score",
        "  │ ✓ Score [a",
        "  │ │ 1",
        "  │ ✓ Score [b",
        "  │   2",
        "  │   ✓ Detail",
        "  │     3",
        "  ✓ Report",
    ]


def test_steps_that_name_each_other_as_the_outer_one_are_each_shown_once():
    steps = [step(1, "A", parent="B"), step(2, "B", parent="A"), step(3, "C", parent="gone")]
    shown = "\n".join(lines(run(), steps))
    assert [shown.count(f"✓ {name}") for name in "ABC"] == [1, 1, 1]


def test_a_waiting_scan_shows_its_deadline_and_the_date_only_of_another_day():
    assert lines(run(status="running"), [waiting("Wait for scan", "scan", AT + 1_800_000_000)])[
        1
    ].endswith("waiting until 22:43:20 UTC")
    assert lines(run(status="running"), [waiting("Cool down", "sleep", AT + 86_400_000_000)])[
        1
    ].endswith("sleeping until 2023-11-15 22:13:20 UTC")


def test_a_wait_without_a_deadline_is_shown_as_waiting():
    assert lines(run(status="running"), [waiting("Wait for scan", "scan", None)])[1].endswith(
        "waiting"
    )


def test_a_step_that_executes_shows_its_progress():
    progress = json.dumps({"done": 12, "total": 40, "message": "epoch"})
    row = step(1, "Train", "running", seconds=None, progress=progress)
    assert lines(run(status="running"), [row])[1].endswith("12 of 40 · epoch")


def test_handled_stale_and_resolved_steps_say_so():
    rows = [
        failed(1, "A", "x", handled=True),
        step(2, "B", stale=True),
        step(3, "C", progress='{"resolved":"by hand"}'),
    ]
    shown = lines(run(), rows)
    assert shown[0].startswith("✓ health-review  succeeded · 2 of 3 steps · 1 failed")
    assert [line.rpartition("ms  ")[2] for line in shown if "ms  " in line] == [
        "handled",
        "stale",
        "resolved by hand",
    ]


def test_a_step_of_which_nothing_is_stored_says_why():
    row = step(1, "Load", value=None, policy="max-size")
    assert lines(run(), [row])[2].strip() == unstored("max-size")


def test_the_page_says_of_a_step_that_is_not_stored_what_the_terminal_says():
    page = (Path(__file__).parents[2] / "js/src/model/rows.ts").read_text(encoding="utf-8")
    for policy in get_args(Policy):
        assert f'"{policy}": "{unstored(policy)}"' in page
    assert unstored("another") == "not stored; executed again in each pass"


def test_durations_stay_aligned_beside_wide_characters_and_emoji():
    steps = [step(1, "Load"), step(2, "報告書を送る"), step(3, "Ship 🎉")]
    ends = {cell_len(line) for line in lines(run(), steps)[1:]}
    assert len(ends) == 1


@pytest.mark.parametrize("name", ["n" * 10_000, "報" * 10_000, "🎉" * 10_000])
def test_no_line_is_wider_than_the_terminal_however_long_a_name(name):
    rows = [step(1, name, value=json.dumps(name)), failed(2, "B", name), step(3, name, parent=name)]
    for width in (40, 80, 120):
        shown = lines(run(loop=name, input=json.dumps(name)), rows, width)
        assert max(map(cell_len, shown[1:])) <= width


def test_in_a_pipe_nothing_is_cut():
    name = "n" * 300
    shown = "\n".join(lines(run(), [step(1, name, value=f'"{"v" * 300}"')], None))
    assert name in shown
    assert "v" * 300 in shown
    assert "…" not in shown


def test_what_a_terminal_would_obey_is_escaped():
    rows = [
        step(1, "line\nbreak \x1b[31mred", value='"\x9b31m \u202e"'),
        failed(2, "B", "\x1b]0;title\x07"),
    ]
    shown = "\n".join(lines(run(loop="a\tb"), rows))
    assert all(c == "\n" or c.isprintable() for c in shown)
    assert "line\\nbreak \\x1b[31mred" in shown


def test_a_long_message_is_shortened_on_a_terminal_and_whole_in_a_pipe():
    message = "\n".join(f"line {i}" for i in range(20))
    assert lines(run(), [failed(1, "A", message)])[-1] == "    … 12 more lines"
    assert lines(run(), [failed(1, "A", message)], None)[-1] == "    line 19"


def test_a_run_of_a_thousand_steps_keeps_its_ends_and_every_failure():
    steps = [step(i, f"Step {i}") for i in range(1, 1001)]
    steps[499] = failed(500, "Step 500", "boom")
    shown = lines(run(status="failed"), steps)
    assert len(shown) < 60
    assert "  ⋮ 479 more steps, succeeded" in shown
    assert "  ⋮ 480 more steps, succeeded" in shown
    assert any("✗ Step 500" in line for line in shown)
    assert any("✓ Step 1000" in line for line in shown)
    assert len(lines(run(status="failed"), steps, everything=True)) == 1002


def test_a_run_of_which_all_failed_stays_short():
    steps = [failed(i, f"Step {i}", "boom") for i in range(1, 1001)]
    shown = lines(run(status="failed"), steps)
    assert any(line.endswith("940 failed") for line in shown)


def test_stable_output_has_no_durations_times_and_ids(monkeypatch):
    monkeypatch.setenv("STEPBOOK_STABLE_REPR", "1")
    rows = [step(1, "Load profile", value="1"), waiting("Wait for scan", "scan", AT)]
    assert show_text.timeline(run(), rows).splitlines() == [
        "✓ health-review  succeeded · 1 of 2 steps",
        "  ✓ Load profile",
        "  │ 1",
        "  ◐ Wait for scan  waiting",
    ]


def test_the_output_of_a_run_that_succeeded_ends_its_timeline():
    assert lines(run(output='{"region": "eu"}'), [step(1, "A")])[-1] == '  output {"region": "eu"}'


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [1, 2.5, None]}, '{"a": [1, 2.5, null]}'),
        ("grün", '"grün"'),
        (123456789012345678901234567890, "123456789012345678901234567890"),
        ((1, "x"), '[1, "x"]'),
        (decimal.Decimal("1.20"), "1.20"),
        ({"at": dt.date(2004, 4, 1)}, '{"at": 2004-04-01}'),
        (np.zeros((3, 2)), "ndarray 3 × 2"),  # noqa: RUF001 - times
        ({"table": pd.DataFrame({"a": [1, 2]})}, '{"table": DataFrame 2 × 1}'),  # noqa: RUF001
        ({"$stepbook": 1}, '{"$stepbook": 1}'),
    ],
)
def test_values_are_shown_as_people_read_them(value, words):
    text = Codec(None).encode(value)
    assert readable(text) == words


def test_what_cannot_be_made_readable_is_shown_as_it_is():
    for text in ("{", '{"$stepbook":"unknown@9"}', "[" * 100_000, '"' + "x" * 20_000 + '"'):
        assert readable(text)

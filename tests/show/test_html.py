"""The static view and the self-contained page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from recorded import recorded_run

from stepbook.errors import StepbookError
from stepbook.model.rows import RunRow, StepRow
from stepbook.show import html as show_html
from stepbook.timeline import bundle, wire

HOSTILE = '</script><img src=x onerror="hacked()"><!-- "\'&\u2028'
SELF_CLOSED = {"meta"}


class Parsed(HTMLParser):
    """Collects tags and text, and checks that every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), set(), ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in SELF_CLOSED:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_static_view_uses_only_what_sanitisers_keep():
    parsed = Parsed(show_html.static_html(*recorded_run()))
    assert parsed.tags <= {"div", "span", "b", "pre", "details", "summary"}
    assert parsed.attributes <= {"style", "open", "title"}


def test_the_static_view_shows_names_statuses_returns_and_errors():
    text = Parsed(show_html.static_html(*recorded_run())).text
    for expected in (
        "health-review",
        "5 of 8 steps, 1 failed",
        "Load profile",
        '"region": "EU"',
        "ValueError",
        "image is 640 px wide",
        "212 ms",
    ):
        assert expected in text


def test_failed_steps_and_short_returns_stand_open():
    html = show_html.static_html(*recorded_run())
    assert re.search(r"<details open><summary[^>]*>(?:(?!</summary>).)*Load profile", html)
    assert re.search(r"<details open><summary[^>]*>(?:(?!</summary>).)*<b>Score</b>", html)
    assert re.search(r"<details><summary[^>]*>(?:(?!</summary>).)*Wait for scan", html)


def test_a_stable_view_holds_nothing_that_changes_from_run_to_run():
    run, steps = recorded_run()
    later = [
        step._replace(started_at=7, completed_at=9, seconds=2e-6, attempt=1)
        if step.started_at
        else step
        for step in steps
    ]
    other = run._replace(id="run_other0000000", created_at=5, started_at=6, completed_at=8)
    assert show_html.static_html(run, steps, stable=True) == show_html.static_html(
        other, later, stable=True
    )


def test_hostile_data_stays_text():
    step = StepRow(
        1,
        HOSTILE,
        "do",
        "failed",
        1,
        value=json.dumps(HOSTILE),
        error=json.dumps({"type": HOSTILE, "message": HOSTILE, "stack": HOSTILE}),
    )
    run = RunRow("run_1", HOSTILE, "k", "failed", "user", json.dumps(HOSTILE), 0)
    static = show_html.static_html(run, [step])
    assert "img" not in Parsed(static).tags
    data = wire.encode(wire.snapshot(run, [step], rev=1, now=0))
    page = show_html.page_html(HOSTILE, data, "export{};", static)
    assert page.count("</script") == 2
    assert "<img" not in page


def test_a_long_run_shows_its_failures_and_says_what_is_missing():
    steps = [
        StepRow(n, f"step {n}", "do", "failed" if n == 4321 else "succeeded", 1)
        for n in range(1, 10_001)
    ]
    html = show_html.static_html(recorded_run()[0], steps)
    assert "step 4321<" in html
    assert "9,800 more steps are in the book." in html
    assert len(html) < 200_000


def test_a_missing_bundle_says_what_to_run(monkeypatch, tmp_path):
    monkeypatch.setattr(bundle, "PATH", tmp_path / "timeline.js")
    with pytest.raises(StepbookError, match="npm run build"):
        bundle.bundle.__wrapped__()


def test_the_page_asks_for_nothing_from_outside():
    run, steps = recorded_run()
    snapshot = wire.snapshot(run, steps, rev=1, now=run.created_at)
    static = show_html.static_html(run, steps)
    page = show_html.page_html("title", wire.encode(snapshot), bundle.bundle(), static)
    assert not re.search(r"(?:src|href)\s*=\s*[\"'`]?\s*(?:https?:)?//", page)
    assert "default-src 'none'" in page


TABLE = json.dumps(
    {
        "$stepbook": "pandas.DataFrame",
        "shape": [5000, 2],
        "dtypes": {"a": "int64", "b": "str"},
        "columns": {"labels": ["a", "b"]},
        "data": "QVJST1c" * 9000,
        "preview": [[1, "x"], [2, "y"]],
    },
    separators=(",", ":"),
)


def test_a_table_shows_its_shape_and_beginning_without_its_bytes():
    html = show_html.static_html(
        recorded_run()[0], [StepRow(1, "T", "do", "succeeded", 1, value=TABLE)]
    )
    assert "pandas.DataFrame 5,000 × 2" in html  # noqa: RUF001 - meant
    assert "[2, &quot;y&quot;]" in html
    assert "QVJST1c" not in html


def test_the_rows_of_a_table_stand_behind_what_pandas_calls_them():
    sample = {"index": [["Rome", 1], ["<b>", 2]], "rows": [[1, "x"], [2, "y"]]}
    value = json.dumps({**json.loads(TABLE), "preview": sample})
    html = show_html.static_html(
        recorded_run()[0], [StepRow(1, "T", "do", "succeeded", 1, value=value)]
    )
    assert "Rome, 1: [1, &quot;x&quot;]" in html
    assert "&lt;b&gt;, 2: [2, &quot;y&quot;]" in html


def test_a_table_travels_without_its_bytes():
    step = StepRow(1, "T", "do", "succeeded", 1, value=TABLE)
    row = dict(zip(wire.FIELDS, wire.row_fields(step, 4000), strict=True))
    assert json.loads(row["return"])["preview"] == [[1, "x"], [2, "y"]]
    assert "data" not in json.loads(row["return"])
    assert row["return_size"] is None

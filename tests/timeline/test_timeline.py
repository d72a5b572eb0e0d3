"""Following a run, and what the widget sends and answers; without a browser."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time

import pandas as pd
import pyarrow as pa
import pytest

import stepbook
from stepbook.record import ledger
from stepbook.timeline import wire as wire_format
from stepbook.timeline.follow import Follower
from stepbook.timeline.pulse import Pulse


@pytest.fixture
def book(tmp_path):
    """A book on disk."""
    book = stepbook.connect(tmp_path / "book.duckdb")
    yield book
    book.close()


@pytest.fixture
def run(book):
    """An open run."""
    return book.run("loop", input={"n": 1})


def names(message):
    """The names of the rows of a message."""
    return [dict(zip(message["fields"], row, strict=True))["name"] for row in message["rows"]]


def test_only_what_changed_is_sent(book, run):
    run.do("A", lambda: 1)
    follower = Follower(book._opened, run.id)
    first = follower.rev
    run.do("B", lambda: 2)
    assert follower.update()
    assert names(follower.since(first)) == ["B"]
    assert names(follower.snapshot()) == ["A", "B"]
    assert not follower.update()


def test_a_reader_from_nowhere_gets_everything(book, run):
    run.do("A", lambda: 1)
    follower = Follower(book._opened, run.id)
    assert follower.since(-1)["type"] == "snapshot"
    assert follower.since(follower.rev + 7)["type"] == "snapshot"


def test_deltas_that_overlap_end_in_the_same_state(book, run):
    follower = Follower(book._opened, run.id)
    messages = [follower.snapshot()]
    for n in range(5):
        run.do(f"S{n}", lambda n=n: n)
        follower.update()
        messages.append(follower.since(max(1, follower.rev - 2)))
    rows = {}
    for message in messages:
        rows |= {row[0]: row for row in message["rows"]}
    assert list(rows.values()) == follower.snapshot()["rows"]


@contextlib.contextmanager
def followed(path, script):
    """Start a program that opens a run of the book at *path* and prints its id; follow that run."""
    with subprocess.Popen(
        [sys.executable, "-c", script, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as other:
        yield other, Follower(stepbook.connect(path)._opened, other.stdout.readline().strip())


def test_a_run_of_another_process_is_followed(tmp_path):
    script = (
        "import sys, stepbook\n"
        "run = stepbook.connect(sys.argv[1]).run('loop')\n"
        "print(run.id, flush=True)\n"
        "for line in sys.stdin: run.do(line.strip(), lambda: line); print('done', flush=True)\n"
    )
    with followed(tmp_path / "book.duckdb", script) as (other, follower):
        assert follower.steps == []
        for count in (1, 2, 3):
            other.stdin.write(f"step {count}\n")
            other.stdin.flush()
            other.stdout.readline()
            deadline = time.monotonic() + 10
            while len(follower.steps) < count and time.monotonic() < deadline:
                follower.update()
            assert [step.status for step in follower.steps] == ["succeeded"] * count
        other.stdin.close()


def test_a_run_of_another_process_is_followed_when_it_is_closed_and_opened_again(tmp_path):
    script = (
        "import sys, stepbook\n"
        "run = stepbook.connect(sys.argv[1]).run('loop')\n"
        "print(run.id, flush=True)\n"
        "for line in sys.stdin:\n"
        "    name = line.strip()\n"
        "    run.close() if name == 'close' else run.do(name, lambda: 'x' * 200_000)\n"
        "    print('done', flush=True)\n"
    )
    with followed(tmp_path / "book.duckdb", script) as (other, follower):
        seen = []
        for line in ("A", "B", "close", "C", "close", "D"):
            other.stdin.write(f"{line}\n")
            other.stdin.flush()
            assert other.stdout.readline().strip() == "done"
            # What was recorded before a look is seen by it, with no time in between.
            follower.update()
            seen += [line] if line != "close" else []
            assert [step.name for step in follower.steps] == seen
            assert {step.status for step in follower.steps} == {"succeeded"}
        other.stdin.close()


def test_what_waits_tells_until_when(book, run):
    follower = Follower(book._opened, run.id)
    thread = threading.Thread(target=lambda: run.wait_for_scan(timeout="5 minutes"))
    thread.start()
    deadline = time.monotonic() + 10
    row = {}
    while row.get("expires_at") is None and time.monotonic() < deadline:
        time.sleep(0.01)
        follower.update()
        seen = follower.snapshot()
        row = dict(zip(seen["fields"], seen["rows"][0], strict=True)) if seen["rows"] else {}
    assert row["status"] == "running"
    assert row["expires_at"] - row["started_at"] == pytest.approx(300e6, abs=5e6)
    book.deliver_scan(run.id, {"ok": True})
    thread.join()


class Wire:
    """Stands for the page: keeps what a widget sends."""

    def __init__(self, widget, monkeypatch):
        self.messages, self.times = [], []
        monkeypatch.setattr(widget, "send", self._take)
        self._widget = widget

    def _take(self, _content, buffers):
        self.times.append(time.monotonic())
        self.messages.append(json.loads(buffers[0]))

    def ask(self, **request):
        """Send a request and return its answer."""
        before = len(self.messages)
        self._widget._answer(self._widget, {"id": 1, **request}, [])
        # The widget's own thread sends, too.
        kind = "snapshot" if request["type"] == "snapshot" else "reply"
        return next(message for message in self.messages[before:] if message["type"] == kind)

    def wait_for(self, name):
        """Wait until a message holds this step as succeeded."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for message in list(self.messages):
                for row in message.get("rows", []):
                    if row[1] == name and row[5] == "succeeded":
                        return message
            time.sleep(0.01)
        raise AssertionError(f"{name} was not sent")


@pytest.fixture
def widget(book, run):
    """The timeline of the run."""
    timeline = run.timeline()
    yield timeline
    timeline.close()


def test_ten_thousand_steps_are_few_messages_and_none_is_lost(run, widget, monkeypatch):
    wire = Wire(widget, monkeypatch)
    start = time.monotonic()
    threads = [
        threading.Thread(target=lambda t=t: [run.do(f"{t} {n}", int) for n in range(500)])
        for t in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.do("last", lambda: None)
    wire.wait_for("last")
    seconds = time.monotonic() - start
    assert len(wire.messages) <= seconds * 10 + 3
    rows = {}
    for message in wire.messages:
        rows |= {row[0]: row[5] for row in message["rows"]}
    assert len(rows) == 2001
    assert set(rows.values()) == {"succeeded"}


def test_a_fold_under_way_keeps_no_row_back(run, widget, monkeypatch):
    wire = Wire(widget, monkeypatch)
    with run.book._opened.records.store.connected:  # as while this process writes to its tables
        run.do("A", lambda: 1)
        wire.wait_for("A")


def test_rows_are_sent_at_once_after_a_pause_and_ten_times_a_second_at_most(
    run, widget, monkeypatch
):
    run.do("first", lambda: 1)
    wire = Wire(widget, monkeypatch)
    for n in range(40):
        run.do(f"S{n}", lambda: time.sleep(0.02))
    wire.wait_for("S39")
    gaps = [after - before for before, after in itertools.pairwise(wire.times)]
    assert min(gaps) > 0.09


def test_long_texts_are_searched_in_the_record(book, run, widget, monkeypatch):
    monkeypatch.setattr(ledger, "VALUE_BUDGET", 20_000)
    other = book.run("loop", new=True)
    other.do("In memory", lambda: "x" * 9_000 + "Needle")
    other.do("In the tables", lambda: "x" * 30_000 + "needle")
    other.do("Nothing", lambda: "x" * 9_000)

    def fails():
        raise ValueError("y" * 9_000 + "needle")

    with pytest.raises(ValueError, match="needle"):
        other.do("Error", fails)
    wire = Wire(other.timeline(), monkeypatch)
    assert wire.ask(type="search", query=" NEEDLE ")["value"] == [1, 2, 4]
    assert wire.ask(type="search", query="no such thing")["value"] == []


def test_more_rows_of_a_table_are_read_from_the_record(run, widget, monkeypatch):
    frame = pd.DataFrame({"n": range(120), "text": [f"row {n}" for n in range(120)]})
    wire = Wire(widget, monkeypatch)
    run.do("Frame", lambda: frame)
    run.do("Series", lambda: frame["n"])
    run.do("Arrow", lambda: pa.Table.from_pandas(frame))
    run.do("Number", lambda: 1)
    wire.wait_for("Number")
    for seq, width in ((1, 2), (2, 1), (3, 2)):
        rows = wire.ask(type="rows", seq=seq, start=100)["value"]
        assert rows == [[n, f"row {n}"][:width] for n in range(100, 120)]
    assert len(wire.ask(type="rows", seq=1, start=5)["value"]) == 50
    assert "no table" in wire.ask(type="rows", seq=4, start=0)["error"]


def test_more_rows_of_a_table_come_with_what_pandas_calls_them(run, widget, monkeypatch):
    frame = pd.DataFrame({"n": range(120)}, index=[f"p-{n}" for n in range(120)])
    places = pd.MultiIndex.from_product([["Rome", "Oslo"], range(60)], names=["city", "day"])
    wire = Wire(widget, monkeypatch)
    run.do("Frame", lambda: frame)
    run.do("Series", lambda: frame["n"].set_axis(places))
    wire.wait_for("Series")
    rows = wire.ask(type="rows", seq=1, start=118)["value"]
    assert rows == {"index": [["p-118"], ["p-119"]], "rows": [[118], [119]]}
    rows = wire.ask(type="rows", seq=2, start=118)["value"]
    assert rows == {"index": [["Oslo", 58], ["Oslo", 59]], "rows": [[118], [119]]}


def test_an_act_is_answered_in_words_for_the_page(run, widget, monkeypatch):
    wire = Wire(widget, monkeypatch)
    run.do("Load", lambda: 1)
    wire.wait_for("Load")
    said = wire.ask(type="redo", name="Load")["value"]
    assert said == "'Load' will be executed again in the next pass."
    assert wire.ask(type="rewind", name="Load")["value"].startswith("1 step will be executed")


def test_one_run_has_one_widget(run, widget):
    assert run.timeline() is widget


def test_the_state_of_the_widget_is_the_current_snapshot(run, widget):
    run.do("A", lambda: 1)
    widget.refresh()
    assert names(json.loads(widget.get_state()["snapshot"])) == ["A"]


def test_long_values_are_sent_when_they_are_asked_for(run, widget, monkeypatch):
    run.do("Long", lambda: "x" * 50_000)
    wire = Wire(widget, monkeypatch)
    sent = wire.ask(type="snapshot")
    assert len(json.dumps(sent)) < 10_000
    answer = wire.ask(type="body", seq=1, field="return")
    assert json.loads(answer["value"]) == "x" * 50_000


def test_redo_from_the_page_sets_the_step_to_pending(run, widget, monkeypatch):
    run.do("A", lambda: 1)
    answer = Wire(widget, monkeypatch).ask(type="redo", name="A")
    assert answer["ok"]
    assert "executed again" in answer["value"]
    assert run._opened.look().steps["A"].status == "pending"


def test_a_request_that_cannot_be_met_is_answered_in_words(widget, monkeypatch):
    wire = Wire(widget, monkeypatch)
    assert "no step" in wire.ask(type="redo", name="Nothing")["error"]
    assert "does not know" in wire.ask(type="dance")["error"]
    assert wire.ask(type="body")["ok"] is False


def test_a_delivery_from_the_page_ends_the_wait(run, widget, monkeypatch):
    got = []
    thread = threading.Thread(target=lambda: got.append(run.wait_for_scan(timeout="1 minute")))
    thread.start()
    while "Wait for scan" not in run._opened.look().steps:
        time.sleep(0.01)
    wire = Wire(widget, monkeypatch)
    assert wire.ask(type="deliver", name="Wait for scan", payload='{"a": 1}')["ok"]
    thread.join(10)
    assert got == [{"a": 1}]


def test_a_run_as_mime_bundle_without_a_kernel(run):
    run.do("A", lambda: {"region": "EU"})
    data = run._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html"}
    assert "region" in data["text/html"]
    assert set(run._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert set(run._repr_mimebundle_(exclude={"text/plain"})) == {"text/html"}


def test_a_stable_bundle_is_the_same_for_two_runs(book, monkeypatch):
    monkeypatch.setenv("STEPBOOK_STABLE_REPR", "1")
    bundles = []
    for _ in range(2):
        run = book.run("loop", new=True)
        run.do("A", lambda: 1)
        with pytest.raises(ZeroDivisionError):
            run.do("B", lambda: 1 // 0)
        bundles.append(run._repr_mimebundle_())
    assert bundles[0] == bundles[1]


def test_to_html_writes_one_page(run, tmp_path):
    run.do("A", lambda: {"region": "EU"})
    page = run.to_html(tmp_path / "run.html").read_text(encoding="utf-8")
    assert "region" in page
    assert "default-src 'none'" in page


def test_importing_stepbook_loads_no_widget():
    code = (
        "import sys, stepbook, stepbook.timeline\n"
        "print([m for m in ('IPython', 'anywidget', 'ipywidgets', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


ENDS_WHILE_LOOKING = """
import sys, threading
import duckdb
from stepbook.timeline.pulse import PULSE

looks = threading.Event()

class Thing:
    def beat(self):
        looks.set()
        duckdb.connect(sys.argv[1]).close()
        return 0.0

PULSE.watch(Thing())
looks.wait()
"""


def test_a_process_that_ends_while_a_timeline_looks_into_the_tables_ends_well(child, tmp_path):
    """DuckDB aborts a process whose thread Python ends within it."""
    for turn in range(3):
        code, _, said = child(ENDS_WHILE_LOOKING, tmp_path / f"{turn}.duckdb").end()
        assert (code, said) == (0, "")


def test_the_pulse_ends_with_the_last_timeline_and_survives_a_fault():
    pulse, beats = Pulse(), []

    class Thing:
        def __init__(self, answers):
            self.answers = iter(answers)

        def beat(self):
            beats.append(self)
            answer = next(self.answers)
            if answer == "fault":
                raise RuntimeError(answer)
            return answer

    pulse.watch(Thing(["fault"]))
    pulse.watch(Thing([0.001, 0.001, None]))
    thread = pulse._thread
    if thread is not None:
        thread.join(5)
        assert not thread.is_alive()
    assert len(beats) == 4


def test_rows_tell_how_long_the_step_took_last_time(book):
    with book.run("loop", key="1") as first:
        first.do("A", lambda: time.sleep(0.05))
    second = book.run("loop", key="2")
    second.do("A", lambda: 1)
    book.runs()  # folds
    follower = Follower(book._opened, second.id)
    follower.recall()
    row = dict(zip(wire_format.FIELDS, follower.snapshot()["rows"][0], strict=True))
    assert row["usual"] == pytest.approx(first._opened.look().steps["A"].seconds)


def test_a_book_displays_as_the_list_of_its_runs(book):
    for n in range(3):
        with book.run("loop <b>", input={"n": n}) as run:
            run.do("A", lambda: 1)
    unfinished = book.run("other")
    with pytest.raises(ZeroDivisionError):
        unfinished.do("B", lambda: 1 // 0)
    data = book._repr_mimebundle_()
    assert data["text/plain"] == repr(book)
    html = data["text/html"]
    assert html.index("other") < html.index("loop &lt;b&gt;")
    assert html.count("<tr") == 5
    assert "0 of 1, 1 failed" in html
    assert "the last runs took" in html


def test_a_book_that_is_not_there_still_has_a_text(tmp_path):
    assert set(stepbook.connect(tmp_path / "none.duckdb")._repr_mimebundle_()) == {"text/plain"}


def test_attempts_and_the_previous_run_are_told(book, monkeypatch):
    with book.run("loop", key="1") as first:
        first.do("A", lambda: "before")
    run = book.run("loop", key="2")
    with pytest.raises(ZeroDivisionError):
        run.do("A", lambda: 1 // 0)
    run.close()
    run = book.run("loop", key="2")
    run.do("A", lambda: "now")
    wire = Wire(run.timeline(), monkeypatch)
    attempts = wire.ask(type="attempts", name="A")["value"]
    assert [(a["attempt"], a["status"]) for a in attempts] == [(1, "failed"), (2, "succeeded")]
    assert "ZeroDivisionError" in attempts[0]["error"]
    (previous,) = wire.ask(type="previous", name="A")["value"]
    assert (previous["run"], previous["return"]) == (first.id, '"before"')
    assert wire.ask(type="previous", name="B")["value"] == []


def test_what_an_output_has_seen_first_is_sent_all_the_same(run, widget, monkeypatch):
    wire = Wire(widget, monkeypatch)
    run.do("A", lambda: 1)
    widget.refresh()
    wire.wait_for("A")

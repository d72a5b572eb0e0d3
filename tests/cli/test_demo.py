"""``stepbook demo``: the main job on real input, in real processes."""

import os
import re
import subprocess
import sys
import time

import duckdb
import pytest

STEPS = ["Load profile", "Generate health scan", "Wait for scan", "Send notification"]


def play(folder, **variables):
    """Play the demo in *folder*; return what it printed and how long it took."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STEPBOOK_")}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "stepbook", "demo"],  # as the installed script
        cwd=folder,
        env={**environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, time.monotonic() - began


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The demo, played twice in one folder; both outputs, the seconds, and the book's tables."""
    folder = tmp_path_factory.mktemp("demo")
    # A module of the folder's own must not be taken for one of the standard library.
    (folder / "csv.py").write_text("raise RuntimeError('not this one')")
    # Nobody answers here: a proxy for the internet is no way to a service on this machine.
    proxy = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    both = [play(folder, **proxy), play(folder, **proxy)]
    with duckdb.connect(folder / "stepbook-demo.duckdb", read_only=True) as tables:
        yield both, tables, folder


def test_the_first_pass_fails_at_the_last_step_and_the_second_succeeds(played):
    first, second = re.split("^Second pass", played[0][0][0], flags=re.MULTILINE)
    assert "✗ health-review  failed · 3 of 4 steps" in first
    assert [first.count(f"✓ {name}") for name in STEPS] == [1, 1, 1, 0]
    assert "HTTPError: HTTP Error 503: Service Unavailable" in first
    assert "✓ health-review  succeeded · 4 steps" in second
    assert [second.count(f"✓ {name}") for name in STEPS] == [1, 1, 1, 1]


def test_the_second_pass_executes_one_body_and_replays_three_steps(played):
    executed = re.findall(r"^  bodies executed  (.*)$", played[0][0][0], re.MULTILINE)
    replayed = re.findall(r"^  replayed +(.*)$", played[0][0][0], re.MULTILINE)
    assert executed == [
        "Load profile, Generate health scan, Send notification",
        "Send notification",
    ]
    assert replayed == ["none", "3 steps, from the record"]


def test_the_tables_say_the_same_as_the_screen(played):
    tables = played[1]
    attempts = tables.sql("SELECT name, max(attempt) FROM attempts GROUP BY name").fetchall()
    assert dict(attempts) == dict(zip(STEPS, [1, 1, 1, 2], strict=True))
    passes = tables.sql(
        "SELECT executed, replayed FROM passes ORDER BY started_at LIMIT 2"
    ).fetchall()
    assert passes == [(4, 0), (1, 3)]
    (profile,) = tables.sql(
        "SELECT DISTINCT \"return\"->>'$.bmi' FROM steps WHERE name = 'Load profile'"
    ).fetchall()
    assert profile == ("30.3",)


def test_it_says_where_the_book_is_and_what_to_try_next(played):
    text = played[0][0][0]
    assert "  ./stepbook-demo.duckdb\n" in text
    assert "export STEPBOOK_BOOK=./stepbook-demo.duckdb" in text


def test_played_again_in_the_same_folder_it_is_a_new_run(played):
    both, tables, _ = played
    assert tables.sql("SELECT status FROM runs").fetchall() == [("succeeded",)] * 2
    shown = [set(re.findall(r"run_\w+", text)) for text, _ in both]
    assert [len(ids) for ids in shown] == [1, 1]
    assert shown[0] != shown[1]


def test_it_ends_within_twenty_seconds(played):
    assert min(took for _, took in played[0]) < 20  # the quicker one: tests share the machine


def test_what_it_suggests_works(played):
    text, folder = played[0][0][0], played[2]
    commands = re.findall(r"^  stepbook (.*?)  ", text.partition("Try next")[2], re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        subprocess.run(
            [sys.executable, "-m", "stepbook", *command.split()],
            env={**os.environ, "STEPBOOK_BOOK": str(folder / "stepbook-demo.duckdb")},
            check=True,
            capture_output=True,
        )


def test_a_folder_that_cannot_hold_the_book_is_one_clear_line(tmp_path):
    (tmp_path / "stepbook-demo.duckdb").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "stepbook", "demo"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("stepbook: ")
    assert "is a folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1

"""Why an attempt was executed, and whether a replay found what was recorded, are in the record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pandas as pd
import pytest

import stepbook

FACTOR = 2


def scaled(number):
    return number * FACTOR


def judged(run: stepbook.Run, name: str) -> tuple[object, object, bool]:
    row = run.steps().set_index("name").loc[name]
    return row["verdict"], row["changes"], bool(row["stale"])


def reasons(run: stepbook.Run) -> list[object]:
    found = run.attempts()
    return [None if pd.isna(reason) else reason for reason in found["reason"]]


def test_a_stale_step_says_what_has_changed_until_the_edit_is_undone(path, monkeypatch, capsys):
    book = stepbook.connect(path)
    for factor, expected in ((2, ("same", None, False)), (3, ("stale", "FACTOR: 2 -> 3", True))):
        monkeypatch.setattr(sys.modules[__name__], "FACTOR", factor)
        run = book.run("loop")
        assert run.do("Scale", scaled, 5) == 10
        assert judged(run, "Scale") == expected
        run.close()
    book.close()
    assert "FACTOR: 2 -> 3" in capsys.readouterr().err
    book = stepbook.connect(path)  # from the tables
    run = book.get("loop")
    assert judged(run, "Scale") == expected
    assert "stale" in repr(run)
    assert "changed since: FACTOR: 2 -> 3" in repr(run)
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 2)
    run = book.run("loop")
    run.do("Scale", scaled, 5)
    assert judged(run, "Scale") == ("same", None, False)
    assert "changed since" not in repr(run)
    book.close()


def test_what_cannot_be_compared_is_marked_as_unknown(book):
    run = book.run("loop")
    run.do("Read", list, iter("ab"))
    run.close()
    run = book.run("loop")
    run.do("Read", list, iter("ab"))
    verdict, changes, stale = judged(run, "Read")
    assert (verdict, stale) == ("unknown", False)
    assert "cannot be compared" in changes
    assert "not known to be the same" in repr(run)


def test_a_wait_has_no_verdict(book):
    run = book.run("loop")
    run.sleep("Wait", 0)
    assert judged(run, "Wait")[0] is None


def test_each_attempt_says_why_it_was_executed(book):
    run = book.run("loop")
    with pytest.raises(ZeroDivisionError):
        run.do("Step", lambda: 1 / 0)
    run.close()
    run = book.run("loop")
    run.do("Step", lambda: 1)
    run.redo("Step")
    run.close()
    run = book.run("loop")
    run.do("Step", lambda: 1)
    run.close()
    run = book.run("loop")
    run.options(on_change="rerun").do("Step", lambda: 2)
    assert reasons(run) == [None, "its attempt 1 failed", "it was asked for", "its code changed"]
    run.options(store=False).do("Unstored", lambda: 3)
    run.close()
    run = book.run("loop")
    run.options(store=False).do("Unstored", lambda: 3)
    assert reasons(run)[-2:] == [None, "nothing of it is stored"]


def test_a_retry_follows_the_failure_before_it(book):
    run, calls = book.run("loop"), []

    def third_time():
        calls.append(1)
        return 1 / (len(calls) > 2)

    run.options(retries=3).do("Step", third_time)
    assert reasons(run) == [None, "its attempt 1 failed", "its attempt 2 failed"]


def test_what_a_killed_process_has_left_was_interrupted(path):
    code = (
        "import os, signal, stepbook\n"
        f"run = stepbook.connect({str(path)!r}).run('loop')\n"
        "run.do('Step', lambda: os.kill(os.getpid(), signal.SIGKILL))"
    )
    killed = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False)
    assert killed.returncode == -signal.SIGKILL
    book = stepbook.connect(path)
    run = book.run("loop")
    run.do("Step", lambda: 1)
    assert reasons(run) == [None, "its attempt 1 was interrupted"]
    book.close()


def test_what_a_pass_has_done_is_a_query(book):
    for factor in (1, 2):
        run = book.run("loop")
        run.do("Load", lambda: 1)
        run.options(on_change="rerun").do("Scale", lambda n: n, factor)
        run.close()
    found = book.sql(
        """SELECT p.started_at, p.replayed, a.name, a.attempt, a.reason
           FROM attempts AS a ASOF JOIN passes AS p
           ON a.run_id = p.run_id AND a.started_at >= p.started_at
           ORDER BY a.started_at"""
    )
    assert list(zip(found["replayed"], found["name"], found["attempt"], strict=True)) == [
        (0, "Load", 1),
        (0, "Scale", 1),
        (1, "Scale", 2),
    ]
    assert found["reason"].iloc[-1] == "argument n: 1 -> 2"

"""Values that memory has no room for: read from the tables, each of its own attempt."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import stepbook
from stepbook.record import ledger
from stepbook.timeline.follow import Follower

#: Characters of values that a run keeps here: two of the values below.
BUDGET = 2_500


@pytest.fixture(autouse=True)
def _little_memory(monkeypatch):
    monkeypatch.setattr(ledger, "VALUE_BUDGET", BUDGET)


def never():
    raise AssertionError("executed")


def long(text):
    return f"{text} " + "x" * 1_000


def names(count=6):
    return [f"step {number}" for number in range(count)]


def recorded(book, count=6):
    run = book.run("loop")
    for name in names(count):
        assert run.do(name, lambda name=name: long(name)) == long(name)
    return run


def replayed(book, count=6):
    run = book.run("loop")
    return [run.do(name, never) for name in names(count)]


def in_memory(run):
    return [step.name for step in run._opened.look().steps.values() if step.value is not None]


def table(run):
    return dict(run.steps()[["name", "return"]].values.tolist())


ELSEWHERE = """
    import sys, stepbook
    book = stepbook.connect(sys.argv[1])
    run = book.run("loop")
    for name in sys.argv[3:]:
        getattr(run, sys.argv[2])(name)
    run = book.run("loop")
    for name in sys.argv[3:]:
        run.do(name, lambda: "new " + name)
    book.close()
    print("done", flush=True)
"""


def test_values_beyond_the_budget_are_left_on_disk_and_replay(book):
    run = recorded(book)
    assert in_memory(run) == names(2)
    assert replayed(book) == [long(name) for name in names()]
    run.close()
    assert in_memory(book.run("loop")) == []  # too many in all: none is read at once
    assert replayed(book) == [long(name) for name in names()]


def test_a_value_that_is_replaced_gives_its_room_back(book):
    run = book.run("loop")
    for number in range(10):
        run.redo("a") if number else None
        run = book.run("loop")
        run.do("a", lambda number=number: long(number))
        run._opened.state().apply(
            run._opened.state().steps["a"]
        )  # taking it in again changes nothing
    assert in_memory(run) == ["a"]
    run.do("b", lambda: long("b"))
    assert in_memory(run) == ["a", "b"]


@pytest.mark.parametrize("change", ["redo", "rewind"])
def test_after_redo_or_rewind_in_this_process_the_new_value_replays(book, change):
    recorded(book).close()
    replayed(book)  # all are read ahead now
    run = book.run("loop")
    getattr(run, change)("step 4")
    run = book.run("loop")
    assert run.do("step 4", lambda: long("new")) == long("new")
    run = book.run("loop")
    assert run.do("step 4", never) == long("new")
    assert run.do("step 3", never) == long("step 3")
    assert table(run)["step 4"] == long("new")


def test_after_resolve_the_value_given_by_hand_replays(book):
    recorded(book).close()
    replayed(book)
    book.run("loop").resolve("step 4", long("by hand"))
    assert book.run("loop").do("step 4", never) == long("by hand")


@pytest.mark.parametrize("change", ["redo", "rewind"])
def test_what_another_process_has_executed_again_replays_with_its_new_value(
    book, path, child, change
):
    recorded(book).close()
    replayed(book)
    book.run("loop").close()
    other = child(ELSEWHERE, path, change, "step 5", "step 3")
    other.expect("done")
    run = book.run("loop")
    assert run.do("step 5", never) == "new step 5"
    if change == "redo":
        assert run.do("step 4", never) == long("step 4")
    assert run.do("step 3", never) == "new step 3"
    assert table(run)["step 5"] == "new step 5"


def test_a_run_that_is_only_looked_at_shows_the_file_of_the_latest_attempt(book, path, child):
    run = book.run("loop")
    for name in names():
        run.do(name, lambda name=name: name.encode() * 20_000)
    run.do("long", lambda: long("") * 3)
    run.close()
    assert in_memory(run) == []
    assert run.artifact("step 2").read_bytes() == b"step 2" * 20_000
    child(
        """
        import sys, stepbook
        run = stepbook.connect(sys.argv[1]).run("loop")
        run.redo("step 2")
        run = run.book.run("loop")
        run.do("step 2", lambda: b"new" * 40_000)
        run.close()
        print("done", flush=True)
        """,
        path,
    ).expect("done")
    assert run.artifact("step 2").read_bytes() == b"new" * 40_000


def test_a_row_seen_before_keeps_the_value_of_its_own_attempt(book):
    run = recorded(book)
    run.close()
    before = book.run("loop")._opened.state().steps["step 4"]
    run.redo("step 4")
    run = book.run("loop")
    run.do("step 4", lambda: long("new"))
    assert json.loads(run._opened.value(before)) == long("step 4")
    assert json.loads(run._opened.value(run._opened.state().steps["step 4"])) == long("new")


def test_a_value_that_the_tables_have_lost_is_an_error_that_says_what_to_do(book, path):
    import duckdb

    recorded(book).close()
    with duckdb.connect(path) as connection:
        for name in ("steps", "attempts"):
            connection.execute(f"""UPDATE {name} SET "return" = NULL WHERE name = 'step 1'""")
    run = book.run("loop")
    with pytest.raises(stepbook.StepError, match=r"'step 1'.*attempt 1.*run\.redo"):
        run.do("step 1", never)
    assert run.do("step 2", never) == long("step 2")


def test_threads_that_replay_different_steps_at_once_get_each_its_own(book, monkeypatch):
    monkeypatch.setattr("stepbook.engine.books._AHEAD", 1_500)
    recorded(book, 24).close()
    for _ in range(3):
        run = book.run("loop")
        barrier = threading.Barrier(4)

        def replay(part, run=run, barrier=barrier):
            barrier.wait(20)
            return [run.do(name, never) for name in part]

        parts = [names(24)[start::4] for start in range(4)]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(replay, parts))
        assert found == [[long(name) for name in part] for part in parts]


def test_the_output_of_a_run_is_read_whatever_its_steps_take(book):
    run = recorded(book)
    run.finish(long("output") * 4)
    assert run.output == long("output") * 4
    assert book.get("loop").output == long("output") * 4


# ---- shown --------------------------------------------------------------------------------------


def page_rows(path):
    text = path.read_text("utf-8")
    data = text.split('timeline+json">', 1)[1].split("</script>", 1)[0]
    message = json.loads(data)
    return {row[1]: dict(zip(message["fields"], row, strict=True)) for row in message["rows"]}


@pytest.mark.parametrize("opened", [True, False])
def test_a_page_holds_the_values_that_were_left_on_disk(book, tmp_path, opened):
    run = recorded(book)
    if not opened:
        run.close()
    rows = page_rows(run.to_html(tmp_path / "run.html"))
    assert [json.loads(rows[name]["return"]) for name in names()] == [long(n) for n in names()]
    assert {row["return_size"] for row in rows.values()} == {None}


def test_a_page_of_more_than_memory_may_hold_shows_the_beginnings(book, tmp_path):
    run = book.run("loop")
    for name in names(8):
        run.do(name, lambda name=name: name + "y" * 5_000)
    run.close()
    rows = page_rows(run.to_html(tmp_path / "run.html"))
    for name in names(8):
        assert rows[name]["return"].startswith(f'"{name}')
        assert rows[name]["return_size"] == len(name) + 5_002


def test_the_timeline_says_that_there_is_more_and_gives_it(book):
    run = recorded(book)
    follower = Follower(book._opened, run.id)
    message = follower.snapshot()
    rows = [dict(zip(message["fields"], row, strict=True)) for row in message["rows"]]
    assert [row["return_size"] is None for row in rows] == [True, True, *[False] * 4]
    assert all(row["return"] is not None for row in rows)
    assert json.loads(follower.body(5, "return")) == long("step 4")
    run.redo("step 4")
    book.run("loop").do("step 4", lambda: long("new"))
    # The row that the page has seen is of the first attempt.
    assert json.loads(follower.body(5, "return")) == long("step 4")
    follower.update()
    assert json.loads(follower.body(5, "return")) == long("new")


def test_text_and_html_say_that_a_value_is_in_the_book(book):
    run = recorded(book)
    data = run._repr_mimebundle_()
    for text in (data["text/plain"], data["text/html"]):
        assert text.count("its value is in the book") == 4
        assert "step 0 xxx" in text


# ---- rows that are written again ----------------------------------------------------------------


def test_the_end_of_a_session_that_a_crash_kept_back_has_its_results(book, path, child):
    other = child(
        """
        import os, signal, sys, stepbook
        from stepbook.model.rows import ScanRow
        book = stepbook.connect(sys.argv[1])
        run = book.run("loop")
        for n in range(4):
            run.do(str(n), lambda: "y" * 1000)
        book.deliver_scan(run.id, "z" * 1000)
        ledger = run._opened.owned()
        commit = ledger.commit
        def first_only(*rows):
            commit(rows[0])
            if rows[0].status == "succeeded":
                print("ended", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            commit(*rows[1:])
        ledger.commit = first_only
        run.wait_for_scan(timeout=30)
        """,
        path,
    )
    other.expect("ended")
    other.end()
    run = book.run("loop")
    assert run.wait_for_scan() == "z" * 1000
    run.close()
    found = book.sql("SELECT status, results FROM scans").values.tolist()
    assert found == [["completed", json.dumps("z" * 1000)]]

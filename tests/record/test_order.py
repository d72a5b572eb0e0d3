"""Which run is the last one: the one that was created last, whatever the clock says."""

from __future__ import annotations

import json
import signal
import tarfile
import time
from pathlib import Path

import duckdb
import pytest

import stepbook

FIXTURE = Path(__file__).parents[1] / "fixtures" / "book-schema-1.tar.xz"
YEAR_NS = 365 * 24 * 3600 * 10**9


@pytest.fixture
def clock(monkeypatch):
    """Sets the clock of this process forward or back, by years."""
    real = time.time_ns

    def set_by(years):
        monkeypatch.setattr(time, "time_ns", lambda: real() + int(years * YEAR_NS))

    return set_by


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("years", [1, 0.0001])
def test_a_run_of_a_clock_that_was_ahead_is_not_opened_for_ever(path, clock, folded, years):
    book = stepbook.connect(path)
    clock(years)
    ahead = book.run("x")
    if folded:
        ahead.finish()
    clock(0)
    now = book.run("x", new=True)
    assert now.id != ahead.id
    now.do("a", lambda: 1)
    now.close()
    assert book.run("x") is now
    assert book.get("x") is now
    assert list(book.runs()["id"]) == [now.id, ahead.id]
    assert book.unfinished()["id"].iloc[0] == now.id
    third = book.run("x", new=True)
    assert book.run("x") is third
    assert third.created_at < ahead.created_at
    book.close()
    assert list(stepbook.connect(path).runs()["id"]) == [third.id, now.id, ahead.id]


def test_another_process_goes_on_with_the_last_one(path, child, clock):
    book = stepbook.connect(path)
    clock(1)
    book.run("x").finish()
    clock(0)
    now = book.run("x", new=True)
    now.do("a", lambda: 1)
    book.close()
    other = child("import sys, stepbook; print(stepbook.connect(sys.argv[1]).run('x').id)", path)
    assert other.expect("run_") == now.id.removeprefix("run_")
    other.end()


def test_also_when_its_process_was_killed_before_it_was_folded(path, child):
    script = """
        import sys, time, stepbook
        real = time.time_ns
        time.time_ns = lambda: real() + int(sys.argv[2]) * 10**9
        run = stepbook.connect(sys.argv[1]).run("x", new=True)
        run.do("a", lambda: 1)
        print("id", run.id, flush=True)
        input()
    """
    killed = []
    for ahead in (40_000_000, 0, -40_000_000):
        other = child(script, path, ahead)
        killed.append(other.expect("id"))
        other.signal(signal.SIGKILL)
        other.end()
    assert stepbook.connect(path).run("x").id == killed[-1]


def test_unfinished_and_keys_follow_the_order_too(book, clock):
    clock(1)
    book.run("x", key="k").finish()
    clock(0)
    fresh = book.run("x", key="k", reopen="unfinished")
    fresh.do("a", lambda: 1)
    fresh.close()
    assert book.run("x", key="k", reopen="unfinished") is fresh
    assert book.run("x", key="k") is fresh
    assert book.run("x", key="other") is not fresh


def test_a_run_from_the_future_is_older_than_any_age(book, clock):
    clock(1)
    ahead = book.run("x")
    ahead.finish()
    clock(0)
    assert book.run("x", max_age="12 hours") is not ahead


def test_prune_keeps_the_runs_that_were_created_last(book, clock):
    ids = []
    for years in (1, 0, -1):
        clock(years)
        run = book.run("x", new=True)
        run.finish()
        ids.append(run.id)
    clock(1.1)
    assert list(book.prune(keep=1)["id"]) == ids[:2]
    assert list(book.runs()["id"]) == ids[2:]


def test_while_the_clock_goes_forward_nothing_is_added_to_a_run(book):
    for _ in range(3):
        book.run("x", new=True).finish()
    for text in book.sql("SELECT environment::VARCHAR AS e FROM runs")["e"]:
        assert set(json.loads(text)) == {"python", "platform", "host", "notebook", "versions"}


def test_the_place_stands_beside_what_the_run_was_made_with(book, clock):
    clock(1)
    book.run("x").finish()
    clock(0)
    book.run("x", new=True).finish()
    rows = book.sql("SELECT environment::VARCHAR AS e, epoch_us(created_at) AS t FROM runs")
    made = [(json.loads(text), at) for text, at in zip(rows["e"], rows["t"], strict=True)]
    [(later, _)] = [one for one in made if "order" in one[0]]
    [(_, ahead)] = [one for one in made if "order" not in one[0]]
    assert later["order"] == ahead + 1
    assert later["python"]


def test_a_book_of_an_early_version_gets_runs_behind_its_own(tmp_path, clock):
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    book = stepbook.connect(tmp_path / "stepbook.duckdb")
    before = book.runs()
    loop = before["loop"][0]
    latest = book.get(loop).id
    assert latest == before[before["loop"] == loop]["id"].iloc[0]
    clock(-20)
    fresh = book.run(loop, key="quite another")
    fresh.do("a", lambda: 1)
    fresh.close()
    assert book.get(loop).id == fresh.id
    assert book.runs()["id"].iloc[0] == fresh.id
    assert len(book.runs()) == len(before) + 1
    book.close()


@pytest.mark.parametrize("order", ["9" * 18, "9" * 19, "-5", '"7"', "1.5", "null", "[1]"])
def test_whatever_a_stranger_writes_as_a_place_runs_can_be_opened(path, order):
    book = stepbook.connect(path)
    book.run("x").finish()
    book.close()
    with duckdb.connect(path) as connection:
        text = '{"notebook": "a \\"order\\": 77}", "order": ' + order + "}"
        connection.execute("UPDATE runs SET environment = $1", [text])
    run = stepbook.connect(path).run("x", new=True)
    run.do("a", lambda: 1)
    run.finish()
    assert stepbook.connect(path).runs().shape[0] == 2


def test_a_book_in_memory_keeps_the_order_as_well(clock):
    book = stepbook.connect(":memory:")
    clock(1)
    book.run("x").finish()
    clock(0)
    now = book.run("x", new=True)
    now.finish()
    assert book.get("x") is now

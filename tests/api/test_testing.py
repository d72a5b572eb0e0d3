"""``stepbook.testing``: what people's own tests use."""

from __future__ import annotations

import itertools
import os

import pytest

import stepbook
import stepbook.testing


def review(patient):
    with stepbook.run("review", input={"patient": patient}) as run:
        profile = run.do("Load profile", lambda: {"id": patient})
        run.do("Notify", lambda: f"told about {profile['id']}")


def test_a_temporary_book_is_the_default_one_for_its_block_only(monkeypatch, tmp_path):
    monkeypatch.setenv("STEPBOOK_BOOK", str(tmp_path / "mine.duckdb"))
    with stepbook.testing.temporary_book() as book:
        review("p-17")
        assert list(book.steps()["name"]) == ["Load profile", "Notify"]
        path = book.path
    assert not path.exists()
    assert os.environ["STEPBOOK_BOOK"] == str(tmp_path / "mine.duckdb")
    assert not (tmp_path / "mine.duckdb").exists()


def test_a_temporary_book_leaves_no_variable_behind_where_there_was_none():
    with stepbook.testing.temporary_book(), pytest.raises(ZeroDivisionError):
        assert "STEPBOOK_BOOK" in os.environ
        raise ZeroDivisionError
    assert "STEPBOOK_BOOK" not in os.environ


def test_code_that_replays_passes():
    with stepbook.testing.temporary_book() as book:
        stepbook.testing.assert_replays(lambda: review("p-17"), book)


def test_a_name_that_changes_from_pass_to_pass_is_found():
    numbers = itertools.count()

    def walk():
        run = stepbook.run("loop")
        run.do("Always", lambda: 1)
        run.do(f"Load {next(numbers)}", lambda: 2)
        run.close()

    with (
        stepbook.testing.temporary_book(),
        pytest.raises(AssertionError, match=r"executed again in the second pass: 'Load 1'"),
    ):
        stepbook.testing.assert_replays(walk)


def test_a_run_that_is_new_each_time_is_found():
    def walk():
        stepbook.run("loop", new=True).do("Load", lambda: 1)

    with stepbook.testing.temporary_book(), pytest.raises(AssertionError, match=r"'Load'"):
        stepbook.testing.assert_replays(walk)

"""What is recorded of a failure: all that helps, whatever the exception is like."""

from __future__ import annotations

import json

import pytest

import stepbook
from stepbook import RecordedError


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPBOOK_STABLE_REPR", "1")
    return stepbook.connect(tmp_path / "b.duckdb").run("x")


def recorded(run, body):
    """Return the record of the failure of a step with this body."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - any kind is the subject
        run.do("a", body)
    record = run.steps()["error"].iloc[0]
    json.dumps(record)
    return record, caught.value


def test_type_message_notes_and_source_lines_are_recorded(run):
    def body():
        try:
            raise KeyError("inner")  # noqa: TRY301 - its line is looked for
        except KeyError as error:
            problem = ValueError("outer")
            problem.add_note("a note")
            raise problem from error

    record, _ = recorded(run, body)
    assert record["type"] == "ValueError"
    assert record["message"] == "outer"
    assert record["notes"] == ["a note"]
    assert record["cause"]["type"] == "KeyError"
    for part in ('raise KeyError("inner")', "raise problem from error", "direct cause"):
        assert part in record["stack"]


def test_the_members_of_a_group_are_recorded(run):
    def body():
        inner = ExceptionGroup("inner", [KeyError("k")])
        raise ExceptionGroup("several", [ValueError("one"), inner])

    record, _ = recorded(run, body)
    assert record["type"] == "ExceptionGroup"
    assert [member["type"] for member in record["members"]] == ["ValueError", "ExceptionGroup"]
    assert record["members"][1]["members"][0]["message"] == "'k'"
    assert "several (2 sub-exceptions)" in record["stack"]


def test_a_handled_group_is_raised_again_as_a_group(tmp_path):
    book = stepbook.connect(tmp_path / "b.duckdb")

    def body():
        raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])

    def walk():
        run = book.run("x")
        caught = []
        try:
            run.do("a", body)
        except* ValueError as group:
            caught += group.exceptions
        except* KeyError as group:
            caught += group.exceptions
        run.do("b", lambda: 1)
        return [repr(error) for error in caught], run.attempts().shape[0]

    assert walk() == walk() == (["ValueError('one')", "KeyError('two')"], 2)


def test_a_very_long_text_is_shortened_with_a_mark(run):
    record, error = recorded(run, lambda: (_ for _ in ()).throw(ValueError("x" * 5_000_000)))
    assert len(str(error)) == 5_000_000
    assert len(json.dumps(record)) < 1_000_000
    assert "characters left out" in record["message"]
    assert "characters left out" in record["stack"]
    assert record["message"].startswith("xxx")


def test_an_exception_without_a_text_is_recorded(run):
    class SilentError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def body():
        raise SilentError

    record, error = recorded(run, body)
    assert type(error) is SilentError
    assert "SilentError" in record["type"]
    assert "cannot be had: RuntimeError" in record["message"]


def test_notes_that_are_no_texts_are_recorded(run):
    class Strange:
        def __str__(self):
            raise RuntimeError

    def body():
        error = ValueError("x")
        error.__notes__ = ["fine", 5, Strange()]
        raise error

    record, _ = recorded(run, body)
    assert record["message"] == "x"
    assert "cannot be had" in record["notes"][0]


def test_a_lone_surrogate_in_a_message_is_recorded(run):
    record, _ = recorded(run, lambda: (_ for _ in ()).throw(ValueError("a\ud800b")))
    assert record["message"] == "a\\ud800b"


def test_causes_that_go_in_circles_are_recorded(run):
    def body():
        first, second = ValueError("first"), ValueError("second")
        first.__cause__, second.__cause__ = second, first
        raise first

    record, _ = recorded(run, body)
    assert record["cause"]["message"] == "second"
    assert record["cause"]["cause"] is None


def test_a_class_of_ones_own_that_is_gone_comes_back_as_recorded_error(tmp_path):
    book = stepbook.connect(tmp_path / "b.duckdb")

    class OwnError(Exception):
        pass

    def walk():
        run = book.run("x")
        try:
            run.do("a", lambda: (_ for _ in ()).throw(OwnError("mine")))
        except (OwnError, RecordedError) as error:
            caught = error
        run.do("b", lambda: 1)
        return caught

    assert type(walk()) is OwnError
    again = walk()
    assert type(again) is RecordedError
    assert again.message == "mine"
    assert "OwnError" in again.type

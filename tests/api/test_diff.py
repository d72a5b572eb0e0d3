"""Two runs, and two attempts of a step, side by side: what differs is told, and nothing else."""

from __future__ import annotations

import contextlib
import json

import duckdb
import numpy as np
import pandas as pd
import pytest
from overwritten import overwrite, record, shapes

import stepbook

HOSTILE = "a\x1b[31mred\x1b[2J\x9b1m\r\nforged\u202etxt\u200b\x00"
COLUMNS = [
    "name", "status", "status_other", "attempt", "attempt_other", "fingerprint",
    "seconds", "seconds_other", "change", "differs",
]  # fmt: skip


def recorded(book, *steps, **how):
    """A finished run whose steps have returned these values."""
    with book.run("review", **how) as run:
        for name, value in steps:
            run.do(name, lambda value=value: value)
    return run


def differs(book, before, after):
    """What is told of one step that has returned these values in two runs."""
    one, other = (
        recorded(book, ("Step", value), key=key, new=True)
        for key, value in (("1", before), ("2", after))
    )
    return one.diff(other)["differs"].item()


def retried(book, *values, loop="retried"):
    """A run with a step that was executed once for each value; exceptions are raised."""
    for value in values:
        run = book.run(loop)
        if run.steps().shape[0]:
            run.redo("Train")

        def body(value=value):
            if isinstance(value, Exception):
                raise value
            return value

        with contextlib.suppress(ValueError):
            run.do("Train", body)
        run.close()
    return book.get(loop)


def rows(frame, what):
    return frame[frame["what"] == what].drop(columns="what").to_numpy().tolist()


# ---- two runs -------------------------------------------------------------------------------


def test_two_runs_have_a_row_for_each_step_of_either(book):
    one = recorded(book, ("Load", 1), ("Old", 2), ("Train", {"auc": 0.5}), key="1")
    other = recorded(book, ("New", 3), ("Train", {"auc": 0.7}), ("Load", 1), key="2")
    frame = one.diff(other)
    assert list(frame.columns) == COLUMNS
    assert list(frame["name"]) == ["Load", "Old", "Train", "New"]
    assert list(frame["differs"]) == [
        "", "only in this run", "return.auc: 0.5 -> 0.7 (+0.2)", "only in the other run",
    ]  # fmt: skip
    assert frame["status"].isna().tolist() == [False, False, False, True]
    assert frame["status_other"].isna().tolist() == [False, True, False, False]
    assert frame["attempt"].tolist()[:3] == [1, 1, 1]
    load = frame.iloc[0]
    assert load["change"] == pytest.approx(load["seconds_other"] - load["seconds"], abs=1e-6)
    assert np.isnan(frame["change"][1])


def test_columns_of_two_runs_can_be_computed_with(book):
    frame = recorded(book, key="1").diff(recorded(book, key="2"))
    assert list(frame.columns) == COLUMNS
    assert frame.empty
    one = recorded(book, ("Load", 1), key="3")
    frame = one.diff(recorded(book, key="4"))
    assert frame[["seconds", "seconds_other", "change"]].dtypes.eq("float64").all()
    assert frame[["attempt", "attempt_other"]].dtypes.eq("Int64").all()
    assert (frame["status"] != frame["status_other"]).all()


DIFFERENT = [
    (1, 1, ""),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ""),
    (0.5, 0.7, "return: 0.5 -> 0.7 (+0.2)"),
    (3, 2, "return: 3 -> 2 (-1)"),
    (0, 25_000, "return: 0 -> 25000 (+25,000)"),
    (np.float64(0.91), np.float64(0.93), "return: 0.91 -> 0.93 (+0.02)"),
    (0.8731249837461, 0.8812340912834, "return: 0.873125 -> 0.881234 (+0.00810911)"),
    (0.1 + 0.2, 0.3, "return: 0.30000000000000004 -> 0.3 (-5.55112e-17)"),
    (1, 1.0, "return: 1 -> 1.0"),
    (True, 2, "return: true -> 2"),
    (float("nan"), 1.0, "return: NaN -> 1.0"),
    (10**400, 1.5, None),
    ("a", "b", "return: 'a' -> 'b'"),
    ("a\nb", "a\nc", "return, line 2: 'b' -> 'c'"),
    ([1, 2], [1, 2, 3], "return: 2 items -> 3 (+1)"),
    ({"rows": [{"score": 0.5}]}, {"rows": [{"score": 0.7}]},
     "return.rows[0].score: 0.5 -> 0.7 (+0.2)"),
    ({"a b": 1}, {"a b": 2}, "return['a b']: 1 -> 2 (+1)"),
    ({"old": [1, 2]}, {"new": "x"}, "return.old: gone ([1, 2]); return.new: new ('x')"),
    ({1, 2}, {2, 3}, "return: without 1; return: with 3"),
    ((1, 2), [1, 2], "return: [1, 2] (tuple) -> [1, 2] (list)"),
    (list(range(15)), list(range(1, 16)),
     "return[0]: 0 -> 1 (+1); return[1]: 1 -> 2 (+1); return[2]: 2 -> 3 (+1); and 12 more"),
    (list(range(500)), list(range(1, 501)),
     "return[0]: 0 -> 1 (+1); return[1]: 1 -> 2 (+1); return[2]: 2 -> 3 (+1); and 497 more"),
    (np.array([1.0, 2.0]), np.array([1.0, 2.5]),
     "return, [1]: 2.0 -> 2.5 (+0.5), 1 of 2 values"),
    (np.array([0.1 + 0.2]), np.array([0.3]),
     "return, [0]: 0.30000000000000004 -> 0.3 (-5.55112e-17, only rounding)"),
    (pd.DataFrame({"Age": [22.0, 3.0]}), pd.DataFrame({"Age": [22.0, 4.0]}),
     'column "Age", row 1: 3.0 -> 4.0 (+1), 1 of 2 values'),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), 'column "a": gone; column "b": new'),
]  # fmt: skip


@pytest.fixture(scope="module")
def memory():
    return stepbook.connect(":memory:")


@pytest.mark.parametrize(("before", "after", "words"), DIFFERENT)
def test_numbers_and_places_of_a_return_are_told(memory, before, after, words):
    told = differs(memory, before, after)
    assert told.startswith("return: 1000") if words is None else told == words


def big(shift=0, rows=50_000, kind="float64"):
    return pd.DataFrame({"x": np.arange(rows, dtype=kind) + shift, "y": np.arange(rows)})


IN_FILES = [
    (big(), big(1), "return: DataFrame 50,000 × 2, other content"),  # noqa: RUF001 - times
    (big(), big(rows=50_001), "return: 50,000 rows -> 50,001 (+1)"),
    (big(), big(kind="float32"), 'column "x", dtype: float64 -> float32'),
    (big(), big().rename(columns={"y": "z"}), 'column "y": gone; column "z": new'),
    (np.arange(50_000), np.arange(50_001), "return, shape: (50000,) -> (50001,)"),
    (np.arange(50_000), np.arange(50_000.0), "return, dtype: int64 -> float64"),
    (np.arange(50_000), np.arange(50_000) + 1, "return: ndarray 50,000, other content"),
    (["word"] * 20_000, ["word"] * 20_001, "return: 20,000 items -> 20,001 (+1)"),
    (pd.Series(np.arange(50_000)), pd.Series(np.arange(50_000.0)),
     "return, dtype: int64 -> float64"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "words"), IN_FILES)
def test_what_is_in_files_is_told_apart_without_reading_it(
    book, path, monkeypatch, before, after, words
):
    one = recorded(book, ("Step", before), ("Same", after), key="1")
    other = recorded(book, ("Step", after), ("Same", after), key="2")
    for file in (path.parent / f"{path.name}.d" / "artifacts").glob("*.*"):
        file.unlink()
    assert list(one.diff(other)["differs"]) == [words, ""]


def test_what_changed_in_code_and_arguments_is_told_by_name(book):
    def scale(rows, factor):
        return [row * factor for row in rows]

    with book.run("review", key="1") as one:
        one.do("Scale", scale, [1, 2], 2)
        one.do("Fit", lambda: 1)
        one.do("Same", scale, [1], 1)
    with book.run("review", key="2") as other:
        other.do("Scale", scale, [1, 2], factor=3)
        other.do("Fit", lambda: 2)
        other.do("Same", scale, [1], 1)
    frame = one.diff(other)
    assert list(frame["fingerprint"]) == ["argument factor: 2 -> 3", "its code changed", ""]


def test_how_a_step_ended_is_told_with_its_error(book):
    one = recorded(book, ("Fit", 1), key="1")
    with pytest.raises(ValueError, match="no rows"), book.run("review", key="2") as other:
        other.do("Fit", lambda: (_ for _ in ()).throw(ValueError("no rows")))
    row = one.diff(other).iloc[0]
    assert (row["status"], row["status_other"]) == ("succeeded", "failed")
    assert row["differs"] == "succeeded -> failed with ValueError: no rows"
    row = other.diff(one).iloc[0]
    assert row["differs"] == "failed with ValueError: no rows -> succeeded"


def test_a_run_that_goes_on_is_compared_as_far_as_it_is(book):
    done = recorded(book, ("Load", 1), ("Train", 2), key="1")
    run = book.run("review", key="2")
    run.do("Load", lambda: 1)
    frame = run.do("Train", lambda: run.diff(done))
    assert list(frame["differs"]) == ["", "running -> succeeded"]
    run.redo("Train")
    assert list(run.diff(done)["differs"]) == ["", "pending -> succeeded"]
    run.close()


def test_a_run_has_no_difference_from_itself(book):
    run = recorded(book, ("Load", big()), ("Train", {"auc": {0.5}}), key="1")
    frame = run.diff(run)
    assert (frame[["differs", "fingerprint"]] == "").all(axis=None)
    assert (frame["change"] == 0).all()


def test_the_other_run_is_named_by_its_id_its_beginning_or_its_loop(book):
    one = recorded(book, ("Step", 1), key="1")
    with book.run("other") as other:
        other.do("Step", lambda: 2)
    for name in (other.id, other.id[:10], other.id.removeprefix("run_"), "other"):
        assert one.diff(name)["differs"].item() == "return: 1 -> 2 (+1)"


@pytest.mark.parametrize(
    ("other", "error", "words"),
    [
        ("nobody", stepbook.RunNotFoundError, "no run and no loop 'nobody'"),
        (3, stepbook.InvalidInputError, "a run's id is a text"),
        (None, stepbook.InvalidInputError, "a run's id is a text"),
    ],
)
def test_a_run_that_cannot_be_found_is_an_error(book, other, error, words):
    run = recorded(book, ("Step", 1), key="1")
    with pytest.raises(error, match=words):
        run.diff(other)


def test_a_run_that_was_deleted_is_an_error(book):
    one, other = (recorded(book, ("Step", 1), key=key) for key in "12")
    book.delete(other.id)
    for left, right in ((one, other), (other, one)):
        with pytest.raises(stepbook.RunNotFoundError, match=rf"{other.id}.*deleted"):
            left.diff(right)


def test_a_run_of_another_book_and_of_a_book_in_memory_can_be_compared(book, tmp_path):
    one = recorded(book, ("Step", 1), key="1")
    for place in (tmp_path / "second.duckdb", ":memory:"):
        second = stepbook.connect(place)
        other = recorded(second, ("Step", 3), key="1")
        assert one.diff(other)["differs"].item() == "return: 1 -> 3 (+2)"
        assert other.diff(one)["differs"].item() == "return: 3 -> 1 (-2)"
        second.close()


def test_what_cannot_be_compared_is_told(book):
    with book.run("review", key="1") as one, book.run("review", key="2") as other:
        for run, number in ((one, 1), (other, 2)):
            run.options(store=False).do("Connect", object)
            run.do("Fit", lambda number=number: np.random.RandomState(number).bytes)
    frame = one.diff(other)
    assert list(frame["differs"]) == [
        "not compared: return (not stored, as asked; executed again in each pass)",
        "not compared: return (it is a sealed pickle, and equal objects can have different ones)",
    ]


def test_values_beyond_what_is_compared_at_once_are_told(book, monkeypatch):
    from stepbook.engine import differences

    monkeypatch.setattr(differences, "_BUDGET", 50)
    one = recorded(book, ("A", "a" * 30), ("B", "b" * 30), ("C", 1), key="1")
    other = recorded(book, ("A", "x" * 30), ("B", "y" * 30), ("C", 1), key="2")
    told = list(one.diff(other)["differs"])
    assert told[0].startswith("return: 'aaa")
    assert told[1:] == ["not compared: return (more than 64 MB of values differ)", ""]


# ---- two attempts ---------------------------------------------------------------------------


def test_two_attempts_are_told_row_by_row(book):
    run = retried(book, {"auc": 0.5, "n": 3}, {"auc": 0.7, "m": 4})
    frame = run.diff_attempts("Train", 1, 2)
    assert list(frame.columns) == ["what", "where", "first", "second", "change"]
    assert list(frame["what"]) == [
        "attempt", "status", "started_at", "seconds", "return", "return", "return", "fingerprint",
    ]  # fmt: skip
    assert rows(frame, "attempt") == [["", "1", "2", ""]]
    assert rows(frame, "status") == [["", "succeeded", "succeeded", ""]]
    assert rows(frame, "return") == [
        [".auc", "0.5", "0.7", "+0.2"],
        [".n", "3", "", "gone"],
        [".m", "", "4", "new"],
    ]
    attempts = run.attempts()
    told = frame[frame["what"] == "seconds"].iloc[0]
    assert [float(told["first"]), float(told["second"])] == pytest.approx(
        attempts["seconds"].tolist(), abs=1e-6
    )
    [[_, first, second, apart]] = rows(frame, "started_at")
    assert [first, second] == list(attempts["started_at"].dt.strftime("%Y-%m-%d %H:%M:%S"))
    assert apart.startswith("+")


def test_attempts_that_are_the_same_say_so(book):
    frame = retried(book, [1, 2], [1, 2]).diff_attempts("Train")
    assert rows(frame, "return") == [["", "[1, 2]", "[1, 2]", "same"]]


def test_without_numbers_the_last_two_attempts_that_were_executed_are_compared(book):
    run = retried(book, 1, 2, 4)
    assert rows(run.diff_attempts("Train"), "return") == [["", "2", "4", "+2"]]
    assert rows(run.diff_attempts("Train", 1), "return") == [["", "1", "4", "+3"]]
    assert rows(run.diff_attempts("Train", second=2), "attempt") == [["", "3", "2", ""]]
    assert rows(run.diff_attempts("Train", 3, 1), "return") == [["", "4", "1", "-3"]]
    run.redo("Train")  # the fourth is only to come
    assert rows(run.diff_attempts("Train"), "return") == [["", "2", "4", "+2"]]
    run.close()


def test_an_error_is_compared_beside_the_return(book):
    run = retried(book, ValueError("no rows"), ValueError("no columns"), 7)
    frame = run.diff_attempts("Train", 1, 2)
    assert rows(frame, "error") == [["", "ValueError: no rows", "ValueError: no columns", ""]]
    frame = run.diff_attempts("Train", 2, 3)
    assert rows(frame, "status") == [["", "failed", "succeeded", ""]]
    assert rows(frame, "error") == [["", "ValueError: no columns", "", "gone"]]
    assert rows(frame, "return") == [["", "", "7", ""]]


def test_many_differences_are_told_up_to_a_number(book):
    frame = retried(book, list(range(500)), list(range(1, 501))).diff_attempts("Train")
    told = rows(frame, "return")
    assert len(told) == 20
    assert rows(frame, "") == [["", "", "", "and 480 more"]]


def test_what_changed_in_code_is_told_of_attempts(book):
    def train(rate):
        return rate

    for rate in (0.1, 0.2):
        run = book.run("rates")  # a pass of its own
        run.do("Train", train, rate)
        run.redo("Train")
    frame = run.diff_attempts("Train")
    assert rows(frame, "fingerprint") == [["", "", "", "argument rate: 0.1 -> 0.2"]]
    assert rows(frame, "source") == []  # the fingerprint of a function does not hold its text
    run.close()


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (("Trian",), stepbook.StepNotFoundError, r"no step 'Trian'. Did you mean 'Train'\?"),
        (("Train", 3), stepbook.InvalidInputError, "'Train' has no attempt 3, only 1 and 2"),
        (("Train", 1, 0), stepbook.InvalidInputError, "'Train' has no attempt 0, only 1 and 2"),
        (("Train", "1"), stepbook.InvalidInputError, "no attempt '1', only 1 and 2"),
        (("Train", True), stepbook.InvalidInputError, "no attempt True, only 1 and 2"),
        (("Once",), stepbook.InvalidInputError, "'Once' has nothing to compare, only attempt 1"),
        (("Once", 1), stepbook.InvalidInputError, "'Once' has nothing to compare, only attempt 1"),
    ],
)
def test_an_attempt_that_does_not_exist_is_an_error(book, asked, error, words):
    run = retried(book, 1, 2)
    run.do("Once", int)
    with pytest.raises(error, match=words):
        run.diff_attempts(*asked)
    run.close()


def test_a_step_is_found_in_either_spelling(book):
    for value in (1, 2):
        run = book.run("spelled")
        run.do("Pr\u00e9parer", lambda value=value: value)
        run.redo("Pre\u0301parer")
    assert rows(run.diff_attempts("Pre\u0301parer"), "return") == [["", "1", "2", "+1"]]
    run.close()


# ---- books of strangers ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return record(tmp_path_factory.mktemp("original"))


def overwritten(original, folder, shape):
    """A book in which each column is overwritten, and each step has another attempt."""
    path = overwrite(original, folder, HOSTILE, shapes(HOSTILE)[shape], enums=True)
    with duckdb.connect(path) as connection:
        connection.execute(
            """INSERT INTO attempts SELECT * REPLACE (2 AS attempt, '{"a": 1}' AS "return")
               FROM attempts"""
        )
    return stepbook.connect(path)


@pytest.fixture(scope="module")
def beside(original, tmp_path_factory):
    """Runs to compare with: one as it was recorded, and one that is hostile in another way."""
    books = [
        stepbook.connect(original[0]),
        overwritten(original, tmp_path_factory.mktemp("beside"), "object"),
    ]
    yield [book.get(original[1]) for book in books]
    for book in books:
        book.close()


def harmless(frame):
    for column in frame.columns.drop("name", errors="ignore"):
        for text in frame[column]:
            assert not isinstance(text, str) or (text.isprintable() and len(text) < 1_500)


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("shape", shapes(HOSTILE))
def test_a_hostile_record_is_text_beside_any_other(original, beside, tmp_path, shape):
    book = overwritten(original, tmp_path, shape)
    bad = book.get(original[1])
    for other, rows in zip(beside, (10, 5), strict=True):  # the original has other names
        frame = bad.diff(other)
        assert len(frame) == rows
        harmless(frame)
    harmless(beside[1].diff(bad))
    for name in bad.steps()["name"]:
        harmless(bad.diff_attempts(name))
    book.close()


def test_texts_of_a_hostile_step_are_written_out_in_attempts(book):
    frame = retried(book, {HOSTILE: 1}, {HOSTILE: HOSTILE}).diff_attempts("Train")
    [[where, _, second, _]] = rows(frame, "return")
    for text in (where, second, repr(frame), frame._repr_html_()):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert json.dumps(where).isascii()

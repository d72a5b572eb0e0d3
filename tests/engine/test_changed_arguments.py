"""A body that changes its arguments: one warning says which, since a replay does not."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from collections import deque
from functools import partial

import numpy as np
import pandas as pd
import pytest

import stepbook
from stepbook import StepbookWarning


@pytest.fixture
def run(book):
    return book.run("x")


class Model:
    """Like those of scikit-learn."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha
        self._calls = 0

    def fit(self, X, y):  # noqa: N803
        self.coef_ = np.linalg.lstsq(X, y, rcond=None)[0]

    def predict(self, X):  # noqa: N803
        self._calls += 1
        return (X @ self.coef_).tolist()


class Node:
    def __init__(self):
        self.me = self
        self.rows = []


class Loud:
    """Must not be called, whatever is asked for."""

    def __init__(self):
        self.rows = [1]

    def __eq__(self, other):
        raise AssertionError("asked")

    def __hash__(self):
        raise AssertionError("asked")

    def __getattr__(self, name):
        raise AssertionError(name)


def frame(rows=5):
    return pd.DataFrame({"a": [1.0, None] * rows, "b": ["x", "y"] * rows, "c": range(2 * rows)})


def clean(df):
    df.dropna(inplace=True)  # noqa: PD002 - the subject


def set_cell(df):
    df.loc[1, "b"] = "z"


def add_column(df):
    df["d"] = 1


def rename(df):
    df.columns = ["x", "y", "z"]


def sort(df):
    df.sort_values("c", ascending=False, inplace=True)  # noqa: PD002


def categorical_cell(df):
    df.loc[0, "k"] = "v"


def scale(array):
    array *= 2


def set_one(array):
    array[3] = -1


def grow(many):
    many.append(1)


def nest(rows):
    rows[0]["tags"].append("new")


CHANGES = {
    "dropna in place": (clean, frame),
    "a cell of texts": (set_cell, frame),
    "a column more": (add_column, frame),
    "columns renamed": (rename, frame),
    "sorted": (sort, frame),
    "a category": (
        categorical_cell,
        lambda: pd.DataFrame({"k": pd.Categorical(["u", "v", "u"])}),
    ),
    "a series": (lambda s: s.update(pd.Series([9.0])), lambda: pd.Series([1.0, 2.0])),
    "a big frame": (clean, lambda: frame(100_000)),
    "an array": (scale, lambda: np.arange(10.0)),
    "an item of an array": (set_one, lambda: np.arange(10)),
    "a big array": (scale, lambda: np.arange(1_000_000.0)),
    "an array of objects": (set_one, lambda: np.array([object()] * 5)),
    "a list": (grow, list),
    "a long list": (grow, lambda: list(range(100_000))),
    "a dict": (lambda d: d.update(a=1), dict),
    "a set": (lambda s: s.add(1), set),
    "a deque": (grow, deque),
    "a bytearray": (lambda b: b.extend(b"x"), bytearray),
    "deep inside": (nest, lambda: [{"tags": []}]),
    "an iterator": (next, lambda: iter([1, 2])),
    "a generator": (next, lambda: (n for n in range(3))),
    "an object": (lambda node: node.rows.append(1), Node),
    "an attribute": (lambda model: setattr(model, "alpha", 2), Model),
}


def told(call):
    """What is warned of while *call* is called."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(one.message) for one in caught if one.category is StepbookWarning]


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_argument_is_named_once(run, kind):
    body, make = CHANGES[kind]
    value = make()

    def call():
        run.do("Change", lambda given: body(given) and None, value)

    [text] = told(call)
    assert "the step 'Change' has changed its argument given" in text
    assert "Have the body return it" in text


def quiet(given):
    return None


QUIET = {
    "nothing is done": (quiet, frame),
    "a sum": (lambda df: df["a"].sum(), frame),
    "an index that is built": (lambda df: df.loc[3, "a"], frame),
    "groups": (lambda df: df.groupby("b")["c"].sum().to_dict(), frame),
    "memory": (lambda df: int(df.memory_usage(deep=True).sum()), frame),
    "an array is read": (lambda a: float(a.mean()), lambda: np.arange(2_000_000.0)),
    "a view": (lambda a: float(a[::2].sum()), lambda: np.arange(100.0)[::3]),
    "not a number": (quiet, lambda: [float("nan"), np.nan]),
    "itself inside": (quiet, Node),
    "a lock": (lambda lock: lock.acquire() and None, threading.Lock),
    "a logger": (lambda log: log.setLevel(10), lambda: logging.getLogger("changed")),
    "a private count": (lambda model: setattr(model, "_calls", 7), Model),
    "what may not be called": (quiet, Loud),
    "very deep": (quiet, lambda: deep(5000)),
    "a generator of numbers": (lambda g: float(g.random()), lambda: np.random.default_rng(1)),
}


def deep(levels):
    found = []
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize("kind", QUIET)
def test_what_is_only_read_is_not_told_of(run, kind):
    body, make = QUIET[kind]
    value = make()
    assert told(lambda: run.do("Read", body, value)) == []


def test_what_is_returned_is_not_told_of(run):
    def cleaned(df):
        df.dropna(inplace=True)  # noqa: PD002
        return df

    assert told(lambda: run.do("a", cleaned, frame())) == []
    assert told(lambda: run.do("b", lambda df: (cleaned(df), 1), frame())) == []
    assert told(lambda: run.do("c", lambda df: {"df": cleaned(df)}, frame())) == []


def test_the_object_of_a_method_is_named(run):
    model, X = Model(), np.arange(12.0).reshape(6, 2)  # noqa: N806
    [text] = told(lambda: run.do("Fit", model.fit, X, X[:, 0]))
    assert "has changed the Model of which fit is a method" in text
    assert told(lambda: run.do("Predict", model.predict, X)) == []
    rows = []
    [text] = told(lambda: run.do("Append", rows.append, 1))
    assert "the list of which append is a method" in text


def test_several_arguments_are_named_in_one_warning(run):
    def merge(into, *, seen, other):
        into.append(1)
        seen.add(1)

    [text] = told(lambda: run.do("Merge", merge, [], seen=set(), other=[]))
    assert "its argument into (list) and its argument seen (set)" in text
    assert "other" not in text
    [text] = told(lambda: run.do("Part", partial(grow, [])))
    assert "its argument many (list)" in text


def test_a_loop_over_items_is_told_once(run):
    def call():
        for item in range(20):
            run.do(f"Grow {item}", grow, [])

    assert len(told(call)) == 1


def test_a_replay_tells_nothing(book):
    book.run("x").do("a", grow, [])
    assert told(lambda: book.run("x").do("a", grow, [])) == []


def test_a_coroutine_is_looked_at_as_well(run):
    async def body(rows):
        rows.append(1)

    async def main():
        await run.do("a", body, [])

    [text] = told(lambda: asyncio.run(main()))
    assert "its argument rows (list)" in text


def test_a_warning_made_an_error_leaves_the_step_succeeded(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error", StepbookWarning)
        with pytest.raises(StepbookWarning):
            run.do("a", grow, [])
    assert run.steps()["status"][0] == "succeeded"


def test_the_warning_points_to_the_line_of_the_caller(run):
    with pytest.warns(stepbook.StepbookWarning) as caught:
        run.do("a", grow, [])
    assert caught[0].filename == __file__

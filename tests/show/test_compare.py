"""Two values and two executions side by side: what differs, said in words."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stepbook.model.rows import CellRow, RunRow, StepRow
from stepbook.show.compare import Value, compare
from stepbook.show.verdicts import Side, judge
from stepbook.values.codec import Codec

CODEC = Codec(None)


def value(item: Any) -> Value:
    with CODEC.writing() as writer:
        return Value(json.loads(writer.encode(item)), CODEC)


def told(recorded: Any, now: Any) -> list[str]:
    found = compare(value(recorded), value(now))
    assert found.skipped == ()
    return [f"{one.where}: {one.text}".removeprefix(": ") for one in found.differences]


NAN = float("nan")
AGES = pd.DataFrame({"Age": [22.0, NAN, 3.0], "name": ["a", None, "c"]})
SAME = [
    None, 1, 1.5, NAN, "text", [1, [NAN]], {"a": {1, 2, "x"}}, (1, 2), {1: "a", (2, 3): "b"},
    b"bytes" * 1000, "long " * 50_000, dt.date(2020, 1, 1), np.arange(5), np.array([NAN, 1.0]),
    np.array(["a", "b"]), AGES, AGES["Age"], AGES.astype({"name": "category"}),
    pd.Timestamp("2020-01-01"), pd.NaT, Path("a/b"), np.float32(1.5),
]  # fmt: skip


@pytest.mark.parametrize("item", SAME, ids=lambda item: type(item).__name__)
def test_equal_values_have_no_difference(item: Any) -> None:
    assert told(item, item) == []


DIFFERENT = [
    (1, 2, ["recorded: 1, now: 2"]),
    (1, 1.0, ["recorded: 1, now: 1.0"]),
    (True, 1, ["recorded: true, now: 1"]),
    (NAN, 1.0, ["recorded: NaN, now: 1.0"]),
    ("a", "b", ["recorded: 'a', now: 'b'"]),
    ("long " * 20 + "a", "long " * 20 + "b",  # a line longer than what is shown
     ["character 101, recorded: '…long long long long a', now: '…long long long long b'"]),
    ("x\n" + "long " * 20 + "a", "x\n" + "long " * 20 + "b",
     ["line 2, character 101, recorded: '…long long long long a', now: '…long long long long b'"]),
    ("one\ntwo", "one\n2", ["line 2, recorded: 'two', now: '2'"]),
    ("one\ntwo", "one\ntwo\nthree", ["recorded: 2 lines, now: 3"]),
    ([1, 2, 3], [1, 5], ["recorded: 3 items, now: 2", "[1]: recorded: 2, now: 5"]),
    ({"a": 1, "b": 2}, {"b": 3, "c": 1}, [
        "['a']: in the record, but missing now", "['b']: recorded: 2, now: 3",
        "['c']: new, not in the record",
    ]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    ({1: "a", 2: "b"}, {2: "b", 1: "c"}, ["[1]: recorded: 'a', now: 'c'"]),
    ({"rows": [{"n": 1}]}, {"rows": [{"n": 2}]}, ["['rows'][0]['n']: recorded: 1, now: 2"]),
    ({1, 2}, {2, 3}, ["only in the record: 1", "only now: 3"]),
    ((1, 2), [1, 2], ["recorded: [1, 2] (tuple), now: [1, 2] (list)"]),
    (b"a" * 2000, b"a" * 1500 + b"b" * 500, ["2,000 bytes, different from byte 1,500 on"]),
    (np.arange(3), np.array([0, 1, 5]), ["1 of 3 values differs; [2], recorded: 2, now: 5"]),
    (np.arange(3), np.arange(4), ["shape, recorded: (3,), now: (4,)"]),
    (np.arange(2), np.arange(2.0), ["dtype, recorded: int64, now: float64"]),
    (np.array([0.1 + 0.2]), np.array([0.3]), [
        "[0], recorded: 0.30000000000000004, now: 0.3 (only rounding)"
    ]),
    (np.float64(1.5), np.float64(2.5), ["recorded: 1.5, now: 2.5"]),
    (pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02"), [
        "recorded: 2020-01-01 00:00:00, now: 2020-01-02 00:00:00"
    ]),
    (AGES, AGES.assign(Age=[24.0, NAN, 3.0]), [
        ', column "Age": 1 of 3 values differs; row 0, recorded: 22.0, now: 24.0'
    ]),
    (AGES, AGES.assign(Age=[22.0, 1.0, NAN]), [
        ', column "Age": 2 of 3 values differ; row 1, recorded: nan, now: 1.0'
    ]),
    (AGES, AGES.assign(name=["a", "b", "c"]), [
        ', column "name": 1 of 3 values differs; row 1, recorded: nan, now: \'b\''
    ]),
    (AGES, AGES.rename(columns={"Age": "age"}), [
        ', column "Age": in the record, but missing now', ', column "age": new, not in the record'
    ]),
    (AGES, AGES[["name", "Age"]], ["the same columns in another order"]),
    (AGES, AGES.head(2), ["recorded: 3 rows, now: 2"]),
    (AGES, AGES.set_axis([0, 1, 7]), [
        ", index: 1 of 3 values differs; row 2, recorded: 2, now: 7"
    ]),
    (AGES, AGES.astype({"Age": "float32"}), [
        ', column "Age": dtype, recorded: float64, now: float32'
    ]),
    (pd.Series([1, 2], name="a"), pd.Series([1, 3], name="b"), [
        ".name: recorded: 'a', now: 'b'", "1 of 2 values differs; row 1, recorded: 2, now: 3"
    ]),
    (pd.DataFrame([[1, 2]], columns=["x", "x"]), pd.DataFrame([[1, 3]], columns=["x", "x"]), [
        ', column "x": row 0, recorded: 2, now: 3'
    ]),
    (pd.DataFrame({"a": [[1], [2]]}), pd.DataFrame({"a": [[1], [3]]}), [
        ', column "a": 1 of 2 values differs; row 1, recorded: [2], now: [3]'
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("recorded", "now", "words"), DIFFERENT)
def test_a_difference_is_told_with_its_place(recorded: Any, now: Any, words: list[str]) -> None:
    assert told(recorded, now) == words


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_tables_of_other_libraries_are_compared_by_column(library: str) -> None:
    module = pytest.importorskip(library)
    make = module.DataFrame if library == "polars" else module.table
    assert told(make({"a": [1, 2]}), make({"a": [1, 3]})) == [
        ', column "a": 1 of 2 values differs; row 1, recorded: 2, now: 3'
    ]


def test_what_is_shared_is_compared_once_and_a_circle_ends() -> None:
    def circle(last: int) -> Value:
        node = json.loads(
            '[{"$stepbook":"shared.list","id":1},'
            '{"$stepbook":"shared","id":2,"value":{"$stepbook":"object","class":"__main__:P",'
            f'"fields":{{"x":{last}}}}}}},{{"$stepbook":"again","id":1}},'
            '{"$stepbook":"again","id":2}]'
        )
        return Value(node, CODEC)

    assert compare(circle(1), circle(1)).differences == ()
    found = compare(circle(1), circle(2)).differences
    assert [f"{one.where}: {one.text}" for one in found] == ["[0].x: recorded: 1, now: 2"]


def test_what_cannot_be_stored_is_not_compared() -> None:
    node = {"$stepbook": "missing", "number": 0, "type": "_io.TextIOWrapper", "why": "a file"}
    found = compare(Value({"f": node, "x": 1}, CODEC), Value({"f": node, "x": 1}, CODEC))
    assert (found.differences, [tuple(one) for one in found.skipped]) == ((), [("['f']", "a file")])


# ---- executions -----------------------------------------------------------------------------

RUN = RunRow("run_000000000000", "review", "null", "running", "user", "null", 0)


def execution(*cells: tuple[str, dict[str, Any]], **how: Any) -> Side:
    steps = [
        StepRow(seq, name, "cell", how.get("status", "succeeded"), 1, value="null")
        for seq, (name, _) in enumerate(cells)
    ]
    rows = {name: CellRow(name, 1, "", json.dumps(entries)) for name, entries in cells}
    return Side(RUN, steps, rows, CODEC, {})


def kinds(recorded: Side, now: Side) -> dict[str, str]:
    return {verdict.name: verdict.kind for verdict in judge(recorded, now).verdicts}


def test_a_variable_stored_later_only_on_one_side_is_compared_with_what_stood_before() -> None:
    once = execution(("A", {"x": {"value": 1}}), ("B", {}))
    twice = execution(("A", {"x": {"value": 1}}), ("B", {"x": {"value": 1}}))
    assert kinds(twice, once) == kinds(once, twice) == {"A": "same", "B": "same"}
    changed = execution(("A", {"x": {"value": 1}}), ("B", {"x": {"value": 2}}))
    assert kinds(changed, once) == {"A": "same", "B": "differs"}


def test_names_that_share_an_object_compare_with_the_same_ones_stored_alone() -> None:
    shared = {"$stepbook": "shared", "id": 1, "value": {"a": 1}}
    group = {"p": shared, "q": {"$stepbook": "again", "id": 1}}
    together = execution(("A", {"$groups": [{"names": ["p", "q"], "value": group}]}))
    alone = execution(("A", {"p": {"value": {"a": 1}}, "q": {"value": {"a": 1}}}))
    assert kinds(together, alone) == {"A": "same"}


@pytest.mark.parametrize(
    "variables",
    ["no json", '{"x": 1}', '{"$groups": [{"names": ["x"]}]}', '{"x": {"value": {"$stepbook": 3}}}',
     '{"x": {"value": {"$stepbook": "set"}}}', "[]"],
)  # fmt: skip
def test_a_record_that_is_not_as_stepbook_writes_it_is_named_and_stops_nothing(
    variables: str,
) -> None:
    cells = {"A": CellRow("A", 1, "", variables)}
    hostile = execution(("A", {}), ("B", {}))._replace(cells=cells)
    fine = execution(("A", {"x": {"value": {"$stepbook": "set", "items": [1]}}}), ("B", {}))
    found = judge(hostile, fine).verdicts
    assert found[0].kind in ("skipped", "differs")
    assert found[1].kind == "same"


def test_what_only_one_side_has_stands_behind_the_step_before_it() -> None:
    recorded = execution(("A", {}), ("B", {}), ("C", {}))
    now = execution(("X", {}), ("B", {}), ("Y", {}), ("Z", {}), ("A", {}), ("W", {}))
    assert kinds(recorded, now) == {
        "X": "new", "A": "same", "W": "new", "B": "same", "Y": "new", "Z": "new", "C": "gone",
    }  # fmt: skip
    assert list(kinds(recorded, now)) == ["X", "A", "W", "B", "Y", "Z", "C"]


def test_an_input_that_is_no_json_is_named_and_stops_nothing() -> None:
    fine = execution(("A", {}))
    hostile = fine._replace(run=RUN._replace(input="no json"))
    step, run = judge(hostile, fine).verdicts
    assert (step.kind, run.differences) == ("same", [])
    assert str(run.skipped[0]).startswith("input of the run: its record is damaged")


def test_differences_beyond_those_that_are_told_are_counted() -> None:
    found = compare(value(list(range(300))), value(list(range(1, 301))))
    assert (len(found.differences), found.more) == (100, 200)

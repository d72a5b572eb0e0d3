"""The text of a row is what the general encoder makes of its columns, byte for byte."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepbook.model.compact import compact
from stepbook.model.row_text import row_text
from stepbook.model.rows import (
    ROW_TYPES,
    SUCCEEDED,
    LogRow,
    StepRow,
    now_us,
    row_from_json,
    row_to_json,
)

TEXT = st.text(st.characters(exclude_categories=()))
NUMBERS = {int: st.integers(), float: st.floats() | st.integers(), bool: st.booleans()}


def column(hint: Any) -> st.SearchStrategy:
    kinds = getattr(hint, "__args__", (hint,))
    values = [NUMBERS[kind] for kind in NUMBERS if kind in kinds] or [TEXT]
    return st.one_of(values + [st.none()] * (type(None) in kinds))


STEPS = st.builds(StepRow, **{name: column(hint) for name, hint in get_type_hints(StepRow).items()})


@given(STEPS)
def test_a_steps_text_is_the_general_encoders(row):
    assert row_text(row) == compact(allow_nan=True)(row_to_json(row))


@given(STEPS.filter(lambda row: row.seconds == row.seconds))
def test_a_step_comes_back_from_its_text(row):
    assert row_from_json("step", json.loads(row_text(row))) == row


@pytest.mark.parametrize("field", StepRow._fields)
def test_no_column_of_a_step_is_left_out(field):
    row = StepRow(*([None] * len(StepRow._fields)))._replace(
        seq=1, name="a", kind="do", status="running", attempt=1, stale=False, handled=False
    )
    hint = get_type_hints(StepRow)[field]
    kinds = getattr(hint, "__args__", (hint,))
    value = next((v for k, v in ((bool, True), (int, 7), (float, 0.5)) if k in kinds), "x")
    row = row._replace(**{field: value})
    assert json.loads(row_text(row))["return" if field == "value" else field] == value


def test_other_rows_are_written_by_the_general_encoder():
    row = LogRow("info", "said", 5, "Load", '{"a": 1}')
    assert json.loads(row_text(row)) == row_to_json(row)
    assert ROW_TYPES[type(row)] == "log"


@given(STEPS, st.floats(0, 1e9), st.sampled_from([None, "no-store"]))
def test_the_end_of_an_attempt_changes_nothing_else_of_it(row, seconds, policy):
    before = now_us()
    end = row.ended(SUCCEEDED, seconds, value="1", policy=policy)
    changed = {"status": SUCCEEDED, "completed_at": end.completed_at, "seconds": seconds}
    verdict = None if row.fingerprint is None else "same"
    told = {"value": "1", "error": None, "policy": policy, "verdict": verdict}
    assert end == row._replace(**changed, **told)
    assert end.completed_at >= max(before, (row.started_at or 0) + int(seconds * 1e6))

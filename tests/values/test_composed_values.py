"""Values that libraries make of other values come back: masked arrays, offsets, Arrow's, files."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import stepbook
from stepbook.errors import ArtifactError
from stepbook.values.codec import Codec


@pytest.fixture
def again(tmp_path):
    """Record a value in one opening of a book and replay it in the next."""

    def replayed(value):
        for _ in range(2):
            book = stepbook.connect(tmp_path / "book.duckdb")
            run = book.run("composed")
            result = run.do("Make", lambda: value)
            book.close()
        return result

    return replayed


MASKED = [
    np.ma.array([1, 2, 3], mask=[True, False, False], fill_value=9),
    np.ma.array([1.5, 2.5]),
    np.ma.array([[1, 2]], mask=True, hard_mask=True),
    np.ma.array(["a", "b"], mask=[False, True]),
    np.ma.array(np.arange(100_000.0), mask=np.arange(100_000) % 2 == 0),
]


@pytest.mark.parametrize("value", MASKED, ids=range(len(MASKED)))
def test_masked_array_comes_back_with_what_is_under_its_mask(again, value):
    found = again(value)
    assert type(found) is np.ma.MaskedArray
    assert found.dtype == value.dtype
    assert found.data.tolist() == value.data.tolist()
    assert np.ma.getmaskarray(found).tolist() == np.ma.getmaskarray(value).tolist()
    assert (np.ma.getmask(found) is np.ma.nomask) == (np.ma.getmask(value) is np.ma.nomask)
    assert (found.fill_value, found.hardmask) == (value.fill_value, value.hardmask)


def test_record_array_comes_back_with_its_fields_as_attributes(again):
    value = np.rec.array([(1, "a"), (2, "b")], dtype=[("x", int), ("y", "U3")])
    found = again(value)
    assert type(found) is np.rec.recarray
    assert found.dtype == value.dtype
    assert found.y.tolist() == ["a", "b"]
    assert found[1].x == 2


OFFSETS = [
    pd.offsets.BDay(2),
    pd.offsets.MonthEnd(normalize=True),
    pd.DateOffset(months=3, hour=2),
    pd.offsets.Hour(5),
    pd.offsets.Week(weekday=0),
    pd.offsets.CustomBusinessDay(holidays=["2024-01-01"], weekmask="Mon Tue"),
    pd.offsets.BusinessHour(start="10:00"),
    pd.offsets.FY5253(weekday=1, startingMonth=2),
]


@pytest.mark.parametrize("value", OFFSETS, ids=lambda value: type(value).__name__)
def test_offset_of_pandas_moves_a_date_as_before(again, value):
    found = again(value)
    assert type(found) is type(value)
    assert found == value
    when = pd.Timestamp("2024-01-30 09:30")
    assert when + found == when + value


ARROW = [
    pa.array([1, None]),
    pa.array([], pa.string()),
    pa.array(["a", "b", "a"]).dictionary_encode(),
    pa.array([{"x": [1]}, None]),
    pa.array([1, 2, 3])[1:],
    pa.chunked_array([[1], [2, None]]),
    pa.chunked_array([], pa.int8()),
    pa.scalar("x"),
    pa.scalar(None),
    pa.record_batch({"a": [1, 2], "b": ["x", None]}),
    pa.record_batch({"a": pa.array([], pa.int64())}),
    pa.schema([("a", pa.int64())], metadata={"k": "v"}),
    pa.field("x", pa.list_(pa.string()), nullable=False),
    pa.timestamp("us", "Europe/Berlin"),
]


@pytest.mark.parametrize("value", ARROW, ids=range(len(ARROW)))
def test_value_of_arrow_comes_back_equal_and_of_its_type(again, value):
    found = again(value)
    assert type(found) is type(value)
    assert found.equals(value)
    if isinstance(value, pa.Schema):
        assert found.metadata == value.metadata


@pytest.mark.parametrize("mode", ["w", "a", "r", "rb"])
def test_closed_file_comes_back_closed_and_nothing_of_its_name_is_opened(again, tmp_path, mode):
    path = tmp_path / "notes.txt"
    path.write_text("kept")
    with path.open(mode) as file:
        pass
    before = path.read_text()
    path.unlink()
    found = again(file)
    assert type(found) is type(file)
    assert (found.closed, found.name, found.mode) == (True, str(path), mode)
    with pytest.raises(ValueError, match="closed"):
        found.read()
    assert before == ("" if mode == "w" else "kept")
    assert not path.exists()


def test_closed_stream_in_memory_comes_back_closed(again):
    text = io.StringIO("a")
    text.close()
    assert again(text).closed


@pytest.mark.parametrize(
    "node",
    [
        {"$stepbook": "pandas.offset", "class": "Timestamp", "arguments": {}},
        {"$stepbook": "pandas.offset", "class": "BDay", "arguments": {"n": "x"}},
        {"$stepbook": "numpy.masked", "data": 1, "mask": None, "fill": None, "hard": False},
        {"$stepbook": "numpy.masked", "data": 1},
        {"$stepbook": "pyarrow.Array", "table": [1]},
        {"$stepbook": "numpy.recarray", "array": {}},
        {"$stepbook": "file.closed", "name": "x", "writes": 1},
        {"$stepbook": "file.closed", "name": "x", "writes": False, "mode": "r", "encoding": "?"},
    ],
    ids=range(8),
)
def test_damaged_record_of_such_a_value_is_an_error(node):
    with pytest.raises(ArtifactError):
        Codec(None).decode(json.dumps(node))

"""Hypothesis strategies for every type that a step can return, nested in each other."""

from __future__ import annotations

import datetime as dt
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

texts = st.text(max_size=8)  # hypothesis makes no lone surrogates
integers = st.integers() | st.sampled_from([2**200, -(2**63), 2**64, -(10**700)])
floats = st.floats() | st.sampled_from([-0.0, 5e-324, 1.7976931348623157e308])
zones = st.sampled_from(
    [
        dt.UTC,
        dt.timezone(dt.timedelta(hours=5, minutes=30)),
        dt.timezone(dt.timedelta(seconds=-1), "odd"),
        ZoneInfo("Europe/Berlin"),
        ZoneInfo("Australia/Lord_Howe"),
    ]
)
folds = st.integers(0, 1)
datetimes = st.builds(
    lambda t, f: t.replace(fold=f), st.datetimes(timezones=st.none() | zones), folds
)

hashables = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    floats,
    texts,
    st.binary(max_size=8),
    st.complex_numbers(),
    datetimes,
    st.dates(),
    st.builds(lambda t, f: t.replace(fold=f), st.times(), folds),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    st.sampled_from([Path("a/b"), Path("/"), Path("c.txt")]),
    zones,
    st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3)),
)

units = st.sampled_from(["s", "ms", "us", "ns"])
scalars = hashables | st.one_of(
    st.sampled_from([pd.NaT, pd.NA]),
    st.builds(
        lambda n, u, z: pd.Timestamp(np.datetime64(n, u)).tz_localize(z),
        st.integers(-(2**52), 2**52),
        st.just("us") | st.just("ns"),
        st.none() | st.just("UTC"),
    ),
    st.builds(lambda n, u: pd.Timedelta(np.timedelta64(n, u)), st.integers(-(2**40), 2**40), units),
    st.builds(
        lambda n, f: pd.Period(ordinal=n, freq=f), st.integers(0, 900), st.sampled_from("MDQ")
    ),
    st.binary(max_size=2000).map(bytearray),
    hnp.from_dtype(np.dtype("f4")),
    hnp.from_dtype(np.dtype("u8")),
    hnp.from_dtype(np.dtype("M8[ns]")),
    hnp.from_dtype(np.dtype("c16")),
    st.booleans().map(np.bool_),
    texts.filter(lambda text: "\0" not in text).map(np.str_),
)

# Native byte order: the originals travel as pickles, which lose it (NumPy 2.4); see test_codec.py.
dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="="),
    hnp.unsigned_integer_dtypes(endianness="="),
    hnp.floating_dtypes(endianness="="),
    hnp.complex_number_dtypes(endianness="="),
    hnp.datetime64_dtypes(endianness="="),
    hnp.timedelta64_dtypes(endianness="="),
    hnp.byte_string_dtypes(endianness="="),
    hnp.unicode_string_dtypes(endianness="="),
    st.sampled_from([np.dtype([("a", "<i4"), ("b", ">f8", (2,))])]),
)


def _laid_out(array, how):
    return {"F": np.asfortranarray(array), "T": array.T, "step": array[..., ::2]}.get(how, array)


arrays = st.builds(
    _laid_out,
    dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=1, min_side=0, max_side=3))),
    st.sampled_from(["C", "F", "T", "step"]),
) | dtypes.flatmap(lambda d: hnp.arrays(d, ()))


@st.composite
def columns(draw, length):
    """Build an array that can be a column, of any dtype that pandas has."""

    def some(items):
        return draw(st.lists(items, min_size=length, max_size=length))

    make = draw(
        st.sampled_from(
            [
                lambda: np.array(some(st.integers(-9, 9)), "i2"),
                lambda: np.array(some(floats), "f8"),
                lambda: np.array(some(st.booleans()), bool),
                lambda: np.array(some(st.complex_numbers()), "c16"),
                lambda: np.array(some(st.integers(0, 2**40)), "i8").view("M8[ns]"),
                lambda: np.array(some(st.integers(0, 2**40)), "i8").view("m8[s]"),
                lambda: pd.array(some(st.none() | texts), dtype="str"),
                lambda: pd.array(some(st.none() | texts), dtype="string[python]"),
                lambda: pd.array(some(st.none() | st.integers(-9, 9)), dtype="Int8"),
                lambda: pd.array(some(st.none() | st.booleans()), dtype="boolean"),
                lambda: pd.array(some(st.none() | st.just(1.5)), dtype="Float32"),
                lambda: pd.Categorical(some(st.sampled_from(["a", "b", None])), ["b", "a", "z"]),
                lambda: pd.Categorical(some(st.sampled_from([3, 1, None])), [1, 3], ordered=True),
                lambda: pd.array(
                    some(st.none() | st.lists(st.integers(0, 9), max_size=2)),
                    dtype=pd.ArrowDtype(pa.list_(pa.int64())),
                ),
                lambda: pd.PeriodIndex(some(st.sampled_from(["2024-01", "NaT"])), freq="M").array,
                lambda: pd.arrays.IntervalArray.from_tuples(
                    some(st.sampled_from([(0, 1), (1, 2), None])),
                    "both",
                    dtype="interval[float64, both]",
                ),
                lambda: (
                    pd.DatetimeIndex(
                        some(st.sampled_from(["2024-03-31 03:30", "NaT"])), tz="Europe/Berlin"
                    ).array
                ),
                lambda: _objects(some(st.none() | texts)),
                lambda: _objects(some(hashables | st.lists(st.integers(), max_size=2))),
            ]
        )
    )
    return make()


def _objects(items):
    array = np.empty(len(items), object)
    for i, item in enumerate(items):
        array[i] = item
    return array


@st.composite
def indexes(draw, length):
    """Build an index of *length* labels."""
    kind = draw(st.sampled_from(["range", "text", "date", "multi", "mixed"]))
    name = draw(st.sampled_from([None, "n", ("t", 1), 3]))
    if kind == "range":
        return pd.RangeIndex(5, 5 + 2 * length, 2, name=name)
    if kind == "text":
        return pd.Index([f"r{i % 2}" for i in range(length)], name=name)
    if kind == "date":
        return pd.date_range("2024-10-26", periods=length, freq="D", tz="Europe/Berlin", name=name)
    if kind == "mixed":
        return pd.Index(_objects(["a", 1, None, (1, 2)] * length)[:length], dtype=object, name=name)
    parts = [[i % 2 for i in range(length)], pd.date_range("2024", periods=length)]
    return pd.MultiIndex.from_arrays(parts, names=[name, None])


@st.composite
def frames(draw):
    """Build a DataFrame: any columns, index and labels, also none and twice the same."""
    length, width = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    index = draw(indexes(length))
    made = {
        i: pd.Series(array, index=index, dtype=array.dtype)
        for i, array in enumerate(draw(columns(length)) for _ in range(width))
    }
    frame = pd.DataFrame(made, index=index)
    labels = draw(
        st.sampled_from(
            [
                pd.Index([f"c{i}" for i in range(width)], dtype=object),
                pd.Index(["same"] * width, dtype="str", name="labels"),
                pd.RangeIndex(width),
                pd.date_range("2024", periods=width),
                pd.MultiIndex.from_arrays([["a"] * width, range(width)], names=["x", None]),
            ]
        )
    )
    frame.columns = labels
    if draw(st.booleans()):
        frame.attrs = {"unit": ("mm", 1)}
    return frame


series = st.builds(
    lambda frame, name: frame.iloc[:, 0].rename(name),
    frames().filter(lambda frame: frame.shape[1]),
    st.sampled_from(["s", None, ("a", 1)]),
)

arrow_tables = st.builds(
    lambda a, b: pa.table({"n": pa.array(a, pa.int64()), "l": pa.array([b] * len(a))}),
    st.lists(st.none() | st.integers(-9, 9), max_size=4),
    st.none() | st.lists(st.none() | texts, max_size=2).map(lambda items: [*items, "x"]),
)

leaves = st.one_of(
    scalars,
    scalars,
    arrays,
    frames(),
    series,
    arrow_tables,
    indexes(3).filter(lambda i: i.name != 3),
)


def _containers(inner):
    keys = hashables | st.just("$stepbook") | st.tuples(texts, integers)
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(texts, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(texts, inner, max_size=2).map(OrderedDict),
        st.dictionaries(texts, inner, max_size=2).map(lambda items: defaultdict(list, items)),
        st.lists(inner, max_size=2).map(lambda items: deque(items, 5)),
        st.lists(inner, max_size=3).map(_objects),
    )


sets = st.sets(hashables, max_size=4) | st.frozensets(hashables | st.tuples(texts), max_size=4)
values = st.recursive(leaves | sets | st.just(Counter("aab")), _containers, max_leaves=6)

"""Steps that return every type there is: recorded by one process and replayed by another.

Also what the stored book of each version was made from, so nothing here may change its value;
add at the end instead.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

import stepbook


class Colour(enum.Enum):
    RED = "red"
    GREEN = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Address:
    street: str
    since: dt.date


@dataclasses.dataclass(frozen=True, slots=True)
class Patient:
    name: str
    address: Address
    colour: Colour
    scores: tuple[float, ...] = ()


class Point(NamedTuple):
    x: float
    y: float


class Money:
    def __init__(self, cents):
        self.cents = cents

    def __eq__(self, other):
        return isinstance(other, Money) and other.cents == self.cents

    def __hash__(self):
        return hash(self.cents)

    def __str__(self):
        return f"{self.cents} ct"


stepbook.register(Money, lambda money: money.cents, Money)

BERLIN = ZoneInfo("Europe/Berlin")


def numbers():
    return [0, -1, 2**53 + 1, 2**200, -(10**5000), -0.0, 5e-324, 1e308, 0.1, True, None]


def not_finite():
    return {"nan": float("nan"), "inf": float("inf"), "complex": complex("nan-infj")}


def texts():
    return ["", "é", "😀", "\0", "\u2028", '"quoted"', "\\", "$stepbook"]


def escaped():
    return {"$stepbook": "tuple", "items": [1], "deeper": [{"$stepbook": {"$stepbook": None}}]}


def data():
    return [b"", b"\0\xff", bytearray(b"abc"), bytes(range(256)) * 300]


def containers():
    return [
        (1, (2, [3])),
        {1, 2.5, "a", None},
        frozenset({(1, 2), frozenset({3})}),
        {1: "int", None: "none", (1, "a"): "tuple", b"k": "bytes", 1.5: "float"},
        OrderedDict([("b", 1), ("a", 2)]),
        Counter("abca"),
        defaultdict(list, {"a": [1]}),
        deque([1, 2], maxlen=3),
        range(5, -5, -2),
    ]


def times():
    return [
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
        dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
        dt.datetime(2024, 1, 1, 1, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=-12345))),
        dt.datetime.min,  # noqa: DTZ901 - without a zone on purpose
        dt.datetime.max.replace(tzinfo=dt.UTC),
        dt.date(2024, 2, 29),
        dt.time(23, 59, 59, 999999, tzinfo=dt.UTC),
        dt.time(2, fold=1),
        dt.timedelta.min,
        dt.timedelta(microseconds=-1),
        dt.timezone(dt.timedelta(hours=1), "CET"),
        BERLIN,
    ]


def others():
    return [
        Decimal("-0"),
        Decimal("1E+30"),
        Decimal("sNaN42"),
        Fraction(-1, 3),
        UUID(int=7),
        Path("a/b"),
        PurePosixPath("/x"),
        PureWindowsPath("C:\\x"),
        1 + 2j,
    ]


def numpy_scalars():
    return [
        np.float64("nan"),
        np.float32(0.1),
        np.float16(1.5),
        np.int8(-128),
        np.uint64(2**64 - 1),
        np.bool_(True),  # noqa: FBT003 - a value
        np.complex64(1 + 2j),
        np.longdouble(1) / 3,
        np.str_("é"),
        np.bytes_(b"x"),
        np.datetime64("2024-01-01T00:00:00.000000001"),
        np.datetime64("NaT", "D"),
        np.timedelta64(5, "W"),
        np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", ">f8")])[0],
        np.dtype([("a", "<i4")]),
    ]


def arrays():
    square = np.arange(12.0).reshape(3, 4)
    return [
        square,
        np.asfortranarray(square),
        square[::2, 1::2],
        square.T[:, ::-1],
        np.array(5),
        np.empty((0, 3), "i2"),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array([1, 2], ">i8"),
        np.array(["2024", "NaT"], "M8[s]"),
        np.array(["a", "bcd"]),
        np.array([b"x"]),
        np.array([(1, [2.0, 3.0])], dtype=[("a", "<i4"), ("b", ">f8", (2,))]),
        np.array([1, "x", None, (1, 2)], dtype=object),
        np.array(["a", "long" * 20], dtype=np.dtypes.StringDType()),
    ]


def pandas_scalars():
    return [
        pd.NaT,
        pd.NA,
        pd.Timestamp("2024-10-27 02:30:00.000000001", tz="UTC"),
        pd.Timestamp("2024-10-27 00:30", tz="UTC").tz_convert(BERLIN).as_unit("us"),
        pd.Timestamp("2024-10-27 01:30", tz="UTC").tz_convert(BERLIN).as_unit("us"),
        pd.Timestamp(0, unit="s").as_unit("ms"),
        pd.Timedelta(1, "ns"),
        pd.Period("2024-01", "M"),
        pd.Interval(0, 1.5, "both"),
    ]


def frames():
    return [
        pd.DataFrame(),
        pd.DataFrame(index=range(3)),
        pd.DataFrame(columns=["a"]),
        pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [1.5, float("nan")]}),
        pd.DataFrame([[1, "x"]], columns=["same", "same"]),
        pd.DataFrame({1: [1], "a": [2], None: [3]}),
        pd.DataFrame(
            {
                "z": pd.date_range("2024-10-26", periods=2, tz=BERLIN),
                "ns": np.array([1, "NaT"], "M8[ns]"),
                "s": np.array([1, "NaT"], "m8[s]"),
                "p": pd.PeriodIndex(["2024-01", None], freq="M"),
                "iv": pd.arrays.IntervalArray.from_tuples([(0, 1), None]),
                "c": pd.Categorical(["b", None], ["b", "a"], ordered=True),
            }
        ),
        pd.DataFrame(
            {
                "I": pd.array([1, None], dtype="Int64"),
                "B": pd.array([True, None], dtype="boolean"),
                "F": pd.array([1.5, None], dtype="Float32"),
                "s": pd.array(["a", None], dtype="string[python]"),
                "l": pd.array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
            }
        ),
        pd.DataFrame({"o": np.array([1, "x"], object), "d": [Decimal(1), {"k": (1, 2)}]}),
        pd.DataFrame({"n": np.array(["a", None], object), "m": np.array(["a", pd.NA], object)}),
        pd.DataFrame(
            {"x": range(4)},
            index=pd.MultiIndex.from_product([["a", "b"], [1.5, 2.5]], names=["k", None]),
        ),
        pd.DataFrame({"x": [1, 2]}, index=pd.date_range("2024", periods=2, freq="D", name="d")),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
    ]


def series_and_indexes():
    return [
        pd.Series([1, 2], name=("a", 1)),
        pd.Series(["x"], dtype=object),
        pd.Series([], dtype="float64"),
        pd.RangeIndex(1, 9, 2, name="r"),
        pd.Index(["a", 1, None], dtype=object),
        pd.interval_range(0, 2),
        pd.CategoricalIndex(["a"]),
        pd.timedelta_range("1s", periods=3),
        pd.array([1, None], dtype="Int8"),
    ]


def arrow():
    return pa.table(
        {
            "n": pa.array([1, None]),
            "l": pa.array([[1], [None]]),
            "s": pa.array([{"x": 1}, None]),
            "d": pa.array(["a", "a"]).dictionary_encode(),
        }
    ).replace_schema_metadata({"k": "v"})


def big_array():
    return np.arange(30_000.0)


def big_frame():
    return pd.DataFrame({"n": np.arange(30_000), "s": [f"row {i % 7}" for i in range(30_000)]})


def big_list():
    return [{"i": i, "pair": (i, -i)} for i in range(5_000)]


def patient() -> Patient:
    return Patient("Ada", Address("Main", dt.date(2024, 1, 1)), Colour.GREEN, (1.5,))


def patients() -> dict[str, list[Patient | None]]:
    return {"all": [patient(), None]}


def colours() -> tuple[Colour, Access]:
    return Colour.RED, Access.READ | Access.WRITE


def point() -> Point:
    return Point(1.0, -0.0)


def money():
    return {"paid": Money(150)}


STEPS = [
    numbers,
    not_finite,
    texts,
    escaped,
    data,
    containers,
    times,
    others,
    numpy_scalars,
    arrays,
    pandas_scalars,
    frames,
    series_and_indexes,
    arrow,
    big_array,
    big_frame,
    big_list,
    patient,
    patients,
    colours,
    point,
    money,
]


def record(book):
    """Record all steps in a run of *book* and return what they gave."""
    with book.run("catalogue", input={"made": (1, 2)}) as run:
        return {step.__name__: run.do(step.__name__, step) for step in STEPS}


def replay(book):
    """Replay all steps of the run in *book*; none of them may be executed."""
    run = book.run("catalogue", input={"made": (1, 2)})
    given = {}
    for step in STEPS:
        run_again = _must_not_run(step)
        given[step.__name__] = run.options(on_change="ignore").do(step.__name__, run_again)
    run.close()
    return given


def _must_not_run(step):
    def body():
        raise AssertionError(f"{step.__name__} was executed")

    body.__annotations__ = step.__annotations__
    return body

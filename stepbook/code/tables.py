"""What arrays and tables hold, in a form that is equal for equal ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xxhash

from ..model.libraries import library
from ..values.types.memory import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[Any, Any], Any]


def how(value: Any) -> Tell | None:
    """Return what tells values of this type, of a library of arrays or tables; None if nothing."""
    package = library(value)
    if package == "numpy":
        return _numpy_how(value)
    if package == "pandas":
        return _pandas_how(value)
    if package == "polars":
        return _polars_how(value)
    return _arrow_how(value) if package == "pyarrow" else None


# ---- NumPy --------------------------------------------------------------------------------------


def _numpy_how(value: Any) -> Tell | None:
    import numpy as np  # noqa: PLC0415 - there is an array

    if type(value) is np.ndarray:
        return array
    if isinstance(value, np.generic):
        return lambda _, item: ("scalar", item.dtype.str, item.tobytes())
    if isinstance(value, np.dtype):
        return lambda _, dtype: ("dtype", str(dtype))
    if isinstance(value, np.ufunc):
        return lambda _, function: ("function", function.__name__)
    return None


def array(_: Any, value: Any) -> Any:
    """Tell an array of NumPy by its dtype, shape and elements."""
    return _array(value)


def _array(value: Any) -> Any:
    dtype = value.dtype
    if dtype.hasobject:
        return "array", str(dtype), value.shape, value.ravel().tolist()
    return "array", str(dtype.descr if dtype.names else dtype.str), value.shape, _bytes(value)


def _bytes(value: Any) -> bytes:
    """Return the digest of an array's elements in C order."""
    import numpy as np  # noqa: PLC0415 - there is an array

    if not value.size:
        return b""
    flat: Any = np.ascontiguousarray(value).reshape(-1).view("u1")
    return xxhash.xxh3_128_digest(flat)


# ---- pandas -------------------------------------------------------------------------------------


def _pandas_how(value: Any) -> Tell | None:
    import pandas as pd  # noqa: PLC0415 - there is a table

    if type(value) in (pd.DataFrame, pd.Series):
        return table
    if isinstance(value, pd.Index):
        return lambda _, index: _index(index)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return lambda _, values: _column(values)
    plain = pd.api.extensions.ExtensionDtype, pd.Timestamp, pd.Timedelta, pd.Period, pd.Interval
    if isinstance(value, (*plain, pd.offsets.BaseOffset)) or value is pd.NA or value is pd.NaT:
        return lambda _, item: (type(item).__name__, repr(item))
    return None


def table(_: Any, value: Any) -> Any:
    """Tell a table column by column: how pandas has them in blocks is its own affair."""
    manager = value._mgr  # noqa: SLF001 - a column at a time costs ten times that
    is_frame = value.ndim > 1
    columns: list[Any] = [None] * (len(manager.axes[0]) if is_frame else 1)
    for block in manager.blocks:
        held = block.values  # noqa: PD011 - not a frame's
        places = block.mgr_locs.as_array if is_frame else [0]
        for number, place in enumerate(places):
            columns[place] = _column(held[number] if is_frame and held.ndim > 1 else held)
    name = None if is_frame else value.name
    return type(value).__name__, [*map(_index, value.axes)], columns, name, value.attrs


def _index(value: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - there is an index
    import pandas as pd  # noqa: PLC0415 - the same

    kind, names = type(value).__name__, list(value.names)
    if isinstance(value, pd.RangeIndex):
        return kind, names, value.start, value.stop, value.step
    if isinstance(value, pd.MultiIndex):
        codes = [_bytes(np.asarray(codes).astype("i8")) for codes in value.codes]
        return kind, names, [*map(_index, value.levels)], codes
    freq = getattr(value, "freqstr", None)
    return kind, names, freq, _column(value._values)  # noqa: SLF001 - without a copy


def _column(values: Any) -> Any:
    import pandas as pd  # noqa: PLC0415 - there is a table

    if type(values).__module__ == "numpy":
        return _array(values)
    dtype = values.dtype
    categories = getattr(dtype, "categories", None)
    facts = [str(dtype), getattr(dtype, "ordered", None)]
    if categories is not None:
        facts.append(_index(categories))
    held = getattr(values, "_pa_array", None)
    if held is not None:  # texts, most often
        return facts, _arrow(held)
    parts = parts_of(values)
    if parts is None:
        return facts, _bytes(pd.util.hash_array(values, categorize=False))
    return facts, [*map(_column, parts.values())]


# ---- Arrow --------------------------------------------------------------------------------------


def _polars_how(value: Any) -> Tell | None:
    import polars as pl  # noqa: PLC0415 - there is a table

    if isinstance(value, pl.DataFrame):
        return lambda _, frame: ("polars", str(frame.schema), _arrow(frame.to_arrow()))
    if isinstance(value, pl.Series):
        return lambda _, one: ("polars", str(one.dtype), one.name, _arrow(one.to_arrow()))
    return None


def _arrow_how(value: Any) -> Tell | None:
    import pyarrow as pa  # noqa: PLC0415 - there is a table

    if isinstance(value, (pa.Table, pa.RecordBatch, pa.Array, pa.ChunkedArray)):
        return lambda _, table: _arrow(table)
    if isinstance(value, (pa.Schema, pa.DataType, pa.Field, pa.Scalar)):
        return lambda _, item: (type(item).__name__, str(item))
    return None


def _arrow(value: Any) -> Any:
    """Tell a table or an array by what it is as an IPC stream, in one piece."""
    import pyarrow as pa  # noqa: PLC0415 - there is a table

    kind = type(value).__name__
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        value = pa.table({"": value})
    elif isinstance(value, pa.RecordBatch):
        value = pa.Table.from_batches([value])
    hashed = _Hashed()
    with pa.ipc.new_stream(pa.PythonFile(hashed, "w"), value.schema) as stream:
        stream.write_table(value.combine_chunks())
    return kind, hashed.digest.digest()


class _Hashed:
    """A file of which the content goes into a hash."""

    closed = False

    def __init__(self) -> None:
        self.digest = xxhash.xxh3_128()

    def write(self, data: Any) -> int:
        """Hash some bytes."""
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Have nothing left to write."""

    def close(self) -> None:
        """End."""

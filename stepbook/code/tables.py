"""What arrays and tables hold, in a form that is equal for equal ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import xxhash

from ..values.types.memory import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[Any, Any], Any]

#: The types of floats and complex numbers of more than 64 bits.
_LONG: Final = "gG"


def how(kind: type) -> Tell | None:
    """Return what tells values of a type, of a library of arrays or tables; None if nothing."""
    find = _LIBRARIES.get(str(kind.__module__).partition(".")[0])
    return None if find is None else find(kind)


def extended(base: type) -> Callable[[Any], Any] | None:
    """Return what tells what objects of a class have of the table or array that it extends."""
    tell = how(base)
    if tell is array:
        import numpy as np  # noqa: PLC0415 - there is an array

        return lambda value: _array(np.ndarray.view(value, np.ndarray))
    return (lambda value: tell(None, value)) if tell in (table, _masked) else None


def _first(kind: type, tells: list[tuple[Any, Tell]]) -> Tell | None:
    """Return what tells values of the first of these types that *kind* is one of."""
    return next((tell for types, tell in tells if issubclass(kind, types)), None)


# ---- NumPy --------------------------------------------------------------------------------------


def _numpy_how(kind: type) -> Tell | None:
    import numpy as np  # noqa: PLC0415 - there is an array

    if kind is np.ndarray:
        return array
    return _first(
        kind,
        [
            (np.ma.MaskedArray, _masked),
            (
                np.ndarray,
                lambda _, held: (kind.__name__, _array(np.ndarray.view(held, np.ndarray))),
            ),
            ((np.void, np.longdouble, np.clongdouble), lambda _, one: _array(np.asarray(one))),
            (np.generic, lambda _, one: ("scalar", one.dtype.str, one.tobytes())),
            (np.dtype, lambda _, dtype: ("dtype", str(dtype))),
            (np.ufunc, lambda _, function: ("function", function.__name__)),
        ],
    )


def array(_: Any, value: Any) -> Any:
    """Tell an array of NumPy by its dtype, shape and elements, and by how it can be used."""
    flags = value.flags
    in_columns = bool(flags.f_contiguous and not flags.c_contiguous)
    return _array(value), in_columns, bool(flags.writeable)


def _array(value: Any) -> Any:
    dtype = value.dtype
    if dtype.names:  # between its fields there may be room, in which anything stands
        fields = [(name, _array(value[name])) for name in dtype.names]
        return "array", str(dtype), value.shape, fields
    if dtype.hasobject:
        return "array", str(dtype), value.shape, value.ravel().tolist()
    if dtype.char in _LONG:
        return "array", dtype.str, value.shape, _long_bytes(value)
    return "array", dtype.str, value.shape, _bytes(value)


def _masked(_: Any, value: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - there is an array

    fill = value._fill_value  # noqa: SLF001 - to ask for it would set it
    if fill is None:
        fill = np.ma.default_fill_value(value.dtype)
    data = _array(np.ndarray.view(value, np.ndarray))
    told = repr(np.array(fill, value.dtype).tolist())
    return "masked", data, _array(np.ma.getmaskarray(value)), told


def _long_bytes(value: Any) -> list[bytes]:
    """Return the digest of numbers that have more room than digits: as sums of two floats."""
    import numpy as np  # noqa: PLC0415 - there is an array

    with np.errstate(all="ignore"):
        high = value.astype("f8" if value.dtype.kind == "f" else "c16")
        return [_bytes(high), _bytes((value - high).astype(high.dtype))]


def _bytes(value: Any) -> bytes:
    """Return the digest of an array's elements in C order."""
    import numpy as np  # noqa: PLC0415 - there is an array

    if not value.size:
        return b""
    flat: Any = np.ascontiguousarray(value).reshape(-1).view("u1")
    return xxhash.xxh3_128_digest(flat)


# ---- pandas -------------------------------------------------------------------------------------


def _pandas_how(kind: type) -> Tell | None:
    import pandas as pd  # noqa: PLC0415 - there is a table

    if kind in (pd.DataFrame, pd.Series):
        return table
    shown = pd.api.extensions.ExtensionDtype, pd.Period, pd.Interval, pd.offsets.BaseOffset
    return _first(
        kind,
        [
            (pd.Index, lambda _, index: _index(index)),
            (pd.api.extensions.ExtensionArray, lambda _, values: _column(values)),
            (pd.CategoricalDtype, _categories),
            ((pd.Timestamp, pd.Timedelta), lambda _, one: (kind.__name__, repr(one), one.unit)),
            ((*shown, type(pd.NA), type(pd.NaT)), lambda _, one: (kind.__name__, repr(one))),
        ],
    )


def _categories(_: Any, dtype: Any) -> Any:
    held = dtype.categories
    return "categories", dtype.ordered, None if held is None else _index(held)


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


def _polars_how(kind: type) -> Tell | None:
    import polars as pl  # noqa: PLC0415 - there is a table

    return _first(
        kind,
        [
            (pl.DataFrame, lambda _, f: ("polars", str(f.schema), _polars(f, f.dtypes))),
            (pl.Series, lambda _, s: ("polars", str(s.dtype), s.name, _polars(s, [s.dtype]))),
            (pl.DataType, lambda _, dtype: ("dtype", repr(dtype))),
        ],
    )


def _polars(value: Any, dtypes: list[Any]) -> Any:
    import polars as pl  # noqa: PLC0415 - there is a table

    if pl.Object in dtypes:
        raise TypeError("Arrow has of an object where it is in memory")
    return _arrow(value.to_arrow())


def _arrow_how(kind: type) -> Tell | None:
    import pyarrow as pa  # noqa: PLC0415 - there is a table

    tables = pa.Table, pa.RecordBatch, pa.Array, pa.ChunkedArray
    return _first(
        kind,
        [
            (tables, lambda _, table: _arrow(table)),
            (pa.Schema, lambda _, schema: ("schema", schema.serialize().to_pybytes())),
            (pa.Field, lambda _, one: ("field", pa.schema([one]).serialize().to_pybytes())),
            ((pa.DataType, pa.Scalar), lambda _, item: (kind.__name__, str(item))),
        ],
    )


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


_LIBRARIES: Final[dict[str, Callable[[type], Tell | None]]] = {
    "numpy": _numpy_how,
    "pandas": _pandas_how,
    "polars": _polars_how,
    "pyarrow": _arrow_how,
}

"""What libraries make of values that are stored by themselves: masked arrays, offsets, Arrow's.

Each is a node with the nodes of its parts, and is made again by the library from these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..nodes import TAG, expect, take, unstorable

if TYPE_CHECKING:
    from ..nodes import Encoder
    from ..world import GraphWriter


def encode(w: Encoder, value: Any) -> dict[str, Any] | None:
    """Return the node of a value of a library that is made of others; None for any other.

    Raises:
        NotSerializableError: a part of it cannot be stored.
    """
    package = type(value).__module__.partition(".")[0]
    if package == "numpy":
        return encode_array(w, value)
    if package == "pandas":
        return _offset(w, value)
    return _arrow(w, value) if package == "pyarrow" else None


def decode(kind: str, node: dict[str, Any]) -> Any:
    """Return the value that *node* stands for; everything inside is rebuilt already."""
    if kind == "numpy.masked":
        return _to_masked(*take(node, "data", "mask", "fill", "hard"))
    if kind == "numpy.recarray":
        return _to_records(*take(node, "array"))
    if kind == "pandas.offset":
        return _to_offset(*take(node, "class", "arguments"))
    return _to_arrow(kind, *take(node, "table"))


# ---- NumPy --------------------------------------------------------------------------------------


def encode_array(w: Encoder | GraphWriter, value: Any) -> dict[str, Any] | None:
    """Return the node of a masked array or of an array of records; None for any other."""
    import numpy as np  # noqa: PLC0415

    if type(value) is np.ma.MaskedArray:
        mask = np.ma.getmask(value)
        fill = vars(value).get("_fill_value")  # reading the public one sets it
        return {
            TAG: "numpy.masked",
            "data": w.field("data", value.view(np.ndarray)),
            "mask": None if mask is np.ma.nomask else w.field("mask", mask),
            "fill": None if fill is None else w.field("fill_value", np.asarray(fill)),
            "hard": bool(value.hardmask),
        }
    if type(value) is np.rec.recarray:
        plain = value.view(np.ndarray)
        if issubclass(plain.dtype.type, np.record):
            plain = plain.view(np.dtype((np.void, plain.dtype)))
        return {TAG: "numpy.recarray", "array": w.field("array", plain)}
    return None


def _to_masked(data: Any, mask: Any, fill: Any, hard: Any) -> Any:
    import numpy as np  # noqa: PLC0415

    value = np.ma.MaskedArray(
        expect(data, np.ndarray),
        np.ma.nomask if mask is None else expect(mask, np.ndarray),
        hard_mask=expect(hard, bool),
        copy=False,
    )
    if fill is not None:
        value.fill_value = fill
        value._fill_value = fill  # type: ignore[attr-defined]  # noqa: SLF001 - views have the same
    return value


def _to_records(array: Any) -> Any:
    import numpy as np  # noqa: PLC0415

    return expect(array, np.ndarray).view(np.rec.recarray)


# ---- pandas -------------------------------------------------------------------------------------


def _offset(w: Encoder, value: Any) -> dict[str, Any] | None:
    from pandas.tseries import offsets  # noqa: PLC0415

    name = type(value).__name__
    if getattr(offsets, name, None) is not type(value):
        return None
    # The calendar is made of the others.
    arguments = {"n": value.n, **{k: v for k, v in value.kwds.items() if k != "calendar"}}
    if value.normalize:
        arguments["normalize"] = True
    if _to_offset(name, arguments) != value:
        raise unstorable(f"an offset {name} with a calendar of its own")
    return {TAG: "pandas.offset", "class": name, "arguments": w.node(arguments)}


def _to_offset(name: Any, arguments: Any) -> Any:
    from pandas.tseries import offsets  # noqa: PLC0415

    made = getattr(offsets, expect(name, str), None)
    if not (isinstance(made, type) and issubclass(made, offsets.BaseOffset)):
        raise ValueError(f"{name} is not an offset of pandas")  # noqa: TRY004 - a damaged record
    return made(**expect(arguments, dict))


# ---- Arrow --------------------------------------------------------------------------------------


def _arrow(w: Encoder, value: Any) -> dict[str, Any] | None:
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(value, pa.ChunkedArray):
        kind, table = "pyarrow.ChunkedArray", pa.table({"": value})
    elif isinstance(value, pa.Array):
        kind, table = "pyarrow.Array", pa.table({"": value})
    elif isinstance(value, pa.Scalar):
        kind, table = "pyarrow.Scalar", pa.table({"": pa.array([value.as_py()], value.type)})
        if not table.column(0)[0].equals(value):
            raise unstorable(f"a scalar of Arrow's type {value.type}")
    elif isinstance(value, pa.RecordBatch):
        kind, table = "pyarrow.RecordBatch", pa.Table.from_batches([value])
    elif isinstance(value, pa.Schema):
        kind, table = "pyarrow.Schema", value.empty_table()
    elif isinstance(value, pa.Field):
        kind, table = "pyarrow.Field", pa.schema([value]).empty_table()
    elif isinstance(value, pa.DataType):
        kind, table = "pyarrow.DataType", pa.schema([("", value)]).empty_table()
    else:
        return None
    return {TAG: kind, "table": w.field("table", table)}


def _to_arrow(kind: str, table: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    table = expect(table, pa.Table)
    if kind == "pyarrow.Schema":
        return table.schema
    if kind == "pyarrow.RecordBatch":
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
    if table.num_columns != 1:
        raise ValueError("the table has not one column")
    if kind == "pyarrow.ChunkedArray":
        return table.column(0)
    if kind == "pyarrow.Field":
        return table.schema.field(0)
    if kind == "pyarrow.DataType":
        return table.schema.field(0).type
    made = (
        pa.concat_arrays(table.column(0).chunks) if table.num_rows else pa.array([], _type(table))
    )
    return made[0] if kind == "pyarrow.Scalar" else made


def _type(table: Any) -> Any:
    return table.schema.field(0).type

"""The tables of pyarrow and polars, and how tables are shown."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from ...errors import InvalidInputError, NotSerializableError
from ..nodes import Encoder, short, take, unstorable
from .ipc import read_checked, read_ipc, write_ipc

if TYPE_CHECKING:
    from ..parts import Content

#: What a preview shows at most.
_ROWS: Final = 5
_COLUMNS: Final = 12
#: Columns of which the dtypes are written out for people.
DTYPES: Final = 40

KINDS: Final = frozenset({"pyarrow.Table", "polars.DataFrame", "polars.Series"})


def encode(w: Encoder, value: Any) -> dict[str, Any] | None:
    """Return the node of a pyarrow or polars table; None if it is nothing of these.

    Raises:
        NotSerializableError: a column cannot be stored.
    """
    if type(value).__module__.startswith("polars"):
        return _encode_polars(w, value)
    import pyarrow as pa  # noqa: PLC0415

    if type(value) is not pa.Table:
        return None
    try:
        table = value.unify_dictionaries()
    except pa.ArrowException as error:
        raise NotSerializableError(f"the table cannot be written: {error}", path="") from error
    return w.blob(
        "pyarrow.Table",
        "arrow",
        lambda file: write_ipc(table, file),
        size=table.nbytes,
        facts={
            "shape": list(value.shape),
            "dtypes": _dtypes(value.schema.names, value.schema.types),
        },
        preview=lambda: preview(table, 0),
    )


def _encode_polars(w: Encoder, value: Any) -> dict[str, Any] | None:
    import polars as pl  # noqa: PLC0415

    if type(value) is pl.LazyFrame:
        raise unstorable("a LazyFrame is work still to be done; return frame.collect()")
    if type(value) not in (pl.DataFrame, pl.Series):
        return None
    frame = value if type(value) is pl.DataFrame else value.to_frame()
    for name, dtype in frame.schema.items():
        if "Object" in str(dtype):
            raise unstorable(f"the column {name!r} has the dtype {dtype}")
    facts = {"shape": list(value.shape), "dtypes": _dtypes(frame.columns, frame.dtypes)}
    return w.blob(
        f"polars.{type(value).__name__}",
        "arrow",
        lambda file: frame.write_ipc(file, compression="lz4"),
        size=int(frame.estimated_size()),
        facts=facts,
        preview=lambda: [
            [short(item) for item in row[:_COLUMNS]] for row in frame.head(_ROWS).rows()
        ],
    )


def _dtypes(names: list[str], dtypes: list[Any]) -> dict[str, str]:
    shown = zip(names[:DTYPES], dtypes[:DTYPES], strict=True)
    return {name[:40]: str(dtype)[:80] for name, dtype in shown}


def preview(table: Any, columns: int) -> Any:
    """Return the first rows of the first *columns* (0: of all) columns, for people.

    Columns behind those are the index of a pandas table: then the rows' labels stand beside them.
    """
    head = table.slice(0, _ROWS)
    shown = min(columns or table.num_columns, _COLUMNS)
    rows = _cells(head.columns[:shown], head.num_rows)
    if not columns or columns == table.num_columns:
        return rows
    return {"index": _cells(head.columns[columns:], head.num_rows), "rows": rows}


def _cells(columns: list[Any], rows: int) -> list[list[Any]]:
    return [[short(column[i].as_py()) for column in columns] for i in range(rows)]


def rows_of(value: Any, start: int, count: int) -> Any:
    """Return rows of a table of pandas, polars or pyarrow, as a preview shows them.

    Raises:
        InvalidInputError: the value is no table.
    """
    kind = type(value).__module__.partition(".")[0], type(value).__name__
    rows: Any
    if kind == ("pandas", "DataFrame"):
        rows = value.iloc[start : start + count].itertuples(index=False, name=None)
    elif kind == ("pandas", "Series"):
        rows = ([item] for item in value.iloc[start : start + count])
    elif kind == ("polars", "DataFrame"):
        rows = value.slice(start, count).iter_rows()
    elif kind == ("polars", "Series"):
        rows = ([item] for item in value.slice(start, count))
    elif kind == ("pyarrow", "Table"):
        columns = value.slice(start, count).columns[:_COLUMNS]
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
    else:
        raise InvalidInputError("this return is no table that can be shown row by row.")
    shown = [[short(item) for item in row[:_COLUMNS]] for row in rows]
    index = getattr(value, "index", None) if kind[0] == "pandas" else None
    if index is None or type(index).__name__ == "RangeIndex":
        return shown
    labels = index[start : start + count]
    levels = labels if labels.nlevels > 1 else ((label,) for label in labels)
    return {"index": [[short(label) for label in row] for row in levels], "rows": shown}


def decode(kind: str, node: dict[str, Any], content: Content) -> Any:
    """Return the table that *node* stands for.

    Args:
        kind: one of :data:`KINDS`.
        node: with everything inside rebuilt already; fields that say where its bytes are taken
            out.
        content: its bytes.
    """
    shape, _ = take(node, "shape", "dtypes")
    if kind == "pyarrow.Table":
        table = read_ipc(content)
    else:
        table = _read_polars(io.BytesIO(read_checked(content, bytearray)))
        if kind == "polars.Series":
            table = table.to_series()
    if list(table.shape) != shape:
        raise ValueError("the file holds another table")
    return table


def _read_polars(file: io.BytesIO) -> Any:
    import polars as pl  # noqa: PLC0415

    try:
        return pl.read_ipc(file)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust; it is no Exception
            raise
        raise ValueError(f"polars cannot read it: {error}") from error

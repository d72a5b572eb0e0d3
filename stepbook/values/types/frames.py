"""pandas: frames, series and indexes as Arrow tables, scalars as JSON."""

from __future__ import annotations

from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

from ...errors import NotSerializableError
from ..nodes import TAG, Encoder, expect, take, unstorable
from . import frame_columns
from .arrow import DTYPES, preview
from .blocks import Joined, frame_of, layout
from .ipc import alike, divided, read_columns, write_ipc

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from ..parts import Content

#: Only files get pandas' own metadata: nobody opens what is inline with another tool.
_FOREIGN_BYTES: Final = 1 << 16
#: What a range can count to: pandas has 64 bits, one of them for the sign.
_INT64_BITS: Final = 63


def encode(w: Encoder, value: Any) -> dict[str, Any] | None:  # noqa: PLR0911 - one for each kind
    """Return the node of a frame, series, index or scalar; None if it is nothing of these.

    Raises:
        NotSerializableError: a column or label cannot be stored.
    """
    import pandas as pd  # noqa: PLC0415

    kind = type(value)
    if value is pd.NaT:
        return {TAG: "pandas.NaT"}
    if value is pd.NA:
        return {TAG: "pandas.NA"}
    if kind is pd.DataFrame:
        return _encode_frame(w, value)
    if kind is pd.Series:
        return _encode_series(w, value)
    if kind is pd.RangeIndex:
        facts = {"start": value.start, "stop": value.stop, "step": value.step}
        return {TAG: "pandas.RangeIndex", **facts, "name": w.field("name", value.name)}
    if isinstance(value, pd.Index) and kind in _index_types():
        return _encode_table(w, "pandas.Index", [], value, {})
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return _encode_table(w, "pandas.Array", [("values", value)], None, {"rows": len(value)})
    scalar = _SCALARS.get(kind.__name__)
    if scalar is not None and kind is getattr(pd, kind.__name__):
        return scalar(w, value)
    return None


def _index_types() -> tuple[type, ...]:
    import pandas as pd  # noqa: PLC0415

    return (
        pd.Index,
        pd.MultiIndex,
        pd.DatetimeIndex,
        pd.TimedeltaIndex,
        pd.PeriodIndex,
        pd.IntervalIndex,
        pd.CategoricalIndex,
    )


# -- pandas to JSON and Arrow ----------------------------------------------------------------------


def _encode_frame(w: Encoder, value: pd.DataFrame) -> dict[str, Any]:
    ready = None
    if w.wants_copy(int(value.memory_usage().sum())) and _is_copied_whole(value):
        ready = value = value.copy()
    columns = [(str(label), value.iloc[:, i].array) for i, label in enumerate(value.columns)]
    facts: dict[str, Any] = {
        "shape": list(value.shape),
        "dtypes": {
            str(label)[:40]: str(dtype)
            for label, dtype in zip(value.columns[:DTYPES], value.dtypes.iloc[:DTYPES], strict=True)
        },
        "columns": _encode_labels(w, value.columns),
        **_extras(w, value),
    }
    blocks = layout(value)
    if blocks:
        facts["blocks"] = blocks
    return _encode_table(w, "pandas.DataFrame", columns, value.index, facts, value, ready)


def _is_copied_whole(frame: pd.DataFrame) -> bool:
    """Whether a copy of the frame shares nothing with it that could be changed."""
    import pandas as pd  # noqa: PLC0415

    # Objects would be the same objects, and the array under an index is not copied.
    return type(frame.index) is pd.RangeIndex and "object" not in map(str, frame.dtypes)


def _encode_series(w: Encoder, value: pd.Series[Any]) -> dict[str, Any]:
    facts = {
        "shape": list(value.shape),
        "dtypes": {"values": str(value.dtype)},
        "name": w.field("name", value.name),
        **_extras(w, value),
    }
    return _encode_table(w, "pandas.Series", [("values", value.array)], value.index, facts)


def _extras(w: Encoder, value: Any) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if value.attrs:
        extras["attrs"] = w.field("attrs", value.attrs)
    if not value.flags.allows_duplicate_labels:
        extras["unique_labels"] = True
    return extras


def _encode_labels(w: Encoder, labels: pd.Index[Any]) -> Any:
    import pandas as pd  # noqa: PLC0415

    if type(labels) is pd.Index and all(type(label) is str for label in labels):
        if labels.dtype == object:
            dtype: Any = None
        else:
            _, dtype = frame_columns.encode(w, labels[:0].array)
        return {"labels": list(labels), "dtype": dtype, "name": w.field("name", labels.name)}
    return w.field("columns", labels)


def _encode_index(w: Encoder, index: pd.Index[Any]) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """Return an index as columns, and what it takes to make it of them."""
    import pandas as pd  # noqa: PLC0415

    if type(index) is pd.RangeIndex:
        return [], {"index": w.node(index)}
    if isinstance(index, pd.MultiIndex):
        levels = [
            pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(level))
            for codes, level in zip(index.codes, index.levels, strict=True)
        ]
        names = w.field("names", list(index.names))
        freqs = [_freq(level) for level in index.levels]
        named = [
            (str(name) if name is not None else f"__index_level_{i}__", level)
            for i, (name, level) in enumerate(zip(index.names, levels, strict=True))
        ]
        return named, {"index": {"names": names, "freqs": freqs, "levels": len(levels)}}
    name = str(index.name) if index.name is not None else "__index_level_0__"
    facts = {"name": w.field("name", index.name), "freq": _freq(index), "levels": 0}
    return [(name, index.array)], {"index": facts}


def _freq(index: pd.Index[Any]) -> str | None:
    import pandas as pd  # noqa: PLC0415

    freq = getattr(index, "freq", None)
    if freq is None or isinstance(index, pd.PeriodIndex):
        return None
    if pd.tseries.frequencies.to_offset(freq.freqstr) != freq:
        raise unstorable(
            f"an index with the frequency {freq!r}; take it off with index.freq = None"
        )
    return str(freq.freqstr)


def _encode_table(
    w: Encoder,
    kind: str,
    columns: list[tuple[str, Any]],
    index: pd.Index[Any] | None,
    facts: dict[str, Any],
    frame: pd.DataFrame | None = None,
    ready: Any = None,
) -> dict[str, Any]:
    import pyarrow as pa  # noqa: PLC0415

    named, about = ([], {}) if index is None else _encode_index(w, index)
    if index is not None:
        about["rows"] = len(index)
    arrays, names, specs = [], [], []
    for name, column in [*columns, *named]:
        try:
            array, spec = frame_columns.encode(w, column)
        except NotSerializableError as error:
            error.path = f"[{name!r}]{error.path}"
            raise
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            raise NotSerializableError(
                f"the column cannot be converted: {error}", path=f"[{name!r}]"
            ) from error
        arrays.append(array)
        names.append(name)
        specs.append(spec)
    table = pa.Table.from_arrays(arrays, names) if arrays else pa.table({})

    def shown() -> Any:
        if frame is not None and table.nbytes > _FOREIGN_BYTES:
            return _with_pandas_metadata(table, frame)
        return table

    return w.blob(
        kind,
        "arrow",
        lambda file: write_ipc(shown(), file),
        size=table.nbytes,
        facts={**facts, **about, "arrays": specs},
        preview=lambda: preview(table, len(columns)),
        ready=ready,
        parts=divided(w, table, shown, private=ready is not None),
    )


def _with_pandas_metadata(table: Any, frame: pd.DataFrame) -> Any:
    """Add what lets ``pandas.read_feather`` and others see the frame and its index."""
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    try:
        schema = pa.Schema.from_pandas(frame.iloc[:0])
    except (pa.ArrowException, ValueError, TypeError):
        return table  # others see plain columns
    if schema.names != table.schema.names:
        return table
    about = loads(schema.metadata[b"pandas"])
    if type(frame.index) is pd.RangeIndex:
        place = about["index_columns"][0]
        index = frame.index
        place.update(start=index.start, stop=index.stop, step=index.step)
    return table.replace_schema_metadata({b"pandas": dumps(about).encode()})


def _encode_timestamp(w: Encoder, value: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if value.tz is not None:
        facts["zone"] = w.node(frame_columns.stored_zone(value.tz))
    elif value.fold:
        facts["fold"] = value.fold
    count = int(value.asm8.view("i8"))
    return {
        TAG: "pandas.Timestamp",
        "value": count,
        "unit": value.unit,
        "shown": str(value),
        **facts,
    }


def _encode_timedelta(_: Encoder, value: Any) -> dict[str, Any]:
    count = int(value.asm8.view("i8"))
    return {TAG: "pandas.Timedelta", "value": count, "unit": value.unit, "shown": str(value)}


def _encode_period(_: Encoder, value: Any) -> dict[str, Any]:
    import pandas as pd  # noqa: PLC0415

    freq = frame_columns.period_freq(pd.PeriodDtype(value.freq))
    return {TAG: "pandas.Period", "ordinal": value.ordinal, "freq": freq, "shown": str(value)}


def _encode_interval(w: Encoder, value: Any) -> dict[str, Any]:
    ends = {"left": w.field("left", value.left), "right": w.field("right", value.right)}
    return {TAG: "pandas.Interval", **ends, "closed": value.closed}


_SCALARS: Final[dict[str, Callable[[Encoder, Any], dict[str, Any]]]] = {
    "Timestamp": _encode_timestamp,
    "Timedelta": _encode_timedelta,
    "Period": _encode_period,
    "Interval": _encode_interval,
}


# -- rebuilding ------------------------------------------------------------------------------------


def decode(
    kind: str,
    node: dict[str, Any],
    content: Content,
    parse: Callable[[str], Any],
) -> Any:
    """Return the value that *node* stands for.

    Args:
        kind: one of :data:`KINDS`.
        node: with everything inside rebuilt already; fields that say where its bytes are taken
            out.
        content: its bytes.
        parse: makes a value of the text of a node.
    """
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return simple(node)
    names = _FIELDS[kind]
    fields = dict(zip((*names, *_OPTIONAL), take(node, *names, optional=_OPTIONAL), strict=True))
    rows = expect(fields["rows"], int)
    joined = _joined(fields, rows) if "blocks" in node else []
    arrays = _read_columns(content, fields["arrays"], rows, parse, joined)
    if kind == "pandas.Array":
        (values,) = arrays
        return _as_extension(values)
    index = _decode_index(fields["index"], arrays, fields["arrays"])
    if len(index) != rows:
        raise ValueError("the index has another length")
    if kind == "pandas.Index":
        return index
    if kind == "pandas.Series":
        (values,) = arrays[: len(arrays) - _levels(fields["index"])]
        whole: Any = _series(values, index)
        whole.name = fields["name"]
    else:
        labels = _decode_labels(fields["columns"])
        columns = arrays[: len(arrays) - _levels(fields["index"])]
        together = {place for block in joined for place in block.at}
        blocks = [(column, [i]) for i, column in enumerate(columns) if i not in together]
        whole = frame_of([block.block(columns) for block in joined] + blocks, index, labels)
    if list(whole.shape) != fields["shape"]:
        raise ValueError("the table has another shape")
    whole.attrs = fields["attrs"] or {}
    if fields["unique_labels"]:
        whole.flags.allows_duplicate_labels = False
    return whole


_TABLE: Final = ("rows", "arrays", "index")
_OPTIONAL: Final = ("attrs", "unique_labels", "blocks")
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "pandas.DataFrame": (*_TABLE, "shape", "dtypes", "columns"),
    "pandas.Series": (*_TABLE, "shape", "dtypes", "name"),
    "pandas.Index": _TABLE,
    "pandas.Array": ("rows", "arrays"),
}


def _series(values: Any, index: pd.Index[Any]) -> Any:
    import pandas as pd  # noqa: PLC0415

    # The dtype is said: pandas would make strings of objects that happen to be strings.
    return pd.Series(values, index=index, dtype=values.dtype, copy=False)


def _as_extension(values: Any) -> Any:
    """Return a column that was read as the array of pandas that it was."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    if not isinstance(values, np.ndarray):
        return values
    if values.dtype.kind in "mM":
        return pd.array(values, dtype=values.dtype, copy=False)
    return pd.arrays.NumpyExtensionArray(values)


def _joined(fields: dict[str, Any], rows: int) -> list[Joined]:
    """Return the columns that were together in memory."""
    dtypes = [frame_columns.memory_of(spec) for spec in fields["arrays"]]
    found = [Joined(node, dtypes, rows) for node in expect(fields["blocks"], list)]
    places = [place for block in found for place in block.at]
    if not found or "columns" not in fields or len(set(places)) != len(places):
        raise ValueError("not the blocks of a table")
    return found


def _read_columns(
    content: Content,
    specs: list[dict[str, Any]],
    rows: int,
    parse: Callable[[str], Any],
    joined: list[Joined],
) -> list[Any]:
    blocks = {place: block for block in joined for place in block.at}

    def start(number: int, kind: Any) -> Any:
        into = blocks[number].row(number) if number in blocks else None
        frame_columns.expect_kind(specs[number], kind)
        content.budget.allocate(frame_columns.memory_for(specs[number], rows))
        return frame_columns.decoder(specs[number], kind, rows, parse, into)

    arrays = read_columns(content, len(expect(specs, list)), rows, start)
    if any(len(array) != rows for array in arrays):
        raise ValueError("the table has another length")
    content.note(alike(rows))
    return arrays


def _levels(index: Any) -> int:
    """Return how many columns of the table are the index's."""
    import pandas as pd  # noqa: PLC0415

    return 0 if isinstance(index, pd.RangeIndex) else index["levels"] or 1


def _decode_index(index: Any, arrays: list[Any], specs: list[dict[str, Any]]) -> Any:
    import pandas as pd  # noqa: PLC0415

    if isinstance(index, pd.RangeIndex):
        return index
    if not index["levels"]:
        name, freq, count = take(index, "name", "freq", "levels")
        expect(count, int)
        found = frame_columns.as_index(arrays[-1], specs[-1])
        found.name = name
        _set_frequency(found, freq)
        return found
    names, freqs, count = take(index, "names", "freqs", "levels")
    parts = arrays[-expect(count, int) :]
    expect(names, list)
    if len(parts) != count or any(spec.get("ordered") for spec in specs[-count:]):
        raise ValueError("not the levels of an index")
    levels = [part.categories for part in parts]
    for level, freq in zip(levels, freqs, strict=True):
        _set_frequency(level, freq)
    return pd.MultiIndex(levels, [part.codes for part in parts], names=names)


def _set_frequency(index: Any, freq: Any) -> None:
    """Give *index* its frequency; pandas would let any other index have the attribute, too."""
    import pandas as pd  # noqa: PLC0415

    if freq is not None:
        expect(index, pd.DatetimeIndex, pd.TimedeltaIndex)
        index.freq = freq


def _decode_labels(node: Any) -> Any:
    import pandas as pd  # noqa: PLC0415

    if isinstance(node, pd.Index):
        return node
    labels, spec, name = take(node, "labels", "dtype", "name")
    if any(type(label) is not str for label in expect(labels, list)):
        raise ValueError("labels of other types are kept as an index")
    dtype = object if spec is None else frame_columns.string_dtype(spec)
    return pd.Index(labels, dtype=dtype, name=name)


def _decode_range(node: dict[str, Any]) -> Any:
    import pandas as pd  # noqa: PLC0415

    start, stop, step, name = take(node, "start", "stop", "step", "name")
    if any(expect(number, int).bit_length() > _INT64_BITS for number in (start, stop, step)):
        raise ValueError("a range beyond 64 bits")
    return pd.RangeIndex(start, stop, step, name=name)


def _decode_timestamp(node: dict[str, Any]) -> Any:
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    count, unit, shown, zone, fold = take(node, "value", "unit", "shown", optional=("zone", "fold"))
    value = pd.Timestamp(np.datetime64(expect(count, int), unit))
    if zone is not None:
        value = value.tz_localize("UTC").tz_convert(frame_columns.zone_of(zone))
    if fold:
        value = value.replace(fold=fold)
    return _as_shown(value, shown)


def _decode_timedelta(node: dict[str, Any]) -> Any:
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    count, unit, shown = take(node, "value", "unit", "shown")
    return _as_shown(pd.Timedelta(np.timedelta64(expect(count, int), unit)), shown)


def _decode_period(node: dict[str, Any]) -> Any:
    import pandas as pd  # noqa: PLC0415

    ordinal, freq, shown = take(node, "ordinal", "freq", "shown")
    return _as_shown(pd.Period(ordinal=expect(ordinal, int), freq=freq), shown)


def _as_shown(value: Any, shown: str) -> Any:
    if str(value) != shown:
        raise ValueError(f"it is {value}, and was recorded as {shown}")
    return value


def _decode_interval(node: dict[str, Any]) -> Any:
    import pandas as pd  # noqa: PLC0415

    left, right, closed = take(node, "left", "right", "closed")
    return pd.Interval(left, right, closed)


def _decode_missing(name: str) -> Callable[[dict[str, Any]], Any]:
    def build(node: dict[str, Any]) -> Any:
        import pandas as pd  # noqa: PLC0415

        take(node)
        return getattr(pd, name)

    return build


_SIMPLE: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "pandas.RangeIndex": _decode_range,
    "pandas.Timestamp": _decode_timestamp,
    "pandas.Timedelta": _decode_timedelta,
    "pandas.Period": _decode_period,
    "pandas.Interval": _decode_interval,
    "pandas.NaT": _decode_missing("NaT"),
    "pandas.NA": _decode_missing("NA"),
}

KINDS: Final = frozenset({*_FIELDS, *_SIMPLE})

"""One column of a pandas table as an Arrow array and back, exactly.

pyarrow's own conversion forgets what this record must keep: object columns of numbers, the
difference between None and NaN, units, periods in object columns. So each column has a *spec*
beside its Arrow array: JSON that says what it was.
"""

from __future__ import annotations

import re
from datetime import timezone
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from ...errors import NotSerializableError
from ...model.blobs import NAME
from ..kinds import to_text
from ..nodes import Encoder, expect, take, unstorable

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd

Spec = dict[str, Any]

#: The missing values that an object column of strings may have, one kind in a column.
_MISSING: Final = ("None", "nan", "NA")

#: What a spec of each kind tells.
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "numpy": ("dtype",),
    "category": ("ordered", "of"),
    "zoned": ("unit", "zone"),
    "interval": ("closed", "of"),
    "period": ("freq",),
    "string": ("storage", "na"),
    "arrow": (),
    "masked": ("dtype",),
    "object": ("missing",),
    "json": ("files",),
}
_UNITS: Final = frozenset({"s", "ms", "us", "ns"})
_MASKED: Final = re.compile("U?Int(8|16|32|64)|Float(32|64)|boolean")
_ZONE: Final = re.compile(r"\w[\w+-]*(/\w[\w+-]*)*", re.ASCII)
#: That of two long doubles.
_LONGEST_ITEM: Final = 32
#: What an object of a column takes at least, with its place.
_OBJECT_BYTES: Final = 64
#: Arrow's types of columns that pandas gets as something else.
_KINDS: Final = {
    "category": "dictionary",
    "interval": "struct",
    "period": "int64",
    "string": "large_string",
    "object": "large_string",
    "json": "large_string",
}


def encode(w: Encoder, array: Any) -> tuple[Any, Spec]:  # noqa: C901, PLR0911 - one for each kind
    """Return a pandas array as an Arrow array, and what it takes to get it back.

    Raises:
        NotSerializableError: the column's type cannot be stored, or one of its items.
    """
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    if type(array) is pd.arrays.NumpyExtensionArray:  # StringArray is a subclass
        array = array.to_numpy()
    dtype = array.dtype
    if isinstance(dtype, np.dtype):
        values = np.asarray(array)
        return _encode_objects(w, values) if dtype.kind == "O" else _encode_numpy(values)
    if isinstance(dtype, pd.CategoricalDtype):
        categories, spec = encode(w, dtype.categories.array)
        if isinstance(dtype.categories, pd.RangeIndex):
            spec["range"] = True
        codes = np.asarray(array.codes)
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, mask=codes == -1), _one(categories), ordered=bool(dtype.ordered)
        ), {"is": "category", "ordered": bool(dtype.ordered), "of": spec}
    if isinstance(dtype, pd.DatetimeTZDtype):
        naive, _ = _encode_numpy(array.tz_convert(None).to_numpy())
        spec = {"is": "zoned", "unit": dtype.unit, "zone": w.node(stored_zone(dtype.tz))}
        return naive.view(pa.timestamp(dtype.unit, "UTC")), spec
    if isinstance(dtype, pd.IntervalDtype):
        left, spec = encode(w, array.left.array)
        right, _ = encode(w, array.right.array)
        both = pa.StructArray.from_arrays([_one(left), _one(right)], ["left", "right"])
        return both, {"is": "interval", "closed": dtype.closed, "of": spec}
    if isinstance(dtype, pd.PeriodDtype):
        missing = np.asarray(array.isna())
        ordinals = np.where(missing, 0, array.asi8)
        return pa.array(ordinals, mask=missing), {"is": "period", "freq": period_freq(dtype)}
    if isinstance(dtype, pd.StringDtype):
        na = "NA" if dtype.na_value is pd.NA else "nan"
        found = pa.array(array, pa.large_string())
        return found, {"is": "string", "storage": dtype.storage, "na": na}
    if isinstance(dtype, pd.ArrowDtype):
        return array.__arrow_array__(), {"is": "arrow"}
    if isinstance(array, pd.arrays.IntegerArray | pd.arrays.FloatingArray | pd.arrays.BooleanArray):
        return array.__arrow_array__(), {"is": "masked", "dtype": dtype.name}
    how = "; make it dense with .sparse.to_dense()" if isinstance(dtype, pd.SparseDtype) else ""
    raise unstorable(f"a column of dtype {dtype}{how}")


def period_freq(dtype: pd.PeriodDtype) -> str:
    """Return the name of a period's frequency: that of its offset may be another."""
    return str(dtype).removeprefix("period[").removesuffix("]")


def _one(array: Any) -> Any:
    """Return an Arrow array that may be chunked as one."""
    return array.combine_chunks() if hasattr(array, "combine_chunks") else array


def stored_zone(zone: Any) -> Any:
    """Return a time zone of pandas in a form that can be stored and gives an equal dtype."""
    if isinstance(zone, timezone | ZoneInfo):
        return zone
    key = getattr(zone, "zone", None)  # pytz, which pandas 2 makes of names
    return key if isinstance(key, str) else zone


def _encode_numpy(values: np.ndarray[Any, Any]) -> tuple[Any, Spec]:
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    dtype = values.dtype
    if not dtype.isnative:
        raise unstorable(
            f"a column of the foreign byte order {dtype.str}; use astype({dtype.name!r})"
        )
    spec = {"is": "numpy", "dtype": dtype.str}
    if dtype.kind in "biuf" and dtype.itemsize <= 8:  # noqa: PLR2004 - longdouble has more
        return pa.array(values, from_pandas=False), spec
    if dtype.kind in "mM" and np.datetime_data(dtype)[0] in _UNITS:
        return pa.array(values, from_pandas=True), spec
    if dtype.kind in "cmMf":
        plain = np.ascontiguousarray(values)
        kind = pa.binary(dtype.itemsize)
        return pa.Array.from_buffers(kind, len(plain), [None, pa.py_buffer(plain)]), spec
    raise unstorable(f"a column of dtype {dtype}")


def _encode_objects(w: Encoder, values: np.ndarray[Any, Any]) -> tuple[Any, Spec]:
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    kinds = {*map(type, values)}
    rest = kinds - {str}
    if len(rest) <= 1 and rest <= {type(None), type(pd.NA), float}:
        missing = {type(None): "None", type(pd.NA): "NA", float: "nan"}.get(
            next(iter(rest), type(None)), "None"
        )
        if missing != "nan" or all(item != item for item in values if type(item) is float):  # noqa: PLR0124
            try:
                found = pa.array(values, pa.large_string(), from_pandas=True)
            except UnicodeEncodeError:
                raise unstorable("a lone surrogate, which is not Unicode text") from None
            return found, {"is": "object", "missing": missing}
    # Anything else: each item as the JSON text of its node. Slow, exact, and SQL can read it.
    texts = []
    for index, item in enumerate(values):
        try:
            texts.append(to_text(w.node(item)))
        except NotSerializableError as error:
            error.path = f"[{index}]{error.path}"
            raise
    # What the texts refer to must be visible in the record itself: prune reads no tables.
    references = sorted({match.group() for text in texts for match in NAME.finditer(text)})
    return pa.array(texts, pa.large_string()), {"is": "json", "files": references}


class Filled:
    """A NumPy column that is filled batch by batch: no second copy of the whole in between."""

    def __init__(self, dtype: np.dtype[Any], length: int, into: Any = None) -> None:
        import numpy as np  # noqa: PLC0415

        self._values = np.empty(length, dtype) if into is None else into
        self._at = 0

    def add(self, chunk: Any) -> None:
        """Take the next part of the column."""
        import numpy as np  # noqa: PLC0415

        dtype, length = self._values.dtype, len(chunk)
        part = self._values[self._at : self._at + length]
        self._at += length
        if not length:
            return
        if dtype.kind in "mM" and chunk.null_count:
            # NaT is the smallest integer of all.
            part.view("i8")[:] = chunk.cast("int64").fill_null(np.iinfo("i8").min)
        elif chunk.null_count:
            raise ValueError("a missing value in a column that has none")
        elif dtype.kind == "b":
            part[:] = chunk.to_numpy(zero_copy_only=False)
        elif chunk.type.bit_width != dtype.itemsize * 8:
            raise ValueError("items of another size")
        else:
            part[:] = np.frombuffer(
                chunk.buffers()[1], dtype, length, chunk.offset * dtype.itemsize
            )

    def finish(self) -> Any:
        """Return the column."""
        if self._at != len(self._values):
            raise ValueError("the table has another length")
        return self._values


class Collected:
    """A column that is made of all its parts at once."""

    def __init__(self, build: Callable[[Any], Any], kind: Any) -> None:
        self._build, self._kind = build, kind
        self._chunks: list[Any] = []

    def add(self, chunk: Any) -> None:
        """Take the next part of the column."""
        self._chunks.append(chunk)

    def finish(self) -> Any:
        """Return the column."""
        import pyarrow as pa  # noqa: PLC0415

        return self._build(pa.chunked_array(self._chunks, self._kind))


def memory_of(spec: Spec) -> np.dtype[Any] | None:
    """Return the dtype of a column that is read as memory, None for any other."""
    import numpy as np  # noqa: PLC0415

    if spec["is"] != "numpy":
        return None
    dtype: np.dtype[Any] = np.dtype(expect(spec["dtype"], str))
    if dtype.kind not in "biufcmM" or dtype.itemsize > _LONGEST_ITEM:
        raise ValueError("a column of such items is never read as memory")
    return dtype


def memory_for(spec: Spec, rows: int) -> int:
    """Return about how many bytes a column of so many rows takes."""
    dtype = memory_of(spec)
    if dtype is not None:
        return rows * dtype.itemsize
    return rows * _OBJECT_BYTES if spec["is"] in ("object", "json") else 0


def expect_kind(spec: Spec, kind: Any) -> None:
    """Refuse a column of which the Arrow type is not the one that :func:`encode` writes.

    Others could be a thousand times what is in the file: texts that are all one, runs.
    """
    import pyarrow as pa  # noqa: PLC0415

    check = _KINDS.get(spec["is"])
    if check is not None and not getattr(pa.types, f"is_{check}")(kind):
        raise ValueError(f"a column of the type {kind}")


def zone_of(zone: Any) -> Any:
    """Return a time zone that pandas may be given; of some names it would open any file."""
    if not isinstance(zone, str):
        return expect(zone, ZoneInfo, timezone)
    if not _ZONE.fullmatch(zone) or zone.startswith("dateutil/"):
        raise ValueError(f"{zone!r} is not the name of a time zone")
    return zone


def decoder(
    spec: Spec, kind: Any, length: int, parse: Callable[[str], Any], into: Any = None
) -> Filled | Collected:
    """Return what rebuilds a column from its Arrow parts.

    Args:
        spec: as :func:`encode` gave it, with everything inside rebuilt.
        kind: the column's Arrow type.
        length: rows of the table.
        parse: makes a value of the text of a node.
        into: memory for a column that is read as such; its own if None.
    """
    take(spec, "is", *_FIELDS[spec["is"]], optional=("range",))
    dtype = memory_of(spec)
    if dtype is not None:
        return Filled(dtype, length, into)
    return Collected(lambda whole: _build(spec, whole, parse), kind)


def _build(spec: Spec, whole: Any, parse: Callable[[str], Any]) -> Any:  # noqa: C901, PLR0911 - one line for each kind
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    match spec["is"]:
        case "category":
            return _build_categorical(spec, whole, parse)
        case "zoned":
            # A name is what pandas 2 has of its zones.
            dtype = pd.DatetimeTZDtype(spec["unit"], zone_of(spec["zone"]))
            naive = {"is": "numpy", "dtype": f"<M8[{spec['unit']}]"}
            stamps = pd.DatetimeIndex(_rebuilt(naive, whole, parse), copy=False)
            return stamps.tz_localize("UTC").tz_convert(dtype.tz).array
        case "interval":
            parts = whole.flatten()
            left, right = (_rebuilt(spec["of"], part, parse) for part in parts)
            return pd.arrays.IntervalArray.from_arrays(
                left, right, closed=expect(spec["closed"], str)
            )
        case "period":
            # NaT is the smallest integer of all, here too.
            ordinals = np.array(whole.fill_null(np.iinfo("i8").min))
            freq = pd.PeriodDtype(spec["freq"]).freq
            periods: Any = pd.PeriodIndex
            return periods.from_ordinals(ordinals, freq=freq).array.copy()
        case "string":
            return string_dtype(spec).__from_arrow__(_contiguous(whole))
        case "arrow":
            arrow: Any = pd.ArrowDtype(whole.type)
            return arrow.__from_arrow__(whole)
        case "masked":
            # By its name alone: of other names pandas makes zones, which may be those of files.
            if not _MASKED.fullmatch(expect(spec["dtype"], str)):
                raise ValueError("not a dtype with a mask")
            masked: Any = pd.api.types.pandas_dtype(spec["dtype"])
            return masked.__from_arrow__(whole)
        case "object":
            return _build_strings(spec, whole)
        case "json":
            values = np.empty(len(whole), object)
            for index, text in enumerate(whole.to_pylist()):
                values[index] = parse(text)
            return values
        case unknown:
            raise ValueError(f"unexpected {unknown!r}")


def _rebuilt(spec: Spec, whole: Any, parse: Callable[[str], Any]) -> Any:
    expect_kind(spec, whole.type)
    column = decoder(spec, whole.type, len(whole), parse)
    for chunk in whole.chunks:
        column.add(chunk)
    return column.finish()


def _contiguous(whole: Any) -> Any:
    """Return *whole* on memory of its own: parts of it would keep a whole file in memory."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.chunked_array(
        [pa.concat_arrays(whole.chunks)] if whole.num_chunks else [], whole.type
    )


def string_dtype(spec: Spec) -> Any:
    """Return the string dtype that a spec of kind "string" tells of."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    kind, storage, na = take(spec, "is", "storage", "na")
    if kind != "string" or na not in ("nan", "NA"):
        raise ValueError("not the dtype of strings")
    try:
        return pd.StringDtype(expect(storage, str), na_value=np.nan if na == "nan" else pd.NA)
    except TypeError:  # pandas before 2.3 has the kind of missing value in the storage
        return pd.StringDtype("pyarrow_numpy" if na == "nan" else storage)


def _build_strings(spec: Spec, whole: Any) -> Any:
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    values = whole.to_numpy(zero_copy_only=False)
    missing = expect(spec["missing"], str)
    if missing not in _MISSING or (missing != "None" and not whole.null_count):
        raise ValueError(f"unexpected {missing!r}")
    if missing != "None":
        values[np.array(whole.is_null())] = pd.NA if missing == "NA" else np.nan
    return values


def _build_categorical(spec: Spec, whole: Any, parse: Callable[[str], Any]) -> pd.Categorical[Any]:
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    kind = whole.type
    # The writer has made one dictionary for all parts.
    first = whole.chunk(0).dictionary if whole.num_chunks else pa.array([], kind.value_type)
    categories = as_index(_rebuilt(spec["of"], pa.chunked_array([first]), parse), spec["of"])
    codes = [np.array(chunk.indices.fill_null(-1)) for chunk in whole.chunks]
    return pd.Categorical.from_codes(
        np.concatenate(codes) if codes else np.empty(0, "i1"),
        dtype=pd.CategoricalDtype(categories, ordered=expect(spec["ordered"], bool)),
    )


def _range_of(array: Any) -> tuple[int, int, int]:
    """Return start, stop and step of the range that an array of integers is."""
    if not len(array):
        return 0, 0, 1
    step = int(array[1] - array[0]) if len(array) > 1 else 1
    return int(array[0]), int(array[0]) + step * len(array), step


def as_index(array: Any, spec: Spec) -> Any:
    """Return a rebuilt column as an Index of exactly its type, without inference."""
    import pandas as pd  # noqa: PLC0415

    if spec.get("range"):
        return pd.RangeIndex(*_range_of(array))
    plain = spec["is"] in ("object", "json")
    return pd.Index(array, dtype=object) if plain else pd.Index(array, copy=False)

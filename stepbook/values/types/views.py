"""Arrays and other things that are told by where they are in memory which something else owns."""

from __future__ import annotations

import array
import io
from typing import TYPE_CHECKING, Any, Final

from ..nodes import TAG, expect, take, unstorable
from .memory import base_of, exporter, owner_of

if TYPE_CHECKING:
    from ..world import GraphWriter

#: What owns memory and is stored as itself, not by an array on it.
_BUFFERS: Final = (bytearray, array.array)
#: How far a walk through an array may have come: to come there again takes time.
FARTHEST: Final = 1_000_000


# ---- writing ------------------------------------------------------------------------------------


def encode(w: GraphWriter, value: Any) -> dict[str, Any] | None:  # noqa: PLR0911 - one for each kind
    """Return the node of an array, or a row of one, by its place in memory; None for any other."""
    import numpy as np  # noqa: PLC0415 - there are arrays

    if isinstance(value, np.void):
        return _row(w, value)
    if isinstance(value, np.flatiter):
        return _flat(w, value)
    if type(value) is not np.ndarray:
        return None
    owner = owner_of(value)
    if id(owner) not in w.owners:
        return _apart(w, value)
    base = w.bases.get(id(owner))
    if base is None:
        base = w.bases[id(owner)] = _whole(owner, value)
    if base is value:
        return None
    whole = base if isinstance(base, np.ndarray) else np.frombuffer(base, np.uint8)
    if whole.dtype.hasobject != value.dtype.hasobject:
        return None
    offset = _address(value) - _address(whole)
    if not 0 <= offset <= whole.nbytes:
        raise unstorable("it shares a buffer with another array, and is no view of that")
    return _view(w, value, base, offset, value.strides)


def _whole(owner: Any, value: Any) -> Any:
    """Return what stands for the memory that several arrays share."""
    import numpy as np  # noqa: PLC0415 - there are arrays

    if type(owner) in _BUFFERS:
        return owner
    base = base_of(value)
    # A subclass is told by its array, as the others are; so is what makes records of its fields.
    plain = base if type(base) is np.ndarray else base.view(np.ndarray)
    return plain.view(_without_records(plain.dtype)) if _is_records(plain) else plain


def _is_records(value: Any) -> bool:
    import numpy as np  # noqa: PLC0415 - there are arrays

    return issubclass(value.dtype.type, np.record)


def _without_records(dtype: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - there are arrays

    return np.dtype((np.void, dtype))


def _address(value: Any) -> int:
    return int(value.__array_interface__["data"][0])


def _view(w: GraphWriter, value: Any, base: Any, offset: int, strides: Any) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415 - there are arrays

    records = _is_records(value)
    dtype = _without_records(value.dtype) if records else value.dtype
    same = dtype == (base.dtype if isinstance(base, np.ndarray) else np.uint8)
    node = {
        TAG: "numpy.view",
        "base": w.needed(base),
        "offset": offset,
        "shape": list(value.shape),
        "strides": list(strides),
        "dtype": None if same else w.node(dtype),
        "writeable": bool(value.flags.writeable),
    }
    return {**node, "records": True} if records else node


def _apart(w: GraphWriter, value: Any) -> dict[str, Any] | None:
    """Return the node of an array by itself in an unusual order; None for any other.

    Elements that are one and the same in memory, as broadcasting makes them, stay so.
    """
    import numpy as np  # noqa: PLC0415 - there are arrays

    flags = value.flags
    if value.dtype.hasobject or value.dtype.kind == "T":
        return None
    if flags.c_contiguous or flags.f_contiguous or not value.size:
        if not _is_records(value):
            return None
        return _view(w, value, value.view(_without_records(value.dtype)), 0, value.strides)
    upward = value[tuple(slice(None, None, -1 if step < 0 else 1) for step in value.strides)]
    axes = sorted(range(value.ndim), key=lambda axis: (-upward.strides[axis], axis))
    steps = [(upward.strides[axis], value.shape[axis]) for axis in axes if value.shape[axis] > 1]
    inner = [*steps[1:], (value.itemsize, 1)]
    if any(step < below * count for (step, _), (below, count) in zip(steps, inner, strict=True)):
        size = sum(step * (count - 1) for step, count in steps) + value.itemsize
        if size > value.nbytes or any(step % value.itemsize for step, _ in steps):
            return None
        run = (size // value.itemsize,)
        base = np.lib.stride_tricks.as_strided(upward, run, (value.itemsize,)).copy()
        strides = list(value.strides)
    else:
        if axes == [*range(value.ndim)] and upward.strides == value.strides:
            return None  # it only has gaps
        base = np.ascontiguousarray(upward.transpose(axes))
        strides = [0] * value.ndim
        for axis, step in zip(axes, base.strides, strict=True):
            strides[axis] = step if value.strides[axis] >= 0 else -step
    offset = sum(-step * (n - 1) for step, n in zip(strides, value.shape, strict=True) if step < 0)
    if _is_records(base):
        base = base.view(_without_records(base.dtype))
    return _view(w, value, base, offset, strides)


def _row(w: GraphWriter, value: Any) -> dict[str, Any] | None:
    """Return the node of a row of a structured array that is on the memory of that."""
    import numpy as np  # noqa: PLC0415 - there are arrays

    if not isinstance(value.base, np.ndarray) or id(owner_of(value.base)) not in w.owners:
        return None
    base = value.base.view(np.ndarray)
    made = np.ndarray((1,), value.dtype, base, _address(value) - _address(base))
    return {TAG: "numpy.row", "of": w.needed(made)}


def _flat(w: GraphWriter, value: Any) -> dict[str, Any]:
    if value.index > FARTHEST:
        raise unstorable("a walk through an array that has come far")
    return {TAG: "numpy.flat", "of": w.needed(value.base), "index": value.index}


def encode_memoryview(w: GraphWriter, value: memoryview) -> dict[str, Any]:
    """Return the node of a memoryview, by the object of which it shows the memory."""
    import numpy as np  # noqa: PLC0415 - offsets in memory are told by no other

    try:
        of = exporter(value)
        contiguous, readonly = value.c_contiguous, value.readonly
    except ValueError:
        raise unstorable("a memoryview that was released") from None
    if not contiguous or not isinstance(of, (*_BUFFERS, bytes, np.ndarray, io.BytesIO)):
        raise unstorable("a memoryview of more than a buffer in one piece")
    whole = _memory(of)
    if not whole.c_contiguous or not whole.nbytes:
        raise unstorable("a memoryview of more than a buffer in one piece")
    start = _address(np.frombuffer(value.cast("B"), "u1")) if value.nbytes else None
    offset = 0 if start is None else start - _address(np.frombuffer(whole.cast("B"), "u1"))
    node = {TAG: "memoryview", "of": w.needed(of), "offset": offset, "format": value.format}
    return {**node, "shape": list(value.shape or ()), "readonly": readonly}


def _memory(of: Any) -> Any:
    return of.getbuffer() if isinstance(of, io.BytesIO) else memoryview(of)


def encode_array(w: GraphWriter, value: array.array[Any]) -> dict[str, Any]:
    """Return the node of an array of the module ``array``."""
    items = bytearray(value.tobytes()) if value.typecode != "u" else value.tounicode()
    return {TAG: "array", "code": value.typecode, "size": value.itemsize, "items": w.node(items)}


# ---- rebuilding ---------------------------------------------------------------------------------


def decode(kind: str, node: dict[str, Any]) -> Any:
    """Return what a node stands for, of which everything inside is rebuilt."""
    if kind == "numpy.view":
        return _decode_view(node)
    if kind == "numpy.row":
        (of,) = take(node, "of")
        return _array(of)[0]
    if kind == "numpy.flat":
        of, index = take(node, "of", "index")
        walk: Any = _array(of).flat
        for _ in range(min(expect(index, int), FARTHEST)):
            next(walk)
        return walk
    if kind == "array":
        return _decode_array(*take(node, "code", "size", "items"))
    return _decode_memoryview(*take(node, "of", "offset", "format", "shape", "readonly"))


#: Kinds that are rebuilt when everything inside is.
KINDS: Final = ("numpy.view", "numpy.row", "numpy.flat", "array", "memoryview")


def _array(value: Any) -> Any:
    import numpy as np  # noqa: PLC0415

    if not isinstance(value, np.ndarray):
        raise ValueError("not an array")  # noqa: TRY004 - the record is damaged
    return value


def _decode_view(node: dict[str, Any]) -> Any:
    import numpy as np  # noqa: PLC0415

    base, offset, shape, strides, dtype, writeable, records = take(
        node, "base", "offset", "shape", "strides", "dtype", "writeable", optional=("records",)
    )
    if type(base) in _BUFFERS:
        base = np.frombuffer(base, np.uint8)
    item = dtype or base.dtype
    if item.hasobject != base.dtype.hasobject or (
        item.hasobject and any(number % item.itemsize for number in (offset, *strides))
    ):
        raise ValueError("numbers in the place of objects")
    _check_within(base, item, shape, offset, strides)
    fixed = writeable and not base.flags.writeable
    if fixed:  # it was made before its base could no longer be written to
        base.flags.writeable = True
    made = np.ndarray(shape, item, base, offset, strides)
    if records:
        made = made.view(np.dtype((np.record, made.dtype)))
    made.flags.writeable = writeable
    if fixed:
        base.flags.writeable = False
    return made


def _check_within(base: Any, item: Any, shape: Any, offset: Any, strides: Any) -> None:
    """Refuse a view that leaves the memory of its base; NumPy's own check can overflow."""
    if len(expect(shape, list)) != len(expect(strides, list)):
        raise ValueError("not the strides of a shape")
    ways = [
        expect(step, int) * (expect(length, int) - 1)
        for step, length in zip(strides, shape, strict=True)
    ]
    first = expect(offset, int) + sum(way for way in ways if way < 0)
    last = offset + sum(way for way in ways if way > 0) + item.itemsize
    if min(shape, default=1) <= 0:  # nothing of it is ever looked at
        first, last = min(offset, 0), offset
    if min(shape, default=0) < 0 or first < 0 or last > base.nbytes:
        raise ValueError("a view beyond the memory of its array")


def _decode_array(code: str, size: int, items: Any) -> array.array[Any]:
    made = array.array(expect(code, str))
    if made.itemsize != size:
        raise ValueError("items have another size on this machine")
    if code == "u":
        made.fromunicode(expect(items, str))
    else:
        made.frombytes(expect(items, bytearray))
    return made


def _decode_memoryview(of: Any, offset: int, form: str, shape: list[int], readonly: Any) -> Any:
    view = _memory(of).cast("B")
    if not 0 <= expect(offset, int) <= view.nbytes:
        raise ValueError("it is beyond the end of its object")
    made, empty = view[offset:], view[:0]
    count = empty.cast(form).itemsize
    for length in shape:
        count *= expect(length, int)
    made = made[:count]
    made = made.cast(form, shape) if shape and (form != "B" or len(shape) > 1) else made
    return made.toreadonly() if readonly and not made.readonly else made

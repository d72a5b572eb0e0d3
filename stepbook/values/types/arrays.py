"""NumPy arrays as ``.npy``, never pickled, and NumPy scalars."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from ..nodes import TAG, Encoder, b64, expect, name_of, short, take, unb64, unstorable

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

#: Elements of an array that its preview shows.
_SHOWN: Final = 10

#: Bytes of an array that are copied and written at once.
_PART_BYTES: Final = 16 << 20

#: Kinds of scalars that stand in the record as values of Python, and the type of those.
_WRITTEN_OUT: Final = {"b": bool, "i": int, "u": int, "f": float, "U": str, "S": bytes}
_LONGEST_FLOAT: Final = 8

KINDS: Final = frozenset({"numpy.ndarray", "numpy.ndarray.items", "numpy.scalar", "numpy.dtype"})


def encode(w: Encoder, value: Any) -> dict[str, Any] | None:
    """Return the node of a NumPy array, scalar or dtype; None if it is nothing of these.

    Raises:
        NotSerializableError: it is of a subclass or holds what ``.npy`` cannot.
    """
    import numpy as np  # noqa: PLC0415

    if type(value) is np.ndarray:
        return _encode_array(w, value)
    if isinstance(value, np.ndarray):
        raise unstorable(
            f"{name_of(type(value))} is a subclass of ndarray; return numpy.asarray(x), or for a "
            "masked array its data and mask"
        )
    if isinstance(value, np.generic):
        return _encode_scalar(w, value)
    if isinstance(value, np.dtype):
        return {TAG: "numpy.dtype", "descr": _descr(w, value)}
    return None


def _descr(w: Encoder, dtype: np.dtype[Any]) -> Any:
    """Return *dtype* as ``.npy`` writes it, as a node."""
    import numpy as np  # noqa: PLC0415

    if dtype.hasobject or dtype.kind == "T":
        raise unstorable(f"the dtype {dtype} holds Python objects")
    descr = np.lib.format.dtype_to_descr(dtype)
    if np.lib.format.descr_to_dtype(descr) != dtype:
        raise unstorable(f"the dtype {dtype} has a memory layout that .npy cannot express")
    return w.node(descr)


def _encode_array(w: Encoder, value: np.ndarray[Any, Any]) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415

    dtype = value.dtype
    if dtype.kind == "O" and dtype.names is None:
        return w.items(
            "numpy.ndarray.items", _listed(value), dtype="object", shape=list(value.shape)
        )
    if dtype.kind == "T":
        return _encode_strings(w, value)
    _descr(w, dtype)
    ready = None
    if w.wants_copy(value.nbytes) and (value.flags.c_contiguous or value.flags.f_contiguous):
        ready = np.empty_like(value)
    return w.blob(
        "numpy.ndarray",
        "npy",
        lambda file: _write_npy(file, value, ready),
        size=value.nbytes,
        facts={"shape": list(value.shape), "dtype": str(dtype)},
        preview=lambda: [short(item) for item in value.flat[:_SHOWN].tolist()],
        ready=ready,
    )


def _write_npy(file: Any, value: np.ndarray[Any, Any], ready: np.ndarray[Any, Any] | None) -> None:
    """Write an array as ``numpy.save`` does, from its own memory where that is in one piece.

    Args:
        file: where to.
        value: the array.
        ready: is filled with *value* and written in its stead, so that it is what the file holds
            whatever else happens to *value* meanwhile. A part at a time: the hash, which takes
            longest, is at work from the first part on.
    """
    import numpy as np  # noqa: PLC0415

    head = io.BytesIO()
    plain = (value.flags.c_contiguous or value.flags.f_contiguous) and value.nbytes > 0
    if plain:
        try:
            about = np.lib.format.header_data_from_array_1_0(value)
            np.lib.format.write_array_header_1_0(head, about)
        except ValueError:  # very many fields, or names that are not Latin-1
            plain = False
    if not plain:
        if ready is not None:
            ready[...] = value
        np.lib.format.write_array(file, value if ready is None else ready, allow_pickle=False)
        return
    file.write(head.getvalue())
    content = _bytes_of(value)
    if ready is None:
        file.write(content)
        return
    copy = _bytes_of(ready)
    for start in range(0, len(content), _PART_BYTES):
        part = copy[start : start + _PART_BYTES]
        part[:] = content[start : start + _PART_BYTES]
        file.write(part)


def _bytes_of(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the bytes of an array that is in one piece, on the same memory."""
    import numpy as np  # noqa: PLC0415

    flat = value if value.flags.c_contiguous else value.T
    return flat.reshape(-1).view(np.uint8)


def _listed(value: np.ndarray[Any, Any]) -> list[Any]:
    # ravel copies the references only; tolist of an object array keeps the objects as they are.
    return value.ravel(order="C").tolist()


def _encode_strings(w: Encoder, value: np.ndarray[Any, Any]) -> dict[str, Any]:
    # StringDType's missing value, if it has one, is any object: None and NaN are the usual ones.
    facts: dict[str, Any] = {"coerce": value.dtype.coerce}
    if hasattr(value.dtype, "na_object"):
        facts["na"] = w.node(value.dtype.na_object)
    return w.items(
        "numpy.ndarray.items", _listed(value), dtype="str", shape=list(value.shape), **facts
    )


def _encode_scalar(w: Encoder, value: np.generic) -> dict[str, Any]:
    dtype = value.dtype
    node = {TAG: "numpy.scalar", "dtype": _descr(w, dtype)}
    if dtype.kind in _WRITTEN_OUT and (dtype.kind != "f" or dtype.itemsize <= _LONGEST_FLOAT):
        return {**node, "value": w.node(value.item())}
    # Complex, dates and what is longer than Python's own numbers: the bytes, and a text to read.
    return {**node, "raw": b64(value.tobytes()), "shown": str(value)}


# -- rebuilding ------------------------------------------------------------------------------------


def decode(
    kind: str, node: dict[str, Any], content: Callable[[Callable[[int], Any]], memoryview]
) -> Any:
    """Return the value that *node* stands for.

    Args:
        kind: one of :data:`KINDS`.
        node: with everything inside rebuilt already; fields that say where its bytes are taken
            out.
        content: reads the bytes into a buffer made by the function that it is given.
    """
    import numpy as np  # noqa: PLC0415

    if kind == "numpy.dtype":
        return _dtype(*take(node, "descr"))
    if kind == "numpy.scalar":
        return _decode_scalar(node)
    if kind == "numpy.ndarray.items":
        return _decode_items(node)
    shape, dtype = take(node, "shape", "dtype")
    view = content(lambda size: np.empty(size, np.uint8))
    value = _from_npy(view)
    if list(value.shape) != shape or str(value.dtype) != dtype:
        raise ValueError("the file holds another array")
    return value


def _from_npy(view: memoryview) -> np.ndarray[Any, Any]:
    """Return the array in *view*, on the same memory."""
    import numpy as np  # noqa: PLC0415

    # The head is small; only arrays with very many fields need more.
    head = io.BytesIO(bytes(view[: 1 << 20]))
    version = np.lib.format.read_magic(head)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:  # written with field names that are not Latin-1
        return np.lib.format.read_array(io.BytesIO(bytes(view)), allow_pickle=False)
    shape, fortran, dtype = read(head, max_header_size=1 << 20)
    if dtype.hasobject:
        raise ValueError("an array of objects is never read")
    count = int(np.prod(shape, dtype=np.int64))
    if head.tell() + count * dtype.itemsize != view.nbytes:
        raise ValueError("the file has another length")
    if count * dtype.itemsize == 0:
        return np.empty(shape, dtype, order="F" if fortran else "C")
    flat = np.frombuffer(view, dtype, count, head.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _dtype(descr: Any) -> np.dtype[Any]:
    import numpy as np  # noqa: PLC0415

    dtype = np.lib.format.descr_to_dtype(descr)
    if dtype.hasobject or np.lib.format.dtype_to_descr(dtype) != descr:
        raise ValueError("not a dtype in the form that was written")
    return dtype


def _decode_scalar(node: dict[str, Any]) -> Any:
    import numpy as np  # noqa: PLC0415

    dtype = _dtype(node["dtype"])
    if "value" in node:
        _, value = take(node, "dtype", "value")
        if dtype.kind not in _WRITTEN_OUT:
            raise ValueError("a value of this dtype is kept as bytes")
        made = np.array(expect(value, _WRITTEN_OUT[dtype.kind]), dtype)
        if dtype.kind in "iubUS" and made.item() != value:
            raise ValueError("does not fit its dtype")
        return made[()]
    _, data, _ = take(node, "dtype", "raw", "shown")
    made = np.frombuffer(unb64(data), dtype)
    if made.shape != (1,):
        raise ValueError("unexpected length")
    # A copy, as the buffer of a structured scalar would stay that of the array.
    return made.copy()[0]


def _decode_items(node: dict[str, Any]) -> np.ndarray[Any, Any]:
    import numpy as np  # noqa: PLC0415

    name, shape, items, coerce, na = take(
        node, "dtype", "shape", "items", optional=("coerce", "na")
    )
    if name == "object":
        dtype: Any = np.dtype(object)
    elif name == "str":
        facts = {"na_object": na} if "na" in node else {}
        dtype = np.dtypes.StringDType(coerce=expect(coerce, bool), **facts)
    else:
        raise ValueError(f"unexpected dtype {name!r}")
    flat = np.empty(len(items), dtype)
    for index, item in enumerate(items):  # assigning the whole list would look into its items
        if name == "str" and type(item) not in (str, type(na) if "na" in node else str):
            raise ValueError("an item that is no text")
        flat[index] = item
    if any(expect(length, int) < 0 for length in shape):
        raise ValueError("a length below zero")
    return flat.reshape(shape)

"""NumPy arrays as ``.npy``, never pickled, and NumPy scalars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nodes import TAG, Encoder, b64, expect, name_of, short, take, unb64, unstorable
from .npy import Pieces, alike, assemble, dtype_of, from_npy, head_of, memory, write_npy

if TYPE_CHECKING:
    import numpy as np

    from ..parts import Content

#: Elements of an array that its preview shows.
_SHOWN: Final = 10

#: Kinds of scalars that stand in the record as values of Python, and the type of those.
_WRITTEN_OUT: Final = {"b": bool, "i": int, "u": int, "f": float, "U": str, "S": bytes}
_LONGEST_FLOAT: Final = 8
_BYTES_OF_A_LETTER: Final = 4

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
            f"{name_of(type(value))} is a subclass of ndarray; return numpy.asarray(x)"
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
    descr = _descr(w, dtype)
    divides = w.divides(value.nbytes)
    if divides and not (value.flags.c_contiguous or value.flags.f_contiguous):
        value = np.ascontiguousarray(value)
    plain = value.flags.c_contiguous or value.flags.f_contiguous
    ready = np.empty_like(value) if plain and w.wants_copy(value.nbytes) else None
    fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    head = head_of(dtype, value.shape, fortran=fortran) if plain and value.nbytes else None
    pieces = None
    if head is not None:
        pieces = Pieces(value, head, descr, ready, remembered=divides)
        if divides and ready is not None and w.knows(pieces):
            ready[...] = value  # at once: what is not written must be what was compared
            pieces = Pieces(ready, head, descr, ready, remembered=True)
    return w.blob(
        "numpy.ndarray",
        "npy",
        pieces.write_all if pieces is not None else lambda file: write_npy(file, value, ready),
        size=value.nbytes,
        facts={"shape": list(value.shape), "dtype": str(dtype)},
        preview=lambda: [short(item) for item in value.flat[:_SHOWN].tolist()],
        ready=ready,
        parts=pieces if divides else None,
    )


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


def decode(kind: str, node: dict[str, Any], content: Content) -> Any:
    """Return the value that *node* stands for.

    Args:
        kind: one of :data:`KINDS`.
        node: with everything inside rebuilt already; fields that say where its bytes are taken
            out.
        content: its bytes.
    """
    if kind == "numpy.dtype":
        return dtype_of(*take(node, "descr"))
    if kind == "numpy.scalar":
        return _decode_scalar(node)
    if kind == "numpy.ndarray.items":
        return _decode_items(node)
    if content.is_divided:
        return assemble(content, *take(node, "shape", "dtype", "descr", "order"))
    shape, dtype = take(node, "shape", "dtype")
    value = from_npy(content(memory))
    if list(value.shape) != shape or str(value.dtype) != dtype:
        raise ValueError("the file holds another array")
    content.note(alike(value.nbytes))
    return value


def _decode_scalar(node: dict[str, Any]) -> Any:
    import numpy as np  # noqa: PLC0415

    dtype = dtype_of(node["dtype"])
    if "value" in node:
        _, value = take(node, "dtype", "value")
        if dtype.kind not in _WRITTEN_OUT:
            raise ValueError("a value of this dtype is kept as bytes")
        if dtype.kind in "US" and dtype.itemsize > _BYTES_OF_A_LETTER * (len(value) + 1):
            raise ValueError("a dtype that is longer than its text")
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

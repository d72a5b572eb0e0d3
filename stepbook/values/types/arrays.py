"""NumPy arrays as ``.npy``, never pickled, and NumPy scalars."""

from __future__ import annotations

import io
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import xxhash

from ..nodes import TAG, Encoder, b64, expect, name_of, short, take, unb64, unstorable
from ..parts import Part

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    import numpy as np

    from ..parts import Content, Reading

#: Elements of an array that its preview shows.
_SHOWN: Final = 10

#: Bytes of an array that are a part of it, about.
_PART_BYTES: Final = 1 << 20

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
    descr = _descr(w, dtype)
    divides = w.divides(value.nbytes)
    if divides and not (value.flags.c_contiguous or value.flags.f_contiguous):
        value = np.ascontiguousarray(value)
    plain = value.flags.c_contiguous or value.flags.f_contiguous
    ready = np.empty_like(value) if plain and w.wants_copy(value.nbytes) else None
    fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    head = _head(dtype, value.shape, fortran=fortran) if plain and value.nbytes else None
    pieces = None
    if head is not None:
        pieces = _Pieces(value, head, ready, remembered=divides)
        pieces.facts["descr"] = descr
        if divides and ready is not None and w.knows(pieces):
            ready[...] = value  # at once: what is not written must be what was compared
            pieces = _Pieces(ready, head, ready, remembered=True)
            pieces.facts["descr"] = descr
    return w.blob(
        "numpy.ndarray",
        "npy",
        pieces.write_all if pieces is not None else lambda file: _write_npy(file, value, ready),
        size=value.nbytes,
        facts={"shape": list(value.shape), "dtype": str(dtype)},
        preview=lambda: [short(item) for item in value.flat[:_SHOWN].tolist()],
        ready=ready,
        parts=pieces if divides else None,
    )


def _write_npy(file: Any, value: np.ndarray[Any, Any], ready: np.ndarray[Any, Any] | None) -> None:
    """Write an array as ``numpy.save`` does, and first to *ready*, which is then in the file."""
    import numpy as np  # noqa: PLC0415

    if ready is not None:
        ready[...] = value
        value = ready
    np.lib.format.write_array(file, value, allow_pickle=False)


def _head(dtype: np.dtype[Any], shape: tuple[int, ...], *, fortran: bool = False) -> bytes | None:
    """Return how the ``.npy`` of an array begins; None if it takes a later form than the first."""
    import numpy as np  # noqa: PLC0415

    head = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    try:
        np.lib.format.write_array_header_1_0(
            head, {"descr": descr, "fortran_order": fortran, "shape": shape}
        )
    except ValueError:  # very many fields, or names that are not Latin-1
        return None
    return head.getvalue()


class _Pieces:
    """An array that is in one piece of memory, as parts; see :class:`..parts.Divided`.

    Args:
        value: the array.
        head: how its ``.npy`` begins.
        ready: is filled with *value* and written in its stead, so that it is what the file holds
            whatever else happens to *value* meanwhile. A part at a time: the hash, which takes
            longest, is at work from the first part on.
        remembered: whether anybody wants to know its parts.
    """

    def __init__(
        self,
        value: np.ndarray[Any, Any],
        head: bytes,
        ready: np.ndarray[Any, Any] | None,
        *,
        remembered: bool,
    ) -> None:
        self._dtype, self._whole = value.dtype, head
        self._content = _bytes_of(value)
        self._ready = None if ready is None else _bytes_of(ready)
        self._step = _step(value.dtype)
        self._starts = range(0, value.nbytes, self._step)
        self._remembered = remembered
        self.sizes = [min(self._step, value.nbytes - start) for start in self._starts]
        self.digests: list[bytes | None] = [
            _digest(self._piece(start)) if remembered else None for start in self._starts
        ]
        fortran = value.flags.f_contiguous and not value.flags.c_contiguous
        self.alike: Hashable = _alike(value.nbytes)
        self.facts = {"order": "F" if fortran else "C"}

    def _piece(self, start: int) -> np.ndarray[Any, Any]:
        return self._content[start : start + self._step]

    def write_all(self, file: Any) -> None:
        """Write the array to a file."""
        self.write(file, range(len(self.sizes)))

    def write(self, file: Any, chosen: Sequence[int]) -> None:
        """Write some pieces to a file: those of them that are not all of it as a plain row."""
        head: bytes | None = self._whole
        if len(chosen) < len(self.sizes):
            length = sum(self.sizes[number] for number in chosen) // self._dtype.itemsize
            head = _head(self._dtype, (length,))
        file.write(head)
        for number in chosen:
            start = self._starts[number]
            # Of its own: what is hashed must be what is written, whoever changes it meanwhile.
            if self._ready is None:
                piece = self._piece(start).copy()
            else:
                piece = self._ready[start : start + self._step]
                piece[:] = self._piece(start)
            if self._remembered:
                self.digests[number] = _digest(piece)
            file.write(piece)

    def places(self, chosen: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Yield where in such a file each of the pieces is: its first byte, and how many."""
        at = 0
        for number in chosen:
            yield at, self.sizes[number]
            at += self.sizes[number]

    def look(self, read: Reading) -> tuple[list[Part], bytes]:
        """Return the pieces that are in a file, and its head."""
        view = read(_memory)
        file = _from_npy(view)
        content, step = _bytes_of(file), _step(file.dtype)
        starts = range(0, content.nbytes, step)
        pieces = [(start, content[start : start + step]) for start in starts]
        found = [
            Part(_digest(piece), (start, piece.nbytes), piece.nbytes) for start, piece in pieces
        ]
        return found, bytes(view[: view.nbytes - file.nbytes])

    def frame(self) -> bytes:
        """Return the head of a file that holds all of it: its shape, order and dtype."""
        return self._whole

    def brief(self, places: list[list[int]]) -> list[list[int]]:
        """Return the same places, those that follow each other in a file as one."""
        found: list[list[int]] = []
        for file, at, count in places:
            if found and found[-1][0] == file and found[-1][1] + found[-1][2] == at:
                found[-1][2] += count
            else:
                found.append([file, at, count])
        return found


def _alike(size: int) -> tuple[str, int]:
    """Return what tells that arrays of *size* bytes may have pieces in common."""
    return "pieces", size


def _digest(piece: Any) -> bytes:
    return xxhash.xxh3_128_digest(piece)


def _step(dtype: np.dtype[Any]) -> int:
    """Return how many bytes of an array are one piece: whole elements."""
    return max(_PART_BYTES // dtype.itemsize, 1) * dtype.itemsize


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


def decode(kind: str, node: dict[str, Any], content: Content) -> Any:
    """Return the value that *node* stands for.

    Args:
        kind: one of :data:`KINDS`.
        node: with everything inside rebuilt already; fields that say where its bytes are taken
            out.
        content: its bytes.
    """
    if kind == "numpy.dtype":
        return _dtype(*take(node, "descr"))
    if kind == "numpy.scalar":
        return _decode_scalar(node)
    if kind == "numpy.ndarray.items":
        return _decode_items(node)
    if content.is_divided:
        return _assemble(content, *take(node, "shape", "dtype", "descr", "order"))
    shape, dtype = take(node, "shape", "dtype")
    value = _from_npy(content(_memory))
    if list(value.shape) != shape or str(value.dtype) != dtype:
        raise ValueError("the file holds another array")
    content.note(_alike(value.nbytes))
    return value


def _memory(size: int) -> np.ndarray[Any, Any]:
    import numpy as np  # noqa: PLC0415

    return np.empty(size, np.uint8)


def _assemble(content: Content, shape: Any, name: Any, descr: Any, order: Any) -> Any:
    """Return the array of which *content* has the pieces."""
    import numpy as np  # noqa: PLC0415

    dtype = _dtype(descr)
    size = int(np.prod([expect(length, int) for length in shape], dtype=object)) * dtype.itemsize
    if str(dtype) != name or order not in ("C", "F") or min(shape, default=0) < 0:
        raise ValueError("not the facts of an array")
    by_source = [*content.by_source(2)]
    ends = [*accumulate(place[-1] for place in content.places or ())]
    if not ends or ends[-1] != size:
        raise ValueError("the pieces have another length")
    whole: np.ndarray[Any, Any] | None = None
    for source, wanted in sorted(by_source, key=lambda pair: -pair[0].size):
        held = _bytes_of(_from_npy(source.read(_memory)))
        if any(at + count > held.nbytes for _, at, count in wanted):
            raise ValueError("a piece is beyond the end of its file")
        if whole is None:
            if held.nbytes == size and all(ends[n] - count == at for n, at, count in wanted):
                whole = held  # each piece is in its place; those of other files follow
                continue
            whole = _memory(size)
        for number, at, count in wanted:
            whole[ends[number] - count : ends[number]] = held[at : at + count]
    if whole is None:
        raise ValueError("no pieces")
    content.note(_alike(size))
    return whole.view(dtype).reshape(shape, order=order)


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

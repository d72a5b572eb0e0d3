"""Arrays as ``.npy`` files, and arrays of which the pieces are in several of them."""

from __future__ import annotations

import ast
import io
import math
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import xxhash

from ..nodes import expect
from ..parts import Part

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    import numpy as np

    from ..parts import Content, Reading

#: Bytes of an array that are a part of it, about.
_PART_BYTES: Final = 1 << 20
#: Bytes of an item of an array that has none: NumPy may reserve room for one.
_LONGEST_EMPTY: Final = 1 << 26


# -- writing ---------------------------------------------------------------------------------------


def write_npy(file: Any, value: np.ndarray[Any, Any], ready: np.ndarray[Any, Any] | None) -> None:
    """Write an array as ``numpy.save`` does, and first to *ready*, which is then in the file."""
    import numpy as np  # noqa: PLC0415

    if ready is not None:
        ready[...] = value
        value = ready
    np.lib.format.write_array(file, value, allow_pickle=False)


def head_of(dtype: np.dtype[Any], shape: tuple[int, ...], *, fortran: bool = False) -> bytes | None:
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


class Pieces:
    """An array that is in one piece of memory, as parts; see :class:`..parts.Divided`.

    Args:
        value: the array.
        head: how its ``.npy`` begins.
        descr: the node of its dtype.
        ready: is filled with *value* and written in its stead, so that it is what the file holds
            whatever else happens to *value* meanwhile. A part at a time: the hash, which takes
            longest, is at work from the first part on.
        remembered: whether anybody wants to know its parts.
    """

    def __init__(
        self,
        value: np.ndarray[Any, Any],
        head: bytes,
        descr: Any,
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
        self.alike: Hashable = alike(value.nbytes)
        self.facts = {"descr": descr, "order": "F" if fortran else "C"}

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
            head = head_of(self._dtype, (length,))
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
        view = read(memory)
        file = from_npy(view)
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


def alike(size: int) -> tuple[str, int]:
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


# -- reading ---------------------------------------------------------------------------------------


def dtype_of(descr: Any) -> np.dtype[Any]:
    """Return the dtype that *descr* tells of, in the form that ``.npy`` has."""
    import numpy as np  # noqa: PLC0415

    dtype = np.lib.format.descr_to_dtype(descr)
    if dtype.hasobject or np.lib.format.dtype_to_descr(dtype) != descr:
        raise ValueError("not a dtype in the form that was written")
    return dtype


def memory(size: int) -> np.ndarray[Any, Any]:
    """Return a buffer of *size* bytes, which nobody has cleared."""
    import numpy as np  # noqa: PLC0415

    return np.empty(size, np.uint8)


def assemble(content: Content, shape: Any, name: Any, descr: Any, order: Any) -> Any:
    """Return the array of which *content* has the pieces."""
    dtype = dtype_of(descr)
    size = math.prod(expect(length, int) for length in shape) * dtype.itemsize
    if str(dtype) != name or order not in ("C", "F") or min(shape, default=0) < 0:
        raise ValueError("not the facts of an array")
    by_source = [*content.by_source(2)]
    ends = [*accumulate(place[-1] for place in content.places or ())]
    if not ends or ends[-1] != size:
        raise ValueError("the pieces have another length")
    whole: np.ndarray[Any, Any] | None = None
    for source, wanted in sorted(by_source, key=lambda pair: -pair[0].size):
        held = _bytes_of(from_npy(source.read(memory)))
        if any(at + count > held.nbytes for _, at, count in wanted):
            raise ValueError("a piece is beyond the end of its file")
        if whole is None:
            if held.nbytes == size and all(ends[n] - count == at for n, at, count in wanted):
                whole = held  # each piece is in its place; those of other files follow
                continue
            content.budget.allocate(size)
            whole = memory(size)
        for number, at, count in wanted:
            whole[ends[number] - count : ends[number]] = held[at : at + count]
    if whole is None:
        raise ValueError("no pieces")
    content.note(alike(size))
    return whole.view(dtype).reshape(shape, order=order)


def from_npy(view: memoryview) -> np.ndarray[Any, Any]:
    """Return the array in *view*, on the same memory."""
    import numpy as np  # noqa: PLC0415

    # The head is small; only arrays with very many fields need more.
    head = io.BytesIO(bytes(view[: 1 << 20]))
    version = np.lib.format.read_magic(head)
    read: Any = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
        (3, 0): _read_header_3,  # written with field names that are not Latin-1
    }[version]
    shape, fortran, dtype = read(head, max_header_size=1 << 20)
    if dtype.hasobject:
        raise ValueError("an array of objects is never read")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or head.tell() + count * dtype.itemsize != view.nbytes:
        raise ValueError("the file has another length")
    if count * dtype.itemsize == 0:
        if dtype.itemsize > _LONGEST_EMPTY:
            raise ValueError("an array of nothing with items that long")
        return np.empty(shape, dtype, order="F" if fortran else "C")
    flat = np.frombuffer(view, dtype, count, head.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _read_header_3(file: Any, max_header_size: int) -> tuple[tuple[int, ...], bool, Any]:
    """Return shape, order and dtype of the third form; NumPy has no function for it by itself."""
    import numpy as np  # noqa: PLC0415

    length = int.from_bytes(file.read(4), "little")
    if length > max_header_size:
        raise ValueError("a head that is too long")
    text = file.read(length)
    found = ast.literal_eval(text.decode())
    if not isinstance(found, dict) or found.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("not the head of an array")
    shape = found["shape"]
    if not isinstance(shape, tuple) or any(type(item) is not int for item in shape):
        raise ValueError("not the shape of an array")
    return shape, bool(found["fortran_order"]), np.lib.format.descr_to_dtype(found["descr"])

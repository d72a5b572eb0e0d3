"""What an Arrow IPC file declares, read before Arrow believes it.

Arrow allocates what a compressed buffer says it has before it looks whether it does, so 900 bytes
can ask for any memory. The places and lengths stand in the metadata of each batch, which are
flatbuffers: tables of offsets. Of these only what is needed here is read.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

_MAGIC: Final = b"ARROW1"
_SHORT, _INT, _UINT, _LONG = (Struct(form).unpack_from for form in ("<H", "<i", "<I", "<q"))
_TWO_LONGS: Final = Struct("<qq")
_BLOCK: Final = Struct("<qi4xq")
#: LZ4 makes of one byte at most that many.
_MOST_LZ4: Final = 256
_LZ4: Final = 0
_DICTIONARY, _BATCH = 2, 3


class Declared(NamedTuple):
    """What a file declares.

    Attributes:
        rows: of all its batches.
        unpacked: bytes of all buffers without compression.
    """

    rows: int
    unpacked: int


def declared(file: memoryview) -> Declared:
    """Return what an IPC file declares.

    Raises:
        ValueError: something is declared that is not in the file, or cannot be.
    """
    try:
        return _declared(memoryview(file).cast("B"))
    except (IndexError, TypeError) as error:
        raise ValueError("not an Arrow file") from error
    except Exception as error:
        if type(error).__module__ == "struct":
            raise ValueError("an Arrow file that ends before its end") from error
        raise


def _declared(file: memoryview) -> Declared:
    end = file.nbytes - 10
    if end < 8 or bytes(file[:6]) != _MAGIC or bytes(file[-6:]) != _MAGIC:  # noqa: PLR2004
        raise ValueError("not an Arrow file")
    (length,) = _INT(file, end)
    if not 0 < length <= end - 8:
        raise ValueError("not an Arrow file")
    footer = file[end - length : end]
    table = _root(footer, 0)
    rows = unpacked = 0
    for field, kind in ((2, _DICTIONARY), (3, _BATCH)):
        for at in _vector(footer, table, field, _BLOCK.size):
            start, metadata, body = _BLOCK.unpack_from(footer, at)
            if min(start, metadata, body) < 0 or start + metadata + body > file.nbytes:
                raise ValueError("a batch beyond the end of its file")
            content = file[start + metadata : start + metadata + body]
            count, size = _batch(file[start : start + metadata], content, kind)
            rows += count if kind == _BATCH else 0
            unpacked += size
    return Declared(rows, unpacked)


def _batch(metadata: memoryview, body: memoryview, kind: int) -> tuple[int, int]:
    """Return how many rows a batch has, and how many bytes its buffers have when unpacked."""
    (first,) = _INT(metadata, 0)
    message = metadata[8 if first == -1 else 4 :]
    table = _root(message, 0)
    if _byte(message, table, 1) != kind:
        raise ValueError("a batch of another kind")
    batch = _table(message, table, 2)
    if kind == _DICTIONARY:
        batch = _table(message, batch, 1)
    rows = _long(message, batch, 0)
    if rows < 0:
        raise ValueError("a batch with fewer rows than none")
    packed = _field(message, batch, 3)
    if packed and _byte(message, _root(message, packed), 0) != _LZ4:
        raise ValueError("a compression that stepbook does not write")
    size = 0
    for at in _vector(message, batch, 2, _TWO_LONGS.size):
        start, length = _TWO_LONGS.unpack_from(message, at)
        if start < 0 or length < 0 or start + length > body.nbytes:
            raise ValueError("a buffer beyond the end of its batch")
        if packed and length:
            (unpacked,) = _LONG(body, start)
            if unpacked == -1:
                unpacked = length - 8
            if not 0 <= unpacked <= length * _MOST_LZ4:
                raise ValueError("a buffer that cannot have what it declares")
            length = unpacked
        size += length
    return rows, size


# ---- flatbuffers --------------------------------------------------------------------------------


def _root(data: memoryview, at: int) -> int:
    """Return where the table is to which the offset at *at* leads."""
    return int(at + _UINT(data, at)[0])


def _field(data: memoryview, table: int, number: int) -> int:
    """Return where a field of a table is, 0 if it has none."""
    entries = table - _INT(data, table)[0]
    place = 4 + 2 * number
    if entries < 0 or place >= _SHORT(data, entries)[0]:
        return 0
    (offset,) = _SHORT(data, entries + place)
    return int(table + offset) if offset else 0


def _byte(data: memoryview, table: int, number: int) -> int:
    at = _field(data, table, number)
    return data[at] if at else 0


def _long(data: memoryview, table: int, number: int) -> int:
    at = _field(data, table, number)
    return int(_LONG(data, at)[0]) if at else 0


def _table(data: memoryview, table: int, number: int) -> int:
    at = _field(data, table, number)
    if not at:
        raise ValueError("a batch without its content")
    return _root(data, at)


def _vector(data: memoryview, table: int, number: int, size: int) -> range:
    """Return where each of the structs of a field is."""
    at = _field(data, table, number)
    if not at:
        return range(0)
    start = _root(data, at)
    (count,) = _UINT(data, start)
    if start + 4 + count * size > data.nbytes:
        raise ValueError("a list beyond its end")
    return range(start + 4, start + 4 + count * size, size)

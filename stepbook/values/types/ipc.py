"""Arrow IPC files (lz4), and tables of which the columns are in several of them."""

from __future__ import annotations

import io
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import xxhash

from ..parts import LEAST_PART_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..nodes import Encoder
    from ..parts import Content, Source

    Reading = Callable[[Callable[[int], Any]], memoryview]

#: Rows of a record batch, as feather has them.
_BATCH_ROWS: Final = 1 << 16
#: Record batches that are decompressed before they are asked for.
_AHEAD: Final = 2


# -- whole tables ----------------------------------------------------------------------------------


def write_ipc(table: Any, file: Any) -> None:
    """Write an Arrow table to a binary file, compressed, a batch at a time."""
    import pyarrow as pa  # noqa: PLC0415

    options = pa.ipc.IpcWriteOptions(compression="lz4")
    table = table.unify_dictionaries()
    with pa.ipc.new_file(pa.PythonFile(file, "w"), table.schema, options=options) as writer:
        for batch in _cut(table):
            writer.write_batch(batch)
        if table.num_columns and not table.num_rows:
            # Without a batch the dictionaries of empty categoricals would not be written.
            empty = [_empty(column) for column in table.columns]
            writer.write_batch(pa.record_batch(empty, schema=table.schema))


def _cut(table: Any) -> Iterator[Any]:
    """Yield the batches of a table: the same for equal columns, however those are in memory."""
    import pyarrow as pa  # noqa: PLC0415

    for start in range(0, table.num_rows, _BATCH_ROWS):
        rows = table.slice(start, _BATCH_ROWS)
        with suppress(pa.ArrowNotImplementedError):  # types of which Arrow cannot join two arrays
            rows = rows.combine_chunks()
        yield from rows.to_batches()


def _empty(column: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def read_ipc(content: Reading, fields: list[int] | None = None) -> Any:
    """Return a reader of the batches that *content* holds, of some columns only."""
    import pyarrow as pa  # noqa: PLC0415

    # Arrow's own memory: a bytearray is cleared first, which takes as long as reading does.
    file = pa.BufferReader(pa.py_buffer(content(pa.allocate_buffer)))
    return pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=fields))


def batches(reader: Any) -> Iterator[Any]:
    """Yield the record batches of *reader*; the next ones are decompressed meanwhile."""
    count = reader.num_record_batches
    if count <= _AHEAD:
        yield from (reader.get_batch(i) for i in range(count))
        return
    with ThreadPoolExecutor(1) as beside:
        ahead = deque(beside.submit(reader.get_batch, i) for i in range(_AHEAD))
        for following in range(_AHEAD, count + _AHEAD):
            batch = ahead.popleft().result()
            if following < count:
                ahead.append(beside.submit(reader.get_batch, following))
            yield batch


# -- columns ---------------------------------------------------------------------------------------


class ColumnDigest:
    """The XXH3 of a column: of what Arrow would write of it, without compression.

    The same when it is taken of the batches that were written and read again.
    """

    def __init__(self, kind: Any) -> None:
        import pyarrow as pa  # noqa: PLC0415

        self._hash = xxhash.xxh3_128()
        self._schema = pa.schema([("", kind)])
        self._writer = pa.ipc.new_stream(pa.PythonFile(_Hashing(self._hash), "w"), self._schema)
        self.size = 0

    def add(self, chunk: Any) -> None:
        """Take the next batch of the column."""
        import pyarrow as pa  # noqa: PLC0415

        self._writer.write_batch(pa.record_batch([chunk], schema=self._schema))
        # A dictionary is the same in all batches.
        self.size += (chunk.indices if hasattr(chunk, "dictionary") else chunk).nbytes

    def finish(self) -> bytes:
        """Return the digest."""
        self._writer.close()
        return self._hash.digest()


class _Hashing(io.RawIOBase):
    """A file of which only a hash is kept."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Add *data* to the hash."""
        self._of.update(data)
        return memoryview(data).nbytes


class Columns:
    """A table as parts, its columns; see :class:`..parts.Divided`.

    Args:
        table: an Arrow table.
        whole: writes all of it to a file.
        private: whether nobody else could change what it holds.
    """

    def __init__(self, table: Any, whole: Callable[[Any], None], *, private: bool) -> None:
        self._table = table.unify_dictionaries()
        self._whole = whole
        self._private = private
        self.sizes = [column.nbytes for column in table.columns]
        self.digests: list[bytes | None] = [*map(self._digest, range(table.num_columns))]
        self.facts: dict[str, Any] = {}

    def _digest(self, number: int) -> bytes:
        column = self._table.select([number])
        digest = ColumnDigest(column.schema.types[0])
        for batch in _cut(column):
            digest.add(batch.column(0))
        return digest.finish()

    def write(self, file: Any, chosen: Sequence[int]) -> None:
        """Write some columns to a file."""
        if len(chosen) == len(self.sizes):
            self._whole(file)
        else:
            write_ipc(self._table.select(chosen), file)
        for number in () if self._private else chosen:
            # A thread may have changed it since, so that something else was written.
            if self._digest(number) != self.digests[number]:
                self.digests[number] = None

    def places(self, chosen: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Yield where in such a file each of the chosen columns is."""
        return ((place,) for place in range(len(chosen)))

    def brief(self, places: list[list[int]]) -> list[list[int]]:
        """Return the places: one for each column."""
        return places


def divided(
    w: Encoder, table: Any, whole: Callable[[Any], None], *, private: bool
) -> Columns | None:
    """Return a table as parts; None if it is too small for that, or too small are its columns."""
    columns = max(table.num_columns, 1)
    if not w.divides(table.nbytes) or table.nbytes < columns * LEAST_PART_BYTES:
        return None
    return Columns(table, whole, private=private)


def read_columns(content: Content, columns: int, start: Callable[[int, Any], Any]) -> list[Any]:
    """Return the columns of a table that *content* holds, in one file or by parts.

    Args:
        content: the bytes.
        columns: how many there are.
        start: returns what takes in the batches of a column, given its number and Arrow type.

    Raises:
        ValueError: the files hold another table.
    """
    taking: list[Any] = [None] * columns
    if not content.is_divided:
        (source,) = content.sources
        reader = read_ipc(source.read)
        if len(reader.schema) != columns:
            raise ValueError("the file holds another table")
        whole = [*range(columns)]
        inner = [(number, number) for number in whole]
        _take(source, reader, inner, start, taking, whole if source.is_worth(columns) else [])
    else:
        if len(content.places or ()) != columns:
            raise ValueError("the files hold another table")
        for source, wanted in content.by_source(1):
            fields = sorted({at for _, at in wanted})
            reader = read_ipc(source.read, fields)
            inner = [(number, fields.index(at)) for number, at in wanted]
            _take(source, reader, inner, start, taking, fields)
    return [column.finish() for column in taking]


def _take(
    source: Source,
    reader: Any,
    wanted: list[tuple[int, int]],
    start: Callable[[int, Any], Any],
    taking: list[Any],
    fields: Sequence[int],
) -> None:
    """Begin the columns that *source* has, and give them their batches.

    Args:
        source: the file.
        reader: of its batches.
        wanted: the number of each column, and where in the batches it is.
        start: as in :func:`read_columns`.
        taking: filled with what takes in the columns.
        fields: where in the file the columns of the batches are; none of them is remembered if
            this is empty.
    """
    digests = [ColumnDigest(kind) for kind in reader.schema.types] if fields else []
    for number, position in wanted:
        taking[number] = start(number, reader.schema.types[position])
    for batch in batches(reader):
        for number, position in wanted:
            taking[number].add(batch.column(position))
        for digest, chunk in zip(digests, batch.columns, strict=False):
            digest.add(chunk)
    found = [(digest.finish(), (at,)) for digest, at in zip(digests, fields, strict=True)]
    source.learn(found, sum(digest.size for digest in digests))

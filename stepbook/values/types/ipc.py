"""Arrow IPC files (lz4), and tables of which the columns are in several of them."""

from __future__ import annotations

import io
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import xxhash

from ...system.interrupts import section
from ...system.platform import leave_signals_to_others
from ..budget import Budget
from ..parts import LEAST_PART_BYTES, Part, Source
from .footer import declared

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from ..nodes import Encoder
    from ..parts import Content, Reading

#: Rows of a record batch, as feather has them.
_BATCH_ROWS: Final = 1 << 16
#: Record batches that are decompressed before they are asked for.
_AHEAD: Final = 2
_BIG_BATCH_BYTES: Final = 1 << 20


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


def read_ipc(content: Content) -> Any:
    """Return the table that *content* holds, after all of it was found valid."""
    (source,) = content.sources
    reader, _ = _opened(source, content.budget)
    return _valid(reader.read_all())


def read_checked(content: Content, allocate: Callable[[int], Any]) -> memoryview:
    """Return the bytes of a file, after what it declares was found possible."""
    (source,) = content.sources
    view = source.read(allocate)
    _unpacked(source, content.budget, view)
    return view


def _opened(source: Source, budget: Budget, rows: int | None = None) -> tuple[Any, Any]:
    """Return a reader of what a file holds, and what it reads from.

    Args:
        source: the file.
        budget: is asked for what Arrow will allocate.
        rows: how many it must have; None for any number.
    """
    import pyarrow as pa  # noqa: PLC0415

    # Arrow's own memory: a bytearray is cleared first, which takes as long as reading does.
    view = source.read(pa.allocate_buffer)
    if rows not in (None, _unpacked(source, budget, view)):
        raise ValueError("the table has another length")
    file = pa.py_buffer(view)
    return _reader(file), file


def _unpacked(source: Source, budget: Budget, view: memoryview) -> int:
    """Ask for what a file takes when it is unpacked; return how many rows it has."""
    found = declared(view)
    budget.unpacked("" if source.stored is None else source.stored.file, found.unpacked)
    return found.rows


def _reader(file: Any, fields: list[int] | None = None) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    options = pa.ipc.IpcReadOptions(included_fields=fields)
    return pa.ipc.open_file(pa.BufferReader(file), options=options)


def _valid(found: Any) -> Any:
    """Return a table or batch in which no offset leads out of it, and no text is none."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        found.validate(full=True)
    except pa.ArrowInvalid as error:
        raise ValueError(f"not valid: {error}") from error
    return found


def batches(reader: Any, size: int) -> Iterator[Any]:
    """Yield the record batches of *reader*; of big ones the next are decompressed meanwhile.

    Args:
        reader: of a file.
        size: how many bytes that has.
    """
    count = reader.num_record_batches
    if count <= _AHEAD or size < count * _BIG_BATCH_BYTES:
        yield from (_valid(reader.get_batch(i)) for i in range(count))
        return
    # Plain queues: an interrupt leaves the locks of an executor behind.
    wanted: SimpleQueue[int | None] = SimpleQueue()
    made: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def decompress() -> None:
        leave_signals_to_others()
        while (number := wanted.get()) is not None:
            try:
                made.put((_valid(reader.get_batch(number)), None))
            except BaseException as error:  # noqa: BLE001 - raised where it belongs
                made.put((None, error))

    with section():
        threading.Thread(target=decompress, name="stepbook-batches", daemon=True).start()
    try:
        for number in range(_AHEAD):
            wanted.put(number)
        for following in range(_AHEAD, count + _AHEAD):
            batch, error = made.get()
            if error is not None:
                raise error
            if following < count:
                wanted.put(following)
            yield batch
    finally:
        wanted.put(None)


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
        shown: returns the same table with what others are told of it.
        private: whether nobody else could change what it holds.
    """

    def __init__(self, table: Any, shown: Callable[[], Any], *, private: bool) -> None:
        self._table = table.unify_dictionaries()
        self._shown = shown
        self._private = private
        self.sizes = [column.nbytes for column in table.columns]
        self.digests: list[bytes | None] = [*map(self._digest, range(table.num_columns))]
        self.alike: Hashable = alike(self._table.num_rows)
        self.facts: dict[str, Any] = {}

    def _digest(self, number: int) -> bytes:
        import pyarrow as pa  # noqa: PLC0415

        column = self._table.column(number)
        digest = ColumnDigest(column.type)
        for start in range(0, len(column), _BATCH_ROWS):
            rows = column.slice(start, _BATCH_ROWS)
            if rows.num_chunks > 1:  # as in the batches that are written
                with suppress(pa.ArrowNotImplementedError):
                    rows = pa.table([rows], [""]).combine_chunks().column(0)
            for chunk in rows.chunks:
                digest.add(chunk)
        return digest.finish()

    def write(self, file: Any, chosen: Sequence[int]) -> None:
        """Write some columns to a file."""
        whole = len(chosen) == len(self.sizes)
        write_ipc(self._shown() if whole else self._table.select(chosen), file)
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

    def look(self, read: Reading) -> tuple[list[Part], bytes]:
        """Return the columns that are in a file, and its schema."""
        reader, file = _opened(Source(read), Budget())
        digests = [ColumnDigest(kind) for kind in reader.schema.types]
        for batch in batches(reader, file.size):
            for digest, chunk in zip(digests, batch.columns, strict=True):
                digest.add(chunk)
        found = [Part(digest.finish(), (at,), digest.size) for at, digest in enumerate(digests)]
        return found, bytes(reader.schema.serialize())

    def frame(self) -> bytes:
        """Return the schema of a file that holds all columns: their names, and what pandas adds."""
        return bytes(self._shown().schema.serialize())


def alike(rows: int) -> tuple[str, int]:
    """Return what tells that tables may have columns in common."""
    return "columns", rows


def divided(w: Encoder, table: Any, shown: Callable[[], Any], *, private: bool) -> Columns | None:
    """Return a table as parts; None if it is too small for that, or too small are its columns."""
    columns = max(table.num_columns, 1)
    if not w.divides(table.nbytes) or table.nbytes < columns * LEAST_PART_BYTES:
        return None
    return Columns(table, shown, private=private)


def read_columns(
    content: Content, columns: int, rows: int, start: Callable[[int, Any], Any]
) -> list[Any]:
    """Return the columns of a table that *content* holds, in one file or by parts.

    Args:
        content: the bytes.
        columns: how many there are.
        rows: how long they are.
        start: returns what takes in the batches of a column, given its number and Arrow type.

    Raises:
        ValueError: the files hold another table.
    """
    taking: list[Any] = [None] * columns
    if content.is_divided:
        if len(content.places or ()) != columns:
            raise ValueError("the files hold another table")
        for source, wanted in content.by_source(1):
            _take(_opened(source, content.budget, rows), wanted, start, taking)
    else:
        (source,) = content.sources
        reader, file = _opened(source, content.budget, rows if columns else None)
        if len(reader.schema) != columns:
            raise ValueError("the file holds another table")
        _take((reader, file), [(i, i) for i in range(columns)], start, taking)
    return [column.finish() for column in taking]


def _take(
    opened: tuple[Any, Any],
    wanted: list[tuple[int, int]],
    start: Callable[[int, Any], Any],
    taking: list[Any],
) -> None:
    """Begin the columns that a file has, and give them their batches.

    Args:
        opened: its reader, and its content.
        wanted: the number of each column, and where in the file it is.
        start: as in :func:`read_columns`.
        taking: filled with what takes in the columns.
    """
    reader, file = opened
    fields = [*range(len(reader.schema))]
    needed = sorted({at for _, at in wanted})
    if needed[-1:] > fields[-1:]:
        raise ValueError("a column that its file has not")
    if 2 * len(needed) <= len(fields):  # else all of them are as quick: Arrow need not copy
        reader, fields = _reader(file, needed), needed
    kinds = reader.schema.types
    pairs = [(number, fields.index(at)) for number, at in wanted]
    for number, position in pairs:
        taking[number] = start(number, kinds[position])
    for batch in batches(reader, file.size):
        columns = batch.columns
        for number, position in pairs:
            taking[number].add(columns[position])

"""What is text in the bytes of tables and arrays: where secrets may stand."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def texts_in(facts: Any) -> Iterator[str]:
    """Yield the texts in containers, at any depth, and those of bytes."""
    waiting = [facts]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, bytes):
            yield one.decode("utf-8", "replace")
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += one


def in_arrow(data: bytes) -> Iterable[Any]:
    """Yield the names of a table's columns, and what is in those with text."""
    import pyarrow as pa  # noqa: PLC0415 - there is a table

    table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    for name, column in zip(table.column_names, table.columns, strict=True):
        yield name
        kind = column.type
        if not (pa.types.is_primitive(kind) or pa.types.is_null(kind)):
            yield column.to_pylist()
    yield [*(table.schema.metadata or {}).values()]


def in_npy(data: bytes) -> Iterable[Any]:
    """Yield the names of an array's fields, and its elements if they are text or bytes."""
    import numpy as np  # noqa: PLC0415 - there is an array

    array = np.load(io.BytesIO(data), allow_pickle=False)
    yield [*(array.dtype.names or ())]
    if array.dtype.kind in "USV":
        yield array.tolist()
    elif array.dtype.itemsize == 1:
        yield array.tobytes()

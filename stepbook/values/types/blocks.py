"""How pandas keeps the columns of a table in memory: several of one dtype in one block.

It is seen by who holds that memory: ``df.values`` is a view of a frame in one block, and a copy of
any other. So a record tells which columns are together, and they are put together again.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from ..nodes import expect, take

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

#: Kinds of dtypes of NumPy that pandas keeps.
_KINDS: Final = "biufcmMO"
#: The values of a block, one row for each column, and the numbers of these columns.
Block = tuple[Any, list[int]]


def blocks_of(table: Any) -> list[Block]:
    """Return the blocks of a frame or series, on their memory: arrays of NumPy or of pandas."""
    found: list[Block] = []
    for block in table._mgr.blocks:  # noqa: SLF001 - pandas tells of them nowhere else
        values, places = block.values, _places(table, block)
        if values.dtype.kind in "mM" and not hasattr(values.dtype, "tz"):
            values = getattr(values, "_ndarray", values)
        if type(values).__module__ == "numpy" or values.ndim == 1:
            found.append((values, places))
        else:  # those of pandas of which it makes rows
            found.extend((values[row], [place]) for row, place in enumerate(places))
    return found


def _places(table: Any, block: Any) -> list[int]:
    """Return the numbers of the columns of a block; a series has one."""
    places: list[int] = block.mgr_locs.as_array.tolist() if table.ndim > 1 else [0]
    return places


def layout(frame: Any) -> list[dict[str, Any]]:
    """Return what tells which columns of a frame are together in memory."""
    return [
        {"at": places, "order": "F" if _is_fortran(values) else "C"}
        for values, places in blocks_of(frame)
        if len(places) > 1
    ]


def _is_fortran(values: Any) -> bool:
    return bool(values.flags.f_contiguous and not values.flags.c_contiguous)


class Joined:
    """The columns of a table that are read into one block.

    Args:
        node: as :func:`layout` gave it.
        dtypes: of each column, if memory is read into it.
        length: rows of the table.
    """

    def __init__(self, node: Any, dtypes: list[np.dtype[Any] | None], length: int) -> None:
        at, self._order = take(expect(node, dict), "at", "order")
        self.at: list[int] = at
        if (
            len(expect(at, list)) < 2  # noqa: PLR2004 - one column is no block of several
            or any(not 0 <= expect(place, int) < len(dtypes) for place in at)
            or len({dtypes[place] for place in at}) > 1
            or self._order not in ("C", "F")
        ):
            raise ValueError("not the columns of a block")
        self._dtype, self._length = dtypes[at[0]], length
        self._values: Any = None

    def row(self, place: int) -> Any:
        """Return the memory of a column; None if it is read elsewhere first."""
        if self._dtype is None:
            return None
        if self._values is None:
            self._values = self._empty(self._dtype)
        return self._values[self.at.index(place)]

    def _empty(self, dtype: Any) -> Any:
        import numpy as np  # noqa: PLC0415

        return np.empty((len(self.at), self._length), dtype, order=self._order)

    def block(self, columns: list[Any]) -> Block:
        """Return the block, given all columns of the table."""
        import numpy as np  # noqa: PLC0415

        if self._values is None:
            kinds = {expect(columns[place], np.ndarray).dtype for place in self.at}
            self._values = self._empty(*kinds)
            for row, place in enumerate(self.at):
                self._values[row] = columns[place]
        return self._values, self.at


def frame_of(blocks: Iterable[Block], index: Any, labels: Any) -> Any:
    """Return a frame that has these blocks as its memory.

    Raises:
        ValueError: they are not each of its columns once.
    """
    import numpy as np  # noqa: PLC0415

    blocks = list(blocks)
    if sorted(place for _, places in blocks for place in places) != [*range(len(labels))]:
        raise ValueError("not each column of the table once")
    try:
        internals: Any = importlib.import_module("pandas.api.internals")
    except ImportError:
        return _frame_before_3(blocks, index, labels)
    made = []
    for values, places in blocks:
        plain = isinstance(values, np.ndarray)
        if values.shape[-1] != len(index) or (plain and values.dtype.kind not in _KINDS):
            raise ValueError("not a column of the table")
        made.append(
            (values.reshape(len(places), len(index)) if plain else values, np.array(places))
        )
    return internals.create_dataframe_from_blocks(made, index=index, columns=labels)


def _frame_before_3(blocks: list[Block], index: Any, labels: Any) -> Any:
    """Return a frame of blocks in a pandas that tells nobody how to make it: as near as it gets."""
    import pandas as pd  # noqa: PLC0415

    first, places = blocks[0] if blocks else (None, [])
    if first is not None and len(places) > 1 and places == [*range(len(labels))]:
        return pd.DataFrame(first.T, index=index, columns=labels, copy=False)
    columns = {
        place: pd.Series(row, index, dtype=row.dtype, copy=False)
        for values, places in blocks
        for row, place in zip(values if values.ndim > 1 else [values], places, strict=True)
    }
    frame = pd.DataFrame({i: columns[i] for i in range(len(labels))}, index=index, copy=False)
    frame.columns = labels
    return frame


def references(table: Any) -> dict[int, Any]:
    """Return, for each column, by what pandas knows who else is on its memory."""
    return {
        place: block.refs
        for block in table._mgr.blocks  # noqa: SLF001 - as above
        for place in _places(table, block)
    }


def join(table: Any, place: int, known: dict[int, Any], number: int) -> None:
    """Have pandas know that a column is on the memory of others of which it is known.

    Args:
        table: a table that was made on shared memory.
        place: of the column.
        known: by what it is known, by number; that of the column, if it is the first.
        number: of the column.
    """
    for block in table._mgr.blocks:  # noqa: SLF001 - as above
        if place in _places(table, block):
            refs = known.setdefault(number, block.refs)
            if refs is not block.refs:
                refs.add_reference(block)
                block.refs = refs

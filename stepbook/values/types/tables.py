"""Tables of pandas of which a graph holds columns, or what is in them, once more elsewhere.

A column stands in the graph for itself if its memory is that of an array, or if it holds objects
that can change; the others are a table of their own::

    {"$stepbook": "pandas.shared", "is": "DataFrame", "rest": <a table>, "at": [1],
     "columns": [<an array>], "labels": <an index>}

pandas lets tables share memory until one of them is changed. What is read back does not know that.
So memory that more than one table uses is shared with none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nodes import TAG, expect, take
from .living import can_change, owner_of

if TYPE_CHECKING:
    from ..world import GraphWriter

SHARED_TABLE: Final = "pandas.shared"
#: Objects of a column that stand in the graph, at most; of longer ones none may be held elsewhere.
_MOST: Final = 10_000


def encode(w: GraphWriter, value: Any) -> dict[str, Any] | None:
    """Return the node of a table that shares something with the graph; None for any other."""
    import pandas as pd  # noqa: PLC0415 - there is a table

    if type(value) is pd.Series:
        columns = [value]
    elif type(value) is pd.DataFrame:
        columns = [value.iloc[:, i] for i in range(value.shape[1])]
    else:
        return None
    shared = {
        i: array for i, column in enumerate(columns) if (array := _shared(w, column)) is not None
    }
    if not shared:
        return None
    frame = value.to_frame("") if type(value) is pd.Series else value
    rest = frame.iloc[:, [i for i in range(len(columns)) if i not in shared]]
    return {
        TAG: SHARED_TABLE,
        "is": type(value).__name__,
        "rest": w.table(rest),
        "at": list(shared),
        "columns": [w.node(array) for array in shared.values()],
        "labels": w.node(value.name if type(value) is pd.Series else value.columns),
    }


def _shared(w: GraphWriter, column: Any) -> Any:
    """Return the array of a column that stands in the graph; None for any other."""
    import numpy as np  # noqa: PLC0415 - there is a table

    array = getattr(column.array, "_ndarray", None)
    if not (isinstance(column.dtype, np.dtype) and isinstance(array, np.ndarray)):
        return None
    if array.dtype.hasobject and len(array) <= _MOST and any(map(can_change, array)):
        return array
    return array if id(owner_of(array)) in w.owners else None


def decode(node: dict[str, Any]) -> Any:
    """Return the table of a node of which everything inside is rebuilt."""
    import numpy as np  # noqa: PLC0415 - there is a table
    import pandas as pd  # noqa: PLC0415

    what, rest, at, arrays, labels = take(node, "is", "rest", "at", "columns", "labels")
    rest = expect(rest, pd.DataFrame)
    count = rest.shape[1] + len(expect(at, list))
    if sorted(set(at)) != at or any(not 0 <= expect(i, int) < count for i in at):
        raise ValueError("columns that are no places in the table")
    made = {
        i: pd.Series(expect(array, np.ndarray), rest.index, dtype=array.dtype, copy=False)
        for i, array in zip(at, arrays, strict=True)
    }
    if what == "Series":
        (series,) = made.values()
        series.name, series.attrs = labels, rest.attrs
        return series
    others = iter(range(rest.shape[1]))
    columns = {i: made[i] if i in made else rest.iloc[:, next(others)] for i in range(count)}
    frame = pd.DataFrame(columns, index=rest.index, copy=False)
    if not isinstance(labels, pd.Index):
        raise ValueError("labels that are no index")  # noqa: TRY004 - a damaged record
    frame.columns, frame.attrs = labels, rest.attrs
    if not rest.flags.allows_duplicate_labels:
        frame.flags.allows_duplicate_labels = False  # type: ignore[attr-defined]
    return frame

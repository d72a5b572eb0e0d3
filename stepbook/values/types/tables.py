"""Tables of pandas of which a graph holds more than their values: memory, index, attributes.

A block of columns stands in the graph for itself if its memory is that of an array, or if it holds
objects that can change; the others are a table of their own::

    {"$stepbook": "pandas.shared@2", "is": "DataFrame", "rest": <a table>,
     "blocks": [{"at": [1], "values": <an array>, "refs": 0}], "labels": <an index>}

So do, where there are some, the index that somebody else holds, ``attrs``, and attributes of the
person's own. pandas lets tables share memory until one of them is changed: ``refs`` is equal for
the blocks of which it knows that. An earlier form, without ``@2``, has columns in place of blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nodes import TAG, expect, take
from . import carried
from .blocks import blocks_of, frame_of, join, references
from .living import Shell, can_change
from .memory import owner_of

if TYPE_CHECKING:
    from ..world import GraphReader, GraphWriter
    from .blocks import Block

SHARED_COLUMNS: Final = "pandas.shared"
SHARED_TABLE: Final = "pandas.shared@2"
#: Objects of a column that stand in the graph, at most; of longer ones none may be held elsewhere.
_MOST: Final = 10_000


def encode(w: GraphWriter, value: Any, *, alone: bool) -> dict[str, Any] | None:
    """Return the node of a table that has something in the graph; None for any other.

    Args:
        w: the writer of the graph.
        value: a table.
        alone: whether nothing else is in the graph, and nothing twice in the table.
    """
    import pandas as pd  # noqa: PLC0415 - there is a table

    if type(value) not in (pd.Series, pd.DataFrame):
        return None
    series = type(value) is pd.Series
    attrs, notes = value.attrs, notes_of(value)
    has_attrs = bool(attrs) or w.has_met(attrs)
    alone = alone and not (has_attrs or notes)
    blocks = blocks_of(value)
    shared = [n for n, (values, _) in enumerate(blocks) if _is_shared(w, values, alone=alone)]
    has_index = _is_held(w, value.index)
    if not has_attrs:
        w.forbid(attrs, "the empty attributes of a table, as a dict of their own")
    if not (
        shared or has_attrs or notes or has_index or (not series and _is_held(w, value.columns))
    ):
        return None
    node: dict[str, Any] = {
        TAG: SHARED_TABLE,
        "is": type(value).__name__,
        "rest": w.table(
            _rest(value, [b for n, b in enumerate(blocks) if n not in shared], bare=has_index)
        ),
        "labels": w.needed(value.name if series else value.columns),
    }
    if shared:
        refs = references(value)
        node["blocks"] = [
            {"at": places, "values": w.needed(values), "refs": w.number_of(refs[places[0]])}
            for values, places in (blocks[n] for n in shared)
        ]
    if has_index:
        node["index"] = w.needed(value.index)
    if has_attrs:
        node["attrs"] = w.field("attrs", attrs)  # the dict itself may be held by others, too
    if notes:
        node["notes"] = {name: w.field(name, note) for name, note in notes.items()}
    return node


def _rest(value: Any, blocks: list[Block], *, bare: bool) -> Any:
    """Return a frame of some blocks of a table, with what is stored of a table by itself."""
    import pandas as pd  # noqa: PLC0415 - there is a table

    chosen = sorted(place for _, places in blocks for place in places)
    labels = value.columns if isinstance(value, pd.DataFrame) else pd.Index([""])
    rest = frame_of(
        [(values, [chosen.index(place) for place in places]) for values, places in blocks],
        pd.RangeIndex(len(value)) if bare else value.index,
        labels.take(chosen),
    )
    rest.flags.allows_duplicate_labels = value.flags.allows_duplicate_labels
    return rest


def notes_of(value: Any) -> dict[str, Any]:
    """Return the attributes that a table or index has been given by the person."""
    if _INTERNAL.issuperset(vars(value)):
        return {}
    import pandas as pd  # noqa: PLC0415 - there is a table

    if isinstance(value, pd.Index):  # it keeps much of its own
        own = {name for name in vars(value) if name.startswith("_")} | {"sortorder"}
        return {name: note for name, note in vars(value).items() if name not in own}
    own = _INTERNAL | value._internal_names_set  # noqa: SLF001 - pandas tells of them nowhere else
    return {name: note for name, note in vars(value).items() if name not in own}


def is_noted(value: Any) -> bool:
    """Whether it is an index that has been given attributes."""
    import pandas as pd  # noqa: PLC0415 - there is pandas

    return isinstance(value, pd.Index) and bool(notes_of(value))


_INTERNAL: Final = frozenset(
    {"_mgr", "_attrs", "_flags", "_name", "_cache", "_item_cache", "_is_copy", "_cacher"}
    | {"_data", "_id", "_references", "_range"}
)


def _is_shared(w: GraphWriter, values: Any, *, alone: bool) -> bool:
    """Whether a block stands in the graph for itself."""
    import numpy as np  # noqa: PLC0415 - there is a table

    if not isinstance(values, np.ndarray):
        return id(values) in w.owners or carried.is_shared(w, values)
    if id(owner_of(values)) in w.owners:
        return True
    looked = values.dtype.hasobject and not alone and values.shape[-1] <= _MOST
    return looked and any(map(can_change, values.ravel(order="K")))


def _is_held(w: GraphWriter, index: Any) -> bool:
    """Whether somebody else holds an index, or its memory."""
    return id(index) in w.owners or carried.is_shared(w, index)


# ---- rebuilding ---------------------------------------------------------------------------------


def _make(r: GraphReader, node: dict[str, Any]) -> Any:
    import pandas as pd  # noqa: PLC0415 - there is a table

    what, rest, labels, blocks, index, _, _ = take(
        node, "is", "rest", "labels", optional=("blocks", "index", "attrs", "notes")
    )
    rest, labels = expect(r.resolve(rest), pd.DataFrame), r.resolve(labels)
    index = rest.index if index is None else r.resolve(index)
    if not isinstance(index, pd.Index) or len(index) != len(rest):
        raise ValueError("not the index of the table")
    shared = [take(block, "at", "values", "refs") for block in blocks or []]
    made: list[Block] = [(r.resolve(values), expect(at, list)) for at, values, _ in shared]
    taken = {expect(place, int) for _, at in made for place in at}
    others = [place for place in range(rest.shape[1] + len(taken)) if place not in taken]
    made += [(values, [others[i] for i in places]) for values, places in blocks_of(rest)]
    if what == "Series":
        ((values, _),) = made
        values = values[0] if values.ndim > 1 else values
        whole: Any = pd.Series(values, index, dtype=values.dtype, copy=False)
        whole.name = labels
    else:
        if not isinstance(labels, pd.Index):
            raise ValueError("labels that are no index")
        whole = frame_of(made, index, labels)
    if not rest.flags.allows_duplicate_labels:
        whole.flags.allows_duplicate_labels = False
    for at, _, number in shared:
        join(whole, at[0], r.refs, expect(number, int))
    return whole


def _fill(r: GraphReader, value: Any, node: dict[str, Any]) -> None:
    if "attrs" in node:
        value._attrs = expect(r.resolve(node["attrs"]), dict)  # noqa: SLF001 - "attrs" makes a copy
    notes = node.get("notes", {})
    if not notes.keys().isdisjoint(vars(value)):
        raise ValueError("attributes that every table has")
    vars(value).update({name: r.resolve(note) for name, note in notes.items()})


SHELL: Final = Shell(_make, _fill)


def decode_columns(node: dict[str, Any]) -> Any:
    """Return the table of a node of the earlier form, of which everything inside is rebuilt."""
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

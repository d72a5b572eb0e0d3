"""What is made on arrays of NumPy, where another name holds these, too.

An extension array or index of pandas stands in a graph as an empty one of its kind, which tells of
its dtype, with the arrays that it is on::

    {"$stepbook": "pandas.carried", "of": <one without items>, "parts": {"_ndarray": <an array>}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nodes import TAG, expect, take
from .memory import memory_of, owner_of, parts_of

if TYPE_CHECKING:
    from ..world import GraphWriter

CARRIED: Final = "pandas.carried"
#: What knows a frequency, which its empty one may not.
_WITH_FREQUENCY: Final = ("DatetimeArray", "TimedeltaArray", "DatetimeIndex", "TimedeltaIndex")


def is_shared(w: GraphWriter, value: Any) -> bool:
    """Whether the memory of an array or index is that of an array that stands in the graph."""
    return any(id(owner_of(array)) in w.owners for array in memory_of(value))


def encode(w: GraphWriter, value: Any) -> dict[str, Any] | None:
    """Return the node of an array or index of pandas on shared memory; None for any other."""
    parts = parts_of(value)
    freq = getattr(value, "freq", None) if type(value).__name__ in _WITH_FREQUENCY else None
    by_itself = freq is None or "_data" in (parts or ())  # an index is told with its frequency
    if parts is None or (by_itself and not is_shared(w, value)):
        return None
    node = {TAG: CARRIED, "of": w.table(value[:0])}
    if freq is not None:
        node["freq"] = freq.freqstr
    return {**node, "parts": {name: w.needed(part) for name, part in parts.items()}}


def decode(node: dict[str, Any]) -> Any:
    """Return the array or index of a node of which everything inside is rebuilt."""
    empty, found, freq = take(node, "of", "parts", optional=("freq",))
    kind, parts = type(empty), parts_of(empty)
    if parts is None or found.keys() != parts.keys():
        raise ValueError("not the parts of an array of pandas")
    for name, part in parts.items():
        if type(found[name]) is not type(part) or found[name].dtype != part.dtype:
            raise ValueError("a part of another type")
    if len({found[name].shape for name in parts}) > 1 or any(p.ndim > 1 for p in found.values()):
        raise ValueError("parts of another shape")
    if "_ndarray" in found:
        _check_codes(empty, found["_ndarray"])
        made = empty._from_backing_data(found["_ndarray"])  # noqa: SLF001 - pandas has no other way that copies nothing
        if freq is not None:
            made._freq = _frequency(expect(freq, str))  # noqa: SLF001
        return made
    if "_mask" in found:
        return kind(found["_data"], found["_mask"], copy=False)
    if "_left" in found:
        return kind._simple_new(found["_left"], found["_right"], dtype=empty.dtype)  # noqa: SLF001
    index = kind._simple_new(found["_data"], name=empty.name)  # noqa: SLF001
    if freq is not None:
        index.freq = _frequency(expect(freq, str))
    return index


def _check_codes(empty: Any, codes: Any) -> None:
    categories = getattr(empty.dtype, "categories", None)
    if categories is None or not len(codes):
        return
    if not -1 <= codes.min() <= codes.max() < len(categories):
        raise ValueError("codes that are not those of the categories")


def _frequency(text: str) -> Any:
    import pandas as pd  # noqa: PLC0415 - there is an array of it

    return pd.tseries.frequencies.to_offset(text)

"""Whose memory a value is on: arrays, and what libraries make on arrays."""

from __future__ import annotations

import gc
from typing import Any, Final

#: The class of what numpy's as_strided puts between an array and its view.
_BETWEEN: Final = "DummyArray"
#: Arrays and indexes of pandas that are made on others, and where they have these.
_PARTS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        (
            "NumpyExtensionArray",
            "StringArray",
            "StringArrayNumpySemantics",
            "DatetimeArray",
            "TimedeltaArray",
            "PeriodArray",
            "Categorical",
        ),
        ("_ndarray",),
    ),
    **dict.fromkeys(("IntegerArray", "FloatingArray", "BooleanArray"), ("_data", "_mask")),
    "IntervalArray": ("_left", "_right"),
    **dict.fromkeys(
        (
            "Index",
            "DatetimeIndex",
            "TimedeltaIndex",
            "PeriodIndex",
            "CategoricalIndex",
            "IntervalIndex",
        ),
        ("_data",),
    ),
}


def owner_of(value: Any) -> Any:
    """Return what owns the memory of an array: itself, another array, or some other buffer."""
    import numpy as np  # noqa: PLC0415 - there are arrays

    array = np.ndarray
    while True:
        if isinstance(value, array) and value.base is not None:
            base = value.base
            value = base.base if type(base).__name__ == _BETWEEN else base
        elif type(value) is memoryview:
            value = exporter(value)
        else:
            return value


def base_of(value: Any) -> Any:
    """Return the last array on the way to what owns the memory, which may be another buffer."""
    import numpy as np  # noqa: PLC0415 - there are arrays

    found = value
    while isinstance(found.base, np.ndarray) or type(found.base).__name__ == _BETWEEN:
        found = found.base if isinstance(found.base, np.ndarray) else found.base.base
    return found


def exporter(value: memoryview) -> Any:
    """Return the object of which a memoryview shows the memory."""
    found = value.obj
    if type(found).__name__ == "_BytesIOBuffer":
        (found,) = gc.get_referents(found)
    return found


def parts_of(value: Any) -> dict[str, Any] | None:
    """Return what an array or index of pandas is made on, by name; None if that is not known."""
    names = _PARTS.get(type(value).__name__)
    if names is None:
        return None
    found = {name: getattr(value, name, None) for name in names}
    return None if any(part is None for part in found.values()) else found


def memory_of(value: Any) -> list[Any]:
    """Return the arrays of NumPy that an array or index of pandas is made on."""
    import numpy as np  # noqa: PLC0415 - there is pandas

    if isinstance(value, np.ndarray):
        return [value]
    parts = parts_of(value)
    return [] if parts is None else [array for part in parts.values() for array in memory_of(part)]

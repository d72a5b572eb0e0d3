"""Two tables or arrays side by side: the columns and rows in which they differ.

Works on values that were read back, of whichever of the libraries is there.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from .words import Contrast, change, contrast, counted, counts, one_sided

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What :func:`differences` yields for values that it does not know.
UNKNOWN: Final[Found] = ("", "")
_SHORT: Final = 60
_MOST_COLUMNS: Final = 3

#: A place in the table, and what is to be said of it.
Found = tuple[str, str | Contrast]


def differences(recorded: Any, now: Any) -> Iterator[Found]:
    """Yield where two tables, columns or arrays differ, and how; nothing if they are equal."""
    recorded, now = _familiar(recorded), _familiar(now)
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if isinstance(recorded, bytes | bytearray):
        yield from _bytes(recorded, now)
    elif pandas is not None and isinstance(recorded, pandas.DataFrame):
        yield from _frames(recorded, now)
    elif pandas is not None and isinstance(recorded, pandas.Series):
        yield from _index(recorded.index, now.index)
        if recorded.name != now.name:
            yield ".name", contrast(repr(recorded.name), repr(now.name))
        yield from _column("", recorded, now)
    elif pandas is not None and isinstance(recorded, pandas.Index):
        yield from _column("", recorded.to_series(index=None), now.to_series(index=None))
    elif numpy is not None and isinstance(recorded, numpy.ndarray):
        yield from _arrays(recorded, now)
    else:
        yield UNKNOWN


def told_differences(recorded: dict[str, Any], now: dict[str, Any]) -> Iterator[Found]:
    """Yield where two values in files differ as far as their records tell; reads no file.

    Nothing if only their content differs.

    Args:
        recorded: the node of the one.
        now: the node of the other, of the same kind.
    """
    if recorded.get("of") == now.get("of") and recorded.get("length") != now.get("length"):
        noun = "character" if now.get("of") == "str" else "item"
        yield "", counts(recorded["length"], now["length"], noun)
    shape, shape_now = (tuple(node.get("shape") or ()) for node in (recorded, now))
    before, after = (node.get("dtypes") or {"": node.get("dtype")} for node in (recorded, now))
    if len(shape) == len(shape_now) == 2 and "dtypes" in now:  # noqa: PLR2004
        if shape[0] != shape_now[0]:
            yield "", counts(shape[0], shape_now[0], "row")
        for column in {**before, **after}:
            if column not in before or column not in after:
                yield _named(column), one_sided("", is_new=column in after)
            elif before[column] != after[column]:
                yield _named(column), contrast(before[column], after[column], of="dtype")
        return
    if shape != shape_now:
        yield "", contrast(shape, shape_now, of="shape")
    types = [next(iter(types.values()), None) for types in (before, after)]
    if types[0] != types[1]:
        yield "", contrast(types[0], types[1], of="dtype")


def _familiar(value: Any) -> Any:
    """Return a table of another library as one of pandas, whose values can be looked at."""
    if type(value).__module__.partition(".")[0] in ("polars", "pyarrow"):
        convert = getattr(value, "to_pandas", None)
        return value if convert is None else convert()
    return value


def _bytes(recorded: bytes | bytearray, now: bytes | bytearray) -> Iterator[Found]:
    if len(recorded) != len(now):
        yield "", counts(len(recorded), len(now), "byte")
        return
    both = enumerate(zip(recorded, now, strict=True))
    first = next(place for place, (left, right) in both if left != right)
    yield "", f"{counted(len(recorded), 'byte')}, different from byte {first:,} on"


def _frames(recorded: Any, now: Any) -> Iterator[Found]:
    if len(recorded) != len(now):
        yield "", counts(len(recorded), len(now), "row")
    before, after = list(recorded.columns), list(now.columns)
    yield from ((_named(c), one_sided("", is_new=False)) for c in before if c not in after)
    yield from ((_named(c), one_sided("", is_new=True)) for c in after if c not in before)
    if before != after and sorted(map(repr, before)) == sorted(map(repr, after)):
        yield "", "the same columns in another order"
    yield from _index(recorded.index, now.index)
    for place, column in enumerate(before):
        if before.count(column) > 1 or after.count(column) > 1:
            if before == after:  # columns of one name are told apart by their place
                yield from _column(_named(column), recorded.iloc[:, place], now.iloc[:, place])
        elif column in after:
            yield from _column(_named(column), recorded[column], now[column])


def _named(column: Any) -> str:
    name = f'"{column}"' if isinstance(column, str) else repr(column)
    return f", column {name}"


def _index(recorded: Any, now: Any) -> Iterator[Found]:
    if list(recorded.names) != list(now.names):
        yield ", index", contrast(list(recorded.names), list(now.names), of="its names")
    if len(recorded) == len(now) and not recorded.equals(now):
        yield from _column(", index", recorded.to_series(index=range(len(recorded))),
                           now.to_series(index=range(len(now))))  # fmt: skip


def _column(where: str, recorded: Any, now: Any) -> Iterator[Found]:
    """Compare the values of two columns, row by row."""
    if recorded.dtype != now.dtype:
        yield where, contrast(_type(recorded), _type(now), of="dtype")
    if len(recorded) != len(now):
        if where == "":
            yield where, counts(len(recorded), len(now), "value")
        return
    unequal = _unequal(recorded, now)
    rows = unequal.nonzero()[0]
    if len(rows):
        row = int(rows[0])
        items = _item(recorded.iloc[row]), _item(now.iloc[row])
        place = f"row {_shown(_item(recorded.index[row]))}"
        told = _first(len(rows), len(unequal), place, *items)
        yield where, told._replace(note=_spread(recorded, now, unequal))


def _type(column: Any) -> str:
    return str(column.dtype)


def _unequal(recorded: Any, now: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - pandas has it

    before, after = recorded.reset_index(drop=True), now.reset_index(drop=True)
    try:
        same = (before == after) | (before.isna() & after.isna())
        return ~np.asarray(same.fillna(value=False), dtype=bool)
    except (TypeError, ValueError):  # lists in cells, categories that are not the same
        both = zip(before.astype(object), after.astype(object), strict=True)
        return np.fromiter((not _is_same(*items) for items in both), dtype=bool, count=len(before))


def _is_same(recorded: Any, now: Any) -> bool:
    try:
        if bool(recorded == now):
            return True
    except (TypeError, ValueError):
        pass
    return repr(recorded) == repr(now)  # NaN, arrays


def _arrays(recorded: Any, now: Any) -> Iterator[Found]:
    import numpy as np  # noqa: PLC0415 - its values are here

    if recorded.dtype != now.dtype:
        yield "", contrast(recorded.dtype, now.dtype, of="dtype")
    if recorded.shape != now.shape:
        yield "", contrast(recorded.shape, now.shape, of="shape")
        return
    try:
        with np.errstate(all="ignore"):
            unequal = (recorded != now) & ~((recorded != recorded) & (now != now))  # noqa: PLR0124 - NaN
        unequal = np.asarray(unequal, dtype=bool)
    except (TypeError, ValueError):
        both = zip(recorded.ravel().tolist(), now.ravel().tolist(), strict=True)
        found = (not _is_same(*items) for items in both)
        unequal = np.fromiter(found, dtype=bool, count=recorded.size).reshape(recorded.shape)
    if unequal.shape != recorded.shape or not unequal.any():
        return
    place = tuple(int(i[0]) for i in unequal.nonzero()) if recorded.shape else ()
    items = _item(recorded[place]), _item(now[place])
    named = f"[{', '.join(map(str, place))}]"
    told = _first(int(unequal.sum()), recorded.size, named, *items)
    yield "", told._replace(note=_spread(recorded, now, unequal))


def _first(count: int, total: int, place: str, recorded: Any, now: Any) -> Contrast:
    """Return how many values differ, and the first of them."""
    sides = _shown(recorded), _shown(now)
    return Contrast(*sides, of=place, change=change(recorded, now), tally=(count, total))


def _item(value: Any) -> Any:
    """Return a scalar as Python has it: 22.0, not np.float64(22.0)."""
    item = getattr(value, "item", None)
    try:
        return value if item is None else item()
    except (TypeError, ValueError):
        return value


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | bytes) else str(value)
    text = text.replace("\n", " ")
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


def _spread(recorded: Any, now: Any, unequal: Any) -> str:
    """Return how far numbers are apart, where it is only by rounding."""
    import numpy as np  # noqa: PLC0415 - as above

    try:
        before = np.asarray(recorded, dtype=float)[unequal]
        after = np.asarray(now, dtype=float)[unequal]
    except (TypeError, ValueError):
        return ""
    largest = np.maximum(np.abs(before), np.abs(after))
    with np.errstate(all="ignore"):
        apart = np.abs(before - after) / largest
    finite = np.isfinite(apart).all()
    return "only rounding" if finite and (apart < 1e-9).all() else ""  # noqa: PLR2004

"""DataFrames with real dtypes: UTC timestamps, timedeltas, categories, parsed JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

#: Ordered as they come about; a column of other values stays as it is.
_CATEGORIES: Final = {
    "status": (
        ("pending", "running", "succeeded", "failed"),
        ("pending", "ready", "completed", "failed", "timeout"),  # of scan sessions
    ),
    "kind": (("do", "cell", "scan", "sleep", "map"),),
    "level": (("debug", "log", "info", "warn", "error"),),
    "trigger_type": (("user", "api_token", "system"),),
}
#: Columns that hold JSON.
JSON_COLUMNS: Final = ("return", "error", "input", "output", "metadata", "progress")


def shape(frame: pd.DataFrame, parse: Callable[[str], Any] | None = None) -> pd.DataFrame:
    """Return *frame* with the dtypes that its columns mean.

    Args:
        frame: as DuckDB makes it.
        parse: turns the JSON text of a returned value, an input or an output into the value;
            without it JSON columns stay text.
    """
    import pandas as pd  # noqa: PLC0415 - two thirds of a second that a recording pass never needs

    for name in frame.columns:
        column = frame[name]
        categories = _categories(str(name), column)
        if categories is not None:
            frame[name] = pd.Categorical(column, categories=categories)
        elif isinstance(column.dtype, pd.DatetimeTZDtype):
            frame[name] = column.dt.tz_convert("UTC")
        elif name in JSON_COLUMNS:
            values = column.astype(object).where(column.notna(), None)
            frame[name] = values if parse is None else _parsed(values, parse)
        elif pd.api.types.is_string_dtype(column.dtype):
            frame[name] = column.astype(object).where(column.notna(), None)
    return frame


def _categories(name: str, column: pd.Series[Any]) -> tuple[str, ...] | None:
    """Return the categories that all values of a column belong to, if there are such."""
    if name not in _CATEGORIES:
        return None
    values = set(column.dropna().unique())
    return next((known for known in _CATEGORIES[name] if values.issubset(known)), None)


def _parsed(column: pd.Series[Any], parse: Callable[[str], Any]) -> pd.Series[Any]:
    import pandas as pd  # noqa: PLC0415 - as above

    plain = json.loads if column.name in ("error", "progress", "metadata") else parse
    values = [None if text is None else plain(text) for text in column]
    # Built with its dtype: pandas would make one column of numbers of a few numbers.
    result = pd.Series([None] * len(values), index=column.index, dtype=object, name=column.name)
    for position, value in enumerate(values):
        if value is not None:
            result.array[position] = value
    return result

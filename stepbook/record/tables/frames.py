"""DataFrames with real dtypes: UTC timestamps, timedeltas, categories, parsed JSON."""

from __future__ import annotations

from json import loads
from typing import TYPE_CHECKING, Any, Final, get_args

from ...model.rows import LEVELS, Kind, ScanStatus, Status, TriggerType
from .columns import JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

#: Ordered as they come about; a column of other values stays as it is.
_CATEGORIES: Final = {
    "status": (get_args(Status), get_args(ScanStatus)),
    "status_other": (get_args(Status),),
    "kind": (get_args(Kind),),
    "level": (LEVELS,),
    "trigger_type": (get_args(TriggerType),),
}
#: Columns of JSON that stay text.
_TEXT: Final = frozenset({"tags", "environment", "results", "variables", "outputs"})
#: Columns of JSON that are parsed.
JSON_COLUMNS: Final = JSON - _TEXT
_PLAIN_JSON: Final = ("error", "progress", "metadata")


def of_rows(rows: Sequence[dict[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Return rows that were made here as a DataFrame, shaped as those of the tables are.

    Args:
        rows: each by the names of the columns.
        columns: their dtypes.
    """
    import pandas as pd  # noqa: PLC0415 - as in shape

    return shape(pd.DataFrame(rows, columns=list(columns)).astype(columns))


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
            frame[name] = _objects(column, parse)
        elif pd.api.types.is_string_dtype(column.dtype) and column.hasnans:
            frame[name] = _objects(column, None)
    return frame


def _plain(text: str) -> Any:
    """Return JSON as Python has it; a text that is none as it is."""
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return text


def _categories(name: str, column: pd.Series[Any]) -> tuple[str, ...] | None:
    """Return the categories that all values of a column belong to, if there are such."""
    if name not in _CATEGORIES:
        return None
    values = set(column.dropna().unique())
    return next((known for known in _CATEGORIES[name] if values.issubset(known)), None)


def _objects(column: pd.Series[Any], parse: Callable[[str], Any] | None) -> pd.Series[Any]:
    """Return a column of Python objects, with None for NULL and JSON parsed if asked for."""
    import numpy as np  # noqa: PLC0415 - comes with pandas
    import pandas as pd  # noqa: PLC0415 - as above

    missing = column.isna().to_numpy()
    if missing.all():
        values = np.full(len(column), None, dtype=object)
        parse = None
    else:
        values = column.to_numpy(dtype=object, copy=True)
        values[missing] = None
    if parse is not None:
        plain = _plain if column.name in _PLAIN_JSON else parse
        parsed = (None if text is None else plain(text) for text in values)
        # Item by item: NumPy would make one table of lists of equal length.
        values = np.fromiter(parsed, dtype=object, count=len(values))
    return pd.Series(values, index=column.index, dtype=object, name=column.name)

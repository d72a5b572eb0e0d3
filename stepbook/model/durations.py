"""Durations: seconds, timedeltas and texts such as "30 minutes"."""

from __future__ import annotations

import math
from datetime import timedelta

import pytimeparse2

from ..errors import InvalidInputError

Duration = float | int | str | timedelta


def seconds(value: Duration, what: str = "duration") -> float:
    """Return *value* in seconds.

    Args:
        value: seconds as a number, a timedelta, or a text such as "10 s" or "1h30m".
        what: what the value is, for the error.

    Raises:
        InvalidInputError: it is negative, not finite, or cannot be read.

    Example:
        >>> seconds("30 minutes")
        1800.0
    """
    found: float | None = None
    if isinstance(value, timedelta):
        found = value.total_seconds()
    elif isinstance(value, str):
        parsed = pytimeparse2.parse(value)
        found = float(parsed) if isinstance(parsed, (int, float)) else None
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found = float(value)
    if found is None or not math.isfinite(found):
        raise InvalidInputError(
            f"{value!r} is no {what}. Write seconds as a number, or a text such as "
            '"30 s", "5 minutes", "1h30m" or "2 days".'
        )
    if found < 0:
        raise InvalidInputError(f"the {what} {value!r} is negative; it must be 0 or more.")
    return found


def describe(value: float | None) -> str:
    """Return a short text for seconds: ``3 ms``, ``1.2 s``, ``2 min 5 s``, ``1 h 2 min``.

    Example:
        >>> describe(125)
        '2 min 5 s'
    """
    if value is None or not math.isfinite(value):
        return ""
    if value < 0.9995:  # noqa: PLR2004 - what rounds to a full second is one
        shown = f"{value * 1000:.0f} ms"
        return "<1 ms" if value and shown == "0 ms" else shown
    if value < 59.95:  # noqa: PLR2004
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s"

"""Durations: seconds, timedeltas and texts such as "30 minutes"."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

from ..errors import InvalidInputError

Duration = float | int | str | timedelta

#: Below how many microseconds a duration is told in which unit (in microseconds too, with so many
#: digits behind the point).
_SHORT: Final = (
    (95, 1, 0, "µs"),
    (9_950, 100, 1, "ms"),
    (999_500, 1_000, 0, "ms"),
    (9_995_000, 10_000, 2, "s"),
    (59_950_000, 100_000, 1, "s"),
)
_MINUTES_END: Final = 3_599_500_000
_HOURS_END: Final = 86_370_000_000
#: In seconds, 285 years: up to there JavaScript counts microseconds exactly.
_LONGEST: Final = 2**53 / 1e6


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
        import pytimeparse2  # noqa: PLC0415 - brings dateutil and decimal, for texts only

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
    """Return a short text for seconds: ``0.4 ms``, ``12 ms``, ``1.24 s``, ``2 min 05 s``.

    ``js/src/model/format.ts`` has the same rule; ``tests/fixtures/durations.json`` holds both to
    it. In whole microseconds, since those round alike in both languages. What is negative, or
    longer than 285 years, was never measured: it has no text.

    Example:
        >>> describe(125)
        '2 min 05 s'
    """
    if value is None or not 0 <= value <= _LONGEST:
        return ""
    us = math.floor(value * 1e6 + 0.5)
    for limit, unit, digits, name in _SHORT:
        if us < limit:
            shown = (us + unit // 2) // unit
            whole, rest = divmod(shown, 10**digits)
            return f"{whole}.{rest:0{digits}} {name}" if digits else f"{whole} {name}"
    if us < _MINUTES_END:
        whole, rest = divmod((us + 500_000) // 1_000_000, 60)
        return f"{whole} min {rest:02} s"
    if us < _HOURS_END:
        whole, rest = divmod((us + 30_000_000) // 60_000_000, 60)
        return f"{whole} h {rest:02} min"
    whole, rest = divmod((us + 1_800_000_000) // 3_600_000_000, 24)
    return f"{whole} d {rest:02} h"

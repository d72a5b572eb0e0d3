"""Sizes in bytes: numbers, and texts such as "500 MB" or "2 GiB"."""

from __future__ import annotations

import re
from typing import Final

from ..errors import InvalidInputError

Size = int | str

_TEXT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")
#: The units of IEC 80000-13: with an i in powers of 1,024, without in powers of 1,000.
_UNITS: Final = {"": 1, "b": 1, "byte": 1, "bytes": 1}
for _power, _letter in enumerate("kmgtp", start=1):
    _UNITS[f"{_letter}b"] = _UNITS[_letter] = 1000**_power
    _UNITS[f"{_letter}ib"] = 1024**_power


def size_in_bytes(value: Size, what: str = "size") -> int:
    """Return *value* in bytes.

    Args:
        value: bytes as a whole number, or a text such as "500 MB" or "2 GiB".
        what: what the value is, for the error.

    Raises:
        InvalidInputError: it is negative, or cannot be read.

    Example:
        >>> size_in_bytes("1.5 GB")
        1500000000
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _TEXT.fullmatch(value) if isinstance(value, str) else None
    factor = None if found is None else _UNITS.get(found[2].lower())
    if found is None or factor is None:
        raise InvalidInputError(
            f"{value!r} is not a {what}. Write bytes as a whole number, or a text such as "
            '"500 MB", "1.5 GB" or "2 GiB".'
        )
    return int(float(found[1]) * factor)


def described(size: int) -> str:
    """Return a short text for a size: ``1.5 GB``.

    Example:
        >>> described(1_500_000_000)
        '1.5 GB'
    """
    from rich.filesize import decimal  # noqa: PLC0415 - 20 ms that most never need

    return decimal(size)

"""Values and the JSON text that stands for them in the column ``return``.

JSON types exactly, so far: None, bool, int of any size, finite float, str, list and dict with
string keys, nested.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any, Final, NoReturn

from ._errors import NotSerializableError

#: Deeper values could not be decoded from everywhere: Python's own limit is 1,000 frames.
MAX_DEPTH: Final = 200

_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_decode: Final = json.JSONDecoder().decode
_decode_long: Final = json.JSONDecoder(parse_int=lambda digits: int(Decimal(digits))).decode


class Codec:
    """Turns values into JSON text and back."""

    def encode(self, value: Any) -> str:
        """Return the JSON text of *value*.

        Raises:
            NotSerializableError: it holds something that JSON cannot; ``path`` says where.
        """
        _check(value, value, "$", [])
        try:
            return _encode(value)
        except ValueError:  # an int of more digits than Python converts at once
            return _spelled(value)

    def decode(self, text: str) -> Any:
        """Return a fresh value from *text*, which :meth:`encode` has written."""
        try:
            return _decode(text)
        except ValueError:
            return _decode_long(text)


def _spelled(value: Any) -> str:
    """Return JSON text, with ints spelled by way of Decimal, which has no limit."""
    if type(value) is int:
        return format(Decimal(value), "f")
    if type(value) is list:
        return f"[{', '.join(map(_spelled, value))}]"
    if type(value) is dict:
        return "{" + ", ".join(f"{_encode(k)}: {_spelled(v)}" for k, v in value.items()) + "}"
    return _encode(value)


def _refuse(whole: Any, path: str, reason: str) -> NoReturn:
    shown = path if len(path) <= 200 else path[:120] + "…" + path[-60:]  # noqa: PLR2004
    raise NotSerializableError(
        f"the value cannot be stored: {shown}: {reason}. Return something else, or give the value "
        "to store with run.resolve(name, value); the object is in this error's .value.",
        path=path,
        value=whole,
    )


def _check(  # noqa: C901, PLR0912 - one branch for each type of JSON
    value: Any, whole: Any, path: str, above: list[int]
) -> None:
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return
    if kind is str:
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                _refuse(whole, path, "a lone surrogate is not Unicode text")
        return
    if kind is float:
        if not math.isfinite(value):
            _refuse(whole, path, f"JSON has no {value}")
        return
    if kind is not list and kind is not dict:
        _refuse(whole, path, f"{kind.__module__}.{kind.__qualname__} is not a JSON type")
    if id(value) in above:
        _refuse(whole, path, "the value contains itself")
    if len(above) >= MAX_DEPTH:
        _refuse(whole, path, f"nested deeper than {MAX_DEPTH} levels")
    above.append(id(value))
    if kind is list:
        for index, item in enumerate(value):
            _check(item, whole, f"{path}[{index}]", above)
    else:
        for key, item in value.items():
            if type(key) is not str:
                _refuse(whole, path, f"the key {key!r} is not a string")
            _check(key, whole, f"{path}.{key}", above)
            _check(item, whole, f"{path}.{key}", above)
    above.pop()

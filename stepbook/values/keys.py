"""What finds a run again: its key."""

from __future__ import annotations

import contextlib
import hashlib
from json import dumps, loads
from typing import Any, Final

from ..errors import InvalidInputError
from .nodes import TAG

_LONGEST_KEY: Final = 200


def run_key(key: str | None, input_text: str, *, hashed: bool = False) -> str:
    """Return what finds a run again: *key*, else the canonical JSON of the input.

    Canonical: keys sorted, no spaces; above 200 characters, or *hashed*, its SHA-256 in hex.

    Raises:
        InvalidInputError: *key* is empty, not a string, or not Unicode text.
    """
    if key is not None:
        if not isinstance(key, str) or not key:
            raise InvalidInputError(f"key is a text that finds the run again, not {key!r}.")
        return checked_text(key, "key")
    text = input_text
    with contextlib.suppress(ValueError):  # an int too long for this: its text as it is
        text = _canonical(loads(input_text, object_hook=_keys_sorted))
    if len(text) <= _LONGEST_KEY and not hashed:
        return text
    return hashlib.sha256(text.encode()).hexdigest()


def checked_text(text: str, what: str) -> str:
    """Return *text*, which can be written.

    Args:
        text: the text.
        what: what it is, for the error.

    Raises:
        InvalidInputError: it holds a lone surrogate.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"the {what} {text!r} holds a lone surrogate, which is not Unicode text. Such a "
            "character stands for a byte of a file name that could not be read as text."
        ) from error
    return text


def _canonical(node: Any) -> str:
    return dumps(node, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _keys_sorted(node: dict[str, Any]) -> dict[str, Any]:
    """Sort the pairs as which a dict is written that has other keys than strings."""
    if node.get(TAG) == "dict":
        node["items"].sort(key=lambda pair: _canonical(pair[0]))
    return node

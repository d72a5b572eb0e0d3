"""What finds a run again: its key."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any, Final

from ..errors import InvalidInputError
from .nodes import TAG

_LONGEST_KEY: Final = 200


def run_key(key: str | None, input_text: str) -> str:
    """Return what finds a run again: *key*, else the canonical JSON of the input.

    Canonical: keys sorted, no spaces; above 200 characters its SHA-256 in hex.

    Raises:
        InvalidInputError: *key* is empty or not a string.
    """
    if key is not None:
        if not isinstance(key, str) or not key:
            raise InvalidInputError(f"key is a text that finds the run again, not {key!r}.")
        return key
    text = input_text
    with contextlib.suppress(ValueError):  # an int too long for this: its text as it is
        text = _canonical(json.loads(input_text, object_hook=_keys_sorted))
    if len(text) <= _LONGEST_KEY:
        return text
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(node: Any) -> str:
    return json.dumps(node, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _keys_sorted(node: dict[str, Any]) -> dict[str, Any]:
    """Sort the pairs as which a dict is written that has other keys than strings."""
    if node.get(TAG) == "dict":
        node["items"].sort(key=lambda pair: _canonical(pair[0]))
    return node

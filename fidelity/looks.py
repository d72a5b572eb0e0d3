"""A deep, canonical description of variables: values, types and what they share."""

from __future__ import annotations

from typing import Any, Callable


def describer(names: dict[str, Any]) -> Callable[..., str]:
    """Return ``describe`` for a namespace."""
    def describe(*wanted: str) -> str:
        return "\n".join(f"{n} = {names.get(n)!r}" for n in wanted)
    return describe

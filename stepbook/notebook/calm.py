"""Warnings that somebody has turned into errors: they are for the person's code, not for ours."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

from ..errors import StepbookWarning
from ..system.console import tell

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def calm() -> Iterator[None]:
    """Have warnings shown and not raised, while stepbook compares, stores and restores.

    Filters that are set meanwhile, as a replay sets those of a cell, stay.
    """
    filters: Any = warnings.filters
    before = list(filters)
    if not any(map(_raises, before)):
        yield
        return
    shown = [("always" if _raises(item) else item[0], *item[1:]) for item in before]
    _set(filters, shown)
    try:
        yield
    finally:
        if warnings.filters is filters and list(filters) == shown:
            _set(filters, before)


def _raises(item: Any) -> bool:
    """Whether a filter raises; IPython has one for a warning of its own, which we never meet."""
    return item[0] == "error" and not item[2].__module__.startswith("IPython.")


def _set(filters: Any, items: list[Any]) -> None:
    filters[:] = items
    with warnings.catch_warnings():
        pass  # its end has Python look at the filters again


def warn(message: str, stacklevel: int = 2) -> None:
    """Warn the person; where warnings are errors, say it and go on."""
    try:
        warnings.warn(message, StepbookWarning, stacklevel=stacklevel + 1)
    except StepbookWarning:
        tell(message if message.startswith("stepbook") else f"stepbook: {message}")

"""Loggers as plain data: their levels, and their handlers as far as they print."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

_STREAMS: Final = ("stdout", "stderr")
_STYLES: Final[dict[type, str]] = {
    logging.PercentStyle: "%",
    logging.StrFormatStyle: "{",
    logging.StringTemplateStyle: "$",
}
#: How a logger comes: its level, whether it hands on, whether it is switched off.
_FRESH: Final[list[Any]] = [logging.NOTSET, True, False]

#: What is told of a handler that cannot be made again.
_UNKNOWN: Final = 2


def read() -> dict[str, Any]:
    """Return what loggers have that a fresh one has not, by their names; root's is empty."""
    found: dict[str, Any] = {}
    loggers: dict[str, Any] = {"": logging.root, **logging.root.manager.loggerDict}
    for name, logger in loggers.items():
        if not isinstance(logger, logging.Logger):  # it stands for one that may come
            continue
        state = [logger.level, logger.propagate, logger.disabled]
        if state != _FRESH:
            found[f"level {name}"] = state
        if logger.handlers:
            found[f"handlers {name}"] = [_told(handler) for handler in logger.handlers]
    return found


def _told(handler: logging.Handler) -> list[Any]:
    """Return type, level, stream and format of a handler that prints; else only the first two."""
    told: list[Any] = [type(handler).__name__, handler.level]
    stream = getattr(handler, "stream", None)
    names = [name for name in _STREAMS if getattr(sys, name) is stream]
    formatter = handler.formatter
    style = None if formatter is None else _STYLES.get(type(formatter._style))  # noqa: SLF001
    plain = formatter is None or (type(formatter) is logging.Formatter and style is not None)
    if type(handler) is not logging.StreamHandler or not names or not plain or handler.filters:
        return told
    if formatter is None:
        return [*told, names[0]]
    return [*told, names[0], formatter._fmt, formatter.datefmt, style]  # noqa: SLF001


def write(key: str, value: Any) -> None:
    """Give a logger what :func:`read` has told of it.

    Raises:
        ValueError: it had a handler that cannot be told by plain data, as one that writes a file.
    """
    kind, _, name = key.partition(" ")
    logger = logging.getLogger(name)
    if kind == "level":
        level, logger.propagate, logger.disabled = _FRESH if value is None else value
        logger.setLevel(level)
        return
    missing = list(value or [])
    for handler in list(logger.handlers):
        told = _told(handler)
        if told in missing:
            missing.remove(told)
        elif len(told) > _UNKNOWN:  # others are the front end's
            logger.removeHandler(handler)
    for one in missing:
        if len(one) > _UNKNOWN:
            logger.addHandler(_made(*one[1:]))
    lost = [str(one[0]) for one in missing if len(one) <= _UNKNOWN]
    if lost:
        raise ValueError(f"{', '.join(lost)} was not added again")


def _made(level: int, stream: str, *how: Any) -> logging.Handler:
    if stream not in _STREAMS:
        raise ValueError(f"{stream!r} is not a stream that prints")
    handler = logging.StreamHandler(getattr(sys, stream))
    handler.setLevel(level)
    if how:
        handler.setFormatter(logging.Formatter(*how))
    return handler

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
    found: dict[str, Any] = {
        "disabled": logging.root.manager.disable,
        "warnings": getattr(logging, "_warnings_showwarning", None) is not None,
        "class": _kind(logging.getLoggerClass()),
        **{f"name {level}": name for level, name in logging._levelToName.items()},  # noqa: SLF001
    }
    loggers: dict[str, Any] = {"": logging.root, **logging.root.manager.loggerDict}
    for name, logger in loggers.items():
        if not isinstance(logger, logging.Logger):  # it stands for one that may come
            continue
        state = [logger.level, logger.propagate, logger.disabled]
        if state != _FRESH:
            found[f"level {name}"] = state
        if logger.filters:
            found[f"filters {name}"] = [_name_of(one) for one in logger.filters]
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
    defaults = getattr(formatter._style, "_defaults", None)  # noqa: SLF001
    how = [formatter._fmt, formatter.datefmt, style]  # noqa: SLF001
    return [*told, names[0], *how, *([defaults] if defaults else [])]


def _kind(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _name_of(one: Any) -> str:
    """Return the name of a filter: a function, or an object of a class."""
    return str(getattr(one, "__qualname__", type(one).__qualname__))


def write(key: str, value: Any) -> None:
    """Give a logger what :func:`read` has told of it.

    Raises:
        ValueError: it had a handler that cannot be told by plain data, as one that writes a file.
    """
    kind, _, name = key.partition(" ")
    logger = logging.getLogger(name if kind in ("level", "handlers") else None)
    if kind == "level":
        level, logger.propagate, logger.disabled = _FRESH if value is None else value
        logger.setLevel(level)
    elif kind == "handlers":
        _set_handlers(logger, value)
    elif kind == "disabled":
        logging.disable(value)
    elif kind == "warnings":
        logging.captureWarnings(bool(value))
    elif kind == "name" and value is not None:
        logging.addLevelName(int(name), value)
    elif read().get(key) != value:
        raise ValueError(f"{value if kind == 'class' else ', '.join(value or ())} is not set again")


def _set_handlers(logger: logging.Logger, value: Any) -> None:
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
        form, date, style, *defaults = how
        more = {"defaults": defaults[0]} if defaults else {}
        handler.setFormatter(logging.Formatter(form, date, style, **more))
    return handler

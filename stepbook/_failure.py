"""Exceptions as records, and records as exceptions again.

A recorded error is ``{"type", "message", "stack", "notes", "cause"}``, that of a group of
exceptions with their records as ``members``. Its type is written as a traceback writes it: bare for
built-ins, stepbook's own and the main module, dotted for the rest. Long texts are cut in the
middle, with a mark.
"""

from __future__ import annotations

import builtins
import contextlib
import re
import sys
import traceback
from pathlib import Path
from typing import Any, Final

from . import _errors
from ._errors import RecordedError, StepbookError

_PACKAGE: Final = str(Path(__file__).parent)
_GROUPS: Final = (ExceptionGroup, BaseExceptionGroup)
#: What a group adds to its message.
_COUNT: Final = re.compile(r" \(\d+ sub-exceptions?\)$")
_MARK: Final = "__stepbook_step__"
_MAX_CAUSES: Final = 20
_MAX_MEMBERS: Final = 100
#: Characters of a message or note, and of a traceback, that are recorded.
_MAX_TEXT: Final = 1 << 15
_MAX_STACK: Final = 1 << 18


def describe(error: BaseException) -> dict[str, Any]:
    """Return the record of *error*, with the full chained traceback."""
    return _describe(error, set())


def _describe(error: BaseException, seen: set[int]) -> dict[str, Any]:
    seen.add(id(error))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    described = None
    if cause is not None and id(cause) not in seen and len(seen) < _MAX_CAUSES:
        described = _describe(cause, seen)
    record: dict[str, Any] = {
        "type": type_name(type(error)),
        "message": _cut(_text(error), _MAX_TEXT),
        "stack": _cut(_stack(error), _MAX_STACK),
        "notes": _notes(error),
        "cause": described,
    }
    if isinstance(error, BaseExceptionGroup):
        members = error.exceptions[:_MAX_MEMBERS]
        record["members"] = [
            _describe(member, seen) for member in members if id(member) not in seen
        ]
    return record


def _cut(text: str, limit: int) -> str:
    """Return *text*, the middle left out if it is longer than *limit* characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}… [{len(text) - 2 * half:,} characters left out] …{text[-half:]}"


def _notes(error: BaseException) -> list[str]:
    try:
        notes = list(getattr(error, "__notes__", ()))[:_MAX_MEMBERS]
        return [_cut(_clean(str(note)), _MAX_TEXT) for note in notes]
    except Exception as inner:  # noqa: BLE001 - user code may have put anything there
        return [f"<notes that cannot be had: {type(inner).__name__}>"]


def type_name(cls: type) -> str:
    """Return the name of an exception class as a record has it."""
    if cls.__module__ in ("builtins", "__main__") or issubclass(cls, StepbookError):
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def summary(record: dict[str, Any]) -> str:
    """Return ``Type: message`` of a recorded error."""
    message = record.get("message") or ""
    return f"{record.get('type')}: {message}" if message else str(record.get("type"))


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _text(error: BaseException) -> str:
    try:
        return _clean(str(error))
    except Exception as inner:  # noqa: BLE001 - user code in __str__ may raise anything
        return f"<{type_name(type(error))} whose text cannot be had: {type(inner).__name__}>"


def _stack(error: BaseException) -> str:
    try:
        frames = error.__traceback__
        # The frames of stepbook between the caller and the body say nothing about the failure.
        while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_PACKAGE):
            if frames.tb_next is None:
                break
            frames = frames.tb_next
        return _clean("".join(traceback.format_exception(type(error), error, frames)))
    except Exception as inner:  # noqa: BLE001 - as above; a failure must be recorded anyway
        return f"{type_name(type(error))} (no traceback: {type(inner).__name__})"


def rebuild(record: dict[str, Any]) -> BaseException:
    """Return an exception like the recorded one.

    Of the same class where that is a built-in, stepbook's own or in a module that is imported
    already; built without calling it. Else :class:`RecordedError`.
    """
    name, message = str(record.get("type")), str(record.get("message") or "")
    cls = _find(name)
    if cls in _GROUPS and record.get("members"):
        members = [rebuild(member) for member in record["members"]]
        return BaseExceptionGroup(_COUNT.sub("", message), members)
    if cls is not None:
        try:
            error = cls.__new__(cls, message)
            error.args = (message,)
            if str(error) != message and issubclass(cls, KeyError):
                error.args = (_Verbatim(message),)  # a KeyError shows the repr of its key
            if str(error) == message:
                return error
        except Exception:  # noqa: BLE001, S110 - a class of the user's own; the fallback follows
            pass
    return RecordedError(
        summary(record), type=name, message=message, stack=str(record.get("stack") or "")
    )


class _Verbatim(str):
    """A text that is its own repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _find(name: str) -> type[BaseException] | None:
    module, _, rest = name.rpartition(".")
    places: list[Any]
    if module:
        places = [sys.modules.get(module)]
    else:
        places, rest = [builtins, _errors, sys.modules.get("__main__")], name
    for place in places:
        found = getattr(place, rest, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
    return None


def mark(error: BaseException, run_id: str, name: str, attempt: int) -> None:
    """Note on *error*, once, which step it failed."""
    if origin(error) is None:
        # Past what the class makes of attributes: an error's own methods are nobody's to call.
        BaseException.__setattr__(error, _MARK, (run_id, name))
        note(error, f"stepbook: in step {name!r}, attempt {attempt}, of run {run_id}")


def note(error: BaseException, text: str) -> None:
    """Add a note to *error*, whatever its class is like."""
    # Its __notes__ may be anything; then it passes as it is.
    with contextlib.suppress(TypeError):
        BaseException.add_note(error, text)


def origin(error: BaseException | None) -> tuple[str, str] | None:
    """Return the run id and name of the step that *error*, or what it came from, has failed."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        found = BaseException.__dict__["__dict__"].__get__(error).get(_MARK)
        if found is not None:
            return tuple(found)
        error = error.__cause__ or error.__context__
    return None

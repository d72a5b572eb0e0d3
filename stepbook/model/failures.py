"""Exceptions as records, and records as exceptions again.

A recorded error is ``{"type", "message", "stack", "notes", "cause"}``, that of a group of
exceptions with their records as ``members``. Its type is written as a traceback writes it: bare for
built-ins, stepbook's own and the main module, dotted for the rest. Long texts are cut in the
middle, with a mark.
"""

from __future__ import annotations

import builtins
import json
import re
import sys
import traceback
import types
from pathlib import Path
from typing import Any, Final

from .. import errors as all_errors
from ..errors import RecordedError, StepbookError

_PACKAGE: Final = str(Path(__file__).parents[1])
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


def read(text: str | None) -> dict[str, Any]:
    """Return the record that *text* holds; of whatever else it is, a record that says so."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    return _record(found if isinstance(found, dict) else {"message": text})


def _record(found: dict[str, Any]) -> dict[str, Any]:
    """Return a record of which type, message and stack are texts."""
    kind = found.get("type")
    texts = {field: _as_text(found.get(field)) for field in ("message", "stack")}
    return {**found, "type": _clean(kind) if isinstance(kind, str) and kind else "Error", **texts}


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return _clean(value if isinstance(value, str) else json.dumps(value))


def rebuild(record: dict[str, Any]) -> Exception:
    """Return an exception like the recorded one, as :func:`read` gave it.

    Of the same class where that is a built-in, stepbook's own or in a module that is imported
    already; built without calling anything of it. Else :class:`RecordedError`, also for what ends
    a program or a task: an interrupt is no outcome of the work, whatever a book says.
    """
    record = _record(record)
    try:
        error = _rebuilt(record)
    except (TypeError, ValueError, RecursionError):  # its class has a layout of its own, ...
        error = None
    return error or RecordedError(
        summary(record), type=record["type"], message=record["message"], stack=record["stack"]
    )


def _rebuilt(record: dict[str, Any]) -> Exception | None:
    message = record["message"]
    cls = _find(record["type"])
    if cls is None:
        return None
    if cls in _GROUPS:
        members = [rebuild(one) for one in record.get("members") or () if isinstance(one, dict)]
        return ExceptionGroup(_COUNT.sub("", message), members)
    error: Exception = _built_in(cls).__new__(cls, message)
    lines = _lines(cls)
    verbatim = KeyError in lines  # it shows the repr of its key
    BaseException.__dict__["args"].__set__(error, (_Verbatim(message) if verbatim else message,))
    shows = next(line for line in lines if "__str__" in _dict_of_class(line))
    if _is_built_in(shows):
        return error if shows.__str__(error) == message else None
    note(error, f"stepbook: its text was recorded as: {message}")
    return error


# The classes of a user are looked at past what they make of attributes.
_lines: Final = type.__dict__["__mro__"].__get__
_dict_of_class: Final = type.__dict__["__dict__"].__get__
_base_of: Final = type.__dict__["__base__"].__get__
_flags_of: Final = type.__dict__["__flags__"].__get__
_cause_of: Final = BaseException.__dict__["__cause__"].__get__
_context_of: Final = BaseException.__dict__["__context__"].__get__
_dict_of: Final = BaseException.__dict__["__dict__"].__get__
_HEAP_TYPE: Final = 1 << 9


def _is_built_in(cls: type) -> bool:
    return not _flags_of(cls) & _HEAP_TYPE


def _built_in(cls: type) -> Any:
    """Return the class of the interpreter that *cls* comes from."""
    while not _is_built_in(cls):
        cls = _base_of(cls)
    return cls


def _is_work(cls: type) -> bool:
    """Whether a failure of this class is an outcome of the work: no exit and no cancellation."""
    if cls in _GROUPS:
        return True
    errors = [line for line in _lines(cls) if BaseException in _lines(line)]
    return cls is not BaseException and all(Exception in _lines(line) for line in errors[:-1])


class _Verbatim(str):
    """A text that is its own repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _find(name: str) -> type[Exception] | None:
    """Return the exception class of this name, if it stands for an outcome of the work."""
    module, _, rest = name.rpartition(".")
    places = [sys.modules.get(module)]
    if not module:
        places = [builtins, all_errors, sys.modules.get("__main__")]
    for place in places:
        if not isinstance(place, types.ModuleType):
            continue
        # Past what makes names on demand, or loads the module now.
        found = object.__getattribute__(place, "__dict__").get(rest)
        if isinstance(found, type) and BaseException in _lines(found):
            return found if _is_work(found) else None
    return None


def mark(error: BaseException, run_id: str, name: str, attempt: int) -> None:
    """Note on *error*, once, which step it failed."""
    if origin(error) is None:
        _dict_of(error)[_MARK] = (run_id, name)
        note(error, f"stepbook: in step {name!r}, attempt {attempt}, of run {run_id}")


def note(error: BaseException, text: str) -> None:
    """Add a note to *error*, past what its class makes of attributes."""
    notes = _dict_of(error).setdefault("__notes__", [])
    if type(notes) is list:  # else somebody has put something of their own there
        notes.append(text)


def origin(error: BaseException | None) -> tuple[str, str] | None:
    """Return the run id and name of the step that *error*, or what it came from, has failed."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        found = _dict_of(error).get(_MARK)
        if found is not None:
            return tuple(found)
        error = _cause_of(error) or _context_of(error)
    return None

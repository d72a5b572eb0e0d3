"""Exceptions as records; :mod:`.rebuilding` makes exceptions of them again.

A recorded error is ``{"type", "message", "stack", "notes", "cause"}``, that of a group of
exceptions with their records as ``members``. Its type is written as a traceback writes it: bare for
built-ins, stepbook's own and the main module, dotted for the rest. Long texts are cut in the
middle, with a mark. What it takes to rebuild the exception stands under ``state``: its arguments,
slots and attributes, each as ``{"value": ...}`` in the form of stored values or, of an exception,
as ``{"error": ...}``; ``lost`` names what could not be stored. An exception that is no more than
its class and its text has no state.
"""

from __future__ import annotations

import traceback
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import NotSerializableError, StepbookError
from . import raised

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Gives what stands for a value in JSON, or raises NotSerializableError.
    Keep = Callable[[Any], Any]

_PACKAGE: Final = str(Path(__file__).parents[1])
_MARK: Final = "__stepbook_step__"
#: Attributes that are recorded otherwise, or not at all.
NOT_STATE: Final = frozenset({"__notes__", _MARK})
_MAX_CAUSES: Final = 20
_MAX_NESTED: Final = 5
_MAX_MEMBERS: Final = 100
#: Characters of a message or note, and of a traceback, that are recorded.
_MAX_TEXT: Final = 1 << 15
_MAX_STACK: Final = 1 << 18


def describe(error: BaseException, keep: Keep | None = None) -> dict[str, Any]:
    """Return the record of *error*, with the full chained traceback.

    Args:
        error: what was raised.
        keep: stores what is needed to rebuild it; without it nothing is.
    """
    return _describe(error, set(), keep)


def _describe(error: BaseException, seen: set[int], keep: Keep | None) -> dict[str, Any]:
    seen.add(id(error))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    described = None
    if cause is not None and id(cause) not in seen and len(seen) < _MAX_CAUSES:
        described = _describe(cause, seen, None)
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
            _describe(member, seen, keep) for member in members if id(member) not in seen
        ]
    if keep is not None and not _is_its_text(error, record["message"]):
        record["state"] = _state(error, keep, ())
    return record


def _is_its_text(error: BaseException, message: str) -> bool:
    """Whether *error* is no more than its class and its text."""
    attributes = raised.dict_of(error).keys() - NOT_STATE
    return (
        [*map(type, raised.args_of(error))] == [str]
        and raised.args_of(error)[0] == message
        and not attributes
        and not raised.fields_of(error)
        and raised.shows_its_text(type(error))
    )


def _state(error: BaseException, keep: Keep, above: tuple[BaseException, ...]) -> dict[str, Any]:
    """Return what it takes to rebuild *error*, which stands in the state of those *above*."""
    lost: list[str] = []
    above = (*above, error)

    def kept(name: str, value: Any) -> Any:
        try:
            if not isinstance(value, BaseException):
                return {"value": keep(value)}
            if len(above) < _MAX_NESTED and not any(value is one for one in above):
                return {"error": _nested(value, keep, above)}
        except NotSerializableError:
            pass
        lost.append(_clean(name))
        return None

    state: dict[str, Any] = {}
    if isinstance(error, BaseExceptionGroup):
        members = error.exceptions
        lost += ["exceptions"] if len(members) > _MAX_MEMBERS or len(above) > 1 else []
        state["group"] = kept("message", BaseExceptionGroup.__dict__["message"].__get__(error))
    else:
        state["args"] = [kept("args", value) for value in raised.args_of(error)]
    attributes = {n: v for n, v in raised.dict_of(error).items() if n not in NOT_STATE}
    for place, values in ("fields", raised.fields_of(error)), ("attributes", attributes):
        found = {str(name): kept(str(name), value) for name, value in values.items()}
        state[place] = {_clean(name): node for name, node in found.items() if node is not None}
    state["lost"] = sorted(set(lost))
    return state


def _nested(error: BaseException, keep: Keep, above: tuple[BaseException, ...]) -> dict[str, Any]:
    return {
        "type": type_name(type(error)),
        "message": _cut(_text(error), _MAX_TEXT),
        "notes": _notes(error),
        "state": _state(error, keep, above),
    }


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
        found = loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    return checked(found if isinstance(found, dict) else {"message": text})


def checked(found: dict[str, Any]) -> dict[str, Any]:
    """Return a record of which type, message and stack are texts."""
    kind = found.get("type")
    texts = {field: _as_text(found.get(field)) for field in ("message", "stack")}
    return {**found, "type": _clean(kind) if isinstance(kind, str) and kind else "Error", **texts}


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return _clean(value if isinstance(value, str) else dumps(value))


def mark(error: BaseException, run_id: str, name: str, attempt: int) -> None:
    """Note on *error*, once, which step it failed."""
    if origin(error) is None:
        raised.dict_of(error)[_MARK] = (run_id, name)
        note(error, f"stepbook: in step {name!r}, attempt {attempt}, of run {run_id}")


def note(error: BaseException, text: str) -> None:
    """Add a note to *error*, past what its class makes of attributes."""
    notes = raised.dict_of(error).setdefault("__notes__", [])
    if type(notes) is list:  # else somebody has put something of their own there
        notes.append(text)


def origin(error: BaseException | None) -> tuple[str, str] | None:
    """Return the run id and name of the step that *error*, or what it came from, has failed."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        found = raised.dict_of(error).get(_MARK)
        if found is not None:
            return tuple(found)
        error = raised.cause_of(error) or raised.context_of(error)
    return None

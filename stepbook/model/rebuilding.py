"""Records of failures as exceptions again.

A class is taken from the modules that the caller's code has imported, and an instance of it is made
without executing anything of it. Where that would not be the exception that was raised, the caller
gets a :class:`RecordedError` that is an instance of the class as well, so that the same ``except``
catches it.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..errors import RecordedError
from . import raised
from .failures import NOT_STATE, checked, note, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Gives the value that a node stands for; raises whatever it may if it stands for none.
    Restore = Callable[[Any], Any]

#: What a group adds to its message.
_COUNT: Final = re.compile(r" \(\d+ sub-exceptions?\)$")
_MOST_LEVELS: Final = 20


def rebuild(record: dict[str, Any], restore: Restore | None = None, _level: int = 0) -> Exception:
    """Return an exception like the recorded one, as :func:`.failures.read` gave it.

    Of the same class where that is a built-in, stepbook's own or in a module that is imported
    already; built without calling anything of it. Else :class:`RecordedError`, also for what ends
    a program or a task: an interrupt is no outcome of the work, whatever a book says.

    Args:
        record: what was recorded.
        restore: gives the values in its state; without it they are left out.
    """
    record = checked(record)
    cls = raised.find(record["type"]) if _level < _MOST_LEVELS else None
    error = None
    if cls is not None:
        level = _level + 1
        state = _read_state(record, restore, level)
        inner = record.get("members") or ()
        members = [rebuild(one, restore, level) for one in _records(inner)]
        for make in _whole, _instead:
            # Whatever the class and the record are like, an error of the work comes back.
            with contextlib.suppress(Exception):
                error = error or make(cls, record, state, members)
    if error is None:
        error = _fill_own(RecordedError(summary(record)), record)
    notes = record.get("notes")
    for text in notes if isinstance(notes, list) else ():
        note(error, str(text))
    return error


def _records(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


@dataclass
class _State:
    """What is set in an exception that is made again.

    Attributes:
        args: its arguments, None if they are not known.
        group: of a group its message.
        fields: its slots.
        attributes: its attributes.
        lost: names of what was not stored, or cannot be restored.
        known: whether the record tells of all that.
    """

    args: tuple[Any, ...] | None = None
    group: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    known: bool = False


def _read_state(record: dict[str, Any], restore: Restore | None, level: int) -> _State:
    found = record.get("state")
    if restore is None or not isinstance(found, dict):
        return _State()
    state = _State(known=True)
    lost = found.get("lost")
    state.lost = [str(name) for name in lost] if isinstance(lost, list) else []

    def value(name: str, node: Any) -> Any:
        with contextlib.suppress(Exception):  # damaged, or of a newer version
            if isinstance(node.get("error"), dict):
                return rebuild(node["error"], restore, level)
            return restore(node["value"])
        state.lost.append(name)
        return None

    if isinstance(found.get("args"), list):
        args = tuple(value("args", node) for node in found["args"])
        state.args = args if "args" not in state.lost else None
    if found.get("group") is not None:
        state.group = str(value("message", found["group"]))
    for place, into in ("fields", state.fields), ("attributes", state.attributes):
        nodes = found.get(place)
        for name, node in nodes.items() if isinstance(nodes, dict) else ():
            if name not in NOT_STATE:
                into[name] = value(name, node)
    return state


def _whole(
    cls: type[Exception], record: dict[str, Any], state: _State, members: list[Exception]
) -> Exception | None:
    """Return the exception as it was; None if this cannot be told, or not be had."""
    if raised.defines(cls, "__del__") or state.lost:
        return None
    error = _blank(cls, record, state, members)
    if state.known:
        if state.args is not None:
            raised.set_args(error, state.args)
        raised.set_fields(error, state.fields)
        raised.dict_of(error).update(state.attributes)
        return error
    return error if cls in raised.GROUPS else _by_its_text(error, cls, record["message"])


def _blank(
    cls: type[Exception], record: dict[str, Any], state: _State, members: list[Exception]
) -> Exception:
    base = raised.built_in(cls)
    if BaseExceptionGroup in raised.lines(cls):
        made = ExceptionGroup if cls in raised.GROUPS else cls
        text = _COUNT.sub("", record["message"]) if state.group is None else state.group
        group: Exception = base.__new__(made, text, members)
        return group
    error: Exception = base.__new__(cls)
    return error


def _by_its_text(error: Exception, cls: type, message: str) -> Exception | None:
    """Fill an exception of which only the text was recorded, as early versions did."""
    lines = raised.lines(cls)
    verbatim = KeyError in lines  # it shows the repr of its key
    raised.set_args(error, (_Verbatim(message) if verbatim else message,))
    shows = next(line for line in lines if "__str__" in raised.dict_of_class(line))
    if raised.is_built_in(shows):
        return error if shows.__str__(error) == message else None
    note(error, f"stepbook: its text was recorded as: {message}")
    return error


class _Verbatim(str):
    """A text that is its own repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _Instead(RecordedError):  # noqa: N818 - nobody sees it: it has the name of the other class
    """Stands before a class of which it takes the place."""

    def __init_subclass__(cls, **_: Any) -> None:
        """Tell nobody: a class of the user may do something here."""

    def __str__(self) -> str:
        return self.message if type(self.message) is str else str(BaseException.__str__(self))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"{name!r} was not recorded of this error, which is replayed from the record; "
            "its notes name the step, and run.redo executes that again",
            name=name,
            obj=self,
        )


def _instead(
    cls: type[Exception], record: dict[str, Any], state: _State, members: list[Exception]
) -> Exception | None:
    """Return a RecordedError that is an instance of *cls*, too, with what is known of it."""
    if type(cls) is not type:  # its metaclass would be called
        return None
    named = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    own = {"__del__": lambda _: None} if raised.defines(cls, "__del__") else {}
    made: Any = type(cls.__name__, (_Instead, cls), {**named, **own})
    error = _fill_own(_blank(made, record, state, members), record)
    if BaseExceptionGroup not in raised.lines(cls):
        raised.set_args(error, (record["message"],) if state.args is None else state.args)
    with contextlib.suppress(Exception):  # what does not fit is as if it were lost
        raised.set_fields(error, state.fields)
    raised.dict_of(error).update(state.attributes)
    if state.lost:
        note(error, f"stepbook: not recorded of it: {', '.join(sorted(set(state.lost)))}")
    return error


def _fill_own(error: Exception, record: dict[str, Any]) -> Exception:
    known = {name: record[name] for name in ("type", "message", "stack")}
    raised.dict_of(error).update(known)
    return error

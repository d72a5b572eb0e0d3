"""Hears what is shown, and by which cell: while a step executes, and what comes after its end.

The objects that show are told to pass what they show through here, each by an attribute of its own
that is taken away again. So what was shown before and by whom stays as it was, and loggers that
hold on to a stream are heard, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from . import forked, hooks
from .calm import warn
from .page import WIDGET_VIEW
from .widgets import Captures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from IPython.core.interactiveshell import InteractiveShell

_MISSING: Final[Any] = object()
_OTHER: Final[Any] = object()
#: What was there before, as an attribute of what passes on what is shown.
_BEFORE: Final = "_stepbook_before"
#: To whom it passes that.
_LISTENER: Final = "_stepbook_listener"
_here: Final = threading.local()
#: So many cells are followed after their end, the latest ones.
_MOST_LATE: Final = 1_000


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Show something that is no output of a cell, or one that is heard already."""
    _here.depth = getattr(_here, "depth", 0) + 1
    try:
        yield
    finally:
        _here.depth -= 1


class Ear(Protocol):
    """Takes what a cell shows.

    Attributes:
        parent: the message that has asked for the cell; None if the host has no messages.
    """

    parent: str | None

    def hear(self, what: str, *args: Any, within: Any = None) -> None:
        """Take in one thing that is shown: a method of :class:`.page.Page`, and its arguments.

        Args:
            what: the method.
            *args: its arguments.
            within: the widget into which it goes instead of the page.
        """


class LateEar(Ear, Protocol):
    """Takes what a cell shows after its end."""

    def cell_begins(self) -> None:
        """Have recorded what has come, before another cell does anything."""


class Listener:
    """Follows what one shell shows.

    Attributes:
        executing: who hears the cell that executes; several where a cell executes another one.
        late: who hears what a cell shows after its end, by the message that has asked for it.
        bodies: who hears what the bodies of ``run.do`` show, besides those.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self.executing: list[Ear] = []
        self.late: dict[str, LateEar] = {}
        self.bodies: Ear | None = None
        self._heard: dict[tuple[int, str], tuple[Any, str]] = {}
        self._captures = Captures()
        self._stays = False

    # ---- whom it concerns ---------------------------------------------------------------------

    def parent(self) -> str | None:
        """Return the message that has asked for the cell that executes."""
        return _parent_of(sys.stdout) or _parent_of(self._shell.display_pub)

    def _hear(self, owner: Any, what: str, *args: Any, parent: str | None = None) -> None:
        if getattr(_here, "depth", 0) and parent is None:
            return
        try:
            parent = parent or _parent_of(owner)
            ears = self._concerned(parent)
            if self.bodies is not None:
                ears = [*ears, self.bodies]
            if ears:
                within = self._captures.widget(parent)
                for ear in ears:
                    ear.hear(what, *args, within=within)
        except Exception as error:  # noqa: BLE001 - what shows something is not to fail for us
            with unheard():
                warn(
                    "stepbook: an output was shown, but not recorded. "
                    f"{type(error).__name__}: {error}",
                    stacklevel=4,
                )

    def _concerned(self, parent: str | None) -> list[Ear]:
        found = [e for e in self.executing if None in (parent, e.parent) or e.parent == parent]
        if not found and parent is not None and parent in self.late:
            found.append(self.late[parent])
        return found

    def follow(self, parent: str, late: LateEar) -> None:
        """Have someone hear what a cell shows after its end."""
        self.late.pop(parent, None)
        self.late[parent] = late
        while len(self.late) > _MOST_LATE:
            del self.late[next(iter(self.late))]

    def cell_begins(self) -> None:
        """Have recorded what has come since the last cell, before this one does anything."""
        for late in self.late.values():
            late.cell_begins()

    def begin(self) -> None:
        """Listen from here on in a host whose messages tell what belongs to a cell that has ended.

        IPython puts its streams back after each cell as it has found them. So only a listener that
        is there before a cell hears what comes right behind that cell.
        """
        if hasattr(sys.stdout, "parent_header"):
            self._stays = True
            self.attach()
            with contextlib.suppress(RuntimeError):  # no loop yet, and so within no cell
                asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._stays:
            self.attach()

    def cell_ended(self) -> None:
        """Let go of the bodies of the cell."""
        if self.bodies is not None:
            self.bodies = None
            self.rest()

    def rest(self) -> None:
        """Listen no more if nobody hears."""
        if not self._stays and not self.executing and self.bodies is None:
            self.detach()

    # ---- hooks ----------------------------------------------------------------------------------

    def attach(self) -> None:
        """Listen to what shows now; twice is once."""
        for name in ("stdout", "stderr"):
            self._replace(getattr(sys, name), "write", self._stream(name))
        shell, hook = self._shell, self._shell.displayhook
        self._replace(shell.display_pub, "publish", self._publish)
        self._replace(shell.display_pub, "clear_output", self._cleared)
        self._replace(hook, "write_output_prompt", _quietly)
        self._replace(hook, "update_user_ns", self._valued)
        self._replace(hook, "write_format_data", self._result)
        self._replace(shell, "_showtraceback", self._raised)
        thread = getattr(sys.stdout, "pub_thread", None)
        if thread is not None:
            self._replace(thread, "send_multipart", self._sent)

    def detach(self) -> None:
        """Listen no more."""
        self._stays = False
        for owner, name in self._heard.values():
            call = vars(owner).get(name)
            before = getattr(call, _BEFORE, _OTHER)
            if before is not _OTHER:  # else somebody has replaced it since, and will put it back
                _put_back(owner, name, before)
        self._heard.clear()

    def _replace(self, owner: Any, name: str, wrap: Callable[[Any, Any], Any]) -> None:
        before = vars(owner).get(name, _MISSING) if hasattr(owner, "__dict__") else _MISSING
        while hasattr(before, _BEFORE):
            if getattr(before, _LISTENER) is self:
                return
            # Of a listener that has ended within a cell: IPython has put it back after that.
            before = getattr(before, _BEFORE)
            _put_back(owner, name, before)
        wrapper = wrap(getattr(owner, name), owner)
        setattr(wrapper, _BEFORE, before)
        setattr(wrapper, _LISTENER, self)
        try:
            setattr(owner, name, wrapper)
        except (AttributeError, TypeError):
            return  # a stream of somebody's own that cannot be listened to
        self._heard[id(owner), name] = owner, name

    def _stream(self, name: str) -> Callable[[Any, Any], Any]:
        def wrap(write: Any, owner: Any) -> Any:
            def heard(text: str, *args: Any, **kwargs: Any) -> Any:
                if isinstance(text, str):
                    self._hear(owner, "text", name, text)
                with unheard():  # a cell's stream may pass it on to one that is followed, too
                    return write(text, *args, **kwargs)

            return heard

        return wrap

    def _publish(self, publish: Any, owner: Any) -> Any:
        publish = _quietly(publish)

        def heard(data: Any, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
            display = (kwargs.get("transient") or {}).get("display_id")
            display = None if display is None else str(display)
            if not kwargs.get("update"):
                self._hear(owner, "display", data, metadata, display)
            elif display is not None:
                self._hear(owner, "update", data, metadata, display)
            return publish(data, metadata, *args, **kwargs)

        return heard

    def _valued(self, update: Any, owner: Any) -> Any:
        def heard(value: Any) -> Any:
            self._hear(owner, "result", value)
            return update(value)

        return heard

    def _result(self, write: Any, owner: Any) -> Any:
        write = _quietly(write)

        def heard(data: Any, metadata: Any = None) -> Any:
            self._hear(owner, "fill", data, metadata)
            return write(data, metadata)

        return heard

    def _cleared(self, clear: Any, owner: Any) -> Any:
        clear = _quietly(clear)

        def heard(wait: bool = False) -> Any:  # noqa: FBT001, FBT002 - IPython's own signature
            self._hear(owner, "clear", bool(wait))
            return clear(wait)

        return heard

    def _raised(self, show: Any, owner: Any) -> Any:
        show = _quietly(show)
        owner = owner.displayhook

        def heard(kind: Any, value: Any, lines: Any) -> Any:
            name = getattr(kind, "__name__", "Exception")
            texts = str(name), str(value), [str(line) for line in lines]
            self._hear(owner, "error", *texts, getattr(owner, "msg", None) is not None)
            return show(kind, value, lines)

        return heard

    def _sent(self, send: Any, owner: Any) -> Any:
        def heard(parts: Any, *args: Any, **kwargs: Any) -> Any:
            message = forked.message(parts)
            if message is not None:
                self._hear(owner, message.what, *message.args, parent=message.parent)
            return send(parts, *args, **kwargs)

        return heard


def _put_back(owner: Any, name: str, before: Any) -> None:
    if before is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


def _quietly(call: Any, _owner: Any = None) -> Any:
    """Call without hearing: in a terminal, displays are written to the stream."""

    def quiet(*args: Any, **kwargs: Any) -> Any:
        with unheard():
            return call(*args, **kwargs)

    return quiet


def _parent_of(owner: Any) -> str | None:
    """Return the message to which what *owner* shows belongs, as the page is told."""
    header = getattr(owner, "parent_header", None)
    found = header.get("msg_id") if isinstance(header, dict) else None
    return found if isinstance(found, str) else None


def model_in(data: Any) -> str | None:
    """Return the widget that a bundle shows."""
    return str(data[WIDGET_VIEW].get("model_id")) if WIDGET_VIEW in data else None


# ---- the listener of a shell ---------------------------------------------------------------------

_listeners: Final[dict[int, Listener]] = {}


def listener(shell: InteractiveShell) -> Listener:
    """Return the listener of a shell, made on the first call."""
    found = _listeners.get(id(shell))
    if found is None:
        found = _listeners[id(shell)] = Listener(shell)
        hooks.at_begin.append(found.cell_begins)
        hooks.at_end.append(found.cell_ended)
        found.begin()
    return found


def end(shell: InteractiveShell) -> None:
    """Listen to a shell no more."""
    found = _listeners.pop(id(shell), None)
    if found is not None:
        hooks.at_begin.remove(found.cell_begins)
        hooks.at_end.remove(found.cell_ended)
        found.detach()

"""What a cell shows: recorded while it is shown, and shown again on replay.

An output is what a notebook file has: ``stream``, ``display_data`` or ``execute_result``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final

from ..errors import StepbookWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from IPython.core.interactiveshell import InteractiveShell

_WIDGET_VIEW: Final = "application/vnd.jupyter.widget-view+json"
_MISSING: Final[Any] = object()
#: What a carriage return has overwritten, as a progress bar does many times a second.
_OVERWRITTEN: Final = re.compile(r"^[^\n]*\r(?!\n|$)", re.MULTILINE)


class Recorder:
    """Records what the shell shows between :meth:`start` and :meth:`stop`.

    The objects that show are told to pass what they show through here, each by an attribute of its
    own that :meth:`stop` takes away again. So what was shown before and by whom stays as it was,
    and loggers that hold on to a stream are heard, too.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._outputs: list[dict[str, Any]] = []
        self._displays: dict[str, dict[str, Any]] = {}
        self._widgets: dict[str, dict[str, Any]] = {}
        self._undo: list[Callable[[], None]] = []
        self._nested = 0
        self._clear = False

    # ---- hooks ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to record."""
        for name in ("stdout", "stderr"):
            self._replace(getattr(sys, name), "write", self._stream(name))
        publisher, hook = self._shell.display_pub, self._shell.displayhook
        self._replace(publisher, "publish", self._publish)
        self._replace(publisher, "clear_output", self._cleared)
        self._replace(hook, "write_output_prompt", self._quietly)
        self._replace(hook, "write_format_data", self._result)

    def stop(self) -> None:
        """Record no more; twice is once."""
        while self._undo:
            self._undo.pop()()

    def _replace(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        before = vars(owner).get(name, _MISSING)
        wrapper = wrap(getattr(owner, name))
        try:
            setattr(owner, name, wrapper)
        except (AttributeError, TypeError):
            return  # a stream of somebody's own that cannot be listened to

        def undo() -> None:
            if vars(owner).get(name) is not wrapper:
                return  # somebody has replaced it since, and will put it back
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

        self._undo.append(undo)

    def _stream(self, name: str) -> Callable[[Any], Any]:
        def wrap(write: Any) -> Any:
            def heard(text: str, *args: Any, **kwargs: Any) -> Any:
                if isinstance(text, str):
                    self._hear(self._add_text, name, text)
                return write(text, *args, **kwargs)

            return heard

        return wrap

    def _quietly(self, call: Any) -> Any:
        """Call without hearing: in a terminal, displays are written to the stream."""

        def quiet(*args: Any, **kwargs: Any) -> Any:
            with self._unheard():
                return call(*args, **kwargs)

        return quiet

    @contextlib.contextmanager
    def _unheard(self) -> Iterator[None]:
        self._nested += 1
        try:
            yield
        finally:
            self._nested -= 1

    def _publish(self, publish: Any) -> Any:
        publish = self._quietly(publish)

        def heard(data: Any, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
            transient = kwargs.get("transient") or {}
            display, update = transient.get("display_id"), bool(kwargs.get("update"))
            self._hear(self._add_display, data, metadata, display, update=update)
            return publish(data, metadata, *args, **kwargs)

        return heard

    def _result(self, write: Any) -> Any:
        write = self._quietly(write)

        def heard(data: Any, metadata: Any = None) -> Any:
            self._hear(self._add, "execute_result", data, metadata)
            return write(data, metadata)

        return heard

    def _cleared(self, clear: Any) -> Any:
        clear = self._quietly(clear)

        def heard(wait: bool = False) -> Any:  # noqa: FBT001, FBT002 - IPython's own signature
            if wait:
                self._clear = True
            else:
                self._outputs.clear()
            return clear(wait)

        return heard

    def _hear(self, add: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        if self._nested:
            return
        try:
            add(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - what shows something is not to fail for us
            with self._unheard():
                warnings.warn(
                    "stepbook: an output was shown, but not recorded. "
                    f"{type(error).__name__}: {error}",
                    StepbookWarning,
                    stacklevel=4,
                )

    # ---- what was heard -----------------------------------------------------------------------

    def _add_text(self, name: str, text: str) -> None:
        self._clear_now()
        last = self._outputs[-1] if self._outputs else {}
        if last.get("output_type") == "stream" and last["name"] == name:
            last["text"].append(text)
        else:
            self._outputs.append({"output_type": "stream", "name": name, "text": [text]})

    def _add_display(self, data: Any, metadata: Any, display: Any, *, update: bool) -> None:
        if not update:
            output = self._add("display_data", data, metadata)
            if display is not None:
                self._displays[str(display)] = output
        elif str(display) in self._displays:
            known = self._displays[str(display)]
            known["data"], known["metadata"] = _plain(data), _json(metadata)

    def _add(self, kind: str, data: Any, metadata: Any) -> dict[str, Any]:
        self._clear_now()
        output = {"output_type": kind, "data": _plain(data), "metadata": _json(metadata)}
        self._outputs.append(output)
        if _WIDGET_VIEW in data:
            self._widgets[str(data[_WIDGET_VIEW].get("model_id"))] = output
        return output

    def _clear_now(self) -> None:
        if self._clear:
            self._clear = False
            self._outputs.clear()

    def outputs(self) -> list[dict[str, Any]]:
        """Return what was shown so far, in order, as JSON."""
        for model, output in self._widgets.items():
            text = _widget_text(model)
            if text is not None:  # as it looks now: a progress bar at its end
                output["data"]["text/plain"] = text
        found = []
        for output in self._outputs:
            if output["output_type"] == "stream":
                text = _OVERWRITTEN.sub("", "".join(output["text"]))
                if text:
                    found.append({**output, "text": text})
            elif output["data"]:
                found.append(output)
        return found


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    """Return a bundle as JSON; views of widgets would find no model on replay and are left out."""
    plain: dict[str, Any] = {}
    for mime, value in data.items():
        if mime == _WIDGET_VIEW:
            continue
        shown = base64.b64encode(value).decode() if isinstance(value, bytes) else _json(value)
        if shown is not None:
            plain[mime] = shown
    return plain


def _json(value: Any) -> Any:
    """Return *value* as JSON has it, or None."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return None


def _widget_text(model: str) -> str | None:
    module = sys.modules.get("ipywidgets.widgets.widget")
    widget = getattr(module, "_instances", {}).get(model)
    try:
        return None if widget is None else repr(widget)
    except Exception:  # noqa: BLE001 - code of the widget's; its first text stays
        return None


def flush_figures() -> None:
    """Show the figures that matplotlib would show at the end of the cell, now."""
    backend = sys.modules.get("matplotlib_inline.backend_inline")
    if backend is not None:
        backend.flush_figures()


def _is_output(output: Any) -> bool:
    """Whether *output* is as :meth:`Recorder.outputs` gives it."""
    match output:
        case {"output_type": "stream", "name": "stdout" | "stderr", "text": str()}:
            return True
        case {
            "output_type": "display_data" | "execute_result",
            "data": dict(),
            "metadata": dict() | None,
        }:
            return True
    return False


def show(shell: InteractiveShell, outputs: Any, value: Any) -> bool:
    """Show recorded outputs again, in order.

    Args:
        shell: where.
        outputs: what :meth:`Recorder.outputs` gave; somebody may have changed the record since.
        value: what ``_`` and ``Out`` get of an ``execute_result``.

    Returns:
        Whether all of it could be shown.
    """
    found = outputs if isinstance(outputs, list) else [outputs]
    for output in filter(_is_output, found):
        kind = output["output_type"]
        if kind == "stream":
            stream = sys.stderr if output["name"] == "stderr" else sys.stdout
            stream.write(output["text"])
            stream.flush()
        elif kind == "display_data":
            shell.display_pub.publish(output["data"], output["metadata"] or {})
        else:
            hook: Any = shell.displayhook
            hook.start_displayhook()
            hook.write_output_prompt()
            hook.write_format_data(output["data"], output["metadata"] or {})
            if value is not None:
                hook.update_user_ns(value)
                hook.fill_exec_result(value)
            hook.finish_displayhook()
    return all(map(_is_output, found))

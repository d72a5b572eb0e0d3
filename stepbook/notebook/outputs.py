"""What a cell shows: recorded while it is shown, and shown again on replay."""

from __future__ import annotations

import html
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from ..errors import NotSerializableError
from ..values.masking import masked_node
from . import stub
from .listen import listener, model_in
from .page import Page, display_of, fill, is_output, texts_of
from .widgets import content_of, page_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from ..values.redact import Redaction
    from .page import Output

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]+")
#: Of a stub that is shown so much is looked for: tables cut off what is longer.
_SHOWN: Final = 40


class Recorder:
    """Records what the shell shows between :meth:`start` and :meth:`stop`.

    Attributes:
        parent: the message that has asked for the cell; None if the host has no messages.
        results: the outputs that show the value of an expression, with the value.
        hears_errors: whether errors that are shown are outputs of the body, and not its own.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._listener = listener(shell)
        self.parent: str | None = None
        self.results: list[tuple[Output, Any]] = []
        self.hears_errors = True
        self._page = Page()
        self._widgets: dict[str, Page] = {}
        self._views: list[tuple[Output, str]] = []
        self._open: Output | None = None

    def start(self) -> None:
        """Begin to record."""
        self.parent = self._listener.parent()
        stub.shown.clear()
        self._listener.executing.append(self)
        self._listener.attach()

    def stop(self) -> None:
        """Record no more; twice is once."""
        if self in self._listener.executing:
            self._listener.executing.remove(self)
            self._listener.rest()

    def hear(self, what: str, *args: Any, within: Any = None) -> None:
        """Take in one thing that is shown; see :class:`.listen.Ear`."""
        page = self._page if within is None else self._page_of(within)
        if what == "result":  # also of what goes into a widget: `_` is the cell's
            self._open = self._page.result()
            self.results.append((self._open, *args))
        elif what == "fill" and within is None:
            output, self._open = self._open or self._page.result(), None
            fill(output, *args)
            self._view(output, args[0])
        elif what in ("fill", "display"):
            self._view(page.display(*args), args[0])
        elif what == "update":
            pages = [p for p in (self._page, *self._widgets.values()) if p.shows(args[-1])]
            (pages[0] if pages else self._page).update(*args)
        elif what != "error" or self.hears_errors:
            page.take(what, *args)

    def _view(self, output: Output, data: Any) -> None:
        model = model_in(data)
        if model is not None:
            self._views.append((output, model))

    def _page_of(self, widget: Any) -> Page:
        model = str(widget.model_id)
        page = self._widgets.get(model)
        if page is None:
            page = self._widgets[model] = page_of(widget)
        return page

    def outputs(self) -> list[Output]:
        """Return what was shown so far, in order, as JSON."""
        for output, model in self._views:
            text, content = text_of(model), content_of(model, self._widgets)
            if text is not None:
                output["data"]["text/plain"] = text
            if content:
                output["content"] = content
        return self._page.as_outputs()


def without_stubs(outputs: list[Output]) -> tuple[list[Output], set[tuple[str, str]]]:
    """Return the outputs that show nothing that was not stored, and what the others show.

    Returns:
        The outputs, and the name and step of each stub.
    """
    if not stub.shown:
        return outputs, set()
    marks = {text[:_SHOWN]: about for text, about in stub.shown.items()}
    marks |= {html.escape(text): about for text, about in marks.items()}
    kept, found = [], set()
    for output in outputs:
        here = {a for mark, a in marks.items() if any(mark in text for text in texts_of(output))}
        found |= here
        if not here:
            kept.append(output)
        elif output["output_type"] == "execute_result":
            kept.append({**output, "data": {}})
        elif output["output_type"] == "stream":
            lines = output["text"].splitlines(keepends=True)
            text = "".join(line for line in lines if not any(mark in line for mark in marks))
            kept += [{**output, "text": text}] if text else []
    return kept, found


def redacted(outputs: list[Output], redaction: Redaction) -> list[Output]:
    """Return outputs without secrets, before they are sealed; their values stay."""
    found: list[Output] = []
    for output in outputs:
        facts = {name: item for name, item in output.items() if name not in ("value", "content")}
        made = masked_node(redaction, facts, [], lossy=True)
        if "value" in output:
            made["value"] = output["value"]
        if "content" in output:
            made["content"] = redacted(output["content"], redaction)
        found.append(made)
    return found


def storable(
    outputs: list[Output], encode: Callable[[Output], object]
) -> tuple[list[Output], list[str]]:
    """Return the outputs that can be stored, and why each of the others cannot."""
    kept, reasons = [], []
    for output in outputs:
        try:
            encode(output)
            kept.append(output)
        except NotSerializableError as error:
            reasons.append(error.reason or str(error))
    return kept, reasons


def without(outputs: Any, heard: list[Output]) -> Any:
    """Return recorded outputs without those that a replay has shown already.

    Definitions are executed again, with what they show.
    """
    if not heard or not isinstance(outputs, list):
        return outputs
    left = [dict(output) if is_output(output) else output for output in outputs]
    for one in heard:
        for output in filter(is_output, left):
            if output["output_type"] != one["output_type"]:
                continue
            if one["output_type"] == "stream":
                if output["name"] == one["name"] and one["text"] in output["text"]:
                    output["text"] = output["text"].replace(one["text"], "", 1)
                    break
            elif _looks(output) == _looks(one):
                left.remove(output)
                break
    return [o for o in left if not (is_output(o) and o.get("text") == "")]


def _looks(output: Output) -> list[str]:
    plain = output.get("data", {}).get("text/plain")
    texts = [plain] if isinstance(plain, str) else texts_of(output)
    return [_ADDRESS.sub("", text) for text in texts]


def flush_figures() -> None:
    """Show the figures that matplotlib would show at the end of the cell, now."""
    backend = sys.modules.get("matplotlib_inline.backend_inline")
    if backend is not None:
        backend.flush_figures()


def show(shell: InteractiveShell, outputs: Any, value_of: Callable[[Output], Any]) -> bool:
    """Show recorded outputs again, in order.

    Args:
        shell: where.
        outputs: what :meth:`Recorder.outputs` gave; somebody may have changed the record since.
        value_of: returns what ``_`` and ``Out`` get of an ``execute_result``.

    Returns:
        Whether all of it could be shown.
    """
    found = outputs if isinstance(outputs, list) else [outputs]
    for output in filter(is_output, found):
        _show(shell, output, value_of)
    return all(map(is_output, found))


def _show(shell: Any, output: Output, value_of: Callable[[Output], Any]) -> None:
    kind, hook = output["output_type"], shell.displayhook
    if kind == "stream":
        stream = sys.stderr if output["name"] == "stderr" else sys.stdout
        stream.write(output["text"])
        stream.flush()
    elif kind == "error":
        _show_error(shell, output)
    elif kind == "execute_result":
        hook.start_displayhook()
        hook.write_output_prompt()
        value = value_of(output)
        if value is not None:
            hook.update_user_ns(value)
            hook.fill_exec_result(value)
        if output["data"]:
            hook.write_format_data(output["data"], output["metadata"] or {})
        hook.finish_displayhook()
    else:
        display = display_of(output)
        facts: dict[str, Any] = {"update": True} if kind == "update_display_data" else {}
        if display is not None:
            facts["transient"] = {"display_id": display}
        if output["data"]:
            shell.display_pub.publish(output["data"], output["metadata"] or {}, **facts)
    for inner in output.get("content", ()):
        _show(shell, inner, value_of)


def _show_error(shell: Any, output: Output) -> None:
    of_result = output.get("of_result") is True
    if of_result:  # it fails the cell, as it did
        shell.displayhook.start_displayhook()
    cls = type(output["ename"], (Exception,), {})
    shell._showtraceback(cls, output["evalue"], output["traceback"])  # noqa: SLF001 - what shows a text that is a traceback already
    if of_result:
        shell.displayhook.finish_displayhook()

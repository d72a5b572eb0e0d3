"""What a cell shows, put together as a notebook's page does it.

An output is what a notebook file has: ``stream``, ``display_data``, ``execute_result`` or
``error``. Beside that, ``transient`` holds the id by which later cells update a display;
``update_display_data`` is such an update, of a display that another cell has shown; ``content`` is
what was written into a widget that shows outputs; ``value`` tells what ``_`` is.
"""

from __future__ import annotations

import base64
import re
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    Output = dict[str, Any]

WIDGET_VIEW: Final = "application/vnd.jupyter.widget-view+json"
#: What a carriage return has overwritten, as a progress bar does many times a second.
_OVERWRITTEN: Final = re.compile(r"^[^\n]*\r(?!\n|$)", re.MULTILINE)


class Page:
    """The outputs of one cell, or of one widget, in order.

    Args:
        outputs: what is there already, as :meth:`as_outputs` gives it.
    """

    def __init__(self, outputs: Iterable[Output] = ()) -> None:
        self._outputs: list[Output] = []
        self._displays: dict[str, Output] = {}
        self._clears = False
        for output in outputs:
            if output["output_type"] == "stream":
                self.text(output["name"], output["text"])
                continue
            self._outputs.append(output)
            display = display_of(output)
            if display is not None and output["output_type"] == "display_data":
                self._displays[display] = output

    def take(self, what: str, *args: Any) -> None:
        """Take in one thing that is shown, by the name of its method here."""
        if what == "clear":
            self.clear(wait=args[0])
        elif what == "error":
            self.error(*args[:3], of_result=args[3])
        else:
            getattr(self, what)(*args)

    def text(self, name: str, text: str) -> None:
        """Add to a stream."""
        self._clear_now()
        last = self._outputs[-1] if self._outputs else {}
        if last.get("output_type") == "stream" and last["name"] == name:
            last["text"].append(text)
        else:
            self._outputs.append({"output_type": "stream", "name": name, "text": [text]})

    def display(self, data: Any, metadata: Any, display: str | None = None) -> Output:
        """Add a display; with an id it can be updated."""
        output = self._add({"output_type": "display_data", **_bundle(data, metadata)})
        if display is not None:
            output["transient"] = {"display_id": display}
            self._displays[display] = output
        return output

    def update(self, data: Any, metadata: Any, display: str) -> None:
        """Update a display: one of this page, or of another cell's."""
        known = self._displays.get(display)
        if known is None:
            known = {"output_type": "update_display_data", "transient": {"display_id": display}}
            self._outputs.append(known)
            self._displays[display] = known
        known.update(_bundle(data, metadata))

    def shows(self, display: str) -> bool:
        """Whether a display with this id is on this page."""
        return display in self._displays

    def result(self) -> Output:
        """Add the result of an expression, which :func:`fill` says more of."""
        return self._add({"output_type": "execute_result", **_bundle({}, {})})

    def error(self, name: str, value: str, traceback: list[str], *, of_result: bool) -> None:
        """Add an error that was shown and did not end the body; perhaps of showing its result."""
        found = {"ename": name, "evalue": value, "traceback": traceback, "of_result": of_result}
        self._add({"output_type": "error", **found})

    def clear(self, *, wait: bool) -> None:
        """Take away what is there, now or when something comes; ``_`` stays what it is."""
        self._clears = wait
        if not wait:
            kept = [o for o in self._outputs if o["output_type"] in _NOT_SEEN]
            for output in kept:
                if output["output_type"] == "execute_result":
                    output.update(_bundle({}, {}))
            self._outputs[:] = kept

    def _add(self, output: Output) -> Output:
        self._clear_now()
        self._outputs.append(output)
        return output

    def _clear_now(self) -> None:
        if self._clears:
            self.clear(wait=False)

    def as_outputs(self) -> list[Output]:
        """Return what is there, as JSON."""
        found = []
        for output in list(self._outputs):
            kind = output["output_type"]
            if kind == "stream":
                text = _OVERWRITTEN.sub("", "".join(output["text"]))
                if text:
                    found.append({**output, "text": text})
            elif kind in ("execute_result", "error") or output["data"] or output.get("content"):
                found.append(output)
        return found


#: What is not on the page itself, so that clearing it leaves them.
_NOT_SEEN: Final = ("execute_result", "update_display_data")


def fill(output: Output, data: Any, metadata: Any) -> None:
    """Give a result what it shows."""
    output.update(_bundle(data, metadata))


def display_of(output: Output) -> str | None:
    """Return the id by which a display is updated."""
    display = (output.get("transient") or {}).get("display_id")
    return display if isinstance(display, str) else None


def is_output(output: Any) -> bool:
    """Whether *output* is as :meth:`Page.as_outputs` gives it: somebody may have changed it."""
    match output:
        case {"output_type": "stream", "name": "stdout" | "stderr", "text": str()}:
            return True
        case {
            "output_type": "display_data" | "execute_result" | "update_display_data",
            "data": dict(),
            "metadata": dict() | None,
        }:
            content = output.get("content", [])
            return (
                isinstance(output.get("transient", {}), dict)
                and isinstance(output.get("value", {}), dict)
                and isinstance(content, list)
                and all(map(is_output, content))
            )
        case {"output_type": "error", "ename": str(), "evalue": str(), "traceback": list()}:
            return output["ename"].isidentifier() and all(
                isinstance(line, str) for line in output["traceback"]
            )
    return False


def texts_of(output: Output) -> list[str]:
    """Return the texts that are to be read in an output."""
    if output["output_type"] == "stream":
        return [output["text"]]
    return [text for text in output.get("data", {}).values() if isinstance(text, str)]


def _bundle(data: Any, metadata: Any) -> Output:
    return {"data": _plain(data), "metadata": as_json(metadata)}


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    """Return a bundle as JSON; views of widgets would find no model on replay and are left out."""
    plain: dict[str, Any] = {}
    for mime, value in data.items():
        if mime == WIDGET_VIEW:
            continue
        shown = base64.b64encode(value).decode() if isinstance(value, bytes) else as_json(value)
        if shown is not None:
            plain[mime] = shown
    return plain


def as_json(value: Any) -> Any:
    """Return *value* as JSON has it, or None."""
    try:
        return loads(dumps(value))
    except (TypeError, ValueError, RecursionError):
        return None

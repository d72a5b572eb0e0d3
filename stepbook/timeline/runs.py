"""The list of a book's runs as a widget: searched and filtered in the page, opened in place."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import anywidget
import traitlets

from ..errors import StepbookError
from ..show import html
from . import wire
from .bundle import bundle
from .widget import timeline_of

if TYPE_CHECKING:
    from ..engine.books import OpenBook

_lists: WeakKeyDictionary[OpenBook, Runs] = WeakKeyDictionary()


def runs_of(book: OpenBook) -> Runs:
    """Return the list of a book's runs: one widget, however often it is shown.

    Raises:
        StepbookError: the book cannot be read, or the front end has not been built.
    """
    found = _lists.get(book)
    if found is None or found.comm is None:
        found = _lists[book] = Runs(book)
    return found


class Runs(anywidget.AnyWidget):
    """The list of a book's newest runs; a book displays as it."""

    _esm = bundle()
    kind = traitlets.Unicode("runs").tag(sync=True)
    #: The runs as UTF-8 JSON, the message of :func:`._wire.runs`.
    snapshot = traitlets.Bytes(b"").tag(sync=True)
    #: Marks the places in the page where the list is to be seen.
    slot = traitlets.Unicode().tag(sync=True)

    def __init__(self, book: OpenBook) -> None:
        self._book = book
        self.rev = 0
        self._runs: list[html.RunLine] = []
        super().__init__(slot=secrets.token_hex(8))
        self.refresh()
        self.on_msg(self._answer)

    #: There is always more to come.
    has_ended = False

    def refresh(self) -> None:
        """Read the book again.

        Raises:
            StepbookError: it cannot be read right now.
        """
        runs = self._book.overview()
        if runs == self._runs and self.rev:
            return
        self._runs, self.rev = runs, self.rev + 1
        self.snapshot = wire.encode(wire.runs(runs)).encode()

    def static(self) -> dict[str, str]:
        """Return what is shown where there is no widget."""
        title = repr(self._book)
        return {"text/plain": title, "text/html": html.runs_html(title, self._runs)}

    def slotted(self) -> dict[str, str]:
        """Return the static list in a place that the live one takes while there is a kernel."""
        data = self.static()
        data["text/html"] = html.slotted(self.slot, html.Markup(data["text/html"]))
        return data

    def _answer(self, _widget: object, content: Any, _buffers: object) -> None:
        """Answer a request of the page."""
        if not isinstance(content, dict):
            return
        request = content.get("id", 0)
        try:
            if content.get("type") == "open":
                # The timeline's widget shows itself in every element that bears its mark.
                answer = wire.reply(request, timeline_of(self._book, content["run"]).slot)
            else:
                if content.get("type") == "refresh":
                    self.refresh()
                answer = wire.reply(request, None)
        except StepbookError as error:
            answer = wire.refusal(request, str(error))
        except Exception as error:  # noqa: BLE001 - a door: the page waits for an answer
            answer = wire.refusal(request, f"{type(error).__name__}: {error}")
        self.send({}, buffers=[wire.encode(answer).encode()])

    def __repr__(self) -> str:
        return repr(self._book)

    def _repr_mimebundle_(self, **_options: object) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle_, metadata = super()._repr_mimebundle_() or ({}, {})
        return {**bundle_, **self.static()}, metadata

"""What ipywidgets shows: outputs that go into a widget, and widgets as text."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from .page import Page, as_json, is_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .page import Output

#: ipywidgets itself shows no more of a widget as text.
_LONGEST: Final = 110


def _all() -> dict[str, Any]:
    module = sys.modules.get("ipywidgets.widgets.widget")
    found: dict[str, Any] = getattr(module, "_instances", {})
    return found


def _is_output(widget: Any) -> bool:
    module = sys.modules.get("ipywidgets.widgets.widget_output")
    return module is not None and isinstance(widget, module.Output)


class Captures:
    """Finds the widget into which a page puts what a cell shows: ``with output:``."""

    def __init__(self) -> None:
        self._key: tuple[int, str | None] = (0, None)
        self._outputs: list[Any] = []
        self._entered: list[Any] = []

    def widget(self, parent: str | None) -> Any:
        """Return the widget that takes what the cell *parent* shows, or None.

        A page asks ``msg_id`` of each widget: the cell of which it takes what is shown. Of several
        the one that was entered last has it.
        """
        widgets = _all()
        if not widgets or parent is None:
            return None
        key = len(widgets), next(reversed(widgets), None)
        if key != self._key:  # they are only looked through when there are others
            self._key = key
            self._outputs = [w for w in list(widgets.values()) if _is_output(w)]
        taking = {id(w): w for w in self._outputs if w.msg_id == parent}
        if not taking:
            self._entered.clear()
            return None
        known = [w for w in self._entered if id(w) in taking]
        self._entered = known + [w for w in taking.values() if all(w is not k for k in known)]
        return self._entered[-1]


def text_of(model: str) -> str | None:
    """Return a widget as text, as it looks now: a progress bar at its end."""
    widget = _all().get(model)
    if widget is None or _is_output(widget):  # of that, what is in it is shown
        return None
    try:
        text = repr(widget)
    except Exception:  # noqa: BLE001 - code of the widget's; its first text stays
        return None
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def content_of(model: str, pages: dict[str, Page]) -> list[Output]:
    """Return what is in a widget that shows outputs, or holds some that do."""
    found: list[Output] = []
    for widget in _within(_all().get(model)):
        page = pages.get(widget.model_id) or page_of(widget)
        found += [o for o in page.as_outputs() if o["output_type"] != "update_display_data"]
    return found


def page_of(widget: Any) -> Page:
    """Return the page of what a widget shows already."""
    shown = as_json(list(widget.outputs)) or []
    return Page(output for output in shown if is_output(output))


def _within(widget: Any) -> Iterator[Any]:
    """Return the widgets that show outputs, of one that holds others."""
    waiting, seen = [widget], set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if _is_output(one):
            yield one
        waiting.extend(reversed(getattr(one, "children", None) or ()))

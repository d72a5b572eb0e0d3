"""Shows timelines in outputs, and keeps what a notebook saves of them up to date.

An output holds text and the static view in a place of its own; the front end of the widget looks
for that place and shows the live timeline there. So a saved notebook never holds a reference to a
widget that is gone: opened without its kernel it shows the static view, as it was at the end of the
last cell. Front ends that make no widget without an output of its own (VS Code, Colab) get the
widget's MIME type as well, until the run has ended.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from typing import TYPE_CHECKING, Any, Final

from ..errors import BookNotFoundError, StepbookError
from ..system.console import shell, stable, tell
from . import hooks
from .listen import unheard

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..engine.hooks import Live

#: So many outputs are kept up to date; older ones stay as they are.
_MOST_OUTPUTS: Final = 20

#: The timeline in each output, by display id, with the revision that was shown last.
_outputs: dict[str, tuple[Live, int]] = {}


def kernel() -> Any:
    """Return the kernel that this process is, or None."""
    return getattr(shell(), "kernel", None)


def needs_widget_output() -> bool:
    """Whether the front end makes widgets only from outputs of their type."""
    names = getattr(shell(), "user_ns", {})
    return (
        "google.colab" in sys.modules or "VSCODE_PID" in os.environ or "__vsc_ipynb_file__" in names
    )


def show_made(make: Callable[[], Live]) -> None:
    """Show what *make* gives as an output of the cell.

    Raises:
        NotImplementedError: there can be no widget; IPython then shows what else there is.
    """
    if kernel() is None or stable():
        raise NotImplementedError
    try:
        live = make()
    except BookNotFoundError:
        raise NotImplementedError from None
    except StepbookError as error:  # no bundle, a busy book: say what to do
        tell(f"stepbook: {error}")
        raise NotImplementedError from None
    show(live)


def show(timeline: Live) -> None:
    """Show a timeline or a list of runs as an output of the cell.

    Raises:
        NotImplementedError: this is no kernel; IPython then shows the text.
    """
    if kernel() is None:
        raise NotImplementedError
    if stable():
        _publish(timeline.static(), None)
        return
    hooks.attach()
    if refresh_outputs not in hooks.after_cell:
        hooks.after_cell.append(refresh_outputs)
    timeline.refresh()
    display_id = f"stepbook-{secrets.token_hex(8)}"
    _publish(_data(timeline), display_id)
    _outputs[display_id] = timeline, timeline.rev
    while len(_outputs) > _MOST_OUTPUTS:
        del _outputs[next(iter(_outputs))]


def refresh_outputs() -> None:
    """Write into the outputs what has changed since they were written."""
    for live in {id(live): live for live, _ in _outputs.values()}.values():
        # If the book is busy, the end of the next cell is soon enough.
        with contextlib.suppress(StepbookError):
            live.refresh()
    for display_id, (timeline, rev) in list(_outputs.items()):
        if timeline.rev != rev:
            _publish(_data(timeline), display_id, update=True)
            _outputs[display_id] = timeline, timeline.rev


def _data(timeline: Live) -> dict[str, Any]:
    if not needs_widget_output():
        return timeline.slotted()
    if timeline.has_ended:
        return timeline.static()
    data: dict[str, Any] = timeline._repr_mimebundle_()[0]
    return data


def _publish(data: dict[str, Any], display_id: str | None, *, update: bool = False) -> None:
    from IPython.display import publish_display_data  # noqa: PLC0415 - only with IPython

    transient = {} if display_id is None else {"display_id": display_id}
    # What brings an output up to date is none of the cell that has just ended.
    with unheard() if update else contextlib.nullcontext():
        publish_display_data(data=data, transient=transient, update=update)  # type: ignore[no-untyped-call]

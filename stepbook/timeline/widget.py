"""The anywidget: sends a run's timeline to the page and answers it. The only owner of anywidget."""

from __future__ import annotations

import secrets
import threading
import time
from json import loads
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import anywidget
import traitlets

from ..engine import deliver, revise, runs
from ..engine.hooks import HOOKS
from ..errors import StepbookError
from ..show import html, text
from ..system.console import stable
from ..system.interrupts import section
from . import wire
from .bundle import bundle
from .follow import Follower
from .pulse import PULSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..engine.books import OpenBook

#: Between two messages at least: ten a second.
_BEAT_S: Final = 0.1
#: How often to look at a run, and at one that has ended.
_LOOK_S: Final = 0.03
_ENDED_S: Final = 2.0
#: A page needs a moment to load the front end; until then deltas begin at the first snapshot.
_YOUNG_S: Final = 5.0
#: With more rows than this the page asks for a snapshot instead.
_YOUNG_ROWS: Final = 100
#: After so long without news the state is settled: the snapshot goes into the trait, too.
_QUIET_S: Final = 1.0
#: The method of an ipykernel's comm that chooses the shell of an answer; it has no public name.
_WHERE_TO_ANSWER: Final = "_reply_subshell_for"
#: Larger snapshots go into the trait only at the run's end.
_SMALL_ROWS: Final = 1_000

_timelines: WeakKeyDictionary[OpenBook, dict[str, Timeline]] = WeakKeyDictionary()


def timeline_of(book: OpenBook, run_id: str) -> Timeline:
    """Return the timeline of a run: one widget, however often it is shown."""
    mine = _timelines.setdefault(book, {})
    found = mine.get(run_id)
    if found is None or found.comm is None:
        found = mine[run_id] = Timeline(book, run_id)
    return found


class Timeline(anywidget.AnyWidget):
    """The live timeline of a run; from ``run.timeline()``."""

    _esm = bundle()
    kind = traitlets.Unicode("timeline").tag(sync=True)
    #: The state as UTF-8 JSON, made when it is asked for: a page that is loaded again, a second
    #: view and a saved notebook begin with it.
    snapshot = traitlets.Bytes(b"").tag(
        sync=True, to_json=lambda _value, widget: widget.snapshot_bytes()
    )
    #: Marks the places in the page where the timeline is to be seen.
    slot = traitlets.Unicode().tag(sync=True)

    def __init__(self, book: OpenBook, run_id: str) -> None:
        self._book = book
        self._run_id = run_id
        self._guard = threading.RLock()
        self._follower = Follower(book, run_id)
        self._sent = self._first = self._follower.rev
        self._born = self._news = time.monotonic()
        self._settled = True
        super().__init__(slot=secrets.token_hex(8))
        self.on_msg(self._answer)
        _answer_on_subshell(self.comm)
        PULSE.watch(self)

    # ---- to the page --------------------------------------------------------------------------

    def beat(self) -> float | None:
        """Look at the run, send what is new; see :class:`~._pulse.Watched`."""
        if self.comm is None:
            return None
        with section(self._guard):
            follower = self._follower
            try:
                follower.recall()
                follower.update(timeout=0)
            except StepbookError:
                return _BEAT_S  # its book is busy: later
            now = time.monotonic()
            if follower.rev != self._sent:  # whoever has looked last: an output may have
                young = now - self._born < _YOUNG_S and len(follower.steps) < _YOUNG_ROWS
                message = follower.since(self._first if young else self._sent)
                self._sent = follower.rev
                self._news, self._settled = now, False
                self._post(message)
                return _BEAT_S
            if not self._settled and (follower.has_ended or now - self._news > _QUIET_S):
                self._settled = True
                if follower.has_ended or len(follower.steps) <= _SMALL_ROWS:
                    self.send_state("snapshot")
                    return _BEAT_S
            return _ENDED_S if follower.has_ended and not follower.is_open else _LOOK_S

    def _post(self, message: dict[str, Any]) -> None:
        self.send({}, buffers=[_bytes(message)])

    def snapshot_bytes(self) -> bytes:
        """Return the state as the page reads it."""
        with section(self._guard):
            return _bytes(self._follower.snapshot())

    # ---- from the page ------------------------------------------------------------------------

    def _answer(self, _widget: object, content: Any, _buffers: object) -> None:
        """Answer a request; runs in the main thread, or in a thread of the kernel's own."""
        if not isinstance(content, dict):
            return
        request = content.get("id", 0)
        try:
            message = self._answer_to(content)
        except StepbookError as error:
            message = wire.refusal(request, str(error))
        except Exception as error:  # noqa: BLE001 - a door: the page waits for an answer
            message = wire.refusal(request, f"{type(error).__name__}: {error}")
        self._post(message)

    def _answer_to(self, content: dict[str, Any]) -> dict[str, Any]:
        kind, request = content.get("type"), content.get("id", 0)
        if kind == "snapshot":
            with section(self._guard):
                self._follower.update()
                self._sent = self._follower.rev
                return self._follower.snapshot()
        answers: dict[Any, Callable[[], Any]] = {
            "hello": lambda: None,
            "body": lambda: self._follower.body(content["seq"], content["field"]),
            "search": lambda: self._follower.search(content["query"]),
            "rows": lambda: self._follower.rows(content["seq"], content["start"]),
            "attempts": lambda: self._follower.attempts(content["name"]),
            "previous": lambda: self._follower.previous(content["name"]),
            "redo": lambda: self._revise(revise.redo, content["name"]),
            "rewind": lambda: self._revise(revise.rewind, content["name"]),
            "deliver": lambda: self._deliver(content["name"], content["payload"]),
        }
        if kind not in answers:
            raise StepbookError(f"this stepbook does not know the request {kind!r}.")
        return wire.reply(request, answers[kind]())

    def _revise(self, change: Callable[[Any, str], str], name: str) -> str:
        # The page needs not be told who speaks.
        return change(runs.get(self._book, self._run_id), name).removeprefix("stepbook: ")

    def _deliver(self, name: str, payload: str) -> str:
        deliver.deliver(self._book, self._run_id, loads(payload), name, None)
        return "Delivered."

    # ---- where it is shown --------------------------------------------------------------------

    def static(self) -> dict[str, str]:
        """Return what is shown where there is no widget."""
        with section(self._guard):
            run, steps = self._follower.run, self._follower.steps
            return {
                "text/plain": text.timeline(run, steps),
                "text/html": html.static_html(run, steps, stable=stable()),
            }

    def slotted(self) -> dict[str, str]:
        """Return the static view in a place that the live one takes while there is a kernel."""
        data = self.static()
        data["text/html"] = html.slotted(self.slot, html.Markup(data["text/html"]))
        return data

    def refresh(self) -> None:
        """Look at the run now."""
        with section(self._guard):
            self._follower.update()

    @property
    def has_ended(self) -> bool:
        """Whether the run has succeeded or failed."""
        return self._follower.has_ended

    @property
    def rev(self) -> int:
        """The number of the last change."""
        return self._follower.rev

    def __repr__(self) -> str:
        return self.static()["text/plain"]

    def _repr_mimebundle_(self, **_options: object) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle_, metadata = super()._repr_mimebundle_() or ({}, {})
        return {**bundle_, **self.static()}, metadata

    def _ipython_display_(self) -> None:
        HOOKS.show(self)


def _answer_on_subshell(comm: Any) -> None:
    """Have requests answered while a cell executes, where the front end asks on a subshell.

    ipykernel 7.4 hands a message of a comm to the shell that last sent on it; that is the one that
    executes the cell, and a scan could not be delivered to the cell that waits for it. The request
    itself says where it is to be answered, as it did in 7.0 to 7.3.
    """
    if hasattr(comm, _WHERE_TO_ANSWER):
        setattr(comm, _WHERE_TO_ANSWER, lambda _data, default: default)


def _bytes(message: dict[str, Any]) -> bytes:
    return wire.encode(message).encode()

"""What a cell shows after its end: subprocesses, threads and tasks that it has left running."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from ..engine.attempt import noted
from ..model.rows import SUCCEEDED
from ..system.interrupts import section
from . import active
from .calm import warn
from .outputs import redacted
from .page import Page, is_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..engine.attempt import Attempt
    from ..engine.opened import OpenRun
    from ..values.world import World

#: So long others may follow what has come before it is stored: twice as long each time, since all
#: that the cell has shown is written again.
_TOGETHER_S: Final = 0.3
_LONGEST_S: Final = 60.0


class Late:
    """Adds what a step's cell shows after its end to what is recorded of it.

    Args:
        run: the run; it is not kept from being let go of.
        attempt: of the step.
        parent: the message that has asked for the cell.
        world: what outputs are written against.
        hint: gives the classes of which values may be among the outputs.
    """

    def __init__(
        self,
        run: OpenRun,
        attempt: Attempt,
        parent: str,
        world: World,
        hint: Callable[[], Any],
    ) -> None:
        self.parent: str | None = parent
        self._run = weakref.ref(run)
        self._step, self._number = attempt.name, attempt.number
        self._world, self._hint = world, hint
        self._things: list[tuple[str, tuple[Any, ...]]] = []
        self._lock = threading.Lock()
        self._waits = self._over = False
        self._pause, self._stored_at = _TOGETHER_S, float("-inf")
        self._process = os.getpid()
        self._busy: int | None = threading.get_ident()

    def ended(self) -> None:
        """Note that the cell has ended: up to here its own thread was at work for stepbook."""
        self._busy = None

    def hear(self, what: str, *args: Any, within: Any = None) -> None:
        """Take in one thing that is shown."""
        if within is not None or what in ("result", "fill"):
            return
        if self._over or os.getpid() != self._process or threading.get_ident() == self._busy:
            return
        with section(self._lock):
            self._things.append((what, args))
            if self._waits:
                return
            self._waits = True
        atexit.register(self.store)
        thread = threading.Thread(target=self._soon, name="stepbook-late", daemon=True)
        with section():
            thread.start()

    def _soon(self) -> None:
        time.sleep(self._pause)
        self.store()

    def cell_begins(self) -> None:
        """Record what has come before another cell may close the run; not again and again."""
        if self._waits and time.monotonic() - self._stored_at > self._pause:
            self.store()

    def store(self) -> None:
        """Record what has come."""
        if not self._waits:
            return
        self._stored_at, self._pause = time.monotonic(), min(2 * self._pause, _LONGEST_S)
        with section(self._lock):
            things, self._things, self._waits = self._things, [], False
        atexit.unregister(self.store)
        try:
            if not self._store(things):
                self._over = True
                warn(
                    f"stepbook: what step {self._step!r} has shown after its end is not recorded: "
                    "its run was let go of, or the step was executed again. Close a run when its "
                    "steps have ended."
                )
        except Exception as error:  # noqa: BLE001 - nobody who waits for this could handle it
            self._over = True
            warn(
                f"stepbook: what step {self._step!r} has shown after its end is not recorded. "
                f"{type(error).__name__}: {error}"
            )

    def _store(self, things: list[tuple[str, tuple[Any, ...]]]) -> bool:
        run = self._run()
        ledger = None if run is None else run.ledger
        if run is None or ledger is None:
            return False
        step = ledger.state.steps.get(self._step)
        if step is None or step.attempt != self._number or step.status != SUCCEEDED:
            return False
        cell = run.cell(step)
        if cell is None:
            return False
        hint = self._hint()
        before: Any = []
        if cell.outputs is not None:
            before = run.codec.decode(cell.outputs, hint=hint, where=self._step)
        address = run.address(self._step, self._number)
        if active.refusal(before, address):
            return False  # it is not what this process has recorded
        page = Page(filter(is_output, before))
        for what, args in things:
            page.take(what, *args)
        with run.codec.writing_graphs(self._world) as writer:
            writer.graph = False
            shown = page.as_outputs()
            if writer.redaction is not None:
                shown = redacted(shown, writer.redaction)
            text = writer.encode(active.with_seal(shown, address), hint=hint)
            return noted(ledger, cell._replace(outputs=text))

"""One walk through the code of a run: which names it used, what failed on the way."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING

from ..errors import DuplicateStepError
from ..model.rows import PassRow, now_us

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from ..model.rows import StepRow
    from .attempt import Attempt


def _flow() -> tuple[int, int]:
    """What runs one after the other: this thread, or this task in it."""
    task = None
    if "asyncio" in sys.modules:  # else there are no tasks
        import asyncio  # noqa: PLC0415 - 14 ms, and waits while another thread imports it

        with contextlib.suppress(RuntimeError):  # there is no loop here
            task = asyncio.current_task()
    return threading.get_ident(), id(task) if task is not None else 0


def at_prompt() -> bool:
    """Whether this is Python's own interactive prompt, where each line is a pass."""
    return hasattr(sys, "ps1") and "IPython" not in sys.modules


def line() -> object:
    """Return what stands for the line that is executing at the prompt: its frame."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - as inspect.currentframe
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame


class Pass:
    """One walk through the code.

    Attributes:
        seen: names used, each with the step (or the pass itself) that used it.
        executed: names of which a body was executed.
        failures: names of failed steps that nobody has gone on after yet, with their flow.
    """

    __slots__ = ("executed", "failures", "origin", "seen", "started_at", "thread")

    def __init__(self, origin: object | None) -> None:
        self.origin = origin
        self.seen: dict[str, Attempt | Pass] = {}
        self.executed: set[str] = set()
        self.failures: dict[str, tuple[int, int]] = {}
        self.started_at = now_us()
        self.thread = threading.get_ident()

    def use(self, name: str, scope: Attempt | None) -> None:
        """Note the use of a name.

        Raises:
            DuplicateStepError: it was used before in this pass.
        """
        before = self.seen.get(name)
        # What a failed attempt of an outer step has used may be used by its next attempt.
        if before is not None and not (before is not scope and getattr(before, "failed", False)):
            raise DuplicateStepError(
                f"the step name {name!r} is used twice in one pass. A name stands for one piece "
                f"of work: in a loop put the loop variable into it, as in f{(name + ' {i}')!r}, "
                "or use run.map(name, fn, items), which names the items itself."
            )
        self.seen[name] = self if scope is None else scope

    def body_of(self, executing: dict[str, Attempt]) -> Attempt | None:
        """Return the step in whose body the current thread was started, as far as can be told.

        A new thread begins without a context. One that is not the pass's own was most probably
        started by the innermost body that the pass's own thread is executing.
        """
        here = threading.get_ident()
        if here == self.thread:
            return None
        bodies = [body for body in list(executing.values()) if body.thread == self.thread]
        return bodies[-1] if bodies else None

    def fail(self, name: str | None, inner: Iterable[str] = ()) -> None:
        """Note that a step has failed; without a name only what that means for its *inner* steps.

        Nobody has gone on after the failures of its *inner* steps: they ended its body, and its
        next attempt executes them again.
        """
        for step in inner:
            self.failures.pop(step, None)
        if name is not None:
            self.failures[name] = _flow()

    def gone_on(self) -> list[str]:
        """Return, once, the failures that the code running here has gone on after.

        Only what runs one after the other counts: in a pool of threads, another item that starts
        after one has failed says nothing about whether that failure was handled.
        """
        here = _flow()
        if here[0] != self.thread:
            return []
        names = [name for name, flow in self.failures.items() if flow == here]
        for name in names:
            del self.failures[name]
        return names

    def row(self, steps: dict[str, StepRow]) -> PassRow:
        """Return the record of this pass."""
        replayed = [name for name in self.seen if name not in self.executed]
        saved = sum(steps[name].seconds or 0.0 for name in replayed if name in steps)
        return PassRow(self.started_at, len(self.executed), len(replayed), saved)

    def __repr__(self) -> str:
        return f"<Pass with {len(self.seen)} steps>"

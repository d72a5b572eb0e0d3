"""One walk through the code of a run: which names it used, what failed on the way."""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ..errors import DuplicateStepError
from ..model.rows import PassRow, now_us

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from ..model.rows import StepRow
    from .attempt import Attempt


def _flow() -> tuple[int, weakref.ref[Any] | None]:
    """What runs one after the other: this thread, or this task in it."""
    task = None
    if "asyncio" in sys.modules:  # else there are no tasks
        import asyncio  # noqa: PLC0415 - 14 ms, and waits while another thread imports it

        with contextlib.suppress(RuntimeError):  # there is no loop here
            task = asyncio.current_task()
    # Not by its id: a later task may get the same one.
    return threading.get_ident(), weakref.ref(task) if task is not None else None


def at_prompt() -> bool:
    """Whether this is Python's own interactive prompt, where each line is a pass."""
    return hasattr(sys, "ps1") and "IPython" not in sys.modules


def line() -> object:
    """Return what stands for the line that is executing at the prompt: its frame."""
    main = threading.main_thread().ident
    frames = sys._current_frames()  # noqa: SLF001 - as inspect.currentframe, of another thread
    frame: FrameType | None = frames.get(main or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame


class Place:
    """The thread that walks, and which threads ran before it began.

    Attributes:
        thread: its number.
        older: the threads that nothing on this walk has started.
    """

    __slots__ = ("older", "thread")

    def __init__(self, thread: int | None, older: Iterable[threading.Thread]) -> None:
        self.thread = thread
        self.older = frozenset(older)

    @classmethod
    def here(cls) -> Place:
        """Return this thread, now."""
        return cls(threading.get_ident(), threading.enumerate())

    @classmethod
    def prompt(cls) -> Place:
        """Return where Python's own prompt executes lines."""
        return cls(threading.main_thread().ident, ())


class Pass:
    """One walk through the code.

    Args:
        origin: the cell or the line at the prompt that it is, if it is one.
        place: where it is walked.

    Attributes:
        seen: names used, each with the step in whose body it was, if in one.
        executed: names of which a body was executed.
        failures: names of failed steps that nobody has gone on after yet, with their flow.
        drew: when the last body began and ended that was replayed and had drawn random numbers,
            for each process in which they were executed.
    """

    __slots__ = ("drew", "executed", "failures", "origin", "place", "seen", "started_at")

    def __init__(self, origin: object | None, place: Place) -> None:
        self.origin = origin
        self.seen: dict[str, tuple[Attempt | None]] = {}
        self.executed: set[str] = set()
        self.failures: dict[str, tuple[int, weakref.ref[Any] | None]] = {}
        self.drew: dict[str, tuple[int, int]] = {}
        self.started_at = now_us()
        self.place = place

    def use(self, name: str, scope: Attempt | None) -> None:
        """Note the use of a name.

        Raises:
            DuplicateStepError: it was used before in this pass.
        """
        # One call, so that of two threads one is the second; and a tuple, which is no other's.
        use = (scope,)
        before = self.seen.setdefault(name, use)
        if before is use:
            return
        # What a failed attempt of an outer step has used may be used by its next attempt.
        outer = before[0]
        if outer is None or outer is scope or not outer.failed:
            raise DuplicateStepError(
                f"the step name {name!r} is used twice in one pass. A name stands for one piece "
                f"of work: in a loop put the loop variable into it, as in f{(name + ' {i}')!r}, "
                "or use run.map(name, fn, items), which names the items itself."
            )
        self.seen[name] = use

    def body_of(self, executing: dict[str, Attempt]) -> Attempt | None:
        """Return the step in whose body the current thread was started, as far as can be told.

        A new thread begins without a context. One that is not the pass's own was most probably
        started by the innermost body that the pass's own thread is executing; one that ran before
        the pass began was not.
        """
        place = self.place
        if threading.get_ident() == place.thread or not executing:
            return None
        if threading.current_thread() in place.older:
            return None
        bodies = [body for body in list(executing.values()) if body.thread == place.thread]
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
        if here[0] != self.place.thread:
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

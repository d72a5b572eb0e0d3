"""Whether cells have left something running, which may change anything between two cells."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final

#: Whose threads and tasks change nothing of the person's.
_HARMLESS: Final = frozenset(
    """
    IPython _pydevd_bundle anyio asyncio debugpy ipykernel jupyter_client matplotlib pydevd stepbook
    tornado tqdm traitlets zmq
    """.split()
)


def goes_on() -> bool:
    """Whether a thread or a task is at work of which nobody knows that it changes nothing."""
    if not all(map(_is_harmless, threading.enumerate())):
        return True
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # a shell without a loop
        return False
    return not all(_is_known(_module_of(task.get_coro())) for task in tasks)


def _is_harmless(thread: threading.Thread) -> bool:
    kind = type(thread)
    if thread is threading.main_thread() or kind.__name__ == "_DummyThread":
        return True
    if thread.name.startswith("stepbook"):
        return True
    work = getattr(thread, "function", None) or getattr(thread, "_target", None)
    return _is_known(kind.__module__) or _is_known(getattr(work, "__module__", None))


def _module_of(coroutine: Any) -> Any:
    frame = getattr(coroutine, "cr_frame", None)
    return None if frame is None else frame.f_globals.get("__name__")


def _is_known(module: Any) -> bool:
    return isinstance(module, str) and module.partition(".")[0] in _HARMLESS

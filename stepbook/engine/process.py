"""This process: its books, what a fork may touch, what is left to do at its end."""

from __future__ import annotations

import _thread
import atexit
import json
import os
import platform
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from ..errors import ForkedError, StepbookError
from ..model import failures
from ..system.console import tell
from ..system.interrupts import gate, section
from ..system.locks import FileLock

if TYPE_CHECKING:
    from ..api.book import Book

#: The one book of each path, and the lock to look it up under.
by_path: dict[str, Book] = {}
lock = threading.Lock()

books: weakref.WeakSet[Book] = weakref.WeakSet()
#: In a forked child: its parent's books, which it may not touch.
inherited: weakref.WeakSet[Book] = weakref.WeakSet()


#: When an interrupt comes again that fell into a fork.
_SOON_S: Final = 0.05


class _Inert:
    """Stands for a ledger in a forked child."""

    def __getattr__(self, name: str) -> Any:
        raise ForkedError(
            "this process is a fork, and the run belongs to its parent. Record in the parent, or "
            "connect to the book again here and open another run."
        )


_fork = threading.local()


def _before_fork() -> None:
    # No fork while a database is open: a child that closed it could lose the parent's rows. And
    # none between the opening of a lock's file and its entry in the table of what a child closes.
    _fork.section = section(
        *(book._records.store.connected for book in list(books)), FileLock.opening
    )
    _fork.section.__enter__()


def _after_fork() -> None:
    try:
        _fork.section.__exit__(None, None, None)
    except BaseException:  # noqa: BLE001 - what a hook raises is only printed
        _thread.start_new_thread(_interrupt_soon, ())


def _interrupt_soon() -> None:
    time.sleep(_SOON_S)
    _thread.interrupt_main()


def _after_fork_in_child() -> None:
    global lock  # noqa: PLW0603 - another thread may have held it
    lock = threading.Lock()
    FileLock.forget_all()
    gate().waiting.clear()  # what came before the fork came to the parent
    _after_fork()
    for book in list(books):
        inherited.add(book)
        for run in list(book._runs.values()):
            run._ledger = _Inert()  # type: ignore[assignment]
            run._lock = threading.RLock()
    by_path.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=_after_fork_in_child,
    )


def _at_exit() -> None:
    escaped = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    for book in list(books):
        if book in inherited:
            continue
        for run in list(book._runs.values()):
            try:
                origin = failures.origin(escaped)
                if run._ledger is not None and origin is not None and origin[0] == run.id:
                    run._fail(escaped)  # type: ignore[arg-type]
                run.close()
            except (StepbookError, OSError) as error:
                tell(f"stepbook: the end of run {run.id} could not be recorded: {error}")
        try:
            book._records.close()
        except (StepbookError, OSError) as error:
            tell(f"stepbook: {book!r} could not be closed: {error}")


atexit.register(_at_exit)


def environment() -> str:
    """Return what the run was made with, as JSON."""
    versions = {"stepbook": _version("stepbook"), "duckdb": _version("duckdb")}
    main = sys.modules.get("__main__")
    return json.dumps(
        {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "host": platform.node(),
            "notebook": os.environ.get("JPY_SESSION_NAME") or getattr(main, "__file__", None),
            "versions": versions,
        },
        ensure_ascii=False,
    )


def _version(name: str) -> str | None:
    from importlib import metadata  # noqa: PLC0415 - once, for a new run

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

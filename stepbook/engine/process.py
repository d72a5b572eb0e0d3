"""This process: what a fork may touch, what is left to do at its end."""

from __future__ import annotations

import _thread
import atexit
import functools
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from ..errors import ForkedError, NotSerializableError, StepbookError
from ..model import failures
from ..system.console import tell
from ..system.interrupts import gate, section
from ..system.locks import FileLock

if TYPE_CHECKING:
    from typing import Self

    from .books import OpenBook
    from .opened import OpenRun

#: When an interrupt comes again that fell into a fork.
_SOON_S: Final = 0.05


class StaysHere:
    """What belongs to this process: it is not pickled, and a copy of it is itself.

    Attributes:
        _instead: what to do instead of sending it to another process.
    """

    __slots__ = ()

    _instead: ClassVar[str] = ""

    def __reduce_ex__(self, protocol: object) -> Any:
        raise NotSerializableError(
            f"a stepbook.{type(self).__name__} belongs to this process, and cannot be pickled or "
            f"sent to another one. {self._instead}"
        )

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


class Registry(Protocol):
    """What has the books and runs of this process."""

    def books(self) -> list[OpenBook]:
        """Return its books, without those that it has inherited by a fork."""

    def of(self, book: OpenBook) -> list[OpenRun]:
        """Return the runs of a book that somebody in this process holds."""

    def inherit(self) -> None:
        """Begin without any, in a forked child: they are the parent's."""


class _Inert:
    """Stands for a ledger in a forked child."""

    def __getattr__(self, name: str) -> Any:
        raise ForkedError(
            "this process is a fork, and the run belongs to its parent. Return the data from here "
            "and record it in the parent, or connect to the book again here and open another run."
        )


_fork = threading.local()


def _before_fork(registry: Registry) -> None:
    # No fork while a database is open: a child that closed it could lose the parent's rows. And
    # none between the opening of a lock's file and its entry in the table of what a child closes.
    _fork.section = section(
        *(book.records.store.connected for book in registry.books()), FileLock.opening
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


def _after_fork_in_child(registry: Registry) -> None:
    FileLock.forget_all()
    gate().waiting.clear()  # what came before the fork came to the parent
    # Still in the section: a child that was interrupted here would own what is its parent's.
    for book in registry.books():
        for run in registry.of(book):
            run.disown(_Inert())
    registry.inherit()
    _after_fork()


def _at_exit(registry: Registry) -> None:
    escaped = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    for book in registry.books():
        for run in registry.of(book):
            try:
                origin = failures.origin(escaped)
                if run.ledger is not None and origin is not None and origin[0] == run.id:
                    run.fail(escaped)  # type: ignore[arg-type]
                run.close()
            except (StepbookError, OSError) as error:
                tell(f"stepbook: the end of run {run.id} could not be recorded: {error}")
        try:
            book.records.close()
        except (StepbookError, OSError) as error:
            tell(f"stepbook: {book!r} could not be closed: {error}")


def follow(registry: Registry) -> None:
    """Have the books of this process end with it, and stay with it when it forks; called once."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=functools.partial(_before_fork, registry),
            after_in_parent=_after_fork,
            after_in_child=functools.partial(_after_fork_in_child, registry),
        )
    atexit.register(_at_exit, registry)

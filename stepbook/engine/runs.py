"""Which books and runs this process has: the one place that knows who has a run open."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Final

from ..errors import NoRunError
from ..system.interrupts import section
from ..system.locate import book_path
from . import process
from .books import OpenBook
from .opened import OpenRun

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from ..model.rows import RunRow


class _Registry:
    """The books of this process, each with its runs for as long as somebody holds them."""

    def __init__(self) -> None:
        #: The one book of each path, and the lock to look it up under.
        self.by_path: dict[Path, OpenBook] = {}
        self.lock = threading.Lock()
        self.runs: weakref.WeakKeyDictionary[
            OpenBook, weakref.WeakValueDictionary[str, OpenRun]
        ] = weakref.WeakKeyDictionary()

    def add(self, book: OpenBook) -> OpenBook:
        self.runs[book] = weakref.WeakValueDictionary()
        return book

    def books(self) -> list[OpenBook]:
        return [book for book in list(self.runs) if not book.inherited]

    def of(self, book: OpenBook) -> list[OpenRun]:
        return list(self.runs[book].values())

    def inherit(self) -> None:
        self.lock = threading.Lock()  # another thread may have held it
        self.by_path.clear()
        for book in self.books():
            book.inherited = True


_REGISTRY: Final = _Registry()
process.follow(_REGISTRY)


# ---- books ------------------------------------------------------------------------------------


def book_at(path: str | os.PathLike[str] | None = None) -> OpenBook:
    """Return the book at a path; see :func:`stepbook.connect`.

    Raises:
        NotABookError: *path* is a folder.
        InvalidInputError: *path* is no path.
    """
    if path is not None and path == ":memory:":
        return _REGISTRY.add(OpenBook(None))
    found = book_path(path)
    with section(_REGISTRY.lock):
        book = _REGISTRY.by_path.get(found)
        if book is None:
            book = _REGISTRY.by_path[found] = _REGISTRY.add(OpenBook(found))
    return book


# ---- runs -------------------------------------------------------------------------------------


def found(book: OpenBook, run_id: str) -> OpenRun | None:
    """Return the run if somebody in this process holds it."""
    return _REGISTRY.runs[book].get(run_id)


def the(book: OpenBook, row: RunRow) -> OpenRun:
    """Return the one object that stands for a run in this process."""
    runs = _REGISTRY.runs[book]
    with section(book.lock):
        run = runs.get(row.id)
        if run is None:
            run = runs[row.id] = OpenRun(book, row)
            weakref.finalize(run, book.records.abandon, row.id).atexit = False
        return run


def get(book: OpenBook, run_id: str) -> OpenRun:
    """Return a run without owning it; see ``Book.get``."""
    book.check_fork()
    run = found(book, run_id)
    if run is not None:
        return run
    return the(book, book.peek(book.resolve(run_id)).run)


def take(book: OpenBook, run_id: str) -> OpenRun:
    """Return a run, owned."""
    run = found(book, run_id)
    if run is None:
        run = the(book, book.own(run_id).state.run)
    run.owned()
    return run


def remove(book: OpenBook, run_ids: list[str]) -> None:
    """Remove runs with everything that they recorded."""
    for run_id in run_ids:
        run = _REGISTRY.runs[book].pop(run_id, None)
        if run is not None:
            run.close()
        book.records.remove(run_id)
    book.records.remove_left()
    book.records.remove_artifacts()


def close(book: OpenBook) -> None:
    """Let go of all runs of a book, with their folds done."""
    for run in _REGISTRY.of(book):
        run.close()
    book.records.close()


def open_runs() -> list[OpenRun]:
    """Return the runs that are open in this process, the current one last."""
    every = [run for book in list(_REGISTRY.runs) for run in _REGISTRY.of(book)]
    return sorted((run for run in every if run.ledger is not None), key=lambda run: run.turn)


def current_run() -> OpenRun:
    """Return the run that was opened last and is still open.

    Raises:
        NoRunError: no run is open.
    """
    runs = open_runs()
    if runs:
        return runs[-1]
    raise NoRunError(
        'no run is open. Open one first: run = stepbook.run("my-loop"), in a notebook also '
        "%stepbook run my-loop."
    )

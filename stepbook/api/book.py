"""A book: connect to it, open its runs, analyse what they recorded."""

from __future__ import annotations

import contextlib
import weakref
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from ..engine import deliver, opening, runs
from ..engine.hooks import HOOKS
from ..engine.process import StaysHere
from ..engine.wishes import UNSET
from ..errors import InvalidInputError, RunError, StepbookError
from ..model.durations import Duration, seconds
from ..model.rows import FAILED, RUNNING, TriggerType, now_us
from ..record.tables import queries
from ..show import html
from ..system.console import stable
from ..system.interrupts import section
from .loop import Loop
from .run import Run, wanted

if TYPE_CHECKING:
    import os
    import re
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import pandas as pd

    from ..engine.books import OpenBook
    from ..engine.hooks import Live
    from ..engine.opened import OpenRun
    from ..model.sizes import Size


def connect(
    path: str | os.PathLike[str] | None = None,
    *,
    redact: bool | Sequence[str | re.Pattern[str]] | None = None,
) -> Book:
    """Return the book at *path*; nothing is created before the first run.

    Args:
        path: the database file; ``":memory:"`` for a book without files, for tests. Without it
            ``$STEPBOOK_BOOK``; else the nearest ``stepbook.duckdb`` from the current folder up to
            the project's root (the folder with ``.git`` or ``pyproject.toml``); else one to be
            created there.
        redact: what is masked before anything is written: names such as ``"*password*"``, and
            patterns of values from ``re.compile``. True is ``stepbook.SECRETS``, False is nothing.
            The settings of the book keep it, for every process; None leaves them as they are.

    Raises:
        NotABookError: *path* is a folder.
        InvalidInputError: *path* is no path, or *redact* cannot be used.

    Example:
        >>> book = stepbook.connect("stepbook.duckdb")
        >>> book = stepbook.connect("stepbook.duckdb", redact=[*stepbook.SECRETS, "ssn"])
        >>> run = book.run("health-review", input={"patient_id": "p-17"})
    """
    opened = runs.book_at(path)
    if redact is not None:
        opened.redact(redact)
    return book_of(opened)


def loop(name: str) -> Callable[[Callable[..., Any]], Loop]:
    """Decorate a function of an event and a step as the loop *name* of the default book.

    Args:
        name: the name of the loop.

    Returns:
        A decorator; the :class:`Loop` that it makes has ``trigger`` and ``resume``.

    Raises:
        InvalidInputError: *name* is not a text.

    Example:
        >>> @stepbook.loop("health-review")
        ... def health_review(event, step):
        ...     profile = step.do("Load profile", load_profile, event.body["patient_id"])
        ...     return {"region": profile["region"]}
        >>> run = health_review.trigger({"patient_id": "p-17"})
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidInputError(
            f'a loop is named by a text: @stepbook.loop("health-review"), not {name!r}.'
        )
    return lambda function: Loop(name, function, runs.book_at, run_of)


class Book(StaysHere):
    """Where runs are recorded: a DuckDB file with a folder beside it. From :func:`connect`."""

    __module__ = "stepbook"  # as people write it
    _instead = "Give its path, and connect to it there: stepbook.connect(path)."

    def __init__(self, opened: OpenBook) -> None:
        self._opened = opened

    @property
    def path(self) -> Path | None:
        """The database file, absolute; None for a book in memory."""
        return self._opened.path

    # ---- runs -------------------------------------------------------------------------------

    def run(
        self,
        loop: str,
        *,
        input: Any = UNSET,  # noqa: A002 - fixed by the public API
        key: str | None = None,
        new: bool = False,
        reopen: Literal["unfinished"] | None = None,
        max_age: Duration | None = None,
        retry_handled: bool = False,
        max_size: Size | None = None,
        trigger_type: TriggerType = "user",
    ) -> Run:
        """Open the latest run of *loop* with this key, or create one.

        Args:
            loop: the name of the loop.
            input: any value that a step can return; without *key* it decides which run is meant.
            key: what finds the run again, instead of the input.
            new: create a run in any case.
            reopen: "unfinished" opens only a run that has not succeeded.
            max_age: runs that are older are not opened; seconds or a text such as "12 hours".
            retry_handled: execute again the steps whose failures the code has handled, instead of
                raising these failures again.
            max_size: how much may be stored of one step, in bytes or as a text such as "500 MB". A
                step that makes more is executed again in each pass. By default half of what is
                free on the disk.
            trigger_type: what started it: "user", "api_token" or "system".

        Returns:
            The run, open. In one process the same run is the same object.

        Raises:
            RunInUseError: another live process holds the run.
            InputChangedError: the run of this *key* has another input.
            InvalidInputError: an argument cannot be used.
            NotSerializableError: the input cannot be stored.
            NotABookError: the path holds something that is not a book.
            BookBusyError: another process holds the database.

        Example:
            >>> with stepbook.connect().run("health-review", input={"patient_id": "p-17"}) as run:
            ...     profile = run.do("Load profile", load_profile, "p-17")
        """
        return run_of(
            opening.open_run(
                self._opened,
                loop,
                input=input,
                key=key,
                new=new,
                reopen=reopen,
                max_age=max_age,
                retry_handled=retry_handled,
                max_size=max_size,
                trigger_type=trigger_type,
            )
        )

    def get(self, run_id: str) -> Run:
        """Return a run without owning it: for reading, its timeline, deliveries.

        Using it for more (a step, redo, finish) opens it.

        Args:
            run_id: an id, the beginning of only one, or the name of a loop: its latest run.

        Raises:
            RunNotFoundError: there is none, or there are several.
            BookNotFoundError: there is no book.
        """
        return run_of(runs.get(self._opened, run_id))

    def loop(self, name: str) -> Callable[[Callable[..., Any]], Loop]:
        """Decorate a function as a loop of this book; see :func:`stepbook.loop`."""
        return lambda function: Loop(name, function, lambda: self._opened, run_of)

    # ---- reading ----------------------------------------------------------------------------

    def runs(self, loop: str | None = None) -> pd.DataFrame:
        """Return one row per run, newest first.

        Args:
            loop: only runs of this loop.
        """
        return self._opened.frame(queries.RUNS, [loop], parse=True)

    def unfinished(self) -> pd.DataFrame:
        """Return the runs that are running or failed, newest first."""
        return self._opened.frame(queries.UNFINISHED, parse=True)

    def steps(
        self, loop: str | None = None, since: datetime | str | None = None, *, parse: bool = False
    ) -> pd.DataFrame:
        """Return one row per step of every run, with loop, key and input beside the run's id.

        Args:
            loop: only runs of this loop.
            since: only runs created at or after this time; a text is read as ISO 8601.
            parse: whether to turn ``return`` and ``error`` from JSON text into values.

        Example:
            >>> book.steps("health-review").groupby("name")["seconds"].median()
        """
        return self._joined("steps", loop, since, parse=parse)

    def attempts(
        self, loop: str | None = None, since: datetime | str | None = None, *, parse: bool = False
    ) -> pd.DataFrame:
        """Return one row per attempt of every step; see :meth:`steps`."""
        return self._joined("attempts", loop, since, parse=parse)

    def _joined(
        self, table: str, loop: str | None, since: datetime | str | None, *, parse: bool
    ) -> pd.DataFrame:
        start = datetime.fromisoformat(since) if isinstance(since, str) else since
        if start is not None:
            start = start.astimezone()
        at = None if start is None else int(start.timestamp() * 1e6)
        return self._opened.frame(queries.joined(table), [loop, at], parse=parse)

    def summary(self, loop: str | None = None) -> pd.DataFrame:
        """Return for each step name: runs, failures, median and p95 seconds, share of all time.

        The items of a map count as one, by the sum of their seconds in each run.

        Args:
            loop: only runs of this loop.
        """
        return self._opened.frame(queries.SUMMARY, [loop])

    def sql(self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> pd.DataFrame:
        """Return the result of a query over the book's tables as a DataFrame.

        Read-only: what changes the tables is refused by DuckDB. For more, open the file with
        ``duckdb.connect``. Macros that you have put into the book can be used; built-in functions
        come first, whatever the file calls by their names.

        Args:
            query: SQL; the tables are runs, steps, attempts, cells, passes, scans, logs and meta.
            parameters: for ``?``, ``$1`` or ``$name`` in it.

        Raises:
            duckdb.Error: the query is wrong.

        Example:
            >>> book.sql("SELECT name, median(seconds) FROM steps GROUP BY name")
        """
        return self._opened.frame(query, parameters)

    # ---- scans ------------------------------------------------------------------------------

    def deliver_scan(
        self,
        run_id: str,
        payload: Any = None,
        *,
        name: str | None = None,
        error: str | BaseException | None = None,
    ) -> None:
        """Deliver the payload of a scan; durable when this returns.

        From any process, and also when no kernel runs: the next pass takes it.

        Args:
            run_id: the run that waits, as for :meth:`get`.
            payload: any value that a step can return.
            name: the name of the wait; without it the one that is open, else "Wait for scan".
            error: instead of a payload, makes the wait raise ``ScanFailed`` with this text.

        Raises:
            RunNotFoundError: there is no such run.
            ScanNotFoundError: several waits are open and none was named.
            ScanAlreadyDelivered: something was delivered to this session before.
            ScanClosed: the session has ended.
            NotSerializableError: the payload cannot be stored.
        """
        deliver.deliver(self._opened, run_id, payload, name, error)

    # ---- removing ---------------------------------------------------------------------------

    def delete(self, run_id: str, *, force: bool = False) -> None:
        """Remove a run with everything that it recorded, and the files that no other run refers to.

        Args:
            run_id: the run, as for :meth:`get`.
            force: remove it although it is running or failed.

        Raises:
            RunError: it is unfinished.
            RunInUseError: another process holds it.
        """
        book = self._opened
        book.check_fork()
        found = book.resolve(run_id)
        status = book.peek(found).run.status
        if status in (RUNNING, FAILED) and not force:
            raise RunError(
                f"run {found} is unfinished ({status}) and was not deleted. Finish it, or pass "
                "force=True (`stepbook delete --force`)."
            )
        runs.remove(book, [found])

    def prune(
        self,
        keep: int = 20,
        loop: str | None = None,
        older_than: Duration | None = None,
        *,
        dry_run: bool = False,
    ) -> pd.DataFrame:
        """Remove old runs, never an unfinished one, and return what was removed.

        With them go the files that no run refers to any more.

        Args:
            keep: how many succeeded runs of each loop to keep, the newest.
            loop: only runs of this loop.
            older_than: only runs that succeeded longer ago than this.
            dry_run: remove nothing, return what would be removed.

        Raises:
            InvalidInputError: *keep* is negative.
        """
        if keep < 0:
            raise InvalidInputError(f"keep is a number of 0 or more, not {keep!r}.")
        age = 0.0 if older_than is None else seconds(older_than, "older_than")
        frame = self._opened.frame(
            queries.PRUNABLE,
            [loop, keep, now_us() - int(age * 1e6)],
        )
        if not dry_run:
            runs.remove(self._opened, list(frame["id"]))
        return frame

    # ---- the process ------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of all runs that this process has open, with their folds done."""
        runs.close(self._opened)

    # ---- how it is shown ----------------------------------------------------------------------

    def __repr__(self) -> str:
        return repr(self._opened)

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Return the path as text, and the newest runs as HTML."""
        data = {"text/plain": repr(self)}
        if not stable():  # times, durations and ids are what a list of runs is about
            # Without a book yet, or with a busy one, its path is still known.
            with contextlib.suppress(StepbookError):
                data["text/html"] = html.runs_html(repr(self), self._opened.overview())
        return wanted(data, include, exclude)

    def _ipython_display_(self) -> None:
        HOOKS.show_made(self._list)

    def _list(self) -> Live:
        from ..timeline.runs import runs_of  # noqa: PLC0415 - anywidget only when shown

        return runs_of(self._opened)


#: The one face of each book and of each run that somebody holds.
_books: Final[weakref.WeakValueDictionary[OpenBook, Book]] = weakref.WeakValueDictionary()
_runs: Final[weakref.WeakValueDictionary[OpenRun, Run]] = weakref.WeakValueDictionary()


def book_of(opened: OpenBook) -> Book:
    """Return what people hold of a book: one object."""
    with section(opened.lock):
        book = _books.get(opened)
        if book is None:
            book = _books[opened] = Book(opened)
        return book


def run_of(opened: OpenRun) -> Run:
    """Return what people hold of a run: one object."""
    book = book_of(opened.book)
    with section(opened.lock):
        run = _runs.get(opened)
        if run is None:
            run = _runs[opened] = Run(book, opened)
        return run

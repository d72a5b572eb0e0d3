"""A book: connect to it, open its runs, analyse what they recorded."""

from __future__ import annotations

import threading
import warnings
import weakref
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from ..engine import attempt, deliver, process, waits
from ..engine.hooks import HOOKS
from ..errors import (
    ForkedError,
    InputChangedError,
    InvalidInputError,
    RunError,
    StepbookWarning,
    StepError,
)
from ..model.durations import Duration, seconds
from ..model.rows import (
    DURABLE_KINDS,
    FAILED,
    RUNNING,
    SUCCEEDED,
    RunRow,
    TriggerType,
    new_id,
    now_us,
)
from ..record.records import Records
from ..record.tables import frames, queries
from ..show import text as show_text
from ..system.console import asks_new, stable, tell
from ..system.interrupts import section
from ..system.locate import book_path
from ..system.platform import describe_owner
from ..values.codec import Codec
from ..values.keys import run_key
from .run import Run
from .shown import ShownBook

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    import pandas as pd

    from ..model.rows import StepRow
    from ..record.home import Found
    from ..record.ledger import Ledger, State
    from .loop import Loop

_UNSET: Final[Any] = object()
_AHEAD: Final = 8 * 1024 * 1024


def connect(path: str | os.PathLike[str] | None = None, *, allow_pickle: bool = False) -> Book:
    """Return the book at *path*; nothing is created before the first run.

    Args:
        path: the database file; ``":memory:"`` for a book without files, for tests. Without it
            ``$STEPBOOK_BOOK``; else the nearest ``stepbook.duckdb`` from the current folder up to
            the project's root (the folder with ``.git`` or ``pyproject.toml``); else one to be
            created there.
        allow_pickle: in this session, store as pickle what nothing else can store, and load what
            was stored so. Loading a pickle executes whatever it says: only for a book of which you
            trust every writer.

    Raises:
        NotABookError: *path* is a folder.
        InvalidInputError: *path* is no path.

    Example:
        >>> book = stepbook.connect("stepbook.duckdb")
        >>> run = book.run("health-review", input={"patient_id": "p-17"})
    """
    if path is not None and path == ":memory:":
        book = Book(None)
    else:
        found = book_path(path)
        with section(process.lock):
            book = process.by_path.get(str(found)) or Book(found)
            process.by_path[str(found)] = book
    if allow_pickle and not book._codec.allow_pickle:
        book._codec.allow_pickle = True
        warnings.warn(
            f"stepbook: pickles in {book!r} are loaded in this session, and loading one executes "
            "whatever it says. Only do this with a book of which you trust every writer.",
            StepbookWarning,
            stacklevel=2,
        )
    return book


class Book(ShownBook):
    """Where runs are recorded: a DuckDB file with a folder beside it. From :func:`connect`."""

    def __init__(self, path: Path | None) -> None:
        self._records = Records(path)
        self._codec = Codec(self._records.artifacts)
        self._runs: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()
        self._lock = threading.RLock()
        self._inbox = self._records.inbox
        process.books.add(self)

    @property
    def path(self) -> Path | None:
        """The database file, absolute; None for a book in memory."""
        return self._records.path

    # ---- runs -------------------------------------------------------------------------------

    def run(
        self,
        loop: str,
        *,
        input: Any = _UNSET,  # noqa: A002 - fixed by the public API
        key: str | None = None,
        new: bool = False,
        reopen: Literal["unfinished"] | None = None,
        max_age: Duration | None = None,
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
        self._check_fork()
        if HOOKS.before_open is not None:
            HOOKS.before_open()
        if not isinstance(loop, str) or not loop.strip():
            raise InvalidInputError(f"a loop is named by a text, not {loop!r}.")
        if reopen not in (None, "unfinished"):
            raise InvalidInputError(f'reopen is "unfinished" or None, not {reopen!r}.')
        if trigger_type not in ("user", "api_token", "system"):
            raise InvalidInputError(f"unknown trigger_type {trigger_type!r}.")
        age = None if max_age is None else seconds(max_age, "max_age")
        text = self._codec.encode(None if input is _UNSET else input)
        wanted = run_key(key, text)
        with section(self._records.lock, patient=False), self._records.store.kept_open():
            created = self._records.ensure()
            found = None if new else self._find(loop, wanted, age)
            run = None if found is None else self._open(found.id)
        if created and self.path is not None and not stable():
            tell(f"stepbook: recording to {self.path}")
        if run is None:
            return self._create(loop, wanted, text, age, trigger_type, new=new, reopen=reopen)
        state = run._state()
        if reopen == "unfinished" and state.run.status == SUCCEEDED:
            run.close()
            return self._create(loop, wanted, text, age, trigger_type, new=True, reopen=reopen)
        if (
            key is not None
            and input is not _UNSET
            and run_key(None, state.run.input) != run_key(None, text)
        ):
            run.close()
            raise InputChangedError(
                f"run {run.id} of loop {loop!r} with key {key!r} has another input: "
                f"{_shown(state.run.input)}, now {_shown(text)}. Use another key for other input, "
                f"or {asks_new.get()} to start a fresh run of this key."
            )
        self._announce(run)
        run._begin_pass()
        return run

    def _find(self, loop: str, key: str, age: float | None) -> Found | None:
        found = self._records.latest(loop, key)
        if found is not None and age is not None and now_us() - found.created_at > age * 1e6:
            return None
        return found

    def _create(
        self,
        loop: str,
        key: str,
        text: str,
        age: float | None,
        trigger_type: TriggerType,
        *,
        new: bool,
        reopen: str | None,
    ) -> Run:
        with self._records.open_lock():
            found = None if new else self._find(loop, key, age)
            if found is None:
                row = RunRow(
                    id=new_id("run"),
                    loop=loop,
                    key=key,
                    status="pending",
                    trigger_type=trigger_type,
                    input=text,
                    created_at=now_us(),
                    environment=process.environment(),
                )
                self._records.create(row)
                run = self._run_of(row)
        if found is not None:  # somebody else has created it just now
            return self.run(loop, input=self._codec.decode(text), key=key, reopen=reopen)  # type: ignore[arg-type]
        run._owned()
        run._begin_pass()
        return run

    def _run_of(self, row: RunRow) -> Run:
        """Return the one object that stands for a run in this process."""
        with section(self._lock):
            run = self._runs.get(row.id)
            if run is None:
                run = self._runs[row.id] = Run(self, row)
                weakref.finalize(run, self._records.abandon, row.id).atexit = False
            return run

    def _open(self, run_id: str) -> Run:
        """Return a run, owned."""
        run = self._runs.get(run_id)
        if run is None:
            run = self._run_of(self._own(run_id).state.run)
        run._owned()
        return run

    def _announce(self, run: Run) -> None:
        if not stable():
            ledger = run._owned()
            tell(show_text.opened_again(ledger.state, ledger.previous))

    def _own(self, run_id: str, executing: Collection[str] = ()) -> Ledger:
        """Return the ledger of a run, with what died in its owner's hands marked as such.

        Args:
            run_id: the run.
            executing: steps of which a body executes right here, although the run was let go of.
        """
        self._check_fork()
        known = run_id in self._records.ledgers
        ledger = self._records.own(run_id)
        if not known:
            gone = describe_owner(ledger.previous or ledger.last_owner)
            for step in list(ledger.state.steps.values()):
                if (
                    step.status == RUNNING
                    and step.kind not in DURABLE_KINDS
                    and step.name not in executing
                ):
                    ledger.note(attempt.interrupted_row(step, f"{gone} ended"))
            for session in waits.close_sessions(ledger.state, self._inbox):
                ledger.note(session)
        return ledger

    def _release(self, run_id: str) -> None:
        self._check_fork()
        self._records.release(run_id)

    def _peek(self, run_id: str) -> State:
        return self._records.peek(run_id)

    def _values(self, run_id: str, step: StepRow) -> dict[tuple[str, int], str]:
        """Return the value of a step that was left on disk, and those of the steps behind it.

        By name and attempt: what has been executed again since is another value.

        Raises:
            StepError: the tables have no value of this attempt.
        """
        self._records.fold_open()
        key = step.name, step.attempt
        with self._records.store.reading() as reader:
            found = reader.values(run_id, step.seq, _AHEAD)
            text = found.get(key) or reader.value(run_id, *key)
        if text is None:
            raise StepError(
                f"the step {step.name!r} of run {run_id} has succeeded, but the tables hold no "
                f"value of its attempt {step.attempt}: somebody has changed them. "
                f"run.redo({step.name!r}) has it executed again."
            )
        found[key] = text
        return found

    def _whole(self, run_id: str, step: StepRow) -> StepRow:
        """Return *step* with its value, which may have been left on disk, to be recorded again."""
        if not step.left_on_disk:
            return step
        return step._replace(value=self._values(run_id, step)[step.name, step.attempt])

    def get(self, run_id: str) -> Run:
        """Return a run without owning it: for reading, its timeline, deliveries.

        Using it for more (a step, redo, finish) opens it.

        Args:
            run_id: an id, the beginning of only one, or the name of a loop: its latest run.

        Raises:
            RunNotFoundError: there is none, or there are several.
            BookNotFoundError: there is no book.
        """
        self._check_fork()
        run = self._runs.get(run_id)
        if run is not None:
            return run
        return self._run_of(self._peek(self._resolve_id(run_id)).run)

    def _resolve_id(self, text: str) -> str:
        self._exists()
        return self._records.resolve(text)

    def _exists(self) -> None:
        if not self._records.exists:
            self._records.fresh()  # raises

    def loop(self, name: str) -> Callable[[Callable[..., Any]], Loop]:
        """Decorate a function as a loop of this book; see :func:`stepbook.loop`."""
        from .loop import Loop  # noqa: PLC0415 - loops are made of books

        return lambda function: Loop(name, function, lambda: self)

    # ---- reading ----------------------------------------------------------------------------

    def runs(self, loop: str | None = None) -> pd.DataFrame:
        """Return one row per run, newest first.

        Args:
            loop: only runs of this loop.
        """
        return self._frame(queries.RUNS, [loop], parse=True)

    def unfinished(self) -> pd.DataFrame:
        """Return the runs that are running or failed, newest first."""
        return self._frame(queries.UNFINISHED, parse=True)

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
        return self._frame(queries.joined(table), [loop, at], parse=parse)

    def summary(self, loop: str | None = None) -> pd.DataFrame:
        """Return for each step name: runs, failures, median and p95 seconds, share of all time.

        The items of a map count as one, by the sum of their seconds in each run.

        Args:
            loop: only runs of this loop.
        """
        return self._frame(queries.SUMMARY, [loop])

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
        return self._frame(query, parameters)

    def _run_frame(self, table: str, run_id: str) -> pd.DataFrame:
        return self._frame(queries.of_run(table), [run_id], parse=True)

    def _frame(self, query: str, parameters: Any = (), *, parse: bool = False) -> pd.DataFrame:
        self._check_fork()
        self._records.fresh()
        with self._records.store.reading() as reader:
            frame = reader.frame(query, parameters)
        return frames.shape(frame, self._codec.show if parse else None)

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
        self._check_fork()
        self._exists()
        if not self._records.has_folders:
            self._records.ensure()
        text = self._codec.encode(payload)
        deliver.deliver(self._records, self._resolve_id(run_id), text, name, error)

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
        self._check_fork()
        found = self._resolve_id(run_id)
        status = self._peek(found).run.status
        if status in (RUNNING, FAILED) and not force:
            raise RunError(
                f"run {found} is unfinished ({status}) and was not deleted. Finish it, or pass "
                "force=True (`stepbook delete --force`)."
            )
        self._remove([found])

    def _remove(self, run_ids: list[str]) -> None:
        for run_id in run_ids:
            run = self._runs.pop(run_id, None)
            if run is not None:
                run.close()
            self._records.remove(run_id)
        self._records.remove_artifacts()

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
        frame = self._frame(
            queries.PRUNABLE,
            [loop, keep, now_us() - int(age * 1e6)],
        )
        if not dry_run:
            self._remove(list(frame["id"]))
        return frame

    # ---- the process ------------------------------------------------------------------------

    def _check_fork(self) -> None:
        if self in process.inherited:
            raise ForkedError(
                "this process is a fork, and the book belongs to its parent. Call "
                "stepbook.connect() again here, or record in the parent."
            )

    def close(self) -> None:
        """Let go of all runs that this process has open, with their folds done."""
        for run in list(self._runs.values()):
            run.close()
        self._records.close()


def _shown(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"  # noqa: PLR2004 - one line

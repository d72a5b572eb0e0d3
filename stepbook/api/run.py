"""A run: what people hold in their hands. Replays or executes, and knows no SQL and no notebook."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

from ..engine import differences, execute, revise, runs, stored, undo, waits
from ..engine.attempt import check_name, log_row
from ..engine.hooks import HOOKS
from ..engine.options import DEFAULTS, OnChange, Options, checked
from ..engine.process import StaysHere
from ..errors import StepbookError
from ..model.rows import DEFAULT_SCAN, Level
from ..record.tables import frames, queries
from ..seen import seen
from ..show import changes, html
from ..show import text as show_text
from ..system.console import stable, tell

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
    from types import TracebackType
    from typing import ParamSpec, Self, TypeVar

    import pandas as pd

    from ..engine.opened import OpenRun
    from ..model.durations import Duration
    from ..model.sizes import Size
    from ..timeline.widget import Timeline
    from .book import Book

    P = ParamSpec("P")
    T = TypeVar("T")


_DO_HERE: Final = (
    "Give the workers the data that they need, and call run.do here, with what they return."
)


class Run(StaysHere):
    """One execution of a loop, with an input and an output; it can be left and resumed.

    Not made directly: ``book.run(...)``, ``stepbook.run(...)``, ``book.get(id)``, a loop's
    ``trigger`` and ``resume``. Methods can be called from several threads.

    Example:
        >>> run = stepbook.run("health-review", input={"patient_id": "p-17"})
        >>> profile = run.do("Load profile", load_profile, "p-17")
        >>> run.finish({"region": profile["region"]})
    """

    __module__ = "stepbook"  # as people write it
    _instead = _DO_HERE

    def __init__(self, book: Book, opened: OpenRun) -> None:
        self.book = book
        self._opened = opened

    # ---- facts ------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The run's id."""
        return self._opened.row.id

    @property
    def loop(self) -> str:
        """The name of the loop."""
        return self._opened.row.loop

    @property
    def key(self) -> str:
        """What finds the run again, together with its loop."""
        return self._opened.row.key

    @property
    def trigger_type(self) -> str:
        """``user``, ``api_token`` or ``system``."""
        return self._opened.row.trigger_type

    @property
    def input(self) -> Any:
        """The input, a fresh copy."""
        return self._opened.codec.decode(self._opened.row.input, where="the input")

    @property
    def created_at(self) -> datetime:
        """When the run was created, in UTC."""
        return _time(self._opened.row.created_at)

    @property
    def status(self) -> str:
        """``pending``, ``running``, ``succeeded`` or ``failed``."""
        return self._opened.look().run.status

    @property
    def output(self) -> Any:
        """What the run was finished with; of a failed run its error's message."""
        text = self._opened.look().run.output
        return None if text is None else self._opened.codec.decode(text, where="the output")

    @property
    def started_at(self) -> datetime | None:
        """When its first body began, in UTC."""
        at = self._opened.look().run.started_at
        return None if at is None else _time(at)

    @property
    def completed_at(self) -> datetime | None:
        """When it succeeded or failed, in UTC."""
        at = self._opened.look().run.completed_at
        return None if at is None else _time(at)

    # ---- steps ------------------------------------------------------------------------------

    @overload
    def do(
        self,
        name: str,
        fn: Callable[P, Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[T]: ...
    @overload
    def do(self, name: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def do(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...
    def do(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Replay the step *name*, or execute ``fn(*args, **kwargs)`` and record it.

        A step that succeeded gives a fresh copy of its recorded value; *fn* is not called. A
        coroutine function gives an awaitable that does the same.

        Args:
            name: what the step is called; used once in a pass. Any text.
            fn: its body. A parameter ``ctx`` that the call leaves unbound gets the
                :class:`StepContext`.
            *args: for *fn*.
            **kwargs: for *fn*, all of them.

        Returns:
            What *fn* returned, as the record has it: the same on the first run and on replay.

        Raises:
            StepNameError: *name* is empty or not a string.
            StepFunctionError: *fn* cannot be a body.
            DuplicateStepError: *name* was used before in this pass.
            NotSerializableError: the value cannot be stored; it is in the error's ``value``.
            BaseException: whatever *fn* raised, recorded, as the same object.

        Example:
            >>> profile = run.do("Load profile", load_profile, "p-17")
        """
        return execute.perform(self._opened, DEFAULTS, name, fn, args, kwargs)

    def options(
        self,
        *,
        retries: int = 0,
        timeout: Duration | None = None,
        on_change: OnChange | None = None,
        returns: Any = None,
        store: bool = True,
        max_size: Size | None = None,
        deps: Sequence[Any] = (),
        version: str | int | None = None,
    ) -> StepOptions:
        """Return a ``do`` with options.

        Args:
            retries: how often to execute the body again after an exception, each time as the next
                attempt, with growing pauses from 0.1 s to 60 s.
            timeout: how long one attempt may take, seconds or a text such as "30 s".
            on_change: what to do when the code or the arguments of a recorded step have changed:
                "warn" (the default: use the record, mark the step as stale, say so once), "rerun"
                (execute it again), "error" or "ignore".
            returns: the class that the value is rebuilt as.
            store: False stores no value: ``do`` returns what the body returned, of any type, and
                each pass executes the step again.
            max_size: how much may be stored of the step, in bytes or as a text such as "500 MB".
                One that makes more is executed again in each pass. By default what the run says.
            deps: what the step depends on and its code does not show. A function or a class counts
                with what it reaches, a text or a ``Path`` is a file or a folder and counts by what
                is in it, anything else counts by its content, as an argument.
            version: a text or a number; to change it is an edit of the step.

        Raises:
            InvalidInputError: one of them cannot be used.
            StaleStepError: from ``do``, with ``on_change="error"``.

        Example:
            >>> page = run.options(retries=3, timeout="30 s").do("Fetch", httpx.get, url)
            >>> declared = run.options(deps=[clean, "data/patients.csv"], on_change="rerun")
            >>> patients = declared.do("Load", load)
        """
        options = checked(
            retries=retries,
            timeout=timeout,
            on_change=on_change,
            returns=returns,
            store=store,
            max_size=max_size,
            deps=deps,
            version=version,
        )
        return StepOptions(self._opened, options)

    def wait_for_scan(
        self,
        *,
        timeout: Duration | None = None,
        name: str = DEFAULT_SCAN,
        default: Any = waits.NO_DEFAULT,
    ) -> Any:
        """Wait for an external event and return its payload.

        The deadline is fixed when the wait is first recorded and survives a restart. A payload
        that arrived early is taken at once. Ctrl-C leaves the wait; the next pass goes on waiting.

        Args:
            timeout: how long to wait, seconds or a text such as "30 minutes"; None for ever.
            name: name of the step.
            default: what to return when nothing arrives in time, now and on every replay.

        Raises:
            ScanTimeout: nothing arrived in time and there is no default.
            ScanFailed: the sender reported an error.

        Example:
            >>> scan = run.wait_for_scan(timeout="30 minutes")
        """
        return waits.wait_for_scan(self._opened, timeout, name, default)

    async def wait_for_scan_async(
        self,
        *,
        timeout: Duration | None = None,
        name: str = DEFAULT_SCAN,
        default: Any = waits.NO_DEFAULT,
    ) -> Any:
        """As :meth:`wait_for_scan`, leaving the event loop free."""
        return await waits.wait_for_scan_async(self._opened, timeout, name, default)

    def sleep(self, name: str, duration: Duration) -> None:
        """Let time pass, once: the deadline survives a restart, and replay does not wait.

        Args:
            name: name of the step.
            duration: seconds, or a text such as "10 s".
        """
        waits.sleep(self._opened, name, duration)

    async def sleep_async(self, name: str, duration: Duration) -> None:
        """As :meth:`sleep`, leaving the event loop free."""
        await waits.sleep_async(self._opened, name, duration)

    def log(
        self, message: object, level: Level = "info", *, step: str | None = None, **metadata: Any
    ) -> None:
        """Record a message of this run.

        Args:
            message: what to say; its ``str`` is recorded.
            level: one of debug, log, info, warn, error.
            step: the step it belongs to.
            metadata: JSON values that belong to it.

        Raises:
            InvalidInputError: the level is unknown.
            StepNameError: *step* is not the name of a step.
            NotSerializableError: the metadata cannot be stored.
        """
        text = self._opened.codec.encode(metadata) if metadata else None
        ledger = self._opened.owned()
        named = None if step is None else check_name(step, ledger.state.steps)
        ledger.note(log_row(message, level, named, text))

    # ---- ending -----------------------------------------------------------------------------

    def finish(self, output: Any = None) -> None:
        """Mark the run as succeeded and let go of it.

        A pass that only replayed a succeeded run changes nothing.

        Args:
            output: what the run gives; stored like a step's value.

        Raises:
            NotSerializableError: *output* cannot be stored.
        """
        self._opened.finish(output)

    def close(self) -> None:
        """Let go of the run without finishing it; another process may take it.

        Using it again opens it again.
        """
        self._opened.close()

    def __enter__(self) -> Self:
        self._opened.owned()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._opened.is_forked and error is not None:
            return  # a child of a body goes its own way; what is recorded is its parent's
        if error is not None:
            self._opened.fail(error)
            self.close()
        elif self._opened.ledger is not None:  # else the block has finished or closed it
            self.finish()

    # ---- changing what was recorded ---------------------------------------------------------

    def redo(self, name: str, *, downstream: bool = False) -> None:
        """Have the next pass execute a step again, as a new attempt; says so.

        Args:
            name: the step. Where no step has this name, ``*`` and ``?`` stand for any text and any
                character: all steps that match. Brackets stand for themselves.
            downstream: also the steps with inputs that come from it, directly or through other
                steps. Only cells record where their inputs come from. For steps of ``run.do``,
                :meth:`rewind` is the way.

        Raises:
            StepNotFoundError: the run has no such step.
            StepError: one of them is executing right now.
            RunInUseError: another process owns the run.

        Example:
            >>> run.redo("Score [*]")
            stepbook: 12 steps that match 'Score [*]' will be executed again in the next pass.
        """
        tell(revise.redo(self._opened, name, downstream=downstream))

    def rewind(self, name: str | None = None) -> None:
        """Have the next pass execute a step and all after it again; without a name, everything.

        Earlier attempts stay in the history.

        Args:
            name: the step, or a pattern as for :meth:`redo`: from the first that matches.

        Raises:
            StepNotFoundError: the run has no such step.
            StepError: one of them is executing right now.
            RunInUseError: another process owns the run.

        Example:
            >>> run.rewind("Load profile")
            stepbook: 3 steps will be executed again in the next pass.
        """
        tell(revise.rewind(self._opened, name))

    def accept(self, name: str) -> None:
        """Have what is recorded of a step stand for its code as it is now; says so.

        For an edit that changes nothing of the result: a ``print`` added to a cell that takes six
        hours. The next pass replays the step, whatever its code, arguments and inputs are then, and
        they count as recorded from there on. If the last attempt has failed or was interrupted,
        what the last success has left is used. It stands as a new attempt.

        Args:
            name: the step, or a pattern as for :meth:`redo`.

        Raises:
            StepNotFoundError: the run has no such step, or no attempt of it has succeeded.
            StepError: one of them is executing right now.
            RunInUseError: another process owns the run.

        Example:
            >>> run.accept("Train")
            stepbook: what is recorded of 'Train' stands for its code as it is in the next pass.
        """
        tell(revise.accept(self._opened, name))

    def resolve(self, name: str, value: Any) -> None:
        """Mark a step as succeeded with a value given by hand; recorded as such.

        Args:
            name: the step; one that the run does not know yet is added. A pattern, as for
                :meth:`redo`, means the recorded steps that match, and gives each the same value.
            value: what the next passes get.

        Raises:
            StepNotFoundError: *name* is a pattern and matches no step.
            NotSerializableError: *value* cannot be stored.
            StepError: one of them is executing right now.
            RunInUseError: another process owns the run.

        Example:
            >>> run.resolve("Notify", None)
            stepbook: 'Notify' has succeeded, with the value that was given.
        """
        tell(revise.resolve(self._opened, name, value))

    def undo(self) -> None:
        """Take the last redo, rewind, resolve or accept back; says so.

        Each step that it has changed stands as it stood before, as a new attempt where that has
        content. A step that was executed since stays as it is now, and is named. Once more takes
        the change before that back. It works in another process, too.

        Raises:
            StepError: there is nothing to take back.
            RunInUseError: another process owns the run.

        Example:
            >>> run.undo()
            stepbook: the redo of step 'Train' was taken back: 1 step stands as before.
        """
        tell(undo.undo(self._opened))

    # ---- reading ----------------------------------------------------------------------------

    def artifact(self, name: str, file: str | None = None) -> Path:
        """Return the path of the file that holds what a step returned, or that it has written.

        To read it; copy it to change it, as its name is the hash of its content.

        Args:
            name: the step.
            file: which one, where there are several: the name that ``ctx.file`` was given.

        Raises:
            StepNotFoundError: the run has no such step, or it has not succeeded.
            ArtifactError: the value is in the record itself, there are several files and none was
                named, or the file is missing.

        Example:
            >>> pd.read_feather(run.artifact("Load profile")).to_parquet("profile.parquet")
        """
        return stored.artifact(self._opened, name, file)

    def steps(self) -> pd.DataFrame:
        """Return one row per step, in the order they ran.

        Columns as the table ``steps`` has them; ``return`` and ``error`` are parsed from JSON.
        """
        return self._frame("steps")

    def attempts(self) -> pd.DataFrame:
        """Return one row per attempt of every step."""
        return self._frame("attempts")

    def logs(self) -> pd.DataFrame:
        """Return the messages: level, message, step, metadata, created_at."""
        return self._frame("logs")

    def diff(self, other: Run | str) -> pd.DataFrame:
        """Return the steps of this run and of another one side by side.

        One row per step of either run: those of this one in their order, then those that only the
        other has. ``change`` is how many seconds longer the other took. ``fingerprint`` says what
        has changed in code and arguments, ``differs`` what has changed in how the step ended, its
        value and, of a cell, its variables. Both are empty where nothing has. Tables and arrays in
        files are not read: they are told apart by shape, dtypes and hash.

        Args:
            other: a run, also of another book; or a text that names one, as for ``Book.get``.

        Raises:
            RunNotFoundError: there is no such run, or it was deleted.
            InvalidInputError: *other* is no run and no text.

        Example:
            >>> changed = run.diff("run_7k2m9q4xw3hd").query("differs != '' or fingerprint != ''")
        """
        book = self._opened.book
        meant = other._opened if isinstance(other, Run) else runs.get(book, other)  # noqa: SLF001 - of this class
        rows = differences.of_runs(self._opened, meant)
        return frames.of_rows(rows, changes.OF_RUNS)

    def diff_attempts(
        self, name: str, first: int | None = None, second: int | None = None
    ) -> pd.DataFrame:
        """Return what has changed from one attempt of a step to another.

        A row for each fact (status, started_at, seconds), for each difference of the return, of the
        error and of a cell's variables, for what has changed in code and arguments, and for each
        line in which the sources of a cell differ. The columns are what, where, first, second and
        change; all of them hold text.

        Args:
            name: the step.
            first: the number of an attempt.
            second: the number of the other. Without numbers it is the last two; beside one number
                it is the last of the others.

        Raises:
            StepNotFoundError: the run has no such step.
            InvalidInputError: the step has no such attempt, or not two of them.

        Example:
            >>> run.diff_attempts("Train", 1, 3)
        """
        rows = differences.of_attempts(self._opened, name, first, second)
        return frames.of_rows(rows, changes.OF_ATTEMPTS)

    def _frame(self, table: str) -> pd.DataFrame:
        return self._opened.book.frame(queries.of_run(table), [self.id], parse=True)

    # ---- how it is shown ----------------------------------------------------------------------

    def timeline(self) -> Timeline:
        """Return the live timeline, a widget: one row per step, in the order they ran.

        It follows the run while cells execute, also a run of another process. A run displays as
        its timeline by itself, so this is needed only to place the widget among others.

        Raises:
            StepbookError: the front end has not been built; the message says what to run.
        """
        from ..timeline.widget import timeline_of  # noqa: PLC0415 - anywidget only when shown

        return timeline_of(self._opened.book, self.id)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the run as one self-contained, interactive page, and return its path.

        The page loads nothing from anywhere and works without a kernel. Values longer than 64 KiB
        are shortened in it, and further if all together take more than 64 MiB.

        Args:
            path: the file to write; replaced if it exists.

        Raises:
            StepbookError: the front end has not been built; the message says what to run.

        Example:
            >>> run.to_html("run.html")
        """
        from ..timeline import bundle, wire  # noqa: PLC0415 - only where it is shown
        from ..timeline.follow import Follower  # noqa: PLC0415

        follower = Follower(self._opened.book, self.id)
        page = html.page_html(
            f"{follower.run.loop} {follower.run.id}",
            wire.encode(follower.whole()),
            bundle.bundle(),
            html.static_html(follower.run, follower.steps),
        )
        target = Path(path)
        target.write_text(page, encoding="utf-8")
        return target

    def __repr__(self) -> str:
        try:
            state = self._opened.look()
        except StepbookError:  # a busy database, a fork: a repr never raises
            return seen(f"<stepbook.Run {self.id} of {self.loop!r}>")
        return show_text.timeline(state.run, list(state.steps.values()))

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Return text and the static timeline; the same with and without a kernel."""
        try:
            state = self._opened.look()
        except StepbookError:  # as in __repr__
            return {"text/plain": repr(self)}
        steps = list(state.steps.values())
        data = {
            "text/plain": show_text.timeline(state.run, steps),
            "text/html": html.static_html(state.run, steps, stable=stable()),
        }
        return wanted(data, include, exclude)

    def _ipython_display_(self) -> None:
        HOOKS.show_made(self.timeline)


class StepOptions(StaysHere):
    """``do`` with options, from :meth:`Run.options`."""

    _instead = _DO_HERE

    def __init__(self, run: OpenRun, options: Options) -> None:
        self._run, self._options = run, options

    def do(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As :meth:`Run.do`, with these options."""
        return execute.perform(self._run, self._options, name, fn, args, kwargs)


def wanted(
    data: dict[str, str], include: Iterable[str] | None, exclude: Iterable[str] | None
) -> dict[str, Any]:
    """Return the representations that IPython asks for."""
    return {
        kind: text
        for kind, text in data.items()
        if (include is None or kind in include) and (exclude is None or kind not in exclude)
    }


def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)

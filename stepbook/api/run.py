"""A run: what people hold in their hands. Replays or executes, and knows no SQL and no notebook."""

from __future__ import annotations

import json
import threading
import weakref
from typing import TYPE_CHECKING, Any, overload

from ..engine import attempt, execute, passes, revise, stored, waits
from ..engine.context import StepContext, log_row
from ..engine.hooks import HOOKS
from ..engine.options import DEFAULTS, OnChange, Options, checked
from ..engine.passes import Pass
from ..errors import DuplicateStepError, NoRunError
from ..model import failures
from ..model.rows import DEFAULT_SCAN, FAILED, RUNNING, SUCCEEDED, Level, RunRow, StepRow, now_us
from ..system.console import tell
from ..system.interrupts import section
from .shown import Shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path
    from types import TracebackType
    from typing import ParamSpec, Self, TypeVar

    import pandas as pd

    from ..model.durations import Duration
    from ..record.ledger import Ledger, State
    from ..values.codec import Codec
    from .book import Book

    P = ParamSpec("P")
    T = TypeVar("T")

_SHOWN_STEPS = 5
#: Runs that are open in this process, the one opened last at the end.
_open_runs: list[weakref.ref[Run]] = []


def open_runs() -> list[Run]:
    """Return the runs that are open in this process, the current one last."""
    return [run for run in (reference() for reference in _open_runs) if run is not None]


def current_run() -> Run:
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


class Run(Shown):
    """One execution of a loop, with an input and an output; it can be left and resumed.

    Not made directly: ``book.run(...)``, ``stepbook.run(...)``, ``book.get(id)``, a loop's
    ``trigger`` and ``resume``. Methods can be called from several threads.

    Example:
        >>> run = stepbook.run("health-review", input={"patient_id": "p-17"})
        >>> profile = run.do("Load profile", load_profile, "p-17")
        >>> run.finish({"region": profile["region"]})
    """

    def __init__(self, book: Book, row: RunRow) -> None:
        self.book = book
        self._codec: Codec = book._codec
        self._row = row
        self._ledger: Ledger | None = None
        self._pass: Pass | None = None
        self._at_prompt = passes.at_prompt()
        self._in_loop = False  # whether a loop function is walking it
        self._lock = threading.RLock()
        self._executing: dict[str, StepContext] = {}
        #: Values read ahead, by step name and attempt, for as long as the run is held.
        self._ahead: dict[tuple[str, int], str] = {}

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
        return execute.perform(self, DEFAULTS, name, fn, args, kwargs)

    def options(
        self,
        *,
        retries: int = 0,
        timeout: Duration | None = None,
        on_change: OnChange | None = None,
        returns: Any = None,
    ) -> StepOptions:
        """Return a ``do`` with options.

        Args:
            retries: how often to execute the body again after an exception, each time as the next
                attempt, with growing pauses from 0.1 s to 60 s.
            timeout: how long one attempt may take, seconds or a text such as "30 s".
            on_change: what to do when the code of a recorded step has changed: "warn", "rerun",
                "error" or "ignore".
            returns: the class that the value is rebuilt as.

        Raises:
            InvalidInputError: one of them cannot be used.

        Example:
            >>> page = run.options(retries=3, timeout="30 s").do("Fetch", httpx.get, url)
        """
        return StepOptions(self, checked(retries, timeout, on_change, returns))

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
        return waits.wait_for_scan(self, timeout, name, default)

    async def wait_for_scan_async(
        self,
        *,
        timeout: Duration | None = None,
        name: str = DEFAULT_SCAN,
        default: Any = waits.NO_DEFAULT,
    ) -> Any:
        """As :meth:`wait_for_scan`, leaving the event loop free."""
        return await waits.wait_for_scan_async(self, timeout, name, default)

    def sleep(self, name: str, duration: Duration) -> None:
        """Let time pass, once: the deadline survives a restart, and replay does not wait.

        Args:
            name: name of the step.
            duration: seconds, or a text such as "10 s".
        """
        waits.sleep(self, name, duration)

    async def sleep_async(self, name: str, duration: Duration) -> None:
        """As :meth:`sleep`, leaving the event loop free."""
        await waits.sleep_async(self, name, duration)

    def log(
        self, message: object, level: Level = "info", *, step: str | None = None, **metadata: Any
    ) -> None:
        """Record a message of this run.

        Args:
            message: what to say; its ``str`` is recorded.
            level: one of debug, log, info, warn, error.
            step: the step it belongs to.
            metadata: JSON values that belong to it.
        """
        text = self._codec.encode(metadata) if metadata else None
        self._owned().note(log_row(message, level, step, text))

    # ---- ending -----------------------------------------------------------------------------

    def finish(self, output: Any = None) -> None:
        """Mark the run as succeeded and let go of it.

        A pass that only replayed a succeeded run changes nothing.

        Args:
            output: what the run gives; stored like a step's value.

        Raises:
            NotSerializableError: *output* cannot be stored.
        """
        with self._codec.writing() as writer:
            text = writer.encode(output)
            ledger = self._owned()
            row = ledger.state.run
            self._end_pass()
            if row.status != SUCCEEDED:
                now = now_us()
                started = row.started_at or now
                ledger.commit(
                    ledger.state.run._replace(
                        status=SUCCEEDED,
                        output=text,
                        started_at=started,
                        completed_at=max(now, started),
                    )
                )
        self.close()

    def close(self) -> None:
        """Let go of the run without finishing it; another process may take it.

        Using it again opens it again.
        """
        try:
            self._end_pass(handled=False)
        finally:
            _open_runs[:] = [r for r in _open_runs if r() not in (self, None)]
            ledger, self._ledger = self._ledger, None
            self._ahead = {}
            if ledger is not None:
                self._row = ledger.state.run
            self.book._release(self.id)  # also what an interrupted close has left

    def __enter__(self) -> Self:
        self._owned()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._fail(error)
            self.close()
        elif self._ledger is not None:  # else the block has finished or closed it
            self.finish()

    def _fail(self, error: BaseException) -> None:
        """Record that *error* has escaped the code of this run."""
        ledger = self._owned()
        row = ledger.state.run
        executed = self._pass is not None and bool(self._pass.executed)
        self._end_pass(handled=False)
        if not executed and row.status in (SUCCEEDED, FAILED):
            return  # a replay changes nothing
        record = failures.describe(error)
        now = now_us()
        ledger.note(
            log_row(
                f"run failed: {failures.summary(record)}",
                "error",
                None,
                json.dumps({"stack": record["stack"]}, ensure_ascii=False),
            )
        )
        ledger.commit(
            ledger.state.run._replace(
                status=FAILED,
                output=json.dumps(failures.summary(record), ensure_ascii=False),
                started_at=row.started_at or now,
                completed_at=now,
            )
        )

    # ---- changing what was recorded ---------------------------------------------------------

    def redo(self, name: str) -> None:
        """Have the next pass execute a step again, as a new attempt; says so.

        Raises:
            StepNotFoundError: the run has no such step.
            StepError: the step is executing right now.
        """
        tell(revise.redo(self, name))

    def rewind(self, name: str | None = None) -> None:
        """Have the next pass execute a step and all after it again; without a name, everything.

        Earlier attempts stay in the history.

        Raises:
            StepNotFoundError: the run has no such step.
            StepError: one of them is executing right now.
        """
        tell(revise.rewind(self, name))

    def resolve(self, name: str, value: Any) -> None:
        """Mark a step as succeeded with a value given by hand; recorded as such.

        Args:
            name: the step; one that the run does not know yet is added.
            value: what the next passes get.

        Raises:
            NotSerializableError: *value* cannot be stored.
            StepError: the step is executing right now.
        """
        revise.resolve(self, name, value)

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
        return stored.artifact(self, name, file)

    def steps(self) -> pd.DataFrame:
        """Return one row per step, in the order they ran.

        Columns as the table ``steps`` has them; ``return`` and ``error`` are parsed from JSON.
        """
        return self.book._run_frame("steps", self.id)

    def attempts(self) -> pd.DataFrame:
        """Return one row per attempt of every step."""
        return self.book._run_frame("attempts", self.id)

    def logs(self) -> pd.DataFrame:
        """Return the messages: level, message, step, metadata, created_at."""
        return self.book._run_frame("logs", self.id)

    # ---- the run's own ------------------------------------------------------------------------

    def _look(self) -> State:
        """Return the state: live if the run is open here, else as it is recorded now."""
        if self._ledger is not None:
            return self._ledger.state
        return self.book._peek(self.id)

    def _owned(self) -> Ledger:
        """Return the ledger; a run that was let go is taken again."""
        ledger = self._ledger
        if ledger is None:
            with section(self._lock, patient=False):
                if self._ledger is None:
                    self._ledger = self.book._own(self.id, self._executing)
                    _open_runs.append(weakref.ref(self))
                ledger = self._ledger
        return ledger

    def _state(self) -> State:
        ledger = self._ledger
        return (self._owned() if ledger is None else ledger).state

    def _walk(self) -> Pass:
        """Return the pass that is going on, begun if need be."""
        walk = self._pass
        origin = passes.line() if self._at_prompt else HOOKS.cell
        if walk is None or walk.origin is not origin:
            with section(self._lock):
                self._end_pass(handled=False)
                walk = self._pass = Pass(origin)
        return walk

    def _begin_pass(self) -> None:
        """Begin a pass, unless the cell that is executing is one already; be the current run."""
        with section(self._lock):
            _open_runs[:] = [*(r for r in _open_runs if r() is not self), weakref.ref(self)]
            if self._pass is None or HOOKS.cell is None:
                self._end_pass(handled=False)
                self._pass = Pass(passes.line() if self._at_prompt else HOOKS.cell)

    def _end_pass(self, *, handled: bool = True) -> None:
        """End the pass: without an exception its failures were handled."""
        walk, self._pass = self._pass, None
        if walk is None or self._ledger is None:
            return
        if handled:
            execute.handle(self, list(walk.failures))
        if walk.executed:
            self._ledger.note(walk.row(self._ledger.state.steps))

    def _executes(self, name: str) -> None:
        """Note that a body is executed: the run is running, the pass has done something."""
        walk = self._walk()
        walk.executed.add(name)
        ledger = self._owned()
        row = ledger.state.run
        if row.status != RUNNING:
            ledger.note(
                row._replace(
                    status=RUNNING,
                    started_at=row.started_at or now_us(),
                    completed_at=None,
                    output=None,
                )
            )

    def _take_up(self, row: StepRow) -> StepContext:
        """Go on with an attempt that was left while it waited."""
        with section(self._lock):
            if attempt.executing(self, row.name):
                raise DuplicateStepError(
                    f"the step {attempt.shorten(row.name)} is waiting right now, elsewhere."
                )
            context = StepContext(self, self._owned(), row, None)
            self._executing[row.name] = context
            self._executes(row.name)
        return context

    def _value(self, step: StepRow) -> str:
        """Return the text of a value that was left on disk."""
        key, ahead = (step.name, step.attempt), self._ahead
        if key not in ahead:
            ahead = self._ahead = self.book._values(self.id, step)
        return ahead[key]

    def _create_scan(
        self, ledger: Ledger, name: str, expires_in: Duration | None, metadata: Any
    ) -> dict[str, Any]:
        return waits.create_scan(self, ledger, name, expires_in, metadata)


class StepOptions:
    """``do`` with options, from :meth:`Run.options`."""

    def __init__(self, run: Run, options: Options) -> None:
        self._run, self._options = run, options

    def do(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As :meth:`Run.do`, with these options."""
        return execute.perform(self._run, self._options, name, fn, args, kwargs)

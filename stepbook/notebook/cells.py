"""A cell that is a step: replay or execute, and what is recorded of it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ..engine import execute, recording, retries
from ..engine.attempt import check_name, current, noted, shorten
from ..engine.decide import EXECUTE, RAISE, decide, settled
from ..engine.heartbeat import heartbeat
from ..errors import NotSerializableError, StaleStepError, StepbookWarning
from ..model.durations import describe
from ..model.rows import CellRow, now_us
from ..system.console import stable, tell
from . import names
from .outputs import Recorder, flush_figures, show
from .variables import Restorer, Watch, classes_in, encode, is_missed

if TYPE_CHECKING:
    from types import TracebackType

    from ..engine.attempt import Attempt
    from ..engine.opened import OpenRun
    from ..model.rows import StepRow
    from ..values.writer import Writer
    from .session import Session
    from .transform import Body, Request


class CellStep:
    """One execution of a cell that names a step; the rewritten code of the cell talks to it.

    Args:
        session: of the shell.
        request: what the cell's first line asks for.
        body: its code.
    """

    def __init__(self, session: Session, request: Request, body: Body) -> None:
        self._session = session
        self._shell = session.shell
        self._names: dict[str, Any] = session.shell.user_ns
        self._request = request
        self._body = body
        self._run: OpenRun | None = None
        self._executes: bool | None = None
        self._failures = 0
        self._waits = 0.0
        self._value: Any = None
        self._ran: list[int] = []
        # While the body executes:
        self._attempt: Attempt | None = None
        self._around = contextlib.ExitStack()
        self._recorder: Recorder | None = None
        self._watch: Watch | None = None
        # On replay:
        self._restorer: Restorer | None = None
        self._recorded: tuple[StepRow, CellRow | None] | None = None
        self._changed = False

    # ---- replay or execute --------------------------------------------------------------------

    def executes(self) -> bool:
        """Decide, the first time; after that say whether the body is to be executed again."""
        if self._executes is None:
            self._executes = self._decide()
        return self._executes

    def _decide(self) -> bool:
        request = self._request
        if request.problem:
            raise UsageError(request.problem)
        name = check_name(request.name)
        self._run = run = self._session.current()
        state = run.state()
        edited = names.claim_cell(run, name, self._body.fingerprint)
        walk = run.walking()
        walk.use(name, current.get())
        if walk.failures:
            execute.went_on(run)
        step = settled(run, state, name)
        if step is None and request.hint:
            tell(f"stepbook: {request.hint}")
        decision = decide(step)
        if step is None or decision == EXECUTE:
            return True
        if decision == RAISE:
            raise execute.replayed_failure(run, step)
        if self._is_outdated(run, step, edited=edited):
            return True
        cell = state.cells.get(name)
        if cell is None or cell.attempt != step.attempt:
            cell = run.book.cell(run.id, name, step.attempt)
        self._recorded = step, cell
        return False

    def _is_outdated(self, run: OpenRun, step: StepRow, *, edited: bool) -> bool:
        """Whether the record of a step is not to be used, as its code has changed."""
        name, line = step.name, f"%stepbook redo {step.name}"
        if step.kind != "cell":
            tell(f"stepbook: {name!r} was recorded by run.do, not by a cell; it is executed.")
            return True
        self._changed = step.fingerprint not in (None, self._body.fingerprint)
        if not self._changed:
            if step.stale:
                run.owned().note(run.book.whole(run.id, step)._replace(stale=False))
            return False
        if edited:
            tell(f"stepbook: the cell of {name!r} was edited; it is executed again.")
            return True
        policy = self._request.on_change or self._session.policy(run)
        if policy == "rerun":
            tell(f"stepbook: the cell of {name!r} has changed; it is executed again.")
            return True
        if policy == "error":
            raise StaleStepError(
                f"the cell of step {shorten(name)} has changed since it was recorded. "
                f"{line} executes it again; --on-change warn uses what was recorded."
            )
        if policy == "warn":
            self._warn(run, step, line)
        return False

    def _warn(self, run: OpenRun, step: StepRow, line: str) -> None:
        if not step.stale:
            run.owned().note(run.book.whole(run.id, step)._replace(stale=True))
        key = (run.id, step.name, self._body.fingerprint)
        if key in self._session.warned:
            return
        self._session.warned.add(key)
        ago = ""
        if step.completed_at is not None and not stable():
            ago = f", {describe(max(0.0, (now_us() - step.completed_at) / 1e6))} ago"
        tell(
            f"stepbook: the code of the cell {step.name!r} has changed since it was recorded"
            f"{ago}. What was recorded is used. To execute it again:\n  {line}"
        )

    # ---- executing ----------------------------------------------------------------------------

    def __enter__(self) -> None:
        run = self._running
        self._value, self._ran = None, []
        self._around = around = contextlib.ExitStack()
        try:
            self._attempt = attempt = recording.start(
                run,
                self._request.name,
                "cell",
                fingerprint=self._body.fingerprint,
                cell_id=names.cell_id(),
            )
            around.callback(current.reset, current.set(attempt))
            self._watch = Watch(self._names, self._body.effects, run.codec)
            if self._body.effects.awaits:
                around.enter_context(heartbeat())
            self._recorder = Recorder(self._shell)
            self._recorder.start()
            attempt.began = time.perf_counter()
        except BaseException as error:
            self._fail(error)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is None:
            try:
                self._succeed()
            except BaseException as failure:
                self._fail(failure)
                raise
            self._executes = False
            return False
        self._fail(error)
        if self._failures >= self._request.retries or not retries.worth_retrying(error):
            return False
        self._failures += 1
        flush_figures()
        self._note_outputs()
        self._waits = retries.pause(self._failures)
        return True

    def pause(self) -> None:
        """Let time pass before the next attempt, if the last one has failed."""
        waits, self._waits = self._waits, 0.0
        if waits:
            time.sleep(waits)

    async def pause_async(self) -> None:
        """As :meth:`pause`, leaving the event loop free."""
        waits, self._waits = self._waits, 0.0
        if waits:
            with heartbeat():
                await asyncio.sleep(waits)

    @property
    def _running(self) -> OpenRun:
        assert self._run is not None  # noqa: S101 - the decision was to execute
        return self._run

    def show(self, value: Any) -> None:
        """Show an expression's value as IPython does, and keep it as the step's value."""
        self._value = value
        sys.displayhook(value)

    def keep(self, value: Any) -> None:
        """Keep the value of the last expression, where the shell shows none."""
        self._value = value

    def defined(self, number: int) -> None:
        """Note that the body has executed one of its definitions."""
        if number not in self._ran:
            self._ran.append(number)
        if self._watch is not None:
            self._watch.defined(self._body.definitions[number])

    def _succeed(self) -> None:
        run, attempt, recorder = self._running, self._attempt, self._recorder
        assert attempt is not None  # noqa: S101 - the body was executing
        assert recorder is not None  # noqa: S101
        assert self._watch is not None  # noqa: S101
        seconds = time.perf_counter() - attempt.began
        flush_figures()
        recorder.stop()
        with run.codec.writing() as writer:
            text = self._encode_value(writer, attempt)
            variables, missing = encode(
                writer,
                self._names,
                self._wanted(),
                self._ran,
                self._watch.chance(),
                insist=self._request.out is not None,
            )
            shown = recorder.outputs()
            cell = CellRow(
                attempt.name,
                attempt.number,
                self._request.source,
                variables,
                writer.encode(shown) if shown else None,
            )
            recording.complete(run, attempt, self._value, text, seconds, cell)
        if attempt.files:  # they are in the store now
            Restorer(run.codec, self._names, variables, attempt.name, self._names.get).finish({})
        self._end()
        for name in missing:
            self._session.remember(attempt, name, self._names[name])
        missed = {n: reason for n, reason in missing.items() if is_missed(self._names[n])}
        if missed:
            self._warn_missing(missed)

    def _encode_value(self, writer: Writer, attempt: Attempt) -> str:
        """Return the text of the last value; null if it cannot be stored.

        It is shown again as it looked, and what is needed later is in a variable.
        """
        files = attempt.files
        try:
            return writer.encode(self._value, hint=classes_in(self._names), files=files)
        except NotSerializableError:
            return writer.encode(None, files=files)

    def _wanted(self) -> list[str]:
        """Return the names to store."""
        assert self._watch is not None  # noqa: S101 - the body was executing
        out = self._request.out
        if out is None:
            return self._watch.touched()
        for name in out:
            if name not in self._names:
                raise NameError(f"--out asks for {name!r}, which the cell has not bound")
        return list(out)

    def _warn_missing(self, missing: dict[str, str]) -> None:
        shown = "; ".join(f"{name} ({reason})" for name, reason in missing.items())
        warnings.warn(
            f"step {self._request.name!r} is recorded without {shown}. On replay, using "
            f"{'it' if len(missing) == 1 else 'one of them'} raises NotStoredError.",
            StepbookWarning,
            stacklevel=4,
        )

    def _fail(self, error: BaseException) -> None:
        attempt = self._attempt
        if attempt is not None:
            recording.fail(self._running, attempt, error)
        self._around.close()

    def _end(self) -> None:
        self._around.close()
        self._recorder = None

    def _note_outputs(self) -> None:
        """Record what a failed attempt has shown."""
        recorder, self._recorder = self._recorder, None
        if recorder is None or self._attempt is None:
            return
        recorder.stop()
        shown = recorder.outputs()
        if not shown:
            return
        run, attempt = self._running, self._attempt
        ledger = run.ledger
        if ledger is None:
            return  # let go of since; the failure itself is recorded
        with run.codec.writing() as writer:
            row = CellRow(
                attempt.name,
                attempt.number,
                self._request.source,
                outputs=writer.encode(shown),
            )
            noted(ledger, row)

    def cell_ended(self) -> None:
        """Take in what IPython has shown behind the body of a failed attempt: its plots."""
        if self._attempt is not None and self._attempt.failed:
            self._note_outputs()
        elif self._recorder is not None:
            self._recorder.stop()

    # ---- replaying ----------------------------------------------------------------------------

    def replays(self) -> bool:
        """Whether the record is used; if so, begin to bring it back."""
        if self._recorded is None:
            return False
        step, cell = self._recorded
        text = None if cell is None else cell.variables
        run = self._running
        self._restorer = Restorer(
            run.codec,
            self._names,
            text,
            step.name,
            lambda name: self._session.alive(run, step, name),
        )
        return True

    def defines(self, number: int) -> bool:
        """Whether a definition is to be executed; what was bound before it is brought back."""
        assert self._restorer is not None  # noqa: S101 - replays() comes first
        self._restorer.up_to(self._body.places[number], self._body.effects.order)
        if self._changed:
            return self._body.top[number] is not None
        return number in self._restorer.ran

    def replayed(self) -> None:
        """Bring back the rest: variables, outputs, the value."""
        assert self._restorer is not None  # noqa: S101 - as above
        assert self._recorded is not None  # noqa: S101
        step, cell = self._recorded
        run = self._running
        self._restorer.finish(self._body.effects.order)
        text = run.value(step) if step.value is None else step.value
        if cell is None:
            tell(f"stepbook: {step.name!r} has a value, but no variables and no output, recorded.")
        elif cell.outputs is not None:
            value = run.codec.decode(text, hint=classes_in(self._names), where=step.name)
            outputs = run.codec.decode(cell.outputs, where=step.name)
            if not show(self._shell, outputs, value):
                tell(
                    f"stepbook: of the outputs recorded for {step.name!r} some are not as stepbook "
                    f"writes them, and are left out. %stepbook redo {step.name} makes them again."
                )

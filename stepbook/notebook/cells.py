"""A cell that is a step: replay or execute, and what is recorded of it."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ..code.shapes import short_hash
from ..code.verdicts import code_of
from ..engine import execute, recording, redacting, retries, storing
from ..engine.attempt import check_name, current, noted
from ..engine.decide import EXECUTE, RAISE, decide, settled
from ..engine.heartbeat import heartbeat
from ..errors import NotSerializableError
from ..model.blobs import Limit, TooBig
from ..model.rows import CellRow
from ..system.console import tell
from . import history, missing, names, outdated, settings
from .calm import calm, warn
from .chance import changed
from .declared import without_changed_files
from .definitions import Definitions
from .effects import defined_names, effects_of
from .late import Late
from .listen import listener
from .memory import is_hidden
from .outputs import Recorder, flush_figures
from .restore import Restorer
from .shown import StepOutputs
from .stub import NotStored, refuse
from .surroundings import REGISTERED, without_secrets
from .variables import Storer, classes_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ..engine.attempt import Attempt
    from ..engine.opened import OpenRun
    from ..model.rows import Policy, StepRow
    from ..values.heap import HeapWriter
    from ..values.writer import Writer
    from .inputs import Reading
    from .places import Change
    from .requests import Request
    from .session import Session
    from .transform import Body
    from .variables import Missing, Stored


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
        self._name = request.name
        self._executes: bool | None = None
        self._failures = 0
        self._reason: str | None = None
        self._waits = 0.0
        self._value: Any = None
        self._definitions = Definitions(session, body)
        # While the body executes:
        self._attempt: Attempt | None = None
        self._around = contextlib.ExitStack()
        self._recorder: Recorder | None = None
        self._late: Late | None = None
        self._outputs = StepOutputs(session.shell, request.name)
        self._before: frozenset[str] = frozenset()
        self._chance: dict[str, Any] = {}
        self._reached = body.effects
        self._touched: list[frozenset[str]] = []
        # On replay:
        self._restorer: Restorer | None = None
        self._recorded: tuple[StepRow, CellRow | None] | None = None
        self._changed = False
        self._reading: Reading | None = None
        self._before_all: str | None = None
        self._held: dict[str, Any] = {}

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
        check_name(request.name)
        self._run = run = self._session.current()
        state = run.state()
        self._name = name = execute.named(run, request.name)
        edited = names.claim_cell(run, name, self._body.fingerprint)
        self._session.memory.arrive(name)
        walk = run.walking()
        walk.use(name, current.get())
        if walk.failures:
            execute.went_on(run)
        step = settled(run, state, name)
        if step is not None and run.codec.redaction is not None:
            step = step._replace(fingerprint=run.codec.redaction.fingerprint(step.fingerprint))
        if step is None and request.hint:
            tell(f"stepbook: {request.hint}")
        decision = decide(step, stores=request.store)
        if step is None or decision == EXECUTE:
            return True
        if step.kind != "cell":
            tell(f"stepbook: {name!r} was recorded by run.do, not by a cell; it is executed.")
            self._reason = "it was recorded by run.do"
            return True
        on_change = request.on_change or self._session.on_change(run)
        row = outdated.usable(
            run, step, self._read, on_change, edited=edited, warned=self._session.warned
        )
        if isinstance(row, str):
            self._reason = row
            return True
        if decision == RAISE:
            raise execute.replayed_failure(run, row)
        recorded = code_of(row.fingerprint).get(("code", ""))
        self._changed = row.is_accepted or recorded not in (None, self._body.fingerprint)
        self._recorded = row, run.cell(row)
        return False

    def _read(self, step: StepRow | None) -> Reading:
        """Return what the cell is executed with.

        Args:
            step: what is recorded of it, which tells the generators of random numbers it has used.
        """
        inputs = self._session.inputs
        if self._reading is None:
            with calm():
                self._reading = inputs.of_step(self._name, self._body, self._request)
                redaction = self._running.codec.redaction
                if redaction is not None:  # as it is recorded, to be compared with that
                    told = self._reading.parts.items()
                    self._reading.parts = {kind: redaction.parts(one) for kind, one in told}
            self._session.tell_once(self._running, self._name, self._reading.remarks)
        draws = inputs.draws(None if step is None else step.fingerprint, self._name)
        return self._reading.with_draws(draws)

    # ---- executing ----------------------------------------------------------------------------

    def __enter__(self) -> None:
        run = self._running
        if run.codec.redaction is not None:
            run.codec.redaction.source(self._request.source)  # learns what is a secret here
        self._value, self._definitions = None, Definitions(self._session, self._body)
        self._around = around = contextlib.ExitStack()
        try:
            self._attempt = attempt = recording.start(
                run,
                self._name,
                "cell",
                fingerprint=self._fingerprint(),
                reason=None if self._failures else self._reason,
                cell_id=names.cell_id(),
            )
            around.callback(current.reset, current.set(attempt))
            self._session.note_definitions(self._body.statements, self._body.effects)
            self._reached = self._session.reached(self._body.statements, self._body.effects)
            with calm():
                self._session.places.begin(attempt.name, self._reached)
                self._reached.reads |= self._session.places.held()
                self._session.memory.before(attempt.name, self._reached)
            self._before = frozenset(n for n in self._names if not is_hidden(n))
            self._session.surroundings.begin(attempt.name)
            self._session.begin_files(self._body.effects, str(run.book.path or ""))
            self._chance = self._session.draws.begin(attempt.name)
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
        if self._recorder is not None:
            self._recorder.hears_errors = False  # its own is recorded as such
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
        if isinstance(value, NotStored):
            refuse(value)  # what it looks like is not what the step has shown
        self._value = value
        sys.displayhook(value)

    def keep(self, value: Any) -> None:
        """Keep the value of the last expression, where the shell shows none."""
        self._value = value

    def defined(self, number: int) -> None:
        """Note that the body has executed one of its definitions."""
        self._definitions.executed(number)

    def _fingerprint(self, draws: Reading | None = None) -> str:
        """Return the fingerprint of the attempt, its own inputs as they were in the one before."""
        if self._before_all is None:
            step = self._running.state().steps.get(self._name)
            self._before_all = "" if step is None else step.fingerprint or ""
        reading = self._read(None)
        return (reading if draws is None else reading.with_draws(draws)).after(self._before_all)

    def _succeed(self) -> None:
        run, attempt, recorder = self._running, self._attempt, self._recorder
        assert attempt is not None  # noqa: S101 - the body was executing
        assert recorder is not None  # noqa: S101
        if run.is_forked:
            recording.taker(run, attempt)  # refuses
        seconds = time.perf_counter() - attempt.began
        flush_figures()
        recorder.stop()
        session, request = self._session, self._request
        around, changes = session.surroundings.end(), session.places.end()
        drawn = session.draws.end(attempt.name, self._chance)
        if not request.store:
            limit = storing.limit(run, None)
            self._succeed_unstored(attempt, recorder, seconds, storing.NO_STORE, limit)
            return
        called = settings.unseen(*session.places.reached())
        if called:
            around = {**around, REGISTERED: {**around.get(REGISTERED, {}), **called}}
        with calm():
            limit = storing.limit(run, request.max_size)
            address = run.address(attempt.name, attempt.number)
            try:
                with run.codec.writing_graphs(session.notebook, limit, address) as writer:
                    writer.graph = False
                    text, refusal = self._encode_value(writer, attempt)
                    stored = self._stored(writer, attempt, around, changes)
                    shown = self._outputs.stored(writer, address, recorder, self._value, refusal)
                    chance = changed(self._chance, drawn)
                    drew = session.inputs.drawn(chance, self._chance, attempt.name)
                    fingerprint = session.inputs.found_changed(
                        self._fingerprint(drew),
                        self._read(None),
                        self._touched,
                        self._body.effects.binds,
                    )
                    fingerprint = without_changed_files(fingerprint)
                    attempt.row = attempt.row._replace(fingerprint=fingerprint)
                    variables = stored.text(
                        sorted(self._definitions.ran), writer.encode(chance) if chance else None
                    )
                    cell = CellRow(attempt.name, attempt.number, request.source, variables, shown)
                    recording.complete(run, attempt, self._value, text, seconds, cell)
            except TooBig as much:
                storing.told(run, attempt, much)
                self._succeed_unstored(attempt, recorder, seconds, storing.policy_of(much), limit)
                return
            if attempt.files:  # they are in the store now
                self._bring_back(variables, attempt, lambda _key: None)
            self._end()
            session.inputs.passed(attempt.name, chance)
            for one in stored.missing:
                session.remember(attempt, one.key, one.value)
            if refusal and recorder.results:
                session.remember(attempt, history.VALUE, self._value)
        session.bound(self._body.effects.binds)
        self._tell_missing(stored.missing)
        self._follow(run, attempt, recorder)

    def _tell_missing(self, parts: list[Missing]) -> None:
        """Warn of what could not be stored."""
        each_time, name = self._session.each_time, self._request.name
        lost = [one for one in parts if one.name in each_time]
        told = missing.missed(parts, self._body.statements)
        told = [one for one in told if one not in lost]
        if told:
            warn(missing.in_words(name, told), stacklevel=4)
        if lost:
            warn(missing.made_each_time(name, lost, each_time), stacklevel=4)

    def _succeed_unstored(
        self, attempt: Attempt, recorder: Recorder, seconds: float, policy: Policy, limit: Limit
    ) -> None:
        """Record a success and what was shown: each pass executes the cell, like plain code."""
        run, session = self._running, self._session
        with calm():
            with run.codec.writing_graphs(session.notebook, limit) as writer:
                try:
                    shown = self._outputs_alone(writer, attempt, recorder)
                except TooBig as much:
                    shown, why = None, storing.reason(run, attempt, much)
                    tell(
                        f"stepbook: what the step {self._name!r} has shown is not recorded: {why}."
                    )
                cell = CellRow(attempt.name, attempt.number, self._request.source, outputs=shown)
                recording.complete(run, attempt, self._value, None, seconds, cell, policy=policy)
            mark = short_hash(attempt.row.fingerprint or "")
            session.memory.plain(self._reached, mark)
            session.memory.plain(self._body.effects, mark)
            session.made_each_time(attempt.name, self._body.effects.binds)
            self._end()
        self._follow(run, attempt, recorder)

    def _outputs_alone(
        self, writer: HeapWriter, attempt: Attempt, recorder: Recorder
    ) -> str | None:
        """Return the text of what was shown by a cell whose values are not stored."""
        recorder.results.clear()
        writer.graph = False
        address = self._running.address(attempt.name, attempt.number)
        return self._outputs.stored(writer, address, recorder, None, "")

    def _follow(self, run: OpenRun, attempt: Attempt, recorder: Recorder) -> None:
        """Go on listening: subprocesses and threads may show something after the cell's end."""
        parent = recorder.parent
        if parent is None:  # nothing tells in such a host to which cell something belongs
            return
        self._late = Late(
            run,
            attempt,
            parent,
            self._session.notebook,
            lambda: classes_in(self._names),
        )
        listener(self._shell).follow(parent, self._late)

    def _bring_back(self, variables: str, attempt: Attempt, alive: Callable[[str], Any]) -> None:
        restorer = self._restores(variables, attempt.name, attempt.number, alive)
        restorer.finish()
        self._session.memory.restored(
            attempt.name, _origin(attempt.row, attempt.run.id), restorer.names
        )

    def _restores(
        self, variables: str | None, step: str, attempt: int, alive: Callable[[str], Any]
    ) -> Restorer:
        """Return what brings the variables of an attempt back."""
        run, session = self._running, self._session
        return Restorer(
            run.codec,
            session.notebook,
            variables,
            run.address(step, attempt),
            alive,
            self._request.source,
            self._body.effects,
            session.bindings.may_bind,
            session.places.may_set,
        )

    def _stored(
        self,
        writer: HeapWriter,
        attempt: Attempt,
        around: dict[str, dict[str, Any]],
        changes: list[Change],
    ) -> Stored:
        """Store what a replay cannot make: what was bound or changed, and not by a definition."""
        memory, effects = self._session.memory, self._body.effects
        storer = Storer(
            writer, self._session.notebook, memory, strict=self._request.out is not None
        )
        origin = _origin(attempt.row, attempt.run.id)
        groups = memory.after(attempt.name, origin, self._reached, self._before)
        self._touched = groups
        storer.add_around(self._without_secrets(around))
        storer.add_attributes(effects.attributes)
        places = self._session.places
        bound = set().union(*groups)
        storer.add_places(changes, places.shared(bound), effects.attributes)
        storer.add_files(self._session.files.written())
        out = self._request.out
        if out is not None:
            for name in out:
                if name not in self._names:
                    raise NameError(f"--out asks for {name!r}, which the cell has not bound")
            storer.add(out)
            return storer.end()
        executed = self._definitions.again(storer)
        # What a module holds, and comes back with it.
        imported = places.imported_from(changes)
        # They are IPython's, until a cell binds them: `for _ in range(3)`, `_ = gettext`.
        for name in sorted(effects.binds & history.LAST & self._names.keys() - executed):
            storer.add([name])
        for group in sorted(groups, key=lambda g: min(effects.order.get(n, 1 << 30) for n in g)):
            names = sorted(group, key=lambda n: (effects.order.get(n, 1 << 30), n))
            names = [n for n in names if n not in executed and n not in imported]
            if names:
                storer.add(names)
        return storer.end()

    def _without_secrets(self, around: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return changes around the names without the secrets in the environment; tell of these."""
        redaction = self._running.codec.redaction
        if redaction is None:
            return around
        left, lost = without_secrets(around, redaction)
        if lost:
            warn(
                f"step {self._name!r} has set {', '.join(lost)} in the environment, which the book "
                "redacts: that is not recorded, and a replay does not set it. Set it before the "
                "kernel starts, or in a cell that is no step.",
                stacklevel=4,
            )
        return left

    def _encode_value(self, writer: Writer, attempt: Attempt) -> tuple[str, str]:
        """Return the text of the last value; null, and why, if it cannot be stored.

        It is shown again as it looked, and what is needed later is in a variable.
        """
        files = attempt.files
        try:
            hint = classes_in(self._names)
            text = writer.encode(self._value, hint=hint, files=files, slot=storing.RETURN)
        except NotSerializableError as error:
            return writer.encode(None, files=files), error.reason or str(error)
        if writer.masked:
            redacting.tell_cell(self._name, "the value of its last line")
        return text, ""

    def _fail(self, error: BaseException) -> None:
        attempt = self._attempt
        try:
            if attempt is not None:
                recording.fail(self._running, attempt, error)
                with calm():
                    self._session.memory.failed(attempt.name, self._reached)
                self._session.draws.end(attempt.name, self._chance)
                self._session.surroundings.end()
                self._session.places.failed()
        finally:
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
        run, attempt = self._running, self._attempt
        ledger = run.ledger
        if ledger is None:
            return  # let go of since; the failure itself is recorded
        with calm(), run.codec.writing_graphs(self._session.notebook) as writer:
            shown = self._outputs_alone(writer, attempt, recorder)
            if shown is not None:
                source = self._request.source
                noted(ledger, CellRow(attempt.name, attempt.number, source, outputs=shown))

    def cell_ended(self) -> None:
        """Take in what IPython has shown behind the body of a failed attempt: its plots."""
        if self._attempt is not None and self._attempt.failed:
            self._note_outputs()
        elif self._recorder is not None:
            self._recorder.stop()
        if self._late is not None:
            self._late.ended()

    # ---- replaying ----------------------------------------------------------------------------

    def replays(self) -> bool:
        """Whether the record is used; if so, begin to bring it back."""
        if self._recorded is None:
            return False
        step, cell = self._recorded
        run, session = self._running, self._session
        session.note_definitions(self._body.statements, self._body.effects)
        self._chance = session.draws.begin(step.name)
        session.surroundings.begin(step.name)
        session.places.begin(step.name, self._body.effects)
        session.files.set_folder()
        self._held = history.held(self._shell)
        if self._body.definitions:  # they may show something, and it is recorded already
            self._recorder = Recorder(self._shell)
            self._recorder.start()
        variables = None if cell is None else cell.variables
        self._restorer = self._restores(
            variables, step.name, step.made_by, lambda key: session.alive(run, step, key)
        )
        return True

    def defines(self, number: int) -> bool:
        """Whether a definition is to be executed; what was bound before it is brought back."""
        assert self._restorer is not None  # noqa: S101 - replays() comes first
        body = self._body
        with calm():
            self._restorer.up_to(
                body.places[number],
                body.effects.order,
                effects_of([body.definitions[number]]).reads,
            )
        if self._changed:
            node = body.definitions[number]
            if not isinstance(node, ast.ClassDef | ast.Import | ast.ImportFrom):
                self._restorer.leave(defined_names(node))
            return body.top[number] is not None
        return number in self._restorer.ran

    def replayed(self) -> None:
        """Bring back the rest: variables, outputs, the value."""
        assert self._restorer is not None  # noqa: S101 - as above
        assert self._recorded is not None  # noqa: S101
        step, cell = self._recorded
        run, session = self._running, self._session
        with calm():
            self._restorer.finish()
            restored, bound = self._restorer.names, self._body.effects.binds
            history.follow(self._shell, self._held, restored - bound)
            imported = session.places.imported_from(session.places.end())
            session.memory.restored(step.name, _origin(step, run.id), restored | bound | imported)
        session.draws.end(step.name, self._chance)
        session.inputs.passed(step.name, self._restorer.drew)
        session.surroundings.end()
        session.files.replayed(step.name, self._restorer.files)
        heard = []
        if self._recorder is not None:
            self._recorder.stop()
            heard = self._recorder.outputs()
        if cell is None:
            tell(f"stepbook: {step.name!r} has a value, but no variables and no output, recorded.")
        elif cell.outputs is not None:
            with calm():
                self._outputs.show_again(
                    run, step, cell.outputs, heard, lambda key: session.alive(run, step, key)
                )


def _origin(row: StepRow, run_id: str) -> str:
    """Return what stands for the attempt that has made what a step has left."""
    return f"{row.name}, attempt {row.made_by} of {run_id}"

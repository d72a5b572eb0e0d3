"""What one IPython shell remembers of its steps, for as long as its kernel lives."""

from __future__ import annotations

import functools
import itertools
import types
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..engine.runs import current_run, open_runs
from ..errors import NoRunError
from ..model.rows import SUCCEEDED
from ..system.console import tell
from . import history, names
from .background import goes_on
from .bindings import Bindings
from .chance import Draws
from .digest import look, names_in
from .effects import Effects, defined_in, effects_of
from .files import Files
from .inputs import Inputs
from .memory import Memory
from .places import Places
from .quiet import is_quiet
from .sources import Sources
from .surroundings import Surroundings
from .transform import Code, Lines
from .variables import owner_of
from .verify import Executed
from .world import Notebook

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterable

    from IPython.core.interactiveshell import InteractiveShell

    from ..engine.attempt import Attempt
    from ..engine.opened import OpenRun
    from ..engine.options import OnChange
    from ..engine.passes import Pass
    from ..model.rows import StepRow
    from .requests import Request
    from .transform import Body


class OneExecution(Protocol):
    """What stands for one execution of a cell that names a step."""

    def cell_ended(self) -> None:
        """Take in what came after the body."""


class Session:
    """The steps of one shell.

    Args:
        shell: the shell.
        make: makes what stands for one execution of a cell in this session.

    Attributes:
        shell: the shell.
        run: the run that ``%stepbook run`` has opened last, kept alive.
        lines: the input transformer.
        code: the AST transformer.
        warned: steps, and what the person was told of them.
        open_run: opens a run where a step finds none; used once.
        matcher: completes, while the extension is loaded.
        notebook: its code and names.
        bindings: which names its code may bind.
        memory: what a replay would have.
        inputs: what its cells are executed with.
        places: what is in modules, and what these hold.
        surroundings: what is around the notebook: its folder, environment and options.
        files: what replayed steps had written.
        executed: its cells, for a verification.
        draws: how steps have found and left the generators of random numbers.
        each_time: the steps of which nothing is stored, by the names that they have bound.
    """

    def __init__(
        self, shell: InteractiveShell, make: Callable[[Session, Request, Body], OneExecution]
    ) -> None:
        self.shell = shell
        self.run: OpenRun | None = None
        self.lines = Lines(self._automagic)
        self.notebook = Notebook(shell.user_ns, Sources())
        self.bindings = Bindings(shell.user_ns)
        self.draws = Draws()
        self.each_time: dict[str, str] = {}
        self.surroundings = Surroundings()
        self.files = Files()
        self.memory = Memory(shell.user_ns, self.notebook.is_own)
        self.places = Places(shell.user_ns, self.notebook.is_own, self.memory.look)
        self.inputs = Inputs(shell.user_ns, self.memory, self.places)
        self.code = Code(
            self.lines, self._prepare, self._plain, lambda: shell.ast_node_interactivity
        )
        self.warned: set[tuple[str, str, str]] = set()
        self.open_run: Callable[[], OpenRun] | None = None
        self.matcher: Any = None
        self.executed = Executed(shell)
        self._replayed: dict[str, dict[str, float]] = {}
        self._executed: dict[str, dict[str, str]] = {}
        self._on_change: dict[str, OnChange] = {}
        self._numbers = itertools.count(1)
        self._alive: dict[tuple[str, str, int, str], tuple[Callable[[], Any], bytes | None]] = {}
        self._make = make
        self._steps: dict[str, OneExecution] = {}
        # Attributes that cells have assigned to.
        self._given: set[tuple[str, ...]] = set()
        # Whether the last cell has left something running, which may have changed anything since.
        self._background = False

    # ---- the transformers' side -----------------------------------------------------------------

    def _automagic(self, line: str) -> str:
        """Return what the shell makes of a cell of one line."""
        manager: Any = self.shell.prefilter_manager
        with self.shell.builtin_trap:
            return str(manager.prefilter_lines(line))

    def _prepare(self, request: Request, body: Body) -> str:
        """Put the object that stands for a step into the notebook, for one execution."""
        name = f"__stepbook_{next(self._numbers)}__"
        self._steps[name] = self.shell.user_ns[name] = self._make(self, request, body)
        return name

    def _plain(self, body: list[ast.stmt]) -> None:
        """Take in a cell that is no step, before it executes."""
        effects = effects_of(body)
        self.bound(effects.binds)
        self.begin_files(effects)
        mark = self.inputs.of_plain(body)
        self.memory.plain(self.reached(body, effects), mark)
        self.note_definitions(body, effects)

    def reached(self, body: list[ast.stmt], effects: Effects) -> Effects:
        """Return what a cell does to names, before it executes: nothing, if it only looks."""
        names = self.shell.user_ns
        effects.everything |= self._background
        settled = not effects.everything and self.memory.is_settled(effects.reads)
        if settled and is_quiet(body, names):
            return Effects()
        effects.reads |= history.variables_behind(effects.reads, names) | self._through_libraries()
        return effects

    def _through_libraries(self) -> set[str]:
        """Return the names that functions use which cells have put into libraries."""
        names = self.shell.user_ns
        found = (getattr(owner_of(names, path), path[-1], None) for path in self._given)
        functions = (f for f in found if isinstance(f, types.FunctionType))
        return {name for f in functions for name in names_in(f.__code__)}

    def begin_files(self, effects: Effects, ours: str = "") -> None:
        """Follow the files that a cell opens; say which it names are not what steps had written."""
        for line in self.files.begin(effects.texts, ours):
            tell(f"stepbook: {line}")

    def tell_once(self, run: OpenRun, step: str, remarks: Iterable[str]) -> None:
        """Say of a step what was not said of it yet."""
        for remark in remarks:
            if (run.id, step, remark) not in self.warned:
                self.warned.add((run.id, step, remark))
                tell(f"stepbook: {step!r}: {remark}")

    def note_definitions(self, body: list[ast.stmt], effects: Effects) -> None:
        """Note which names a cell binds by imports and definitions, and which otherwise."""
        self._given |= effects.attributes
        self.places.imported(body)
        self.bindings.note(body, effects)
        defined = defined_in(body)
        self.notebook.defined -= effects.binds - defined
        self.notebook.defined |= defined

    def cell_ended(self) -> None:
        """Take away what cells have left, once none is executing any more."""
        self._background = goes_on()
        for line in self.files.end():
            tell(f"stepbook: {line}")
        steps, self._steps = self._steps, {}
        for name, step in steps.items():
            self.shell.user_ns.pop(name, None)
            step.cell_ended()

    def made_each_time(self, step: str, names: set[str]) -> None:
        """Note that names were bound by a step of which nothing is stored."""
        self.each_time.update(dict.fromkeys(names, step))

    def bound(self, names: set[str]) -> None:
        """Note that names were bound by anything else."""
        for name in names:
            self.each_time.pop(name, None)

    # ---- runs -----------------------------------------------------------------------------------

    def current(self) -> OpenRun:
        """Return the run that steps belong to.

        Raises:
            NoRunError: there is none.
        """
        try:
            return current_run()
        except NoRunError:
            if self.run is None and self.open_run is not None:
                open_run, self.open_run = self.open_run, None
                self.run = open_run()
            if self.run is not None:  # finished; using it again opens it again
                return self.run
            raise

    def last(self) -> OpenRun | None:
        """Return the current run, or None; opens none."""
        runs = open_runs()
        return runs[-1] if runs else self.run

    def count(self, walk: Pass, run: OpenRun) -> None:
        """Take in a pass that has ended: what it executed, and what it replayed."""
        steps = run.look().steps
        replayed = self._replayed.setdefault(run.id, {})
        executed = self._executed.setdefault(run.id, {})
        for name in walk.seen:
            step = steps.get(name)
            replayed.pop(name, None)
            executed.pop(name, None)
            if step is None:
                continue
            if name in walk.executed:
                executed[name] = step.reason or "new"
            elif step.status == SUCCEEDED:
                replayed[name] = step.seconds or 0.0

    def executed_of(self, run: OpenRun) -> dict[str, str]:
        """Return the steps of a run that were executed last in this session, each with why."""
        return self._executed.get(run.id, {})

    def replayed(self, run: OpenRun) -> tuple[int, float]:
        """Return how many steps of a run were replayed in this session, and the seconds saved."""
        known = self._replayed.get(run.id, {})
        return len(known), sum(known.values())

    def set_on_change(self, run: OpenRun, on_change: OnChange | None) -> None:
        """Say what the changed cells of a run do, for this session; None for the default."""
        if on_change is None:
            self._on_change.pop(run.id, None)
        else:
            self._on_change[run.id] = on_change

    def on_change(self, run: OpenRun) -> OnChange:
        """Return what the changed cells of a run do."""
        return self._on_change.get(run.id, "rerun")

    # ---- values that could not be stored ------------------------------------------------------

    def remember(self, attempt: Attempt, key: str, value: Any) -> None:
        """Remember an object of a step that could not be stored.

        Args:
            attempt: of the step.
            key: says which of its objects.
            value: the object; one that cannot be referred to weakly is kept.
        """
        found: Callable[[], Any]
        try:
            found = weakref.ref(value)
        except TypeError:
            found = functools.partial(_itself, value)
        digest = look(value, self.notebook.is_own).digest
        self._alive[attempt.run.id, attempt.name, attempt.number, key] = found, digest

    def alive(self, run: OpenRun, step: StepRow, key: str) -> Any:
        """Return an object that a step of this session has left, if it is as it was, or None."""
        found, digest = self._alive.get((run.id, step.name, step.made_by, key), (None, None))
        value = None if found is None else found()
        if value is None or look(value, self.notebook.is_own).digest != digest:
            return None
        return value


def _itself(value: Any) -> Any:
    return value


_sessions: Final[dict[int, Session]] = {}


def session_of(shell: InteractiveShell) -> Session | None:
    """Return the session of a shell in which the extension is loaded."""
    return _sessions.get(id(shell))


def begin(
    shell: InteractiveShell, make: Callable[[Session, Request, Body], OneExecution]
) -> Session:
    """Begin the session of a shell; see :class:`Session`."""
    session = _sessions[id(shell)] = Session(shell, make)
    return session


def end(shell: InteractiveShell) -> None:
    """End the session of a shell."""
    _sessions.pop(id(shell), None)
    names.forget()

"""What a cell is executed with: its code, the code that this reaches, and what both read.

Together they are the cell's fingerprint (:mod:`stepbook.code.cells`). Of a variable its content
counts, told once for each state of it. One that has no content, such as a connection, counts by the
step that has changed it last, and the attempt; by the code of the cell, if that is no step.

A cell that somebody goes back to finds variables as it has left them itself, or as steps behind it
have. That is no change: such inputs are taken to be what they were when the step was recorded.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..code.cells import CellWalk, text_of
from ..code.contents import BY_ITSELF, NONE, ORIGIN, PLAIN, Contents
from ..code.shapes import fingerprint, short_hash
from ..code.verdicts import parts_of
from ..code.walk import DATA
from .chance import changed, hidden
from .effects import EVERYTHING, nested_code
from .history import LAST
from .memory import is_hidden
from .needs import needed

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Iterable

    from .memory import Memory
    from .transform import Body

    MadeBy = Callable[[str], str]

#: Names of a group that a message shows.
_SHOWN: Final = 3
#: What is in the name of a function that gives random generators a state.
_SEEDING: Final = ("seed", "setstate", "set_state")
#: The input that a draw of random numbers is.
_CHANCE: Final = "state of the random generator of "


@dataclass
class Reading:
    """What a cell is executed with.

    Attributes:
        code: stands for its code.
        parts: what it reaches, reads and shares.
        own: the inputs that the step itself, or one behind it, has changed last.
    """

    code: str
    parts: dict[str, dict[str, str]] = field(default_factory=dict)
    own: frozenset[str] = frozenset()

    def after(self, recorded: str | None) -> str:
        """Return the fingerprint, with the step's own inputs as they were when it was recorded.

        Args:
            recorded: a fingerprint of the step; None if there is none.
        """
        before = parts_of(recorded) or {}
        parts = {kind: dict(found) for kind, found in self.parts.items()}
        for name in self.own:
            for kind, found in parts.items():
                if name in found:
                    found[name] = before.get((kind, name), BY_ITSELF)
        return text_of(self.code, parts)

    def with_draws(self, draws: Reading) -> Reading:
        """Return this with what :meth:`Inputs.draws` has told."""
        inputs = self.parts.get("inputs", {}) | draws.parts["inputs"]
        return Reading(self.code, {**self.parts, "inputs": inputs}, self.own | draws.own)

    def returned(self, recorded: str | None) -> list[str]:
        """Return the step's own inputs that are not what they were when it was recorded."""
        before = parts_of(recorded) or {}
        found = ((kind, name) for kind, part in self.parts.items() for name in part)
        return sorted(
            key[1]
            for key in found
            if key[1] in self.own
            and not key[1].startswith(_CHANCE)
            and before.get(key, "") != self.parts[key[0]][key[1]]
        )


class Inputs:
    """Tells what the cells of one notebook are executed with.

    Args:
        names: the notebook's names.
        memory: follows them.
    """

    def __init__(self, names: dict[str, Any], memory: Memory) -> None:
        self._names = names
        self._memory = memory
        #: For each name how it looked, its text, and the functions and classes in it.
        self._told: dict[str, tuple[bytes, str, tuple[Any, ...]]] = {}
        self._shared: dict[frozenset[str], tuple[bytes, str]] = {}
        #: The generators of random numbers that are in a state that comes back.
        self._seeded: set[str] = set()
        #: How they were before a plain cell that gives some a state.
        self._before_seed: dict[str, Any] | None = None
        #: The step that has drawn last.
        self._drew = ""

    def of_plain(self, body: list[ast.stmt]) -> str:
        """Return what stands for a cell that is no step, and for what it reads that is small.

        It is about to execute.
        """
        self._look_at_chance()
        walk = CellWalk(self._names, self._brief, EVERYTHING)
        try:
            self._walk(walk, body)
            parts = walk.parts()
        except Exception:  # noqa: BLE001 - of an object of a library: the cell's own code counts
            parts = {}
        if _seeds(body) or any(_is_seeding(f.__code__) for f, *_ in walk.functions):
            self._before_seed = hidden()
        return short_hash(repr((fingerprint(body), parts, walk.inputs)))

    def of_step(self, step: str, body: Body, made_by: MadeBy) -> Reading:
        """Return what a step is executed with.

        Args:
            step: its name.
            body: its code.
            made_by: returns what stands for the attempt that has made what a step has left.
        """
        memory = self._memory
        self._look_at_chance()
        memory.arrive(step)
        memory.observe()
        walk = CellWalk(self._names, self._content, EVERYTHING)
        try:
            self._follow(walk, body)
            reached = walk.parts()
        except Exception as error:  # noqa: BLE001 - of an object of a library: the cell executes
            reached = {"its inputs": f"{NONE}{type(error).__name__}"}
        inputs = {
            name: self._with_origin(name, text, made_by) for name, text in walk.inputs.items()
        }
        groups = {memory.group(name) for name in inputs if not is_hidden(name)}
        shared = {
            _label(group): self._sharing(group, made_by) for group in groups if len(group) > 1
        }
        own = {name for name in inputs if memory.is_behind(name, step)}
        own |= {_label(g) for g in groups if any(memory.is_behind(name, step) for name in g)}
        return Reading(
            body.fingerprint,
            {"reached": reached, "inputs": inputs, "shared": shared},
            frozenset(own),
        )

    def _follow(self, walk: CellWalk, body: Body) -> None:
        self._walk(walk, body.statements)
        if walk.reaches_all or body.effects.everything:
            for name in sorted(self._names):
                # Two underscores: of a front end, which executes code of its own between cells.
                if not (is_hidden(name) or name.startswith("__")):
                    walk.variable(name)

    # ---- random numbers -----------------------------------------------------------------------

    def drawn(self, states: dict[str, Any], before: dict[str, Any], step: str) -> Reading:
        """Return the inputs that the draws of a step are.

        Args:
            states: the generators that it has used.
            before: the states of all of them before it.
            step: its name.
        """
        return self._chance({_CHANCE + name for name in states}, before, step)

    def draws(self, recorded: str | None, step: str) -> Reading:
        """Return the same for a step that was recorded, as its fingerprint tells what it used."""
        names = {key[1] for key in parts_of(recorded) or {} if key[1].startswith(_CHANCE)}
        return self._chance(names, hidden() if names else {}, step)

    def passed(self, step: str, states: Iterable[str]) -> None:
        """Note that a step has been executed or replayed, and which generators it has used."""
        for name in states:
            self._seeded.add(name)
            self._drew = step

    def _chance(self, names: set[str], states: dict[str, Any], step: str) -> Reading:
        told = {}
        for name in names:
            short = name.removeprefix(_CHANCE)
            is_known = short in self._seeded and short in states
            told[name] = Contents().of(states[short]) if is_known else f"{PLAIN}without a seed"
        own = names if self._memory.stands_behind(self._drew, step) else ()
        return Reading("", {"inputs": told}, frozenset(own))

    def _look_at_chance(self) -> None:
        """See which generators a plain cell has given a state."""
        before, self._before_seed = self._before_seed, None
        if before is not None:
            self._seeded.update(changed(before, hidden()))

    # ---- inside ---------------------------------------------------------------------------------

    def _walk(self, walk: CellWalk, body: list[ast.stmt]) -> None:
        needs = needed(body)
        for part in (body, *nested_code(body)):
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            code = compile(ast.Module(part, []), "<cell>", "exec", flags, dont_inherit=True)
            walk.cell(code, needs)

    def _content(self, name: str) -> tuple[str, tuple[Any, ...]]:
        """Return what a variable holds, and the code in it."""
        if is_hidden(name):
            return self._last(name)
        state = self._memory.state(name)
        known = self._told.get(name)
        if known is None or known[0] != state:
            contents = Contents()
            text = contents.of(self._names[name])
            known = self._told[name] = state, text, tuple(contents.code)
        return known[1:]

    def _last(self, name: str) -> tuple[str, tuple[Any, ...]]:
        """Return what one of IPython's own names holds: only of ``_`` it is the person's."""
        return (Contents().of(self._names[name]) if name in LAST else f"{NONE}history"), ()

    def _brief(self, name: str) -> tuple[str, tuple[Any, ...]]:
        """Return what a variable holds, if telling it takes no time."""
        value = self._names[name]
        return (Contents(_SMALL).of(value) if type(value) in DATA else NONE), ()

    def _with_origin(self, name: str, text: str, made_by: MadeBy) -> str:
        """Return the text of a variable; if it has no content, where it comes from."""
        writer = self._memory.writer(name) if text.startswith(NONE) else ""
        if not writer:
            return text
        return (
            f"{ORIGIN}{writer}, {made_by(writer)}"
            if self._memory.is_step(writer)
            else ORIGIN + writer
        )

    def _sharing(self, group: frozenset[str], made_by: MadeBy) -> str:
        """Return what a group of names holds, and which objects in it are one."""
        names = sorted(group)
        state = self._memory.state(names[0])
        known = self._shared.get(group)
        if known is None or known[0] != state:
            text = Contents().of(tuple(self._names[name] for name in names))
            known = self._shared[group] = state, text
        if not known[1].startswith(NONE):
            return known[1]
        origins = [self._with_origin(name, NONE, made_by) for name in names]
        return NONE if NONE in origins else ORIGIN + short_hash(repr(origins))


#: Objects in a value that takes no time to tell.
_SMALL: Final = 100


def _label(group: frozenset[str]) -> str:
    names = sorted(group)
    if len(names) > _SHOWN + 1:
        names[_SHOWN:] = [f"{len(names) - _SHOWN} more"]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _seeds(body: list[ast.stmt]) -> bool:
    """Whether code calls a function that gives random generators a state."""
    nodes = (node for statement in body for node in ast.walk(statement))
    calls = (n.func for n in nodes if isinstance(n, ast.Call) and (n.args or n.keywords))
    names = (getattr(f, "attr", getattr(f, "id", "")) for f in calls)
    return any(part in name for name in names for part in _SEEDING)


def _is_seeding(code: types.CodeType) -> bool:
    return any(part in name for name in code.co_names for part in _SEEDING)

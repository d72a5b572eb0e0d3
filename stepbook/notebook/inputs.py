"""What a cell is executed with: its code, the code that this reaches, and what both read.

Together they are the cell's fingerprint (:mod:`stepbook.code.cells`). Of a variable its content
counts, told once for each state of it. One that has no content, such as a connection, counts by the
step that has changed it last, and the attempt; by the code of the cell, if that is no step.

A cell that somebody goes back to finds variables as it has left them itself, or as steps behind it
have. That is no change: such inputs are taken to be what they were when the step was recorded.
"""

from __future__ import annotations

import ast
import types
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ..code.cells import CellWalk, text_of
from ..code.contents import BY_ITSELF, MADE_BY, NONE, ORIGIN, PLAIN, Contents, shared
from ..code.shapes import fingerprint, short_hash
from ..code.verdicts import AND, IGNORED, content_of, maker_of, parts_of, with_origins
from ..code.walk import DATA
from . import declared
from .chance import changed, hidden
from .effects import EVERYTHING, nested_code
from .history import LAST, variables_behind
from .memory import is_hidden
from .needs import needs_of
from .stub import NotStored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .memory import Memory
    from .places import Places
    from .requests import Request
    from .transform import Body

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
        own: the names that the step itself, or one behind it, has changed last.
        origins: the attempt of a step that a name comes from.
        left: the attempt that has left what a replay would have under a name.
        remarks: what is to be said of what was declared.
        stubs: the names that stand for what could not be stored, each with the attempt that made
            it, as far as that is known.
    """

    code: str
    parts: dict[str, dict[str, str]] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    origins: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    stubs: Mapping[str, str] = field(default_factory=dict)

    def after(self, recorded: str | None) -> str:
        """Return the fingerprint, with the step's own inputs as they were when it was recorded.

        Args:
            recorded: a fingerprint of the step; None if there is none.
        """
        before = parts_of(recorded) or {}
        # Nothing can be told of a stub. One that the same attempt has left is what there was then.
        own = self.own.union(
            name
            for name, origin in self.stubs.items()
            if origin in ("", maker_of(before.get(("inputs", name), f"{ORIGIN}{origin}")))
        )
        parts: dict[str, dict[str, str]] = {}
        for kind, found in self.parts.items():
            if kind in declared.KINDS:
                parts[kind] = found
                continue
            parts[kind] = kept = {
                name: BY_ITSELF if _is_of(own, name) else part for name, part in found.items()
            }
            kept.update(
                (name, part)
                for (k, name), part in before.items()
                if k == kind
                and not self._is_ignored(name)
                and (_is_of(own, name) or _is_as_then(name, part, self.origins))
            )
        return text_of(self.code, parts)

    def with_draws(self, draws: Reading) -> Reading:
        """Return this with what :meth:`Inputs.draws` has told."""
        inputs = self.parts.get("inputs", {}) | draws.parts["inputs"]
        parts = {**self.parts, "inputs": inputs}
        return replace(self, parts=parts, own=self.own | draws.own)

    def returned(self, recorded: str | None) -> list[str]:
        """Return the step's own inputs that are not what they were when it was recorded."""
        before = parts_of(recorded) or {}
        inputs = self.parts.get("inputs", {})
        return sorted(
            name
            for name, part in inputs.items()
            if _is_of(self.own, name)
            and not name.startswith(_CHANCE)
            and content_of(before.get(("inputs", name), part)) != content_of(part)
        )

    def _is_ignored(self, label: str) -> bool:
        """Whether a part is of a name that is left out, or of several of which one is."""
        ignored = self.parts.get(IGNORED, {})
        return any(name.partition(".")[0] in ignored for name in _names_in(label))


def _names_in(label: str) -> list[str]:
    root, _, inside = label.partition(": ")
    return [*root.split(AND), inside]


def _is_of(own: frozenset[str], label: str) -> bool:
    """Whether a part is of a name of the step's own, or of several of which one is."""
    return any(name in own or name.partition(".")[0] in own for name in _names_in(label))


def _is_as_then(label: str, part: str, origins: Mapping[str, str]) -> bool:
    """Whether names that share something are what the same attempts have left as then.

    Not all sharing comes back: what was brought back may look otherwise.
    """
    if AND not in label:
        return False
    return part.partition(MADE_BY)[2] == _hash_of([origins.get(n) for n in label.split(AND)])


def _hash_of(origins: list[str | None]) -> str:
    return short_hash(repr(origins))


class Inputs:
    """Tells what the cells of one notebook are executed with.

    Args:
        names: the notebook's names.
        memory: follows them.
        places: follows what is in modules.
    """

    def __init__(self, names: dict[str, Any], memory: Memory, places: Places) -> None:
        self._names = names
        self._places = places
        self._memory = memory
        #: For each name how it looked, its text, and the functions and classes in it.
        self._told: dict[str, tuple[bytes, str, tuple[Any, ...]]] = {}
        self._shared: dict[frozenset[str], tuple[bytes, list[tuple[str, str]]]] = {}
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
        walk = CellWalk(self._names, self._brief, EVERYTHING, NotStored)
        try:
            self._walk(walk, body)
            parts = walk.parts()
        except Exception:  # noqa: BLE001 - of an object of a library: the cell's own code counts
            parts = {}
        if _seeds(body) or any(_is_seeding(f.__code__) for f, *_ in walk.functions):
            self._before_seed = hidden()
        return short_hash(repr((fingerprint(body), parts, walk.inputs)))

    def of_step(self, step: str, body: Body, request: Request) -> Reading:
        """Return what a step is executed with.

        Args:
            step: its name.
            body: its code.
            request: what was declared of it.
        """
        memory = self._memory
        self._look_at_chance()
        memory.observe()
        walk = CellWalk(self._names, self._content, EVERYTHING, NotStored, request.ignore)
        found = declared.found(request, self._names, body.effects.binds)
        try:
            parts = self._parts_of(walk, body, found)
        except Exception as error:  # noqa: BLE001 - of an object of a library: the cell executes
            parts = {"reached": {"its inputs": f"{NONE}{type(error).__name__}"}}
        parts |= found.parts()
        own = self._own(step)
        stubs = {name: memory.origin(name) or "" for name in walk.stubs}
        left = memory.left_for(step)
        origins = {name: by for name, by in left.items() if memory.origin(name)}
        remarks = (*found.remarks, *declared.unread(request, walk.left_out))
        return Reading(body.fingerprint, parts, own, origins, left, remarks, stubs)

    def _parts_of(
        self, walk: CellWalk, body: Body, found: declared.Found
    ) -> dict[str, dict[str, str]]:
        self._follow(walk, body)
        reached = {*walk.static, *walk.changing}
        for name in found.names:
            walk.variable(name)
        code = walk.parts()
        told = walk.inputs.items()
        inputs = {name: self._with_origin(name, text) for name, text in told}
        for name in walk.stubs & self._names.keys():
            origin = self._memory.origin(name)
            inputs[name] = f"{ORIGIN}{origin}{MADE_BY}{origin}" if origin else f"{NONE}stub"
        groups = {self._memory.group(name) for name in inputs if not is_hidden(name)}
        groups = {group - walk.left_out for group in groups}
        pairs = [pair for group in groups if len(group) > 1 for pair in self._sharing(group)]
        return {
            "reached": {name: part for name, part in code.items() if name in reached},
            "inputs": inputs,
            "shared": {label: self._with_origins(label, text) for label, text in pairs},
            "deps": {name: part for name, part in code.items() if name not in reached},
            IGNORED: dict.fromkeys(sorted(walk.left_out), PLAIN),
        }

    def _own(self, step: str) -> frozenset[str]:
        """Return the names that the step itself, or one behind it, has changed last."""
        own = self._memory.behind(step)
        places = self._places.written_behind(
            lambda writer: self._memory.stands_behind(writer, step)
        )
        for name, value in self._names.items() if places else ():
            if isinstance(value, types.ModuleType):
                own |= {f"{name}.{word}" for module, word in places if module == value.__name__}
        return own | LAST if variables_behind(set(LAST), self._names) & own else own

    def _follow(self, walk: CellWalk, body: Body) -> None:
        self._walk(walk, body.statements)
        if walk.reaches_all or body.effects.everything:
            for name in sorted(self._names):
                # Two underscores: of a front end, which executes code of its own between cells.
                if not (is_hidden(name) or name.startswith("__")):
                    walk.variable(name)

    def found_changed(
        self,
        fingerprint: str,
        reading: Reading,
        changed: Iterable[frozenset[str]],
        bound: set[str],
    ) -> str:
        """Return the fingerprint of a cell without the content of what it has found changed.

        Work in the background may change a variable between two cells. It is stored with the next
        cell that reads it, as if that had changed it. A replay finds what an earlier step has left.

        Args:
            fingerprint: of the attempt that has just succeeded.
            reading: what it was executed with.
            changed: the groups of names that are not as a replay would have them before it.
            bound: the names that the cell binds.
        """
        # Mostly a cell has given all that has changed a value itself.
        changed = [group for group in changed if not group & bound]
        if not changed:
            return fingerprint
        inputs = {
            name: content_of(part)
            for (kind, name), part in (parts_of(fingerprint) or {}).items()
            if kind == "inputs" and name in reading.left
        }
        found: set[str] = set()
        for group in changed:
            read = group & inputs.keys()
            if all(inputs[name] == self._content(name)[0] for name in read):
                found |= read
        origins = {name: reading.left[name] for name in found}
        return with_origins(fingerprint, origins) if found else fingerprint

    # ---- random numbers -----------------------------------------------------------------------

    def drawn(self, states: dict[str, Any], before: dict[str, Any], step: str) -> Reading:
        """Return the inputs that the draws of a step are.

        Args:
            states: the generators that it has used.
            before: the states of all of them before it.
            step: its name.
        """
        # One that was not there before is as it comes.
        return self._chance({_CHANCE + name for name in states if name in before}, before, step)

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
        if before is not None and (states := changed(before, hidden())):
            self._seeded.update(states)
            self._drew = ""

    # ---- inside ---------------------------------------------------------------------------------

    def _walk(self, walk: CellWalk, body: list[ast.stmt]) -> None:
        needs, expanded = needs_of(body, self._names)
        for name in sorted(expanded & self._names.keys()):
            walk.variable(name)
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
        if name == "get_ipython":  # magics call it: always the same
            return f"{PLAIN}the shell", ()
        return (Contents().of(self._names[name]) if name in LAST else f"{NONE}history"), ()

    def _brief(self, name: str) -> tuple[str, tuple[Any, ...]]:
        """Return what a variable holds, if telling it takes no time."""
        value = self._names[name]
        return (Contents(_SMALL).of(value) if type(value) in DATA else NONE), ()

    def _with_origin(self, name: str, text: str) -> str:
        """Return the text of a variable with where it comes from; only that, if it has no other."""
        if text.startswith(NONE):
            maker, known = self._memory.maker(name), text.partition(" ")[2]
            return f"{ORIGIN}{maker} {known}".rstrip() if maker else text
        origin = self._memory.origin(name)
        return f"{text}{MADE_BY}{origin}" if origin else text

    def _sharing(self, group: frozenset[str]) -> list[tuple[str, str]]:
        """Return which names of a group share something, and what they hold.

        The memory's groups may be too big: they are of what looked alike for a moment.
        """
        state = self._memory.state(min(group))
        known = self._shared.get(group)
        if known is None or known[0] != state:
            found = shared({name: self._names[name] for name in sorted(group)})
            told = [(AND.join(sorted(names)), text) for names, text in found.items()]
            known = self._shared[group] = state, told
        return known[1]

    def _with_origins(self, label: str, text: str) -> str:
        origins = [self._memory.origin(name) for name in label.split(AND)]
        return f"{text}{MADE_BY}{_hash_of(origins)}" if all(origins) else text


#: Objects in a value that takes no time to tell.
_SMALL: Final = 100


def _seeds(body: list[ast.stmt]) -> bool:
    """Whether code calls a function that gives random generators a state."""
    nodes = (node for statement in body for node in ast.walk(statement))
    calls = (n.func for n in nodes if isinstance(n, ast.Call) and (n.args or n.keywords))
    names = (getattr(f, "attr", getattr(f, "id", "")) for f in calls)
    return any(part in name for name in names for part in _SEEDING)


def _is_seeding(code: types.CodeType) -> bool:
    return any(part in name for name in code.co_names for part in _SEEDING)

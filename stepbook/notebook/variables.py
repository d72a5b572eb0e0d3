"""The variables that a cell leaves behind: stored, and brought back on replay.

The column ``variables`` holds one JSON object: for each name ``{"value": ...}`` as the writer of
graphs writes it, ``{"class": ...}`` for what a class has beside its statement,
``{"deleted": true}``, or ``{"missing": why, "type": ...}``. Names that share objects stand
together: ``$groups`` is a list of names with one value for all. ``$around`` is what the cell has
changed around the names, ``$definitions`` are the numbers of the definitions that a replay
executes, ``$random`` is how it has left the random generators of the modules random and numpy, and
``$attributes`` what it has assigned to attributes of modules and of classes of libraries,
``$places`` what else it has changed in these and in what they hold, and ``$files`` size, time and
hash of files that it has written.
Earlier versions wrote ``lines``, ``random``, ``book``, ``run`` and ``same``, too.
"""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

from ..errors import NotSerializableError
from ..values.heap import ATOMS, SHARED_LIST, is_tree
from ..values.nodes import TAG, step
from ..values.types import living
from .memory import is_hidden
from .places import shown
from .reach import GONE
from .reach import owner_at as owner_of_place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..values.heap import HeapWriter
    from .memory import Memory
    from .places import Change
    from .reach import Place
    from .world import Notebook

_MISSING: Final[Any] = object()
#: What holds no secret, whatever its name is.
_NO_SECRETS: Final = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    bool,
    types.NoneType,
)
DEFINITIONS: Final = "$definitions"
GROUPS: Final = "$groups"
CHANCE: Final = "$random"
AROUND: Final = "$around"
ATTRIBUTES: Final = "$attributes"
PLACES: Final = "$places"
FILES: Final = "$files"


def slot_of(*names: str) -> str:
    """Return what the variables that are stored together are called in their seal."""
    return f"variables {dumps(names)}"


def classes_in(names: dict[str, Any]) -> tuple[type, ...]:
    """Return the classes that the notebook's own code names: their values can be rebuilt."""
    return tuple(value for value in names.values() if isinstance(value, type))


@dataclass(frozen=True)
class Missing:
    """An object that could not be stored.

    Attributes:
        key: the variable, and a number.
        part: where in the variable it is; empty if it is the variable.
        why: could it not be stored.
        value: the object.
    """

    key: str
    part: str
    why: str
    value: Any

    @property
    def name(self) -> str:
        """The variable."""
        return self.key.partition("#")[0]


@dataclass
class Stored:
    """What was stored of a cell's variables.

    Attributes:
        parts: the members of the JSON object.
        missing: the objects that could not be stored.
    """

    parts: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def text(self, ran: list[int], chance: str | None) -> str:
        """Return the JSON text."""
        parts = list(self.parts)
        if chance is not None:
            parts.append(f'"{CHANCE}":{chance}')
        parts.append(f'"{DEFINITIONS}":{dumps(ran)}')
        return "{" + ",".join(parts) + "}"


class Storer:
    """Encodes the variables of a cell.

    Args:
        writer: encodes graphs.
        notebook: the notebook's code and names.
        memory: which names belong together.
        strict: whether every one of them must be storable.
    """

    def __init__(
        self, writer: HeapWriter, notebook: Notebook, memory: Memory, *, strict: bool
    ) -> None:
        self._writer = writer
        self._names = notebook.names
        self._notebook = notebook
        self._memory = memory
        self._strict = strict
        self._hint = classes_in(notebook.names)
        self.stored = Stored()
        self._groups: list[str] = []

    def add(self, group: Iterable[str]) -> None:
        """Store the names of a group.

        Raises:
            NotSerializableError: one cannot be stored, and it must be.
        """
        names = [n for n in group if n in self._names and not self._left_out(n)]
        for name in group:
            if name not in self._names:
                self._part(name, '{"deleted":true}')
        if len(names) > 1:
            self._several(frozenset(names), names)
        elif names and self._is_class(names[0]):
            self._part(names[0], self._class(names[0]))
        elif names:
            self._one(names[0])

    def _left_out(self, name: str) -> bool:
        """Whether a variable has the name of a secret; if so, say that it is missing."""
        redaction, value = self._writer.redaction, self._names[name]
        if redaction is None or not redaction.hides(name) or isinstance(value, _NO_SECRETS):
            return False
        redaction.learn(value)
        reason = "the book redacts what has such a name"
        if self._strict:
            raise NotSerializableError(f"--out names {name!r}: {reason}", reason=reason)
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        self.stored.missing.append(Missing(f"{name}#0", "", reason, value))
        self._part(name, dumps({"missing": reason, "type": kind}))
        return True

    def _is_secret(self, name: object, value: Any) -> bool:
        """Whether something that has no variable is a secret, or holds one."""
        writer = self._writer
        if writer.redaction is None:
            return False
        if writer.redaction.hides(name) and not isinstance(value, _NO_SECRETS):
            writer.redaction.learn(value)
            return True
        writer.masks = False
        try:
            writer.encode(value, hint=self._hint)
        except NotSerializableError:
            return writer.secret != ""
        finally:
            writer.masks = True
        return False

    def add_around(self, changes: dict[str, dict[str, Any]]) -> None:
        """Store what the cell has changed around the names."""
        if changes:
            strict, self._strict = self._strict, False
            self._part(AROUND, self._encoded("a setting around the names", changes))
            self._strict = strict

    def add_attributes(self, paths: Iterable[tuple[str, ...]]) -> None:
        """Store what the cell has assigned to modules and classes that are not the notebook's."""
        found = []
        for path in sorted(paths):
            owner = owner_of(self._names, path)
            if owner is None:
                continue
            value = getattr(owner, path[-1], _MISSING)
            name, self._writer.owners = ".".join(path), set()
            held = [n for n, v in self._names.items() if v is value and not is_hidden(n)]
            if value is _MISSING:
                entry = '"deleted":true'
            elif held and type(value) not in ATOMS:  # the same object, whatever becomes of it
                entry = f'"variable":{dumps(held[0])}'
            elif self._is_secret(path[-1], value):
                reason = "the book redacts it"
                self.stored.missing.append(Missing(f"{name}#0", "", reason, value))
                node = {TAG: "missing", "number": 0, "type": type(value).__name__, "why": reason}
                entry = f'"value":{dumps(node)}'
            else:
                entry = f'"value":{self._encoded(name, value)}'
            found.append(f"{dumps(name)}:{{{entry}}}")
        if found:
            self._part(ATTRIBUTES, f"{{{','.join(found)}}}")

    def add_places(
        self,
        changes: Iterable[Change],
        shared: dict[Place, str],
        assigned: Iterable[tuple[str, ...]],
    ) -> None:
        """Store what the cell has changed in modules and in what they hold.

        Args:
            changes: what :meth:`.places.Places.end` has given.
            assigned: what :meth:`add_attributes` has stored.
            shared: places that hold what is in a variable of the cell, too.
        """
        places: dict[str, dict[str, Any]] = {}
        values: dict[str, Any] = {}
        for place, name in shared.items():
            places[shown(place)] = {"at": place, "variable": name}
        known = {(id(owner_of(self._names, path)), path[-1]) for path in assigned}
        for change in changes:
            label, word = change.place
            if (id(owner_of_place(label)), word) in known:
                continue
            name = shown(change.place)
            if change.value is not GONE and self._is_secret(word, change.value):
                reason = "the book redacts it"
                self.stored.missing.append(Missing(f"{name}#0", "", reason, change.value))
                continue
            places[name] = how = {"at": change.place, **self._how(change)}
            if "variable" not in how and "deleted" not in how:
                values[name] = change.difference() if "gone" in how else change.value
        if places:
            strict, self._strict, self._writer.owners = self._strict, False, set()
            text = self._encoded("", values) if values else "{}"
            self._part(PLACES, f'{{"places":{dumps(places)},"values":{text}}}')
            self._strict = strict

    def _how(self, change: Change) -> dict[str, Any]:
        value = change.value
        if value is GONE:
            return {"deleted": True}
        if type(value) not in ATOMS and not change.imported:
            for name, held in self._names.items():
                if held is value and not is_hidden(name):
                    return {"variable": name}
        if not change.kept:
            return {}
        return {"kept": True, "gone": True} if change.by_entries else {"kept": True}

    def add_files(self, written: dict[str, list[Any]]) -> None:
        """Store what is known of files that the cell has written."""
        if written:
            self._part(FILES, dumps(written))

    def end(self) -> Stored:
        """Return what was stored."""
        if self._groups:
            self.stored.parts.append(f'"{GROUPS}":[{",".join(self._groups)}]')
        return self.stored

    def can_store(self, name: str) -> bool:
        """Whether a function or another value can be stored as a whole."""
        writer = self._writer
        writer.graph = writer.strict = True
        writer.masks = False
        try:
            writer.encode(self._names[name], hint=self._hint)
        except NotSerializableError:
            return False
        finally:
            writer.graph = writer.strict = False
            writer.masks = True
        return True

    def _is_class(self, name: str) -> bool:
        value = self._names[name]
        return (
            isinstance(value, type)
            and value.__name__ == name
            and self._notebook.is_own(value)
            and name in self._notebook.defined
        )

    def _class(self, name: str) -> str:
        writer = self._writer
        writer.owners = set()
        state = living.ClassState(self._names[name])
        return f'{{"class":{self._encoded(name, state)}}}'

    def _one(self, name: str) -> None:
        value = self._names[name]
        look = self._memory.look(name)
        self._writer.owners = set() if look is None else look.shared_memory
        text = self._encoded(name, value, slot_of(name))
        node = loads(text) if text.startswith(f'{{"{TAG}":"missing"') else None
        if node is not None:
            text = dumps({"missing": node["why"], "type": node["type"]})
            self._part(name, text)
        else:
            self._part(name, f'{{"value":{text}}}')

    def _several(self, group: frozenset[str], names: list[str]) -> None:
        self._writer.owners = self._memory.views(group)
        values = {
            name: living.ClassState(self._names[name])
            if self._is_class(name)
            else self._names[name]
            for name in names
        }
        self._writer.named = True
        try:
            text = self._encoded("", values, slot_of(*names))
        finally:
            self._writer.named = False
        self._groups.append(f'{{"names":{dumps(names)},"value":{text}}}')

    def _encoded(self, name: str, value: Any, slot: str = "") -> str:
        writer, label = self._writer, name or " and ".join(value)
        writer.graph, writer.strict = not is_tree(value), self._strict
        writer.masks = False  # a masked part would be used as if it were the secret
        try:
            text = writer.encode(value, hint=self._hint, slot=slot)
        except NotSerializableError as error:
            if self._strict:
                error.add_note(f"stepbook: it is the variable {label!r}, which --out names")
                raise
            # Not a part of it but the whole: there is no room on the disk.
            reason = error.reason or str(error)
            self.stored.missing.append(Missing(f"{label}#0", "", reason, value))
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            return dumps({TAG: "missing", "number": 0, "type": kind, "why": reason})
        finally:
            writer.graph = writer.strict = False
            writer.masks = True
        held_by = {}
        if writer.missing:
            node = loads(text)
            held_by = holders(node, label if TAG in node else name)
        for number, (reason, part) in enumerate(writer.missing):
            holder, place = held_by.get(number, (label, ""))
            self.stored.missing.append(Missing(f"{holder}#{number}", place, reason, part))
        return text

    def _part(self, name: str, text: str) -> None:
        self.stored.parts.append(f"{dumps(name)}:{text}")


def owner_of(names: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Return what an attribute was assigned to; None unless a module or its class leads there."""
    owner = names.get(path[0])
    if not isinstance(owner, types.ModuleType) and not (
        isinstance(owner, type) and owner.__module__ != "__main__"
    ):
        return None
    for name in path[1:-1]:
        owner = getattr(owner, name, None)
    return owner


def holders(node: Any, name: str) -> dict[int, tuple[str, str]]:
    """Return in which variable each part stands that could not be stored, and where in it.

    Args:
        node: of the variable; of a group, whose members are its names, if *name* is empty.
        name: of the variable.
    """
    found: dict[int, tuple[str, str]] = {}
    waiting = [(name, "", node)]
    if not name and type(node) is dict and TAG not in node:
        waiting = [(one, "", part) for one, part in reversed(node.items())]
    while waiting:
        holder, path, part = waiting.pop()
        if type(part) is dict and part.get(TAG) == "sealed":
            found.update(dict.fromkeys(range(len(part["missing"])), (holder, path)))
        elif type(part) is dict and part.get(TAG) == "missing":
            found.setdefault(part.get("number", 0), (holder, path))
        waiting.extend((holder, path + more, inner) for more, inner in _inside(part))
    return found


def _inside(node: Any) -> Iterable[tuple[str, Any]]:
    """Yield what is in a node, each with how that is reached from what the node stands for."""
    if type(node) is list:
        marked = bool(node) and type(node[0]) is dict and node[0].get(TAG) == SHARED_LIST
        return [(f"[{i - marked}]", item) for i, item in enumerate(node)]
    if type(node) is not dict:
        return []
    if TAG not in node:
        return [(f"[{key!r}]", item) for key, item in node.items()]
    found = []
    for key, item in node.items():
        if key == "items" and node[TAG] in _PAIRS:
            found += [("" if type(k) is dict else f"[{k!r}]", part) for k, part in item]
        elif key in _ATTRIBUTES and type(item) is dict and TAG not in item:
            found += [(step(name), part) for name, part in item.items()]
        else:
            found.append((_REACHED.get(key, f".{key}"), item))
    return found


#: Kinds of which the items are pairs of a key and a value.
_PAIRS: Final = ("dict", "defaultdict", "OrderedDict", "Counter")
#: What a node tells of attributes.
_ATTRIBUTES: Final = ("fields", "slots", "notes", "attributes")
#: What is reached without a word: the content of what stands there.
_REACHED: Final = dict.fromkeys(("value", "items", "content", "of", *_ATTRIBUTES), "")

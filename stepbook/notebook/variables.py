"""The variables that a cell leaves behind: stored, and brought back on replay.

The column ``variables`` holds one JSON object: for each name ``{"value": ...}`` as the writer of
graphs writes it, ``{"class": ...}`` for what a class has beside its statement,
``{"deleted": true}``, or ``{"missing": why, "type": ...}``. Names that share objects stand
together: ``$groups`` is a list of names with one value for all. ``$around`` is what the cell has
changed around the names, ``$definitions`` are the numbers of the definitions that a replay
executes, ``$random`` is how it has left the random generators of the modules random and numpy, and
``$attributes`` what it has assigned to attributes of modules and of classes of libraries, and
``$files`` size, time and hash of files that it has written.
Earlier versions wrote ``lines``, ``random``, ``book``, ``run`` and ``same``, too.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import types
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from IPython.utils.text import SList

from ..errors import ArtifactError, NotSerializableError, StepbookWarning
from ..values.heap import is_tree
from ..values.nodes import TAG, expect
from ..values.types import living
from . import surroundings
from .chance import from_state, set_hidden
from .digest import OF_THE_MOMENT, library
from .stub import NotStored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..values.codec import Codec
    from ..values.heap import HeapWriter
    from .memory import Memory
    from .world import Notebook

_MISSING: Final[Any] = object()
DEFINITIONS: Final = "$definitions"
GROUPS: Final = "$groups"
CHANCE: Final = "$random"
AROUND: Final = "$around"
ATTRIBUTES: Final = "$attributes"
FILES: Final = "$files"


def classes_in(names: dict[str, Any]) -> tuple[type, ...]:
    """Return the classes that the notebook's own code names: their values can be rebuilt."""
    return tuple(value for value in names.values() if isinstance(value, type))


def is_missed(value: Any) -> bool:
    """Whether the person should be told that a value was not stored."""
    if isinstance(value, io.IOBase) and value.closed:
        return False  # what "with open(...) as file" leaves
    return not isinstance(value, types.ModuleType) and library(value) not in OF_THE_MOMENT


# ---- storing --------------------------------------------------------------------------------


@dataclass
class Stored:
    """What was stored of a cell's variables.

    Attributes:
        parts: the members of the JSON object.
        missing: for each object that could not be stored a key, why, and the object.
    """

    parts: list[str] = field(default_factory=list)
    missing: list[tuple[str, str, Any]] = field(default_factory=list)

    def text(self, ran: list[int], chance: str | None) -> str:
        """Return the JSON text."""
        parts = list(self.parts)
        if chance is not None:
            parts.append(f'"{CHANCE}":{chance}')
        parts.append(f'"{DEFINITIONS}":{json.dumps(ran)}')
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
        names = [name for name in group if name in self._names]
        for name in group:
            if name not in self._names:
                self._part(name, '{"deleted":true}')
        if len(names) > 1:
            self._several(frozenset(names), names)
        elif names and self._is_class(names[0]):
            self._part(names[0], self._class(names[0]))
        elif names:
            self._one(names[0])

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
            owner = _owner(self._names, path)
            if owner is None:
                continue
            value = getattr(owner, path[-1], _MISSING)
            name, self._writer.owners = ".".join(path), set()
            gone = value is _MISSING
            entry = '"deleted":true' if gone else f'"value":{self._encoded(name, value)}'
            found.append(f"{json.dumps(name)}:{{{entry}}}")
        if found:
            self._part(ATTRIBUTES, f"{{{','.join(found)}}}")

    def add_files(self, written: dict[str, list[Any]]) -> None:
        """Store what is known of files that the cell has written."""
        if written:
            self._part(FILES, json.dumps(written))

    def end(self) -> Stored:
        """Return what was stored."""
        if self._groups:
            self.stored.parts.append(f'"{GROUPS}":[{",".join(self._groups)}]')
        return self.stored

    def can_store(self, name: str) -> bool:
        """Whether a function or another value can be stored as a whole."""
        writer = self._writer
        writer.graph = writer.strict = True
        try:
            writer.encode(self._names[name], hint=self._hint)
        except NotSerializableError:
            return False
        finally:
            writer.graph = writer.strict = False
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
        text = self._encoded(name, value)
        node = json.loads(text) if text.startswith(f'{{"{TAG}":"missing"') else None
        if node is not None:
            text = json.dumps({"missing": node["why"], "type": node["type"]})
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
        text = self._encoded("", values)
        self._groups.append(f'{{"names":{json.dumps(names)},"value":{text}}}')

    def _encoded(self, name: str, value: Any) -> str:
        writer = self._writer
        writer.graph, writer.strict = not is_tree(value), self._strict
        try:
            text = writer.encode(value, hint=self._hint)
        except NotSerializableError as error:
            if self._strict:
                error.add_note(f"stepbook: it is the variable {name!r}, which --out names")
                raise
            # Not a part of it but the whole: a lone surrogate in a text, or no room on the disk.
            reason = error.reason or str(error)
            self.stored.missing.append((f"{name or ' and '.join(value)}#0", reason, value))
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            return json.dumps({TAG: "missing", "number": 0, "type": kind, "why": reason})
        finally:
            writer.graph = writer.strict = False
        holders = _holders(json.loads(text), name) if writer.missing else {}
        for number, (reason, part) in enumerate(writer.missing):
            self.stored.missing.append((f"{holders.get(number, name)}#{number}", reason, part))
        return text

    def _part(self, name: str, text: str) -> None:
        self.stored.parts.append(f"{json.dumps(name)}:{text}")


# ---- bringing back --------------------------------------------------------------------------


class Restorer:
    """Brings the variables of a recorded cell back, in the order of the text.

    Args:
        codec: decodes values.
        notebook: the notebook's code and names.
        text: what :class:`Stored` gave.
        step: the name of the step.
        alive: returns an object that could not be stored and still lives in this kernel, or None.
        source: the text of the cell, as it is here.
        attributes: to which it assigns, see :class:`.effects.Effects`.
    """

    def __init__(
        self,
        codec: Codec,
        notebook: Notebook,
        text: str | None,
        step: str,
        alive: Callable[[str], Any],
        source: str = "",
        attributes: Iterable[tuple[str, ...]] = (),
    ) -> None:
        self._source = source
        self._attributes_of_text = frozenset(attributes)
        self._alive = alive
        self._codec = codec
        self._notebook = notebook
        self._names = notebook.names
        self._step = step
        with self._reading():
            self._entries: dict[str, Any] = expect(json.loads(text or "{}"), dict)
            self.ran: list[int] = expect(self._entries.pop(DEFINITIONS, []), list)
            self._chance: Any = self._entries.pop(CHANCE, None)
            self._around: Any = self._entries.pop(AROUND, None)
            self._attributes: Any = expect(self._entries.pop(ATTRIBUTES, {}), dict)
            self.files: dict[str, list[Any]] = {
                name: [expect(size, int), expect(time, int), hashed]
                for name, (size, time, hashed) in expect(self._entries.pop(FILES, {}), dict).items()
            }
            for group in expect(self._entries.pop(GROUPS, []), list):
                self._entries.update(_members(group))
            for entry in self._entries.values():
                expect(entry, dict)
        self._done: dict[str, Any] = {}
        self._early = False

    @property
    def names(self) -> set[str]:
        """The names that were brought back."""
        return {name for name, value in self._done.items() if value is not _MISSING}

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Say of a record that is not as stepbook writes it what to do."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ArtifactError(
                f"{self._step}: what was recorded of its variables is damaged: "
                f"{type(error).__name__}: {error}. %stepbook redo {self._step} executes the cell "
                "again."
            ) from error

    def up_to(self, number: int, order: dict[str, int], reads: set[str]) -> None:
        """Bring back what a definition at statement *number* reads of what is bound before it."""
        for name, entry in self._entries.items():
            bound = name in reads and order.get(name, sys.maxsize) < number
            if bound and name not in self._done and "class" not in entry:
                self._early = True
                # What needs the class itself comes when that is there.
                with contextlib.suppress(ArtifactError):
                    self._restore(name)

    def finish(self) -> None:
        """Bring back everything, as the cell has left it."""
        if self._early:  # a definition may have changed what was there for it
            self._done.clear()
        classes = [name for name, entry in self._entries.items() if "class" in entry]
        for name in [n for n in self._entries if n not in classes] + classes:
            self._restore(name)
        for name, value in self._done.items():
            self._set(name, value)
        if self._chance is not None:
            set_hidden(self._decode(self._chance, CHANCE))
        failed = []
        if self._around is not None:
            failed = surroundings.apply(self._decode(self._around, AROUND), self._source)
        failed += self._set_attributes()
        if failed:
            warnings.warn(
                f"step {self._step!r} had changed what could not be set again: "
                f"{'; '.join(failed)}. %stepbook redo {self._step} executes it again.",
                StepbookWarning,
                stacklevel=4,
            )

    def _set_attributes(self) -> list[str]:
        """Set attributes of modules; return what could not be set, in words.

        Only those to which the text of the cell, as it is here, assigns: a book must not say where.
        """
        failed = []
        for name, entry in self._attributes.items():
            path = tuple(name.split("."))
            owner = _owner(self._names, path)
            if path not in self._attributes_of_text or owner is None:
                failed.append(f"{name}: the cell does not assign it")
                continue
            try:
                if "deleted" in entry:
                    with contextlib.suppress(AttributeError):
                        delattr(owner, path[-1])
                    continue
                value = self._decode(entry["value"], name)
                if isinstance(value, NotStored):
                    failed.append(f"{name}: it could not be stored")
                else:
                    setattr(owner, path[-1], value)
            except (AttributeError, TypeError, ValueError) as error:
                failed.append(f"{name}: {error}")
        return failed

    def _restore(self, name: str) -> Any:
        if name in self._done:
            return self._done[name]
        entry = self._entries[name]
        with self._reading():
            if "group" in entry:
                whole = TAG in entry["group"]
                found = self._decode(entry["group"], " and ".join(entry["names"]) if whole else "")
                if type(found) is not dict:  # the whole could not be stored
                    found = dict.fromkeys(entry["names"], found)
                for one, value in found.items():
                    self._done[one] = value
                    self._set(one, value)
                return self._done[name]
            value = self._value(entry, name)
        self._done[name] = value
        self._set(name, value)
        return value

    def _value(self, entry: dict[str, Any], name: str) -> Any:
        value: Any
        if "value" in entry:
            value = self._decode(entry["value"], name)
        elif "class" in entry:
            value = self._decode(entry["class"], name)
        elif "lines" in entry:
            value = SList(expect(entry["lines"], list))
        elif "random" in entry:
            value = from_state(self._decode(entry["random"], name))
        elif "book" in entry:
            value = self._notebook.made({TAG: "host.book", **entry})
        elif "same" in entry:
            value = self._restore(entry["same"])
        elif "deleted" in entry:
            value = _MISSING
        else:
            value = self._alive(f"{name}#0")
            if value is None:
                value = NotStored(name, self._step, entry["type"], entry["missing"])
        return value

    def _decode(self, node: Any, name: str) -> Any:
        """Return what a node of the variable *name* stands for; of a group if that is empty."""
        holders: dict[int, str] = {}

        def stub(part: dict[str, Any]) -> Any:
            if not holders:
                holders.update(_holders(node, name))
            number = part.get("number", 0)
            holder = holders.get(number, name)
            found = self._alive(f"{holder}#{number}")
            return (
                NotStored(holder, self._step, part["type"], part["why"]) if found is None else found
            )

        self._notebook.stub = stub
        return self._codec.decode_graph(
            json.dumps(node, ensure_ascii=False, separators=(",", ":")),
            self._notebook,
            hint=classes_in(self._names),
            where=f"{self._step}, variable {name}" if name else self._step,
        )

    def _set(self, name: str, value: Any) -> None:
        if value is _MISSING:
            self._names.pop(name, None)
        else:
            self._names[name] = value


def _owner(names: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Return what an attribute was assigned to; None unless a module or its class leads there."""
    owner = names.get(path[0])
    if not isinstance(owner, types.ModuleType) and not (
        isinstance(owner, type) and owner.__module__ != "__main__"
    ):
        return None
    for name in path[1:-1]:
        owner = getattr(owner, name, None)
    return owner


def _holders(node: Any, name: str) -> dict[int, str]:
    """Return the variable in which each part stands that could not be stored, by its number.

    Args:
        node: of the variable; of a group, whose members are its names, if *name* is empty.
        name: of the variable.
    """
    found: dict[int, str] = {}
    waiting = [(name, node)]
    if not name and type(node) is dict and TAG not in node:
        waiting = [(one, part) for one, part in reversed(node.items())]
    while waiting:
        holder, part = waiting.pop()
        if type(part) is list:
            waiting.extend((holder, item) for item in part)
        elif type(part) is dict:
            if part.get(TAG) == "missing":
                found.setdefault(part.get("number", 0), holder)
            waiting.extend((holder, item) for item in part.values())
    return found


def _members(group: Any) -> dict[str, Any]:
    """Return the entries of a group's names, each with the whole group."""
    names = expect(group["names"], list)
    return {name: {"group": group["value"], "names": names} for name in names}

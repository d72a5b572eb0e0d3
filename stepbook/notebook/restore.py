"""The variables of a recorded cell, brought back in the order of its text."""

from __future__ import annotations

import contextlib
import sys
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

from IPython.utils.text import SList

from ..errors import ArtifactError, NotStoredError
from ..values import sealed
from ..values.nodes import TAG, expect
from . import surroundings
from .calm import warn
from .chance import from_state, set_hidden
from .reach import put
from .stub import NotLoaded, NotStored
from .variables import (
    AROUND,
    ATTRIBUTES,
    CHANCE,
    DEFINITIONS,
    FILES,
    GROUPS,
    PLACES,
    classes_in,
    holders,
    owner_of,
    slot_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..values.codec import Codec
    from ..values.seals import Address
    from .effects import Effects
    from .reach import Place
    from .world import Notebook

_MISSING: Final[Any] = object()


class Restorer:
    """Brings the variables of a recorded cell back, in the order of the text.

    Args:
        codec: decodes values.
        notebook: the notebook's code and names.
        text: what :class:`Stored` gave.
        address: where that stands.
        alive: returns an object that could not be stored and still lives in this kernel, or None.
        source: the text of the cell, as it is here.
        effects: what that does to names.
        may_bind: says whether it may give a name a value.
        may_set: says whether code that is here can set what is at a place.
    """

    def __init__(
        self,
        codec: Codec,
        notebook: Notebook,
        text: str | None,
        address: Address,
        alive: Callable[[str], Any],
        source: str,
        effects: Effects,
        may_bind: Callable[[str, Effects], bool],
        may_set: Callable[[Place, dict[str, Any], Any], bool],
    ) -> None:
        self._may_set = may_set
        self._source = source
        self._attributes_of_text = frozenset(effects.attributes)
        self._alive = alive
        self._codec = codec
        self._notebook = notebook
        self._names = notebook.names
        self._address = address
        self._step = address.step
        with self._reading():
            self._entries: dict[str, Any] = expect(loads(text or "{}"), dict)
            self.ran: list[int] = expect(self._entries.pop(DEFINITIONS, []), list)
            self._chance: Any = self._entries.pop(CHANCE, None)
            self._around: Any = self._entries.pop(AROUND, None)
            self._attributes: Any = expect(self._entries.pop(ATTRIBUTES, {}), dict)
            self._places: Any = expect(self._entries.pop(PLACES, {}), dict)
            self.files: dict[str, list[Any]] = {
                name: [expect(size, int), expect(time, int), hashed]
                for name, (size, time, hashed) in expect(self._entries.pop(FILES, {}), dict).items()
            }
            for group in expect(self._entries.pop(GROUPS, []), list):
                self._entries.update(_members(group))
            for entry in self._entries.values():
                expect(entry, dict)
        #: Names that the record has, and the code does not bind.
        self._foreign = sorted(name for name in self._entries if not may_bind(name, effects))
        for name in self._foreign:
            del self._entries[name]
        self._done: dict[str, Any] = {}
        self._early = False
        #: The generators of random numbers to which it has given a state.
        self.drew: frozenset[str] = frozenset()

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

    def leave(self, names: Iterable[str]) -> None:
        """Leave names as they are: their definitions are not what they were."""
        for name in names:
            self._entries.pop(name, None)

    def up_to(self, number: int, order: dict[str, int], reads: set[str]) -> None:
        """Bring back what a definition at statement *number* reads of what is bound before it."""
        for name, entry in self._entries.items():
            bound = name in reads and order.get(name, sys.maxsize) < number
            if bound and name not in self._done and "class" not in entry:
                self._early = True
                # What needs the class itself comes when that is there.
                with contextlib.suppress(ArtifactError):
                    self._restore_early(name)

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
            with self._reading():
                states = expect(self._decode(self._chance, CHANCE), dict)
                set_hidden(states)
                self.drew = frozenset(states)
        if self._foreign:
            warn(
                f"the record of step {self._step!r} also has {', '.join(self._foreign)}, which the "
                "code of the cell does not bind: that is not brought back. "
                f"%stepbook redo {self._step} executes the cell.",
                stacklevel=4,
            )
        failed = []
        if self._around is not None:
            around = self._decode(self._around, AROUND)
            failed = surroundings.apply(around, self._source, self._notebook.told)
        failed += self._set_attributes()
        failed += self._set_places()
        if failed:
            warn(
                f"step {self._step!r} had changed what could not be set again: "
                f"{'; '.join(failed)}. %stepbook redo {self._step} executes it again.",
                stacklevel=4,
            )

    def _set_attributes(self) -> list[str]:
        """Set attributes of modules; return what could not be set, in words.

        Only those to which the text of the cell, as it is here, assigns: a book must not say where.
        """
        failed = []
        for name, entry in self._attributes.items():
            path = tuple(name.split("."))
            owner = owner_of(self._names, path)
            if path not in self._attributes_of_text or owner is None:
                failed.append(f"{name}: the cell does not assign it")
                continue
            try:
                if "deleted" in entry:
                    with contextlib.suppress(AttributeError):
                        delattr(owner, path[-1])
                    continue
                if "variable" in entry:
                    value = self._names[entry["variable"]]
                else:
                    value = self._decode(entry["value"], name)
                if isinstance(value, NotStored):
                    failed.append(f"{name}: it could not be stored")
                else:
                    setattr(owner, path[-1], value)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                failed.append(f"{name}: {error}")
        return failed

    def _restore_early(self, name: str) -> None:
        """Bring back one name; of a group by itself, as others of it may need what comes later."""
        group = self._entries[name].get("group")
        if type(group) is not dict or TAG in group or name not in group:
            self._restore(name)
            return
        with self._reading():
            value = self._decode(group, "", only=name)
        self._done[name] = value
        self._set(name, value)

    def _set_places(self) -> list[str]:
        """Set what was changed in modules and in what they hold; return what could not be set."""
        failed: list[str] = []
        if not self._places:
            return failed
        with self._reading():
            values = self._decode(self._places["values"], "")
            for name, how in expect(self._places["places"], dict).items():
                label, word = map(str, expect(how["at"], list))
                value = self._names[how["variable"]] if "variable" in how else values.get(name)
                if not self._may_set((label, word), how, value):
                    failed.append(f"{name}: the code of the cell does not change it")
                    continue
                try:
                    put((label, word), how, value)
                except (AttributeError, LookupError, TypeError, ValueError) as error:
                    failed.append(f"{name}: {error}")
        return failed

    def _restore(self, name: str) -> Any:
        if name in self._done:
            return self._done[name]
        entry = self._entries[name]
        with self._reading():
            if "group" in entry:
                whole = TAG in entry["group"]
                label = " and ".join(entry["names"]) if whole else ""
                try:
                    found = self._decode(entry["group"], label, slot=slot_of(*entry["names"]))
                except NotStoredError as error:
                    found = self._not_loaded(entry["names"], entry["group"], error)
                if type(found) is not dict:  # the whole could not be stored
                    found = dict.fromkeys(entry["names"], found)
                for one in entry["names"]:
                    if one in self._entries and one in found:
                        self._done[one] = found[one]
                        self._set(one, found[one])
                return self._done[name]
            value = self._value(entry, name)
        self._done[name] = value
        self._set(name, value)
        return value

    def _value(self, entry: dict[str, Any], name: str) -> Any:
        value: Any
        if "value" in entry:
            try:
                value = self._decode(entry["value"], name, slot=slot_of(name))
            except NotStoredError as error:
                value = self._not_loaded([name], entry["value"], error)[name]
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

    def _not_loaded(
        self, names: list[str], node: dict[str, Any], error: NotStoredError
    ) -> dict[str, NotStored]:
        """Return what stands for sealed variables that are not loaded.

        It is said once for each reason: after an upgrade of a library there can be many.
        """
        members = expect(node.get("members", {}), dict)
        found: dict[str, NotStored] = {}
        for name in names:
            about = sealed.told(expect(members.get(name, node), dict))
            text = f"{name!r} of step {self._step!r}, a {about}, is not loaded: {error.advice}"
            found[name] = NotLoaded(name, self._step, about, text)
        kind, _, _ = error.reason.partition(":")
        if kind not in self._notebook.told:
            self._notebook.told.add(kind)
            shown = " and ".join(map(repr, names))
            warn(
                f"{shown} of step {self._step!r} cannot be used: {error.advice} More for this "
                "reason is not told, until it is used.",
                stacklevel=6,
            )
        return found

    def _decode(self, node: Any, name: str, *, only: str | None = None, slot: str = "") -> Any:
        """Return what a node of the variable *name* stands for; of a group if that is empty.

        Args:
            node: the node.
            name: of the variable.
            only: the member of a group that is asked for, not all of it.
            slot: what it is called in its seal.
        """
        found_in: dict[int, tuple[str, str]] = {}

        def stub(part: dict[str, Any]) -> Any:
            if not found_in:
                found_in.update(holders(node, name))
            number = part.get("number", 0)
            holder, _ = found_in.get(number, (name, ""))
            found = self._alive(f"{holder}#{number}")
            return (
                NotStored(holder, self._step, part["type"], part["why"]) if found is None else found
            )

        self._notebook.stub = stub
        return self._codec.decode_graph(
            dumps(node, ensure_ascii=False, separators=(",", ":")),
            self._notebook,
            hint=classes_in(self._names),
            where=f"{self._step}, variable {name}" if name else self._step,
            only=only,
            address=self._address,
            slot=slot,
        )

    def _set(self, name: str, value: Any) -> None:
        if value is _MISSING:
            self._names.pop(name, None)
        else:
            self._names[name] = value


def _members(group: Any) -> dict[str, Any]:
    """Return the entries of a group's names, each with the whole group."""
    names = expect(group["names"], list)
    return {name: {"group": group["value"], "names": names} for name in names}

"""What cells change in modules, in classes of libraries and in objects that these hold.

A place is a name in such an owner: ``string.items`` is the place ``string`` / ``items``. A cell can
reach the places whose names stand in its text, or in that of the functions that it uses, in the
owners that it can reach by such names. They are compared before and after, and what differs is
stored. A replay sets again only what the code that is here can reach: a book must not say where.
"""

from __future__ import annotations

import ast
import sys
import types
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ..model.libraries import library
from .calm import warn
from .digest import look
from .reach import CONTAINERS, GONE, PLAIN, Place, Reach, field, owner_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .digest import Look
    from .effects import Effects

#: Objects in one container that are compared, at most; beyond, its length alone is.
MOST: Final = 10_000


@dataclass
class Found:
    """What was at a place.

    Attributes:
        value: the object, or GONE.
        token: equal as long as nothing has changed.
        items: of a dict or list, as it was.
    """

    value: Any
    token: Any
    items: Any = None


#: That there is nothing at a place.
_NOTHING: Final = Found(GONE, None)


@dataclass
class Change:
    """What a cell has changed at a place.

    Attributes:
        place: where: the owner and the name in it.
        now: what is there now.
        before: what was there before.
        is_own: whether a function or class was written by the person.
        imported: whether a name of the notebook was imported from there.
    """

    place: Place
    now: Found
    before: Found
    is_own: Callable[[Any], bool]
    imported: bool = False

    @property
    def value(self) -> Any:
        """What is there now, or GONE."""
        return self.now.value

    def difference(self) -> dict[str, Any]:
        """Return which entries of a dict have come, changed or gone."""
        old, new = self.before.items, self.value
        before = dict(zip(old, self.before.token[1], strict=True))
        now = dict(zip(new, _Tokens(self.is_own).of(new)[1], strict=True))
        return {
            "set": {key: new[key] for key in new if before.get(key) != now[key]},
            "gone": [key for key in old if key not in new],
        }

    @property
    def by_entries(self) -> bool:
        """Whether it is a dict of which the entries can be told that have changed."""
        both = (self.before.items, self.value)
        return self.kept and all(type(one) is dict and len(one) <= MOST for one in both)

    @property
    def kept(self) -> bool:
        """Whether it is the same object as before, and its content has changed."""
        return self.value is self.before.value


def shown(place: Place) -> str:
    """Return a place as people write it."""
    return f"{place[0].replace(':', '.')}.{place[1]}"


Snapshot = dict[Place, Found]


# ---- comparing ----------------------------------------------------------------------------------


class _Tokens:
    """Makes what is equal as long as nothing has changed."""

    def __init__(self, is_own: Callable[[Any], bool]) -> None:
        self._is_own = is_own
        self._left = MOST
        self._around: set[int] = set()

    def of(self, value: Any) -> Any:
        kind = type(value)
        if kind in PLAIN:
            return kind, repr(value) if kind in (float, complex) else value
        if kind in CONTAINERS:
            return self._container(value)
        if _is_data(value, self._is_own):
            return id(value), look(value, self._is_own).digest
        return id(value)

    def _container(self, value: Any) -> Any:
        self._left -= len(value)
        if self._left < 0 or id(value) in self._around:
            return id(value), len(value)
        self._around.add(id(value))
        try:
            if type(value) is dict:
                return id(value), [(self.of(k), self.of(v)) for k, v in list(value.items())]
            if type(value) in (set, frozenset):
                return id(value), {v if type(v) in PLAIN else id(v) for v in value}
            return id(value), [self.of(item) for item in list(value)]
        finally:
            self._around.discard(id(value))


def _found(value: Any, is_own: Callable[[Any], bool]) -> Found:
    items = value.copy() if type(value) in (list, dict) and len(value) <= MOST else None
    return Found(value, _Tokens(is_own).of(value), items)


class Places:
    """Follows the places that the steps of one notebook reach.

    What a step leaves is compared with what a replay would have there, as :class:`.memory.Memory`
    does it for names: with what was there before it; of attempts that have failed, before the first
    of them; of a step that executes once more, with what the steps before it have left there.

    Args:
        names: the notebook's names.
        is_own: whether a function or class was written by the person.
        seen: returns how a name of the notebook was seen last.
    """

    def __init__(
        self,
        names: dict[str, Any],
        is_own: Callable[[Any], bool],
        seen: Callable[[str], Look | None],
    ) -> None:
        self._names = names
        self._is_own = is_own
        self._seen = seen
        self._origins: dict[str, Place] = {}
        #: Places that cells of this session have reached, in which something is that can change.
        self._known: set[Place] = set()
        #: What was there before attempts that failed.
        self._residue: Snapshot = {}
        #: What was there before any step had written there, and the step that has written last.
        self._first: Snapshot = {}
        self._writers: dict[Place, str] = {}
        #: What each step has left where it has written.
        self._left: dict[Place, dict[str, Found]] = {}
        self._passed: dict[str, int] = {}
        # Of the step that was begun last:
        self._step = ""
        self._words: frozenset[str] = frozenset()
        self._stores: frozenset[str] = frozenset()
        self._owners: set[str] = set()
        self._before: Snapshot = {}

    def imported(self, body: list[ast.stmt]) -> None:
        """Note which names the statements of a cell import from modules."""
        for node in (node for statement in body for node in ast.walk(statement)):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self._origins[alias.asname or alias.name] = node.module, alias.name

    def is_imported(self, name: str, place: Place) -> bool:
        """Whether a name was imported from a place, and still holds what is there."""
        value = field(sys.modules.get(place[0]), place[1])
        return self._origins.get(name) == place and self._names.get(name) is value

    # ---- one attempt ----------------------------------------------------------------------------

    def begin(self, step: str, effects: Effects) -> None:
        """Note how things are when an attempt of *step*, or its replay, begins."""
        self._step, self._owners = step, set()
        self._words, self._stores = frozenset(effects.words), frozenset(effects.stores)
        self._before = self._snapshot()

    def loaded(self) -> None:
        """Note that a library was imported: what it has now is how it comes."""
        self._before = {**self._snapshot(), **self._before}

    def held(self) -> set[str]:
        """Return the names that hold what is at one of the places."""
        found = (f.value for f in self._before.values())
        ids = {id(value) for value in found if _is_data(value, self._is_own)}
        return {n for n, v in self._names.items() if id(v) in ids} if ids else set()

    def failed(self) -> None:
        """Note that the attempt has failed."""
        for change in self._changes():
            self._residue.setdefault(change.place, change.before)

    def end(self) -> list[Change]:
        """Return what a replay must set; the attempt, or a replay, has succeeded."""
        changes = self._changes()
        for place, left in self._left.items():
            if self._is_reached(place):
                left.pop(self._step, None)
        for change in changes:
            self._first.setdefault(change.place, change.before)
            self._writers[change.place] = self._step
            self._left.setdefault(change.place, {})[self._step] = change.now
            self._residue.pop(change.place, None)
        self._passed.setdefault(self._step, len(self._passed))
        return changes

    def _changes(self) -> list[Change]:
        owners = frozenset(self._owners)
        before, now = self._before, self._snapshot()
        once = {p for p in (*self._residue, *self._writers) if self._is_reached(p)}
        found = []
        for place in sorted(before.keys() | now.keys() | once):
            old, new = self._expected(place), now.get(place) or self._at(place)
            if old is None:
                # Of an owner that was not there before, nobody knows how it came.
                if place[0] not in owners:
                    continue
                old = _NOTHING
            if not _same(old, new) and not _is_lazy(old, new):
                imported = any(self.is_imported(name, place) for name in self._origins)
                found.append(Change(place, new, old, self._is_own, imported))
        return found

    def _expected(self, place: Place) -> Found | None:
        """Return what a replay would have at a place before this step."""
        if place in self._residue:
            return self._residue[place]
        number = self._passed.get(self._step)
        writer = self._passed.get(self._writers.get(place, ""), -1)
        before = self._before.get(place)
        if number is None or writer < number:
            return before
        left = {self._passed[step]: found for step, found in self._left[place].items()}
        last = max((n for n in left if n < number), default=None)
        found = self._first[place] if last is None else left[last]
        # What was there when this attempt began is what it has changed, or replaced.
        return found if before is None else replace(found, value=before.value)

    def _is_reached(self, place: Place) -> bool:
        return place[0] in self._owners and place[1] in self._words

    def _at(self, place: Place) -> Found:
        value = field(owner_at(place[0]), place[1])
        return _NOTHING if value is GONE else _found(value, self._is_own)

    def _snapshot(self) -> Snapshot:
        if not self._words:
            return {}
        try:
            reach = self._reach()
            found = {place: _found(value, self._is_own) for place, value in reach.places()}
        except Exception as error:  # noqa: BLE001 - of an object of a library: the cell executes
            self._words = frozenset()
            warn(f"stepbook: what this cell changes in modules is not recorded. {error!r}")
            return {}
        self._owners |= reach.owners.keys()
        self._known.update(p for p, f in found.items() if _is_data(f.value, self._is_own))
        return found

    def _reach(self) -> Reach:
        return Reach(
            self._words, self._stores, self._names, self._is_own, self._seen, self._origins
        )

    def reached(self) -> tuple[set[str], list[Any]]:
        """Return the names in the code of the step that was begun last, and what they hold."""
        reach = self._reach()
        held = [self._names[name] for name in reach.words & self._names.keys()]
        return reach.words, [*held, *reach.owners.values()]

    def written_behind(self, is_behind: Callable[[str], bool]) -> set[Place]:
        """Return the places where a step has written last that stands behind another one."""
        return {place for place, writer in self._writers.items() if is_behind(writer)}

    # ---- sharing and setting --------------------------------------------------------------------

    def shared(self, names: Iterable[str]) -> dict[Place, str]:
        """Return the places that hold what is in one of the names, which the step has bound."""
        held = {id(self._names[n]): n for n in names if n in self._names}
        return {
            place: held[id(value)]
            for place in self._known
            if id(value := field(owner_at(place[0]), place[1])) in held
            and _is_data(value, self._is_own)
            and not self.is_imported(held[id(value)], place)
        }

    def imported_from(self, changes: Iterable[Change]) -> set[str]:
        """Return the names that come back with what was changed, as they were imported from it."""
        places = {change.place for change in changes if change.kept}
        return {n for n, p in self._origins.items() if p in places and self.is_imported(n, p)}

    def may_set(self, place: Place, how: dict[str, Any], value: Any) -> bool:
        """Whether the code that is here can do to a place what was recorded.

        Data in it is changed by code of this step that names it, or that others have named and
        that a variable holds. Something else is put there only where the code assigns such a name.
        """
        reach = self._reach()
        if "kept" in how or ("variable" in how and _is_data(value, self._is_own)):
            return place in self._known or reach.may_change(place)
        return reach.may_bind(place)


def _is_data(value: Any, is_own: Callable[[Any], bool]) -> bool:
    """Whether a value can change, and is no code."""
    kind = type(value)
    if isinstance(value, type | types.FunctionType | types.ModuleType):
        return False
    if callable(value):
        return is_own(kind)
    return kind in (list, dict, set) or library(value) in ("numpy", "pandas") or is_own(kind)


def _same(old: Found, new: Found) -> bool:
    return old.token == new.token and (old.value is GONE) == (new.value is GONE)


def _is_lazy(old: Found, new: Found) -> bool:
    """Whether a library has loaded a part of itself when somebody asked for it."""
    value = new.value
    if isinstance(value, types.ModuleType):
        return True
    code = isinstance(value, type | types.FunctionType | types.BuiltinFunctionType)
    return old.value is GONE and code and getattr(value, "__module__", None) != "__main__"

"""What a replay would have: which names differ from that after a cell, and which belong together.

For each name the state is kept that a replay of this pass would give it here: what was recorded or
brought back last, or, of what plain code made, how it was when a step first reached it. After a
cell each name that it can reach is compared with that, not with how it was when the cell began: an
attempt that failed may have changed it before.

Names that hold the same object that can change, or the same memory, are one group: compared, stored
and brought back together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from .digest import Look, look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .effects import Effects

#: Names that IPython binds itself.
_IPYTHON: Final = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open", "_", "__", "___"})
#: Begins what stands for a plain cell: no step is called that.
_PLAIN: Final = "\0"
_HISTORY: Final = re.compile(r"_(i{1,3}|i?\d+|ih|oh|dh)")


def is_hidden(name: str) -> bool:
    """Whether a name is IPython's or ours, not the person's."""
    if name in _IPYTHON:
        return True
    return (name.startswith("__") and name.endswith("__")) or _HISTORY.fullmatch(name) is not None


class Memory:
    """Follows the names of a notebook.

    Args:
        names: the notebook's names.
        is_own: whether a function or class was written by the person.
    """

    def __init__(self, names: dict[str, Any], is_own: Callable[[Any], bool]) -> None:
        self._names = names
        self._is_own = is_own
        self._looks: dict[str, Look] = {}
        self._near: dict[str, set[str]] = {}
        self._states: dict[str, bytes] = {}
        #: What a replay would have here.
        self._known: dict[str, bytes] = {}
        #: What attempts that failed may have changed since, with their steps.
        self._residue: dict[str, str] = {}
        #: What plain code may have changed since it was looked at.
        self._mentioned: set[str] = set()
        #: What it has given a value.
        self._rebound: set[str] = set()
        #: What it may have changed, looked at, and no step has executed since.
        self._pending: set[str] = set()
        self._mentions_all = False
        self._unseen: set[str] = set()
        self._imports: dict[str, bytes] = {}
        self._writers: dict[str, str] = {}
        #: For each name the attempt of a step that has left what a replay would have here.
        self._left: dict[str, str] = {}
        #: What stands for the code of the plain cells that have mentioned a name last.
        self._marks: dict[str, str] = {}
        #: The steps of this session in the order of the notebook, as far as it can be told.
        self._order: list[str] = []
        self._latest = ""
        self._succeeded: set[str] = set()

    # ---- what happens ---------------------------------------------------------------------------

    def plain(self, effects: Effects, mark: str = "") -> None:
        """Note that a cell that is no step is about to execute.

        Args:
            effects: of its text.
            mark: stands for its code.
        """
        mentioned = self._people() if effects.everything else effects.reads | effects.binds
        self._marks.update(dict.fromkeys(mentioned, mark))
        self._mentioned |= effects.reads | effects.binds
        self._rebound |= effects.binds
        self._mentions_all |= effects.everything

    def arrive(self, step: str) -> None:
        """Note that a step's turn has come, to be executed or replayed.

        Where a step stands in the notebook is not known. It is taken to stand behind the one that
        came just before it, unless it is known to stand further up: then somebody goes back.
        """
        at = self._order.index(self._latest) + 1 if self._latest else len(self._order)
        if step not in self._order:
            self._order.insert(at, step)
        elif self._order.index(step) > at:
            self._order.remove(step)
            self._order.insert(at, step)
        self._latest = step

    def observe(self) -> None:
        """Look at what plain code may have changed since the last time."""
        fresh = self._dirty()
        self._survey(fresh | self._unseen)
        rebound, self._rebound = self._rebound, set()
        for name in fresh & self._looks.keys():
            if name in rebound or self._known.get(name) != self._state(name):
                self._writers[name] = _PLAIN + self._marks.get(name, "")
                self._left.pop(name, None)
        self._pending |= fresh

    def before(self, step: str, effects: Effects) -> None:
        """Look at what a step reaches, before its body executes."""
        self.observe()
        again = step in self._succeeded
        dirty, self._pending = self._pending, set()
        behind = self._written_behind(step)
        for name in self._reach(effects):
            state = self._state(name)
            # A step that executes once more: it and those behind it have left their marks.
            if again and name in behind:
                self._known.pop(name, None)
                self._residue[name] = step
            elif name in dirty and name in self._residue:
                self._known.pop(name, None)
            elif (name not in self._known and name not in self._residue) or name in dirty:
                self._known[name] = state
        for name in dirty - self._residue.keys():
            if name in self._known and name in self._looks:
                self._known[name] = self._state(name)

    def failed(self, step: str, effects: Effects) -> None:
        """Note that an attempt of a step has failed: it may have changed what it reaches."""
        reached = self._reach(effects) | effects.binds
        self._residue.update(dict.fromkeys(reached, step))
        self._unseen |= reached

    def after(
        self, step: str, origin: str, effects: Effects, before: frozenset[str]
    ) -> list[frozenset[str]]:
        """Return the groups of names that a replay must be given, of a cell that has succeeded.

        Args:
            step: its name.
            origin: stands for the attempt.
            effects: of its text.
            before: the names that were there before.
        """
        bound = {name for name in effects.binds | (self._people() ^ before) if not is_hidden(name)}
        seen = self._reach(effects)
        self._survey(self._unseen | bound | seen)
        # What has come may reach more.
        while not (reached := self._reach(effects)) <= seen | bound:
            self._survey(reached - seen - bound)
            seen |= reached
        # Those, too, that belonged together with something: pandas still knows of their sharing.
        touched = bound | {n for n in reached | seen if self._state(n) != self._known.get(n)}
        groups = {self.group(name) for name in touched}
        for group in groups:
            self._settle(group, step, origin)
        for name in reached | bound:
            self._residue.pop(name, None)
        self._succeeded.add(step)
        return sorted(groups, key=sorted)

    def restored(self, step: str, origin: str, names: Iterable[str]) -> None:
        """Note that what an attempt of a step, for which *origin* stands, was brought back."""
        names = set(names)
        self._survey(names | self._unseen)
        for name in names:
            self._settle(self.group(name) & names, step, origin)
        self._succeeded.add(step)

    def baseline(self, names: Iterable[str]) -> None:
        """Note that what names hold comes back without being stored, as imports do."""
        names = {name for name in names if name in self._names and not is_hidden(name)}
        self._survey(names)
        for name in names:
            self._known[name] = self._imports[name] = self._state(name)
            self._left.pop(name, None)
            self._residue.pop(name, None)

    def is_import(self, name: str) -> bool:
        """Whether a name holds what an import of this cell has given it."""
        return name in self._imports and self._imports[name] == self._state(name)

    def is_settled(self, names: Iterable[str]) -> bool:
        """Whether no attempt that failed may have changed one of these names."""
        return self._residue.keys().isdisjoint(names)

    def origin(self, name: str) -> str | None:
        """Return the attempt of a step that a name comes from, executed or brought back."""
        return None if name in self._residue else self._left.get(name)

    def left_for(self, step: str) -> dict[str, str]:
        """Return by which attempts that was left which a replay would have here.

        Not of what an attempt of another step that has failed may have changed.
        """
        strange = {name for name, failed in self._residue.items() if failed != step}
        return {name: by for name, by in self._left.items() if name not in strange}

    def maker(self, name: str) -> str:
        """Return the attempt of a step that a name comes from, else the code of a plain cell.

        Nothing if no cell of this session is known to have given it its value.
        """
        return self.origin(name) or self._writers.get(name, "").lstrip(_PLAIN)

    def behind(self, step: str) -> frozenset[str]:
        """Return the names that a step itself, or one that stands behind it, has changed last.

        Also what an attempt of one that has failed may have changed.
        """
        found = self._written_behind(step)
        found |= {n for n, failed in self._residue.items() if self.stands_behind(failed, step)}
        return frozenset(found)

    def _written_behind(self, step: str) -> set[str]:
        return {n for n, writer in self._writers.items() if self.stands_behind(writer, step)}

    def stands_behind(self, other: str, step: str) -> bool:
        """Whether a step is *step*, or stands behind it."""
        order = self._order
        return other in order and order.index(other) >= order.index(step)

    def state(self, name: str) -> bytes:
        """Return how a name looks: the same only while neither it nor its group has changed."""
        if name not in self._looks:
            self._survey({name})
        return self._state(name)

    def look(self, name: str) -> Look | None:
        """Return how a name was seen last."""
        return self._looks.get(name)

    # ---- groups ---------------------------------------------------------------------------------

    def group(self, name: str) -> frozenset[str]:
        """Return the names that belong together with *name*, itself included."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting.extend(self._near.get(one, ()))
        return frozenset(found)

    def views(self, group: frozenset[str]) -> set[int]:
        """Return the owners of memory that more than one array of a group uses."""
        names = [name for name in sorted(group) if name in self._names]
        found = look(tuple(self._names[name] for name in names), self._is_own)
        return found.shared_memory

    # ---- inside ---------------------------------------------------------------------------------

    def _people(self) -> set[str]:
        return {name for name in self._names if not is_hidden(name)}

    def _settle(self, group: Iterable[str], step: str, origin: str) -> None:
        for name in group:
            if name in self._looks:
                self._known[name] = self._state(name)
            else:
                self._known.pop(name, None)
            self._writers[name] = step
            self._left[name] = origin
            self._residue.pop(name, None)

    def _dirty(self) -> set[str]:
        """Return what plain code may have changed since the last time."""
        mentioned, self._mentioned = self._mentioned, set()
        everything, self._mentions_all = self._mentions_all, False
        if everything:
            return self._people()
        self._survey({name for name in mentioned if name not in self._looks})
        return self._closure(mentioned)

    def _reach(self, effects: Effects) -> set[str]:
        if effects.everything:
            return self._people()
        return self._closure(effects.reads)

    def _closure(self, names: Iterable[str]) -> set[str]:
        """Return names with those that functions behind them use, as far as they exist."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in found or name not in self._names or is_hidden(name):
                continue
            found.add(name)
            seen = self._looks.get(name)
            if seen is None:
                self._survey({name})
                seen = self._looks[name]
            if seen.everything:
                return self._people()
            waiting.extend(seen.names)
            waiting.extend(self._near.get(name, ()))
        return found

    def _survey(self, names: Iterable[str]) -> None:
        """Look at names again, and at all that are new."""
        people = self._people()
        for gone in self._looks.keys() - people:
            del self._looks[gone]
            self._states.pop(gone, None)
            for other in self._near.pop(gone, ()):
                self._near[other].discard(gone)
                self._forget(other)
        fresh = (set(names) & people) | (people - self._looks.keys())
        self._unseen -= fresh
        for name in fresh:
            self._forget(name)
            self._looks[name] = look(self._names[name], self._is_own)
        for name in fresh:
            self._join(name)

    def _forget(self, name: str) -> None:
        """Forget the states of a name and of those that belong together with it."""
        for one in self.group(name):
            self._states.pop(one, None)

    def _join(self, name: str) -> None:
        mine = self._looks[name]
        near = set()
        if mine.ids or mine.lent:
            for other, theirs in self._looks.items():
                if other != name and not (
                    mine.ids.isdisjoint(theirs.ids)
                    and mine.ids.isdisjoint(theirs.lent)
                    and mine.lent.isdisjoint(theirs.ids)
                ):
                    near.add(other)
        for old in self._near.get(name, set()) - near:
            self._near[old].discard(name)
        for new in near:
            self._near.setdefault(new, set()).add(name)
        self._near[name] = near
        self._forget(name)

    def _state(self, name: str) -> bytes:
        """Return what a name looks like, together with its group."""
        state = self._states.get(name)
        if state is None:
            group = self.group(name)
            if len(group) == 1:
                state = self._looks[name].digest or b""
                self._states[name] = state
            else:
                names = sorted(group)
                whole = look([(one, self._names[one]) for one in names], self._is_own)
                state = whole.digest or b""
                for one in names:
                    self._states[one] = state
        return state

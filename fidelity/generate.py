"""Cases by chance: notebooks of a few cells over a small pool of shared objects."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .cases import PLAIN, Case
from .grammar import BIND, CHANCE, CHANGE, CHANGE_MORE, DEFINE, HOLD, IMPORTS, NAMED, VIEW

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHANGES = {**CHANGE, **CHANGE_MORE}
#: How often a statement is of a kind.
_WEIGHTS = {
    "change": 10,
    "hold": 4,
    "bind": 3,
    "view": 3,
    "define": 2,
    "named": 3,
    "call": 2,
    "draw": 1,
    "forget": 1,
    "redefine": 1,
    "write": 1,
}


def cases(seed: int) -> Iterator[Case]:
    """Give cases without end; the same for the same seed."""
    for number in range(10**9):
        yield _Notebook(random.Random(f"{seed} {number}")).case(f"generated {seed}-{number}")


class _Notebook:
    """A notebook while it is being written.

    Args:
        chance: chooses.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._made = 0
        self._kinds: dict[str, str] = {}  # of what each expression gives
        self._names: dict[str, None] = {}
        self._roots: dict[str, str] = {}  # the name that an expression begins with

    def case(self, name: str) -> Case:
        """Write a case."""
        chance = self._chance
        cells = [IMPORTS, self._cell([self._bind, self._bind])]
        for _ in range(chance.randint(1, 4)):
            text = self._cell([self._statement] * chance.choice((1, 1, 2, 3)))
            cells.append(PLAIN + text if chance.random() < 0.12 else text)
        names = ", ".join(repr(n) for n in self._names)
        drawn = "__import__('random').random(), float(__import__('numpy').random.rand())"
        return Case(name, tuple(cells), (f"describe({names})", drawn))

    def _cell(self, makers: list[object]) -> str:
        texts = [maker() for maker in makers]  # type: ignore[operator] # all are methods
        return "\n".join(text for text in texts if text)

    def _statement(self) -> str:
        kinds = list(_WEIGHTS)
        [what] = self._chance.choices(kinds, list(_WEIGHTS.values()))
        return getattr(self, f"_{what}")() or self._change() or self._bind()

    # ---- pieces ---------------------------------------------------------------------------------

    def _fill(self, template: str, **parts: str) -> str:
        return template.format(i=self._chance.randint(2, 5), **parts)

    def _fresh(self) -> str:
        self._made += 1
        name = f"{self._chance.choice('abcdefgh')}{self._made}"
        self._names[name] = None
        return name

    def _note(self, expression: str, kind: str, root: str) -> None:
        self._kinds[expression] = kind
        self._roots[expression] = root

    def _pick(self, kinds: object) -> str | None:
        """Return an expression for an object of one of the kinds; later ones are likelier."""
        found = [e for e, kind in self._kinds.items() if kind in kinds]  # type: ignore[operator]
        return self._chance.choices(found, range(1, len(found) + 1))[0] if found else None

    # ---- statements -----------------------------------------------------------------------------

    def _bind(self) -> str:
        kind = self._chance.choice(list(BIND))
        name = self._fresh()
        text = f"{name} = {self._fill(self._chance.choice(BIND[kind]))}"
        self._note(name, kind, name)
        return text

    def _define(self) -> str:
        kind = self._chance.choice(list(DEFINE))
        name = self._fresh()
        self._note(name, kind, name)
        return self._fill(self._chance.choice(DEFINE[kind]), n=name)

    def _redefine(self) -> str | None:
        name = self._pick(DEFINE)
        if name is None or name not in self._names:
            return None
        return self._fill(self._chance.choice(DEFINE[self._kinds[name]]), n=name)

    def _hold(self) -> str | None:
        target = self._pick(_CHANGES)
        if target is None:
            return None
        name = self._fresh()
        template, path = self._chance.choice(HOLD)
        self._note(path.format(n=name), self._kinds[target], name)
        return self._fill(template, n=name, x=target)

    def _view(self) -> str | None:
        target = self._pick(VIEW)
        if target is None:
            return None
        name = self._fresh()
        template, kind = self._chance.choice(VIEW[self._kinds[target]])
        self._note(name, kind, name)
        return self._fill(template, n=name, x=target)

    def _change(self) -> str | None:
        target = self._pick(_CHANGES)
        if target is None:
            return None
        return self._fill(self._chance.choice(_CHANGES[self._kinds[target]]), x=target)

    def _named(self) -> str | None:
        target = self._pick(NAMED)
        if target is None or target.endswith(")"):
            return None
        return self._fill(self._chance.choice(NAMED[self._kinds[target]]), x=target)

    def _call(self) -> str | None:
        """Change a list through a function of the notebook, given or by its global name."""
        function, target = self._pick(("on list",)), self._pick(("list",))
        if target is None:
            return None
        if function is None:
            name = self._fresh()
            self._note(name, "counter", name)
            text = "def {n}():\n    {x}.append({i})\n    return len({x})\n{n}()"
            return self._fill(text, n=name, x=target)
        return f"{function}({target})"

    def _write(self) -> str | None:
        """Bind a name from within a function."""
        target = self._pick(("int", "str", "list"))
        if target is None or target not in self._names:
            return None
        name = self._fresh()
        return self._fill("def {n}():\n    global {x}\n    {x} = {x} * 2\n{n}()", n=name, x=target)

    def _draw(self) -> str:
        return self._fill(self._chance.choice(CHANCE), n=self._fresh())

    def _forget(self) -> str | None:
        target = self._pick(_CHANGES)
        if target is None or target not in self._names or len(self._kinds) < 3:
            return None
        for expression in [e for e, root in self._roots.items() if root == target]:
            del self._kinds[expression], self._roots[expression]
        return f"del {target}"

"""What a function reads beside its arguments: names of its module, attributes of modules."""

from __future__ import annotations

import dis
import functools
import re
import types
from typing import Any, Final, NamedTuple

from .imports import Import

#: A variable in a text, as ``query`` and ``eval`` of pandas take them: ``"age > @limit"``.
_BEHIND_AT: Final = re.compile(r"(?<![\w.@])@([^\W\d]\w*)")
_LOADS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_ATTRIBUTES: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_STORES: Final = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
_CONSTANTS: Final = frozenset({"LOAD_CONST", "LOAD_SMALL_INT"})
#: Operations between the parts of a chain of attributes that say nothing about it.
_BETWEEN: Final = frozenset({"CACHE", "EXTENDED_ARG", "PUSH_NULL", "NOP"})


class Reads(NamedTuple):
    """What a function reads.

    Attributes:
        chains: names, each with the attributes that are asked of it: ``("tools", "clean")``.
        imports: its own import statements.
        counters: the chains of names that it gives values to, too: ``global n; n += 1``.
        given: the attributes that it gives values to, of whatever object.
        named: names in its texts that may be variables, as ``"age > @limit"`` has one.
    """

    chains: tuple[tuple[str, ...], ...]
    imports: tuple[Import, ...]
    counters: tuple[tuple[str, ...], ...]
    given: frozenset[str]
    named: frozenset[str]


def named_in(text: Any) -> list[str]:
    """Return the names behind an ``@`` in a text; nothing of what is no text."""
    return _BEHIND_AT.findall(text) if type(text) is str and "@" in text else []


@functools.lru_cache(maxsize=4096)
def reads_of(code: types.CodeType) -> Reads:
    """Return what *code*, and the functions in it, read."""
    found = _Found()
    waiting = [code]
    while waiting:
        one = waiting.pop()
        waiting += [part for part in one.co_consts if isinstance(part, types.CodeType)]
        found.look_through(one)
    own = [chain for chain in found.chains if chain[0] not in found.stored]
    both = [chain for chain in found.chains if chain[0] in found.stored]
    sets = frozenset(found.given), frozenset(found.named)
    return Reads(tuple(own), tuple(found.imports), tuple(both), *sets)


class _Found:
    """What is read and given values to in the code that was looked through so far."""

    def __init__(self) -> None:
        self.chains: dict[tuple[str, ...], None] = {}
        self.imports: dict[Import, None] = {}
        self.stored: set[str] = set()
        self.given: set[str] = set()
        self.named: set[str] = set()

    def look_through(self, code: types.CodeType) -> None:
        """Take in what one code object does itself."""
        own = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
        self.named.update(n for text in code.co_consts for n in named_in(text) if n not in own)
        chain: list[str] = []
        constants: list[Any] = []  # before an import: how far above, and the names from there
        for step in dis.get_instructions(code):
            if step.opname in _BETWEEN:
                continue
            if chain and step.opname in _ATTRIBUTES:
                chain.append(step.argval)
                continue
            if chain:
                self.chains[tuple(chain)] = None
            chain = [step.argval] if step.opname in _LOADS else []
            if step.opname in _CONSTANTS:
                constants = [*constants[-1:], step.argval]
            else:
                self._take(step, constants)
        if chain:
            self.chains[tuple(chain)] = None

    def _take(self, step: dis.Instruction, constants: list[Any]) -> None:
        if step.opname == "IMPORT_NAME":
            level, names = constants
            self.imports[Import(level, step.argval, tuple(names or ()))] = None
        elif step.opname == "STORE_ATTR":
            self.given.add(step.argval)
        elif step.opname in _STORES:
            self.stored.add(step.argval)

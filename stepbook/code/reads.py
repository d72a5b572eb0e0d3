"""What a function reads beside its arguments: names of its module, attributes of modules."""

from __future__ import annotations

import dis
import functools
import types
from typing import Final, NamedTuple

_LOADS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_ATTRIBUTES: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_STORES: Final = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
#: Operations between the parts of a chain of attributes that say nothing about it.
_BETWEEN: Final = frozenset({"CACHE", "EXTENDED_ARG", "PUSH_NULL", "NOP"})


class Reads(NamedTuple):
    """What a function reads.

    Attributes:
        chains: names, each with the attributes that are asked of it: ``("tools", "clean")``.
        imports: modules that it imports itself.
        counters: the chains of names that it gives values to, too: ``global n; n += 1``.
    """

    chains: tuple[tuple[str, ...], ...]
    imports: tuple[str, ...]
    counters: tuple[tuple[str, ...], ...]


@functools.lru_cache(maxsize=4096)
def reads_of(code: types.CodeType) -> Reads:
    """Return what *code*, and the functions in it, read."""
    chains: dict[tuple[str, ...], None] = {}
    imports: dict[str, None] = {}
    stored: set[str] = set()
    waiting = [code]
    while waiting:
        one = waiting.pop()
        waiting += [part for part in one.co_consts if isinstance(part, types.CodeType)]
        chain: list[str] = []
        for step in dis.get_instructions(one):
            if step.opname in _BETWEEN:
                continue
            if chain and step.opname in _ATTRIBUTES:
                chain.append(step.argval)
                continue
            if chain:
                chains[tuple(chain)] = None
                chain = []
            if step.opname in _LOADS:
                chain = [step.argval]
            elif step.opname == "IMPORT_NAME":
                imports[step.argval] = None
            elif step.opname in _STORES:
                stored.add(step.argval)
        if chain:
            chains[tuple(chain)] = None
    own = [chain for chain in chains if chain[0] not in stored]
    both = [chain for chain in chains if chain[0] in stored]
    return Reads(tuple(own), tuple(imports), tuple(both))

"""The smallest case that still differs: cells, statements and names are left out, one by one."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .cases import Case


def shrink(case: Case, differs: Callable[[Case], bool], budget: int = 80) -> Case:
    """Return a smaller case for which *differs* still is true.

    Args:
        case: one that differs.
        differs: runs a case.
        budget: how many cases may be run.
    """
    progress = True
    while progress and budget > 0:
        progress = False
        for smaller in _smaller(case):
            budget -= 1
            if differs(smaller):
                case, progress = smaller, True
                break
            if budget <= 0:
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    cells = case.cells
    for index in reversed(range(len(cells))):
        yield replace(case, cells=(*cells[:index], *cells[index + 1 :]))
    for index, text in enumerate(cells):
        for less in _fewer_statements(text):
            yield replace(case, cells=(*cells[:index], less, *cells[index + 1 :]))
    for index in range(len(case.look) if len(case.look) > 1 else 0):
        yield replace(case, look=(*case.look[:index], *case.look[index + 1 :]))
    for index, look in enumerate(case.look):
        if look.startswith("describe("):
            names = ast.literal_eval(f"({look[9:-1]},)")
            for left_out in names if len(names) > 1 else ():
                kept = ", ".join(repr(n) for n in names if n != left_out)
                looks = (*case.look[:index], f"describe({kept})", *case.look[index + 1 :])
                yield replace(case, look=looks)


def _fewer_statements(text: str) -> Iterator[str]:
    head = "#plain\n" if text.startswith("#plain\n") else ""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return
    if len(body) < 2:
        return
    for index in reversed(range(len(body))):
        rest = ast.Module(body[:index] + body[index + 1 :], [])
        yield head + ast.unparse(rest)

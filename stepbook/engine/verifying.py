"""A verification, from outside: what is to be repeated, and the two records to compare."""

from __future__ import annotations

from json import dumps
from typing import TYPE_CHECKING

from ..errors import StepbookError
from ..show.verdicts import Side
from .repeating import PLAN, Plan

if TYPE_CHECKING:
    from pathlib import Path

    from ..model.rows import CellRow
    from .books import OpenBook


def plan(folder: Path, run_id: str, book: Path, *, only: bool) -> None:
    """Say which recorded run is meant; *only*: the code must open it before any other."""
    text = dumps(Plan(run_id, str(book), only))
    (folder / PLAN).write_text(text, encoding="utf-8")


def side(book: OpenBook, run_id: str) -> Side:
    """Return one execution, read for a comparison."""
    state = book.peek(run_id)
    steps, unread = [], {}
    for step in state.steps.values():
        try:
            steps.append(book.whole(run_id, step))
        except StepbookError as error:
            steps.append(step)
            unread[step.name] = str(error)
    cells: dict[str, CellRow] = {}
    for step in steps:
        if step.kind == "cell":
            cell = state.cells.get(step.name)
            if cell is None or cell.attempt != step.attempt:
                cell = book.cell(run_id, step.name, step.attempt)
            if cell is not None:
                cells[step.name] = cell
    return Side(state.run, steps, cells, book.codec, unread)

"""Cases as data: what a JSON file holds, one case a row."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STORED = Path(__file__).parent / "cases"
PLAIN = "#plain\n"


class CaseError(ValueError):
    """A file of cases cannot be read as such."""


@dataclass(frozen=True)
class Case:
    """A notebook, and what to look at when it has been executed.

    Attributes:
        name: tells it from the others.
        cells: their texts; one that begins with ``#plain`` is no step.
        look: expressions, evaluated at the end of each session.
        edit: the cells of a later session, if the notebook is edited.
        executes: numbers of the cells that must execute after the edit.
        twice: whether executing each cell twice changes nothing, so that plain stays the truth.
        told: whether it is enough that stepbook says what is not exact.
        only: kinds of scenario to run, all if empty.
    """

    name: str
    cells: tuple[str, ...]
    look: tuple[str, ...]
    edit: tuple[str, ...] | None = None
    executes: tuple[int, ...] | None = None
    twice: bool = False
    told: bool = False
    only: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return the row that stands for the case in a file."""
        row: dict[str, Any] = {"name": self.name, "cells": self.cells, "look": self.look}
        for key in ("edit", "executes"):
            if getattr(self, key) is not None:
                row[key] = getattr(self, key)
        for key in ("twice", "told", "only"):
            if getattr(self, key):
                row[key] = getattr(self, key)
        return row


_TUPLES = ("cells", "look", "edit", "executes", "only")


def _case(row: dict[str, Any]) -> Case:
    known = {key: row[key] for key in Case.__dataclass_fields__ if key in row}
    return Case(**{key: tuple(v) if key in _TUPLES else v for key, v in known.items()})


def load(file: Path) -> list[Case]:
    """Return the cases of a file: a JSON list, or one row a line.

    Raises:
        CaseError: it cannot be read, or a row lacks its name, cells or looks.
    """
    text = file.read_text()
    try:
        if text.lstrip().startswith("["):
            rows = json.loads(text)
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        return [_case(row) for row in rows]
    except (ValueError, TypeError) as error:
        raise CaseError(f"{file} holds no cases that can be read: {error}") from error


def append(file: Path, case: Case) -> None:
    """Add a case to a file of one row a line."""
    with file.open("a") as lines:
        lines.write(json.dumps(case.as_json()) + "\n")


def stored() -> list[Case]:
    """Return all cases that belong to the project."""
    return [case for file in sorted(STORED.glob("*.json")) for case in load(file)]

"""The input of a notebook's run as variables, in a cell of its own, as papermill does it."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidInputError
from ..system.console import tell

if TYPE_CHECKING:
    from collections.abc import Iterable

TAG: Final = "parameters"
ADDED: Final = "injected-parameters"


def check(given: Any) -> None:
    """Refuse an input of which the items cannot all be variables.

    Raises:
        InvalidInputError: a name is none in Python.
    """
    refused = [name for name in given if not _is_name(name)] if isinstance(given, dict) else []
    if refused:
        names = ", ".join(map(repr, refused))
        verb = "is no name" if len(refused) == 1 else "are no names"
        raise InvalidInputError(
            f"--input: {names} {verb} of a variable in Python, and the items of the input become "
            'variables. Rename, or put them one level down: {"input": {...}}.'
        )


def inject(notebook: Any, given: dict[str, Any]) -> None:
    """Add the cell that binds the items of an input; those that are no names are left out.

    It replaces the one that an earlier execution has added; else it stands behind the cell tagged
    ``parameters``, or first, where there is none.
    """
    from nbformat import v4  # noqa: PLC0415 - only for this command

    lines = [f"{name} = {value!r}" for name, value in given.items() if _is_name(name)]
    if not lines:
        return
    text = "\n".join(["# Input of this run", *lines])
    added: Any = v4.new_code_cell(text)  # type: ignore[no-untyped-call] # it has no types
    added.metadata["tags"] = [ADDED]
    before, tagged = _place(notebook.cells, ADDED), _place(notebook.cells, TAG)
    if before is not None:
        notebook.cells[before] = added
    elif tagged is not None:
        notebook.cells.insert(tagged + 1, added)
    else:
        tell(
            f'stepbook: no cell is tagged "{TAG}", so the items of the input become variables '
            "before the first cell."
        )
        notebook.cells.insert(0, added)


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _place(cells: Iterable[Any], tag: str) -> int | None:
    tagged = (n for n, cell in enumerate(cells) if tag in cell.metadata.get("tags", ()))
    return next(tagged, None)

"""Each execution of a cell is one pass of the runs that it uses."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from .. import _pass, _run

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

_attached: Final[set[int]] = set()
#: Called at the end of each cell, after its passes have ended.
after_cell: Final[list[Callable[[], None]]] = []


class CellExecution:
    """Stands for one execution of a cell."""


def attach() -> None:
    """Follow the cells of this process's IPython shell, if there is one; once."""
    module = sys.modules.get("IPython")
    shell: InteractiveShell | None = module.get_ipython() if module is not None else None
    if shell is None or id(shell) in _attached:
        return
    _attached.add(id(shell))
    shell.events.register("pre_run_cell", _before_cell)
    shell.events.register("post_run_cell", _after_cell)
    _pass.cell = CellExecution()  # the cell that is executing already


def detach(shell: InteractiveShell) -> None:
    """Undo :func:`attach`."""
    if id(shell) in _attached:
        _attached.discard(id(shell))
        shell.events.unregister("pre_run_cell", _before_cell)
        shell.events.unregister("post_run_cell", _after_cell)
        _pass.cell = None


def _before_cell(_info: Any) -> None:
    _pass.cell = CellExecution()


def _after_cell(result: Any) -> None:
    """End the passes of this cell; a step's error that has left it fails its run."""
    _run.end_cell(_pass.cell, result.error_in_exec or result.error_before_exec)
    for call in after_cell:
        call()

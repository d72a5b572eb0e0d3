"""Each execution of a cell is one pass of the runs that it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..engine import runs
from ..engine.hooks import HOOKS
from ..engine.passes import Place
from ..model import failures
from ..system.console import shell
from . import names
from .calm import calm, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from ..engine.opened import OpenRun
    from ..engine.passes import Pass

_attached: Final[set[int]] = set()
#: Called when a cell begins, and none is executing.
at_begin: Final[list[Callable[[], None]]] = []
#: Called when a cell has ended, and none is executing any more.
at_end: Final[list[Callable[[], None]]] = []
#: Called at the end of each cell, after its passes have ended.
after_cell: Final[list[Callable[[], None]]] = []
#: Called with each pass of a run that a cell was, when it has ended.
at_pass: Final[list[Callable[[Pass, OpenRun], None]]] = []


class CellExecution:
    """Stands for one execution of a cell.

    Attributes:
        cell_id: what the front end calls the cell, if it says so.
        number: its number, as in ``In [4]``, if it gets one.
        outer: the cell that executes this one, as ``%run`` of a notebook does.
        running: whether it is executing.
        place: the thread that executes it.
        source: its text.
    """

    def __init__(
        self,
        cell_id: str | None = None,
        number: int | None = None,
        outer: CellExecution | None = None,
        source: str = "",
    ) -> None:
        self.cell_id = cell_id
        self.number = number
        self.outer = outer
        self.running = True
        self.place = Place.here()
        self.source = source


def attach() -> None:
    """Follow the cells of this process's IPython shell, if there is one; once."""
    here = shell()
    if here is None or id(here) in _attached:
        return
    _attached.add(id(here))
    here.events.register("pre_run_cell", _before_cell)
    here.events.register("post_run_cell", _after_cell)
    HOOKS.cell = CellExecution()  # the cell that is executing already
    HOOKS.claim = names.claim_call


def detach(attached: InteractiveShell) -> None:
    """Undo :func:`attach`."""
    if id(attached) in _attached:
        _attached.discard(id(attached))
        attached.events.unregister("pre_run_cell", _before_cell)
        attached.events.unregister("post_run_cell", _after_cell)
        HOOKS.cell = HOOKS.claim = HOOKS.body_begins = None


def _before_cell(info: Any) -> None:
    before = HOOKS.cell
    outer = before if isinstance(before, CellExecution) and before.running else None
    here = shell()
    number = here.execution_count if info.store_history and here is not None else None
    HOOKS.cell = CellExecution(getattr(info, "cell_id", None), number, outer, info.raw_cell)
    if outer is None:
        for call in at_begin:
            call()


def _after_cell(result: Any) -> None:
    """End the passes of this cell; a step's error that has left it fails its run."""
    cell = HOOKS.cell
    if not isinstance(cell, CellExecution):
        return
    cell.running = False
    try:
        with calm():
            _end(cell, result.error_in_exec or result.error_before_exec)
    except Exception as error:  # noqa: BLE001 - IPython would report it as the cell's own error
        warn(f"stepbook: the end of this cell was not recorded. {type(error).__name__}: {error}")
    finally:
        if cell.outer is not None:
            HOOKS.cell = cell.outer


def _end(cell: CellExecution, error: BaseException | None) -> None:
    if cell.outer is None:
        for call in at_end:
            call()
    for run in runs.open_runs():
        walk = run.walk
        if walk is None or walk.origin is not cell:
            continue
        for watch in at_pass:
            watch(walk, run)
        origin = failures.origin(error)
        if error is not None and origin is not None and origin[0] == run.id:
            run.fail(error)
        else:
            run.end_pass(handled=error is None)
    for call in after_cell:
        call()

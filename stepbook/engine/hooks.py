"""What a host adds to the engine: the cells of a notebook, its claims of names, its outputs.

One object, composed in the package itself and filled by the notebook room; where there is no
notebook it stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from .passes import Place
    from .wishes import Wishes


class Cell(Protocol):
    """One execution of a cell.

    Attributes:
        running: whether it is executing.
        place: the thread that executes it.
    """

    running: bool
    place: Place


class Live(Protocol):
    """What can be shown live: a timeline, a list of runs."""

    has_ended: Any
    rev: Any

    def refresh(self) -> None:
        """Look at what is recorded now."""

    def static(self) -> dict[str, str]:
        """Return what is shown where there is no widget."""

    def slotted(self) -> dict[str, str]:
        """Return the same, in a place for the widget."""

    def _repr_mimebundle_(self, **_options: object) -> tuple[dict[str, Any], dict[str, Any]]: ...


class Hooks:
    """What a host has added.

    Attributes:
        cell: the cell that is executing, or was the last one: another object is another pass. None
            where there are no cells.
        claim: called with each use of a name by ``run.do``: the run (which looks here itself, so
            it has no type here), the name, the function and its arguments. Refuses what another
            cell does under that name; returns why the record is not to be used, or nothing.
        body_begins: called when ``run.do`` begins to execute a body, so that the host can keep what
            it shows with its attempt.
        before_open: called before a run is opened, so that the host can be in place.
        made: shows what a function makes as an output; see :meth:`show_made`.
        live: shows what was made by hand as an output; see :meth:`show`.
        owned: called with each run that this process takes (no type, as above).
        wishes: what the command line says about the runs that the code opens.
    """

    __slots__ = ("before_open", "body_begins", "cell", "claim", "live", "made", "owned", "wishes")

    def __init__(self) -> None:
        self.cell: Cell | None = None
        self.claim: Callable[[Any, str, Any, tuple[Any, ...], dict[str, Any]], str] | None = None
        self.before_open: Callable[[], None] | None = None
        self.body_begins: Callable[[], None] | None = None
        self.made: Callable[[Callable[[], Live]], None] | None = None
        self.live: Callable[[Live], None] | None = None
        self.owned: Callable[[Any], None] | None = None
        self.wishes: Wishes | None = None

    @property
    def between_cells(self) -> bool:
        """Whether there are cells, and none is executing: a button's callback, a thread."""
        return self.cell is not None and not self.cell.running

    def show_made(self, make: Callable[[], Live]) -> None:
        """Show what *make* gives as an output of the host.

        Raises:
            NotImplementedError: there can be none; IPython's word for "show it some other way".
        """
        if self.made is None:
            raise NotImplementedError
        self.made(make)

    def show(self, live: Live) -> None:
        """Show what was made by hand as an output of the host.

        Raises:
            NotImplementedError: there can be none, as above.
        """
        if self.live is None:
            raise NotImplementedError
        self.live(live)


HOOKS: Final = Hooks()

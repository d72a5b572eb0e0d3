"""What the command line says about the runs that a notebook opens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from ..model.durations import Duration
    from ..model.sizes import Size

#: No input was given, which is not the same as None.
UNSET: Final[Any] = object()


@dataclass(slots=True)
class Wishes:
    """What holds for every run that the code of this process opens; nothing, by default.

    Attributes:
        input: the input where the code gives none.
        new: whether each run is a fresh one; a run that the code opens twice is the same one.
        reopen: instead of what the code says.
        max_age: as above.
        retry_handled: whether failures that were handled are executed again.
        max_size: how much may be stored of a step; instead of what the code says of the run.
        input_used: whether a run was asked for with that input.
    """

    input: Any = UNSET
    new: bool = False
    reopen: Literal["unfinished"] | None = None
    max_age: Duration | None = None
    retry_handled: bool = False
    max_size: Size | None = None
    input_used: bool = False
    _begun: set[tuple[Path | None, str, str]] = field(default_factory=set)
    _retried: set[str] = field(default_factory=set)

    def fields(self) -> dict[str, Any]:
        """Return what was given, to make the same in another process."""
        names = ("input", "new", "reopen", "max_age", "retry_handled", "max_size")
        found = {name: getattr(self, name) for name in names}
        return {name: value for name, value in found.items() if value is not UNSET}

    def take_input(self) -> Any:
        """Return the input for a run to which the code gives none."""
        self.input_used = True
        return self.input

    @property
    def is_input_unused(self) -> bool:
        """Whether there is an input that no run was asked for with."""
        return self.input is not UNSET and not self.input_used

    def begins(self, book: Path | None, loop: str, key: str) -> bool:
        """Whether a run is to be a fresh one; once for each loop and key."""
        run = book, loop, key
        if not self.new or run in self._begun:
            return False
        self._begun.add(run)
        return True

    def retries(self, run_id: str) -> bool:
        """Whether a run's handled failures are to be executed again; once for each run."""
        if not self.retry_handled or run_id in self._retried:
            return False
        self._retried.add(run_id)
        return True

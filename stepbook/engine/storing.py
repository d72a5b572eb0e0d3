"""What of a step is stored: what it has made, or nothing, so that each pass executes it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..model.blobs import Limit, TooBig
from ..model.sizes import described
from ..system.console import tell
from .attempt import shorten

if TYPE_CHECKING:
    from ..model.rows import Policy
    from .attempt import Attempt
    from .opened import OpenRun

NO_STORE: Final = "no-store"
#: What a step's value is called in its seal.
RETURN: Final = "return"
#: Where nobody has said how much: half of what is free on the disk.
HALF: Final = Limit()


def limit(run: OpenRun, most: int | None) -> Limit:
    """Return how much may be stored of a step.

    Args:
        run: its run.
        most: what its options say, in bytes.
    """
    most = run.max_size if most is None else most
    return HALF if most is None else Limit(most)


def policy_of(much: TooBig) -> Policy:
    """Return what is recorded of a step of which nothing is stored."""
    return "max-size" if much.is_asked else "free-disk"


def reason(run: OpenRun, attempt: Attempt, much: TooBig) -> str:
    """Return why something is not stored: ``it takes more than 1.0 GB (max_size)``."""
    if much.is_asked:
        return f"it takes more than {described(much.most)} ({_option(attempt)})"
    free = described(2 * much.most)
    return f"it takes more than half of the {free} that are free on the disk of {run.book.path}"


def _option(attempt: Attempt) -> str:
    return "--max-size" if attempt.row.kind == "cell" else "max_size"


def told(run: OpenRun, attempt: Attempt, much: TooBig) -> None:
    """Say, once in a process, that nothing is stored of a step, and what to do."""
    key = "not stored", attempt.name
    if key in run.told:
        return
    run.told.add(key)
    way_out = "Give a larger" if much.is_asked else "Make room, or give a"
    tell(
        f"stepbook: what the step {shorten(attempt.name)} has made is not stored: "
        f"{reason(run, attempt, much)}. The step is executed again each time. {way_out} "
        f"{_option(attempt)} to have it stored."
    )

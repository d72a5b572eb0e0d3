"""What is said when the disk refuses to be written to: it is full, broken or read-only."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING, Final

from ..errors import BookError, JournalWriteError, StepbookError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The disk is full, or broken; another path on it would not do better.
NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
#: What holds wherever lines wait in memory until they are written.
PENDING: Final = "what is pending is written with the next step"

#: What holds for the value of a step whose body has run.
IN_VALUE: Final = "what the step returned is in this error's .value"


def refused(what: str, error: OSError, state: str = PENDING) -> JournalWriteError:
    """Return the error that says that *what* could not be written.

    Args:
        what: the file or folder, named.
        error: what the system said.
        state: what has become of that which was to be written.
    """
    return JournalWriteError(
        f"{what} could not be written: {error.strerror or error}. Nothing that was recorded is "
        f"lost; {state}. Free some space or check the disk, then do it again.",
        path=str(error.filename or ""),
    )


def trouble(what: str, error: OSError, state: str = PENDING) -> BookError:
    """Return what to raise for an error of the system: the disk's, or what stands in the place."""
    if error.errno == errno.ELOOP:  # a link, a pipe, a folder: see open_plain
        return unusable(error)
    return refused(what, error, state)


def unusable(error: OSError) -> BookError:
    """Return what to raise for a file of the book that cannot be used."""
    return BookError(
        f"{error.filename} cannot be used: {error.strerror}. It was left as it is. Put the book's "
        "own file back in its place, or remove what is there; `stepbook doctor` looks at the whole "
        "book."
    )


@contextlib.contextmanager
def refusals(what: str, state: str) -> Iterator[None]:
    """Say of a block that writes *what* that it could not; see :func:`refused`."""
    try:
        yield
    except StepbookError:
        raise
    except OSError as error:
        raise trouble(what, error, state) from error

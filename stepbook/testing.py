"""Helpers for tests of code that records its steps.

Example:
    >>> import stepbook.testing
    >>> def test_the_review_can_be_resumed():
    ...     with stepbook.testing.temporary_book():
    ...         stepbook.testing.assert_replays(lambda: review("p-17"))
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .api.book import Book, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["assert_replays", "temporary_book"]

_VARIABLE: Final = "STEPBOOK_BOOK"


@contextlib.contextmanager
def temporary_book() -> Iterator[Book]:
    """Have a book of its own for a block: the default one, removed at the end.

    ``stepbook.run``, ``stepbook.connect()`` and loops without a book of their own use it, in child
    processes as well.

    Yields:
        The book.

    Example:
        >>> with stepbook.testing.temporary_book() as book:
        ...     review("p-17")
        ...     assert list(book.steps()["status"]) == ["succeeded"] * 3
    """
    before = os.environ.get(_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="stepbook-") as folder:
        path = Path(folder) / "stepbook.duckdb"
        os.environ[_VARIABLE] = str(path)
        book = connect(path)
        try:
            yield book
        finally:
            book.close()
            if before is None:
                os.environ.pop(_VARIABLE, None)
            else:
                os.environ[_VARIABLE] = before


def assert_replays(walk: Callable[[], object], book: Book | None = None) -> None:
    """Call *walk* twice and check that the second time every step is replayed.

    For loops and scripts that open their run by name. What would execute again after a crash is
    found here: a name that changes from pass to pass, a run that is new each time, a step behind a
    condition on the clock.

    Args:
        walk: opens a run and does its steps.
        book: where it records; without it the default book.

    Raises:
        AssertionError: a body was executed in the second pass, or another run was opened; the
            message names the steps.

    Example:
        >>> stepbook.testing.assert_replays(lambda: review("p-17"))
    """
    walk()
    recorded = book or connect()
    before = _attempts(recorded)
    walk()
    again = sorted(_attempts(recorded) - before)
    if again:
        names = ", ".join(f"{name!r} (attempt {attempt})" for _, name, attempt in again)
        raise AssertionError(f"executed again in the second pass: {names}")


def _attempts(book: Book) -> set[tuple[str, str, int]]:
    frame = book.attempts()
    return set(zip(frame["run_id"], frame["name"], frame["attempt"], strict=True))

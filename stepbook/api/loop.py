"""Loops: functions that are runs."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..engine import opening, runs
from ..engine.process import StaysHere
from ..errors import InvalidInputError
from ..model.spelling import spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..engine.books import OpenBook
    from ..engine.opened import OpenRun
    from ..model.sizes import Size

_NO_INPUT: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class Event:
    """What started a run.

    Attributes:
        body: the input that ``trigger`` was given.
    """

    body: Any


class Loop(StaysHere):
    """A function that runs as a loop; made by :func:`stepbook.loop`.

    Calling it calls the function itself.

    Args:
        name: of the loop.
        function: walks a run.
        book: gives the book to record in.
        face: gives what the function and the caller see of a run.
    """

    __module__ = "stepbook"  # as people write it
    _instead = (
        "Put the loop into a file that the workers can import, or give them the data that they "
        "need and trigger the loop here."
    )

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        book: Callable[[], OpenBook],
        face: Callable[[OpenRun], Any],
    ) -> None:
        self.name = name
        self._function = function
        self._book = book
        self._face = face
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as it was written, with an event and a step of the caller's."""
        return self._function(*args, **kwargs)

    def __reduce_ex__(self, protocol: object) -> Any:
        found: Any = sys.modules.get(self.__module__)
        if hasattr(found, "__file__"):  # else it is a notebook or a prompt, which no worker imports
            path: str = self._function.__qualname__
            for name in path.split("."):
                found = getattr(found, name, None)
            if found is self:
                return path  # as functions are: the other process has its own
        return super().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"<stepbook.Loop {self.name!r}>"

    def trigger(self, input: Any = _NO_INPUT, **options: Any) -> Any:  # noqa: A002 - public API
        """Execute the loop as a new run.

        Of a coroutine function the result is an awaitable of the run.

        Args:
            input: what the loop finds in ``event.body``.
            **options: as for :meth:`Book.run`, for example ``key`` or ``trigger_type``.

        Returns:
            The :class:`Run`, finished with what the function returned.

        Raises:
            BaseException: what escaped the function, after it was recorded.

        Example:
            >>> run = health_review.trigger({"patient_id": "p-17"})
        """
        if input is not _NO_INPUT:
            options["input"] = input
        return self._walk(opening.open_run(self._book(), self.name, new=True, **options))

    def resume(
        self, run_id: str, *, retry_handled: bool = False, max_size: Size | None = None
    ) -> Any:
        """Walk a run again: succeeded steps replay, the rest is executed.

        Of a coroutine function the result is an awaitable of the run.

        Args:
            run_id: id of the run, or the beginning of only one.
            retry_handled: as for :meth:`Book.run`.
            max_size: as above.

        Raises:
            RunNotFoundError: there is no such run.
            InvalidInputError: it is a run of another loop.
            RunInUseError: another live process holds it.
            BaseException: what escaped the function, after it was recorded.
        """
        book = self._book()
        run = runs.get(book, run_id)
        if spellings(run.row.loop)[0] != spellings(self.name)[0]:
            raise InvalidInputError(
                f"run {run.id} belongs to the loop {run.row.loop!r}, not to {self.name!r}."
            )
        how: Any = {"retry_handled": retry_handled, "max_size": max_size}
        return self._walk(opening.reopen(book, run.id, **how))

    def _walk(self, opened: OpenRun) -> Any:
        if inspect.iscoroutinefunction(self._function):
            return self._walk_async(opened)
        run = self._face(opened)
        with _walking(opened):
            run.finish(self._function(Event(run.input), run))
        return run

    async def _walk_async(self, opened: OpenRun) -> Any:
        run = self._face(opened)
        with _walking(opened):
            run.finish(await self._function(Event(run.input), run))
        return run


@contextlib.contextmanager
def _walking(run: OpenRun) -> Iterator[None]:
    """Record what escapes one call of a loop function."""
    run.in_loop = True
    try:
        yield
    except BaseException as error:
        run.fail(error)
        run.close()
        raise
    finally:
        run.in_loop = False

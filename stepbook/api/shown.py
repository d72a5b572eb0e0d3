"""How a run is shown: as a timeline in a notebook, as HTML elsewhere, as text everywhere."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..engine.hooks import HOOKS
from ..errors import StepbookError
from ..record.tables import queries
from ..show import html
from ..show import text as show_text
from ..system.console import stable
from .facts import Facts

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from ..engine.hooks import Live
    from ..record.records import Records
    from ..timeline.widget import Timeline
    from .book import Book


class Shown(Facts):
    """The looks of a run."""

    book: Book

    def timeline(self) -> Timeline:
        """Return the live timeline, a widget: one row per step, in the order they ran.

        It follows the run while cells execute, also a run of another process. A run displays as
        its timeline by itself, so this is needed only to place the widget among others.

        Raises:
            StepbookError: the front end has not been built; the message says what to run.
        """
        from ..timeline.widget import timeline_of  # noqa: PLC0415 - anywidget only when shown

        return timeline_of(self.book, self.id)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the run as one self-contained, interactive page, and return its path.

        The page loads nothing from anywhere and works without a kernel. Values longer than 64 KiB
        are shortened in it, and further if all together take more than 64 MiB.

        Args:
            path: the file to write; replaced if it exists.

        Raises:
            StepbookError: the front end has not been built; the message says what to run.

        Example:
            >>> run.to_html("run.html")
        """
        from ..timeline import (
            bundle,
            wire,
        )
        from ..timeline.follow import Follower  # noqa: PLC0415

        follower = Follower(self.book, self.id)
        page = html.page_html(
            f"{follower.run.loop} {follower.run.id}",
            wire.encode(follower.whole()),
            bundle.bundle(),
            html.static_html(follower.run, follower.steps),
        )
        target = Path(path)
        target.write_text(page, encoding="utf-8")
        return target

    def __repr__(self) -> str:
        try:
            state = self._look()
        except StepbookError:  # a busy database, a fork: a repr never raises
            return f"<stepbook.Run {self.id} of {self.loop!r}>"
        return show_text.timeline(state.run, list(state.steps.values()))

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Return text and the static timeline; the same with and without a kernel."""
        try:
            state = self._look()
        except StepbookError:  # as in __repr__
            return {"text/plain": repr(self)}
        steps = list(state.steps.values())
        data = {
            "text/plain": show_text.timeline(state.run, steps),
            "text/html": html.static_html(state.run, steps, stable=stable()),
        }
        return {
            kind: text
            for kind, text in data.items()
            if (include is None or kind in include) and (exclude is None or kind not in exclude)
        }

    def _ipython_display_(self) -> None:
        HOOKS.show_made(self.timeline)


class ShownBook:
    """The looks of a book: a list of its newest runs."""

    _records: Records

    def _path(self) -> Path | None:
        """Return where the book is; None for a book in memory."""
        return self._records.path

    def __repr__(self) -> str:
        path = self._path()
        if path is None:
            return "<stepbook.Book :memory:>"
        return f"<stepbook.Book {path.name if stable() else path}>"

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Return the path as text, and the newest runs as HTML."""
        data = {"text/plain": repr(self)}
        if not stable():  # times, durations and ids are what a list of runs is about
            # Without a book yet, or with a busy one, its path is still known.
            with contextlib.suppress(StepbookError):
                data["text/html"] = html.runs_html(repr(self), self._overview())
        return {
            kind: text
            for kind, text in data.items()
            if (include is None or kind in include) and (exclude is None or kind not in exclude)
        }

    def _overview(self) -> list[html.RunLine]:
        """Return the newest runs.

        Raises:
            StepbookError: there is no book, or it cannot be read right now.
        """
        self._records.fresh()
        with self._records.store.reading() as reader:
            rows = reader.execute(queries.OVERVIEW, [html.MOST_RUNS])
        return list(map(html.RunLine._make, rows))

    def _ipython_display_(self) -> None:
        HOOKS.show_made(self._list)

    def _list(self) -> Live:
        from ..timeline.runs import runs_of  # noqa: PLC0415 - anywidget only when shown

        return runs_of(cast("Book", self))

"""DBOS on SQLite: durable steps inside a workflow, the nearest relative."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbos import DBOS

from . import Peer, body

if TYPE_CHECKING:
    from collections.abc import Callable


class DBOSOnSQLite(Peer):
    """Each walk is a workflow; once one is prepared, a fork of it past its last step, to replay.

    Its SQLite is opened without a pragma on syncing, and SQLite's own default is FULL.
    """

    def open(self) -> None:
        url = f"sqlite:///{self.folder / 'dbos.sqlite'}"
        DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})
        self._work: Callable[[], None] | None = None
        self._prepared: tuple[str, int] | None = None

        @DBOS.step(name="step")
        def step(name: str) -> object:  # noqa: ARG001 - a step is known by its position
            return body()

        @DBOS.workflow(name="walk")
        def walk() -> None:
            self._work()

        self.record = step
        self._start = walk
        DBOS.launch()

    def close(self) -> None:
        DBOS.destroy(destroy_registry=True)

    def walk(self, work: Callable[[], None]) -> None:
        self._work = work
        if self._prepared is None:
            handle = DBOS.start_workflow(self._start)
        else:
            handle = DBOS.fork_workflow(*self._prepared)
        handle.get_result()
        self._last = handle.get_workflow_id()

    def prepare(self, count: int) -> None:
        super().prepare(count)
        self._prepared = (self._last, count + 1)

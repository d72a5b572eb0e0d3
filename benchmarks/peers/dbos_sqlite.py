"""DBOS on SQLite: durable steps inside a workflow, the nearest relative."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbos import DBOS

from . import Peer, body

if TYPE_CHECKING:
    from collections.abc import Callable


class DBOSOnSQLite(Peer):
    """Each walk is a workflow; a replay is a fork of the one prepared, past its last step.

    Its SQLite is opened without a pragma on syncing, and SQLite's own default is FULL.
    """

    def open(self) -> None:
        url = f"sqlite:///{self.folder / 'dbos.sqlite'}"
        DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})
        self._work: Callable[[], None] | None = None
        self._failure: Exception | None = None

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
        handle = DBOS.start_workflow(self._start)
        handle.get_result()
        self._last = handle.get_workflow_id()

    def prepare(self, count: int) -> None:
        super().prepare(count)
        self._prepared = self._last

    def replay_all(self, count: int) -> list[int]:
        samples: list[int] = []
        walk, self.walk = self.walk, lambda work: self._fork(work, count)
        try:
            samples = super().replay_all(count)
        finally:
            self.walk = walk
        return samples

    def _fork(self, work: Callable[[], None], count: int) -> None:
        self._work = work
        DBOS.fork_workflow(self._prepared, count + 1).get_result()

"""What is known of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..model.rows import RunRow
    from ..record.ledger import State
    from ..values.codec import Codec


class Facts:
    """The facts of a run, read from its record."""

    _row: RunRow
    _codec: Codec

    def _look(self) -> State:
        """Return the run's rows as they are now."""
        raise AssertionError("a run overrides this")  # pragma: no cover

    @property
    def id(self) -> str:
        """The run's id."""
        return self._row.id

    @property
    def loop(self) -> str:
        """The name of the loop."""
        return self._row.loop

    @property
    def key(self) -> str:
        """What finds the run again, together with its loop."""
        return self._row.key

    @property
    def trigger_type(self) -> str:
        """``user``, ``api_token`` or ``system``."""
        return self._row.trigger_type

    @property
    def input(self) -> Any:
        """The input, a fresh copy."""
        return self._codec.decode(self._row.input, where="the input")

    @property
    def created_at(self) -> datetime:
        """When the run was created, in UTC."""
        return _time(self._row.created_at)

    @property
    def status(self) -> str:
        """``pending``, ``running``, ``succeeded`` or ``failed``."""
        return self._look().run.status

    @property
    def output(self) -> Any:
        """What the run was finished with; of a failed run its error's message."""
        text = self._look().run.output
        return None if text is None else self._codec.decode(text, where="the output")

    @property
    def started_at(self) -> datetime | None:
        """When its first body began, in UTC."""
        at = self._look().run.started_at
        return None if at is None else _time(at)

    @property
    def completed_at(self) -> datetime | None:
        """When it succeeded or failed, in UTC."""
        at = self._look().run.completed_at
        return None if at is None else _time(at)


def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)

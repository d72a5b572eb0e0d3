"""The journal of a book in memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..model.rows import ROW_TYPES, Row, row_to_json
from ..system.interrupts import section
from .lines import seal

if TYPE_CHECKING:
    from collections.abc import Callable


class MemoryJournal:
    """Has the face of :class:`Journal`; nothing to write, and so nothing to sync."""

    def __init__(self, synced: int, apply: Callable[[Row], None]) -> None:
        self.number, self.pending, self.left = 1, False, False
        self.synced_seq = synced
        self._apply = apply
        self._lines: list[bytes] = []
        self._lock = threading.Lock()

    @property
    def unfolded(self) -> bool:
        """Whether there are events that :meth:`mark_folded` has not passed."""
        return bool(self._lines)

    def append(self, row: Row, *, durable: bool) -> int:  # noqa: ARG002 - the face of Journal
        """Record one event; it takes effect at once."""
        with section(self._lock):
            seq = self.synced_seq + 1
            line = seal(seq, self.synced_seq, ROW_TYPES[type(row)], row_to_json(row))
            self._lines.append(line[:-1])
            self._apply(row)
            self.synced_seq = seq
        return seq

    def sync(self, seq: int | None = None) -> None:
        """Do nothing."""

    def read_unfolded(self, limit: int) -> list[bytes]:  # noqa: ARG002 - the face of Journal
        """Return the lines that :meth:`mark_folded` has not passed."""
        with section(self._lock):
            return list(self._lines)

    def mark_folded(self, lines: list[bytes]) -> None:
        """Say that *lines* are in the tables."""
        with section(self._lock):
            del self._lines[: len(lines)]

    def close(self) -> None:
        """Do nothing."""

"""A run of another process, read on as its journal grows.

Its record is put together once, from tables and journals; from then on only the bytes that its
journal has got since are read. So following costs no query, waits for nobody who holds the
database, and each look sees what was written before it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ..model.checked import OddError
from ..record.lines import Damage, parse_line
from ..system.platform import open_plain, read_plain
from ..system.refusals import unusable

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from ..record.ledger import State
    from ..record.records import Records

#: So much is read at once: behind the last line are zeros, reserved for the lines to come.
_PIECE: Final = 64 * 1024


class Tail:
    """Follows the record of one run that others write.

    Args:
        records: the book's.
        run_id: the run.
    """

    def __init__(self, records: Records, run_id: str) -> None:
        self._records = records
        self._run_id = run_id
        self._state: State | None = None
        self._files: list[Path] = []
        self._offset = 0

    def look(self, timeout: float) -> State | None:
        """Return the run's rows if there may be something new in them, else None.

        Args:
            timeout: how many seconds to wait for the tables, if they must be read.

        Raises:
            StepbookError: the record cannot be read, or not now.
        """
        files = self._records.journals.paths(self._run_id)
        if self._state is None or files != self._files:
            return self._begin(files, timeout)
        # Without a journal nobody writes.
        return self._state if files and self._read_on(files[-1]) else None

    def _begin(self, files: list[Path], timeout: float) -> State:
        # First where to go on, then the whole: what is read twice changes nothing.
        offset = 0
        if files:
            try:
                offset = read_plain(files[-1]).rfind(b"\n") + 1
            except FileNotFoundError:
                files = []  # another look will tell
            except OSError as error:
                raise unusable(error) from error
        self._state = self._records.peek(self._run_id, timeout)
        self._files, self._offset = files, offset
        return self._state

    def _read_on(self, path: Path) -> bool:
        before = self._offset
        try:
            with os.fdopen(open_plain(path), "rb") as file:
                file.seek(before)
                while self._take(file, path):
                    file.seek(self._offset)
        except FileNotFoundError:
            self._state = None  # folded and removed meanwhile
        except OSError as error:
            raise unusable(error) from error
        return self._offset != before

    def _take(self, file: BinaryIO, path: Path) -> bool:
        """Take in the next whole lines; return whether there were any."""
        state = self._state
        assert state is not None  # noqa: S101 - there is something to go on from
        data = piece = file.read(_PIECE)
        while b"\n" not in data and piece.rstrip(b"\0"):
            piece = file.read(_PIECE)
            data += piece
        before = self._offset
        for raw in data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]:
            line = parse_line(raw)
            if line is None:  # a page older than the next one: whole a moment later
                break
            try:
                state.apply(line.event())
            except OddError as error:
                self._state = None  # whoever looks again is told again
                number = read_plain(path)[: self._offset].count(b"\n") + 1
                raise Damage(path, number, str(error), error.newer).error() from None
            self._offset += len(raw) + 1
        return self._offset != before

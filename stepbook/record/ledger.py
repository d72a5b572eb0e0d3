"""One run's record in the hands of its owner: rows in memory, the journal behind them.

The rows in memory are what the journal's events say, applied in order; the tables get the same
events later. So there is one source of truth, and opening a run again is reading it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from ..errors import BookMismatchError, JournalWriteError
from ..model.rows import (
    PENDING,
    RUN_CREATED,
    CellRow,
    LogRow,
    PassRow,
    Row,
    RunRow,
    ScanRow,
    StepRow,
    is_late,
)
from ..system.interrupts import allowed, section
from ..system.platform import identity_of, owner
from .lines import Events, merge, seq_of
from .locks import note
from .tables.store import GapError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .lines import JournalFile
    from .ports import Journal, Journals, RunLock
    from .tables.store import Writer

#: Characters of returned values that an open run keeps in memory; the rest is read on demand.
VALUE_BUDGET: Final = 64 * 1024 * 1024
#: Bytes of journal that one transaction moves into the tables.
FOLD_BYTES: Final = 8 * 1024 * 1024


class State:
    """The rows of one run: what its events amount to.

    Attributes:
        run: the run's row.
        steps: the current row of each step by name, in the order they first started.
        scans: the sessions of each scan by step name, oldest first.
        cells: what the latest attempt of each cell has done, as far as the budget reaches.
        budget: how many more characters of returned values may be kept.
        version: grows with every change, for those who watch.
    """

    __slots__ = ("budget", "cells", "logs", "run", "scans", "steps", "version")

    def __init__(self, run: RunRow) -> None:
        self.run = run
        self.steps: dict[str, StepRow] = {}
        self.scans: dict[str, list[ScanRow]] = {}
        self.cells: dict[str, CellRow] = {}
        self.budget = VALUE_BUDGET
        self.version = 0

    def apply(self, row: Row) -> None:
        """Take in one event; taking it in again changes nothing."""
        if isinstance(row, StepRow):
            self._apply_step(row)
        elif isinstance(row, ScanRow):
            sessions = self.scans.setdefault(row.step, [])
            for index, session in enumerate(sessions):
                if session.id == row.id:
                    sessions[index] = row
                    break
            else:
                sessions.append(row)
        elif isinstance(row, RunRow):
            if row.id != self.run.id:  # ids become paths: nobody gives a run another one
                raise BookMismatchError(
                    f"the journal of run {self.run.id} holds an event of another run, {row.id!r}, "
                    "so it is not used. Restore the journal from a backup, or move it elsewhere."
                )
            self.run = row
        elif isinstance(row, CellRow):
            self._apply_cell(row)
        elif not isinstance(row, (LogRow, PassRow)):
            raise TypeError(f"unknown row {row!r}")
        self.version += 1

    def _apply_step(self, row: StepRow) -> None:
        old = self.steps.get(row.name)
        if old is not None:
            if is_late(row, old):
                return
            if old.value is not None:
                self.budget += len(old.value)
        text = row.value
        if text is not None:
            if len(text) > self.budget:
                row = row._replace(value=None)
            else:
                self.budget -= len(text)
        self.steps[row.name] = row

    def _apply_cell(self, row: CellRow) -> None:
        old = self.cells.get(row.step)
        if old is not None:
            if row.attempt < old.attempt:
                return
            self.budget += _size(self.cells.pop(row.step))
        if _size(row) <= self.budget:
            self.budget -= _size(row)
            self.cells[row.step] = row

    def apply_events(self, events: Events) -> None:
        """Take in what journals hold beyond the tables."""
        for row in events.rows:
            self.apply(row)


def _size(row: CellRow) -> int:
    return len(row.variables or "") + len(row.outputs or "")


def run_from_header(header: dict[str, Any]) -> RunRow:
    """Return the row of a run as its journal's header begins it."""
    created = {name: header[name] for name in RUN_CREATED if name in header}
    return RunRow(id=header["run"], status=PENDING, **created)


def header_of(run: RunRow, book_id: str) -> dict[str, Any]:
    """Return the header of a journal file of *run*, written by this process."""
    return {
        "book": book_id,
        "run": run.id,
        **{name: getattr(run, name) for name in RUN_CREATED},
        "owner": owner(),
    }


class Ledger:
    """An owned run: the state, the journal, and the lock that makes it ours.

    Args:
        state: what is recorded so far.
        journals: the book's, to begin one in.
        lock: the run's lock, held.
        book_id: for the headers of journal files.
        events: what the journals hold beyond the tables.
        last_seq: the last sequence number of the run, in tables or journals.
        known: whether the tables have the run.
        restore: see ``Journal``; here with the number of the last event that neither the
            journal nor this ledger holds.
        files: the journal files that *events* are from.
    """

    def __init__(
        self,
        state: State,
        journals: Journals,
        lock: RunLock,
        book_id: str,
        events: Events,
        last_seq: int,
        *,
        known: bool,
        restore: Callable[[int], None],
        files: Sequence[JournalFile] = (),
    ) -> None:
        self.state = state
        self.lock = lock
        self.previous = lock.previous  # who had it open last
        self.last_owner = events.owner
        self.header = header_of(state.run, book_id)
        self.on_change: Callable[[], None] = _nothing
        #: Takes secrets out of each row before anything is done with it; None where there are none.
        self.mask: Callable[[Row], Row] | None = None
        self.fold_lock = threading.Lock()
        self._journals = journals
        self._restore = restore
        self._read = {file.identity for file in files}
        #: Files of which something cannot be read: they are kept.
        self.garbled = {damage.path for damage in events.garbled}
        self._backlog = [line.raw for line in events.lines]
        self._last_seq = last_seq
        self._known = known
        self._journal: Journal | None = None
        self._opening = threading.Lock()
        #: Whether the run was let go; another process may have it.
        self.ended = False
        self._lost = ""

    @property
    def journal(self) -> Journal:
        """The journal, begun when the first event is to be written."""
        if self._journal is None:
            with section(self._opening):
                if self._journal is None:
                    self._journal = self._begin()
        return self._journal

    def _begin(self) -> Journal:
        if self._lost:
            raise JournalWriteError(self._lost)
        if self.ended:
            raise JournalWriteError(
                f"run {self.state.run.id} was closed while this was to be recorded. Use the run "
                "again: that opens it again.",
            )
        return self._journals.begin(
            self.state.run.id, self.header, self._last_seq, self.state.apply, self._rescue
        )

    def _rescue(self, base: int) -> list[bytes]:
        """Return the lines up to number *base* that the tables may lack; see ``Journal``."""
        lines = list(self._backlog)
        self._restore(seq_of(lines[0]) - 1 if lines else base)
        return lines

    def begin(self) -> None:
        """Create the journal's file now: a new run exists by it."""
        _ = self.journal

    def note(self, row: Row) -> None:
        """Record an event that needs no sync of its own; it takes effect at once."""
        if self.mask is not None:
            row = self.mask(row)
        self.journal.append(row, durable=False)
        self.on_change()

    def commit(self, *rows: Row) -> None:
        """Record events that take effect when they are on the disk, and wait for that.

        Raises:
            JournalWriteError: they could not be written; they stay queued.
        """
        if self.mask is not None:
            rows = tuple(map(self.mask, rows))
        journal = self.journal
        seq = 0
        try:
            for row in rows:
                seq = journal.append(row, durable=True)
            journal.sync(seq)
        except BaseException:
            journal.left = True
            raise
        self.on_change()

    def settle(self) -> None:
        """Make durable what an interrupt or a full disk left behind."""
        if self._journal is not None and self._journal.pending:
            self._journal.sync()

    def settled(self, name: str) -> StepRow | None:
        """Return the row of a step that is unknown or running, as it is on the disk.

        Its end, or its beginning, may have been kept from the disk by an interrupt or a full disk.

        Raises:
            JournalWriteError: that still cannot be written.
        """
        step = self.state.steps.get(name)
        if step is not None or (self._journal is not None and self._journal.left):
            self.settle()
            step = self.state.steps.get(name)
        return step

    @property
    def last_seq(self) -> int:
        """The last sequence number that is on the disk."""
        return self._last_seq if self._journal is None else self._journal.synced_seq

    @property
    def unfolded(self) -> bool:
        """Whether the tables lack something."""
        if self._backlog or not self._known:
            return True
        return self._journal is not None and self._journal.unfolded

    def unfolded_lines(self) -> list[bytes]:
        """Return the next synced lines that the tables lack; hold ``fold_lock``."""
        if self._backlog:
            return take(self._backlog, FOLD_BYTES)
        if self._journal is None:
            return []
        return self._journal.read_unfolded(FOLD_BYTES)

    def mark_folded(self, lines: list[bytes]) -> None:
        """Say that *lines*, as :meth:`unfolded_lines` gave them, are in the tables."""
        self._known = True
        if self._backlog:
            del self._backlog[: len(lines)]
        elif lines and self._journal is not None:
            self._journal.mark_folded(lines)

    def keep(self) -> None:
        """Make sure that the run is still ours: its lock's file can be removed or replaced.

        Raises:
            JournalWriteError: another process has opened it; from now on nothing is recorded here.
        """
        if not self._lost and not self.lock.regain(note()):
            self._lost = (
                f"the lock {self.lock.path} was removed or replaced, and "
                f"{self.lock.describe_holder()} has opened run {self.state.run.id} meanwhile. "
                "Nothing more is recorded here. Close it there, then close it here and run the "
                "step again."
            )
            self.end()
        if self._lost:
            raise JournalWriteError(self._lost, path=str(self.lock.path))

    def fold(self, writer: Writer, goal: int) -> int:
        """Fold events up to number *goal*; hold ``fold_lock``.

        Returns:
            How far the tables have come then; -1 if they lack events before those.
        """
        lines = self.unfolded_lines()
        while True:
            try:
                folded = writer.fold(self.state.run.id, self.header, lines)
            except GapError:
                return -1
            self.mark_folded(lines)
            with allowed():  # nothing is under way here
                pass
            lines = self.unfolded_lines() if folded < goal else []
            if not lines:
                return folded

    def mark_unfolded(self, folded: int) -> int:
        """Say that the tables have lost what they had behind number *folded*.

        Returns:
            How many of the events behind it cannot be found any more; if none, all of them are
            given by :meth:`unfolded_lines` again. Hold ``fold_lock``.
        """
        journal = self._journal
        first = self._last_seq + 1 if journal is None else journal.first
        earlier: list[bytes] = []
        if folded + 1 < first:
            own = set() if journal is None else journal.identities
            files = self._journals.read(self.state.run.id)
            events = merge([file for file in files if file.identity not in own], folded)
            if events.lines:
                earlier = [line.raw for line in events.lines if line.seq < first]
        missing = first - 1 - folded - len(earlier)
        if missing <= 0:
            self._backlog = earlier
            if journal is not None:
                journal.mark_unfolded()
        self._known = False
        return max(missing, 0)

    def secure(self) -> None:
        """Look whether what is not in the tables can be found on the disk.

        Raises:
            JournalWriteError: it cannot, and cannot be written again.
        """
        if self._journal is not None:
            self._journal.secure()

    def farewell(self, error: Exception) -> str:
        """Return what to say when the run is let go of while the tables lack something.

        Args:
            error: why they lack it.
        """
        state = "is safe in its journal"
        try:
            self.secure()
            if isinstance(error, JournalWriteError):
                state = (
                    "is let go of with events that could not be written; the steps that raised "
                    "JournalWriteError are executed again"
                )
            elif not isinstance(error, BookMismatchError):
                state += " and reaches the tables with the next use"
        except JournalWriteError as lost:
            state, error = "is let go of, and what the tables lack cannot be read again", lost
        return f"stepbook: run {self.state.run.id} {state}. {error}"

    def owns(self, path: Path) -> bool:
        """Whether a file is one that this ledger has read or written, and not another one."""
        own = set() if self._journal is None else self._journal.identities
        try:
            return identity_of(path.lstat()) in self._read | own
        except OSError:
            return False

    def end(self) -> None:
        """Close the journal; from now on nothing is recorded here."""
        self.ended = True
        if self._journal is not None:
            journal, self._journal = self._journal, None
            self._last_seq = journal.synced_seq
            journal.close()


def take(lines: list[bytes], limit: int) -> list[bytes]:
    """Return the first of *lines*, about *limit* bytes and at least one."""
    size = 0
    for index, line in enumerate(lines):
        size += len(line)
        if size > limit:
            return lines[: max(index, 1)]
    return list(lines)


def _nothing() -> None:
    pass

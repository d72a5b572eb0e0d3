"""What is known of one run and what has changed since: the source of the timeline's messages.

A run that is open in this process is looked at in memory, which costs the recording nothing. Of any
other run the journal is read on where it was left.
"""

from __future__ import annotations

import contextlib
import operator
from itertools import compress
from typing import TYPE_CHECKING, Any, Final

from ..errors import StepbookError
from ..model.rows import PENDING, RUNNING, fields_of, now_us
from ..record import ledger
from ..record.tables import queries
from ..record.tables.store import BUSY_S
from ..system.interrupts import section
from ..values.types import arrow
from . import wire
from .tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..engine.books import OpenBook
    from ..model.rows import RunRow, StepRow
    from ..record.ledger import State

#: So many rows of a table are sent when more are asked for.
MORE_ROWS: Final = 50
#: A page of its own holds each return and error up to so many characters.
_PAGE_CHARS: Final = 64 * 1024
#: What is told of an attempt.
_PAST = ("attempt", "status", "started_at", "seconds", "return", "error", "run")


class Follower:
    """Follows one run, whoever owns it. Not thread-safe: its owner holds a lock.

    Attributes:
        rev: the number of the last change; 0 before the run was looked at.
        run: the run's row.
        steps: the current row of each step, in the order they first started.
    """

    def __init__(self, book: OpenBook, run_id: str) -> None:
        self._book = book
        self._records = book.records
        self._run_id = run_id
        self._seen: tuple[int, int] | None = None
        self._tail: Tail | None = None
        self._revs: list[int] = []
        self._floor = 0
        self._expires: dict[str, int] = {}
        self._usual: dict[str, float] | None = None
        self.rev = 0
        self.run: RunRow
        self.steps: list[StepRow] = []
        self.update()

    @property
    def is_open(self) -> bool:
        """Whether the run is open in this process."""
        return self._run_id in self._records.ledgers

    @property
    def has_ended(self) -> bool:
        """Whether the run has succeeded or failed."""
        return self.run.status not in (PENDING, RUNNING)

    def update(self, timeout: float = BUSY_S) -> bool:
        """Look at the run; return whether anything has changed.

        Args:
            timeout: how many seconds to wait while another process holds the tables.

        Raises:
            StepbookError: what another process recorded cannot be read right now.
        """
        state = self._look(timeout)
        if state is None:
            return False
        # In one go, so that a step recorded meanwhile is in or out, never half.
        steps = list(state.steps.values())
        rev = self.rev + 1
        old = self.steps
        shrunk = len(steps) < len(old)
        if shrunk:
            self._floor, self._revs, old = rev, [], []
        # The unchanged rows of a long run are the same objects; in C, 100,000 take 2 ms.
        moved = compress(range(len(old)), map(operator.is_not, old, steps))
        changed = [index for index in moved if old[index] != steps[index]]
        for index in changed:
            self._revs[index] = rev
        added = steps[len(old) :]
        self._revs += [rev] * len(added)
        expires = self._ends_of_waits(state, [*(steps[index] for index in changed), *added])
        self.steps = steps
        same_steps = not (shrunk or changed or added)
        if self.rev and same_steps and state.run == self.run and expires == self._expires:
            return False
        self.rev, self.run, self._expires = rev, state.run, expires
        return True

    def recall(self) -> None:
        """Read how long each step took in the previous run of the loop.

        A hint, so it waits for nothing: while this process writes to its tables it is left for the
        next time, and if the tables cannot be read the timeline goes on without it.
        """
        store = self._records.store
        with section():
            if self._usual is not None or not store.connected.acquire(blocking=False):
                return
            try:
                self._usual = {}
                asked = [self.run.loop, self.run.id, self.run.order]
                with contextlib.suppress(Exception):
                    if store.exists:
                        with store.reading(timeout=0) as reader:
                            self._usual = dict(reader.execute(queries.PREVIOUS_SECONDS, asked))
            finally:
                store.connected.release()

    def snapshot(self, room: int | None = None) -> dict[str, Any]:
        """Return the message that holds everything, texts up to *room* characters whole."""
        return wire.snapshot(
            self.run,
            self.steps,
            rev=self.rev,
            now=now_us(),
            room=room,
            usual=self._usual or {},
            expires=self._expires,
        )

    def whole(self) -> dict[str, Any]:
        """Return the message that holds everything, with the values that were left on disk.

        Each is sent up to 64 KiB; if memory had no room for them all, then so much of each that
        all together take no more than a run may keep there.
        """
        room, count = _PAGE_CHARS, len(self.steps)
        if any(step.left_on_disk for step in self.steps):
            room = max(wire.HEAD_CHARS, min(room, ledger.VALUE_BUDGET // count))
        return wire.snapshot(
            self.run,
            self._with_values(),
            rev=self.rev,
            now=now_us(),
            room=max(room, wire.room_for(count)),
            usual=self._usual or {},
            expires=self._expires,
        )

    def _with_values(self) -> Iterator[StepRow]:
        """Yield the steps with their values, read a piece at a time."""
        ahead: dict[tuple[str, int], str] = {}
        for step in self.steps:
            if not step.left_on_disk:
                yield step
                continue
            key = step.name, step.attempt
            if key not in ahead:
                ahead = self._book.values(self._run_id, step)
            yield step._replace(value=ahead[key])

    def since(self, rev: int) -> dict[str, Any]:
        """Return the message that brings a reader from revision *rev* to this one."""
        if rev < self._floor or rev > self.rev:
            return self.snapshot()
        changed = compress(self.steps, map(rev.__lt__, self._revs))
        return wire.delta(
            self.run,
            changed,
            since=rev,
            rev=self.rev,
            now=now_us(),
            room=wire.room_for(len(self.steps)),
            usual=self._usual or {},
            expires=self._expires,
        )

    def body(self, seq: int, field: str) -> str:
        """Return the whole text of a step's ``return`` or ``error``.

        Raises:
            StepbookError: there is no such step, or nothing of this kind is recorded.
        """
        step = next((step for step in self.steps if step.seq == seq), None)
        text = None
        if step is not None:
            text = step.error if field == "error" else step.value
            if field == "return" and step.left_on_disk:
                text = self._book.whole(self._run_id, step).value
        if text is None:
            raise StepbookError(f"the record holds no {field} of this step any more.")
        return text

    def search(self, query: str) -> list[int]:
        """Return the numbers of the steps of which a long return or error holds a text.

        Short ones are not looked at: who asks has them. Upper and lower case are the same.

        Raises:
            StepbookError: the book cannot be read right now.
        """
        text = query.strip().lower()
        found = {
            step.seq
            for step in self.steps
            if any(
                long is not None and len(long) > wire.HEAD_CHARS and text in long.lower()
                for long in (step.value, step.error)
            )
        }
        if any(step.left_on_disk for step in self.steps):
            self._records.fresh()
            with self._records.store.reading() as reader:
                found.update(seq for (seq,) in reader.execute(queries.FOUND, [self._run_id, text]))
        return sorted(found)

    def rows(self, seq: int, start: int) -> Any:
        """Return rows of the table that a step has returned, from row *start* on.

        Raises:
            StepbookError: there is no such table, or it cannot be read.
        """
        step = next((step for step in self.steps if step.seq == seq), None)
        where = f"the return of {step.name!r}" if step is not None else "the return"
        value = self._book.codec.decode(self.body(seq, "return"), where=where)
        return arrow.rows_of(value, start, MORE_ROWS)

    def attempts(self, name: str) -> list[dict[str, Any]]:
        """Return all attempts of a step, oldest first.

        Raises:
            StepbookError: the book cannot be read right now.
        """
        return self._ask(queries.ATTEMPTS_OF_STEP, [self.run.id, name])

    def previous(self, name: str) -> list[dict[str, Any]]:
        """Return the step as it was in the last earlier run of the loop, or nothing.

        Raises:
            StepbookError: the book cannot be read right now.
        """
        asked = [self.run.loop, self.run.id, self.run.order, name]
        return self._ask(queries.PREVIOUS_OF_STEP, asked)

    def _ask(self, query: str, parameters: list[Any]) -> list[dict[str, Any]]:
        self._records.fresh()
        with self._records.store.reading() as reader:
            rows = reader.execute(query, parameters)
        found = [dict(zip(_PAST, row, strict=False)) for row in rows]
        return [{**past, "status": wire.known_status(past["status"])} for past in found]

    def _look(self, timeout: float) -> State | None:
        """Return the state if it may have changed since the last time, else None."""
        ledger = self._records.ledgers.get(self._run_id)
        if ledger is None:
            self._tail = self._tail or Tail(self._records, self._run_id)
            return self._tail.look(timeout)
        self._tail = None
        state = ledger.state
        seen = id(state), state.version
        if seen == self._seen:
            return None
        self._seen = seen
        return state

    def _ends_of_waits(self, state: State, changed: list[StepRow]) -> dict[str, int]:
        """Return when each wait ends, by the step's name."""
        ends = dict(self._expires)
        for name, sessions in list(state.scans.items()):
            if sessions and sessions[-1].expires_at is not None:
                ends[name] = sessions[-1].expires_at
        for step in changed:
            if step.kind == "sleep" and step.progress:
                until = fields_of(step.progress).get("until")
                if isinstance(until, int):
                    ends[step.name] = until
        return ends

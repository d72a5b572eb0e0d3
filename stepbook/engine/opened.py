"""The state of one run: its record, its pass, what executes; what the faces hand over to."""

from __future__ import annotations

import itertools
import threading
from json import dumps
from typing import TYPE_CHECKING, Any, Final

from ..errors import DuplicateStepError
from ..model import failures
from ..model.rows import FAILED, RUNNING, SUCCEEDED, RunRow, StepRow, now_us
from ..seen import seen
from ..system.interrupts import section
from ..values.seals import Address
from . import passes, redacting
from .attempt import Attempt, current, log_row, shorten
from .hooks import HOOKS
from .passes import Pass, Place

if TYPE_CHECKING:
    from ..model.rows import CellRow
    from ..record.ledger import Ledger, State
    from .books import OpenBook

_turns: Final = itertools.count(1)


class OpenRun:
    """The state machine of one run, in this process; one object for each run.

    Attributes:
        book: where it is recorded.
        id: its id.
        row: its row as it was when it was last looked at; id, loop, key and input never change.
        codec: writes and reads its values.
        ledger: its record while it is open here, else None.
        is_forked: whether this process is a fork, and the run belongs to its parent.
        turn: when it was last opened, among the runs of this process; the highest is current.
        walk: the pass that is going on.
        in_loop: whether a loop function is walking it.
        max_size: how many bytes may be stored of a step, where its options do not say; None for
            half of what is free on the disk.
        lock: guards what follows.
        executing: the attempts of which a body executes, by step.
        changed: the names of what bodies have changed in this process: a cache, a list.
    """

    def __init__(self, book: OpenBook, row: RunRow) -> None:
        self.book = book
        self.id = row.id
        self.row = row
        self.codec = book.codec
        self.ledger: Ledger | None = None
        self.is_forked = False
        self.turn = 0
        self.walk: Pass | None = None
        self.in_loop = False
        self.max_size: int | None = None
        self.lock = threading.RLock()
        self.executing: dict[str, Attempt] = {}
        self.changed: set[str] = set()
        #: What the person was told of once: functions that change an argument, steps that are
        #: not stored.
        self.told: set[tuple[object, ...]] = set()
        self._at_prompt = passes.at_prompt()
        #: Values read ahead, by step name and attempt, for as long as the run is held.
        self._ahead: dict[tuple[str, int], str] = {}

    def __repr__(self) -> str:
        return seen(f"<OpenRun {self.id} of {self.row.loop!r}>")

    # ---- the record ---------------------------------------------------------------------------

    def look(self) -> State:
        """Return the rows: live if the run is open here, else as they are recorded now."""
        if self.ledger is not None:
            return self.ledger.state
        return self.book.peek(self.id)

    def owned(self) -> Ledger:
        """Return the ledger; a run that was let go is taken again."""
        ledger = self.ledger
        if ledger is None:
            with section(self.lock, patient=False):
                if self.ledger is None:
                    self.ledger = self.book.own(self.id, self.executing)
                    self.turn = next(_turns)
                    if HOOKS.owned is not None:
                        HOOKS.owned(self)
                ledger = self.ledger
        return ledger

    def state(self) -> State:
        """Return the rows of the run, owned."""
        ledger = self.ledger
        return (self.owned() if ledger is None else ledger).state

    def value(self, step: StepRow) -> str:
        """Return the text of a value that was left on disk."""
        key, ahead = (step.name, step.attempt), self._ahead
        if key not in ahead:
            ahead = self._ahead = self.book.values(self.id, step)
        return ahead[key]

    def cell(self, step: StepRow) -> CellRow | None:
        """Return what the attempt of a step has left beside its value."""
        found = self.look().cells.get(step.name)
        if found is None or found.attempt != step.attempt:
            found = self.book.cell(self.id, step.name, step.attempt)
        return found

    def address(self, step: str, attempt: int) -> Address:
        """Return where the values of an attempt stand, for their seals."""
        return Address(self.book.id, self.id, step, attempt)

    # ---- passes -------------------------------------------------------------------------------

    def walking(self) -> Pass:
        """Return the pass that is going on, begun if need be."""
        walk = self.walk
        origin = passes.line() if self._at_prompt else HOOKS.cell
        if walk is None or walk.origin is not origin:
            with section(self.lock):
                walk = self.walk  # another thread may have come first
                if walk is None or walk.origin is not origin:
                    walk = self._walk(origin)
        return walk

    def entering(self) -> tuple[Pass, Attempt | None]:
        """Return the pass in which code asks for a step, and the step in whose body it does.

        Between cells, as in a button's callback, each call that is in no body is a pass.
        """
        walk = self.walking()
        scope = current.get() or walk.body_of(self.executing)
        if scope is None and HOOKS.between_cells and not self.in_loop:
            with section(self.lock):
                walk = self._walk(HOOKS.cell)
        return walk, scope

    def begin_pass(self) -> None:
        """Begin a pass, unless the cell that is executing is one already; be the current run."""
        with section(self.lock):
            self.turn = next(_turns)
            if self.walk is None or HOOKS.cell is None or HOOKS.between_cells:
                self._walk(passes.line() if self._at_prompt else HOOKS.cell)

    def _walk(self, origin: object | None) -> Pass:
        self.end_pass(handled=False)
        if self._at_prompt:
            place = Place.prompt()
        elif HOOKS.cell is not None and HOOKS.cell.running:
            place = HOOKS.cell.place
        else:
            place = Place.here()
        self.walk = walk = Pass(origin, place)
        return walk

    def end_pass(self, *, handled: bool = True) -> None:
        """End the pass: without an exception its failures were handled."""
        walk, self.walk = self.walk, None
        if walk is None or self.ledger is None:
            return
        if handled:
            self.handle(list(walk.failures))
        if walk.executed:
            self.ledger.note(walk.row(self.ledger.state.steps))

    def handle(self, names: list[str]) -> None:
        """Mark failed steps as handled."""
        ledger = self.owned()
        for name in names:
            row = ledger.state.steps.get(name)
            if row is not None and row.status == FAILED and not row.handled:
                ledger.note(row._replace(handled=True))

    def unhandle(self) -> int:
        """Have handled failures be executed again; return how many there are."""
        ledger = self.owned()
        rows = [row for row in ledger.state.steps.values() if row.handled and row.status == FAILED]
        for row in rows:
            ledger.note(row._replace(handled=False))
        return len(rows)

    # ---- bodies -------------------------------------------------------------------------------

    def executes(self, name: str) -> None:
        """Note that a body is executed: the run is running, the pass has done something."""
        walk = self.walking()
        walk.executed.add(name)
        ledger = self.owned()
        row = ledger.state.run
        if row.status != RUNNING:
            ledger.note(
                row._replace(
                    status=RUNNING,
                    started_at=row.started_at or now_us(),
                    completed_at=None,
                    output=None,
                )
            )

    def is_executing(self, name: str) -> bool:
        """Whether the body of a step is executing right now.

        After two interrupts in a row it may only look so: its frame is gone.
        """
        busy = self.executing.get(name)
        if busy is None or not busy.is_of_this_thread:
            return busy is not None
        here = current.get()
        while here is not None and here is not busy:
            here = here.parent
        return here is busy

    def take_up(self, row: StepRow) -> Attempt:
        """Go on with an attempt that was left while it waited."""
        with section(self.lock):
            if self.is_executing(row.name):
                raise DuplicateStepError(
                    f"the step {shorten(row.name)} is waiting right now, elsewhere."
                )
            attempt = Attempt(self, self.owned(), row, None)
            self.executing[row.name] = attempt
            self.executes(row.name)
        return attempt

    # ---- ending -------------------------------------------------------------------------------

    def finish(self, output: Any) -> None:
        """Record that the run has succeeded, and let go of it; see ``Run.finish``."""
        with self.codec.writing() as writer:
            text = writer.encode(output)
            ledger = self.owned()
            row = ledger.state.run
            self.end_pass()
            if row.status != SUCCEEDED:
                now = now_us()
                started = row.started_at or now
                ledger.commit(
                    ledger.state.run._replace(
                        status=SUCCEEDED,
                        output=text,
                        started_at=started,
                        completed_at=max(now, started),
                    )
                )
        self.close()

    def fail(self, error: BaseException) -> None:
        """Record that *error* has escaped the code of this run."""
        ledger = self.owned()
        row = ledger.state.run
        executed = self.walk is not None and bool(self.walk.executed)
        self.end_pass(handled=False)
        if not executed and row.status in (SUCCEEDED, FAILED):
            return  # a replay changes nothing
        redacting.learn_from(self.codec.redaction, error)
        record = failures.describe(error)
        now = now_us()
        ledger.note(
            log_row(
                f"run failed: {failures.summary(record)}",
                "error",
                None,
                dumps({"stack": record["stack"]}, ensure_ascii=False),
            )
        )
        ledger.commit(
            ledger.state.run._replace(
                status=FAILED,
                output=dumps(failures.summary(record), ensure_ascii=False),
                started_at=row.started_at or now,
                completed_at=now,
            )
        )

    def close(self) -> None:
        """Let go of the run; see ``Run.close``."""
        try:
            self.end_pass(handled=False)
        finally:
            ledger, self.ledger = self.ledger, None
            self._ahead = {}
            if ledger is not None:
                self.row = ledger.state.run
            self.book.release(self.id)  # also what an interrupted close has left

    def disown(self, inert: Any) -> None:
        """In a forked child: the run belongs to the parent, and *inert* says so."""
        self.ledger = inert
        self.is_forked = True
        self.lock = threading.RLock()

"""One attempt of a step: its state, and what may still be recorded of it."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from json import dumps
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import InvalidInputError, JournalWriteError, StepError, StepNameError
from ..model.rows import FAILED, LEVELS, RUNNING, LogRow, StepRow, now_us
from ..model.spelling import spelled

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Container
    from pathlib import Path

    from ..model.rows import Row, RunRow
    from ..record.ledger import Ledger
    from ..values.codec import Codec

_MAX_SHOWN: Final = 60


class Kept(Protocol):
    """The book of a run, as far as the attempt needs it."""

    @property
    def path(self) -> Path | None:
        """The database file; None for a book in memory."""


class Shown(Protocol):
    """What a body has shown, as a page of a notebook has it."""

    def as_outputs(self) -> list[dict[str, Any]]:
        """Return it as JSON."""

    def display(self, data: Any, metadata: Any, display: str | None = None) -> Any:
        """Add a display."""

    def take(self, what: str, *args: Any) -> None:
        """Take in one thing that is shown."""


class Holder(Protocol):
    """The run of an attempt, as far as the attempt needs it."""

    id: str
    row: RunRow
    codec: Codec
    ledger: Ledger | None
    lock: threading.RLock
    changed: set[str]

    @property
    def book(self) -> Kept:
        """Where it is recorded."""


class Attempt:
    """The state of one attempt.

    Attributes:
        run: the run.
        ledger: where it is recorded; the run may be let go and taken again meanwhile.
        row: the row that was recorded last, while it is running.
        name: of the step.
        number: of the attempt, from 1.
        parent: the attempt in whose body it was asked for.
        thread: the thread that executes the body.
        task: the task that does, of a coroutine.
        began: when the body began, by ``time.perf_counter``; 0.0 before.
        end_row: its end, made but not necessarily recorded yet.
        failed: whether that is a failure.
        progress_at: when progress was recorded last, by ``time.monotonic``.
        files: what the body writes, by name.
        folder: where it does.
        face: what the body sees of it, once it was asked for.
        shown: what the body of a ``run.do`` has shown, where a host keeps it.
        draws: how the random generators looked when it began.
    """

    __slots__ = (
        "began",
        "draws",
        "end_row",
        "face",
        "failed",
        "files",
        "folder",
        "ledger",
        "name",
        "number",
        "parent",
        "progress_at",
        "row",
        "run",
        "shown",
        "task",
        "thread",
    )

    def __init__(self, run: Holder, ledger: Ledger, row: StepRow, parent: Attempt | None) -> None:
        self.run = run
        self.ledger = ledger
        self.row = row
        self.name = row.name
        self.number = row.attempt
        self.parent = parent
        self.thread = threading.get_ident()
        self.task: asyncio.Task[Any] | None = None
        self.began = 0.0
        self.end_row: StepRow | None = None
        self.failed = False
        self.progress_at = 0.0
        self.files: dict[str, Path] = {}
        self.folder: Path | None = None
        self.face: Any = None
        self.shown: Shown | None = None
        self.draws: tuple[object, object, int] | None = None

    def takes(self) -> Ledger | None:
        """Return where this attempt may record more; None when it has ended or was let go of."""
        ledger = self.run.ledger
        if ledger is None or self.end_row is not None:
            return None
        row = ledger.state.steps.get(self.name)
        if row is None or row.attempt != self.number or row.status != RUNNING:
            return None
        return ledger

    def taking(self, what: str, call: str) -> Ledger:
        """Return where this attempt may record more.

        Raises:
            StepError: it has ended, or the run was let go of.
        """
        ledger = self.takes()
        if ledger is not None:
            return ledger
        if self.run.ledger is None and self.end_row is None:
            raise StepError(
                f"the run {self.run.id} was let go of while the step {self.name!r} executes, so "
                f"{call} can take no {what}. Close the run when its steps have ended."
            )
        raise StepError(
            f"the step {self.name!r} has ended (attempt {self.number}), so it takes no {what} any "
            f"more. Use {call} in its body, and wait there for the threads and tasks that use it."
        )

    @property
    def is_of_this_thread(self) -> bool:
        """Whether its body would have to be executing right here to be alive."""
        return self.thread == threading.get_ident() and self.task is None


#: What the current thread or task is executing.
current: Final[ContextVar[Attempt | None]] = ContextVar("stepbook_step", default=None)


def shorten(name: object) -> str:
    """Return the repr of a name, shortened for a message."""
    text = repr(name)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 2] + "…" + text[-1]


def check_name(name: object, *known: Container[str]) -> str:
    """Return *name* as a plain string, in the spelling that is recorded.

    Args:
        name: what somebody has given.
        *known: the names that are recorded.

    Raises:
        StepNameError: it is not a string, empty, or not Unicode text.
    """
    if not isinstance(name, str):
        raise StepNameError(
            f"the name of a step is a string, not {type(name).__name__}: {shorten(name)}. "
            'The name comes first: run.do("Load profile", load_profile).'
        )
    if not name:
        raise StepNameError('a step needs a name: run.do("Load profile", load_profile).')
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise StepNameError(
            f"the step name {shorten(name)} holds a lone surrogate, which is not Unicode text."
        ) from error
    return spelled(str(name), *known)


def interrupted_row(row: StepRow, reason: str) -> StepRow:
    """Return *row* as a failed attempt of type ``Interrupted``."""
    record: dict[str, Any] = {
        "type": "Interrupted",
        "message": f"the step was running when {reason}",
        "stack": "",
        "notes": [],
        "cause": None,
    }
    text = dumps(record, ensure_ascii=False)
    return row._replace(status=FAILED, completed_at=now_us(), seconds=None, error=text)


def noted(ledger: Ledger, row: Row) -> bool:
    """Record an event unless the run is let go of right now; return whether it was recorded.

    Raises:
        JournalWriteError: the journal cannot be written.
    """
    try:
        ledger.note(row)
    except JournalWriteError:
        if not ledger.ended:
            raise
        return False
    return True


def clean(text: object) -> str:
    """Return a text that can be written as UTF-8."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def log_row(message: object, level: str, step: str | None, metadata: str | None) -> LogRow:
    """Return the row of a message.

    Raises:
        InvalidInputError: the level is unknown.
    """
    if level not in LEVELS:
        raise InvalidInputError(f"{level!r} is no log level; use one of {', '.join(LEVELS)}.")
    return LogRow(level, clean(message), now_us(), step, metadata)

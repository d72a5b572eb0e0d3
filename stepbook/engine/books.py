"""The state of one book in this process: its files, and how a run of it is taken and read."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import ForkedError, StepError
from ..model.rows import BY_HAND, DURABLE_KINDS, RUNNING
from ..record.home import FileHome
from ..record.records import Records
from ..record.tables import frames, queries
from ..seen import seen
from ..show import html
from ..system import scratch
from ..system.console import stable
from ..system.platform import describe_owner
from ..values.codec import Codec
from . import redacting
from .attempt import interrupted_row
from .sessions import close_sessions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from ..model.rows import CellRow, StepRow
    from ..record.ledger import Ledger, State
    from ..values.redact import Redaction

_AHEAD: Final = 8 * 1024 * 1024
#: Steps of which the values are in memory together, when those of many are recorded again.
AT_ONCE: Final = 1_000


class Recorded(NamedTuple):
    """One attempt of a step, with its value, and what it has left beside that."""

    row: StepRow
    cell: CellRow | None


class OpenBook:
    """A book as the engine has it. From :func:`stepbook.engine.runs.book_at`.

    Attributes:
        records: its files.
        codec: writes and reads its values.
        lock: guards the table of its runs.
        inherited: whether this process is a fork, and the book its parent's.
    """

    def __init__(self, path: Path | None) -> None:
        self.records = Records(path)
        self.codec = Codec(self.records.artifacts)
        self.lock = threading.RLock()
        self.inherited = False
        self._id = ""
        #: What connect(redact=...) has asked for, until the settings say so; and those in force.
        self._wished: tuple[Redaction | None] | None = None
        self._settings: Any = None

    @property
    def path(self) -> Path | None:
        """The database file, absolute; None for a book in memory."""
        return self.records.path

    @property
    def id(self) -> str:
        """The id of the book, for the seals of its values."""
        known = self.records.book_id or self._id
        if not known and self.records.store.exists:  # this process only looks at it
            with self.records.store.reading() as reader:
                known = self._id = reader.meta()["book"]
        return known

    def __repr__(self) -> str:
        if self.path is None:
            return "<stepbook.Book :memory:>"
        return seen(f"<stepbook.Book {self.path.name if stable() else self.path}>")

    def check_fork(self) -> None:
        """Refuse a fork.

        Raises:
            ForkedError: this process is one, and the book belongs to its parent.
        """
        if self.inherited:
            raise ForkedError(
                "this process is a fork, and the book belongs to its parent. Call "
                "stepbook.connect() again here, or record in the parent."
            )

    # ---- secrets ------------------------------------------------------------------------------

    def redact(self, patterns: object) -> None:
        """Have the settings of the book say what is masked; see :func:`stepbook.connect`.

        Raises:
            InvalidInputError: *patterns* cannot be used.
        """
        self._wished = (redacting.asked().of(patterns),)
        if self.records.ledgers:
            self.secure()

    def secure(self) -> None:
        """Mask from here on what the settings say. To be called before anything is recorded.

        Raises:
            BookError: they cannot be read, or not be set.
        """
        home = self.records.home
        if self._wished is not None:
            wished = None if self._wished[0] is None else self._wished[0].settings
            if home.redact != wished:
                self.records.check_writable()
                home.set_redact(wished)
            if self.records.exists:  # else somebody may create it without them meanwhile
                self._wished = None
        settings = home.redact
        original = None if settings or self.path is None else scratch.origin(self.path)
        if original is not None:  # what is verified is compared with what was masked
            settings = FileHome(original).redact
        if settings != self._settings:
            self.codec.redaction = redaction = redacting.read(settings, self.path)
            self.records.mask(redacting.masker(redaction))
            self._settings = settings

    def check_exists(self) -> None:
        """Look whether there is a book.

        Raises:
            BookNotFoundError: there is none.
        """
        if not self.records.exists:
            self.records.fresh()  # raises

    def resolve(self, text: str) -> str:
        """Return the id of the run that is meant; see :meth:`Files.resolve`.

        Raises:
            RunNotFoundError: there is none, or there are several.
            BookNotFoundError: there is no book.
        """
        self.check_exists()
        return self.records.resolve(text)

    # ---- one run ------------------------------------------------------------------------------

    def own(self, run_id: str, executing: Collection[str] = ()) -> Ledger:
        """Return the ledger of a run, with what died in its owner's hands marked as such.

        Args:
            run_id: the run.
            executing: steps of which a body executes right here, although the run was let go of.
        """
        self.check_fork()
        known = run_id in self.records.ledgers
        if not known:
            self.secure()
        ledger = self.records.own(run_id)
        if not known:
            gone = describe_owner(ledger.previous or ledger.last_owner)
            for step in list(ledger.state.steps.values()):
                if (
                    step.status == RUNNING
                    and step.kind not in DURABLE_KINDS
                    and step.name not in executing
                ):
                    ledger.note(interrupted_row(step, f"{gone} ended"))
            for session in close_sessions(ledger.state, self.records.inbox):
                ledger.note(session)
        return ledger

    def release(self, run_id: str) -> None:
        """Let go of a run."""
        self.check_fork()
        self.records.release(run_id)

    def peek(self, run_id: str) -> State:
        """Return what is recorded of a run, without owning it."""
        return self.records.peek(run_id)

    def values(self, run_id: str, step: StepRow) -> dict[tuple[str, int], str]:
        """Return the value of a step that was left on disk, and those of the steps behind it.

        By name and attempt: what has been executed again since is another value.

        Raises:
            StepError: the tables have no value of this attempt.
        """
        self.records.fold_open()
        key = step.name, step.attempt
        with self.records.store.reading() as reader:
            found = reader.values(run_id, step.seq, _AHEAD)
            text = found.get(key) or reader.value(run_id, *key)
        if text is None:
            raise StepError(
                f"the step {step.name!r} of run {run_id} has succeeded, but the tables hold no "
                f"value of its attempt {step.attempt}: somebody has changed them. "
                f"run.redo({step.name!r}) has it executed again."
            )
        found[key] = text
        return found

    def whole(self, run_id: str, step: StepRow) -> StepRow:
        """Return *step* with its value, which may have been left on disk, to be recorded again."""
        if not step.left_on_disk:
            return step
        return step._replace(value=self.values(run_id, step)[step.name, step.attempt])

    def cell(self, run_id: str, name: str, attempt: int) -> CellRow | None:
        """Return what a cell has left, from the tables."""
        return self.records.cell(run_id, name, attempt)

    def attempts(self, run_id: str, name: str) -> list[StepRow]:
        """Return the attempts of a step that have begun, oldest first, without their values."""
        return self.records.attempts(run_id, name)

    def recorded(
        self, run_id: str, wanted: Sequence[tuple[str, int]]
    ) -> Iterator[list[Recorded | None]]:
        """Yield what the tables hold of attempts, a part of them at a time.

        Args:
            run_id: the run.
            wanted: the names of the steps, with the numbers of the attempts. What the tables do not
                hold is None.
        """
        self.records.fold_open()
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            with self.records.store.reading() as reader:
                rows = {(r.name, r.attempt): r for r in reader.attempts_of(run_id, some)}
                cells = {(c.step, c.attempt): c for c in reader.cells_of(run_id, some)}
            yield [
                None if row is None or row.left_on_disk else Recorded(row, cells.get(key))
                for key in some
                for row in (rows.get(key),)
            ]

    def last_stored(self, run_id: str, names: Sequence[str]) -> dict[str, int]:
        """Return the last attempt of each step that has stored a value; none of those without."""
        self.records.fold_open()
        with self.records.store.reading() as reader:
            return reader.last_stored(run_id, names)

    def by_hand(self, run_id: str) -> list[str]:
        """Return what the logs hold of changes by hand, in their order; see ``revisions``."""
        self.records.fold_open()
        with self.records.store.reading() as reader:
            return reader.metadata(run_id, BY_HAND)

    # ---- many -----------------------------------------------------------------------------------

    def loops(self) -> list[str]:
        """Return the names of the loops."""
        return self.records.loops()

    def frame(self, query: str, parameters: Any = (), *, parse: bool = False) -> pd.DataFrame:
        """Return the result of a query; with *parse* values instead of JSON text."""
        self.check_fork()
        self.records.fresh()
        with self.records.store.reading() as reader:
            frame = reader.frame(query, parameters)
        return frames.shape(frame, self.codec.show if parse else None)

    def overview(self) -> list[html.RunLine]:
        """Return the newest runs.

        Raises:
            StepbookError: there is no book, or it cannot be read right now.
        """
        self.records.fresh()
        with self.records.store.reading() as reader:
            rows = reader.execute(queries.OVERVIEW, [html.MOST_RUNS])
        return list(map(html.RunLine._make, rows))

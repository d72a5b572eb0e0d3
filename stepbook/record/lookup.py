"""What is recorded in a book: runs found by name and read back, without owning any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import BookMismatchError, InvalidInputError, RunNotFoundError
from ..model.checked import shown
from ..model.rows import with_order
from ..model.spelling import spellings
from . import home
from .journals import gap, tell_damaged, tell_of, tell_unknown
from .ledger import Ledger, State, run_from_header
from .lines import merge, read_header
from .tables.store import BUSY_S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..model.rows import RunRow
    from .lines import Damage, Events, JournalFile
    from .ports import Home
    from .tables.reader import Reader


class Found(NamedTuple):
    """A run that was recorded: what finds it again."""

    id: str
    loop: str
    key: str
    created_at: int
    order: int


def _first_header(paths: list[Path]) -> tuple[dict[str, Any], Damage | None]:
    """Return the first header of a run's files that can be read, and what is odd about those."""
    odd = None
    for path in paths:
        header, damage = read_header(path)
        if header:
            return header, None
        odd = odd or damage
    return {}, odd


def _found(row: RunRow) -> Found:
    return Found(row.id, row.loop, row.key, row.created_at, row.order)


class Lookup:
    """One book, as anybody may look at it.

    Args:
        path: the database file, absolute and resolved, or None for a book in memory.

    Attributes:
        home: what the book consists of; its parts are attributes here, too.
        ledgers: the runs that this process owns, by id.
        book_id: empty until the book was created or found.
    """

    def __init__(self, path: Path | None) -> None:
        self.home: Home = home.at(path)
        self.path = self.home.path
        self.lock = self.home.lock
        self.store = self.home.tables
        self.journals = self.home.journals
        self.inbox = self.home.inbox
        self.locks = self.home.locks
        self.artifacts = self.home.artifacts
        self.ledgers: dict[str, Ledger] = {}
        self.book_id = ""
        self._order = 0  # the highest that the tables had

    @property
    def exists(self) -> bool:
        """Whether the book has been created."""
        return self.home.exists

    @property
    def has_folders(self) -> bool:
        """Whether something can be put beside the tables without creating anything first."""
        return self.home.has_folders

    # ---- finding ----------------------------------------------------------------------------

    def latest(self, loop: str, keys: Sequence[str] | None) -> Found | None:
        """Return the last run of *loop*, and of one of *keys* if given, in tables and journals."""
        loops = spellings(loop)
        # Journals first: what is folded and removed meanwhile is then found in the tables.
        found = [
            run
            for run in self._unfolded()
            if run.loop in loops and (keys is None or run.key in keys)
        ]
        if self.store.exists:
            with self.store.reading() as reader:
                recorded = reader.latest_run(loops, keys)
            if recorded is not None:
                found.append(_found(recorded.row))
        return max(found, key=lambda run: (run.order, run.id), default=None)

    def look_for_order(self) -> None:
        """Look which place the last run in the tables has, for those that are created next."""
        if self.store.exists:
            with self.store.reading() as reader:
                self._order = reader.last_order()

    def ordered(self, row: RunRow) -> RunRow:
        """Return *row*, which is created now, with a place behind all runs of the book.

        Under the open lock, soon after :meth:`look_for_order`.
        """
        last = max([self._order, *(run.order for run in self._unfolded())])
        if row.created_at > last:
            return row
        return row._replace(environment=with_order(row.environment, last + 1))

    def _unfolded(self) -> list[Found]:
        """Return the runs that have journals."""
        rows = [ledger.state.run for ledger in self.ledgers.values()]
        found = [_found(row) for row in rows]
        names = self.journals.look()
        tell_damaged(names.damaged)
        for run_id, paths in names.files.items():
            if run_id in self.ledgers:
                continue
            header, damage = _first_header(paths)
            if header:
                if header["run"] == run_id:
                    found.append(_found(run_from_header(header)))
            elif any(path.exists() for path in paths):  # else it was folded and removed just now
                tell_unknown(run_id, paths, damage)
        return found

    def ids(self, prefix: str = "") -> list[str]:
        """Return the ids of the runs that begin with *prefix*, sorted; of a whole id, it."""
        found = {run.id for run in self._unfolded() if run.id.startswith(prefix)}
        # By its name also one of which the first line is damaged.
        found |= {run for run in self.journals.look().files if run.startswith(prefix)}
        if prefix not in found and self.store.exists:
            with self.store.reading() as reader:
                found |= set(reader.run_ids(prefix))
        return sorted(found)

    def resolve(self, text: str) -> str:
        """Return the id of the run that is meant.

        Args:
            text: an id, the name of a loop (its latest run), or the beginning of only one id, also
                without ``run_``.

        Raises:
            RunNotFoundError: there is none, or there are several.
            InvalidInputError: *text* is no text.
        """
        if not isinstance(text, str) or not text:
            raise InvalidInputError(f"a run's id is a text such as run_7k2m9q4xw3hd, not {text!r}.")
        self.home.check()
        prefix = text if text.startswith("run_") else f"run_{text}"
        ids = self.ids(prefix)
        if prefix in ids:
            return prefix
        latest = self.latest(text, None)
        if latest is not None:
            return latest.id
        if len(ids) == 1:
            return ids[0]
        if ids:
            some = ", ".join(ids[:5])
            raise RunNotFoundError(f"{text!r} begins {len(ids)} ids: {some}. Write more of it.")
        raise RunNotFoundError(
            f"there is no run and no loop {text!r} in {self.path}. `stepbook runs` and book.runs() "
            "list them."
        )

    # ---- reading one run --------------------------------------------------------------------

    def peek(self, run_id: str, timeout: float = BUSY_S) -> State:
        """Return what is recorded of a run, without owning it.

        Raises:
            RunNotFoundError: there is no such run.
        """
        ledger = self.ledgers.get(run_id)
        if ledger is not None:
            return ledger.state
        self.home.check()
        # Journals first: what is folded and removed meanwhile is then found in the tables.
        files = self.journals.read(run_id, attempts=3)
        if not self.store.exists:
            return self.assemble(run_id, None, files)[0]
        with self.store.reading(timeout) as reader:
            try:
                return self.assemble(run_id, reader, files)[0]
            except BookMismatchError:
                if self.journals.paths(run_id):
                    raise
                # Somebody has removed the run meanwhile: its journals first, then its rows.
                return self.assemble(run_id, reader, [])[0]

    def peek_journals(self, run_id: str) -> State | None:
        """Return what the journals alone tell of a run, without the tables; None without any."""
        files = self.journals.read(run_id)
        readable = [file for file in files if file.header]
        if not readable:
            return None
        self._check_headers(run_id, readable)
        state = State(run_from_header(readable[0].header))
        events = merge(files, readable[0].first - 1)
        if events.damage is not None:
            raise events.damage.error()
        state.apply_events(events)
        return state

    def _check_headers(self, run_id: str, files: list[JournalFile]) -> None:
        for file in files:
            if not file.header:
                continue
            if file.header["run"] != run_id:
                raise BookMismatchError(
                    f"the journal {file.path} holds events of another run, "
                    f"{shown(file.header['run'])}, so nothing of it is used. Give the file back "
                    "its name, or move it elsewhere."
                )
            if self.book_id not in ("", file.header.get("book")):
                raise BookMismatchError(
                    f"the journal of run {run_id} in {self.journals.folder} belongs to another "
                    f"book ({file.header.get('book')}, this one is {self.book_id}). Nothing was "
                    "folded. Put the journals back beside their own database."
                )

    def assemble(
        self, run_id: str, reader: Reader | None, files: list[JournalFile]
    ) -> tuple[State, Events, int | None]:
        """Return a run's state, its events beyond the tables, and its number folded last."""
        recorded = reader.run(run_id) if reader is not None else None
        folded = 0 if recorded is None else recorded.folded_seq
        events = merge(files, folded)
        tell_of(events)
        if recorded is None and not events.header:
            raise RunNotFoundError(
                f"there is no run {run_id!r} in {self.path}. `stepbook runs` lists them."
            )
        self._check_headers(run_id, files)
        if events.gap:
            raise gap(self.path, run_id, events.gap)
        state = State(recorded.row if recorded is not None else run_from_header(events.header))
        if reader is not None and recorded is not None:
            for step in reader.steps(run_id, state.budget):
                state.apply(step)
            for scan in reader.scans(run_id):
                state.apply(scan)
            if any(step.kind == "cell" or step.has_drawn for step in state.steps.values()):
                for cell in reader.cells(run_id, state.budget):
                    state.apply(cell)
        state.apply_events(events)
        return state, events, None if recorded is None else folded

"""What ``stepbook doctor`` looks at, area by area, and what to do about what is wrong."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import warnings
from dataclasses import dataclass, field
from json import loads
from typing import TYPE_CHECKING, Final

from ..errors import BookBusyError, BookError, StepbookWarning
from ..model.blobs import NAME
from ..model.checked import shown
from ..model.rows import RUN_ID, RunRow, is_run_id
from ..record.artifacts import TEMPORARY
from ..record.hashing import has_holes
from ..record.home import FileHome, read_book_id
from ..record.journals import about_damaged, about_garbled, gap
from ..record.lines import files_by_run, look, merge, read_files
from ..record.tables.columns import OF_RUNS, TABLES
from ..record.tables.schema import SCHEMA_VERSION
from ..show.words import counted
from ..system.locks import FileLock
from ..system.platform import not_plain, open_plain, read_plain
from ..values.reader import files_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..engine.books import OpenBook
    from ..record.lines import Events, JournalFile
    from ..record.tables.reader import Reader

_BUSY_S: Final = 1.0
_SLOT: Final = re.compile(rf"({RUN_ID})\.[0-9a-f]+\.[0-9]+\.json")
_SLOT_FIELDS: Final = {"step", "session", "payload", "error", "timeout", "at"}
_TABLES: Final = (*TABLES, "meta")
#: What must not be found in the tables: a query that counts, and what a count above 0 means.
_RULES: Final = (
    *(
        (
            f"SELECT count(*) FROM {table} WHERE run_id NOT IN (SELECT id FROM runs)",  # noqa: S608
            f"rows of the table {table} belong to runs that are not there",
        )
        for table in OF_RUNS
    ),
    ("SELECT count(*) - count(DISTINCT id) FROM runs", "runs are there more than once"),
    (
        "SELECT count(*) - count(DISTINCT (run_id, name)) FROM steps",
        "steps are there more than once in their run",
    ),
    (
        "SELECT count(*) FROM steps ANTI JOIN attempts USING (run_id, name, attempt, status)",
        "steps differ from their last attempt",
    ),
)
_STRANGE_IDS: Final = (
    f"SELECT id, loop FROM runs WHERE NOT regexp_full_match(id, '{RUN_ID}') ORDER BY ALL"  # noqa: S608
)
#: Where steps name files: the table, its column with the step, and the one that names files.
_WITH_FILES: Final = (
    ("steps", "name", "return"),
    ("attempts", "name", "return"),
    ("cells", "step", "variables"),
    ("cells", "step", "outputs"),
)
_RESTORE_VALUE: Final = "Restore it from a backup, or redo the step that returned it."
_RESTORE: Final = "Restore the database from a backup; its journals stay where they are."


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    Attributes:
        where: the file, or the table.
        what: what is wrong with it, and what to do.
    """

    where: str
    what: str


@dataclass(slots=True)
class Checked:
    """What was looked at.

    Attributes:
        area: its name.
        facts: what was found in order.
        problems: what was not.
        held: why it could not be looked at now, though nothing is wrong with it.
    """

    area: str
    facts: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    held: str = ""


def examine(book: OpenBook) -> Iterator[Checked]:
    """Yield what was found, area by area.

    Raises:
        BookNotFoundError: there is no book.
    """
    book.check_exists()
    home = book.records.home
    if not isinstance(home, FileHome):
        return
    places = _places(home)
    if places.problems:
        yield places
    if any(not_plain(folder, stat.S_IFDIR) for folder in home.folders):
        return  # what is behind them is not the book's: nothing there is looked at
    tables, folded = _tables(home)
    yield tables
    yield _journals(home, folded)
    yield _locks(home)
    yield _inbox(home, folded)
    named: dict[str, str] = {}
    with contextlib.suppress(BookBusyError):  # held from just now on
        named = _named(home) if folded else {}
    yield _artifacts(home, named)


def _places(home: FileHome) -> Checked:
    """Check what stands where the book's folders and its small files are to be."""
    checked = Checked("files")
    if not all(_expect(folder, stat.S_IFDIR, checked) for folder in home.folders):
        return checked
    _expect(home.folder / ".gitignore", stat.S_IFREG, checked)
    about = home.about
    if _expect(about, stat.S_IFREG, checked) and about.exists() and _book_id(home) is None:
        what = "holds no id of a book. It is made again when the book is next used."
        checked.problems.append(Problem(str(about), what))
    for path in look(home.journals.folder).strange:
        what = "is not called by the id of a run, so it is not read. Move it elsewhere."
        checked.problems.append(Problem(str(path), what))
    return checked


def _expect(path: Path, kind: int, checked: Checked) -> bool:
    """Note it as a problem if something else is at *path*; return whether all is well."""
    error = not_plain(path, kind)
    if error is not None:
        what = f"is not used: {error.strerror}. Nothing behind it was read or changed. Remove it."
        checked.problems.append(Problem(str(path), what))
    return error is None


def _tables(home: FileHome) -> tuple[Checked, dict[str, int] | None]:
    """Check the database; return also the folded number of each run, if it can be read."""
    checked = Checked("tables")
    path = home.path
    if not path.exists() or (home.tables.is_blank and home.about.exists()):
        checked.problems.append(
            Problem(
                str(path),
                "the database is missing. Put it back from a backup; without one, the next command "
                "that reads makes it anew from what the journals hold.",
            )
        )
        return checked, {}
    try:
        with warnings.catch_warnings():  # what they tell of is reported below
            warnings.simplefilter("ignore", StepbookWarning)
            with home.tables.reading(_BUSY_S, bare=True) as reader:
                return checked, _inside(home, reader, checked)
    except BookBusyError as error:
        checked.held = str(error)
    except BookError as error:
        checked.problems.append(Problem(str(path), str(error)))
    except Exception as error:  # noqa: BLE001 - a damaged file makes DuckDB raise many things
        first = (str(error).splitlines() or [type(error).__name__])[0]
        checked.problems.append(Problem(str(path), f"cannot be read: {first}. {_RESTORE}"))
    return checked, None


def _inside(home: FileHome, reader: Reader, checked: Checked) -> dict[str, int] | None:
    meta = reader.meta()
    checked.facts.append(f"schema {meta['schema']}")
    if int(meta["schema"]) > SCHEMA_VERSION:
        what = "was written by a newer stepbook. Upgrade: pip install -U stepbook"
        checked.problems.append(Problem(str(home.path), what))
        return None
    if int(meta["schema"]) < SCHEMA_VERSION:
        checked.facts[-1] += f" (the next fold brings it to {SCHEMA_VERSION})"
    for table in _TABLES[: None if int(meta["schema"]) == SCHEMA_VERSION else 0]:
        # Every value is read, so DuckDB checks every block's checksum.
        count = reader.execute(f"SELECT count(*), bit_xor(hash(t)) FROM {table} AS t")[0][0]  # noqa: S608
        if table in ("runs", "steps"):
            checked.facts.append(counted(count, table[:-1]))
    for query, what in _RULES:
        count = reader.execute(query)[0][0]
        if count:
            checked.problems.append(Problem(str(home.path), f"{what}: {count:,}. {_RESTORE}"))
    for run_id, loop in reader.execute(_STRANGE_IDS):
        what = (
            f"holds a run of the loop {loop!r} under {run_id!r}, which is not an id: it is used "
            "for nothing. Give it its id back, or delete its rows."
        )
        checked.problems.append(Problem(str(home.path), what))
    known = _book_id(home)
    if known not in (None, meta.get("book")):
        checked.problems.append(
            Problem(
                str(home.about),
                f"the folder belongs to the book {known}, the database to {meta.get('book')}. "
                "Put the database and its folder back together.",
            )
        )
    return dict(reader.execute("SELECT id, folded_seq FROM runs"))


def _named(home: FileHome) -> dict[str, str]:
    """Return the artifacts that the tables name, each with all steps that stored it."""
    queries = [
        f"""SELECT run_id, {name}, "{column}" FROM {table}
            WHERE contains("{column}"::VARCHAR, '"sha256"') ORDER BY ALL"""  # noqa: S608
        for table, name, column in _WITH_FILES
    ]
    stored: dict[str, dict[str, list[str]]] = {}
    with home.tables.reading(_BUSY_S, bare=True) as reader:
        for query in queries:
            for run_id, name, text in reader.execute(query):
                for file in files_in(text).values():
                    names = stored.setdefault(file, {}).setdefault(run_id, [])
                    if repr(name) not in names:
                        names.append(repr(name))
    return {
        file: " and ".join(f"{', '.join(names)} of {run_id}" for run_id, names in runs.items())
        for file, runs in stored.items()
    }


def _book_id(home: FileHome) -> str | None:
    try:
        return read_book_id(home.about)
    except BookError:
        return None  # told of with the files


def _journals(home: FileHome, folded: dict[str, int] | None) -> Checked:
    checked = Checked("journals")
    known = _book_id(home)
    waiting = 0
    names = look(home.journals.folder)
    found = names.files
    for path in (path for paths in names.damaged.values() for path in paths):
        checked.problems.append(Problem(str(path), about_damaged(path)))
    for run_id, paths in found.items():
        try:
            files = read_files(paths, attempts=3)
        except OSError as error:
            checked.problems.append(_unreadable(error.filename or paths[0], error))
            continue
        after = (folded or {}).get(run_id, 0)
        events = merge(files, after)
        waiting += len(events.lines)
        checked.problems += _journal_problems(run_id, files, events, known)
        if events.gap and folded is not None:
            checked.problems.append(Problem(str(paths[0]), str(gap(home.path, run_id, events.gap))))
    count = sum(map(len, found.values()))
    if count:
        checked.facts.append(counted(count, "file"))
        checked.facts.append(f"{counted(waiting, 'event')} not in the tables yet")
    else:
        checked.facts.append("none: everything is in the tables")
    return checked


def _journal_problems(
    run_id: str, files: list[JournalFile], events: Events, known: str | None
) -> Iterator[Problem]:
    if events.damage is not None:
        damage = events.damage
        readable = f" Readable before it: {len(events.lines)} events that the tables lack."
        yield Problem(damage.where, str(damage.error()) + readable)
    for garbled in events.garbled:
        yield Problem(garbled.where, about_garbled(garbled))
    for row in events.rows:
        if isinstance(row, RunRow) and row.id != run_id:
            yield Problem(
                str(files[0].path),
                f"holds an event of another run, {shown(row.id)}, so it is not used. Restore it "
                f"from a backup, or move it elsewhere: the run {run_id} cannot be opened with it.",
            )
            break
    for file in files:
        other = file.header.get("book")
        if file.header and known is not None and other != known:
            yield Problem(
                str(file.path),
                f"belongs to another book ({other}; this one is {known}), so it is not folded. "
                "Move it beside its own database.",
            )
        if file.header and file.header.get("run") != run_id:
            yield Problem(
                str(file.path),
                f"holds events of run {shown(file.header['run'])}. Give it back its name, "
                "which is that run's id, a dot, its number and .jsonl.",
            )


def _locks(home: FileHome) -> Checked:
    checked = Checked("locks")
    if closed := home.read_only:
        checked.facts.append(
            f"read-only for this user ({closed}): runs can be looked at, and opened in a copy"
        )
        return checked
    kind = ""
    try:
        for path in sorted(home.locks.folder.glob("*.lock")):
            if not _expect(path, stat.S_IFREG, checked) or not is_run_id(path.stem):
                continue
            if not os.access(path, os.W_OK):
                what = "cannot be written to, so its run cannot be opened. Give yourself the right."
                checked.problems.append(Problem(str(path), what))
                continue
            holder = _holder(path)
            if holder is not None:
                checked.facts.append(f"{path.stem} is open in {holder}")
        if (home.locks.open_path).exists():
            kind = FileLock.try_out(home.locks.open_path)
    except OSError as error:
        checked.problems.append(
            Problem(
                str(home.locks.folder),
                f"locks do not work here: {error.strerror or error}. Put the book on a local disk.",
            )
        )
    if not checked.facts:
        checked.facts.append("no run is open")
    if kind:
        checked.facts.append(f"kind: {kind}")
    return checked


def _holder(path: Path) -> str | None:
    """Return words for who holds a lock, or None if nobody does."""
    return None if FileLock.try_out(path) else FileLock.at(path).describe_holder()


def _inbox(home: FileHome, folded: dict[str, int] | None) -> Checked:
    checked = Checked("inbox")
    runs = {*(folded or ()), *files_by_run(home.journals.folder)}
    held = left = 0
    for path in _files(home.inbox.folder, checked):
        if path.name.startswith("."):
            left += 1
            continue
        problem = _slot_problem(path, runs if folded is not None else None)
        if problem is None:
            held += 1
        else:
            checked.problems.append(Problem(str(path), problem))
    if held or not checked.problems:
        checked.facts.append(f"{held} held" if held else "empty")
    if left:
        checked.facts.append(f"{left} left by senders that died, to be removed at will")
    return checked


def _slot_problem(path: Path, runs: set[str] | None) -> str | None:
    match = _SLOT.fullmatch(path.name)
    if match is None:
        return "is no delivery. Move it elsewhere."
    try:
        content = loads(read_plain(path))
        missing = _SLOT_FIELDS - content.keys()
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        return f"the delivery cannot be read: {error}. Remove the file, then deliver again."
    if missing:
        return f"the delivery lacks {', '.join(missing)}. Remove the file, then deliver again."
    if runs is not None and match[1] not in runs:
        return f"was delivered to run {match[1]}, which is not in this book. Remove the file."
    return None


def _artifacts(home: FileHome, named: dict[str, str]) -> Checked:
    checked = Checked("artifacts")
    folder = home.artifacts.folder
    files = [path for path in _files(folder, checked) if not path.name.endswith(TEMPORARY)]
    for path in files:
        match = NAME.fullmatch(path.name)
        if match is None:
            checked.problems.append(Problem(str(path), "is no artifact. Move it elsewhere."))
            continue
        try:
            changed = _digest(path) != match[1]
        except OSError as error:
            checked.problems.append(_unreadable(path, error))
            continue
        if changed:
            told = f"; {named[path.name]} returned it" if path.name in named else ""
            what = f"its content has changed{told}. {_RESTORE_VALUE}"
            checked.problems.append(Problem(str(path), what))
    there = {path.name for path in files}
    for file, steps in sorted(named.items()):
        if file not in there:
            what = f"is missing; {steps} returned it. {_RESTORE_VALUE}"
            checked.problems.append(Problem(str(folder / file), what))
    count = len(files)
    checked.facts.append(counted(count, "file") if count else "none")
    return checked


def _digest(path: Path) -> str:
    with os.fdopen(open_plain(path), "rb") as file:
        if has_holes(file.fileno()):
            return "nothing that was recorded"
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unreadable(path: Path | str, error: OSError) -> Problem:
    what = f"cannot be read: {error.strerror}. Give yourself the right, or check the disk."
    return Problem(str(path), what)


def _files(folder: Path, checked: Checked) -> list[Path]:
    """Return the plain files in *folder*; what else is there is a problem."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    paths = [folder / name for name in names if name != "work"]
    return [path for path in paths if _expect(path, stat.S_IFREG, checked)]

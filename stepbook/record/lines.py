r"""The journal: the append-only file of one run's events (``docs/journal-format.md``).

One JSON object a line::

    {"seq":7,"synced":5,"type":"step","row":{...},"crc":"1c291ca3"}\n

``seq`` numbers the run's events and never restarts, ``synced`` is the last number known to be on
the disk when the line was written, ``crc`` is the CRC-32 of the line's bytes before ``,"crc"``.
The first line of a file is its header; it has no number of its own. A run has one file for each
time that it was opened and written to, and one more after a failed sync.

Reading tells damage from a tail: a bad line that a later valid line calls synced is **damage**,
and so is a header that cannot be read, since a file gets its name after its header was synced. Any
other bad line begins the **tail**, which nobody was ever told about and which is dropped. A tail
that a power loss cannot have left is dropped as well, but reported, and its bytes are kept.

A line that is whole can still say what stepbook never writes, or what only a newer one does. It
is looked at when it is to be used (:meth:`Line.event`), and is damage as well: its run is left as
it is, and all others go on.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import warnings
import zlib
from dataclasses import dataclass, field
from json import loads
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import BookVersionError, JournalDamagedError, StepbookWarning
from ..model.checked import OddError, checked_header, checked_row, shown
from ..model.compact import compact
from ..model.row_text import row_text
from ..model.rows import ROW_TYPES, RUN_ID
from ..system.console import asks_new
from ..system.platform import Identity, disk, identity_of, open_plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ..errors import BookError
    from ..model.rows import Row

FORMAT: Final = 1
_CRC_TAIL: Final = len(b',"crc":"00000000"}')
_SEQ: Final = re.compile(rb'\{"seq":(\d{1,18}),"synced":(\d{1,18}),')
_NAME: Final = re.compile(rf"(?P<run>{RUN_ID})\.(?P<number>[0-9]{{1,9}})\.jsonl")
#: A file before it gets its name: nobody was told of anything in it.
_UNBORN: Final = re.compile(rf"\.(?P<run>{RUN_ID})\.[0-9]{{1,9}}\.jsonl\.new")
#: A file that was set aside because it is damaged; readers skip it.
_DAMAGED: Final = re.compile(rf"(?P<run>{RUN_ID})\.[0-9]{{1,9}}\.jsonl\.damaged(-[0-9]+)?")
#: What no line holds: control characters are written as escapes.
_CONTROL: Final = re.compile(rb"[\x01-\x1f]")
#: A whole line with something else than its end behind it.
_PAST_THE_END: Final = re.compile(rb',"crc":"[0-9a-f]{8}"\}[^\n\0]')
_CUT_CHARACTER: Final = re.compile(rb"[\x80-\xbf]{1,3}")
_MEMBERS: Final = {"seq", "synced", "type", "row", "crc"}

_encode: Final = compact(allow_nan=True)


def event(row: Row) -> bytes:
    """Return what a line says of one event, whichever number it gets.

    Raises:
        UnicodeEncodeError: the row holds a lone surrogate, which is not Unicode text.
    """
    return f'"type":"{ROW_TYPES[type(row)]}","row":{row_text(row)}'.encode()


def seal_event(seq: int, synced: int, told: bytes) -> bytes:
    """Return the journal line, newline included, of what :func:`event` has told."""
    body = b'{"seq":%d,"synced":%d,%s' % (seq, synced, told)
    return b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def seal(seq: int, synced: int, kind: str, row: dict[str, Any]) -> bytes:
    """Return the journal line, newline included, of any *row*: a header's, too."""
    return seal_event(seq, synced, f'"type":"{kind}","row":{_encode(row)}'.encode())


class Line(NamedTuple):
    """A line that was read back and found whole."""

    seq: int
    synced: int
    raw: bytes  # without the newline

    def parse(self) -> tuple[Any, Any]:
        """Return what the line gives as the event's type and as its row: anything.

        Raises:
            OddError: it is not a line of a journal.
        """
        try:
            told = loads(self.raw, object_pairs_hook=_each_once)
        except UnicodeDecodeError:
            raise OddError("it is not UTF-8") from None
        except RecursionError:
            raise OddError("it is nested too deeply") from None
        except OddError:
            raise
        except ValueError as error:
            raise OddError(f"it is not JSON ({error})") from None
        if told.keys() != _MEMBERS:
            raise OddError(f"its members are {shown(list(told))}")
        return told["type"], told["row"]

    def event(self) -> Row:
        """Return the row of the event.

        Raises:
            OddError: it is none that stepbook writes, or a newer one has written it.
        """
        return checked_row(*self.parse())


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of a line: of a name that is there twice, each reader takes another one."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise OddError("it gives a name twice")
    return found


def seq_of(raw: bytes) -> int:
    """Return the sequence number of a line that is known to be whole."""
    return int(raw[7 : raw.index(b",")])


def parse_line(raw: bytes) -> Line | None:
    """Return the line if its checksum and its form are right, else None."""
    match = _SEQ.match(raw)
    if match is None or raw[-_CRC_TAIL:] != b',"crc":"%08x"}' % zlib.crc32(raw[:-_CRC_TAIL]):
        return None
    return Line(int(match[1]), int(match[2]), raw)


@dataclass(slots=True)
class Damage:
    """A line from which on a journal cannot be used.

    Attributes:
        path: the file.
        line: the line's number.
        why: what it says that stepbook does not write; empty if it cannot be read at all.
        newer: whether a newer stepbook has written it.
    """

    path: Path
    line: int
    why: str = ""
    newer: bool = False

    @property
    def where(self) -> str:
        """The file and the line."""
        return f"{self.path}, line {self.line}"

    def error(self) -> BookError:
        """Return the error that reports it."""
        if self.newer:
            return BookVersionError(
                f"{self.where}: a newer stepbook has written this journal ({self.why}). Its run "
                "was left untouched, and the others can be used. Upgrade: pip install -U stepbook"
            )
        if self.why:
            said = f"this line is whole, but stepbook does not write such lines ({self.why})"
        else:
            said = "this line had been synced to the disk and is damaged now"
        return JournalDamagedError(
            f"{self.where}: {said}, so the events from here on are neither used nor overwritten. "
            "Restore the file from a backup, or start over with "
            f"{asks_new.get()}; `stepbook doctor` lists what is readable.",
            path=str(self.path),
            line=self.line,
        )


@dataclass(slots=True)
class JournalFile:
    """One journal file, read back.

    Attributes:
        path: the file.
        identity: its device and inode.
        header: what its first line says; empty if that cannot be read.
        lines: the whole lines, in order.
        damage: where a synced line is unreadable, if one is.
        blank: whether no line at all can be read.
        tail: how many bytes behind the last whole line were never acknowledged.
        tail_line: the number of the line that they begin.
        garbled: whether the tail holds what a power loss cannot leave.
    """

    path: Path
    identity: Identity
    header: dict[str, Any] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    damage: Damage | None = None
    blank: bool = False
    tail: int = 0
    tail_line: int = 1
    garbled: bool = False

    @property
    def first(self) -> int:
        """The first sequence number that this file may hold."""
        return int(self.header.get("first", 0))


def _header(raw: bytes) -> dict[str, Any]:
    """Return what a file's first line says; empty if that is no line.

    Raises:
        OddError: it is none of a header.
    """
    line = parse_line(raw)
    if line is None:
        return {}
    kind, fields = line.parse()
    if kind != "header":
        raise OddError(f"it begins with {shown(kind)}, not with a header")
    number = fields.get("format") if isinstance(fields, dict) else None
    newer = type(number) is int and number > FORMAT
    try:
        header = checked_header(fields)
    except OddError as error:
        raise OddError(str(error), newer=newer or error.newer) from None
    return header


def _of_newer(header: dict[str, Any]) -> str:
    """Return in which way a header is of a newer stepbook; empty if it is not."""
    number = header.get("format", FORMAT)
    return f"journal format {number}; this one knows {FORMAT}" if number > FORMAT else ""


def read_file(path: Path) -> JournalFile:
    """Read one journal file; bad content is described, not raised.

    Raises:
        OSError: the file cannot be opened or read, or is not a plain file.
    """
    with os.fdopen(open_plain(path), "rb") as file:
        identity = identity_of(os.fstat(file.fileno()))
        raws = file.read().rstrip(b"\0").split(b"\n")
    found = JournalFile(path, identity)
    try:
        found.header = _header(raws[0])
        if why := _of_newer(found.header):
            raise OddError(why, newer=True)  # noqa: TRY301 - as one that cannot be read at all
    except OddError as error:
        found.damage = Damage(path, 1, str(error), error.newer)
        return found
    good = 0
    if found.header:
        for good in range(1, len(raws) + 1):
            line = parse_line(raws[good]) if good < len(raws) else None
            if line is None or line.seq != found.first + len(found.lines):
                break
            found.lines.append(line)
    rest = b"\n".join(raws[good:])
    # A hole of zeros swallows the newline before the next line: look behind it, too.
    fragments = (parse_line(raw) for raw in re.split(rb"[\n\0]+", rest) if raw)
    behind = [line for line in fragments if line is not None]
    bad = found.first + len(found.lines)
    if not found.header or any(line.synced >= bad for line in behind):
        found.damage = Damage(path, good + 1)
    found.blank = not found.header and not behind
    found.tail, found.tail_line = len(rest), good + 1
    found.garbled = not _torn(rest)
    return found


def _torn(rest: bytes) -> bool:
    """Whether a power loss can have left *rest*: pieces of lines, with zeros for what is missing.

    What fills its line without a zero was written whole, and is damaged if it is no line.
    """
    *ended, _ = rest.split(b"\n")
    if any(b"\0" not in raw and parse_line(raw) is None for raw in ended):
        return False
    if _CONTROL.search(rest.replace(b"\n", b"\0")) or _PAST_THE_END.search(rest):
        return False
    for piece in re.split(rb"[\n\0]+", rest):
        cut = _CUT_CHARACTER.match(piece)
        try:
            codecs.getincrementaldecoder("utf-8")().decode(piece[cut.end() if cut else 0 :])
        except UnicodeDecodeError:
            return False
    return True


def read_header(path: Path) -> tuple[dict[str, Any], Damage | None]:
    """Return a journal file's header, empty if it cannot be read, and what is odd about it."""
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            return _header(file.readline().rstrip(b"\n")), None
    except OddError as error:
        return {}, Damage(path, 1, str(error), error.newer)
    except OSError:
        return {}, None


class Names(NamedTuple):
    """What is in a book's journal folder, by run.

    Attributes:
        files: the journal files, each run's in the order they were written.
        unborn: files that never got their name.
        damaged: files that were set aside.
        strange: what is called like a journal, but by nothing that is the id of a run.
    """

    files: dict[str, list[Path]]
    unborn: dict[str, list[Path]]
    damaged: dict[str, list[Path]]
    strange: list[Path]


#: Folders of journals of which it was said that they cannot be read.
_unreadable: Final[set[Path]] = set()


def look(folder: Path) -> Names:
    """Return what is in *folder*, the book's journal folder; it may be missing."""
    found = Names({}, {}, {}, [])
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return found
    except OSError as error:
        if os.access(folder.parent, os.W_OK):
            raise
        if folder not in _unreadable:  # a book that this user can only read, and not all of it
            _unreadable.add(folder)
            warnings.warn(
                f"stepbook: what is not in the tables of the book yet is not shown: {error}",
                StepbookWarning,
                stacklevel=2,
            )
        return found
    kinds = ((_NAME, found.files), (_UNBORN, found.unborn), (_DAMAGED, found.damaged))
    for name in names:
        for pattern, by_run in kinds:
            if match := pattern.fullmatch(name):
                by_run.setdefault(match["run"], []).append(folder / name)
                break
        else:
            if name.endswith(".jsonl"):
                found.strange.append(folder / name)
    for paths in found.files.values():
        paths.sort(key=number_of)
    return found


def files_by_run(folder: Path, prefix: str = "") -> dict[str, list[Path]]:
    """Return the journal files in *folder* by run, each run's in the order they were written.

    Args:
        folder: the book's journal folder; it may be missing.
        prefix: only files of which the name begins with this.
    """
    files = look(folder).files
    return {run: paths for run, paths in files.items() if f"{run}.".startswith(prefix)}


def files_of(folder: Path, run_id: str) -> list[Path]:
    """Return the journal files of one run, in the order they were written."""
    return files_by_run(folder, prefix=run_id + ".").get(run_id, [])


def number_of(path: Path) -> int:
    """Return the number in a journal file's name."""
    return int(path.name.split(".")[1])


def unborn_of(path: Path) -> Path:
    """Return what the file *path* is called until its header is on the disk."""
    return path.with_name(f".{path.name}.new")


def set_aside(path: Path) -> Path:
    """Give a damaged file a name that readers skip, and return that."""
    target, number = path.with_name(f"{path.name}.damaged"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    disk.rename(path, target)
    disk.sync_dir(path.parent)
    return target


@dataclass(slots=True)
class Events:
    """The events of one run that are in its journals, across its files.

    Attributes:
        header: of the first file.
        owner: who wrote last.
        lines: in order and without a gap, behind the number that was asked for.
        rows: what the lines tell, one each.
        damage: where reading had to stop, if it had to.
        gap: how many events are missing where reading had to stop.
        garbled: where files have tails that a power loss cannot have left.
    """

    header: dict[str, Any] = field(default_factory=dict)
    owner: dict[str, Any] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    damage: Damage | None = None
    gap: int = 0
    garbled: list[Damage] = field(default_factory=list)

    def take(self, file: JournalFile, first: int, limit: int | None) -> int:
        """Take in a file's events from number *first* on, and below *limit*; return how many."""
        before = len(self.lines)
        for number, line in enumerate(file.lines, start=2):
            if line.seq < first or (limit is not None and line.seq >= limit):
                continue
            try:
                self.rows.append(line.event())
            except OddError as error:
                self.damage = Damage(file.path, number, str(error), error.newer)
                break
            self.lines.append(line)
        return len(self.lines) - before


def read_files(paths: Iterable[Path], *, attempts: int = 1) -> list[JournalFile]:
    """Read a run's journal files; those that are removed meanwhile are left out.

    Args:
        paths: the run's files, in order.
        attempts: how often to look before damage is believed: a reader beside a live writer can
            see a page that is older than the next one.

    Raises:
        OSError: a file cannot be opened or read.
    """
    files = []
    for path in paths:
        for _ in range(attempts):
            with contextlib.suppress(FileNotFoundError):
                file = read_file(path)
                if file.damage is None:
                    files.append(file)
                    break
        else:
            with contextlib.suppress(FileNotFoundError):
                files.append(read_file(path))
    return files


def merge(files: list[JournalFile], after: int) -> Events:
    """Return a run's events behind number *after*, mostly the one that was folded last."""
    headers = [file.header for file in files if file.header]
    events = Events()
    if headers:
        events.header, events.owner = headers[0], headers[-1].get("owner", {})
    expected = after + 1
    before: JournalFile | None = None
    for index, file in enumerate(files):
        # Lines that a later file begins with again do not count in this one: they were never
        # acknowledged, or the file had lost its name and all of it was written again.
        limit = min((later.first for later in files[index + 1 :] if later.header), default=None)
        if file.header and limit is not None and limit <= file.first:
            continue
        if file.header and file.first > expected:
            if before is not None and before.tail:  # this header calls those lines synced
                events.damage = Damage(before.path, before.tail_line)
            else:
                events.gap = file.first - expected
            break
        expected += events.take(file, expected, limit)
        if events.damage is not None:
            break
        before = file
        if limit is not None and limit <= expected:
            continue
        if file.damage:
            events.damage = file.damage
            break
        if file.garbled:
            events.garbled.append(Damage(file.path, file.tail_line))
    return events

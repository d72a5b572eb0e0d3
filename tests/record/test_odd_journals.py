"""A journal with right checksums says odd things: that run is left as it is, the others go on."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import warnings
import zlib
from pathlib import Path
from typing import Any

import pytest
from pythons import environment

import stepbook
from stepbook.cli import doctor
from stepbook.model.checked import FIELDS, OddError
from stepbook.model.rows import ROW_TYPES
from stepbook.record.ledger import State, run_from_header
from stepbook.record.lines import FORMAT, merge, read_file
from stepbook.record.tables.reader import Reader
from stepbook.record.tables.store import Writer, in_memory

SAMPLES = 25
#: Of what is taken this share is folded, which takes longest.
FOLDED = 0.1
FIXTURE = Path(__file__).parents[1] / "fixtures" / "journal-v1.jsonl"

LEFT = """
    import os, signal, sys, warnings
    import stepbook, stepbook.record.folding

    stepbook.record.folding.GATHER_S = 3600
    book = stepbook.connect(sys.argv[1])
    good = book.run("good")
    good.do("a", lambda: {"n": [1, 2.5, None]})
    good.do("b", lambda: "text")

    def body():
        stepbook.context().log("hello", metadata={"n": 1})
        print("shown")
        return {"id": "p-17"}

    def fails():
        raise LookupError("no such patient")

    odd = book.run("odd", input={"x": 1})
    odd.do("a", body)
    try:
        odd.do("fails", fails)
    except LookupError:
        pass
    odd.do("later", lambda: 1)
    print(good.id, odd.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""

#: What is put in the place of a field, as JSON has it.
VALUES = [
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "NaN",
    "-Infinity",
    "1e999",
    str(1 << 31),
    str(1 << 63),
    "9" * 30,
    "9" * 5000,
    '""',
    '"odd"',
    '"7"',
    r'"\ud800"',
    r'"\"\\ud800\""',
    r'"\u0000"',
    '"[1,]"',
    '"{}"',
    "{}",
    "[]",
    '{"a": {"b": [1]}}',
    '{"a": 1, "a": 2}',
    "[" * 3000 + "]" * 3000,
    json.dumps("[" * 3000 + "]" * 3000),
]


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """A book of which the process was killed, and the ids of its two runs, the odd one last."""
    folder = tmp_path_factory.mktemp("left")
    script = folder / "left.py"
    script.write_text(textwrap.dedent(LEFT))
    (folder / "book").mkdir()
    done = subprocess.run(
        [sys.executable, script, folder / "book" / "stepbook.duckdb"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return folder / "book", *done.stdout.split()[-2:]


def seed() -> int:
    found = int(os.environ.get("STEPBOOK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print("seed", found)
    return found


def sealed(body: bytes) -> bytes:
    """Return a line with the right checksum."""
    return b'%s,"crc":"%08x"}' % (body, zlib.crc32(body))


def body_of(raw: bytes) -> bytes:
    return raw[: raw.rindex(b',"crc":"')]


def with_field(raw: bytes, name: str, value: str | None) -> bytes:
    """Return a line with another text in the place of a field of its row; None leaves it out."""
    told = json.loads(raw)
    fields = {k: json.dumps(v, ensure_ascii=False) for k, v in told["row"].items()}
    fields.pop(name, None)
    if value is not None:
        fields[name] = value
    row = ",".join(f'"{k}":{v}' for k, v in fields.items())
    head = f'{{"seq":{told["seq"]},"synced":{told["synced"]},"type":"{told["type"]}"'
    return sealed(f'{head},"row":{{{row}}}'.encode())


def changes(raws: list[bytes]):
    """Yield each change: what it is, the number of the line, and the line then."""
    by_type = {name: row for row, name in ROW_TYPES.items()}
    header = ["book", "run", "loop", "key", "trigger_type", "input", "created_at", "environment"]
    header += ["owner", "format", "number", "first"]
    seen: set[tuple[str, str]] = set()
    for at, raw in enumerate(raws):
        kind = json.loads(raw)["type"]
        for name in header if kind == "header" else FIELDS[by_type[kind]]:
            if (kind, name) in seen:
                continue
            seen.add((kind, name))
            yield f"{kind} without {name}", at, with_field(raw, name, None)
            for value in VALUES:
                yield f"{kind}.{name} = {value[:30]}", at, with_field(raw, name, value)
        if (kind, "") in seen:
            continue
        seen.add((kind, ""))
        body = body_of(raw)
        for what, changed in {
            "unknown type": re.sub(rb'"type":"\w+"', b'"type":"dream"', body),
            "type of a number": re.sub(rb'"type":"\w+"', b'"type":7', body),
            "type of a list": re.sub(rb'"type":"\w+"', b'"type":["step"]', body),
            "header in the middle": re.sub(rb'"type":"\w+"', b'"type":"header"', body),
            "no type": re.sub(rb'"type":"\w+",', b"", body),
            "type twice": body + b',"type":"log"',
            "seq twice": body + b',"seq":1',
            "one more member": body + b',"more":1',
            "row a list": body[: body.index(b'"row":')] + b'"row":[1]',
            "row null": body[: body.index(b'"row":')] + b'"row":null',
            "row a number": body[: body.index(b'"row":')] + b'"row":7',
            "no row": body[: body.index(b',"row":')],
            "row not closed": body[:-1],
            "not UTF-8": body[:-1] + b',"extra":"\xff\xfe"}',
            "unknown field": body[:-1] + b',"dream":{"a":[1]}}',
            "name twice": body[:-1] + b',"name":"a","name":"b"}',
            "deep": body[:-1] + b',"extra":' + b"[" * 5000 + b"]" * 5000 + b"}",
            "NaN": body[:-1] + b',"extra":NaN}',
        }.items():
            yield f"{kind}: {what}", at, sealed(changed)


def journal_of(folder: Path, run_id: str) -> Path:
    (file,) = (folder / "stepbook.duckdb.d" / "journal").glob(f"{run_id}.*")
    return file


def changed_lines(raws: list[bytes], at: int, line: bytes) -> bytes:
    return b"\n".join([*raws[:at], line, *raws[at + 1 :]]) + b"\n"


def raws_of(left) -> list[bytes]:
    folder, _, odd = left
    return journal_of(folder, odd).read_bytes().rstrip(b"\0").splitlines()


def test_the_journals_here_have_events_of_all_types(left):
    raws = [*raws_of(left), *FIXTURE.read_bytes().splitlines()]
    assert {json.loads(raw)["type"] for raw in raws} == {"header", *ROW_TYPES.values()}


def test_whatever_a_field_holds_is_refused_at_the_border_or_goes_into_the_tables(tmp_path, left):
    chance = random.Random(seed())
    taken = refused = 0
    connection, name = in_memory("0" * 16)
    writer = Writer(connection, name)
    for number, raws in enumerate((raws_of(left), FIXTURE.read_bytes().splitlines())):
        header = json.loads(raws[0])["row"]
        path = tmp_path / f"{header['run']}.{number}.jsonl"
        for what, at, line in changes(raws):
            path.write_bytes(changed_lines(raws, at, line))
            file = read_file(path)
            events = merge([file], 0)
            if events.damage is not None:
                # With another first number the line behind the header has a wrong one.
                shifted = bool(file.header) and what.startswith("header.first")
                assert events.damage.line == at + 1 + shifted, what
                assert isinstance(events.damage.error(), stepbook.StepbookError)
                assert len(events.rows) == len(events.lines) == max(at - 1, 0), what
                refused += 1
                continue
            if events.gap or file.header["run"] != header["run"]:
                refused += 1  # looked at when the run is put together
                continue
            taken += 1
            state = State(run_from_header(file.header))
            try:
                state.apply_events(events)
            except stepbook.BookMismatchError:
                continue
            if chance.random() > FOLDED:
                continue
            folded = writer.fold(header["run"], file.header, [e.raw for e in events.lines])
            assert folded == len(raws) - 1, what
            reader = Reader(connection)
            steps = {step.name: step for step in reader.steps(header["run"], 1 << 30)}
            assert steps == state.steps, what
            for table in ("runs", "steps", "scans", "logs", "passes"):
                assert reader.frame(f"SELECT * FROM {table}") is not None, what
            writer.delete_runs([header["run"]])
    connection.close()
    assert taken > 100
    assert refused > 1000


class Opened:
    """A copy of the book with an odd journal, and what is said while it is used."""

    def __init__(self, left, target: Path) -> None:
        folder, self.good, self.odd = left
        shutil.copytree(folder, target)
        self.journal = journal_of(target, self.odd)
        self.book = stepbook.connect(target / "stepbook.duckdb")
        self.said: list[str] = []

    def act(self, act):
        """Do something; return the error of stepbook that it raised, if it did."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                act()
            except stepbook.StepbookError as error:
                return error
            finally:
                self.said += [str(w.message) for w in caught]
        return None

    def doctor(self) -> str:
        return "\n".join(
            f"{problem.where} {problem.what}"
            for checked in doctor.examine(self.book._opened)
            for problem in checked.problems
        )

    def check(self, what: str) -> stepbook.StepbookError | None:
        """Use everything of the book; return what the odd run's opening raised."""
        told = self.doctor()
        lists: list[Any] = []
        assert self.act(lambda: lists.append(self.book.runs())) is None, what
        [listed] = lists
        assert self.good in set(listed["id"]), what
        assert self.act(self.book.steps) is None, what
        self.replays_good(what)
        assert self.act(lambda: self.book.deliver_scan(self.good, {"n": 1})) is None, what
        executed: list[str] = []
        error = self.act(lambda: self.opens_odd(executed))
        if self.odd not in set(listed["id"]):
            assert self.odd in told, what
            assert any(self.odd in said for said in self.said), what
            assert error is not None or executed == ["a"], what  # or it is a new run
        assert self.act(self.book.summary) is None, what
        assert self.act(lambda: self.book.prune(keep=0)) is None, what
        self.book.close()
        return error

    def replays_good(self, what: str) -> None:
        runs: list[stepbook.Run] = []
        assert self.act(lambda: runs.append(self.book.run("good"))) is None, what
        (run,) = runs
        assert run.id == self.good, what
        executed: list[str] = []
        assert run.do("a", lambda: executed.append("a")) == {"n": [1, 2.5, None]}, what
        assert run.do("b", lambda: executed.append("b")) == "text", what
        assert not executed, what
        run.close()

    def opens_odd(self, executed: list[str]) -> None:
        run = self.book.run("odd", input={"x": 1})
        try:
            run.do("a", lambda: executed.append("a"))
            self.book.steps()
            repr(run.timeline())
        finally:
            run.close()


def test_whatever_one_journal_says_the_rest_of_the_book_can_be_used(left, tmp_path):
    raws = raws_of(left)
    every = list(changes(raws))
    for number, (what, at, line) in enumerate(random.Random(seed()).sample(every, SAMPLES)):
        opened = Opened(left, tmp_path / f"book-{number}")
        opened.journal.write_bytes(changed_lines(raws, at, line))
        opened.check(what)
        shutil.rmtree(opened.journal.parents[2])


@pytest.mark.parametrize("what", ["type", "field", "format"])
def test_a_run_that_a_newer_version_has_written_asks_for_an_upgrade(left, tmp_path, what):
    opened = Opened(left, tmp_path / "book")
    raws = raws_of(left)
    if what == "type":
        raws[2] = sealed(re.sub(rb'"type":"\w+"', b'"type":"dream"', body_of(raws[2])))
    elif what == "field":
        at = next(at for at, raw in enumerate(raws) if b'"type":"step"' in raw)
        raws[at] = with_field(raws[at], "kind", '"dream"')
    else:
        raws[0] = with_field(raws[0], "format", str(FORMAT + 1))
    content = b"\n".join(raws) + b"\n"
    opened.journal.write_bytes(content)
    error = opened.check(what)
    assert isinstance(error, stepbook.BookVersionError)
    assert "pip install -U stepbook" in str(error)
    assert "pip install -U stepbook" in opened.said[0]
    assert opened.journal.read_bytes() == content


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_stands_in_the_place_of_a_journal_blocks_only_its_run(left, tmp_path, kind):
    opened = Opened(left, tmp_path / "book")
    if kind == "link":
        target = tmp_path / "elsewhere"
        opened.journal.rename(target)
        opened.journal.symlink_to(target)
    else:
        opened.journal.unlink()
        (os.mkfifo if kind == "pipe" else os.mkdir)(opened.journal)
    opened.check(kind)


def test_an_odd_line_behind_those_in_the_tables_leaves_these_in_use(left, tmp_path):
    opened = Opened(left, tmp_path / "book")
    opened.act(opened.book.runs)
    opened.book.close()
    folder, _, odd = left
    raws = raws_of(left)
    last = json.loads(raws[-1])
    header = with_field(raws[0], "first", str(last["seq"] + 1))
    line = sealed(b'{"seq":%d,"synced":%d,"type":"log","row":{"level":7}' % (last["seq"] + 1, 0))
    target = opened.journal.parent / journal_of(folder, odd).name
    target.write_bytes(header + b"\n" + line + b"\n")
    assert odd in set(opened.book.steps()["run_id"])
    assert isinstance(opened.check("behind"), stepbook.JournalDamagedError)
    assert f"{target}, line 2" in opened.doctor()


def test_an_odd_error_names_the_field_and_what_it_holds():
    with pytest.raises(OddError, match="the field level of its log is 'loud', which is not known"):
        stepbook.model.checked.checked_row(
            "log", {"level": "loud", "message": "x", "created_at": 1}
        )

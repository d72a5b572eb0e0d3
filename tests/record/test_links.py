"""Links, pipes and folders in place of a book's files: refused, and left as they are."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import duckdb
import pytest
from click.testing import CliRunner

import stepbook
from stepbook.cli.main import cli
from stepbook.record.tables.opening import state_of
from stepbook.record.tables.vouched import note

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")

NAME = "stepbook.duckdb"
HOME = f"{NAME}.d"
RUN = "run_0123456789ab"
#: What can stand in place of a file or folder: how it is made, given its path and the victims.
KINDS = {
    "link to a file": lambda path, victims: path.symlink_to(victims[0]),
    "link to a folder": lambda path, victims: path.symlink_to(victims[0].parent),
    "link to nothing": lambda path, victims: path.symlink_to(victims[0].with_name("not there")),
    "link to a device": lambda path, _: path.symlink_to("/dev/zero"),
    "pipe": lambda path, _: os.mkfifo(path),
    "socket": lambda path, _: bind(path),
    "folder": lambda path, _: (path.mkdir(), (path / "a").write_text("kept")),
    "file": lambda path, _: path.write_text("a file of the user's"),
    "hard link": lambda path, victims: path.hardlink_to(victims[1]),
}
EVERY_LINK = ("link to a file", "link to a folder", "link to nothing")
NO_FILE = (*EVERY_LINK, "link to a device", "pipe", "socket", "folder")
NO_FOLDER = (*EVERY_LINK, "pipe", "socket", "file")
#: Which of them stand where.
PLACES = {
    NAME: ("pipe", "socket"),
    f"{NAME}.wal": (*NO_FILE, "hard link"),
    f"{NAME}.wal.checkpoint": (*EVERY_LINK, "pipe", "hard link"),
    f"{NAME}.wal.recovery": (*EVERY_LINK, "pipe", "hard link"),
    f"{NAME}.tmp": (*EVERY_LINK, "pipe"),
    f"{NAME}.tmp/duckdb_temp_storage_DEFAULT-0.tmp": ("link to a file", "link to nothing"),
    HOME: NO_FOLDER,
    f"{HOME}/journal": NO_FOLDER,
    f"{HOME}/locks": NO_FOLDER,
    f"{HOME}/inbox": NO_FOLDER,
    f"{HOME}/artifacts": NO_FOLDER,
    f"{HOME}/artifacts/work": NO_FOLDER,
    f"{HOME}/.gitignore": NO_FILE,
    f"{HOME}/book.json": NO_FILE,
    f"{HOME}/journal/{RUN}.1.jsonl": NO_FILE,
    f"{HOME}/journal/strange.jsonl": NO_FILE,
    f"{HOME}/locks/open.lock": NO_FILE,
    f"{HOME}/locks/artifacts.lock": NO_FILE,
    f"{HOME}/locks/RUN.lock": NO_FILE,
    f"{HOME}/inbox/SLOT": NO_FILE,
    f"{HOME}/artifacts/ARTIFACT": NO_FILE,
    f"{HOME}/artifacts/{'0' * 64}.json": NO_FILE,
    f"{HOME}/artifacts/work/RUN": NO_FOLDER,
}
#: What is done with each of those books, in a process of its own that may hang.
USER = """
import json, os, sys, warnings
import stepbook
from stepbook.cli import doctor as _doctor
warnings.simplefilter("ignore")
run_id, *books = sys.argv[1:]

def walk(book):
    with book.run("review") as run:
        run.do("Text", lambda: "y" * 200_000)
        run.do("Write", lambda ctx: ctx.file("note.txt").write_text("x"))
        run.do("More", lambda: "z" * 100_000)
        run.redo("More")

def store(book):
    with book.run("other") as run:
        run.do("Text", lambda: "a" * 150_000)

def wait(book):
    book.deliver_scan(run_id, {"ok": True}, name="Scan")

def take(book):
    book.get(run_id).wait_for_scan(name="Scan", timeout=0.01)

ACTIONS = {
    "run": walk,
    "store": store,
    "deliver": wait,
    "wait": take,
    "runs": lambda book: book.runs(),
    "get": lambda book: book.get("review").artifact("Text"),
    "doctor": lambda book: [
        str(problem) for area in _doctor.examine(book._opened) for problem in area.problems
    ],
    "prune": lambda book: book.prune(keep=0),
    "delete": lambda book: book.delete(run_id, force=True),
}
for path in books:
    book = stepbook.connect(path)
    for name, action in ACTIONS.items():
        try:
            result = action(book)
            told = "; ".join(result) if name == "doctor" else "ok"
            good = True
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            good = isinstance(error, stepbook.StepbookError)
        print(json.dumps([os.path.dirname(path), name, good, told]), flush=True)
    try:
        book.close()
    except stepbook.StepbookError:
        pass
"""


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A book with a run that has a slot, an artifact and a workspace; the run's id."""
    folder = tmp_path_factory.mktemp("template")
    book = stepbook.connect(folder / NAME)
    run = book.run("review")
    run.do("Text", lambda: "y" * 200_000)
    run.log("so that it has a row")
    book.deliver_scan(run.id, {"ok": 1}, name="Scan")
    run.finish()
    book.close()
    return folder, run.id


def snapshot(*roots: Path) -> dict[str, tuple]:
    found = {}
    for root in roots:
        for path in sorted((root, *root.rglob("*"))):
            info = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            found[str(path)] = (info.st_mode, info.st_size, info.st_mtime_ns, content)
    return found


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("place", PLACES)
def test_what_stands_in_place_of_a_file_or_folder_is_left_alone(tmp_path, template, place):
    made, run_id = template
    (slot,) = (path.name for path in (made / HOME / "inbox").iterdir())
    (artifact,) = (p.name for p in (made / HOME / "artifacts").iterdir() if p.is_file())
    name = place.replace("SLOT", slot).replace("ARTIFACT", artifact).replace("RUN", run_id)
    folder = tmp_path / "victim"
    folder.mkdir()
    files = [folder / "thesis.txt", folder / "data.csv"]
    for file in files:
        file.write_text("years of work")
    hashed = folder / "0123456789abcdef"  # as a workspace is called
    hashed.mkdir()
    (hashed / "kept.txt").write_text("kept")
    books, planted = [], {}
    for kind in PLACES[place]:
        copy = tmp_path / kind
        shutil.copytree(made, copy)
        note(
            copy / NAME, state_of(copy / NAME)
        )  # else each one is looked at apart, which takes long
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        KINDS[kind](target, files)
        planted[str(copy)] = target
        books.append(copy / NAME)
    before = snapshot(folder)
    script = tmp_path / "user.py"
    script.write_text(USER)
    done = subprocess.run(
        [sys.executable, str(script), run_id, *map(str, books)],
        capture_output=True,
        text=True,
        timeout=120,  # a pipe that is waited for would take for ever
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == 9 * len(books), done.stderr
    assert not [one for one in told if not one[2]], told
    assert snapshot(folder) == before
    for where, target in planted.items():
        texts = [text for at, _, _, text in told if at == where]
        assert any(str(target) in text for text in texts), (where, texts)


def test_doctor_tells_of_a_folder_that_is_a_link_and_looks_at_nothing_behind_it(tmp_path, template):
    book = tmp_path / "book"
    shutil.copytree(template[0], book)
    shutil.rmtree(book / HOME / "inbox")
    (book / HOME / "inbox").symlink_to(tmp_path)
    result = CliRunner().invoke(cli, ["doctor", "--book", str(book / NAME)])
    assert result.exit_code == 1
    assert f"{book / HOME / 'inbox'}\n    is not used: it is a link to {tmp_path}" in result.stdout
    assert "1 problem" in result.stdout


# ---- links that the user means


def test_a_book_behind_a_link_is_the_book_that_it_leads_to(tmp_path, template, monkeypatch):
    disk, project = tmp_path / "disk", tmp_path / "project"
    shutil.copytree(template[0], disk)
    project.mkdir()
    (project / NAME).symlink_to(disk / NAME)
    for book in (stepbook.connect(project / NAME), connect_in(project, monkeypatch)):
        assert book.path == disk / NAME
        run = book.run("review")
        assert run.do("Text", lambda: 1) == "y" * 200_000
        run.close()
        book.close()
    assert [path.name for path in project.iterdir()] == [NAME]


def connect_in(folder: Path, monkeypatch) -> stepbook.Book:
    monkeypatch.chdir(folder)
    return stepbook.connect()


def test_a_link_that_leads_nowhere_is_taken_for_no_book_unless_it_is_named(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    target = tmp_path / "disk" / NAME
    target.parent.mkdir()
    (tmp_path / NAME).symlink_to(target)
    with pytest.raises(stepbook.NotABookError, match=f"{tmp_path / NAME} is a link to {target}"):
        connect_in(tmp_path, monkeypatch)
    assert not list(target.parent.iterdir())
    book = stepbook.connect(tmp_path / NAME)
    book.run("review").finish()
    book.close()
    assert target.is_file()


@pytest.mark.parametrize("path", ["a\\b.duckdb", "a\\b/stepbook.duckdb"])
def test_a_path_that_duckdb_would_read_as_another_is_refused(tmp_path, path):
    with pytest.raises(stepbook.InvalidInputError, match="backslash"):
        stepbook.connect(tmp_path / path)


# ---- files that are not DuckDB's


def sqlite(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE meta (key TEXT, value TEXT)")
        other.execute("INSERT INTO meta VALUES ('format', 'stepbook')")
        other.commit()


OTHERS = {
    "SQLite": sqlite,
    "text": lambda path: path.write_text("thesis " * 10_000),
    "empty": lambda path: path.touch(),
    "short": lambda path: path.write_bytes(b"12345678DUC"),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("use", ["run", "runs"])
def test_a_file_that_is_not_duckdbs_never_gets_to_duckdb(tmp_path, kind, use, monkeypatch):
    path = tmp_path / NAME
    OTHERS[kind](path)
    before = snapshot(tmp_path)
    handed = []
    monkeypatch.setattr(duckdb, "connect", lambda *given, **_: handed.append(given))
    book = stepbook.connect(path)
    with pytest.raises(stepbook.NotABookError, match="is not a DuckDB database"):
        book.run("review") if use == "run" else book.runs()
    assert not handed
    if use == "run":
        assert snapshot(tmp_path) == before
    assert path.read_bytes() == before[str(path)][-1]


# ---- the look at the header


OTHER_PROCESS = """
import sys, duckdb
try:
    duckdb.connect(sys.argv[1])
except duckdb.IOException as error:
    print("refused", error)
else:
    print("let in")
"""


def another_process(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("looks", [1, 3])
def test_a_look_at_the_file_does_not_drop_the_lock_of_the_users_own_connection(
    tmp_path, template, looks
):
    shutil.copytree(template[0], tmp_path / "book")
    path = tmp_path / "book" / NAME
    with contextlib.closing(duckdb.connect(path)) as mine:
        assert another_process(path).startswith("refused")
        book = stepbook.connect(path)
        for number in range(looks):
            # Changed by others than stepbook, so it is looked at again.
            mine.execute("UPDATE runs SET note = $1", [str(number)])
            run = book.run("review")
            assert run.do("Text", lambda: 1) == "y" * 200_000
            run.finish()
            assert len(book.runs()) == 1
        assert another_process(path).startswith("refused")
        mine.execute("UPDATE runs SET note = 'mine'")
    assert book.sql("SELECT note FROM runs")["note"].tolist() == ["mine"]
    book.close()
    assert another_process(path) == "let in\n"


def test_looks_keep_one_descriptor_for_each_file_as_long_as_it_has_a_name(tmp_path, template):
    shutil.copytree(template[0], tmp_path / "book")
    path = tmp_path / "book" / NAME
    book = stepbook.connect(path)
    count = []
    for number in range(5):
        with contextlib.closing(duckdb.connect(path)) as mine:
            mine.execute("UPDATE runs SET note = $1", [str(number)])
        assert len(book.runs()) == 1
        count.append(len(os.listdir("/dev/fd")))
    assert len(set(count)) == 1
    for _ in range(5):  # a copy that is put in its place is another file each time
        shutil.copy(path, tmp_path / "copy")
        (tmp_path / "copy").replace(path)
        assert len(book.runs()) == 1
        count.append(len(os.listdir("/dev/fd")))
    assert max(count) == count[0]
    book.close()


# ---- files that a step writes


def test_a_file_of_a_step_that_is_a_link_is_refused_and_what_it_leads_to_is_left_alone(
    book, tmp_path
):
    model = tmp_path / "model.bin"
    model.write_bytes(b"weights")
    model.chmod(0o600)
    run = book.run("review")

    def body(ctx):
        path = ctx.file("model.bin")
        path.symlink_to(model)
        return path

    with pytest.raises(stepbook.NotSerializableError, match=r"it is a link to .*model\.bin"):
        run.do("Train", body)
    assert model.read_bytes() == b"weights"
    assert model.stat().st_mode & 0o777 == 0o600
    run.close()


def test_a_file_of_a_step_with_a_second_name_is_copied(book, tmp_path):
    model = tmp_path / "model.bin"
    model.write_bytes(b"weights")
    model.chmod(0o600)
    run = book.run("review")

    def body(ctx):
        path = ctx.file("model.bin")
        path.hardlink_to(model)
        return path

    stored = run.do("Train", body)
    assert stored.read_bytes() == b"weights"
    model.write_bytes(b"later weights")
    assert model.stat().st_mode & 0o777 == 0o600
    assert model.stat().st_nlink == 1
    run.close()
    again = book.run("review").do("Train", body)
    assert again == stored
    assert again.read_bytes() == b"weights"

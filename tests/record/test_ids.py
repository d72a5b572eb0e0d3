"""Ids become paths: what is not a run's or a book's id is reported, and used for nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import textwrap
import warnings
from typing import TYPE_CHECKING

import duckdb
import pytest
from click.testing import CliRunner

import stepbook
from stepbook.cli.main import cli
from stepbook.record.lines import seal

if TYPE_CHECKING:
    from pathlib import Path

#: In the folder of workspaces this is the victim, in the other folders a place above it.
ABOVE = "../../../../victim"
BAD_IDS = (
    ABOVE,
    "../victim",
    "..",
    "/var",
    "run_*",
    "run_????????????",
    "run_[0-9a-z]*",
    "run_7k2m9q4xw3h",
    "run_7k2m9q4xw3hdd",
    "run_7K2M9Q4XW3HD",
    "run_iiiiiiiiiiii",
    "run_7k2m9q4xw3hd\n",
    "run_7k2m9q4xw3h/",
    "run_٣٣٣٣٣٣٣٣٣٣٣٣",
    "",
)


def never():
    raise AssertionError("executed")


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    return folder / "stepbook.duckdb"


@pytest.fixture
def victim(path):
    """A folder of the user's, with files, that every part of ABOVE leads to."""
    files = {}
    for folder in (path.parent, *path.parents[1:3]):
        place = folder / "victim"
        place.mkdir()
        (place / "thesis.txt").write_text("years of work")
        (folder / "victim.lock").write_text("a lock of another program")
        files |= {place / "thesis.txt": None, folder / "victim.lock": None}
    return outside(path)


def outside(path: Path) -> dict[str, bytes | None]:
    """All that is in the test's folder and is not of the book."""
    root = path.parents[2]
    return {
        str(one.relative_to(root)): one.read_bytes() if one.is_file() else None
        for one in sorted(root.rglob("*"))
        if not one.is_relative_to(path.with_name(path.name + ".d"))
        and one not in (path, path.with_name(path.name + ".wal"))
    }


@pytest.fixture
def recorded(path, victim):
    """A book with two finished runs of one loop and one of another; the ids of the first two."""
    book = stepbook.connect(path)
    ids = []
    for key in ("one", "two"):
        with book.run("review", key=key) as run:
            run.do("Load", lambda key=key: key)
        ids.append(run.id)
    book.run("other").finish()
    book.close()
    return ids


def rename(path: Path, run_id: str, to: str) -> None:
    """Give a run another id in all tables, as anybody can who writes to the file."""
    with contextlib.closing(duckdb.connect(path)) as tables:
        tables.execute("UPDATE runs SET id = $1 WHERE id = $2", [to, run_id])
        for table in ("steps", "attempts", "passes", "logs"):
            tables.execute(f"UPDATE {table} SET run_id = $1 WHERE run_id = $2", [to, run_id])


def in_another_process(path: Path) -> None:
    """Record a step where nothing is known of the book yet."""
    code = """
        import sys, stepbook
        book = stepbook.connect(sys.argv[1])
        assert book.run("review", key="fresh").do("Load", lambda: 1) == 1
        book.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def home(path: Path) -> Path:
    return path.with_name(path.name + ".d")


# ---- tables


def test_ids_of_the_tables_that_are_none_are_used_for_nothing(path, victim, recorded):
    with contextlib.closing(duckdb.connect(path)) as tables:
        for bad in BAD_IDS:
            tables.execute("INSERT INTO runs SELECT * REPLACE ($1 AS id) FROM runs LIMIT 1", [bad])
            tables.execute(
                "INSERT INTO steps SELECT * REPLACE ($1 AS run_id) FROM steps LIMIT 1", [bad]
            )
        # As the newest of their loop and key they would be opened.
        tables.execute(
            "UPDATE runs SET created_at = created_at + INTERVAL 1 DAY WHERE id NOT IN ($1, $2)",
            recorded,
        )
    book = stepbook.connect(path)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert len(book.runs()) == 3 + len(BAD_IDS)
        book.unfinished()
    assert sum("not ids" in str(one.message) for one in warned) == 1
    assert book.get("review").id == recorded[1]
    for bad in filter(None, BAD_IDS):
        for use in (
            lambda bad=bad: book.get(bad),
            lambda bad=bad: book.deliver_scan(bad, 1),
            lambda bad=bad: book.delete(bad, force=True),
            lambda bad=bad: book.loop("review")(never).resume(bad),
        ):
            with pytest.raises(stepbook.RunNotFoundError):
                use()
        result = CliRunner().invoke(cli, ["--book", str(path), "redo", "--", bad, "Load"])
        assert result.exit_code == 1, result.output
    run = book.run("review", key="one")
    assert run.id == recorded[0]
    assert run.do("Load", never) == "one"
    run.close()
    pruned = set(book.prune(keep=0)["id"])
    assert pruned >= set(recorded)
    assert not pruned & set(BAD_IDS)
    assert set(book.sql("SELECT id FROM runs")["id"]) == set(BAD_IDS)
    book.close()
    assert outside(path) == victim


def test_a_new_run_beside_one_with_a_path_as_its_id_writes_its_files_in_the_book(
    path, victim, recorded
):
    rename(path, recorded[1], ABOVE)
    book = stepbook.connect(path)

    def body(ctx):
        ctx.file("note.txt").write_text("x")

    with pytest.warns(stepbook.StepbookWarning, match="stepbook doctor"):
        run = book.run("review", key="two")
    assert run.id not in (ABOVE, *recorded)
    run.do("Write", body)
    run.redo("Write")
    run.close()
    book.close()
    assert outside(path) == victim


def test_a_run_that_the_tables_call_by_a_pattern_takes_no_deliveries_of_others(
    path, victim, recorded
):
    rename(path, recorded[1], "run_*")
    book = stepbook.connect(path)
    with pytest.warns(stepbook.StepbookWarning):
        run = book.run("waits")
    book.deliver_scan(run.id, {"ok": True})
    run.close()
    book.prune(keep=0)
    assert book.run("waits").wait_for_scan(timeout=1) == {"ok": True}
    book.close()


def test_doctor_reports_ids_that_are_none(path, recorded):
    rename(path, recorded[1], ABOVE)
    (home(path) / "journal" / "run_*.1.jsonl").write_text("")
    (home(path) / "inbox" / "run_[a]bcdefghijk.00ff.1.json").write_text("{}")
    result = CliRunner().invoke(cli, ["doctor", "--book", str(path)])
    assert result.exit_code == 1
    assert repr(ABOVE) in result.stdout
    assert "run_*.1.jsonl" in result.stdout
    assert "run_[a]bcdefghijk.00ff.1.json" in result.stdout
    assert "3 problems" in result.stdout


# ---- journals


def journal(path: Path, name: str, header_run: object, *rows: tuple[str, dict]) -> Path:
    """A journal as another program can write it: all its checksums are right."""
    about = json.loads((home(path) / "book.json").read_text())
    header = {
        "format": 1, "number": 1, "first": 1, "book": about["book"], "run": header_run,
        "loop": "forged", "key": "null", "input": "null", "trigger_type": "user",
        "created_at": 1, "owner": {},
    }  # fmt: skip
    lines = [seal(0, 0, "header", header)]
    lines += [seal(n, n - 1, kind, row) for n, (kind, row) in enumerate(rows, start=1)]
    file = home(path) / "journal" / name
    file.write_bytes(b"".join(lines))
    return file


STEP = {
    "seq": 1, "name": "Load", "kind": "do", "status": "succeeded", "attempt": 1, "return": "1"
}  # fmt: skip


def test_headers_that_name_another_run_than_their_file_are_used_for_nothing(path, victim, recorded):
    names = {}
    for number, bad in enumerate([*BAD_IDS, 5, None, ["a"], "run_ffffffffffff"]):
        name = f"run_0123456789{number:02}"
        file = journal(path, f"{name}.1.jsonl", bad, ("step", STEP))
        names[name] = (file, file.read_bytes())
    book = stepbook.connect(path)
    for name in names:
        with pytest.raises(stepbook.BookMismatchError, match=f"{name}.1.jsonl"):
            book.get(name)
        with pytest.raises(stepbook.BookMismatchError, match=f"{name}.1.jsonl"):
            book.deliver_scan(name, 1)
    with pytest.warns(stepbook.StepbookWarning, match="left as it is") as warned:
        assert len(book.runs()) == 3
    assert len(warned) == len(names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with book.run("forged") as run:
            assert run.id not in names
            assert run.do("Load", lambda: 2) == 2
        book.prune(keep=0)
    book.close()
    assert all(file.read_bytes() == content for file, content in names.values())
    assert outside(path) == victim


@pytest.mark.parametrize("bad", [ABOVE, "run_*", "run_ffffffffffff"])
def test_an_event_that_gives_a_run_another_id_is_refused(path, victim, recorded, bad):
    name = "run_0123456789ab"
    row = {
        "id": bad, "loop": "forged", "key": "null", "status": "failed", "trigger_type": "user",
        "input": "null", "created_at": 1,
    }  # fmt: skip
    file = journal(path, f"{name}.1.jsonl", name, ("run", row), ("step", STEP))
    before = file.read_bytes()
    book = stepbook.connect(path)
    for use in (lambda: book.run("forged"), lambda: book.get(name)):
        with pytest.raises(stepbook.BookMismatchError, match="another run"):
            use()
    with pytest.warns(stepbook.StepbookWarning, match="left as it is"):
        book.runs()
    book.close()
    assert file.read_bytes() == before
    assert outside(path) == victim


def test_a_journal_whose_name_holds_no_id_is_left_alone(path, victim, recorded):
    names = ("run_*.1.jsonl", "run_[x].1.jsonl", "...1.jsonl", "run_iiiiiiiiiiii.1.jsonl")
    files = [journal(path, name, name.split(".1.")[0], ("step", STEP)) for name in names]
    book = stepbook.connect(path)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert set(book.runs()["loop"]) == {"review", "other"}
        book.prune(keep=0)
    assert [str(min(files)) in str(one.message) for one in warned] == [True]
    book.close()
    assert all(file.exists() for file in files)
    assert outside(path) == victim


# ---- the book's id


@pytest.mark.parametrize("bad", ["../../../../x", "0123456789ABCDEF", 5, None])
def test_a_book_id_that_is_none_becomes_no_name_and_is_made_again(path, victim, recorded, bad):
    about = home(path) / "book.json"
    right = about.read_text()
    about.write_text(json.dumps({"book": bad, "format": 1}))
    assert "book.json" in CliRunner().invoke(cli, ["doctor", "--book", str(path)]).stdout
    in_another_process(path)
    assert about.read_text() == right
    assert outside(path) == victim


def test_a_book_whose_database_is_gone_is_made_again_under_a_right_id(path, victim, recorded):
    (home(path) / "book.json").write_text('{"book": "../../../../x", "format": 1}')
    path.unlink()
    in_another_process(path)
    assert len(json.loads((home(path) / "book.json").read_text())["book"]) == 16
    assert outside(path) == victim


@pytest.mark.parametrize("bad", ["../../../../x", "", "0123456789abcde"])
def test_tables_with_a_book_id_that_is_none_are_refused(path, victim, recorded, bad):
    with contextlib.closing(duckdb.connect(path)) as tables:
        tables.execute("UPDATE meta SET value = $1 WHERE key = 'book'", [bad])
    before = path.read_bytes()
    with pytest.raises(stepbook.NotABookError, match="id"):
        stepbook.connect(path).run("review", key="one")
    assert path.read_bytes() == before
    assert outside(path) == victim


@pytest.mark.parametrize("schema", ["x", "-1", "1.5", "", "99999999999999999999999"])
def test_tables_with_a_schema_version_that_is_none_are_refused(path, recorded, schema):
    with contextlib.closing(duckdb.connect(path)) as tables:
        tables.execute("UPDATE meta SET value = $1 WHERE key = 'schema'", [schema])
    with pytest.raises(stepbook.BookError, match=r"schema|another application"):
        stepbook.connect(path).runs()


# ---- artifacts


@pytest.mark.parametrize(
    "file", ["../../victim/thesis.txt", "/etc/passwd", "x" * 64 + ".txt", ["a"], 5, None]
)
def test_a_value_that_names_a_file_elsewhere_is_refused(path, victim, recorded, file):
    content = b"years of work"
    digest = hashlib.sha256(content).hexdigest()
    node = {"bytes": len(content), "sha256": digest, "file": file, "format": 1}
    text = json.dumps({"$stepbook": "bytes.blob", **node})
    with contextlib.closing(duckdb.connect(path)) as tables:
        for table in ("steps", "attempts"):
            tables.execute(f'UPDATE {table} SET "return" = $1', [text])
    book = stepbook.connect(path)
    run = book.run("review", key="one")
    with pytest.raises(stepbook.ArtifactError):
        run.do("Load", never)
    with pytest.raises(stepbook.ArtifactError):
        run.artifact("Load")
    run.close()
    book.prune(keep=0)
    book.close()
    assert outside(path) == victim

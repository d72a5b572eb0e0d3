"""Books of other versions: of stepbook's schema, and of DuckDB.

``python tests/record/test_versions.py`` stores a book of today's schema; a published
one never changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

import duckdb
import pytest
from older import install

import stepbook
from stepbook import BookError, BookVersionError, StepbookWarning
from stepbook.record.tables import store as tables_store
from stepbook.record.tables.schema import MIGRATIONS, SCHEMA_VERSION
from stepbook.record.tables.store import Store, migrate

HERE = Path(__file__).parents[1]
ROOT = HERE.parent
NAME = "stepbook.duckdb"
VERSIONS = range(1, SCHEMA_VERSION + 1)
#: What a future version might do.
ADDS = ("ALTER TABLE runs ADD COLUMN rating VARCHAR", "UPDATE runs SET rating = 'good'")
FAILS = ("CREATE TABLE half (i INTEGER)", "DELETE FROM steps", "SELECT error('no')")


def fixture(version: int) -> Path:
    return HERE / "fixtures" / f"book-schema-{version}.tar.xz"


def python(script: str, *arguments: object, first: Path | None = None) -> str:
    """Execute a script of tests/support/versions, packages of folder *first* before others."""
    places = [str(place) for place in (first, ROOT) if place is not None]
    done = subprocess.run(
        [sys.executable, HERE / "support" / "versions" / script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "STEPBOOK_STABLE_REPR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "stepbook" not in done.stderr, done.stderr
    return done.stdout.splitlines()[-1]


def go_on(path: Path, key: str, first: Path | None = None) -> dict:
    return json.loads(python("go_on.py", path, key, first=first))


def check_first(told: dict) -> None:
    """What is told by the first process that goes on with a book of record.py."""
    assert told["statuses"] == {"p-1": "succeeded", "p-2": "failed", "k": "running"}
    assert told["executed"] == ["p-2: Send notification", "k: Evaluate", "p-3: Load profile"]
    assert told["attempts"] == ["succeeded", "failed", "succeeded"]
    check_read(told)
    assert told["succeeded"] == 8


def check_second(told: dict) -> None:
    """What is told by the next one."""
    assert set(told["statuses"].values()) == {"succeeded"}
    assert told["executed"] == ["p-4: Load profile"]
    check_read(told)
    assert told["succeeded"] == 9


def check_read(told: dict) -> None:
    profile = {"id": "p-1", "name": "Åsa 🩺", "weights": [71.5, 10**30, None]}
    assert told["profile"] == profile
    assert told["scan"] == {"ok": True}
    assert told["steps"] == {"Load profile": profile, "Wait for scan": {"ok": True}, "Pause": None}
    assert told["logs"][0] == "loaded"
    assert told["fit"] == [0.1, 0.2]


def content(path: Path, known: dict[str, tuple] | None = None) -> dict[str, tuple]:
    """All columns and rows of all tables; of those in *known* only the columns that are there."""
    found = {}
    with contextlib.closing(duckdb.connect(path, read_only=True)) as tables:
        for (name,) in tables.execute("SHOW TABLES").fetchall():
            columns = tables.execute(f"DESCRIBE {name}").fetchall()
            if known is not None and name in known:
                columns = columns[: len(known[name][0])]
            chosen = ", ".join(f'"{column[0]}"' for column in columns)
            query = f"SELECT t::VARCHAR FROM (SELECT {chosen} FROM {name}) AS t ORDER BY ALL"
            found[name] = columns, tables.execute(query).fetchall()
    return found


def schema(path: Path) -> int:
    with contextlib.closing(duckdb.connect(path, read_only=True)) as tables:
        return int(tables.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()[0])


def patch(monkeypatch, *more: tuple[str, ...]) -> None:
    """Let this process be one of a later version, with more migrations."""
    monkeypatch.setattr(tables_store, "MIGRATIONS", (*MIGRATIONS, *more))
    monkeypatch.setattr(tables_store, "SCHEMA_VERSION", SCHEMA_VERSION + len(more))


@pytest.fixture(params=VERSIONS)
def stored(request, tmp_path):
    """A book of each schema version, as it was stored when that version was today's."""
    with tarfile.open(fixture(request.param)) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / NAME


@pytest.fixture
def latest(tmp_path):
    with tarfile.open(fixture(SCHEMA_VERSION)) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / NAME


# ---- schema versions


def test_every_schema_version_has_a_stored_book(tmp_path):
    for version in VERSIONS:
        assert fixture(version).is_file(), "store it: python tests/record/test_versions.py"
        with tarfile.open(fixture(version)) as archive:
            archive.extractall(tmp_path / str(version), filter="data")
        assert schema(tmp_path / str(version) / NAME) == version


def test_a_stored_book_of_every_schema_is_read_and_goes_on_recording(stored):
    check_first(go_on(stored, "p-3"))
    check_second(go_on(stored, "p-4"))
    assert schema(stored) == SCHEMA_VERSION
    assert not list((stored.parent / f"{NAME}.d" / "journal").iterdir())


def test_a_stored_book_of_every_schema_is_read_where_nothing_can_be_written(stored):
    before, version = content(stored), schema(stored)
    shutil.rmtree(stored.with_name(f"{NAME}.d") / "journal")  # there is nothing to fold
    book = stepbook.connect(stored)
    assert set(book.steps()["status"]) == {"succeeded", "failed"}
    assert book.steps()["policy"].isna().all()
    assert book.attempts()["policy"].isna().all()
    assert list(book.sql("SELECT count(*) AS n FROM steps WHERE policy IS NULL")["n"]) == [5]
    run = book.get(book.runs()["id"][0])
    assert "Load profile" in repr(run)
    assert run.steps()["policy"].isna().all()
    book.close()
    assert content(stored) == before
    assert schema(stored) == version


def test_migrating_a_stored_book_loses_nothing_and_a_second_time_changes_nothing(
    stored, monkeypatch
):
    patch(monkeypatch, ADDS)
    before = content(stored)
    with Store(stored).writing(5):
        pass
    after, same = content(stored), content(stored, before)
    assert schema(stored) == SCHEMA_VERSION + 1
    for name in before.keys() - {"meta"}:
        assert same[name] == before[name]
    assert len(after["runs"][1]) == 2
    with contextlib.closing(duckdb.connect(stored)) as tables:
        migrate(tables)
        migrate(tables)
        assert tables.execute("SELECT DISTINCT rating FROM runs").fetchall() == [("good",)]
    assert content(stored) == after


def test_a_book_of_today_has_nothing_to_migrate(latest):
    bytes_before, before = latest.read_bytes(), content(latest)
    with contextlib.closing(duckdb.connect(latest)) as tables:
        migrate(tables)
    assert content(latest) == before
    assert latest.read_bytes() == bytes_before


def test_a_failing_migration_leaves_version_and_data(latest, monkeypatch):
    before = content(latest)
    patch(monkeypatch, FAILS)
    for _ in range(2):
        with pytest.raises(BookError, match="refused to write"), Store(latest).writing(5):
            pass
        assert content(latest) == before
    assert schema(latest) == SCHEMA_VERSION


def test_a_failing_migration_keeps_those_before_it_and_goes_on_there_once_mended(
    latest, monkeypatch
):
    patch(monkeypatch, ADDS, FAILS)
    with pytest.raises(BookError, match="refused to write"), Store(latest).writing(5):
        pass
    found = content(latest)
    assert schema(latest) == SCHEMA_VERSION + 1
    assert "half" not in found
    assert len(found["steps"][1]) == 5
    patch(monkeypatch, ADDS, FAILS[:1])
    with Store(latest).writing(5):
        pass
    assert schema(latest) == SCHEMA_VERSION + 2
    assert content(latest)["steps"] == found["steps"]
    assert "half" in content(latest)


def test_what_is_recorded_while_a_migration_fails_reaches_the_tables_once_it_is_mended(
    latest, monkeypatch
):
    before = content(latest)
    patch(monkeypatch, FAILS)
    book = stepbook.connect(latest)
    run = book.run("review", key="during")
    assert run.do("Load profile", lambda: 1) == 1
    with pytest.warns(StepbookWarning, match="safe in its journal"):
        run.close()
    book.close()
    assert content(latest) == before
    patch(monkeypatch, ADDS)
    runs = book.runs()
    assert set(runs["key"]) == {"p-1", "p-2", "k", "during"}
    assert book.run("review", key="during").do("Load profile", lambda: 2) == 1
    book.close()


def test_a_book_of_a_newer_schema_is_refused_and_no_byte_of_it_changes(latest):
    with contextlib.closing(duckdb.connect(latest)) as tables:
        tables.execute(f"UPDATE meta SET value = '{SCHEMA_VERSION + 1}' WHERE key = 'schema'")

    def files():
        return {
            path.relative_to(latest.parent): path.read_bytes()
            for path in latest.parent.rglob("*")
            if path.is_file() and path.parent.name != "locks"
        }

    before = files()
    assert any(path.suffix == ".jsonl" for path in before)
    book = stepbook.connect(latest)
    for use in (
        lambda: book.run("health-review", key="p-1"),
        lambda: book.run("another"),
        lambda: book.sql("SELECT 1"),
        lambda: Store(latest).writing(5).__enter__(),
    ):
        with pytest.raises(BookVersionError, match=f"schema {SCHEMA_VERSION + 1}; this one knows"):
            use()
    for use in (book.runs, book.steps, book.attempts):
        with contextlib.suppress(StepbookWarning), pytest.raises(BookVersionError):
            use()
    book.close()
    assert files() == before


# ---- versions of DuckDB


def floor_version() -> str:
    """The oldest DuckDB that the package says it works with."""
    for requirement in metadata.requires("stepbook") or ():
        if found := re.fullmatch(r"duckdb\s*>=\s*(\d+\.\d+)[\d.]*", requirement):
            return found[1]
    raise AssertionError("the package does not say which DuckDB it needs")


@pytest.fixture(scope="module")
def floor(request, tmp_path_factory):
    """A folder with the oldest DuckDB, made once and kept with what pytest caches."""
    version = floor_version()
    if duckdb.__version__.startswith(f"{version}."):
        pytest.skip(f"the installed DuckDB is of the oldest line itself, {duckdb.__version__}")
    cache = getattr(request.config, "cache", None)
    kept = tmp_path_factory.mktemp("floor") if cache is None else cache.mkdir("duckdb-floor")
    folder = kept / f"{version}-{sys.implementation.cache_tag}"
    if not folder.is_dir():
        install(folder, f"duckdb=={version}.*")
    return folder


@pytest.mark.parametrize("writer", ["newest", "floor"])
def test_a_book_of_one_duckdb_is_read_and_continued_with_the_other(floor, path, writer):
    one, other = (None, floor) if writer == "newest" else (floor, None)
    wrote = python("record.py", path, first=one)
    first, second = go_on(path, "p-3", other), go_on(path, "p-4", one)
    used = {"floor": first["duckdb"], "newest": wrote}
    if writer == "floor":
        used = {"floor": wrote, "newest": first["duckdb"]}
    assert used["newest"] == duckdb.__version__
    assert used["floor"].startswith(f"{floor_version()}.")
    assert second["duckdb"] == wrote
    check_first(first)
    check_second(second)


def test_without_a_package_index_it_is_said_what_is_missing(tmp_path):
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    with pytest.raises(pytest.fail.Exception, match="needs a package index once") as failed:
        install(tmp_path / "floor", f"duckdb=={floor_version()}.*", **nowhere)
    assert "pip said:\nERROR" in str(failed.value)
    assert not list(tmp_path.iterdir())


# ---- storing


def store() -> None:
    """Store a book of today's schema."""
    archive = fixture(SCHEMA_VERSION)
    if archive.exists():
        raise SystemExit(f"{archive} is there; a stored book never changes")

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with tempfile.TemporaryDirectory() as folder:
        python("record.py", Path(folder) / NAME)
        shutil.rmtree(Path(folder) / f"{NAME}.d" / "locks")
        with tarfile.open(archive, "w:xz", preset=9) as packed:
            for path in sorted(Path(folder).iterdir()):
                packed.add(path, path.name, filter=anonymous)


if __name__ == "__main__":
    store()

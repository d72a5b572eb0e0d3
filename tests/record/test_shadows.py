"""What a DuckDB file can hold besides rows, to change what queries mean: it never does."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import duckdb
import pytest
from click.testing import CliRunner

import stepbook
from stepbook.cli.main import cli
from stepbook.record.tables import catalogue, store
from stepbook.record.tables.schema import MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [
    "stepbook.duckdb",
    'it\'s "mine", v1.2.duckdb',
    "Übung 🩺.duckdb",
    "two words",
    "temp.duckdb",
    "system.duckdb",
    "main.duckdb",
    "memory.duckdb",
    "a,b;c--.duckdb",
    "pg_catalog.duckdb",
    "select.duckdb",
    ".hidden.duckdb",
]


def never():
    raise AssertionError("executed")


def record(path: Path) -> str:
    """A book with a finished run of two steps, an earlier one and a scan; the run's id."""
    book = stepbook.connect(path)
    for key in ("before", "now"):
        with book.run("review", key=key) as run:
            run.do("Load", lambda: {"glucose": 97})
            run.do("Text", lambda: "y" * 100_000)
            book.deliver_scan(run.id, {"ok": True})
            run.wait_for_scan(timeout=5)
            run.log("done", patient="p-17")
    book.close()
    return run.id


def use_all(path: Path, run_id: str) -> None:
    """Do with the book whatever our SQL is for, and check what it answers."""
    book = stepbook.connect(path)
    assert sorted(book.runs()["key"]) == ["before", "now"]
    run = book.run("review", key="now")
    assert run.id == run_id
    assert run.do("Load", never) == {"glucose": 97}
    assert run.do("Text", never) == "y" * 100_000
    assert run.do("More", lambda: 3) == 3
    run.log("again")
    run.redo("More")
    run.close()
    run = book.run("review", key="now")
    assert run.do("More", lambda: 4) == 4
    run.finish()
    assert run.steps()["name"].tolist()[:2] == ["Load", "Text"]
    assert run.attempts().query("name == 'More'")["return"].tolist()[-1] == 4
    assert "again" in run.logs()["message"].tolist()
    assert len(book.steps("review", since="2020-01-01")) == len(book.steps()) > 6
    summary = book.summary("review").set_index("name")
    assert summary.loc["Load", "runs"] == 2
    assert summary["share"].sum() == pytest.approx(1)
    assert book.unfinished().empty
    assert book.sql("SELECT length(name) AS n FROM steps WHERE name = 'Load'")["n"].tolist()[0] == 4
    assert "review" in book._repr_mimebundle_()["text/html"]
    run.to_html(path.with_suffix(".html"))
    for command in (["doctor"], ["show", run_id], ["steps", run_id], ["runs"]):
        result = CliRunner().invoke(cli, ["--book", str(path), *command])
        assert result.exit_code == 0, result.output
    fresh = book.run("fresh")
    fresh.do("Load", lambda: 1)
    fresh.finish()
    assert set(book.prune(keep=0, loop="fresh")["id"]) == {fresh.id}
    book.delete("review")
    assert book.runs()["key"].tolist() == ["before"]
    book.close()


def execute(path: Path, *statements: str) -> None:
    with contextlib.closing(duckdb.connect(path)) as tables:
        for statement in statements:
            tables.execute(statement)


# ---- macros, types and sequences


def shadow_everything(path: Path) -> int:
    """Put a macro in the place of every function there is; return how many took it."""
    lies = "error('a macro of the file was used')"
    with contextlib.closing(duckdb.connect(path)) as tables:
        functions = tables.execute(
            "SELECT DISTINCT function_name, function_type FROM duckdb_functions()"
        ).fetchall()
        taken = 0
        for name, kind in sorted(functions):
            quoted = '"' + name.replace('"', '""') + '"'
            if name == "error":
                continue
            if kind.startswith("table"):
                texts = [f"CREATE MACRO {quoted}({'a' * n}) AS TABLE SELECT {lies}" for n in (0, 1)]
            else:
                arities = ", ".join(f"({', '.join('abcd'[:n])}) AS {lies}" for n in range(5))
                texts = [f"CREATE MACRO {quoted} {arities}"]
            for text in texts:
                with contextlib.suppress(duckdb.Error):
                    tables.execute(text)
                    taken += 1
    return taken


def test_macros_in_place_of_every_built_in_change_nothing(path):
    run_id = record(path)
    assert shadow_everything(path) > 500
    with contextlib.closing(duckdb.connect(path)) as tables, pytest.raises(duckdb.Error):
        tables.execute("SELECT length('abc'), epoch_us(now())").fetchall()
    use_all(path, run_id)


def test_types_and_sequences_with_names_that_we_use_change_nothing(path):
    run_id = record(path)
    for name in ("json", "varchar", "bigint", "double", "boolean", "integer", "timestamptz"):
        with contextlib.suppress(duckdb.Error):
            execute(path, f"CREATE TYPE \"{name}\" AS ENUM ('x')")
    execute(path, "CREATE SEQUENCE steps_seq")
    use_all(path, run_id)


def test_sql_of_the_user_may_use_macros_of_theirs_and_built_ins_come_first(path):
    record(path)
    execute(path, "CREATE MACRO mine(x) AS x * 2", "CREATE MACRO length(x) AS 99")
    book = stepbook.connect(path)
    frame = book.sql("SELECT mine(21) AS a, length('abc') AS b")
    assert frame.to_dict("records") == [{"a": 42, "b": 3}]
    book.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_book_of_any_name_is_read_and_written(tmp_path, name):
    path = tmp_path / name
    with stepbook.connect(path).run("review") as run:
        run.do("Load", lambda: 1)
    execute(path, "CREATE MACRO length(x) AS 99", "CREATE MACRO epoch_us(x) AS 1")
    book = stepbook.connect(path)
    run = book.run("review")
    assert run.do("Load", never) == 1
    run.do("More", lambda: 2)
    run.close()
    assert book.sql("SELECT max(length(name)) AS n FROM steps")["n"].tolist() == [4]
    assert run.created_at.year > 2020
    book.close()
    assert not list((tmp_path / (name + ".d") / "journal").iterdir())


# ---- what is not accepted

GENERATED = """
CREATE TABLE passes (run_id VARCHAR NOT NULL, started_at TIMESTAMPTZ NOT NULL,
  executed BIGINT NOT NULL, replayed BIGINT NOT NULL, seconds_saved DOUBLE AS (length(run_id)))
"""
CHECKED = """
CREATE TABLE logs (run_id VARCHAR NOT NULL, step VARCHAR, level VARCHAR NOT NULL,
  message VARCHAR NOT NULL, metadata JSON, created_at TIMESTAMPTZ NOT NULL,
  CHECK (length(message) < 3))
"""
LIES = {
    "view": (["CREATE VIEW totals AS SELECT 1 AS n"], 'VIEW "totals"'),
    "view of our name": (
        ["ALTER TABLE steps RENAME TO real", "CREATE VIEW steps AS SELECT * FROM real LIMIT 1"],
        "steps",
    ),
    "view that is meta": (
        [
            "ALTER TABLE meta RENAME TO real",
            "CREATE VIEW meta AS SELECT * FROM real",
        ],
        "another application",
    ),
    "view in a schema": (["CREATE SCHEMA s", "CREATE VIEW s.v AS SELECT 1"], 'VIEW "s"."v"'),
    "table": (["CREATE TABLE labels (id VARCHAR)"], 'TABLE "labels"'),
    "table in a schema": (["CREATE SCHEMA s", "CREATE TABLE s.runs (i INT)"], 'TABLE "s"."runs"'),
    "schema": (['CREATE SCHEMA "my ""own"""'], 'SCHEMA "my ""own"""'),
    "generated column": (
        ["DROP TABLE passes", GENERATED],
        "the table passes is not as stepbook makes it",
    ),
    "check": (["DROP TABLE logs", CHECKED], "the table logs is not as stepbook makes it"),
    "default": (
        ["ALTER TABLE runs ALTER tags SET DEFAULT '[\"approved\"]'"],
        "the table runs is not as stepbook makes it",
    ),
    "default of a sequence": (
        ["CREATE SEQUENCE n", "ALTER TABLE runs ALTER note SET DEFAULT nextval('n')::VARCHAR"],
        "the table runs is not as stepbook makes it",
    ),
    "type of a column": (
        [
            "ALTER TABLE steps DROP cell_id",
            "CREATE TYPE mood AS ENUM ('ok')",
            "ALTER TABLE steps ADD cell_id mood",
        ],
        "the table steps is not as stepbook makes it",
    ),
    "order of columns": (
        ["ALTER TABLE steps DROP handled", "ALTER TABLE steps ADD handled BOOLEAN"],
        "the table steps is not as stepbook makes it",
    ),
    "index": (["CREATE UNIQUE INDEX one ON steps (run_id)"], 'INDEX "one"'),
    "missing table": (["DROP TABLE scans"], "lacks the table scans"),
}


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("kind", LIES)
def test_a_database_that_is_not_only_plain_tables_is_refused_and_left_untouched(path, kind):
    statements, told = LIES[kind]
    with stepbook.connect(path).run("review") as run:
        run.do("Load", lambda: 1)
    execute(path, *statements)
    before = path.read_bytes()
    book = stepbook.connect(path)
    for use in (
        lambda: book.run("review"),
        book.runs,
        lambda: book.sql("SELECT 1"),
        lambda: book.prune(keep=0),
        lambda: book.delete("review"),
    ):
        with pytest.raises(stepbook.NotABookError) as refused:
            use()
        assert told in str(refused.value)
        assert str(path) in str(refused.value)
    result = CliRunner().invoke(cli, ["doctor", "--book", str(path)])
    assert result.exit_code == 1
    assert path.read_bytes() == before
    book.close()


def test_a_trigger_is_refused(path):
    """Only files of a newer storage version can hold one."""
    with contextlib.closing(duckdb.connect()) as maker:
        try:
            maker.execute("FROM duckdb_triggers()")
        except duckdb.CatalogException:
            pytest.skip("this DuckDB has no triggers")
        with stepbook.connect(path).run("review") as run:
            run.do("Load", lambda: 1)
        old = path.with_name("old.duckdb")
        path.rename(old)
        maker.execute(f"ATTACH '{old}' AS old (READ_ONLY)")
        maker.execute(f"ATTACH '{path}' AS new (STORAGE_VERSION 'latest')")
        maker.execute("COPY FROM DATABASE old TO new")
        maker.execute("USE new")
        maker.execute(
            "CREATE TRIGGER spy AFTER INSERT ON steps FOR EACH STATEMENT "
            "INSERT INTO meta VALUES ('spied', 'yes')"
        )
    before = path.read_bytes()
    book = stepbook.connect(path)
    with pytest.raises(stepbook.NotABookError, match='TRIGGER "spy" ON "steps"'):
        book.runs()
    book.close()
    assert path.read_bytes() == before


def test_what_the_message_says_makes_the_book_usable_again(path):
    with stepbook.connect(path).run("review") as run:
        run.do("Load", lambda: 1)
    execute(path, 'CREATE VIEW "my view" AS SELECT 1', "CREATE TABLE notes (i INT)")
    book = stepbook.connect(path)
    for _ in range(2):
        with pytest.raises(stepbook.NotABookError, match="DROP") as refused:
            book.runs()
        statement = str(refused.value).partition(".execute('")[2].partition("')")[0]
        execute(path, statement)
    assert len(book.runs()) == 1
    book.close()


def test_what_another_process_puts_in_while_this_one_lives_is_noticed(path):
    book = stepbook.connect(path)
    run = book.run("review")
    run.do("Load", lambda: 1)
    assert len(book.runs()) == 1
    code = textwrap.dedent("""
        import sys, time, duckdb
        end = time.monotonic() + 30
        while True:
            try:
                connection = duckdb.connect(sys.argv[1])
                break
            except duckdb.IOException:  # the recording process folds at this moment
                if time.monotonic() > end:
                    raise
        connection.execute(sys.argv[2])
    """)
    for text in ("CREATE VIEW totals AS SELECT 1", "DROP VIEW totals"):
        subprocess.run([sys.executable, "-c", code, str(path), text], check=True, timeout=60)
        run.do(text, lambda: 2)  # recording goes on
        if text.startswith("CREATE"):
            with pytest.raises(stepbook.NotABookError, match="totals"):
                book.runs()
    assert len(book.steps()) == 3
    run.finish()
    book.close()


def test_what_the_users_own_connection_puts_in_is_noticed_and_nothing_recorded_is_lost(path):
    book = stepbook.connect(path)
    run = book.run("review")
    run.do("Load", lambda: 1)
    assert len(book.runs()) == 1
    with contextlib.closing(duckdb.connect(path)) as mine:
        mine.execute("CREATE VIEW totals AS SELECT 1")
        run.do("More", lambda: 2)
        with pytest.raises(stepbook.NotABookError, match="totals"):
            book.runs()
        mine.execute("DROP VIEW totals")
    assert book.steps()["name"].tolist() == ["Load", "More"]
    run.finish()
    book.close()


def test_a_newer_duckdb_that_writes_tables_in_another_way_reads_books_all_the_same(
    path, monkeypatch
):
    record(path)
    monkeypatch.setattr(catalogue, "KNOWN", {})
    book = stepbook.connect(path)
    execute(path, "UPDATE runs SET note = 'looked at again'")
    assert len(book.runs()) == 2
    book.close()


def test_the_tables_of_every_schema_version_are_known_as_this_duckdb_writes_them():
    for version in range(1, len(MIGRATIONS) + 1):
        made = catalogue._made(duckdb.connect, MIGRATIONS[:version])
        assert catalogue._digest(made) == catalogue.KNOWN[version]
    assert len(catalogue.KNOWN) == len(MIGRATIONS)


def test_a_migration_makes_its_tables_in_the_book_whatever_the_file_shadows(path, monkeypatch):
    record(path)
    execute(path, "CREATE MACRO upper(x) AS 'shadowed'", "CREATE TYPE mood AS ENUM ('x')")
    more = ("CREATE TABLE ratings (id VARCHAR)", "UPDATE runs SET note = upper('good')")
    monkeypatch.setattr(store, "MIGRATIONS", (*MIGRATIONS, more))
    monkeypatch.setattr(store, "SCHEMA_VERSION", len(MIGRATIONS) + 1)
    book = stepbook.connect(path)
    with book.run("after") as run:
        run.do("Load", lambda: 1)
    assert set(book.sql("SELECT note FROM runs")["note"].dropna()) == {"GOOD"}
    assert book.sql("SELECT count(*) AS n FROM ratings")["n"].tolist() == [0]
    book.close()


# ---- the user's own connection in the same kernel


SETTINGS = "SELECT name, value FROM duckdb_settings() WHERE name <> 'search_path' ORDER BY name"


def test_the_users_connection_before_and_after_ours_keeps_its_settings_and_macros(path):
    record(path)
    with contextlib.closing(duckdb.connect(path)) as mine:
        mine.execute("CREATE MACRO length(x) AS 99")
        settings = mine.execute(SETTINGS).fetchall()
        path_before = mine.execute("SELECT current_setting('search_path')").fetchall()
        book = stepbook.connect(path)
        with book.run("theirs first") as run:
            run.do("Load", lambda: 1)
        assert book.sql("SELECT length('abc') AS n")["n"].tolist() == [3]
        assert mine.execute("SELECT length('abc')").fetchall() == [(99,)]
        assert mine.execute(SETTINGS).fetchall() == settings
        assert mine.execute("SELECT current_setting('search_path')").fetchall() == path_before
        with contextlib.closing(duckdb.connect(path)) as another:
            assert (
                another.execute("SELECT current_setting('search_path')").fetchall() == path_before
            )
            another.execute("CREATE MACRO later(x) AS x")
    book.close()


def test_a_connection_of_the_user_to_several_databases_is_no_strangers_table(path, tmp_path):
    record(path)
    with contextlib.closing(duckdb.connect(path)) as mine:
        mine.execute(f"ATTACH '{tmp_path / 'other.duckdb'}' AS other")
        mine.execute("CREATE TABLE other.runs (i INT)")
        mine.execute("CREATE VIEW other.steps AS SELECT 1")
        mine.execute("CREATE TEMP TABLE steps AS SELECT 1 AS i")
        mine.execute("USE other")
        book = stepbook.connect(path)
        with book.run("theirs first") as run:
            run.do("Load", lambda: 1)
        assert len(book.runs()) == 3
        assert run.steps()["name"].tolist() == ["Load"]
        book.close()


def test_a_read_only_connection_of_the_user_can_be_read_beside_and_folds_wait_for_it(path):
    run_id = record(path)
    book = stepbook.connect(path)
    with contextlib.closing(duckdb.connect(path, read_only=True)) as mine:
        run = book.get(run_id)
        assert run.status == "succeeded"
        assert mine.execute("SELECT count(*) FROM runs").fetchall() == [(2,)]
        later = book.run("later")
        assert later.do("Load", lambda: 1) == 1
    later.close()
    assert later.steps()["name"].tolist() == ["Load"]
    book.close()


def test_200_connects_of_the_user_during_folds_all_succeed(path):
    """In a process of its own, which folds as fast as it can in the background."""
    code = """
        import sys, threading, time
        import duckdb, stepbook, stepbook.record.folding
        stepbook.record.folding.GATHER_S = 0.0
        path = sys.argv[1]
        book = stepbook.connect(path)
        run = book.run("review")
        run.do("First", int)
        enough = threading.Event()
        folds = []
        writing = book._opened.records.store.writing
        def counted(timeout):
            folds.append(1)
            return writing(timeout)
        book._opened.records.store.writing = counted

        def record():
            number = 0
            while not enough.is_set():
                run.do(f"Step {number}", int)
                number += 1

        thread = threading.Thread(target=record)
        thread.start()
        failed = []
        seen = 0
        while seen < 200 or len(folds) < 20:
            try:
                with duckdb.connect(path) as mine:
                    mine.execute("SELECT count(*) FROM steps").fetchall()
                    mine.execute("SELECT length('abc')").fetchall()
            except Exception as error:
                # Two plain connections of DuckDB 1.4 do that to each other without stepbook, too.
                if duckdb.__version__[:2] != "1." or "Unique file handle" not in str(error):
                    failed.append(repr(error))
            seen += 1
        enough.set()
        thread.join()
        run.finish()
        book.close()
        print(len(failed), failed[:1], flush=True)
        with duckdb.connect(path) as mine:
            assert mine.execute("SELECT count(*) = max(seq) FROM steps").fetchall() == [(True,)]
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 "), done.stdout

"""A column is written down in a migration and in its row; everything else agrees with these."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import stepbook
from stepbook.model.rows import ROW_TYPES
from stepbook.record import listing
from stepbook.record.ledger import header_of, run_from_header
from stepbook.record.tables import columns, frames
from stepbook.record.tables.schema import MIGRATIONS
from stepbook.record.tables.store import in_memory
from stepbook.timeline import wire

DOCS = Path(__file__).parents[2] / "docs"
#: Columns that no event of a journal carries: whose they are, for people, how far a fold has come.
TABLES_ONLY = {"run_id", "duration", "folded_seq"}


@pytest.fixture(scope="module")
def made():
    """What DuckDB says of the tables that the migrations make."""
    connection, _ = in_memory("0" * 16)
    rows = connection.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE NOT internal AND table_name <> 'meta' ORDER BY table_name, column_index"
    ).fetchall()
    connection.close()
    found: dict[str, list] = {}
    for table, name, of, nullable in rows:
        short = of.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
        found.setdefault(table, []).append((name, short, not nullable))
    return found


def test_columns_are_those_that_duckdb_makes_of_the_migrations(made):
    assert {table: [tuple(c) for c in known] for table, known in columns.TABLES.items()} == made


def test_a_column_that_a_migration_adds_is_known():
    more = (*MIGRATIONS, ("ALTER TABLE logs ADD COLUMN place VARCHAR", "UPDATE logs SET place = 1"))
    assert columns.tables_of(more)["logs"] == (
        *columns.TABLES["logs"],
        columns.Column("place", "VARCHAR", needed=False),
    )


@pytest.mark.parametrize("table", columns.TABLES)
def test_a_row_has_every_column_of_its_table(table):
    row = set(columns.recorded(columns.ROWS[table]))
    assert row == set(columns.names(table)) - TABLES_ONLY


def test_every_kind_of_row_has_a_table():
    assert set(columns.ROWS.values()) == set(ROW_TYPES)
    assert columns.ROWS.keys() == columns.TABLES.keys()


def test_columns_of_one_name_have_one_type_in_all_tables():
    of: dict[str, set] = {}
    for known in columns.TABLES.values():
        for column in known:
            of.setdefault(column.name, set()).add(column.type)
    assert {name: types for name, types in of.items() if len(types) > 1} == {}


def test_a_header_tells_all_that_a_new_run_has():
    row = columns.ROWS["runs"](
        "run_000000000001", "loop", "key", "pending", "user", "1", 5, environment="{}"
    )
    header = header_of(row, "0" * 16)
    assert run_from_header(header) == row
    del header["environment"]  # as the first books have it
    assert run_from_header(header) == row._replace(environment=None)


def test_lists_of_the_command_line_leave_out_only_what_is_said_elsewhere():
    assert columns.names("runs", without=("folded_seq",)) == listing.RUN_COLUMNS
    assert set(listing.STEP_COLUMNS) - {"loop", "key", "input"} == (
        set(columns.names("steps")) - {"duration"}
    )
    assert sorted(listing.LOG_COLUMNS) == sorted(columns.names("logs", without=("run_id",)))
    assert set(listing.PASS_COLUMNS) == set(columns.names("passes")) - {"run_id", "started_at"}


def test_frames_of_logs_and_runs_show_every_column(tmp_path):
    book = stepbook.connect(tmp_path / "stepbook.duckdb")
    run = book.run("loop")
    run.do("a", lambda ctx: ctx.log("x", more=1))
    run.finish()
    assert set(run.logs().columns) == set(columns.names("logs", without=("run_id",)))
    assert list(run.steps().columns) == list(columns.names("steps"))
    assert list(run.attempts().columns) == list(columns.names("attempts"))
    assert list(book.runs().columns) == list(listing.RUN_COLUMNS)
    book.close()


def test_what_frames_parse_and_leave_as_text_is_all_json():
    assert frames.JSON_COLUMNS | frames._TEXT == columns.JSON
    assert set(frames._PLAIN_JSON) <= columns.JSON


def test_the_timeline_is_sent_columns_of_steps_and_runs():
    computed = {"return_size", "error_size", "usual", "expires_at"}
    assert set(wire.FIELDS) - computed <= set(columns.names("steps"))
    assert set(wire._RUN_FIELDS) <= set(columns.names("runs"))


def test_the_documented_tables_have_exactly_these_columns():
    text = (DOCS / "files-and-tables.md").read_text()
    documented = {}
    for line in text.partition("## Tables")[2].splitlines():
        heading, colon, rest = line.partition(": `")
        if line.startswith("**") and colon:
            listed, _, _ = f"`{rest}".partition(". ")
            listed = re.sub(r"\([^)]*\)", "", listed)
            for table in re.findall(r"\*\*(\w+)\*\*", heading):
                documented[table] = re.findall(r"`(\w+)`", listed.partition(": ")[0])
    assert documented.pop("meta") == ["key", "value"]
    assert {t: sorted(c) for t, c in documented.items()} == {
        t: sorted(columns.names(t)) for t in columns.TABLES
    }


def test_the_documented_rows_of_the_journal_have_exactly_these_columns():
    text = (DOCS / "journal-format.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| [\w ]+ \| ([\w, ]+) \|$", text, re.MULTILINE))
    assert {kind: tuple(rows[kind].split(", ")) for kind in ROW_TYPES.values()} == {
        kind: columns.recorded(row) for row, kind in ROW_TYPES.items()
    }
    [json_columns] = re.findall(r"^- Columns of JSON \((.*)\) hold JSON", text, re.MULTILINE)
    assert set(re.findall(r"\w+", json_columns)) == columns.JSON

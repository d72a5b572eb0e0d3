"""The command line: what it prints, what it changes, how it ends."""

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import statistics
import struct
import subprocess
import sys
import termios

import duckdb
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

import stepbook
from stepbook.cli.main import cli
from stepbook.record.lines import files_of
from stepbook.record.listing import RUN_COLUMNS, STEP_COLUMNS
from stepbook.record.tables.schema import SCHEMA_VERSION

ANSI = "\x1b["


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in ("STEPBOOK_BOOK", "STEPBOOK_STABLE_REPR", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "b.duckdb"


@pytest.fixture
def book(path):
    """A book with two runs of "review", of which the newer one failed, and one of "train"."""
    book = stepbook.connect(path)
    with book.run("review", input={"patient": "p-1"}) as run:
        run.do("Load profile", lambda: {"bmi": 30.3})
        run.do("Notify", lambda: None)
    with contextlib.suppress(ValueError), book.run("review", input={"patient": "p-2"}) as run:
        run.do("Load profile", lambda: {"bmi": 21.6})
        run.do("Notify", int, "tab\there")
    with book.run("train") as run:
        run.log("half way", "warn", epoch=3)
        run.do("Fit", lambda: [0.91, 0.93])
    yield book
    book.close()


@pytest.fixture
def ids(book):
    """The ids of the runs, newest first."""
    return _ids(book)


def _ids(book):
    with book._opened.records.store.reading() as reader:
        return [row[0] for row in reader.execute("SELECT id FROM runs ORDER BY created_at DESC")]


@pytest.fixture
def call(path):
    """Call the command line in this process, for the book of the test."""

    def run(*arguments, stdin=None):
        return CliRunner().invoke(cli, [*arguments, "--book", str(path)], input=stdin)

    return run


def process(*arguments, stdin=None, **variables):
    """Call the command line as a process of its own."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-m", "stepbook", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=60,
        check=False,
    )


def on_terminal(columns, *arguments, **variables):
    """Return what the command line prints on a terminal of so many columns, and its exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **variables}
    environment.pop("COLUMNS", None)
    child = subprocess.Popen(
        [sys.executable, "-m", "stepbook", *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
    )
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal's end
        while data := os.read(master, 1 << 16):
            shown += data
    os.close(master)
    return shown.decode().replace("\r\n", "\n"), child.wait(timeout=60)


def failed_with(result, words, code=1):
    """Whether a command failed with one line on standard error that holds *words*."""
    lines = result.stderr.splitlines()
    return (
        result.exit_code == code
        and not result.stdout
        and len(lines) == 1
        and lines[0].startswith("stepbook: ")
        and words in lines[0]
    )


# ---- reading --------------------------------------------------------------------------------


def test_in_a_pipe_runs_are_tab_separated_whole_and_newest_first(book, path, ids):
    done = process("runs", "--book", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert ANSI not in done.stdout
    head, *rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert head == ["run", "loop", "status", "created", "input"]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        (ids[0], "train", "succeeded"),
        (ids[1], "review", "failed"),
        (ids[2], "review", "succeeded"),
    ]


def test_runs_of_one_loop_are_listed_alone(call, book):
    rows = json.loads(call("runs", "--loop", "review", "--format", "json").stdout)
    assert [row["loop"] for row in rows] == ["review", "review"]


def test_json_of_runs_holds_every_column_with_values_parsed(call, book):
    row = json.loads(call("runs", "--format", "json").stdout)[-1]
    assert tuple(row) == RUN_COLUMNS
    assert row["input"] == {"patient": "p-1"}
    assert row["created_at"].endswith("+00:00")
    assert list(book.runs().columns) == list(RUN_COLUMNS)


def test_csv_of_steps_holds_every_column(call, book):
    rows = list(csv.DictReader(io.StringIO(call("steps", "--format", "csv").stdout)))
    assert tuple(rows[0]) == STEP_COLUMNS
    assert json.loads(rows[0]["return"]) == {"bmi": 30.3}
    assert rows[1]["return"] == "null"
    assert set(book.steps().columns) - {"duration"} == set(STEP_COLUMNS)


def test_steps_of_a_run_are_those_of_the_latest_run_of_a_loop(call, book):
    lines = call("steps", "review").stdout.splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["status", "step"],
        ["succeeded", "Load profile"],
        ["failed", "Notify"],
    ]
    assert "\\t" in lines[2].split("\t")[4]


def test_steps_of_all_runs_name_their_run(call, book, ids):
    rows = [line.split("\t") for line in call("steps").stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == [ids[2], ids[2], ids[1], ids[1], ids[0]]


def test_a_run_and_a_loop_together_are_wrong_usage(call, book):
    result = call("steps", "review", "--loop", "review")
    assert result.exit_code == 2
    assert "not both" in result.stderr


def test_a_run_is_found_by_id_by_its_beginning_and_by_its_loop(call, book, ids):
    whole = call("show", ids[0]).stdout
    assert whole.startswith("✓ train")
    assert call("show", ids[0][:-2]).stdout == whole
    assert call("show", ids[0].removeprefix("run_")[:-1]).stdout == whole
    assert call("show", "train").stdout == whole
    assert repr(book.get("train")) == whole.rstrip("\n")


def test_a_beginning_of_several_ids_is_refused_with_their_names(call, book, ids):
    result = call("show", "run_")
    assert failed_with(result, "begins 3 ids")
    assert all(run_id in result.stderr for run_id in ids)


def test_an_unknown_run_is_one_line_and_exit_code_1(book, path):
    done = process("show", "nobody", "--book", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("stepbook: there is no run and no loop 'nobody'")
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_book_a_folder_and_a_foreign_file_are_each_one_clear_line(tmp_path):
    foreign = tmp_path / "notes.txt"
    foreign.write_text("not a database, but text that is longer than any header of one" * 99)
    for where, words in (
        (tmp_path / "none.duckdb", "there is no book"),
        (tmp_path, "is a folder"),
        (foreign, str(foreign)),
    ):
        assert failed_with(CliRunner().invoke(cli, ["runs", "--book", str(where)]), words)
    assert not (tmp_path / "none.duckdb").exists()
    assert foreign.read_text().startswith("not a database")


def test_a_newer_book_and_another_applications_database_are_refused_and_left_untouched(tmp_path):
    newer, other = tmp_path / "newer.duckdb", tmp_path / "other.duckdb"
    stepbook.connect(newer).run("any").close()
    with duckdb.connect(newer) as tables:
        tables.execute("UPDATE meta SET value = '999' WHERE key = 'schema'")
    with duckdb.connect(other) as tables:
        tables.execute("CREATE TABLE runs (id INTEGER)")
    for path, words in ((newer, "written by a newer stepbook"), (other, "another application")):
        before = path.read_bytes()
        for command in (["runs"], ["deliver", "any", "1"]):
            done = process(*command, "--book", path)
            assert (done.returncode, done.stdout) == (1, "")
            assert len(done.stderr.splitlines()) == 1
            assert words in done.stderr
        assert CliRunner().invoke(cli, ["doctor", "--book", str(path)]).exit_code == 1
        assert path.read_bytes() == before
    assert not (tmp_path / "other.duckdb.d").exists()


def test_a_database_that_another_process_holds_is_reported_with_that_process(book, path):
    book.close()
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        listed, checked = process("runs", "--book", path), process("doctor", "--book", path)
        holder.communicate(b"\n")
    assert (listed.returncode, checked.returncode) == (1, 0)
    assert f"is held by process {holder.pid}" in listed.stderr
    assert len(listed.stderr.splitlines()) == 1
    assert f"is held by process {holder.pid}" in checked.stdout


def test_logs_are_shown_below_the_timeline(call, book):
    shown = call("show", "train", "--logs").stdout
    timeline, _, logs = shown.partition("\n\n")
    assert "✓ Fit" in timeline
    assert "warn " in logs
    assert "half way" in logs


def test_the_book_is_named_before_or_after_the_command_or_by_the_environment(book, path):
    for arguments, variables in (
        (["--book", path, "runs"], {}),
        (["runs", "--book", path], {}),
        (["runs"], {"STEPBOOK_BOOK": str(path)}),
    ):
        assert process(*arguments, **variables).stdout.count("run_") == 3


# ---- terminals ------------------------------------------------------------------------------


def test_a_terminal_gets_colours_and_aligned_lines_that_fit(book, path):
    for columns in (80, 120):
        shown, code = on_terminal(columns, "runs", "--book", path)
        assert code == 0
        assert ANSI in shown
        plain = "".join(
            part.partition("m")[2] if i else part for i, part in enumerate(shown.split(ANSI))
        )
        lines = plain.splitlines()
        assert len(lines) == 4
        assert max(map(cell_len, lines)) <= columns
        assert (
            len(
                {
                    line.index(word)
                    for line, word in zip(lines, ["status", "✓", "✗", "✓"], strict=True)
                }
            )
            == 1
        )


def test_no_color_is_obeyed(book, path):
    shown, _ = on_terminal(80, "show", "review", "--book", path, NO_COLOR="1")
    assert "\x1b[3" not in shown  # bold and dim are no colours


def test_an_encoding_without_the_glyphs_shows_escapes(book, path):
    done = process("show", "train", "--book", path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "\\u2713 train" in done.stdout


def test_a_reader_that_stops_early_is_no_error(book, path):
    with subprocess.Popen(
        [sys.executable, "-m", "stepbook", "steps", "--format", "json", "--book", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        child.stdout.close()
        assert b"Traceback" not in child.stderr.read()


# ---- deliveries -----------------------------------------------------------------------------

WAITER = """
import sys, stepbook
run = stepbook.connect(sys.argv[1]).run("wait")
try:
    print(run.wait_for_scan(timeout="1 minute"))
except stepbook.ScanFailed as error:
    print("failed:", error)
run.finish()
"""


@pytest.fixture
def waiter(path):
    """A real process that waits for a scan, and does so already."""
    child = subprocess.Popen(
        [sys.executable, "-c", WAITER, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    for line in child.stderr:
        if line.startswith("Waiting for scan"):
            break
    yield child
    child.kill()
    child.communicate()


def test_a_payload_reaches_the_process_that_waits(waiter, path):
    done = process("deliver", "wait", '{"glucose": 97}', "--book", path)
    assert done.returncode == 0
    assert done.stdout.startswith("delivered to run_")
    assert waiter.communicate(timeout=60)[0].strip() == "{'glucose': 97}"


def test_an_error_makes_the_wait_fail(waiter, path):
    done = process("deliver", "wait", "--error", "the device is offline", "--book", path)
    assert done.returncode == 0
    assert "the device is offline" in waiter.communicate(timeout=60)[0]


def test_a_payload_from_standard_input_is_held_for_a_run_that_is_not_open(call, path):
    run = stepbook.connect(path).run("wait")
    run.close()
    assert call("deliver", "wait", "-", stdin='[1, "ä"]').exit_code == 0
    assert run.wait_for_scan() == [1, "ä"]
    run.close()


def test_a_second_delivery_is_refused_with_one_line(call, path):
    stepbook.connect(path).run("wait").close()
    assert call("deliver", "wait", "1").exit_code == 0
    assert failed_with(call("deliver", "wait", "2"), "was delivered to the scan 'Wait for scan'")


def test_a_named_wait_gets_its_own_delivery(call, path):
    run = stepbook.connect(path).run("wait")
    run.close()
    assert call("deliver", "wait", "7", "--name", "Scan 'β'").exit_code == 0
    assert run.wait_for_scan(name="Scan 'β'") == 7
    run.close()


@pytest.mark.parametrize("payload", ["{", "", "NaN", "done", "[" * 100_000])
def test_what_is_no_json_is_wrong_usage_and_delivers_nothing(call, book, payload):
    result = call("deliver", "train", payload)
    assert result.exit_code == 2
    assert "Invalid value for 'JSON'" in result.stderr
    assert call("deliver", "train", "1").exit_code == 0


def test_a_delivery_needs_either_json_or_an_error(call, book):
    assert call("deliver", "train").exit_code == 2
    assert call("deliver", "train", "1", "--error", "x").exit_code == 2


# ---- changing -------------------------------------------------------------------------------


def test_redo_makes_one_step_pending(call, book):
    result = call("redo", "review", "Load profile")
    assert result.exit_code == 0, result.stderr
    assert "'Load profile' will be executed again" in result.stderr
    assert [s.status for s in book._opened.peek(book._opened.resolve("review")).steps.values()] == [
        "pending",
        "failed",
    ]


def test_redo_of_an_unknown_step_suggests_the_known_one(call, book):
    assert failed_with(call("redo", "review", "Load profil"), "Did you mean 'Load profile'?")


def test_rewind_makes_a_step_and_all_after_it_pending_and_without_a_step_all(call, book):
    call("rewind", "review", "Notify")
    states = book._opened.peek(book._opened.resolve("review")).steps
    assert [s.status for s in states.values()] == ["succeeded", "pending"]
    call("rewind", "review")
    states = book._opened.peek(book._opened.resolve("review")).steps
    assert [s.status for s in states.values()] == ["pending", "pending"]


def _statuses(book):
    states = book._opened.peek(book._opened.resolve("review")).steps
    return [step.status for step in states.values()]


def test_a_pattern_redoes_all_that_match_and_undo_takes_it_back_in_another_process(book, path):
    book.close()
    done = process("redo", "review", "*o*", "--book", path)
    assert "2 steps that match '*o*' will be executed again in the next pass." in done.stderr
    assert _statuses(book) == ["pending", "pending"]
    done = process("undo", "review", "--book", path)
    assert done.returncode == 0
    assert "the redo of 2 steps that match '*o*' was taken back" in done.stderr
    assert _statuses(book) == ["succeeded", "failed"]
    assert process("undo", "review", "--book", path).returncode == 1


def test_undo_without_a_change_says_so(call, book):
    assert failed_with(call("undo", "review"), "there is nothing to take back")


def test_redo_downstream_of_steps_without_origins_names_rewind(call, book):
    result = call("redo", "review", "Load profile", "--downstream")
    assert result.exit_code == 0
    assert "run.rewind('Load profile') executes it and all later steps again" in result.stderr


def test_trust_lists_what_somebody_else_has_sealed_and_takes_a_decision(
    call, book, path, monkeypatch
):
    monkeypatch.setenv("STEPBOOK_KEY", "11" * 32)
    book.run("sealed").do("a", statistics.NormalDist, 5)
    book.close()
    assert "plain data, or sealed or trusted by you" in call("trust", "sealed").stdout
    monkeypatch.setenv("STEPBOOK_KEY", "22" * 32)

    def replayed():
        again = stepbook.connect(path)
        try:
            return again.run("sealed").do("a", list).mean
        finally:
            again.close()

    with pytest.raises(stepbook.NotStoredError):
        replayed()
    listed = call("trust", "sealed", "--list")
    assert listed.exit_code == 0
    for part in ("1 sealed value", "its return value, a statistics.NormalDist", "statistics"):
        assert part in listed.stdout
    with pytest.raises(stepbook.NotStoredError):
        replayed()
    assert "Trusted from now on" in call("trust", "sealed").stdout
    assert replayed() == 5
    assert "not trusted any more" in call("trust", "sealed", "--revoke").stdout
    with pytest.raises(stepbook.NotStoredError):
        replayed()
    assert "was not trusted" in call("trust", "sealed", "--revoke").stdout
    assert call("trust", "sealed", "--revoke", "--list").exit_code == 2


@pytest.mark.parametrize(
    "command",
    [
        ("redo", "wait", "Wait *"),
        ("rewind", "wait"),
        ("accept", "wait", "Wait for scan"),
        ("undo", "wait"),
    ],
)
def test_a_change_of_a_run_that_another_process_holds_names_that_process(waiter, path, command):
    done = process(*command, "--book", path)
    assert done.returncode == 1
    assert f"is in use by process {waiter.pid}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_prune_says_what_it_would_remove_then_removes_it_and_never_the_unfinished(call, book, ids):
    would = call("prune", "--keep", "0", "--dry-run")
    assert (would.exit_code, would.stderr) == (0, "2 runs would be removed\n")
    assert [line.split("\t")[0] for line in would.stdout.splitlines()] == [ids[2], ids[0]]
    assert _ids(book) == ids
    assert call("prune", "--keep", "0").stderr == "2 runs removed\n"
    assert _ids(book) == [ids[1]]


def test_prune_keeps_what_is_younger_or_of_another_loop(call, book):
    assert call("prune", "--keep", "0", "--older-than", "1 day").stderr == "0 runs removed\n"
    assert call("prune", "--keep", "0", "--loop", "train").stderr == "1 run removed\n"
    assert failed_with(call("prune", "--older-than", "soon"), "'soon' is no older_than")
    assert call("prune", "--keep", "-1").exit_code == 2


def test_delete_refuses_an_unfinished_run_unless_forced(call, book, ids):
    assert failed_with(call("delete", "review"), "unfinished (failed)")
    assert call("delete", "review", "--force").stdout == f"deleted {ids[1]}\n"
    assert _ids(book) == [ids[0], ids[2]]


# ---- doctor ---------------------------------------------------------------------------------


def test_doctor_finds_nothing_wrong_with_a_healthy_book_and_changes_nothing(call, book, path):
    before = {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()}
    result = call("doctor")
    assert result.exit_code == 0
    assert f"schema {SCHEMA_VERSION}, 3 runs, 5 steps" in result.stdout
    assert result.stdout.endswith("nothing is wrong\n")
    assert {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()} == before


def test_doctor_names_the_process_that_has_a_run_open(waiter, path):
    done = process("doctor", "--book", path)
    assert done.returncode == 0
    assert f"is open in process {waiter.pid}" in done.stdout


@pytest.fixture
def journal(book):
    """The journal of a run that its process has left behind, with events not yet folded."""
    code = (
        "import os, sys, stepbook\n"
        "run = stepbook.connect(sys.argv[1]).run('left')\n"
        "for i in range(5): run.do(f'Step {i}', int)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(book.path)], check=True, capture_output=True)
    folder = book._opened.records.journals.folder
    (found,) = [p for p in folder.iterdir() if p.suffix == ".jsonl"]
    return found


def test_doctor_is_content_with_a_journal_that_waits_to_be_folded(call, journal):
    result = call("doctor")
    assert result.exit_code == 0
    assert "1 file, " in result.stdout


HOLDS = """
import sys, duckdb
held = duckdb.connect(sys.argv[1])
print("held", flush=True)
input()
"""


def test_doctor_held_off_by_a_busy_database_says_so_and_finds_nothing_wrong(child, book, path):
    book.close()
    holder = child(HOLDS, path)
    holder.expect("held")
    for env in ({}, {"FORCE_COLOR": "1"}):
        held = process("doctor", "--book", path, **env)
        assert held.returncode == 0, held.stdout
        assert held.stderr == ""
        told = " ".join(held.stdout.split())
        assert "tables" in told
        assert "not looked at" in told
        assert f"process {holder.pid}" in told
        assert "nothing is wrong in what could be looked at" in told
    assert "✓ artifacts" in process("doctor", "--book", path).stdout
    holder.say()
    holder.end()
    assert process("doctor", "--book", path).stdout.endswith("\nnothing is wrong\n")


def test_doctor_held_off_by_a_busy_database_says_what_is_wrong_elsewhere(child, journal, path):
    raw = journal.read_bytes().replace(b'"name":"Step 1"', b'"name":"Step X"', 1)
    journal.write_bytes(raw)
    holder = child(HOLDS, path)
    holder.expect("held")
    held = process("doctor", "--book", path)
    assert held.returncode == 1
    assert "not looked at" in held.stdout
    assert f"{journal}, line " in held.stdout


def test_doctor_finds_a_damaged_line(call, journal):
    raw = journal.read_bytes().replace(b'"name":"Step 1"', b'"name":"Step X"', 1)
    journal.write_bytes(raw)
    result = call("doctor")
    assert result.exit_code == 1
    assert f"{journal}, line " in result.stdout
    assert "is damaged now" in result.stdout


def test_doctor_finds_a_journal_of_another_book(call, journal, book):
    (book._opened.records.home.folder / "book.json").write_text(
        '{"book": "0123456789abcdef", "format": 1}'
    )
    result = call("doctor")
    assert result.exit_code == 1
    assert "belongs to another book" in result.stdout
    assert "the folder belongs to the book 0123456789abcdef" in result.stdout


def test_doctor_finds_events_that_are_missing_between_tables_and_journal(call, book, path):
    run = book.run("left")
    run.do("Step", int)
    run.close()
    run.do("Another", int)
    (journal,) = files_of(book._opened.records.journals.folder, run.id)
    kept = journal.read_bytes()
    run.close()
    book.delete(run.id, force=True)
    journal.write_bytes(kept)
    result = call("doctor")
    assert result.exit_code == 1
    assert "is older than the journal" in result.stdout


def test_doctor_finds_a_broken_delivery_and_one_for_nobody(call, book, ids):
    inbox = book._opened.records.home.folder / "inbox"
    (inbox / f"{ids[0]}.00ff.1.json").write_text("{")
    (inbox / "run_zzzzzzzzzzzz.00ff.1.json").write_text(
        '{"step":"x","session":1,"payload":"1","error":null,"timeout":false,"at":1}'
    )
    result = call("doctor")
    assert result.exit_code == 1
    assert "the delivery cannot be read" in result.stdout
    assert "which is not in this book" in result.stdout
    assert "2 problems" in result.stdout


def test_doctor_finds_an_artifact_that_has_changed(call, book):
    artifact = book._opened.records.home.folder / "artifacts" / ("0" * 64 + ".npy")
    artifact.write_bytes(b"changed")
    result = call("doctor")
    assert result.exit_code == 1
    assert f"{artifact}\n    its content has changed" in result.stdout
    assert "redo the step that returned it" in result.stdout


def test_doctor_names_the_step_of_an_artifact_that_has_changed(call, book):
    with book.run("text") as run:
        run.do("Read", lambda: "x" * 200_000)
    (artifact,) = (book._opened.records.home.folder / "artifacts").iterdir()
    artifact.write_bytes(b"changed")
    result = call("doctor")
    assert result.exit_code == 1
    assert f"{artifact}\n    its content has changed; 'Read' of {run.id} returned" in result.stdout


def test_doctor_names_every_step_that_shares_a_damaged_file(call, book):
    columns = {f"c{n}": np.random.default_rng(n).random(150_000) for n in range(6)}
    frame = pd.DataFrame(columns)
    with book.run("shared", input=1) as one, book.run("shared", input=2) as other:
        one.do("Load", lambda: frame)
        one.do("Add", lambda: frame.assign(n=1.0))
        other.do("Keep", lambda: frame.assign(n=2.0))
    shared = one.artifact("Load")
    shared.write_bytes(b"changed")
    told = call("doctor").stdout
    assert f"{shared}\n    its content has changed; " in told
    assert f"'Add', 'Load' of {one.id}" in told
    assert f"'Keep' of {other.id}" in told


def test_doctor_finds_an_artifact_that_is_missing(call, book):
    with book.run("text") as run:
        run.do("Read", lambda: "x" * 200_000)
    (artifact,) = (book._opened.records.home.folder / "artifacts").iterdir()
    assert "✓ artifacts  1 file" in call("doctor").stdout
    artifact.unlink()
    result = call("doctor")
    assert result.exit_code == 1
    assert f"{artifact}\n    is missing; 'Read' of {run.id} returned it" in result.stdout


def test_doctor_finds_a_missing_a_foreign_and_a_torn_database(call, book, path):
    raw = path.read_bytes()
    path.unlink()
    assert "the database is missing" in call("doctor").stdout
    path.write_bytes(b"text, not a database. " * 1000)
    result = call("doctor")
    assert result.exit_code == 1
    assert str(path) in result.stdout
    path.write_bytes(raw[: len(raw) // 2])
    assert call("doctor").exit_code == 1
    path.write_bytes(raw)
    assert call("doctor").exit_code == 0


def test_doctor_finds_rows_that_do_not_belong_together(call, book):
    with book._opened.records.store.writing(5) as writer:
        writer._connection.execute("DELETE FROM runs WHERE loop = 'train'")
    result = call("doctor")
    assert result.exit_code == 1
    assert "rows of the table steps belong to runs that are not there" in result.stdout
    assert "1 rows" not in result.stdout


# ---- help and completion --------------------------------------------------------------------


def test_every_command_has_help(call):
    for name in cli.commands:
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage: ")


def test_the_version_is_that_of_the_package():
    assert process("--version").stdout == f"stepbook {stepbook.__version__}\n"


def test_wrong_usage_is_exit_code_2():
    for arguments in (["nonsense"], ["show"], ["runs", "--format", "xml"], ["runs", "--nope"]):
        assert CliRunner().invoke(cli, arguments).exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell):
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_STEPBOOK_COMPLETE" in result.stdout


def completed(path, words):
    done = process(
        STEPBOOK_BOOK=str(path),
        _STEPBOOK_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(words.count(" ")),
    )
    return [line.split(",", 1)[1] for line in done.stdout.splitlines() if line]


def test_runs_loops_and_steps_are_completed(book, path, ids):
    assert sorted(completed(path, "stepbook show ")) == sorted([*ids, "review", "train"])
    assert completed(path, "stepbook runs --loop t") == ["train"]
    assert completed(path, "stepbook redo review ") == ["Load profile", "Notify"]


def test_completion_without_a_book_offers_nothing(tmp_path):
    assert completed(tmp_path / "none.duckdb", "stepbook show ") == []

"""Bad input gets a clear error, and nothing that was recorded is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import duckdb
import pytest

import stepbook
from stepbook.model.rows import LogRow


def never():
    raise AssertionError("executed")


@pytest.fixture
def run(book):
    """A run; after the test what it had recorded is there, and it can be gone on with."""
    run = book.run("loop")
    run.do("before", lambda: 1)
    yield run
    book.run("loop")
    assert run.do("before", never) == 1
    assert run.do("after", lambda: 2) == 2
    assert run.steps()["return"].iloc[0] == 1


def home(path):
    return path.parent / (path.name + ".d")


def journal(path):
    return sorted((home(path) / "journal").iterdir())


# ---- bodies, names, durations


@pytest.mark.parametrize("body", [None, 3, "text", [len]])
def test_a_body_that_is_not_callable(run, body):
    with pytest.raises(stepbook.StepFunctionError, match=r"'Score'.*not callable"):
        run.do("Score", body)


@pytest.mark.parametrize("name", ["", 5, None, "lone \ud800"])
def test_a_name_that_cannot_be_one(run, name):
    with pytest.raises(stepbook.StepNameError):
        run.do(name, never)


@pytest.mark.parametrize("text", [-1, "-5 s", "soon", float("nan"), None, "", [1], True])
def test_a_duration_that_is_negative_or_unreadable(run, text):
    with pytest.raises(stepbook.InvalidInputError):
        run.sleep(f"Cool down {text}", text)


# ---- values


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [object(), deep(10_000), lambda: 1, "lone \ud800"],
    ids=["object", "10,000 levels", "function", "surrogate"],
)
def test_a_value_that_cannot_be_stored_is_in_the_error(run, value):
    with pytest.raises(stepbook.NotSerializableError, match=r"\$.*run\.resolve") as caught:
        run.do("Train", lambda: value)
    assert caught.value.value is value
    assert caught.value.path.startswith("$")
    assert run.steps()["status"].iloc[-1] == "failed"


@pytest.mark.parametrize(
    "value",
    [10**5000, -(10**60), "x" * 10_000_000, "nul\0", {"ключ": "🩺"}, deep(100)],
    ids=["5,000 digits", "negative", "10 MB", "nul", "unicode", "100 levels"],
)
def test_a_large_or_odd_value_is_stored_and_survives_the_tables(book, value):
    run = book.run("loop")
    assert run.do("Train", lambda: value) == value
    run.close()
    assert book.run("loop").do("Train", never) == value


# ---- paths


def test_a_path_that_is_a_folder(tmp_path):
    with pytest.raises(stepbook.NotABookError, match="is a folder"):
        stepbook.connect(tmp_path)


def test_a_book_that_is_missing_is_not_created_by_reading(path):
    book = stepbook.connect(path)
    for read in (book.runs, book.steps, book.unfinished, lambda: book.get("run_x")):
        with pytest.raises(stepbook.BookNotFoundError, match="no book at"):
            read()
    assert not list(path.parent.iterdir())


def test_a_file_that_is_not_duckdb_is_left_untouched(path):
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(stepbook.NotABookError, match="left untouched"):
        stepbook.connect(path).run("loop")
    assert path.read_bytes() == b"not a database" * 1000
    assert list(path.parent.iterdir()) == [path]


def test_another_applications_database_with_its_own_runs_table_is_left_untouched(path):
    with duckdb.connect(path) as other:
        other.execute("CREATE TABLE runs (id INTEGER); INSERT INTO runs VALUES (1)")
    before = path.read_bytes()
    with pytest.raises(stepbook.NotABookError, match="another application"):
        stepbook.connect(path).run("loop")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="needs another user")
def test_a_folder_that_is_read_only_names_it_and_the_way_out(tmp_path):
    code = (
        "import os, sys; import stepbook\n"
        "connect = stepbook.connect  # this user may not read where it is imported from\n"
        "os.setuid(65534)\n"
        "try: connect(sys.argv[1]).run('loop')\n"
        "except stepbook.NotABookError as e: print('refused', e)\n"
    )
    path = tmp_path / "closed" / "b.duckdb"
    path.parent.mkdir(mode=0o555)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o077 == 0:
            folder.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )
    assert "refused" in done.stdout, done.stderr
    assert "STEPBOOK_BOOK" in done.stdout
    assert not list(path.parent.iterdir())


# ---- journals


@pytest.fixture
def left(path, child):
    """A journal that a killed process has left, with five steps; its lines."""
    one = child(
        """
        import os, sys, stepbook, stepbook.record.folding
        stepbook.record.folding.GATHER_S = 3600
        run = stepbook.connect(sys.argv[1]).run("loop")
        for i in range(5):
            run.do(f"s{i}", lambda: i)
        os._exit(0)
        """,
        path,
    )
    code, _, errors = one.end()
    assert code == 0, errors
    (file,) = journal(path)
    return file


def test_a_torn_last_line_is_dropped_and_everything_before_it_is_there(book, left):
    content = left.read_bytes().rstrip(b"\0")
    left.write_bytes(content[:-20])
    run = book.run("loop")
    for i in range(4):
        assert run.do(f"s{i}", never) == i
    assert run.do("s4", lambda: "again") == "again"


@pytest.mark.parametrize("where", [b'"s2"', b'"type":"header"'])
@pytest.mark.parametrize("how", ["flip", "hole"])
def test_a_damaged_line_before_the_synced_mark_is_reported_and_left(book, left, where, how):
    content = left.read_bytes()
    at = content.index(where)
    end = at + 1 if how == "flip" else content.index(b"\n", at) + 1
    damaged = content[:at] + bytes(end - at) + content[end:]
    left.write_bytes(damaged)
    with pytest.raises(stepbook.JournalDamagedError) as caught:
        book.get(left.name.split(".")[0])
    assert caught.value.path == str(left)
    assert caught.value.line >= 1
    with pytest.warns(stepbook.StepbookWarning, match="left as it is"):
        book.runs()
    assert left.read_bytes() == damaged
    fresh = book.run("loop", new=True)
    assert fresh.do("s0", lambda: "fresh") == "fresh"


def test_a_last_line_that_the_next_file_calls_synced_is_damage(book, left):
    run = book.run("loop")
    run.do("more", lambda: 1)
    second = journal(book.path)[-1]
    assert second != left
    content = left.read_bytes().rstrip(b"\0")
    kept = second.read_bytes()
    run.close()
    book.close()
    book.path.unlink()
    left.write_bytes(content[:-20])
    second.write_bytes(kept)
    with pytest.raises(stepbook.JournalDamagedError):
        book.run("loop")


def test_a_journal_of_a_newer_format_is_left_untouched(book, left):
    from stepbook.record.lines import seal

    first = json.loads(left.read_bytes().split(b"\n")[0])
    newer = seal(0, 0, "header", {**first["row"], "format": 99})
    left.write_bytes(newer)
    with pytest.raises(stepbook.BookVersionError, match="newer stepbook"):
        book.get(left.name.split(".")[0])
    assert left.read_bytes() == newer


def test_a_database_that_was_lost_is_made_again_from_whole_journals(book, path, left):
    path.unlink()
    run = book.run("loop")
    assert [run.do(f"s{i}", never) for i in range(5)] == list(range(5))


def test_a_database_from_an_older_copy_is_reported_with_the_number_of_events(book, path):
    run = book.run("loop")
    older = path.read_bytes()
    run.do("a", lambda: 1)
    run.close()
    run.do("b", lambda: 1)
    kept = {file: file.read_bytes() for file in journal(path)}
    run.close()
    book.close()
    path.write_bytes(older)
    for file, content in kept.items():
        file.write_bytes(content)
    with pytest.raises(stepbook.BookMismatchError, match=r"older than the journal.*by \d+ events"):
        book.run("loop")
    assert {file: file.read_bytes() for file in journal(path)} == kept
    assert book.run("loop", new=True).do("a", lambda: 2) == 2


def test_journals_of_another_book_are_reported_and_not_folded(book, path, left):
    about = home(path) / "book.json"
    path.unlink()
    about.write_text('{"book": "another", "format": 1}')
    with pytest.raises(stepbook.BookMismatchError, match="another book"):
        book.run("loop")
    assert left.exists()


def test_a_new_database_does_not_take_up_the_log_of_a_lost_one(book, path, child):
    book.run("loop").finish()
    book.close()
    path.unlink()
    path.with_name(path.name + ".wal").write_bytes(b"left over" * 100)
    assert book.run("loop").do("a", lambda: 1) == 1
    assert len(book.runs()) == 1


# ---- clocks


def test_a_clock_that_goes_backwards_makes_no_negative_duration(book, monkeypatch):
    real = time.time_ns
    run = book.run("loop")
    shift = [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() - shift[0] * 3600 * 10**9)

    def body():
        shift[0] += 1

    run.do("a", body)
    with pytest.raises(ZeroDivisionError):
        run.do("b", lambda: body() or 1 / 0)
    run.do("c", lambda: 1)
    run.sleep("d", 0.01)
    run.finish()
    frame = run.steps()
    assert (frame["seconds"] >= 0).all()
    assert (frame["completed_at"] >= frame["started_at"]).all()
    assert run.completed_at >= run.started_at


def test_an_event_that_cannot_be_written_keeps_no_later_one_waiting(path):
    book = stepbook.connect(path)
    run = book.run("loop")
    with pytest.raises(stepbook.StepNameError, match="lone surrogate"):
        run.log("about nothing", step="\ud800")
    # Deeper, where no check of ours stands before it.
    with pytest.raises(UnicodeEncodeError):
        run._opened.owned().note(LogRow("info", "\ud800", 1))
    assert run.do("after", lambda: 1) == 1
    run.log("said")
    run.close()
    assert list(stepbook.connect(path).get(run.id).logs()["message"]) == ["said"]


@pytest.mark.parametrize("arguments", [{"loop": "x\ud800"}, {"loop": "x", "key": "\ud800"}])
def test_a_lone_surrogate_finds_no_run_and_is_said_in_words(book, arguments):
    with pytest.raises(stepbook.InvalidInputError, match="lone surrogate"):
        book.run(**arguments)
    assert not book.path.exists() or book.runs().empty

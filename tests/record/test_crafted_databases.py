"""A database from a stranger is first opened in another process; one's own is not."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest
from crafted import areas, checksum, crafted

import stepbook
from stepbook.record.tables import looking, vouched
from stepbook.record.tables.opening import holder_of, state_of
from stepbook.system.isolated import Limits
from stepbook.system.userdata import user_folder

SAMPLES = 12


@pytest.fixture
def recorded(path):
    book = stepbook.connect(path)
    with book.run("loop") as run:
        for number in range(20):
            run.do(f"s{number}", lambda n=number: {"text": "x" * 50 * n, "n": [n] * n})
        run.log("hello")
    book.close()
    return path


def forget(path) -> None:
    """Have nobody know how the database was left, as if it came from somebody else."""
    vouched._note_of(user_folder(create=True), path).unlink(missing_ok=True)


COUNTS = """
    import sys

    started = []


    def hear(event, arguments):
        if event == "subprocess.Popen" and arguments[0] == sys.executable:
            started.append(arguments)


    sys.addaudithook(hear)
    import duckdb
    import stepbook

    for path in sys.argv[1:]:
        book = stepbook.connect(path)
        before = len(started)
        try:
            found = len(book.runs())
        except (stepbook.StepbookError, duckdb.Error) as error:
            found = type(error).__name__
        print("looked", len(started) - before, "found", found, flush=True)
"""


def looks(child, *paths) -> list[tuple[int, str]]:
    """Open books in a new process; return how many others it has started for each, and what came.

    Nothing of that process may be ended by a file.
    """
    one = child(COUNTS, *paths, name="counts.py")
    code, out, err = one.end()
    assert code == 0, err
    lines = [line.split() for line in out.splitlines() if line.startswith("looked")]
    return [(int(line[1]), line[3]) for line in lines]


def test_the_checksums_here_are_duckdbs(recorded):
    content = recorded.read_bytes()
    for start, end in areas(content):
        assert content[start : start + 8] == checksum(content[start + 8 : end])


def test_whatever_a_crafted_file_holds_the_process_that_opens_the_book_goes_on(
    recorded, tmp_path, child
):
    seed = int(os.environ.get("STEPBOOK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    chance, content = random.Random(seed), recorded.read_bytes()
    paths = [tmp_path / f"{number}.duckdb" for number in range(SAMPLES)]
    for path in paths:
        path.write_bytes(crafted(content, chance))
    answers = looks(child, *paths)
    assert len(answers) == SAMPLES
    for looked, found in answers:
        assert looked == 1
        assert found.isdigit() or found.endswith(("Error", "Exception"))


def test_a_file_that_ends_the_process_that_looks_at_it_is_refused_and_left(recorded, monkeypatch):
    forget(recorded)
    before = state_of(recorded)
    monkeypatch.setattr(looking, "_LIMITS", Limits(memory=1 << 20))  # as one that asks for more
    book = stepbook.connect(recorded)
    book._opened.records.store._left = None
    with pytest.raises(stepbook.NotABookError, match=r"do not use it|cannot be read"):
        book.runs()
    assert state_of(recorded) == before
    monkeypatch.undo()
    assert len(book.runs()) == 1


def test_ones_own_book_is_opened_by_other_processes_without_a_look(recorded, child):
    assert looks(child, recorded) == [(0, "1")]
    assert looks(child, recorded) == [(0, "1")]


def test_a_book_that_somebody_else_has_written_is_looked_at_once(recorded, child):
    with duckdb.connect(recorded) as other:
        other.execute("UPDATE runs SET note = 'changed'")
    assert looks(child, recorded, recorded) == [(1, "1"), (0, "1")]
    assert looks(child, recorded) == [(0, "1")]


def test_a_copy_is_not_ones_own_and_a_changed_copy_is_not_the_one_that_was_looked_at(
    recorded, tmp_path, child
):
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(recorded.read_bytes())
    assert looks(child, copy) == [(1, "1")]
    copy.write_bytes(recorded.read_bytes())
    assert looks(child, copy) == [(1, "1")]


@pytest.mark.parametrize("text", ["", "{", "[[1]]", "[1, 2]", "null", '[["a"], null]', "[" * 9999])
def test_a_note_that_says_something_else_is_worth_nothing(recorded, child, text):
    vouched._note_of(user_folder(create=True), recorded).write_text(text)
    assert looks(child, recorded) == [(1, "1")]


def test_without_a_folder_of_the_user_each_process_looks_once(recorded, child, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null")
    assert looks(child, recorded, recorded) == [(1, "1"), (0, "1")]
    assert looks(child, recorded) == [(1, "1")]


def test_a_book_just_created_is_the_users_own(tmp_path, child):
    one = child(
        """
        import sys

        started = []
        sys.addaudithook(
            lambda event, about: started.append(event)
            if event == "subprocess.Popen" and about[0] == sys.executable
            else None
        )
        import stepbook

        run = stepbook.connect(sys.argv[1]).run("loop")
        run.do("a", lambda: 1)
        run.close()
        print("started", len(started), flush=True)
        """,
        tmp_path / "new.duckdb",
    )
    assert one.expect("started") == "0"
    assert one.end()[0] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the other process is asked")
def test_a_connection_of_ones_own_in_the_same_process_needs_no_look(recorded):
    book = stepbook.connect(recorded)
    with duckdb.connect(recorded) as mine:
        assert holder_of(recorded) == os.getpid()
        mine.execute("UPDATE runs SET note = 'mine'")
        assert list(book.runs()["note"]) == ["mine"]
    assert holder_of(recorded) is None
    assert len(book.runs()) == 1


def test_a_book_that_others_hold_is_busy_and_then_read(recorded, child):
    one = child(
        """
        import sys, duckdb
        with duckdb.connect(sys.argv[1]) as held:
            held.execute("UPDATE runs SET note = 'theirs'")
            print("held", flush=True)
            sys.stdin.readline()
        """,
        recorded,
    )
    one.expect("held")
    book = stepbook.connect(recorded)
    with pytest.raises(stepbook.BookBusyError, match=str(one.pid)):
        book.runs()
    one.say()
    assert one.end()[0] == 0
    assert list(book.runs()["note"]) == ["theirs"]


def test_the_notes_of_many_books_do_not_pile_up(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(vouched, "_MOST", 20)
    for number in range(50):
        vouched.note(tmp_path / f"{number}.duckdb", ((number,), None))
    folder = user_folder()
    assert folder is not None
    assert len(list((folder / "books").iterdir())) <= 21
    assert vouched.noted(tmp_path / "49.duckdb") == ((49,), None)
    assert (folder / "books").stat().st_mode & 0o077 == 0 or os.name == "nt"


def test_while_a_changed_book_is_looked_at_the_user_can_connect_to_it(recorded, monkeypatch):
    with duckdb.connect(recorded) as mine:
        mine.execute("UPDATE runs SET note = 'changed'")
    connects, ask = [], looking.ask

    def ask_meanwhile(*given, **options):
        done = threading.Event()

        def connect():
            while not done.is_set():
                with duckdb.connect(recorded) as mine:
                    connects.append(mine.execute("SELECT count(*) FROM steps").fetchall())

        with ThreadPoolExecutor() as pool:
            connecting = pool.submit(connect)
            try:
                return ask(*given, **options)
            finally:
                done.set()
                connecting.result()

    monkeypatch.setattr(looking, "ask", ask_meanwhile)
    assert stepbook.connect(recorded).runs()["note"].tolist() == ["changed"]
    assert len(connects) > 1
    assert set(map(str, connects)) == {"[(20,)]"}


@pytest.mark.parametrize("place", ["copy_files", "ask"])
def test_a_book_that_changes_while_it_is_looked_at_is_looked_at_again(
    recorded, monkeypatch, tmp_path, place
):
    forget(recorded)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    seen, work = [], getattr(looking, place)

    def change_and(*given, **options):
        seen.append(given)
        if len(seen) == 1:
            with duckdb.connect(recorded) as other:
                other.execute("UPDATE runs SET note = 'changed'")
        return work(*given, **options)

    monkeypatch.setattr(looking, place, change_and)
    book = stepbook.connect(recorded)
    book._opened.records.store._left = None
    assert book.runs()["note"].tolist() == ["changed"]
    assert len(seen) == 2
    assert not list(folder.iterdir())


@pytest.mark.parametrize("why", ["too big", "no folder"])
def test_a_book_that_cannot_be_copied_is_looked_at_where_it_is(
    recorded, monkeypatch, tmp_path, why
):
    forget(recorded)
    if why == "too big":
        monkeypatch.setattr(looking, "_COPY_BYTES", 0)
    else:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    asked, ask = [], looking.ask
    monkeypatch.setattr(looking, "ask", lambda *g, **o: asked.append(g) or ask(*g, **o))
    book = stepbook.connect(recorded)
    book._opened.records.store._left = None
    assert len(book.runs()) == 1
    assert [given[1] for given in asked] == [str(recorded)]

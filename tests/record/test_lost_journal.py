"""Journals, folders or the database vanish under an open run: nothing acknowledged does."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

import stepbook
import stepbook.record.records
from stepbook.cli.checks import examine

# Does what it is told, one line of input at a time, and says how it ended.
OWNER = """
    import os, sys, warnings
    import stepbook, stepbook.record.folding

    if sys.argv[2] == "unfolded":
        stepbook.record.folding.GATHER_S = 3600
    warnings.showwarning = lambda message, *_, **__: print("told", message, flush=True)
    warnings.simplefilter("always")
    book = stepbook.connect(sys.argv[1])
    run = book.run("loop")

    def obey(what, *names):
        if what == "do":
            for name in names:
                assert run.do(name, lambda: name) == name
                print("ack", name, flush=True)
        elif what == "fold":
            book._opened.records.fold_open()
        elif what == "steps":
            print("steps", *run.steps()["name"], flush=True)
        elif what == "close":
            run.close()
        elif what == "again":
            assert book.run("loop") is run
        elif what == "other":
            book.run("other").do("x", lambda: 1)
        elif what == "delete":
            book.delete(run.id, force=True)
        elif what == "deliver":
            book.deliver_scan(run.id, 1, name="scan")

    print("ready", run.id, flush=True)
    for line in sys.stdin:
        try:
            obey(*line.split())
        except stepbook.StepbookError as error:
            print("refused", type(error).__name__, error, flush=True)
        except BaseException as error:
            print("raw", repr(error), flush=True)
        print("done", flush=True)
"""


class Owner:
    """The process that has the run open."""

    def __init__(self, child, path, folded: str) -> None:
        self.child = child(OWNER, path, folded)
        self.run_id = self.child.expect("ready")
        self.acknowledged: list[str] = []
        self.told: list[str] = []
        self.refused: list[str] = []

    def __call__(self, command: str) -> list[str]:
        self.child.say(command)
        lines = []
        for raw in self.child.process.stdout:
            word, _, rest = raw.strip().partition(" ")
            if word == "done":
                return lines
            lines.append(raw.strip())
            {"ack": self.acknowledged, "told": self.told, "refused": self.refused}.get(
                word, []
            ).append(rest)
            assert word != "raw", raw
        raise AssertionError(self.child.process.communicate()[1])


def never():
    raise AssertionError("an acknowledged step was executed again")


def home(path):
    return path.with_name(path.name + ".d")


def remove_journal(path):
    for file in (home(path) / "journal").glob("*.jsonl"):
        file.unlink()


def remove_journals(path):
    shutil.rmtree(home(path) / "journal")


def remove_home(path):
    shutil.rmtree(home(path))


def remove_database(path):
    path.unlink()


def remove_both(path):
    shutil.rmtree(home(path))
    path.unlink()


def replace_journal(path):
    for file in (home(path) / "journal").glob("*.jsonl"):
        copy = file.with_suffix(".copy")
        shutil.copy(file, copy)
        copy.replace(file)


def replace_home(path):
    copy = path.with_name("copy")
    shutil.copytree(home(path), copy)
    home(path).rename(path.with_name("old"))
    copy.rename(home(path))


def move_journal_away(path):
    for file in (home(path) / "journal").glob("*.jsonl"):
        file.rename(path.with_name("moved"))


LOSSES = [
    remove_journal,
    remove_journals,
    remove_home,
    remove_database,
    remove_both,
    replace_journal,
    replace_home,
    move_journal_away,
]


@pytest.fixture
def owned(child, path):
    return lambda folded="unfolded", path=path: Owner(child, path, folded)


def ended(owner):
    code, _, errors = owner.child.end()
    assert code == 0
    assert "Traceback" not in errors


def all_there(path, names):
    """Every acknowledged step replays in another process's eyes, and the tables agree."""
    book = stepbook.connect(path)
    run = book.run("loop")
    for name in names:
        assert run.do(name, never) == name
    run.finish()
    assert set(names) <= set(run.steps()["name"])
    assert not list((home(path) / "journal").iterdir())
    book.close()


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("folded", "end"), [("unfolded", "killed"), ("folded", "closed"), ("unfolded", "exit")]
)
def test_what_was_acknowledged_is_there_whatever_vanishes_and_however_the_process_ends(
    owned, path, loss, folded, end
):
    owner = owned(folded)
    owner("do a b c")
    if folded == "folded":
        owner("fold")
    owner("do d")
    loss(path)
    owner("do e f")
    assert owner.acknowledged == list("abcdef")
    if loss is not remove_database:
        (told,) = [text for text in owner.told if "lost its name" in text]
        assert str(home(path) / "journal") in told
    if end == "killed":
        owner.child.signal(signal.SIGKILL)
        owner.child.process.wait()
    elif end == "closed":
        owner("close")
    if end != "killed":
        ended(owner)
    with warnings.catch_warnings():
        warnings.simplefilter("error", stepbook.StepbookWarning)
        all_there(path, "abcdef")


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_that_records_nothing_more_keeps_what_it_has_when_it_is_closed(owned, path, loss):
    owner = owned()
    owner("do a b c")
    loss(path)
    owner("close")
    ended(owner)
    all_there(path, "abc")


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("commands", [["steps"], ["again", "other", "deliver", "fold"]])
def test_whatever_is_asked_after_a_loss_gives_the_whole_record_or_a_clear_error(
    owned, path, loss, commands
):
    owner = owned()
    owner("do a b c")
    loss(path)
    for command in commands:
        said = owner(command)
    if commands == ["steps"]:
        assert said[-1] == "steps a b c"
    assert not owner.refused
    owner("do d")
    owner("close")
    ended(owner)
    all_there(path, "abcd")


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_can_be_deleted_whatever_vanished(owned, path, loss):
    owner = owned()
    owner("do a b c")
    loss(path)
    owner("delete")
    ended(owner)
    if loss is remove_database:  # it may come back, with the run
        (refusal,) = owner.refused
        assert refusal.startswith("BookMismatchError")
        all_there(path, "abc")
    else:
        assert not owner.refused
        assert not len(stepbook.connect(path).runs())


@pytest.mark.parametrize("loss", [remove_journal, remove_home, replace_home])
def test_what_a_killed_process_had_left_is_not_lost_with_the_journal_of_the_next(owned, path, loss):
    first = owned()
    first("do a b c")
    first.child.signal(signal.SIGKILL)
    first.child.process.wait()
    second = owned()
    second("do d")
    loss(path)
    second("do e")
    second.child.signal(signal.SIGKILL)
    second.child.process.wait()
    all_there(path, "abcde")


def test_a_record_that_would_not_be_whole_is_refused_until_the_database_is_back(owned, path):
    first = owned()
    first("do a b")
    first("close")
    ended(first)
    kept = path.read_bytes()
    owner = owned()
    owner("do c")
    remove_both(path)
    owner("do d")
    (refusal,) = owner.refused
    assert refusal.startswith("JournalWriteError")
    assert "is gone with the first" in refusal
    assert "d" not in owner.acknowledged
    path.write_bytes(kept)
    owner("again")
    owner("do d")
    owner("close")
    ended(owner)
    all_there(path, "abcd")


def test_closing_a_run_of_which_the_record_is_gone_does_not_call_it_safe(owned, path):
    first = owned()
    first("do a b")
    first("close")
    ended(first)
    owner = owned()
    owner("do c")
    remove_both(path)
    owner("close")
    (told,) = [text for text in owner.told if "let go of" in text]
    assert "cannot be read again" in told
    assert "is safe" not in told
    assert str(path) in told
    ended(owner)


def test_closing_a_run_of_which_the_journal_was_cut_short_does_not_call_it_safe(owned, path):
    owner = owned()
    owner("do a b c")
    (file,) = (home(path) / "journal").iterdir()
    os.truncate(file, 1000)
    owner("close")
    (told,) = [text for text in owner.told if "let go of" in text]
    assert "cannot be read again" in told
    assert "is safe" not in told
    assert str(file) in told
    ended(owner)


@pytest.mark.parametrize(("steps", "left"), [(3, 1000), (2000, 100_000)])
def test_nothing_is_acknowledged_behind_the_hole_in_a_journal_that_was_cut_short(
    owned, path, steps, left
):
    owner = owned()
    owner(f"do {' '.join(f's{number}' for number in range(steps))}")
    (file,) = (home(path) / "journal").iterdir()
    os.truncate(file, left)
    owner("do d")
    assert "d" not in owner.acknowledged
    (refusal,) = owner.refused
    assert refusal.startswith("JournalWriteError")
    assert str(file) in refusal


@pytest.mark.parametrize("end", ["killed", "closed"])
def test_a_run_goes_on_when_the_tables_hold_what_was_cut_off_its_journal(owned, path, end):
    owner = owned("folded")
    owner("do a b")
    owner("fold")
    (file,) = (home(path) / "journal").iterdir()
    os.truncate(file, 700)
    owner("do c d")
    assert owner.acknowledged == list("abcd")
    assert not file.exists()
    (told,) = [text for text in owner.told if "lost its name or its end" in text]
    assert str(file) in told
    if end == "killed":
        owner.child.signal(signal.SIGKILL)
        owner.child.process.wait()
    else:
        owner("close")
        ended(owner)
    all_there(path, "abcd")


def test_a_journal_that_was_cut_short_under_its_owner_is_reported_when_it_is_opened(owned, path):
    owner = owned()
    owner("do a b c")
    (file,) = (home(path) / "journal").iterdir()
    os.truncate(file, 1000)
    owner("do d")
    owner.child.signal(signal.SIGKILL)
    owner.child.process.wait()
    with pytest.raises(stepbook.JournalDamagedError, match=str(file)):
        stepbook.connect(path).run("loop")


def test_the_journal_is_not_written_into_another_book_that_was_made_in_its_place(owned, path):
    owner = owned()
    owner("do a b")
    remove_both(path)
    other = stepbook.connect(path)
    other.run("another").finish()
    other.close()
    owner("do c")
    (refusal,) = owner.refused
    assert "another book" in refusal
    assert list(stepbook.connect(path).runs()["loop"]) == ["another"]


def test_a_run_that_somebody_else_has_taken_meanwhile_is_left_to_them(owned, path):
    owner = owned("folded")
    owner("do a b")
    owner("fold")
    remove_home(path)
    book = stepbook.connect(path)
    run = book.run("loop")
    assert run.do("c", lambda: "theirs") == "theirs"
    owner("do c")
    (refusal,) = owner.refused
    assert "has opened the run meanwhile" in refusal
    run.finish()
    book.close()
    assert list(stepbook.connect(path).steps(parse=True)["return"]) == ["a", "b", "theirs"]


def test_a_folder_that_was_moved_away_is_not_made_again(owned, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    path = folder / "stepbook.duckdb"
    owner = owned(path=path)
    owner("do a b")
    folder.rename(tmp_path / "renamed")
    owner("do c")
    (refusal,) = owner.refused
    assert f"the folder {folder}" in refusal
    assert "move it back" in refusal
    assert not folder.exists()
    (tmp_path / "renamed").rename(folder)
    owner("again")
    owner("do c")
    owner("close")
    ended(owner)
    all_there(path, "abc")


def test_threads_that_record_while_the_journal_vanishes_lose_nothing(book, path):
    run = book.run("loop")
    acknowledged: list[str] = []
    gone = threading.Event()

    def work(number):
        for i in range(60):
            name = f"{number}.{i}"
            assert run.do(name, lambda name=name: name) == name
            acknowledged.append(name)
            if len(acknowledged) == 200:
                gone.set()

    def vanish():
        gone.wait()
        remove_journals(path)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stepbook.StepbookWarning)
        with ThreadPoolExecutor(9) as pool:
            done = [pool.submit(vanish), *(pool.submit(work, n) for n in range(8))]
        for one in done:
            one.result()
    assert len(acknowledged) == 480
    steps = stepbook.record.records.Records(path).peek_journals(run.id).steps
    assert set(acknowledged) == {n for n, step in steps.items() if step.status == "succeeded"}
    run.close()
    all_there(path, acknowledged)


# ---- DuckDB makes an empty database where it finds none


class Vanishing:
    """The database vanishes between the look at it and the opening, once."""

    def __init__(self, path, monkeypatch) -> None:
        self.connect, self.path, self.vanished = duckdb.connect, path, False
        monkeypatch.setattr(duckdb, "connect", self)

    def __call__(self, *args, **kwargs):
        if not self.vanished and not kwargs.get("read_only") and str(self.path) in map(str, args):
            self.vanished = True
            self.path.unlink()
        return self.connect(*args, **kwargs)


def test_a_database_that_vanishes_while_it_is_opened_is_made_anew(path, monkeypatch):
    book = stepbook.connect(path)
    run = book.run("loop")
    vanishing = Vanishing(path, monkeypatch)
    run.do("a", lambda: "a")
    with pytest.raises(stepbook.BookMismatchError, match="is gone"):
        book._opened.records.fold_open()
    assert vanishing.vanished
    assert path.stat().st_size == 12_288  # DuckDB has made one
    run.do("b", lambda: "b")
    run.close()
    book.close()
    all_there(path, "ab")


@pytest.mark.parametrize("folder_is_there", [True, False])
def test_a_blank_database_in_the_place_of_a_lost_one_is_filled(owned, path, folder_is_there):
    owner = owned()
    owner("do a b")
    if not folder_is_there:
        remove_home(path)
    path.unlink()
    duckdb.connect(path).close()  # as a query does, by somebody who does not know that it is gone
    owner("do c")
    owner.child.signal(signal.SIGKILL)
    owner.child.process.wait()
    found = [p.what for c in examine(stepbook.connect(path)._opened) for p in c.problems]
    assert any("the database is missing" in what for what in found)
    all_there(path, "abc")


def test_a_blank_database_that_no_folder_is_beside_is_left_untouched(path):
    duckdb.connect(path).close()
    before = path.read_bytes()
    with pytest.raises(stepbook.NotABookError, match="another application"):
        stepbook.connect(path).run("loop")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]

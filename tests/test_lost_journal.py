"""A journal, its folder or the database vanishes under a run that is open: nothing acknowledged does."""

from __future__ import annotations

import shutil
import signal
import warnings

import pytest

import stepbook

# Does what it is told, one line of input at a time, and says how it ended.
OWNER = """
    import os, sys, warnings
    import stepbook, stepbook._folder

    if sys.argv[2] == "unfolded":
        stepbook._folder.GATHER_S = 3600
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
            book._records.fold_open()
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
KEEP_THE_DATABASE = [loss for loss in LOSSES if loss not in (remove_database, remove_both)]


@pytest.fixture(params=["folded", "unfolded"])
def owner(request, child, path):
    return Owner(child, path, request.param)


def all_there(path, names):
    """Every acknowledged step replays in another process's eyes, and the tables agree."""
    book = stepbook.connect(path)
    run = book.run("loop")
    for name in names:
        assert run.do(name, never) == name
    run.finish()
    assert set(names) <= set(run.steps()["name"])
    assert not [file for file in (home(path) / "journal").iterdir() if "damaged" in file.name]
    book.close()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("end", ["killed", "closed", "exit"])
def test_what_was_acknowledged_is_there_whatever_vanishes_and_however_the_process_ends(
    owner, path, loss, end
):
    owner("do a b c")
    if owner.child.script and end != "exit":
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
        code, _, errors = owner.child.end()
        assert code == 0
        assert "Traceback" not in errors
    with warnings.catch_warnings():
        warnings.simplefilter("error", stepbook.StepbookWarning)
        all_there(path, "abcdef")


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_that_records_nothing_more_keeps_what_it_has_when_it_is_closed(owner, path, loss):
    owner("do a b c")
    loss(path)
    owner("close")
    code, _, errors = owner.child.end()
    assert code == 0
    assert "Traceback" not in errors
    all_there(path, "abc")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("command", ["steps", "again", "other", "deliver", "fold"])
def test_whatever_is_asked_after_a_loss_gives_the_whole_record_or_a_clear_error(
    owner, path, loss, command
):
    owner("do a b c")
    loss(path)
    said = owner(command)
    if command == "steps":
        assert said[-1] == "steps a b c"
    if command != "fold":
        assert not owner.refused
    owner("do d")
    owner("close")
    assert owner.child.end()[0] == 0
    all_there(path, "abcd")


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_can_be_deleted_whatever_vanished(owner, path, loss):
    owner("do a b c")
    loss(path)
    owner("delete")
    assert owner.child.end()[0] == 0
    if loss is remove_database:  # it may come back, with the run
        (refusal,) = owner.refused
        assert refusal.startswith("BookMismatchError")
        all_there(path, "abc")
    else:
        assert not owner.refused
        assert not len(stepbook.connect(path).runs())

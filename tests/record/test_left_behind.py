"""What is left of a run when it is gone: nothing. Locks included, whoever takes them meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import stepbook
from stepbook.record.locks import FileLocks
from stepbook.system.interrupts import section
from stepbook.system.locks import FileLock


def names(path: Path) -> list[str]:
    """What is beside the tables, without what is there once for the whole book."""
    folder = path.with_name(path.name + ".d")
    found = [str(p.relative_to(folder)) for p in folder.rglob("*")]
    book = {".gitignore", "book.json", "journal", "locks", "inbox", "artifacts", "artifacts/work"}
    return sorted({*found} - book - {"locks/open.lock", "locks/artifacts.lock"})


def recorded(book: stepbook.Book, number: int) -> str:
    with book.run("loop", input=number) as run:
        run.do("a", lambda: number)
    return run.id


def test_ten_runs_that_are_left_of_thirty_have_ten_locks(book, path):
    for number in range(30):
        recorded(book, number)
    book.prune(keep=10)
    assert len(book.runs()) == 10
    assert names(path) == sorted(f"locks/{run_id}.lock" for run_id in book.runs()["id"])


def test_of_a_deleted_run_nothing_is_left(book, path):
    run = book.run("loop")
    book.deliver_scan(run.id, {"n": 1})
    run.do("a", lambda: "x" * 100_000)
    run.do("b", lambda: Path(stepbook.context().file("a.txt")).write_text("x"))
    run.close()
    assert names(path) != []
    book.delete(run.id, force=True)
    assert names(path) == []


def test_looking_for_a_run_that_is_not_there_leaves_nothing(book, path):
    recorded(book, 1)
    before = names(path)
    with pytest.raises(stepbook.RunNotFoundError):
        book._opened.own("run_000000000000")
    assert names(path) == before


def test_what_earlier_versions_and_dead_processes_have_left_goes_with_the_next_prune(book, path):
    kept = recorded(book, 1)
    folder = path.with_name(path.name + ".d")
    gone = "run_000000000000"
    (folder / "locks" / f"{gone}.lock").write_text("{}\n")
    (folder / "inbox" / f"{gone}.0123456789abcdef.1.json").write_text("{}\n")
    (folder / "inbox" / f".{gone}.0123456789abcdef.new").write_text("{}\n")
    (folder / "artifacts" / "work" / gone).mkdir(parents=True)
    (folder / "locks" / "mine.lock").write_text("no lock of a run")
    book.prune()
    assert names(path) == sorted([f"locks/{kept}.lock", "locks/mine.lock"])


BEGINS = """
    import sys
    import stepbook

    book = stepbook.connect(sys.argv[1])
    run = book.run("other")
    print("open", run.id, flush=True)
    sys.stdin.readline()
    run.do("a", lambda: 1)
    run.close()
"""


def test_a_run_that_is_open_elsewhere_keeps_its_lock_while_others_are_removed(child, book, path):
    one = child(BEGINS, path)
    other = one.expect("open")
    run_id = recorded(book, 1)
    book.delete(run_id, force=True)
    assert f"locks/{other}.lock" in names(path)
    with pytest.raises(stepbook.RunInUseError):
        book.run("other")
    one.say()
    assert one.end()[0] == 0
    assert other in set(book.runs()["id"])


TAKERS = """
    import sys
    from pathlib import Path
    from stepbook.system.interrupts import section
    from stepbook.system.locks import FileLock

    path, witness, times = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    removed = 0
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(times):
        with section():
            lock = FileLock.at(path)
            assert lock.acquire(timeout=60)
            # Two holders at once would meet here: one of them finds the other's file.
            witness.open("x").close()
            witness.unlink()
            if number % 2:
                lock.remove()
                removed += 1
            lock.release()
    print("removed", removed, flush=True)
"""


def test_whoever_takes_a_lock_that_others_remove_holds_it_alone(child, tmp_path):
    lock, witness, times = tmp_path / "a.lock", tmp_path / "held", 300
    takers = [child(TAKERS, lock, witness, times, name=f"taker-{n}.py") for n in range(3)]
    for taker in takers:
        taker.expect("ready")
    for taker in takers:
        taker.say()
    for taker in takers:
        code, out, err = taker.end()
        assert code == 0, err
        assert out.split()[-1] == str(times // 2)


def test_a_lock_that_was_opened_before_its_file_was_removed_is_taken_on_a_new_one(tmp_path):
    path = tmp_path / "a.lock"
    opened_before = FileLock(path)  # as another process has it
    with section():
        lock = FileLock(path)
        assert lock.acquire()
        opened_before._open()
        lock.remove()
        lock.release()
        assert not path.exists()
        assert opened_before.acquire()
        assert not opened_before.is_lost()
        assert not FileLock(path).acquire()
        opened_before.release()


DELETER = """
    import sys, warnings
    import stepbook

    warnings.simplefilter("error")
    book = stepbook.connect(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    gone = 0
    for line in sys.stdin:
        try:
            book.delete(line.strip(), force=True)
            gone += 1
        except (stepbook.RunNotFoundError, stepbook.RunInUseError, stepbook.BookBusyError):
            pass  # the others have held it for all of 5 s, on a machine with much to do
    print("gone", gone, flush=True)
"""

TAKER = """
    import sys
    import stepbook

    book = stepbook.connect(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    took = 0
    for line in sys.stdin:
        try:
            run = book.get(line.strip())
            run.do("more", lambda: 1)
            run.close()
            took += 1
        except (stepbook.RunNotFoundError, stepbook.RunInUseError, stepbook.BookBusyError):
            pass  # the others have held it for all of 5 s, on a machine with much to do
    print("took", took, flush=True)
"""


def test_takers_and_deleters_of_the_same_runs_leave_a_book_in_order(child, book, path):
    ids = [recorded(book, number) for number in range(5)]
    book.close()
    everyone = [child(DELETER, path, name=f"deleter-{n}.py") for n in range(2)]
    everyone += [child(TAKER, path, name=f"taker-{n}.py") for n in range(2)]
    for one in everyone:
        one.expect("ready")
    for one in everyone:
        one.say()
    for run_id in ids:
        for one in everyone:
            one.say(run_id)
    for one in everyone:
        code, _, err = one.end()
        assert code == 0, err
    again = stepbook.connect(path)
    left = set(again.runs()["id"])
    again.prune()
    assert names(path) == sorted(f"locks/{run_id}.lock" for run_id in left)


def test_a_run_that_another_process_removes_while_one_looks_is_not_there(book, path, monkeypatch):
    run_id = recorded(book, 1)
    book.close()  # all of it is in the tables now, and its journal is gone
    other = (
        "import os, signal, sys, stepbook\n"
        "book = stepbook.connect(sys.argv[1])\n"
        "if sys.argv[3] == 'delete':\n"
        "    book.delete(sys.argv[2], force=True)\n"
        "else:\n"
        "    book.get(sys.argv[2]).do('more', lambda: 1)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    def elsewhere(what: str) -> int:
        command = [sys.executable, "-c", other, str(path), run_id, what]
        return subprocess.run(command, check=False).returncode

    assert elsewhere("go on") == -signal.SIGKILL
    journals = book._opened.records.journals
    read = journals.read

    def read_and_removed(*asked: object, **how: object) -> list[object]:
        found = read(*asked, **how)
        if how:
            assert found[0].first > 1
            assert elsewhere("delete") == 0
        return found

    monkeypatch.setattr(journals, "read", read_and_removed)
    with pytest.raises(stepbook.RunNotFoundError):
        book.delete(run_id, force=True)
    assert names(path) == []


def test_a_lock_of_which_the_remover_was_killed_goes_with_the_next_prune(child, book, path):
    kept = recorded(book, 1)
    one = child(BEGINS, path)
    other = one.expect("open")
    one.signal(signal.SIGKILL)
    one.process.wait()
    for file in path.with_name(path.name + ".d").joinpath("journal").glob(f"{other}.*"):
        file.unlink()  # as a removal that was cut short leaves it
    book.prune()
    assert names(path) == [f"locks/{kept}.lock"]


def test_the_lock_of_a_run_is_named_by_it(tmp_path):
    locks = FileLocks(tmp_path)
    (tmp_path / "run_000000000000.lock").touch()
    (tmp_path / "open.lock").touch()
    assert sorted(locks.runs()) == ["open", "run_000000000000"]

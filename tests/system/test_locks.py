"""One owner at a time: what is done to the files of a lock changes nothing about that."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

import stepbook
from stepbook.system.locks import FileLock
from stepbook.system.platform import owner

OWNER = """
    import os, shutil, sys
    import stepbook

    path = sys.argv[1]
    run = stepbook.connect(path).run("loop")
    for number in range(5):
        assert run.do(f"step {number}", lambda: number) == number
    print("recorded", run.id, flush=True)


    def refused(call):
        try:
            call()
        except stepbook.StepbookError as error:
            print("refused", error, flush=True)


    for line in sys.stdin:
        exec(line)
        print("did it", flush=True)
"""

SECOND = """
    import sys
    import stepbook

    try:
        run = stepbook.connect(sys.argv[1]).run("loop")
        print("opened", run.id, flush=True)
        run.close()
    except stepbook.RunInUseError as error:
        print("refused", error, flush=True)
"""


def does(owner, line):
    owner.say(line)
    owner.expect("did it")


@pytest.mark.parametrize(
    "strange",
    [
        'shutil.copytree(path + ".d", path + ".backup")',
        'open(f"{path}.d/locks/{run.id}.lock").close()',
        'os.close(os.dup(os.open(f"{path}.d/locks/{run.id}.lock", os.O_RDWR)))',
    ],
    ids=["copytree", "open and close", "dup"],
)
def test_reading_the_files_of_an_open_run_in_its_process_lets_nobody_else_in(child, path, strange):
    one = child(OWNER, path, name="owner.py")
    run_id = one.expect("recorded")
    does(one, strange)
    two = child(SECOND, path, name="second.py")
    refused = two.expect("refused")
    assert f"process {one.pid} " in refused
    assert "owner.py" in refused
    does(one, 'run.do("after", lambda: 5)')
    one.signal(signal.SIGKILL)
    one.process.wait()
    run = stepbook.connect(path).run("loop")
    assert run.id == run_id
    names = [*(f"step {number}" for number in range(5)), "after"]
    assert [run.do(name, lambda: 1 / 0) for name in names] == list(range(6))
    run.close()


OLDER = """
    import fcntl, os, sys
    from pathlib import Path

    # What stepbook 0.1 does.
    fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.lockf(fd, (fcntl.LOCK_SH if "shared" in sys.argv else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        print("locked", flush=True)
        sys.stdin.readline()
    except OSError as error:
        print("refused", error.errno, flush=True)
"""


def test_a_record_lock_of_an_older_stepbook_and_a_lock_exclude_each_other(child, tmp_path):
    path = tmp_path / "run.lock"
    lock = FileLock.at(path)
    older = child(OLDER, path)
    older.expect("locked")
    assert not lock.acquire()
    assert not lock.acquire(shared=True)
    older.say()
    older.end()
    assert lock.acquire()
    child(OLDER, path).expect("refused")
    child(OLDER, path, "shared").expect("refused")
    lock.release()
    assert lock.acquire(shared=True)
    child(OLDER, path).expect("refused")
    sharing = child(OLDER, path, "shared")
    sharing.expect("locked")
    sharing.say()
    sharing.end()
    lock.release()
    child(OLDER, path).expect("locked")


def test_a_run_that_an_older_stepbook_has_open_is_in_use(child, path):
    run = stepbook.connect(path).run("loop")
    run.do("step", lambda: 1)
    run.close()
    older = child(OLDER, path.parent / f"{path.name}.d/locks/{run.id}.lock")
    older.expect("locked")
    with pytest.raises(stepbook.RunInUseError):
        run.do("another", lambda: 2)
    older.say()
    older.end()
    assert run.do("another", lambda: 2) == 2
    run.close()


def test_the_end_of_a_forked_child_leaves_the_lock_with_its_parent(child, path):
    one = child(OWNER, path)
    one.expect("recorded")
    does(one, "os.fork() or os._exit(0)")
    does(one, "os.wait()")
    child(SECOND, path).expect("refused")
    # One that ends as Python ends: with everything that is closed then.
    does(one, "os.fork() or sys.exit()")
    does(one, "os.wait()")
    child(SECOND, path).expect("refused")


def test_a_forked_child_that_lives_on_does_not_keep_its_parent_s_lock(child, path):
    one = child(OWNER, path)
    run_id = one.expect("recorded")
    does(one, "child = os.fork() or __import__('signal').pause()")
    one.say("print('forked', child, flush=True)")
    forked = int(one.expect("forked"))
    try:
        one.signal(signal.SIGKILL)
        one.process.wait()
        assert child(SECOND, path).expect("opened") == run_id
    finally:
        os.kill(forked, signal.SIGKILL)


def test_a_child_that_keeps_the_lock_of_a_dead_owner_is_named(child, path):
    one = child(OWNER, path, name="owner.py")
    run_id = one.expect("recorded")
    # A fork that Python does not hear of, as a library in C does it.
    one.say("heir = __import__('ctypes').CDLL(None).fork() or __import__('signal').pause()")
    one.expect("did it")
    one.say("print('forked', heir, flush=True)")
    heir = int(one.expect("forked"))
    try:
        one.signal(signal.SIGKILL)
        one.process.wait()
        refused = child(SECOND, path).expect("refused")
        assert f"process {heir} (" in refused
        assert f"a child of process {one.pid} (" in refused
        assert "which has ended" in refused
    finally:
        os.kill(heir, signal.SIGKILL)
    assert child(SECOND, path).expect("opened") == run_id


def test_a_program_that_the_owner_is_starting_does_not_keep_a_lock_that_was_given_back(tmp_path):
    lock = FileLock.at(tmp_path / "a.lock")
    assert lock.acquire()
    os.set_inheritable(lock._fd, True)  # noqa: FBT003 - it takes no keyword
    heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, close_fds=False)
    lock.release()
    try:
        assert lock.acquire()
        lock.release()
    finally:
        heir.communicate(b"\n")


def make_link(path):
    target = path.with_name("precious.txt")
    target.write_text("precious")
    path.symlink_to(target)


def make_dangling_link(path):
    path.symlink_to(path.with_name("precious.txt"))


@pytest.mark.parametrize(
    "make", [make_link, make_dangling_link, os.mkfifo, os.mkdir], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("name", ["open.lock", "run"])
def test_what_is_no_plain_file_is_refused_and_left_untouched(path, make, name):
    run = stepbook.connect(path).run("loop")
    run.do("step", lambda: 1)
    run.close()
    file = path.parent / f"{path.name}.d" / "locks" / (f"{run.id}.lock" if name == "run" else name)
    file.unlink()
    make(file)
    with pytest.raises(stepbook.BookError, match="and not a plain file") as caught:
        run.do("another", lambda: 2) if name == "run" else run.book.run("loop", new=True)
    assert str(file) in str(caught.value)
    precious = file.with_name("precious.txt")
    assert precious.exists() == (make is make_link)
    assert make is not make_link or precious.read_text() == "precious"
    if make is os.mkdir:
        file.rmdir()
    else:
        file.unlink()
    assert run.do("another", lambda: 2) == 2
    run.close()


def test_a_lock_of_which_the_file_was_removed_or_replaced_is_lost(tmp_path):
    path = tmp_path / "locks" / "run.lock"
    path.parent.mkdir()
    lock = FileLock.at(path)
    assert lock.is_lost()
    assert not lock.regain(owner())
    assert lock.acquire()
    lock.write_note(owner())
    assert not lock.is_lost()
    assert lock.regain(owner())
    path.unlink()
    assert lock.is_lost()
    copy = tmp_path / "copy"
    copy.write_text("")
    copy.rename(path)
    assert lock.is_lost()
    lock.release()


def test_a_lock_of_which_the_file_was_removed_is_made_again_if_nobody_has_taken_it(child, tmp_path):
    path = tmp_path / "locks" / "run.lock"
    path.parent.mkdir()
    lock = FileLock.at(path)
    assert lock.acquire()
    lock.write_note(owner())
    shutil.rmtree(path.parent)
    assert lock.regain(owner())
    assert not lock.is_lost()
    assert lock.note() == owner()
    child(OLDER, path).expect("refused")
    path.unlink()
    other = child(OLDER, path)
    other.expect("locked")
    assert not lock.regain(owner())
    other.say()
    other.end()
    path.write_text('{"pid": 1}\n')  # somebody has had it
    assert not lock.regain(owner())
    lock.release()
    assert path.read_text() == '{"pid": 1}\n'
    assert lock.acquire()
    lock.release()


def test_an_owner_whose_lock_was_removed_records_nothing_more_when_another_has_the_run(child, path):
    one = child(OWNER, path, name="owner.py")
    run_id = one.expect("recorded")
    does(one, "run.book.steps()")  # all is folded: its folding thread looks at nothing
    shutil.rmtree(path.parent / f"{path.name}.d" / "locks")
    (path.parent / f"{path.name}.d" / "locks").mkdir()
    run = stepbook.connect(path).run("loop")
    assert run.id == run_id
    run.do("mine", lambda: "mine")
    does(one, "time = __import__('time'); run.log('wakes the folding thread'); time.sleep(1.5)")
    one.say('refused(lambda: run.do("theirs", lambda: 1))')
    refused = one.expect("refused")
    assert f"process {os.getpid()} " in refused
    assert "was removed or replaced" in refused
    one.expect("did it")
    does(one, "refused(run.close)")
    does(one, "run.close()")
    run.do("after", lambda: "after")
    run.close()
    does(one, "assert run.do('after', lambda: 1 / 0) == 'after'; run.close()")  # it has it again
    names = [*(f"step {number}" for number in range(5)), "mine", "after"]
    assert list(run.steps()["name"]) == names


def test_an_owner_whose_lock_was_removed_goes_on_when_nobody_else_has_the_run(child, path):
    one = child(OWNER, path, name="owner.py")
    one.expect("recorded")
    shutil.rmtree(path.parent / f"{path.name}.d" / "locks")
    does(one, "run.do('after', lambda: 5); run.book.steps()")
    assert f"process {one.pid} " in child(SECOND, path, name="second.py").expect("refused")
    does(one, "run.do('more', lambda: 6); run.close()")
    names = [*(f"step {number}" for number in range(5)), "after", "more"]
    assert list(stepbook.connect(path).steps()["name"]) == names


def test_threads_exclude_each_other_and_share(tmp_path):
    lock = FileLock.at(tmp_path / "a.lock")
    assert FileLock.at(tmp_path / "a.lock") is lock
    assert lock.acquire()
    assert not lock.acquire()
    assert not lock.acquire(shared=True)
    lock.release()
    assert lock.acquire(shared=True)
    assert lock.acquire(shared=True)
    assert not lock.acquire()
    lock.release()
    assert not lock.acquire()
    lock.release()
    lock.release()  # again: nothing is held
    inside, most = [], []

    def work():
        for _ in range(20):
            with lock.held(timeout=60):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    assert lock not in FileLock.held_here


def test_a_note_is_seen_whole_however_long_the_one_before_it_was(tmp_path):
    lock = FileLock.at(tmp_path / "a.lock")
    assert lock.note() == {}
    assert lock.acquire()
    lock.write_note({"pid": 1, "notebook": "x" * 1000})
    lock.write_note({"pid": 2})
    assert lock.note() == {"pid": 2}
    assert lock.previous == {"pid": 1, "notebook": "x" * 1000}
    lock.release()
    assert lock.note() == {"pid": 2}


REFUSING = """
    import errno, fcntl, sys
    from pathlib import Path
    from stepbook.system.locks import FileLock

    real = fcntl.fcntl

    def refusing(fd, command, *rest):
        if command == fcntl.F_OFD_SETLK:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(fd, command, *rest)

    fcntl.fcntl = refusing
    lock = FileLock.at(Path(sys.argv[1]))
    got = lock.acquire(shared="shared" in sys.argv)
    print("locked" if got else "refused", lock.kind, flush=True)
    for line in sys.stdin:
        exec(line)
        print("did it", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is flock alone")
def test_where_the_system_refuses_description_locks_flock_and_a_record_lock_stand_in(
    child, tmp_path
):
    path = tmp_path / "a.lock"
    one = child(REFUSING, path)
    assert "flock and record locks" in one.expect("locked")
    child(REFUSING, path).expect("refused")
    child(OLDER, path).expect("refused")
    assert not FileLock.at(path).acquire()
    does(one, "open(lock.path).close()")  # this drops the record lock: flock stays
    child(REFUSING, path).expect("refused")
    does(one, "lock.release()")
    assert FileLock.at(path).acquire()
    child(REFUSING, path).expect("refused")
    FileLock.at(path).release()
    sharing = child(REFUSING, path, "shared")
    sharing.expect("locked")
    child(REFUSING, path, "shared").expect("locked")
    child(REFUSING, path).expect("refused")


def test_doctor_says_which_kind_of_locks_is_used(path):
    run = stepbook.connect(path).run("loop")
    run.do("step", lambda: 1)
    run.close()
    done = subprocess.run(
        [sys.executable, "-m", "stepbook", "doctor", "--book", path],
        capture_output=True,
        text=True,
        check=True,
    )
    kind = "open file description locks" if sys.platform == "linux" else "flock"
    assert f"kind: {kind}" in done.stdout


def test_a_descriptor_is_locked_on_one_byte_behind_the_note(tmp_path):
    lock = FileLock.at(tmp_path / "a.lock")
    assert lock.acquire()
    fd = os.open(lock.path, os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1 << 20)
    with pytest.raises(BlockingIOError):
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
    lock.release()

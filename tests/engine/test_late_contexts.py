"""What is said for an attempt after its end changes no row, opens no run and takes none again."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

import stepbook

ATTEMPT = ["name", "attempt", "status", "return", "progress"]


@pytest.fixture(params=["file", "memory"])
def book(request, path):
    book = stepbook.connect(path if request.param == "file" else ":memory:")
    yield book
    book.close()


def never():
    raise AssertionError("executed")


def attempts(run):
    return run.attempts()[ATTEMPT].values.tolist()


def messages(run):
    return run.logs()[["step", "message"]].values.tolist()


def is_open(run):
    return run.id in run.book._opened.records.ledgers


def keep(kept, value):
    """Return a body that lets its context be used later."""

    def body(ctx):
        kept.append(ctx)
        return value

    return body


def fails(kept):
    def body(ctx):
        kept.append(ctx)
        raise ValueError("down")

    return body


# ---- progress -----------------------------------------------------------------------------------


def ended(run, kept):
    run.do("a", keep(kept, 1))


def failed(run, kept):
    with pytest.raises(ValueError, match="down"):
        run.do("a", fails(kept))


def redone(run, kept):
    ended(run, kept)
    run.redo("a")


def resolved(run, kept):
    failed(run, kept)
    run.resolve("a", "by hand")


def executed_again(run, kept):
    redone(run, kept)
    run.book.run("loop").do("a", lambda: 2)


def closed(run, kept):
    ended(run, kept)
    run.close()


def finished(run, kept):
    ended(run, kept)
    run.finish()


def closed_and_opened_again(run, kept):
    closed(run, kept)
    run.book.run("loop").log("opened")


WAYS = [
    ended,
    failed,
    redone,
    resolved,
    executed_again,
    closed,
    finished,
    closed_and_opened_again,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_progress_after_the_end_changes_no_row_and_opens_no_run(book, way):
    run, kept = book.run("loop"), []
    way(run, kept)
    rows, was_open, status = attempts(run), is_open(run), run.status
    kept[0].progress(1, 1, "late")
    assert is_open(run) == was_open
    assert run.status == status
    assert [step.status for step in run._opened.look().steps.values()] == list(
        run.steps()["status"]
    )
    assert attempts(run) == rows
    run.close()
    assert attempts(run) == rows


def test_progress_of_an_earlier_attempt_does_not_show_on_the_next_one(book):
    run, kept = book.run("loop"), []
    redone(run, kept)

    def second(ctx):
        ctx.progress(1, 2, "mine")
        kept[0].progress(9, 9, "late")
        return run._opened.look().steps["a"]

    run = book.run("loop")
    seen = []
    run.do("a", lambda ctx: seen.append(second(ctx)))
    assert (seen[0].attempt, seen[0].status) == (2, "running")
    assert "mine" in seen[0].progress
    assert "late" not in str(attempts(run))
    assert [row[2] for row in attempts(run)] == ["succeeded", "succeeded"]


def test_a_task_that_outlives_its_body_changes_nothing(book):
    run = book.run("loop")

    async def late(ctx):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ctx.progress(1, 1)
        stepbook.context().progress(2, 2)

    async def body(ctx):
        tasks.append(asyncio.create_task(late(ctx)))
        return 1

    async def walk():
        await run.do("a", body)
        await asyncio.gather(*tasks)

    tasks = []
    asyncio.run(walk())
    assert attempts(run) == [["a", 1, "succeeded", 1, None]]


def test_progress_within_the_body_is_still_recorded(book):
    run = book.run("loop")
    seen = []

    def body(ctx):
        ctx.progress(3, 3, "there")
        seen.append(run._opened.look().steps["a"].progress)

    run.do("a", body)
    assert "there" in seen[0]
    assert "there" in str(attempts(run))


@pytest.mark.parametrize("ending", ["killed", "closed", "folded before"])
def test_late_lines_of_a_journal_change_nothing_read_or_folded(path, child, ending):
    """Journals of earlier versions hold such lines."""
    other = child(
        """
        import os, signal, sys
        import stepbook
        book = stepbook.connect(sys.argv[1])
        run = book.run("loop")
        late = []
        run.do("a", lambda ctx: late.append(ctx._attempt.row) or 1)
        try:
            run.do("b", lambda ctx: (late.append(ctx._attempt.row), 1 / 0))
        except ZeroDivisionError:
            pass
        run.redo("b")
        run.do("c", lambda: 3)
        if sys.argv[2] == "folded before":
            run.close()
            run.log("opened again")
        for row in late:
            run._opened.ledger.note(row._replace(progress='{"done": 1}'))
        run.do("d", lambda: 4)
        if sys.argv[2] == "closed":
            book.close()
        print("said", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        path,
        ending,
    )
    other.expect("said")
    other.end()
    book = stepbook.connect(path)
    run = book.get("loop")
    statuses = {step.name: step.status for step in run._opened.look().steps.values()}
    assert statuses == {"a": "succeeded", "b": "pending", "c": "succeeded", "d": "succeeded"}
    assert list(run.steps()["status"]) == list(statuses.values())
    assert [row[:3] for row in attempts(run)] == [
        ["a", 1, "succeeded"],
        ["b", 1, "failed"],
        ["b", 2, "pending"],
        ["c", 1, "succeeded"],
        ["d", 1, "succeeded"],
    ]
    assert book.run("loop").do("a", never) == 1
    book.close()


def test_threads_that_report_progress_for_ever_never_change_the_end_of_a_step(path):
    """The hammer: every end falls between what threads are saying at that moment."""
    book = stepbook.connect(path)
    run = book.run("loop")
    now, stop = [], threading.Event()

    def say():
        while not stop.is_set():
            for ctx in now[-2:]:
                ctx.progress(1, 1, "late")

    def body(ctx):
        now.append(ctx)
        ctx.progress(0, 2)
        return len(now)

    with ThreadPoolExecutor(4) as pool:
        sayers = [pool.submit(say) for _ in range(4)]
        try:
            for number in range(150):
                name = f"step {number % 50}"
                assert run.do(name, body) == number + 1
                assert run._opened.look().steps[name].status == "succeeded"
                if number % 50 == 49:
                    run.rewind()
                    run = book.run("loop")
            run.close()
            assert not is_open(run)
        finally:
            stop.set()
        for sayer in sayers:
            sayer.result()
    assert not is_open(run)
    assert set(run.steps()["status"]) == {"pending"}
    past = run.attempts()
    assert len(past) == 200
    assert (past[past["attempt"] < 4]["status"] == "succeeded").all()
    assert (past[past["attempt"] == 4]["status"] == "pending").all()
    book.close()


# ---- messages -----------------------------------------------------------------------------------


def test_a_late_message_is_recorded_while_the_run_is_open_and_changes_no_step(book):
    run, kept = book.run("loop"), []
    run.do("a", keep(kept, 1))
    rows = attempts(run)
    kept[0].log("late")
    assert ["a", "late"] in messages(run)
    assert attempts(run) == rows
    assert book.run("loop").do("a", never) == 1


@pytest.mark.parametrize("way", [closed, finished], ids=lambda way: way.__name__)
def test_a_message_for_a_run_that_was_let_go_is_dropped_with_a_warning(book, way):
    run, kept = book.run("loop"), []
    way(run, kept)
    with pytest.warns(stepbook.StepbookWarning, match=r"'too late' .*'a'.* not recorded"):
        kept[0].log("too late")
    assert not is_open(run)
    assert messages(run) == []


# ---- files and scans ----------------------------------------------------------------------------


def test_a_file_asked_for_after_the_end_is_refused_and_harms_no_later_attempt(path):
    book = stepbook.connect(path)
    run, kept = book.run("loop"), []

    def first(ctx):
        kept.append(ctx)
        ctx.file("a.txt").write_text("first")

    def second(ctx):
        mine = ctx.file("a.txt")
        mine.write_text("second")
        with pytest.raises(stepbook.StepError, match=r"'a' has ended.*ctx\.file"):
            kept[0].file("b.txt")
        with pytest.raises(stepbook.StepError, match="has ended"):
            kept[0].file("a.txt")
        return mine

    run.do("a", first)
    run.redo("a")
    again = book.run("loop").do("a", second)
    assert again.read_text() == "second"
    run.close()
    with pytest.raises(stepbook.StepError, match="has ended"):
        kept[0].file("c.txt")
    assert not is_open(run)
    book.close()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_scan_created_after_the_end_is_refused_and_leaves_no_session(book, way):
    run, kept = book.run("loop"), []
    way(run, kept)
    was_open = is_open(run)
    with pytest.raises(stepbook.StepError, match=r"'a' has ended.*ctx\.scan\.create"):
        kept[0].scan.create(metadata={"late": True})
    assert is_open(run) == was_open
    assert run._opened.look().scans == {}


# ---- bodies that outlive their run --------------------------------------------------------------


class Slow:
    """A step whose body executes in a thread until it is told to end."""

    def __init__(self, run, value="slow"):
        self.run, self.value = run, value
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.result = self.error = self.ctx = None
        self.thread = threading.Thread(target=self._go)
        self.thread.start()
        assert self.begun.wait(20)

    def _body(self, ctx):
        self.ctx = ctx
        self.begun.set()
        self.go_on.wait(60)
        return self.value

    def _go(self):
        try:
            self.result = self.run.do("Slow", self._body)
        except Exception as error:  # noqa: BLE001 - for the test to look at
            self.error = error

    def end(self):
        self.go_on.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


def test_while_its_run_is_let_go_a_body_says_nothing_and_its_end_is_recorded(path):
    book = stepbook.connect(path)
    run = book.run("loop")
    slow = Slow(run)
    run.close()
    slow.ctx.progress(1, 1)
    with pytest.warns(stepbook.StepbookWarning, match="not recorded"):
        slow.ctx.log("nobody listens")
    with pytest.raises(stepbook.StepError, match="let go"):
        slow.ctx.file("a.txt")
    with pytest.raises(stepbook.StepError, match="let go"):
        slow.ctx.scan.create()
    assert not is_open(run)
    slow.end()
    assert (slow.result, slow.error) == ("slow", None)
    assert book.run("loop").do("Slow", never) == "slow"
    assert [row[:4] for row in attempts(run)] == [["Slow", 1, "succeeded", "slow"]]
    book.close()


def test_a_body_goes_on_reporting_when_its_run_is_opened_again(path):
    book = stepbook.connect(path)
    run = book.run("loop")
    slow = Slow(run)
    run.close()
    assert book.run("loop").do("b", lambda: 2) == 2
    # It executes still: opening the run again does not say that it was interrupted.
    assert run._opened.look().steps["Slow"].status == "running"
    slow.ctx.progress(1, 1, "going on")
    assert "going on" in run._opened.look().steps["Slow"].progress
    slow.end()
    assert slow.result == "slow"
    assert [row[:3] for row in attempts(run)] == [["Slow", 1, "succeeded"], ["b", 1, "succeeded"]]
    book.close()


TAKES_OVER = """
    import sys, stepbook
    book = stepbook.connect(sys.argv[1])
    run = book.run("loop")
    print("took", run.do("Slow", lambda: "from the other process"), flush=True)
    if sys.argv[2] == "holds":
        sys.stdin.readline()
    book.close()
    print("closed", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("other_does", ["holds", "lets go"])
def test_an_attempt_that_another_process_has_ended_takes_no_end_and_says_so(
    path, child, other_does
):
    book = stepbook.connect(path)
    run = book.run("loop")
    slow = Slow(run)
    run.close()
    other = child(TAKES_OVER, path, other_does)
    assert other.expect("took") == "from the other process"
    if other_does == "lets go":
        other.expect("closed")
    slow.end()
    assert isinstance(slow.error, stepbook.StepbookError)
    assert slow.error.value == "slow"
    if other_does == "holds":
        assert isinstance(slow.error, stepbook.RunInUseError)
        other.say()
        other.expect("closed")
    else:
        assert "attempt 1" in str(slow.error)
    run = book.run("loop")
    assert run.do("Slow", never) == "from the other process"
    assert [row[:4] for row in attempts(run)] == [
        ["Slow", 1, "failed", None],
        ["Slow", 2, "succeeded", "from the other process"],
    ]
    book.close()


def test_a_wait_that_another_process_has_ended_takes_no_end(path, child):
    # It is there before the wait begins: starting may take longer than the wait.
    other = child(
        """
        import sys, stepbook
        book = stepbook.connect(sys.argv[1])
        print("ready", flush=True)
        input()
        run = book.run("loop")
        run.resolve("Wait for scan", "by hand")
        book.close()
        print("resolved", flush=True)
        """,
        path,
    )
    other.expect("ready")
    book = stepbook.connect(path)
    run = book.run("loop")
    errors = []

    def wait():
        try:
            run.wait_for_scan(timeout="5 s")
        except stepbook.StepbookError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    deadline = time.monotonic() + 20
    while "Wait for scan" not in run._opened.look().steps and time.monotonic() < deadline:
        time.sleep(0.01)
    run.close()
    other.say()
    other.expect("resolved")
    other.end()
    rows = attempts(book.get(run.id))
    thread.join(60)
    assert len(errors) == 1
    assert attempts(run) == rows
    assert book.run("loop").wait_for_scan() == "by hand"
    book.close()


def test_a_failure_after_another_process_took_the_run_passes_as_it_is(path, child):
    book = stepbook.connect(path)
    run = book.run("loop")
    begun, go_on, caught = threading.Event(), threading.Event(), []

    def body():
        begun.set()
        go_on.wait(60)
        raise ValueError("mine")

    def walk():
        try:
            run.do("Slow", body)
        except Exception as error:  # noqa: BLE001 - for the test to look at
            caught.append(error)

    thread = threading.Thread(target=walk)
    thread.start()
    assert begun.wait(20)
    run.close()
    other = child(TAKES_OVER, path, "lets go")
    other.expect("closed")
    go_on.set()
    thread.join(60)
    assert type(caught[0]) is ValueError
    assert any("not recorded" in note for note in caught[0].__notes__)
    assert book.run("loop").do("Slow", never) == "from the other process"
    book.close()


def test_nothing_is_said_about_progress_that_comes_late(book):
    run, kept = book.run("loop"), []
    closed(run, kept)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept[0].progress(1, 1)

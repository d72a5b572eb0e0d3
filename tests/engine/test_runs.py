"""The contract of runs: which one, who owns it, waits and sleeps, revisions, loops, forks."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time

import pytest

import stepbook


def never(*_):
    raise AssertionError("executed")


def row(run, name):
    frame = run.steps()
    return frame[frame["name"] == name].iloc[0]


def journals(path):
    return list((path.parent / (path.name + ".d") / "journal").iterdir())


# ---- which run


def test_the_same_input_finds_the_latest_run_whatever_the_order_of_its_keys(book):
    run = book.run("loop", input={"a": 1, "b": 2})
    assert book.run("loop", input={"b": 2, "a": 1}) is run
    assert book.run("loop", input={"a": 1}).id != run.id
    assert book.run("other", input={"a": 1, "b": 2}).id != run.id
    run = book.run("loop", input=[{1: "a", (2, 3): {None: 4, 5: 6}}])
    assert book.run("loop", input=[{(2, 3): {5: 6, None: 4}, 1: "a"}]) is run
    assert book.run("loop", input=[{(2, 3): {5: 6, None: 4}, 1: "b"}]) is not run
    assert book.run("keyed", key="k", input={"a": 1, "b": 2}) is book.run(
        "keyed", key="k", input={"b": 2, "a": 1}
    )


def test_a_key_finds_the_run_instead_of_the_input(book):
    run = book.run("loop", key="k", input=1)
    assert book.run("loop", key="k") is run


def test_the_same_key_with_another_input_is_an_error_that_shows_both(book):
    book.run("loop", key="k", input=1)
    with pytest.raises(stepbook.InputChangedError, match="new=True"):
        book.run("loop", key="k", input=2)


def test_new_always_starts_a_fresh_run_and_later_openings_find_that(book):
    first = book.run("loop")
    second = book.run("loop", new=True)
    assert first.id != second.id
    assert book.run("loop") is second


def test_reopen_unfinished_resumes_what_has_not_succeeded_and_else_starts_fresh(book):
    first = book.run("loop")
    assert book.run("loop", reopen="unfinished") is first
    first.finish()
    assert book.run("loop", reopen="unfinished").id != first.id


def test_max_age_ignores_older_runs(book):
    first = book.run("loop")
    assert book.run("loop", max_age="12 hours") is first
    time.sleep(0.01)
    assert book.run("loop", max_age=0.005).id != first.id


def test_opening_again_says_so_in_one_line(book, capsys):
    run = book.run("loop")
    run.do("a", lambda: 1)
    capsys.readouterr()
    book.run("loop")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert run.id in said
    assert "new=True" in said


def test_under_stable_repr_it_says_nothing(book, capsys, monkeypatch):
    monkeypatch.setenv("STEPBOOK_STABLE_REPR", "1")
    book.run("loop")
    book.run("loop")
    assert not any(capsys.readouterr())


@pytest.mark.parametrize("trigger", ["user", "api_token", "system"])
def test_the_trigger_type_is_recorded(book, trigger):
    run = book.run("loop", trigger_type=trigger)
    assert run.trigger_type == trigger
    assert list(book.runs()["trigger_type"]) == [trigger]


def test_the_trigger_type_of_python_is_user(book):
    assert book.run("loop").trigger_type == "user"


# ---- statuses and pure replay


def test_a_run_is_pending_then_running_then_succeeded(book):
    run = book.run("loop")
    assert run.status == "pending"
    run.do("a", lambda: 1)
    assert run.status == "running"
    run.finish({"n": 1})
    assert (run.status, run.output) == ("succeeded", {"n": 1})
    assert run.started_at <= run.completed_at


def test_a_step_error_that_leaves_the_block_makes_the_run_failed_and_unfinished_lists_it(book):
    with pytest.raises(ZeroDivisionError), book.run("loop") as run:
        run.do("a", lambda: 1 / 0)
    assert run.status == "failed"
    assert list(book.unfinished()["id"]) == [run.id]
    with book.run("loop") as run:
        run.do("a", lambda: 1)
        assert run.status == "running"
    assert run.status == "succeeded"
    assert len(book.unfinished()) == 0


def test_pure_replay_writes_nothing_and_changes_neither_status_nor_output(book, path):
    with book.run("loop") as run:
        run.do("a", lambda: 1)
        run.finish("out")
    before = [book.sql(f"SELECT * FROM {t}").to_csv() for t in ("runs", "steps", "passes", "logs")]
    with book.run("loop") as again:
        assert again.options(on_change="ignore").do("a", never) == 1
        assert not journals(path)
    assert again.output == "out"
    after = [book.sql(f"SELECT * FROM {t}").to_csv() for t in ("runs", "steps", "passes", "logs")]
    assert before == after


def test_a_failing_pure_replay_does_not_fail_a_succeeded_run(book):
    with book.run("loop") as run:
        run.do("a", lambda: 1)
    with pytest.raises(RuntimeError), book.run("loop") as run:
        run.do("a", never)
        raise RuntimeError
    assert run.status == "succeeded"


def test_a_pass_that_did_something_leaves_one_row(book):
    run = book.run("loop")
    run.do("a", lambda: 1)
    again = book.run("loop")
    again.do("a", never)
    again.do("b", lambda: 1)
    again.finish()
    passes = book.sql("SELECT executed, replayed FROM passes ORDER BY started_at")
    assert passes.values.tolist() == [[1, 0], [1, 1]]


# ---- closing


def test_close_lets_go_and_using_the_run_again_opens_it_again(book, path):
    run = book.run("loop")
    run.do("a", lambda: 1)
    run.close()
    assert not journals(path)
    assert run.status == "running"
    assert run.do("b", lambda: 2) == 2


def test_the_end_of_a_with_block_finishes_and_releases(book, path, child):
    with book.run("loop") as run:
        run.do("a", lambda: 1)
    assert not journals(path)
    other = child(OPEN, path)
    assert other.expect("opened") == run.id


OPEN = """
    import sys, stepbook
    book = stepbook.connect(sys.argv[1])
    try:
        print("opened", book.run("loop").id, flush=True)
    except stepbook.RunInUseError as error:
        print("in use", error.pid, error, flush=True)
    sys.stdin.readline()
"""


def test_garbage_collection_releases_a_run(book, path, child):
    run = book.run("loop")
    run.do("a", lambda: 1)
    wanted = run.id
    del run
    gc.collect()
    deadline = time.monotonic() + 20
    while book._opened.records.ledgers and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child(OPEN, path).expect("opened") == wanted


def test_opening_other_runs_while_collected_ones_are_released_does_not_block(book):
    for number in range(8):
        book.run("loop", key=str(number)).do("a", lambda: 1)
        gc.collect()
        time.sleep(0.1 * (number % 4))
    assert len(book.runs()) == 8


def test_a_run_that_another_live_process_holds_names_process_and_script(book, path, child):
    holder = child(OPEN, path, name="holder.py")
    holder.expect("opened")
    with pytest.raises(stepbook.RunInUseError, match=r"holder\.py") as caught:
        book.run("loop")
    assert caught.value.pid == holder.pid
    assert str(holder.pid) in str(caught.value)
    holder.say()
    holder.end()
    assert book.run("loop").do("a", lambda: 1) == 1


def test_the_run_of_a_killed_owner_is_taken_over_at_once(book, path, child):
    holder = child(OPEN, path, name="holder.py")
    wanted = holder.expect("opened")
    holder.signal(signal.SIGKILL)
    holder.end()
    assert book.run("loop").id == wanted


def test_opening_again_in_one_process_gives_the_same_run_and_a_new_pass(book):
    run = book.run("loop")
    run.do("a", lambda: 1)
    assert book.run("loop") is run
    assert run.do("a", never) == 1


# ---- scans and sleeps


def test_an_interrupted_wait_stays_running_and_goes_on_with_its_deadline(book, monkeypatch):
    run = book.run("loop")
    with monkeypatch.context() as patch:
        patch.setattr(
            "stepbook.engine.waits._ScanWait.poll",
            lambda _: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        with pytest.raises(KeyboardInterrupt):
            run.wait_for_scan(timeout=0.3)
    began = row(run, "Wait for scan")["started_at"]
    assert row(run, "Wait for scan")["status"] == "running"
    run.close()
    with pytest.raises(stepbook.ScanTimeout):
        book.run("loop").wait_for_scan(timeout=500)
    found = row(run, "Wait for scan")
    assert (found["attempt"], found["started_at"]) == (1, began)
    assert 0.3 <= found["seconds"] < 20


def test_after_an_unhandled_timeout_the_next_pass_waits_anew(book):
    run = book.run("loop")
    with pytest.raises(stepbook.ScanTimeout), run:
        run.wait_for_scan(timeout=0)
    again = book.run("loop")
    with pytest.raises(stepbook.ScanTimeout):
        again.wait_for_scan(timeout=0)
    assert row(run, "Wait for scan")["attempt"] == 2
    assert len(book.sql("SELECT * FROM scans WHERE status = 'timeout'")) == 2


def test_with_a_default_the_timeout_is_the_outcome_until_redo(book):
    run = book.run("loop")
    assert run.wait_for_scan(timeout=0, default="none") == "none"
    again = book.run("loop")
    began = time.monotonic()
    assert again.wait_for_scan(timeout=60, default="none") == "none"
    assert time.monotonic() - began < 5
    run.redo("Wait for scan")
    book.deliver_scan(run.id, "late but wanted")
    assert book.run("loop").wait_for_scan(timeout=60, default="none") == "late but wanted"


def test_an_error_from_the_sender_raises_scan_failed(book):
    run = book.run("loop")
    book.deliver_scan(run.id, error="device broken")
    with pytest.raises(stepbook.ScanFailed, match="device broken"):
        run.wait_for_scan()
    assert list(book.sql("SELECT status FROM scans")["status"]) == ["failed"]


def test_a_body_creates_the_session_that_the_wait_takes(book):
    run = book.run("loop")
    made = run.do(
        "Generate",
        lambda ctx: ctx.scan.create(expires_in=3600, metadata={"patient": "p"}),
    )
    book.deliver_scan(run.id, 1)
    run.wait_for_scan()
    scans = book.sql("SELECT id, status, metadata FROM scans")
    assert scans.values.tolist() == [[made["id"], "completed", '{"patient":"p"}']]


def test_the_waiting_says_which_command_delivers(book, capsys, monkeypatch):
    run = book.run("loop")
    with pytest.raises(stepbook.ScanTimeout):
        run.wait_for_scan(timeout=1)  # one that is over at once waits for nobody
    assert f"stepbook deliver {run.id}" in capsys.readouterr().err


def test_waiting_asynchronously_leaves_the_loop_free(book):
    run = book.run("loop")

    async def walk():
        waiting = asyncio.create_task(run.wait_for_scan_async(timeout=30))
        await asyncio.sleep(0.05)
        book.deliver_scan(run.id, 5)
        return await waiting

    assert asyncio.run(walk()) == 5


def test_a_sleep_ends_once_and_replay_does_not_wait(book):
    run = book.run("loop")
    run.sleep("Cool down", 0.05)
    assert row(run, "Cool down")["seconds"] >= 0.05
    began = time.monotonic()
    book.run("loop").sleep("Cool down", 60)
    asyncio.run(book.run("loop").sleep_async("Cool down", 60))
    assert time.monotonic() - began < 5


def test_the_deadline_of_a_sleep_survives_the_process(book, path, child):
    one = child(
        """
        import sys, stepbook
        run = stepbook.connect(sys.argv[1]).run("loop")
        run.do("a", lambda: 1)
        print("asleep", flush=True)
        run.sleep("Cool down", 0.6)
        """,
        path,
    )
    one.expect("asleep")
    time.sleep(0.2)
    one.signal(signal.SIGKILL)
    one.end()
    run = book.run("loop")
    run.sleep("Cool down", 60)
    assert row(run, "Cool down")["attempt"] == 1
    assert row(run, "Cool down")["seconds"] < 20


# ---- redo, rewind, resolve


def three(run):
    return [run.do(name, lambda: time.monotonic_ns()) for name in "abc"]  # noqa: PLW0108


def test_redo_executes_one_step_again_and_says_how_many_later_ones_there_are(book, capsys):
    before = three(book.run("loop"))
    book.run("loop").redo("a")
    assert "2 later steps" in capsys.readouterr().err
    after = three(book.run("loop"))
    assert before[1:] == after[1:]
    assert before[0] != after[0]


def test_rewind_executes_a_step_and_all_after_it_again(book):
    before = three(book.run("loop"))
    run = book.run("loop")
    run.rewind("b")
    after = three(book.run("loop"))
    assert before[0] == after[0]
    assert not set(before[1:]) & set(after[1:])
    assert len(run.attempts()) == 5


def test_rewind_without_a_name_starts_over_and_keeps_the_history(book):
    before = three(book.run("loop"))
    run = book.run("loop")
    run.rewind()
    assert not set(before) & set(three(book.run("loop")))
    assert len(run.attempts()) == 6
    assert list(run.steps()["seq"]) == [1, 2, 3]


def test_redo_of_an_unknown_step_suggests_names(book):
    run = book.run("loop")
    run.do("Load profile", lambda: 1)
    with pytest.raises(stepbook.StepNotFoundError, match="Load profile"):
        run.redo("Load profil")


def test_resolve_is_a_success_with_the_given_value_recorded_as_such(book):
    run = book.run("loop")
    run.resolve("Train", {"by": "hand"})
    assert run.do("Train", never) == {"by": "hand"}
    assert "hand" in row(run, "Train")["progress"]["resolved"]
    assert run.logs()["message"][0].startswith("resolve of step 'Train' by ")


# ---- loops


def test_a_loop_triggers_a_new_run_each_time_and_resumes_one(book):
    executed = []

    @book.loop("review")
    def review(event, step):
        step.do("Load", lambda: executed.append(event.body))
        return {"body": event.body}

    one, two = review.trigger(1), review.trigger(1)
    assert one.id != two.id
    assert (one.status, one.output) == ("succeeded", {"body": 1})
    assert review.resume(one.id).output == {"body": 1}
    assert executed == [1, 1]


def test_a_loop_raises_what_escaped_after_recording_it_and_resume_goes_on(book):
    broken = [True]

    @book.loop("review")
    def review(event, step):
        step.do("Load", lambda: 1)
        step.do("Send", lambda: 1 / (not broken[0]))
        return "sent"

    with pytest.raises(ZeroDivisionError):
        review.trigger()
    failed = book.unfinished()["id"][0]
    broken.clear()
    broken.append(False)
    assert review.resume(failed).output == "sent"
    assert list(book.get(failed).attempts()["name"]) == ["Load", "Send", "Send"]


def test_resume_of_another_loop_is_refused(book):
    run = book.run("other")

    @book.loop("review")
    def review(event, step):
        never()

    with pytest.raises(stepbook.InvalidInputError, match="other"):
        review.resume(run.id)


# ---- forks


def in_a_fork(work) -> str:
    """Return what *work* says in a forked child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "no error"
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a child's door
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as answer:
        return answer.read()


@pytest.mark.parametrize(
    "use",
    [
        lambda run: run.do("b", never),
        lambda run: run.finish(),
        lambda run: run.close(),
        lambda run: run.steps(),
        lambda run: run.book.run("loop"),
        lambda run: run.book.deliver_scan(run.id, 1),
        lambda run: run.redo("a"),
    ],
)
def test_a_forked_child_that_uses_its_parents_run_gets_an_error_and_harms_nothing(book, use):
    run = book.run("loop")
    run.do("a", lambda: 1)
    assert in_a_fork(lambda: use(run)).startswith("ForkedError: this process is a fork")
    assert run.do("c", lambda: 2) == 2
    assert list(run.steps()["name"]) == ["a", "c"]


def test_a_forked_child_may_connect_again_and_the_parents_run_stays_locked(book, path):
    run = book.run("loop")
    run.do("a", lambda: 1)
    assert in_a_fork(lambda: stepbook.connect(path).run("loop")).startswith("RunInUseError")
    assert in_a_fork(lambda: stepbook.connect(path).run("other").do("x", lambda: 1)) == "no error"
    run.finish()


def test_an_orphaned_child_does_not_keep_the_run(path, book, child):
    parent = child(
        """
        import os, sys, time, stepbook
        run = stepbook.connect(sys.argv[1]).run("loop")
        run.do("a", lambda: 1)
        pid = os.fork()
        if pid == 0:
            time.sleep(20)
            os._exit(0)
        print("orphan", pid, flush=True)
        sys.stdin.readline()
        """,
        path,
    )
    orphan = int(parent.expect("orphan"))
    try:
        parent.signal(signal.SIGKILL)
        parent.process.wait()
        assert book.run("loop").do("a", never) == 1
    finally:
        os.kill(orphan, signal.SIGKILL)

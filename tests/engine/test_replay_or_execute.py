"""The contract of ``do``: decisions 1 to 6, handled failures, nesting, errors."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest

import stepbook
from stepbook.system.platform import disk


@pytest.fixture
def book():
    book = stepbook.connect(":memory:")
    yield book
    book.close()


@pytest.fixture
def run(book):
    return book.run("loop")


def again(run):
    """Begin another pass."""
    return run.book.run("loop")


def never():
    raise AssertionError("executed")


def row(run, name):
    frame = run.steps()
    return frame[frame["name"] == name].iloc[0]


class Counting:
    def __init__(self, *outcomes):
        self.calls, self.outcomes = 0, list(outcomes)

    def __call__(self):
        self.calls += 1
        outcome = self.outcomes[min(self.calls, len(self.outcomes)) - 1]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


# ---- 1: names


@pytest.mark.parametrize("name", ["", None, 3, b"x"])
def test_a_name_is_a_non_empty_string(run, name):
    with pytest.raises(stepbook.StepNameError):
        run.do(name, never)
    assert len(run.steps()) == 0


@pytest.mark.parametrize("name", [" padded ", "a\nb", "'\"", "🩺", "x" * 10_000, "nul\0"])
def test_a_name_is_kept_exactly_as_given(run, name):
    run.do(name, lambda: 1)
    assert list(run.steps()["name"]) == [name]
    assert again(run).do(name, never) == 1


def test_a_name_used_twice_in_one_pass_says_what_to_do(run):
    run.do("Score", lambda: 1)
    with pytest.raises(stepbook.DuplicateStepError, match=r"loop variable.*run\.map"):
        run.do("Score", lambda: 2)


def test_a_name_of_which_the_body_is_executing_is_refused(run):
    def body():
        with pytest.raises(stepbook.DuplicateStepError):
            again(run).do("Score", never)
        return 1

    assert run.do("Score", body) == 1


# ---- 2: succeeded


def test_a_succeeded_step_returns_a_fresh_copy_and_does_not_call_its_body(run):
    first = run.do("Load", lambda: {"rows": [1]})
    first["rows"].append(2)
    second = again(run).do("Load", never)
    assert second == {"rows": [1]}
    second["rows"].append(3)
    assert again(run).do("Load", never) == {"rows": [1]}


def test_what_a_step_returns_the_first_time_is_not_the_object_of_the_body(run):
    value = {"rows": [1]}
    assert run.do("Load", lambda: value) == value
    assert again(run).do("Load", never) is not value


# ---- 3: failed and running


def test_a_failed_step_that_was_not_handled_executes_again_as_the_next_attempt(run):
    body = Counting(ValueError("first"), "second")
    with pytest.raises(ValueError, match="first"):
        run.do("Fetch", body)
    assert again(run).do("Fetch", body) == "second"
    assert list(run.attempts()["attempt"]) == [1, 2]
    assert list(run.attempts()["status"]) == ["failed", "succeeded"]


def test_success_after_failure_sets_error_null_and_attempts_keep_it(run):
    body = Counting(ValueError("first"), "second")
    with pytest.raises(ValueError, match="first"):
        run.do("Fetch", body)
    again(run).do("Fetch", body)
    assert row(run, "Fetch")["error"] is None
    assert run.attempts()["error"][0]["message"] == "first"


def test_a_step_whose_owner_died_is_recorded_as_interrupted_and_executes(path):
    script = (
        "import os, sys, stepbook\n"
        "stepbook.connect(sys.argv[1]).run('loop').do('Train', lambda: os._exit(9))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], check=False, capture_output=True)
    assert done.returncode == 9
    book = stepbook.connect(path)
    run = book.run("loop")
    assert run.do("Train", lambda: 1) == 1
    attempts = run.attempts()
    assert list(attempts["status"]) == ["failed", "succeeded"]
    assert attempts["error"][0]["type"] == "Interrupted"
    book.close()


# ---- 4: execute


def test_while_a_body_executes_its_step_is_running(run):
    assert run.do("Look", lambda: row(run, "Look")["status"]) == "running"


def test_ctx_is_given_where_the_call_leaves_it_unbound(run):
    assert run.do("a", lambda ctx: ctx.name) == "a"
    assert run.do("b", lambda ctx: ctx, "mine") == "mine"
    assert run.do("c", lambda ctx: ctx, ctx="mine") == "mine"
    assert run.do("d", lambda **kwargs: sorted(kwargs)) == []


def test_everything_after_fn_goes_to_fn(run):
    assert run.do("a", lambda *a, **k: [list(a), k], 1, name=2, fn=3) == [[1], {"name": 2, "fn": 3}]


def test_stepbook_context_is_the_step_that_executes_and_none_outside(run):
    assert run.do("a", lambda: stepbook.context().idempotency_key) == f"{run.id}:a"
    with pytest.raises(stepbook.NoStepError):
        stepbook.context()


def test_the_idempotency_key_is_stable_across_attempts(run):
    keys = []

    def body(ctx):
        keys.append(ctx.idempotency_key)
        if ctx.attempt == 1:
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - a bare one
        run.do("Charge", body)
    again(run).do("Charge", body)
    assert keys == [f"{run.id}:Charge"] * 2


def test_each_attempt_of_a_step_draws_the_same_numbers_of_its_own(book):
    drawn = []

    def body(ctx):
        numbers = [ctx.random.random(), ctx.random.random(), *ctx.rng.integers(1 << 60, size=2)]
        drawn.append([*map(float, numbers)])
        if ctx.attempt == 1:
            raise ValueError

    run = book.run("loop")
    with pytest.raises(ValueError):  # noqa: PT011 - a bare one
        run.do("Sample", body)
    again(run).do("Sample", body)
    run.do("Other", lambda ctx: body(ctx) if ctx.attempt > 1 else None)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 4
    with contextlib.suppress(ValueError):
        run.do("Another sample", body)
    with contextlib.suppress(ValueError):
        book.run("loop", new=True).do("Sample", body)
    assert len({tuple(numbers) for numbers in drawn[1:]}) == 3, "by name and by run"


def test_the_numbers_of_a_step_are_seeded_by_its_idempotency_key_alone(run):
    drawn = run.do("Sample", lambda ctx: [ctx.random.random(), int(ctx.rng.integers(1000))])
    key = f"{run.id}:Sample"
    seed = Random(key).getrandbits(128)
    assert drawn == [Random(key).random(), int(np.random.default_rng(seed).integers(1000))]


# ---- 5: exceptions


@pytest.mark.parametrize(
    "error", [ValueError("v"), KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()]
)
def test_the_same_exception_object_passes_with_one_note_and_the_failure_is_recorded(run, error):
    with pytest.raises(type(error)) as caught:
        run.do("Fails", Counting(error))
    assert caught.value is error
    assert sum("in step 'Fails'" in note for note in error.__notes__) == 1
    assert row(run, "Fails")["status"] == "failed"
    assert row(run, "Fails")["error"]["type"].rpartition(".")[2] == type(error).__name__
    assert again(run).do("Fails", lambda: 1) == 1


def test_an_exception_through_two_steps_has_one_note_and_both_rows_failed(run):
    with pytest.raises(ZeroDivisionError) as caught:
        run.do("Outer", lambda: run.do("Inner", lambda: 1 / 0))
    assert len(caught.value.__notes__) == 1
    assert list(run.steps()["status"]) == ["failed", "failed"]


def test_an_error_record_has_type_message_stack_notes_and_cause(run):
    noted = RuntimeError("outer")
    noted.add_note("a note")

    def body():
        try:
            {}["inner"]
        except KeyError as inner:
            raise noted from inner

    with pytest.raises(RuntimeError):
        run.do("Fails", body)
    error = row(run, "Fails")["error"]
    assert set(error) == {"type", "message", "stack", "notes", "cause"}
    assert (error["type"], error["message"], error["notes"]) == (
        "RuntimeError",
        "outer",
        ["a note"],
    )
    assert error["cause"]["type"] == "KeyError"
    assert '{}["inner"]' in error["stack"]
    assert "direct cause" in error["stack"]
    assert "engine/execute.py" not in error["stack"]


def test_a_failure_is_logged_without_being_asked(run):
    with pytest.raises(ZeroDivisionError):
        run.do("Fails", lambda: 1 / 0)
    logs = run.logs()
    assert list(logs["level"]) == ["error"]
    assert logs["step"][0] == "Fails"


# ---- 6: values


def test_a_value_that_cannot_be_stored_names_path_and_way_out_and_keeps_the_object(run):
    value = {"rows": [1, object()]}
    with pytest.raises(
        stepbook.NotSerializableError, match=r"rows\[1\].*object.*resolve"
    ) as caught:
        run.do("Train", lambda: value)
    assert caught.value.path == "$.rows[1]"
    assert caught.value.value is value
    assert row(run, "Train")["status"] == "failed"
    run.resolve("Train", "by hand")
    assert again(run).do("Train", never) == "by hand"


# ---- handled failures


def handled(run, error):
    with pytest.raises(type(error)):
        run.do("Fetch", Counting(error))
    run.do("Go on", lambda: 1)
    return again(run)


def test_a_failure_after_which_another_step_started_replays_as_the_same_class(run):
    with pytest.raises(ZeroDivisionError, match="by zero"):
        handled(run, ZeroDivisionError("by zero")).do("Fetch", never)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError()])
def test_an_interrupt_is_never_handled_and_its_step_executes_again(run, error):
    with contextlib.suppress(type(error)):
        run.do("Fetch", Counting(error))
    run.do("Next", lambda: 2)
    assert not row(run, "Fetch")["handled"]
    assert again(run).do("Fetch", lambda: 1) == 1


def test_a_step_cancelled_by_a_time_limit_executes_again(book):
    async def slow():
        await asyncio.sleep(60)

    async def walk(run, body, limit):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run.do("Fetch", body), limit)
        return run.do("Next", lambda: 2)

    asyncio.run(walk(book.run("loop"), slow, 0.01))

    async def quick():
        return 1

    run = book.run("loop")
    asyncio.run(walk(run, quick, 10))
    assert row(run, "Fetch")["return"] == 1


def test_a_failure_is_handled_when_the_pass_finishes(book):
    run = book.run("loop")
    with pytest.raises(ValueError, match="v"):
        run.do("Fetch", Counting(ValueError("v")))
    run.finish()
    with pytest.raises(ValueError, match="v"):
        book.run("loop").do("Fetch", never)


def test_a_failure_that_left_the_pass_is_not_handled(book):
    with pytest.raises(ValueError, match="v"), book.run("loop") as run:
        run.do("Fetch", Counting(ValueError("v")))
    assert book.run("loop").do("Fetch", lambda: 1) == 1


def test_a_class_of_ours_is_rebuilt(run):
    with pytest.raises(stepbook.ScanFailed, match="broken"):
        handled(run, stepbook.ScanFailed("broken")).do("Fetch", never)


def test_a_class_that_is_imported_is_rebuilt_without_calling_it(run):
    error = subprocess.CalledProcessError(1, "ls")
    with pytest.raises((subprocess.CalledProcessError, stepbook.RecordedError)):
        handled(run, error).do("Fetch", never)


def test_a_class_that_cannot_be_found_is_a_recorded_error_with_type_message_stack(run):
    class Local(Exception):  # noqa: N818 - not findable by name
        pass

    with pytest.raises(stepbook.RecordedError, match="gone") as caught:
        handled(run, Local("gone")).do("Fetch", never)
    assert caught.value.type.endswith("Local")
    assert caught.value.message == "gone"
    assert "Traceback" in caught.value.stack


def test_a_fallback_taken_once_is_taken_again(run):
    def walk(run):
        try:
            return run.do("Primary", Counting(ValueError("down")))
        except ValueError:
            return run.do("Fallback", lambda: "cached")

    assert walk(run) == walk(again(run)) == "cached"
    assert len(run.attempts()) == 2


def test_redo_clears_a_handled_failure(run):
    with pytest.raises(ValueError, match="v"):
        run.do("Fetch", Counting(ValueError("v")))
    run.do("Go on", lambda: 1)
    run.redo("Fetch")
    assert again(run).do("Fetch", lambda: 1) == 1


# ---- nesting


def test_steps_nest_and_parent_names_the_outer_one(run):
    run.do("Outer", lambda: run.do("Inner", lambda: 1))
    assert list(run.steps()["parent"]) == [None, "Outer"]


def test_if_the_outer_runs_again_inner_successes_replay(run):
    inner = Counting("once")

    def outer(ctx):
        run.do("Inner", inner)
        if ctx.attempt == 1:
            raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        run.do("Outer", outer)
    again(run).do("Outer", outer)
    assert inner.calls == 1


def test_a_retried_outer_step_executes_its_failed_inner_step_again(run):
    inner = Counting(ValueError("first"), "second")
    outer = run.options(retries=2).do("Outer", lambda: run.do("Inner", inner))
    assert (outer, inner.calls) == ("second", 2)
    assert list(run.steps()["attempt"]) == [2, 2]


def test_steps_in_threads_that_a_body_starts_have_it_as_their_parent(run):
    def outer():
        with ThreadPoolExecutor(4) as pool:
            return sorted(pool.map(lambda i: run.do(f"part {i}", lambda: i), range(8)))

    assert run.do("Outer", outer) == list(range(8))
    assert set(run.steps()["parent"][1:]) == {"Outer"}
    assert sorted(run.steps()["seq"]) == list(range(1, 10))


def test_steps_in_tasks_that_a_body_starts_have_it_as_their_parent(run):
    async def part(i):
        await asyncio.sleep(0)
        return i

    async def outer():
        return await asyncio.gather(*(run.do(f"part {i}", part, i) for i in range(5)))

    assert asyncio.run(run.do("Outer", outer)) == list(range(5))
    assert set(run.steps()["parent"][1:]) == {"Outer"}


def test_a_coroutine_function_gives_an_awaitable_that_replays(run):
    async def fetch():
        return 1

    async def walk(run):
        return await run.do("Fetch", fetch)

    assert asyncio.run(walk(run)) == 1
    assert asyncio.run(walk(again(run))) == 1
    assert len(run.attempts()) == 1


def test_an_awaitable_that_is_never_awaited_leaves_no_row(run):
    async def fetch():
        return 1

    run.do("Fetch", fetch).close()
    assert len(run.steps()) == 0


def test_a_generator_function_is_refused(run):
    def numbers():
        yield 1

    with pytest.raises(stepbook.StepFunctionError, match="generator"):
        run.do("Numbers", numbers)
    assert len(run.steps()) == 0


def test_a_plain_function_that_returns_an_awaitable_is_refused_and_failed(run):
    def fetch_later():
        return asyncio.sleep(0)

    with pytest.raises(stepbook.StepFunctionError, match="await"):
        run.do("Fetch", fetch_later)
    assert row(run, "Fetch")["status"] == "failed"


# ---- options


def test_retries_are_attempts_of_one_step(run):
    body = Counting(ValueError("1"), ValueError("2"), "ok")
    assert run.options(retries=2).do("Fetch", body) == "ok"
    assert list(run.attempts()["attempt"]) == [1, 2, 3]


def test_a_timeout_is_a_step_timeout_recorded_as_a_failure(run):
    with pytest.raises(stepbook.StepTimeout):
        run.options(timeout=0.05).do("Slow", threading.Event().wait, 20)
    assert row(run, "Slow")["error"]["type"] == "StepTimeout"


def test_recording_from_many_threads_numbers_every_step_once(path):
    book = stepbook.connect(path)
    run = book.run("loop")
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: run.do(f"s{i}", lambda: i), range(200)))
    assert results == list(range(200))
    run.close()
    frame = run.steps()
    assert list(frame["seq"]) == list(range(1, 201))
    assert (frame["status"] == "succeeded").all()
    book.close()


def test_no_thread_waits_for_the_syncs_of_those_that_came_later(path, monkeypatch):
    """A written step waits for the sync that goes on, and for the next; one more for bad luck.

    Each sync is held back until all that have waited for as many are returned.
    """
    book = stepbook.connect(path)
    run = book.run("loop")
    run.do("first", int)
    real_write, syncs = disk.pwrite, 0
    written_at, returned = {}, set()
    changed = threading.Condition()
    held_up = []

    def write(fd, data, offset):
        done = real_write(fd, data, offset)
        for name in re.findall(rb'"name":"([^"]*)","kind":"do","status":"succeeded"', data):
            written_at[name.decode()] = syncs
        return done

    def late():
        steps = list(written_at.items())
        return {name for name, before in steps if syncs - before >= 3} - returned

    def sync(_):
        nonlocal syncs
        with changed:
            if not changed.wait_for(lambda: not late(), timeout=20):
                held_up.append(late())
        time.sleep(0.002)  # a disk that takes its time: all other threads get to their ends
        syncs += 1

    def work(thread):
        for number in range(50):
            if held_up:
                return
            name = f"{thread}.{number}"
            run.do(name, int)
            with changed:
                returned.add(name)
                changed.notify_all()

    monkeypatch.setattr(disk, "pwrite", write)
    monkeypatch.setattr(disk, "sync", sync)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert not held_up
    assert len(returned) == 400
    monkeypatch.undo()
    book.close()


def test_closing_a_run_while_a_thread_records_loses_no_step(path):
    book = stepbook.connect(path)
    run = book.run("loop")
    started, closed = threading.Event(), threading.Event()

    def body():
        started.set()
        closed.wait(20)
        return "slow"

    thread = threading.Thread(target=run.do, args=("Slow", body))
    thread.start()
    started.wait()
    run.close()
    closed.set()
    thread.join()
    assert book.run("loop").do("Slow", never) == "slow"
    book.close()

"""A step that outlived its timeout has failed, whatever its body made of being told."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time

import pytest

import stepbook
from stepbook import StepTimeout
from stepbook.system.interrupts import in_thread

LIMIT = 0.1


def busy_for(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def catches():
    with contextlib.suppress(Exception):
        busy_for(30)
    busy_for(30)


def retries_for_ever():
    while True:
        try:
            busy_for(30)
        except Exception:  # noqa: BLE001, S112 - as people write it
            continue


def swallows_all():
    try:
        busy_for(30)
    except BaseException:  # noqa: BLE001 - as above
        return "late"


def returns_in_finally():
    try:
        busy_for(30)
    finally:
        return "late"  # noqa: B012


def swallows_twice():
    for _ in range(2):
        try:
            busy_for(30)
        except:  # noqa: E722, S112 - as above
            continue


def wraps():
    try:
        busy_for(30)
    except BaseException as error:
        raise ConnectionError("wrapped") from error


def cleans_up():
    try:
        busy_for(30)
    finally:
        cleaned.append("whole" if slept(0.5) else "cut")


def slept(seconds):
    busy_for(seconds)
    return True


cleaned: list[str] = []
BODIES = [
    catches,
    retries_for_ever,
    swallows_all,
    returns_in_finally,
    swallows_twice,
    wraps,
    cleans_up,
]


@pytest.fixture
def run(book):
    return book.run("x")


def here(call):
    return call()


@pytest.fixture(params=[here, in_thread], ids=["main thread", "another thread"])
def where(request):
    return request.param


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_a_step_that_outlived_its_timeout_has_failed(run, where, body):
    cleaned.clear()
    with pytest.raises(StepTimeout, match=r"'Slow' took longer than its timeout, 0\.1 s"):
        where(lambda: run.options(timeout=LIMIT).do("Slow", body))
    step = run.steps().iloc[0]
    assert (step["status"], step["error"]["type"]) == ("failed", "StepTimeout")
    assert cleaned == (["whole"] if body is cleans_up else [])
    assert run.options(timeout=30).do("After", where, lambda: 1) == 1
    assert signal.getitimer(signal.ITIMER_REAL)[0] != pytest.approx(LIMIT, abs=1)


def test_the_error_of_the_body_is_the_cause(run, where):
    with pytest.raises(StepTimeout) as caught:
        where(lambda: run.options(timeout=LIMIT).do("Slow", wraps))
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert run.steps()["error"][0]["cause"]["message"] == "wrapped"


def test_the_stack_shows_where_the_time_ran_out(run, where):
    with pytest.raises(StepTimeout):
        where(lambda: run.options(timeout=LIMIT).do("Slow", catches))
    assert "in busy_for" in run.steps()["error"][0]["stack"]


def test_an_error_within_the_time_is_the_same_object(run, where):
    error = ValueError("early")

    def body():
        raise error

    with pytest.raises(ValueError, match="early") as caught:
        where(lambda: run.options(timeout=30).do("Fails", body))
    assert caught.value is error


def test_what_returns_in_time_is_recorded(run, where):
    assert where(lambda: run.options(timeout=30).do("Fast", lambda: 1)) == 1


def test_an_uninterruptible_call_has_failed_once_it_has_ended(run):
    def body():
        threading.Thread(target=busy_for, args=(0.01,)).start()
        return sum(range(30_000_000))  # one call into C: no alarm gets into it

    with pytest.raises(StepTimeout):
        in_thread(lambda: run.options(timeout=0.01).do("Slow", body))


def test_a_timeout_is_an_attempt_that_is_retried(run, where):
    calls = []

    def body():
        calls.append(1)
        if len(calls) == 1:
            swallows_all()
        return len(calls)

    assert where(lambda: run.options(timeout=LIMIT, retries=1).do("Slow", body)) == 2
    assert list(run.attempts()["status"]) == ["failed", "succeeded"]


def test_an_outer_timeout_holds_within_a_longer_inner_one(run):
    def outer():
        return run.options(timeout=60).do("Inner", busy_for, 30)

    began = time.monotonic()
    with pytest.raises(StepTimeout, match="Outer"):
        run.options(timeout=0.2).do("Outer", outer)
    assert time.monotonic() - began < 20
    assert list(run.steps()["status"]) == ["failed", "failed"]


def test_an_inner_timeout_is_handled_by_the_outer_body(run, where):
    def outer():
        try:
            run.options(timeout=LIMIT).do("Inner", swallows_all)
        except TimeoutError:
            return "fallback"

    assert where(lambda: run.options(timeout=60).do("Outer", outer)) == "fallback"
    assert dict(zip(run.steps()["name"], run.steps()["status"], strict=True)) == {
        "Outer": "succeeded",
        "Inner": "failed",
    }


# ---- coroutines ----------------------------------------------------------------------------------


async def suppresses_cancellation():
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(30)
    return "late"


async def cancelled_twice():
    for _ in range(2):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)


async def blocks():
    busy_for(0.3)
    return "late"


async def wraps_cancellation():
    try:
        await asyncio.sleep(30)
    except BaseException as error:
        raise ConnectionError("wrapped") from error


async def shields():
    try:
        await asyncio.shield(asyncio.sleep(0.4))
    except asyncio.CancelledError:
        await asyncio.sleep(0.4)
        return "late"


COROUTINES = [
    suppresses_cancellation,
    cancelled_twice,
    blocks,
    wraps_cancellation,
    shields,
    lambda: asyncio.sleep(30),
]


@pytest.mark.parametrize("body", COROUTINES, ids=lambda body: body.__name__)
def test_a_coroutine_that_outlived_its_timeout_has_failed(run, body):
    async def call():
        return await body()

    async def main():
        with pytest.raises(StepTimeout, match="'Slow' took longer"):
            await run.options(timeout=LIMIT).do("Slow", call)
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0.01)  # nothing is left that would cancel this
        return await run.options(timeout=30).do("After", fast)

    async def fast():
        return 1

    assert asyncio.run(main()) == 1
    assert list(run.steps()["status"]) == ["failed", "succeeded"]
    assert run.steps()["error"][0]["type"] == "StepTimeout"


def test_a_cancellation_from_elsewhere_passes(run):
    async def main():
        async def body():
            started.set()
            await asyncio.sleep(30)

        async def step():
            await run.options(timeout=60).do("Slow", body)

        started = asyncio.Event()
        task = asyncio.create_task(step())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert run.steps()["error"][0]["type"].endswith("CancelledError")


def test_an_outer_timeout_of_asyncio_holds_around_a_body_that_was_told_several_times(run):
    async def stubborn():
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)

    async def main():
        async with asyncio.timeout(60):
            with pytest.raises(stepbook.StepTimeout):
                await run.options(timeout=LIMIT).do("Slow", stubborn)
            await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.sleep(30)

    asyncio.run(main())

"""Interrupts arrive where they leave nothing behind, and none is lost."""

from __future__ import annotations

import _thread
import json
import os
import random
import signal
import threading
import time
from types import SimpleNamespace

import pytest
from pythons import pythons

from stepbook.system import interrupts
from stepbook.system.interrupts import Bell, allowed, gate, in_thread, load, section, take
from stepbook.system.timeouts import call_within

#: Seconds for each pattern of the storm below.
SECONDS = float(os.environ.get("STEPBOOK_INTERRUPT_SECONDS", "0.4"))


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def _ctrl_c_raises(monkeypatch):
    # Children of a shell's background job ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    assert not gate().is_shut


# ---- random interrupts ------------------------------------------------------------------------

STORM = """
    import contextlib, gc, json, signal, sys, threading, time
    from stepbook.system import interrupts as _interrupts
    from stepbook.system.interrupts import Bell, allowed, section, take

    first, second = threading.Lock(), threading.Lock()
    bell = Bell()


    def acquired_then_tried():  # the control: this leaks on every version
        first.acquire()
        try:
            len("x")
        finally:
            first.release()


    def taken():
        held = []
        try:
            take(first, held)
            len("x")
        finally:
            if held:
                first.release()


    def in_a_section():
        with section(first):
            len("x")


    def left_while_waiting():
        with section(first, second, patient=False):
            len("x")


    def nested():
        with section(first):
            with section(second):
                len("x")
            with allowed():
                with section(second):
                    len("x")
                len("x")
            taken_within(second)


    def taken_within(lock):
        held = []
        try:
            take(lock, held)
        finally:
            if held:
                lock.release()


    @contextlib.contextmanager
    def manager():
        with section(first):
            yield


    def through_a_generator():
        with manager():
            len("x")


    def through_a_stack():
        with section(), contextlib.ExitStack() as stack:
            stack.enter_context(manager())
            stack.enter_context(second)


    def interrupt(number, frame):
        # Everywhere inside of an attempt, and nowhere in this script's own lines.
        while frame is not None:
            if frame.f_code.co_name == "attempt":
                raise KeyboardInterrupt
            frame = frame.f_back


    def attempt(pattern):
        for _ in range(20):
            pattern()
            bell.ring()


    def listen():
        while bell.wait():
            heard[0] += 1


    heard = [0]
    threading.Thread(target=listen, daemon=True).start()
    signal.signal(signal.SIGINT, interrupt)
    print("ready", flush=True)
    patterns = [acquired_then_tried, taken, in_a_section, left_while_waiting, nested,
                through_a_generator, through_a_stack]
    figures = {}
    for pattern in patterns:
        hits = leaks = shut = 0
        end = time.monotonic() + float(sys.argv[1])
        while time.monotonic() < end or hits < 20:
            try:
                attempt(pattern)
            except KeyboardInterrupt:
                hits += 1
                if first.locked() or second.locked():
                    leaks += 1
                    first, second = threading.Lock(), threading.Lock()
                shut += _interrupts.gate().state != 0
                shut += signal.getsignal(signal.SIGINT) is not interrupt
        figures[pattern.__name__] = hits, leaks, shut
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    before = heard[0]
    bell.ring()
    while heard[0] == before:
        time.sleep(0.001)
    print("figures", json.dumps(figures), flush=True)
"""


def send_interrupts(one, ended, longest):
    while not ended.wait(random.uniform(0, longest)) and one.process.poll() is None:
        one.signal(signal.SIGINT)


@pytest.mark.parametrize("version", pythons())
def test_random_interrupts_leave_no_lock_behind(child, version):
    one = child(STORM, SECONDS, python=pythons()[version])
    one.expect("ready")
    ended = threading.Event()
    sender = threading.Thread(target=send_interrupts, args=(one, ended, 0.0004))
    sender.start()
    try:
        figures = json.loads(one.expect("figures"))
    finally:
        ended.set()
        sender.join()
    code, _, errors = one.end()
    print(version, figures)
    assert code == 0, errors
    assert "ignored" not in errors  # an interrupt that was only printed is lost
    _, leaks, _ = figures.pop("acquired_then_tried")
    assert leaks > 0  # or this test finds nothing
    assert {name: (leaks, shut) for name, (_, leaks, shut) in figures.items()} == dict.fromkeys(
        figures, (0, 0)
    )


FOREIGN = """
    import random, signal, sys, threading, time
    from stepbook.system.interrupts import allowed, section

    class Foreign(Exception):
        pass


    def alarm(number, frame):
        while frame is not None:
            if frame.f_code.co_name == "attempt":
                raise Foreign
            frame = frame.f_back


    def attempt():
        for _ in range(20):
            with section():
                with allowed():
                    pass


    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, alarm)
    hits = lost = 0
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.0003))
        try:
            attempt()
        except Foreign:
            hits += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            signal.raise_signal(signal.SIGINT)
            for _ in range(10):
                pass
            lost += 1
        except KeyboardInterrupt:
            pass
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print("figures", hits, lost, flush=True)
"""


@pytest.mark.parametrize("version", pythons())
def test_ctrl_c_still_works_after_the_handlers_of_other_signals_have_raised(child, version):
    one = child(FOREIGN, 3 * SECONDS, python=pythons()[version])
    hits, lost = map(int, one.expect("figures").split())
    code, _, errors = one.end()
    print(version, hits, lost)
    assert code == 0, errors
    assert hits > 20
    assert lost == 0


# ---- one at a time ------------------------------------------------------------------------------


def test_an_interrupt_in_a_section_arrives_right_after_it():
    done = []

    def work():
        with section():
            ctrl_c()
            done.append("inside")
        done.append("after")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inside"]
    with section():
        done.append("again")
    assert done == ["inside", "again"]


def test_in_nested_sections_it_arrives_after_the_outermost():
    done = []
    with pytest.raises(KeyboardInterrupt), section():
        with section():
            ctrl_c()
            ctrl_c()
        done.append("inside")
    assert done == ["inside"]


def test_in_an_allowed_part_it_arrives_at_once_and_one_that_came_before_at_its_beginning():
    done = []
    with pytest.raises(KeyboardInterrupt), section(), allowed():
        ctrl_c()
        done.append("not reached")
    with pytest.raises(KeyboardInterrupt), section():
        ctrl_c()
        done.append("before")
        with allowed():
            done.append("not reached")
    with pytest.raises(KeyboardInterrupt), section(), allowed():
        with section():
            ctrl_c()
            done.append("section inside")
        done.append("not reached")
    assert done == ["before", "section inside"]


def test_a_second_one_does_not_cut_short_what_the_first_one_leads_out_of():
    done = []
    with pytest.raises(KeyboardInterrupt), section():
        try:
            with allowed():
                ctrl_c()
        finally:
            ctrl_c()
            done.append("put away")
    assert done == ["put away"]


def test_what_the_block_raises_is_the_context_of_the_interrupt():
    with pytest.raises(KeyboardInterrupt) as caught, section():
        ctrl_c()
        raise ValueError("of the block")
    assert isinstance(caught.value.__context__, ValueError)


def test_a_handler_of_the_user_is_called_once_with_the_frame_that_was_interrupted():
    calls = []
    signal.signal(signal.SIGINT, lambda number, frame: calls.append((number, frame.f_code.co_name)))
    with section():
        ctrl_c()
        ctrl_c()
        assert not calls
        with allowed():
            assert len(calls) == 1
            ctrl_c()
            ctrl_c()
            assert len(calls) == 3
        ctrl_c()
        assert len(calls) == 3
    assert calls == [(signal.SIGINT, "ctrl_c")] * 4
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_what_is_no_handler_in_python_stays(handler):
    signal.signal(signal.SIGINT, handler)
    with section():
        assert signal.getsignal(signal.SIGINT) is handler
        with allowed(), section():
            assert signal.getsignal(signal.SIGINT) is handler
    assert signal.signal(signal.SIGINT, signal.default_int_handler) is handler


def test_a_handler_that_is_set_in_a_section_stays_set():
    with section():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.signal(signal.SIGINT, signal.default_int_handler) is signal.SIG_IGN


def test_in_another_thread_a_section_holds_its_locks_and_leaves_ctrl_c_alone():
    lock = threading.Lock()
    inside, leave = threading.Event(), threading.Event()

    def work():
        with section(lock):
            inside.set()
            leave.wait()

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    assert lock.locked()
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()
    leave.set()
    thread.join()
    assert not lock.locked()


def interrupt_soon(stop):
    def send():
        while not stop.wait(0.01):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_the_wait_for_a_lock_can_be_left_where_that_is_said():
    mine, busy, stop = threading.Lock(), threading.Lock(), threading.Event()
    busy.acquire()
    sender = interrupt_soon(stop)
    try:
        with pytest.raises(KeyboardInterrupt), section(mine, busy, patient=False):
            pytest.fail("the lock is held by another")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stop.set()
        sender.join()
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert not mine.locked()
    assert busy.locked()


def test_the_locks_of_a_section_are_free_when_one_of_them_cannot_be_taken():
    class Broken:
        def acquire(self):
            raise OSError("broken")

        def release(self):
            pytest.fail("it was never acquired")

    lock = threading.Lock()
    with pytest.raises(OSError, match="broken"), section(lock, Broken()):
        pytest.fail("not reached")
    assert not lock.locked()


def test_a_bell_that_rings_before_or_during_a_wait_ends_it_and_rings_together_count_once():
    bell = Bell()
    assert not bell.wait(0.001)
    bell.ring()
    bell.ring()
    assert bell.wait()
    assert not bell.wait(0)
    threading.Timer(0.05, bell.ring).start()
    assert bell.wait(10)


# ---- time limits --------------------------------------------------------------------------------


class TooLateError(Exception):
    pass


def everywhere(call):
    """Call it in the main thread, where an alarm rings, and in another, where a timer does."""
    call()
    in_thread(call)


def busy_for(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_time_limit_in_a_section_is_noticed_after_it():
    def check():
        done = []

        def work():
            with section():
                busy_for(0.1)
                done.append("inside")
            for _ in range(1000):
                busy_for(0.001)
            done.append("not reached")

        with pytest.raises(TooLateError):
            call_within(0.02, TooLateError, work)
        assert done == ["inside"]

    everywhere(check)


def test_a_time_limit_in_an_allowed_part_of_a_section_is_noticed_there():
    def check():
        with pytest.raises(TooLateError), section():
            call_within(0.02, TooLateError, leave_a_section)

    def leave_a_section():
        with section(), allowed():
            for _ in range(1000):
                busy_for(0.001)
        pytest.fail("not reached")

    everywhere(check)


def test_of_two_limits_the_one_that_is_over_counts_and_the_other_goes_on():
    def check():
        def outer():
            with pytest.raises(TooLateError):
                call_within(0.02, TooLateError, lambda: busy_for(10))
            for _ in range(1000):
                busy_for(0.001)

        with pytest.raises(TimeoutError):
            call_within(0.2, TimeoutError, outer)
        assert call_within(10, TimeoutError, lambda: 1) == 1

    everywhere(check)


def test_random_time_limits_leave_no_lock_behind():
    def check():
        first, second = threading.Lock(), threading.Lock()

        def work():
            while True:
                with section(first), allowed():
                    held = []
                    try:
                        take(second, held)
                    finally:
                        if held:
                            second.release()

        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            with pytest.raises(TooLateError):
                call_within(random.uniform(0.0001, 0.002), TooLateError, work)
            assert not first.locked()
            assert not second.locked()
            assert not gate().is_shut
            assert not gate().waiting

    everywhere(check)


# ---- imports ------------------------------------------------------------------------------------

SLOW = """
    import signal, sys
    from stepbook.system.interrupts import load

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path.insert(0, sys.argv[1])
    try:
        load("slow_library")
    except KeyboardInterrupt:
        print("interrupted", sys.modules["slow_library"].whole, flush=True)
    print("again", load("slow_library").whole, flush=True)
    try:
        load("no_such_library")
    except ModuleNotFoundError as error:
        print("missing", error.name, flush=True)
"""


def test_an_interrupt_during_an_import_arrives_when_it_is_whole(child, tmp_path):
    (tmp_path / "slow_library.py").write_text(
        "import sys\nprint('importing', flush=True)\nsys.stdin.readline()\nwhole = True\n"
    )
    one = child(SLOW, tmp_path)
    one.expect("importing")
    one.signal(signal.SIGINT)
    one.signal(signal.SIGINT)
    one.say()
    assert one.expect("interrupted") == "True"
    assert one.expect("again") == "True"
    assert one.expect("missing") == "no_such_library"


def test_a_library_that_is_being_imported_by_another_thread_is_waited_for(tmp_path, monkeypatch):
    (tmp_path / "awaited_library.py").write_text(
        "import threading\nstarted.set()\ngo.wait()\nwhole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    started, go = threading.Event(), threading.Event()
    monkeypatch.setattr("builtins.started", started, raising=False)
    monkeypatch.setattr("builtins.go", go, raising=False)
    thread = threading.Thread(target=load, args=("awaited_library",))
    thread.start()
    started.wait()
    threading.Timer(0.1, go.set).start()
    assert load("awaited_library").whole
    thread.join()


FIRST = """
    import signal, sys
    import stepbook

    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("ready", flush=True)
    interrupts = 0
    while True:
        try:
            run = stepbook.connect(sys.argv[1]).run("loop")
            for number in range(3):
                assert run.do(f"step {number}", lambda: number) == number
            frame = run.book.steps()
            break
        except KeyboardInterrupt:
            interrupts += 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert list(frame["name"]) == ["step 0", "step 1", "step 2"]
    run.finish()
    print("usable", interrupts, flush=True)
"""


def test_ctrl_c_in_the_first_second_breaks_nothing(child, path):
    interrupts = 0
    for number in range(int(20 * SECONDS)):
        one = child(FIRST, path.with_name(f"{number}.duckdb"))
        one.expect("ready")
        ended = threading.Event()
        sender = threading.Thread(target=send_interrupts, args=(one, ended, 0.5))
        sender.start()
        try:
            interrupts += int(one.expect("usable"))
        finally:
            ended.set()
            sender.join()
        code, _, errors = one.end()
        assert code == 0, errors
    print(interrupts, "interrupts")
    assert interrupts > 0


def test_an_interrupt_right_after_the_lock_of_a_call_was_taken_does_not_wait_for_it(monkeypatch):
    class Late:
        """A lock; an interrupt arrives when it has been taken for the second time."""

        def __init__(self):
            self.lock, self.taken = _thread.allocate_lock(), 0
            self.release = self.lock.release

        def acquire(self):
            assert self.lock.acquire(timeout=10), "it waits for ever"
            self.taken += 1
            if self.taken == 2:
                raise KeyboardInterrupt

    threads = SimpleNamespace(allocate_lock=Late, start_new_thread=_thread.start_new_thread)
    monkeypatch.setattr(interrupts, "_thread", threads)
    stopped = []
    with pytest.raises(KeyboardInterrupt):
        interrupts.in_thread(int, lambda: stopped.append(1))
    assert stopped == [1]

"""Hundreds of real interrupts around opening, recording, folding and closing.

``STEPBOOK_INTERRUPTS`` says how many for each Python (150); for other Pythons see pythons.py.
"""

from __future__ import annotations

import os
import random
import signal
import threading

import pytest
from pythons import pythons

import stepbook

INTERRUPTS = int(os.environ.get("STEPBOOK_INTERRUPTS", "150"))

STORM = """
    import faulthandler, gc, json, signal, sys, threading, time, types
    import duckdb, pandas, stepbook
    import stepbook.record.folding

    # What is waited for that long will never come.
    faulthandler.dump_traceback_later(120 + int(sys.argv[2]) // 5, exit=True)
    stepbook.record.folding.GATHER_S = 0.01  # the thread that folds is busy, too
    LOCKS = type(threading.Lock()), type(threading.RLock())
    interrupts = 0


    def interrupt(number, frame):
        # Everywhere inside of an attempt, and nowhere in this script's own lines.
        global interrupts
        while frame is not None:
            if frame.f_code.co_name == "attempt":
                interrupts += 1
                raise KeyboardInterrupt
            frame = frame.f_back


    def attempt(book, number):
        run = book.run("loop")
        for step in range(3):
            run.do(f"{number} {step}", lambda ctx: ctx.log("inside") or step)
        book.get("loop").steps()
        if number % 2:
            book.steps()
        run.close()
        with book.run("other", new=number % 5 == 0) as other:
            other.do("step", lambda: "x" * 100_000)


    def ours(thing):
        module = thing.__name__ if isinstance(thing, types.ModuleType) else type(thing).__module__
        if isinstance(thing, type):
            module = thing.__module__
        return str(module).partition(".")[0] == "stepbook"


    def locks():
        for thing in gc.get_objects():
            if ours(thing):
                names = {*getattr(thing, "__dict__", ()), *getattr(type(thing), "__slots__", ())}
                for name in names - {"_tstate_lock"}:  # a thread's own: it is held while it runs
                    value = getattr(thing, name, None)
                    if isinstance(value, LOCKS):
                        yield f"{type(thing).__name__}.{name}", value


    def held(lock):
        if not lock.acquire(timeout=20):  # the thread that folds may hold it for a moment
            return True
        lock.release()
        return False


    def all_free():
        # From another thread: what this one holds it could take again.
        found = []
        thread = threading.Thread(
            target=lambda: found.extend([name for name, lock in locks() if held(lock)] or ["none"])
        )
        thread.start()
        thread.join()
        assert found
        return [name for name in found if name != "none"]


    book = stepbook.connect(sys.argv[1])
    signal.signal(signal.SIGINT, interrupt)
    print("ready", flush=True)
    number = 0
    while interrupts < int(sys.argv[2]):
        number += 1
        before = interrupts
        try:
            attempt(book, number)
        except KeyboardInterrupt:
            pass
        except stepbook.StepError:
            pass  # a failure of an interrupted one, seen again
        if interrupts != before:
            found = all_free()
            assert not found, found
            assert signal.getsignal(signal.SIGINT) is interrupt
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run = book.run("loop")
    run.do("last", lambda: 1)
    run.close()
    book.run("other").close()
    book.close()
    assert "stepbook-fold" not in [thread.name for thread in threading.enumerate()]
    assert not all_free()
    print("figures", number, interrupts, run.id, flush=True)
    sys.stdin.readline()  # still alive, holding nothing
"""


@pytest.mark.parametrize("version", pythons())
def test_interrupts_anywhere_leave_all_locks_free_and_nothing_hangs(child, path, version):
    one = child(STORM, path, INTERRUPTS, python=pythons()[version])
    one.expect("ready")
    ended = threading.Event()

    def interrupt():
        while not ended.wait(random.uniform(0, 0.06)) and one.process.poll() is None:
            one.signal(signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    try:
        number, interrupts, run_id = one.expect("figures").split()
    finally:
        ended.set()
        sender.join()
    print(f"Python {version}: {interrupts} interrupts in {number} rounds")
    # Another process can have the run, while that one goes on living.
    run = stepbook.connect(path).run("loop")
    assert run.id == run_id
    assert run.do("last", lambda: 1 / 0) == 1
    run.close()
    one.say()
    code, _, errors = one.end()
    assert code == 0, errors
    assert "Exception ignored" not in errors  # an interrupt that was only printed is lost
    steps = run.steps()
    assert set(steps["status"]) <= {"succeeded", "failed"}

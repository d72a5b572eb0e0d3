"""Ctrl-C, every millisecond, anywhere: the journal stays appendable and everything agrees."""

from __future__ import annotations

import json
import os
import signal
import threading

import stepbook

STEPS = 2000

RECORD = """
    import contextlib, io, json, signal, sys
    import duckdb, stepbook

    path, steps = sys.argv[1], int(sys.argv[2])
    executed = [0] * steps
    acknowledged = set()
    interrupts = 0


    def interrupt(number, frame):
        # Everywhere inside of a step, and nowhere in this script's own lines.
        global interrupts
        while frame is not None:
            if frame.f_code.co_name == "perform":
                interrupts += 1
                raise KeyboardInterrupt
            frame = frame.f_back


    def body(i):
        executed[i] += 1
        return {"square": i * i}


    run = stepbook.connect(path).run("interrupted")
    signal.signal(signal.SIGINT, interrupt)
    print("ready", run.id, flush=True)
    for i in range(steps):
        try:
            assert run.do(str(i), body, i) == {"square": i * i}
            acknowledged.add(i)
        except KeyboardInterrupt:
            pass
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    again = stepbook.connect(path).run("interrupted")
    assert again is run
    before = list(executed)
    run.do("after", dict)  # makes durable what the last interrupt has left
    memory = {name: step.status for name, step in run._opened.state().steps.items()}
    for i in range(steps):
        if memory.get(str(i)) == "failed":
            with contextlib.redirect_stderr(io.StringIO()):  # nobody reads it meanwhile
                run.redo(str(i))  # this script has gone on after it: it was handled
        assert run.do(str(i), body, i) == {"square": i * i}
        if memory.get(str(i)) == "succeeded":
            assert executed[i] == before[i], f"step {i} was executed again"
        assert i not in acknowledged or memory[str(i)] == "succeeded"
    rows = run._opened.state().steps
    journal = run.book._opened.records.peek_journals(run.id)
    assert journal.steps == rows
    run.close()
    frame = run.steps()
    assert list(frame["name"]) == [row.name for row in rows.values()]
    assert list(frame["seq"]) == [row.seq for row in rows.values()] == list(range(1, steps + 2))
    assert list(frame["attempt"]) == [row.attempt for row in rows.values()]
    assert (frame["status"] == "succeeded").all()
    attempts = run.attempts()
    last = attempts.groupby("name")["attempt"].max().to_dict()
    assert last == dict(zip(frame["name"], frame["attempt"], strict=True))
    assert len(attempts) == frame["attempt"].sum()
    print("figures", json.dumps([interrupts, len(acknowledged)]), flush=True)
"""


def test_interrupts_every_millisecond_leave_journal_memory_and_tables_in_agreement(child, path):
    one = child(RECORD, path, STEPS)
    one.expect("ready")
    ended = threading.Event()

    def interrupt():
        while not ended.wait(0.001) and one.process.poll() is None:
            os.kill(one.pid, signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    try:
        interrupts, acknowledged = json.loads(one.expect("figures"))
    finally:
        ended.set()
        sender.join()
    code, _, errors = one.end()
    assert code == 0, errors
    print(f"{interrupts} interrupts, {acknowledged} of {STEPS} steps not interrupted")
    assert interrupts > 50
    assert len(stepbook.connect(path).get("run_").steps()) == STEPS + 1

"""Ctrl-C during what takes long outside of a step: a query, a fold. And what waiting costs."""

from __future__ import annotations

import signal
import statistics
import time

import pytest

import stepbook

# Children of a shell's background job ignore SIGINT, and Python then installs no handler: a test
# that sends it would wait for ever for an exception that never comes.
BEGIN = """
    import signal, sys, threading, time
    import duckdb, pandas, stepbook

    signal.signal(signal.SIGINT, signal.default_int_handler)
    book = stepbook.connect(sys.argv[1])
"""

QUERY = (
    BEGIN
    + """
    run = book.run("loop")
    run.do("before", lambda: 1)
    # Each fills one chunk after the other, so that DuckDB looks for a signal between them.
    query = "SELECT max(hash(range)) FROM range($1) WHERE hash(range) % 3 = 1"
    rows, seconds = 1_000_000, 0.0
    while seconds < 2:
        rows = int(rows * min(8, max(1.5, 2.5 / max(seconds, 0.001))))
        began = time.monotonic()
        book.sql(query, [rows])
        seconds = time.monotonic() - began
    print("ready", seconds, flush=True)
    began = time.monotonic()
    try:
        book.sql(query, [rows])
        time.sleep(1)  # at the latest here
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - began, flush=True)
    run.do("after", lambda: 2)
    assert list(book.sql("SELECT name FROM steps ORDER BY seq")["name"]) == ["before", "after"]
    run.finish()
    print("usable", flush=True)
"""
)


def test_ctrl_c_in_a_query_raises_when_it_ends_at_the_latest_and_the_book_goes_on(child, path):
    one = child(QUERY, path)
    whole = float(one.expect("ready"))
    time.sleep(0.5)
    one.signal(signal.SIGINT)
    seconds = float(one.expect("interrupted"))
    one.expect("usable")
    code, _, errors = one.end()
    print(f"interrupted after {seconds:.2f} s of {whole:.2f} s")
    assert code == 0, errors
    assert list(stepbook.connect(path).steps()["name"]) == ["before", "after"]


FOLD = (
    BEGIN
    + """
    import stepbook.record.folding, stepbook.record.ledger

    stepbook.record.folding.GATHER_S = 3600  # the folds are those of this thread
    stepbook.record.ledger.FOLD_BYTES = int(sys.argv[3])
    run = book.run("loop")
    for i in range(40):
        run.do(str(i), lambda: "x" * 300_000)
    print("ready", flush=True)
    began = time.monotonic()
    try:
        if sys.argv[2] == "read":
            book.steps()
        elif sys.argv[2] == "close":
            run.close()
        else:
            run.finish("done")
        print("folded", time.monotonic() - began, flush=True)
        time.sleep(5)
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - began, flush=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run = book.run("loop")
    for i in range(40):
        assert run.do(str(i), lambda: 1 / 0) == "x" * 300_000
    run.do("after", lambda: 2)
    frame = book.sql("SELECT name, status FROM steps ORDER BY seq")
    assert list(frame["name"]) == [*map(str, range(40)), "after"]
    assert set(frame["status"]) == {"succeeded"}
    assert len(book.attempts()) == 41
    run.finish()
    print("usable", flush=True)
"""
)


@pytest.mark.parametrize(
    ("how", "fold_bytes"), [("read", 1_000_000), ("close", 1 << 30), ("finish", 1_000_000)]
)
def test_ctrl_c_in_a_fold_loses_and_doubles_nothing(child, path, how, fold_bytes):
    one = child(FOLD, path, how, fold_bytes)
    one.expect("ready")
    time.sleep(0.05)
    one.signal(signal.SIGINT)
    print(f"interrupted after {one.expect('interrupted')} s")
    one.expect("usable")
    code, _, errors = one.end()
    assert code == 0, errors
    frame = stepbook.connect(path).attempts()
    assert list(frame["name"]) == [*map(str, range(40)), "after"]
    assert not list((path.parent / (path.name + ".d") / "journal").iterdir())


WAIT = """
    import os, sys, time
    import duckdb, pandas, stepbook

    def used():
        return sum(os.times()[:2])

    book = stepbook.connect(sys.argv[1])
    run = book.run("loop", new=True)
    run.do("before", lambda: 1)
    book.steps()
    assert run.wait_for_scan(name="first", timeout=2, default="late") == "late"
    time.sleep(1)  # what is folded now is not waiting
    print("ready", run.id, flush=True)
    began, before = time.monotonic(), used()
    run.wait_for_scan(timeout=60)
    after = used()
    print("waited", time.monotonic() - began, after - before, flush=True)
    for number in range(5):
        print("next", flush=True)
        run.wait_for_scan(name=str(number), timeout=60)
        print("seen", time.time(), flush=True)
"""


def test_waiting_costs_under_one_percent_of_a_core_and_notices_within_half_a_second(
    book, path, child
):
    shares = []
    # Beside other work each cycle takes longer: the least of three shares is what waiting costs.
    while len(shares) < 3 and min(shares, default=1) >= 0.01:
        one = child(WAIT, path)
        run_id = one.expect("ready")
        time.sleep(20)
        book.deliver_scan(run_id)
        waited, cpu = map(float, one.expect("waited").split())
        assert waited > 20
        shares.append(cpu / waited)
        delays = []
        for number in range(5):
            one.expect("next")
            time.sleep(0.3 + 0.03 * number)
            book.deliver_scan(run_id, name=str(number))
            told = time.time()
            delays.append(float(one.expect("seen")) - told)
        code, _, errors = one.end()
        assert code == 0, errors
        # The median: a busy machine may keep one of them from running.
        assert statistics.median(delays) < 0.5
    print("of a core:", [f"{share:.2%}" for share in shares], "noticed after", sorted(delays))
    assert min(shares) < 0.01


LIMITED = (
    BEGIN
    + """
    run = book.run("loop")
    run.do("before", lambda: 1)
    book.steps()
    query = "SELECT max(hash(range)) FROM range(20_000_000_000) WHERE hash(range) % 3 = 1"

    def late():
        print("asking", flush=True)
        book.sql(query)

    try:
        run.options(timeout=1).do("late", late)
    except stepbook.StepTimeout as error:
        print("timeout", error, flush=True)
    try:
        run.do("interrupted", late)
    except KeyboardInterrupt as error:
        print("interrupted", flush=True)
    print(*run.attempts()["error"].dropna().map(lambda error: error["type"]), flush=True)
    run.finish()
    print("usable", flush=True)
"""
)


def test_what_ends_a_query_is_raised_as_what_it_was(child, path):
    one = child(LIMITED, path)
    assert "'late' took longer" in one.expect("timeout")
    one.expect("asking")
    time.sleep(0.5)
    one.signal(signal.SIGINT)
    one.expect("interrupted")
    one.expect("StepTimeout KeyboardInterrupt")
    one.expect("usable")
    code, _, errors = one.end()
    assert code == 0, errors

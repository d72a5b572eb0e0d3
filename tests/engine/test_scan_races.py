"""Senders and deadlines that race for one slot: one outcome, and everybody is told the truth."""

from __future__ import annotations

import random
import threading
import time

import pytest

import stepbook
from stepbook.record.inbox import Inbox, delivery

RACES = 1000


def test_of_two_senders_and_a_deadline_exactly_one_wins_and_all_are_told_the_truth(tmp_path):
    (tmp_path / "inbox").mkdir()
    inbox = Inbox(tmp_path / "inbox")
    contents = {
        "one": delivery(payload='"one"'),
        "two": delivery(payload='"two"'),
        "deadline": delivery(timeout=True),
    }
    barrier = threading.Barrier(len(contents))
    told: list[dict[str, bool]] = [{} for _ in range(RACES)]

    def race(name):
        for number in range(RACES):
            barrier.wait()
            told[number][name] = inbox.claim("run_x", "Wait for scan", number, contents[name])

    threads = [threading.Thread(target=race, args=[name]) for name in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(RACES):
        winners = [name for name, won in told[number].items() if won]
        assert len(winners) == 1
        assert inbox.read("run_x", "Wait for scan", number) == contents[winners[0]]
    assert len(list((tmp_path / "inbox").iterdir())) == RACES


def test_waits_with_deadlines_and_senders_in_threads_agree_on_one_outcome():
    chance = random.Random(7)
    book = stepbook.connect(":memory:")
    run = book.run("races")
    for number in range(150):
        name = f"scan {number}"
        told: dict[str, str] = {}
        limit = chance.uniform(0.0, 0.004)

        pause = chance.uniform(0, 0.004)

        def send(sender, name=name, told=told, pause=pause):
            time.sleep(pause)
            try:
                book.deliver_scan(run.id, sender, name=name)
                told[sender] = "delivered"
            except stepbook.ScanAlreadyDelivered:
                told[sender] = "already"
            except stepbook.ScanClosed:
                told[sender] = "closed"

        threads = [threading.Thread(target=send, args=[s]) for s in ("one", "two")]
        for thread in threads:
            thread.start()
        outcome = run.wait_for_scan(name=name, timeout=limit, default="late")
        for thread in threads:
            thread.join()
        if outcome == "late":
            assert set(told.values()) == {"closed"}
        else:
            assert told[outcome] == "delivered"
            assert sorted(told.values()) == ["already", "delivered"]


SENDER = """
    import sys
    import stepbook
    book = stepbook.connect(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        run_id, name = line.split()
        try:
            book.deliver_scan(run_id, sys.argv[2], name=name)
            print("told delivered", flush=True)
        except stepbook.ScanAlreadyDelivered:
            print("told already", flush=True)
        except stepbook.ScanClosed:
            print("told closed", flush=True)
"""


HOLDER = """
    import sys, time
    import duckdb
    while True:
        try:
            held = duckdb.connect(sys.argv[1])
            break
        except duckdb.IOException:
            time.sleep(0.02)
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_two_sending_processes_and_a_deadline_agree_on_one_outcome(book, path, child):
    run = book.run("races")
    senders = [child(SENDER, path, name, name=f"{name}.py") for name in ("one", "two")]
    for sender in senders:
        sender.expect("ready")
    for number in range(12):
        name = f"scan-{number}"
        for sender in senders:
            sender.say(f"{run.id} {name}")
        outcome = run.wait_for_scan(name=name, timeout=0.02 * number, default="late")
        told = {s: sender.expect("told") for s, sender in zip(("one", "two"), senders, strict=True)}
        if outcome == "late":
            assert set(told.values()) == {"closed"}
        else:
            assert told[outcome] == "delivered"
            assert sorted(told.values()) == ["already", "delivered"]


def test_an_early_delivery_is_held_and_a_second_early_one_is_refused(book):
    run = book.run("loop")
    book.deliver_scan(run.id, {"n": 1})
    with pytest.raises(stepbook.ScanAlreadyDelivered):
        book.deliver_scan(run.id, {"n": 2})
    assert run.wait_for_scan(timeout=0) == {"n": 1}


def test_a_delivery_after_the_payload_was_taken_is_already_delivered(book):
    run = book.run("loop")
    book.deliver_scan(run.id, 1)
    run.wait_for_scan()
    with pytest.raises(stepbook.ScanAlreadyDelivered, match="redo"):
        book.deliver_scan(run.id, 2)
    run.close()  # the slot is gone now, the record is not
    with pytest.raises(stepbook.ScanAlreadyDelivered, match="redo"):
        book.deliver_scan(run.id, 2)


def test_a_late_delivery_is_closed(book):
    run = book.run("loop")
    assert run.wait_for_scan(timeout=0, default=None) is None
    with pytest.raises(stepbook.ScanClosed):
        book.deliver_scan(run.id, 2)
    run.close()
    with pytest.raises(stepbook.ScanClosed):
        book.deliver_scan(run.id, 2)


def test_a_delivery_to_an_unknown_run_is_run_not_found(book):
    book.run("loop")
    with pytest.raises(stepbook.RunNotFoundError, match="run_nothing"):
        book.deliver_scan("run_nothing", 1)


def test_a_delivery_to_a_wait_that_was_resolved_by_hand_is_closed(book):
    run = book.run("loop")
    leave_a_wait(run)
    run.resolve("Wait for scan", "by hand")
    with pytest.raises(stepbook.ScanClosed, match="by hand"):
        book.deliver_scan(run.id, 1)


def test_several_open_waits_without_a_name_are_an_error_that_lists_them(book):
    run = book.run("loop")
    leave_a_wait(run, "first")
    leave_a_wait(book.run("loop"), "second")
    with pytest.raises(stepbook.ScanNotFoundError, match="'first', 'second'"):
        book.deliver_scan(run.id, 1)
    book.deliver_scan(run.id, 1, name="second")
    assert run.wait_for_scan(name="third", timeout=0, default="none") == "none"


def test_a_delivery_without_a_name_goes_to_the_one_open_wait(book):
    run = book.run("loop")
    leave_a_wait(run, "only")
    book.deliver_scan(run.id, "here")
    assert book.run("loop").wait_for_scan(name="only", timeout=0) == "here"


def test_a_delivery_arrives_although_another_process_holds_the_database(book, path, child):
    run = book.run("loop")
    assert run.wait_for_scan(timeout=0, default="late") == "late"
    run.redo("Wait for scan")
    run.close()
    run = book.run("loop")
    leave_a_wait(run)  # its second session: the journal must tell the number
    holder = child(HOLDER, path, name="holder.py")
    holder.expect("held")
    sender = child(SENDER.replace("name=name", "name=None"), path, "through", name="sender.py")
    sender.expect("ready")
    sender.say(f"{run.id} -")
    assert sender.expect("told") == "delivered"
    holder.say()
    holder.end()
    assert book.run("loop").wait_for_scan(timeout=30) == "through"


def leave_a_wait(run, name="Wait for scan"):
    """Begin to wait and be interrupted, as Ctrl-C does."""
    waits = stepbook.engine.waits._ScanWait

    class Interrupting(waits):
        def poll(self):
            raise KeyboardInterrupt

    stepbook.engine.waits._ScanWait = Interrupting
    try:
        with pytest.raises(KeyboardInterrupt):
            run.wait_for_scan(name=name, timeout=60)
    finally:
        stepbook.engine.waits._ScanWait = waits

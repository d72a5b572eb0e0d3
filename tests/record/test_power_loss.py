"""The power fails behind any system call: what was acknowledged is there, and nothing hurts."""

from __future__ import annotations

import errno
import os
import random
import shutil
import warnings

import pytest
from power import after_power_loss, remembered

import stepbook
from stepbook.system.platform import disk

LOSSES = 50
JOURNAL_LOSSES = 1500


def seed() -> int:
    number = int(os.environ.get("STEPBOOK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print("seed", number)
    return number


def never():
    raise AssertionError("an acknowledged step was executed again")


def live(path, told) -> None:
    """A life of a book: two runs, failures, scans, closing and opening, a failed sync."""
    book = stepbook.connect(path)
    first = book.run("first", key="a", input={"n": 1})
    told("run", "first", "a")
    for i in range(6):
        first.do(f"step {i}", lambda i=i: {"value": "ä" * 50 * i})
        told("step", "first", "a", f"step {i}", {"value": "ä" * 50 * i})
    with pytest.raises(ZeroDivisionError):
        first.do("fails", lambda: 1 / 0)
    first.log("said", "warn")
    book.deliver_scan(first.id, {"early": True})
    told("delivered", "first", "a", {"early": True})
    assert first.wait_for_scan(timeout=60) == {"early": True}
    told("step", "first", "a", "Wait for scan", {"early": True})
    second = book.run("second", key="b")
    told("run", "second", "b")
    second.do("big", lambda: "x" * 100_000)
    told("step", "second", "b", "big", "x" * 100_000)
    book.steps()
    first.close()
    second.do("more", lambda: 2)
    told("step", "second", "b", "more", 2)
    second.finish({"done": True})
    told("finished", "second", "b", {"done": True})
    first = book.run("first", key="a")
    first.do("late", lambda: "late")
    told("step", "first", "a", "late", "late")
    first.redo("late")
    first.close()
    told("redone", "first", "a", "late")
    first = book.run("first", key="a")
    for i in range(3):
        first.do(f"again {i}", lambda i=i: i)
        told("step", "first", "a", f"again {i}", i)
    first.finish(1)
    told("finished", "first", "a", 1)
    book.close()


def check(path, calls) -> None:
    """Open what is left, find all that was told, and go on."""
    book = stepbook.connect(path)
    expected: dict[tuple[str, str], dict] = {}
    outputs = {}
    delivered = set()
    for call in calls:
        if call[0] != "told":
            continue
        _, kind, loop, key, *facts = call
        steps = expected.setdefault((loop, key), {})
        if kind == "step":
            steps[facts[0]] = facts[1]
        elif kind == "finished":
            outputs[loop] = facts[0]
        elif kind == "redone":
            steps.pop(facts[0])
        elif kind == "delivered":
            delivered.add(loop)
    with warnings.catch_warnings():
        warnings.simplefilter("error", stepbook.StepbookWarning)
        for (loop, key), steps in expected.items():
            run = book.run(loop, key=key)
            if loop in outputs:
                assert run.output in (outputs[loop], None)
            for name, value in steps.items():
                if name == "Wait for scan":
                    assert run.wait_for_scan(timeout=0) == value
                elif name == "late":  # redone at the end, perhaps without having been told so
                    assert run.do(name, lambda: "late") == "late"
                else:
                    assert run.do(name, never) == value, name
            if loop in delivered and "Wait for scan" not in steps:
                assert run.wait_for_scan(timeout=0) == {"early": True}
            assert run.do("after the power came back", lambda: "on") == "on"
            run.finish("end")
        if expected:
            frame = book.steps()
            assert (frame["status"] != "running").all()
            assert set(zip(frame["loop"], frame["key"], strict=True)) == set(expected)
            assert not frame.duplicated(["loop", "key", "name"]).any()
            assert not frame.duplicated(["run_id", "seq"]).any()
            assert not list((path.parent / (path.name + ".d") / "journal").iterdir())
        book.close()


def test_whenever_the_power_fails_nothing_acknowledged_is_lost(tmp_path, monkeypatch):
    chance = random.Random(seed())
    original = tmp_path / "original"
    original.mkdir()
    with remembered(monkeypatch, original) as power:
        live(original / "stepbook.duckdb", lambda *facts: power.mark("told", *facts))
    moments = range(1, len(power.calls) + 1)
    chosen = sorted(chance.sample(moments, min(LOSSES, len(moments))))
    for number, moment in enumerate(chosen):
        target = tmp_path / f"loss-{moment}"
        target.mkdir()
        after_power_loss(power.calls[:moment], target, chance, lost=number % 4 == 0)
        try:
            check(target / "stepbook.duckdb", power.calls[:moment])
        except BaseException:
            print("moment", moment, "of", len(power.calls), power.calls[moment - 1][:2])
            raise
    print(f"{len(chosen)} power losses at {len(power.calls)} calls")


def test_whenever_the_power_fails_the_journals_tell_all_that_was_acknowledged(
    tmp_path, monkeypatch, still
):
    chance = random.Random(seed())
    original = tmp_path / "original"
    original.mkdir()
    with remembered(monkeypatch, original) as power:
        book = stepbook.connect(original / "stepbook.duckdb")
        run = book.run("loop")
        for i in range(60):
            if i % 25 == 24:
                power.failing_syncs = 1
            run.log("a line that nobody waits for")
            run.do(f"step {i}", lambda i=i: "x" * (i * 37 % 900))
            power.mark("told", f"step {i}")
    for number in range(JOURNAL_LOSSES):
        moment = chance.randrange(1, len(power.calls) + 1)
        calls = power.calls[:moment]
        target = tmp_path / "loss"
        target.mkdir()
        after_power_loss(calls, target, chance, lost=number % 8 == 0)
        told = {call[1] for call in calls if call[0] == "told"}
        if told:
            steps = opened_elsewhere(target / "stepbook.duckdb", run.id).steps
            assert told <= {name for name, step in steps.items() if step.status == "succeeded"}
            assert len(told) <= len(steps) <= len(told) + 1
            for name in told:
                assert len(steps[name].value) == int(name.split()[1]) * 37 % 900 + 2
        shutil.rmtree(target)
    run.close()
    book.close()


class Failing:
    """Makes calls of the disk fail, as often as is said."""

    def __init__(self, monkeypatch) -> None:
        self._monkeypatch = monkeypatch
        self.failed = 0

    def __call__(self, call: str, error: int, times: int = 1, after: int = 0) -> None:
        real, left = getattr(disk, call), [after, times]

        def maybe(*arguments):
            if left[0] > 0:
                left[0] -= 1
            elif left[1] > 0:
                left[1] -= 1
                self.failed += 1
                raise OSError(error, os.strerror(error))
            return real(*arguments)

        self._monkeypatch.setattr(disk, call, maybe)


@pytest.fixture
def failing(monkeypatch):
    return Failing(monkeypatch)


def journals(path):
    return sorted((path.parent / (path.name + ".d") / "journal").iterdir())


def opened_elsewhere(path, run_id):
    """The run as another process would read it from the journals alone."""
    from stepbook.record.records import Records

    return Records(path).peek_journals(run_id)


@pytest.fixture
def still(monkeypatch):
    """No folds in the background, so that the calls of a test are its own."""
    monkeypatch.setattr("stepbook.record.folding.GATHER_S", 3600)


def test_a_failed_sync_goes_on_in_a_new_file_and_the_step_succeeds(book, path, still, failing):
    run = book.run("loop")
    run.do("before", lambda: 0)
    failing("sync", errno.EIO)
    assert run.do("one", lambda: 1) == 1
    assert [file.name.split(".")[1] for file in journals(path)] == ["1", "2"]
    assert opened_elsewhere(path, run.id).steps["one"].value == "1"
    run.finish()
    assert list(run.steps()["return"]) == [0, 1]


def test_after_a_failed_sync_nothing_is_acknowledged_by_a_later_sync_of_that_file(
    book, path, still, failing
):
    run = book.run("loop")
    run.do("before", lambda: 0)
    failing("sync", errno.EIO)
    failing("open", errno.ENOSPC)  # and the next file cannot be created at first
    with pytest.raises(stepbook.JournalWriteError) as caught:
        run.do("one", lambda: 1)
    assert caught.value.value == 1
    # The kernel drops the pages of a failed write-back: what the first file holds behind the
    # last good sync must not count, though a sync of it would succeed now.
    run.do("two", lambda: 2)
    first, second = journals(path)
    assert '"two"' in second.read_text()
    assert '"one"' in second.read_text()
    content = first.read_bytes()
    first.write_bytes(content[: content.index(b'"one"')])
    steps = opened_elsewhere(path, run.id).steps
    assert (steps["one"].status, steps["two"].value) == ("succeeded", "2")


def test_a_disk_that_fails_every_sync_gives_an_error_and_recovers(book, path, still, failing):
    run = book.run("loop")
    failing("sync", errno.EIO, times=6)
    with pytest.raises(stepbook.JournalWriteError, match="Input/output error") as caught:
        run.do("one", lambda: "costly")
    assert caught.value.value == "costly"
    while failing.failed < 6:
        with pytest.raises(stepbook.JournalWriteError):
            run.log("not now")
    book.run("loop")
    assert run.do("one", never) == "costly"
    run.finish()


def test_a_full_disk_at_append_loses_nothing_and_space_again_records_it(book, path, still, failing):
    executed = []
    run = book.run("loop")
    run.do("before", lambda: 0)
    failing("pwrite", errno.ENOSPC, times=2, after=1)
    with pytest.raises(stepbook.JournalWriteError, match=r"No space left.*Free some space") as e:
        run.do("one", lambda: executed.append(1) or "costly")
    assert e.value.value == "costly"
    assert executed == [1]
    book.run("loop")
    assert run.do("one", never) == "costly"
    run.finish()
    assert list(run.steps()["return"]) == [0, "costly"]


def test_a_disk_that_is_full_before_a_body_begins_does_not_execute_it(book, still, failing):
    run = book.run("loop")
    run.do("before", lambda: 0)
    failing("pwrite", errno.ENOSPC, times=1)
    with pytest.raises(stepbook.JournalWriteError):
        run.do("one", never)
    book.run("loop")
    assert run.do("one", lambda: 1) == 1
    assert run.do("two", lambda: 2) == 2
    run.finish()
    assert list(run.steps()["name"]) == ["before", "one", "two"]


def test_short_writes_are_completed(book, path, monkeypatch):
    real = disk.pwrite
    monkeypatch.setattr(
        disk, "pwrite", lambda fd, data, at: real(fd, data[: max(1, len(data) // 3)], at)
    )
    run = book.run("loop")
    for i in range(20):
        assert run.do(str(i), lambda i=i: "x" * i) == "x" * i
    run.close()
    assert len(run.steps()) == 20


def test_a_short_write_and_then_a_full_disk_leaves_a_line_that_the_next_append_replaces(
    book, path, still, monkeypatch
):
    run = book.run("loop")
    run.do("before", lambda: 0)
    real, calls = disk.pwrite, []

    def half_then_full(fd, data, at):
        calls.append(at)
        if len(calls) == 2:
            return real(fd, data[: len(data) // 2], at)
        if len(calls) in {3, 4}:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data, at)

    monkeypatch.setattr(disk, "pwrite", half_then_full)
    with pytest.raises(stepbook.JournalWriteError):
        run.do("one", lambda: 1)
    assert opened_elsewhere(path, run.id).steps["one"].status == "running"
    run.do("two", lambda: 2)
    steps = opened_elsewhere(path, run.id).steps
    assert [(s.name, s.status) for s in steps.values()] == [
        ("before", "succeeded"),
        ("one", "succeeded"),
        ("two", "succeeded"),
    ]

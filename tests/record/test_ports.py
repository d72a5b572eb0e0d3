"""Whoever stores a book keeps one contract: the same calls are answered alike, files or none."""

from __future__ import annotations

import json

import pytest

from stepbook.errors import RunInUseError
from stepbook.model.rows import LogRow, RunRow, StepRow
from stepbook.record import home
from stepbook.record.inbox import delivery
from stepbook.record.ledger import header_of
from stepbook.record.tables.store import GapError
from stepbook.system.interrupts import section

RUN = "run_000000000001"
OTHER = "run_000000000002"
ROW = RunRow(RUN, "loop", "key", "running", "user", "1", 1_700_000_000_000_000)
HEADER = header_of(ROW, "0" * 16)
STEP = StepRow(1, "a", "do", "succeeded", 1, value="1", seconds=0.5)


@pytest.fixture(params=["files", "memory"])
def made(request, tmp_path):
    """A home that is there."""
    found = home.at(tmp_path / "stepbook.duckdb" if request.param == "files" else None)
    assert not found.exists
    book_id, new = found.create("")
    assert book_id
    assert new
    yield found
    found.tables.close()


def no_older(base):
    raise AssertionError(f"nothing was lost, and yet events up to {base} were asked for")


class Writing:
    """A journal that is written to."""

    def __init__(self, made, synced=0) -> None:
        self.applied: list = []
        self.journal = made.journals.begin(RUN, HEADER, synced, self.applied.append, no_older)

    def record(self, *rows, durable=True):
        for row in rows:
            self.journal.append(row, durable=durable)
        self.journal.sync()


@pytest.fixture
def writing(made):
    writing = Writing(made)
    yield writing
    writing.journal.close()


def events(lines):
    return [(line["seq"], line["type"], line["row"]) for line in map(json.loads, lines)]


# ---- homes ----------------------------------------------------------------------------------


def test_a_home_that_is_there_is_not_made_again(made):
    assert made.exists
    assert made.has_folders
    made.check()
    with made.tables.reading() as reader:
        book_id = reader.meta()["book"]
    assert made.create(book_id) == (book_id, False)


def test_what_nothing_is_in_can_be_pruned_and_forgotten(made):
    made.prune(lambda: iter([""]))
    made.forget(RUN)


# ---- journals -------------------------------------------------------------------------------


def test_a_durable_event_takes_effect_with_its_sync_and_another_one_at_once(writing):
    journal = writing.journal
    assert journal.append(ROW, durable=True) == 1
    assert writing.applied == []
    assert journal.pending
    assert journal.append(LogRow("info", "now", 5), durable=False) == 2
    assert LogRow("info", "now", 5) in writing.applied
    journal.sync()
    assert set(writing.applied) == {ROW, LogRow("info", "now", 5)}
    assert not journal.pending
    assert journal.synced_seq == 2


def test_nothing_is_left_of_what_was_cut_short_when_it_was_synced(writing):
    writing.journal.append(ROW, durable=True)
    writing.journal.left = True
    writing.journal.sync()
    assert not writing.journal.left


def test_synced_events_are_given_in_order_until_they_are_in_the_tables(writing):
    journal = writing.journal
    assert not journal.unfolded
    assert journal.read_unfolded(1 << 20) == []
    writing.record(ROW, STEP)
    assert journal.unfolded
    lines = journal.read_unfolded(1 << 20)
    assert [(seq, kind) for seq, kind, _ in events(lines)] == [(1, "run"), (2, "step")]
    assert events(lines)[1][2]["return"] == "1"
    journal.mark_folded(lines[:1])
    assert journal.unfolded
    assert [seq for seq, *_ in events(journal.read_unfolded(1 << 20))] == [2]
    journal.mark_folded(lines[1:])
    assert not journal.unfolded
    assert journal.read_unfolded(1 << 20) == []


def test_a_journal_goes_on_behind_what_the_run_has(made):
    writing = Writing(made, synced=7)
    assert writing.journal.first == 8
    assert writing.journal.append(STEP, durable=True) == 8
    writing.journal.sync(8)
    assert writing.journal.synced_seq == 8
    writing.journal.secure()
    writing.journal.close()


def test_what_is_not_in_the_tables_is_given_again_when_they_have_lost_what_they_had(writing):
    writing.record(ROW, STEP)
    writing.journal.mark_unfolded()
    given = [seq for seq, *_ in events(writing.journal.read_unfolded(1 << 20))]
    assert given == [1, 2]
    assert given[0] == writing.journal.first


def test_a_run_without_a_journal_has_none(made):
    assert made.journals.paths(OTHER) == []
    assert made.journals.read(OTHER) == []
    assert OTHER not in made.journals.look().files
    made.journals.sync(OTHER)
    made.journals.remove(OTHER)


def test_a_removed_journal_is_gone(made):
    writing = Writing(made)
    writing.record(ROW)
    writing.journal.close()
    made.journals.remove(RUN)
    assert made.journals.paths(RUN) == []
    assert made.journals.read(RUN) == []
    assert not any(made.journals.look())
    assert "".join(made.journals.texts()) == ""


# ---- tables ---------------------------------------------------------------------------------


def test_events_reach_the_tables_once_and_without_a_gap(made, writing):
    writing.record(ROW, STEP)
    lines = writing.journal.read_unfolded(1 << 20)
    with made.tables.writing(1) as writer:
        assert writer.folded_seq(RUN) == 0
        assert writer.fold(RUN, HEADER, lines[:1]) == 1
        assert writer.fold(RUN, HEADER, lines) == 2
        assert writer.fold(RUN, HEADER, lines) == 2
        assert writer.folded_seq(RUN) == 2
    with made.tables.writing(1) as writer, pytest.raises(GapError):
        writer.fold(OTHER, {**HEADER, "run": OTHER}, lines[1:])
    with made.tables.reading() as reader:
        assert reader.run(RUN).row == ROW
        assert reader.run(OTHER) is None
        assert reader.steps(RUN, 100) == [STEP]


def test_readers_share_a_block_and_the_next_one_sees_what_was_written(made):
    tables = made.tables
    with tables.kept_open(), tables.reading() as first, tables.reading() as second:
        assert first.run_ids() == second.run_ids() == []
    with made.tables.writing(1) as writer:
        writer.fold(RUN, HEADER, [])
    with made.tables.reading() as reader:
        assert reader.run_ids() == [RUN]


def test_a_deleted_run_is_gone(made, writing):
    writing.record(ROW, STEP)
    with made.tables.writing(1) as writer:
        writer.fold(RUN, HEADER, writing.journal.read_unfolded(1 << 20))
        writer.delete_runs([RUN])
        assert writer.folded_seq(RUN) == 0
    with made.tables.reading() as reader:
        assert reader.run(RUN) is None
        assert reader.steps(RUN, 100) == []


# ---- slots ----------------------------------------------------------------------------------


def test_whoever_fills_a_slot_first_has_decided(made):
    first, second = delivery(payload="1"), delivery(error="late", timeout=True)
    assert made.inbox.read(RUN, "wait", 1) is None
    assert made.inbox.claim(RUN, "wait", 1, first)
    assert not made.inbox.claim(RUN, "wait", 1, second)
    assert made.inbox.read(RUN, "wait", 1) == first
    assert made.inbox.claim(RUN, "wait", 2, second)
    made.inbox.remove(RUN, "wait", 1)
    made.inbox.remove(RUN, "wait", 1)
    assert made.inbox.read(RUN, "wait", 1) is None
    assert made.inbox.claim(OTHER, "wait", 1, first)
    made.inbox.remove_run(RUN)
    assert made.inbox.read(RUN, "wait", 2) is None
    assert made.inbox.read(OTHER, "wait", 1) == first


# ---- locks ----------------------------------------------------------------------------------


def test_a_run_has_one_owner_until_that_lets_go(made):
    with section():
        lock = made.locks.take(RUN, 0)
        assert lock.previous == {}
        assert lock.regain({})
        assert made.locks.take_free(RUN) is None
        with pytest.raises(RunInUseError, match=RUN):
            made.locks.take(RUN, 0)
        made.locks.take(OTHER, 0).release()
        lock.release()
        again = made.locks.take_free(RUN)
        assert again is not None
        again.release()
        again.release()


def test_a_lock_that_was_removed_can_be_taken_again(made):
    with section():
        lock = made.locks.take(RUN, 0)
        lock.remove()
        lock.release()
        assert made.left() == set()
        again = made.locks.take_free(RUN)
        assert again is not None
        assert made.locks.take_free(RUN) is None
        again.remove()
        again.release()
    assert made.left() == set()


def test_the_open_lock_is_given_back_whatever_happens(made):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), made.locks.open_lock():
            raise ZeroDivisionError

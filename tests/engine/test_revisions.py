"""What is changed by hand: by name and by pattern, logged, and taken back."""

from __future__ import annotations

import getpass
import os
import socket
import time

import pytest

import stepbook
from stepbook import RunInUseError, StepError, StepNotFoundError
from stepbook.model.rows import StepRow
from stepbook.record import ledger as ledgers

ITEMS = ("p-17", "p-18", "q-1")


class Bodies:
    """Bodies of a run, which count: their values tell how often one was executed."""

    def __init__(self):
        self.calls = {}

    def __call__(self, name):
        self.calls[name] = self.calls.get(name, 0) + 1
        return f"{name} {self.calls[name]}"

    def walk(self, book, *names):
        with book.run("loop") as run:
            return [run.do(name, lambda name=name: self(name)) for name in names]


@pytest.fixture
def bodies():
    return Bodies()


def scores(book, bodies):
    """Walk the loop; return what its steps gave."""
    return bodies.walk(book, "Load", *(f"Score [{item}]" for item in ITEMS), "Report")


def standing(run):
    """Return how the steps of a run stand, without the numbers of attempts."""
    columns = ["name", "status", "return", "error", "fingerprint", "stale", "handled"]
    return run.steps()[columns].to_dict("records")


def statuses(run):
    return run.steps()["status"].tolist()


def messages(run):
    return run.logs()["message"].tolist()


# ---- by name and by pattern -----------------------------------------------------------------


def test_a_pattern_redoes_all_that_match_and_brackets_stand_for_themselves(book, bodies, capsys):
    scores(book, bodies)
    book.run("loop").redo("Score [*]")
    said = capsys.readouterr().err
    assert "3 steps that match 'Score [*]' will be executed again in the next pass." in said
    assert "'Report' keeps its result; run.rewind('Score [*]') executes it again" in said
    assert scores(book, bodies) == [
        "Load 1",
        "Score [p-17] 2",
        "Score [p-18] 2",
        "Score [q-1] 2",
        "Report 1",
    ]
    book.run("loop").redo("Score [p-1?]")
    assert scores(book, bodies)[1:4] == ["Score [p-17] 3", "Score [p-18] 3", "Score [q-1] 2"]


def test_a_name_that_exists_is_that_name_whatever_wildcards_it_has(book, bodies):
    names = ("Is it [*]?", "Is it [1]!", "Is it [*]!")
    bodies.walk(book, *names)
    run = book.run("loop")
    run.redo("Is it [*]?")
    assert statuses(run) == ["pending", "succeeded", "succeeded"]
    run.redo("Is it [*]!")
    assert statuses(run) == ["pending", "succeeded", "pending"]


def test_accents_match_in_either_spelling(book, bodies):
    bodies.walk(book, "Caf\u00e9 1", "Cafe 2")
    run = book.run("loop")
    run.redo("Cafe\u0301 *")
    assert statuses(run) == ["pending", "succeeded"]


@pytest.mark.parametrize("change", ["redo", "rewind", "accept", "resolve"])
def test_a_pattern_that_matches_nothing_is_an_error_with_suggestions(book, bodies, change):
    scores(book, bodies)
    run = book.run("loop")
    given = (1,) if change == "resolve" else ()
    with pytest.raises(StepNotFoundError, match=r"no step that matches 'Scor \[p\*'.*Score \[p-1"):
        getattr(run, change)("Scor [p*", *given)
    assert messages(run) == []


def test_a_pattern_rewinds_from_the_first_that_matches(book, bodies, capsys):
    scores(book, bodies)
    run = book.run("loop")
    run.rewind("Score [p-18*")
    assert statuses(run) == ["succeeded", "succeeded", "pending", "pending", "pending"]
    assert "3 steps, from 'Score [p-18]' on, will be executed" in capsys.readouterr().err


def test_a_pattern_resolves_each_recorded_step_that_matches(book, bodies, capsys):
    scores(book, bodies)
    run = book.run("loop")
    run.resolve("Score [p*", {"by": "hand"})
    assert "2 steps that match 'Score [p*' have succeeded" in capsys.readouterr().err
    hand = {"by": "hand"}
    assert scores(book, bodies) == ["Load 1", hand, hand, "Score [q-1] 1", "Report 1"]


def test_a_pattern_accepts_what_has_stored_a_value_and_counts_the_rest(book, capsys):
    def fail():
        raise ValueError("no")

    k = 1

    def walk():
        run = book.run("loop")
        done = [run.do(f"Fit {n}", lambda: k) for n in (1, 2)]
        with pytest.raises(ValueError, match="no"):
            run.do("Fit 3", fail)
        return run, done

    run, _ = walk()
    run.accept("Fit *")
    said = capsys.readouterr().err
    assert "what is recorded of 2 steps that match 'Fit *' stands for their code" in said
    assert "1 step had nothing stored." in said
    k = 2
    assert walk()[1] == [1, 1]
    assert "changed" not in capsys.readouterr().err
    with pytest.raises(StepNotFoundError, match="nothing to accept"):
        run.accept("*3")


# ---- the logs -------------------------------------------------------------------------------


def test_each_change_is_logged_with_what_by_whom_and_when(book, bodies):
    scores(book, bodies)
    run = book.run("loop")
    before = time.time()
    run.redo("Score [*]")
    run.rewind("Report")
    run.rewind()
    run.resolve("Load", 1)
    run.accept("Load")
    run.undo()
    by = f"by {getpass.getuser()}@{socket.gethostname()}"
    assert messages(run) == [
        f"redo of 3 steps that match 'Score [*]' {by}",
        f"rewind of 1 step from 'Report' on {by}",
        f"rewind of all of 5 steps {by}",
        f"resolve of step 'Load' {by}",
        f"accept of step 'Load' {by}",
        f"undo of the accept of step 'Load' {by}",
    ]
    logs = run.logs()
    assert set(logs["level"]) == {"info"}
    assert {one["pid"] for one in logs["metadata"]} == {os.getpid()}
    assert logs["created_at"].min().timestamp() >= before - 1


def test_ten_thousand_items_that_stand_alike_take_one_short_message(book):
    run = book.run("loop")
    ledger = run._opened.owned()
    row = StepRow(1, "Score [1]", "do", "succeeded", 1, value="1")
    ledger.commit(*(row._replace(seq=n, name=f"Score [{n}]") for n in range(1, 10_001)))
    run.redo("Score [*]")
    [metadata] = book.sql("SELECT metadata FROM logs")["metadata"]
    assert len(metadata) < 1_000
    run.undo()
    assert set(statuses(run)) == {"succeeded"}


def test_a_change_too_long_for_one_message_goes_on_in_others_and_is_taken_back_whole(book):
    run = book.run("loop")
    ledger = run._opened.owned()
    row = StepRow(1, "", "do", "succeeded", 1, value="1")
    names = [f"{'odd' if n % 2 else 'even'} {n}" for n in range(1, 5_001)]
    ledger.commit(*(row._replace(seq=n, name=name) for n, name in enumerate(names, start=1)))
    run.redo("odd *")
    assert len(run.logs()) == 3
    assert statuses(run).count("pending") == 2_500
    run.undo()
    assert statuses(run).count("pending") == 0


# ---- undo -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run.redo("Load"),
        lambda run: run.redo("Score [*]"),
        lambda run: run.rewind("Score [p-18]"),
        lambda run: run.rewind(),
        lambda run: run.resolve("Load", "by hand"),
        lambda run: run.resolve("Score [*]", "by hand"),
        lambda run: run.accept("Load"),
        lambda run: run.accept("*"),
    ],
)
@pytest.mark.parametrize("restart", [False, True])
def test_undo_has_each_step_stand_as_before(book, path, bodies, change, restart):
    values = scores(book, bodies)
    run = book.run("loop")
    before, attempts = standing(run), run.attempts()
    change(run)
    assert standing(run) != before
    if restart:
        book.close()
        book = stepbook.connect(path)
        run = book.run("loop")
    run.undo()
    assert standing(run) == before
    assert scores(book, bodies) == values
    kept = run.attempts().merge(attempts[["name", "attempt", "return", "fingerprint"]])
    assert len(kept) == len(attempts), "no attempt is lost or overwritten"


def test_undo_of_a_redo_replays_a_handled_failure_again(book):
    calls = []

    def fail():
        calls.append(1)
        raise ValueError("offline")

    def walk():
        with book.run("loop") as run:
            with pytest.raises(ValueError, match="offline"):
                run.do("Fetch", fail)
            run.do("Fall back", lambda: 1)

    walk()
    run = book.run("loop")
    run.redo("Fetch")
    run.undo()
    walk()
    assert len(calls) == 1


def test_a_step_that_was_executed_since_stays_as_it_is_and_is_named(book, bodies, capsys):
    bodies.walk(book, "a", "b", "c")
    book.run("loop").rewind("b")
    bodies.walk(book, "a", "b")
    run = book.run("loop")
    run.undo()
    assert "1 step stands as before. 'b' was executed since and stays as it is now." in (
        capsys.readouterr().err
    )
    assert bodies.walk(book, "a", "b", "c") == ["a 1", "b 2", "c 1"]


def test_a_second_undo_takes_the_change_before_back_and_then_there_is_none(book, bodies):
    bodies.walk(book, "a", "b")
    run = book.run("loop")
    states = [standing(run)]
    for change in (
        lambda: run.redo("a"),
        lambda: run.resolve("a", "by hand"),
        lambda: run.accept("a"),
        run.rewind,
        lambda: run.redo("b"),  # is pending already
        lambda: run.resolve("b", 2),
    ):
        change()
        states.append(standing(run))
    states.pop(-2)  # nothing has changed, so nothing is taken back
    while len(states) > 1:
        assert standing(run) == states.pop()
        run.undo()
    assert standing(run) == states[0]
    with pytest.raises(StepError, match="nothing to take back"):
        run.undo()
    assert bodies.walk(book, "a", "b") == ["a 1", "b 1"]


def test_a_change_after_an_undo_is_the_next_that_is_taken_back(book, bodies):
    bodies.walk(book, "a", "b")
    run = book.run("loop")
    run.redo("a")
    run.redo("b")
    run.undo()
    run.resolve("b", 0)
    run.undo()
    assert statuses(run) == ["pending", "succeeded"]
    run.undo()
    assert bodies.walk(book, "a", "b") == ["a 1", "b 1"]


def test_a_step_that_only_resolve_has_added_waits_after_undo(book, bodies):
    run = book.run("loop")
    run.resolve("Train", "by hand")
    run.undo()
    assert statuses(run) == ["pending"]
    assert bodies.walk(book, "Train") == ["Train 1"]


def test_executed_twice_and_undone_twice_is_what_was_executed_last(book, bodies):
    for _ in range(2):
        bodies.walk(book, "a")
        book.run("loop").redo("a")
    run = book.run("loop")
    run.undo()
    run.undo()
    assert bodies.walk(book, "a") == ["a 2"]


def test_a_change_without_anything_to_take_back_says_so(book):
    run = book.run("loop")
    run.log("not a change", by_hand="redo", steps=[[1, 10**18, 0, "x"], [1, 2], 3])
    with pytest.raises(StepError, match="nothing to take back"):
        run.undo()


def test_undo_of_a_redone_scan_gives_its_payload_again(book):
    run = book.run("loop")
    book.deliver_scan(run.id, {"glucose": 97})
    assert run.wait_for_scan(timeout=5) == {"glucose": 97}
    run.redo("Wait for scan")
    run.undo()
    assert book.run("loop").wait_for_scan(timeout=5) == {"glucose": 97}


def test_values_that_memory_has_no_room_for_stand_as_before(book, monkeypatch):
    monkeypatch.setattr(ledgers, "VALUE_BUDGET", 10)
    with book.run("loop") as run:
        run.do("a", lambda: "x" * 1_000)
    for change in (lambda run: run.redo("a"), lambda run: run.accept("a")):
        run = book.run("loop")
        change(run)
        run.undo()
        run.close()
        assert book.run("loop").do("a", lambda: "y") == "x" * 1_000


# ---- downstream, and other processes --------------------------------------------------------


def test_without_recorded_origins_downstream_says_that_rewind_is_the_way(book, bodies, capsys):
    bodies.walk(book, "a", "b")
    run = book.run("loop")
    run.redo("a", downstream=True)
    said = capsys.readouterr().err
    assert "No step of this run has recorded where its inputs come from" in said
    assert "run.rewind('a')" in said
    assert statuses(run) == ["pending", "succeeded"]


OWNER = """
    import sys
    import stepbook
    run = stepbook.connect(sys.argv[1]).run("loop")
    run.do("a", lambda: 1)
    run.redo("a")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_run_of_another_process_is_refused_for_each_change(book, path, child):
    owner = child(OWNER, path)
    owner.expect("ready")
    run = book.get("loop")
    for change in (
        lambda: run.redo("a"),
        run.rewind,
        lambda: run.accept("a"),
        lambda: run.resolve("a", 2),
        run.undo,
    ):
        with pytest.raises(RunInUseError, match=f"process {owner.pid}"):
            change()

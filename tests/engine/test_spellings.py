"""One name in two spellings of Unicode is one name: NFC and NFD look the same."""

from __future__ import annotations

import unicodedata

import duckdb
import pytest

import stepbook
from stepbook import DuplicateStepError

NFC = unicodedata.normalize("NFC", "Café Ångström")
NFD = unicodedata.normalize("NFD", "Café Ångström")
BOTH = [(NFC, NFD), (NFD, NFC)]


@pytest.fixture(params=BOTH, ids=["composed first", "decomposed first"])
def spelled(request):
    """The name as it is given first, and as it is given then."""
    return request.param


def older(path, name):
    """Have all names in a book stand there in one spelling, as a book of before had them."""
    with duckdb.connect(path) as connection:
        for table, column in [
            ("runs", "loop"),
            ("runs", "key"),
            ("steps", "name"),
            ("attempts", "name"),
            ("scans", "step"),
        ]:
            rows = connection.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()
            for (old,) in rows:
                if unicodedata.normalize("NFC", old) == NFC:
                    connection.execute(
                        f"UPDATE {table} SET {column} = $1 WHERE {column} = $2", [name, old]
                    )


def test_a_step_replays_under_the_other_spelling(book, spelled):
    first, then = spelled
    run = book.run("x")
    assert run.do(first, lambda: 1) == 1
    run = book.run("x")
    assert run.do(then, lambda: 2) == 1
    assert list(run.steps()["name"]) == [NFC]


def test_both_spellings_in_one_pass_are_one_name_used_twice(book, spelled):
    first, then = spelled
    run = book.run("x")
    run.do(first, lambda: 1)
    with pytest.raises(DuplicateStepError, match="used twice"):
        run.do(then, lambda: 2)


def test_redo_rewind_resolve_and_log_take_either(book, spelled):
    first, then = spelled
    run = book.run("x")
    run.do(first, lambda: 1)
    run.redo(then)
    run = book.run("x")
    assert run.do(first, lambda: 2) == 2
    run.rewind(then)
    run.resolve(then, 3)
    run.log("said", step=then)
    run = book.run("x")
    assert run.do(first, lambda: 4) == 3
    assert list(run.steps()["name"]) == [NFC]
    assert set(run.logs()["step"].dropna()) == {NFC}


def test_a_wait_gets_what_was_delivered_under_the_other_spelling(book, spelled):
    first, then = spelled
    run = book.run("x")
    book.deliver_scan(run.id, {"ok": True}, name=first)
    assert run.wait_for_scan(name=then, timeout=5) == {"ok": True}
    run.sleep(f"Pause {first}", 0.01)
    with pytest.raises(DuplicateStepError):
        run.sleep(f"Pause {then}", 0.01)


async def _async_steps(run, name):
    async def body():
        return 1

    return await run.do(name, body)


def test_coroutines_and_sessions_of_scans_too(book, spelled):
    import asyncio

    first, then = spelled

    def body(ctx):
        ctx.scan.create(name=first, expires_in=60)

    run = book.run("x")
    run.do("a", body)
    book.deliver_scan(run.id, 7, name=then)
    assert run.wait_for_scan(name=then) == 7
    assert asyncio.run(_async_steps(run, f"b {first}")) == 1
    run = book.run("x")
    assert asyncio.run(_async_steps(run, f"b {then}")) == 1
    assert list(run.attempts()["attempt"]) == [1, 1, 1]


def test_loops_and_keys_are_found_under_the_other_spelling(book, spelled):
    first, then = spelled
    run = book.run(first, key=first)
    run.do("a", lambda: 1)
    run.close()
    assert book.run(then, key=then) is run
    assert book.get(then) is run
    assert (run.loop, run.key) == (NFC, NFC)
    assert list(book.runs(then)["id"]) == [run.id]
    assert list(book.steps(then)["name"]) == ["a"]
    assert list(book.summary(then)["name"]) == ["a"]


def test_a_loop_function_is_resumed_under_the_other_spelling(book, spelled):
    first, then = spelled

    def body(event, step):
        return step.do("a", lambda: 1)

    run = book.loop(first)(body).trigger()
    assert book.loop(then)(body).resume(run.id).output == 1


def test_an_input_is_data_and_stays_as_it_is(book):
    composed = book.run("x", input={"file": NFC})
    decomposed = book.run("x", input={"file": NFD})
    assert composed is not decomposed
    assert decomposed.input == {"file": NFD}


@pytest.mark.parametrize("recorded", [NFC, NFD], ids=["composed", "decomposed"])
def test_what_an_early_version_has_recorded_is_found(path, spelled, recorded):
    first, then = spelled
    book = stepbook.connect(path)
    run = book.run(first, key=first)
    run.do(first, lambda: 1)
    run.finish()
    book.close()
    older(path, recorded)
    run = book.run(then, key=then)
    assert run.do(then, lambda: 2) == 1
    run.redo(first)
    run = book.run(first, key=first)
    assert run.do(first, lambda: 3) == 3
    run.finish()
    assert list(run.steps()["name"]) == [recorded]
    assert list(run.attempts()["name"]) == [recorded] * 2
    book.close()
    assert list(stepbook.connect(path).steps(then)["name"]) == [recorded]


def test_two_steps_that_an_early_version_has_told_apart_stay_two(path):
    book = stepbook.connect(path)
    run = book.run("x")
    run.do(NFC, lambda: 1)
    run.do("other", lambda: 2)
    run.finish()
    book.close()
    with duckdb.connect(path) as connection:
        for table in ("steps", "attempts"):
            connection.execute(f"UPDATE {table} SET name = $1 WHERE name = 'other'", [NFD])
    run = stepbook.connect(path).run("x")
    assert (run.do(NFC, lambda: 3), run.do(NFD, lambda: 3)) == (1, 2)

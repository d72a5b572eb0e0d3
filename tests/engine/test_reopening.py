"""A run that is let go and opened again in the same process."""

import gc

import stepbook


def test_a_run_that_was_closed_and_forgotten_stays_open_when_it_is_opened_again(tmp_path):
    book = stepbook.connect(tmp_path / "b.duckdb")
    run = book.run("review")
    run.do("Load profile", int)
    run_id = run.id
    run.close()
    del run
    gc.collect()
    run = book.get(run_id)
    run.redo("Load profile")
    book._opened.records.fold_open()  # as the folding thread does within a second
    assert run.do("Load profile", int) == 0
    run.finish()


def test_a_run_that_was_forgotten_while_open_is_let_go_of(tmp_path):
    book = stepbook.connect(tmp_path / "b.duckdb")
    run = book.run("review")
    run.do("Load profile", int)
    run_id = run.id
    del run
    gc.collect()
    book._opened.records.fold_open()
    assert run_id not in book._opened.records.ledgers

"""Steps of which nothing is stored: asked for, too big, or too big for the disk."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pandas as pd
import pytest
from recorded import files_of

import stepbook
from stepbook import ArtifactError, InvalidInputError, NotSerializableError
from stepbook.system.platform import disk


class Body:
    """Returns what it was made with, and counts."""

    def __init__(self, value):
        self.value = value
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.value


def passes(book, count=3, **how):
    """Yield a run, opened again for each pass."""
    for _ in range(count):
        with book.run("x", **how) as run:
            yield run


def facts(run, *names):
    steps = run.steps().set_index("name")
    return [tuple(steps.loc[name, ["status", "attempt", "policy"]]) for name in names]


def artifacts(book):
    folder = book.path.with_name(f"{book.path.name}.d") / "artifacts"
    return files_of(book) if folder.is_dir() else []


def test_a_step_without_store_gives_its_own_object_and_executes_in_each_pass(book):
    lock, load = Body(threading.Lock()), Body([1, 2])
    for number, run in enumerate(passes(book), start=1):
        assert run.options(store=False).do("Connect", lock) is lock.value
        assert run.do("Load", load) == [1, 2]
        assert facts(run, "Connect", "Load") == [
            ("succeeded", number, "no-store"),
            ("succeeded", 1, None),
        ]
    assert (lock.calls, load.calls) == (3, 1)
    steps = run.steps().set_index("name")
    assert steps.loc["Connect", "return"] is None
    assert steps.loc["Connect", "error"] is None
    assert run.attempts()["policy"].tolist() == ["no-store", "no-store", "no-store", None]


def test_store_decides_anew_in_each_pass(book):
    body = Body(5)
    for store, calls in ((True, 1), (True, 1), (False, 2), (False, 3), (True, 4), (True, 4)):
        with book.run("x") as run:
            assert run.options(store=store).do("A", body) == 5
            assert body.calls == calls
            assert facts(run, "A")[0][2] == (None if store else "no-store")


def test_an_awaited_step_without_store_executes_in_each_pass(book):
    calls = []

    async def fetch():
        calls.append(1)
        return {"rows": len(calls)}

    async def walk(run):
        return await run.options(store=False).do("Fetch", fetch)

    found = [asyncio.run(walk(run)) for run in passes(book)]
    assert found == [{"rows": 1}, {"rows": 2}, {"rows": 3}]


def test_steps_within_a_step_without_store_replay(book):
    inner = Body(1)
    for run in passes(book):
        outer = run.options(store=False).do("Outer", lambda run=run: run.do("Inner", inner) + 1)
        assert outer == 2
    assert inner.calls == 1
    assert facts(run, "Outer", "Inner") == [("succeeded", 3, "no-store"), ("succeeded", 1, None)]


def test_a_failure_of_a_step_without_store_is_a_failure(book):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), book.run("x") as run:
        run.options(store=False).do("A", fail)
    assert facts(book.run("x"), "A") == [("failed", 1, None)]


BIG = {
    "an array": lambda: np.arange(200_000.0),
    "an array by parts": lambda: np.random.default_rng(1).random(1_000_000),
    "a table": lambda: pd.DataFrame({"a": np.random.default_rng(1).random(200_000)}),
    "a table by parts": lambda: pd.DataFrame(np.random.default_rng(1).random((200_000, 5))),
    "a long text": lambda: "Åé" * 400_000,
    "bytes": lambda: bytes(1_000_000),
    "many in one": lambda: [np.arange(n, n + 30_000) for n in range(5)],
}


@pytest.mark.parametrize("kind", BIG)
def test_what_is_larger_than_max_size_is_not_stored_and_leaves_nothing(book, capsys, kind):
    body = Body(BIG[kind]())
    for number, run in enumerate(passes(book, 2), start=1):
        assert run.options(max_size="500 kB").do("Make", body) is body.value
        assert body.calls == number
        assert facts(run, "Make") == [("succeeded", number, "max-size")]
    said = capsys.readouterr().err
    assert said.count("what the step 'Make' has made is not stored: it takes more than") == 1
    assert "it takes more than 500.0 kB (max_size). The step is executed again each time." in said
    assert artifacts(book) == []


@pytest.mark.parametrize("kind", ["an array by parts", "a table", "many in one"])
def test_what_is_no_larger_than_max_size_is_stored(book, capsys, kind):
    body = Body(BIG[kind]())
    for run in passes(book, max_size="40 MB"):
        run.do("Make", body)
    assert (body.calls, facts(run, "Make")) == (1, [("succeeded", 1, None)])
    assert "not stored" not in capsys.readouterr().err


def test_max_size_counts_what_stands_in_the_record_itself(book):
    short, long = Body("x" * 8), Body("x" * 200)
    for run in passes(book, max_size=20):
        run.do("Short", short)
        run.do("Long", long)
    assert (short.calls, long.calls) == (1, 3)


def test_a_steps_max_size_comes_before_that_of_the_run(book):
    small, big = Body("x" * 200), Body("x" * 200)
    for run in passes(book, max_size=100):
        run.options(max_size=1000).do("A", small)
        run.options(max_size=100).do("B", big)
    assert (small.calls, big.calls) == (1, 3)


def test_max_size_of_a_run_holds_for_this_opening(book):
    body = Body("x" * 200)
    for how, calls in (({"max_size": 100}, 1), ({"max_size": 100}, 2), ({}, 3), ({}, 3)):
        with book.run("x", **how) as run:
            run.do("A", body)
        assert body.calls == calls


def test_what_was_stored_replays_under_a_smaller_max_size(book):
    body = Body("x" * 200)
    for how in ({}, {"max_size": 100}):
        with book.run("x", **how) as run:
            assert run.do("A", body) == "x" * 200
    assert body.calls == 1


def test_parts_that_are_in_the_book_already_take_no_room(book):
    table = pd.DataFrame(np.random.default_rng(1).random((200_000, 5)))

    def add(df):
        return df.assign(more=1)

    with book.run("x", max_size="2 MB") as run:
        first = run.options(max_size="20 MB").do("Load", lambda: table)
        run.do("Add", add, first)
    assert facts(book.run("x"), "Load", "Add") == [("succeeded", 1, None)] * 2


def test_what_other_steps_have_stored_stays_when_something_larger_is_not_stored(path):
    rows = [np.random.default_rng(n).random(30_000) for n in range(4)]
    book = stepbook.connect(path)
    with book.run("x") as run:
        run.do("Before", lambda: rows[0])
        run.options(max_size="900 kB").do("Large", lambda: rows)
        run.options(max_size="900 kB").do("Large again", lambda: rows[::-1])
        run.do("Behind", lambda: rows[1])
    assert len(artifacts(book)) == 2
    book.close()
    with stepbook.connect(path).run("x") as run:
        assert np.array_equal(run.do("Before", list), rows[0])
        assert np.array_equal(run.do("Behind", list), rows[1])


def test_while_somebody_else_writes_nothing_is_removed_until_the_next_time(book):
    rows = [np.random.default_rng(n).random(30_000) for n in range(4)]
    with book.run("x") as run:
        with book._opened.records.artifacts.writing():
            run.options(max_size="500 kB").do("Large", lambda: rows)
        assert len(artifacts(book)) == 2
        run.options(max_size="500 kB").do("Large again", lambda: rows)
        assert artifacts(book) == []


@pytest.mark.parametrize("stored_before", [False, True])
def test_a_file_that_stays_where_the_body_has_written_it_is_apart_from_the_record(
    book, stored_before
):
    def write(ctx):
        path = ctx.file("rows.bin")
        path.write_bytes(b"x" * 1000)
        return path

    with book.run("x") as run:
        if stored_before:
            run.do("Write", write)
        path, _ = run.options(max_size="100 kB").do(
            "Write more", lambda ctx: (write(ctx), np.arange(100_000))
        )
        assert path.stat().st_mode & 0o200
        with path.open("ab") as file:
            file.write(b"more")
        if stored_before:
            assert run.artifact("Write").read_bytes() == b"x" * 1000
        else:
            assert artifacts(book) == []


def test_max_size_counts_bytes_of_text_in_the_record(book):
    with book.run("x") as run:
        run.options(max_size=20).do("Bytes", lambda: "Å" * 12)
    assert facts(run, "Bytes") == [("succeeded", 1, "max-size")]


def test_files_of_a_step_count_and_stay_where_the_body_has_written_them(book):
    def write(ctx):
        path = ctx.file("rows.bin")
        path.write_bytes(b"x" * 1000)
        return path

    with book.run("x") as run:
        path = run.options(max_size=100).do("Write", write)
        assert path.read_bytes() == b"x" * 1000
        with pytest.raises(
            ArtifactError, match=r"has no file, as its value is not stored \(max-size\)"
        ):
            run.artifact("Write")
        assert run.options(max_size=10_000).do("Write more", write).read_bytes() == b"x" * 1000
    assert facts(book.run("x"), "Write", "Write more") == [
        ("succeeded", 1, "max-size"),
        ("succeeded", 1, None),
    ]


def test_files_beside_a_value_that_is_too_big_stay_where_the_body_has_written_them(book):
    def write(ctx):
        path = ctx.file("rows.bin")
        path.write_bytes(b"x" * 1000)
        return {"file": path, "rows": np.arange(100_000)}

    with book.run("x") as run:
        found = run.options(max_size="100 kB").do("Write", write)
        assert found["file"].read_bytes() == b"x" * 1000


def test_files_beside_what_cannot_be_stored_stay_where_the_body_has_written_them(book):
    paths = []

    def write(ctx):
        path = ctx.file("rows.bin")
        path.write_bytes(b"x" * 1000)
        paths.append(path)
        return {"file": path, "lock": threading.Lock()}

    with book.run("x") as run, pytest.raises(NotSerializableError):
        run.do("Write", write)
    assert paths[0].read_bytes() == b"x" * 1000


@pytest.fixture
def little_room(monkeypatch):
    monkeypatch.setattr(type(disk), "free", lambda *_: 300_000)


@pytest.mark.usefixtures("little_room")
def test_more_than_half_of_the_free_disk_is_not_stored(book, capsys):
    big, small = Body(np.arange(100_000)), Body(np.arange(10_000))
    for run in passes(book):
        assert run.do("Big", big) is big.value
        run.do("Small", small)
    assert (big.calls, small.calls) == (3, 1)
    assert facts(run, "Big", "Small") == [("succeeded", 3, "free-disk"), ("succeeded", 1, None)]
    said = capsys.readouterr().err
    assert said.count("it takes more than half of the 300.0 kB that are free on the disk of") == 1
    assert "Make room, or give a max_size to have it stored." in said


@pytest.mark.usefixtures("little_room")
def test_a_max_size_that_is_given_holds_on_a_disk_with_little_room(book):
    body = Body(np.arange(100_000))
    for run in passes(book):
        run.options(max_size="1 GB").do("Big", body)
    assert body.calls == 1


def test_a_disk_of_which_nothing_is_known_stores_everything(book, monkeypatch):
    monkeypatch.setattr(type(disk), "free", lambda *_: None)
    body = Body(np.arange(100_000))
    for run in passes(book):
        run.do("Big", body)
    assert body.calls == 1


def test_a_book_in_memory_knows_max_size_too():
    book = stepbook.connect(":memory:")
    body, other = Body(np.arange(100_000)), Body(1)
    for run in passes(book):
        run.options(max_size=1000).do("Big", body)
        run.do("Other", other)
    assert (body.calls, other.calls) == (3, 1)
    assert facts(run, "Big") == [("succeeded", 3, "max-size")]


def test_another_process_executes_it_again_and_says_how_many_steps_replay(path, child):
    script = """
        import sys
        import stepbook
        book = stepbook.connect(sys.argv[1])
        with book.run("x") as run:
            run.options(store=False).do("A", lambda: print("A"))
            run.do("B", lambda: print("B"))
    """
    _, out, _ = child(script, path).end()
    assert out == "A\nB\n"
    _, out, said = child(script, path).end()
    assert out == "A\n"
    assert "1 of 2 steps will replay" in said


def test_resolving_by_hand_stores_the_value(book):
    body = Body(1)
    with book.run("x") as run:
        run.options(store=False).do("A", body)
        run.resolve("A", 7)
    with book.run("x") as run:
        assert run.do("A", body) == 7
        assert facts(run, "A")[0][2] is None
    assert body.calls == 1


def test_a_step_that_is_not_stored_says_so_wherever_it_is_shown(book, tmp_path):
    with book.run("x") as run:
        run.options(store=False).do("A", lambda: 1)
        run.options(max_size=10).do("B", lambda: "x" * 100)
    page = run.to_html(tmp_path / "run.html").read_text(encoding="utf-8")
    for shown in (repr(run), run._repr_html_() if hasattr(run, "_repr_html_") else repr(run)):
        assert "not stored, as asked; executed again in each pass" in shown
        assert "not stored: larger than max_size; executed again in each pass" in shown
    assert '"no-store"' in page.replace("\\", "")


@pytest.mark.parametrize("wrong", ["big", "5 XB", -1, 1.5, True, "1 GB 2"])
def test_a_size_that_cannot_be_read_is_refused(book, wrong):
    with pytest.raises(InvalidInputError, match=r"is not a max_size\. Write bytes"):
        book.run("x", max_size=wrong)
    with book.run("x") as run, pytest.raises(InvalidInputError, match="is not a max_size"):
        run.options(max_size=wrong)


def test_store_false_and_a_size_do_not_go_together(book):
    with book.run("x") as run, pytest.raises(InvalidInputError, match="does not go with it"):
        run.options(store=False, max_size=10)


def test_store_is_true_or_false(book):
    with book.run("x") as run, pytest.raises(InvalidInputError, match="store is True or False"):
        run.options(store="no")


def test_a_loop_takes_max_size(book):
    calls = []

    @book.loop("texts")
    def texts(event, step):
        return len(step.do("Make", lambda: calls.append(1) or "x" * event.body))

    run = texts.trigger(200, max_size=100)
    texts.resume(run.id, max_size=100)
    assert len(calls) == 2
    texts.resume(run.id)
    texts.resume(run.id)
    assert len(calls) == 3

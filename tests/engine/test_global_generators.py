# ruff: noqa: NPY002 - the subject
"""The generators of ``random`` and ``numpy.random`` go on where a step has left them."""

from __future__ import annotations

import asyncio
import random
import tracemalloc

import duckdb
import numpy as np
import pytest

import stepbook
from stepbook import ArtifactError
from stepbook.engine import draws

BODIES = {
    "one number": ("random", random.random),
    "many numbers": ("random", lambda: [random.random() for _ in range(2000)]),
    "exactly one round of its numbers": (
        "random",
        lambda: [random.getrandbits(32) for _ in range(624)] and 0,
    ),
    "a normal one": ("random", lambda: random.gauss(0, 1)),
    "shuffled": ("random", lambda: random.sample(range(100), 10)),
    "seeded": ("random", lambda: random.seed(42)),
    "numpy's": ("numpy", lambda: np.random.random(3).tolist()),
    "numpy's exactly one round": (
        "numpy",
        lambda: np.random.randint(0, 2**32, 624, np.uint32).tolist() and 0,
    ),
    "numpy's normal one": ("numpy", np.random.standard_normal),
    "numpy's, seeded": ("numpy", lambda: np.random.seed(7)),
    "numpy's permutation": ("numpy", lambda: np.random.permutation(20).tolist()),
    "both": ("both", lambda: [random.random(), float(np.random.rand())]),
    "an array": ("numpy", lambda: np.random.rand(20_000)),
}


def seed(number=1):
    random.seed(number)
    np.random.seed(number)


def following():
    return {
        "random": (random.random(), random.gauss(0, 1)),
        "numpy": (np.random.rand(), np.random.standard_normal()),
    }


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("where", ["memory", "tables"])
def test_what_is_drawn_behind_a_step_is_the_same_when_it_replays(path, body, where):
    book = stepbook.connect(":memory:" if where == "memory" else path)
    used, draw = BODIES[body]
    seed()
    with book.run("x") as run:
        first = run.do("Draw", draw)
        after = following()
    if where == "tables":  # there the next pass finds it
        book.close()
    for number in (1, 2):  # as it was, and otherwise
        seed(number)
        with book.run("x") as run:
            assert np.array_equal(run.do("Draw", draw), first)
            again = following()
        assert all(again[name] == after[name] for name in after if used in ("both", name))
        assert number == 2 or again == after
    book.close()


def test_an_awaited_step_leaves_them_as_it_had(book):
    async def draw():
        await asyncio.sleep(0)
        return random.random()

    found = []
    for _ in range(2):
        seed()
        with book.run("x") as run:
            found.append((asyncio.run(run.do("Draw", draw)), random.random()))
    assert found[0] == found[1]


def test_a_handled_failure_leaves_them_as_it_had(book):
    def fail():
        raise ValueError(random.random())

    found = []
    for number in (1, 2, 2):
        seed(number)
        with book.run("x") as run:
            with pytest.raises(ValueError, match=r"0\.134") as failed:
                run.do("Draw", fail)
            run.do("Next", lambda: None)
            found.append((failed.value.args, random.random()))
        book.close()
    assert found[0] == found[1] == found[2]


def test_only_a_body_that_draws_is_recorded_with_them(book):
    seed()
    with book.run("x") as run:
        run.do("Plain", lambda: 1)
        run.do("Own", lambda ctx: ctx.random.random() + float(ctx.rng.random()))
        run.do("Draw", random.random)
    book.close()
    assert run.steps()["progress"].notna().tolist() == [False, False, True]
    assert book.sql("SELECT step FROM cells")["step"].tolist() == ["Draw"]


def test_what_a_step_says_of_its_progress_stays(book):
    def work(ctx):
        ctx.progress(3, 10, "drawing")
        return random.random()

    with book.run("x") as run:
        run.do("Draw", work)
    assert run.steps()["progress"][0] == {
        "done": 3,
        "total": 10,
        "message": "drawing",
        "drew": True,
    }


def test_a_loop_of_steps_that_draw_goes_on_after_a_failure(book):
    def walk(run, stop):
        found = []
        for item in range(6):
            if item == stop:
                raise RuntimeError("stopped")
            found.append(run.do(f"Draw {item}", random.random))
            found.append(random.random())
        return found

    seed()
    expected = [random.random() for _ in range(12)]
    for stop in (2, 4):
        seed()
        with pytest.raises(RuntimeError), book.run("x") as run:
            walk(run, stop)
    seed()
    with book.run("x") as run:
        assert walk(run, None) == expected


def test_a_body_that_imports_numpy_and_does_not_draw_is_no_reason_to_import_it_again(path, child):
    script = """
        import random, sys
        import stepbook
        book = stepbook.connect(sys.argv[1])
        def load():
            import numpy
            return 1
        def draw():
            import numpy
            return float(numpy.random.rand())
        def seed():
            import numpy
            numpy.random.seed(3)
        with book.run(sys.argv[2]) as run:
            run.do("Load", locals()[sys.argv[2]])
            print("numpy" in sys.modules)
            if "numpy" in sys.modules:
                print(sys.modules["numpy"].random.rand())
    """
    for body, again in (("load", False), ("draw", True), ("seed", True)):
        first = child(script, path, body).end()[1].split()
        second = child(script, path, body).end()[1].split()
        assert first[0] == "True"
        assert second == (first if again else ["False"])


def test_looking_at_them_keeps_nothing(book):
    tracemalloc.start()
    try:
        draws.look()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            draws.look()
        assert tracemalloc.get_traced_memory()[0] - before < 1000
    finally:
        tracemalloc.stop()


DAMAGE = {
    "too short": '{"$random":{"random":{"words":"AAAA","place":1,"gauss":null}}}',
    "no text": '{"$random":{"random":{"words":7,"place":1,"gauss":null}}}',
    "a place outside": None,
    "another thing": '{"$random":[1]}',
    "no object": "[1]",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_is_an_error_that_says_what_to_do(book, damage):
    seed()
    with book.run("x") as run:
        run.do("Draw", random.random)
    book.close()
    with duckdb.connect(book.path) as tables:
        [(text,)] = tables.execute("SELECT variables::VARCHAR FROM cells").fetchall()
        wrong = DAMAGE[damage] or text.replace('"place": 2', '"place": 700')
        assert wrong != text
        tables.execute("UPDATE cells SET variables = $1", [wrong])
    state = random.getstate()
    with (
        book.run("x") as run,
        pytest.raises(ArtifactError, match=r"damaged: .*run.redo\('Draw'\) executes it"),
    ):
        run.do("Draw", random.random)
    assert random.getstate() == state


def test_another_kind_of_generator_behind_numpy_is_let_be(book):
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        with book.run("x") as run:
            run.do("Draw", lambda: float(np.random.rand()))
        assert run.steps()["progress"][0] is None
    finally:
        np.random.set_bit_generator(before)


def test_where_memory_is_not_as_expected_the_state_itself_is_asked_for(book, monkeypatch):
    monkeypatch.setattr(draws.sys.implementation, "name", "other")
    asked, read = draws._OfPython(), draws._python
    before = asked.look()
    assert asked.look() == before
    random.gauss(0, 1)
    assert asked.look() != before
    assert asked.state() == read.state()


def test_a_state_that_is_read_from_memory_is_the_one_that_is_asked_for():
    seed()
    for draw in (
        int,
        lambda: random.gauss(0, 1),
        random.random,
        np.random.standard_normal,
        lambda: np.random.rand(1000),
        np.random.standard_normal,
    ):
        draw()
        draws.look()
        _, words, gauss = random.getstate()
        assert draws._python.state() == (np.array(words[:-1], "<u4").tobytes(), words[-1], gauss)
        state = np.random.get_state(legacy=False)
        kept = state["gauss"] if state["has_gauss"] else None
        words = state["state"]["key"].tobytes(), state["state"]["pos"]
        assert draws._numpy.state() == (*words, kept)


@pytest.mark.parametrize(
    "draw", [lambda: random.gauss(0, 1), lambda: float(np.random.standard_normal())]
)
def test_a_body_that_takes_the_second_normal_number_of_a_pair_has_drawn(book, draw):
    found = []
    for _ in range(2):
        seed()
        with book.run("x") as run:
            before = draw()
            found.append((before, run.do("Draw", draw), draw(), draw()))
        book.close()
    assert found[0] == found[1]


def test_the_normal_number_that_numpy_keeps_is_found_in_its_memory():
    generator = np.random.RandomState(1)
    kept = draws._gauss_of(generator)
    assert kept() == 0
    generator.standard_normal()
    assert kept() == generator.get_state(legacy=False)["gauss"]
    generator.standard_normal()
    assert kept() == 0


@pytest.mark.parametrize("draws_first", [False, True])
def test_attempts_that_are_retried_leave_them_as_they_had(book, draws_first):
    tries = []

    def fail_once():
        tries.append(1)
        if len(tries) == 1:
            raise ValueError(random.random() if draws_first else 0)

    found = []
    for _ in range(2):
        seed()
        with book.run("x") as run:
            run.options(retries=1).do("Try", fail_once)
            found.append(random.random())
    assert len(tries) == 2
    assert found[0] == found[1]


def test_of_steps_at_the_same_time_the_one_that_ended_last_has_left_them(book):
    async def draw(waits_for, tells):
        await waits_for.wait()
        found = random.random()
        tells.set()
        return found

    async def walk(run):
        begin, middle, end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        begin.set()
        slow, quick = run.do("Slow", draw, middle, end), run.do("Quick", draw, begin, middle)
        return await asyncio.gather(slow, quick), random.random()

    found = []
    for _ in range(3):
        seed()
        with book.run("x") as run:
            found.append(asyncio.run(walk(run)))
        book.close()
    assert found[0] == found[1] == found[2]


def test_a_step_replays_where_another_kind_of_generator_was_put_behind_numpy_since(book):
    with book.run("x") as run:
        first = run.do("Draw", lambda: [random.random(), float(np.random.rand())])
        after = random.random()
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        with book.run("x") as run:
            assert run.do("Draw", dict) == first
        assert random.random() == after
        assert np.random.rand() == np.random.RandomState(np.random.PCG64(1)).rand()
    finally:
        np.random.set_bit_generator(before)

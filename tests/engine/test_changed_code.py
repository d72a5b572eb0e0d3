"""What is done when the code or the arguments of a recorded step have changed."""

from __future__ import annotations

import asyncio
import json

import duckdb
import pytest

import stepbook
from stepbook import StaleStepError

LOOP = """
    import sys
    import stepbook

    LIMIT = {limit}

    def clean(value):
        return value[:LIMIT]

    def load(name):
        print("executed", name)
        return clean(name)

    book = stepbook.connect(sys.argv[1])
    run = book.run("review", key="k")
    first = run.do("First", lambda: {first})
    options = run.options({options})
    try:
        print("got", options.do("Load", load, {argument}))
    except stepbook.StaleStepError as error:
        print("refused", error)
    frame = run.steps()
    print("stale", frame.loc[frame["name"] == "Load", "stale"].tolist())
    run.close()
"""


@pytest.fixture
def walk(child, path):
    """Walk the loop in a new process; return what it printed, and what it was told."""

    def walk(limit=2, first=1, options="", argument="'abcd'"):
        text = LOOP.format(limit=limit, first=first, options=options, argument=argument)
        code, out, err = child(text, path, name="loop.py").end()
        assert code == 0, err
        told = [
            line for line in err.splitlines() if "again," not in line and "recording" not in line
        ]
        return out.splitlines(), told

    return walk


def test_unchanged_code_replays_without_a_word(walk):
    assert walk() == (["executed abcd", "got ab", "stale [False]"], [])
    assert walk() == (["got ab", "stale [False]"], [])


def test_changed_code_replays_and_is_told_once_with_what_changed(walk):
    walk()
    out, told = walk(limit=3)
    assert out == ["got ab", "stale [True]"]
    assert len(told) == 2
    assert "'Load' has changed since it was recorded" in told[0]
    assert "LIMIT: 2 -> 3" in told[0]
    assert told[1] == "  run.redo('Load')"


def test_an_edit_that_is_undone_leaves_nothing_stale(walk):
    walk()
    walk(limit=3)
    assert walk() == (["got ab", "stale [False]"], [])


def test_rerun_executes_what_has_changed(walk):
    walk()
    out, told = walk(limit=3, options="on_change='rerun'")
    assert out == ["executed abcd", "got abc", "stale [False]"]
    assert told == ["stepbook: 'Load': LIMIT: 2 -> 3; it is executed again."]
    assert walk(limit=3, options="on_change='rerun'") == (["got abc", "stale [False]"], [])


def test_error_refuses_what_has_changed(walk):
    walk()
    [refused, _], told = walk(limit=3, options="on_change='error'")
    assert refused.startswith("refused the step 'Load' was recorded with other code or arguments")
    assert "LIMIT: 2 -> 3" in refused
    assert "run.redo('Load')" in refused
    assert told == []


def test_ignore_compares_nothing(walk):
    walk()
    assert walk(limit=3, options="on_change='ignore'") == (["got ab", "stale [False]"], [])


def test_other_arguments_alone_replay_and_are_told(walk):
    walk()
    out, told = walk(argument="'xyz'")
    assert out == ["got ab", "stale [True]"]
    assert "argument name: 'abcd' -> 'xyz'" in told[0]


def test_other_arguments_after_an_earlier_step_was_executed_again_execute(walk, path):
    walk()
    book = stepbook.connect(path)
    book.run("review", key="k").redo("First")
    book.close()
    out, told = walk(argument="'xyz'")
    assert out == ["executed xyz", "got xy", "stale [False]"]
    assert told == ["stepbook: 'Load': argument name: 'abcd' -> 'xyz'; it is executed again."]


def test_a_step_without_a_fingerprint_replays_without_a_word(walk, path):
    walk()
    with duckdb.connect(path) as connection:
        for table in "steps", "attempts":
            connection.execute(f"UPDATE {table} SET fingerprint = NULL")
    assert walk(limit=3) == (["got ab", "stale [False]"], [])


def hostile(text):
    return json.dumps({"code": text, "reached": {text: text}})


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "5", '{"code": 5}', '{"code": "@a", "reached": [1]}', "[" * 100_000),
        *(hostile("\x1b[2J"), hostile("x" * 100_000)),
    ],
)
def test_whatever_a_record_says_as_a_fingerprint_the_step_replays(walk, path, text):
    walk()
    with duckdb.connect(path) as connection:
        for table in "steps", "attempts":
            connection.execute(f"UPDATE {table} SET fingerprint = $1", [text])
    out, told = walk()
    assert out[0] == "got ab"
    assert not any("\x1b" in line for line in told)
    assert sum(map(len, told)) < 3_000


def test_a_coroutine_function_counts_too(book):
    async def one():
        return 1

    async def two():
        return 2

    run = book.run("loop")
    assert asyncio.run(run.do("a", one)) == 1
    run = book.run("loop")
    assert asyncio.run(run.options(on_change="rerun").do("a", two)) == 2
    run = book.run("loop")
    with pytest.raises(StaleStepError):
        asyncio.run(run.options(on_change="error").do("a", one))


def test_a_handled_failure_of_changed_code_is_executed_when_asked_for(book):
    def bad():
        raise ValueError("bad")

    run = book.run("loop")
    with pytest.raises(ValueError, match="bad"):
        run.do("a", bad)
    run.do("b", lambda: 1)
    run = book.run("loop")
    assert run.options(on_change="rerun").do("a", lambda: 1) == 1


def test_what_cannot_be_looked_at_executes_and_replays(book):
    class Odd(type):
        def __getattribute__(cls, name):
            raise RuntimeError(name)

    class Value(metaclass=Odd):
        pass

    held = object.__new__(Value)
    run = book.run("loop")
    assert run.do("a", id, held) == id(held)
    run = book.run("loop")
    assert run.do("a", type, held) == id(held)


def test_each_new_change_of_a_step_is_told_once_in_a_process(book, capfd):
    run = book.run("loop")
    run.do("a", lambda: 1)
    for _ in range(3):
        run = book.run("loop")
        run.do("a", lambda: 2)
    assert capfd.readouterr().err.count("'a' has changed") == 1


def test_of_thousands_of_changed_steps_only_some_are_told(book, capfd):
    run = book.run("loop")
    for number in range(1000):
        run.do(f"a{number}", lambda: 1)
        run.do(f"b{number}", abs, number)
    run = book.run("loop")
    for number in range(1000):
        run.do(f"a{number}", lambda: 2)
        run.do(f"b{number}", abs, number + 1)
    said = capfd.readouterr().err.splitlines()
    told = [line for line in said if "has changed since" in line or "more steps" in line]
    assert "'a0' has changed" in told[0]
    assert "argument 0: 0 -> 1" in told[1]
    assert told[-1].startswith("stepbook: more steps have changed")
    assert len(told) == 6
    assert run.steps()["stale"].all()


def test_what_a_failing_body_changes_itself_makes_nothing_stale(book, capfd):
    seen = []

    def bad():
        seen.append(1)
        raise ValueError("bad")

    for _ in range(3):
        run = book.run("loop")
        with pytest.raises(ValueError, match="bad"):
            run.do("a", bad)
        run.do("b", lambda: 1)
    assert len(seen) == 1
    assert "has changed since" not in capfd.readouterr().err
    assert not run.steps()["stale"].any()


FILLS = """
    import sys
    import stepbook

    CACHE = {}

    def load(name):
        if name not in CACHE:
            CACHE[name] = name * 2
        return CACHE[name]

    def count(name):
        return len(load(name))

    def first(name):
        return load(name)[0]

    run = stepbook.connect(sys.argv[1]).run("review", key="k")
    run.do("Count", count, "ab")
    run.do("First", first, "ab")
    print(run.steps()["stale"].tolist())
    run.close()
"""


def test_what_an_earlier_body_has_filled_makes_nothing_stale(child, path):
    for _ in range(2):
        code, out, err = child(FILLS, path, name="fills.py").end()
        assert (code, out) == (0, "[False, False]\n"), err
        assert "has changed" not in err


IMPORTS = """
    import sys
    import stepbook

    def first():
        import tools
        return tools.K

    def second():
        import tools
        return tools.K + 1

    run = stepbook.connect(sys.argv[1]).run("review", key="k")
    run.do("First", first)
    run.do("Second", second)
    print(run.steps()["stale"].tolist())
    run.close()
"""


def test_what_an_earlier_body_has_imported_makes_nothing_stale(child, path):
    folder = path.parent / "tools"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .constants import K\n")
    (folder / "constants.py").write_text("K = 1\n")
    for _ in range(2):
        code, out, err = child(IMPORTS, path, name="imports.py").end()
        assert (code, out) == (0, "[False, False]\n"), err
    (folder / "constants.py").write_text("K = 20\n")
    code, out, err = child(IMPORTS, path, name="imports.py").end()
    assert (code, out) == (0, "[True, True]\n"), err
    assert "import tools changed" in err


def test_an_accepted_step_stands_for_its_code_as_it_is_in_the_next_pass(path, capfd):
    def load(text):
        return text.upper()

    with stepbook.connect(path).run("accepting") as run:
        assert run.do("Load", load, "a") == "A"
    book = stepbook.connect(path)
    with book.run("accepting") as run:
        run.accept("Load")
        assert "stands for its code" in capfd.readouterr().err
        assert run.do("Load", load, "b") == "A"
    assert capfd.readouterr().err == ""
    with book.run("accepting") as run:
        assert run.do("Load", load, "b") == "A"
    assert "has changed" not in capfd.readouterr().err
    with book.run("accepting") as run:
        assert run.do("Load", load, "c") == "A"
    assert "argument text: 'b' -> 'c'" in capfd.readouterr().err


def test_nothing_is_accepted_of_a_step_that_has_never_succeeded(path):
    run = stepbook.connect(path).run("accepting")
    with pytest.raises(ZeroDivisionError):
        run.do("Fail", lambda: 1 / 0)
    with pytest.raises(stepbook.StepNotFoundError, match="nothing to accept"):
        run.accept("Fail")

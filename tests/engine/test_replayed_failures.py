"""A failure that is raised again is an error of the work, built without running anybody's code."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import subprocess
import sys
import types

import duckdb
import pytest

import stepbook
from stepbook import RecordedError
from stepbook.model import failures, rebuilding


@pytest.fixture
def module(monkeypatch):
    """An imported module with exception classes of its own, of which each call is noted."""
    made = types.ModuleType("hostile_module")
    called = []

    def noted(name):
        def method(self, *args, **kwargs):
            called.append(name)
            raise AssertionError(name)

        return method

    class Loud(ValueError):  # noqa: N818 - the names say what is odd about each
        __new__ = noted("__new__")
        __init__ = noted("__init__")
        __str__ = noted("__str__")
        __repr__ = noted("__repr__")
        __setattr__ = noted("__setattr__")
        __getattribute__ = noted("__getattribute__")
        __setstate__ = noted("__setstate__")
        add_note = noted("add_note")
        with_traceback = noted("with_traceback")
        args = property(noted("args"), noted("args set"))
        __notes__ = property(noted("notes"), noted("notes set"))

    class Exits(SystemExit):
        pass

    class Both(KeyboardInterrupt, ValueError):  # noqa: N818
        pass

    class Cancelled(asyncio.CancelledError):
        pass

    class Group(ExceptionGroup):
        pass

    class Told(ValueError):  # noqa: N818
        def __init__(self, code):
            self.code = code

        def __str__(self):
            return f"code {self.code}"

    class Base(BaseException):
        pass

    class Meta(type):
        __instancecheck__ = __subclasscheck__ = noted("checked")

    class Strange(ValueError, metaclass=Meta):  # noqa: N818
        pass

    for cls in (Loud, Exits, Both, Cancelled, Group, Told, Base, Strange):
        cls.__module__, cls.__qualname__ = made.__name__, cls.__name__
        setattr(made, cls.__name__, cls)
    made.called = called
    made.__getattr__ = called.append
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def rebuilt(kind, message="m", **fields):
    return rebuilding.rebuild({"type": kind, "message": message, "stack": "", **fields})


NEVER = [
    "SystemExit",
    "KeyboardInterrupt",
    "GeneratorExit",
    "BaseException",
    "asyncio.CancelledError",
    "asyncio.exceptions.CancelledError",
    "builtins.SystemExit",
    "hostile_module.Exits",
    "hostile_module.Both",
    "hostile_module.Cancelled",
    "hostile_module.Base",
]


@pytest.mark.parametrize("kind", NEVER)
def test_what_ends_a_program_or_a_task_comes_back_as_a_recorded_error(module, kind):
    error = rebuilt(kind, "stop")
    assert type(error) is RecordedError
    assert (error.type, error.message) == (kind, "stop")
    assert str(error) == f"{kind}: stop"


@pytest.mark.parametrize("kind", NEVER)
@pytest.mark.parametrize("group", ["BaseExceptionGroup", "ExceptionGroup"])
def test_nor_does_it_come_back_within_a_group(module, kind, group):
    member = {"type": kind, "message": "stop", "stack": ""}
    inner = {"type": group, "message": "inner (1 sub-exception)", "members": [member]}
    error = rebuilt(group, "outer (2 sub-exceptions)", members=[inner, member])
    assert type(error) is ExceptionGroup
    assert error.message == "outer"
    assert [type(one) for one in error.exceptions] == [ExceptionGroup, RecordedError]
    assert type(error.exceptions[0].exceptions[0]) is RecordedError


def test_a_cause_is_not_built_at_all(module):
    error = rebuilt("ValueError", cause={"type": "SystemExit", "message": "stop"})
    assert type(error) is ValueError
    assert error.__cause__ is None
    assert error.__context__ is None


def test_building_calls_nothing_of_the_class(module):
    error = rebuilt("hostile_module.Loud", "quiet")
    failures.mark(error, "run_1", "a", 1)
    failures.note(error, "a note")
    assert failures.origin(error) == ("run_1", "a")
    assert type(error) is module.Loud
    assert BaseException.args.__get__(error) == ("quiet",)
    assert type(rebuilt("hostile_module.Strange", "odd")) is module.Strange
    assert module.called == []


def test_a_name_is_looked_up_without_asking_the_module_to_make_it(module):
    assert type(rebuilt("hostile_module.Absent")) is RecordedError
    assert type(rebuilt("hostile_module.called")) is RecordedError
    assert module.called == []


def test_a_class_with_a_text_of_its_own_is_still_caught_as_what_it_is(module):
    error = rebuilt("hostile_module.Told", "code 7")
    assert type(error) is module.Told
    assert error.args == ("code 7",)
    assert any("code 7" in note for note in error.__notes__)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ValueError", ValueError),
        ("KeyError", KeyError),
        ("FileNotFoundError", FileNotFoundError),
        ("TimeoutError", TimeoutError),
        ("StopIteration", StopIteration),
        ("ImportError", ImportError),
        ("RecursionError", RecursionError),
        ("ScanTimeout", stepbook.ScanTimeout),
        ("json.decoder.JSONDecodeError", json.JSONDecodeError),
        ("subprocess.CalledProcessError", subprocess.CalledProcessError),
        ("concurrent.futures._base.CancelledError", concurrent.futures.CancelledError),
        ("no.such.Class", RecordedError),
        ("os.system", RecordedError),
        ("hostile_module.Group", RecordedError),
    ],
)
def test_other_classes_come_back_as_what_they_are(module, kind, expected):
    assert type(rebuilt(kind)) is expected


STRANGE = [
    None,
    "",
    "not JSON",
    "[1]",
    "7",
    '"text"',
    "null",
    "{}",
    '{"type": null}',
    '{"type": 5, "message": {"a": 1}, "stack": [2], "notes": 3}',
    '{"type": ["SystemExit"]}',
    '{"type": "ExceptionGroup", "message": 5, "members": 5}',
    '{"type": "ExceptionGroup", "message": "m", "members": [5, null, {"type": "SystemExit"}]}',
    '{"type": "ValueError", "message": "\\ud800"}',
    '{"type": "' + "a." * 500 + 'B"}',
    "[" * 100_000,
    '{"members": [' * 300 + "]}" * 300,
    '{"type": "ExceptionGroup", "members": [' * 300 + '{"type": "ValueError"}' + "]}" * 300,
]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_whatever_the_record_holds_an_error_of_the_work_comes_back(text):
    error = rebuilding.rebuild(failures.read(text))
    assert isinstance(error, Exception)
    str(error)
    assert isinstance(failures.summary(failures.read(text)), str)


@pytest.mark.parametrize("kind", [*NEVER, "SystemExit nested"])
def test_a_book_that_somebody_has_changed_ends_no_program(path, kind):
    book = stepbook.connect(path)
    run = book.run("loop")
    with pytest.raises(ValueError, match="down"):
        run.do("a", lambda: (_ for _ in ()).throw(ValueError("down")))
    run.finish()
    book.close()
    error = {"type": kind, "message": "stop", "stack": ""}
    if kind.endswith("nested"):
        error = {"type": "BaseExceptionGroup", "message": "g", "members": [{"type": "SystemExit"}]}
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE steps SET error = $1 WHERE handled", [json.dumps(error)])
    run = book.run("loop")
    with pytest.raises(Exception, match=r"stop|g") as caught:
        run.do("a", lambda: 1)
    assert isinstance(caught.value, (RecordedError, ExceptionGroup))
    assert any("is replayed" in note for note in caught.value.__notes__)
    book.close()


def test_a_handled_failure_with_a_text_of_its_own_takes_the_same_way_again(path, child):
    for _ in range(2):
        other = child(
            """
            import sys, stepbook
            class Told(ValueError):
                def __init__(self, code):
                    self.code = code
                def __str__(self):
                    return f"code {self.code}"
            def body():
                raise Told(7)
            run = stepbook.connect(sys.argv[1]).run("loop")
            try:
                run.do("a", body)
            except Told:
                print("fallback", run.do("b", lambda: 1), flush=True)
            run.finish()
            """,
            path,
        )
        assert other.expect("fallback") == "1"
        other.end()


# ---- asking for them again ---------------------------------------------------------------------


def collecting(run, calls, down):
    """A loop that collects what fails; what is asked for is noted in *calls*."""
    failed = []

    def fetch(item):
        calls.append(item)
        if item in down:
            raise ConnectionError(item)
        return item

    for item in ("a", "b", "c"):
        try:
            run.do(f"fetch {item}", fetch, item)
        except ConnectionError as error:
            failed.append(str(error))
    return failed


def test_handled_failures_are_executed_again_when_asked_for(book, capsys):
    calls = []
    with book.run("x") as run:
        assert collecting(run, calls, {"a", "c"}) == ["a", "c"]
    with book.run("x") as run:
        assert collecting(run, calls, set()) == ["a", "c"]
    assert calls == ["a", "b", "c"]
    capsys.readouterr()
    with book.run("x", retry_handled=True) as run:
        assert collecting(run, calls, {"c"}) == ["c"]
        assert list(run.attempts()["name"]) == [f"fetch {n}" for n in ("a", "a", "b", "c", "c")]
    told = capsys.readouterr().err
    assert "1 of 3 steps will replay, 2 handled failures will be executed again" in told
    assert calls == ["a", "b", "c", "a", "c"]
    with book.run("x") as run:
        assert collecting(run, calls, set()) == ["c"]
    assert calls == ["a", "b", "c", "a", "c"]


def test_they_are_asked_for_again_in_another_process_too(path, child):
    script = """
        import sys, stepbook
        def body():
            print("executed", flush=True)
            raise ConnectionError("down")
        run = stepbook.connect(sys.argv[1]).run("x", retry_handled=sys.argv[2] == "again")
        try:
            run.do("a", body)
        except ConnectionError:
            pass
        run.finish()
        print("ended", flush=True)
    """
    for asked, executed in (("no", 1), ("no", 0), ("again", 1), ("no", 0)):
        other = child(script, path, asked)
        code, out, err = other.end()
        assert (code, out.count("executed")) == (0, executed), err


def test_a_run_without_handled_failures_is_left_as_it_is(book):
    with book.run("x") as run:
        run.do("a", lambda: 1)
    before = run.completed_at
    with book.run("x", retry_handled=True) as run:
        assert run.do("a", lambda: 2) == 1
    assert (run.completed_at, run.attempts().shape[0]) == (before, 1)


def test_a_resumed_loop_asks_for_them_again(book):
    calls = []

    @book.loop("collect")
    def collect(event, step):
        return collecting(step, calls, event.body)

    run = collect.trigger(["b"])
    assert run.output == ["b"]
    assert collect.resume(run.id).output == ["b"]
    assert len(calls) == 3
    collect.resume(run.id, retry_handled=True)
    assert calls == ["a", "b", "c", "b"]

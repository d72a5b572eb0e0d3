"""What belongs to one process says so in another, and the process that has it goes on."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest

import stepbook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stepbook import Book, Run


@stepbook.loop("importable")
def importable(event: Any, step: Any) -> Any:
    return step.do("Double", lambda: event.body * 2)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = stepbook.connect(tmp_path / "b.duckdb").run("loop")
    yield run
    run.book.close()


def made_here(book: Book) -> Any:
    @book.loop("local")
    def local(event: Any, step: Any) -> None: ...

    return local


THINGS: dict[str, tuple[Callable[[Run], Any], str, str]] = {
    "run": (lambda run: run, "Run", "call run.do here"),
    "run.do": (lambda run: run.do, "Run", "call run.do here"),
    "options": (lambda run: run.options(retries=1).do, "StepOptions", "call run.do here"),
    "a function that uses it": (lambda run: [lambda: run.id][0], "Run", "call run.do here"),
    "book": (lambda run: run.book, "Book", "connect to it there: stepbook.connect(path)"),
    "loop": (lambda run: made_here(run.book).trigger, "Loop", "into a file that the workers can"),
    "ctx": (lambda run: run.do("A", _escape), "StepContext", "call ctx in the body of the step"),
    "ctx.scan": (lambda run: run.do("A", _escape).scan, "ScanConnector", "call ctx in the body"),
}
_escaped: list[Any] = []


def _escape(ctx: Any) -> None:
    _escaped.append(ctx)


def thing(name: str, run: Run) -> Any:
    make = THINGS[name][0]
    if name.startswith("ctx"):
        run.do("A", _escape)
        return _escaped[-1] if name == "ctx" else _escaped[-1].scan
    return make(run)


@pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
@pytest.mark.parametrize("name", THINGS)
def test_pickling_what_belongs_here_says_what_it_is_and_what_to_do_instead(
    run: Run, name: str, pickler: Any
) -> None:
    if name == "a function that uses it" and pickler is pickle:
        pytest.skip("pickle refuses the function itself")
    _, kind, instead = THINGS[name]
    with pytest.raises(stepbook.NotSerializableError) as caught:
        pickler.dumps({"task": [thing(name, run)]})
    told = str(caught.value)
    assert told.startswith(f"a stepbook.{kind} belongs to this process, and cannot be pickled")
    assert instead in told
    assert len(told.splitlines()) == 1
    assert run.do("Goes on", int) == 0


def test_a_copy_of_it_is_itself(run: Run) -> None:
    for one in (run, run.book):
        assert copy.copy(one) is one
        assert copy.deepcopy({"held": one})["held"] is one


def test_a_loop_of_a_file_goes_to_workers_which_trigger_runs_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pickle.loads(pickle.dumps(importable)) is importable
    monkeypatch.setenv("STEPBOOK_BOOK", str(tmp_path / "b.duckdb"))
    (tmp_path / "loops.py").write_text(
        "import stepbook\n@stepbook.loop('double')\ndef double(event, step):\n"
        "    return step.do('Double', lambda: event.body * 2)\n"
        "def work(loop, n):\n    return loop.trigger(n).output\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import multiprocessing

    import loops  # type: ignore[import-not-found]

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(loops.work, [loops.double] * 2, [3, 4])) == [6, 8]


# ---- real pools -----------------------------------------------------------------------------


def script(tmp_path: Path, code: str) -> str:
    """Return what a script prints that has a run and goes on to its end; see ``HEAD``."""
    (tmp_path / "script.py").write_text(
        HEAD + textwrap.indent(textwrap.dedent(code), " " * 4) + TAIL
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, encoding="utf-8",
        env={**os.environ, "STEPBOOK_BOOK": str(tmp_path / "b.duckdb")}, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["whole: 3 steps"], done.stdout + done.stderr
    return done.stdout


HEAD = """
import multiprocessing as mp, os, sys
from concurrent.futures import ProcessPoolExecutor
import stepbook

def told(call, *args):
    try:
        print("returned", call(*args), flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)

def double(n):
    return n * 2

def uses(run, n):
    return run.do(f"Item {n}", double, n)

def uses_context(n):
    stepbook.context().log(n)
    return n

if __name__ == "__main__":
    run = stepbook.run("loop")
    run.do("Before", double, 1)
"""
TAIL = """
    run.do("After", double, 2)
    run.close()
    steps = stepbook.connect().get(run.id).steps()
    assert list(steps["name"])[0] == "Before" and list(steps["name"])[-1] == "After", steps
    assert list(steps["status"])[-1] == "succeeded"
    print(f"whole: {len(steps)} steps")
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_run_that_is_given_to_a_pool_is_refused_and_data_goes_and_comes_back(
    tmp_path: Path, method: str
) -> None:
    shown = script(
        tmp_path,
        f"""
    context = mp.get_context({method!r})
    with ProcessPoolExecutor(2, mp_context=context) as pool, context.Pool(2) as other:
        told(pool.submit(uses, run, 1).result)
        told(other.starmap, uses, [(run, 1)])
        told(other.map, run.do, ["A"])
        told(list, pool.map(double, [1, 2]))
        told(run.do, "Pool", other.map, double, [1, 2])
    """,
    ).splitlines()
    refused, given = shown[:3], shown[3:5]
    for line in refused:
        assert line.startswith("NotSerializableError a stepbook.Run belongs to this process")
    assert given == ["returned [2, 4]", "returned [2, 4]"]


def test_workers_that_were_forked_get_one_error_for_the_run_that_they_inherit(
    tmp_path: Path,
) -> None:
    shown = script(
        tmp_path,
        """
    def inherits(n):
        return run.do(f"Item {n}", double, n)
    globals()["inherits"] = inherits
    inherits.__qualname__ = "inherits"
    with mp.get_context("fork").Pool(2) as pool:
        told(pool.map, inherits, [1, 2, 3])
    child = mp.get_context("fork").Process(target=told, args=(run.do, "Child", double, 1))
    child.start(); child.join()
    print("child", child.exitcode)
    run.do("Between", double, 1)
    """,
    ).splitlines()
    for line in shown[:2]:
        assert line.startswith("ForkedError this process is a fork, and the run belongs to its")
        assert "record it in the parent" in line
    assert shown[2] == "child 0"


def test_processes_that_a_body_starts_cannot_use_its_step_and_the_body_goes_on(
    tmp_path: Path,
) -> None:
    shown = script(
        tmp_path,
        """
    def body(ctx):
        fork = mp.get_context("fork")
        for call, *args in (
            (ctx.log, "x"), (ctx.progress, 0.5), (ctx.file, "f"), (ctx.scan.create,),
            (stepbook.context().log, "x"), (run.do, "Inner", double, 1),
        ):
            child = fork.Process(target=told, args=(call, *args))
            child.start(); child.join()
        with fork.Pool(1) as pool:
            told(pool.apply, uses_context, (1,))
            told(pool.apply, uses_context, (ctx,))
        with mp.get_context("spawn").Pool(1) as pool:
            told(pool.apply, uses_context, (1,))
            told(pool.apply, ctx.log, ("x",))
        if os.fork() == 0:
            return "child"  # it must not record the step as its parent's
        os.wait()
        return "parent"
    value = run.do("Body", body)
    if value != "parent":
        os._exit(1)
    print(value)
    """,
    ).splitlines()
    assert [line.split()[0] for line in shown] == [
        *["ForkedError"] * 7, "NotSerializableError", "NoStepError", "NotSerializableError",
        "parent", "whole:",
    ], shown  # fmt: skip
    assert "A worker process has no step: have it return" in shown[8]


def test_a_worker_that_executes_the_file_once_more_is_told_where_runs_are_opened(
    tmp_path: Path,
) -> None:
    (tmp_path / "unguarded.py").write_text(
        "import multiprocessing as mp, stepbook\n"
        "def work(): pass\n"
        "run = stepbook.run('loop')\n"
        "if __name__ == '__main__':\n"
        "    child = mp.get_context('spawn').Process(target=work)\n"
        "    child.start(); child.join()\n"
        "    print(child.exitcode, run.do('After', int))\n"
    )
    done = subprocess.run(
        [sys.executable, "unguarded.py"], cwd=tmp_path, capture_output=True, encoding="utf-8",
        env={**os.environ, "STEPBOOK_BOOK": str(tmp_path / "b.duckdb")}, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "1 0", done.stderr
    assert "and this is one of its workers" in done.stderr
    assert 'Open runs below `if __name__ == "__main__":`' in done.stderr


INTERRUPTED_FORK = """
    import os, signal, sys, time
    import stepbook
    from stepbook.engine.opened import OpenRun

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run = stepbook.connect(sys.argv[1]).run("loop")
    disown = OpenRun.disown

    def interrupted(self, inert):
        signal.raise_signal(signal.SIGINT)
        disown(self, inert)

    OpenRun.disown = interrupted
    pid = os.fork()
    if pid == 0:
        try:
            time.sleep(10)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        try:
            run.do("of the child", lambda: 1)
        except stepbook.ForkedError:
            print("refused", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    run.do("of the parent", lambda: 1)
    print("steps", *run.steps()["name"], flush=True)
"""


def test_a_fork_that_is_interrupted_at_its_beginning_owns_nothing_of_its_parent(child, path):
    code, out, err = child(INTERRUPTED_FORK, path).end()
    assert code == 0, err
    assert "Exception ignored" not in err
    assert out.splitlines()[-3:] == ["interrupted", "refused", "steps of the parent"]

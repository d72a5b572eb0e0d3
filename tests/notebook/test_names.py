"""Steps of ``run.do`` in cells, and what stepbook's own objects in variables come back as."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Kernel

LOAD = "def load(pid, **more):\n    count[0] += 1\n    return {'id': pid, **more}"


@pytest.fixture
def loading(kernel: Kernel) -> Kernel:
    """A kernel with a function to call in steps, in a run that no magic knows of."""
    kernel.ok(f"import stepbook, pandas as pd\ncount = [0]\n{LOAD}", "define")
    return kernel


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("run.do('A', load, 'p-1')", "run.do('A', load, 'p-2')"),
        ("run.do('A', load, 'p-1')", "run.do('A', load, 'p-1', more=1)"),
        ("run.do('A', load, ['p', {'q': 1}])", "run.do('A', load, ['p', {'q': 2}])"),
        ("run.do('A', lambda: 1)", "run.do('A', lambda: 2)"),
        ("run.do('A', int)", "run.do('A', float)"),
        ("run.do('A', load, load)", "run.do('A', load, lambda x: x)"),
        (
            "from functools import partial\nrun.do('A', partial(load, 1))",
            "run.do('A', partial(load, 2))",
        ),
        ("%%step A\nx = 1", "run.do('A', int)"),
        (
            "async def f(): return 1\nawait run.do('A', f)",
            "async def f(): return 2\nawait run.do('A', f)",
        ),
    ],
)
def test_another_cell_that_does_something_else_under_a_name_is_refused(
    loading: Kernel, first: str, second: str
) -> None:
    loading.run(first, "one")
    recorded = loading.value("run.attempts()['status'].tolist()")
    result = loading.run(second, "two")
    assert result.error is not None
    assert result.error["ename"] == "DuplicateStepError"
    for part in ("cell one ([", "cell two ([", "run.redo('A') releases the name"):
        assert part in result.error["evalue"]
    assert loading.value("run.attempts()['status'].tolist()") == recorded
    loading.ok("run.redo('A')")
    loading.run(second, "two")
    assert loading.value("run.attempts()['attempt'].tolist()") == [1, 2]
    result = loading.run(first, "one")
    assert result.error is not None
    assert result.error["ename"] == "DuplicateStepError", "now the name is the other cell's"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("run.do('A', load, 'p-1')", "# moved\nrun.do(  'A', load, 'p-1')"),
        ("run.do('A', lambda: 1)", "\n\nrun.do('A', lambda: 1  # the same\n)"),
        ("frame = pd.DataFrame({'x': [1]})\nrun.do('A', len, frame)", "run.do('A', len, frame)"),
        ("run.do('A', len, list(range(5000)))", "run.do('A', len, list(range(6000)))"),
        ("run.do('A', id, object())", "run.do('A', id, object())"),
    ],
    ids=["comment", "lambda", "equal table", "too big to compare", "nothing tells apart"],
)
def test_the_same_body_and_arguments_in_another_cell_replay(
    loading: Kernel, first: str, second: str
) -> None:
    loading.ok(first, "one")
    loading.ok(second, "two")
    assert loading.value("run.attempts()['attempt'].tolist()") == [1]


def test_a_function_defined_again_as_it_was_is_the_same_body(loading: Kernel) -> None:
    loading.ok("run.do('A', load, 'p-1')", "one")
    loading.ok(LOAD.replace("return", "# said\n    return", 1), "define")
    loading.ok("run.do('A', load, 'p-1')", "two")
    assert loading.value("count[0]") == 1


EDITS = {
    "argument": ("", "run.do('A', load, 'jan')", "run.do('A', load, 'feb')"),
    "argument by name": ("", "run.do('A', load, 1, n=1)", "run.do('A', load, 1, n=2)"),
    "argument in a variable": ("", "m = 1\nrun.do('A', load, m)", "m = 2\nrun.do('A', load, m)"),
    "lambda": ("", "run.do('A', lambda: load(1))", "run.do('A', lambda: load(2))"),
    "function": (LOAD.replace("'id'", "'ID'"), "run.do('A', load, 1)", "run.do('A', load, 1)"),
    "default": (
        LOAD.replace("pid", "pid, by='hand'", 1),
        "run.do('A', load, 1)",
        "run.do('A', load, 1)",
    ),
}


@pytest.mark.parametrize("cell_id", ["one", None])
@pytest.mark.parametrize("edit", EDITS)
def test_a_call_that_is_edited_in_this_session_is_executed_and_says_so(
    loading: Kernel, edit: str, cell_id: str | None
) -> None:
    define, before, after = EDITS[edit]
    loading.ok(before, cell_id)
    loading.ok(define or "pass", "define")
    said = loading.ok(after, cell_id).text()
    assert said.startswith("stepbook: 'A': the ")
    assert "was edited; it is executed again." in said
    assert loading.value("count[0]") == 2
    assert loading.value("run.attempts()['attempt'].tolist()") == [1, 2]
    assert loading.ok(after, cell_id).text() == "", "it is as it was recorded"
    assert loading.value("count[0]") == 2


@pytest.mark.parametrize(
    "cell",
    [
        "_ = run.do('A', lambda: 'x' in {'a', 'bb', 'ccc', 'dddd'} or load(1))",
        "_ = run.do('A', load, 1)  # {n}",
    ],
    ids=["a set", "a comment"],
)
def test_a_call_that_was_not_edited_replays(loading: Kernel, cell: str) -> None:
    for n in range(3):
        assert loading.ok(cell.replace("{n}", str(n)), "one").text() == ""
    assert loading.value("count[0]") == 1


def test_a_call_that_is_given_the_time_of_day_is_marked_and_not_executed(loading: Kernel) -> None:
    cell = "ticks = globals().get('ticks', 0) + 1\n_ = run.do('A', load, ticks)"
    assert loading.ok(cell, "one").text() == ""
    assert "'A' has changed since" in (said := loading.ok(cell, "one").text())
    assert "argument pid: 1 -> 2." in said
    assert loading.value("count[0]") == 1
    assert loading.value("run.steps()['stale'].tolist()") == [True]


@pytest.mark.parametrize("cell_id", ["one", None])
def test_a_call_in_place_of_a_cell_is_executed_and_so_is_the_reverse(
    loading: Kernel, cell_id: str | None
) -> None:
    cell, call = "%%step A\nx = load(1)", "run.do('A', load, 2)"
    loading.ok(cell, cell_id)
    assert (
        "'A': a cell was this step before; it is executed again."
        in loading.ok(call, cell_id).text()
    )
    assert "recorded by run.do, not by a cell; it is executed." in loading.ok(cell, cell_id).text()
    assert loading.value("count[0]") == 3


def test_a_step_that_is_given_the_result_of_work_done_again_is_executed(loading: Kernel) -> None:
    loading.ok("level = [1]\ndef config():\n    return {'level': level[0]}")
    cell = "print(run.do('Load', load, run.do('Config', config)['level'])['id'])"
    assert loading.ok(cell, "one").text() == "1\n"
    loading.ok("level[0] = 2")
    assert "level: [1] -> [2]. What was recorded is used." in loading.ok(cell, "one").text()
    loading.ok("run.redo('Config')")
    assert loading.ok(cell, "one").text() == (
        "stepbook: 'Load': argument pid: 1 -> 2; it is executed again.\n2\n"
    )
    assert loading.ok(cell, "one").text() == "2\n"
    assert loading.value("count[0]") == 2


def test_a_handled_failure_of_an_edited_call_is_executed_again(loading: Kernel) -> None:
    cell = "try:\n    print(run.do('A', int, {}))\nexcept ValueError:\n    print('no number')"
    assert loading.ok(cell.format("'x'"), "one").text() == "no number\n"
    assert loading.ok(cell.format("'x'"), "one").text() == "no number\n"
    assert loading.ok(cell.format("'7'"), "one").text().endswith("executed again.\n7\n")


def test_a_loop_goes_on_in_another_cell_with_a_corrected_step(loading: Kernel) -> None:
    loading.ok(
        "def send(x): raise OSError('down')\n@stepbook.loop('nightly')\ndef nightly(event, step):\n"
        "    step.do('Load', load, 1)\n    return step.do('Send', send, 1)",
        "define",
    )
    assert loading.run("nightly.trigger({})", "one").error is not None
    loading.ok("def send(x): return 'sent'\ndef load(x): return 'other'", "define")
    loading.ok("failed = stepbook.connect().unfinished().iloc[0]['id']")
    assert loading.ok("nightly.resume(failed).output", "two").value == "'sent'"
    assert loading.value("count[0]") == 1


def test_the_announcement_names_the_way_to_a_fresh_run(kernel: Kernel) -> None:
    kernel.ok("%stepbook run tests --key k --input 1")
    assert "--new starts a fresh run" in kernel.ok("%stepbook run tests --key k").text()
    shown = kernel.ok("import stepbook\nrun = stepbook.run('tests', key='k')").text()
    assert "new=True starts a fresh run" in shown
    result = kernel.run("%stepbook run tests --key k --input 2")
    assert result.error is not None
    assert "--new to start a fresh run" in result.error["evalue"]


def test_books_and_runs_in_variables_come_back(kernels: Callable[..., Kernel]) -> None:
    kernel = kernels()
    kernel.ok("import stepbook\nstepbook.run('old', input=7).finish(8)")
    kernel.ok("%load_ext stepbook\n%stepbook run tests")
    cell = (
        "%%step Find\nbook = stepbook.connect()\nother = stepbook.connect('other.duckdb')\n"
        "old = book.get('old')"
    )
    assert not kernel.ok(cell).text("stderr")
    kernel.restart()
    kernel.ok("import stepbook\n%load_ext stepbook\n%stepbook run tests")
    kernel.ok(cell)
    assert kernel.value("(old.status, old.input, old.output)") == ("succeeded", 7, 8)
    assert kernel.value("book is stepbook.connect() and other.path.name") == "other.duckdb"
    assert not (kernel.folder / "other.duckdb").exists()
    kernel.ok("book.delete(old.id)")
    kernel.restart()
    kernel.ok("import stepbook\n%load_ext stepbook\n%stepbook run tests")
    kernel.ok(cell)
    result = kernel.run("old.status")
    assert result.error is not None
    assert result.error["ename"] == "NotStoredError"


@pytest.mark.parametrize(
    "cell",
    [
        "read = (i for i in 'ab')",
        "pair = (i for i in 'ab'), 1",
        "row = (lambda: type('Row', (), {}))()",
    ],
)
def test_a_variable_that_will_be_a_stub_is_named_when_it_is_recorded(
    kernel: Kernel, cell: str
) -> None:
    assert "recorded without" in kernel.ok(f"%%step A\n{cell}").text("stderr")
    kernel.ok("%stepbook redo A")
    assert not kernel.ok("%%step A\nimport math\nlibrary = math").text("stderr")

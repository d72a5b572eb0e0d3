"""A cell that is a step runs as IPython runs it, and is found again by its name."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest

import stepbook

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver import Kernel

COUNTED = "count = globals().get('count', 0) + 1\n"


def attempts(kernel: Kernel, name: str) -> list[tuple[int, str]]:
    """Return number and status of each attempt of a step."""
    rows = kernel.value("run.attempts()[['name', 'attempt', 'status']].values.tolist()")
    return [(attempt, status) for known, attempt, status in rows if known == name]


# ---- as IPython ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "1 + 1",
        "1 + 1;",
        "'a'; 2  # comment",
        "x = 5",
        "print('out'); import sys; print('err', file=sys.stderr); [1, 2]",
        "from IPython.display import display, HTML\ndisplay(HTML('<b>x</b>')); HTML('<i>y</i>')",
        "import asyncio\nawait asyncio.sleep(0, 'slept')",
        "def f():\n    '''Doc.'''\n    return 3\nf()",
        "!echo shell",
        "%pwd",
        "_ = 3",
        "None",
        "",
        "# only a comment",
        "'''text\n%%step inside\n'''",
        "if True:\n    4",
        "from __future__ import annotations\n(lambda: 5)()",
    ],
)
def test_a_cell_shows_what_it_shows_without_stepbook(kernel: Kernel, body: str) -> None:
    plain = kernel.run(f"# a comment\n{body}")
    fresh = kernel.run(f"%%step A\n{body}")
    replayed = kernel.run(f"%%step A\n{body}")
    assert fresh.error is None
    assert _without_count(fresh) == _without_count(plain)
    assert _without_count(replayed) == _without_count(plain)
    assert attempts(kernel, "A") == [(1, "succeeded")]


def _without_count(result: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in o.items() if k != "execution_count"} for o in result.outputs]


@pytest.mark.parametrize("body", ["return 3", "break", "x = = 2", "yield 1", "await"])
@pytest.mark.parametrize("options", ["", " -- --retries 2"])
def test_what_cannot_be_compiled_is_said_as_without_stepbook(
    kernel: Kernel, body: str, options: str
) -> None:
    plain = kernel.run(f"# a comment\n{body}")
    step = kernel.run(f"%%step A{options}\n{body}")
    assert step.error is not None
    assert plain.error is not None
    assert (step.error["ename"], step.error["evalue"].partition("(")[0]) == (
        plain.error["ename"],
        plain.error["evalue"].partition("(")[0],
    )
    assert kernel.value("len(run.steps())") == 0


def test_an_error_is_reported_once_with_the_lines_of_the_cell(kernel: Kernel) -> None:
    result = kernel.run("%%step Fail\nx = 1\n\ndef f():\n    1 / 0\nf()\nprint('never')")
    assert result.error is not None
    assert result.error["ename"] == "ZeroDivisionError"
    assert "----> 6 f()" in result.traceback
    assert "----> 5     1 / 0" in result.traceback or "---> 5     1 / 0" in result.traceback
    assert "stepbook: in step 'Fail', attempt 1" in result.traceback
    assert "_cells.py" not in result.traceback
    assert kernel.value("run.status") == "failed"
    assert attempts(kernel, "Fail") == [(1, "failed")]
    error = kernel.value("run.steps()['error'][0]")
    assert error["type"] == "ZeroDivisionError"
    assert "line 5, in f" in error["stack"]


def test_a_failed_cell_stops_the_cells_behind_it(kernel: Kernel) -> None:
    first = kernel.send("%%step Fail\n1 / 0")
    second = kernel.send("after = 1")
    assert kernel.collect(first).error is not None
    kernel.collect(second)
    assert kernel.value("'after' in globals()") is False


def test_the_output_of_a_failed_cell_is_kept_with_its_attempt(kernel: Kernel) -> None:
    kernel.run("%%step Fail\nprint('so far')\n1 / 0")
    kernel.ok("%%step Fail\nprint('better')")
    rows = kernel.value(
        "[(r.attempt, 'so far' in r.outputs, 'better' in r.outputs) for r in run.book.sql("
        "'SELECT * FROM cells WHERE run_id = $1 ORDER BY attempt', [run.id]).itertuples()]"
    )
    assert rows == [(1, True, False), (2, False, True)]
    assert "so far" not in kernel.ok("%%step Fail\nprint('better')").text()


def test_the_plots_of_a_failed_attempt_are_kept_with_it(kernel: Kernel) -> None:
    kernel.ok("%matplotlib inline\nimport matplotlib.pyplot as plt\ntries = 0")
    shown = kernel.run("%%step Fail\nplt.plot([1, 2])\nprint('drawn')\n1 / 0")
    assert [o.get("kind", o.get("name")) for o in shown.outputs] == ["stdout", "display_data"]
    kernel.ok(
        "%%step Retried -- --retries 1\ntries += 1\nplt.plot([tries])\n"
        "if tries == 1: raise OSError('first')"
    )
    rows = kernel.value(
        "[(r.step, r.attempt, r.outputs.count('image/png')) for r in run.book.sql("
        "'SELECT * FROM cells WHERE run_id = $1 ORDER BY step, attempt', [run.id]).itertuples()]"
    )
    assert rows == [("Fail", 1, 1), ("Retried", 1, 1), ("Retried", 2, 1)]


def test_a_name_is_taken_literally(kernel: Kernel) -> None:
    names = ["Load {x} for $y", "naïve — ☃", "50 % of `it`", "a -- b", "it's", "%s \\n"]
    for name in names:
        kernel.ok(f"%%step {name}\n1")
    kernel.ok('%%step "Quoted name"\n1')
    assert kernel.value("list(run.steps()['name'])") == [*names, "Quoted name"]


def test_context_and_nested_steps_work_in_a_cell(kernel: Kernel) -> None:
    cell = (
        "%%step Generate\nimport stepbook\n"
        "session = stepbook.context().scan.create(expires_in=60, metadata={'p': 1})\n"
        "inner = run.do('Inner', lambda: 4)\nstepbook.context().name"
    )
    assert kernel.ok(cell).value == "'Generate'"
    assert kernel.value("run.steps()[['name', 'kind', 'parent']].fillna('').values.tolist()") == [
        ["Generate", "cell", ""],
        ["Inner", "do", "Generate"],
    ]
    assert kernel.value("run.book.sql('SELECT status FROM scans')['status'].tolist()") == ["ready"]


@pytest.mark.parametrize("above", ["# load it", "import os"])
def test_what_stands_above_the_magic_gives_a_hint(kernel: Kernel, above: str) -> None:
    result = kernel.run(f"{above}\n%%step Load\nx = 1")
    assert result.error is not None
    assert result.error["ename"] == "UsageError"
    assert "must be the first line" in result.error["evalue"]
    assert kernel.value("len(run.steps())") == 0


def test_options_without_their_mark_are_part_of_the_name_and_that_is_said(kernel: Kernel) -> None:
    shown = kernel.ok("%%step Load --out x\nx = 1").text()
    assert "the name of this step is 'Load --out x'" in shown
    assert "%%step Load -- --out x" in shown


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%%step", "needs a name"),
        ("%%step A -- --ot x", "unknown option '--ot'"),
        ("%%step A -- --retries many", "takes a number"),
        ("%%step A -- --on-change maybe", "warn, rerun, error, ignore"),
        ("%%step A -- --out 1x", "takes names"),
    ],
)
def test_a_line_that_cannot_be_followed_is_explained(kernel: Kernel, line: str, said: str) -> None:
    result = kernel.run(f"{line}\nx = 1")
    assert result.error is not None
    assert result.error["ename"] == "UsageError"
    assert said in result.error["evalue"]
    assert kernel.value("'x' in globals()") is False


def test_without_a_run_the_line_to_paste_is_said(kernels: Callable[..., Kernel]) -> None:
    kernel = kernels()
    kernel.ok("%load_ext stepbook")
    result = kernel.run("%%step A\nx = 1")
    assert result.error is not None
    assert result.error["ename"] == "NoRunError"
    assert "%stepbook run my-loop" in result.error["evalue"]


# ---- outputs ------------------------------------------------------------------------------------


def test_plots_come_back(kernel: Kernel) -> None:
    kernel.ok("%matplotlib inline\nimport matplotlib.pyplot as plt")
    cell = (
        "%%step Plot\nfig, ax = plt.subplots()\nax.plot([1, 2])\nprint('drawn')\nax.set_title('t')"
    )
    first, second = kernel.ok(cell), kernel.ok(cell)
    kinds = [o.get("kind", o.get("name")) for o in first.outputs]
    assert kinds == ["stdout", "execute_result", "display_data"]
    assert first.outputs[2]["data"]["image/png"]
    assert [o.get("data") for o in second.outputs] == [o.get("data") for o in first.outputs]
    assert not first.text("stderr"), "figures and axes are of the moment"
    result = kernel.run("ax.plot")
    assert result.error is None, "in the same kernel the figure is still there"
    kernel.restart()
    kernel.ok("%load_ext stepbook\n%stepbook run tests\n%matplotlib inline")
    kernel.ok("import matplotlib.pyplot as plt")
    third = kernel.ok(cell)
    assert [o.get("data") for o in third.outputs] == [o.get("data") for o in first.outputs]
    result = kernel.run("ax.plot")
    assert result.error is not None
    assert result.error["ename"] == "NotStoredError"


def test_a_progress_bar_comes_back_as_text(kernel: Kernel) -> None:
    cell = (
        "%%step Bar\nfrom tqdm.notebook import tqdm as bar\nfrom tqdm import tqdm\n"
        "for _i in bar(range(5)): pass\nfor _i in tqdm(range(400)): pass"
    )
    kernel.ok(cell)
    again = kernel.ok(cell)
    views = [o for o in again.outputs if "data" in o]
    assert [list(o["data"]) for o in views] == [["text/plain"]]
    assert "100%" in views[0]["data"]["text/plain"]
    error = again.text("stderr")
    assert error.count("\r") <= 1
    assert "400/400" in error


def test_cleared_and_updated_displays_come_back_as_they_ended(kernel: Kernel) -> None:
    cell = (
        "%%step Show\nfrom IPython.display import clear_output, display\nprint('gone')\n"
        "clear_output(wait=True)\nhandle = display('first', display_id=True)\n"
        "handle.update('last')\nprint('kept')"
    )
    kernel.ok(cell)
    again = kernel.ok(cell)
    assert [o.get("text") or o["data"]["text/plain"] for o in again.outputs] == ["'last'", "kept\n"]


def test_what_loggers_and_threads_write_is_recorded(kernel: Kernel) -> None:
    kernel.ok("import logging, sys\nlogging.basicConfig(stream=sys.stderr, format='%(message)s')")
    cell = (
        "%%step Log\nimport threading\nlogging.warning('from a logger')\n"
        "thread = threading.Thread(target=print, args=('from a thread',))\nthread.start()\n"
        "thread.join()"
    )
    kernel.ok(cell)
    again = kernel.ok(cell)
    assert "from a logger" in again.text("stderr")
    assert "from a thread" in again.text()


def test_the_history_of_results_goes_on(kernel: Kernel) -> None:
    kernel.ok("%%step A\n41 + 1")
    kernel.restart()
    kernel.ok("%load_ext stepbook\n%stepbook run tests")
    kernel.ok("%%step A\n41 + 1")
    assert kernel.ok("_ + 1").value == "43"


# ---- identity -----------------------------------------------------------------------------------


def test_the_same_cell_again_replays_also_when_moved(kernel: Kernel) -> None:
    cell = f"%%step A\n{COUNTED}"
    for cell_id in ("one", "one", "two", None, "two"):
        kernel.ok(cell, cell_id)
    assert kernel.value("count") == 1
    assert attempts(kernel, "A") == [(1, "succeeded")]


def test_comments_and_formatting_are_no_change(kernel: Kernel) -> None:
    kernel.ok(f"%%step A\n{COUNTED}")
    kernel.ok("%%step A\n# said\ncount = globals( ).get('count',0)+1  # more")
    assert kernel.value("count") == 1


def test_a_cell_edited_in_this_session_is_executed_and_says_so(kernel: Kernel) -> None:
    kernel.ok(f"%%step A\n{COUNTED}", "one")
    edited = kernel.ok(f"%%step A\n{COUNTED}more = 1", "one")
    assert "'A': its code changed; it is executed again" in edited.text()
    assert kernel.value("(count, more)") == (2, 1)
    assert attempts(kernel, "A") == [(1, "succeeded"), (2, "succeeded")]
    without_ids = kernel.ok(f"%%step A\n{COUNTED}more = 2")
    assert "its code changed" in without_ids.text()


def test_another_cell_with_the_same_name_is_refused(kernel: Kernel) -> None:
    kernel.ok(f"%%step A\n{COUNTED}", "one")
    result = kernel.run("%%step A\nother = 1", "two")
    assert result.error is not None
    assert result.error["ename"] == "DuplicateStepError"
    for part in ("cell one ([", "cell two ([", "%stepbook redo A"):
        assert part in result.error["evalue"]
    kernel.ok("%stepbook redo A")
    kernel.ok("%%step A\nother = 1", "two")
    assert kernel.value("(count, other)") == (1, 1)


def test_addresses_of_cells_are_ids_and_addresses_of_documents_are_not(kernel: Kernel) -> None:
    address = "vscode-notebook-cell:/home/me/a.ipynb"
    kernel.ok("%%step A\na = 1", f"{address}#W0sZmlsZQ==")
    result = kernel.run("%%step A\na = 2", f"{address}#W1sZmlsZQ==")
    assert result.error is not None
    kernel.ok("%%step B\nb = 1", address)
    kernel.ok("%%step B\nb = 2", address)
    assert kernel.value("b") == 2


def test_what_a_front_end_executes_between_cells_changes_nothing(kernel: Kernel) -> None:
    address = "vscode-notebook-cell:/home/me/a.ipynb#W0sZmlsZQ=="

    def ask() -> None:
        """As VS Code does for its list of variables, after each cell."""
        for silent in (True, False):
            kernel.run("__vsc_known = [*globals()]", silent=silent, store_history=False)

    ask()
    kernel.ok(f"%%step A\n{COUNTED}", address)
    ask()
    kernel.ok(f"%%step A\n{COUNTED}", address)
    ask()
    assert "its code changed" in kernel.ok(f"%%step A\n{COUNTED}more = 1", address).text()
    ask()
    failed = kernel.run("%%step B\n1 / 0", address)
    assert failed.error is not None
    ask()
    assert kernel.value("(count, run.status)") == (2, "failed")
    assert attempts(kernel, "B") == [(1, "failed")]


def test_a_cell_that_leaves_no_history_replays(kernel: Kernel) -> None:
    for _ in range(2):
        result = kernel.run(f"%%step A\n{COUNTED}count", store_history=False)
        assert result.value == "1"
    assert attempts(kernel, "A") == [(1, "succeeded")]


@pytest.mark.parametrize("policy", ["warn", "rerun", "error", "ignore"])
@pytest.mark.parametrize("where", ["cell", "run"])
def test_a_cell_edited_while_the_kernel_was_away_follows_the_policy(
    kernel: Kernel, policy: str, where: str
) -> None:
    kernel.ok("%%step A\nx = 1")
    kernel.ok("%stepbook close")
    kernel.ok("%unload_ext stepbook\n%load_ext stepbook")  # a new session
    kernel.ok(f"del x\n%stepbook run tests{f' --on-change {policy}' if where == 'run' else ''}")
    options = f" -- --on-change {policy}" if where == "cell" else ""
    result = kernel.run(f"%%step A{options}\nx = 2\ndef f(): return 5")
    stale = kernel.value("bool(run.steps()['stale'][0])")
    if policy == "error":
        assert result.error is not None
        assert result.error["ename"] == "StaleStepError"
        assert not stale
        return
    assert result.error is None
    assert kernel.value("(x, f())") == (2 if policy == "rerun" else 1, 5)
    assert stale == (policy == "warn")
    assert ("%stepbook redo A" in result.text()) == (policy == "warn")
    again = kernel.run(f"%%step A{options}\nx = 2\ndef f(): return 5")
    assert "redo" not in again.text(), "warned once"


def test_going_back_to_the_recorded_code_is_not_stale(kernel: Kernel) -> None:
    kernel.ok("%%step A\nx = 1")
    kernel.ok("%reload_ext stepbook")
    assert "has changed" in kernel.ok("%%step A -- --on-change warn\nx = 2").text()
    kernel.ok("%reload_ext stepbook")
    kernel.ok("%%step A\nx = 1")
    assert kernel.value("bool(run.steps()['stale'][0])") is False
    assert attempts(kernel, "A") == [(1, "succeeded")]


def test_a_name_used_twice_in_one_cell_is_refused(kernel: Kernel) -> None:
    result = kernel.run("%%step A\nrun.do('A', lambda: 1)")
    assert result.error is not None
    assert result.error["ename"] == "DuplicateStepError"


def test_inserted_and_reordered_cells_replay(kernel: Kernel) -> None:
    cells = {name: f"%%step {name}\n{name} = {n}\nprint('{name}')" for n, name in enumerate("abc")}
    for cell in cells.values():
        kernel.ok(cell)
    kernel.restart()
    kernel.ok("%load_ext stepbook\n%stepbook run tests")
    for name in ("c", "new", "a", "b"):
        kernel.ok(cells.get(name, "%%step new\nd = 9"))
    assert kernel.value("(a, b, c, d)") == (0, 1, 2, 9)
    assert kernel.value("run.attempts()['attempt'].tolist()") == [1, 1, 1, 1]


# ---- options ------------------------------------------------------------------------------------


def test_retries_execute_the_body_again(kernel: Kernel) -> None:
    kernel.ok("tries = 0")
    kernel.ok("%%step A -- --retries 3\ntries += 1\nif tries < 3:\n    raise OSError(tries)\ntries")
    assert attempts(kernel, "A") == [(1, "failed"), (2, "failed"), (3, "succeeded")]
    assert kernel.value("tries") == 3
    result = kernel.run("%%step B -- --retries=1\nraise OSError('always')")
    assert result.error is not None
    assert attempts(kernel, "B") == [(1, "failed"), (2, "failed")]


def test_out_stores_exactly_these_and_insists(kernel: Kernel) -> None:
    kernel.ok("%%step A -- --out a,b\na, b, c = 1, 2, 3")
    kernel.ok("del a, b, c")
    kernel.ok("%%step A -- --out a,b\na, b, c = 1, 2, 3")
    assert kernel.value("(a, b, 'c' in globals())") == (1, 2, False)
    result = kernel.run("%%step B -- --out g\ng = (i for i in [])")
    assert result.error is not None
    assert result.error["ename"] == "NotSerializableError"
    assert "'g'" in result.traceback
    result = kernel.run("%%step C -- --out nothing\nx = 1")
    assert result.error is not None
    assert "nothing" in result.error["evalue"]
    assert attempts(kernel, "B") == [(1, "failed")]


def test_a_variable_that_cannot_be_stored_is_a_stub_on_replay(kernel: Kernel) -> None:
    first = kernel.ok("%%step A\nlazy = (i for i in [1])\nx = 1")
    assert "recorded without lazy" in first.text("stderr")
    assert kernel.value("next(lazy)") == 1, "the first run keeps the object"
    kernel.restart()
    kernel.ok("%load_ext stepbook\n%stepbook run tests")
    second = kernel.ok("%%step A\nlazy = (i for i in [1])\nx = 1")
    assert not second.text("stderr")
    kernel.ok("lazy")
    for use in ("next(lazy)", "list(lazy)", "lazy.send", "lazy + 1", "bool(lazy)", "print(lazy)"):
        result = kernel.run(use)
        assert result.error is not None, use
        assert result.error["ename"] == "NotStoredError"
    assert "%stepbook redo A" in result.error["evalue"]
    assert "not stored" in str(kernel.ok("lazy").value)


def test_connections_and_loggers_are_left_alone(kernel: Kernel) -> None:
    kernel.ok(
        "import logging, sqlite3\nlog = logging.getLogger('x')\ndb = sqlite3.connect(':memory:')"
    )
    cell = "%%step A\nlog.info('hello')\ndb.execute('CREATE TABLE IF NOT EXISTS t (x)')"
    assert not kernel.ok(cell).text("stderr")
    kernel.ok(cell)
    kernel.ok("log.info('again'); db.execute('SELECT * FROM t')")


def test_big_values_and_outputs_are_artifacts(kernel: Kernel) -> None:
    # No other test with the same kernel has these values: one artifact holds all that are equal.
    cell = "%%step Big\nimport numpy as np\na = np.arange(7, 200_007)\nprint('big' * 70_001)"
    artifacts = kernel.folder / "stepbook.duckdb.d" / "artifacts"
    before = {*artifacts.iterdir()}
    first = kernel.ok(cell)
    kernel.restart()
    kernel.ok("%load_ext stepbook\n%stepbook run tests")
    assert kernel.ok(cell).outputs == first.outputs
    assert kernel.value("(int(a.sum()), a.dtype.str)") == (20001300000, "<i8")
    assert len({*artifacts.iterdir()} - before) == 2


def test_files_of_a_step_come_back_as_paths(kernel: Kernel) -> None:
    cell = (
        "%%step File\nimport stepbook\npath = stepbook.context().file('a.txt')\n"
        "path.write_text('hello')\npath"
    )
    kernel.ok(cell)
    assert kernel.value("path.read_text()") == "hello"
    kernel.restart()
    kernel.ok("%load_ext stepbook\n%stepbook run tests")
    kernel.ok(cell)
    assert kernel.value("path.read_text()") == "hello"


# ---- runs ---------------------------------------------------------------------------------------


def test_steps_go_to_the_run_that_was_opened_last(kernel: Kernel) -> None:
    kernel.ok("import stepbook\nwith stepbook.run('inner') as inner:\n    inner.do('I', int)")
    kernel.ok("%%step A\n1")
    kernel.ok("other = stepbook.run('other')")
    kernel.ok("%%step B\n1")
    kernel.ok("%stepbook run tests")
    kernel.ok("%%step C\n1")
    assert kernel.value("list(run.steps()['name'])") == ["A", "C"]
    assert kernel.value("list(other.steps()['name'])") == ["B"]


def test_a_finished_run_replays_and_stays_finished(kernel: Kernel) -> None:
    kernel.ok("%%step A\nx = 1")
    kernel.ok("%stepbook finish x + 1")
    assert kernel.value("(run.status, run.output)") == ("succeeded", 2)
    kernel.ok("%%step A\nx = 1")
    assert kernel.value("run.status") == "succeeded"


def test_an_unhandled_failure_is_executed_again(kernel: Kernel) -> None:
    kernel.ok("broken = True")
    cell = "%%step A\nif broken: raise ValueError('no')\nx = 1"
    assert kernel.run(cell).error is not None
    assert kernel.run(cell).error is not None
    kernel.ok("broken = False")
    kernel.ok(cell)
    assert attempts(kernel, "A") == [(1, "failed"), (2, "failed"), (3, "succeeded")]
    assert kernel.value("run.status") == "running"


# ---- interrupts ---------------------------------------------------------------------------------


WAIT_S = 20  # what an interrupt would wait for that nobody notices
SOON_S = WAIT_S / 4  # generous: a busy machine takes its time, but never as long as the wait


def wait_until_running(kernel: Kernel, name: str) -> None:
    """Wait until the tables say that a step of the kernel's run is running."""
    with contextlib.closing(stepbook.connect(kernel.folder / "stepbook.duckdb")) as book:
        query = "SELECT 1 FROM steps WHERE name = ? AND status = 'running'"
        query += " AND run_id = (SELECT max_by(id, created_at) FROM runs)"
        while book.sql(query, [name]).empty:
            time.sleep(0.05)


@pytest.mark.parametrize(
    "cell",
    [
        f"%%step A\nimport asyncio\nawait asyncio.sleep({WAIT_S})",
        f"import asyncio\nasync def f(): await asyncio.sleep({WAIT_S})\nawait run.do('A', f)",
        f"await run.sleep_async('A', {WAIT_S})",
        f"await run.wait_for_scan_async(name='A', timeout={WAIT_S})",
        f"%%step A\nimport time\ntime.sleep({WAIT_S})",
    ],
    ids=["cell", "do", "sleep", "scan", "sync cell"],
)
def test_an_interrupt_is_noticed_soon_and_recorded(kernel: Kernel, cell: str) -> None:
    request = kernel.send(cell)
    wait_until_running(kernel, "A")
    interrupted = time.time()
    kernel.manager.interrupt_kernel()
    result = kernel.collect(request)
    assert result.error is not None
    assert result.error["ename"] in ("CancelledError", "KeyboardInterrupt")
    # When the kernel says so: how soon a busy machine lets the test read that is another matter.
    assert result.error_at - interrupted < SOON_S
    waits = "_async(" in cell
    if not waits:
        ended = kernel.value("run.attempts()['completed_at'][0].timestamp()")
        assert 0 <= ended - interrupted < SOON_S
    assert attempts(kernel, "A") == [(1, "running" if waits else "failed")]
    kernel.ok("%%step B\nx = 1")


# ---- loading ------------------------------------------------------------------------------------


def test_unloading_leaves_no_trace(kernels: Callable[..., Kernel]) -> None:
    kernel = kernels()
    kernel.ok("%load_ext autoreload")  # IPython loads magics of its own for that
    kernel.ok(
        "def state():\n    ip = get_ipython()\n    return [\n"
        "        len(ip.input_transformers_cleanup), len(ip.ast_transformers),\n"
        "        {n: len(c) for n, c in ip.events.callbacks.items()},\n"
        "        sorted(ip.magics_manager.magics['line']),\n"
        "        sorted(ip.magics_manager.magics['cell']),\n"
        "        sorted(map(str, ip.magics_manager.registry)), len(ip.Completer.custom_matchers),\n"
        "        sorted(n for n in ip.user_ns if 'step' in n),\n"
        "        'write' in vars(__import__('sys').stdout),\n"
        "    ]\nbefore = state()"
    )
    kernel.ok("%load_ext stepbook")
    kernel.ok("%reload_ext stepbook")
    kernel.ok("%stepbook run tests")
    kernel.ok("%%step A\nprint(1)")
    kernel.ok("%stepbook close")
    kernel.ok("del run")
    kernel.ok("%unload_ext stepbook")
    assert kernel.value("[(a, b) for a, b in zip(state(), before) if a != b]") == []
    result = kernel.run("%%step A\n1")
    assert result.error is not None


def test_a_shell_command_after_reloading_the_extension_leaves_no_lock_behind(
    kernel: Kernel,
) -> None:
    kernel.ok("%reload_ext stepbook")
    kernel.ok("!echo forked")
    kernel.ok(
        "import threading\nrun.do('A', lambda: 1)\nseen = []\n"
        "other = threading.Thread(target=lambda: seen.append(len(run.attempts())), daemon=True)\n"
        "other.start()\nother.join(20)"
    )
    assert kernel.value("seen") == [1]


def test_a_fault_of_ours_does_not_break_cells(kernel: Kernel) -> None:
    kernel.ok("from stepbook.notebook import hooks\nhooks.at_end.append(lambda: 1 / 0)")
    assert kernel.run("21 * 2").value == "42"
    kernel.ok("hooks.at_end.pop()")
    kernel.ok("%%step A\nx = 1")


def test_an_output_that_cannot_be_recorded_is_shown_all_the_same(kernel: Kernel) -> None:
    shown = kernel.ok(
        "%%step A\nfrom IPython.display import publish_display_data\n"
        "publish_display_data({'text/plain': 'odd', "
        "'application/vnd.jupyter.widget-view+json': 'no view'})\nprint('after')"
    )
    assert ("display_data", "odd") in shown.shown
    assert "not recorded" in shown.text("stderr")
    assert "after" in kernel.ok("%%step B\nprint('after')").text()


@pytest.mark.parametrize("part", ["Lines._find", "Body"])
def test_a_fault_of_ours_leaves_the_cell_to_be_executed(kernel: Kernel, part: str) -> None:
    kernel.ok("from stepbook.notebook import transform")
    kernel.ok(f"kept, transform.{part} = transform.{part}, None")
    faulty = kernel.run("#| step: A\n21 * 2")
    plain = kernel.run("21 * 2")
    kernel.run(f"transform.{part} = kept")
    assert (faulty.value, plain.value) == ("42", "42")
    assert "neither replayed nor recorded" in faulty.text("stderr")
    kernel.ok("%%step A\nx = 1")
    assert attempts(kernel, "A") == [(1, "succeeded")]


def test_a_notebook_that_is_run_from_a_cell_has_steps_of_its_own(
    kernel: Kernel,
) -> None:
    (kernel.folder / "inner.ipy").write_text("inner = 3\nprint('ran')\n")
    kernel.ok("%%step Outer\n%run inner.ipy\nouter = inner + 1")
    kernel.ok("%%step After\nz = 1")
    kernel.restart()
    kernel.ok("%load_ext stepbook\n%stepbook run tests")
    again = kernel.ok("%%step Outer\n%run inner.ipy\nouter = inner + 1")
    assert kernel.value("(inner, outer)") == (3, 4)
    assert again.text() == "ran\n"


def test_out_takes_a_name_as_python_reads_it(kernel: Kernel) -> None:
    # The micro sign is what keyboards give; as an identifier it is the Greek letter.
    kernel.ok("%stepbook run micro")
    kernel.ok("%%step Draw -- --out \u00b5,ﬁt\n\u00b5 = 1.5\nﬁt = 2")
    assert kernel.value("(\u03bc, fit)") == (1.5, 2)
    kernel.ok("del \u03bc, fit")
    kernel.ok("%stepbook run micro")
    kernel.ok("%%step Draw -- --out \u00b5,ﬁt\n\u00b5 = 1.5\nﬁt = 2")
    assert kernel.value("(\u00b5, fit)") == (1.5, 2)


def test_a_cell_is_one_step_in_both_spellings_of_its_name(kernel: Kernel) -> None:
    kernel.ok("%stepbook run spelled")
    kernel.ok("%%step Café\nx = 1")
    kernel.ok("%stepbook run spelled\nx = 0")
    kernel.ok("%%step Cafe\u0301\nx = 1")
    assert kernel.value("(x, list(run.steps()['name']), list(run.attempts()['attempt']))") == (
        1,
        ["Café"],
        [1],
    )

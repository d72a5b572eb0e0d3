"""After an edit a cell is executed or replayed, and one line says why."""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING

import pytest

from stepbook.notebook.needs import needed

if TYPE_CHECKING:
    from pathlib import Path

    from driver import Kernel


class Bodies:
    """Which steps were executed, as the record says: what was brought back was not."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._known: set[tuple[str, int]] = set()

    def ran(self) -> list[str]:
        """Return the steps that were executed since the last time."""
        rows = self._kernel.value("run.attempts()[['name', 'attempt', 'progress']].values.tolist()")
        executed = [(name, n) for name, n, progress in rows if "made_by" not in (progress or "")]
        found = [one for one in executed if one not in self._known]
        self._known.update(found)
        return [name for name, _ in found]


def step(name: str, text: str) -> str:
    """Return a cell that is a step."""
    return f"%%step {name}\n{text}"


def again(kernel: Kernel) -> None:
    """Forget all names and this session, as a new kernel would, and open the run again."""
    kernel.ok("%reset -f")
    kernel.ok("%reload_ext stepbook\n%stepbook run tests")


def test_an_edit_executes_what_depends_on_it_and_says_why(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    cells = [step("Load", "rows = [3, 1, 2]"), step("Sort", "rows.sort()"), step("Other", "k = 1")]
    for cell in cells:
        kernel.ok(cell)
    assert bodies.ran() == ["Load", "Sort", "Other"]
    again(kernel)
    edited = [cells[0].replace("[3,", "[4, 3,"), *cells[1:]]
    told = [kernel.ok(cell).text() for cell in edited]
    assert told == [
        "stepbook: 'Load': its code changed; it is executed again.\n",
        "stepbook: 'Sort': input rows: [3,1,2] -> [4,3,1,2]; it is executed again.\n",
        "",
    ]
    assert bodies.ran() == ["Load", "Sort"]
    assert kernel.value("rows") == [1, 2, 3, 4]


def test_status_and_the_record_say_what_was_executed_and_why(kernel: Kernel) -> None:
    cells = [step("Load", "rows = [3, 1, 2]"), step("Sort", "rows.sort()"), step("Other", "k = 1")]
    for cell in cells:
        kernel.ok(cell)
    status = "%stepbook status"
    assert "executed 3: 'Load' (new), 'Sort' (new), 'Other' (new) · replayed 0" in (
        kernel.ok(status).text()
    )
    again(kernel)
    for cell in [cells[0].replace("[3,", "[4, 3,"), *cells[1:]]:
        kernel.ok(cell)
    reasons = {"Load": "its code changed", "Sort": "input rows: [3,1,2] -> [4,3,1,2]"}
    told = ", ".join(f"{name!r} ({reason})" for name, reason in reasons.items())
    assert f"executed 2: {told} · replayed 1" in kernel.ok(status).text()
    kernel.ok("frame = run.attempts()\nframe = frame[frame['attempt'] == 2]")
    assert kernel.value("dict(zip(frame['name'], frame['reason']))") == reasons
    kernel.ok("frame = run.steps()")
    assert kernel.value("frame['verdict'].tolist()") == ["same", "same", "same"]


def test_a_stale_cell_says_what_has_changed(kernel: Kernel) -> None:
    kernel.ok(step("Load", "rows = 1"))
    again(kernel)
    kernel.ok("%%step Load -- --on-change warn\nrows = 2")
    kernel.ok("frame = run.steps()")
    assert kernel.value("frame[['stale', 'verdict', 'changes']].values.tolist()") == [
        [True, "stale", "its code changed"]
    ]


def test_an_edit_that_is_undone_replays_the_earlier_attempts(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    before = [step("Load", "rows = [3, 1, 2]"), step("Sort", "rows.sort(); print(rows)")]
    after = [before[0].replace("3", "9"), before[1]]
    for cells in (before, after):
        for cell in cells:
            kernel.ok(cell)
    assert bodies.ran() == ["Load", "Load", "Sort", "Sort"]
    for _ in range(2):
        again(kernel)
        told = [kernel.ok(cell).text() for cell in before]
        assert "[1, 2, 3]\n" in told[1]
        assert kernel.value("rows") == [1, 2, 3]
        assert bodies.ran() == []
    assert "as it was in its attempt 1, which is replayed" not in told[0]
    attempts = kernel.value("run.attempts()[['name', 'attempt', 'progress']].values.tolist()")
    assert [(name, n) for name, n, _ in attempts] == [
        (c, n) for c in ("Load", "Sort") for n in (1, 2, 3)
    ]
    assert attempts[2][2] == {"made_by": 1}
    assert kernel.value("run.steps()['attempt'].tolist()") == [3, 3]
    kernel.ok(after[0])
    kernel.ok(before[0].replace("3", "7"))
    assert bodies.ran() == ["Load"]
    assert kernel.value("int(run.attempts()['attempt'].max())") == 5, "no attempt was overwritten"


@pytest.mark.parametrize("told", ["not told before", "told before"])
def test_what_changes_between_two_cells_is_replayed_with_the_cell_that_found_it(
    kernel: Kernel, tmp_path: Path, told: str
) -> None:
    bodies = Bodies(kernel)
    cells = [step("Begin", "rows = [0]"), step("Look", "rows"), step("Count", "n = len(rows)")]
    if told == "not told before":
        del cells[1]
    go, done = tmp_path / "go", tmp_path / "done"
    for pipe in (go, done):
        os.mkfifo(pipe)
    kernel.ok(
        "import threading\n"
        f"def work(names=get_ipython().user_ns, go={str(go)!r}, done={str(done)!r}):\n"
        "    open(go).close()\n    names['ro' + 'ws'].append(1)\n    open(done, 'w').close()\n"
        "threading.Thread(target=work).start()\ndel work"
    )
    for cell in cells[:-1]:
        kernel.ok(cell)
    go.open("w").close()
    done.open().close()
    assert kernel.run(cells[-1] + "; 1 / 0").error
    kernel.ok(cells[-1])
    bodies.ran()
    again(kernel)
    assert [kernel.ok(cell).text() for cell in cells] == ["" for _ in cells]
    assert bodies.ran() == []
    assert kernel.value("(n, rows)") == (2, [0, 1])
    kernel.ok(cells[0].replace("0", "5, 6"))
    for cell in cells[1:]:
        kernel.ok(cell)
    assert "Count" in bodies.ran()
    assert kernel.value("(n, rows)") == (2, [5, 6])


def test_inputs_that_come_out_equal_again_replay_what_is_behind(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    cells = [
        step("Raw", "raw = ' x '"),
        step("Clean", "t = raw.strip()"),
        step("Use", "n = len(t)"),
    ]
    for cell in cells:
        kernel.ok(cell)
    bodies.ran()
    again(kernel)
    for cell in (cells[0].replace("' x '", "'  x'"), *cells[1:]):
        kernel.ok(cell)
    assert bodies.ran() == ["Raw", "Clean"]


def test_going_back_to_a_cell_is_no_edit_and_says_so(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    kernel.ok("%%step Load\nrows = [1, 2, 3]")
    drop, last = step("Drop", "rows = rows[1:]"), step("More", "rows.append(9)")
    assert kernel.ok(drop).text() == ""
    said = kernel.ok(drop).text()
    assert said.startswith("stepbook: 'Drop' is replayed. Since then rows has changed:")
    assert "%stepbook redo Drop" in said
    assert kernel.value("rows") == [2, 3]
    kernel.ok(last)
    kernel.ok(drop)
    assert kernel.value("rows") == [2, 3]
    assert bodies.ran() == ["Load", "Drop", "More"]
    kernel.ok("%stepbook redo Drop")
    kernel.ok(drop)
    assert kernel.value("rows") == [3]
    assert bodies.ran() == ["Drop"]
    again(kernel)
    kernel.ok("%%step Load\nrows = [1, 2, 3]")
    assert kernel.ok(drop).text() == ""
    assert kernel.value("rows") == [3], "what was done again by hand stays"
    assert bodies.ran() == []


def test_what_a_failed_attempt_of_another_step_has_changed_counts(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    kernel.ok(step("Load", "rows = [1]"))
    failed = kernel.run(step("Grow", "rows.append(2); 1 / 0"))
    assert failed.error is not None
    count = step("Count", "n = len(rows)")
    kernel.ok(count)
    assert kernel.value("n") == 2
    again(kernel)
    kernel.ok(step("Load", "rows = [1]"))
    kernel.ok(step("Grow", "pass"))
    kernel.ok(count)
    assert kernel.value("n") == 1
    assert bodies.ran() == ["Load", "Grow", "Grow", "Count", "Count"]


def test_a_step_that_is_inserted_above_counts(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    first, use = "%%step First\nk = 1", step("Use", "n = k * 10")
    for cell in (first, use):
        kernel.ok(cell)
    inserted = "%%step Between\nk = 2"
    kernel.ok(inserted)  # tried first, behind the others
    for cell in (first, inserted, use):
        kernel.ok(cell)
    assert kernel.value("n") == 20
    assert bodies.ran() == ["First", "Use", "Use", "Between"]


@pytest.mark.parametrize("on_change", ["ignore", "warn", "error"])
def test_on_change_decides_about_inputs_too(kernel: Kernel, on_change: str) -> None:
    bodies = Bodies(kernel)
    kernel.ok("k = 1")
    use = step(f"Use -- --on-change {on_change}", "n = k * 10")
    kernel.ok(use)
    kernel.ok("k = 2")
    result = kernel.run(use)
    assert bodies.ran() == ["Use"]
    if on_change == "error":
        assert result.error is not None
        assert result.error["ename"] == "StaleStepError"
        assert "input k: 1 -> 2" in result.error["evalue"]
        return
    assert kernel.value("n") == 10
    said = result.text()
    assert ("input k: 1 -> 2. What was recorded is used." in said) == (on_change == "warn")
    assert kernel.value("run.steps()['stale'].tolist()") == [on_change == "warn"]


def test_a_cell_that_never_executes_again_does_not_even_if_it_is_edited(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    kernel.ok(step("Send -- --on-change ignore", "sent = 1"))
    kernel.ok(step("Send -- --on-change ignore", "sent = 2"))
    assert bodies.ran() == ["Send"]
    assert kernel.value("sent") == 1


def test_an_accepted_step_replays_with_its_new_code(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    kernel.ok(step("Train", "model = 1\ndef score(): return 1"))
    edited = step("Train", "print('now')\nmodel = 1\ndef score(): return 2")
    kernel.ok("%stepbook accept Train")
    assert kernel.ok(edited).text() == ""
    assert kernel.value("(model, score())") == (1, 2), "definitions come from the code"
    for _ in range(2):
        again(kernel)
        assert kernel.ok(edited).text() == ""
    assert bodies.ran() == ["Train"]
    [message] = kernel.value("run.logs()['message'].tolist()")
    assert message.startswith("accept of step 'Train' by ")
    assert "its code changed" in kernel.ok(step("Train", "model = 2")).text()


def test_after_an_interrupted_rerun_the_earlier_success_can_be_accepted(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    kernel.ok("go = True")
    train = (
        "if not go: raise KeyboardInterrupt\nimport statistics\nmodel = statistics.NormalDist(3)"
    )
    kernel.ok(step("Train", train))
    kernel.ok("go = False")
    stopped = kernel.run(step("Train", train))
    assert stopped.error is not None
    kernel.ok("%stepbook accept Train")
    assert kernel.ok(step("Train", train)).text() == ""
    assert kernel.value("model.mean") == 3.0
    assert bodies.ran() == ["Train", "Train"]
    attempts = kernel.value("run.attempts()[['attempt', 'status']].values.tolist()")
    assert attempts == [[1, "succeeded"], [2, "failed"], [3, "succeeded"]]


def test_what_has_no_content_counts_by_the_attempt_that_made_it(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    kernel.ok("%%step Open\nimport threading\nlock = threading.Lock()")
    use = step("Use", "free = lock.acquire(False); lock.release()")
    kernel.ok(use)
    assert "~Open, attempt 1 of run_" in kernel.value("run.steps()['fingerprint'].tolist()")[1]
    assert kernel.ok(use).text() == ""
    kernel.ok("%stepbook redo Open")
    kernel.ok("%%step Open\nimport threading\nlock = threading.Lock()")
    assert "input lock changed" in kernel.ok(use).text()
    assert bodies.ran() == ["Open", "Open", "Use", "Use"]


def test_a_recorded_cell_without_inputs_is_compared_by_its_code_alone(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    kernel.ok("k = 1")
    use = step("Use", "n = k")
    kernel.ok(use)
    kernel.ok(
        "_ledger = run._opened.owned(); _row = _ledger.state.steps['Use']\n"
        "import json\n"
        "_ledger.note(_row._replace(fingerprint=json.loads(_row.fingerprint)['code']))"
    )
    kernel.ok("k = 2")
    assert kernel.ok(use).text() == ""
    assert bodies.ran() == ["Use"]


def test_a_sealed_value_of_an_earlier_attempt_is_loaded(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    made = step("Make", "import statistics\nd = statistics.NormalDist(3)")
    kernel.ok(made)
    kernel.ok(made.replace("3", "4"))
    again(kernel)
    assert "attempt 1, which is replayed" in kernel.ok(made).text()
    assert kernel.value("d.mean") == 3.0
    assert bodies.ran() == ["Make", "Make"]


def test_a_stub_counts_by_the_attempt_that_it_stands_for(kernel: Kernel) -> None:
    bodies = Bodies(kernel)
    make = step("Make", "%%capture out\nprint(2)")
    cells = [make, step("Use", "n = int(out.stdout)")]
    edited = [make.replace("2", "3"), cells[1]]
    for each in (cells, edited):
        for cell in each:
            kernel.ok(cell)
        again(kernel)
    assert bodies.ran() == ["Make", "Make", "Use", "Use"]
    for each, n in ((edited, 3), (cells, 2), (edited, 3)):
        for cell in each:
            kernel.ok(cell)
        assert kernel.value("n") == n
        again(kernel)
    assert bodies.ran() == []


def test_a_cell_edited_after_later_ones_says_what_it_finds(kernel: Kernel) -> None:
    for cell in (step("Make", "k = [1]"), step("Add", "k.append(2)"), step("Drop", "k.clear()")):
        kernel.ok(cell)
    told = kernel.ok(step("Add", "k.append(3)")).text()
    assert "finds k as the step itself, or one behind it, has changed it" in told
    assert "stepbook redo Add, and Run All" in told


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("x = y", "y"),
        ("x = 1\ny = x", ""),
        ("x += 1", "x"),
        ("for i in rows: print(i)", "print rows"),
        ("if a:\n    b = 1\nc = b", "a b"),
        ("if a:\n    b = 1\nelse:\n    b = 2\nc = b", "a"),
        ("if a:\n    raise E\nelse:\n    b = 2\nc = b", "E a"),
        ("try:\n    b = f()\nexcept E as e:\n    b = e\nc = b", "E f"),
        ("with open(p) as fh:\n    t = fh.read()\nt", "open p"),
        ("[q for q in xs if q]", "xs"),
        ("ys = [z := q for q in xs]", "xs"),
        ("def f(n):\n    return f(n - 1) + k", "k n"),
        ("class C(B):\n    a = 1\n    b = a", "B"),
        ("df['a'] = 1", "df"),
        ("a.b.c = 1", "a"),
        ("if (m := f()): m", "f"),
        ("a and (b := 1)\nb", "a b"),
        ("del x", ""),
        ("while x:\n    y = 1\ny", "x y"),
        ("import numpy as np\nnp.pi", ""),
        ("match p:\n    case [x, y]:\n        x", "p"),
        ("get_ipython().run_cell_magic('time', '', 'u = v\\nw = u')", "get_ipython v"),
        ("x: int = 1\nx", "int"),
        ("lambda a=k: a", "a k"),
        ("with suppress(E):\n    x = f()\nx", "E f suppress x"),
        ("with a.b():\n    x = f()\nx", "a f"),
        ("class M: pass\nwith M():\n    x = f()\nx", "f x"),
        ("class C:\n    a = 1\n    def f(self): return a", "a"),
        ("class C:\n    a = 1\n    b = [a for _ in a]", "a"),
        ("a < b < (c := 1)\nc", "a b c"),
        ("get_ipython().run_line_magic('timeit', 'u = v')\nu", "u v"),
        ("get_ipython().getoutput('head {p[0]} $n $$HOME')", "n p"),
        ("k = 1\ndf.query('a > @k and b > @m')", "df m"),
    ],
)
def test_a_cell_needs_what_it_may_read_before_it_has_bound_it(code: str, names: str) -> None:
    assert sorted(needed(ast.parse(code).body) - {"get_ipython"}) == sorted(
        {*names.split()} - {"get_ipython"}
    )

"""``%stepbook verify``: what a session has executed, once more in a new process."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver import Kernel


#: A kernel asks the processes that it starts for colours.
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def session(kernels: Callable[..., Kernel]) -> Kernel:
    """A kernel in which a cell was executed before the extension was loaded."""
    kernel = kernels()
    kernel.ok("import os, random\nk = 3", "c0")
    kernel.ok("%load_ext stepbook\n%stepbook run review --input dict(pid=1)", "c1")
    return kernel


def verified(kernel: Kernel) -> dict[str, Any]:
    (run,) = json.loads(kernel.ok("%stepbook verify --json").text())["runs"]
    return {step["name"]: step for step in run["steps"]}


def test_cells_of_a_session_are_executed_in_a_new_process_and_the_kernel_stays(
    session: Kernel,
) -> None:
    session.ok("%%step Load\nx = k + 1\npid = os.getpid()", "c2")
    before = session.value("pid")
    text = ANSI.sub("", session.ok("%stepbook verify").text())
    assert "the cells of this session: the code is executed for real" in text
    assert "≠ Load  differs" in text
    assert f"variable pid: recorded: {before}, now: " in text
    assert text.splitlines()[-1] == "differs: 1 of 1 step"
    assert session.value("(x, pid)") == (4, before)
    session.ok("%%step Later\ny = x", "c3")  # the run is still this kernel's


def test_each_cell_counts_once_with_the_code_it_had_last(session: Kernel) -> None:
    session.ok("rows = [1]", "c2")
    session.ok("%%step Add\nrows.append(k)", "c3")
    session.ok("rows = [2]", "c2")  # edited
    session.ok("%stepbook rewind")
    session.ok("%%step Add\nrows.append(k)", "c3")
    session.run("%%step Fails\n1 / 0", "c4")
    session.ok("%%step Fails\nratio = 1", "c4")  # repaired
    found = verified(session)
    assert {name: step["verdict"] for name, step in found.items()} == {
        "Add": "same",
        "Fails": "same",
    }


def test_a_value_that_hidden_state_has_made_is_found(session: Kernel) -> None:
    session.ok("k = 4", "c2")
    session.ok("%%step Use\nx = k", "c3")
    session.ok("%reset_selective -f ^nothing$\nk = 5", "c2")  # the cell was edited afterwards
    found = verified(session)
    assert found["Use"]["differences"] == [
        {"part": "variable x", "where": "", "text": "recorded: 4, now: 5"}
    ]


def test_a_cell_that_has_failed_here_fails_there_and_the_next_is_executed(
    session: Kernel,
) -> None:
    session.run("%%step Fails\n1 / 0", "c2")
    session.ok("%%step Next\ny = 2", "c3")
    assert {name: step["verdict"] for name, step in verified(session).items()} == {
        "Fails": "same",
        "Next": "same",
    }


def test_without_ids_an_edited_step_replaces_the_one_of_its_name(session: Kernel) -> None:
    session.run("%%step A\n1 / 0")
    session.ok("%%step A\nx = 1")
    assert verified(session)["A"]["verdict"] == "same"


def test_a_plain_cell_that_fails_is_marked_as_failed(session: Kernel) -> None:
    session.run("1 / 0", "c2")
    session.ok("%%step Next\ny = 2", "c3")
    text = ANSI.sub("", session.ok("%stepbook verify").text())
    assert re.search(r"✗ 1 / 0 .*\n +ZeroDivisionError: division by zero\n", text)
    assert text.splitlines()[-1] == "same: 1 step"


def test_a_session_that_has_opened_other_runs_before_is_compared(session: Kernel) -> None:
    session.ok("%%step A\nx = 1", "c2")
    session.ok("%stepbook run review --input dict(pid=2)", "c3")
    session.ok("%%step B\ny = 1", "c4")
    assert [*verified(session)] == ["B"]


def test_what_cannot_be_verified_is_one_line_that_names_no_temporary_file(
    session: Kernel, kernels: Any
) -> None:
    told = " ".join(ANSI.sub("", session.ok("%stepbook verify").text("stderr")).split())
    assert told.startswith("stepbook: nothing to compare: neither the record of run_")
    assert told.endswith("nor the cells of this session has a step. Name a cell: %%step Load")
    alone = kernels()
    alone.ok("%load_ext stepbook")
    result = alone.run("%stepbook verify")
    assert "no run is open, so there is no record to compare with" in result.text("stderr")
    assert len(result.text("stderr").splitlines()) == 1
    assert result.error is not None
    assert result.error["ename"] == "UsageError"


def test_an_interrupt_stops_it_with_one_line_and_the_kernel_goes_on(session: Kernel) -> None:
    session.ok("import time", "c2")
    session.ok(
        "%%step Slow\nif os.path.exists('slow'):\n    open('at work', 'w').close(); time.sleep(60)",
        "c3",
    )
    (session.folder / "slow").touch()
    request = session.send("%stepbook verify")
    while not (session.folder / "at work").exists():
        time.sleep(0.02)
    session.manager.interrupt_kernel()
    result = session.collect(request)
    assert result.error is not None  # so the cells that wait are not executed
    assert result.error["ename"] == "Interrupted"
    assert "stepbook: interrupted" in ANSI.sub("", result.text("stderr"))
    assert result.traceback == ""
    assert session.value("1 + 1") == 2


def test_a_kernel_that_is_killed_takes_the_verification_with_it(session: Kernel) -> None:
    session.ok("import time", "c2")
    session.ok(
        "%%step Slow\nif os.path.exists('slow'):\n"
        "    open('at work', 'w').write(str(os.getpid())); time.sleep(60)",
        "c3",
    )
    (session.folder / "slow").touch()
    session.send("%stepbook verify")
    at_work = session.folder / "at work"
    while not (at_work.exists() and at_work.read_text()):
        time.sleep(0.02)
    session.kill()
    ends = time.monotonic() + 60
    while alive(int(at_work.read_text())):
        assert time.monotonic() < ends
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process is there and more than an entry in the table of processes."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_is_refused_where_no_other_process_can_see_the_run(kernels: Any) -> None:
    kernel = kernels()
    kernel.ok("%load_ext stepbook\n%stepbook run review --book :memory:")
    result = kernel.run("%stepbook verify")
    assert "a run in memory cannot be verified" in result.text("stderr") + result.traceback
    result = kernel.run("%stepbook verify --loud")
    assert "--loud" in result.text("stderr") + result.traceback

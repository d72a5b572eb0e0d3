"""Cells that were redone or accepted: by pattern, with what comes from them, and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driver import Kernel

LOAD = "%%step Load\nrows = [3, 1, 2]"
SORT = "%%step Sort\nordered = sorted(rows)"
FIRST = "%%step First\nfirst = ordered[0]"
OTHER = "%%step Other\nk = 1"


def statuses(kernel: Kernel) -> dict[str, str]:
    return kernel.value("dict(zip(run.steps()['name'], run.steps()['status'].astype(str)))")


def pending(kernel: Kernel) -> list[str]:
    return [name for name, status in statuses(kernel).items() if status == "pending"]


def again(kernel: Kernel) -> None:
    """Forget all names and this session, as a new kernel would, and open the run again."""
    kernel.ok("%reset -f")
    kernel.ok("%reload_ext stepbook\n%stepbook run tests")


def test_downstream_executes_the_cells_whose_inputs_come_from_a_step_through_others_too(
    kernel: Kernel,
) -> None:
    for cell in (LOAD, SORT, FIRST, OTHER):
        kernel.ok(cell)
    said = kernel.ok("%stepbook redo Load --downstream").text()
    assert said == (
        "stepbook: 'Load' and 2 steps with inputs from it will be executed again in the next pass: "
        "Sort, First.\n"
    )
    assert pending(kernel) == ["Load", "Sort", "First"]
    assert kernel.value("run.logs()['message'][0]").startswith(
        "redo of step 'Load' with 2 steps downstream by "
    )
    kernel.ok("%stepbook undo")
    assert pending(kernel) == []
    kernel.ok("%stepbook redo --downstream S*")
    assert pending(kernel) == ["Sort", "First"]


def test_downstream_follows_what_has_no_content_and_what_another_cell_has_changed(
    kernel: Kernel,
) -> None:
    kernel.ok("%%step Open\nimport threading\nlock = threading.Lock()\nrows = [2, 1]")
    kernel.ok("%%step Use\nfree = lock.acquire(False); lock.release()")
    kernel.ok("%%step Change\nrows.sort()")
    kernel.ok("%%step Look\nfirst = rows[0]")
    again(kernel)
    kernel.ok("run.redo('Open', downstream=True)")
    assert pending(kernel) == ["Open", "Use", "Change", "Look"]


def test_downstream_names_later_steps_of_which_no_origins_are_recorded(kernel: Kernel) -> None:
    for cell in (LOAD, SORT, "run.do('Send', lambda: None)"):
        kernel.ok(cell)
    said = kernel.ok("%stepbook redo Sort --downstream").text()
    assert "'Sort' will be executed again in the next pass. No recorded input comes from it." in (
        said
    )
    assert "1 later step keeps its result, since it is not recorded where" in said
    assert "Send. run.rewind('Sort') executes it and all later steps again." in said
    assert pending(kernel) == ["Sort"]


def test_what_was_taken_back_replays_with_variables_and_output(kernel: Kernel) -> None:
    kernel.ok("calls = []")
    cell = "%%step Train\ncalls.append(1)\nmodel = {'n': len(calls)}\nprint('trained')"
    kernel.ok(cell)
    kernel.ok("%stepbook rewind")
    again(kernel)
    kernel.ok("calls = []")
    said = kernel.ok("%stepbook undo").text()
    assert "was taken back: 1 step stands as before." in said
    assert kernel.ok(cell).text() == "trained\n"
    assert kernel.value("model") == {"n": 1}
    attempts = kernel.value("run.attempts()[['attempt', 'status', 'progress']].values.tolist()")
    assert [row[:2] for row in attempts] == [[1, "succeeded"], [2, "succeeded"]]
    assert attempts[1][2]["made_by"] == 1


def test_an_accept_that_was_taken_back_has_the_edited_cell_executed(kernel: Kernel) -> None:
    kernel.ok("%%step Train\nmodel = 1")
    edited = "%%step Train\nmodel = 2"
    kernel.ok("%stepbook accept Tr*")
    kernel.ok(edited)
    assert kernel.value("model") == 1
    kernel.ok("%stepbook undo")
    assert "its code changed; it is executed again" in kernel.ok(edited).text()
    assert kernel.value("model") == 2
    result = kernel.run("%stepbook undo")
    assert result.error is not None
    assert "nothing to take back" in result.traceback


def test_undo_takes_no_name(kernel: Kernel) -> None:
    result = kernel.run("%stepbook undo Train")
    assert result.error is not None
    assert "takes nothing more" in result.error["evalue"]

"""Attempts and runs of cells side by side: their variables, and the lines of their source."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driver import Kernel

LOAD = (
    "%%step Load\nimport pandas as pd\nrate = {rate}\ndf = pd.DataFrame({{'Age': [22.0, {rate}]}})"
)
FIT = """%%step Fit
# {comment}
def fit(x):
    y = x * rate
    return {returned}
stats = {{"auc": fit(2)}}
stats"""


def told(kernel: Kernel, name: str) -> dict[str, list[list[str]]]:
    """The rows of the last two attempts, by what they are about; a count and a time left out."""
    kernel.ok(f"frame = run.diff_attempts({name!r})")
    found: dict[str, list[list[str]]] = {}
    for what, *row in kernel.value("frame.to_numpy().tolist()"):
        if what not in ("attempt", "started_at", "seconds"):
            found.setdefault(what, []).append(row)
    return found


def test_attempts_of_an_edited_cell_are_told_with_variables_and_source(kernel: Kernel) -> None:
    for rate in (3.0, 4.0):
        kernel.ok(LOAD.format(rate=rate))
    assert told(kernel, "Load") == {
        "status": [["", "succeeded", "succeeded", ""]],
        "return": [["", "null", "null", "same"]],
        "variable": [
            ["rate", "3.0", "4.0", "+1"],
            ['df, column "Age", row 1', "3.0", "4.0", "+1, 1 of 2 values"],
        ],
        "fingerprint": [["", "", "", "its code changed"]],
        "source": [
            ["line 2", "rate = 3.0", "rate = 4.0", ""],
            [
                "line 3",
                "df = pd.DataFrame({'Age': [22.0, 3.0]})",
                "df = pd.DataFrame({'Age': [22.0, 4.0]})",
                "",
            ],
        ],
    }


def test_lines_that_only_one_attempt_has_are_told_as_such(kernel: Kernel) -> None:
    kernel.ok("rate = 2")
    kernel.ok(FIT.format(comment="first", returned="y"))
    kernel.ok(FIT.format(comment="first", returned="y + 1\n    # not reached"))
    found = told(kernel, "Fit")
    assert found["return"] == [[".auc", "4", "5", "+1"]]
    assert found["variable"] == [["stats.auc", "4", "5", "+1"]]
    assert found["source"] == [
        ["line 4", "    return y", "    return y + 1", ""],
        ["line 5", "", "    # not reached", "new"],
    ]
    # In one line the value of a cell, which is one of its variables, is told once.
    kernel.ok("import stepbook\nother = stepbook.run('other', new=True)")
    kernel.ok(FIT.format(comment="first", returned="y"))
    kernel.ok("row = run.diff(other).query(\"name == 'Fit'\").iloc[0]")
    assert kernel.value("row['differs']") == "variable stats.auc: 5 -> 4 (-1)"
    assert kernel.value("row['fingerprint']") == "its code changed"


def test_a_comment_is_a_line_of_source_and_no_change_of_the_code(kernel: Kernel) -> None:
    kernel.ok("rate = 2")
    kernel.ok(FIT.format(comment="first", returned="y"))
    kernel.ok("run.redo('Fit')")
    kernel.ok(FIT.format(comment="second", returned="y"))
    found = told(kernel, "Fit")
    assert found["fingerprint"] == [["", "", "", "same"]]
    assert found["source"] == [["line 1", "# first", "# second", ""]]
    kernel.ok("run.redo('Fit')")
    kernel.ok(FIT.format(comment="second", returned="y"))
    assert told(kernel, "Fit")["source"] == [["", "", "", "same"]]

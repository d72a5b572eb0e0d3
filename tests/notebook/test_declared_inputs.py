"""What the line of a cell declares decides whether the cell is executed again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from stepbook.notebook.transform import Lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver import Kernel

    from stepbook.notebook.requests import Request


@pytest.fixture
def folder(kernel: Kernel, tmp_path: Path) -> Path:
    """The test's own folder, in which the kernel works."""
    kernel.ok(f"import os; os.chdir({str(tmp_path)!r})")
    return tmp_path


@pytest.fixture
def opened_again(kernel: Kernel, folder: Path) -> Callable[[], None]:
    """Forget all names and the session, as a new kernel would, and open the run again."""

    def again() -> None:
        kernel.ok("%reset -f")
        kernel.ok(f"import os; os.chdir({str(folder)!r})")
        kernel.ok("%reload_ext stepbook\n%stepbook run tests")

    return again


def fingerprint(kernel: Kernel, name: str) -> dict[str, dict[str, str]]:
    """Return what is recorded of a step."""
    text = kernel.value(f"run.steps().set_index('name').loc[{name!r}, 'fingerprint']")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found


def test_a_declared_file_that_changes_executes_the_cell(kernel, folder, opened_again):
    cell = "%%step Load -- --deps data.csv\nprint('executed')\nrows = open('data.csv').read()"
    data = folder / "data.csv"
    data.write_text("a,b")
    assert kernel.ok(cell).text() == "executed\n"
    opened_again()
    kernel.ok(cell)
    assert kernel.value("int(run.attempts()['attempt'].max())") == 1
    data.write_text("a,b,c")
    said = "stepbook: 'Load': file data.csv changed: 3 bytes -> 5 bytes; it is executed again.\n"
    assert said in kernel.ok(cell).text()
    assert kernel.value("rows") == "a,b,c"
    data.write_text("a,b")
    assert "attempt 1, which is replayed" in kernel.ok(cell).text()
    assert kernel.value("rows") == "a,b"


def test_a_declared_folder_that_changes_executes_the_cell(kernel, folder):
    (folder / "data").mkdir()
    (folder / "data" / "one.csv").write_text("1")
    cell = "%%step Load -- --deps data\nimport os\nnames = sorted(os.listdir('data'))"
    kernel.ok(cell)
    (folder / "data" / "two.csv").write_text("2")
    assert "folder data changed: 1 file -> 2 files" in kernel.ok(cell).text()
    assert kernel.value("names") == ["one.csv", "two.csv"]


def test_a_file_that_the_cell_itself_writes_does_not_execute_it_again(kernel, folder):
    cell = "%%step Note -- --deps log.txt\n_ = open('log.txt', 'a').write('x')"
    for _ in range(3):
        kernel.ok(cell)
    assert (folder / "log.txt").read_text() == "x"


CLEAN = "def helper(x): return x\ndef clean(x): return helper(x)"


def test_declared_code_and_what_it_reaches_execute_the_cell(kernel, opened_again):
    cell = "%%step Train -- --deps clean\nmodel = 1"
    kernel.ok(CLEAN)
    kernel.ok(cell)
    opened_again()
    kernel.ok(CLEAN.replace("x): return x", "x): return x + 1"))
    said = kernel.ok(cell).text()
    assert said == "stepbook: 'Train': dependency helper changed; it is executed again.\n"
    kernel.ok(CLEAN)
    assert "attempt 1, which is replayed" in kernel.ok(cell).text()


def test_a_declared_variable_counts_as_an_input(kernel):
    kernel.ok("config = {'k': 1}")
    kernel.ok("%%step Train -- --deps config\nmodel = 1")
    kernel.ok("config = {'k': 2}")
    said = kernel.ok("%%step Train -- --deps config\nmodel = 1").text()
    assert said == 'stepbook: \'Train\': input config: {"k":1} -> {"k":2}; it is executed again.\n'


def test_a_new_version_executes_the_cell(kernel):
    for version, said in (
        (None, ""),
        ("1", "stepbook: 'Train': version: none -> 1; it is executed again.\n"),
        ("1", ""),
        ("2", "stepbook: 'Train': version: 1 -> 2; it is executed again.\n"),
        (None, "is as it was in its attempt 1, which is replayed"),
    ):
        line = "%%step Train" + (f" -- --version {version}" if version else "")
        assert said in kernel.ok(f"{line}\nmodel = 1").text()


def test_a_step_that_is_given_dependencies_is_executed_with_them(kernel, folder):
    (folder / "data.csv").write_text("1")
    kernel.ok(CLEAN)
    kernel.ok("%%step Train\nmodel = 1")
    said = kernel.ok("%%step Train -- --deps data.csv,clean\nmodel = 1").text()
    for what in ("dependency clean is new", "dependency data.csv is new"):
        assert what in said


def test_a_dependency_that_is_neither_a_name_nor_a_file_is_told_once(kernel, folder):
    cell = "%%step Train -- --deps claen\nmodel = 1"
    said = kernel.ok(cell).text()
    assert "--deps names claen, which is neither a name of the notebook nor a file here" in said
    assert kernel.ok(cell).text() == ""


def test_without_declarations_a_cell_has_the_fingerprint_that_it_always_had(kernel):
    kernel.ok(CLEAN + "\nrows = [1]")
    kernel.ok("%%step Train\nmodel = clean(rows)")
    assert list(fingerprint(kernel, "Train")) == ["code", "reached", "inputs"]


# ---- once -----------------------------------------------------------------------------------

ONCE = [
    "%%step Send -- --once\n",
    "%%step Send -- --once --on-change ignore\n",
    "%%step Send\n#| once\n",
    "#| step: Send\n#| once\n",
    "#| once: true\n#| step: Send\n",
]


@pytest.mark.parametrize("line", ONCE)
def test_what_is_sent_once_is_not_sent_again_whatever_changes(kernel, opened_again, line):
    kernel.ok("to = 'Ada'")
    assert kernel.ok(f"{line}print('sent to', to)").text() == "sent to Ada\n"
    kernel.ok("to = 'Grace'")
    edited = f"{line}print('has been sent to', to)"
    assert kernel.ok(edited).text() == "sent to Ada\n"
    opened_again()
    kernel.ok("to = 'Grace'")
    assert kernel.ok(edited).text() == "sent to Ada\n"


def asked(text: str) -> Request:
    """Return what the first line of a cell asks for."""
    lines = Lines(lambda line: line)
    lines(text.splitlines(keepends=True))
    [request] = lines.requests.values()
    return request


def test_once_counts_only_above_the_code() -> None:
    assert asked("#| step: A\n# note\n#| once\nx = 1\n").on_change == "ignore"
    assert asked("#| step: A\nx = 1\n#| once\n").on_change is None


WRONG = {
    "%%step A -- --once --on-change rerun\n": "--on-change rerun does not go with it",
    "#| step: A -- --on-change warn\n#| once\n": "--on-change warn does not go with it",
    "%%step A -- --once --no-store\n": "--no-store executes the cell each time",
    "%%step A -- --once=yes\n": "--once takes no value",
    "%%step A -- --deps\n": "--deps takes names and files",
    "%%step A -- --deps ,\n": "--deps takes names and files",
    "%%step A -- --version\n": "--version takes a text",
    "%%step A -- --version --once\n": "--version takes a text",
    "%%step A -- --ignore a-b\n": "--ignore takes names",
    "%%step A -- --ignore a --deps a\n": "--deps and --ignore both name a",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_line_that_contradicts_itself_is_refused(text: str) -> None:
    assert WRONG[text] in asked(text + "x = 1\n").problem


def test_names_and_paths_are_read_as_they_are_written() -> None:
    request = asked("%%step A -- --deps 'my data/a.csv, clean' --ignore=today,client\n")
    assert request.deps == ("my data/a.csv", "clean")
    assert request.ignore == ("today", "client")


# ---- ignore ---------------------------------------------------------------------------------

NOW = "today = {day}\ndef client(): return {day}\nboth = [{day}]; other = both"
READS = "rows = [today, client(), both, other, k]"


def test_ignored_inputs_do_not_execute_the_cell_and_others_do(kernel, opened_again):
    cell = f"%%step Load -- --ignore today,client,both,other\n{READS}"
    kernel.ok(NOW.format(day=1) + "\nk = 1")
    kernel.ok(cell)
    recorded = fingerprint(kernel, "Load")
    assert recorded["inputs"] == {"k": "=1"}
    assert not {"reached", "shared"} & recorded.keys()
    opened_again()
    kernel.ok(NOW.format(day=2) + "\nk = 1")
    assert kernel.ok(cell).text() == ""
    kernel.ok("k = 2")
    assert kernel.ok(cell).text() == "stepbook: 'Load': input k: 1 -> 2; it is executed again.\n"


def test_of_inputs_that_share_something_one_can_be_ignored(kernel):
    kernel.ok("a = [1]; b = a; c = a")
    kernel.ok("%%step Load -- --ignore a\nrows = [a, b, c]")
    assert list(fingerprint(kernel, "Load")["shared"]) == ["b, c"]
    kernel.ok("c = [1]")
    said = kernel.ok("%%step Load -- --ignore a\nrows = [a, b, c]").text()
    assert "what b, c share changed" in said


def test_to_ignore_an_input_that_was_recorded_replays(kernel):
    kernel.ok(NOW.format(day=1) + "\nk = 1")
    kernel.ok(f"%%step Load\n{READS}")
    kernel.ok(NOW.format(day=2))
    line = "%%step Load -- --ignore today,client,both,other"
    assert kernel.ok(f"{line}\n{READS}").text() == ""
    assert "input today: 1 -> 2" in kernel.ok(f"%%step Load\n{READS}").text()


def test_an_input_that_was_ignored_is_unknown_and_said_so(kernel):
    kernel.ok(NOW.format(day=1) + "\nk = 1")
    kernel.ok(f"%%step Load -- --ignore today,client\n{READS}")
    kernel.ok(NOW.format(day=1).replace("= 1", "= 2"))
    said = kernel.ok(f"%%step Load\n{READS}").text()
    assert said == (
        "stepbook: 'Load' is replayed. It was recorded with --ignore client,today, so nobody knows "
        "whether that has changed since. To execute it on what is there now: "
        "%stepbook redo Load\n"
    )
    assert kernel.value("rows[0]") == 1


def test_an_ignored_name_that_the_cell_does_not_read_is_told_once(kernel):
    cell = "%%step Load -- --ignore todya\nrows = [k]"
    kernel.ok("k = 1")
    said = kernel.ok(cell).text()
    assert said.count("--ignore names todya, which this cell does not read") == 1
    assert kernel.ok(cell).text() == ""

"""What cells leave beside their variables: files, loggers, attributes of modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver import Kernel

WRITE = "%%step Write\nwith open('rows.csv', 'w') as file:\n    _n = file.write('a,b')"
READ = "%%step Read\nwith open('rows.csv') as file:\n    rows = file.read()"


def said(kernel: Kernel, *cells: str) -> list[str]:
    """Execute cells and return what each has printed."""
    results = [kernel.ok(cell) for cell in cells]
    return [result.text() + result.text("stderr") for result in results]


@pytest.fixture
def restarted(kernels: Callable[[], Kernel]) -> Kernel:
    """A kernel in which a file's writer is replayed and its reader was never executed."""
    kernel = kernels()
    kernel.ok("%load_ext stepbook")
    kernel.ok("%stepbook run files")
    kernel.ok(WRITE)
    kernel.restart()
    kernel.ok("%load_ext stepbook")
    kernel.ok("%stepbook run files")
    return kernel


def test_file_that_is_as_it_was_written_is_read_without_a_word(restarted):
    assert said(restarted, WRITE, READ) == ["", ""]
    assert restarted.ok("rows").value == "'a,b'"


def test_same_content_at_another_time_is_no_change(restarted):
    path = restarted.folder / "rows.csv"
    path.unlink()
    path.write_text("a,b")
    assert said(restarted, WRITE, READ) == ["", ""]


def test_file_that_is_gone_is_told_when_a_cell_that_names_it_executes(restarted):
    (restarted.folder / "rows.csv").unlink()
    assert said(restarted, WRITE) == [""]
    result = restarted.run(READ)
    assert result.error["ename"] == "FileNotFoundError"
    words = result.text() + result.text("stderr")
    assert "'rows.csv'" in words
    assert "written by the step 'Write' and is missing" in words
    assert "%stepbook redo Write" in words


def test_file_that_has_changed_is_told_once_to_plain_cells_too(restarted):
    (restarted.folder / "rows.csv").write_text("a,b,c")
    first, second = said(restarted, WRITE, "text = open('rows.csv').read()")
    assert first == ""
    assert "'rows.csv'" in second
    assert "has changed since (3 bytes then, 5 now)" in second
    assert said(restarted, READ) == [""]


def test_step_that_writes_it_again_ends_the_matter(restarted):
    (restarted.folder / "rows.csv").write_text("a,b,c")
    restarted.ok("%stepbook redo Write")
    assert "changed" not in said(restarted, WRITE)[0]
    assert said(restarted, READ) == [""]
    assert restarted.ok("rows").value == "'a,b'"


def test_logging_that_a_cell_sets_up_prints_after_a_restart(kernels):
    kernel = kernels()
    step = (
        "%%step Set up\nimport logging\n"
        "logging.basicConfig(level=logging.INFO, format='%(levelname)s: %(message)s', force=True)\n"
        "logging.getLogger('noisy').setLevel(logging.ERROR)"
    )
    for _ in range(2):
        for cell in ("%load_ext stepbook", "%stepbook run logs", step):
            kernel.ok(cell)
        kernel.ok("import logging")
        assert kernel.ok("logging.info('hello')").text("stderr") == "INFO: hello\n"
        assert kernel.ok("logging.getLogger('noisy').warning('hush')").text("stderr") == ""
        kernel.restart()


def test_handler_that_writes_a_file_is_not_added_again_and_that_is_said(kernels):
    kernel = kernels()
    step = (
        "%%step Set up\nimport logging\n"
        "logging.getLogger('x').addHandler(logging.FileHandler('x.log'))"
    )
    for cell in ("%load_ext stepbook", "%stepbook run logs", step):
        kernel.ok(cell)
    kernel.restart()
    for cell in ("%load_ext stepbook", "%stepbook run logs"):
        kernel.ok(cell)
    words = kernel.ok(step).text("stderr")
    assert "FileHandler was not added again" in words
    assert "%stepbook redo Set up" in words


def test_attribute_of_a_module_is_set_again_only_where_the_text_assigns_it(kernels):
    kernel = kernels()
    cells = [
        "%load_ext stepbook",
        "%stepbook run attributes",
        "import math, pandas as pd",
        "%%step Set\nmath.ANSWER = 42\npd.DataFrame.total = lambda self: self.sum().sum()",
    ]
    for cell in cells:
        kernel.ok(cell)
    kernel.restart()
    for cell in cells:
        kernel.ok(cell)
    assert kernel.ok("math.ANSWER, int(pd.DataFrame({'a': [1, 2]}).total())").value == "(42, 3)"


@pytest.mark.parametrize("line", ["pwd", "ls", "%pwd"])
def test_magic_without_a_percent_sign_works_below_the_line_of_a_step(kernel, line):
    shown = kernel.ok(f"%%step Where\n{line}")
    assert shown.value or shown.text()
    again = kernel.ok(f"%%step Where\n{line}")
    assert (again.value, again.text()) == (shown.value, shown.text())

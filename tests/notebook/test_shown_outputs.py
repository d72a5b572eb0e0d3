"""What a kernel writes into its outputs, through a real kernel without a browser."""

from __future__ import annotations

import nbclient
import nbformat
import pytest


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Execute cells in a kernel; return each cell's displayed data."""
    monkeypatch.setenv("STEPBOOK_BOOK", str(tmp_path / "book.duckdb"))

    def execute(*sources):
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in sources]
        )
        nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
        return [
            [output.data for output in cell.outputs if "data" in output] for cell in notebook.cells
        ]

    return execute


RUN = "import stepbook\nrun = stepbook.run('loop', new=True)\nrun"
STEP = "run.do('Load profile', lambda: 'EU');"


def test_an_output_is_brought_up_to_date_when_a_cell_has_ended(execute):
    (shown,), *_ = execute(RUN, STEP)
    assert set(shown) == {"text/html", "text/plain"}
    assert "Load profile" in shown["text/html"]
    assert "stepbook-slot-" in shown["text/html"]


def test_a_stable_output_is_the_same_in_every_execution(execute, monkeypatch):
    monkeypatch.setenv("STEPBOOK_STABLE_REPR", "1")
    first, second = (execute(RUN, STEP, "run") for _ in range(2))
    assert first == second
    assert "Load profile" not in first[0][0]["text/html"]
    assert "Load profile" in first[2][0]["text/html"]


def test_a_front_end_that_needs_it_gets_the_widget_until_the_run_has_ended(execute, monkeypatch):
    monkeypatch.setenv("VSCODE_PID", "1")
    widget = "application/vnd.jupyter.widget-view+json"
    assert widget in execute(RUN, STEP)[0][0]
    assert widget not in execute(RUN, STEP, "run.finish()")[0][0]


def test_without_the_bundle_the_static_view_is_there_and_what_to_run(execute):
    hide = "import pathlib\nfrom stepbook.timeline import bundle\nbundle.PATH = pathlib.Path('x')\n"
    (shown,), *_ = execute(hide + RUN, STEP)
    assert "loop" in shown["text/html"]
    assert "stepbook-slot" not in shown["text/html"]

"""Acting from the timeline while a cell executes, with the kernels that people have."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from playwright.sync_api import expect

OPEN = """import stepbook
run = stepbook.run("matrix", new=True)
run"""
WAIT = "run.do('Done before', lambda: 1)\nscan = run.wait_for_scan(timeout='2 minutes')"
#: Those that answer while a cell executes, and the last that does not.
AT_ONCE = ("installed", "7.1.0", "7.3.0")
AFTERWARDS = ("6.31.0",)


@pytest.fixture
def kernel(request, server, tmp_path_factory):
    """Make a kernel with this version of ipykernel known to the server; return its name."""
    version = request.param
    if version == "installed":
        return "python3"
    folder = tmp_path_factory.getbasetemp() / f"ipykernel-{version}"
    if not folder.exists():
        wanted = [f"ipykernel=={version}", "nest-asyncio", "nest-asyncio2"]
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder]
        done = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
        if done.returncode and os.environ.get("STEPBOOK_REQUIRE_BROWSER") != "1":
            pytest.skip(f"ipykernel {version} cannot be installed: {done.stderr[-500:]}")
        assert not done.returncode, done.stderr
    spec = server.root / "jupyter" / "DATA_DIR" / "kernels" / f"ipykernel-{version}"
    spec.mkdir(parents=True, exist_ok=True)
    about = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "env": {"PYTHONPATH": str(folder)},
        "display_name": f"ipykernel {version}",
        "language": "python",
    }
    (spec / "kernel.json").write_text(json.dumps(about))
    return spec.name


@pytest.fixture
def waiting(notebook, kernel, request):
    """Return a notebook of which the second cell executes: it waits for a scan."""
    nb = notebook(
        OPEN, WAIT, "import ipykernel\nprint('version', ipykernel.__version__)", kernel=kernel
    )
    nb.run_cell(2)
    version = request.node.callspec.params["kernel"]
    if version != "installed":
        expect(nb.page.get_by_text(f"version {version}", exact=True)).to_be_visible()
    nb.run_cell(0)
    nb.page.wait_for_selector(".sb-root")
    nb.page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    nb.start("notebook:run-cell")
    expect(head(nb, "Wait for scan")).to_contain_text("left")
    head(nb, "Done before").click()
    nb.timeline.get_by_role("button", name="Redo").click()
    return nb


def head(nb, name):
    """Return the head of a row."""
    return nb.timeline.locator(".sb-head", has=nb.page.get_by_text(name, exact=True))


def pending(nb):
    """Return the rows that will be executed again."""
    return nb.timeline.locator('.sb-row[data-status="pending"]')


@pytest.mark.parametrize("server", ["lab"], indirect=True)
@pytest.mark.parametrize("kernel", AT_ONCE, indirect=True)
def test_redo_and_delivery_are_answered_while_the_cell_executes(waiting):
    expect(pending(waiting)).to_have_count(1)
    assert not waiting.page.evaluate("window.ended")
    head(waiting, "Wait for scan").click()
    waiting.timeline.get_by_role("textbox", name="Payload").fill('{"heart_rate": 61}')
    waiting.timeline.get_by_role("button", name="Deliver").click()
    waiting.page.wait_for_function("window.ended", timeout=15_000)
    expect(waiting.timeline).to_contain_text("heart_rate: 61")


@pytest.mark.parametrize("server", ["lab"], indirect=True)
@pytest.mark.parametrize("kernel", AFTERWARDS, indirect=True)
def test_an_older_kernel_answers_afterwards_and_the_timeline_says_so(waiting, server):
    expect(waiting.timeline.get_by_role("alert")).to_contain_text(
        "it answers when the cell has ended"
    )
    expect(pending(waiting)).to_have_count(0)
    run_id = waiting.timeline.get_by_title("Copy the run's id").text_content()
    deliver = "import stepbook, sys; stepbook.connect(sys.argv[1]).deliver_scan(sys.argv[2], 61)"
    book = server.root / "stepbook.duckdb"
    subprocess.run([sys.executable, "-c", deliver, book, run_id], check=True, capture_output=True)
    waiting.page.wait_for_function("window.ended", timeout=15_000)
    expect(pending(waiting)).to_have_count(1)
    expect(waiting.timeline.get_by_role("alert")).to_be_hidden()

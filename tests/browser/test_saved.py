"""Notebooks that were executed elsewhere, opened and converted: nothing asks for a kernel."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from pictures import keep
from playwright.sync_api import expect

OPEN = "import stepbook\nrun = stepbook.run('converted', input={'n': 1}, new=True)\nrun"
STEPS = """run.do('Load profile', lambda: {'region': 'EU'})
def fails():
    raise ValueError('image is 640 px wide')
try:
    run.do('Score', fails)
except ValueError:
    pass"""
CELLS = (OPEN, STEPS, "stepbook.connect()")


@pytest.fixture
def convert(tmp_path):
    """Call nbconvert on a notebook."""

    def call(path, *options):
        environment = {**os.environ, "STEPBOOK_BOOK": str(tmp_path / "book.duckdb")}
        command = [sys.executable, "-m", "jupyter", "nbconvert", *options, str(path)]
        subprocess.run(command, check=True, capture_output=True, env=environment)

    return call


def test_a_notebook_that_nbconvert_executed_shows_its_timeline(notebook, convert):
    nb = notebook(
        *CELLS, prepare=lambda path: convert(path, "--execute", "--to", "notebook", "--inplace")
    )
    output = nb.page.locator(".jp-OutputArea-output").filter(has_text="converted").first
    expect(output).to_contain_text("Load profile")
    expect(output).to_contain_text("image is 640 px wide")
    expect(nb.page.get_by_text("model not found")).to_have_count(0)
    expect(nb.page.get_by_text("Error displaying widget")).to_have_count(0)
    nb.keep("nbconvert-executed")


def test_a_notebook_converted_to_html_shows_its_timeline_without_a_network(
    notebook, convert, browser
):
    nb = notebook(
        *CELLS, prepare=lambda path: convert(path, "--execute", "--to", "notebook", "--inplace")
    )
    convert(nb.path, "--to", "html")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(nb.path.with_suffix(".html").as_uri(), wait_until="domcontentloaded")
    expect(page.get_by_text("Load profile").first).to_be_visible()
    expect(page.get_by_text("image is 640 px wide").first).to_be_visible()
    expect(page.locator("details").first).to_be_visible()
    keep(page, f"{nb.server.app}-nbconvert-html")
    context.close()

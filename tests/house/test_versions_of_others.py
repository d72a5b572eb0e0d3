"""The lowest versions that pyproject.toml allows can be told, so that they can be tested."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOWEST = ROOT / "scripts" / "lowest.py"


def test_every_dependency_has_a_lowest_version_and_is_pinned_to_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    done = subprocess.run([sys.executable, LOWEST], capture_output=True, text=True, check=True)
    pins = dict(line.split("==") for line in done.stdout.splitlines())
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["ml"], *extras["run"]]
    assert {f"{name}>={version}" for name, version in pins.items()} == set(wanted)


def test_a_dependency_without_a_lowest_version_is_refused():
    lowest = runpy.run_path(str(LOWEST))["lowest"]
    project = {"project": {"dependencies": ["click"], "optional-dependencies": {}}}
    with pytest.raises(ValueError, match="click has no lower bound"):
        lowest(project, extras=())


def test_what_executes_notebooks_is_imported_without_the_grammar_that_nobody_needs():
    code = """
import sys
from stepbook.notebook.formats import lightly
with lightly():
    import nbclient, nbformat
assert "rfc3987_syntax" not in sys.modules, "it is neither loaded nor hidden afterwards"
nbformat.validate(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]))
try:
    wrong = [{"cell_type": "code"}]
    nbformat.validate({"cells": wrong, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
except nbformat.ValidationError:
    print("checked")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "checked\n"

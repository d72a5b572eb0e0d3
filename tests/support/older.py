"""Older versions of what stepbook works with, in folders beside the installed ones."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import venv
from contextlib import suppress
from pathlib import Path

import pytest


def install(folder: Path, *wanted: str, **environment: str) -> None:
    """Put the packages that are *wanted* into *folder*, all of them or none."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        pip = sys.executable
        if importlib.util.find_spec("pip") is None:
            venv.create(Path(scratch) / "pip", with_pip=True)
            pip = next((Path(scratch) / "pip").glob("[bS]*/python*"))
        target = Path(scratch) / "target"
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"]
        options += ["--only-binary", ":all:"]
        patience = ["--retries", "2", "--timeout", "15"]
        done = subprocess.run(
            [pip, "-m", "pip", "install", *options, *patience, "--target", target, *wanted],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.fail(
                f"{wanted[0]}, which stepbook supports, could not be installed "
                f"into {folder}. This test needs a package index once; pip said:\n{done.stderr}",
                pytrace=False,
            )
        with suppress(OSError):  # another process was first
            target.rename(folder)

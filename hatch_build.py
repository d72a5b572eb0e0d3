"""Builds the timeline's bundle, ``stepbook/static/timeline.js``, into wheels and sdists.

A wheel from a checkout always gets a fresh bundle; one from an sdist takes the bundle that came
with it and needs no Node; an editable install builds it only if it is missing, and goes on without
it where there is no Node: everything but the timeline works then, and the timeline says what to
run.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = "stepbook/static/timeline.js"


class BundleHook(BuildHookInterface[Any]):
    """Runs npm where the bundle is needed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the bundle if this build needs it."""
        root = Path(self.root)
        bundle = root / BUNDLE
        editable = version == "editable"
        from_sdist = (root / "PKG-INFO").exists()
        if bundle.exists() and (editable or from_sdist):
            return
        npm = shutil.which("npm")
        if npm is None:
            problem = (
                f"{BUNDLE} needs Node 20.19 or newer: install it, then `npm ci && npm run build`"
            )
            if not editable:
                raise RuntimeError(problem)
            self.app.display_warning(problem)
            return
        commands = [] if (root / "node_modules").exists() else [["ci", "--ignore-scripts"]]
        for command in (*commands, ["run", "build"]):
            subprocess.run([npm, *command], cwd=root, check=True)  # noqa: S603

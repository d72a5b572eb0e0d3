"""Other versions of Python that are at hand, for what differs between them.

``STEPBOOK_PYTHONS`` names more of them, separated like the folders in PATH. One counts if it can
import what stepbook needs.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import stepbook

_NAMES = ("python3.11", "python3.12", "python3.13", "python3.14")
_ROOT = Path(stepbook.__file__).parents[1]
_TELL = """
import sys
import duckdb, pandas, pyarrow, stepbook, tenacity, xxhash
print("%d.%d" % sys.version_info[:2])
"""


def environment() -> dict[str, str]:
    """What a child needs to find this stepbook, with any Python."""
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": path}


@functools.cache
def pythons() -> dict[str, str]:
    """Return one executable for each version, the one that runs the tests first."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    named = os.environ.get("STEPBOOK_PYTHONS", "").split(os.pathsep)
    for name in filter(None, (*named, *map(shutil.which, _NAMES))):
        done = subprocess.run(
            [name, "-c", _TELL], capture_output=True, text=True, env=environment(), check=False
        )
        if done.returncode == 0:
            found.setdefault(done.stdout.strip(), name)
    return found

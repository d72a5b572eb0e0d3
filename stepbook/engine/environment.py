"""What a run was made with."""

from __future__ import annotations

import os
import platform
import sys
from json import dumps


def environment() -> str:
    """Return what the run was made with, as JSON."""
    versions = {"stepbook": _version("stepbook"), "duckdb": _version("duckdb")}
    main = sys.modules.get("__main__")
    return dumps(
        {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "host": platform.node(),
            "notebook": os.environ.get("JPY_SESSION_NAME") or getattr(main, "__file__", None),
            "versions": versions,
        },
        ensure_ascii=False,
    )


def _version(name: str) -> str | None:
    from importlib import metadata  # noqa: PLC0415 - once, for a new run

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

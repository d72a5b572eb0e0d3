"""Print the lowest versions that pyproject.toml allows, one requirement a line, for pip.

    python scripts/lowest.py > constraints.txt
    pip install --constraint constraints.txt --editable . pytest

A bound that pip cannot keep, or with which the tests fail, is none: raise it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

#: A name, perhaps with extras, and the version from which it is allowed.
_BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?\s*>=\s*(?P<version>[0-9][0-9.]*)")


def lowest(project: dict[str, object], extras: tuple[str, ...] = ("ml", "run")) -> list[str]:
    """Return ``name==version`` of each dependency, and of those that extras add.

    Raises:
        ValueError: a dependency has no lower bound.
    """
    about = project["project"]
    assert isinstance(about, dict)  # noqa: S101 - the table of a project
    wanted = list(about["dependencies"])
    for extra in extras:
        wanted += about["optional-dependencies"][extra]
    found = {}
    for requirement in wanted:
        bound = _BOUND.match(requirement)
        if bound is None:
            raise ValueError(f"{requirement} has no lower bound: write {requirement}>=VERSION")
        found[bound["name"]] = bound["version"]
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def main() -> int:
    """Print them."""
    text = Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8")
    sys.stdout.write("\n".join(lowest(tomllib.loads(text))) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

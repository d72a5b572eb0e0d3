"""Edits of small programs: fingerprints of a call before and after, in two processes."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, NamedTuple

import pytest
from pythons import environment

from stepbook.code.verdicts import Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Edit(NamedTuple):
    """A program, a text in it, what this is replaced by, and the verdict on a recorded call.

    The program is the text of ``m.py``, or several files by name. In it ``call`` is the function,
    or the function and its arguments; ``named`` has those by name. ``deps`` and ``version`` are
    what is declared; paths start at the folder of the program.
    """

    program: str | dict[str, str]
    old: str
    new: str
    verdict: str = "stale"

    def files(self, *, is_edited: bool) -> dict[str, str]:
        """Return the program, before or after."""
        files = {"m.py": self.program} if isinstance(self.program, str) else self.program
        if not is_edited:
            return files
        edited = {name: text.replace(self.old, self.new) for name, text in files.items()}
        assert edited != files, self.old
        return edited


#: Imports each program in turn, and prints the fingerprint of its call, told twice.
_PRINTS = """
    import importlib, json, os, sys
    from stepbook.code.deps import declared
    from stepbook.code.fingerprints import of_call

    found = {}
    for name, folder in json.load(sys.stdin).items():
        before = set(sys.modules)
        sys.path.insert(0, folder)
        try:
            module = importlib.import_module("m")
        except ModuleNotFoundError:  # a library that is not installed here
            continue
        finally:
            sys.path.remove(folder)
        call = module.call
        fn, *args = call if isinstance(call, tuple) else (call,)
        named = getattr(module, "named", {})
        deps = declared(getattr(module, "deps", ()), getattr(module, "version", None))
        sys.path.insert(0, folder)
        os.chdir(folder)
        found[name] = [of_call(fn, tuple(args), named, deps) for _ in range(2)]
        sys.path.remove(folder)
        importlib.invalidate_caches()
        for other in set(sys.modules) - before:
            if str(getattr(sys.modules[other], "__path__", "") or sys.modules[other]).count(folder):
                del sys.modules[other]
    json.dump(found, sys.stdout)
"""


def verdicts_on(edits: Mapping[str, Edit], root: Path) -> dict[str, tuple[Verdict, str, str]]:
    """Return the verdict on each edit, with the fingerprints before and after.

    One of which a library is not installed is left out.
    """
    told: list[dict[str, list[str]]] = []
    for moment in range(2):
        folders = {}
        for number, (name, edit) in enumerate(edits.items()):
            folder = root / f"{moment}-{number}"
            for file, text in edit.files(is_edited=moment == 1).items():
                path = folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(textwrap.dedent(text).lstrip() + "\n")
            folders[name] = str(folder)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(_PRINTS)],
            input=json.dumps(folders),
            capture_output=True,
            text=True,
            check=False,
            cwd=root,
            env=environment() | {"PYTHONHASHSEED": str(moment + 1)},
        )
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout))
    found = {}
    for name in told[0]:
        (before, again), (after, _) = told[0][name], told[1][name]
        assert before == again, name
        found[name] = compare(before, after), before, after
    return found


def check(
    name: str, edits: Mapping[str, Edit], found: Mapping[str, tuple[Verdict, str, str]]
) -> None:
    """Check the verdict on one edit; skip it if a library is not installed."""
    if name not in found:
        pytest.skip("a library is not installed")
    verdict, *fingerprints = found[name]
    assert verdict.kind == edits[name].verdict, (verdict, fingerprints)

"""What the line of a cell declares of its inputs: ``--deps``, ``--version`` and ``--ignore``."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

from ..code.contents import BY_ITSELF
from ..code.deps import parts_of
from ..code.files import NOT_THERE, contents_of
from ..code.verdicts import IGNORED

if TYPE_CHECKING:
    from collections.abc import Collection

    from .requests import Request

#: The kinds of parts that are as the line says: no step changes them as it does variables.
KINDS: Final = frozenset({"files", "given", IGNORED})


@dataclass
class Found:
    """What ``--deps`` and ``--version`` declare.

    Attributes:
        names: those of the notebook.
        files: paths of files and folders, as a cell finds them: from the working folder.
        version: empty without one.
        remarks: what is to be said of them.
    """

    names: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    version: str = ""
    remarks: list[str] = field(default_factory=list)

    def parts(self) -> dict[str, dict[str, str]]:
        """Return the parts of a fingerprint that are no names."""
        return parts_of({}, tuple(self.files), self.version)


def found(request: Request, names: dict[str, Any], binds: Collection[str]) -> Found:
    """Return what a cell's line declares.

    Args:
        request: the line.
        names: the notebook's.
        binds: the names that the cell binds.
    """
    told = Found(version=request.version)
    for given in request.deps:
        name = unicodedata.normalize("NFKC", given)
        if name in binds:
            told.remarks.append(
                f"--deps names {name}, which the cell gives a value itself, so it is left out. "
                "What the cell reads of it before that is compared all the same."
            )
        elif name in names:
            told.names.append(name)
        else:
            told.files.append(given)
            if given.isidentifier() and contents_of([given])[given] == NOT_THERE:
                told.remarks.append(
                    f"--deps names {given}, which is neither a name of the notebook nor a file "
                    "here. Check the spelling, or execute the cell that defines it first."
                )
    return told


def unread(request: Request, left_out: Collection[str]) -> list[str]:
    """Return what is to be said of names that are to be ignored, and that the cell does not read.

    Args:
        request: the line of the cell.
        left_out: the names that were left out.
    """
    return [
        f"--ignore names {name}, which this cell does not read, so it changes nothing. Check the "
        "spelling, or leave it out."
        for name in request.ignore
        if name not in left_out
    ]


def without_changed_files(fingerprint: str) -> str:
    """Return the fingerprint of a cell that has ended without the files that it has changed."""
    if '"files":' not in fingerprint:
        return fingerprint
    told = loads(fingerprint)
    files = told.get("files", {})
    now = contents_of(files)
    told["files"] = {path: part if now[path] == part else BY_ITSELF for path, part in files.items()}
    return dumps(told, separators=(",", ":"))

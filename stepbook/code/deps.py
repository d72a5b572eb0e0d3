"""What a step depends on that cannot be seen in its code: declared by the person who wrote it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from ..errors import InvalidInputError
from .behind import wrapped_by
from .contents import MOST_PARTS_REACHED, PLAIN, Contents
from .files import contents_of
from .own import is_own
from .walk import Walk

_EXAMPLE: Final = 'deps=[clean, "data/patients.csv"]'
#: Sets of functions and classes of which what they reach is known, at most.
_MOST: Final = 1024


@dataclass(frozen=True, slots=True)
class Deps:
    """What a step was declared to depend on.

    Attributes:
        code: functions and classes of the person's own.
        files: paths of files and folders.
        values: all else, each by its place among the others.
        version: as it was given; empty without one.
    """

    code: tuple[Any, ...] = ()
    files: tuple[str, ...] = ()
    values: tuple[tuple[str, Any], ...] = ()
    version: str = ""

    def parts(self) -> dict[str, dict[str, str]]:
        """Return the parts of a fingerprint that these are, by kind and name, values apart."""
        return parts_of(_of_code(self.code) if self.code else {}, self.files, self.version)


def parts_of(code: dict[str, str], files: tuple[str, ...], version: str) -> dict[str, Any]:
    """Return the parts of a fingerprint that were declared, by kind and name; none that is empty.

    Args:
        code: functions and classes, as they are told.
        files: paths of files and folders.
        version: empty without one.
    """
    given = {"version": PLAIN + version} if version else {}
    parts = {"deps": code, "files": contents_of(files), "given": given}
    return {kind: found for kind, found in parts.items() if found}


def declared(deps: Any, version: Any) -> Deps | None:
    """Return what the options ``deps`` and ``version`` declare; None for nothing.

    Raises:
        InvalidInputError: one of them cannot be used.

    Example:
        >>> declared([clean, "data/patients.csv"], 2).files
        ('data/patients.csv',)
    """
    if not isinstance(deps, (list, tuple)):
        raise InvalidInputError(f"deps is a list, as in {_EXAMPLE}, not {deps!r:.80}.")
    if version is not None and (isinstance(version, bool) or not isinstance(version, (str, int))):
        raise InvalidInputError(
            f'version is a text or a number, as in version="2", not {version!r}.'
        )
    if version == "":
        raise InvalidInputError("version is empty; leave it out for none.")
    if not deps and version is None:
        return None
    code: list[Any] = []
    files: list[str] = []
    values: list[tuple[str, Any]] = []
    for place, one in enumerate(deps):
        if isinstance(one, (str, PurePath)):
            files.append(_path(one))
        elif behind := [one] if is_own(one) else wrapped_by(one):
            code += behind
        else:
            values.append((f"deps[{place}]", one))
    told = "" if version is None else str(version)
    return Deps(tuple(code), tuple(files), tuple(values), told)


def _path(given: str | PurePath) -> str:
    path = str(given).replace(os.sep, "/")  # it is the name of the part, on each system the same
    if not path or "\0" in path:
        raise InvalidInputError(f"deps has {path!r}, which is no path; use {_EXAMPLE}.")
    return path


_kept: Final[dict[tuple[int, ...], Walk]] = {}


def _of_code(code: tuple[Any, ...]) -> dict[str, str]:
    """Return functions and classes with what they reach, from the last time if nothing changed."""
    key = tuple(map(id, code))
    walk = _kept.get(key)  # which holds the code: no other has these ids
    if walk is not None and walk.holds():
        if not walk.changing:
            return walk.static
        contents = Contents(MOST_PARTS_REACHED)
        parts = walk.parts(contents)
        if walk.has_seen(contents.code):
            return parts
    walk = Walk()
    for one in code:
        walk.code_of(one)
    if len(_kept) >= _MOST:
        _kept.clear()
    _kept[key] = walk
    return walk.parts()

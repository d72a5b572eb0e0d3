"""Importing what reads and executes notebooks, without two seconds of work that nobody needs."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_GRAMMAR: Final = "rfc3987_syntax"


@contextlib.contextmanager
def lightly() -> Iterator[None]:
    """Import nbformat and nbclient within, and leave out the grammar of internationalized URLs.

    jsonschema, by which nbformat checks notebooks, compiles it in each process where JupyterLab is
    installed, too. It is for schemas that ask for the format "iri"; that of notebooks does not.
    """
    modules: dict[str, object] = sys.modules  # type: ignore[assignment] # None hides a module
    if "jsonschema" in modules or _GRAMMAR in modules:
        yield
        return
    modules[_GRAMMAR] = None
    try:
        yield
    finally:
        if modules.get(_GRAMMAR, ...) is None:
            del modules[_GRAMMAR]

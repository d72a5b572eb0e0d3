"""One name, however its accents are written.

Unicode has two spellings of an é: one character, or an e with an accent behind it. They look the
same; which one a person gets depends on the keyboard and the file system. Names are recorded in
the first spelling (NFC). Books of before may hold the other one, and it is found there.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container


def spellings(name: str) -> list[str]:
    """Return the ways in which *name* may be recorded; the first is the one to record."""
    if name.isascii():
        return [name]
    forms = (unicodedata.normalize("NFC", name), name, unicodedata.normalize("NFD", name))
    return list(dict.fromkeys(forms))


def spelled(name: str, *known: Container[str]) -> str:
    """Return *name* as it is to be recorded: as one of *known* has it already, if one does."""
    forms = spellings(name)
    for form in [name, *forms]:
        if any(form in names for names in known):
            return form
    return forms[0]

"""Which code is the person's own: in the notebook, or in files beside it; no library."""

from __future__ import annotations

import functools
import sys
import types
from pathlib import Path
from typing import Any, Final

from ..system.locate import is_library_file

_HERE: Final = str(Path(__file__).parents[1])


def is_own_module(name: Any) -> bool:
    """Whether a module is the notebook, or a file of the person's beside it."""
    if name == "__main__":
        return True
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None or name.partition(".")[0] == "stepbook":
        return False
    path = getattr(module, "__file__", None)
    if path is None:  # a folder of modules, without an __init__.py
        path = next(iter(getattr(module, "__path__", ())), None)
    return isinstance(path, str) and not is_library_file(path)


@functools.lru_cache(maxsize=4096)
def is_own_file(name: str) -> bool:
    """Whether the file of a code object, or the cell that stands for one, is the person's."""
    return not (name.startswith(("<frozen", _HERE)) or is_library_file(name))


def is_own(value: Any) -> bool:
    """Whether a value is a function or class of the person's own."""
    kind = type(value)  # what isinstance() asks a proxy for, the person's code answers
    if issubclass(kind, type):
        return is_own_class(value)
    return kind is types.FunctionType and is_own_function(value)


def is_own_function(value: types.FunctionType) -> bool:
    """Whether a function was written by the person."""
    return is_own_file(value.__code__.co_filename)


def is_own_class(value: type) -> bool:
    """Whether a class was written by the person."""
    return is_own_module(value.__module__)

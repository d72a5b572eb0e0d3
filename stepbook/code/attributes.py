"""What objects have as attributes, without calling anything of theirs."""

from __future__ import annotations

import contextlib
import inspect
import types
from typing import Any, Final

_DESCRIPTORS: Final = (types.GetSetDescriptorType, types.MemberDescriptorType)


def static(value: Any, name: str) -> Any:
    """Return an attribute as it is kept, of the object or its class; None if there is none."""
    return inspect.getattr_static(value, name, None)


def fields_of(value: Any) -> dict[str, Any] | None:
    """Return the ``__dict__`` of an object, whatever its class gives for it; None without one."""
    get = dict_getter(type(value))
    return None if get is None else get.__get__(value)


def dict_getter(kind: type) -> Any:
    """Return what gives the ``__dict__`` of the objects of a class; None if they have none."""
    for base in kind.__mro__:
        found = vars(base).get("__dict__")
        if type(found) in _DESCRIPTORS:
            return found
    return None


def closure_of(function: types.FunctionType) -> list[Any]:
    """Return what the cells of a function's closure have; nothing for those that are empty."""
    found = []
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):
            found.append(cell.cell_contents)
    return found

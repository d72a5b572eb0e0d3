"""Exception classes and their instances, past what user code makes of them.

What is read and set here goes through the slots of the interpreter: no property, no
``__getattribute__`` and no ``__new__`` of a class takes part.
"""

from __future__ import annotations

import builtins
import sys
import types
from typing import Any, Final

from .. import errors as all_errors

lines: Final = type.__dict__["__mro__"].__get__
dict_of_class: Final = type.__dict__["__dict__"].__get__
dict_of: Final = BaseException.__dict__["__dict__"].__get__
cause_of: Final = BaseException.__dict__["__cause__"].__get__
context_of: Final = BaseException.__dict__["__context__"].__get__
args_of: Final = BaseException.__dict__["args"].__get__
set_args: Final = BaseException.__dict__["args"].__set__

_base_of: Final = type.__dict__["__base__"].__get__
_flags_of: Final = type.__dict__["__flags__"].__get__
_HEAP_TYPE: Final = 1 << 9

GROUPS: Final = (ExceptionGroup, BaseExceptionGroup)
#: What their slots hold is made when they are built.
_WITHOUT_FIELDS: Final = (BaseException, *GROUPS)
#: Where the interpreter trusts the types of its slots: what they must be.
_UNICODE: Final[dict[type, type]] = {
    UnicodeDecodeError: bytes,
    UnicodeEncodeError: str,
    UnicodeTranslateError: str,
}


def is_built_in(cls: type) -> bool:
    """Whether *cls* is a class of the interpreter."""
    return not _flags_of(cls) & _HEAP_TYPE


def built_in(cls: type) -> Any:
    """Return the class of the interpreter that *cls* comes from."""
    while not is_built_in(cls):
        cls = _base_of(cls)
    return cls


def is_work(cls: type) -> bool:
    """Whether a failure of this class is an outcome of the work: no exit and no cancellation."""
    if cls in GROUPS:
        return True
    own = [line for line in lines(cls) if BaseException in lines(line)]
    rest = [line for line in own[:-1] if line not in GROUPS]
    return Exception in lines(cls) and all(Exception in lines(line) for line in rest)


def defines(cls: type, name: str) -> bool:
    """Whether *cls* has the attribute *name*, or one that it comes from."""
    return any(name in dict_of_class(line) for line in lines(cls))


def shows_its_text(cls: type) -> bool:
    """Whether the text of an instance is its only argument."""
    return next(x for x in lines(cls) if "__str__" in dict_of_class(x)) is BaseException


def find(name: str) -> type[Exception] | None:
    """Return the exception class of this name, if it stands for an outcome of the work.

    Only what is imported already is found; nothing is imported, and no module makes it now.
    """
    parts = name.split(".")
    for count in range(len(parts) - 1, -1, -1):
        module, rest = ".".join(parts[:count]), parts[count:]
        places = [sys.modules.get(module)] if module else _bare()
        for place in places:
            found = _within(place, rest) if isinstance(place, types.ModuleType) else None
            if found is not None:
                return found if is_work(found) else None
    return None


def _bare() -> list[Any]:
    """Return the modules of which the classes are recorded without their module."""
    return [builtins, all_errors, sys.modules.get("__main__")]


def _within(place: types.ModuleType, names: list[str]) -> type[Exception] | None:
    # Past what makes names on demand, or loads the module now.
    found = object.__getattribute__(place, "__dict__").get(names[0])
    for name in names[1:]:
        found = dict_of_class(found).get(name) if isinstance(found, type) else None
    return found if isinstance(found, type) and BaseException in lines(found) else None


def fields(cls: type) -> dict[str, Any]:
    """Return the slots of a class beside args and dict, also those of ``__slots__``."""
    found: dict[str, Any] = {}
    for line in lines(cls):
        if line not in _WITHOUT_FIELDS and line is not object:
            for name, slot in dict_of_class(line).items():
                if isinstance(slot, types.MemberDescriptorType):
                    found.setdefault(name, slot)
    return found


def fields_of(error: BaseException) -> dict[str, Any]:
    """Return what the slots of *error* hold; one that is empty is left out."""
    found = {}
    for name, slot in fields(type(error)).items():
        try:
            value = slot.__get__(error)
        except AttributeError:
            continue
        if value is not None:
            found[name] = value
    return found


def set_fields(error: BaseException, values: dict[str, Any]) -> None:
    """Fill the slots of *error*.

    Raises:
        ValueError: one of them is unknown, or cannot hold what it is given.
        TypeError: as above.
    """
    slots = fields(type(error))
    _check_unicode(type(error), values)
    for name, value in values.items():
        if name not in slots:
            raise ValueError(f"there is no slot {name}")
        slots[name].__set__(error, value)


def _check_unicode(cls: type, values: dict[str, Any]) -> None:
    """Refuse what the interpreter would read beside the memory of a text or of bytes."""
    for line, kind in _UNICODE.items():
        if line in lines(cls):
            expected = {"encoding": str, "object": kind, "start": int, "end": int, "reason": str}
            for name, value in values.items():
                if type(value) is not expected.get(name, type(value)):
                    raise ValueError(f"{name} of a {line.__name__}")
            if values.get("start", 0) < 0 or values.get("end", 0) < 0:
                raise ValueError("a place in front of the text")

"""What a class has beside its methods and plain attributes: fields, annotations, members."""

from __future__ import annotations

import dataclasses
import functools
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from .attributes import fields_of

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Iterator, Mapping

    from .contents import Contents

_NOISE: Final = frozenset(
    """
    __dict__ __weakref__ __doc__ __module__ __qualname__ __slots__ __slotnames__
    __abstractmethods__ __signature__ _abc_impl __static_attributes__ __firstlineno__
    __orig_bases__ __parameters__ __type_params__ __annotate__ __annotations_cache__
    """.split()
)
#: What pydantic keeps of a class, and where it keeps the fields.
_PYDANTIC: Final = "__pydantic"
_PYDANTIC_FIELDS: Final = "__pydantic_fields__"
#: What of a pydantic field says what it does.
_OF_A_FIELD: Final = tuple(
    """
    annotation default default_factory alias validation_alias serialization_alias metadata
    discriminator exclude frozen init kw_only validate_default repr
    """.split()
)
#: What ``@dataclass`` writes into a class, and what says so.
_DATACLASS: Final = "__dataclass_params__"
_GENERATED: Final = frozenset(
    """
    __init__ __repr__ __eq__ __lt__ __le__ __gt__ __ge__ __setattr__ __delattr__ __replace__
    __hash__ __match_args__
    """.split()
)
#: What can be said of a dataclass and its fields, as it is if nothing is said.
_OF_A_DATACLASS: Final = {
    "init": True,
    "repr": True,
    "eq": True,
    "order": False,
    "unsafe_hash": False,
    "frozen": False,
}
_OF_ITS_FIELD: Final = {"init": True, "repr": True, "compare": True, "hash": None}


def is_noise(name: str, item: Any) -> bool:
    """Whether an attribute of a class says nothing about what the class does."""
    if name == "__hash__":
        return item is None  # there is an __eq__
    if name == "__annotations__":
        return not item  # somebody has asked for them
    return name in _NOISE or (name.startswith(_PYDANTIC) and name != _PYDANTIC_FIELDS)


def is_generated(items: Mapping[str, Any], name: str, part: types.FunctionType) -> bool:
    """Whether ``@dataclass`` has written a method, which the fields tell of."""
    is_one = _DATACLASS in items and name in _GENERATED
    return is_one and part.__code__.co_filename == "<string>"


def is_of_enum(cls: type, name: str) -> bool:
    """Whether an attribute is a member of an enum, or what Python keeps of one."""
    is_kept = name.startswith("_") and name.endswith("_")
    return issubclass(cls, Enum) and (is_kept or name in vars(cls).get("_member_map_", ()))


def told_of(cls: type, name: str, item: Any, contents: Contents) -> Any:
    """Return what tells of an attribute that says how a class is made; None for any other.

    Args:
        cls: the class.
        name: of its attribute.
        item: the attribute.
        contents: takes in the code that it brings.
    """
    if name == "_member_map_" and issubclass(cls, Enum):
        members = ((key, fields_of(member) or {}) for key, member in item.items())
        return [[key, contents.of(fields.get("_value_"))] for key, fields in members]
    if name == "__match_args__":
        return [] if _DATACLASS in vars(cls) else contents.of(item)
    tell = _TOLD.get(name)
    return None if tell is None else tell(item, contents)


def behind_descriptor(item: Any) -> Iterator[Any]:
    """Yield the functions behind a descriptor of a class; anything else itself."""
    kind = type(item)
    if issubclass(kind, (staticmethod, classmethod)):
        yield item.__func__
    elif issubclass(kind, property):
        yield from (part for part in (item.fget, item.fset, item.fdel) if part is not None)
    elif issubclass(kind, functools.cached_property):
        yield item.func
    else:
        yield item


def _annotations(item: Any, contents: Contents) -> Any:
    brought = contents.code.copy()
    told = sorted((key, _annotation(part, contents)) for key, part in item.items())
    contents.code = brought  # a class that is named in an annotation is not used there
    return told


def _annotation(value: Any, contents: Contents) -> str:
    if isinstance(value, type):
        return value.__qualname__
    return value if type(value) is str else contents.of(value)


def _dataclass_fields(item: Any, contents: Contents) -> Any:
    return [[name, *_dataclass_field(field, contents)] for name, field in item.items()]


def _dataclass_field(field: Any, contents: Contents) -> Iterator[Any]:
    brought = contents.code.copy()
    yield _annotation(field.type, contents)
    contents.code = brought
    for value in (field.default, field.default_factory):
        yield "" if value is dataclasses.MISSING else contents.of(value)
    yield [key for key, usual in _OF_ITS_FIELD.items() if getattr(field, key) is not usual]
    if field.kw_only is True or field.metadata:
        yield field.kw_only is True, contents.of(dict(field.metadata))


def _dataclass_params(item: Any, _: Contents) -> Any:
    return [key for key, usual in _OF_A_DATACLASS.items() if getattr(item, key) is not usual]


def _pydantic_fields(item: Any, contents: Contents) -> Any:
    return [[name, _pydantic_field(field, contents)] for name, field in item.items()]


def _pydantic_field(field: Any, contents: Contents) -> list[Any]:
    found = ((key, getattr(field, key, None)) for key in _OF_A_FIELD)
    return [[key, contents.of(value)] for key, value in found]


_TOLD: Final[dict[str, Callable[[Any, Contents], Any]]] = {
    "__annotations__": _annotations,
    "__dataclass_fields__": _dataclass_fields,
    _DATACLASS: _dataclass_params,
    _PYDANTIC_FIELDS: _pydantic_fields,
}

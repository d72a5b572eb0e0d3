"""Classes of the user's own: dataclasses, named tuples, enums, pydantic models, registered ones.

A record holds a class's name and the content of its fields, never code. An object is rebuilt only
where the code that asks for it names the class itself: as the body's return annotation, as
``returns=``, by registering it, or as the type of a field of such a class. Its ``__init__`` and
validators are not run again: the fields are set to what they were.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import types
import typing
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...errors import ArtifactError, InvalidInputError, NotSerializableError
from ..nodes import TAG, Encoder, expect, name_of, take, unstorable

if TYPE_CHECKING:
    from collections.abc import Callable

Classes = dict[str, type]


class Registration(NamedTuple):
    """How values of a class are stored.

    Attributes:
        cls: the class, exactly; subclasses have registrations of their own.
        encode: makes something that can be stored from a value.
        decode: makes the value from what encode made.
    """

    cls: type
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_registered: Final[dict[type, Registration]] = {}
_registered_names: Final[dict[str, Registration]] = {}


def register(cls: type, encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> None:
    """Say how values of a class of your own are stored, in this process.

    Register it in the module that defines the class, so that it is there wherever the class is.
    Registering a class again replaces what was said before.

    Args:
        cls: the class; values of subclasses are not meant.
        encode: given a value, returns something that can be stored: JSON, arrays, tables, ...
        decode: given what *encode* returned, returns the value.

    Raises:
        InvalidInputError: *cls* is not a class, or one that is stored natively.

    Example:
        >>> stepbook.register(Money, lambda m: str(m), Money.parse)
    """
    if not isinstance(cls, type):
        raise InvalidInputError(f"{cls!r} is not a class: register(cls, encode, decode).")
    if cls.__module__ == "builtins":
        raise InvalidInputError(f"{cls.__name__} is stored natively; register classes of your own.")
    _registered[cls] = _registered_names[_ref(cls)] = Registration(cls, encode, decode)


def _ref(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def encode(w: Encoder, value: Any, classes: Callable[[], Classes]) -> dict[str, Any] | None:
    """Return the node of an object of the user's own; None if it is not of a kind known here.

    Args:
        w: where inner values go.
        value: the object.
        classes: gives the classes that the caller's code names.

    Raises:
        NotSerializableError: its class is not named anywhere, or its content cannot be stored.
    """
    cls = type(value)
    registration = _registered.get(cls)
    if registration is not None:
        return _encode_registered(w, value, registration)
    if isinstance(value, Enum):
        known, make = "an enum", _encode_enum
    elif dataclasses.is_dataclass(cls):
        known, make = "a dataclass", _encode_dataclass
    elif _is_pydantic(cls):
        known, make = "a pydantic model", _encode_pydantic
    elif isinstance(value, tuple) and hasattr(cls, "_fields"):
        known, make = "a named tuple", _encode_namedtuple
    else:
        return None
    if classes().get(_ref(cls)) is not cls:
        raise unstorable(
            f"{name_of(cls)} is {known} that nothing here names, so a replay could not rebuild it: "
            f"annotate the body's return type with {cls.__qualname__}, or give it as "
            f"returns={cls.__qualname__}"
        )
    return make(w, value)


def is_special(cls: type) -> bool:
    """Whether values of a class are more than their attributes tell."""
    return (
        cls in _registered
        or issubclass(cls, Enum)
        or _is_pydantic(cls)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    )


def _encode_registered(w: Encoder, value: Any, registration: Registration) -> dict[str, Any]:
    name = name_of(registration.cls)
    try:
        payload = registration.encode(value)
    except Exception as error:
        raise NotSerializableError(
            f"the encode registered for {name} raised {type(error).__name__}: {error}", path=""
        ) from error
    w.enter(value, 1)
    node = {TAG: "registered", "class": _ref(registration.cls), "value": w.node(payload)}
    w.leave(value, 1)
    try:
        again = registration.decode(payload)
    except Exception as error:
        raise NotSerializableError(
            f"the decode registered for {name} raised {type(error).__name__}: {error}", path=""
        ) from error
    if type(again) is not registration.cls:
        raise unstorable(f"the decode registered for {name} made a {name_of(type(again))} of it")
    compare: Any = type(value).__eq__
    if compare is not object.__eq__:
        # NaN is not equal to itself; and arrays compare to arrays.
        same, itself = again == value, value == value  # noqa: PLR0124
        if same is False and itself is True:
            raise unstorable(f"what is registered for {name} does not give an equal value back")
    return node


def _encode_enum(w: Encoder, value: Enum) -> dict[str, Any]:
    # A combination of flags has no name of its own, or one that cannot be looked up.
    members = type(value).__members__
    name = value.name if isinstance(value.name, str) and value.name in members else None
    return {
        TAG: "enum",
        "class": _ref(type(value)),
        "name": name,
        "value": None if name else w.node(value.value),
    }


def _encode_dataclass(w: Encoder, value: Any) -> dict[str, Any]:
    cls = type(value)
    try:
        object.__new__(cls)
    except TypeError:
        raise unstorable(
            f"{name_of(cls)} is more than a dataclass: it extends a built-in type"
        ) from None
    names = [field.name for field in dataclasses.fields(value)]
    state = {name: getattr(value, name) for name in names if _has(value, name)}
    cached = {
        name
        for base in cls.__mro__
        for name, item in vars(base).items()
        if isinstance(item, functools.cached_property)
    }
    state.update((k, v) for k, v in getattr(value, "__dict__", {}).items() if k not in cached)
    return _fields(w, "dataclass", value, state)


def _has(value: Any, name: str) -> bool:
    try:
        object.__getattribute__(value, name)
    except AttributeError:  # a field without a value, as init=False allows
        return False
    return True


def _fields(
    w: Encoder, kind: str, value: Any, state: dict[str, Any], **facts: Any
) -> dict[str, Any]:
    w.enter(value, 2)
    fields = {name: w.field(name, item) for name, item in state.items()}
    w.leave(value, 2)
    return {TAG: kind, "class": _ref(type(value)), "fields": fields, **facts}


def _is_pydantic(cls: type) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def _encode_pydantic(w: Encoder, value: Any) -> dict[str, Any]:
    names = type(value).model_fields
    state = {name: item for name, item in vars(value).items() if name in names}
    return _fields(
        w,
        "pydantic",
        value,
        state,
        set=sorted(value.model_fields_set),
        extra=w.node(value.__pydantic_extra__),
        private=w.node(_private(value)),
    )


def _private(value: Any) -> dict[str, Any] | None:
    from pydantic_core import PydanticUndefined  # noqa: PLC0415

    private = value.__pydantic_private__
    if private is None:
        return None
    return {name: item for name, item in private.items() if item is not PydanticUndefined}


def _encode_namedtuple(w: Encoder, value: Any) -> dict[str, Any]:
    return _fields(w, "namedtuple", value, dict(zip(value._fields, value, strict=True)))


# -- rebuilding ------------------------------------------------------------------------------------


def decode(kind: str, node: dict[str, Any], classes: Callable[[], Classes]) -> Any:
    """Return the object that *node* stands for.

    Args:
        kind: one of :data:`KINDS`.
        node: with everything inside rebuilt already.
        classes: gives the classes that the caller's code names.

    Raises:
        ArtifactError: its class is not named here, or is not what it was when recorded.
    """
    if kind == "registered":
        name, payload = take(node, "class", "value")
        registration = _registered_names.get(name)
        if registration is None:
            name = name.replace(":", ".")
            raise ArtifactError(
                f"it was stored by what was registered for {name}: call stepbook.register({name}, "
                "encode, decode) before."
            )
        try:
            return registration.decode(payload)
        except Exception as error:
            raise ArtifactError(
                f"the decode registered for {name_of(registration.cls)} raised "
                f"{type(error).__name__}: {error}"
            ) from error
    cls = find(expect(node.get("class"), str), classes())
    return _DECODERS[kind](cls, node)


def find(name: str, classes: Classes, referred: Callable[[str], Any] | None = None) -> type:
    """Return the class that a record calls *name*.

    Args:
        name: module and qualified name, with a colon between.
        classes: those that the caller's code names.
        referred: finds others that are the caller's own; raises LookupError.

    Raises:
        ArtifactError: nothing here names it.
    """
    found = classes.get(name)
    if found is None and referred is not None:
        try:
            found = referred(name)
        except LookupError:
            found = None
        found = found if isinstance(found, type) else None
    if found is None:
        # A class that has moved: from a notebook to a module, or from one module to another. The
        # caller's own code names it, so nothing foreign can come in by this.
        short = name.partition(":")[2]
        moved = {cls for cls in classes.values() if cls.__qualname__ == short}
        if len(moved) == 1:
            return moved.pop()
        raise ArtifactError(
            f"it was recorded as {name.replace(':', '.')}, which nothing here names: annotate the "
            "body's return type with the class, or give it as returns=."
        )
    return found


def _changed(cls: type, what: str) -> ArtifactError:
    return ArtifactError(
        f"{name_of(cls)} has changed since the value was recorded: {what}. Run the step again with "
        "run.redo(name)."
    )


def _decode_enum(cls: type, node: dict[str, Any]) -> Any:
    _, name, value = take(node, "class", "name", "value")
    if not issubclass(cls, Enum):
        raise _changed(cls, "it is no enum any more")
    if name is None:
        return cls(value)
    if name not in cls.__members__:
        raise _changed(cls, f"it has no member {name}")
    return cls[name]


def _decode_dataclass(cls: type, node: dict[str, Any]) -> Any:
    _, state = take(node, "class", "fields")
    if not dataclasses.is_dataclass(cls):
        raise _changed(cls, "it is no dataclass any more")
    value = object.__new__(cls)
    for name in {field.name for field in dataclasses.fields(cls)} - expect(state, dict).keys():
        if not any(f.name == name and not f.init for f in dataclasses.fields(cls)):
            raise _changed(cls, f"its field {name} was not there")
    for name, item in state.items():
        try:
            object.__setattr__(value, name, item)
        except AttributeError:
            raise _changed(cls, f"it has no field {name}") from None
    return value


def _decode_pydantic(cls: Any, node: dict[str, Any]) -> Any:
    _, state, fields_set, extra, private = take(node, "class", "fields", "set", "extra", "private")
    if not _is_pydantic(cls):
        raise _changed(cls, "it is no pydantic model any more")
    if state.keys() != cls.model_fields.keys():
        names = ", ".join(sorted(state.keys() ^ cls.model_fields.keys()))
        raise _changed(cls, f"its fields differ by {names}")
    value = cls.__new__(cls)
    value.__setstate__(  # how pydantic copies and unpickles
        {
            "__dict__": state,
            "__pydantic_fields_set__": set(fields_set),
            "__pydantic_extra__": extra,
            "__pydantic_private__": private,
        }
    )
    return value


def _decode_namedtuple(cls: type, node: dict[str, Any]) -> Any:
    _, state = take(node, "class", "fields")
    if getattr(cls, "_fields", None) != tuple(state):
        raise _changed(cls, "its fields are others")
    return tuple.__new__(cls, state.values())


_DECODERS: Final[dict[str, Callable[[type, dict[str, Any]], Any]]] = {
    "enum": _decode_enum,
    "dataclass": _decode_dataclass,
    "pydantic": _decode_pydantic,
    "namedtuple": _decode_namedtuple,
}

KINDS: Final = frozenset({*_DECODERS, "registered"})


# -- the classes that a piece of code names --------------------------------------------------------


def named_classes(hint: Any) -> Classes:
    """Return the classes that *hint* names, by module and name, with those of their fields.

    Args:
        hint: a class, a type annotation, or a function, of which the return annotation counts.
            Several of them in a tuple or list.
    """
    found: Classes = {}
    waiting = [hint]
    seen: set[int] = set()
    keep = []  # what is in `seen` by its id must not go away meanwhile
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        keep.append(item)
        if isinstance(item, type):
            if item.__module__ != "builtins":
                found[_ref(item)] = item
                waiting.extend(_field_types(item))
        elif isinstance(item, tuple | list):
            waiting.extend(item)
        elif typing.get_origin(item) is None and callable(item) and not _is_form(item):
            waiting.append(_return_annotation(item))
        # list[Patient], Patient | None, Annotated[...]; NewType; type aliases; Literal[Color.RED]
        waiting.extend((typing.get_origin(item), *typing.get_args(item)))
        waiting.extend(getattr(item, name, None) for name in ("__supertype__", "__value__"))
        if isinstance(item, Enum):
            waiting.append(type(item))
    return found


def _is_form(item: Any) -> bool:
    return isinstance(item, typing.TypeVar | typing.NewType) or (
        type(item).__module__ in ("typing", "typing_extensions")
    )


def _field_types(cls: Any) -> list[Any]:
    if _is_pydantic(cls):
        return [field.annotation for field in cls.model_fields.values()]
    if not (dataclasses.is_dataclass(cls) or hasattr(cls, "_fields") or _is_typed_dict(cls)):
        return []
    try:
        return list(typing.get_type_hints(cls).values())
    except Exception:  # noqa: BLE001 - an annotation that cannot be evaluated names nothing
        return list(getattr(cls, "__annotations__", {}).values())


def _is_typed_dict(cls: type) -> bool:
    return typing.is_typeddict(cls)


def _return_annotation(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not isinstance(function, types.FunctionType | types.MethodType | types.BuiltinFunctionType):
        function = getattr(type(function), "__call__", None)  # noqa: B004 - the method, for its annotations
    function = getattr(function, "__func__", function)
    try:
        annotation = getattr(function, "__annotations__", {}).get("return")
        if not isinstance(annotation, str):
            return annotation
        # Only this one annotation is evaluated; others may name what exists for type checkers only.
        known = inspect.getclosurevars(function).nonlocals
        alone = types.SimpleNamespace(__annotations__={"return": annotation})
        return typing.get_type_hints(alone, function.__globals__, dict(known))["return"]
    except Exception:  # noqa: BLE001 - an annotation that cannot be evaluated names nothing
        return None

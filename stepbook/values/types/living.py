"""What a notebook's own code has made: functions, closures, classes, instances; also views.

An object is made empty and then filled, so that what it holds may hold it. Nothing of the person's
is called: no ``__init__``, no ``__setstate__``, no decorator.
"""

from __future__ import annotations

import array
import functools
import gc
import logging
import types
from collections import (
    ChainMap,
    Counter,
    OrderedDict,
    UserDict,
    UserList,
    UserString,
    defaultdict,
    deque,
    namedtuple,
)
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from ...errors import ArtifactError
from ..budget import check_hashes
from ..nodes import TAG, expect, name_of, take, unstorable
from . import carried, views
from .builtin import FACTORIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..world import GraphReader, GraphWriter

_BASES: Final = (list, dict, set, tuple, frozenset, str, int, float, bytes, bytearray, deque)
_IMMUTABLE: Final = (tuple, frozenset, str, int, float, bytes)
#: Classes of the standard library that are told by their attributes.
_PLAIN: Final = frozenset({ChainMap, UserDict, UserList, UserString})
_LONGEST_LOGGER: Final = 1000
#: What every member of an enum has.
_MEMBER: Final = {"_value_", "_name_", "__objclass__", "_sort_order_"}
#: Attributes that a class statement, or Python, makes by itself.
_CLASS_OWN: Final = frozenset(
    {
        "__module__",
        "__qualname__",
        "__doc__",
        "__dict__",
        "__weakref__",
        "__annotations__",
        "__annotate__",
        "__annotate_func__",
        "__annotations_cache__",
        "__firstlineno__",
        "__static_attributes__",
        "__type_params__",
        "__parameters__",
        "__orig_bases__",
        "__slots__",
        "__match_args__",
        "__hash__",
        "__abstractmethods__",
        "_abc_impl",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__classcell__",
        "__classdictcell__",
    }
)


# ---- writing ------------------------------------------------------------------------------------


def encode(w: GraphWriter, value: Any) -> dict[str, Any] | None:
    """Return the node of something that code has made; None for anything else.

    Raises:
        NotSerializableError: its code is not the person's own, or not here.
    """
    kind = type(value)
    reference = w.world.reference(value)
    if reference is not None:
        return {TAG: "name", "name": reference}
    make = _ENCODERS.get(kind)
    if make is not None:
        return make(w, value)
    if isinstance(value, BaseException):
        return _encode_exception(w, value)
    if isinstance(value, type):
        raise unstorable(f"the class {name_of(value)} is not one that the notebook names")
    if isinstance(value, Enum) and not w.world.is_own(kind) and vars(value).keys() - _MEMBER:
        raise unstorable("a member of an enum that was given attributes of its own")
    if not w.is_plain(value):
        return None
    if w.world.is_own(kind) or kind in _PLAIN:
        if not w.finds(_ref(kind), kind):
            raise unstorable(f"{name_of(kind)} is a class that the notebook does not name")
        return _encode_object(w, value)
    # An estimator shares its parts with others only if it is told by its attributes.
    is_told = w.world.is_open(kind) and not keeps_pickles(getattr(value, "__dict__", {}))
    return w.attempt(lambda: _encode_object(w, value)) if is_told else None


def keeps_pickles(fields: dict[str, Any]) -> bool:
    """Whether an estimator has a folder for its cache: fitting it loads pickles from there."""
    return fields.get("memory") is not None


def _encode_function(w: GraphWriter, value: types.FunctionType) -> dict[str, Any]:
    place = w.world.place_of(value.__code__) if value.__globals__ is w.world.names else None
    if place is None:
        raise unstorable("a function of which the source is in no cell of this notebook")
    node: dict[str, Any] = {TAG: "function", "place": place, "name": value.__name__}
    node["qualname"] = value.__qualname__
    if value.__defaults__ is not None:
        node["defaults"] = [w.node(item) for item in value.__defaults__]
    if value.__kwdefaults__:
        node["kwdefaults"] = {key: w.node(item) for key, item in value.__kwdefaults__.items()}
    if value.__closure__:
        node["closure"] = [w.node(cell) for cell in value.__closure__]
    if value.__dict__:
        node["attributes"] = w.node(value.__dict__)
    if value.__annotations__:
        node["annotations"] = {name: w.node(item) for name, item in value.__annotations__.items()}
    if value.__doc__ != _docstring(value.__code__):
        node["doc"] = w.node(value.__doc__)
    return node


def _docstring(code: types.CodeType) -> Any:
    return types.FunctionType(code, {}, None, None, _cells(len(code.co_freevars))).__doc__


def _cells(count: int) -> tuple[types.CellType, ...]:
    return tuple(types.CellType() for _ in range(count))


def _encode_cell(w: GraphWriter, value: types.CellType) -> dict[str, Any]:
    try:
        content = value.cell_contents
    except ValueError:  # not bound yet
        return {TAG: "cell"}
    return {TAG: "cell", "value": w.node(content)}


def _encode_method(w: GraphWriter, value: types.MethodType) -> dict[str, Any]:
    name = value.__func__.__name__
    if getattr(type(value.__self__), name, None) is not value.__func__ and (
        getattr(getattr(value.__self__, name, None), "__func__", None) is not value.__func__
    ):
        raise unstorable("a method that its object does not have under its name")
    return {TAG: "method", "of": w.node(value.__self__), "name": name}


def _encode_builtin(w: GraphWriter, value: types.BuiltinMethodType) -> dict[str, Any]:
    owner = value.__self__
    if (
        owner is None
        or isinstance(owner, types.ModuleType)
        or type(owner) not in (*_BASES, Counter)
    ):
        raise unstorable(f"the function {value!r}, which the notebook does not name")
    return {TAG: "method", "of": w.node(owner), "name": value.__name__}


def _encode_partial(w: GraphWriter, value: functools.partial[Any]) -> dict[str, Any]:
    node = {
        TAG: "partial",
        "function": w.node(value.func),
        "args": [w.node(item) for item in value.args],
        "kwargs": w.node(value.keywords),  # the dict itself may be held by others, too
    }
    return {**node, "attributes": w.node(vars(value))} if vars(value) else node


def _encode_property(w: GraphWriter, value: property) -> dict[str, Any]:
    parts = {"fget": value.fget, "fset": value.fset, "fdel": value.fdel}
    return {TAG: "property", **{name: w.node(part) for name, part in parts.items()}}


def _encode_static(w: GraphWriter, value: Any) -> dict[str, Any]:
    return {TAG: "bound", "kind": type(value).__name__, "function": w.node(value.__func__)}


def _encode_namespace(w: GraphWriter, value: types.SimpleNamespace) -> dict[str, Any]:
    w.forbid(vars(value), "the attributes of a namespace, as a dict of their own")
    return {TAG: "namespace", "fields": {k: w.field(k, v) for k, v in vars(value).items()}}


def _encode_exception(w: GraphWriter, value: BaseException) -> dict[str, Any] | None:
    cls = type(value)
    if cls.__module__ != "builtins" and not w.world.is_own(cls):
        return None
    node: dict[str, Any] = {TAG: "exception", "class": _ref(cls)}
    node["args"] = [w.node(item) for item in value.args]
    if vars(value):
        node["fields"] = {key: w.field(key, item) for key, item in vars(value).items()}
    if value.__cause__ is not None:
        node["cause"] = w.node(value.__cause__)
    return node


def _ref(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def is_plain(cls: type) -> bool:
    """Whether instances are told by their attributes: no metaclass, destructor or C behind it."""
    return not hasattr(cls, "__del__") and _base(cls) is not None


def _base(cls: type) -> type | None:
    """Return the built-in type that holds the content of instances; None if none is known."""
    for base in cls.__mro__:
        if base in _BASES or base is object:
            return base
        if not base.__flags__ & (1 << 9):  # not made by a class statement
            return None
    return None


def _encode_object(w: GraphWriter, value: Any) -> dict[str, Any]:
    cls = type(value)
    node: dict[str, Any] = {TAG: "object", "class": _ref(cls)}
    base = _base(cls)
    if base is not object and base is not None:
        node["content"] = w.node(base(value) if base is not deque else list(value))
    fields = getattr(value, "__dict__", None)
    if fields is not None:
        node["fields"] = w.node(fields)  # the dict itself may be held by others, too
    slots = {
        name: w.field(name, item)
        for name, item in ((name, _slot(value, name)) for name in slots_of(cls))
        if item is not _EMPTY
    }
    if slots:
        node["slots"] = slots
    return node


_EMPTY: Final = object()
#: Modules of which the values that can be hashed do not change.
_STILL: Final = frozenset(
    {"builtins", "datetime", "decimal", "fractions", "uuid", "pathlib", "zoneinfo", "numpy"}
    | {"pandas", "ipaddress", "enum"}
)


def slots_of(cls: type) -> list[str]:
    """Return the slots that the statements of a class and its bases declare."""
    return [
        name
        for base in cls.__mro__
        for name, item in vars(base).items()
        if isinstance(item, types.MemberDescriptorType) and base.__flags__ & (1 << 9)
    ]


def _slot(value: Any, name: str) -> Any:
    for base in type(value).__mro__:
        item = vars(base).get(name)
        if isinstance(item, types.MemberDescriptorType):
            try:
                return item.__get__(value)
            except AttributeError:
                return _EMPTY
    return _EMPTY


@dataclass(frozen=True)
class ClassState:
    """What a class has beside its statement: data, and functions that were set later."""

    cls: type


def _encode_class(w: GraphWriter, value: ClassState) -> dict[str, Any]:
    cls = value.cls
    state = {
        name: w.field(name, item)
        for name, item in vars(cls).items()
        if name not in _CLASS_OWN and _is_state(w, cls, name, item)
    }
    node = {TAG: "class", "class": _ref(cls), "fields": state, "names": sorted(_names(cls))}
    members = cls.__members__.items() if issubclass(cls, Enum) else ()
    given = {
        name: {
            key: w.field(key, item)
            for key, item in vars(member).items()
            if key not in _MEMBER or (key == "_value_" and type(item) in (list, dict, set))
        }
        for name, member in members
    }
    if any(given.values()):
        node["members"] = {name: fields for name, fields in given.items() if fields}
    return node


def _names(cls: type) -> set[str]:
    made = set(cls.__members__) if issubclass(cls, Enum) else set()
    return {name for name in vars(cls) if name not in _CLASS_OWN} - made


def _is_state(w: GraphWriter, cls: type, name: str, item: Any) -> bool:
    if _is_of_metaclass(cls, name, item) or isinstance(item, functools.cached_property):
        return False
    if isinstance(item, types.FunctionType):
        by_statement = item.__qualname__ == f"{cls.__qualname__}.{name}"
        if by_statement and not (item.__defaults__ or item.__kwdefaults__ or item.__dict__):
            return False
        return w.world.place_of(item.__code__) is not None or not by_statement
    if isinstance(item, staticmethod | classmethod | property):
        of = item.fget if isinstance(item, property) else item.__func__
        # Those of the statement itself are made by it again.
        return not str(getattr(of, "__qualname__", "")).startswith(f"{cls.__qualname__}.")
    if issubclass(cls, Enum) and (name.startswith("_") or name in cls.__members__):
        return False
    return not hasattr(type(item), "__set_name__") and not isinstance(item, _BY_STATEMENT)


#: What class statements and ``namedtuple`` make of fields.
_BY_STATEMENT: Final = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    type(vars(namedtuple("Example", "field"))["field"]),  # noqa: PYI024 - its kind of field
)


def _is_of_metaclass(cls: type, name: str, item: Any) -> bool:
    """Whether the class statement has its metaclass make it, as those of enum and pydantic do."""
    if isinstance(item, types.FunctionType) and item.__module__ == "enum":
        return True
    return type(cls).__module__.startswith("pydantic.") and _is_dunder(name)


def can_change(item: Any) -> bool:
    """Whether an item of a column may be changed where another name holds it, too."""
    kind = type(item)
    if kind in (tuple, frozenset):
        return any(map(can_change, item))
    return kind.__hash__ is None or kind.__module__.partition(".")[0] not in _STILL


def is_read_only(value: Any) -> bool:
    """Whether a value is an array that cannot be written to."""
    kind = type(value)
    return kind.__module__ == "numpy" and kind.__name__ == "ndarray" and not value.flags.writeable


def items_of(value: Any) -> list[Any]:
    """Return the objects that can change, as lists, in the columns of a table."""
    import pandas as pd  # noqa: PLC0415 - there is a table

    columns = [value] if isinstance(value, pd.Series) else []
    if isinstance(value, pd.DataFrame):
        columns = [value.iloc[:, i] for i, kind in enumerate(value.dtypes) if kind.name == "object"]
    return [
        item
        for column in columns
        if column.dtype.name == "object"
        for item in column.array
        if can_change(item)
    ]


def _viewed(value: Any) -> Any:
    """Return the dict behind one of its views; those give only a proxy of it."""
    found = gc.get_referents(value)
    if len(found) != 1 or type(found[0]) is not dict or "__module__" in found[0]:
        raise unstorable("a view of something else than a dict")
    return found[0]


ITERATORS: Final[tuple[type, ...]] = (
    type(iter([])),
    type(iter(())),
    type(iter("")),
    type(iter(range(0))),
    type(reversed([])),
    enumerate,
    zip,
)
_MAKERS: Final[dict[str, Callable[..., Any]]] = {
    "iter": iter,
    "reversed": reversed,
    "enumerate": enumerate,
    "zip": zip,
}


def _check_iterated(name: str, args: list[Any]) -> None:
    """Refuse what no iterator here goes through: beginning with it could call anything."""
    if name in ("iter", "reversed"):
        good = len(args) == 1 and type(args[0]) in (list, tuple, str, range)
    else:
        count = args.pop() if name == "enumerate" and len(args) == 2 else None  # noqa: PLR2004
        good = all(type(item) in ITERATORS for item in args) and type(count) in (type(None), int)
        args += [] if count is None else [count]
    if not good:
        raise ArtifactError("an iterator through something else than lists and the like")


def _encode_iterator(w: GraphWriter, value: Any) -> dict[str, Any]:
    make, args, *state = value.__reduce__()
    if type(value) is type(reversed([])):  # at its end it says that it is of another kind
        make = reversed
    return {
        TAG: "iterator",
        "kind": make.__name__,
        "args": [w.node(item) for item in args],
        "state": w.node(state[0]) if state else None,
    }


_BOUND: Final[dict[str, Callable[[Any], Any]]] = {
    "staticmethod": staticmethod,
    "classmethod": classmethod,
}

_ENCODERS: Final[dict[type, Callable[[GraphWriter, Any], dict[str, Any]]]] = {
    property: _encode_property,
    staticmethod: _encode_static,
    classmethod: _encode_static,
    array.array: views.encode_array,
    memoryview: views.encode_memoryview,
    types.MappingProxyType: lambda w, v: {TAG: "mappingproxy", "of": w.node(_viewed(v))},
    types.FunctionType: _encode_function,
    types.CellType: _encode_cell,
    types.MethodType: _encode_method,
    types.BuiltinFunctionType: _encode_builtin,
    types.SimpleNamespace: _encode_namespace,
    functools.partial: _encode_partial,
    ClassState: _encode_class,
    type(Ellipsis): lambda _w, _v: {TAG: "name", "name": "builtins:Ellipsis"},
    type(NotImplemented): lambda _w, _v: {TAG: "name", "name": "builtins:NotImplemented"},
    logging.Logger: lambda _w, v: {TAG: "logger", "name": v.name},
    **dict.fromkeys(ITERATORS, _encode_iterator),
    type({}.keys()): lambda w, v: {TAG: "dict.view", "of": w.node(_viewed(v)), "kind": "keys"},
    type({}.values()): lambda w, v: {TAG: "dict.view", "of": w.node(_viewed(v)), "kind": "values"},
    type({}.items()): lambda w, v: {TAG: "dict.view", "of": w.node(_viewed(v)), "kind": "items"},
    object: lambda _w, _v: {TAG: "object", "class": "builtins:object"},
}


# ---- rebuilding ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shell:
    """How an object is rebuilt in two parts.

    Attributes:
        make: makes it, without what it holds.
        fill: gives it what it holds.
        late: whether that waits until everything else is made: a function's closure may hold the
            function, and is needed to make it.
    """

    make: Callable[[GraphReader, Any], Any]
    fill: Callable[[GraphReader, Any, Any], object]
    late: bool = False


def _make_function(r: GraphReader, node: dict[str, Any]) -> Any:
    code = r.world.code_at(node["place"])
    if code is None:
        return r.world.missing(
            {"type": "function", "why": "its source is not in a cell that was executed here"}
        )
    cells = [_cell_of(r, cell) for cell in expect(node.get("closure", []), list)]
    if len(cells) != len(code.co_freevars):
        raise ArtifactError("a function has another closure than its source")
    function = types.FunctionType(code, r.world.names, node["name"], None, tuple(cells) or None)
    function.__qualname__ = expect(node["qualname"], str)
    function.__module__ = r.world.names.get("__name__", "__main__")
    return function


def _cell_of(r: GraphReader, node: Any) -> types.CellType:
    cell = r.resolve(node)
    return expect(cell, types.CellType)  # type: ignore[no-any-return]


def _fill_function(r: GraphReader, value: Any, node: dict[str, Any]) -> None:
    if type(value) is not types.FunctionType:
        return
    if "defaults" in node:
        value.__defaults__ = tuple(r.resolve(node["defaults"]))
    if "kwdefaults" in node:
        value.__kwdefaults__ = {k: r.resolve(v) for k, v in node["kwdefaults"].items()}
    if "attributes" in node:
        value.__dict__.update(r.resolve(node["attributes"]))
    if "annotations" in node:
        value.__annotations__ = {k: r.resolve(v) for k, v in node["annotations"].items()}
    if "doc" in node:
        value.__doc__ = r.resolve(node["doc"])


def _fill_partial(r: GraphReader, value: functools.partial[Any], node: dict[str, Any]) -> None:
    function, args, kwargs, attributes = take(
        node, "function", "args", "kwargs", optional=("attributes",)
    )
    kwargs = expect(r.resolve(kwargs), dict)
    attributes = None if attributes is None else expect(r.resolve(attributes), dict)
    state = r.resolve(function), tuple(r.resolve(args)), kwargs, attributes
    value.__setstate__(state)  # type: ignore[attr-defined]


def _fill_cell(r: GraphReader, value: types.CellType, node: dict[str, Any]) -> None:
    if "value" in node:
        value.cell_contents = r.resolve(node["value"])


def _make_object(r: GraphReader, node: dict[str, Any]) -> Any:
    name = expect(node["class"], str)
    if name == "builtins:object":
        return object()
    cls = r.class_of(name)
    base: Any = _base(cls)
    if not is_plain(cls) or base is None:
        raise ArtifactError(f"instances of {name_of(cls)} are not rebuilt from a record")
    if base in _IMMUTABLE:
        return base.__new__(cls, r.resolve(node["content"]))
    return base.__new__(cls)


def _fill_object(r: GraphReader, value: Any, node: dict[str, Any]) -> None:
    base: Any = _base(type(value))
    if "fields" in node:
        fields = expect(r.resolve(node["fields"]), dict)
        # Not by the class's own __setattr__, which may refuse or count.
        object.__setattr__(value, "__dict__", fields)
        if not r.world.is_own(type(value)):
            r.when_whole([fields], lambda: _check_open(value))
    for name, item in node.get("slots", {}).items():
        found = [vars(b)[name] for b in type(value).__mro__ if name in vars(b)]
        if not found or not isinstance(found[0], types.MemberDescriptorType):
            raise ArtifactError(f"{name_of(type(value))} has no slot {name!r} any more")
        found[0].__set__(value, r.resolve(item))
    if "content" in node and base is not None and base not in _IMMUTABLE:
        content = r.resolve(node["content"])
        if base in (list, deque, bytearray):
            base.extend(value, content)
        else:
            base.update(value, content)


def _check_open(value: Any) -> None:
    if keeps_pickles(vars(value)):
        raise ArtifactError(f"{name_of(type(value))} has a folder from which it would load pickles")


def _make_exception(r: GraphReader, node: dict[str, Any]) -> Any:
    name = expect(node["class"], str)
    module, _, qualname = name.partition(":")
    cls: Any
    if module == "builtins":
        import builtins  # noqa: PLC0415

        cls = getattr(builtins, qualname, None)
    else:
        cls = r.class_of(name)
    if not (isinstance(cls, type) and issubclass(cls, BaseException)):
        raise ArtifactError(f"{name} is not an exception")
    return bare_exception(cls)


def bare_exception(cls: type[BaseException]) -> BaseException:
    """Return an exception of which no code of the class has been executed."""
    return BaseException.__new__(cls) if cls.__new__ is BaseException.__new__ else cls.__new__(cls)


def _fill_exception(r: GraphReader, value: BaseException, node: dict[str, Any]) -> None:
    value.args = tuple(r.resolve(node["args"]))
    if type(value).__module__ == "builtins":
        type(value).__init__(value, *value.args)
    if "fields" in node:
        vars(value).update({k: r.resolve(v) for k, v in node["fields"].items()})
    if "cause" in node:
        value.__cause__ = r.resolve(node["cause"])


def _make_class(r: GraphReader, node: dict[str, Any]) -> Any:
    return r.class_of(expect(node["class"], str))


def _fill_class(r: GraphReader, value: type, node: dict[str, Any]) -> None:
    for name, item in node["fields"].items():
        if name not in _CLASS_OWN:
            setattr(value, name, r.resolve(item))
    for name in _names(value) - set(node["names"]):
        if not (name.startswith("_") if issubclass(value, Enum) else _is_dunder(name)):
            delattr(value, name)
    for name, fields in node.get("members", {}).items():
        member: Any = value[name]  # type: ignore[index]
        vars(member).update({key: r.resolve(item) for key, item in fields.items()})


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _fill_items(r: GraphReader, value: Any, node: Any) -> None:
    items = node if type(node) is list else node["items"]
    value.extend([r.resolve(item) for item in items])


def _fill_set(r: GraphReader, value: set[Any], node: Any) -> None:
    items = [r.resolve(item) for item in expect(node["items"], list)]

    def fill() -> None:
        check_hashes(items)
        value.update(items)
        if len(value) != len(items):
            raise ValueError("an item stands there twice")

    r.when_whole(items, fill)


def _fill_dict(r: GraphReader, value: dict[str, Any], node: dict[str, Any]) -> None:
    for key, item in node.items():
        value[key] = r.resolve(item)


def _fill_pairs(r: GraphReader, value: Any, node: dict[str, Any]) -> None:
    pairs = [(r.resolve(key), r.resolve(item)) for key, item in expect(node["items"], list)]

    def fill() -> None:
        check_hashes([key for key, _ in pairs])
        for key, item in pairs:
            value[key] = item
        if len(value) != len(pairs):
            raise ValueError("a key stands there twice")

    r.when_whole([key for key, _ in pairs], fill)
    if "attributes" in node:
        vars(value).update(r.resolve(node["attributes"]))


def _make_default(_: GraphReader, node: dict[str, Any]) -> Any:
    factory = node["factory"]
    return defaultdict(FACTORIES[factory] if type(factory) is str else None)


def _fill_default(r: GraphReader, value: Any, node: dict[str, Any]) -> None:
    if type(node["factory"]) is dict:
        value.default_factory = r.resolve(node["factory"])
    _fill_pairs(r, value, node)


#: What JSON holds as itself, where others hold it, too.
LIST: Final = Shell(lambda _r, _n: [], _fill_items)
DICT: Final = Shell(lambda _r, _n: {}, _fill_dict)
#: Kinds that only a graph has.
_OWN: Final[dict[str, Shell]] = {
    "function": Shell(_make_function, _fill_function),
    "cell": Shell(lambda _r, _n: types.CellType(), _fill_cell, late=True),
    "partial": Shell(lambda _r, _n: functools.partial(len), _fill_partial),
    "object": Shell(_make_object, _fill_object),
    "exception": Shell(_make_exception, _fill_exception),
    "class": Shell(_make_class, _fill_class),
    "namespace": Shell(
        lambda _r, _n: types.SimpleNamespace(),
        lambda r, v, n: vars(v).update({k: r.resolve(i) for k, i in n["fields"].items()}),
    ),
}
#: All kinds that are made in two parts; the others of them a value has, too.
SHELLS: Final[dict[str, Shell]] = {
    **_OWN,
    "dict": Shell(lambda _r, _n: {}, _fill_pairs),
    "set": Shell(lambda _r, _n: set(), _fill_set),
    "deque": Shell(lambda _r, n: deque(maxlen=n["maxlen"]), _fill_items),
    "defaultdict": Shell(_make_default, _fill_default),
    "OrderedDict": Shell(lambda _r, _n: OrderedDict(), _fill_pairs),
    "Counter": Shell(lambda _r, _n: Counter(), _fill_pairs),
}


def decode(r: GraphReader, kind: str, node: dict[str, Any]) -> Any:  # noqa: C901, PLR0911, PLR0912 - as above
    """Return what a node stands for, of which everything inside is rebuilt.

    Raises:
        ArtifactError: it is not what the host's code has.
    """
    if kind == "name":
        (name,) = take(node, "name")
        try:
            return r.world.referred(expect(name, str))
        except LookupError:
            raise ArtifactError(f"{name} is not here") from None
    if kind == "method":
        of, name = take(node, "of", "name")
        if isinstance(of, types.ModuleType) or expect(name, str).startswith("__"):
            raise ArtifactError(f"{name} is not a method that is stored")
        return getattr(of, expect(name, str))
    if kind == "dict.view":
        of, name = take(node, "of", "kind")
        if type(of) is not dict or name not in ("keys", "values", "items"):
            raise ArtifactError("it is not a view of a dict")
        return getattr(of, name)()
    if kind == "logger":
        (name,) = take(node, "name")
        if len(expect(name, str)) > _LONGEST_LOGGER:  # it has one more for each dot
            raise ArtifactError("a logger with a name that long")
        return logging.getLogger(name)
    if kind == "iterator":
        name, args, state = take(node, "kind", "args", "state")
        _check_iterated(name, expect(args, list))
        iterator = _MAKERS[name](*args)
        if state is not None:
            iterator.__setstate__(state)
        elif name in ("iter", "reversed"):  # without a place it has come to its end
            next(iterator, None)
        return iterator
    if kind == "property":
        return property(*take(node, "fget", "fset", "fdel"))
    if kind == "bound":
        name, function = take(node, "kind", "function")
        return _BOUND[name](function)
    if kind == "mappingproxy":
        return types.MappingProxyType(expect(*take(node, "of"), dict))
    if kind == "numpy.readonly":
        (array,) = take(node, "of")
        array.flags.writeable = False
        return array
    if kind == carried.CARRIED:
        return carried.decode(node)
    if kind == "numpy.flat":
        r.budget.step(min(expect(node.get("index"), int), views.FARTHEST))
    return views.decode(kind, node)


#: Kinds that are rebuilt when everything inside is.
WHOLE: Final = (
    "name",
    "logger",
    "method",
    "dict.view",
    "mappingproxy",
    "property",
    "bound",
    "iterator",
    "numpy.readonly",
    carried.CARRIED,
    *views.KINDS,
)
#: Kinds by which a text is known to be of a graph.
KINDS: Final = (*_OWN, *WHOLE)

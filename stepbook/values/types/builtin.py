"""Scalars and containers of the standard library as JSON nodes."""

from __future__ import annotations

import io
import os
import re
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from ..budget import SOME, check_hashes
from ..nodes import BIG, TAG, Encoder, b64, expect, is_odd, take, unb64, unstorable

if TYPE_CHECKING:
    from collections.abc import Callable

#: How far a stream may stand behind its end: what is written there has to fill the gap.
_BEYOND: Final = 1 << 26
#: Longer bytes are kept apart, with a hash.
_SHORT_BYTES: Final = 1 << 10


def _text(_: Encoder, value: str) -> Any:
    """Return a text as itself, or as bytes if JSON cannot hold it: a name of a file, mostly."""
    if not is_odd(value):
        return value
    return {TAG: "str", "data": b64(value.encode("utf-8", "surrogatepass"))}


def _datetime(w: Encoder, value: datetime) -> dict[str, Any]:
    return {TAG: "datetime", "value": value.isoformat(), **_zone(w, value)}


def _time(w: Encoder, value: time) -> dict[str, Any]:
    return {TAG: "time", "value": value.isoformat(), **_zone(w, value)}


def _zone(w: Encoder, value: datetime | time) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if value.tzinfo is not None:
        facts["zone"] = w.node(value.tzinfo)
    if value.fold:
        facts["fold"] = value.fold
    return facts


def _timezone(_: Encoder, value: timezone) -> dict[str, Any]:
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined] # how it is pickled
    facts = {"name": name[0]} if name else {}
    return {TAG: "timezone", "microseconds": offset // timedelta(microseconds=1), **facts}


def _zoneinfo(_: Encoder, value: ZoneInfo) -> dict[str, Any]:
    if value.key is None:
        raise unstorable("a ZoneInfo made from a file has no name to find it by")
    return {TAG: "zoneinfo", "key": value.key}


def _timedelta(_: Encoder, value: timedelta) -> dict[str, Any]:
    return {
        TAG: "timedelta",
        "days": value.days,
        "seconds": value.seconds,
        "microseconds": value.microseconds,
    }


def _complex(w: Encoder, value: complex) -> dict[str, Any]:
    return {TAG: "complex", "real": w.node(value.real), "imag": w.node(value.imag)}


def _range(w: Encoder, value: range) -> dict[str, Any]:
    return {
        TAG: "range",
        "start": w.node(value.start),
        "stop": w.node(value.stop),
        "step": w.node(value.step),
    }


def _set(w: Encoder, value: set[Any] | frozenset[Any]) -> dict[str, Any]:
    node = w.items(type(value).__name__, value)
    # The order of a set changes from process to process; its text must not.
    node["items"].sort(key=_order)
    return node


def _order(node: Any) -> str:
    return f"{type(node).__name__}{node!r}"


def _bytes(w: Encoder, value: bytes | bytearray) -> dict[str, Any]:
    kind = type(value).__name__
    if len(value) <= _SHORT_BYTES:
        return {TAG: kind, "data": b64(bytes(value))}
    return w.blob(
        f"{kind}.blob",
        "bin",
        lambda file: file.write(bytes(value)),
        size=len(value),
        facts={},
        preview=lambda: repr(bytes(value[:32])),
    )


def _path(w: Encoder, value: PurePath) -> dict[str, Any]:
    concrete = isinstance(value, Path)
    own = w.own_file(str(value)) if concrete else None
    if own is not None:
        return own
    return {TAG: "path" if concrete else type(value).__name__, "value": w.node(str(value))}


def _ordered(w: Encoder, value: Any) -> dict[str, Any]:
    if any(type(item).__module__ == "torch" for item in value.values()):
        return w.other(value)  # type: ignore[no-any-return] # a module's state: one file
    # These two can have attributes; torch keeps the versions of a state in one.
    facts = {"attributes": w.node(vars(value))} if vars(value) else {}
    return w.pairs(type(value).__name__, value, **facts)


def _defaultdict(w: Encoder, value: defaultdict[Any, Any]) -> dict[str, Any]:
    factory = value.default_factory
    if factory is None or factory in FACTORIES.values():
        name = None if factory is None else factory.__name__
    else:
        name = w.factory(factory)
    return w.pairs("defaultdict", value, factory=name)


def _deque(w: Encoder, value: deque[Any]) -> dict[str, Any]:
    return w.items("deque", value, maxlen=value.maxlen)


FACTORIES: Final[dict[str, type]] = {
    kind.__name__: kind for kind in (int, float, str, bool, list, dict, set, tuple, bytes, complex)
}


def _pattern(w: Encoder, value: re.Pattern[Any]) -> dict[str, Any]:
    return {TAG: "pattern", "pattern": w.node(value.pattern), "flags": value.flags}


def _stream(w: Encoder, value: io.StringIO | io.BytesIO) -> dict[str, Any]:
    kind = type(value).__name__
    if value.closed:
        return {TAG: kind, "closed": True}
    return {TAG: kind, "content": w.node(value.getvalue()), "position": value.tell()}


def _file(w: Encoder, value: Any) -> dict[str, Any]:
    """Return the node of a file that was closed: what ``with open(...) as file`` leaves."""
    if not value.closed:
        raise unstorable("an open file cannot be stored")
    name = getattr(value, "name", None)
    node = {TAG: "file.closed", "name": w.node(name if isinstance(name, int) else str(name))}
    if isinstance(value, io.TextIOWrapper):
        node["mode"], node["encoding"] = getattr(value, "mode", "r"), value.encoding
    return {**node, "writes": "r" not in getattr(value, "mode", "r")}


#: What makes the node of a value of each type.
ENCODERS: Final[dict[type, Callable[[Encoder, Any], Any]]] = {
    str: _text,
    tuple: lambda w, v: w.items("tuple", v),
    set: _set,
    frozenset: _set,
    bytes: _bytes,
    bytearray: _bytes,
    complex: _complex,
    range: _range,
    datetime: _datetime,
    date: lambda _, v: {TAG: "date", "value": v.isoformat()},
    time: _time,
    timedelta: _timedelta,
    timezone: _timezone,
    ZoneInfo: _zoneinfo,
    Decimal: lambda _, v: {TAG: "decimal", "value": str(v)},
    re.Pattern: _pattern,
    slice: lambda w, v: {TAG: "slice", "over": [w.node(v.start), w.node(v.stop), w.node(v.step)]},
    io.StringIO: _stream,
    io.BytesIO: _stream,
    io.TextIOWrapper: _file,
    io.BufferedReader: _file,
    io.BufferedWriter: _file,
    Fraction: lambda w, v: {TAG: "fraction", "over": [w.node(v.numerator), w.node(v.denominator)]},
    UUID: lambda _, v: {TAG: "uuid", "value": str(v)},
    PosixPath: _path,
    WindowsPath: _path,
    PurePosixPath: _path,
    PureWindowsPath: _path,
    OrderedDict: _ordered,
    Counter: _ordered,
    defaultdict: _defaultdict,
    deque: _deque,
}


# -- from JSON -------------------------------------------------------------------------------------


def _to_text(node: dict[str, Any]) -> str:
    value = unb64(*take(node, "data")).decode("utf-8", "surrogatepass")
    if not is_odd(value):
        raise ValueError("a text that would have been written as itself")
    return value


def _to_int(node: dict[str, Any]) -> int:
    (text,) = take(node, "hex")
    value = int(expect(text, str), 16)
    if hex(value) != text or -BIG < value < BIG:
        raise ValueError("not a canonical number")
    return value


def _to_float(node: dict[str, Any]) -> float:
    (text,) = take(node, "value")
    if text not in ("nan", "inf", "-inf"):
        raise ValueError(f"unexpected {text!r}")
    return float(text)


def _to_tuple(node: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(expect(*take(node, "items"), list))


def _to_set(make: type) -> Callable[[dict[str, Any]], Any]:
    def build(node: dict[str, Any]) -> Any:
        (items,) = take(node, "items")
        check_hashes(expect(items, list))
        found = make(items)
        if len(found) != len(items):
            raise ValueError("an item stands there twice")
        return found

    return build


def _fill(into: Any, items: Any) -> Any:
    if len(expect(items, list)) > SOME:
        check_hashes([pair[0] for pair in items])
    for pair in items:
        key, item = expect(pair, list)
        into[key] = item
    if len(into) != len(items):
        raise ValueError("a key stands there twice")
    return into


def _to_dict(node: dict[str, Any]) -> dict[Any, Any]:
    value: dict[Any, Any] = _fill({}, *take(node, "items"))
    if TAG not in value and all(type(key) is str and not is_odd(key) for key in value):
        raise ValueError("a dict that would have been written as itself")
    return value


def _to_defaultdict(node: dict[str, Any]) -> defaultdict[Any, Any]:
    factory, items = take(node, "factory", "items")
    make = FACTORIES[factory] if type(factory) is str else factory
    return _fill(defaultdict(make), items)  # type: ignore[no-any-return]


def _to_ordered(make: type) -> Callable[[dict[str, Any]], Any]:
    def build(node: dict[str, Any]) -> Any:
        items, attributes = take(node, "items", optional=("attributes",))
        value = _fill(make(), items)
        vars(value).update(attributes or {})
        return value

    return build


def _to_deque(node: dict[str, Any]) -> deque[Any]:
    maxlen, items = take(node, "maxlen", "items")
    return deque(expect(items, list), expect(maxlen, int, type(None)))


def _to_bytes(make: type) -> Callable[[dict[str, Any]], Any]:
    return lambda node: make(unb64(*take(node, "data")))


def _to_complex(node: dict[str, Any]) -> complex:
    real, imag = take(node, "real", "imag")
    return complex(expect(real, float), expect(imag, float))


def _to_range(node: dict[str, Any]) -> range:
    return range(*(expect(part, int) for part in take(node, "start", "stop", "step")))


def _to_when(kind: Any) -> Callable[[dict[str, Any]], Any]:
    def build(node: dict[str, Any]) -> Any:
        text, zone, fold = take(node, "value", optional=("zone", "fold"))
        if zone is None and "zone" in node:
            raise ValueError("a zone that is none is left out")
        plain = kind.fromisoformat(text).replace(tzinfo=None)
        value = plain.replace(tzinfo=zone, fold=fold or 0)
        # The offset is written for people and SQL; a region may have changed its own since.
        as_written = plain if isinstance(zone, ZoneInfo) else value
        if not text.startswith(as_written.isoformat()) or ("fold" in node) != (fold == 1):
            raise ValueError("not in the form that was written")
        return value

    return build


def _to_date(node: dict[str, Any]) -> date:
    (text,) = take(node, "value")
    value = date.fromisoformat(text)
    if value.isoformat() != text:
        raise ValueError("not in the form that was written")
    return value


def _to_timedelta(node: dict[str, Any]) -> timedelta:
    days, seconds, micros = take(node, "days", "seconds", "microseconds")
    value = timedelta(expect(days, int), expect(seconds, int), expect(micros, int))
    if (value.days, value.seconds, value.microseconds) != (days, seconds, micros):
        raise ValueError("not in the form that was written")
    return value


def _to_timezone(node: dict[str, Any]) -> timezone:
    micros, name = take(node, "microseconds", optional=("name",))
    offset = timedelta(microseconds=expect(micros, int))
    return timezone(offset, name) if "name" in node else timezone(offset)


def _to_decimal(node: dict[str, Any]) -> Decimal:
    (text,) = take(node, "value")
    value = Decimal(expect(text, str))
    if str(value) != text:
        raise ValueError("not a canonical number")
    return value


def _to_fraction(node: dict[str, Any]) -> Fraction:
    ((over, under),) = take(node, "over")
    value = Fraction(expect(over, int), expect(under, int))
    if value.denominator != under:
        raise ValueError("not a canonical number")
    return value


def _to_uuid(node: dict[str, Any]) -> UUID:
    (text,) = take(node, "value")
    value = UUID(text)
    if str(value) != text:
        raise ValueError("not in the form that was written")
    return value


def _to_pattern(node: dict[str, Any]) -> Any:
    pattern, flags = take(node, "pattern", "flags")
    return re.compile(expect(pattern, str, bytes), expect(flags, int) & ~re.DEBUG)


def _to_slice(node: dict[str, Any]) -> slice:
    (over,) = take(node, "over")
    return slice(*over)


def _to_stream(make: type) -> Callable[[dict[str, Any]], Any]:
    def build(node: dict[str, Any]) -> Any:
        closed, content, position = take(node, optional=("closed", "content", "position"))
        if closed:
            value = make()
            value.close()
            return value
        value = make(content)
        if expect(position, int) > len(content) + _BEYOND:
            raise ValueError("a place far beyond the end")
        value.seek(position)
        return value

    return build


def _to_file(node: dict[str, Any]) -> Any:
    """Return a file that is closed; none of that name is opened."""
    name, writes, mode, encoding = take(node, "name", "writes", optional=("mode", "encoding"))
    raw: Any = io.FileIO(os.devnull, "w" if expect(writes, bool) else "r")
    raw.name = name
    made: Any = io.BufferedWriter(raw) if writes else io.BufferedReader(raw)
    if mode is not None:
        made = io.TextIOWrapper(made, expect(encoding, str))
        made.mode = mode
    made.close()
    return made


def _to_path(make: type) -> Callable[[dict[str, Any]], Any]:
    return lambda node: make(expect(*take(node, "value"), str))


#: What rebuilds each kind, given its node with everything inside rebuilt already.
DECODERS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "str": _to_text,
    "int": _to_int,
    "float": _to_float,
    "tuple": _to_tuple,
    "set": _to_set(set),
    "frozenset": _to_set(frozenset),
    "dict": _to_dict,
    "OrderedDict": _to_ordered(OrderedDict),
    "Counter": _to_ordered(Counter),
    "defaultdict": _to_defaultdict,
    "deque": _to_deque,
    "bytes": _to_bytes(bytes),
    "bytearray": _to_bytes(bytearray),
    "complex": _to_complex,
    "range": _to_range,
    "datetime": _to_when(datetime),
    "date": _to_date,
    "time": _to_when(time),
    "timedelta": _to_timedelta,
    "timezone": _to_timezone,
    "zoneinfo": lambda node: ZoneInfo(expect(*take(node, "key"), str)),
    "decimal": _to_decimal,
    "fraction": _to_fraction,
    "pattern": _to_pattern,
    "slice": _to_slice,
    "StringIO": _to_stream(io.StringIO),
    "BytesIO": _to_stream(io.BytesIO),
    "file.closed": _to_file,
    "uuid": _to_uuid,
    "path": _to_path(Path),
    "PurePosixPath": _to_path(PurePosixPath),
    "PureWindowsPath": _to_path(PureWindowsPath),
}

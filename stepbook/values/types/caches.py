"""Functions that remember their results (``functools.lru_cache``), with what they remember.

Without that a replay would compute results again, and what later code has changed in them would be
lost. Each call that is remembered stands in the node, oldest first::

    {"$stepbook": "lru_cache", "function": <node>, "maxsize": 128, "typed": false,
     "calls": [{"args": [<node>], "keywords": {}, "value": <node>}]}

Left out are calls whose arguments are more than plain values, and results that no graph can store.
They are computed again, as after any loss of a cache.
"""

from __future__ import annotations

import functools
import gc
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..nodes import TAG, expect, take
from .living import Shell

if TYPE_CHECKING:
    from ..world import GraphReader, GraphWriter

CACHED: Final = "lru_cache"
KIND: Final = type(functools.cache(len))
#: Of more calls none is stored; of so many the results are tried one by one.
_MOST: Final = 10_000
_MOST_TRIED: Final = 100
_PLAIN: Final = (str, int, float, complex, bool, bytes, type(None))
_WAITING: Final = "_stepbook_waiting"


class Call(NamedTuple):
    """A call of which the result is remembered."""

    args: tuple[Any, ...]
    keywords: dict[str, Any]
    value: Any


def calls_of(cached: Any) -> list[Call]:
    """Return the calls that a function remembers, oldest first; none if that cannot be told.

    The cache is out of Python's sight. The collector of garbage tells of it: in CPython 3.11 to
    3.14 a bounded one by key, result and type of each link, then any by the dict of keys, the
    function, and the mark between arguments and keywords.
    """
    count = cached.cache_info().currsize
    held = gc.get_referents(cached)
    for place in range(len(held) - 2, 0, -1):
        keys, function, mark = held[place - 1 : place + 2]
        if type(keys) is dict and callable(function) and type(mark) is object:
            break
    else:
        return []
    typed = cached.cache_parameters()["typed"]
    if cached.cache_parameters()["maxsize"] is None:
        pairs = [*keys.items()]
    else:
        links = held[max(0, place - 1 - 3 * count) : place - 1]
        pairs = [*zip(links[::3], links[1::3], strict=False)]
    try:
        if len(pairs) != count or any(key not in keys for key, _ in pairs):
            return []
        return [_call(key, value, mark, typed=typed) for key, value in pairs]
    except (TypeError, ValueError):
        return []


def _call(key: Any, value: Any, mark: object, *, typed: bool) -> Call:
    """Return the call of a key; ``functools`` makes it of one plain argument, or of all."""
    if not isinstance(key, tuple):
        return Call((key,), {}, value)
    count = next((n for n, part in enumerate(key) if part is mark), None)
    if count is None:
        return Call(key[: len(key) // 2] if typed else key, {}, value)
    rest = key[count + 1 :]
    if typed:  # behind them the types of all
        rest = rest[: (len(rest) - count) // 3 * 2]
    return Call(key[:count], dict(zip(rest[::2], rest[1::2], strict=True)), value)


def _is_plain(value: Any) -> bool:
    if type(value) in (tuple, frozenset):
        return all(map(_is_plain, value))
    return type(value) in _PLAIN


def encode(w: GraphWriter, value: Any) -> dict[str, Any]:
    """Return the node of a function with a cache."""
    node = {TAG: CACHED, "function": w.node(value.__wrapped__), **value.cache_parameters()}
    calls = [call for call in calls_of(value) if _is_plain((*call.args, *call.keywords.values()))]
    found = _told(w, calls) if len(calls) <= _MOST else []
    return {**node, "calls": found} if found else node


def _told(w: GraphWriter, calls: list[Call]) -> list[dict[str, Any]]:
    def nodes(some: list[Call]) -> list[dict[str, Any]]:
        return [
            {
                "args": [w.node(part) for part in call.args],
                "keywords": {name: w.node(part) for name, part in call.keywords.items()},
                "value": w.node(call.value),
            }
            for call in some
        ]

    if all(_is_plain(call.value) for call in calls):
        return nodes(calls)
    found = w.attempt(lambda: {"calls": nodes(calls)})
    if found is None and len(calls) <= _MOST_TRIED:
        # One result that cannot be stored does not take the others with it.
        tried = [w.attempt(lambda call=call: nodes([call])[0]) for call in calls]  # type: ignore[misc]
        return [told for told in tried if told is not None]
    return (
        nodes([call for call in calls if _is_plain(call.value)])
        if found is None
        else found["calls"]
    )


# ---- rebuilding ---------------------------------------------------------------------------------


def _make(r: GraphReader, node: dict[str, Any]) -> Any:
    function, maxsize, typed, calls = take(
        node, "function", "maxsize", "typed", optional=("calls",)
    )
    function = r.resolve(function)
    bounded = functools.lru_cache(maxsize=maxsize, typed=typed)
    if not calls:
        return bounded(function)
    waiting: list[Any] = []

    def call(*args: Any, **keywords: Any) -> Any:
        return waiting.pop() if waiting else function(*args, **keywords)

    made = functools.update_wrapper(bounded(call), function)
    vars(made)[_WAITING] = waiting
    return made


def _fill(r: GraphReader, value: Any, node: dict[str, Any]) -> None:
    waiting = vars(value).pop(_WAITING, None)
    for call in expect(node.get("calls", []), list):
        args, keywords, result = take(call, "args", "keywords", "value")
        given = [r.resolve(part) for part in expect(args, list)]
        named = {name: r.resolve(part) for name, part in expect(keywords, dict).items()}
        if not _is_plain((*given, *named.values())):
            raise ValueError("arguments that are more than plain values")
        waiting.append(r.resolve(result))
        value(*given, **named)
        if waiting:
            raise ValueError("two results of one call")


SHELL: Final = Shell(_make, _fill)

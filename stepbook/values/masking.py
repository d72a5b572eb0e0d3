"""Nodes of values, and JSON text, without their secrets."""

from __future__ import annotations

import base64
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

from .mask import MASK, SecretError
from .nodes import TAG, step

if TYPE_CHECKING:
    from .redact import Redaction

#: Nodes of which the items are pairs of a key and a value.
_PAIRS: Final = frozenset({"dict", "defaultdict", "OrderedDict", "Counter"})
#: What a node tells of an object by the names of its attributes.
_ATTRIBUTES: Final = frozenset({"fields", "slots", "notes", "attributes"})
_TEXTS: Final = frozenset({"bytes", "bytearray", "str"})


def masked_node(
    redaction: Redaction, node: Any, found: list[str], *, names: bool = True, lossy: bool = False
) -> Any:
    """Return the node of a value without the secrets in it.

    Args:
        redaction: what is masked.
        node: see :mod:`.nodes`.
        found: takes in where something was masked.
        names: whether keys are looked at, or only texts.
        lossy: whether the whole object is masked where a part of it cannot be.

    Raises:
        SecretError: it can be masked only as a whole, and not *lossy*.
    """
    return _Walk(redaction, found, names=names, lossy=lossy).node(node, None)


def masked_json(redaction: Redaction, text: str | None, *, names: bool = True) -> str | None:
    """Return JSON text without secrets, as :func:`masked_node` does; never raises."""
    if text is None:
        return None
    try:
        node = loads(text)
    except (ValueError, RecursionError):
        return redaction.text(text)
    found: list[str] = []
    masked = masked_node(redaction, node, found, names=names, lossy=True)
    return dumps(masked, ensure_ascii=False, separators=(",", ":")) if found else text


#: Where something stands: in what, and by which key or at which place there.
_Path = tuple[Any, Any] | None


def _shown(path: _Path) -> str:
    told = ""
    while path is not None:
        path, key = path
        told = (f"[{key}]" if type(key) is int else step(key)) + told
    return f"${told}"


class _Walk:
    """One walk through a node; one frame for each level."""

    def __init__(self, redaction: Redaction, found: list[str], *, names: bool, lossy: bool) -> None:
        self._redaction = redaction
        self._found = found
        self._names = names
        self._lossy = lossy

    def node(self, node: Any, path: _Path) -> Any:
        kind = type(node)
        if kind is str:
            masked = self._redaction.text(node)
            if masked != node:
                self._found.append(_shown(path))
            return masked
        if kind is list:
            items = []
            for place, item in enumerate(node):
                items.append(self.node(item, (path, place)))
            return items
        if kind is not dict:
            return node
        if type(node.get(TAG)) is not str:
            return self._fields(node, path)
        before = len(self._found)
        try:
            return self._tagged(node, path)
        except SecretError:
            if not self._lossy:
                raise
            del self._found[before:]
            self._found.append(_shown(path))
            return MASK

    def _fields(self, node: dict[str, Any], path: _Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, item in node.items():
            made[self._key(key)] = self._named(key, item, (path, key))
        return made

    def _named(self, key: Any, item: Any, path: _Path) -> Any:
        if item is not None and self._names and self._redaction.hides(key):
            if item != MASK:
                self._found.append(_shown(path))
                self._redaction.learn(item)
            return MASK
        return self.node(item, path)

    def _key(self, key: Any) -> Any:
        masked = self._redaction.text(key) if type(key) is str else key
        if masked != key:
            if not self._lossy:
                raise SecretError("a key of a dict is what this book redacts", path="")
            self._found.append(masked)
        return masked

    def _tagged(self, node: dict[str, Any], path: _Path) -> Any:
        made: dict[str, Any] = {}
        kind = node[TAG]
        for name, item in node.items():
            if name == TAG:
                made[name] = item
            elif name == "data" and type(item) is str:
                if self._is_secret(item):
                    if kind not in _TEXTS:
                        raise SecretError("it holds what this book redacts", path="")
                    self._found.append(_shown(path))
                    return MASK
                made[name] = item
            elif type(item) is str:
                self._redaction.check_text(item)
                made[name] = item
            elif name == "items" and kind in _PAIRS and type(item) is list:
                made[name] = self._pairs(item, path)
            elif name in _ATTRIBUTES and type(item) is dict and TAG not in item:
                made[name] = self._attributes(item, path)
            else:
                made[name] = self.node(item, path if name == "items" else (path, name))
        return made

    def _pairs(self, items: list[Any], path: _Path) -> list[Any]:
        made: list[Any] = []
        for pair in items:
            if type(pair) is not list or len(pair) != 2:  # noqa: PLR2004 - a key and a value
                made.append(self.node(pair, path))
                continue
            key, item = pair
            key = self._key(key) if type(key) is str else self.node(key, path)
            made.append([key, self._named(pair[0], item, (path, pair[0]))])
        return made

    def _attributes(self, item: dict[str, Any], path: _Path) -> dict[str, Any]:
        for name, part in item.items():
            hidden = self._names and part is not None and self._redaction.hides(name)
            if hidden and type(part) is not str:  # its class may take nothing but what it was
                raise SecretError(f"{name!r} is a name that this book redacts", path="")
        return self._fields(item, path)

    def _is_secret(self, data: str) -> bool:
        try:
            self._redaction.check_bytes(base64.b64decode(data, validate=True))
        except SecretError:
            return True
        except ValueError:  # it is no base64
            return self._redaction.text(data) != data
        return False

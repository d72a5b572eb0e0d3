"""Values as JSON nodes: how plain JSON, containers and everything else are told apart.

What JSON holds exactly is written as itself. Everything else is an object with the key
``$stepbook``, which names its kind: ``{"$stepbook": "tuple", "items": [1, 2]}``. A dict that has
this key of its own is written as pairs, so that no value of a user can be mistaken for a kind.

A kind is of version 1; a later form of the same type gets a name of its own (``"tuple@2"``), and
both are read for ever. An unknown kind is an error, never a plain dict.
"""

from __future__ import annotations

import base64
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from ..errors import NotSerializableError
from ..model.checked import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .parts import Divided

#: The key of an object that is not a plain dict.
TAG: Final = "$stepbook"

#: Nesting of the JSON text. Python's limit is 1,000 frames, of which each level takes up to 1.5.
MAX_LEVELS: Final = 600

_PLAIN: Final[frozenset[type]] = frozenset({str, bool, type(None)})
_KEYS: Final = {str}
#: Integers of up to 640 digits can be read under every setting of the interpreter.
BIG: Final = 10**640


class Encoder(ABC):
    """One value on its way to JSON nodes: None, bool, int, float, str, list, dict.

    Args:
        known: what makes the node of a value of each type that is more than JSON.
    """

    def __init__(self, known: Mapping[type, Callable[[Encoder, Any], dict[str, Any]]]) -> None:
        self._known = known
        self._above: set[int] = set()
        self._levels = 0
        #: The types of which every value is its own node.
        self.plain: frozenset[type] = _PLAIN

    @abstractmethod
    def other(self, value: Any) -> Any:
        """Return the node of a value of a type that is not known."""

    @abstractmethod
    def blob(
        self,
        kind: str,
        ext: str,
        produce: Callable[[Any], object],
        *,
        size: int,
        facts: dict[str, Any],
        preview: Callable[[], Any],
        always_file: bool = False,
        ready: Any = None,
        parts: Divided | None = None,
    ) -> dict[str, Any]:
        """Return the node of a value that is kept as bytes, inline or in a file.

        Args:
            kind: the node's kind.
            ext: ending of the file's name.
            produce: writes the bytes to the binary file that it is given.
            size: about how many bytes that will be.
            facts: what decoding needs to know beside the bytes, and what is worth seeing.
            preview: makes a small sample to look at; JSON.
            always_file: never inline, however small.
            ready: a private copy from which *produce* writes: what reading the file would give.
            parts: the same as parts: where some are in the store, only the others are written.
        """

    def divides(self, size: int) -> bool:  # noqa: ARG002 - for those that write files
        """Whether a value of *size* bytes is worth being told by parts."""
        return False

    def knows(self, parts: Divided) -> bool:  # noqa: ARG002 - for those that write files
        """Whether some of the parts are in the store and will be referred to."""
        return False

    def wants_copy(self, size: int) -> bool:  # noqa: ARG002 - for those that write files
        """Whether a private copy of a value of *size* bytes spares reading its file back."""
        return False

    def own_file(self, path: str) -> dict[str, Any] | None:  # noqa: ARG002 - for those that have some
        """Return the node of a file that belongs to the value, None for any other path."""
        return None

    def factory(self, value: Any) -> Any:
        """Return the node of what makes the missing values of a defaultdict."""
        raise unstorable(f"a defaultdict whose factory is {value!r}; make it a dict")

    def node(self, value: Any) -> Any:  # noqa: C901, PLR0911 - one frame for each level
        """Return what stands for *value* in JSON.

        Raises:
            NotSerializableError: it holds something that cannot be stored; ``path`` is where,
                relative to *value*.
        """
        kind, plain = type(value), self.plain
        if kind in plain:
            return value
        if kind is int:
            return value if -BIG < value < BIG else {TAG: "int", "hex": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
        # Lists and dicts are done right here: one frame for each level of nesting.
        if kind is list:
            self.enter(value, 1)
            items: list[Any] = []
            try:
                for item in value:
                    items.append(item if type(item) in plain else self.node(item))  # noqa: PERF401 - the count is the path
            except NotSerializableError as error:
                error.path = f"[{len(items)}]{error.path}"
                raise
            self.leave(value, 1)
            return items
        if kind is dict:
            if TAG in value or not {*map(type, value)} <= _KEYS or self.has_odd_key(value):
                return self.pairs("dict", value)
            self.enter(value, 1)
            fields: dict[str, Any] = {}
            key = ""
            try:
                for key, item in value.items():
                    fields[key] = item if type(item) in plain else self.node(item)
            except NotSerializableError as error:
                error.path = f"{step(key)}{error.path}"
                raise
            self.leave(value, 1)
            return fields
        known = self._known.get(kind)
        return known(self, value) if known is not None else self.other(value)

    def has_odd_key(self, value: dict[str, Any]) -> bool:
        """Whether a key is a text that is no Unicode, where such texts are stored."""
        return self.plain is not _PLAIN and any(map(is_odd, value))

    def enter(self, value: object, levels: int) -> None:
        """Begin the content of *value*, which adds *levels* to the nesting of the text."""
        if id(value) in self._above:
            raise unstorable("the value contains itself")
        self._levels += levels
        if self._levels > MAX_LEVELS:
            raise unstorable(f"nested more than {MAX_LEVELS} levels deep")
        self._above.add(id(value))

    def leave(self, value: object, levels: int) -> None:
        """End what :meth:`enter` has begun."""
        self._above.discard(id(value))
        self._levels -= levels

    def restart(self) -> None:
        """Forget where an earlier value was left."""
        self._above.clear()
        self._levels = 0

    def items(self, kind: str, value: Iterable[Any], **facts: Any) -> dict[str, Any]:
        """Return a node of *kind* with the nodes of all items."""
        self.enter(value, 2)
        nodes: list[Any] = []
        try:
            for item in value:
                nodes.append(self.node(item))  # noqa: PERF401 - the count is the path
        except NotSerializableError as error:
            error.path = f"[{len(nodes)}]{error.path}"
            raise
        self.leave(value, 2)
        return {TAG: kind, **facts, "items": nodes}

    def pairs(self, kind: str, value: dict[Any, Any], **facts: Any) -> dict[str, Any]:
        """Return a node of *kind* with the nodes of all keys and values."""
        self.enter(value, 3)
        pairs: list[list[Any]] = []
        key: Any = None
        try:
            for key, item in value.items():
                pairs.append([self.node(key), self.node(item)])
        except NotSerializableError as error:
            error.path = f"{step(key)}{error.path}"
            raise
        self.leave(value, 3)
        return {TAG: kind, **facts, "items": pairs}

    def field(self, name: str, value: Any) -> Any:
        """Return the node of *value*, which errors will call ``.name``."""
        try:
            return self.node(value)
        except NotSerializableError as error:
            error.path = f"{step(name)}{error.path}"
            raise


#: The types that are their own node where texts are looked at one by one.
WITHOUT_TEXT: Final[frozenset[type]] = _PLAIN - {str}


def is_odd(text: str) -> bool:
    """Whether a text holds a lone surrogate: it is no Unicode, and JSON cannot hold it."""
    return not is_text(text)


def unstorable(reason: str) -> NotSerializableError:
    """Return what refuses the value at hand; whoever holds that adds where it is."""
    return NotSerializableError(reason, path="")


def name_of(cls: type) -> str:
    """Return a class's full name, built-ins without their module."""
    return f"{cls.__module__}.{cls.__qualname__}".removeprefix("builtins.")


def step(key: Any) -> str:
    """Return the part of a path that stands for *key*."""
    if isinstance(key, str) and key.isidentifier():
        return f".{key}"
    try:
        shown = repr(key)
    except Exception:  # noqa: BLE001 - a key of the user's own; this is only a name in an error
        shown = name_of(type(key))
    return f"[{shown if len(shown) <= 60 else shown[:60] + '…'}]"  # noqa: PLR2004


def short(item: Any) -> Any:
    """Return *item* as a JSON scalar of bounded size."""
    if item is None or type(item) in (bool, int) or (type(item) is float and math.isfinite(item)):
        return item
    text = str(item)
    return text if len(text) <= 32 else text[:32] + "…"  # noqa: PLR2004


def take(node: dict[str, Any], *names: str, optional: tuple[str, ...] = ()) -> list[Any]:
    """Return the fields *names* and *optional* (None if absent) of a node that has no others.

    Raises:
        ValueError: it has others, or not all of them.
    """
    present = node.keys() - {TAG}
    if not present.issuperset(names) or not present.issubset({*names, *optional}):
        raise ValueError(f"unexpected fields {sorted(present)}")
    return [node[name] for name in names] + [node.get(name) for name in optional]


def expect(value: Any, *kinds: type) -> Any:
    """Return *value* if it is exactly of one of *kinds*.

    Raises:
        ValueError: it is not.
    """
    if type(value) not in kinds:
        raise ValueError(f"unexpected {type(value).__name__}")
    return value


def b64(data: bytes) -> str:
    """Return *data* as base64 text."""
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """Return the bytes of a base64 text; ValueError if it is none."""
    data = base64.b64decode(expect(text, str), validate=True)
    if b64(data) != text:
        raise ValueError("not canonical base64")
    return data

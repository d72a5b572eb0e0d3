"""Object graphs as JSON: each object once, also where several hold it or it holds itself.

The nodes are those of :mod:`.nodes`, in the place where an object is met first. One that is met
again is marked there, and named where it is met again::

    {"$stepbook": "shared", "id": 1, "value": <node>}      an object that others hold, too
    [{"$stepbook": "shared.list", "id": 1}, <items>]       the same, of a list
    {"$stepbook": "again", "id": 1}                        that object

So a graph without sharing is written as :class:`.writer.Writer` writes it. What the host's own code
has made (functions, classes, their instances) is told by where it stands in that code, never by
code: see :class:`.world.World`.
"""

from __future__ import annotations

import gc
import re
from json import loads
from typing import TYPE_CHECKING, Any, Final

from ..errors import ArtifactError, NotSerializableError
from ..model.libraries import OF_THE_MOMENT, is_of_the_moment
from .kinds import no_constant
from .nodes import MAX_LEVELS, TAG, WITHOUT_TEXT, expect, name_of, unstorable
from .pickling import CannotPickleError, dumps
from .reader import Reader
from .types import caches, carried, classes, living, tables, views
from .writer import OddTextError, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model.blobs import Blobs, Limit
    from .parts import Known
    from .pickling import Pickled
    from .redact import Redaction
    from .seals import Address
    from .world import World

#: What has no identity that anybody could notice.
ATOMS: Final = frozenset({type(None), bool, int, float, complex, str, bytes, range})
SHARED: Final = "shared"
SHARED_LIST: Final = "shared.list"
AGAIN: Final = "again"
MISSING: Final = "missing"
#: Modules that tell of arrays, and of rows of arrays.
_OF_ARRAYS: Final = ("numpy", "numpy.rec")


class _Seen:
    """An object that was met, and its node."""

    __slots__ = ("id", "node", "refused", "value")

    def __init__(self, value: Any) -> None:
        self.value = value  # keeps its id from being used again
        self.node: Any = None
        self.id: int | None = None
        self.refused = ""


class _MissedError(Exception):
    """A part of a graph that somebody would miss cannot be stored in it."""


class HeapWriter(Writer):
    """Encodes graphs; what cannot be stored in them is left out and told.

    A graph of which somebody would miss a part is stored as a sealed pickle, all of it, so that
    what it shares stays shared; if that cannot be done, the part is left out.

    Args:
        artifacts: where big values go.
        world: what the host knows of its code.
        known: the parts of values that are in the store.
        limit: how much all that it encodes may take; None for any amount.
        address: where the values will stand.
        redaction: what is masked in all of them.

    Attributes:
        missing: what was left out of the last graph: path, reason and the object.
        owners: what owns memory of which several arrays are in the graph, by id.
        bases: for each of them the array of which the others are written as views.
        graph: whether to write a graph; else everything is as in a step's return.
        strict: whether what cannot be stored is an error, and not left out.
    """

    def __init__(
        self,
        artifacts: Blobs | None,
        world: World,
        *,
        known: Known | None = None,
        limit: Limit | None = None,
        address: Address | None = None,
        redaction: Redaction | None = None,
    ) -> None:
        super().__init__(artifacts, known=known, limit=limit, address=address, redaction=redaction)
        self.world = world
        self.unpickled = OF_THE_MOMENT
        self._seals_graph = False
        self.missing: list[tuple[str, Any]] = []
        self.owners: set[int] = set()
        self.bases: dict[int, Any] = {}
        self.graph = True
        self.strict = False
        self._seen: dict[int, _Seen] = {}
        self._things: dict[int, tuple[int, Any]] = {}
        self._count = 0

    def restart(self) -> None:
        """Begin another graph."""
        super().restart()
        self._seen.clear()
        self._things.clear()
        self.bases.clear()
        self._count = 0
        self.missing = []

    def _encode(self, value: Any, hint: Any, files: list[dict[str, Any]]) -> str:
        """Return the text of a graph, or of its sealed pickle."""
        self._seals_graph = self._seals and self.graph and not self.strict
        try:
            return self._encode_graph(value, hint, files)
        except _MissedError:
            self._seals_graph = False
        self.missing = []
        try:
            pickled, left = self._pickled(value), self.missing
        except (CannotPickleError, RecursionError):
            return self._encode_graph(value, hint, files)
        if left:
            text = self._encode_graph(value, hint, files)
            if len(self.missing) <= len(left):
                return text  # a pickle would hold no more of it
            self.missing = left
        return self._sealed(value, pickled, left)

    def _pickled(self, value: Any) -> Pickled:
        if not self.graph:
            return super()._pickled(value)
        leave = None if self.strict else self._leave
        owners, refuses = self.owners, self.unpickled
        return dumps(value, world=self.world, owners=owners, refuses=refuses, leave=leave)

    def _leave(self, value: Any, why: str) -> int:
        self.missing.append((why, value))
        return len(self.missing) - 1

    def _encode_graph(self, value: Any, hint: Any, files: list[dict[str, Any]]) -> str:
        """Return the text of a graph; only one with odd texts has each of them looked at."""
        try:
            return super()._encode(value, hint, files)
        except OddTextError:
            plain, self.plain = self.plain, WITHOUT_TEXT
        try:
            return super()._encode(value, hint, files)
        finally:
            self.plain = plain

    def node(self, value: Any) -> Any:
        """Return what stands for *value*; see :meth:`.nodes.Encoder.node`."""
        if type(value) in ATOMS or not self.graph:
            return super().node(value)
        seen = self._seen.get(id(value))
        if seen is not None:
            if seen.refused:
                return self._left_out(value, seen.refused)
            if seen.id is None:
                self._count += 1
                seen.id = self._count
                _mark(seen)
            return {TAG: AGAIN, "id": seen.id}
        seen = self._seen[id(value)] = _Seen(value)
        levels, met, missed = self._levels, len(self._seen), len(self.missing)
        try:
            node = views.encode(self, value) if type(value).__module__ in _OF_ARRAYS else None
            if node is None:
                node = super().node(value)
        except NotSerializableError as error:
            if self.strict:
                raise
            self._levels = levels
            self._above.discard(id(value))
            self._take_back(met, missed)
            node = self._left_out(value, error.reason or str(error))
        if type(node) not in (dict, list):
            del self._seen[id(value)]
            return node
        seen.node = node
        if seen.id is not None:
            _mark(seen)
        return node

    def _take_back(self, met: int, missed: int) -> None:
        """Forget objects that were met last: what held them is left out, and they with it."""
        for key in list(self._seen)[met:]:
            del self._seen[key]
        del self.missing[missed:]

    def _left_out(self, value: Any, reason: str) -> dict[str, Any]:
        if self.strict:
            raise unstorable(reason)
        if self._seals_graph and not is_of_the_moment(value):
            raise _MissedError
        number = len(self.missing)
        reason = reason.encode("utf-8", "backslashreplace").decode()  # it may name a file
        self.missing.append((reason, value))
        return {TAG: MISSING, "number": number, "type": name_of(type(value)), "why": reason}

    def needed(self, value: Any) -> Any:
        """Return the node of a part without which what it is a part of could not be made."""
        node = self.node(value)
        seen = self._seen.get(id(value))
        content = node if seen is None else seen.node
        while type(content) is dict and content.get(TAG) == SHARED:
            content = content["value"]
        if type(content) is dict and content.get(TAG) == MISSING:
            raise unstorable(content["why"])
        return node

    def has_met(self, value: Any) -> bool:
        """Whether an object stands in the graph already."""
        return id(value) in self._seen

    def wants_copy(self, size: int) -> bool:  # noqa: ARG002 - whatever the size
        """Return False: nobody asks for what a graph would be read as."""
        return False

    def factory(self, value: Any) -> Any:
        """Return the node of what makes the missing values of a defaultdict."""
        return self.node(value) if self.graph else super().factory(value)

    def is_plain(self, value: Any) -> bool:
        """Whether an object is told by its attributes, not by what is known of its class."""
        return not classes.is_special(type(value)) and living.is_plain(type(value))

    def forbid(self, value: Any, reason: str) -> None:
        """Refuse an object that is a part of another one and could not be shared with it."""
        if id(value) in self._seen:
            raise unstorable(reason)
        self._seen[id(value)] = seen = _Seen(value)
        seen.refused = reason

    def finds(self, reference: str, cls: type) -> bool:
        """Whether a reader in this notebook would find a class by what the record calls it."""
        try:
            return classes.find(reference, self._named(), self.world.referred) is cls
        except ArtifactError:
            return False

    def attempt(self, make: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """Return what *make* gives; None, and nothing done, if something cannot be stored."""
        known, missing, strict = dict(self._seen), list(self.missing), self.strict
        levels, above = self._levels, set(self._above)
        self.strict = True
        try:
            return make()
        except NotSerializableError:
            self._seen, self.missing = known, missing
            self._levels, self._above = levels, above
            return None
        finally:
            self.strict = strict

    def other(self, value: Any) -> Any:
        """Return the node of a value of a class of the user's own, or of a library."""
        if not self.graph:
            return super().other(value)
        found = self.world.other(value, self)
        if found is None:
            found = living.encode(self, value)
        if found is None and type(value) is caches.KIND:
            return caches.encode(self, value)
        if found is None and type(value).__module__.partition(".")[0] == "pandas":
            return self._table(value)
        if found is None and living.is_read_only(value):
            return {TAG: "numpy.readonly", "of": super().other(value)}
        return super().other(value) if found is None else found

    def _table(self, value: Any) -> Any:
        """Return the node of what pandas has."""
        found = carried.encode(self, value)
        if found is None:
            if tables.is_noted(value):
                raise unstorable("an index that was given attributes of its own")
            items = living.items_of(value)
            alone = len(self._seen) == 1 and len(set(map(id, items))) == len(items)
            found = tables.encode(self, value, alone=alone)
        return self.table(value) if found is None else found

    def number_of(self, thing: Any) -> int:
        """Return the number of something that is no value of the graph."""
        return self._things.setdefault(id(thing), (len(self._things), thing))[0]

    def table(self, value: Any) -> Any:
        """Return the node of a table by itself: its items are texts of their own."""
        for item in living.items_of(value):
            if type(item) not in ATOMS:
                self.forbid(item, "an item of a column that is held elsewhere, too")
        self.graph = False
        try:
            return super().other(value)
        finally:
            self.graph = True


def _mark(seen: _Seen) -> None:
    """Say in the node of an object, in its place, that others hold it, too."""
    node = seen.node
    if isinstance(node, list):
        node.insert(0, {TAG: SHARED_LIST, "id": seen.id})
    elif isinstance(node, dict):
        content = dict(node)
        node.clear()
        node.update({TAG: SHARED, "id": seen.id, "value": content})


def is_tree(value: Any) -> bool:
    """Whether a value is made of lists and dicts of plain values, none of them held twice."""
    level, seen = [value], {id(value)}
    if type(value) not in (list, dict):
        return False
    while level:
        inner = [part for part in gc.get_referents(*level) if type(part) not in ATOMS]
        if any(type(part) is not list and type(part) is not dict for part in inner):
            return False
        ids = set(map(id, inner))
        if len(ids) < len(inner) or not seen.isdisjoint(ids):
            return False
        seen |= ids
        level = inner
    return True


_KINDS: Final = (
    *(SHARED, SHARED_LIST, AGAIN, MISSING, tables.SHARED_TABLE, tables.SHARED_COLUMNS),
    caches.CACHED,
    *living.KINDS,
)
#: All kinds that are made in two parts.
_SHELLS: Final = {
    **living.SHELLS,
    tables.SHARED_TABLE: tables.SHELL,
    caches.CACHED: caches.SHELL,
}
_GRAPH: Final = re.compile(
    r'"\$stepbook":"(?:' + "|".join(map(re.escape, _KINDS)) + r"|host\.[a-z]+)\""
)


class HeapReader(Reader):
    """Rebuilds graphs.

    Args:
        artifacts: where big values are.
        world: what the host knows of its code.
        hint: names the classes that may be rebuilt.
        known: takes in where parts of values are.
        address: where the graph stands.
        slot: which graph of the step it is.
    """

    world: World

    def __init__(
        self,
        artifacts: Blobs | None,
        world: World,
        hint: Any,
        *,
        known: Known | None = None,
        address: Address | None = None,
        slot: str = "",
    ) -> None:
        super().__init__(artifacts, hint, known=known, address=address, slot=slot)
        self.world = world
        #: How many parts the hash of a tuple looks at, by its id; the tuples are kept meanwhile.
        self._hashed: dict[int, int] = {}
        self._keys: list[tuple[Any, ...]] = []
        self.refs: dict[int, Any] = {}
        self._raw: dict[int, Any] = {}
        self._made: dict[int, Any] = {}
        self._open: set[int] = set()
        self._later: list[Callable[[], object]] = []

    def _decoded(self, text: str) -> Any:
        if not _GRAPH.search(text):
            return super()._decoded(text)
        return self._rebuilt(loads(text, parse_constant=no_constant))

    def _rebuilt(self, raw: Any) -> Any:
        self._find(raw)
        value = self.resolve(self._wanted(raw))
        while self._later:
            self._later.pop()()
        return value

    def _wanted(self, raw: Any) -> Any:
        """Return the node of which the object is asked for."""
        return raw

    def _find(self, raw: Any) -> None:
        """Take in the objects that are held more than once."""
        waiting = [raw]
        while waiting:
            node = waiting.pop()
            if type(node) is list:
                if node and type(node[0]) is dict and node[0].get(TAG) == SHARED_LIST:
                    self._enter(node[0], node[1:])
                waiting.extend(node)
            elif type(node) is dict:
                if node.get(TAG) == SHARED:
                    self._enter(node, node["value"])
                waiting.extend(node.values())

    def _enter(self, node: dict[str, Any], content: Any) -> None:
        number = expect(node["id"], int)
        if number in self._raw:
            raise ArtifactError("two objects have the same number")
        self._raw[number] = content

    def resolve(self, node: Any) -> Any:  # noqa: C901, PLR0911 - one for each kind
        """Return the object of a node; what it holds may be filled in later."""
        if type(node) is list:
            if node and type(node[0]) is dict and node[0].get(TAG) == SHARED_LIST:
                return self._at(node[0]["id"])
            return [self.resolve(item) for item in node]
        if type(node) is not dict:
            return node
        kind = node.get(TAG)
        if kind in (SHARED, AGAIN):
            return self._at(node["id"])
        if kind == MISSING:
            return self.world.missing(node)
        if type(kind) is str and kind.startswith("host."):
            return self.world.made({key: self.resolve(item) for key, item in node.items()})
        shell = _SHELLS.get(kind) if type(kind) is str else None
        if shell is not None:
            return self._begin(shell, node)
        inner = {key: self.resolve(item) for key, item in node.items()}
        if kind is None:
            return inner
        if kind == "frozenset":
            self._weigh(inner["items"])
        if kind == tables.SHARED_COLUMNS:
            return tables.decode_columns(inner)
        return living.decode(self, kind, inner) if kind in living.WHOLE else self._hook(inner)

    def _at(self, number: Any) -> Any:
        if number in self._made:
            return self._made[number]
        raw = self._raw[number]
        if type(raw) is not dict:
            shell: living.Shell | None = living.LIST
        else:
            shell = _SHELLS.get(raw[TAG]) if TAG in raw else living.DICT
        if shell is not None:
            return self._begin(shell, raw, number)
        value = self._made[number] = self.resolve(raw)
        return value

    def _begin(self, shell: living.Shell, raw: Any, number: int | None = None) -> Any:
        """Make an object without its content, so that the content may hold it."""
        value = shell.make(self, raw)
        if number is not None:
            self._made[number] = value
        if shell.late:
            self._later.append(lambda: shell.fill(self, value, raw))
            return value
        self._open.add(id(value))
        shell.fill(self, value, raw)
        self._open.discard(id(value))
        return value

    def when_whole(self, keys: list[Any], fill: Callable[[], None]) -> None:
        """Call *fill*, which asks for hashes of *keys*, as soon as those have their content."""
        self._weigh(keys)
        if self._open and any(id(part) in self._open for key in keys for part in _parts(key)):
            self._later.append(fill)
        else:
            fill()

    def _weigh(self, keys: list[Any]) -> None:
        """Ask for the steps that the hashes of *keys* take.

        A tuple may hold another one twice, and that a third one twice: its hash looks at all.
        """
        self.budget.step(sum(self._weight(key, 0) for key in keys if type(key) is tuple))

    def _weight(self, key: tuple[Any, ...], level: int) -> int:
        found = self._hashed.get(id(key))
        if found is None:
            if level > MAX_LEVELS:
                raise ArtifactError("a key that is nested too deep")
            inner = [self._weight(part, level + 1) for part in key if type(part) is tuple]
            self._keys.append(key)
            found = self._hashed[id(key)] = len(key) + sum(inner)
        return found

    def class_of(self, reference: str) -> type:
        """Return a class that the host's code names."""
        return classes.find(reference, self._named(), self.world.referred)


class EarlyReader(HeapReader):
    """Rebuilds one member of a dict, for code that is executed before all of it can be rebuilt.

    What needs classes that this code makes is left out.

    Args:
        only: the member.
        given: as for :class:`HeapReader`.
    """

    def __init__(self, only: str, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._only = only

    def _decoded(self, text: str) -> Any:
        return self._rebuilt(loads(text, parse_constant=no_constant))

    def _wanted(self, raw: Any) -> Any:
        return raw[self._only]

    def resolve(self, node: Any) -> Any:
        """Return the object of a node; what stands for one that cannot be made yet."""
        try:
            return super().resolve(node)
        except ArtifactError as error:
            return self.world.missing({"type": "object", "why": str(error), "number": -1})


def _parts(key: Any) -> list[Any]:
    """Return what the hash of a key may ask for: itself, and what is in it if it is a tuple."""
    found = {id(key): key}
    waiting = [key]
    while waiting:
        part = waiting.pop()
        if isinstance(part, tuple | frozenset):
            inner = {id(item): item for item in part if id(item) not in found}
            found |= inner
            waiting.extend(inner.values())
    return [*found.values()]

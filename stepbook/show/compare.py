"""Two recorded values side by side: what differs, and where.

A pure function of what is recorded. Values are compared by content, as the codec writes them: the
same text is the same value, NaN is NaN, and what is kept in files is told apart by its hash. Only
where two hashes differ are files read, to find the column and the row.
"""

from __future__ import annotations

from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import StepbookError
from ..values import sealed
from ..values.nodes import TAG, step
from . import tables
from .values import readable
from .words import Contrast, change, contrast, counted, counts, one_sided, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..values.codec import Codec

#: Differences of one value that are told; the others are counted.
_MOST: Final = 100
_SHORT: Final = 60
#: Fields of nodes that hold what a value is made of: a path does not name them.
_CONTENT: Final = frozenset({"fields", "items", "value", "of", "state"})
#: Fields that are not the value but a look at it, or how its bytes are kept.
_LOOKS: Final = frozenset({"shown", "preview", "data", "file", "bytes", "xxh3_128"})
_GRAPH: Final = ("shared", "again")


class Difference(NamedTuple):
    """One thing that is not the same.

    Attributes:
        where: the place in the value, as Python writes it; empty for the value as a whole.
        text: what is recorded and what there is now; or why it was not compared.
    """

    where: str
    text: str | Contrast


class Value(NamedTuple):
    """One recorded value.

    Attributes:
        node: its JSON, parsed.
        codec: reads its files. With one that has none, values in files are told apart by what the
            record says of them.
        graph: the JSON that it is a part of, which may hold parts that it shares.
    """

    node: Any
    codec: Codec
    graph: Any = None


class Compared(NamedTuple):
    """How two values compare.

    Attributes:
        differences: what differs; nothing if they are the same.
        skipped: what could not be compared, and why.
        more: how many further differences there are.
    """

    differences: tuple[Difference, ...] = ()
    skipped: tuple[Difference, ...] = ()
    more: int = 0


def in_python(key: Any) -> str:
    """Return the part of a place that stands for *key*, as Python writes it."""
    return f"[{key!r}]" if isinstance(key, str) and len(key) <= _SHORT else step(key)


def compare(recorded: Value, now: Value, place: Callable[[Any], str] = in_python) -> Compared:
    """Return how two recorded values compare.

    Args:
        recorded: the one that is the measure.
        now: the other.
        place: writes the part of a place that stands for the key of a dict.
    """
    found = _Comparison(_Side(recorded), _Side(now), place)
    try:
        found.walk("", recorded.node, now.node)
    except RecursionError:
        found.differs("", "differs, nested too deeply to say where")
    return Compared(tuple(found.differences), tuple(found.skipped), found.more)


def short(node: Any) -> str:
    """Return a few words for a value."""
    if isinstance(node, dict) and TAG in node:
        # Scalars of libraries tell how they look, or what they are in Python.
        look = node.get("shown", node.get("value") if node[TAG] == "numpy.scalar" else None)
        node = node if look is None else look
        text = look if isinstance(look, str) else readable(dumps(node, ensure_ascii=False))
    else:
        text = repr(node) if isinstance(node, str) else readable(dumps(node))
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


class _Side:
    """One of two values: its files, and the parts that it names by their numbers."""

    def __init__(self, value: Value) -> None:
        self.codec = value.codec
        self._graph = value.node if value.graph is None else value.graph
        self._shared: dict[int, Any] | None = None
        self._lists: dict[int, list[Any]] = {}

    def plain(self, node: Any) -> Any:
        """Return a node without the marks of a graph."""
        while isinstance(node, dict) and node.get(TAG) in _GRAPH:
            node = node["value"] if node[TAG] == "shared" else self._named(node.get("id"))
        if isinstance(node, list) and _is_list_mark(node):
            # The same list each time, as it is told by its identity whether it was met.
            return self._lists.setdefault(id(node), node[1:])
        return node

    def _named(self, number: Any) -> Any:
        if self._shared is None:
            self._shared = dict(_shared_in(self._graph))
        return self._shared.get(number)


def _is_list_mark(node: list[Any]) -> bool:
    return bool(node) and isinstance(node[0], dict) and node[0].get(TAG) == "shared.list"


def _shared_in(graph: Any) -> Iterator[tuple[int, Any]]:
    todo = [graph]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            if node.get(TAG) == "shared":
                yield node["id"], node["value"]
            todo += node.values()
        elif isinstance(node, list):
            if _is_list_mark(node):
                yield node[0]["id"], node
            todo += node


class _Comparison:
    def __init__(self, recorded: _Side, now: _Side, place: Callable[[Any], str]) -> None:
        self._recorded, self._now = recorded, now
        self._place = place
        self._reads = None not in (recorded.codec.artifacts, now.codec.artifacts)
        self.differences: list[Difference] = []
        self.skipped: list[Difference] = []
        self.more = 0
        self._met: set[tuple[int, int]] = set()
        # Files that differ and were told of where the value names them.
        self._told: set[tuple[Any, ...]] = set()

    def differs(self, where: str, text: str | Contrast) -> None:
        if len(self.differences) < _MOST:
            self.differences.append(Difference(where, text))
        else:
            self.more += 1

    def _differ(self, where: str, recorded: Any, now: Any) -> None:
        if len(self.differences) >= _MOST:
            self.more += 1  # without the words for it, which take the longest
            return
        if isinstance(recorded, str) and isinstance(now, str):
            self.differs(where, texts(recorded, now))
            return
        before, after = short(recorded), short(now)
        kinds = _kind(recorded), _kind(now)
        if before == after and kinds[0] != kinds[1]:
            self.differs(where, contrast(*(f"{before} ({kind})" for kind in kinds)))
        elif before == after:  # they differ behind what is shown of them
            self.differs(where, Contrast(before, after))
        else:
            apart = change(*map(_number, (recorded, now)))
            self.differs(where, Contrast(before, after, change=apart))

    def walk(self, where: str, recorded: Any, now: Any) -> None:
        """Compare two nodes."""
        recorded, now = self._recorded.plain(recorded), self._now.plain(now)
        if isinstance(recorded, dict | list):
            if (id(recorded), id(now)) in self._met:
                return  # shared, or in a circle: compared already
            self._met.add((id(recorded), id(now)))
        if type(recorded) is not type(now):
            self._differ(where, recorded, now)
        elif isinstance(recorded, dict):
            self._dicts(where, recorded, now)
        elif isinstance(recorded, list):
            self._lists(where, recorded, now)
        elif recorded != now:
            self._differ(where, recorded, now)

    def _lists(self, where: str, recorded: list[Any], now: list[Any]) -> None:
        if len(recorded) != len(now):
            self.differs(where, counts(len(recorded), len(now), "item"))
        for index, items in enumerate(zip(recorded, now, strict=False)):
            self.walk(f"{where}[{index}]", *items)

    def _dicts(self, where: str, recorded: dict[str, Any], now: dict[str, Any]) -> None:
        kind = recorded.get(TAG)
        if kind == "missing" or now.get(TAG) == "missing":
            self._missing(where, recorded, now)
        elif "files" in (kind, now.get(TAG)):
            self._written(where, recorded, now)
        elif kind != now.get(TAG):
            self._differ(where, recorded, now)
        elif kind == "sealed":
            self._sealed(where, recorded, now)
        elif kind is None:
            self._keys(where, {k: (k, v) for k, v in recorded.items()}, _keyed(now.items()))
        elif any(name in side for name in ("sha256", "parts") for side in (recorded, now)):
            self._files(where, kind, recorded, now)
        elif kind in ("set", "frozenset"):
            self._sets(where, recorded["items"], now["items"])
        elif _is_pairs(recorded) and _is_pairs(now):
            self._keys(where, _keyed(recorded["items"]), _keyed(now["items"]))
        else:
            self._fields(where, recorded, now)

    def _sealed(self, where: str, recorded: dict[str, Any], now: dict[str, Any]) -> None:
        """Compare sealed pickles without loading them: equal bytes are equal values."""
        if any(recorded.get(name) != now.get(name) for name in ("class", "shape")):
            self._differ(where, recorded, now)
        elif sealed.parts_of(recorded) != sealed.parts_of(now):
            why = "it is a sealed pickle, and equal objects can have different ones"
            self.skipped.append(Difference(where, why))

    def _missing(self, where: str, recorded: dict[str, Any], now: dict[str, Any]) -> None:
        found = recorded if recorded.get(TAG) == "missing" else now
        self.skipped.append(Difference(where, str(found.get("why", "it cannot be stored"))))

    def _keys(
        self, where: str, recorded: dict[str, tuple[Any, Any]], now: dict[str, tuple[Any, Any]]
    ) -> None:
        for text, (key, value) in recorded.items():
            place = where + self._place(key)
            if text in now:
                self.walk(place, value, now[text][1])
            else:
                self.differs(place, one_sided(self._short(self._recorded, value), is_new=False))
        for text, (key, value) in now.items():
            if text not in recorded:
                told = one_sided(self._short(self._now, value), is_new=True)
                self.differs(where + self._place(key), told)

    def _short(self, side: _Side, value: Any) -> str:
        return "" if len(self.differences) >= _MOST else short(side.plain(value))

    def _sets(self, where: str, recorded: list[Any], now: list[Any]) -> None:
        before, after = ({dumps(item): item for item in side} for side in (recorded, now))
        for is_new, left, right in ((False, before, after), (True, after, before)):
            only = [short(item) for text, item in left.items() if text not in right]
            if only:
                more = f" and {len(only) - 3:,} more" if len(only) > 3 else ""  # noqa: PLR2004
                told = ", ".join(only[:3]) + more
                self.differs(where, one_sided(told, is_new=is_new, members=True))

    def _fields(self, where: str, recorded: dict[str, Any], now: dict[str, Any]) -> None:
        """Compare what two nodes of one kind tell; scalars of their own stand as a whole."""
        names = [n for n in {**recorded, **now} if n not in _LOOKS and n != TAG]
        if recorded[TAG] == "function":
            names = [n for n in names if n != "place"]  # its code: told of the cell that has it
        nested = [n for n in names if isinstance(recorded.get(n, now.get(n)), dict | list)]
        scalars = [n for n in names if n not in nested]
        if any(_plain(n, recorded.get(n)) != _plain(n, now.get(n)) for n in scalars):
            self._differ(where, recorded, now)
        for name in nested:
            place = where if name in _CONTENT else f"{where}.{name}"
            if name == "fields" and isinstance(recorded.get(name), dict):
                for field in {**recorded[name], **(now.get(name) or {})}:
                    inner = recorded[name].get(field), (now.get(name) or {}).get(field)
                    self.walk(f"{place}.{field}", *inner)
            else:
                self.walk(place, recorded.get(name), now.get(name))

    def _files(self, where: str, kind: str, recorded: dict[str, Any], now: dict[str, Any]) -> None:
        """Compare what is kept as bytes; only where their hashes differ are they read."""
        facts = {n for n in {**recorded, **now} if n not in _LOOKS}
        if all(recorded.get(n) == now.get(n) for n in facts):
            return
        if kind == "pickle":
            why = "it is a pickle, and equal objects can have different ones"
            self.skipped.append(Difference(where, why))
            return
        if kind == "file":
            self._told.add((now.get("name"), recorded.get("sha256"), now.get("sha256")))
            self.differs(where, contrast(*map(_file, (recorded, now))))
            return
        try:
            if kind == "json":
                self.walk(where, *(self._inner(*side) for side in self._both(recorded, now)))
                return
            values = [side.codec.decode(dumps(node)) for side, node in self._both(recorded, now)]
            found = list(tables.differences(*values))
        except (StepbookError, TypeError, ValueError) as error:
            if self._reads:
                self.skipped.append(Difference(where, f"it cannot be read: {error}"))
                return
            found = list(tables.told_differences(recorded, now)) or [tables.UNKNOWN]
        if found == [tables.UNKNOWN]:
            self._differ(where, recorded, now)
            return
        for place, text in found:
            self.differs(where + place, text)

    def _written(self, where: str, recorded: dict[str, Any], now: dict[str, Any]) -> None:
        """Compare values with the files beside them, which steps have written by ``ctx.file``."""
        values = [side["value"] if side.get(TAG) == "files" else side for side in (recorded, now)]
        self.walk(where, *values)
        before, after = (
            {file["name"]: file for file in side["files"]} if side.get(TAG) == "files" else {}
            for side in (recorded, now)
        )
        for name in {**before, **after}:
            files = before.get(name), after.get(name)
            hashes = tuple(file and file.get("sha256") for file in files)
            if files[0] is None or files[1] is None:
                is_new = files[0] is None
                told = one_sided(_content(files[is_new]), is_new=is_new)
                self.differs(f"{where}, file {name}", told)
            elif hashes[0] != hashes[1] and (name, *hashes) not in self._told:
                self.differs(f"{where}, file {name}", contrast(*map(_content, files)))

    def _both(self, recorded: Any, now: Any) -> tuple[tuple[_Side, Any], tuple[_Side, Any]]:
        return (self._recorded, recorded), (self._now, now)

    @staticmethod
    def _inner(side: _Side, node: dict[str, Any]) -> Any:
        return loads(str(side.codec.content(node), "utf-8"))


def _file(node: dict[str, Any]) -> str:
    return f"{node.get('name')} ({_content(node)})"


def _content(node: Any) -> str:
    """Return what a file holds in the words of ``ls`` and ``sha256sum``."""
    return f"{counted(node.get('bytes', 0), 'byte')}, SHA-256 {str(node.get('sha256'))[:12]}…"


def _kind(node: Any) -> str:
    if isinstance(node, dict) and TAG in node:
        return str(node[TAG])
    return type(node).__name__


def _number(node: Any) -> Any:
    """Return the number that a node of NumPy's scalars tells, and any other node as it is."""
    is_scalar = isinstance(node, dict) and node.get(TAG) == "numpy.scalar"
    return node.get("value") if is_scalar else node


def _plain(name: str, value: Any) -> Any:
    """Return a scalar of a node; a class without its module, which may be the one executed."""
    return value.rpartition(":")[2] if name == "class" and isinstance(value, str) else value


def _keyed(items: Any) -> dict[str, tuple[Any, Any]]:
    return {k if isinstance(k, str) else dumps(k): (k, v) for k, v in items}


def _is_pairs(node: dict[str, Any]) -> bool:
    items = node.get("items")
    return (
        str(node[TAG]) in ("dict", "OrderedDict", "defaultdict", "Counter")
        and isinstance(items, list)
        and all(isinstance(pair, list) and len(pair) == 2 for pair in items)  # noqa: PLR2004
    )

"""JSON text and artifacts to values."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from json import JSONDecoder, loads
from typing import TYPE_CHECKING, Any, Final

from ..errors import ArtifactError, NotStoredError, SealKeyError, StepbookError
from ..model.blobs import Blobs, Stored
from ..system.interrupts import load
from .budget import Budget
from .kinds import COMPOSED, FORMAT, LIBRARIES, PARTS_FORMAT, SEALED, library, no_constant, to_text
from .nodes import TAG, expect, step, take, unb64
from .parts import Content, Known, Source
from .types import classes
from .types.builtin import DECODERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .seals import Address
    from .world import World

_BLOB_FIELDS: Final = frozenset(
    {TAG, "format", "bytes", "sha256", "xxh3_128", "file", "data", "parts", "preview"}
)
#: The modules of values that may be in several files.
_DIVIDED: Final = ("arrays", "frames")


class Reader:
    """Rebuilds one value.

    Args:
        artifacts: where big ones are; None if there are none.
        hint: names the classes that may be rebuilt.
        ready: what reading some files would give; handed out once each.
        known: takes in where parts of values are.
        address: where the value stands; only there sealed pickles are loaded.
        slot: which value of the step it is.

    Attributes:
        budget: what rebuilding the value may take.
    """

    #: What the host knows of its code; a value by itself needs nothing of it.
    world: World | None = None

    def __init__(
        self,
        artifacts: Blobs | None,
        hint: Any,
        *,
        ready: dict[str, list[Any]] | None = None,
        known: Known | None = None,
        address: Address | None = None,
        slot: str = "",
    ) -> None:
        self.budget = Budget()
        self._address = address
        self._slot = slot
        self._known = known
        self._ready = ready or {}
        self._store = artifacts
        self._hint = hint
        self._classes: classes.Classes | None = None
        self._decoder = JSONDecoder(object_hook=self._hook, parse_constant=no_constant)

    def decode(self, text: str) -> Any:
        """Return the value that *text* stands for.

        Raises:
            ArtifactError: it cannot be rebuilt.
        """
        self.budget.enter()
        self.budget.text(len(text))
        try:
            return self._decoded(text)
        except (ArtifactError, NotStoredError, SealKeyError, RecursionError):
            raise
        except StepbookError as error:
            raise ArtifactError(str(error)) from error
        except ImportError as error:
            raise ArtifactError(f"it needs a package that is not installed: {error}") from error
        except Exception as error:
            raise ArtifactError(
                f"the record is damaged: {type(error).__name__}: {error}"
            ) from error
        finally:
            self.budget.leave()

    def _decoded(self, text: str) -> Any:
        return self._decoder.decode(text)

    def _hook(self, node: dict[str, Any]) -> Any:
        # Called for each object, the innermost first: what is inside is rebuilt already.
        if TAG not in node:
            return node
        kind = node[TAG]
        known = DECODERS.get(expect(kind, str))
        if known is not None:
            return known(node)
        if kind in classes.KINDS:
            return classes.decode(kind, node, self._named)
        return self._decode_bytes(kind, node)

    def _named(self) -> classes.Classes:
        if self._classes is None:
            self._classes = classes.named_classes(self._hint)
        return self._classes

    def _decode_bytes(self, kind: str, node: dict[str, Any]) -> Any:  # noqa: C901, PLR0911 - one for each kind
        own = _BLOB_FIELDS if "bytes" in node else (TAG,)
        rest = {name: item for name, item in node.items() if name not in own}
        if self._ready and (made := self._made_already(node)) is not None:
            return made
        if kind == "files":
            value, _ = take(rest, "value", "files")
            return value
        if "bytes" in node and (
            node.get("format") != (PARTS_FORMAT if "parts" in node else FORMAT)
            or len({"data", "file", "parts"} & node.keys()) != 1
        ):
            raise ArtifactError(f"{kind!r} has a form of a newer stepbook, or is damaged")
        if kind in SEALED:
            from . import sealed  # noqa: PLC0415 - few books have such values

            return sealed.value_of(node, self._address, self._slot, self._bytes_of, self.world)
        content = self.content(node)
        if kind == "json":
            take(rest, "of", optional=("length",))
            self.budget.whole_text()
            return self.decode(str(content(), "utf-8"))
        if kind in ("bytes.blob", "bytearray.blob"):
            take(rest)
            return (bytes if kind == "bytes.blob" else bytearray)(content())
        if kind == "file":
            take(rest, "name")
            return self._artifacts().check(_stored(node))
        if kind in COMPOSED:
            return library("composed").decode(kind, rest)
        name = kind.partition(".")[0]
        module = LIBRARIES.get(name)
        if (
            module is None
            or kind not in (family := library(module)).KINDS
            or (content.is_divided and module not in _DIVIDED)
        ):
            raise ArtifactError(
                f"{kind!r} is unknown: recorded by a newer stepbook, or the record is damaged"
            )
        with suppress(ImportError):  # told below, with what to install
            load(name)
        if module == "frames":
            return family.decode(kind, rest, content, self.decode)
        return family.decode(kind, rest, content)

    def _made_already(self, node: dict[str, Any]) -> Any:
        """Return what was made already of the next value in these files, if it was."""
        place = node.get("file") or to_text(node.get("parts"))
        made = self._ready.get(place)
        return made.pop(0) if made else None

    def content(self, node: dict[str, Any]) -> Content:
        """Return what reads the bytes of a node, each time after a hash was found right."""
        if "parts" in node:
            files, places = _listed(node["parts"])
            sources = [self._part_of(file) for file in files]
            return Content(sources, self.budget, places, self._known)

        def read(allocate: Callable[[int], Any]) -> memoryview:
            size, sha256 = expect(node["bytes"], int), expect(node["sha256"], str)
            data = unb64(node["data"])
            if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
                raise ArtifactError("its bytes are not those that were recorded")
            view = memoryview(allocate(size)).cast("B")
            view[:] = data
            return view

        source = self._source(_stored(node)) if "file" in node else Source(read)
        return Content([source], self.budget, None, self._known)

    def _part_of(self, file: dict[str, Any]) -> Source:
        """Return what reads one of several files of a node."""
        take(file, "file", "bytes", "sha256", "xxh3_128")
        return self._source(_stored(file))

    def _source(self, stored: Stored) -> Source:
        def read(allocate: Callable[[int], Any]) -> memoryview:
            asking = self.budget.allowing(stored.file, allocate)
            return self._artifacts().read(stored, asking)

        return Source(read, stored)

    def _artifacts(self) -> Blobs:
        if self._store is None:
            raise ArtifactError("it is in a file, and this book has none")
        return self._store

    def _bytes_of(self, node: dict[str, Any]) -> memoryview:
        """Return bytes that stand in a node or its file, in memory of their own."""
        return self.content(node)()


def _listed(node: Any) -> tuple[list[dict[str, Any]], list[tuple[int, ...]]]:
    """Return files and places of what :func:`.parts.listed` made."""
    files, places = take(expect(node, dict), "files", "places")
    if not files or not all(type(file) is dict for file in expect(files, list)):
        raise ValueError("not the files of a value")
    for place in expect(places, list):
        if any(type(number) is not int for number in expect(place, list)) or not place:
            raise ValueError("not the place of a part")
    return files, [tuple(place) for place in places]


def _stored(node: dict[str, Any]) -> Stored:
    xxh3 = expect(node["xxh3_128"], str) if "xxh3_128" in node else None
    stored = Stored(expect(node["file"], str), expect(node["bytes"], int), xxh3)
    if stored.sha256 != node["sha256"] or stored.size < 0:
        raise ArtifactError("the record contradicts itself")
    return stored


def shown(node: dict[str, Any]) -> Any:
    """Return what a node shows to people: no file is read, no class rebuilt."""
    kind = node.get(TAG)
    known = DECODERS.get(kind) if isinstance(kind, str) else None
    if known is not None:
        try:
            value = known(node)
            return value.encode("utf-8", "backslashreplace").decode() if kind == "str" else value
        except Exception:  # noqa: BLE001 - what is inside may be shown as a dict
            return node
    if kind == "sealed":
        from . import sealed  # noqa: PLC0415 - as above

        return sealed.shown(node)
    return {name: item for name, item in node.items() if name != "data"} if TAG in node else node


def files_in(text: str) -> dict[str, str]:
    """Return the files that a text tells of: names of artifacts by where they stand.

    Those that a step has written by ``ctx.file`` stand under their names, the others under their
    path in the text, a value that is a file itself under ``$``.
    """
    found: dict[str, str] = {}
    try:
        waiting: list[tuple[str, Any]] = [("$", loads(text))]
    except (ValueError, RecursionError):  # no text that was recorded
        return found
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, dict):
            if "file" in node and "sha256" in node:
                found[node.get("name", path) if node.get(TAG, "file") == "file" else path] = node[
                    "file"
                ]
            parts = [(f"{path}{step(key)}", item) for key, item in node.items()]
        elif isinstance(node, list):
            parts = [(f"{path}[{i}]", item) for i, item in enumerate(node)]
        else:
            continue
        waiting.extend(reversed(parts))
    return found

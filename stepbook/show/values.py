"""A recorded value as people read it: one rendering, for terminals, logs and pages."""

from __future__ import annotations

from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

from ..values import reader
from ..values.nodes import TAG
from ..values.types.builtin import DECODERS

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How many characters of JSON are made readable: for a line, and for a page.
_LINE: Final = 10_000
_PAGE: Final = 120_000
_OPEN, _CLOSE = "\ue000", "\ue001"  # private: around words that stand for a value


class _Words:
    """What is shown of a value that is not JSON.

    Attributes:
        line: a few words.
        head: the same with the module of its class.
        sample: some of its rows, as they are recorded.
    """

    __slots__ = ("head", "line", "sample")

    def __init__(self, line: str, head: str | None = None, sample: Any = None) -> None:
        self.line = line
        self.head = line if head is None else head
        self.sample = sample


def readable(text: str, *, page: bool = False) -> str:
    """Return recorded JSON as people read it: spaced, and what is not JSON by a few words.

    A very long text is returned as it is.

    Args:
        text: JSON, as it is recorded.
        page: there is room: indented, classes with their modules, a table with its sample.
    """
    if len(text) > (_PAGE if page else _LINE):
        return text

    def told(value: Any) -> str:
        words = str(value)
        if isinstance(value, _Words):
            words = value.head if page else value.line
        return _OPEN + words + _CLOSE  # loses its quotes below

    try:
        value = loads(text, object_hook=_in_words)
        if page and isinstance(value, _Words):
            return "\n".join([value.head, *_rows(value.sample)])
        spaced = dumps(value, ensure_ascii=False, indent=2 if page else None, default=told)
    except (ValueError, TypeError, RecursionError):
        return text
    return spaced.replace(f'"{_OPEN}', "").replace(f'{_CLOSE}"', "")


def _in_words(node: dict[str, Any]) -> Any:  # noqa: PLR0911 - one for each kind
    kind = node.get(TAG)
    if not isinstance(kind, str):
        return node
    if kind == "files":
        return node.get("value")
    name = kind.rpartition(".")[2]
    if kind == "sealed":
        return _sealed(node)
    if isinstance(node.get("shape"), list):
        shape = " × ".join(map(_number, node["shape"]))  # noqa: RUF001 - times
        return _Words(f"{name} {shape}", f"{kind} {shape}", node.get("preview"))
    size = f"({_number(node.get('bytes'))} bytes)"
    if kind == "file":
        return _Words(f"{node.get('name')} {size}")
    if "sha256" in node:
        return _Words(f"{node.get('of', name)} {size}", f"{node.get('of', kind)} {size}")
    return reader.shown(node) if kind in DECODERS else _Words(name, kind)


def _sealed(node: dict[str, Any]) -> _Words:
    """Return what is shown of a sealed pickle; nothing of it is loaded."""
    cls, shape = str(node.get("class")), node.get("shape")
    size = " × ".join(map(_number, shape)) if isinstance(shape, list) else ""  # noqa: RUF001 - times
    line, head = (" ".join(filter(None, (c, size))) for c in (cls.rpartition(".")[2], cls))
    shown = str(node.get("repr") or "")
    return _Words(f"{line} (sealed)", f"{head} (sealed){f': {shown}' if shown else ''}")


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _rows(sample: Any) -> Iterator[str]:
    """Yield the rows of a table or array, those of a table behind the labels of its index."""
    labelled = isinstance(sample, dict)
    rows = sample.get("rows") if labelled else sample
    labels = sample.get("index") if labelled else None
    for number, row in enumerate(rows if isinstance(rows, list) else ()):
        text = dumps(row, ensure_ascii=False)
        named = labels[number] if isinstance(labels, list) and number < len(labels) else None
        yield f"{', '.join(map(str, named))}: {text}" if isinstance(named, list) else text

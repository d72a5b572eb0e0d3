"""What of a run only its recorder's key vouches for: listed, and trusted by this user's decision.

Nothing is loaded for the list: modules are read from the text of the pickles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from json import loads
from typing import TYPE_CHECKING, Any, Final

from ..errors import ArtifactError
from ..model.rows import SUCCEEDED, fields_of
from ..model.sizes import described
from ..seen import seen
from ..show.words import counted
from ..system import trusted
from ..values import sealed
from ..values.kinds import SEALED
from ..values.nodes import TAG
from ..values.pickling import UNKNOWN, modules_in
from . import active
from .variables import GROUPS, slot_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..engine.opened import OpenRun
    from ..model.rows import StepRow
    from ..values.seals import Address

_PICKLE: Final = "pickle"
#: Steps that are listed by name; of more, their number is told.
_MOST: Final = 20


@dataclass
class Item:
    """One value, or the outputs of one step, that this user's key has not sealed.

    Attributes:
        step: the name of the step.
        what: what it is, in words.
        why: why it is not loaded or shown.
        mark: the hash by which it is trusted.
        size: of its bytes.
        modules: that loading it would use, as it says itself.
    """

    step: str
    what: str
    why: str
    mark: str
    size: int = 0
    modules: set[str] = field(default_factory=set)


def untrusted(run: OpenRun) -> list[Item]:
    """Return what of a run is not loaded, or not shown as it was, on this user's replay."""
    found: list[Item] = []
    for step in run.look().steps.values():
        if step.status == SUCCEEDED:
            found += _values(run, step)
            found += _outputs(run, step)
    return found


def listed(run: OpenRun, items: list[Item]) -> str:
    """Return who has recorded a run, and what of it has to be trusted, for people to read."""
    row = run.look().run
    facts = fields_of(row.environment)
    who = ", ".join(str(facts[name]) for name in ("host", "notebook") if facts.get(name))
    lines = [f"{row.loop} {run.id}, recorded on {who or 'an unknown machine'}"]
    values = [item for item in items if item.modules]
    if values:
        size = described(sum(item.size for item in values))
        lines.append(f"{counted(len(values), 'sealed value')}, {size}. Loading them executes code:")
        lines += [f"  {item.step}: {item.what} ({item.why})" for item in values[:_MOST]]
        if len(values) > _MOST:
            lines.append(f"  and {len(values) - _MOST:,} more")
        modules = sorted(set().union(*(item.modules for item in values)) - {UNKNOWN})
        lines.append(f"  modules that they name: {', '.join(modules) or 'none'}")
        if any(UNKNOWN in item.modules for item in values):
            lines.append("  some name modules that cannot be told before they are loaded")
    outputs = [item for item in items if not item.modules]
    if outputs:
        lines.append(f"{counted(len(outputs), 'step')} with outputs that can hold scripts:")
        lines += [f"  {item.step}: {item.what} ({item.why})" for item in outputs[:_MOST]]
        if len(outputs) > _MOST:
            lines.append(f"  and {len(outputs) - _MOST:,} more")
    if not items:
        lines.append("Everything in it is plain data, or sealed or trusted by you already.")
    return "\n".join(map(seen, lines))


def decided(run: OpenRun, option: str = "") -> str:
    """Do what a command asks for, and return what to print.

    Args:
        run: the run.
        option: ``--list`` to list only, ``--revoke`` to take back what was trusted, or empty.

    Raises:
        BookError: this user has no folder to keep in what is trusted.
    """
    book = run.book.id
    if option == "--revoke":
        had = trusted.distrust(book, run.id)
        return f"{run.id} is not trusted any more." if had else f"{run.id} was not trusted."
    items = untrusted(run)
    text = listed(run, items)
    if not items:
        return text
    command = f"stepbook trust {run.id}"
    if option == "--list":
        return f"{text}\nNothing was changed. To trust all of it: {command}"
    trusted.trust(book, run.id, [item.mark for item in items])
    return f"{text}\nTrusted from now on. To take it back: {command} --revoke"


def _values(run: OpenRun, step: StepRow) -> Iterator[Item]:
    address = run.address(step.name, step.made_by)
    text = run.value(step) if step.left_on_disk else step.value
    nodes = [("return", "its return value", _root(text))]
    cell = run.cell(step)
    nodes += _variables(cell.variables if cell is not None else None)
    for slot, label, node in nodes:
        if node is not None:
            item = _item(run, address, slot, label, node)
            if item is not None:
                yield item


def _root(text: str | None) -> Any:
    """Return the node of a value if it is a pickle."""
    if text is None or not text.startswith(f'{{"{TAG}":'):
        return None
    try:
        return _pickle(loads(text))
    except (ValueError, RecursionError):
        return None


def _pickle(node: Any) -> Any:
    return node if isinstance(node, dict) and node.get(TAG) in SEALED else None


def _variables(text: str | None) -> Iterator[tuple[str, str, Any]]:
    try:
        entries = loads(text or "{}")
        groups = entries.pop(GROUPS, [])
        for name, entry in entries.items():
            if isinstance(entry, dict):
                yield slot_of(name), name, _pickle(entry.get("value"))
        for group in groups:
            names = list(map(str, group["names"]))
            yield slot_of(*names), " and ".join(names), _pickle(group["value"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return  # damaged: nothing of it is loaded


def _item(run: OpenRun, address: Address, slot: str, label: str, node: Any) -> Item | None:
    try:
        parts = sealed.parts_of(node)
        refusal = address.refusal(slot, _PICKLE, parts, node)
        first = node if node[TAG] == _PICKLE else node["pickle"]
        size = sum(int(part["bytes"]) for part in (first, *node.get("buffers", ())))
        if refusal is None:
            return None
        data = run.codec.content(first)
    except (ArtifactError, ValueError, LookupError, TypeError):
        return None  # damaged: it is never loaded
    what = f"{label}, a {sealed.told(node)}" if "members" not in node else label
    mark = address.mark(slot, _PICKLE, parts)
    modules = modules_in(bytes(data)) or {"builtins"}
    return Item(address.step, what, refusal.why, mark, size, modules)


def _outputs(run: OpenRun, step: StepRow) -> Iterator[Item]:
    cell = run.cell(step)
    if cell is None or cell.outputs is None:
        return
    address = run.address(step.name, step.made_by)
    try:
        recorded = run.codec.decode(cell.outputs, where=step.name)
    except ArtifactError:
        return
    why, mark = active.refusal(recorded, address), active.mark_of(recorded, address)
    if why and mark is not None:
        kinds = ", ".join(active.kinds(recorded))
        yield Item(address.step, kinds, why, mark)

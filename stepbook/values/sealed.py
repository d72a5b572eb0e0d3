"""Sealed pickles as nodes: what nothing native can store, for those who hold the key.

::

    {"$stepbook": "sealed", "format": 1, "class": "networkx.classes.graph.Graph", "shape": [],
     "repr": "<networkx...>", "packages": {"networkx": "3.4"}, "missing": [{"type", "why"}],
     "pickle": <bytes>, "buffers": [{..., "writable": true}], "key": "...", "seal": "..."}

Bytes stand in the text (``data``, base64) or in a file of the store. They are read once into
memory, compared with their SHA-256 there, and loaded from there, after the seal over these hashes
and over the place was accepted. A ``pickle`` without a seal is what earlier versions wrote.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from ..errors import ArtifactError, NotStoredError
from ..system.console import in_ipython, stable, tell
from .kinds import FORMAT
from .nodes import TAG, expect, name_of
from .pickling import NeedsImportError, Pickled, loads
from .seals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .seals import Address
    from .world import World

#: How pickles are called where they are sealed.
_TAG: Final = "pickle"
_LONGEST_REPR: Final = 200
#: What of a node is to be looked at.
_LOOKS: Final = ("class", "shape", "repr", "packages")
#: What was said already of warnings at loading.
_told: Final[set[str]] = set()


def node_of(
    value: Any,
    pickled: Pickled,
    missing: Sequence[tuple[str, Any]],
    address: Address,
    slot: str,
    keep: Callable[[Any], dict[str, Any]],
    *,
    named: bool,
) -> dict[str, Any]:
    """Return the node of a value that was pickled.

    Args:
        value: the value, to tell what it is.
        pickled: the same as a pickle.
        missing: what was left out, each with the reason.
        address: where it will stand.
        slot: which value of the step it is.
        keep: stores bytes and returns what tells of them.
        named: whether the value is only there to hold several, by their names.

    Raises:
        SealKeyError: the keys of this user cannot be read.
    """
    members = {name: _facts(part) for name, part in value.items()} if named else {}
    node: dict[str, Any] = {
        TAG: "sealed",
        "format": FORMAT,
        **({"class": "variables"} if named else _facts(value)),
        "packages": pickled.packages,
        "missing": [{"type": name_of(type(part)), "why": why} for why, part in missing],
        "pickle": keep(pickled.data),
        "buffers": [{**keep(part), "writable": not part.readonly} for part in pickled.buffers],
    }
    if named:
        node["members"] = members
    return {**node, **address.seal(slot, _TAG, parts_of(node))}


def parts_of(node: dict[str, Any]) -> list[str]:
    """Return what the seal of a node is over.

    Raises:
        ValueError, LookupError: the node is damaged.
    """
    if node[TAG] == "pickle":
        return [expect(node["sha256"], str)]
    found = [expect(expect(node["pickle"], dict)["sha256"], str)]
    for part in expect(node["buffers"], list):
        found += [expect(part["sha256"], str), str(expect(part["writable"], bool))]
    return found


def value_of(
    node: dict[str, Any],
    address: Address | None,
    slot: str,
    read: Callable[[dict[str, Any]], memoryview],
    world: World | None,
) -> Any:
    """Return the value of a node whose seal is accepted.

    Args:
        node: the node.
        address: where it stands; None where nothing sealed is loaded.
        slot: which value of the step it is.
        read: returns the bytes that a part of the node tells of, in memory of their own.
        world: what the host knows of its code.

    Raises:
        NotStoredError: the seal is not accepted, or the value does not load.
        ArtifactError: the node, or a file of it, is damaged.
    """
    if address is None:
        why = "it is sealed, and loaded only by its step."
        raise NotStoredError(why, reason="sealed", about=told(node), advice=why)
    if node.get("format") != FORMAT:
        raise ArtifactError("it is a sealed value of a newer stepbook, or damaged")
    parts = parts_of(node)
    refusal = address.refusal(slot, _TAG, parts, node)
    if refusal is not None:
        raise _refused(node, address, refusal)
    first = node if node[TAG] == "pickle" else node["pickle"]
    data = _checked(read(first), first)
    buffers = []
    for part in node.get("buffers", ()):
        view = _checked(read(part), part)
        buffers.append(view if part["writable"] else view.toreadonly())
    missing = expect(node.get("missing", []), list)
    try:
        value, warned = loads(data, buffers, world=world, missing=missing)
    except NeedsImportError as error:
        reason = f"the module {error} is not imported"
        why = f"{reason}. Import it before the step, and run that again."
        raise NotStoredError(why, reason=reason, about=told(node), advice=why) from None
    except Exception as error:
        reason = f"it does not load: {type(error).__name__}: {error}{_versions(node)}"
        raise _refused(node, address, Refusal(reason, trust_helps=False)) from error
    if warned:
        _tell(node, address, warned)
    return value


def _checked(view: memoryview, node: dict[str, Any]) -> memoryview:
    # A second time, and of what is in memory now: XXH3, by which files are read, can be forged.
    if hashlib.sha256(view).hexdigest() != node["sha256"]:
        raise ArtifactError("its bytes are not those that were recorded")
    return view


def _refused(node: dict[str, Any], address: Address, refusal: Refusal) -> NotStoredError:
    redo = f"%stepbook redo {address.step}" if in_ipython() else f"run.redo({address.step!r})"
    way_out = f"To execute the step again: {redo}"
    if refusal.trust_helps:
        sign = "%" if in_ipython() else ""
        way_out = (
            f"To see what loading it would execute: {sign}stepbook trust {address.run} --list; to "
            f"load it, the same without --list. {way_out}"
        )
    why = f"{refusal.why}. {way_out}."
    return NotStoredError(why, reason=refusal.why, about=told(node), advice=why)


def shown(node: dict[str, Any]) -> dict[str, Any]:
    """Return of a node what is for people."""
    return {name: node[name] for name in (TAG, *_LOOKS) if name in node}


def told(node: dict[str, Any]) -> str:
    """Return what a value is, as it was recorded: its class, shape and representation."""
    shape = node.get("shape")
    size = " x ".join(map(str, shape)) if isinstance(shape, list) else ""
    facts = (str(node.get("class") or "value"), size, str(node.get("repr") or ""))
    return " ".join(fact[:_LONGEST_REPR] for fact in facts if fact)


def _versions(node: dict[str, Any]) -> str:
    import sys  # noqa: PLC0415 - only to tell

    changed = []
    for package, version in node.get("packages", {}).items():
        now = getattr(sys.modules.get(package), "__version__", None)
        if version and now and version != now:
            changed.append(f"{package} {version}, now {now}")
    return f" (recorded with {', '.join(changed)})" if changed else ""


def _tell(node: dict[str, Any], address: Address, warned: list[str]) -> None:
    """Say once what libraries warn about when a value is loaded."""
    new = [text for text in warned if text not in _told]
    _told.update(new)
    if new and not stable():
        tell(
            f"stepbook: loading the {node['class']} of step {address.step!r}: {'; '.join(new)}"
            f"{_versions(node)}. If it does not work: run.redo({address.step!r})."
        )


def _facts(value: Any) -> dict[str, Any]:
    return {"class": name_of(type(value)), "shape": _shape(value), "repr": _repr(value)}


def _shape(value: Any) -> list[int]:
    try:
        shape = getattr(value, "shape", ())
        return [int(n) for n in shape] if isinstance(shape, tuple) else []
    except Exception:  # noqa: BLE001 - of the object's own code; it is only to look at
        return []


def _repr(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - the same
        return ""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LONGEST_REPR else text[: _LONGEST_REPR - 1] + "…"

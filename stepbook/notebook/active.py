"""Recorded outputs that a front end would execute: shown again only if this user has sealed them.

A replay shows what was recorded as fresh output of a cell, which front ends trust: HTML with its
scripts, JavaScript, SVG. A record can come from somebody else. So the outputs of a cell end with a
seal, if there is anything but text and images among them; see :mod:`..values.seals`.
"""

from __future__ import annotations

import hashlib
from json import dumps
from typing import TYPE_CHECKING, Any, Final

from .page import is_output

if TYPE_CHECKING:
    from ..values.seals import Address
    from .page import Output

_SLOT: Final = "output"
_TAG: Final = "json"
_SEAL: Final = "seal"
#: What does nothing, wherever it is shown.
_PASSIVE: Final = frozenset({"text/plain", "image/png", "image/jpeg", "image/gif"})
_NOTE: Final = "(an output that somebody else has recorded; %stepbook trust shows it)"


def with_seal(outputs: list[Output], address: Address) -> list[Output]:
    """Return outputs with their seal at the end, if they need one.

    Raises:
        SealKeyError: the keys of this user cannot be read.
    """
    if not is_active(outputs):
        return outputs
    seal = address.seal(_SLOT, _TAG, parts_of(outputs), tells=False)
    return [*outputs, {"output_type": _SEAL, **seal}]


def split(recorded: Any) -> tuple[Any, Output]:
    """Return recorded outputs, and apart from them their seal, empty if they have none."""
    if isinstance(recorded, list) and recorded and isinstance(recorded[-1], dict):
        last = recorded[-1]
        if last.get("output_type") == _SEAL:
            return recorded[:-1], last
    return recorded, {}


def refusal(recorded: Any, address: Address) -> str:
    """Return why outputs are not to be shown as they are, in words; empty if they may be.

    Raises:
        SealKeyError: the keys of this user cannot be read.
    """
    outputs, seal = split(recorded)
    found = _known(outputs)
    if not is_active(found):
        return ""
    refused = address.refusal(_SLOT, _TAG, parts_of(found), seal)
    return "" if refused is None else refused.why


def mark_of(recorded: Any, address: Address) -> str | None:
    """Return the hash by which outputs are trusted; None if they need no trust."""
    found = _known(split(recorded)[0])
    return address.mark(_SLOT, _TAG, parts_of(found)) if is_active(found) else None


def passive(outputs: Any) -> Any:
    """Return outputs as text and images: what a front end shows of an untrusted notebook."""
    if not isinstance(outputs, list):
        return outputs
    return [_passive(output) if is_output(output) else output for output in outputs]


def _passive(output: Output) -> Output:
    found = dict(output)
    data = found.get("data")
    if isinstance(data, dict) and not _PASSIVE.issuperset(data):
        found["data"] = {mime: data[mime] for mime in data if mime in _PASSIVE}
        found["data"] = found["data"] or {"text/plain": _NOTE}
    if "content" in found:
        found["content"] = [_passive(inner) for inner in found["content"]]
    return found


def is_active(outputs: list[Output]) -> bool:
    """Whether there is anything but text and images among outputs."""
    return any(
        not _PASSIVE.issuperset(output.get("data", ())) or is_active(output.get("content", []))
        for output in outputs
    )


def kinds(recorded: Any) -> list[str]:
    """Return the kinds of what is neither text nor an image among outputs."""
    waiting = list(_known(split(recorded)[0]))
    found: dict[str, None] = {}
    while waiting:
        output = waiting.pop(0)
        found |= dict.fromkeys(mime for mime in output.get("data", ()) if mime not in _PASSIVE)
        waiting += output.get("content", ())
    return list(found)


def parts_of(outputs: list[Output]) -> list[str]:
    """Return what the seal of outputs is over: what they show, not the values behind it."""
    text = dumps(_without_values(outputs), sort_keys=True)
    return [hashlib.sha256(text.encode()).hexdigest()]


def _without_values(outputs: list[Output]) -> list[Output]:
    return [
        {
            name: _without_values(item) if name == "content" else item
            for name, item in output.items()
            if name != "value"
        }
        for output in outputs
    ]


def _known(outputs: Any) -> list[Output]:
    return [o for o in (outputs if isinstance(outputs, list) else [outputs]) if is_output(o)]

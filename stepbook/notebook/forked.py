"""What forked processes show: ipykernel has them send it through the kernel, as messages."""

from __future__ import annotations

import os
from dataclasses import dataclass
from json import loads
from typing import Any, Final

_BEGIN: Final = b"<IDS|MSG>"


@dataclass
class Message:
    """Something that another process shows.

    Attributes:
        what: a method of :class:`.page.Page`.
        args: its arguments.
        parent: the message that has asked for the cell.
    """

    what: str
    args: tuple[Any, ...]
    parent: str | None


def message(parts: Any) -> Message | None:
    """Return what a message of another process shows; None for those of this one.

    Args:
        parts: the message as it is sent: marker, signature, header, parent, metadata, content.
    """
    try:
        return _message(parts)
    except (LookupError, TypeError, ValueError):
        return None  # no message, or of another form: it is sent all the same


def _message(parts: Any) -> Message | None:
    if _BEGIN not in parts:
        return None
    first = parts.index(_BEGIN) + 2
    header, parent, _, content = map(bytes, parts[first : first + 4])
    if b"_%d_" % os.getpid() in header:  # the id of a message tells of which process it is
        return None
    kind, found = loads(header)["msg_type"], loads(content)
    asked = loads(parent).get("msg_id")
    if kind == "stream":
        return Message("text", (found["name"], found["text"]), asked)
    display = (found.get("transient") or {}).get("display_id")
    if kind == "update_display_data":
        return Message("update", (found["data"], found["metadata"], display), asked)
    if kind == "display_data":
        return Message("display", (found["data"], found["metadata"], display), asked)
    return None

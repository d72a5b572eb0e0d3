"""What a failure holds, as values: small ones, in the record itself, and never a pickle."""

from __future__ import annotations

from json import dumps, loads
from typing import Any, Final

from ..model.rebuilding import rebuild
from ..values.nodes import WITHOUT_TEXT, unstorable
from ..values.reader import Reader
from ..values.writer import Writer

#: Characters that all values of one failure may take together.
_ROOM: Final = 256 << 10


class Keeper(Writer):
    """Stores the values of one failure, as long as there is room for them."""

    def __init__(self) -> None:
        super().__init__(None)
        self.plain = WITHOUT_TEXT  # an error about a text may well hold one that is no Unicode
        self._left = _ROOM

    def keep(self, value: Any) -> Any:
        """Return the node of *value*.

        Raises:
            NotSerializableError: it cannot be stored, or there is no room for it.
        """
        if type(value) in (str, bytes, bytearray) and len(value) > self._left:
            raise unstorable("too big")
        text = self.encode(value)
        if len(text) > self._left:
            raise unstorable("too big")
        self._left -= len(text)
        return loads(text)

    def blob(self, kind: str, *args: Any, size: int, **rest: Any) -> dict[str, Any]:
        """Return the node of a value that is kept as bytes, unless they are many."""
        if size > self._left:
            raise unstorable("too big")
        return super().blob(kind, *args, size=size, **rest)


def rebuilt(record: dict[str, Any]) -> Exception:
    """Return the exception of a record; see :func:`.rebuilding.rebuild`."""
    return rebuild(record, _restore)


def _restore(node: Any) -> Any:
    return Reader(None, None).decode(dumps(node))

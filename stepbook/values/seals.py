"""Seals: what this user has stored can be told from what anybody else has put into a book.

A seal is an HMAC-SHA256 (RFC 2104) with a key of the user's, over what is stored and over where it
stands: book, run, step, attempt and slot. So nothing that is sealed can be altered, moved to
another place or brought back after the step was executed again. It stands in the step's record.

A seal stops code. It does not stop lies: who can write the book can remove what is sealed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_FORMAT: Final = "stepbook seal 1"


class Refusal(NamedTuple):
    """Why something that was recorded is not loaded, or not shown as it was.

    Attributes:
        why: in words.
        trust_helps: whether it is when this user decides to trust it.
    """

    why: str
    trust_helps: bool


@dataclass(frozen=True)
class Address:
    """Where in a book something is stored.

    Attributes:
        book: the id of the book.
        run: the id of the run.
        step: the name of the step.
        attempt: its number, from 1.
    """

    book: str
    run: str
    step: str
    attempt: int

    def message(self, key: str, slot: str, tag: str, parts: Iterable[str]) -> bytes:
        """Return what a seal is over: each part with its length before it.

        Args:
            key: the id of the key.
            slot: which value of the step it is, such as ``return``.
            tag: how it is stored, such as ``pickle``.
            parts: the SHA-256 of its bytes, in order, and what else must stay as it is.
        """
        at = (_FORMAT, key, self.book, self.run, self.step, str(self.attempt), slot, tag)
        texts = [text.encode("utf-8", "surrogatepass") for text in (*at, *parts)]
        return b"".join(len(text).to_bytes(8, "big") + text for text in texts)

    def seal(
        self, slot: str, tag: str, parts: Iterable[str], *, tells: bool = True
    ) -> dict[str, str]:
        """Return the fields of a seal; the first one of this user makes a key.

        Args:
            slot: as for :meth:`message`.
            tag: the same.
            parts: the same.
            tells: say it if the key that it makes may not last.

        Raises:
            SealKeyError: the keys of this user cannot be read.
        """
        import hmac  # noqa: PLC0415 - most books hold nothing that is sealed

        from ..system import keys  # noqa: PLC0415 - the same

        key = keys.signing(tells=tells)
        message = self.message(key.id, slot, tag, parts)
        return {"key": key.id, "seal": hmac.new(key.secret, message, "sha256").hexdigest()}

    def mark(self, slot: str, tag: str, parts: Iterable[str]) -> str:
        """Return the hash by which something is known that this user trusts."""
        return hashlib.sha256(self.message("", slot, tag, parts)).hexdigest()

    def refusal(
        self, slot: str, tag: str, parts: Iterable[str], found: dict[str, Any]
    ) -> Refusal | None:
        """Return why something is not to be loaded or shown; None if it may be.

        Args:
            slot: as for :meth:`message`.
            tag: the same.
            parts: the same.
            found: what was recorded, with the fields of its seal.

        Raises:
            SealKeyError: the keys of this user cannot be read.
        """
        import hmac  # noqa: PLC0415 - as above

        from ..system import keys  # noqa: PLC0415 - the same
        from ..system.trusted import trusted  # noqa: PLC0415 - the same

        parts = list(parts)
        key_id, seal = found.get("key"), found.get("seal")
        why = "it is not sealed by anybody"
        if isinstance(key_id, str) and isinstance(seal, str):
            key = keys.verifying(key_id)
            if key is not None:
                message = self.message(key.id, slot, tag, parts)
                right = hmac.new(key.secret, message, "sha256").hexdigest()
                if hmac.compare_digest(right.encode(), seal.encode("utf-8", "replace")):
                    return None
                why = "it has changed since it was sealed, or belongs to another place"
                return Refusal(why, trust_helps=False)
            why = f"it is sealed by another key ({key_id[:16]!r}) than yours"
        if self.mark(slot, tag, parts) in trusted(self.book, self.run):
            return None
        return Refusal(why, trust_helps=True)

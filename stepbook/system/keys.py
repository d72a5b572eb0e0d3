"""The keys with which this user seals what is stored as pickle.

A key lies outside of every book: in ``$STEPBOOK_KEY``, else in the file ``keys`` of the user's own
folder, one key of 64 hexadecimal digits a line. The first one signs, all of them verify. The file
is made when something is sealed for the first time, and at no other time.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..errors import SealKeyError
from .console import stable, tell
from .interrupts import section
from .platform import read_plain
from .userdata import user_folder

#: Names keys in ``$STEPBOOK_KEY``, separated by white space.
VARIABLE: Final = "STEPBOOK_KEY"
_BYTES: Final = 32
_DIGITS: Final = frozenset("0123456789abcdef")
_MOST_BYTES: Final = 64 << 10
#: What containers have.
_CONTAINER_FILES: Final = ("/.dockerenv", "/run/.containerenv")
_CONTAINER_VARIABLES: Final = ("KUBERNETES_SERVICE_HOST", "container", "COLAB_RELEASE_TAG")


@dataclass(frozen=True)
class Key:
    """A key.

    Attributes:
        id: what it is known by; tells nothing of the secret.
        secret: 32 bytes.
    """

    id: str
    secret: bytes = field(repr=False)


class _Keys:
    """The keys of this process, as they were read last."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.session: Key | None = None
        #: What is to be said of a key that was made here, as soon as a value needs it.
        self.unsaid = ""
        self._read: tuple[object, list[Key]] | None = None

    def all(self) -> list[Key]:
        """Return all keys, the one that signs first."""
        named = os.environ.get(VARIABLE, "")
        path = _file()
        looks = None
        if path is not None:
            with suppress(OSError):
                found = path.lstat()
                looks = (str(path), found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)
        state = (named, looks)
        if self._read is None or self._read[0] != state:
            keys = parsed(named, f"${VARIABLE}")
            if looks is not None and path is not None:
                keys += parsed(_text_of(path), str(path))
            self._read = state, list({key.id: key for key in keys}.values())
        keys = self._read[1]
        return keys if self.session is None else [*keys, self.session]


_keys: Final = _Keys()


def verifying(key_id: str) -> Key | None:
    """Return the key of this user with an id, None if it is somebody else's.

    Raises:
        SealKeyError: ``$STEPBOOK_KEY`` or the user's file holds something else than keys.
    """
    with section(_keys.lock):
        return next((key for key in _keys.all() if key.id == key_id), None)


def signing(*, tells: bool = True) -> Key:
    """Return the key that signs; made if this user has none.

    Args:
        tells: say it if a key that was made may not last: something is lost without it.

    Raises:
        SealKeyError: as :func:`verifying`.
    """
    with section(_keys.lock):
        keys = _keys.all()
        if not keys:
            path = _make()
            keys = [] if path is None else _keys.all()
            _keys.unsaid = _said_of(path)
        if not keys:
            keys = [_key(secrets.token_bytes(_BYTES))]
            _keys.session = keys[0]
        if tells and _keys.unsaid:
            if not stable():
                tell(f"stepbook: some values are stored as sealed pickles. {_keys.unsaid}")
            _keys.unsaid = ""
        return keys[0]


def _said_of(path: Path | None) -> str:
    """Return what is to be said of a key that was made, and where it is."""
    if path is None:
        return (
            "There is no folder of this user's own for their key, so they can be loaded in this "
            f"process only. To load them later, set ${VARIABLE} to 64 hexadecimal digits of your "
            "own."
        )
    container = any(map(os.path.exists, _CONTAINER_FILES)) or any(
        name in os.environ for name in _CONTAINER_VARIABLES
    )
    temporary = path.is_relative_to(Path(tempfile.gettempdir()).resolve())
    if not container and not temporary:
        return ""
    where = "a container" if container else "a temporary folder"
    return (
        f"Their key was made in {where} ({path}); without it they cannot be loaded. Keep that "
        f"file, or set ${VARIABLE}."
    )


def parsed(text: str, where: str) -> list[Key]:
    """Return the keys in a text, separated by white space.

    Raises:
        SealKeyError: something in it is not a key. What that is is not shown.
    """
    found = []
    for word in text.split():
        digits = word.lower()
        if len(digits) != 2 * _BYTES or not _DIGITS.issuperset(digits):
            raise SealKeyError(
                f"{where} must hold keys of {2 * _BYTES} hexadecimal digits, separated by spaces "
                f"or lines; one of its words has {len(word)} characters or other ones. Restore it, "
                "or remove it: stepbook then makes a new key, and values that were sealed with the "
                "old one are executed again with redo."
            )
        found.append(_key(bytes.fromhex(digits)))
    return found


def _key(secret: bytes) -> Key:
    return Key(hashlib.sha256(b"stepbook key" + secret).hexdigest()[:16], secret)


def _file(*, create: bool = False) -> Path | None:
    folder = user_folder(create=create)
    return None if folder is None else folder / "keys"


def _text_of(path: Path) -> str:
    try:
        if os.name != "nt" and path.lstat().st_mode & 0o077:
            raise SealKeyError(
                f"{path} holds your keys, and other users can read or write it. "
                f"If nobody else has used it: chmod 600 {path}"
            )
        data = read_plain(path)
    except OSError as error:
        raise SealKeyError(f"{path} holds your keys and cannot be read: {error}") from error
    if len(data) > _MOST_BYTES:
        raise SealKeyError(f"{path} is {len(data):,} bytes long, which is no file of keys.")
    return data.decode("utf-8", "replace")


def _make() -> Path | None:
    """Make a file with one key, whole or not at all; return it, None where that cannot be done."""
    path = _file(create=True)
    if path is None:
        return None
    fresh = path.with_name(f".keys.{secrets.token_hex(6)}")
    try:
        number = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.write(number, f"{secrets.token_hex(_BYTES)}\n".encode())
            os.fsync(number)
        finally:
            os.close(number)
        with suppress(FileExistsError):  # another process was faster: that key is taken
            os.link(fresh, path)
    except OSError:
        return None
    finally:
        with suppress(OSError):
            fresh.unlink()
    return path

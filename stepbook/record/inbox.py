"""Delivered payloads: one exclusive slot for each session of a scan.

A slot is a file that is created whole (a synced temporary file, then a hard link, then a sync of
the directory), so whoever creates it first has decided: a sender, or the deadline.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import secrets
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import ScanFailed
from ..model.checked import OddError, is_json, is_text, is_time, shown
from ..model.rows import now_us
from ..system.platform import disk, names_in, read_plain, write_file
from ..system.refusals import refusals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


#: What the fields of a slot's file may hold: anybody can have written it.
_FIELDS: Final[dict[str, Callable[[Any], bool]]] = {
    "payload": lambda value: value is None or is_json(value),
    "error": lambda value: value is None or is_text(value),
    "timeout": lambda value: type(value) is bool,
    "at": is_time,
}


class Delivery(NamedTuple):
    """What a slot holds: a payload, an error, or the mark of the deadline."""

    payload: str | None
    error: str | None
    timeout: bool
    at: int

    def to_json(self, step: str, session: int) -> bytes:
        """Return the slot's content."""
        fields = {"step": step, "session": session, **self._asdict()}
        return dumps(fields, ensure_ascii=False).encode() + b"\n"


def delivery(
    *, payload: str | None = None, error: str | None = None, timeout: bool = False
) -> Delivery:
    """Return a delivery that is made now."""
    return Delivery(payload, error, timeout, now_us())


@functools.lru_cache(maxsize=256)  # who waits asks ten times a second
def _slot(folder: Path, run_id: str, step: str, session: int) -> Path:
    digest = hashlib.sha256(step.encode()).hexdigest()[:16]
    return folder / f"{run_id}.{digest}.{session}.json"


class Inbox:
    """The slots of one book."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, run_id: str, step: str, session: int) -> Path:
        """Return the file of a slot; a step's name can hold anything, so its hash is used."""
        return _slot(self.folder, run_id, step, session)

    def claim(self, run_id: str, step: str, session: int, content: Delivery) -> bool:
        """Create the slot and return True, or False if it exists; durable on return.

        Raises:
            JournalWriteError: it could not be written.
        """
        with refusals(f"the delivery to {self.folder}", "deliver again"):
            disk.make_dirs(self.folder)
            return self._claim(run_id, step, session, content)

    def _claim(self, run_id: str, step: str, session: int, content: Delivery) -> bool:
        fresh = self.folder / f".{run_id}.{secrets.token_hex(8)}.new"
        try:
            write_file(fresh, content.to_json(step, session))
            try:
                disk.link(fresh, self.path(run_id, step, session))
            except FileExistsError:
                return False
            disk.sync_dir(self.folder)
        finally:
            with contextlib.suppress(OSError):
                disk.unlink(fresh)
        return True

    def read(self, run_id: str, step: str, session: int) -> Delivery | None:
        """Return what the slot holds, or None while it does not exist.

        Raises:
            ScanFailed: the file is damaged, or is not a plain file.
        """
        path = self.path(run_id, step, session)
        try:
            return _checked(loads(read_plain(path)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ScanFailed(
                f"the delivery {path} cannot be read: {error.strerror}. It was left as it is. "
                "Remove it, then deliver again."
            ) from error
        except (ValueError, RecursionError) as error:
            raise ScanFailed(
                f"the delivery {path} is damaged ({error}). Remove the file, then deliver again."
            ) from error

    def remove(self, run_id: str, step: str, session: int) -> None:
        """Remove a slot of which the session's end is in the tables."""
        _remove(self.path(run_id, step, session))

    def remove_run(self, run_id: str) -> None:
        """Remove all slots of a run, and what senders that died have left of others.

        Under the open lock, which senders hold while they write.
        """
        for name in names_in(self.folder):
            if name.removeprefix(".").startswith(f"{run_id}."):
                _remove(self.folder / name)

    def runs(self) -> list[str]:
        """Return the names of those that something was delivered to, as they are: maybe no ids."""
        return [name.removeprefix(".").partition(".")[0] for name in names_in(self.folder)]


def _checked(fields: object) -> Delivery:
    """Return the delivery that a slot's file tells.

    Raises:
        OddError: it is none.
    """
    if not isinstance(fields, dict):
        raise OddError(f"it holds {shown(fields)}")
    for name, holds in _FIELDS.items():
        if name not in fields:
            raise OddError(f"it has no {name}")
        if not holds(fields[name]):
            raise OddError(f"its {name} is {shown(fields[name])}")
    return Delivery(fields["payload"], fields["error"], fields["timeout"], fields["at"])


def _remove(path: Path) -> None:
    try:
        disk.unlink(path)
    except FileNotFoundError:
        pass
    except OSError:
        if not path.is_dir():  # that is no slot; doctor tells of it
            raise

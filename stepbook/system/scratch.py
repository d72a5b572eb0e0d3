"""A verification: every book that its processes open is one of their own, in a folder that goes.

``$STEPBOOK_VERIFY`` names the folder. It is a variable of the environment so that it also holds for
the processes that the verified code starts. The folder is removed however the verification ends, by
a signal that asks the process to end as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .interrupts import section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

VERIFY: Final = "STEPBOOK_VERIFY"
_ORIGIN: Final = "origin"
#: How somebody outside asks a process to end; Windows has only some of them.
_ASKING: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
#: So long a process that was asked to end may take to clean up.
PATIENCE_S: Final = 5.0


class Stopped(KeyboardInterrupt):
    """Somebody has asked this process to end.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What the shell expects of a process that a signal has ended."""
        return 128 + self.number

    def __str__(self) -> str:
        return "interrupted" if self.number == signal.SIGINT else "terminated"


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Raise :class:`Stopped` in this block, of the main thread, when a signal asks to end.

    Further signals are ignored while the block cleans up: a terminal sends Ctrl-C to a process and
    to the one that would pass it on.
    """
    asked = float("-inf")

    def stop(number: int, _: object) -> None:
        nonlocal asked
        now = time.monotonic()
        if now - asked > PATIENCE_S:
            asked = now
            raise Stopped(number)

    numbers = [getattr(signal, name) for name in _ASKING if hasattr(signal, name)]
    # One that is ignored, as by nohup, stays so.
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with(pipe: IO[str]) -> None:
    """Ask this process to end when the one that holds the other end of *pipe* is gone."""

    def wait() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(pipe.fileno(), 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    with section():
        threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def beginning() -> Iterator[Path]:
    """Make the folder of a verification, and remove it with all that is in it."""
    # Named before it is made: a signal in between leaves nothing behind.
    home = Path(tempfile.gettempdir()).resolve() / f"stepbook-verify-{secrets.token_hex(8)}"
    try:
        home.mkdir(mode=0o700)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def folder() -> Path | None:
    """Return the folder of the verification that this process is a part of, or None."""
    found = os.environ.get(VERIFY)
    return Path(found) if found else None


def moved(path: Path) -> Path:
    """Return where the book at *path* is for this process: elsewhere while it verifies."""
    home = folder()
    if home is None or path.is_relative_to(home):
        return path
    place = home / hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    if not (place / _ORIGIN).exists():
        place.mkdir(parents=True, exist_ok=True)
        (place / _ORIGIN).write_bytes(os.fsencode(path))
    return place / path.name


def origin(path: Path) -> Path | None:
    """Return the book that a moved one stands for; None for one that was not moved."""
    try:
        return Path(os.fsdecode((path.parent / _ORIGIN).read_bytes()))
    except FileNotFoundError:
        return None

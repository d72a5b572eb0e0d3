"""Interrupts that are noticed while something is awaited in a notebook."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from .hooks import HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEAT_S: Final = 0.05


@contextlib.contextmanager
def heartbeat() -> Iterator[None]:
    """Have the event loop wake up often, for the length of a block, in a notebook.

    A kernel's loop that sleeps until its next timer notices an interrupt only then (measured: an
    ``await asyncio.sleep(4)`` interrupted after one second ended after four).
    """
    if HOOKS.cell is None:
        yield
        return
    import asyncio  # noqa: PLC0415 - 14 ms, and who awaits this has it

    task = asyncio.get_running_loop().create_task(_beat())
    try:
        yield
    finally:
        task.cancel()


async def _beat() -> None:
    import asyncio  # noqa: PLC0415 - as above

    while True:
        await asyncio.sleep(_BEAT_S)

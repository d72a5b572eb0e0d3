"""A cell that is executed again after a failure: what happens in the pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driver import Kernel

TICKER = """
import asyncio, time

gaps = []

async def tick():
    while True:
        begun = time.monotonic()
        await asyncio.sleep(0.01)
        gaps.append(time.monotonic() - begun)

ticker = asyncio.get_running_loop().create_task(tick())
tries = 0
"""


def test_the_event_loop_goes_on_while_a_cell_with_await_waits_for_its_next_attempt(
    kernel: Kernel,
) -> None:
    kernel.ok(TICKER)
    # The last pause of five takes 1.6 s.
    kernel.ok(
        "%%step Fetch -- --retries 5\n"
        "await asyncio.sleep(0)\ntries += 1\nif tries < 6: raise OSError('not yet')\n'done'"
    )
    kernel.ok("ticker.cancel()")
    assert kernel.value("tries") == 6
    assert kernel.value("max(gaps)") < 0.8
    assert kernel.value("list(run.attempts()['status'])") == ["failed"] * 5 + ["succeeded"]


def test_a_retried_cell_without_await_still_pauses(kernel: Kernel) -> None:
    kernel.ok(
        "import time\nbegun = []\n",
    )
    kernel.ok(
        "%%step Fetch -- --retries 3\nbegun.append(time.monotonic())\n"
        "if len(begun) < 4: raise OSError('not yet')"
    )
    assert kernel.value("len(begun)") == 4
    assert kernel.value("begun[-1] - begun[0]") >= 0.7

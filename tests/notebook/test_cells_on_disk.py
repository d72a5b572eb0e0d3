"""Cells of which memory has no room for what they recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver import Kernel

#: Less than one of the values below.
LITTLE = "import stepbook.record.ledger; stepbook.record.ledger.VALUE_BUDGET = 500"
BIG = "%%step Big\nbig = 'old ' * 500\nprint('shown', big[:3])\nbig"


@pytest.fixture
def small(kernels: Callable[..., Kernel]) -> Kernel:
    """A kernel with little memory for values, and a run of a few cells."""
    made = kernels()
    made.ok(f"{LITTLE}\n%load_ext stepbook\n%stepbook run loop")
    made.ok("%%step First\nfirst = 1")
    made.ok(BIG)
    made.ok("%%step Last\nlast = big[:4] + '!'")
    return made


def begun_again(kernel: Kernel) -> None:
    kernel.restart()
    kernel.ok(f"{LITTLE}\n%load_ext stepbook\n%stepbook run loop")


def test_what_was_left_on_disk_comes_back_in_this_kernel_and_the_next(small: Kernel) -> None:
    assert small.value("run._opened.look().cells.keys() >= {'Big'}") is False
    small.ok("del big")
    assert "shown old" in small.ok(BIG).text()
    assert small.value("big == 'old ' * 500") is True
    begun_again(small)
    again = small.ok(BIG)
    assert "shown old" in again.text()
    assert small.value("big == 'old ' * 500") is True
    assert small.value("_ == 'old ' * 500") is True


def test_what_another_kernel_executed_again_comes_back(
    small: Kernel, kernels: Callable[..., Kernel]
) -> None:
    small.ok("del big")
    small.ok(BIG)
    small.ok("%stepbook close")
    other = kernels()
    other.ok(f"{LITTLE}\n%load_ext stepbook\n%stepbook run loop")
    other.ok("%stepbook redo Big")
    other.ok(BIG.replace("old", "new"))
    other.ok("%stepbook close")
    small.ok("%stepbook run loop")
    assert "shown new" in small.ok(BIG.replace("old", "new")).text()
    assert small.value("big == 'new ' * 500") is True
    small.ok("%stepbook close")
    begun_again(small)  # in this session a cell is that step
    assert (
        small.value("run.options(on_change='ignore').do('Big', lambda: 'executed') == 'new ' * 500")
        is True
    )


def test_a_stale_mark_does_not_lose_a_value_that_was_left_on_disk(small: Kernel) -> None:
    begun_again(small)
    small.ok("%stepbook run loop --on-change warn")
    result = small.ok(BIG.replace("[:3]", "[:2]"))
    assert "has changed" in result.text()
    small.ok("%stepbook close")
    small.ok("%stepbook run loop")
    steps = small.value("run.steps()[['name', 'stale', 'return']].values.tolist()")
    assert [name for name, _, _ in steps] == ["First", "Big", "Last"]
    assert [stale for _, stale, _ in steps] == [False, True, False]
    assert steps[1][2] == "old " * 500
    begun_again(small)  # in this session a cell is that step
    assert (
        small.value("run.options(on_change='ignore').do('Big', lambda: 'executed') == 'old ' * 500")
        is True
    )

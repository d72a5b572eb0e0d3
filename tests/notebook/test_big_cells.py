"""Cells that change a little of something big: what they add to the book, and what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver import Kernel

COLUMN = 200_000 * 8
BEGIN = "import numpy as np, pandas as pd\n%load_ext stepbook\n%stepbook run big"
LOAD = (
    "%%step Load\n"
    "df = pd.DataFrame({f'c{i}': np.random.default_rng(i).random(200_000) for i in range(6)})\n"
    "array = np.random.default_rng(9).random(1_000_000)\n"
    "view = array[500_000:]\n"
    "alone = np.random.default_rng(8).random(1_000_000)"
)
CELLS = [
    "%%step Add\ndf['n'] = np.arange(200_000) * 1.5\ndf.head(2)",
    "%%step Change\ndf['c3'] = -df['c3']",
    "%%step Stretch\nview[7] = 100",
    "%%step Last value\ndf['m'] = df['n'] + 1\ndf",
]
#: What each adds: a column or a piece, and the head of a file.
ADDED = [COLUMN, COLUMN, 1 << 20, COLUMN]
SUMS = "(df.shape, float(df['n'].sum()), float(df['c3'].sum()), float(array.sum()))"


def size(kernel: Kernel) -> int:
    folder = kernel.folder / "stepbook.duckdb.d" / "artifacts"
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


@pytest.fixture
def big(kernels: Callable[..., Kernel]) -> Kernel:
    made = kernels()
    made.ok(BEGIN)
    made.ok(LOAD)
    return made


def test_cells_add_what_they_changed_and_all_of_it_comes_back(big: Kernel) -> None:
    for code, most in zip(CELLS, ADDED, strict=True):
        before = size(big)
        big.ok(code)
        assert size(big) - before < most * 1.1, code
    wanted = big.value(SUMS)
    held = size(big)
    big.restart()
    big.ok(BEGIN)
    for code in (LOAD, *CELLS):
        big.ok(code)
    assert big.value(SUMS) == wanted
    assert big.value("(np.shares_memory(view, array), float(array[500_007]))") == (True, 100.0)
    assert size(big) == held


def test_a_cell_after_a_restart_adds_only_what_it_changes(big: Kernel) -> None:
    big.ok(CELLS[0])
    big.restart()
    big.ok(BEGIN)
    for code in (LOAD, CELLS[0]):
        big.ok(code)
    before = size(big)
    big.ok("%%step New\ndf['new'] = np.sqrt(np.arange(200_000))\nalone[3] = 5")
    assert size(big) - before < (COLUMN + (1 << 20)) * 1.1


def test_a_variable_that_is_the_last_value_is_stored_once(big: Kernel) -> None:
    before = size(big)
    big.ok(
        "%%step Both\nother = pd.DataFrame(np.random.default_rng(5).random((200_000, 4)))\nother"
    )
    assert size(big) - before < 4 * COLUMN * 1.1

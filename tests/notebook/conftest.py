"""Real kernels for the tests of notebooks."""

from __future__ import annotations

import contextlib
import queue
from typing import TYPE_CHECKING

import pytest
from driver import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def kernels(tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Make kernels in the test's folder; all end with the test."""
    made: list[Kernel] = []

    def make(**env: str) -> Kernel:
        kernel = Kernel(tmp_path, **env)
        made.append(kernel)
        return kernel

    yield make
    for kernel in made:
        with contextlib.suppress(Exception):
            kernel.stop()


@pytest.fixture(scope="session")
def one_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """The kernel behind ``kernel``: starting one takes seconds."""
    made = Kernel(tmp_path_factory.mktemp("book"))
    yield made
    made.stop()


@pytest.fixture
def kernel(one_kernel: Kernel) -> Kernel:
    """A kernel with nothing in it but the extension and a fresh run."""
    try:
        one_kernel.ok("%reset -f")
    except queue.Empty:  # the test before has left it hanging, and has failed for that
        one_kernel.restart()
    one_kernel.ok("%reload_ext stepbook")
    one_kernel.ok("%stepbook run tests --new")
    return one_kernel

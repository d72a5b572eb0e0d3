"""A child that a cell forks is no second kernel."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")

FORKS = """
import os, sys
def forks(way):
    child = os.fork()
    if child == 0:
        if way == "exits":
            sys.exit(7)
        if way == "raises":
            raise ValueError("in the child")
        return "the child"
    print("the child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return "the parent"
"""
WAYS = {"exits": 7, "raises": 1, "returns": 1}


@pytest.mark.parametrize("way", WAYS)
def test_child_of_a_cell_ends_with_the_body_and_the_kernel_goes_on(kernel, way):
    kernel.ok(FORKS)
    for name, cell in {
        "a": f"value = run.do('a', forks, {way!r})",
        "b": f"%%step b\nvalue = forks({way!r})",
        "c": f"#| step: c\nawait __import__('asyncio').sleep(0)\nvalue = forks({way!r})",
    }.items():
        result = kernel.ok(cell)
        assert f"the child ended with {WAYS[way]}\n" in result.text(), name
        assert kernel.value("value") == "the parent"
        assert ("in the child" in result.text("stderr")) is (way == "raises")
    statuses = kernel.value("set(run.steps()['status'])")
    assert statuses == {"succeeded"}

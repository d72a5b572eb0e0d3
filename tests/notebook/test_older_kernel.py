"""ipykernel 6, which many installations have: it delivers messages and interrupts otherwise."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

import pytest
from older import install

NEWEST_6 = "6.31.0"
STEPS = (
    "%%step Load\nopen('log', 'a').write('load ')\nprint('loading')\nprofile = {'id': 7}\nprofile",
    "#| step: Score\nimport asyncio\nprofile['score'] = await asyncio.sleep(0.01, 1)\nprofile",
)


@pytest.fixture
def older(request, tmp_path_factory):
    """A folder with the last ipykernel 6, made once and kept with what pytest caches."""
    if version("ipykernel").startswith("6."):
        pytest.skip(f"the installed ipykernel is one itself, {version('ipykernel')}")
    cache = getattr(request.config, "cache", None)
    kept = tmp_path_factory.mktemp("older") if cache is None else cache.mkdir("ipykernel-6")
    folder = kept / f"{NEWEST_6}-{sys.implementation.cache_tag}"
    if not folder.is_dir():
        install(folder, f"ipykernel=={NEWEST_6}", "nest-asyncio")
    return folder


def test_cells_replay_and_interrupts_are_recorded_with_ipykernel_6(older, kernels):
    kernel = kernels(PYTHONPATH=os.pathsep.join([str(older), os.environ.get("PYTHONPATH", "")]))
    assert kernel.value("__import__('ipykernel').__version__") == NEWEST_6
    for _ in range(2):
        kernel.ok("%load_ext stepbook\n%stepbook run older")
        loaded, scored = (kernel.ok(cell) for cell in STEPS)
        assert (loaded.text(), loaded.value) == ("loading\n", "{'id': 7}")
        assert scored.value == "{'id': 7, 'score': 1}"
        kernel.restart()
    assert (kernel.folder / "log").read_text() == "load "
    kernel.ok("import asyncio\n%load_ext stepbook\n%stepbook run older")
    request = kernel.send("%%step Wait\nprint('begun')\nawait asyncio.sleep(60)")
    kernel.wait_for(request, "begun")
    kernel.manager.interrupt_kernel()
    assert kernel.collect(request).error["ename"] == "CancelledError"
    assert kernel.value("list(run.steps()['status'])") == ["succeeded", "succeeded", "failed"]

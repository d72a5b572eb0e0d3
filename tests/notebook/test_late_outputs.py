"""What comes after the end of a cell belongs to its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver import Kernel

#: Each goes on when the test has made the file ``go``, and so after the end of its cell.
SHELL = "until [ -e go ]; do sleep .01; done; echo late"
WAIT = (
    "import os, threading, time\n"
    "def wait():\n    while not os.path.exists('go'):\n        time.sleep(.01)\n"
)
LATE = {
    "a child process": f"import subprocess\nchild = subprocess.Popen({SHELL!r}, shell=True)",
    "a command behind an ampersand": f"import os\nstatus = os.system({f'({SHELL}) &'!r})",
    "a thread": (
        f"{WAIT}def work():\n    wait()\n    print('late')\n"
        "thread = threading.Thread(target=work)\nthread.start()"
    ),
    "a task": (
        "import asyncio, os\n"
        "async def later():\n    while not os.path.exists('go'):\n"
        "        await asyncio.sleep(.01)\n    print('late')\n"
        "task = asyncio.get_running_loop().create_task(later())"
    ),
    "a log of a thread": (
        f"{WAIT}import logging, sys\nlog = logging.getLogger('late')\n"
        "log.addHandler(logging.StreamHandler(sys.stdout))\n"
        "thread = threading.Thread(target=lambda: (wait(), log.warning('late')))\nthread.start()"
    ),
    "a display of a thread": (
        f"{WAIT}from IPython.display import display\nhandle = display(0, display_id='late')\n"
        "def work():\n    wait()\n    handle.update(1)\n    print('late')\n"
        "thread = threading.Thread(target=work)\nthread.start()"
    ),
}


@pytest.fixture
def fresh(kernels: Callable[..., Kernel], monkeypatch: pytest.MonkeyPatch) -> Callable[[], Kernel]:
    """Make kernels that hear their child processes, as they do outside of tests."""

    def make() -> Kernel:
        monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
        kernel = kernels()
        kernel.ok("%load_ext stepbook")
        kernel.ok("%stepbook run late")
        return kernel

    return make


def wait_for_late(kernel: Kernel, request: str) -> None:
    """Let what waits go on, and wait until the page has been told what it prints."""
    (kernel.folder / "go").touch()
    kernel.wait_for(request, "late\n")


@pytest.mark.parametrize("what", LATE)
def test_what_comes_after_the_end_of_a_cell_is_shown_again_with_it(
    fresh: Callable[[], Kernel], what: str
) -> None:
    cell, kernel = f"%%step A\n{LATE[what]}\nprint('now')", fresh()
    request = kernel.send(cell)
    assert kernel.collect(request).text() == "now\n"
    wait_for_late(kernel, request)
    assert kernel.ok("%%step B\nprint('B')").text() == "B\n"
    kernel.stop()
    again = fresh()
    shown = again.ok(cell)
    assert shown.text() == "now\nlate\n"
    assert [text for _, text in shown.shown] == (["1"] if "display" in what else [])
    assert again.ok("%%step B\nprint('B')").text() == "B\n"


AT_ONCE = {
    "a task": (
        "import asyncio\nasync def soon():\n    print('late')\n"
        "task = asyncio.get_running_loop().create_task(soon())"
    ),
    "a callback": ("import asyncio\nhandle = asyncio.get_running_loop().call_soon(print, 'late')"),
}


@pytest.mark.parametrize("what", AT_ONCE)
def test_what_comes_right_behind_the_first_cell_is_recorded(
    fresh: Callable[[], Kernel], what: str
) -> None:
    cell, kernel = f"%%step A\n{AT_ONCE[what]}\nprint('now')", fresh()
    request = kernel.send(cell)
    if "late" not in kernel.collect(request).text():
        kernel.wait_for(request, "late\n")
    kernel.stop()
    assert fresh().ok(cell).text() == "now\nlate\n"


def test_what_comes_late_is_recorded_without_another_cell(fresh: Callable[[], Kernel]) -> None:
    cell, kernel = f"%%step A\n{LATE['a child process']}\nprint('now')", fresh()
    request = kernel.send(cell)
    kernel.collect(request)
    wait_for_late(kernel, request)
    kernel.stop()
    assert fresh().ok(cell).text() == "now\nlate\n"


def test_what_comes_when_the_run_was_let_go_of_is_told(fresh: Callable[[], Kernel]) -> None:
    kernel = fresh()
    kernel.ok(f"%%step A\n{LATE['a task']}")
    last = kernel.send("%stepbook close")
    kernel.collect(last)
    (kernel.folder / "go").touch()
    kernel.wait_for(last, "what step 'A' has shown after its end is not recorded")

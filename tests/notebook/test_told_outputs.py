"""What of the outputs cannot be exact is told, and nothing else is; no step fails for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver import Kernel, Result

LOCK = "import _thread, os\nlive = os.scandir('.')"
ERRORS = "import warnings\nwarnings.simplefilter('error')"
#: A frame of many blocks: pandas warns when it is looked at in some ways.
FRAME = (
    "import pandas as pd\nwith warnings.catch_warnings():\n    warnings.simplefilter('ignore')\n"
    "    frame = pd.DataFrame({'a': [1]})\n    for i in range(120):\n        frame[f'c{i}'] = i"
)
OLD = (
    "class Old:\n    def __getstate__(self):\n        warnings.warn('old', DeprecationWarning)\n"
    "        return self.__dict__\n"
    "    def __reduce_ex__(self, version):\n        warnings.warn('older', FutureWarning)\n"
    "        return super().__reduce_ex__(version)\n"
    "old = Old()\nold.x = [1]"
)

POOL = (
    "from concurrent.futures import ThreadPoolExecutor, as_completed\n"
    "with ThreadPoolExecutor() as pool:\n"
    "    for done in as_completed([pool.submit(len, 'ab')]):\n        x = done.result()"
)


@pytest.fixture
def replayed(kernels: Callable[..., Kernel]) -> Callable[..., tuple[list[Result], list[Result]]]:
    """Execute cells as steps, and all again in a new kernel; none may fail."""

    def execute(*cells: str) -> tuple[list[Result], list[Result]]:
        found = []
        for _ in range(2):
            kernel = kernels()
            kernel.ok("%load_ext stepbook\n%stepbook run told")
            found.append([kernel.ok(f"%%step {n}\n{cell}") for n, cell in enumerate(cells)])
            kernel.stop()
        return found[0], found[1]

    return execute


def told(result: Result) -> str:
    """Return what stepbook has said in a cell."""
    printed = result.text() + result.text("stderr")
    return printed if "stepbook" in printed.lower() else ""


# ---- outputs that cannot be stored ---------------------------------------------------------------


def test_an_output_that_cannot_be_stored_is_left_out_and_told_and_the_others_come_back(
    replayed: Callable[..., tuple[list[Result], list[Result]]],
) -> None:
    deep = (
        "from IPython.display import display\nprint('before')\ndeep = []\n"
        "for _ in range(700):\n    deep = [deep]\n"
        "display({'application/json': deep, 'text/plain': 'deep'}, raw=True)\nprint('after')\n"
        "del deep"
    )
    (first,), (again,) = replayed(deep)
    assert "recorded without some of its outputs: nested" in told(first)
    assert again.text() == "before\nafter\n"


def test_what_a_failed_attempt_has_shown_is_kept_if_it_is_no_unicode(kernel: Kernel) -> None:
    failed = kernel.run("%%step A\nprint('caf\\udce9')\nraise ValueError('caf\\udce9')")
    assert failed.error is not None
    assert failed.error["ename"] == "ValueError"
    kernel.ok("%stepbook close")
    kernel.ok("%stepbook run tests")
    assert kernel.ok("%%step A\nprint('caf\\udce9')").text() == "caf\ufffd\n"
    attempts = "select attempt from cells where run_id = '{}' order by 1"
    query = f"run.book.sql({attempts!r}.format(run.id)).attempt.tolist()"
    assert kernel.value(query) == [1, 2]


# ---- stubs ---------------------------------------------------------------------------------------


def test_a_stub_is_never_recorded_as_an_output(kernels: Callable[..., Kernel]) -> None:
    made = "%%step made\n" + LOCK
    first = kernels()
    first.ok("%load_ext stepbook\n%stepbook run told")
    first.ok(made)
    first.stop()
    kernel = kernels()
    kernel.ok("%load_ext stepbook\n%stepbook run told")
    kernel.ok(made)
    as_result = kernel.run("%%step result\nlive")
    assert as_result.error is not None
    assert as_result.error["ename"] == "NotStoredError"
    inside = kernel.ok(
        "%%step inside\nfrom IPython.display import display\n"
        "print('one')\nprint([live])\nprint('two')\ndisplay([live])\ndisplay('three')\n[live]"
    )
    assert "%stepbook redo made" in told(inside)
    kernel.stop()
    last = kernels()
    last.ok("%load_ext stepbook\n%stepbook run told")
    last.ok(made)
    again = last.ok(
        "%%step inside\nfrom IPython.display import display\n"
        "print('one')\nprint([live])\nprint('two')\ndisplay([live])\ndisplay('three')\n[live]"
    )
    assert "not stored" not in str(again.outputs)
    assert again.text() == "one\ntwo\n"
    assert again.shown == [("display_data", "'three'")]


def test_a_last_value_that_cannot_be_stored_is_a_stub_and_not_an_older_value(
    kernels: Callable[..., Kernel],
) -> None:
    cells = ["%%step A\n'older'", "%%step B\nimport os\n[os.scandir('.')]"]
    first = kernels()
    first.ok("%load_ext stepbook\n%stepbook run told")
    for cell in cells:
        first.ok(cell)
    first.stop()
    kernel = kernels()
    kernel.ok("%load_ext stepbook\n%stepbook run told")
    for cell in cells:
        kernel.ok(cell)
    assert kernel.value("__") == "older"
    used = kernel.run("_[0]")
    assert used.error is not None
    assert used.error["ename"] == "NotStoredError"


@pytest.mark.parametrize("value", ["[os.scandir('.')]", "live"])
def test_in_the_same_kernel_the_last_value_is_the_object_itself(kernel: Kernel, value: str) -> None:
    cell = f"%%step A\nimport os\nlive = os.scandir('.')\n{value}"
    kernel.ok(cell)
    kernel.ok("first = _")
    kernel.ok(cell)
    assert kernel.value("_ is first") is True


# ---- displays ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "update",
    [
        "handle.update('two')",
        "from IPython.display import update_display as u\nu('two', display_id='x')",
    ],
)
def test_a_cell_that_executes_updates_the_display_of_a_replayed_one(
    kernels: Callable[..., Kernel], update: str
) -> None:
    cell = "%%step A\nfrom IPython.display import display\nhandle = display('one', display_id='x')"
    first = kernels()
    first.ok("%load_ext stepbook\n%stepbook run told")
    shown = first.ok(cell).outputs
    first.stop()
    kernel = kernels()
    kernel.ok("%load_ext stepbook\n%stepbook run told")
    assert kernel.ok(cell).outputs == shown
    assert shown[0]["transient"] == {"display_id": "x"}
    for how in (update, f"%%step B\n{update}"):
        (updated,) = kernel.ok(how).outputs
        assert updated["kind"] == "update_display_data"
        assert updated["transient"] == {"display_id": "x"}
        assert updated["data"] == {"text/plain": "'two'"}


def test_a_result_that_cannot_be_shown_stops_run_all_recorded_and_replayed(
    kernel: Kernel,
) -> None:
    cell = "class Bad:\n    def __repr__(self):\n        raise ValueError('no repr')\nBad()"
    plain = kernel.run(cell)
    recorded, replay = (kernel.run(f"%%step A\n{cell}") for _ in range(2))
    assert [bool(r.error) for r in (recorded, replay)] == [bool(plain.error)] * 2
    for result in (recorded, replay):
        assert "no repr" in result.traceback


# ---- widgets -------------------------------------------------------------------------------------


def test_what_is_in_a_widget_is_shown_where_the_widget_was(kernels: Callable[..., Kernel]) -> None:
    cell = (
        "%%step A\nimport ipywidgets\nfrom IPython.display import display\n"
        "outs = [ipywidgets.Output(), ipywidgets.Output()]\nprint('before')\n"
        "display(ipywidgets.HBox(outs))\nprint('after')\n"
        "with outs[1]:\n    print('right')\n"
        "with outs[0]:\n    print('gone')\n"
        "outs[0].clear_output()\n"
        "with outs[0]:\n    print('left')"
    )
    for _ in range(2):
        kernel = kernels()
        kernel.ok("%load_ext stepbook\n%stepbook run told")
        result = kernel.ok(cell)
        kernel.stop()
    assert [o.get("text") or o["data"]["text/plain"] for o in result.outputs] == [
        "before\n",
        "HBox(children=(Output(), Output()))",
        "left\nright\nafter\n",
    ]


def test_a_function_that_a_lost_object_has_decorated_is_a_stub_and_the_cell_comes_back(
    replayed: Callable[..., tuple[list[Result], list[Result]]],
) -> None:
    (first, used), (again, reused) = replayed(
        "import ipywidgets\nout = ipywidgets.Output()\n@out.capture()\ndef f():\n    return 1\n"
        "x = 5\nprint('made')",
        "f(), x",
    )
    assert "f (" in told(first)
    assert again.text() == "made\n"
    assert reused.value == used.value


# ---- warnings turned into errors -----------------------------------------------------------------


def test_warnings_turned_into_errors_fail_no_step_and_are_told(
    replayed: Callable[..., tuple[list[Result], list[Result]]],
) -> None:
    recorded, again = replayed(
        f"import warnings\n{FRAME}\n{OLD}\n{ERRORS}",
        "frame.iloc[0, 0] = 7\nold.x.append(2)",
        LOCK,
        "frame.iloc[0, 0], old.x, warnings.filters[0][0]",
    )
    assert "recorded without live" in told(recorded[2])
    assert again[3].value == recorded[3].value == "(np.int64(7), [1, 2], 'error')"


def test_warnings_of_the_body_are_still_errors(kernel: Kernel) -> None:
    kernel.ok(f"%%step A\n{ERRORS}")
    failed = kernel.run("%%step B\nwarnings.warn('mine')")
    assert failed.error is not None
    assert failed.error["ename"] == "UserWarning"
    kernel.ok("warnings.simplefilter('default')")


# ---- no false warnings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots(2)\naxes[0].plot([1])",
        "import matplotlib.pyplot as plt\nfor ax in plt.subplots(2)[1]:\n    line = ax.plot([1])",
        "import matplotlib.pyplot as plt\nplots = {'a': plt.subplots()}\nplt.close('all')",
        "shell = get_ipython()\nformatter = shell.display_formatter",
        "import os\nfor entry in os.scandir('.'):\n    pass",
        "import os\nwith os.scandir('.') as entries:\n    found = [e.name for e in entries]",
        "import threading\nlock = threading.Lock()\nwith lock:\n    x = 1",
        POOL,
        "import os\n_ = os.scandir('.')",
        "rows = [1, 2]\nfor number, row in enumerate(rows):\n    last = row",
        "import warnings\nwith warnings.catch_warnings(record=True) as caught:\n    x = 1",
    ],
)
def test_nothing_is_said_of_what_nobody_misses(kernel: Kernel, cell: str) -> None:
    assert told(kernel.ok(f"%%step A\n{cell}")) == ""


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        ("box = {'a': [1, (i for i in 'ab')]}", "['a'][1] of box ("),
        ("class K: pass\nk = K(); k.f = (i for i in 'ab'); one = (k,)", ".f of k ("),
        ("d = {1: (i for i in 'ab')}", "[1] of d ("),
        (
            "import pandas as pd\ndf = pd.DataFrame({'x': [1]}); df.attrs['g'] = (i for i in 'ab')",
            ".attrs['g'] of df (",
        ),
    ],
)
def test_a_part_that_is_not_stored_is_told_as_a_part(kernel: Kernel, cell: str, part: str) -> None:
    assert f"recorded without the part {part}" in told(kernel.ok(f"%%step A\n{cell}"))


def test_what_a_loop_and_an_assignment_bind_is_told(kernel: Kernel) -> None:
    result = kernel.ok("%%step A\nimport os\nkept = None\nfor kept in [os.scandir('.')]:\n    pass")
    assert "recorded without kept" in told(result)

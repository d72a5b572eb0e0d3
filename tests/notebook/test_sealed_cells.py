"""Variables that only a pickle holds, and outputs that a front end would execute, under a seal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver import Kernel, Result

MINE, THEIRS = "11" * 32, "22" * 32
HTML = "<b>bold</b><script>hacked()</script>"

# ruff: noqa: ISC004 - cells of several lines

# What the cells do, and the expression that must be the same after a replay.
CASES: dict[str, tuple[list[str], str]] = {
    "an object of a library under two names": (
        ["import statistics\nn = statistics.NormalDist(1, 2)\nheld = {'n': n, 'x': []}"],
        "(n.mean, held['n'] is n)",
    ),
    "what it shares with plain values": (
        [
            "import functools, operator\nxs = [1]\np = functools.partial(operator.contains, xs)",
            "xs.append(2)",
        ],
        "(xs, p(2), p.args[0] is xs)",
    ),
    "a class of the notebook with a finaliser": (
        [
            "class Door:\n    def __init__(self): self.opened = 1\n    def __del__(self): pass\n"
            "    def size(self): return self.opened\n"
            "door = Door()\nask = lambda: door.size()",
            "door.opened = 5",
        ],
        "(door.size(), ask(), type(door) is Door)",
    ),
    "closures that share a variable": (
        [
            "import statistics\ndef make():\n    n = 0\n    def up():\n        nonlocal n\n"
            "        n += 1\n        return n\n    def look(): return n\n"
            "    return up, look, statistics.NormalDist()\nup, look, other = make()\nup()",
            "up()",
        ],
        "(look(), up(), look())",
    ),
    "views of one array": (
        [
            "import numpy as np, statistics\na = np.arange(6.0)\n"
            "kept = {'v': a[1:3], 'n': statistics.NormalDist()}",
            "kept['v'][0] = 99",
        ],
        "(a.tolist(), kept['v'].tolist(), np.shares_memory(a, kept['v']))",
    ),
    "an array too big for the pickle": (
        [
            "import numpy as np\nclass Big:\n    def __del__(self): pass\nb = Big()\n"
            "b.a = np.arange(50_000)\nb.r = np.arange(50_000)\nb.r.flags.writeable = False",
            "b.a[0] = 7",
        ],
        "(int(b.a.sum()), b.a.flags.writeable, b.r.flags.writeable)",
    ),
    "the value of the last line": (["import statistics\nstatistics.NormalDist(4)"], "_.mean"),
    "an estimator with a folder for what it has fitted": (
        [
            "from sklearn.pipeline import Pipeline\nfrom sklearn.preprocessing import Normalizer\n"
            "p = Pipeline([('n', Normalizer())], memory='cache')\nq = p"
        ],
        "(q is p, p.memory, type(p.steps[0][1]).__name__)",
    ),
    "a module and a library's function": (
        ["import statistics, os\nhold = [statistics.NormalDist(2), os, os.path.join]"],
        "(hold[0].mean, hold[1] is os, hold[2] is os.path.join)",
    ),
}


def again(kernel: Kernel, key: str = MINE) -> None:
    """Begin as a new kernel of a user with this key would."""
    kernel.run("%stepbook close")
    kernel.ok("%reset -f")
    kernel.ok("%reload_ext stepbook")
    kernel.ok(f"import os; os.environ['STEPBOOK_KEY'] = {key!r}; del os")
    kernel.ok("%stepbook run tests")


def steps(kernel: Kernel, cells: list[str]) -> list[Result]:
    return [kernel.ok(f"%%step {number}\n{cell}") for number, cell in enumerate(cells)]


@pytest.fixture
def mine(kernel: Kernel) -> Kernel:
    kernel.ok(f"import os; os.environ['STEPBOOK_KEY'] = {MINE!r}; del os")
    return kernel


@pytest.mark.parametrize("name", CASES)
def test_what_only_a_pickle_holds_comes_back(mine: Kernel, name: str) -> None:
    cells, look = CASES[name]
    recorded = steps(mine, cells)
    assert not any("recorded without" in result.text("stderr") for result in recorded)
    mine.ok("%stepbook close")
    again(mine)
    steps(mine, cells)
    replayed = mine.value("run.steps()['attempt'].tolist()"), mine.value(look)
    mine.ok("%stepbook run tests --new")
    mine.ok("%reset -f")
    mine.ok("%stepbook run tests")
    steps(mine, cells)
    assert replayed == ([1] * len(cells), mine.value(look))


def test_a_part_without_a_pickle_is_left_out_alone(mine: Kernel) -> None:
    cells = [
        "import statistics\n"
        "hold = {'n': statistics.NormalDist(3), 'gen': (i for i in 'ab'), 'xs': [1]}"
    ]
    [result] = steps(mine, cells)
    told = result.text("stderr")
    assert "hold" in told
    assert "generator" in told
    again(mine)
    steps(mine, cells)
    assert mine.value("(hold['n'].mean, hold['xs'])") == (3.0, [1])
    used = mine.run("next(hold['gen'])")
    assert used.error is not None
    assert used.error["ename"] == "NotStoredError"


SEALED = [
    "import statistics\nfrom IPython.display import HTML, display\n"
    "n = statistics.NormalDist(1, 2)\nplain = [1]\nm = {'n': n}\n"
    f"display(HTML({HTML!r}))\nprint('said')",
    "k = statistics.NormalDist(5)",
]


def html_of(results: list[Result]) -> list[str]:
    return [
        output["data"]["text/html"]
        for result in results
        for output in result.outputs
        if "text/html" in output.get("data", {})
    ]


def test_another_user_gets_text_and_stubs_until_the_run_is_trusted(mine: Kernel) -> None:
    steps(mine, SEALED)
    run = mine.value("run.id")
    again(mine, THEIRS)
    first, second = shown = steps(mine, SEALED)
    assert html_of(shown) == []
    assert "said" in first.text()
    assert f"%stepbook trust {run}" in first.text()
    assert "sealed by another key" in first.text("stderr")
    assert "sealed by another key" not in second.text("stderr")  # it was said once
    assert mine.value("plain") == [1]
    used = mine.run("n.mean")
    assert used.error is not None
    for part in ("'n' of step '0'", "NormalDist(mu=1", "another key", "%stepbook redo 0"):
        assert part in used.error["evalue"]
    listed = mine.ok("%stepbook trust --list").text()
    for part in ("2 sealed values", "statistics", "text/html", "Nothing was changed"):
        assert part in listed
    assert "Trusted from now on" in mine.ok("%stepbook trust").text()
    again(mine, THEIRS)
    assert html_of(steps(mine, SEALED)) == [HTML]
    assert mine.value("(n.mean, m['n'] is n, k.mean)") == (1.0, True, 5.0)
    mine.ok("%stepbook trust --revoke")
    again(mine, THEIRS)
    assert html_of(steps(mine, SEALED)) == []


def test_what_is_changed_after_the_decision_is_not_trusted(mine: Kernel) -> None:
    steps(mine, SEALED)
    again(mine, THEIRS)
    mine.ok("%stepbook trust")

    def change(cell: dict[str, Any]) -> None:
        cell["outputs"][0]["data"]["text/html"] = "<script>more()</script>"

    changed(mine, "0", change)
    again(mine, THEIRS)
    assert html_of(steps(mine, SEALED)) == []


def test_html_that_was_put_into_ones_own_record_is_not_shown(mine: Kernel) -> None:
    steps(mine, ["x = 1\nprint(x)"])

    def change(cell: dict[str, Any]) -> None:
        data = {"application/javascript": "hacked()", "text/plain": "hello"}
        cell["outputs"].append({"output_type": "display_data", "data": data, "metadata": {}})

    changed(mine, "0", change)
    again(mine)
    [result] = steps(mine, ["x = 1\nprint(x)"])
    shown = [output["data"] for output in result.outputs if "data" in output]
    assert shown == [{"text/plain": "hello"}]
    assert "is not sealed by anybody" in result.text()


def changed(kernel: Kernel, step: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what is recorded of a cell."""
    run = kernel.value("run.id")
    kernel.ok("%stepbook close\nrun.book.close()")
    with duckdb.connect(kernel.value("str(run.book.path)")) as connection:
        columns = ("variables", "outputs")
        [row] = connection.execute(
            f"SELECT {', '.join(columns)} FROM cells WHERE run_id = $1 AND step = $2", [run, step]
        ).fetchall()
        cell = {c: json.loads(text or "[]") for c, text in zip(columns, row, strict=True)}
        change(cell)
        for column, value in cell.items():
            connection.execute(
                f"UPDATE cells SET {column} = $1 WHERE run_id = $2 AND step = $3",
                [json.dumps(value), run, step],
            )
    kernel.ok("%stepbook run tests")


NAMES = [
    "from os import sep\nimport os\nearlier = [1]\ndef sets():\n    global made\n    made = 2",
    "x = 1\nsets()",
]


def test_a_record_gives_values_to_no_name_that_the_code_does_not_bind(mine: Kernel) -> None:
    steps(mine, NAMES)

    def change(cell: dict[str, Any]) -> None:
        for name in ("print", "sep", "os", "sets", "foreign", "earlier"):
            cell["variables"][name] = {"value": "theirs"}

    changed(mine, "1", change)
    again(mine)
    told = steps(mine, NAMES)[1].text("stderr")
    assert "foreign, os, print, sep, which the code of the cell does not bind" in told
    mine.ok("import builtins")
    assert mine.value("(x, made, earlier, sep, 'foreign' in globals())") == (
        *(1, 2, "theirs", "/"),
        False,
    )
    assert mine.value("print is builtins.print")


def test_an_estimator_does_not_get_a_folder_of_pickles_from_a_record(mine: Kernel) -> None:
    cells = [
        "from sklearn.pipeline import Pipeline\nfrom sklearn.preprocessing import Normalizer\n"
        "p = Pipeline([('n', Normalizer())])\nq = p"
    ]
    steps(mine, cells)

    def change(cell: dict[str, Any]) -> None:
        text = json.dumps(cell["variables"])
        assert '"memory": null' in text
        cell["variables"] = json.loads(text.replace('"memory": null', '"memory": "/evil"'))

    changed(mine, "0", change)
    again(mine)
    replayed = mine.run(f"%%step 0\n{cells[0]}")
    assert replayed.error is not None
    assert "a folder from which it would load pickles" in replayed.error["evalue"]

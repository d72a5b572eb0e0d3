"""What somebody has written into the tables is neither run nor trusted when a cell is replayed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import duckdb
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver import Kernel

BAD = '"><img src=x onerror=hacked()></script><script>hacked()</script>\u2028\x1b[31m'
CELL = (
    "%%step A\nfrom IPython.display import display\nx = 1\nprint('said')\ndisplay('shown')\nx + 1"
)
OUTPUTS = [
    BAD,
    {BAD: BAD},
    [5, None, BAD],
    [{}],
    [{"output_type": BAD}],
    [{"output_type": "stream"}, {"output_type": "stream", "name": 5, "text": [BAD]}],
    [{"output_type": "display_data", "data": BAD}, {"output_type": "execute_result"}],
]
VARIABLES = [
    5,
    [1],
    BAD,
    {"x": 5},
    {"x": None},
    {"x": {}},
    {"x": {"same": "x"}},
    {"x": {"lines": 5}},
    {"x": {"value": 1}, "$places": 5},
    {"x": {"value": 1}, "$places": {"places": {"a": 5}, "values": {}}},
    {"x": {"value": 1}, "$places": {"places": {"a": {"at": [1]}}, "values": {}}},
]


@pytest.fixture
def changed(kernel: Kernel) -> Iterator[object]:
    """Record a cell, change what is recorded of it, and open the run again."""
    kernel.ok(CELL)
    run = kernel.value("run.id")

    def change(**columns: object) -> None:
        kernel.ok("%stepbook close\nrun.book.close()")
        with duckdb.connect(kernel.value("str(run.book.path)")) as connection:
            for column, value in columns.items():
                connection.execute(
                    f"UPDATE cells SET {column} = $1 WHERE run_id = $2", [json.dumps(value), run]
                )
        kernel.ok("%stepbook run tests")

    yield change
    kernel.run("%stepbook close")


@pytest.mark.parametrize("outputs", OUTPUTS, ids=range(len(OUTPUTS)))
def test_outputs_of_another_shape_are_left_out_and_told_of(
    kernel: Kernel, changed: object, outputs: object
) -> None:
    changed(outputs=outputs)
    result = kernel.ok(CELL)
    assert kernel.value("x") == 1
    assert "outputs recorded for 'A'" in result.text()
    assert not any("text/html" in output.get("data", {}) for output in result.outputs)


@pytest.mark.parametrize("variables", VARIABLES, ids=range(len(VARIABLES)))
def test_variables_of_another_shape_are_an_error_that_says_what_to_do(
    kernel: Kernel, changed: object, variables: object
) -> None:
    changed(variables=variables)
    result = kernel.run(CELL)
    assert result.error is not None
    assert result.error["ename"] == "ArtifactError"
    assert "%stepbook redo A" in result.error["evalue"]


def test_a_failure_and_a_run_are_shown_as_text(kernel: Kernel) -> None:
    name = f"A {BAD}".replace("\u2028", "")
    kernel.ok(f"bad = {name!r}")
    kernel.ok(
        "def body(): raise ValueError(bad)\n"
        "try: run.do(bad, body)\nexcept ValueError: pass\nrun.do('b', lambda: 1)"
    )
    kernel.ok("%stepbook run tests")
    again = kernel.run("run.do(bad, body)")
    assert again.error is not None
    assert "is replayed" in again.traceback
    assert not any("data" in output for output in again.outputs)
    shown = kernel.ok(
        "from IPython.display import display\ndisplay(run._repr_mimebundle_(), raw=True)"
    )
    (html,) = [o["data"]["text/html"] for o in shown.outputs if "data" in o]
    assert "<img" not in html
    assert "<script" not in html
    assert "&lt;img src=x onerror=hacked()&gt;" in html


@pytest.mark.parametrize(
    ("around", "look"),
    [
        ({"python": {"path": ["/evil"]}}, "'/evil' in __import__('sys').path"),
        ({"python": {"folder": "/"}}, "__import__('os').getcwd() == '/'"),
        ({"environ": {"PATH": "/evil"}}, "__import__('os').environ['PATH'] == '/evil'"),
        ({"environ": {"LD_PRELOAD": "/evil.so"}}, "'LD_PRELOAD' in __import__('os').environ"),
        ({"python": {"umask": 0}}, "__import__('os').umask(0o22) == 0"),
    ],
)
def test_where_code_is_searched_for_is_not_set_by_a_book(
    kernel: Kernel, changed: object, around: object, look: str
) -> None:
    changed(variables={"x": {"value": 1}, "$definitions": [0], "$around": around})
    result = kernel.ok(CELL)
    assert kernel.value(look) is False
    assert "the cell does not name it" in result.text("stderr")
    assert kernel.value("x") == 1


@pytest.mark.parametrize(
    "name", ["os:system", "builtins:eval", "subprocess:run", "numpy:os", "__builtins__"]
)
def test_a_variable_does_not_become_a_function_that_a_book_names(
    kernel: Kernel, changed: object, name: str
) -> None:
    changed(variables={"x": {"value": {"$stepbook": "name", "name": name}}, "$definitions": []})
    result = kernel.run(CELL)
    assert result.error is not None
    assert result.error["ename"] == "ArtifactError"


NAMING = (
    "%%step A\nimport sys, string\nx = 1\nseen = sys.executable, string.digits, string.capwords"
)


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        ("sys", "executable", "/evil"),  # says what is executed
        ("string", "digits", "evil"),  # is only read
        ("string", "ascii_letters", "evil"),  # is not named
        ("string", "__name__", "evil"),
        ("nothing", "digits", "evil"),
    ],
)
def test_a_module_is_not_given_what_only_a_book_says(
    kernel: Kernel, owner: str, name: str, value: str
) -> None:
    kernel.ok(NAMING)
    run = kernel.value("run.id")
    kernel.ok("%stepbook close\nrun.book.close()")
    at = f"{owner}.{name}"
    places = {"places": {at: {"at": [owner, name]}}, "values": {at: value}}
    with duckdb.connect(kernel.value("str(run.book.path)")) as connection:
        connection.execute(
            "UPDATE cells SET variables = $1 WHERE run_id = $2",
            [json.dumps({"x": {"value": 1}, "$definitions": [0], "$places": places}), run],
        )
    kernel.ok("%stepbook run tests")
    result = kernel.ok(NAMING)
    assert "the code of the cell does not change it" in result.text("stderr")
    look = f"getattr(__import__('sys').modules.get({owner!r}), {name!r}, None)"
    assert kernel.value(look) != value
    kernel.run("%stepbook close")

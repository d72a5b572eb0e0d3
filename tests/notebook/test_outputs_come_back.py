"""What a cell shows is the same when it is recorded, when it is replayed, and without stepbook."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import nbclient
import nbformat
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


WIDGET = "application/vnd.jupyter.widget-view+json"
CELLS = {
    "text": "print('a'); import sys; print('b', file=sys.stderr)",
    "no Unicode is printed": r"print('caf\udce9')",
    "no Unicode is displayed": (
        "from IPython.display import display\n"
        r"display({'text/plain': 'caf\udce9', 'text/html': '<b>caf\udce9</b>'}, raw=True)"
    ),
    "no Unicode is the result": (
        "class Name:\n    def __repr__(self):\n        return 'caf\\udce9'\nname = Name()\nname"
    ),
    "a text that is no Unicode": "text = 'caf\\udce9'\ntext",
    "and is used": "{text: [text, len(text)]}",
    "display": "handle = display('one', display_id=True)",
    "updated by another cell": "handle.update('two')",
    "updated more than once": "for i in range(3):\n    handle.update(i)",
    "named display": "display('first', display_id='named')",
    "updated by name": (
        "from IPython.display import update_display\nupdate_display('second', display_id='named')"
    ),
    "shown again": "handle.display('three')",
    "updated in both places": "handle.update('four')",
    "updated in its own cell": "own = display('x', display_id=True)\nown.update('y')",
    "cleared in a loop": (
        "from IPython.display import clear_output\n"
        "for i in range(4):\n    clear_output(wait=True)\n    print('at', i)"
    ),
    "cleared": "print('gone')\nclear_output()\nprint('here')",
    "cleared when something comes, and nothing does": "print('stays')\nclear_output(wait=True)",
    "widgets": "import ipywidgets\nout = ipywidgets.Output()\nprint('before')",
    "into a widget": "with out:\n    print('inside')\n    display('in')\nprint('after')",
    "cleared within a widget": (
        "print('before')\nwith out:\n    print('inside')\n    clear_output()\nprint('after')"
    ),
    "a widget is cleared": "print('before')\nout.clear_output()\nprint('after')",
    "a decorated function writes into a widget": (
        "calls = ipywidgets.Output()\n@calls.capture(clear_output=True, wait=True)\n"
        "def call(i):\n    print('call', i)\n"
        "print('kept')\nfor i in range(3):\n    call(i)\nprint('end')"
    ),
    "an error within a widget": "with out:\n    1 / 0\nprint('survived')",
    "a result within a widget": "with out:\n    display(42)\n7",
    "a widget that shows a function": (
        "from ipywidgets import interact\n@interact(x=(0, 5))\ndef show(x=2):\n    print('x', x)"
    ),
    "a class that prints": "class Loud:\n    print('made')\nprint('body')",
    "captured": "%%capture captured\nprint('silent')\ndisplay('x')",
    "what was captured": "captured.show()",
    "captured by a block": (
        "from IPython.utils.capture import capture_output\n"
        "with capture_output() as block:\n    print('silent')\n"
        "print(block.stdout + 'loud', end='', flush=True)"
    ),
    "redirected": (
        "import contextlib, io\nbuffer = io.StringIO()\n"
        "with contextlib.redirect_stdout(buffer):\n    print('silent')\nbuffer.getvalue()"
    ),
    "a log": (
        "import logging\nlog = logging.getLogger('loud')\n"
        "log.addHandler(logging.StreamHandler(sys.stderr))\nlog.warning('careful')"
    ),
    "a log that was made earlier": "log.warning('again')",
    "a repr that raises": (
        "class Bad:\n    def __repr__(self):\n        raise ValueError('no repr')\nbad = Bad()\nbad"
    ),
    "the last value all the same": "_ is bad",
    "several reprs, one of which raises": (
        "class Half:\n    def __repr__(self):\n        return 'half'\n"
        "    def _repr_html_(self):\n        raise KeyError('html')\nhalf = Half()\nhalf"
    ),
    "figures": (
        "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots(1, 2)\n"
        "for axis in axes:\n    axis.plot([1, 2]);"
    ),
    "figures in the middle": "plt.plot([1])\nplt.show()\nprint('done')",
    "a shell": "shell = get_ipython()\nshell.ast_node_interactivity",
    "a value": "data = {'a': [1]}\ndata",
    "the value": "_ is data, __",
    "it is changed": "_['b'] = 2",
    "by its name": "data",
    "no variable": "[1, 2]",
    "the last but one": "_.append(3)\n(_, __)",
    "quiet": "'quiet';",
    "what was before": "_",
    "nothing": "None",
    "what was before nothing": "_",
    "by number": "Out[max(Out)] is _, len(Out)",
    "all": "shell.ast_node_interactivity = 'all'",
    "several": "1\n'2'\n[3]",
    "the last of several": "(_, __, ___)\nshell.ast_node_interactivity = 'last_expr'",
    "JSON that is none": "display({'application/json': {'a': float('nan')}}, raw=True)",
    "deep JSON": (
        "deep = []\nfor _ in range(400):\n    deep = [deep]\n"
        "display({'application/json': deep, 'text/plain': 'deep'}, raw=True)"
    ),
    "the variable of a loop": "_",
    "forked processes": (
        "import multiprocessing, warnings\n"
        "from IPython.display import display\n"
        "def work(n):\n    print('process', n)\n    display(n)\n"
        "fork = multiprocessing.get_context('fork')\n"
        "for n in range(2):\n"
        "    one = fork.Process(target=work, args=(n,))\n    one.start()\n    one.join()"
    ),
    "bytes": (
        "from IPython.display import publish_display_data\n"
        "publish_display_data({'image/png': b'png'}, {'image/png': {'width': 5}})"
    ),
}


def seen(output: Any) -> Any:
    """Return of an output what people see."""
    if output["output_type"] == "stream":
        return output["name"], output["text"]
    if output["output_type"] == "error":
        return output["ename"], output["evalue"]
    bundle = {mime: data for mime, data in output["data"].items() if mime != WIDGET}
    plain = bundle.get("text/plain", "")
    bundle["text/plain"] = re.sub("0x[0-9a-f]+", "0x", plain)
    if "image/png" in bundle and len(bundle["image/png"]) > 100:
        bundle["image/png"] = "a picture"
    return output["output_type"], bundle, output["metadata"]


def joined(outputs: list[Any]) -> list[Any]:
    """Return outputs with the pieces of a stream in one, as a page shows them."""
    found: list[Any] = []
    for output in map(seen, outputs):
        if found and len(output) == len(found[-1]) == 2 and output[0] == found[-1][0]:
            found[-1] = output[0], found[-1][1] + output[1]
        else:
            found.append(output)
    return found


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, list[Any]]]:
    """Execute cells in a kernel of their own; return what the page shows of each."""
    monkeypatch.setenv("STEPBOOK_BOOK", str(tmp_path / "book.duckdb"))

    def execute(first: str, cells: dict[str, str]) -> dict[str, list[Any]]:
        sources = [f"%matplotlib inline\n{first}", *cells.values()]
        notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, sources)))
        resources = {"metadata": {"path": str(tmp_path)}}
        nbclient.NotebookClient(
            notebook, timeout=60, kernel_name="python3", resources=resources, allow_errors=True
        ).execute()
        shown = [joined(cell.outputs) for cell in notebook.cells[1:]]
        return dict(zip(cells, shown, strict=True))

    return execute


def test_a_page_shows_the_same_plain_recorded_and_replayed(page: Callable[..., Any]) -> None:
    steps = {name: f"%%step {name}\n{source}" for name, source in CELLS.items()}
    begin = "%load_ext stepbook\n%stepbook run outputs"
    plain = page("import stepbook", CELLS)
    recorded, replayed = page(begin, steps), page(begin, steps)
    for name, shown in plain.items():
        told = [o for o in recorded[name] if not (o[0] == "stderr" and "StepbookWarning" in o[1])]
        assert told == shown, f"{name} was recorded otherwise"
        assert replayed[name] == shown, f"{name} was replayed otherwise"

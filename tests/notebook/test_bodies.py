"""What the bodies of ``run.do`` show in a notebook is kept with their attempts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver import Kernel

QUERY = "SELECT step, attempt, outputs FROM cells WHERE run_id = '{}' ORDER BY step, attempt"


def shown(kernel: Kernel) -> dict[str, Any]:
    """Return what the record has of each step: streams as text, displays as what they show."""
    rows = kernel.value(f"run.book.sql({QUERY!r}.format(run.id)).values.tolist()")
    found = {}
    for step, attempt, text in rows:
        outputs = json.loads(text) if isinstance(text, str) else text
        parts = [
            (o["name"], o["text"]) if "text" in o else (o["output_type"], o["data"]["text/plain"])
            for o in outputs
        ]
        found[step if attempt == 1 else f"{step} {attempt}"] = parts
    return found


def test_what_a_body_shows_is_kept_with_its_step_and_not_shown_again(kernel: Kernel) -> None:
    code = (
        "import sys\nfrom IPython.display import display\n"
        "def load(n):\n"
        "    print('loading', n)\n    print('careful', file=sys.stderr)\n    display({'n': n})\n"
        "    return n\n"
        "print('before')\n"
        "a = run.do('A', load, 1)\nprint('between')\nb = run.do('B', load, 2)\n"
        "c = run.do('Silent', int, 3)"
    )
    first = kernel.ok(code)
    assert first.text() == "before\nloading 1\nbetween\nloading 2\n"
    for n, step in enumerate("AB", start=1):
        assert shown(kernel)[step] == [
            ("stdout", f"loading {n}\n"),
            ("stderr", "careful\n"),
            ("display_data", f"{{'n': {n}}}"),
        ]
    assert set(shown(kernel)) == {"A", "B"}
    assert kernel.ok(code).text() == "before\nbetween\n"
    assert set(shown(kernel)) == {"A", "B"}


def test_each_attempt_keeps_its_own_also_one_that_failed(kernel: Kernel) -> None:
    kernel.ok(
        "tries = []\n"
        "def flaky():\n"
        "    tries.append(1)\n    print('try', len(tries))\n"
        "    if len(tries) < 3:\n        raise OSError('down')\n"
        "run.options(retries=2).do('Flaky', flaky)"
    )
    assert shown(kernel) == {
        "Flaky": [("stdout", "try 1\n")],
        "Flaky 2": [("stdout", "try 2\n")],
        "Flaky 3": [("stdout", "try 3\n")],
    }
    failed = kernel.run("run.do('Fails', lambda: [print('last words'), 1 / 0])")
    assert failed.error is not None
    assert shown(kernel)["Fails"] == [("stdout", "last words\n")]


def test_the_innermost_step_keeps_it_also_in_threads_and_tasks(kernel: Kernel) -> None:
    kernel.ok(
        "import asyncio, threading\n"
        "def outer():\n"
        "    print('outer')\n    run.do('Inner', print, 'inner')\n    print('outer again')\n"
        "run.do('Outer', outer)\n"
        "def threaded():\n"
        "    work = threading.Thread(target=print, args=('from a thread',))\n"
        "    work.start(); work.join()\n"
        "run.do('Threaded', threaded)\n"
        "async def slow(n):\n    print('begins', n); await asyncio.sleep(0); print('ends', n)\n"
        "await asyncio.gather(run.do('One', slow, 1), run.do('Two', slow, 2))"
    )
    assert shown(kernel) == {
        "Inner": [("stdout", "inner\n")],
        "One": [("stdout", "begins 1\nends 1\n")],
        "Outer": [("stdout", "outer\nouter again\n")],
        "Threaded": [("stdout", "from a thread\n")],
        "Two": [("stdout", "begins 2\nends 2\n")],
    }


def test_a_cell_that_is_a_step_keeps_all_of_it_as_before(kernel: Kernel) -> None:
    cell = "%%step Cell\nprint('cell')\nrun.do('Inner', print, 'inner')\nprint('cell again')"
    text = "cell\ninner\ncell again\n"
    assert kernel.ok(cell).text() == text
    assert shown(kernel) == {"Cell": [("stdout", text)], "Inner": [("stdout", "inner\n")]}
    assert kernel.ok(cell).text() == text


def test_what_is_shown_outside_of_bodies_belongs_to_no_step_and_streams_are_left_as_they_were(
    kernels: Callable[..., Kernel],
) -> None:
    kernel = kernels()
    kernel.ok("%load_ext stepbook\n%stepbook run tests")
    kernel.ok("import sys")
    kernel.ok(
        "import threading\nrelease = threading.Event()\n"
        "def late():\n    release.wait()\n    print('late')\n"
        "thread = threading.Thread(target=late)\n"
        "run.do('Starts', lambda: thread.start())\n"
        "print('after')\nrelease.set(); thread.join()"
    )
    kernel.ok("print('next cell')")
    assert shown(kernel) == {}
    assert kernel.value("hasattr(sys.stdout.write, '_stepbook_before')") is False


def test_what_cannot_be_recorded_is_told_and_the_step_succeeds(tmp_path: Path) -> None:
    code = (
        "import stepbook\nrun = stepbook.connect('b.duckdb').run('plain')\n"
        "print(run.do('Odd', lambda: print('\\ud800') or 7), run.do('Odd 2', print, 'fine'))\n"
        "print(run.book.sql('SELECT step FROM cells').values.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:backslashreplace"},
    )  # fmt: skip
    assert "what the step 'Odd' has shown is not recorded" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-2:] == ["7 None", "[['Odd 2']]"]


def test_a_long_text_is_a_file_that_a_prune_keeps(kernel: Kernel) -> None:
    kernel.ok("run.do('Long', lambda: print('x' * 200_000))")
    kernel.ok("run.book.prune(keep=0)")
    kernel.ok("text = run.book.sql(" + repr(QUERY) + ".format(run.id))['outputs'][0]")
    assert (
        kernel.value(
            "len(run._opened.codec.decode(text if isinstance(text, str) else str(text))[0]['text'])"
        )
        == 200_001
    )


def test_a_notebook_without_the_extension_keeps_it_too(kernels: Callable[..., Kernel]) -> None:
    kernel = kernels()
    kernel.ok("import stepbook\nrun = stepbook.run('plain')\nrun.do('A', print, 'a')")
    assert shown(kernel) == {"A": [("stdout", "a\n")]}


def test_a_script_keeps_nothing_of_it(tmp_path: Path) -> None:
    code = (
        "import stepbook\nrun = stepbook.connect('b.duckdb').run('plain')\n"
        "run.do('A', print, 'a')\nprint(run.book.sql('SELECT count(*) FROM cells').values.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[[0]]"


def test_the_command_line_executes_and_shows_it(tmp_path: Path) -> None:
    cells = (
        "def f(n):\n    print('\\x1b[31mred\\x1b[0m', n)\n    if n == 2: raise OSError('down')",
        "run.do('One', f, 1) if 'run' in globals() else None",
        "%%step Plot\nimport matplotlib.pyplot as plt; plt.plot([1]); run.do('Two', print, 'two')",
    )
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(c) for c in ("%stepbook run loop", *cells)]
    )
    nbformat.write(notebook, tmp_path / "loop.ipynb")
    env = {**os.environ, "STEPBOOK_BOOK": str(tmp_path / "b.duckdb")}

    def call(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "stepbook", *words],
            cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call("run", "loop.ipynb")
    found = call("show", "loop", "--outputs").partition("\n\n")[2]
    assert "\x1b" not in found
    assert "  One\n    red 1\n" in found
    assert "  Two\n    two\n" in found
    assert "<Figure size" in found


def test_a_cell_that_awaits_is_heard_after_the_extension_was_loaded_again(
    kernels: Callable[..., Kernel],
) -> None:
    kernel = kernels()
    kernel.ok("%load_ext stepbook\n%stepbook run tests")
    kernel.ok("%%step A\n1")
    kernel.ok("%reload_ext stepbook")
    kernel.ok("%stepbook run tests")
    cell = "%%step B\nimport asyncio\nprint('heard')\nawait asyncio.sleep(0)"
    assert kernel.ok(cell).text() == "heard\n"
    assert kernel.ok(cell).text() == "heard\n", "a replay shows it again"
    kernel.ok("async def body():\n    print('in a body')\nawait run.do('Body', body)")
    assert shown(kernel)["Body"] == [("stdout", "in a body\n")]

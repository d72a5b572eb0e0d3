"""The line magic, completion, and notebooks without a front end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from IPython.core.error import UsageError

from stepbook.notebook.magics import split_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver import Kernel


@pytest.mark.parametrize(
    ("text", "loop", "options"),
    [
        ("health review", "health review", {}),
        ("a --input dict(x=1) --new", "a", {"--input": "dict(x=1)", "--new": ""}),
        ("a --input {'k': '--new (', 'b': [1, 2]} --key k", "a",
         {"--input": "{'k': '--new (', 'b': [1, 2]}", "--key": "k"}),
        ("a --input x --y", "a", None),
        ("a --input=n - 1 --max-age 12 hours", "a", {"--input": "n - 1", "--max-age": "12 hours"}),
        ("a --new please", "a", None),
        ("a --key", "a", None),
    ],
)  # fmt: skip
def test_options_are_split_where_python_allows(
    text: str, loop: str, options: dict[str, str] | None
) -> None:
    if options is None:
        with pytest.raises(UsageError):
            split_options(text)
    else:
        assert split_options(text) == (loop, options)


def test_a_run_is_opened_with_an_expression_and_found_again(kernel: Kernel) -> None:
    kernel.ok("pid = 'p-17'; date = '$date'")
    kernel.ok('%stepbook run magic --input {"patient": pid, "at": "$date {x}"}')
    assert kernel.value("(run.loop, run.input)") == (
        "magic",
        {"patient": "p-17", "at": "$date {x}"},
    )
    first = kernel.value("run.id")
    kernel.ok('%stepbook run magic --input {"patient": pid, "at": "$date {x}"}')
    assert kernel.value("run.id") == first
    kernel.ok("%stepbook run magic --key other --input 3")
    assert kernel.value(f"(run.key, run.id == {first!r})") == ("other", False)
    kernel.ok("run = 5")
    assert "left as it is" in kernel.ok("%stepbook run magic --new").text()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rnu x", "Did you mean run?"),
        ("run", "needs the name of a loop"),
        ("run x --imput 3", "Did you mean --input?"),
        ("run x --input dict(", "--input is a Python expression"),
        ("run x --on-change perhaps", "warn, rerun, error, ignore"),
        ("redo", "needs the name of a step"),
        ("status now", "takes nothing more"),
    ],
)
def test_what_cannot_be_followed_is_explained(kernel: Kernel, line: str, said: str) -> None:
    result = kernel.run(f"%stepbook {line}")
    assert result.error is not None
    assert said in result.error["evalue"]


def test_an_unknown_step_is_said_with_the_nearest(kernel: Kernel) -> None:
    kernel.ok("%%step Load profile\n1")
    result = kernel.run("%stepbook redo Load profil")
    assert result.error is not None
    assert "Load profile" in result.error["evalue"]
    assert result.traceback == f"StepNotFoundError: {result.error['evalue']}", "no frames"


def test_handled_failures_are_executed_again_when_asked_for(kernel: Kernel) -> None:
    kernel.ok(
        "count = 0\ndef fail():\n    global count\n    count += 1\n    raise ValueError('no')"
    )
    call = "try:\n    run.do('A', fail)\nexcept ValueError:\n    pass"
    for options, calls in (("--new", 1), ("", 1), ("--retry-handled", 2), ("", 2)):
        kernel.ok(f"%stepbook run handled {options}")
        kernel.ok(call)
        assert kernel.value("count") == calls


def test_a_command_without_a_run_says_so_in_one_line(kernels: Callable[..., Kernel]) -> None:
    kernel = kernels()
    kernel.ok("%load_ext stepbook")
    result = kernel.run("%stepbook timeline")
    assert result.traceback.startswith("NoRunError: ")
    assert "\n" not in result.traceback


def test_commands_show_the_run(kernel: Kernel) -> None:
    kernel.ok("%%step A\n1")
    kernel.ok("%%step A\n1")
    assert "replayed 1" in kernel.ok("%stepbook status").text()
    assert "A" in str(kernel.ok("%stepbook timeline").shown[0][1])
    assert "cell" in str(kernel.ok("%stepbook steps").shown[0][1])
    assert "tests" in str(kernel.ok("%stepbook runs").shown[0][1])
    assert "%stepbook redo NAME" in kernel.ok("%stepbook").text()
    kernel.ok("%stepbook rewind")
    kernel.ok("%%step A\n2")
    assert kernel.value("run.attempts()['attempt'].tolist()") == [1, 2]


def completions(kernel: Kernel, text: str) -> list[str]:
    """Return what the kernel offers at the end of *text*."""
    request = kernel.client.complete(text)
    while True:
        reply: dict[str, Any] = kernel.client.get_shell_msg(timeout=30)
        if reply["parent_header"]["msg_id"] == request:
            content = reply["content"]
            return [text[: content["cursor_start"]] + match for match in content["matches"]]


def test_commands_options_and_names_are_completed(kernel: Kernel) -> None:
    kernel.ok("%%step Load profile\n1")
    kernel.ok("%%step Load scans\n1")
    assert completions(kernel, "%stepbook re") == ["%stepbook redo", "%stepbook rewind"]
    assert completions(kernel, "%stepbook run x --on") == ["%stepbook run x --on-change"]
    assert completions(kernel, "%stepbook redo Load p") == ["%stepbook redo Load profile"]
    assert completions(kernel, "%stepbook redo Load profile --d") == [
        "%stepbook redo Load profile --downstream"
    ]
    assert completions(kernel, "%stepbook un") == ["%stepbook undo"]
    assert completions(kernel, "%%step Load ") == ["%%step Load profile", "%%step Load scans"]
    assert completions(kernel, "%stepbook run x --reopen u") == [
        "%stepbook run x --reopen unfinished"
    ]
    assert completions(kernel, "%%step Load -- --on-change r") == [
        "%%step Load -- --on-change rerun"
    ]
    assert completions(kernel, "%%step Load -- --o") == [
        "%%step Load -- --out",
        "%%step Load -- --on-change",
        "%%step Load -- --once",
    ]
    assert "%stepbook run tests" in completions(kernel, "%stepbook run te")
    assert completions(kernel, "import o").count("import os") == 1


# ---- without a front end ------------------------------------------------------------------------


def write(path: Path, *sources: str) -> Path:
    """Write a notebook with the cell of parameters first."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python in a folder."""
    env = {**os.environ, "STEPBOOK_BOOK": str(folder / "stepbook.duckdb")}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


STEPS = (
    "pid = 'p-1'",
    "%load_ext stepbook\n%stepbook run review --input dict(pid=pid)",
    "%%step Load\nopen('log', 'a').write('load ')\nprofile = {'id': pid}",
    (
        "#| step: Review\nimport os\nif not os.path.exists('up'): raise OSError('down')\n"
        "open('log', 'a').write('review ')\nprofile['ok'] = True"
    ),
    "%stepbook finish profile",
)  # fmt: skip


def test_stepbook_run_goes_on_where_it_failed(tmp_path: Path) -> None:
    write(tmp_path / "loop.ipynb", STEPS[0], *STEPS[2:4])
    words = ("stepbook", "run", "loop.ipynb", "--input", json.dumps({"pid": "p-17"}))
    first = command(tmp_path, *words)
    assert first.returncode == 1
    assert "✓ Load" in first.stdout
    assert "OSError: down" in first.stdout
    (tmp_path / "up").touch()
    second = command(tmp_path, *words, "--output", "done.ipynb")
    assert second.returncode == 0, second.stderr
    assert "✓ loop" in second.stdout
    assert "succeeded" in second.stdout
    assert (tmp_path / "log").read_text() == "load review "
    done = nbformat.read(tmp_path / "done.ipynb", 4)
    assert [c.cell_type for c in done.cells] == ["code"] * 4
    shown = command(tmp_path, "stepbook", "runs")
    assert '{"pid": "p-17"}' in shown.stdout


HOSTS = {
    "papermill": ("papermill", "loop.ipynb", "out.ipynb", "-p", "pid", "p-17"),
    "nbconvert": ("nbconvert", "--execute", "--to", "notebook", "--output", "out", "loop.ipynb"),
    "nbclient": ("jupyter", "execute", "loop.ipynb"),
    "nbval": ("pytest", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"),
}


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("host", HOSTS)
def test_other_hosts_go_on_where_they_failed(tmp_path: Path, host: str) -> None:
    pytest.importorskip(host)
    write(tmp_path / "loop.ipynb", *STEPS)
    words = HOSTS[host]
    assert command(tmp_path, *words).returncode != 0
    (tmp_path / "up").touch()
    second = command(tmp_path, *words)
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "log").read_text() == "load review "
    pid = "p-17" if host == "papermill" else "p-1"
    runs = command(tmp_path, "stepbook", "runs", "--format", "json")
    found = json.loads(runs.stdout)
    assert [(r["status"], r["input"]) for r in found] == [("succeeded", {"pid": pid})]


def test_plain_ipython_replays(tmp_path: Path) -> None:
    (tmp_path / "up").touch()
    text = "\n".join(f"get_ipython().run_cell({cell!r})" for cell in STEPS) + "\nprint(profile)\n"
    (tmp_path / "session.py").write_text(text)
    for _ in range(2):
        done = command(tmp_path, "IPython", "--no-banner", "--colors=NoColor", "session.py")
        assert "{'id': 'p-1', 'ok': True}" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "log").read_text() == "load review "

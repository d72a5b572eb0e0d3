"""``stepbook run``: which run, which kernel, what input, and how it ends; with real kernels."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pexpect
import pytest
from rich.cells import cell_len

import stepbook

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.by_turns(0.5)

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Project:
    """A folder with a notebook and a book, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kernels = folder / "jupyter" / "kernels"
        self.env = {
            **os.environ,
            "STEPBOOK_BOOK": str(folder / "stepbook.duckdb"),
            "JUPYTER_PATH": str(folder / "jupyter"),
            "TERM": "xterm-256color",
        }
        self.env.pop("COLUMNS", None)

    def write(self, *cells: str, tagged: int | None = None, kernel: str | None = None) -> None:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        if tagged is not None:
            notebook.cells[tagged].metadata["tags"] = ["parameters"]
        if kernel is not None:
            notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel}
        nbformat.write(notebook, self.folder / "loop.ipynb")

    def kernel(self, name: str, *argv: str, language: str = "python") -> None:
        """Describe a kernel under a name of its own."""
        (self.kernels / name).mkdir(parents=True)
        spec = {"argv": argv, "display_name": name.title(), "language": language}
        (self.kernels / name / "kernel.json").write_text(json.dumps(spec))

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = self.call("run", "loop.ipynb", *words)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def call(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stepbook", *words],
            cwd=self.folder, env={**self.env, **env}, capture_output=True, encoding="utf-8",
            stdin=subprocess.DEVNULL, timeout=120, check=False,
        )  # fmt: skip

    def refused(self, *words: str, code: int = 1) -> str:
        """Return the one line that says why nothing was executed."""
        done = self.run(*words, code=code)
        assert done.stdout == ""
        assert not (self.folder / "log").exists()
        assert not (self.folder / "stepbook.duckdb").exists()
        (line,) = done.stderr.splitlines() if code == 1 else [done.stderr]
        return line

    def terminal(self, columns: int, *words: str) -> tuple[str, int]:
        child: pexpect.spawn[str] = pexpect.spawn(
            sys.executable, ["-m", "stepbook", "run", "loop.ipynb", *words],
            cwd=str(self.folder), env=self.env, encoding="utf-8", dimensions=(40, columns),
            timeout=120,
        )  # fmt: skip
        shown = child.read()
        child.close()
        return ANSI.sub("", shown), child.exitstatus

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def book(self) -> stepbook.Book:
        return stepbook.connect(self.folder / "stepbook.duckdb")

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs, oldest first."""
        return json.loads(self.call("runs", "--format", "json").stdout)[::-1]

    def done(self) -> list[nbformat.NotebookNode]:
        return nbformat.read(self.folder / "done.ipynb", 4).cells


def printed(cell: nbformat.NotebookNode) -> str:
    """Return what the code of a cell has printed, without what stepbook says."""
    text = "".join(o.text for o in cell.outputs if o.get("name") == "stdout")
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("stepbook: "))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("STEPBOOK_BOOK", "STEPBOOK_STABLE_REPR", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Project(tmp_path)


# ---- which run ----------------------------------------------------------------------------------

#: A notebook that leaves its run to the command, opens it by the magic, or in Python; twice.
OPENINGS = {
    "none": ("1",),
    "magic": ("%stepbook run loop", "%stepbook run loop"),
    "Python": ("import stepbook; run = stepbook.run('loop')", "run = stepbook.run('loop')"),
}
STEP = "%%step Load\nprint(open('log', 'a').write('load '))"


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("opening", OPENINGS)
def test_new_starts_one_fresh_run_however_the_notebook_opens_it(
    project: Project, opening: str
) -> None:
    first, *again = OPENINGS[opening]
    project.write(first, STEP, *again, "run.do('Count', lambda: open('log', 'a').write('count '))")
    project.run()
    assert project.log == "load count "
    project.run("--new")
    assert project.log == "load count load count "
    assert [run["loop"] for run in project.runs()] == ["loop", "loop"]
    project.run()
    assert project.log == "load count load count "


def test_an_age_and_reopening_only_what_is_unfinished_start_fresh_runs_when_they_say_so(
    project: Project,
) -> None:
    project.write("%stepbook run loop", STEP, "%stepbook finish")
    project.run()
    project.run("--max-age", "1 day")
    assert len(project.runs()) == 1
    project.run("--max-age", "0 s")
    assert len(project.runs()) == 2
    project.run("--reopen", "unfinished")
    assert len(project.runs()) == 3
    project.write("%stepbook run loop", STEP, "1 / 0", "%stepbook finish")
    project.run("--reopen", "unfinished", code=1)
    project.run("--reopen", "unfinished", code=1)
    assert len(project.runs()) == 4
    assert project.log == "load " * 4


def test_options_that_cannot_be_used_are_refused_before_anything_is_executed(
    project: Project,
) -> None:
    project.write("open('log', 'a')")
    assert "'soon' is no duration" in project.refused("--max-age", "soon", code=2)
    assert "'much' is not a size" in project.refused("--max-size", "much", code=2)
    assert "leave the others out" in project.refused("--new", "--reopen", "unfinished", code=2)
    assert "unfinished" in project.refused("--reopen", "all", code=2)
    assert "there is no folder" in project.refused("--output", "none/done.ipynb")
    assert "1e999 is too large" in project.refused("--input", '{"x": 1e999}', code=2)


# ---- which kernel -------------------------------------------------------------------------------


def test_a_kernel_that_cannot_be_used_is_one_line_that_says_why_and_what_there_is(
    project: Project,
) -> None:
    project.kernel("broken", "/no/such/python", "{connection_file}")
    project.kernel("ends", sys.executable, "-c", "", "{connection_file}")
    project.kernel("plain", sys.executable, "-S", "-c", "", "{connection_file}", language="R")
    without = "import sys; sys.modules['stepbook'] = None; import ipykernel.kernelapp as app"
    project.kernel(
        "bare", sys.executable, "-c", f"{without}; app.launch_new_instance()", "-f",
        "{connection_file}",
    )  # fmt: skip
    project.write("open('log', 'a')", kernel="gone")
    told = project.refused()
    assert "asks for the kernel 'gone', which is not installed here" in told
    assert "Installed: bare, broken, ends, plain, python3" in told
    assert "--kernel NAME" in told
    assert project.refused("--kernel", "julia") == (
        "stepbook: the kernel 'julia' is not installed here. "
        "Installed: bare, broken, ends, plain, python3."
    )
    assert "the kernel 'plain' is for R" in project.refused("--kernel", "plain")
    assert "'broken' could not be started: [Errno 2]" in project.refused("--kernel", "broken")
    assert "the kernel 'ends' could not be started" in project.refused("--kernel", "ends")
    told = project.refused("--kernel", "bare", "--output", "done.ipynb")
    assert not (project.folder / "done.ipynb").exists()
    assert "the kernel 'bare' cannot use stepbook: ModuleNotFoundError" in told


def test_another_kernel_executes_the_notebook_and_is_named_in_what_is_written(
    project: Project,
) -> None:
    words = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
    project.kernel("other", sys.executable, "-X", "utf8", *words)
    project.write("import sys; print(sys._xoptions)", kernel="gone")
    project.run("--kernel", "other", "--output", "done.ipynb")
    assert "utf8" in printed(project.done()[0])
    spec = nbformat.read(project.folder / "done.ipynb", 4).metadata.kernelspec
    assert (spec.name, spec.display_name) == ("other", "Other")


def test_installed_kernels_are_completed(project: Project) -> None:
    project.kernel("pyother", sys.executable)
    words = "stepbook run loop.ipynb --kernel py"
    found = project.call(
        _STEPBOOK_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    ).stdout
    assert found.splitlines() == ["plain,pyother", "plain,python3"]


# ---- its input ----------------------------------------------------------------------------------

INPUT = '{"pid": "p-17", "limits": [1.5, null, true], "größe": {"a-b": 1}}'
SHOW = "%%step Show\nprint(pid, limits, größe)"
SHOWN = "p-17 [1.5, None, True] {'a-b': 1}\n"


def test_without_a_tagged_cell_the_input_becomes_variables_before_the_first_cell(
    project: Project,
) -> None:
    project.write(SHOW)
    done = project.run("--input", INPUT, "--output", "done.ipynb")
    assert 'no cell is tagged "parameters"' in done.stderr
    added, show = project.done()
    assert added.metadata.tags == ["injected-parameters"]
    assert printed(show) == SHOWN
    assert project.runs()[0]["input"] == json.loads(INPUT)


def test_behind_a_tagged_cell_the_input_wins_and_is_replaced_in_what_is_executed_again(
    project: Project,
) -> None:
    project.write("before = 1", "pid = 'p-1'; limits = 0", SHOW, tagged=1)
    done = project.run("--input", INPUT, "--output", "done.ipynb")
    assert done.stderr == ""
    assert project.done()[2].metadata.tags == ["injected-parameters"]
    assert printed(project.done()[3]) == SHOWN
    (project.folder / "done.ipynb").rename(project.folder / "loop.ipynb")
    project.run("--input", INPUT.replace("p-17", "p-18"), "--output", "done.ipynb")
    assert len(project.done()) == 4
    assert printed(project.done()[3]) == SHOWN.replace("p-17", "p-18")


def test_an_input_that_is_no_object_adds_no_cell(project: Project) -> None:
    project.write("%%step Show\nprint(run.input)")
    project.run("--input", "[1, 2]", "--output", "done.ipynb")
    assert list(map(printed, project.done())) == ["[1, 2]\n"]


def test_a_run_that_python_opens_without_an_input_has_the_given_one(project: Project) -> None:
    project.write(
        "import stepbook\nrun = stepbook.run('review')\nother = stepbook.run('other', input=3)",
    )
    project.run("--input", '{"pid": 5}')
    assert {run["loop"]: run["input"] for run in project.runs()} == {
        "review": {"pid": 5},
        "other": 3,
    }


@pytest.mark.parametrize("name", ["patient-id", "class", "None", "", "1st", "a b", "x;import os"])
def test_names_that_are_no_variables_are_refused_before_anything_runs(
    project: Project, name: str
) -> None:
    project.write("open('log', 'a')", tagged=0)
    told = project.refused("--input", json.dumps({"good": 1, name: 2}))
    assert f"{name!r} is no name of a variable" in told
    assert "'good'" not in told


# ---- kernels that die ---------------------------------------------------------------------------

DEATHS = {
    "out of memory, as containers tell it": (
        "os._exit(137)", "with exit code 137, as after SIGKILL, most likely because the memory"
    ),
    "out of memory": (
        "os.kill(os.getpid(), signal.SIGKILL)", "by SIGKILL, most likely because the memory ran out"
    ),
    "a crash": (
        "ctypes.string_at(0)", "by SIGSEGV, most likely because compiled code of a library crashed"
    ),
    "an abort": ("os.abort()", "by SIGABRT, most likely because compiled code"),
    "ended from outside": ("os.kill(os.getpid(), signal.SIGTERM)", "by SIGTERM, most likely from"),
    "an exit": ("os._exit(3)", "it ended by itself, with exit code 3"),
}  # fmt: skip
TRAIN = """%%step Train
import ctypes, os, signal
if not os.path.exists('up'):
    {}
open('log', 'a').write('train ')"""


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("death", DEATHS)
def test_a_dead_kernel_is_one_line_and_the_same_command_goes_on_from_its_cell(
    project: Project, death: str
) -> None:
    code, why = DEATHS[death]
    project.write(STEP, TRAIN.format(code), "%%step Report\nopen('log', 'a').write('report ')")
    done = project.run("--output", "done.ipynb", code=1)
    (line,) = done.stderr.splitlines()
    assert line.startswith("stepbook: the kernel died in cell 2 of 3 (Train): it ")
    assert why in line
    assert line.endswith("The same command goes on after the last step that succeeded.")
    load, train, report = project.done()
    assert printed(load) == "5\n"
    assert train.outputs[-1].output_type == "error"
    assert f"stepbook: {train.outputs[-1].evalue}" == line
    assert report.outputs == []
    (run,) = project.runs()
    assert run["status"] == "failed"
    steps = project.book.get(run["id"]).steps().set_index("name")
    assert list(steps["status"]) == ["succeeded", "failed"]
    assert steps["error"]["Train"]["type"] == "Interrupted"
    assert "✗ Train" in done.stdout
    (project.folder / "up").touch()
    project.run()
    assert project.log == "load train report "
    (run,) = project.runs()
    assert run["status"] == "succeeded"
    assert list(project.book.get(run["id"]).steps()["attempt"]) == [1, 2, 1]


def test_a_kernel_that_dies_in_a_plain_cell_leaves_a_run_that_goes_on(project: Project) -> None:
    plain = "import os\nif not os.path.exists('up'): os._exit(137)"
    project.write("%stepbook run loop", STEP, plain, "%stepbook finish 7")
    done = project.run(code=1)
    assert "in cell 3 of 4 (import os)" in done.stderr
    assert "Without --new the same command goes on" in project.run("--new", code=1).stderr
    assert project.runs()[0]["status"] == "running"
    (project.folder / "up").touch()
    project.run()
    assert project.log == "load load "
    assert [run["output"] for run in project.runs()] == [None, 7]


def test_a_kernel_that_dies_behind_the_last_cell_is_told_too(project: Project) -> None:
    # What IPython calls after each cell: the reply has been sent when the process ends.
    late = "import atexit, os, threading; threading.Timer(0, lambda: None)"
    project.write(f"{late}\nget_ipython().events.register('pre_execute', lambda: os._exit(5))")
    done = project.run("--output", "done.ipynb", code=1)
    assert (
        "the kernel died after the last cell: it ended by itself, with exit code 5" in done.stderr
    )
    assert len(project.done()) == 1


# ---- terminals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80])
def test_on_a_terminal_every_line_fits(project: Project, columns: int) -> None:
    name = "A step with a name that is longer than a narrow terminal is wide, and longer"
    project.write(f"%%step {name}\nx = 1", TRAIN.format("os._exit(137)"))
    shown, code = project.terminal(columns)
    assert code == 1
    lines = [line.rpartition("\r")[2] for line in shown.replace("\r\n", "\n").splitlines()]
    assert max(map(cell_len, lines)) <= columns
    assert "as after SIGKILL" in " ".join(lines)
    (project.folder / "up").touch()
    shown, code = project.terminal(columns)
    assert code == 0
    assert "1 replayed" in shown


def test_without_a_terminal_nothing_is_shortened_or_coloured(project: Project) -> None:
    name = "A step with a name that is longer than a narrow terminal is wide, and longer"
    project.write(f"%%step {name}\nx = 1")
    done = project.run()
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert done.stdout.splitlines()[0].startswith(f"[1/1] ✓ {name}  ")


def test_handled_failures_are_executed_again_when_asked_for(project: Project) -> None:
    project.write(
        "import stepbook\nfrom pathlib import Path\nrun = stepbook.run('collect')",
        "def fetch(name):\n"
        "    Path('asked').open('a').write(name)\n"
        "    raise ConnectionError(name)\n"
        "failed = []\n"
        "for name in 'ab':\n"
        "    try:\n"
        "        run.do(f'fetch {name}', fetch, name)\n"
        "    except ConnectionError as error:\n"
        "        failed.append(str(error))",
        "run = stepbook.run('collect')\nassert failed == ['a', 'b']\nrun.finish()",
    )
    asked = project.folder / "asked"
    for words, expected in (((), "ab"), ((), "ab"), (("--retry-handled",), "abab"), ((), "abab")):
        project.run(*words)
        assert asked.read_text() == expected

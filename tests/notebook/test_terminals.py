"""Steps at a prompt: IPython and the Jupyter console, in a real terminal."""

from __future__ import annotations

import os
import re
import sys
import time

import nbformat
import pexpect
import pytest

LONGEST_S = 40
#: What is typed, word for word; what a body writes cannot be mistaken for it.
LOAD = ("%%step Load", "open('log', 'a').write('load ')", "x = 41; print('lo' + 'aded')", "", "")
DOUBLE = "#| step: Double\nopen('log', 'a').write('double ')\n\ny = 2 * x\nprint('dou' + 'bled')"
FAIL = ("%%step Fail", "open('log', 'a').write('fail ')", "1 / (x - 41)", "", "")
#: In short sleeps: one that has not quite begun when the interrupt comes is slept to its end.
LONG = (
    "%%step Long",
    "import time; print('be' + 'gun'); [time.sleep(0.1) for _ in range(600)]",
    "",
    "",
)


class Terminal:
    """One session at a prompt, as a person types it."""

    def __init__(self, module, folder):
        self.log = (folder / "screen").open("a", encoding="utf-8")
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", *module.split()],
            cwd=folder,
            env={
                **os.environ,
                "STEPBOOK_BOOK": str(folder / "stepbook.duckdb"),
                "IPYTHONDIR": str(folder / "ipython"),
                "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
                "TERM": "xterm",
                "PROMPT_TOOLKIT_NO_CPR": "1",  # nobody here answers where the cursor is
            },
            encoding="utf-8",
            timeout=LONGEST_S,
            dimensions=(50, 160),
        )
        self.process.logfile_read = self.log
        self.prompt()
        self.enter("%load_ext stepbook")
        self.prompt()
        self.enter("%stepbook run terminal")
        self.expect("stepbook: ")
        self.prompt()

    def expect(self, text):
        """Wait for a text on the screen."""
        self.process.expect_exact(text)

    def prompt(self):
        """Wait for the prompt of the next cell."""
        self.process.expect(r"In (\x1b\S+)?\[")

    def enter(self, *lines):
        """Type lines."""
        for line in lines:
            self.process.send(f"{line}\r")

    def paste(self, text):
        """Paste a cell, and execute it."""
        self.process.send(f"\x1b[200~{text}\x1b[201~")
        self.process.send("\x1b\r")

    def leave(self):
        """End the session as a person does."""
        self.prompt()
        self.enter("exit")
        self.process.expect(pexpect.EOF)
        self.close()

    def close(self):
        """End the processes, whatever they do."""
        self.process.close(force=True)
        self.log.close()


@pytest.fixture(params=["IPython", "jupyter_console"])
def terminal(request, tmp_path):
    """Begin sessions of one kind, in one folder."""
    begun = []

    def begin():
        begun.append(Terminal(request.param, tmp_path))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


def test_a_step_that_is_typed_or_pasted_replays_in_the_next_session(terminal, tmp_path):
    for session in (1, 2):
        now = terminal()
        now.enter(*LOAD)
        now.expect("loaded")
        now.paste(DOUBLE)
        now.expect("doubled")
        now.enter("print('val' + 'ues', x, y)")
        now.expect("values 41 82")
        now.enter(*FAIL)
        now.expect("ZeroDivisionError")
        now.expect(f"attempt {session}")
        now.leave()
    assert (tmp_path / "log").read_text().split() == ["load", "double", "fail", "fail"]


def test_control_c_is_recorded(terminal):
    now = terminal()
    now.enter(*LONG)
    now.expect("begun")
    now.process.sendintr()
    now.expect("KeyboardInterrupt")
    now.prompt()
    now.enter("print(*run.steps()[['name', 'status']].values.tolist())")
    now.expect("['Long', 'failed']")
    now.leave()


def test_tab_completes_the_name_of_a_step(terminal):
    now = terminal()
    now.enter("%%step Load profile", "1", "", "")
    now.expect("Out")  # else a prompt that is drawn once more is taken for the next one
    now.prompt()
    now.process.send("%stepbook redo Lo\t")
    now.expect("ad profile")  # a slow terminal draws only what Tab has added
    now.enter("")
    now.expect("will be executed again")
    now.leave()


# ---- stepbook run -------------------------------------------------------------------------------

CELLS = (
    "%load_ext stepbook\n%stepbook run nightly",
    "%%step Load all that the night has brought, from each of the registries\nx = 41",
    (
        "%%step Wait\nimport time\nprint('so far')\nopen('waiting', 'w').close()\n"
        "for _ in range(0 if quick() else 600): time.sleep(0.1)"
    ),
)


@pytest.fixture
def command(tmp_path):
    """Execute a notebook by the command line, in a terminal of 60 columns."""
    begun = []

    def run():
        begun.append(
            pexpect.spawn(
                sys.executable,
                ["-m", "stepbook", "run", "nightly.ipynb"],
                cwd=tmp_path,
                env={
                    **{name: text for name, text in os.environ.items() if name != "COLUMNS"},
                    "STEPBOOK_BOOK": str(tmp_path / "stepbook.duckdb"),
                    "TERM": "xterm",
                },
                encoding="utf-8",
                timeout=LONGEST_S,
                dimensions=(50, 60),
            )
        )
        return begun[-1]

    quick = f"def quick():\n    import os\n    return os.path.exists({str(tmp_path / 'quick')!r})"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (quick, *CELLS)],
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    )
    nbformat.write(notebook, tmp_path / "nightly.ipynb")
    yield run
    for one in begun:
        one.close(force=True)


def test_stepbook_run_shows_where_it_is_and_records_control_c(command, tmp_path):
    first = command()
    first.expect_exact("[4/4] ")
    first.expect_exact("◐")
    deadline = time.monotonic() + LONGEST_S
    while not (tmp_path / "waiting").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.sendintr()
    first.expect(pexpect.EOF)
    first.close()
    assert first.exitstatus == 1
    assert "so far" in first.before, "what the cell has printed"
    assert "KeyboardInterrupt" in first.before
    assert "1 of 2 steps" in first.before
    (tmp_path / "quick").touch()
    second = command()
    second.expect(pexpect.EOF)
    second.close()
    assert second.exitstatus == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", second.before)
    lines = [line.rpartition("\r")[2] for line in shown.split("\r\n")]
    assert max(map(len, lines)) <= 60, lines
    assert lines[2].startswith("[3/4] ✓ Load all that the night has brought")
    assert "attempt 2" in shown
    assert "1 replayed" in shown

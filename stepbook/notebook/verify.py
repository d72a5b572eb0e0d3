"""``%stepbook verify``: what this session has executed, executed once more in a new process.

A kernel does not know its notebook as it stands, saved or not, so the cells are those that the
session has executed, each once: in the order in which they were executed first, with the code they
had last.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from IPython.core.error import UsageError

from ..system import scratch
from ..system.console import tell

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..engine.opened import OpenRun

#: A cell without an id is known by the step that it names, else by its text.
_NAMES_A_STEP: Final = re.compile(r"\s*(%%step\s.*|#\|\s*step:.*)")
#: What has no place where each cell is executed once.
_LEFT_OUT: Final = re.compile(r"^[ \t]*%stepbook[ \t]+(?:verify|redo|rewind)\b.*$", re.MULTILINE)
_OPTIONS: Final = ("--ignore-output", "--json")


class Cell(NamedTuple):
    """A cell that was executed.

    Attributes:
        text: its code.
        failed: whether its last execution has failed.
    """

    text: str
    failed: bool = False


class Executed:
    """The cells that a shell has executed.

    Args:
        shell: the shell.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._cells: dict[str, Cell] = {}
        history: Any = shell.history_manager
        texts = [] if history is None else history.input_hist_raw[1 : shell.execution_count]
        for text in texts:  # before the extension was loaded
            self._take(text, None, failed=False)

    def note(self, result: Any) -> None:
        """Take in a cell that has ended."""
        info = result.info
        if info is not None and info.store_history:
            cell_id = getattr(info, "cell_id", None)
            self._take(info.raw_cell, cell_id, failed=not result.success)

    def _take(self, text: str, cell_id: str | None, *, failed: bool) -> None:
        named = _NAMES_A_STEP.match(text)
        key = cell_id or (named[1] if named else text)
        self._cells[key] = Cell(text, failed)

    def cells(self) -> list[Cell]:
        """Return them, each once, without what has no place in a verification."""
        kept = [cell._replace(text=_LEFT_OUT.sub("", cell.text)) for cell in self._cells.values()]
        return [cell for cell in kept if cell.text.strip()]


def verify(run: OpenRun, executed: Executed, folder: str, options: str) -> None:
    """Execute the cells of this session again and print how they compare with *run*.

    Args:
        run: the run of this session.
        executed: its cells.
        folder: where the kernel was started.
        options: of the command line, as it takes them.

    Raises:
        UsageError: an option is unknown, or the run cannot be seen from another process.
    """
    words = options.split()
    unknown = [word for word in words if word not in _OPTIONS]
    if unknown:
        raise UsageError(f"%stepbook verify takes {' and '.join(_OPTIONS)}, not {unknown[0]}.")
    if scratch.folder() is not None:
        tell("stepbook: this code is being verified; it verifies nothing itself.")
        return
    path = run.book.path
    if path is None:
        raise UsageError("a run in memory cannot be verified: no other process can see it.")
    with tempfile.TemporaryDirectory(prefix="stepbook-session-") as home:
        notebook = Path(home, "the cells of this session.ipynb")
        _write(notebook, executed.cells())
        command = [sys.executable, "-m", "stepbook", "verify", str(notebook), run.id]
        _pass_on([*command, "--book", str(path), "--folder", folder, *words])


def _write(path: Path, cells: list[Cell]) -> None:
    try:
        nbformat: Any = importlib.import_module("nbformat")  # only for this command; has no types
    except ImportError as error:
        raise UsageError(f"{error}. To verify: pip install 'stepbook[run]'") from error
    made = []
    for cell in cells:
        one = nbformat.v4.new_code_cell(cell.text)
        if cell.failed:  # as here: the cells behind it were executed all the same
            one.metadata["tags"] = ["raises-exception"]
        made.append(one)
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)


def _pass_on(command: list[str]) -> None:
    """Print what a command prints, while it does; an interrupt goes to it."""
    with subprocess.Popen(  # noqa: S603 - this program's own command
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # the front end's interrupt reaches it once, from here
    ) as child:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
        while True:
            try:
                # Not by lines: the line of the cell that is executing has no end yet.
                while data := os.read(child.stdout.fileno(), 1 << 16):
                    print(decode(data), end="", flush=True)  # noqa: T201 - what was asked for
                break
            except KeyboardInterrupt:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(signal.SIGINT)

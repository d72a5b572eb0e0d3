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

from ..errors import NoRunError
from ..system import scratch
from ..system.console import tell
from .formats import lightly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    from IPython.core.interactiveshell import InteractiveShell

    from ..engine.opened import OpenRun

#: A cell without an id is known by the step that it names, else by its text.
_NAMES_A_STEP: Final = re.compile(r"\s*(%%step\s.*|#\|\s*step:.*)")
#: What has no place where each cell is executed once.
_LEFT_OUT: Final = re.compile(
    r"^[ \t]*%stepbook[ \t]+(?:verify|redo|rewind|accept)\b.*$", re.MULTILINE
)
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


class Interrupted(KeyboardInterrupt):
    """Somebody has stopped the verification: the cells that wait behind it are not executed."""

    def _render_traceback_(self) -> list[str]:
        return []  # IPython's way; the command has said it already


def verify(current: Callable[[], OpenRun], executed: Executed, folder: str, options: str) -> None:
    """Execute the cells of this session again and print how they compare with its run.

    Args:
        current: returns the run of this session.
        executed: its cells.
        folder: where the kernel was started.
        options: of the command line, as it takes them.

    Raises:
        UsageError: an option is unknown, no run is open, or no other process can see it.
        Interrupted: somebody has stopped it.
    """
    words = options.split()
    unknown = [word for word in words if word not in _OPTIONS]
    if unknown:
        raise UsageError(f"%stepbook verify takes {' and '.join(_OPTIONS)}, not {unknown[0]}.")
    if scratch.folder() is not None:
        tell("stepbook: code that is being verified cannot verify in turn.")
        return
    try:
        run = current()
    except NoRunError:
        raise UsageError(
            "no run is open, so there is no record to compare with. Open one: %stepbook run NAME, "
            "and execute the steps."
        ) from None
    path = run.book.path
    if path is None:
        raise UsageError(
            "a run in memory cannot be verified: no other process can read the book :memory:. "
            f"Record it in a file: %stepbook run {run.row.loop} --book FILE"
        )
    with tempfile.TemporaryDirectory(prefix="stepbook-session-") as home:
        notebook = Path(home, "the cells of this session.ipynb")
        _write(notebook, executed.cells())
        command = [sys.executable, "-m", "stepbook", "verify", str(notebook), run.id, "--session"]
        _pass_on([*command, "--book", str(path), "--folder", folder, *words])


def _write(path: Path, cells: list[Cell]) -> None:
    try:
        with lightly():
            nbformat: Any = importlib.import_module("nbformat")  # only here; it has no types
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
    stopped = False
    # Apart, as what a program reads is on the first; the second has little to say. In a file: to
    # read two pipes takes a thread, and an interrupt while one starts leaves a lock behind.
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(  # noqa: S603 - this program's own command
            command,
            stdin=subprocess.PIPE,  # its end tells that this kernel is gone
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,  # the front end's interrupt reaches it once, from here
        ) as child,
    ):
        pieces = _pieces(child.stdout)
        while True:
            try:
                for piece in pieces:
                    print(piece, end="", flush=True)  # noqa: T201 - what was asked for
                break
            except KeyboardInterrupt:
                stopped = True
                pieces = _pieces(child.stdout)  # the one before has ended with the interrupt
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(signal.SIGINT)
        child.wait()
        complaints.seek(0)
        said = complaints.read().decode(errors="backslashreplace")
    print(said, end="", file=sys.stderr, flush=True)  # noqa: T201 - as above
    if stopped:
        raise Interrupted


def _pieces(pipe: IO[bytes] | None) -> Iterator[str]:
    """Yield what comes out of a pipe, as it comes: a cell that executes has a line without end."""
    assert pipe is not None  # noqa: S101 - it is a pipe
    decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
    while data := os.read(pipe.fileno(), 1 << 16):
        yield decode(data)

"""A notebook without a front end: executed as a run, cell by cell, through nbclient.

This is the side of the command line; :mod:`.inside` is the side of the kernel.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from dataclasses import dataclass
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from ..engine import runs
from ..errors import Interrupted, InvalidInputError, RunError, StepbookError
from ..model.rows import DURABLE_KINDS, RUNNING
from ..show.text import one_line
from ..system.console import tell, uncoloured
from . import inside, kernels, parameters
from .requests import parse

if TYPE_CHECKING:
    from ..engine.wishes import Wishes

#: So many lines of what a failed cell has printed are told with its error.
_TOLD_LINES: Final = 20
_PADDING: Final = re.compile(r" {2,}(?=Traceback \()")
#: Its warning of what listens on which port is for servers, not for a kernel of this process.
_QUIET: Final = "--IPKernelApp.log_level=ERROR"
#: Nor is what it says of an interrupt that has hit it, and not a cell, when it is to end.
_SILENT: Final = "--IPKernelApp.log_level=CRITICAL"
_MAX_TITLE: Final = 40
#: What a kernel that has died leaves behind in the notebook, as the name of an error.
_DEATH: Final = "KernelDied"


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong in a cell.

    Attributes:
        text: to be told.
        died: whether the kernel has died; its end is one line.
    """

    text: str
    died: bool = False


class Progress(Protocol):
    """Takes what happens, while it happens."""

    def begins(self, number: int, total: int, title: str) -> None:
        """Code cell *number* of *total* is executed now."""

    def ended(self, seconds: float, problem: Problem | None) -> None:
        """That cell has ended; *problem* is what went wrong, in one line if the next follows."""


class Outcome(NamedTuple):
    """How a notebook has ended.

    Attributes:
        good: whether no cell has failed.
        run_id: its run; None if it has opened none.
        book: the file that the run is recorded in; None for a book in memory.
        text: the run as text; empty if the kernel has died.
        replayed: how many steps were replayed.
        saved: the seconds that this has saved.
        ignored: whether an input was given and the notebook has used nothing of it.
        died: where and why the kernel has died; empty if it has not.
        left: the books and runs that such a kernel has left.
    """

    good: bool
    run_id: str | None = None
    book: str | None = None
    text: str = ""
    replayed: int = 0
    saved: float = 0.0
    ignored: bool = False
    died: str = ""
    left: tuple[tuple[str, str], ...] = ()


def execute(
    path: Path,
    progress: Progress,
    *,
    wishes: Wishes,
    env: dict[str, str],
    kernel: str | None = None,
    output: Path | None = None,
    folder: Path | None = None,
    forwards: bool = True,
) -> Outcome:
    """Execute a notebook as a run, or go on with the run that it has left unfinished.

    Args:
        path: the notebook file; it is not changed.
        progress: told of each cell.
        wishes: about the runs that it opens, and about the one that is opened for it if it opens
            none. The items of an input that is a dict also become variables.
        env: the environment of the kernel.
        kernel: the kernel to take instead of the one that the notebook names.
        output: where to write the notebook as executed, however it has ended.
        folder: where the kernel works; by default beside the file.
        forwards: whether an interrupt goes to the kernel, so that the step that is executing
            records it; else it ends the kernel.

    Returns:
        How it has ended.

    Raises:
        InvalidInputError: the file is no notebook, or its kernel cannot be used.
        RunError: the end of its run could not be recorded.
    """
    from nbclient import NotebookClient  # noqa: PLC0415 - only for this command

    nbformat = _nbformat()
    try:
        notebook = nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise InvalidInputError(f"{path} is not a notebook: {error}") from None
    name = kernels.chosen(path, notebook, kernel)
    taken = isinstance(wishes.input, dict) and parameters.inject(notebook, wishes.input)
    client = NotebookClient(
        notebook,
        kernel_name=name,
        timeout=None,
        extra_arguments=[_QUIET if forwards else _SILENT],
        resources={"metadata": {"path": str(folder or path.parent)}},
    )
    env = {**env, "JPY_SESSION_NAME": str(path)}  # as Jupyter tells its kernels
    with (
        tempfile.TemporaryDirectory() as place,
        kernels.explaining(name) as started,
        kernels.ending(client),
        client.setup_kernel(env=env),
        kernels.unwinding(client),
    ):
        started.append(name)
        owned = Path(place) / "owned"
        execution = _Execution(client, progress, wishes, forwards=forwards)
        execution.prepare(path.stem, owned)
        try:
            found = execution.execute()
        finally:
            if output is not None:
                nbformat.write(notebook, output)
        if found.died:
            return found._replace(**_left(owned))
        return found._replace(ignored=found.ignored and not taken)


class _Execution:
    """One execution of a notebook.

    Args:
        client: of the kernel.
        progress: told of each cell.
        wishes: about its runs.
        forwards: whether an interrupt goes to the kernel.
    """

    def __init__(self, client: Any, progress: Progress, wishes: Wishes, *, forwards: bool) -> None:
        self._client = client
        self._progress = progress
        self._wishes = wishes
        self._forwards = forwards

    def prepare(self, loop: str, owned: Path) -> None:
        """Bring stepbook into the kernel.

        Args:
            loop: the name of the run that is opened if the notebook opens none.
            owned: the file in which the kernel notes the runs that it takes.

        Raises:
            InvalidInputError: it cannot be used there.
        """
        from nbclient.exceptions import CellExecutionError, DeadKernelError  # noqa: PLC0415

        asked = dumps(self._wishes.fields())
        try:
            self._ask(f"prepare({loop!r}, {asked!r}, {str(owned)!r})")
        except (CellExecutionError, DeadKernelError) as error:
            raise InvalidInputError(
                f"the kernel {self._client.kernel_name!r} cannot use stepbook: {_why(error)}. "
                "Install stepbook where that kernel runs, or take another one: --kernel NAME."
            ) from error

    def execute(self) -> Outcome:
        """Execute all cells up to the first that fails.

        Raises:
            RunError: the end of the run could not be recorded.
        """
        from nbclient.exceptions import CellExecutionError, DeadKernelError  # noqa: PLC0415

        where, problem = "before the first cell", None
        try:
            code = [n for n, cell in enumerate(self._cells) if cell.cell_type == "code"]
            for count, number in enumerate(code, start=1):
                title = _title(self._cells[number].source)
                where = f"in cell {count} of {len(code)} ({one_line(title, _MAX_TITLE)})"
                self._progress.begins(count, len(code), title)
                problem = self._cell(number, where)
                if problem is not None:
                    break
            if problem is None or not problem.died:
                where = "after the last cell" if problem is None else "after the cell that failed"
                found = loads(self._ask(f"conclude(good={problem is None})").splitlines()[-1])
                return Outcome(problem is None, **found)
            return Outcome(good=False, died=problem.text)
        except DeadKernelError:
            return Outcome(good=False, died=self._obituary(where))
        except CellExecutionError as error:
            raise RunError(f"the end of the run could not be recorded: {_why(error)}") from error

    @property
    def _cells(self) -> list[Any]:
        cells: list[Any] = self._client.nb.cells
        return cells

    def _cell(self, number: int, where: str) -> Problem | None:
        """Execute one cell; return what went wrong."""
        from nbclient.exceptions import CellExecutionError, DeadKernelError  # noqa: PLC0415

        cell, begun, problem = self._cells[number], time.perf_counter(), None
        try:
            with kernels.interrupting(self._client) if self._forwards else contextlib.nullcontext():
                self._client.execute_cell(cell, number)
        except CellExecutionError as error:
            problem = Problem(_problem(cell, error))
        except DeadKernelError:
            problem = Problem(self._obituary(where), died=True)
            cell.outputs.append(
                _nbformat().v4.new_output(
                    "error", ename=_DEATH, evalue=problem.text, traceback=[problem.text]
                )
            )
        self._progress.ended(time.perf_counter() - begun, problem or _allowed(cell))
        return problem

    def _obituary(self, where: str) -> str:
        """Return where and why the kernel has died."""
        process = getattr(self._client.km.provisioner, "process", None)
        code = None if process is None else process.poll()
        again = "Without --new the same" if self._wishes.new else "The same"
        return (
            f"the kernel died {where}: {kernels.cause(code)}. {again} command goes on after the "
            "last step that succeeded."
        )

    def _ask(self, call: str) -> str:
        """Call a function of :mod:`.inside` in the kernel, and return what it prints."""
        cells = self._cells
        module = f'__import__("{inside.__name__}", fromlist=["prepare"])'
        cell = _nbformat().v4.new_code_cell(f"{module}.{call}")
        cells.append(cell)
        try:
            self._client.execute_cell(cell, len(cells) - 1, store_history=False)
        finally:
            cells.pop()
        return "".join(o["text"] for o in cell.outputs if o["output_type"] == "stream").rstrip()


def _allowed(cell: Any) -> Problem | None:
    """Return the error of a cell that is tagged to go on after one, in one line; else None."""
    raised = [o for o in cell.outputs if o["output_type"] == "error"]
    if not raised:
        return None
    text = " ".join(f"{raised[-1]['ename']}: {raised[-1]['evalue']}".split()).rstrip(":")
    return Problem(text)


def _problem(cell: Any, error: Exception) -> str:
    """Return what a failed cell has printed, and its traceback."""
    texts = [o["text"] for o in cell.outputs if o["output_type"] == "stream"]
    lines = "".join(texts).splitlines()[-_TOLD_LINES:]
    raised = [o["traceback"] for o in cell.outputs if o["output_type"] == "error"]
    traceback = "\n".join(raised[-1]).splitlines() if raised else str(error).splitlines()
    if traceback and not uncoloured(traceback[0]).strip("-"):
        del traceback[0]  # the rule above it is wider than some terminals
    if traceback:
        traceback[0] = _PADDING.sub("  ", traceback[0])
    return "\n".join([*lines, *([""] if lines else []), *traceback])


def _why(error: Exception) -> str:
    """Return what a call in the kernel has raised."""
    name, text = getattr(error, "ename", ""), getattr(error, "evalue", error)
    return f"{name}: {text}" if name else str(text)


def _nbformat() -> Any:
    import nbformat  # noqa: PLC0415 - only for this command; it has no types

    return nbformat


def _title(source: str) -> str:
    """Return the first line of a cell that says something."""
    for line in map(str.strip, source.splitlines()):
        text = line.removeprefix("%%step").removeprefix("#| step:").strip()
        if text:
            return text if text == line else parse(line, text).name
    return "(empty)"


# ---- what a dead kernel leaves ------------------------------------------------------------------


def _left(owned: Path) -> dict[str, Any]:
    """Return which runs a kernel that has died had taken; the last one is its run."""
    try:
        lines = owned.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    left = dict.fromkeys((str(book), str(run)) for book, run in map(loads, lines))
    (book, run_id) = list(left)[-1]
    return {"book": book, "run_id": run_id, "left": tuple(left)}


def record_death(outcome: Outcome) -> None:
    """Record in the runs that a dead kernel has left which steps it was executing."""
    for path, run_id in outcome.left:
        book = runs.book_at(path)
        try:
            steps = book.peek(run_id).steps.values()
            if any(s.status == RUNNING and s.kind not in DURABLE_KINDS for s in steps):
                run = runs.take(book, run_id)
                run.fail(Interrupted(outcome.died))
                run.close()
        except StepbookError as error:
            tell(f"stepbook: what became of run {run_id} is not recorded yet: {error}")

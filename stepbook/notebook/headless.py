"""A notebook without a front end: executed as a run, cell by cell, through nbclient.

``execute`` runs in the process of the command line; ``prepare`` and ``conclude`` in the kernel.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from IPython.core.interactiveshell import InteractiveShell

from ..api.book import run_of
from ..engine import opening, runs
from ..errors import InvalidInputError
from ..system import scratch
from .session import DefaultInput, session_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..engine.opened import OpenRun

NO_INPUT: Final[Any] = object()
#: What is told of a kernel that has died.
DIED: Final = "The kernel has died. The same command goes on after the last step."
#: So many lines of what a failed cell has printed are told with its error.
_TOLD_LINES: Final = 20
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
_PADDING: Final = re.compile(r" {2,}(?=Traceback \()")
#: Its warning of what listens on which port is for servers, not for a kernel of this process.
_QUIET: Final = "--IPKernelApp.log_level=ERROR"


class Progress(Protocol):
    """Takes what happens, while it happens."""

    def begins(self, number: int, total: int, title: str) -> None:
        """Code cell *number* of *total* is executed now."""

    def ended(self, seconds: float, problem: str | None) -> None:
        """That cell has ended; *problem* is what went wrong, in one line if the next follows."""


class Outcome(NamedTuple):
    """How a notebook has ended.

    Attributes:
        good: whether no cell has failed.
        run_id: its run; None if it has opened none, or the kernel is gone.
        book: the file that the run is recorded in; None for a book in memory.
        text: the run as text.
        replayed: how many steps were replayed.
        saved: the seconds that this has saved.
        ignored: whether an input was given and the notebook has used nothing of it.
    """

    good: bool
    run_id: str | None = None
    book: str | None = None
    text: str = ""
    replayed: int = 0
    saved: float = 0.0
    ignored: bool = False


def execute(
    path: Path,
    progress: Progress,
    *,
    given: Any = NO_INPUT,
    env: dict[str, str],
    output: Path | None = None,
    folder: Path | None = None,
    forwards: bool = True,
) -> Outcome:
    """Execute a notebook as a run, or go on with the run that it has left unfinished.

    Args:
        path: the notebook file; it is not changed.
        progress: told of each cell.
        given: the input of its run, where it opens one without an input of its own, and of the run
            that is opened for it if it opens none. The items of a dict also become variables,
            behind the cell tagged ``parameters``.
        env: the environment of the kernel.
        output: where to write the notebook as executed.
        folder: where the kernel works; by default beside the file.
        forwards: whether an interrupt goes to the kernel, so that the step that is executing
            records it; else it ends the kernel.

    Returns:
        How it has ended.

    Raises:
        InvalidInputError: the file is no notebook, or its kernel is not installed.
    """
    from jupyter_client.kernelspec import NoSuchKernel  # noqa: PLC0415 - as nbclient
    from nbclient import NotebookClient  # noqa: PLC0415 - only for this command
    from nbclient.exceptions import CellExecutionError, DeadKernelError  # noqa: PLC0415

    nbformat = _nbformat()
    try:
        notebook = nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise InvalidInputError(f"{path} is not a notebook: {error}") from None
    taken = isinstance(given, dict) and _add_parameters(notebook, given)
    input_text = "" if given is NO_INPUT else json.dumps(given)
    client = NotebookClient(
        notebook,
        timeout=None,
        extra_arguments=[_QUIET],
        resources={"metadata": {"path": str(folder or path.parent)}},
    )
    problem: str | None = None
    outcome = Outcome(good=False)
    with (
        _explaining(path, NoSuchKernel),
        _ending(client),
        client.setup_kernel(
            env={**env, "JPY_SESSION_NAME": str(path)}  # as Jupyter tells its kernels
        ),
        _unwinding(client),
    ):
        talk = _Talk(client)
        talk.ask(f"prepare({path.stem!r}, {input_text!r})")
        code = [n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
        for count, number in enumerate(code, start=1):
            cell = notebook.cells[number]
            progress.begins(count, len(code), _title(cell.source))
            begun = time.perf_counter()
            try:
                with _interrupting(client) if forwards else contextlib.nullcontext():
                    client.execute_cell(cell, number)
            except CellExecutionError as error:
                problem = _problem(cell, error)
            except DeadKernelError:
                problem = DIED
            progress.ended(time.perf_counter() - begun, problem or _allowed(cell))
            if problem is not None:
                break
        if problem != DIED:
            found = json.loads(talk.ask(f"conclude(good={problem is None})").splitlines()[-1])
            unused = found.pop("unused") and not taken
            outcome = Outcome(problem is None, ignored=unused, **found)
    if output is not None:
        nbformat.write(notebook, output)
    return outcome


@contextlib.contextmanager
def _explaining(path: Path, missing: type[Exception]) -> Iterator[None]:
    """Say what to do where the kernel that a notebook names is not installed."""
    try:
        yield
    except missing as error:
        raise InvalidInputError(
            f"{path} asks for the kernel {getattr(error, 'name', '')!r}, which is not installed "
            "here. `jupyter kernelspec list` lists those that are; open the notebook and choose "
            "one of them."
        ) from error


@contextlib.contextmanager
def _ending(client: Any) -> Iterator[None]:
    """End a kernel that was still starting when somebody stopped the command."""
    try:
        yield
    except KeyboardInterrupt:
        if client.km is not None and client.km.has_kernel:
            _settle(client.km.shutdown_kernel(now=True))
        raise


@contextlib.contextmanager
def _unwinding(client: Any) -> Iterator[None]:
    """Give the cell that is executing a moment to clean up, when somebody stops the command."""
    try:
        yield
    except KeyboardInterrupt:
        if not _settle(client.km.interrupt_kernel()):
            client.shutdown_kernel = "immediate"
        raise


def _settle(ask: Any) -> bool:
    """Await what asks the kernel to end, and then what an interrupt has left unawaited.

    Returns:
        Whether all of it has ended in time.
    """
    import asyncio  # noqa: PLC0415 - nbclient has imported it

    from jupyter_core.utils import ensure_async, run_sync  # noqa: PLC0415 - as nbclient

    async def end() -> bool:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await ensure_async(ask)
        try:
            ended = asyncio.gather(*left, return_exceptions=True)
            await asyncio.wait_for(ended, scratch.PATIENCE_S / 2)
        except TimeoutError:
            return False
        return True

    return bool(run_sync(end)())


@contextlib.contextmanager
def _interrupting(client: Any) -> Iterator[None]:
    """Pass an interrupt on to the kernel; a second one ends the command."""
    import asyncio  # noqa: PLC0415 - nbclient has imported it

    from jupyter_core.utils import ensure_async  # noqa: PLC0415 - as nbclient

    sent: list[asyncio.Task[None]] = []  # a task that nobody holds can be collected

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        loop = asyncio.get_running_loop()
        send = ensure_async(client.km.interrupt_kernel())
        loop.call_soon_threadsafe(lambda: sent.append(loop.create_task(send)))

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _problem(cell: Any, error: Exception) -> str:
    """Return what a failed cell has printed, and its traceback."""
    texts = [o["text"] for o in cell.outputs if o["output_type"] == "stream"]
    lines = "".join(texts).splitlines()[-_TOLD_LINES:]
    raised = [o["traceback"] for o in cell.outputs if o["output_type"] == "error"]
    traceback = "\n".join(raised[-1]).splitlines() if raised else str(error).splitlines()
    if traceback and not _ANSI.sub("", traceback[0]).strip("-"):
        del traceback[0]  # the rule above it is wider than some terminals
    if traceback:
        traceback[0] = _PADDING.sub("  ", traceback[0])
    return "\n".join([*lines, *([""] if lines else []), *traceback])


def _allowed(cell: Any) -> str | None:
    """Return the error of a cell that is tagged to go on after one, in one line; else None."""
    raised = [o for o in cell.outputs if o["output_type"] == "error"]
    if not raised:
        return None
    return " ".join(f"{raised[-1]['ename']}: {raised[-1]['evalue']}".split()).rstrip(":")


def _nbformat() -> Any:
    import nbformat  # noqa: PLC0415 - only for this command; it has no types

    return nbformat


class _Talk:
    """Calls the functions of this module in the kernel."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def ask(self, call: str) -> str:
        """Return what *call* prints."""
        nbformat = _nbformat()
        cells = self._client.nb.cells
        module = f'__import__("{__name__}", fromlist=["prepare"])'
        cell = nbformat.v4.new_code_cell(f"{module}.{call}")
        cells.append(cell)
        try:
            self._client.execute_cell(cell, len(cells) - 1, store_history=False)
        finally:
            cells.pop()
        return "".join(o["text"] for o in cell.outputs if o["output_type"] == "stream").rstrip()


def _title(source: str) -> str:
    """Return the first line of a cell that says something."""
    for line in source.splitlines():
        text = line.strip().removeprefix("%%step").removeprefix("#| step:").strip()
        if text:
            return text
    return "(empty)"


def _add_parameters(notebook: Any, given: dict[str, Any]) -> bool:
    """Set variables behind the cell tagged ``parameters``; return whether there is one."""
    nbformat = _nbformat()
    for number, cell in enumerate(notebook.cells):
        if "parameters" in cell.metadata.get("tags", ()):
            lines = [f"{name} = {value!r}" for name, value in given.items() if name.isidentifier()]
            added = nbformat.v4.new_code_cell("\n".join(["# Input of this run", *lines]))
            added.metadata["tags"] = ["injected-parameters"]
            notebook.cells.insert(number + 1, added)
            return True
    return False


# ---- in the kernel --------------------------------------------------------------------------


def prepare(loop: str, input_text: str) -> None:
    """Load the extension; have the first step open a run if the notebook opens none."""
    from .extension import load  # noqa: PLC0415 - only in the kernel

    shell = InteractiveShell.instance()
    load(shell)
    session = session_of(shell)
    assert session is not None  # noqa: S101 - just loaded
    options = {}
    if input_text:
        session.default_input = DefaultInput(json.loads(input_text))
        options["input"] = session.default_input.value

    def open_run() -> OpenRun:
        if session.default_input is not None:
            session.default_input.used = True
        opened = opening.open_run(runs.book_at(), loop, **options)
        shell.user_ns["run"] = run_of(opened)
        return opened

    session.open_run = open_run


def conclude(*, good: bool) -> None:
    """Finish the run that was opened for the notebook, and print the :class:`Outcome`."""
    session = session_of(InteractiveShell.instance())
    opened = None if session is None else session.last()
    default = None if session is None else session.default_input
    found: dict[str, Any] = {"unused": default is not None and not default.used}
    if opened is not None and session is not None:
        run = run_of(opened)
        if good and session.open_run is None and run.status != "succeeded":
            run.finish()
        replayed, saved = session.replayed(opened)
        found |= {"run_id": run.id, "text": repr(run), "replayed": replayed, "saved": saved}
        if run.book.path is not None:
            found["book"] = str(run.book.path)
    print(json.dumps(found))  # noqa: T201 - it is read

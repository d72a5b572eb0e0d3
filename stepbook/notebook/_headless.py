"""A notebook without a front end: executed as a run, cell by cell, through nbclient.

``execute`` runs in the process of the command line; ``prepare`` and ``conclude`` in the kernel.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from IPython.core.interactiveshell import InteractiveShell

from .._book import connect
from .._duration import describe
from .._errors import InvalidInputError
from .._tell import stable
from ._session import DefaultInput, session_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .._run import Run

_NOTHING: Final[Any] = object()
_SHOWN: Final = 60


def execute(
    path: Path,
    given: Any = _NOTHING,
    *,
    env: dict[str, str],
    output: Path | None = None,
    say: Callable[[str], None] = print,
) -> bool:
    """Execute a notebook as a run, or go on with the run that it has left unfinished.

    Args:
        path: the notebook file; it is not changed.
        given: the input of its run, where it opens one without an input of its own, and of the run
            that is opened for it if it opens none. The items of a dict also become variables,
            behind the cell tagged ``parameters``.
        env: the environment of the kernel.
        output: where to write the notebook as executed.
        say: takes one line of progress.

    Returns:
        Whether no cell has failed.

    Raises:
        InvalidInputError: the file is no notebook.
    """
    from nbclient import NotebookClient  # noqa: PLC0415 - only for this command
    from nbclient.exceptions import CellExecutionError, DeadKernelError  # noqa: PLC0415

    nbformat = _nbformat()
    try:
        notebook = nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise InvalidInputError(f"{path} is not a notebook: {error}") from None
    if isinstance(given, dict):
        _add_parameters(notebook, given)
    input_text = "" if given is _NOTHING else json.dumps(given)
    client = NotebookClient(
        notebook, timeout=None, resources={"metadata": {"path": str(path.parent)}}
    )
    good = True
    with client.setup_kernel(env=env):
        talk = _Talk(client)
        talk.ask(f"prepare({path.stem!r}, {input_text!r})")
        code = [n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
        for count, number in enumerate(code, start=1):
            cell = notebook.cells[number]
            begun = time.perf_counter()
            try:
                client.execute_cell(cell, number)
            except (CellExecutionError, DeadKernelError) as error:
                good = False
                say(f"[{count}/{len(code)}] ✗ {_title(cell.source)}")
                say(str(error).rstrip())
                break
            took = "" if stable() else f"  {describe(time.perf_counter() - begun)}"
            say(f"[{count}/{len(code)}] ✓ {_title(cell.source)}{took}")
        if client.km is not None and client.km.is_alive():
            say(talk.ask(f"conclude(good={good})"))
    if output is not None:
        nbformat.write(notebook, output)
    return good


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
            return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return "(empty)"


def _add_parameters(notebook: Any, given: dict[str, Any]) -> None:
    nbformat = _nbformat()
    for number, cell in enumerate(notebook.cells):
        if "parameters" in cell.metadata.get("tags", ()):
            lines = [f"{name} = {value!r}" for name, value in given.items() if name.isidentifier()]
            added = nbformat.v4.new_code_cell("\n".join(["# Input of this run", *lines]))
            added.metadata["tags"] = ["injected-parameters"]
            notebook.cells.insert(number + 1, added)
            return


# ---- in the kernel --------------------------------------------------------------------------


def prepare(loop: str, input_text: str) -> None:
    """Load the extension; have the first step open a run if the notebook opens none."""
    from ._extension import load  # noqa: PLC0415 - only in the kernel

    shell = InteractiveShell.instance()
    load(shell)
    session = session_of(shell)
    assert session is not None  # noqa: S101 - just loaded
    options = {}
    if input_text:
        session.default_input = DefaultInput(json.loads(input_text))
        options["input"] = session.default_input.value

    def open_run() -> Run:
        run = shell.user_ns["run"] = connect().run(loop, **options)
        return run

    session.open_run = open_run


def conclude(*, good: bool) -> None:
    """Finish the run that was opened for the notebook, and print the timeline of its run."""
    session = session_of(InteractiveShell.instance())
    run = None if session is None else session.last()
    if run is None or session is None:
        print("stepbook: the notebook has opened no run.")  # noqa: T201 - it is read
        return
    if good and session.open_run is None and run.status != "succeeded":
        run.finish()
    print(repr(run))  # noqa: T201

"""``stepbook verify``: execute once more, beside the record, and say what differs from it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from ..engine import runs, verifying
from ..engine.repeating import REFUSED, begun_in
from ..engine.wishes import Wishes
from ..errors import InvalidInputError
from ..model.rows import fields_of
from ..show import report
from ..show import text as show_text
from ..show.verdicts import Report, judge
from ..system import scratch
from ..values.nodes import TAG
from . import terminal

if TYPE_CHECKING:
    from ..engine.books import OpenBook
    from ..engine.repeating import Begun
    from ..notebook.headless import Problem

_WARNING: Final = "the code is executed for real, with all its effects; your record stays as it is."
_NARROWEST: Final = 40


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be verified.

    Attributes:
        source: a notebook, a Python file, or a module with ``:NAME``.
        run_id: the recorded run; None for the one that the notebook would resume.
        book: the book of the command line.
        is_named: whether that was named by ``--book``; else each folder has its own.
        given: the input in JSON, if one was given.
        outputs: whether what cells have shown counts.
        folder: where the kernel works; by default beside the notebook.
    """

    source: str
    run_id: str | None
    book: OpenBook
    is_named: bool = False
    given: str | None = None
    outputs: bool = True
    folder: Path | None = None

    @property
    def is_notebook(self) -> bool:
        """Whether it is a notebook, not Python code."""
        return self.source.endswith(".ipynb")


class Screen(Protocol):
    """Takes what happens while a notebook is executed, as ``notebook.headless.Progress``."""

    def begins(self, number: int, total: int, title: str) -> None:
        """Code cell *number* of *total* is executed now."""

    def ended(self, seconds: float, problem: Problem | None) -> None:
        """That cell has ended."""


# ---- what is meant --------------------------------------------------------------------------


def wanted(
    first: str,
    second: str | None,
    source: str | None,
    *,
    book: OpenBook,
    is_named: bool,
    given: str | None,
    outputs: bool,
    folder: Path | None,
) -> Wanted:
    """Return what the arguments of the command mean.

    Raises:
        InvalidInputError: they do not say which code, or which run.
        StepbookError: there is no such run.
    """
    if scratch.folder() is not None:
        raise InvalidInputError(
            "this is code that is being verified, and it verifies nothing itself."
        )
    if second is not None and source is not None:
        raise InvalidInputError("give the file once: as the first argument or as --file.")
    if _is_source(first):
        source, run = first, second
    elif second is not None:
        raise InvalidInputError(f"{first} is no notebook; give NOTEBOOK RUN, or RUN --file FILE.")
    else:
        run = first
    run_id = None if run is None else book.resolve(run)
    if source is None:
        assert run_id is not None  # noqa: S101 - the first argument is a run
        source = _source_of(book, run_id)
    if source.endswith((".ipynb", ".py")):
        path = Path(source).absolute()
        if not path.is_file():
            raise InvalidInputError(f"there is no file {path}.")
        source = str(path)
    found = Wanted(source, run_id, book, is_named, given, outputs, folder)
    if not found.is_notebook and run_id is None:
        raise InvalidInputError(
            f"which run? `stepbook verify RUN --file {first}` says it; RUN may be the name of the "
            "loop, for its latest run."
        )
    if not found.is_notebook and given is not None:
        raise InvalidInputError("--input is for notebooks; a loop gets the input of the run.")
    return found


def _is_source(text: str) -> bool:
    return text.endswith((".ipynb", ".py"))


def _source_of(book: OpenBook, run_id: str) -> str:
    """Return the file that a run says it was recorded by, once the person has agreed to it.

    What a book says is not executed unasked: somebody else may have written it.
    """
    named = fields_of(book.peek(run_id).run.environment).get("notebook")
    if not isinstance(named, str) or not _is_source(named):
        raise InvalidInputError(
            f"run {run_id} does not tell which file has recorded it. Name it: `stepbook verify "
            f"{run_id} --file FILE`, FILE is a notebook, a Python file, or a module such as "
            "reports:nightly."
        )
    shown = show_text.one_line(named, None)
    if not sys.stdin.isatty():
        raise InvalidInputError(
            f"run {run_id} says it was recorded by {shown}. A file is not executed because a book "
            f"names it; if it is the one: stepbook verify {run_id} --file {shown}"
        )
    if not click.confirm(f"Run {run_id} was recorded by {shown}. Execute that file?", err=True):
        raise InvalidInputError("nothing was executed.")
    return named


# ---- executing and comparing ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of a verification.

    Attributes:
        reports: one for each recorded run that was repeated.
        beside: runs that were begun and have nothing recorded to compare with.
    """

    reports: tuple[Report, ...]
    beside: tuple[Begun, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return all(report.same for report in self.reports)


def verify(what: Wanted, screen: Screen) -> Verified:
    """Execute the code in a new process, beside the record, and compare.

    Raises:
        StepbookError: it could not be executed, or there is nothing to compare with.
    """
    folder = Path(tempfile.mkdtemp(prefix="stepbook-verify-")).resolve()
    try:
        if what.run_id is not None:
            assert what.book.path is not None  # noqa: S101 - the command line's is a file
            verifying.plan(folder, what.run_id, what.book.path)
        env = {**os.environ, scratch.VERIFY: str(folder)}
        if what.is_named and what.book.path is not None:
            env["STEPBOOK_BOOK"] = str(what.book.path)
        if what.is_notebook:
            _execute_notebook(what, screen, env, folder)
        else:
            _execute_loop(what, env)
        return _compared(what, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _execute_notebook(what: Wanted, screen: Screen, env: dict[str, str], folder: Path) -> None:
    from ..notebook import headless  # noqa: PLC0415 - needs more than the rest

    wishes = Wishes()
    if what.given is not None:
        wishes.input = json.loads(what.given)
    elif what.run_id is not None and what.folder is None:  # a session's cells open it themselves
        row = what.book.peek(what.run_id).run
        if row.input != "null" and f'"{TAG}"' not in row.input:
            wishes.input = json.loads(row.input)
    watched = _Watched(screen, folder)
    headless.execute(Path(what.source), watched, wishes=wishes, env=env, folder=what.folder)


class _Watched:
    """Passes progress on, with the words of a verification for what has gone wrong."""

    def __init__(self, screen: Screen, folder: Path) -> None:
        self._screen, self._folder = screen, folder
        self.begins = screen.begins

    def ended(self, seconds: float, problem: Problem | None) -> None:
        if problem is not None and problem.died:
            text = "The kernel has died; what it has not executed is not compared."
            problem = replace(problem, text=text, died=False)
        elif problem is not None and (self._folder / REFUSED).exists():
            problem = replace(problem, text="")  # told at the end, in one line
        self._screen.ended(seconds, problem)


def _execute_loop(what: Wanted, env: dict[str, str]) -> None:
    assert what.run_id is not None  # noqa: S101 - checked
    assert what.book.path is not None  # noqa: S101 - as above
    words = [sys.executable, "-m", "stepbook.api.again", what.source]
    # What the code prints goes to standard error: standard output is for the comparison.
    subprocess.run(  # noqa: S603 - the person's own code
        [*words, str(what.book.path), what.run_id], env=env, check=False, stdout=sys.stderr.fileno()
    )


def _compared(what: Wanted, folder: Path) -> Verified:
    begun = begun_in(folder)
    repeated = [one for one in begun if one.recorded]
    if not repeated:
        with contextlib.suppress(FileNotFoundError):
            raise InvalidInputError((folder / REFUSED).read_text(encoding="utf-8"))
        if what.run_id is not None:
            row = what.book.peek(what.run_id).run
            opened = " and ".join(f"{one.loop!r} ({one.key})" for one in begun) or "no run"
            raise InvalidInputError(
                f"run {row.id} is one of the loop {row.loop!r} with the key {row.key}, and the "
                f"code has opened {opened}. Only runs of one loop and key are compared."
            )
        raise InvalidInputError(
            f"{what.source} has opened no run, so there is nothing to compare. Name a cell by "
            "%%step, and record it: stepbook run NOTEBOOK."
        )
    reports = []
    for one in repeated:
        book = runs.book_at(one.book)
        try:
            recorded = verifying.side(runs.book_at(one.origin), one.id)
            reports.append(judge(recorded, verifying.side(book, one.id), outputs=what.outputs))
        finally:
            runs.close(book)
    if not any(verdict.name for report in reports for verdict in report.verdicts):
        raise InvalidInputError(
            f"neither the record of run {repeated[0].id} nor {what.source} has a step to compare."
        )
    return Verified(tuple(reports), tuple(one for one in begun if not one.recorded))


# ---- showing --------------------------------------------------------------------------------


class Silent:
    """Shows nothing of what is executed."""

    def begins(self, number: int, total: int, title: str) -> None:
        """Show nothing."""

    def ended(self, seconds: float, problem: Problem | None) -> None:
        """Show nothing."""


def main(what: Wanted, *, as_data: bool) -> int:
    """Verify, print what came of it, and return the exit code."""
    shown = what.source
    if what.folder is not None:
        shown = Path(what.source).stem  # the file is only where the cells were put
    elif _is_source(what.source):
        shown = os.path.relpath(what.source)
    click.echo(f"verify {shown}: {_WARNING}", err=as_data)
    found = verify(what, Silent() if as_data else terminal.Cells())
    if as_data:
        print(json.dumps(_data(found), ensure_ascii=False, indent=2))  # noqa: T201 - what was asked
    else:
        screen = terminal.console()
        width = None if screen is None else max(_NARROWEST, screen.width)
        for line in report.spans(found.reports, [one.loop for one in found.beside], width):
            terminal.show(line, screen)
    return 0 if found.same else 1


def _data(found: Verified) -> dict[str, Any]:
    return {
        "same": found.same,
        "runs": [report.as_json(one) for one in found.reports],
        "not_compared": [{"run": one.id, "loop": one.loop} for one in found.beside],
    }

"""``stepbook verify``: execute once more, beside the record, and say what differs from it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass, replace
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from ..engine import runs, verifying
from ..engine.repeating import begun_in, refused
from ..engine.wishes import Wishes
from ..errors import InvalidInputError
from ..model.rows import fields_of
from ..seen import seen
from ..show import report
from ..show import text as show_text
from ..show.verdicts import Report, judge
from ..system import scratch
from ..values.nodes import TAG
from . import openings, terminal

if TYPE_CHECKING:
    from ..engine.books import OpenBook
    from ..engine.repeating import Begun
    from ..notebook.headless import Problem

_WARNING: Final = (
    "the code is executed for real, side effects included. Your record is not changed."
)
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
        session: whether the notebook holds the cells of a session, which have opened the run.
    """

    source: str
    run_id: str | None
    book: OpenBook
    is_named: bool = False
    given: str | None = None
    outputs: bool = True
    folder: Path | None = None
    session: bool = False

    @property
    def is_notebook(self) -> bool:
        """Whether it is a notebook, not Python code."""
        return self.source.endswith(".ipynb")

    @property
    def shown(self) -> str:
        """The source as people know it."""
        if self.session:
            return Path(self.source).stem  # the file is only where the cells were put
        return os.path.relpath(self.source) if _is_source(self.source) else self.source


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
    session: bool,
) -> Wanted:
    """Return what the arguments of the command mean.

    Raises:
        InvalidInputError: they do not say which code, or which run.
        StepbookError: there is no such run.
    """
    if scratch.folder() is not None:
        raise InvalidInputError("code that is being verified cannot verify in turn.")
    if second is not None and source is not None:
        raise InvalidInputError("give the file once: as the first argument or as --file.")
    if _is_source(first):
        source, run = first, second
    elif second is not None:
        raise InvalidInputError(
            f"{first} is no notebook. Write NOTEBOOK RUN, or RUN --file FILE for a loop."
        )
    else:
        run = first
    run_id = None if run is None else book.resolve(run)
    if source is None:
        assert run_id is not None  # noqa: S101 - the first argument is a run
        source = _source_of(book, run_id)
    if _is_source(source):
        source = str(Path(source).absolute())
        if not Path(source).is_file():
            raise InvalidInputError(f"there is no file {source}.")
    found = Wanted(source, run_id, book, is_named, given, outputs, folder, session)
    if not found.is_notebook:
        _check_loop_is_named(found)
    if run_id is not None and not session:
        _check_loop(found, run_id)
    return found


def _check_loop_is_named(what: Wanted) -> None:
    if what.run_id is None:
        raise InvalidInputError(
            f"which run? stepbook verify RUN --file {what.shown}; RUN may be the name of the loop, "
            "for its latest run."
        )
    if what.given is not None:
        raise InvalidInputError("--input is for notebooks; a loop gets the input of the run.")


def _check_loop(what: Wanted, run_id: str) -> None:
    """Refuse a file that opens other loops, as far as its text tells, before it has any effect."""
    path = Path(what.source)
    if not _is_source(what.source):
        module = openings.file_of(what.source.partition(":")[0], Path.cwd())
        if module is None or module.suffix != ".py":
            return
        path = module
    loops = openings.loops_of(path)
    row = what.book.peek(run_id).run
    if loops is not None and row.loop not in loops:
        there = ", ".join(map(repr, sorted(loops)))
        raise InvalidInputError(
            f"{run_id} is a run of the loop {row.loop!r}, and {what.shown} "
            + (f"opens {there}" if loops else "has no loop and opens no run")
            + ". Nothing was executed."
        )


def _is_source(text: str) -> bool:
    return text.endswith((".ipynb", ".py"))


def _source_of(book: OpenBook, run_id: str) -> str:
    """Return the file that a run says it was recorded by, once the person has agreed to it.

    What a book says is not executed unasked: somebody else may have written it.
    """
    named = fields_of(book.peek(run_id).run.environment).get("notebook")
    if not isinstance(named, str) or not _is_source(named):
        raise InvalidInputError(
            f"run {run_id} does not tell which file recorded it. Name it: stepbook verify {run_id} "
            "--file FILE, where FILE is a notebook, a Python file, or a module such as "
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
        ignored: whether the notebook has not taken the input of the command.
    """

    reports: tuple[Report, ...]
    beside: tuple[Begun, ...]
    ignored: bool = False

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return all(report.same for report in self.reports)


def verify(what: Wanted, screen: Screen) -> Verified:
    """Execute the code in a new process, beside the record, and compare.

    Raises:
        StepbookError: it could not be executed, or there is nothing to compare with.
    """
    with scratch.beginning() as folder:
        if what.run_id is not None:
            assert what.book.path is not None  # noqa: S101 - the command line's is a file
            # A session may have opened others before: its cells do it again.
            verifying.plan(folder, what.run_id, what.book.path, only=not what.session)
        env = {**os.environ, scratch.VERIFY: str(folder)}
        if what.is_named and what.book.path is not None:
            env["STEPBOOK_BOOK"] = str(what.book.path)
        ignored = False
        if what.is_notebook:
            ignored = _execute_notebook(what, screen, env, folder) and what.given is not None
        else:
            _execute_loop(what, env)
        return _compared(what, folder, ignored=ignored)


def _execute_notebook(what: Wanted, screen: Screen, env: dict[str, str], folder: Path) -> bool:
    """Execute a notebook; return whether it was given an input and has not taken it."""
    from ..notebook import headless  # noqa: PLC0415 - needs more than the rest

    wishes = Wishes()
    if what.given is not None:
        wishes.input = loads(what.given)
    elif what.run_id is not None and not what.session:  # a session's cells open it themselves
        row = what.book.peek(what.run_id).run
        if row.input != "null" and f'"{TAG}"' not in row.input:
            wishes.input = loads(row.input)
    watched = _Watched(screen, folder)
    return headless.execute(
        Path(what.source), watched, wishes=wishes, env=env, folder=what.folder, forwards=False
    ).ignored


class _Watched:
    """Passes progress on, with the words of a verification for what has gone wrong."""

    def __init__(self, screen: Screen, folder: Path) -> None:
        self._screen, self._folder = screen, folder
        self.begins = screen.begins

    def ended(self, seconds: float, problem: Problem | None) -> None:
        why = refused(self._folder)
        if why is not None:  # no further cell is executed, whatever this one made of it
            self._screen.ended(seconds, None if problem is None else replace(problem, text=""))
            raise InvalidInputError(why)
        if problem is not None and problem.died:
            text = "The kernel died. The steps that did not run are listed below."
            problem = replace(problem, text=text, died=False)
        self._screen.ended(seconds, problem)


def _execute_loop(what: Wanted, env: dict[str, str]) -> None:
    assert what.run_id is not None  # noqa: S101 - checked
    assert what.book.path is not None  # noqa: S101 - as above
    words = [sys.executable, "-m", "stepbook.api.again", what.source]
    # What the code prints goes to standard error: standard output is for the comparison.
    child = subprocess.Popen(  # noqa: S603 - the person's own code
        [*words, str(what.book.path), what.run_id], env=env, stdout=sys.stderr.fileno()
    )
    try:
        child.wait()
    except scratch.Stopped as stopped:
        child.send_signal(stopped.number)
        raise
    finally:
        _see_off(child)


def _see_off(child: subprocess.Popen[bytes]) -> None:
    """Wait until a process that was asked to end has done so; end it if it takes too long."""
    try:
        child.wait(scratch.PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _compared(what: Wanted, folder: Path, *, ignored: bool) -> Verified:
    why = refused(folder)
    if why is not None:
        raise InvalidInputError(why)
    begun = begun_in(folder)
    repeated = [one for one in begun if one.recorded]
    if not repeated:
        raise InvalidInputError(_nothing_repeated(what, begun))
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
            f"nothing to compare: neither the record of {repeated[0].id} nor {what.shown} has a "
            "step. Name a cell: %%step Load"
        )
    return Verified(tuple(reports), tuple(one for one in begun if not one.recorded), ignored)


def _nothing_repeated(what: Wanted, begun: list[Begun]) -> str:
    if begun and not any(one.book for one in begun):
        loops = " and ".join(dict.fromkeys(repr(one.loop) for one in begun))
        return (
            f"{what.shown} records {loops} in memory (the book :memory:), which leaves no record "
            "to compare with. Record it in a file, then verify."
        )
    if what.run_id is not None:
        row = what.book.peek(what.run_id).run
        opened = " and ".join(f"{one.loop!r} with {one.key}" for one in begun) or "no run"
        return (
            f"{row.id} is a run of the loop {row.loop!r} with the key {row.key}, but the code has "
            f"opened {opened}. Only a run of the same loop and key can be compared."
        )
    return (
        f"{what.shown} has opened no run, so there is nothing to compare. Name a cell with %%step, "
        "and record the notebook: stepbook run NOTEBOOK"
    )


# ---- showing --------------------------------------------------------------------------------


class Silent:
    """Shows nothing of what is executed."""

    def begins(self, number: int, total: int, title: str) -> None:
        """Show nothing."""

    def ended(self, seconds: float, problem: Problem | None) -> None:
        """Show nothing."""


def main(what: Wanted, *, as_data: bool) -> Verified:
    """Verify, print what came of it, and return it."""
    intro = f"verify {seen(what.shown)}: {_WARNING}"
    screen = terminal.console(sys.stderr if as_data else sys.stdout)
    click.echo(intro if screen is None else textwrap.fill(intro, screen.width - 1), err=as_data)
    with scratch.stoppable():
        if what.session:
            scratch.end_with(sys.stdin)
        found = verify(what, Silent() if as_data else terminal.Cells())
    if as_data:
        terminal.program(_data(found))
    else:
        screen = terminal.console()
        width = None if screen is None else max(_NARROWEST, screen.width)
        for line in report.spans(found.reports, [one.loop for one in found.beside], width):
            terminal.show(line, screen)
    return found


def _data(found: Verified) -> dict[str, Any]:
    return {
        "same": found.same,
        "runs": [report.as_json(one) for one in found.reports],
        "not_compared": [{"run": one.id, "loop": one.loop} for one in found.beside],
    }

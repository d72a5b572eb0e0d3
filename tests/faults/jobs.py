"""What the process of a job does with the book, and what it tells the witness."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, Final

import duckdb

import stepbook

from . import damage, witness
from .injuries import Injury
from .witness import tell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .plan import Job

STEPS: Final = 24
CELLS: Final = 8
SHORT_STEPS: Final = 3
_LARGE: Final = 100_000
_WAIT: Final = "15 s"
_FOR_RUN_S: Final = 2.0
#: What may be said to a process that has done nothing wrong.
USUAL: Final = (stepbook.RunInUseError, stepbook.BookBusyError)


class Place:
    """Where a job works.

    Attributes:
        job: what is to be done.
        book: the path of the book.
        key: the run that is meant.
        injury: what goes wrong.
    """

    def __init__(self, job: Job, book: Path, key: str) -> None:
        self.job, self.book, self.key = job, book, key
        self.injury = Injury(job, book)


def value_of(name: str, token: str) -> dict[str, str]:
    """Return what a step returns; some are files."""
    return {"token": token, "pad": "x" * (_LARGE if name.endswith("3") else 10)}


def perform(place: Place) -> None:
    """Do the job; what it may not be told is a fault."""
    place.injury.install()
    allowed = USUAL
    try:
        JOBS[place.job.kind](place)
    except KeyboardInterrupt:
        tell("interrupted")
    except stepbook.StepbookError as error:
        if place.injury.struck and place.job.injury in ("full", "broken"):
            allowed = (*USUAL, stepbook.JournalWriteError)
        # After a clock that jumps a deadline is over.
        if place.job.kind == "scan":
            allowed = (*allowed, stepbook.ScanTimeout)
        if not isinstance(error, allowed):
            raise
        tell("refused", type(error).__name__)


def _body(place: Place, name: str) -> dict[str, str]:
    token = witness.begun(place.key, name)
    place.injury.in_body()
    witness.ended(place.key, name, token)
    return value_of(name, token)


def _do(place: Place, run: stepbook.Run, name: str) -> None:
    value = run.do(name, _body, place, name)
    assert value == value_of(name, value["token"])
    tell("ack", place.key, name, value["token"])


@contextlib.contextmanager
def _opened(place: Place, loop: str) -> Any:
    book = stepbook.connect(place.book)
    run = book.run(loop, key=place.key, retry_handled=True)
    tell("open", place.key, run.id)
    try:
        yield run
    finally:
        tell("closing", place.key)
        if place.job.end == "close":
            book.close()


def _work(place: Place, loop: str, steps: int) -> None:
    with _opened(place, loop) as run:
        names = [f"step {number}" for number in range(steps)]
        if place.job.redo:
            _redo(place, run, names[place.job.chance % steps])
        if place.job.threads == 1:
            for name in names:
                _do(place, run, name)
        else:
            _in_threads(place, run, names)
        tell("finishing", place.key)
        run.finish({"steps": steps})
        tell("finished", place.key)


def _redo(place: Place, run: stepbook.Run, name: str) -> None:
    tell("redo", place.key, name)
    with contextlib.suppress(stepbook.StepNotFoundError):
        run.redo(name)


def _in_threads(place: Place, run: stepbook.Run, names: list[str]) -> None:
    errors: list[BaseException] = []

    def part(number: int) -> None:
        try:
            for name in names[number :: place.job.threads]:
                _do(place, run, name)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=part, args=(n,)) for n in range(place.job.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _loop(place: Place) -> None:
    _work(place, "work", STEPS)


def _short(place: Place) -> None:
    _work(place, "short", SHORT_STEPS)


def _scan(place: Place) -> None:
    with _opened(place, "scans") as run:
        _do(place, run, "before")
        answer = run.wait_for_scan(name="Answer", timeout=_WAIT)
        tell("received", place.key, answer["token"])
        _do(place, run, "after")
        tell("finishing", place.key)
        run.finish()
        tell("finished", place.key)


def _sender(place: Place) -> None:
    until = time.monotonic() + _FOR_RUN_S
    while not (run_id := witness.run_id_of(place.key)):
        if time.monotonic() > until:
            return
        time.sleep(0.05)
    token = os.urandom(8).hex()
    book = stepbook.connect(place.book)
    tell("sending", place.key, token)
    try:
        book.deliver_scan(run_id, {"token": token}, name="Answer")
    except stepbook.ScanClosed:
        tell("not sent", place.key, token)
    else:
        tell("sent", place.key, token)


_CELL: Final = """%%step {name}
_witness = __import__("sys").modules["tests.faults.witness"]
token = _witness.begun({key!r}, {name!r})
pad = "x" * {size}
_witness.ended({key!r}, {name!r}, token)
"""


def _cells(place: Place) -> None:
    os.environ["STEPBOOK_BOOK"] = str(place.book)
    shell = shell_of_this_process()

    def run_cell(text: str) -> None:
        done = shell.run_cell(text)
        error = done.error_before_exec or done.error_in_exec
        if error is not None:
            raise error

    run_cell("%load_ext stepbook")
    run_cell(f"%stepbook run {place.key} --retry-handled")
    tell("open", place.key, shell.user_ns["run"].id)
    try:
        for number in range(CELLS):
            name = f"cell {number}"
            size = _LARGE if number == 3 else 10
            run_cell(_CELL.format(name=name, key=place.key, size=size))
            assert shell.user_ns["pad"] == "x" * size
            tell("ack", place.key, name, shell.user_ns["token"])
        tell("finishing", place.key)
        run_cell("%stepbook finish")
        tell("finished", place.key)
    finally:
        tell("closing", place.key)


def shell_of_this_process() -> Any:
    """Return the shell of IPython, made on the first call."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    return InteractiveShell.instance(config=config, colors="nocolor")


def _prune(place: Place) -> None:
    tell("pruning")
    if not place.book.exists():  # chance has let it begin before any loop
        return
    stepbook.connect(place.book).prune(keep=2, loop="short")


def _held(place: Place, *, read_only: bool) -> duckdb.DuckDBPyConnection | None:
    """Open the database as any other program does, if it can be opened now."""
    for _ in range(40):
        try:
            return duckdb.connect(str(place.book), read_only=read_only)
        except duckdb.Error:
            time.sleep(0.05)
    return None


def _reader(place: Place) -> None:
    if not place.book.exists():
        return
    held = _held(place, read_only=True)
    if held is not None:
        with contextlib.closing(held):
            twice = held.execute(
                "SELECT run_id, name FROM steps GROUP BY ALL HAVING count(*) > 1"
            ).fetchall()
            if twice:
                tell("fault", f"a reader of the tables sees steps twice: {twice[:3]}")
            time.sleep(place.job.lasting / 4)


def _holder(place: Place) -> None:
    if place.book.exists() and (held := _held(place, read_only=False)) is not None:
        time.sleep(place.job.lasting)
        held.close()


def _command(place: Place) -> None:
    """Call the command line, in a process of its own or in this one."""
    command = [*place.job.arguments]
    if "prune" in command:
        tell("pruning")
    os.environ["STEPBOOK_BOOK"] = str(place.book)
    if place.job.chance % 4 == 0:
        done = subprocess.run([sys.executable, "-m", "stepbook", *command], check=False)
        code: Any = done.returncode
    else:
        from stepbook.cli.main import main

        sys.argv = ["stepbook", *command]
        code = 0
        try:
            code = main()
        except SystemExit as end:
            code = end.code
    if code not in (0, 1, None, 130) and place.job.outside not in ("interrupt", "storm"):
        tell("fault", f"stepbook {' '.join(command)} ended with {code}")


def _damage(place: Place) -> None:
    damage.damaged_journals(place.book.parent.parent, random.Random(place.job.chance))


def _vanish(place: Place) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stepbook.StepbookWarning)
        damage.vanishing_folders(place.book.parent.parent, random.Random(place.job.chance))


JOBS: Final[dict[str, Callable[[Place], None]]] = {
    "loop": _loop,
    "short": _short,
    "scan": _scan,
    "sender": _sender,
    "cells": _cells,
    "prune": _prune,
    "reader": _reader,
    "holder": _holder,
    "command": _command,
    "damage": _damage,
    "vanish": _vanish,
}

"""One session: what a process executes and looks at. Runs in a fork of the prepared process."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import warnings
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .looks import describer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOOK = "book.duckdb"
MOST = 20_000  # characters of what a look shows


@dataclass(frozen=True)
class Turn:
    """One execution of a cell.

    Attributes:
        number: of the cell.
        text: what is executed.
        options: of the step, as its line has them.
        redo: whether the step is first asked to execute again.
        fails: whether its failure belongs to the scenario.
        kill_after: whether the process is killed when it has ended.
        kill_sync: the process is killed before this sync of a file, counted from its begin.
    """

    number: int
    text: str
    options: str = ""
    redo: bool = False
    fails: bool = False
    kill_after: bool = False
    kill_sync: int = 0


@dataclass(frozen=True)
class Session:
    """What one process does.

    Attributes:
        folder: where it works and keeps its book.
        turns: the cells it executes.
        look: the expressions to look at.
        recorded: whether the cells are steps; else nothing of stepbook is loaded.
        kernel: whether a real kernel executes them.
        folds: whether the book is closed at the end, so that the next session reads tables.
    """

    folder: Path
    turns: tuple[Turn, ...]
    look: tuple[str, ...]
    recorded: bool = True
    kernel: bool = False
    folds: bool = False


@dataclass
class Seen:
    """What a session has shown.

    Attributes:
        looks: what each expression gave, or the error it raised after a ``!``.
        errors: of cells that failed although they should not.
        executed: numbers of the cells that executed as steps.
        because: why cells were executed again, by their numbers.
        said: what stepbook has told the person.
        died: how the process ended, if it did not end by itself.
    """

    looks: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    executed: list[int] = field(default_factory=list)
    because: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    died: str | None = None

    def hear(self, printed: str) -> None:
        """Take in what was printed."""
        self.said = said(printed)
        self.because = dict(_BECAUSE.findall(printed))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def code_of(turn: Turn) -> str:
    """Return the text of a step's cell."""
    options = f" -- {turn.options}" if turn.options else ""
    return f"%%step cell {turn.number}{options}\n{turn.text}"


def is_plain(turn: Turn) -> bool:
    """Whether the cell is none of stepbook's."""
    return turn.text.startswith("#plain\n")


def look_at(look: str, names: dict[str, Any]) -> str:
    """Return what an expression shows in a namespace."""
    try:
        value = eval(look, names, {"describe": describer(names)})
    except BaseException as error:  # noqa: BLE001 - an error is seen, too
        return f"!{type(error).__name__}: {error}"[:300]
    return (value if look.startswith("describe(") else repr(value))[:MOST]


def error_of(turn: Turn, error: BaseException) -> str:
    """Return the line that stands for the failure of a cell."""
    return f"cell {turn.number}: {type(error).__name__}: {error}"[:400]


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at(count: int) -> None:
    """Have the process killed right before the *count*-th sync of a file from now."""
    left = [count]

    def instead(sync: Callable[[int], None]) -> Callable[[int], None]:
        def perform(fd: int) -> None:
            left[0] -= 1
            if left[0] == 0:
                _die()
            sync(fd)

        return perform

    os.fsync, os.fdatasync = instead(os.fsync), instead(os.fdatasync)


#: Lines that say what is going on, not what is inexact.
_ROUTINE = re.compile(
    r"stepbook: (recording to |in step |'fidelity' again|.*will be executed again"
    r"|.*it is executed again|.*, which is replayed|.* is replayed\. Since then)"
)
_BECAUSE = re.compile(r"stepbook: 'cell (\d+)': (.*); it is executed again")


def said(printed: str) -> list[str]:
    """Return what stepbook has printed of what is not exact, with the lines that belong to it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", printed)
    pattern = r"^(?:stepbook: |.*StepbookWarning: ).*(?:\n[ \t].*)*"
    found = re.findall(pattern, text, re.MULTILINE)
    return [words for words in found if not _ROUTINE.match(words)]


def perform(session: Session, printed: Path) -> Seen:  # noqa: C901, PLR0912 - one session, in its order
    """Execute a session in this process, which ends after it.

    Args:
        session: what to do.
        printed: a file for what is printed.
    """
    os.chdir(session.folder)
    os.environ["STEPBOOK_BOOK"] = str(session.folder / BOOK)
    output = os.open(printed, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    # A fork begins with other numbers than its parent, so that nothing random could be compared.
    random.seed("fidelity")
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(20)
    seen = Seen()
    shell = shell_of_this_process()
    if session.recorded:
        from stepbook.errors import StepbookWarning  # noqa: PLC0415 - a plain session has none

        warnings.filterwarnings("always", category=StepbookWarning)
        for line in ("%load_ext stepbook", "%stepbook run fidelity"):
            done = shell.run_cell(line)
            if done.error_in_exec is not None:
                seen.errors.append(f"{line}: {done.error_in_exec!r}")
        before = attempts()
    last: tuple[int, Any] | None = None
    for turn in session.turns:
        if not session.recorded:
            # An attempt that follows another of its step at once draws the same numbers.
            if last is not None and last[0] == turn.number:
                _set_draws(last[1])
            else:
                last = turn.number, _draws()
        stepped = session.recorded and not is_plain(turn)
        if stepped and turn.redo:
            shell.run_cell(f"%stepbook redo cell {turn.number}")
        if stepped and turn.kill_sync:
            _kill_at(turn.kill_sync)
        done = shell.run_cell(code_of(turn) if stepped else turn.text)
        error = done.error_before_exec or done.error_in_exec
        if error is not None and not turn.fails:
            seen.errors.append(error_of(turn, error))
        if session.recorded and (turn.kill_after or turn.kill_sync):
            _die()
    seen.looks = {look: look_at(look, shell.user_ns) for look in session.look}
    if session.recorded:
        after = attempts()
        seen.executed = sorted(n for n, last in after.items() if last > before.get(n, 0))
        if session.folds:
            _close()
    sys.stdout.flush()
    sys.stderr.flush()
    seen.hear(printed.read_text(errors="replace"))
    return seen


def _draws() -> tuple[Any, Any]:
    numpy = sys.modules.get("numpy")
    return random.getstate(), None if numpy is None else numpy.random.get_state()


def _set_draws(states: tuple[Any, Any]) -> None:
    random.setstate(states[0])
    if states[1] is not None:
        sys.modules["numpy"].random.set_state(states[1])


def shell_of_this_process() -> Any:
    """Return the shell, made on the first call."""
    from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415 - prepared processes
    from traitlets.config import Config  # noqa: PLC0415 - the same

    if InteractiveShell.initialized():
        return InteractiveShell.instance()
    config = Config()
    config.HistoryManager.enabled = False
    return InteractiveShell.instance(config=config, colors="nocolor")


def attempts() -> dict[int, int]:
    """Return the last attempt of each cell's step, from memory: a query would cost a fold."""
    from stepbook.engine.runs import open_runs  # noqa: PLC0415 - a plain session has none

    runs = open_runs()
    steps = runs[-1].look().steps if runs else {}
    return {int(n.split()[-1]): s.made_by for n, s in steps.items() if n.startswith("cell ")}


def _close() -> None:
    import stepbook  # noqa: PLC0415 - a plain session has none

    stepbook.connect(os.environ["STEPBOOK_BOOK"]).close()

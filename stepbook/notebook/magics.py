"""``%stepbook`` and what loads it."""

from __future__ import annotations

import difflib
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.display import display

from ..api.book import book_of, run_of
from ..api.run import Run
from ..engine import opening, runs
from ..errors import StepbookError
from ..model.durations import describe
from ..seen import seen
from ..system.console import asks_new, stable, tell
from . import trust, verify
from .requests import ON_CHANGE, USAGE

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .session import Session

HELP: Final = """\
%stepbook run LOOP [--input EXPR] [--key K] [--new] [--reopen unfinished] [--max-age D]
                   [--retry-handled] [--on-change warn|rerun|error|ignore] [--max-size SIZE]
                   [--book FILE]
                        open or resume a run; EXPR is Python in the notebook's names.
                        The run is also the variable `run`.
%stepbook timeline      the run's steps as a timeline
%stepbook runs          all runs of the book, newest first
%stepbook steps         the run's steps as a table
%stepbook status        what was executed, and why; how much was replayed, what that saved
%stepbook redo NAME     execute a step again, the next time its cell is executed; with
                        --downstream also the cells with inputs that come from it
%stepbook rewind [NAME] the same for a step and all after it; without a name, all
%stepbook accept NAME   what is recorded of a step stands for its code as it is now.
                        In these three, * and ? in NAME are wildcards: redo Score [*]
%stepbook undo          take the last redo, rewind, resolve or accept back
%stepbook verify        execute this session's cells again in a new process, for real, and
                        compare with the record; --ignore-output, --json
%stepbook trust [RUN]   load sealed values and show outputs that somebody else has recorded;
                        lists them. --list only lists, --revoke takes it back
%stepbook finish [EXPR] the run has succeeded, with this output
%stepbook close         let go of the run without finishing it
%%step NAME             name the cell: replay it, or execute and record it"""

COMMANDS: Final = (
    "run",
    "timeline",
    "runs",
    "steps",
    "status",
    "redo",
    "rewind",
    "accept",
    "undo",
    "verify",
    "trust",
    "finish",
    "close",
    "help",
)
#: The option of ``redo``.
DOWNSTREAM: Final = "--downstream"
#: Options of ``run``, with whether a value follows.
RUN_OPTIONS: Final = {
    "--input": True,
    "--key": True,
    "--new": False,
    "--reopen": True,
    "--max-age": True,
    "--retry-handled": False,
    "--on-change": True,
    "--max-size": True,
    "--book": True,
}
#: What the tables show of the frames that `run.steps()` and `book.runs()` give whole.
_STEP_COLUMNS: Final = ["name", "kind", "status", "attempt", "seconds", "return", "error"]
_RUN_COLUMNS: Final = ["id", "loop", "status", "created_at", "input", "output"]
#: Steps that ``status`` names.
_MOST_TOLD: Final = 6
_PAIRS: Final = {"(": ")", "[": "]", "{": "}"}


def split_options(text: str) -> tuple[str, dict[str, str]]:
    """Return what stands before the options of ``run``, and the options.

    A value reaches to the next option that stands outside of quotes and brackets, so that it can
    be any Python expression.

    Raises:
        UsageError: an option is unknown, given twice, or lacks its value.
    """
    marks = [
        found
        for found in re.finditer(r"(?<!\S)--[a-z][a-z-]*(?=$|\s|=)", text)
        if _is_outside(text[: found.start()])
    ]
    options: dict[str, str] = {}
    for index, found in enumerate(marks):
        option = found[0]
        end = marks[index + 1].start() if index + 1 < len(marks) else len(text)
        value = text[found.end() : end].strip().removeprefix("=").strip()
        if option not in RUN_OPTIONS:
            raise UsageError(f"%stepbook run has no option {option}{_like(option, RUN_OPTIONS)}")
        if option in options:
            raise UsageError(f"{option} is given twice.")
        if bool(value) != RUN_OPTIONS[option]:
            needs = "needs a value" if RUN_OPTIONS[option] else f"takes no value ({value})"
            raise UsageError(f"{option} {needs}.")
        options[option] = value
    return (text[: marks[0].start()] if marks else text).strip(), options


def _is_outside(text: str) -> bool:
    """Whether the end of *text* is outside of quotes and brackets."""
    expected: list[str] = []
    quote = ""
    escaped = False
    for letter in text:
        if quote:
            if escaped:
                escaped = False
            elif letter == "\\":
                escaped = True
            elif letter == quote:
                quote = ""
        elif letter in "\"'":
            quote = letter
        elif letter in _PAIRS:
            expected.append(_PAIRS[letter])
        elif expected and letter == expected[-1]:
            expected.pop()
    return not quote and not expected


def _like(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f". Did you mean {close[0]}?" if close else f"; it has {', '.join(known)}."


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _without(text: str, option: str) -> tuple[str, bool]:
    """Return a text without an option before or behind it, and whether it was there."""
    rest = f" {text} ".removeprefix(f" {option} ").removesuffix(f" {option} ").strip()
    return rest, rest != text


def _show(value: object) -> None:
    display(value)  # type: ignore[no-untyped-call] # IPython has no types for it


@magics_class
class StepbookMagics(Magics):
    """The magics of one shell.

    Args:
        session: of the shell.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session.shell)
        self._session = session
        self._shell: InteractiveShell = session.shell

    @no_var_expand
    @line_magic
    def stepbook(self, line: str) -> None:
        """Open runs and look at them; `%stepbook help` tells how."""
        command, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if command in ("", "help", "-h", "--help"):
            print(HELP)  # noqa: T201 - what was asked for
            return
        if command not in COMMANDS:
            raise UsageError(f"%stepbook has no command {command!r}{_like(command, COMMANDS)}")
        try:
            getattr(self, f"_{command}")(rest)
        except StepbookError as error:
            # A command has no code of the person's in it: the message alone says what to do.
            told = seen(f"{type(error).__name__}: {error}", keep="\n")
            error._render_traceback_ = lambda: [told]  # type: ignore[attr-defined] # for IPython
            raise

    @no_var_expand
    @cell_magic
    def step(self, line: str, cell: str) -> None:  # noqa: ARG002 - the signature of a magic
        """Name the cell: replay it if it has succeeded in this run, else execute and record it.

        Usage: `%%step NAME`, the whole line is the name. Options follow after ` -- `:

        * `--out a,b`: store exactly these variables, and insist on it.
        * `--retries N`: execute the body again after an exception.
        * `--on-change warn|rerun|error|ignore`: what to do when the code has changed.
        * `--once`: never again, whatever changes: for a cell that sends or pays.
        * `--deps clean,data/patients.csv`: what it depends on and its code does not show: names of
          the notebook, files, folders.
        * `--version 2`: to change it is an edit of the cell.
        * `--ignore today,client`: read these names, but do not compare what they hold.
        * `--no-store`: store nothing of it, and execute it in each pass.
        * `--max-size SIZE`: the same, if more would be stored of it than, say, 500MB.

        `#| step: NAME` as the first line of a cell is the same, and leaves the cell plain Python.
        """
        raise UsageError(f"%%step works as the first line of a cell only. {USAGE}")

    @no_var_expand
    @line_magic("%step")  # type: ignore[arg-type] # IPython's types know only one of its uses
    def misplaced(self, line: str) -> None:
        """Say where `%%step` stands: below code IPython takes it for a line magic."""
        raise UsageError(
            f"%%step {line} must be the first line of the cell: move what is above it below, or "
            "into a cell of its own."
        )

    # ---- commands -----------------------------------------------------------------------------

    def _value(self, expression: str, what: str) -> Any:
        try:
            code = compile(expression, f"<{what}>", "eval")
        except SyntaxError as error:
            raise UsageError(
                f"{what} is a Python expression, not {expression!r}: {error}"
            ) from None
        return eval(code, self._shell.user_ns)  # noqa: S307 - the person's own code

    def _run(self, text: str) -> None:
        loop, options = split_options(text)
        loop = _unquoted(loop)
        if not loop:
            raise UsageError("%stepbook run needs the name of a loop: %stepbook run health-review")
        given: dict[str, Any] = {}
        if "--input" in options:
            given["input"] = self._value(options["--input"], "--input")
        for option in ("--key", "--reopen", "--max-age", "--max-size"):
            if option in options:
                given[option[2:].replace("-", "_")] = _unquoted(options[option])
        on_change = options.get("--on-change")
        if on_change is not None and on_change not in ON_CHANGE:
            raise UsageError(f"--on-change takes one of {', '.join(ON_CHANGE)}, not {on_change!r}.")
        book = options.get("--book")
        token = asks_new.set("--new")
        try:
            opened = opening.open_run(
                runs.book_at(_unquoted(book) if book else None),
                loop,
                new="--new" in options,
                retry_handled="--retry-handled" in options,
                **given,
            )
        finally:
            asks_new.reset(token)
        self._session.run = opened
        self._session.set_on_change(opened, on_change)
        names = self._shell.user_ns
        if isinstance(names.get("run"), (Run, type(None))):
            names["run"] = run_of(opened)
        else:
            tell("stepbook: the variable `run` is something else here and was left as it is.")

    def _timeline(self, text: str) -> None:
        self._no_more("timeline", text)
        _show(run_of(self._session.current()))

    def _runs(self, text: str) -> None:
        self._no_more("runs", text)
        run = self._session.last()
        found = book_of(runs.book_at() if run is None else run.book).runs()[_RUN_COLUMNS]
        _show(found.assign(created_at=found["created_at"].dt.floor("s")))

    def _steps(self, text: str) -> None:
        self._no_more("steps", text)
        steps = run_of(self._session.current()).steps()
        more = ["policy"] if steps["policy"].notna().any() else []
        _show(steps[_STEP_COLUMNS + more])

    def _status(self, text: str) -> None:
        self._no_more("status", text)
        opened = self._session.current()
        replayed, saved = self._session.replayed(opened)
        executed = self._session.executed_of(opened)
        told = [f"{name!r} ({reason})" for name, reason in executed.items()]
        more = [f"and {len(told) - _MOST_TOLD} more"] if len(told) > _MOST_TOLD else []
        why = f": {', '.join(told[:_MOST_TOLD] + more)}" if told else ""
        time = "" if stable() or not replayed else f", {describe(saved)} saved"
        run = run_of(opened)
        facts = f"{run.loop} · {run.status}", f"executed {len(told)}{why}", f"replayed {replayed}"
        print(seen(" · ".join(facts)) + time)  # noqa: T201 - what was asked for

    def _redo(self, text: str) -> None:
        text, downstream = _without(text, DOWNSTREAM)
        name = _unquoted(text)
        if not name:
            raise UsageError("%stepbook redo needs the name of a step: %stepbook redo Load profile")
        run_of(self._session.current()).redo(name, downstream=downstream)

    def _rewind(self, text: str) -> None:
        run_of(self._session.current()).rewind(_unquoted(text) or None)

    def _accept(self, text: str) -> None:
        name = _unquoted(text)
        if not name:
            raise UsageError(
                "%stepbook accept needs the name of a step: %stepbook accept Load profile"
            )
        run_of(self._session.current()).accept(name)

    def _undo(self, text: str) -> None:
        self._no_more("undo", text)
        run_of(self._session.current()).undo()

    def _verify(self, text: str) -> None:
        folder = self._shell.user_ns.get("_dh", ["."])[0]
        verify.verify(self._session.current, self._session.executed, str(folder), text)

    def _trust(self, text: str) -> None:
        words = text.split()
        options = {word for word in words if word.startswith("--")}
        names = [word for word in words if word not in options]
        if options - {"--list", "--revoke"} or len(options) > 1 or len(names) > 1:
            raise UsageError("%stepbook trust takes a run, and --list or --revoke.")
        run = self._session.current()
        if names:
            run = runs.get(run.book, _unquoted(names[0]))
        print(trust.decided(run, options.pop() if options else ""))  # noqa: T201 - asked for

    def _finish(self, text: str) -> None:
        output = self._value(text, "the output") if text else None
        run_of(self._session.current()).finish(output)

    def _close(self, text: str) -> None:
        self._no_more("close", text)
        self._session.current().close()
        self._session.run = None

    def _no_more(self, command: str, text: str) -> None:
        if text:
            raise UsageError(f"%stepbook {command} takes nothing more, not {shlex.quote(text)}.")

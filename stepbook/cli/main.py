"""The command line: ``stepbook``, also as ``python -m stepbook``."""

from __future__ import annotations

import contextlib
import sys
import warnings
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

import click

from ..engine import runs as open_runs
from ..engine.wishes import Wishes
from ..errors import StepbookError, StepbookWarning
from ..model.durations import seconds
from ..model.sizes import size_in_bytes
from ..record import listing
from ..seen import seen
from . import diff, options, revising, terminal
from .terminal import Column

if TYPE_CHECKING:
    from collections.abc import Iterator

_RUN_COLUMNS: Final = (
    Column("run", "id"),
    Column("loop", "loop", narrowest=8),
    Column("status", "status", "status"),
    Column("created", "created_at"),
    Column("input", "input", "json"),
)
_STEP_COLUMNS: Final = (
    Column("status", "status", "glyph"),
    Column("step", "name", widest=32, narrowest=12),
    Column("attempt", "attempt"),
    Column("seconds", "seconds", "seconds"),
    Column("outcome", "return", "outcome"),
)
_WHOSE_STEP: Final = (Column("run", "run_id"), Column("loop", "loop", narrowest=8))


class _Failure(click.ClickException):
    """An error of stepbook: one line on standard error, exit code 1."""

    def show(self, file: Any = None) -> None:  # noqa: ARG002 - the face of ClickException
        terminal.complain(self.format_message())


class _Group(click.Group):
    """A group whose commands fail with one line instead of a traceback."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _seen():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _seen():
                return super().invoke(ctx)
        except (StepbookError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise  # whoever reads has seen enough; click ends quietly
            raise _Failure(str(error)) from error


@contextlib.contextmanager
def _seen() -> Iterator[None]:
    """Have a terminal obey nothing of what click says of names that somebody has chosen."""
    try:
        yield
    except click.UsageError as error:
        vars(error)["message"] = seen(error.message, keep="\n")
        raise


def main() -> NoReturn:
    """Run the command line; the entry point of the package."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without Unicode shows escapes instead of ending the command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    warnings.showwarning = _warn
    cli.main(prog_name="stepbook")
    raise SystemExit(0)


def _warn(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, StepbookWarning):
        terminal.complain(str(message).removeprefix("stepbook: "), "running")


# ---- commands -------------------------------------------------------------------------------


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  stepbook demo                          a run that fails, and resumes
  stepbook runs --loop health-review     what was run
  stepbook show health-review            the latest run of a loop
  stepbook verify review.ipynb           does it come out the same again?
  stepbook deliver 7k2m '{"ok": true}'   what a run is waiting for

RUN is a run's id, the beginning of only one (also without run_), or the name of a loop: its
latest run. Exit codes: 0 fine, 1 stepbook says why not, 2 wrong usage.""",
)
@click.version_option(package_name="stepbook", message="stepbook %(version)s")
@options.book_option
def cli() -> None:
    """Named, recorded, replayable steps: what was run, how it went, what to run again."""


@cli.command()
@options.book_option
def demo() -> None:
    """Watch a run fail at its last step and resume in a new process.

    A four-step health review over real patient records. Everything in it is real: the processes,
    the delivery from outside, the service that refuses the first time. It takes a few seconds and
    leaves the book ./stepbook-demo.duckdb.
    """
    from . import demo as demo_command  # noqa: PLC0415 - only this command needs a server

    demo_command.play(options.named())


@cli.command(
    epilog="""\b
Examples:
  stepbook run review.ipynb --input '{"patient_id": "p-17"}'
  stepbook run nightly.ipynb --reopen unfinished --output nightly-done.ipynb
  stepbook run review.ipynb --new --kernel python3"""
)
@click.argument("notebook", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--input", "given", metavar="JSON", help="The input of its run.")
@click.option("--new", is_flag=True, help="Start a fresh run.")
@click.option(
    "--reopen",
    type=click.Choice(["unfinished"]),
    help="Go on with the latest run if it has not succeeded; else start a fresh one.",
)
@click.option(
    "--max-age",
    metavar="TIME",
    callback=options.readable(seconds, "duration"),
    help='Start a fresh run if the latest is older, as in "12 hours".',
)
@click.option(
    "--retry-handled",
    is_flag=True,
    help="Execute the steps again whose failures the notebook has handled.",
)
@click.option(
    "--max-size",
    metavar="SIZE",
    callback=options.readable(size_in_bytes, "size"),
    help='Store at most so much of one step, as in "500 MB"; one with more is executed each time.',
)
@click.option(
    "--kernel",
    metavar="NAME",
    shell_complete=options.complete_kernel,
    help="The Jupyter kernel that executes it, instead of the one that it names.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the notebook as executed here, also if it fails.",
)
@options.book_option
def run(
    notebook: Path,
    given: str | None,
    *,
    new: bool,
    reopen: Literal["unfinished"] | None,
    max_age: str | None,
    retry_handled: bool,
    max_size: str | None,
    kernel: str | None,
    output: Path | None,
) -> None:
    """Execute NOTEBOOK as a run; again after a failure, and it goes on where it failed.

    Where the notebook opens no run, one is opened for it, named like the file. The items of an
    input that is an object become variables: behind the cell tagged "parameters", or before the
    first cell. --new, --reopen, --max-age and --max-size override what the notebook
    says. Ends with 1 if a cell has failed or the kernel has died.
    """
    if new and (reopen is not None or max_age is not None):
        raise click.UsageError("--new starts a fresh run in any case; leave the others out.")
    how: Any = {"reopen": reopen, "max_age": max_age, "max_size": max_size}
    wishes = Wishes(new=new, retry_handled=retry_handled, **how)
    if given is not None:
        wishes.input = options.parse_input(given)
    _needs_notebooks()
    from . import running  # noqa: PLC0415 - only for this command

    book = options.named()
    raise SystemExit(running.main(notebook, wishes, book=book, kernel=kernel, output=output))


@cli.command(
    epilog="""\b
Examples:
  stepbook verify review.ipynb
  stepbook verify review.ipynb 7k2m --json
  stepbook verify health-review --file loop.py

Exit codes: 0 the same, 1 something differs, 2 it could not be verified, 130 interrupted."""
)
@click.argument("what", metavar="NOTEBOOK|RUN", shell_complete=options.complete_run)
@click.argument("run", metavar="[RUN]", required=False, shell_complete=options.complete_run)
@click.option(
    "--file",
    "source",
    metavar="FILE",
    help="What has recorded RUN: a notebook, a Python file, or a module such as reports:nightly.",
)
@click.option("--input", "given", metavar="JSON", help="The input of the notebook's run.")
@click.option("--ignore-output", is_flag=True, help="Compare values, not what cells have shown.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where the notebook's kernel works; without it beside the file.",
)
@click.option("--session", is_flag=True, hidden=True)  # for %stepbook verify
@click.option("--json", "as_data", is_flag=True, help="The comparison for programs.")
@options.book_option
def verify(
    what: str,
    run: str | None,
    source: str | None,
    given: str | None,
    *,
    ignore_output: bool,
    folder: Path | None,
    session: bool,
    as_data: bool,
) -> None:
    """Execute a notebook or a loop again, beside its record, and say what differs.

    EXECUTES THE CODE FOR REAL: what it sends is sent again, what it writes is written again. Only
    the record is safe: a new process records into a book of its own, which is removed at the end.
    Compares step by step: how it ended, its value, its variables, what it showed. What the run had
    waited for is there at once.
    """
    from . import verify as verify_command  # noqa: PLC0415 - only for this command

    try:
        if given is not None:
            given = dumps(options.parse_input(given))
        wanted = verify_command.wanted(
            what,
            run,
            source,
            book=options.opened(),
            is_named=options.named() is not None,
            given=given,
            outputs=not ignore_output,
            folder=folder,
            session=session,
        )
        if wanted.is_notebook:
            _needs_notebooks()
        found = verify_command.main(wanted, as_data=as_data)
        if found.ignored:
            terminal.complain(terminal.IGNORED, "running")
        code = 0 if found.same else 1
    except (StepbookError, OSError, _Failure) as error:
        if isinstance(error, BrokenPipeError):
            raise
        terminal.complain(str(error))
        code = 2
    except KeyboardInterrupt as stopped:
        if not as_data and terminal.console() is not None:
            click.echo()  # the line of the cell that was executing has no end
        terminal.complain(str(stopped) or "interrupted", "running")
        code = getattr(stopped, "exit_code", 130)
    raise SystemExit(code)


@cli.command(epilog="\b\nExamples:\n  stepbook runs\n  stepbook runs --format json | jq '.[0].id'")
@options.loop_option
@options.format_option
@options.book_option
def runs(loop: str | None, form: terminal.Format) -> None:
    """List the runs, newest first."""
    found = listing.runs(options.opened().records, loop)
    terminal.rows(found, _RUN_COLUMNS, form, listing.RUN_COLUMNS)


@cli.command(
    epilog="\b\nExamples:\n  stepbook show health-review\n  stepbook show 7k2m --logs --outputs"
)
@options.run_argument
@click.option("--logs", is_flag=True, help="Also what the run and its steps have logged.")
@click.option("--outputs", is_flag=True, help="Also what each step has printed and shown.")
@options.book_option
def show(run: str, *, logs: bool, outputs: bool) -> None:
    """Show a run as a timeline of its steps.

    Long values are cut at the width of the terminal; in a pipe and with `stepbook steps RUN
    --format json` they are whole.
    """
    book = options.opened()
    run_id = book.resolve(run)
    messages = listing.logs(book.records, run_id) if logs else []
    shown = listing.outputs(book.records, run_id) if outputs else []
    state = book.peek(run_id)
    screen = terminal.console()
    terminal.timeline(state.run, list(state.steps.values()), screen)
    if logs:
        click.echo()
        terminal.log_lines(messages, screen)
    if outputs:
        click.echo()
        terminal.outputs(shown, book.codec, screen)


@cli.command(
    epilog="\b\nExamples:\n  stepbook steps health-review\n"
    "  stepbook steps --loop health-review --format csv > steps.csv"
)
@click.argument("run", required=False, shell_complete=options.complete_run)
@options.loop_option
@options.format_option
@options.book_option
def steps(run: str | None, loop: str | None, form: terminal.Format) -> None:
    """List steps in the order they ran.

    Those of one RUN, of one loop's runs, or of all runs.
    """
    if run is not None and loop is not None:
        raise click.UsageError("give a RUN or --loop, not both.")
    book = options.opened()
    run_id = None if run is None else book.resolve(run)
    found = listing.steps(book.records, run_id, loop)
    columns = _STEP_COLUMNS if run is not None else (*_WHOSE_STEP, *_STEP_COLUMNS)
    terminal.rows(found, columns, form, listing.STEP_COLUMNS)


cli.add_command(diff.diff)
cli.add_command(revising.redo)
cli.add_command(revising.rewind)
cli.add_command(revising.accept)
cli.add_command(revising.undo)


@cli.command(
    epilog="""\b
Examples:
  stepbook deliver health-review '{"glucose": 97}'
  scanner --json | stepbook deliver 7k2m -
  stepbook deliver 7k2m --error "the device is offline\""""
)
@options.run_argument
@click.argument("payload", metavar="JSON", required=False)
@click.option(
    "--name",
    metavar="STEP",
    shell_complete=options.complete_step,
    help="The wait that is meant; without it the one that is open, else the default one.",
)
@click.option("--error", metavar="TEXT", help="Instead of JSON: the wait raises ScanFailed.")
@options.book_option
def deliver(run: str, payload: str | None, name: str | None, error: str | None) -> None:
    """Deliver the JSON that a run waits for.

    JSON is the payload; - reads it from standard input. When the command has ended with 0, the
    delivery is on the disk: the run takes it, also if it is started only later.
    """
    if (payload is None) == (error is None):
        raise click.UsageError("give the JSON to deliver, or --error TEXT.")
    value = None if payload is None else options.parse(payload)
    run_id = options.opened().resolve(run)
    options.book().deliver_scan(run_id, value, name=name, error=error)
    terminal.said(f"delivered to {run_id}", "succeeded")


def _needs_notebooks() -> None:
    """Look for what executes notebooks."""
    from ..notebook.formats import lightly  # noqa: PLC0415 - only two commands need them

    try:
        import ipykernel  # noqa: F401, PLC0415

        with lightly():
            import nbclient  # noqa: F401, PLC0415
    except ImportError as error:
        raise _Failure(f"{error}. To execute notebooks: pip install 'stepbook[run]'") from error


@cli.command()
@options.run_argument
@click.option("--list", "only_list", is_flag=True, help="Only list what there is to trust.")
@click.option("--revoke", is_flag=True, help="Take back what was trusted of the run.")
@options.book_option
def trust(run: str, *, only_list: bool, revoke: bool) -> None:
    """Load sealed values, and show outputs, that somebody else has recorded.

    Lists who has recorded the run, and the modules that its sealed values name. What is added to
    the run, or changed, later is not trusted.
    """
    if only_list and revoke:
        raise click.UsageError("give --list or --revoke, not both.")
    from ..notebook import trust as trusting  # noqa: PLC0415 - loads IPython

    option = "--list" if only_list else "--revoke" if revoke else ""
    click.echo(trusting.decided(open_runs.get(options.opened(), run), option))


@cli.command(epilog="\b\nExample:\n  stepbook prune --keep 5 --older-than '30 days' --dry-run")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="How many succeeded runs of each loop to keep, the newest.",
)
@options.loop_option
@click.option("--older-than", metavar="TIME", help="Only runs that succeeded longer ago than this.")
@click.option("--dry-run", is_flag=True, help="Remove nothing, say what would be removed.")
@options.book_option
def prune(keep: int, loop: str | None, older_than: str | None, *, dry_run: bool) -> None:
    """Remove old runs, never one that is unfinished."""
    removed = options.book().prune(keep, loop, older_than, dry_run=dry_run)
    for run_id, name in zip(removed["id"], removed["loop"], strict=True):
        click.echo(f"{seen(run_id)}\t{seen(name)}")
    noun = "run" if len(removed) == 1 else "runs"
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{len(removed)} {noun} {verb}", err=True)


@cli.command()
@options.run_argument
@click.option("--force", is_flag=True, help="Delete it although it is running or failed.")
@options.book_option
def delete(run: str, *, force: bool) -> None:
    """Delete a run with everything that it recorded."""
    run_id = options.opened().resolve(run)
    options.book().delete(run_id, force=force)
    terminal.said(f"deleted {run_id}")


@cli.command()
@options.book_option
def doctor() -> None:
    """Check the book and the files beside it.

    Changes nothing. Says what is wrong, where, and what to do. Exit code 1 when something is wrong.
    """
    from . import doctor as doctor_command  # noqa: PLC0415 - only for this command

    if not doctor_command.report(options.opened()):
        raise SystemExit(1)


@cli.command(
    epilog="""\b
Examples:
  eval "$(stepbook completion bash)"   in ~/.bashrc
  eval "$(stepbook completion zsh)"    in ~/.zshrc
  stepbook completion fish > ~/.config/fish/completions/stepbook.fish"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes words in a shell.

    It completes commands, options, and the book's own runs, loops and steps.
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - only here

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - the three that click has
    click.echo(found(cli, {}, "stepbook", "_STEPBOOK_COMPLETE").source())

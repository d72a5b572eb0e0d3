"""A process that opens hostile books, one after another, and tells what happened.

``python -P visitor.py REPORT PART PATH [PART PATH ...]``: each line of the report is JSON. What
the process does is limited: memory, and what Python tells of files, processes and connections.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import sysconfig
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

LOOP, KEY, MODULE = "review", "k", "hostile_module"
#: Beyond what the libraries take.
MEMORY = 4 << 30
#: Of processor time, for one command or value.
SECONDS = 10
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.utime": (0,),
    "shutil.rmtree": (0,),
    "shutil.move": (0, 1),
}
_NEVER = (
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "pickle.find_class"),
    *("urllib.Request", "webbrowser.open"),
)
#: What stands in the way of a library that is loaded only now; it was not the book's wish.
_READABLE = (
    *{str(Path(path).resolve()) for path in sysconfig.get_paths().values()},
    *(sys.prefix, sys.base_prefix, "/usr/share/zoneinfo", "/usr/lib/python3", "/usr/share/tzdata"),
    *("/proc/", "/sys/", "/dev/null", "/dev/urandom", "/etc/localtime", "/etc/timezone"),
    *("/usr/share/terminfo", "/etc/terminfo", "/lib/terminfo", "/etc/mime.types"),
)


class Watch:
    """Hears what this process does beside the book that it has open."""

    def __init__(self, own: list[str]) -> None:
        self.own = own
        self.here: str | None = None
        self.heard: list[str] = []
        #: What belongs to the user: how databases were left, keys, decisions.
        self.user = os.path.join(os.environ["XDG_DATA_HOME"], "stepbook")  # noqa: PTH118 - a text

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.here is None:
            return
        if event == "open":
            path, _, flags = args
            if isinstance(path, (str, bytes)):
                changes = isinstance(flags, int) and bool(flags & _WRITING)
                self.path(path, "written to" if changes else "read", changes=changes)
        elif event in _CHANGING:
            for place in _CHANGING[event]:
                if isinstance(args[place], (str, bytes, os.PathLike)):
                    self.path(args[place], event, changes=True)
        elif event == "import":
            if str(args[0]).partition(".")[0] == MODULE:
                self.heard.append(f"imported: {args[0]}")
        elif event in _NEVER and not (self.by_library() or _is_ours(event, args)):
            self.heard.append(f"{event}: {args!r:.200}")

    def path(self, path: Any, what: str, *, changes: bool) -> None:
        place = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - it looks at nothing
        if place.startswith(self.here + os.sep) or place in (self.here, os.devnull):
            return
        if place.startswith((self.own[0], self.user)) or (
            not changes and place.startswith((*_READABLE, *self.own))
        ):
            return
        self.heard.append(f"{what}: {place}")

    @staticmethod
    def by_library() -> bool:
        """Whether a module is being imported just now."""
        frame = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
                return True
            frame = frame.f_back
        return False


def _is_ours(event: str, args: tuple[Any, ...]) -> bool:
    """Whether a process is started to ask what machine this is, or for the first look at a file."""
    if event != "subprocess.Popen":
        return args[:1] == ("uname",)
    return list(args[1])[:3] == [sys.executable, "-I", "-B"] or args[:1] == ("uname",)


def main() -> None:
    report = Path(sys.argv[1]).open("a", encoding="utf-8")  # noqa: SIM115 - as long as the process
    asked = list(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    own = [os.path.realpath(tempfile.mkdtemp(prefix="visitor-")), str(Path(__file__).parents[2])]
    tempfile.tempdir = own[0]
    load()
    limit()
    watch = Watch(own)
    sys.addaudithook(watch)
    warnings.simplefilter("ignore")

    def tell(**what: Any) -> None:
        report.write(json.dumps(what) + "\n")
        report.flush()

    for part, path in asked:
        tell(begun=path)
        os.chdir(Path(path).parent)
        watch.heard, began = [], time.process_time()
        watch.here = os.path.realpath(Path(path).parent)
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            troubles = visit_cells(path) if part == "cells" else visit(part, path, own[0])
        watch.here = None
        tell(ended=path, troubles=troubles, heard=watch.heard, seconds=time.process_time() - began)


def load() -> None:
    """Load what books may be read with, before memory is limited."""
    import importlib

    names = "numpy pandas pyarrow polars duckdb sklearn skops.io xgboost lightgbm IPython"
    for name in (*names.split(), "stepbook.cli.main", "stepbook.notebook.extension"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def limit() -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


class Tries:
    """Calls that may raise what a person can read, and nothing else."""

    def __init__(self) -> None:
        self.troubles: list[str] = []

    def do(self, what: str, call: Any) -> Any:
        import click

        from stepbook.errors import StepbookError

        began = time.process_time()
        try:
            return call()
        except (StepbookError, click.ClickException):
            pass
        except Recorded:
            pass
        except BaseException as error:  # noqa: BLE001 - that is the question
            where = "".join(traceback.format_tb(error.__traceback__)[-3:])
            self.troubles.append(f"{what}: {type(error).__name__}: {error!s:.300}\n{where}")
        took = time.process_time() - began
        if took > SECONDS:
            self.troubles.append(f"{what}: took {took:.1f} s")
        return None

    def command(self, *words: str) -> None:
        from click.testing import CliRunner

        from stepbook.cli.main import cli

        def call() -> None:
            done = CliRunner().invoke(cli, list(words))
            if done.exception is not None and not isinstance(done.exception, SystemExit):
                raise done.exception
            if done.exit_code not in (0, 1):
                raise RuntimeError(f"exit code {done.exit_code}: {done.output[-300:]}")

        self.do(" ".join(words), call)


class Recorded(Exception):  # noqa: N818 - stands for a failure that the book has recorded
    """A recorded failure was raised again."""


def visit(part: str, path: str, spare: str) -> list[str]:
    """Do with a book what people do; return what went wrong."""
    import stepbook
    from stepbook.errors import StepbookError

    tries = Tries()
    command = tries.command
    command("runs", "--book", path)
    command("runs", "--format", "json", "--book", path)
    command("steps", LOOP, "--format", "csv", "--book", path)
    command("show", LOOP, "--logs", "--outputs", "--book", path)

    book = tries.do("connect", lambda: stepbook.connect(path))
    if book is not None:

        def replay() -> None:
            run = book.run(LOOP, key=KEY)
            try:
                tries.do("to_html", lambda: run.to_html(Path(spare) / "run.html"))
                tries.do("steps", run.steps)
                for number in range(130 if part == "values" else 9):
                    tries.do(f"do s{number}", lambda n=number: again(run, f"s{n}"))
            finally:
                run.close()

        def again(run: Any, name: str) -> None:
            try:
                run.do(name, lambda: 2)
            except StepbookError:
                raise
            except Exception as error:
                # A recorded failure is raised as what it was; told by its notes.
                if any("stepbook" in note for note in getattr(error, "__notes__", ())):
                    raise Recorded from error
                raise

        tries.do("replay", replay)
        tries.do("book.runs", book.runs)
        tries.do("book.steps", lambda: book.steps(parse=True))
        tries.do("close", book.close)
    command("prune", "--keep", "0", "--dry-run", "--book", path)
    command("doctor", "--book", path)
    command("prune", "--keep", "0", "--book", path)
    return tries.troubles


def visit_cells(path: str) -> list[str]:
    """Replay the cells of a book in a shell."""
    from IPython.core.interactiveshell import InteractiveShell

    from stepbook.errors import StepbookError

    tries = Tries()
    tries.command("show", LOOP, "--outputs", "--book", path)
    os.environ["IPYTHONDIR"] = tempfile.mkdtemp()
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False

    def cell(text: str) -> None:
        found = shell.run_cell(text, store_history=False)
        error = found.error_before_exec or found.error_in_exec
        if error is not None and not isinstance(error, StepbookError):
            raise error

    tries.do("load", lambda: cell("%load_ext stepbook"))
    tries.do("import", lambda: cell("import numpy as np, pandas as pd"))
    tries.do("run", lambda: cell(f"%stepbook run {LOOP} --key {KEY} --book {path}"))
    import duckdb

    with duckdb.connect(path, read_only=True) as connection:
        count = connection.execute("SELECT count(*) FROM cells").fetchone()[0]
    for number in range(count):
        tries.do(f"cell s{number}", lambda n=number: cell(f"%%step s{n}\nx = 1"))
    tries.do("end", lambda: cell("%stepbook close"))
    tries.command("doctor", "--book", path)
    tries.command("prune", "--keep", "0", "--book", path)
    return tries.troubles


if __name__ == "__main__":
    main()

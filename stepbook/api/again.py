"""A loop that is executed once more, for a verification, in a process of its own.

``python -m stepbook.api.again FILE BOOK RUN`` imports the file (or a module, as in
``reports:nightly``) and triggers the loop of the run with the input of the run. A script that opens
its run itself is executed as one.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..engine.books import OpenBook
from ..engine.repeating import Refused, begun_in, refuse
from ..system import scratch
from ..values.keys import run_key
from .loop import Loop

if TYPE_CHECKING:
    from types import ModuleType, TracebackType

    from ..model.rows import RunRow

_STEPBOOK: Final = str(Path(__file__).parents[1])


class _MistakeError(Exception):
    """The file is not the one that was meant; the text says why."""


def execute(source: str, book: str, run_id: str) -> None:
    """Execute the code of a run again.

    Args:
        source: a Python file, or a module, with ``:NAME`` for what in it is the loop.
        book: the file in which the run is recorded.
        run_id: the run.

    Raises:
        BaseException: what escapes the code.
    """
    original = OpenBook(Path(book))
    row = original.peek(run_id).run
    is_file = source.endswith(".py")
    module = _from_file(Path(source)) if is_file else _from_module(source.partition(":")[0])
    if _has_begun():
        return  # the file opens its run when it is imported
    name = "" if is_file else source.partition(":")[2]
    shown = os.path.relpath(source) if is_file else source
    loops = [one for one in vars(module).values() if isinstance(one, Loop)]
    meant = [getattr(module, name, None)] if name else loops
    loop = next((one for one in meant if isinstance(one, Loop) and one.name == row.loop), None)
    if loop is not None:
        _trigger(loop, row, original)
    elif is_file and "__main__" in Path(source).read_text(encoding="utf-8"):
        runpy.run_path(source, run_name="__main__")
        if not _has_begun():
            raise _MistakeError(f"{shown} has no loop {row.loop!r} and opens no run.")
    else:
        raise _MistakeError(_no_loop(shown, name, meant, loops, row))


def _no_loop(shown: str, name: str, meant: list[Any], loops: list[Loop], row: RunRow) -> str:
    """Return why a file or module does not have the loop of a run."""
    if name and not isinstance(meant[0], Loop):
        why = f"{shown}: the module has no loop called {name}"
    elif name:
        why = f"{shown} is the loop {meant[0].name!r}, and {row.id} is a run of {row.loop!r}"
    else:
        why = f"{shown} has no loop {row.loop!r}"
    there = ", ".join(dict.fromkeys(repr(loop.name) for loop in loops))
    return f"{why}. It has {there}." if there else f"{why}; it has none at all."


def _has_begun() -> bool:
    folder = scratch.folder()
    return folder is not None and bool(begun_in(folder))


def _from_file(path: Path) -> ModuleType:
    sys.path.insert(0, str(path.parent))
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_again"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LookupError(f"{path} cannot be imported")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _from_module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # of something that the module imports
        raise _MistakeError(
            f"there is no module {error.name}. FILE is a notebook, a Python file, or a module "
            "that Python finds from this folder, such as reports:nightly."
        ) from None


def _trigger(loop: Loop, row: RunRow, book: OpenBook) -> None:
    options: dict[str, Any] = {"trigger_type": row.trigger_type}
    if row.key != run_key(None, row.input):
        options["key"] = row.key
    found = loop.trigger(book.codec.decode(row.input, where="input"), **options)
    if inspect.isawaitable(found):
        asyncio.run(_wait_for(found))


async def _wait_for(found: Any) -> None:
    await found


def main(source: str, book: str, run_id: str) -> int:
    """Execute the code of a run again, and return the exit code.

    What has gone wrong before a run was opened is told by the command that compares, in one line;
    the traceback is that of the person's code.
    """
    folder = scratch.folder()
    try:
        with scratch.stoppable():
            execute(source, book, run_id)
    except scratch.Stopped as stopped:
        return stopped.exit_code
    except Refused:
        return 2
    except _MistakeError as mistake:
        if folder is not None:
            refuse(folder, str(mistake))
        return 2
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - told as Python tells what ends a program
        frames = _own(error.__traceback__)
        if folder is not None and not _has_begun():
            kind = traceback.format_exception_only(error)[-1].strip()
            refuse(folder, f"the code has opened no run: it ended with {kind}")
        if frames is not None or isinstance(error, SyntaxError):
            traceback.print_exception(error.with_traceback(frames))
        return 1
    return 0


def _own(frames: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first frame on that is neither stepbook's nor the importer's."""
    while frames is not None and (
        (file := frames.tb_frame.f_code.co_filename).startswith((_STEPBOOK, "<frozen "))
        or file in (importlib.__file__, runpy.__file__)
    ):
        frames = frames.tb_next
    return frames


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))

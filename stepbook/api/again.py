"""A loop that is executed once more, for a verification, in a process of its own.

``python -m stepbook.api.again FILE RUN`` imports the file (or a module, as in ``reports:nightly``)
and triggers the loop of the run with the input of the run. A script that opens its run itself is
executed as one.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.books import OpenBook
from ..engine.repeating import begun_in
from ..system import scratch
from ..values.keys import run_key
from .loop import Loop

if TYPE_CHECKING:
    from types import ModuleType

    from ..model.rows import RunRow


def execute(source: str, book: str, run_id: str) -> None:
    """Execute the code of a run again.

    Args:
        source: a Python file, or a module, with ``:NAME`` for what in it is the loop.
        book: the file in which the run is recorded.
        run_id: the run.

    Raises:
        LookupError: there is no such loop.
        BaseException: what escapes the code.
    """
    original = OpenBook(Path(book))
    row = original.peek(run_id).run
    is_file = source.endswith(".py")
    module = _from_file(Path(source)) if is_file else _from_module(source.partition(":")[0])
    if _has_begun():
        return  # the file opens its run when it is imported
    name = "" if is_file else source.partition(":")[2]
    loop = _loop(module, row.loop, name)
    if loop is not None:
        _trigger(loop, row, original)
    elif is_file:
        runpy.run_path(source, run_name="__main__")
    else:
        raise LookupError(f"{source} has no loop {row.loop!r}")


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
    return importlib.import_module(name)


def _loop(module: ModuleType, loop: str, name: str) -> Loop | None:
    named: list[Any] = [getattr(module, name, None)] if name else list(vars(module).values())
    return next((one for one in named if isinstance(one, Loop) and one.name == loop), None)


def _trigger(loop: Loop, row: RunRow, book: OpenBook) -> None:
    options: dict[str, Any] = {"trigger_type": row.trigger_type}
    if row.key != run_key(None, row.input):
        options["key"] = row.key
    found = loop.trigger(book.codec.decode(row.input, where="input"), **options)
    if inspect.isawaitable(found):
        asyncio.run(_wait_for(found))


async def _wait_for(found: Any) -> None:
    await found


if __name__ == "__main__":
    execute(*sys.argv[1:])

"""Books of their own: journals that are cut and flipped on copies, and folders that vanish.

Nothing may be silent: an acknowledged step is there with its value, or somebody is told.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import stepbook
from stepbook.cli.checks import examine
from stepbook.record import folding

from .witness import tell

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

_STEPS: Final = 4
#: How many bytes one job damages, side by side.
_STRETCH: Final = 4
_VANISHING_STEPS: Final = 10


def _home(path: Path) -> Path:
    return path.with_name(path.name + ".d")


@contextlib.contextmanager
def _folder(prefix: str, parent: Path) -> Iterator[Path]:
    """Have a folder for a block. A TemporaryDirectory would be removed at the end of a fork."""
    place = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


# ---- journals --------------------------------------------------------------------------------


def damaged_journals(folder: Path, chance: random.Random) -> None:
    """Cut and flip a stretch of the journal that a killed process has left, on copies."""
    with _folder("damage-", folder) as place:
        original = place / "original"
        original.mkdir()
        safe = _killed(original / "book.duckdb")
        (file,) = (_home(original / "book.duckdb") / "journal").glob("*.jsonl")
        content = file.read_bytes()
        size = len(content.rstrip(b"\0"))
        start = chance.randrange(size)
        for at in range(start, min(start + _STRETCH, size)):
            bit = chance.randrange(8)
            flipped = content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
            _look(original, f"bit {bit} flipped at byte {at} of {size}", flipped, safe, size)
            _look(original, f"cut at byte {at} of {size}", content[:at], safe, at)


def _killed(path: Path) -> dict[str, tuple[str, int]]:
    """Leave a book whose process was killed; return each step's token, and where it was safe."""
    noted = path.with_name("noted")

    def record() -> None:
        folding.GATHER_S = 3600  # type: ignore[misc]
        run = stepbook.connect(path).run("damaged")
        with noted.open("a") as file:
            for number in range(_STEPS):
                token = run.do(f"step {number}", lambda: os.urandom(8).hex())
                (journal,) = (_home(path) / "journal").glob("*.jsonl")
                safe = len(journal.read_bytes().rstrip(b"\0"))
                file.write(json.dumps([f"step {number}", token, safe]) + "\n")
        os.kill(os.getpid(), signal.SIGKILL)

    _in_fork(record)
    lines = map(json.loads, noted.read_text().splitlines())
    return {name: (token, safe) for name, token, safe in lines}


def _look(
    original: Path, about: str, content: bytes, safe: dict[str, tuple[str, int]], kept: int
) -> None:
    """Damage a copy, use it, and tell a fault if something is lost in silence."""
    copy = original.with_name("copy")
    shutil.copytree(original, copy)
    path = copy / "book.duckdb"
    (file,) = (_home(path) / "journal").glob("*.jsonl")
    file.write_bytes(content)
    executed: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        error = ""
        found = _doctor(path)
        book = stepbook.connect(path)
        try:
            run = book.run("damaged")
            for name, (token, _) in safe.items():
                value = run.do(name, lambda name=name: executed.append(name) or "again")
                if value not in (token, "again"):
                    tell("fault", f"a journal with a {about}: {name} is {value!r}, not {token!r}")
            run.close()
        except stepbook.StepbookError as raised:
            error = str(raised)
            executed = list(safe)
        finally:
            book.close()
    said = "\n".join([error, *(str(w.message) for w in caught)])
    lost = [name for name in executed if safe[name][1] <= kept]
    name = file.name.partition(".")[0]
    if lost and name not in said:
        tell("fault", f"a journal with a {about}: {lost} executed again, and nothing was said")
    if lost and not any(name in problem for problem in found):
        tell("fault", f"a journal with a {about}: {lost} lost, and doctor finds nothing wrong")
    tell("damaged", len(lost), bool(error))
    shutil.rmtree(copy)


def _doctor(path: Path) -> list[str]:
    checked = examine(stepbook.connect(path)._opened)
    return [f"{p.where}: {p.what}" for one in checked for p in one.problems]


# ---- folders ---------------------------------------------------------------------------------


def vanishing_folders(folder: Path, chance: random.Random) -> None:
    """Have folders of a book vanish while a process records in it; nothing may be lost."""
    vanish = chance.choice(_VANISH)
    at, end = chance.randrange(_VANISHING_STEPS), chance.choice(("kill", "close", "leave"))
    pause = chance.random() < 0.3
    about = f"{vanish.__name__} before step {at}, then {end}"
    with _folder("vanish-", folder) as place:
        path = place / "book.duckdb"
        noted = path.with_name("noted")

        def record() -> None:
            book = stepbook.connect(path)
            run = book.run("vanishing")
            with noted.open("a") as file:
                for number in range(_VANISHING_STEPS):
                    if number == at:
                        if pause:
                            book.runs()  # folds
                        vanish(path)
                    token = run.do(f"step {number}", lambda: os.urandom(8).hex())
                    file.write(json.dumps([f"step {number}", token]) + "\n")
                    file.flush()
            if end == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if end == "close":
                book.close()

        _in_fork(record)
        noted_steps = [json.loads(line) for line in noted.read_text().splitlines()]
        if len(noted_steps) != _VANISHING_STEPS:
            tell("fault", f"{about}: only {len(noted_steps)} steps were acknowledged")
        run = stepbook.connect(path).run("vanishing")
        lost: list[str] = []
        for name, token in noted_steps:
            if run.do(name, lambda name=name: lost.append(name)) != token:
                lost.append(name)
        run.book.close()
        if lost:
            tell("fault", f"{about}: {sorted(set(lost))} lost")
        tell("vanished", vanish.__name__)


def _remove_journals(path: Path) -> None:
    shutil.rmtree(_home(path) / "journal")


def _remove_files(path: Path) -> None:
    for file in (_home(path) / "journal").glob("*.jsonl"):
        file.unlink()


def _remove_home(path: Path) -> None:
    shutil.rmtree(_home(path), ignore_errors=True)  # the folding thread may make a file in it


def _remove_all(path: Path) -> None:
    _remove_home(path)
    path.unlink()


def _replace_home(path: Path) -> None:
    """As a program does that puts a copy in the place of a folder, and removes the copy's old."""
    copy, old = path.with_name("copied"), path.with_name("old")
    with contextlib.suppress(shutil.Error):
        shutil.copytree(_home(path), copy)
    _home(path).rename(old)
    copy.rename(_home(path))
    shutil.rmtree(old)


def _replace_files(path: Path) -> None:
    for file in (_home(path) / "journal").glob("*.jsonl"):
        copy = file.with_suffix(".copy")
        shutil.copy(file, copy)
        copy.replace(file)


_VANISH: Final[tuple[Callable[[Path], None], ...]] = (
    _remove_journals,
    _remove_files,
    _remove_home,
    _remove_all,
    _replace_home,
    _replace_files,
)


# ---- processes of their own ------------------------------------------------------------------


def _in_fork(act: Callable[[], Any]) -> None:
    """Call *act* in a process of its own, which ends as a program does; wait for it."""
    import atexit
    import traceback

    pid = os.fork()
    if pid == 0:
        try:
            act()
            atexit._run_exitfuncs()
        except BaseException:  # noqa: BLE001 - told, and the process ends
            tell("fault", traceback.format_exc())
        finally:
            os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in (0, -signal.SIGKILL):
        tell("fault", f"a process of a book of its own ended with {code}")

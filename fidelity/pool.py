"""Many sessions from one prepared process: forks, a few at a time, each with a time limit."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import pkgutil
import selectors
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .sessions import BOOK, Seen, Session, perform, shell_of_this_process

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    #: A scenario: gives sessions, gets what they have shown, returns what it has found.
    Scenario = Generator[Session, Seen, Any]

LIMIT_S = 60.0
_dumps = json.dumps  # cells may put another in its place
_LIBRARIES = (
    "duckdb",
    "numpy",
    "numpy.ma",
    "pandas",
    "pandas.io.formats.string",
    "platformdirs.unix",
    "pyarrow",
    "pyarrow.pandas_compat",
    "IPython.core.logger",
    "IPython.core.magics.extension",
    "scipy.sparse",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.preprocessing",
)
#: Rooms of stepbook that a notebook loads; its command line stays out.
_ROOMS = ("api", "engine", "model", "notebook", "record", "system", "values")


def prepare() -> None:
    """Import what sessions need and make the book that each begins with, before the first fork."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # a fork has no use for the threads of its parent
    for library in _LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    for room in _ROOMS:
        package = importlib.import_module(f"stepbook.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    # The books are copies of the harness's own, of which nobody knows that: no first look at them.
    store: Any = importlib.import_module("stepbook.record.tables.store")
    store.look_apart = lambda _path, _found: {}
    _warm(shell_of_this_process())
    place = Path(tempfile.mkdtemp(prefix="fidelity-", dir=_place()))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    pid = os.fork()
    if pid == 0:  # a database that is open must not be forked
        stepbook = importlib.import_module("stepbook")
        with contextlib.suppress(BaseException), Path(os.devnull).open("w") as sys.stdout:
            book = stepbook.connect(place / BOOK)
            book.run("another").finish()
            book.close()
        os._exit(0)
    os.waitpid(pid, 0)
    _prepared.append(place)


def _warm(shell: Any) -> None:
    """Make a traceback as a failing cell does: the first one looks at every module that is there.

    In each fork with a cell that fails that would take longer than all the rest of it.
    """
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        shell.InteractiveTB.structured_traceback(*sys.exc_info())


@dataclass
class _Running:
    """A fork that executes a session of a scenario."""

    key: int
    scenario: Scenario
    pid: int
    ends: float
    text: bytes = b""
    late: bool = False


class Pool:
    """Runs scenarios side by side.

    Args:
        workers: how many sessions run at once.
        limit: seconds that each may take.

    Attributes:
        sessions: how many have been run.
    """

    def __init__(self, workers: int | None = None, limit: float = LIMIT_S) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._limit = limit
        self._selector = selectors.DefaultSelector()
        self.sessions = 0

    def run(self, scenarios: Iterable[Scenario]) -> Iterator[tuple[int, Any]]:
        """Give the number and the result of each scenario, as they end."""
        todo = enumerate(scenarios)
        running = 0
        while True:
            while running < self._workers and (following := next(todo, None)) is not None:
                ended, result = self._go_on(*following, None)
                if ended:
                    yield following[0], result
                else:
                    running += 1
            if not running:
                return
            for fork in self._wait():
                ended, result = self._go_on(fork.key, fork.scenario, _seen(fork, self._limit))
                if ended:
                    running -= 1
                    yield fork.key, result

    def _go_on(self, key: int, scenario: Scenario, seen: Seen | None) -> tuple[bool, Any]:
        try:
            session = scenario.send(seen)  # type: ignore[arg-type] # None starts it
        except StopIteration as end:
            return True, end.value
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            _child(session, write)
        os.close(write)
        self.sessions += 1
        fork = _Running(key, scenario, pid, time.monotonic() + self._limit)
        self._selector.register(read, selectors.EVENT_READ, fork)
        return False, None

    def _wait(self) -> list[_Running]:
        """Return the forks that have ended, at least one."""
        ended: list[_Running] = []
        while not ended:
            forks = [entry.data for entry in self._selector.get_map().values()]
            wait = min(f.ends for f in forks if not f.late) if any(not f.late for f in forks) else 0
            ready = self._selector.select(max(0.0, wait - time.monotonic()) if wait else None)
            for entry, _ in ready:
                if chunk := os.read(entry.fd, 1 << 16):
                    entry.data.text += chunk
                    continue
                self._selector.unregister(entry.fd)
                os.close(entry.fd)
                os.waitpid(entry.data.pid, 0)
                ended.append(entry.data)
            for fork in forks:
                if not fork.late and fork.ends <= time.monotonic() and fork not in ended:
                    fork.late = True
                    _kill_group(fork.pid)
        return ended


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _child(session: Session, write: int) -> None:
    """Execute a session in this fork and end it."""
    os.setpgid(0, 0)
    os.set_inheritable(write, False)  # noqa: FBT003 - what cells start must not keep it open
    printed = Path(f"{session.folder}.printed.{os.getpid()}")
    try:
        if session.kernel:
            from .kernels import perform_in_kernel  # noqa: PLC0415 - few sessions need one

            seen = perform_in_kernel(session)
        else:
            seen = perform(session, printed)
        text = _dumps(seen.as_json())
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        text = _dumps({"errors": [traceback.format_exc()[-600:]]})
    with contextlib.suppress(OSError):
        printed.unlink(missing_ok=True)
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(write, data) :]
    os._exit(0)


def _seen(fork: _Running, limit: float) -> Seen:
    if fork.late:
        return Seen(died=f"it took longer than {limit:g} s")
    if not fork.text:
        return Seen(died="the process died")
    return replace(Seen(), **json.loads(fork.text))


_prepared: list[Path] = []


def _place() -> Path | None:
    """Return a folder on a memory file system, where there is one: nothing here outlives a case."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    return shared if os.access(shared, os.W_OK) else None


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder for the sessions of one scenario, with a book that has no steps yet.

    Creating a book takes most of the time of a short session, copying one next to none.
    """
    folder = Path(tempfile.mkdtemp(prefix="fidelity-", dir=_place()))
    try:
        yield Path(shutil.copytree(_prepared[-1], folder / "work"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)

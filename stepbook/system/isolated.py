"""A question about a stranger's file, asked in a child process: what ends it does not end this one.

Libraries that read files in native code may crash, hang or ask for all memory when a file was made
for that. So the first look at a file that nobody here has written is taken by a process of its own,
with limits of memory, of processor time and of time. Its Python writes no file, opens no connection
and starts no process. It answers in JSON::

    ask("stepbook.record.tables.opening:look", str(path), libraries=("duckdb",))

It is no sandbox: whoever gets native code of his own to execute there has the rights of this user.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from json import dumps, loads
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from .. import errors

_PACKAGE: Final = __package__.partition(".")[0]
#: What the child executes: nothing of the current folder or of PYTHONPATH (``-I``); the folders of
#: this process' libraries come behind Python's own, and the package is the one that asks.
_PROGRAM: Final = (
    "import importlib.util,json,sys\n"
    "told=json.loads(sys.stdin.buffer.readline())\n"
    "sys.path[len(sys.path):]=[p for p in told['path'] if p not in sys.path]\n"
    f"spec=importlib.util.spec_from_file_location({_PACKAGE!r},told['package'])\n"
    "sys.modules[spec.name]=package=importlib.util.module_from_spec(spec)\n"
    "spec.loader.exec_module(package)\n"
    f"from {__name__} import _answer\n"
    "_answer(told)\n"
)
#: One thread is enough there, and each more takes address space, which is limited.
_ALONE: Final = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MALLOC_ARENA_MAX": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
#: What Python tells of before it happens, and what is not done there.
_REFUSED: Final = (
    *("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"),
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod"),
)
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_LONGEST_ANSWER: Final = 1 << 20


class Limits(NamedTuple):
    """What the child may take. Systems without limits for processes have only the time.

    Attributes:
        memory: bytes of address space beyond what it has when its libraries are loaded.
        cpu_s: seconds of processor time, of all its threads.
        seconds: how long this process waits for it, its start included.
    """

    memory: int = 1 << 30
    cpu_s: int = 20
    seconds: float = 30.0


class Ended(Exception):  # noqa: N818 - the caller says what it means for what was asked
    """The child has given no answer.

    Attributes:
        why: ``"crash"``, ``"memory"``, ``"time"``, ``"error"``, or ``"unavailable"`` if this system
            starts no processes.
    """

    def __init__(self, why: str, text: str) -> None:
        super().__init__(why, text)
        self.why = why
        self.text = text

    def __str__(self) -> str:
        return self.text


def ask(
    function: str,
    *arguments: Any,
    limits: Limits | None = None,
    libraries: tuple[str, ...] = (),
) -> Any:
    """Call a function of this package in a child process and return its answer.

    Args:
        function: its module and its name, with a colon between.
        arguments: JSON. Paths are absolute: the child works in another folder.
        limits: what it may take.
        libraries: modules that are loaded before the memory is limited.

    Returns:
        What the function has returned; JSON, of a megabyte at most.

    Raises:
        Ended: there is no answer.
        StepbookError: the function has raised it; of the same class, with the same text.
    """
    limits = limits or Limits()
    told = {
        "package": str(Path(errors.__file__).with_name("__init__.py").resolve()),
        "path": _path(),
        "function": function,
        "arguments": arguments,
        "libraries": libraries,
        "limits": limits,
    }
    answer = _run((dumps(told) + "\n").encode(), limits)
    if not isinstance(answer, dict) or len(answer) != 1:
        raise Ended("crash", "the process that looked at it gave no answer")
    if "value" in answer:
        return answer["value"]
    name, text = answer["error"]
    cls = getattr(errors, name, None)
    if isinstance(cls, type) and issubclass(cls, errors.StepbookError):
        raise cls(text)
    raise Ended("memory" if name == "MemoryError" else "error", f"{name}: {text}")


def _path() -> list[str]:
    """Return where this process finds libraries; not the current folder, which may be anybody's."""
    here = str(Path.cwd())
    return [p for p in sys.path if Path(p).is_absolute() and p != here]


def _run(told: bytes, limits: Limits) -> Any:
    if not sys.executable:
        raise Ended("unavailable", "this Python cannot start another one")
    try:
        child = subprocess.Popen(  # noqa: S603 - this Python, with a program that stands above
            [sys.executable, "-I", "-B", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=os.path.abspath(os.sep),  # noqa: PTH100 - the root of the current drive
            env={**os.environ, **_ALONE},
            start_new_session=True,  # a Ctrl-C here is not for the child
        )
    except OSError as error:
        raise Ended("unavailable", f"no process can be started: {error}") from error
    with child:
        try:
            data, _ = child.communicate(told, timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            raise Ended("time", f"it took more than {limits.seconds:g} seconds") from None
        finally:
            if child.returncode is None:
                child.kill()
    try:
        return loads(data[:_LONGEST_ANSWER])
    except ValueError:
        raise _told_by(child.returncode) from None


def _told_by(code: int) -> Ended:
    import signal  # noqa: PLC0415 - only when something went wrong

    name = signal.Signals(-code).name if code < 0 and -code in {*signal.Signals} else None
    if name in ("SIGXCPU", "SIGKILL"):
        return Ended("time", "it took more processor time than it may")
    by = f"was ended by {name}" if name else f"ended with code {code}"
    return Ended("crash", f"the process that looked at it {by}")


# ---- in the child -------------------------------------------------------------------------------


def _answer(told: dict[str, Any]) -> NoReturn:
    """Do what was told, and write the answer to what was the standard output."""
    out = os.dup(1)
    os.dup2(2, 1)  # libraries may print
    try:
        for name in told["libraries"]:
            importlib.import_module(name)
        module, _, name = told["function"].partition(":")
        if module.partition(".")[0] != _PACKAGE:
            raise ValueError(f"{module} is not of this package")  # noqa: TRY301 - as below
        function = getattr(importlib.import_module(module), name)
        _limit(Limits(*told["limits"]))
        answer = {"value": function(*told["arguments"])}
        text = dumps(answer)
        if len(text) > _LONGEST_ANSWER:
            raise ValueError("the answer is too long")  # noqa: TRY301 - as an error of the function
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent is told
        text = dumps({"error": [type(error).__name__, str(error)[:2000]]})
    data = text.encode()
    while data:
        data = data[os.write(out, data) :]
    os._exit(0)  # nothing that a library would do at its end


def _limit(limits: Limits) -> None:
    """Have this process, from here on, take no more than that."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        pass
    else:
        most_of = {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_FSIZE: 0,
            resource.RLIMIT_CPU: limits.cpu_s + int(sum(os.times()[:2])),
        }
        if taken := _address_space():
            most_of[resource.RLIMIT_AS] = taken + limits.memory
        for what, most in most_of.items():
            _, hard = resource.getrlimit(what)
            soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (soft, soft))
    sys.addaudithook(_refuse)


def _address_space() -> int:
    """Return how much address space this process has now; 0 if the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _REFUSED or (
        event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
    ):
        raise PermissionError(f"{event} is not done in a process that looks at a stranger's file")

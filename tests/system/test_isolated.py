"""A stranger's file is looked at in a process that may crash, hang or ask for all memory."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path

import pytest

from stepbook import errors
from stepbook.system import isolated
from stepbook.system.isolated import Ended, Limits, ask

unix = pytest.mark.skipif(os.name != "posix", reason="limits of processes are those of Unix")
linux = pytest.mark.skipif(sys.platform != "linux", reason="address space is told by /proc")


def crash() -> None:
    ctypes.string_at(0)


def hang() -> None:
    while True:
        time.sleep(1)


def spin() -> None:
    while True:
        pass


def swell() -> int:
    return len(bytearray(1 << 32))


def damaged() -> None:
    raise errors.ArtifactError("it is damaged")


def odd() -> None:
    raise KeyError("x")


def write(path: str) -> None:
    Path(path).write_text("x")


def write_natively(path: str) -> int:
    libc = ctypes.CDLL(None)
    fd = libc.open(path.encode(), os.O_WRONLY | os.O_CREAT, 0o600)
    return int(libc.write(fd, b"x", 1))


def start() -> None:
    os.system("true")  # noqa: S605 - refused before


def connect() -> None:
    import socket

    socket.create_connection(("127.0.0.1", 9))


def chatter(text: str) -> list[str]:
    print("what a library says")
    os.write(1, b"and natively")
    return [text, str(Path.cwd()), str(os.environ.get("OMP_NUM_THREADS"))]


@pytest.fixture(autouse=True)
def these(monkeypatch):
    """Have the child find this module as one of the package."""
    name = f"{isolated._PACKAGE}.asked"
    program = (
        "import importlib.util,sys\n"
        f"s=importlib.util.spec_from_file_location({name!r},{__file__!r})\n"
        "m=importlib.util.module_from_spec(s);sys.modules[s.name]=m;s.loader.exec_module(m)\n"
    )
    before, call = isolated._PROGRAM.rsplit("_answer(told)", 1)
    monkeypatch.setattr(isolated, "_PROGRAM", f"{before}{program}_answer(told){call}")
    return name


def ended(function: str, *arguments, **limits) -> Ended:
    with pytest.raises(Ended) as caught:
        ask(f"stepbook.asked:{function}", *arguments, limits=Limits(**limits))
    return caught.value


def test_the_answer_comes_back_and_what_is_printed_does_not():
    text, folder, threads = ask("stepbook.asked:chatter", "ä\n")
    assert (text, threads) == ("ä\n", "1")
    assert Path(folder) == Path(folder).anchor or Path(folder).parent == Path(folder)


def test_errors_of_this_package_are_raised_here_and_others_are_told():
    with pytest.raises(errors.ArtifactError, match="it is damaged"):
        ask("stepbook.asked:damaged")
    error = ended("odd")
    assert (error.why, str(error)) == ("error", "KeyError: 'x'")


def test_a_crash_is_told_and_ends_nothing_here():
    assert ended("crash").why == "crash"


def test_what_hangs_is_ended():
    began = time.monotonic()
    assert ended("hang", seconds=1.5).why == "time"
    assert time.monotonic() - began < 20


@unix
def test_what_takes_processor_time_is_ended():
    assert ended("spin", cpu_s=1).why == "time"


@linux
def test_what_asks_for_memory_is_refused():
    assert ended("swell", memory=1 << 28).why == "memory"


def test_nothing_is_written_started_or_connected(tmp_path):
    for function, arguments in (
        ("write", [str(tmp_path / "x")]),
        ("start", []),
        ("connect", []),
    ):
        assert ended(function, *arguments).text.startswith("PermissionError"), function
    assert list(tmp_path.iterdir()) == []


@unix
def test_native_code_cannot_write_a_byte(tmp_path):
    assert ask("stepbook.asked:write_natively", str(tmp_path / "x")) == -1


def test_only_functions_of_this_package_are_called():
    with pytest.raises(Ended, match="not of this package"):
        ask("os:getcwd")


def test_a_module_in_the_current_folder_is_not_loaded(tmp_path, monkeypatch):
    for name in ("json", "duckdb", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert ask("stepbook.asked:chatter", "x", libraries=("duckdb",))[0] == "x"

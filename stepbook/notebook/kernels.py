"""The kernel that executes a notebook without a front end: which one, and why it has ended."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

_CRASHES: Final = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")
_FROM_OUTSIDE: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
#: What shells add to the number of a signal, and processes that end as if by one.
_SHELL: Final = 128


def installed() -> list[str]:
    """Return the names of the kernels of this machine."""
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415 - only to run one

    return sorted(KernelSpecManager().find_kernel_specs())


def chosen(path: Path, notebook: Any, asked: str | None) -> str:
    """Return the name of the kernel for a notebook.

    Args:
        path: its file.
        notebook: what it holds; with *asked* it names that kernel from now on.
        asked: the kernel to take instead of the one that it names.

    Raises:
        InvalidInputError: there is no such kernel here, or it is none for Python.
    """
    from jupyter_client import kernelspec  # noqa: PLC0415 - as above

    native: str = kernelspec.NATIVE_KERNEL_NAME
    name = asked or notebook.metadata.get("kernelspec", {}).get("name") or native
    try:
        found = kernelspec.KernelSpecManager().get_kernel_spec(name)
    except kernelspec.NoSuchKernel:
        there = ", ".join(installed()) or "none"
        if asked is not None:
            raise InvalidInputError(
                f"the kernel {name!r} is not installed here. Installed: {there}."
            ) from None
        raise InvalidInputError(
            f"{path} asks for the kernel {name!r}, which is not installed here. Installed: "
            f"{there}. Open the notebook and choose one of them, or name one: stepbook run "
            "--kernel NAME."
        ) from None
    if found.language and found.language.lower() != "python":
        raise InvalidInputError(
            f"the kernel {name!r} is for {found.language}, and stepbook records Python. "
            f"Installed: {', '.join(installed())}."
        )
    if asked is not None:
        spec = {"name": name, "display_name": found.display_name, "language": "python"}
        notebook.metadata["kernelspec"] = spec
    return name


def cause(code: int | None) -> str:
    """Return in words why a kernel has ended, as far as its exit code tells."""
    if code is None:
        return "nothing tells why"
    number = -code if code < 0 else code - _SHELL
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = ""
    ended = f"by {name}" if code < 0 else f"with exit code {code}, as after {name}"
    if name == "SIGKILL":
        return f"it was ended {ended}, most likely because the memory ran out"
    if name in _CRASHES:
        return f"it was ended {ended}, most likely because compiled code of a library crashed"
    if name in _FROM_OUTSIDE:
        return f"it was ended {ended}, most likely from outside"
    return f"it was ended {ended}" if name else f"it ended by itself, with exit code {code}"

"""The kernel that executes a notebook without a front end: which one, and how and why it ends."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidInputError
from ..system import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
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


@contextlib.contextmanager
def explaining(name: str) -> Iterator[list[str]]:
    """Say what to do about a kernel that does not start; what it gives is filled when it has.

    Raises:
        InvalidInputError: it cannot be started.
    """
    started: list[str] = []
    try:
        yield started
    except (OSError, RuntimeError) as error:
        if started:
            raise
        raise InvalidInputError(
            f"the kernel {name!r} could not be started: {error}. `jupyter kernelspec list` tells "
            "where it is described; --kernel takes another one."
        ) from error


@contextlib.contextmanager
def ending(client: Any) -> Iterator[None]:
    """End a kernel that was still starting when somebody stopped the command."""
    try:
        yield
    except KeyboardInterrupt:
        if client.km is not None and client.km.has_kernel:
            _settle(client.km.shutdown_kernel(now=True))
        raise


@contextlib.contextmanager
def unwinding(client: Any) -> Iterator[None]:
    """Give the cell that is executing a moment to clean up, when somebody stops the command."""
    try:
        yield
    except KeyboardInterrupt:
        if not _settle(client.km.interrupt_kernel()):
            client.shutdown_kernel = "immediate"
        raise


def _settle(ask: Any) -> bool:
    """Await what asks the kernel to end, and then what an interrupt has left unawaited.

    Returns:
        Whether all of it has ended in time.
    """
    import asyncio  # noqa: PLC0415 - nbclient has imported it

    from jupyter_core.utils import ensure_async, run_sync  # noqa: PLC0415 - as nbclient

    async def end() -> bool:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await ensure_async(ask)
        try:
            ended = asyncio.gather(*left, return_exceptions=True)
            await asyncio.wait_for(ended, scratch.PATIENCE_S / 2)
        except TimeoutError:
            return False
        return True

    return bool(run_sync(end)())


@contextlib.contextmanager
def interrupting(client: Any) -> Iterator[None]:
    """Pass an interrupt on to the kernel; a second one ends the command."""
    import asyncio  # noqa: PLC0415 - nbclient has imported it

    from jupyter_core.utils import ensure_async  # noqa: PLC0415 - as nbclient

    sent: list[asyncio.Task[None]] = []  # a task that nobody holds can be collected

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        loop = asyncio.get_running_loop()
        send = ensure_async(client.km.interrupt_kernel())
        loop.call_soon_threadsafe(lambda: sent.append(loop.create_task(send)))

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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

"""Real kernels, driven as front ends drive them."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_S = 60.0


@dataclass
class Result:
    """What one execution of a cell has shown."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] | None = None
    error_at: float = 0.0  # by the kernel's clock, in seconds since 1970

    def text(self, name: str = "stdout") -> str:
        """Return what went to a stream."""
        return "".join(o["text"] for o in self.outputs if o.get("name") == name)

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Return kind and plain text of each display."""
        return [(o["kind"], o["data"].get("text/plain")) for o in self.outputs if "data" in o]

    @property
    def value(self) -> str | None:
        """Return the plain text of the result."""
        found = [text for kind, text in self.shown if kind == "execute_result"]
        return found[-1] if found else None

    @property
    def traceback(self) -> str:
        """Return the traceback, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join((self.error or {}).get("traceback", [])))


class Kernel:
    """A kernel, in a folder, that executes cells as a front end does."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self._env = {**os.environ, "STEPBOOK_BOOK": str(folder / "stepbook.duckdb"), **env}
        self.start()

    def start(self) -> None:
        """Start the process."""
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(self.folder), env=self._env)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=LONGEST_S)

    def run(self, code: str, cell_id: str | None = None, **how: bool) -> Result:
        """Execute a cell."""
        return self.collect(self.send(code, cell_id, **how))

    def ok(self, code: str, cell_id: str | None = None) -> Result:
        """Execute a cell that must not fail."""
        result = self.run(code, cell_id)
        assert result.error is None, result.traceback
        return result

    def send(
        self,
        code: str,
        cell_id: str | None = None,
        *,
        silent: bool = False,
        store_history: bool = True,
    ) -> str:
        """Send a cell and return the id of the message."""
        client = self.client
        content = {
            "code": code,
            "silent": silent,
            "store_history": store_history,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        metadata = {} if cell_id is None else {"cellId": cell_id}
        message = client.session.msg("execute_request", content, metadata=metadata)
        client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def wait_for(self, request: str, text: str) -> None:
        """Wait until a cell has printed a text; `collect` returns what it shows after that."""
        while True:
            message = self.client.get_iopub_msg(timeout=LONGEST_S)
            of_cell = message["parent_header"].get("msg_id") == request
            if of_cell and text in message["content"].get("text", ""):
                return

    def collect(self, request: str) -> Result:
        """Return what a cell shows until it has ended."""
        result = Result()
        while True:
            message = self.client.get_iopub_msg(timeout=LONGEST_S)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                last = result.outputs[-1] if result.outputs else {}
                if last.get("name") == content["name"]:
                    last["text"] += content["text"]
                else:
                    result.outputs.append(dict(content))
            elif kind in ("display_data", "execute_result", "update_display_data"):
                result.outputs.append({"kind": kind, **content})
            elif kind == "error":
                assert result.error is None, "an error was reported twice"
                result.error = content
                result.error_at = message["header"]["date"].timestamp()
            elif kind == "status" and content["execution_state"] == "idle":
                break
        while True:
            reply = self.client.get_shell_msg(timeout=LONGEST_S)
            if reply["parent_header"]["msg_id"] == request:
                break
        if reply["content"]["status"] == "error" and result.error is None:
            result.error = reply["content"]  # a UsageError is shown as text
        return result

    def value(self, expression: str) -> Any:
        """Return the value of an expression whose repr can be read."""
        result = self.ok(f"print(repr({expression}))")
        return ast.literal_eval(result.text())

    def kill(self) -> None:
        """End the process as a crash would."""
        pid = self.manager.provisioner.pid
        with contextlib.suppress(ProcessLookupError):  # a cell has ended it already
            os.kill(pid, signal.SIGKILL)
        self.manager.provisioner.process.wait()
        self.client.stop_channels()
        self.manager.cleanup_resources()

    def restart(self) -> None:
        """Kill the process and start another."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End the process as a front end does."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)

"""A session in a real kernel, as a front end drives it."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import signal
from typing import TYPE_CHECKING, Any

from .sessions import BOOK, Seen, code_of, is_plain

if TYPE_CHECKING:
    from .sessions import Session

_LIMIT_S = 60.0
_BEGIN = """\
import random, numpy, warnings, sys
random.seed("fidelity"); numpy.random.seed(20)
warnings.resetwarnings(); warnings.simplefilter("ignore")
if {recorded}:
    from stepbook.errors import StepbookWarning
    warnings.filterwarnings("always", category=StepbookWarning)
del random, numpy, warnings, sys
globals().pop("StepbookWarning", None)
"""
_END = """\
def _fidelity():
    import json
    from fidelity import sessions
    names = globals()
    seen = {{look: sessions.look_at(look, names) for look in {look!r}}}
    done = sessions.attempts() if {recorded} else {{}}
    print("FIDELITY", ascii(json.dumps([seen, done])))
_fidelity()
"""


def perform_in_kernel(session: Session) -> Seen:
    """Execute a session in a kernel of its own, which ends with it."""
    from jupyter_client.manager import KernelManager  # noqa: PLC0415 - few sessions need one

    manager = KernelManager(kernel_name="python3")
    environment = {**os.environ, "STEPBOOK_BOOK": str(session.folder / BOOK)}
    manager.start_kernel(cwd=str(session.folder), env=environment)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=_LIMIT_S)
        return _perform(session, manager, client)
    finally:
        client.stop_channels()
        with contextlib.suppress(ProcessLookupError):
            os.kill(manager.provisioner.pid, signal.SIGKILL)
        manager.cleanup_resources()


def _perform(session: Session, manager: Any, client: Any) -> Seen:
    seen, printed = Seen(), []

    def run(code: str) -> str | None:
        """Execute a cell; return its error, as one line."""
        texts: list[str] = []
        reply = client.execute_interactive(
            code, timeout=_LIMIT_S, allow_stdin=False, output_hook=lambda m: texts.append(_text(m))
        )
        printed.append("".join(texts))
        content = reply["content"]
        return None if content["status"] == "ok" else f"{content['ename']}: {content['evalue']}"

    run(_BEGIN.format(recorded=session.recorded))
    before: dict[str, int] = {}
    if session.recorded:
        run("%load_ext stepbook")
        run("%stepbook run fidelity")
        before = _read(run, printed, (), recorded=True)[1]
        printed.clear()
    for turn in session.turns:
        stepped = session.recorded and not is_plain(turn)
        if stepped and turn.redo:
            run(f"%stepbook redo cell {turn.number}")
        error = run(code_of(turn) if stepped else turn.text)
        if error is not None and not turn.fails:
            seen.errors.append(f"cell {turn.number}: {error}"[:400])
        if session.recorded and turn.kill_after:
            os.kill(manager.provisioner.pid, signal.SIGKILL)
            return seen
    seen.looks, after = _read(run, printed, session.look, recorded=session.recorded)
    seen.executed = sorted(int(n) for n, last in after.items() if last > before.get(n, 0))
    if session.folds and session.recorded:
        run("import stepbook; stepbook.connect().close()")
    seen.hear("".join(printed))
    return seen


def _read(run: Any, printed: list[str], look: tuple[str, ...], *, recorded: bool) -> Any:
    """Return what the looks show, and the attempts of the steps, from within the kernel."""
    run(_END.format(look=list(look), recorded=recorded))
    found = re.search(r"^FIDELITY (.*)$", printed.pop(), re.MULTILINE)
    return json.loads(ast.literal_eval(found[1])) if found else ({}, {})


def _text(message: Any) -> str:
    return message["content"]["text"] if message["msg_type"] == "stream" else ""

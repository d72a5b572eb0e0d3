"""A forked child that leaves a body: it is not the process that executes the step.

What stands around the body is the parent's: a kernel that serves its front end, a pool of threads
that waits for work, the blocks of a run. A child that went on there would never end, or do the
parent's work once more.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

from ..system.console import in_ipython


def end_child(error: BaseException) -> None:
    """End this forked child, which leaves a body with *error*, if it must not go on.

    ``sys.exit`` ends it at once, with its code. In a kernel or a shell of IPython every other way
    out of a body ends it, too: there would be two of them.
    """
    if isinstance(error, SystemExit):
        code = error.code
        if code is not None and not isinstance(code, int):
            _say(str(code) + "\n")
            code = 1
    elif in_ipython():
        _say("".join(traceback.format_exception(error)))
        code = 1
    else:
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # whatever stands there
            stream.flush()
    os._exit((code or 0) & 0xFF)


def _say(text: str) -> None:
    with contextlib.suppress(Exception):  # as above
        sys.stderr.write(text)

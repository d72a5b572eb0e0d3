"""The child's end of the harness: make one object, then do what each line asks.

Started as `python -m benchmarks._worker MODULE:CLASS FOLDER`. A request is a line
`{"call": METHOD, "with": {...}}`; each answer, and a first one when the object is made,
is a line `{"value": ...}` or `{"error": ...}`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def main(target: str, folder: str) -> None:
    # What a peer prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(call: Callable[[], object]) -> object:
        value = None
        try:
            value = call()
            message = {"value": value}
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent reports it
            traceback.print_exc()
            message = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(message) + "\n")

    module, _, name = target.partition(":")
    made: list[object] = []
    answer(lambda: made.append(getattr(importlib.import_module(module), name)(Path(folder))))
    for line in sys.stdin:
        request = json.loads(line)
        answer(lambda request=request: getattr(made[0], request["call"])(**request["with"]))


if __name__ == "__main__":
    main(*sys.argv[1:])

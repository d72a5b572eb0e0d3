"""A process that reads back what another has written, and compares; for tests of values.

Each request is a pickle of (folder, text, original) on standard input, each answer a pickle of
None or the text of what went wrong.
"""

from __future__ import annotations

import pickle
import sys
import traceback
from pathlib import Path

from sameness import assert_same

from stepbook.record.artifacts import Artifacts
from stepbook.values.codec import Codec


def main():
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            folder, text, original = pickle.load(source)
        except EOFError:
            return
        try:
            codec = Codec(Artifacts(Path(folder, "files"), Path(folder, "lock")))
            assert_same(original, codec.decode(text))
            answer = None
        except Exception:  # noqa: BLE001 - the one who asked raises it
            answer = traceback.format_exc()
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()

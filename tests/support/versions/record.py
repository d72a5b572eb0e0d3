"""Records a book, as any version of stepbook can: argument 1 is its path.

One run has succeeded, one has failed, and of one the process died in a step: that run is in its
journal only. Nothing of the machine that records is kept, so that the book can be checked in.
"""

import contextlib
import os
import platform
import socket
import sys
from pathlib import Path

import duckdb

import stepbook
from stepbook.model import failures

script = Path(__file__).resolve()
sys.argv[0] = sys.modules["__main__"].__file__ = "review.py"
platform.node = socket.gethostname = lambda: "host"
platform.platform = lambda: "platform"
os.environ.pop("JPY_SESSION_NAME", None)
clean, here = failures._clean, str(script.parents[3])
failures._clean = lambda text: clean(text).replace(here, "")


def load(patient):
    return {"id": patient, "name": "Åsa 🩺", "weights": [71.5, 10**30, None]}


def refuse():
    raise ConnectionError("the mail server refuses")


def die():
    print(duckdb.__version__, flush=True)
    os._exit(0)


book = stepbook.connect(sys.argv[1])
with book.run("health-review", key="p-1", input={"patient_id": "p-1"}) as run:
    run.do("Load profile", load, "p-1")
    run.log("loaded", patient="p-1")
    book.deliver_scan(run.id, {"ok": True})
    run.wait_for_scan(timeout=60)
    run.sleep("Pause", 0)
    run.finish({"sent": True})
with contextlib.suppress(ConnectionError), book.run("health-review", key="p-2") as run:
    run.do("Load profile", load, "p-2")
    run.do("Send notification", refuse)
run = book.run("train", key="k")
run.do("Fit", lambda: [0.1, 0.2])
run.do("Evaluate", die)

"""Goes on with the book of record.py: argument 1 is its path, 2 the key of one more run.

Prints as JSON which DuckDB it used, which bodies were executed, and what it read.
"""

import json
import sys

import duckdb

import stepbook

executed = []


def body(name, value=None):
    def execute():
        executed.append(name)
        return value

    return execute


def other(run):
    """Return what executes steps with other bodies than those that are recorded."""
    return run.options(on_change="ignore")


book = stepbook.connect(sys.argv[1])
runs = book.runs()
statuses = dict(zip(runs["key"], runs["status"], strict=True))
with book.run("health-review", key="p-1", input={"patient_id": "p-1"}) as run:
    profile = other(run).do("Load profile", body("p-1: Load profile"))
    scan = run.wait_for_scan(timeout=0)
    run.sleep("Pause", 3600)
    frame = run.steps()
    steps = dict(zip(frame["name"], frame["return"], strict=True))
    logs = list(run.logs()["message"])
with book.run("health-review", key="p-2") as run:
    other(run).do("Load profile", body("p-2: Load profile"))
    other(run).do("Send notification", body("p-2: Send notification", "sent"))
    attempts = list(run.attempts()["status"])
    run.finish()
with book.run("train", key="k") as run:
    fit = other(run).do("Fit", body("k: Fit"))
    other(run).do("Evaluate", body("k: Evaluate", 0.9))
    run.finish(0.9)
with book.run("health-review", key=sys.argv[2]) as run:
    other(run).do("Load profile", body(f"{sys.argv[2]}: Load profile", {"id": sys.argv[2]}))
    run.finish()
count = int(book.sql("SELECT count(*) AS n FROM steps WHERE status = 'succeeded'")["n"][0])
book.close()
told = {
    "duckdb": duckdb.__version__,
    "statuses": statuses,
    "executed": executed,
    "profile": profile,
    "scan": scan,
    "steps": steps,
    "logs": logs,
    "attempts": attempts,
    "fit": fit,
    "succeeded": count,
}
print(json.dumps(told))

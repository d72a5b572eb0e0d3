"""The loop of ``stepbook demo``: what one pass executes, in a process of its own."""

from __future__ import annotations

import csv
import json
import statistics
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..api.book import connect

if TYPE_CHECKING:
    from ..api.run import Run
    from ..engine.context import StepContext

LOOP: Final = "health-review"
DATA: Final = Path(__file__).parents[1] / "data" / "diabetes.csv"
#: Begins the line by which a body that executes tells so to whoever started this process.
WITNESS: Final = "executed: "


def health_review(run: Run, patient: str, service: str) -> None:
    """Review one patient: four steps, of which the last needs an outside service."""
    profile = run.do("Load profile", load_profile, patient)
    run.do("Generate health scan", generate_scan, patient)
    scan = run.wait_for_scan(timeout="30 minutes")
    sent = run.do("Send notification", notify, service, profile, scan)
    run.finish({"patient": patient, "accepted": sent["answer"]["accepted"]})


def load_profile(patient: str) -> dict[str, Any]:
    """Return a patient's baseline, from the records of the study."""
    print(WITNESS + "Load profile", flush=True)  # noqa: T201 - seen by the demo
    for record in records():
        if record["patient_id"] == patient:
            del record["progression"]  # a year later: that is what the scan is for
            return record
    raise LookupError(f"there is no patient {patient}")


def generate_scan(patient: str, ctx: StepContext) -> dict[str, Any]:
    """Open the session that the device will answer."""
    print(WITNESS + "Generate health scan", flush=True)  # noqa: T201
    session = ctx.scan.create(expires_in="1 hour", metadata={"patient": patient})
    return {"status": session["status"], "expires_at": session["expires_at"]}


def notify(service: str, profile: dict[str, Any], scan: dict[str, Any]) -> dict[str, Any]:
    """Post the outcome to the service and return its answer."""
    print(WITNESS + "Send notification", flush=True)  # noqa: T201
    median = statistics.median(record["progression"] for record in records())
    message = {
        "patient": profile["patient_id"],
        "progression": scan["progression"],
        "above_median": scan["progression"] > median,
    }
    request = urllib.request.Request(  # noqa: S310 - the demo's own http address
        service, json.dumps(message).encode(), {"Content-Type": "application/json"}
    )
    # The service is on this machine: a proxy that is set for the internet cannot reach it.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as answer:
        return {"status": answer.status, "sent": message, "answer": json.load(answer)}


def records() -> list[dict[str, Any]]:
    """Return the patients of the study, with numbers as numbers."""
    with DATA.open(newline="", encoding="utf-8") as file:
        return [
            {k: v if k == "patient_id" else json.loads(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def main(book: str, patient: str, service: str, which: str) -> None:
    """Walk through the loop once: a new run, or the latest one again."""
    with connect(book).run(LOOP, input={"patient_id": patient}, new=which == "new") as run:
        health_review(run, patient, service)


if __name__ == "__main__":
    main(*sys.argv[1:])

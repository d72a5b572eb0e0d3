"""``stepbook demo``: a run that fails at its last step and resumes in a new process.

Nothing is staged. Each pass is a Python process, the scan is delivered by another one through the
command line, and the notification goes to an HTTP service that refuses the first time.
"""

from __future__ import annotations

import http.server
import inspect
import secrets
import shlex
import subprocess
import sys
import threading
from contextlib import contextmanager
from http import HTTPStatus
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..engine import runs
from ..errors import StepbookError
from ..model.rows import FAILED, SUCCEEDED
from ..record import listing
from ..show.text import Role, Span
from ..show.words import counted
from . import demo_loop, terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..engine.books import OpenBook
    from ..record.ledger import State

BOOK: Final = "stepbook-demo.duckdb"
PATIENT: Final = "p-17"
_WAITING: Final = "Waiting for scan"  # how the announcement of a wait begins
_PASS_S: Final = 60.0  # a pass takes a second or two; nobody waits for one that hangs
#: -P: a csv.py in the folder where somebody tries this is none of the demo's business.
_PYTHON: Final = (sys.executable, "-P", "-m")


class _Service(http.server.ThreadingHTTPServer):
    """A notification service on loopback; the first post is refused, whatever it says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        # Others on this machine can reach the port; without the token they get nothing.
        self.path = f"/notify/{secrets.token_urlsafe(16)}"
        self.received: list[dict[str, object]] = []
        self.refused = 0

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.server_address[1]}{self.path}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Service

    def do_POST(self) -> None:
        message = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not secrets.compare_digest(self.path.encode(), self.server.path.encode()):
            self.send_error(HTTPStatus.NOT_FOUND)
        elif not self.server.refused:
            self.server.refused += 1
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            self.server.received.append(loads(message))
            body = dumps({"accepted": len(self.server.received)}).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the demo tells what arrived."""


@contextmanager
def _service() -> Iterator[_Service]:
    with _Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Pass:
    """One walk through the loop, in a process of its own."""

    def __init__(self, book: OpenBook, service: str, which: str) -> None:
        self.book, self.service, self.which = book, service, which
        self.executed: list[str] = []
        self.said: list[str] = []
        self.delivered = ""

    def walk(self, story: _Story) -> None:
        """Start the process, deliver what it waits for, and return when it has ended."""
        arguments = [str(self.book.path), PATIENT, self.service, self.which]
        process = subprocess.Popen(  # noqa: S603 - this Python, arguments from here
            [*_PYTHON, demo_loop.__name__, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        limit = threading.Timer(_PASS_S, process.kill)
        limit.start()
        try:
            assert process.stdout is not None  # noqa: S101 - PIPE
            assert process.stderr is not None  # noqa: S101
            witness = threading.Thread(target=self._witness, args=(process.stdout,), daemon=True)
            witness.start()
            for line in process.stderr:
                self.said.append(line.rstrip())
                if line.startswith(_WAITING) and not self.delivered:
                    self.delivered = deliver(self.book)
                    story.delivered(self.delivered)
            process.wait()
            witness.join()
        finally:
            limit.cancel()
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]
            process.stderr.close()  # type: ignore[union-attr]

    def _witness(self, lines: Iterator[str]) -> None:
        for line in lines:
            if line.startswith(demo_loop.WITNESS):
                self.executed.append(line.removeprefix(demo_loop.WITNESS).rstrip())

    def problem(self) -> str:
        """Return why the process ended, in its own words."""
        return self.said[-1] if self.said else f"it took longer than {_PASS_S:g} s"


def deliver(book: OpenBook) -> str:
    """Deliver the scan through the command line, as a device would, and return the command.

    Raises:
        StepbookError: the command failed.
    """
    patient = next(one for one in demo_loop.records() if one["patient_id"] == PATIENT)
    payload = dumps({"device": "scan-3", "progression": patient["progression"]})
    arguments = ["deliver", demo_loop.LOOP, payload, "--book", str(book.path)]
    done = subprocess.run(  # noqa: S603 - this Python, arguments from here
        [*_PYTHON, "stepbook", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_PASS_S,
        check=False,
    )
    if done.returncode:
        raise StepbookError(f"the scan could not be delivered: {done.stderr.strip()}")
    return (
        shlex.join(["stepbook", *arguments[:3]]) + f" \\\n      --book {shlex.quote(_near(book))}"
    )


def _near(book: OpenBook) -> str:
    """Return the book's path as a person would type it here."""
    assert book.path is not None  # noqa: S101 - the demo's book is a file
    try:
        return f"./{book.path.relative_to(Path.cwd()).as_posix()}"
    except ValueError:
        return str(book.path)


class _Story:
    """What the demo tells."""

    def __init__(self) -> None:
        self._screen = terminal.console()

    def say(self, *parts: tuple[str, Role]) -> None:
        """Print one line."""
        terminal.show([Span(*part) for part in parts], self._screen)

    def opening(self) -> None:
        """Show the loop that is about to run: its very code."""
        self.say(("stepbook demo", "title"), ("  a review of one patient, in four steps", "quiet"))
        self.say()
        code = inspect.getsource(demo_loop.health_review).splitlines()
        for line in code:
            if '"""' not in line:
                self.say(("  " + line, "code"))

    def heading(self, title: str, rest: str) -> None:
        """Begin a part."""
        self.say()
        self.say((title, "title"), ("  " + rest if rest else "", "quiet"))

    def delivered(self, command: str) -> None:
        """Tell how the scan came."""
        self.say(("  The run waits for its scan. Another process delivers it:", "value"))
        for line in f"  $ {command}".splitlines():
            self.say((line, "code"))

    def outcome(self, state: State, executed: Sequence[str], replayed: int) -> None:
        """Show the timeline of a pass, and what it did."""
        self.say()
        terminal.timeline(state.run, list(state.steps.values()), self._screen)
        self.say()
        steps = counted(replayed, "step")
        self.say(("  bodies executed  ", "quiet"), (", ".join(executed) or "none", "value"))
        self.say(
            ("  replayed         ", "quiet"),
            (f"{steps}, from the record" if replayed else "none", "value"),
        )

    def ending(self, book: OpenBook) -> None:
        """Say where the record is, and what can be done with it."""
        near = shlex.quote(_near(book))
        self.heading("The book", "a DuckDB file that SQL and pandas read")
        self.say((f"  {_near(book)}", "value"))
        self.heading("Try next", "")
        for command, why in (
            (f"export STEPBOOK_BOOK={near}", "the book to read"),
            ("stepbook runs", "its runs"),
            ("stepbook show health-review --logs", "the latest, with its logs"),
            ("stepbook steps health-review --format json", "its steps, every field"),
            ("stepbook doctor", "whether all is well"),
        ):
            self.say((f"  {command:<46}", "code"), (why, "quiet"))


def play(path: str | None) -> None:
    """Play the demo.

    Args:
        path: the book to record to; without it one in the current folder.

    Raises:
        StepbookError: it did not go as it should; the message says where.
    """
    book = runs.book_at(Path.cwd() / BOOK if path is None else path)
    story = _Story()
    story.opening()
    with _service() as server:
        story.heading("First pass", "a new Python process")
        first = _Pass(book, server.url, "new")
        first.walk(story)
        state = _expect(book, first, FAILED)
        if server.refused != 1:
            raise StepbookError("the service was not asked in the first pass.")
        story.say(("  The service refuses the notification: ", "value"), ("503", "failed"))
        story.outcome(state, first.executed, _replayed(book, state))
        story.heading("Second pass", "the same code again, in another new process")
        second = _Pass(book, server.url, "again")
        second.walk(story)
        again = _expect(book, second, SUCCEEDED)
    story.outcome(again, second.executed, _replayed(book, again))
    story.ending(book)


def _expect(book: OpenBook, walk: _Pass, status: str) -> State:
    """Return the state of the run as another process has recorded it."""
    if not book.records.exists:
        raise StepbookError(f"the demo recorded nothing: {walk.problem()}")
    state = book.peek(book.resolve(demo_loop.LOOP))
    if state.run.status != status:
        raise StepbookError(
            f"the run is {state.run.status} where {status} was expected: {walk.problem()}"
        )
    return state


def _replayed(book: OpenBook, state: State) -> int:
    """Return how many steps the last pass has replayed, as the book has it."""
    return int(listing.passes(book.records, state.run.id)[-1]["replayed"])

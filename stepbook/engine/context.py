"""The step that is executing: what its body can ask and say."""

from __future__ import annotations

import functools
import math
import time
import warnings
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidInputError, NoStepError, StepbookWarning
from ..model.rows import DEFAULT_SCAN, Level
from .attempt import Attempt, clean, current, log_row, noted
from .process import StaysHere
from .sessions import create_scan

if TYPE_CHECKING:
    from random import Random

    import numpy as np

    from ..model.durations import Duration

_PROGRESS_EVERY_S: Final = 0.1
_CALL_HERE: Final = (
    "Give the workers the data that they need, and call ctx in the body of the step, with what "
    "they return."
)


def context() -> StepContext:
    """Return the context of the step that is executing here.

    Works in the body and in whatever it calls, tasks and the threads of ``map`` included.

    Raises:
        NoStepError: no step is executing here.

    Example:
        >>> stepbook.context().log("half way")
    """
    found = current.get()
    if found is None:
        raise NoStepError(
            "stepbook.context() was called outside of a step. Call it in the function that is "
            "given to run.do(name, fn), or in what that calls. A worker process has no step: have "
            "it return what is to be recorded."
        )
    return face(found)


def face(attempt: Attempt) -> StepContext:
    """Return what the body of an attempt sees of it; always the same object."""
    if attempt.face is None:
        attempt.face = StepContext(attempt)
    made: StepContext = attempt.face
    return made


class StepContext(StaysHere):
    """The step that is executing, as its body sees it.

    What a timer, a callback or a thread says when the attempt has ended changes nothing: late
    progress is dropped, a late message is recorded while the run is open here, and a late file or
    scan is refused.

    Attributes:
        run_id: id of the run.
        loop: name of the loop.
        name: name of the step.
        attempt: number of this attempt, from 1.
        scan: sessions of scans; see :meth:`ScanConnector.create`.
        rng: random numbers of the step's own, of NumPy.
        random: the same without NumPy.
    """

    __module__ = "stepbook"  # as people write it
    _instead = _CALL_HERE

    def __init__(self, attempt: Attempt) -> None:
        self.run_id = attempt.run.id
        self.loop = attempt.run.row.loop
        self.name = attempt.name
        self.attempt = attempt.number
        self.scan = ScanConnector(attempt)
        self._attempt = attempt

    def __repr__(self) -> str:
        return f"<StepContext {self.name!r}, attempt {self.attempt}>"

    @property
    def input(self) -> Any:
        """The input of the run, a fresh copy."""
        run = self._attempt.run
        return run.codec.decode(run.row.input, where="the input")

    @property
    def idempotency_key(self) -> str:
        """``run id:step name``: the same for every attempt, for outside services."""
        return f"{self.run_id}:{self.name}"

    @functools.cached_property
    def rng(self) -> np.random.Generator:
        """Random numbers of this step's own: a NumPy generator, seeded by run and step.

        Every attempt draws the same numbers, whatever other steps draw and in which order. Another
        run, or another name, draws others. The seed is
        ``random.Random(ctx.idempotency_key).getrandbits(128)``.

        Example:
            >>> run.do("Sample", lambda ctx: ctx.rng.choice(1000, size=10, replace=False))
        """
        import numpy as np  # noqa: PLC0415 - only for who draws

        return np.random.default_rng(self._seeded().getrandbits(128))

    @functools.cached_property
    def random(self) -> Random:
        """The same without NumPy: ``random.Random(ctx.idempotency_key)``.

        Example:
            >>> run.do("Wait a little", lambda ctx: time.sleep(ctx.random.uniform(0, 1)))
        """
        return self._seeded()

    def _seeded(self) -> Random:
        from random import Random  # noqa: PLC0415 - only for who draws

        return Random(self.idempotency_key)  # noqa: S311 - to be repeated, not to be secret

    def log(self, message: object, level: Level = "info", **metadata: Any) -> None:
        """Record a message of this step, at the moment it is said.

        After the end of the attempt, too, as long as the run is open here; said for a run that was
        let go it is dropped with a warning.

        Args:
            message: what to say; its ``str`` is recorded.
            level: one of debug, log, info, warn, error.
            metadata: JSON values that belong to it.

        Raises:
            InvalidInputError: the level is unknown.
        """
        text = self._attempt.run.codec.encode(metadata) if metadata else None
        row = log_row(message, level, self.name, text)
        ledger = self._attempt.run.ledger
        if ledger is None or not noted(ledger, row):
            warnings.warn(
                f"stepbook: the message {row.message!r} of the step {self.name!r} was not "
                f"recorded: the run {self.run_id} was let go of before. run.log() opens it again.",
                StepbookWarning,
                stacklevel=2,
            )

    def file(self, name: str) -> Path:
        """Return a path to write a file to, which is recorded when the step succeeds.

        Return the path from the body, alone or within a value, and a replay gives the path of the
        recorded file. That is read-only: copy it to change it. ``run.artifact(step)`` finds it,
        too.

        Args:
            name: what the file is called, without folders; its ending is kept.

        Raises:
            InvalidInputError: *name* is empty or holds a folder, or the book is in memory.
            StepError: the attempt has ended, or the run was let go of.

        Example:
            >>> def train(ctx):
            ...     path = ctx.file("model.joblib")
            ...     joblib.dump(fit(), path)
            ...     return path
        """
        if not isinstance(name, str) or Path(name).name != name or name in ("", ".."):
            raise InvalidInputError(f"a file is called by a name without folders, not {name!r}.")
        artifacts = self._attempt.run.codec.artifacts
        if artifacts is None:
            raise InvalidInputError("a book in memory has no files; ctx.file needs one on disk.")
        self._attempt.taking("files", "ctx.file")
        attempt = self._attempt
        if name not in attempt.files:
            if attempt.folder is None:
                attempt.folder = artifacts.workspace(self.run_id, self.name)
            attempt.files[name] = attempt.folder / name
        return attempt.files[name]

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Record how far the step is; shown on its row while it runs.

        Recorded at most ten times a second, and always when *done* reaches *total*; dropped when
        the attempt has ended or the run was let go of.

        Args:
            done: how much is done, in any unit.
            total: how much there is to do, in the same unit, if known.
            message: a few words on what is being done.

        Raises:
            InvalidInputError: *done* or *total* is no number.
        """
        now = time.monotonic()
        attempt = self._attempt
        if now - attempt.progress_at < _PROGRESS_EVERY_S and done != total:
            return
        attempt.progress_at = now
        ledger = attempt.takes()
        if ledger is None:
            return
        about = {
            "done": _number(done),
            "total": None if total is None else _number(total),
            "message": None if message is None else clean(message),
        }
        attempt.row = attempt.row._replace(progress=dumps(about, ensure_ascii=False))
        # An end that comes between is not undone by this: see is_late.
        noted(ledger, attempt.row)


def _number(value: Any) -> float | None:
    """Return a number as JSON has it; None for one that it does not have."""
    if isinstance(value, int):
        return int(value)
    try:
        exact = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(
            f"progress is told by numbers, as in ctx.progress(3, 10), not {value!r}."
        ) from error
    if not math.isfinite(exact):
        return None
    return int(exact) if exact.is_integer() else exact


class ScanConnector(StaysHere):
    """Creates the session of a scan, from within a step."""

    _instead = _CALL_HERE

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def create(
        self,
        *,
        expires_in: Duration | None = None,
        metadata: Any = None,
        name: str = DEFAULT_SCAN,
    ) -> dict[str, Any]:
        """Create the session of the scan that the run will wait for, and make it ready.

        A session that waits already is made ready; a body that is executed again finds the session
        it made before.

        Args:
            expires_in: how long the session can be delivered to, seconds or a text such as
                "1 hour"; without it as long as the run waits.
            metadata: any JSON value; kept with the session and shown with its results.
            name: the name of the wait that it is for.

        Returns:
            The session: ``{"id", "name", "status", "metadata", "expires_at"}``, all JSON, so that
            a step can return it.

        Raises:
            InvalidInputError: *expires_in* cannot be read.
            NotSerializableError: *metadata* is not JSON.
            StepError: the attempt has ended, or the run was let go of.
        """
        ledger = self._attempt.taking("sessions of scans", "ctx.scan.create")
        return create_scan(self._attempt.run, ledger, name, expires_in, metadata)

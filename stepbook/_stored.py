"""What a run's values are when they are not in memory: in the tables, and in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._decode import files_in
from ._errors import ArtifactError, StepError, StepNotFoundError
from ._model import SUCCEEDED
from ._revise import known

if TYPE_CHECKING:
    from pathlib import Path

    from ._book import Book
    from ._model import StepRow
    from ._run import Run

#: Characters of values that are read at once.
_AHEAD: Final = 8 * 1024 * 1024


def values(book: Book, run_id: str, step: StepRow) -> dict[tuple[str, int], str]:
    """Return the value of a step that was left on disk, and those of the steps behind it.

    By name and attempt: what has been executed again since is another value.

    Raises:
        StepError: the tables have no value of this attempt.
    """
    book._records.fold_open()
    key = step.name, step.attempt
    with book._records.store.reading() as reader:
        found = reader.values(run_id, step.seq, _AHEAD)
        text = found.get(key) or reader.value(run_id, *key)
    if text is None:
        raise StepError(
            f"the step {step.name!r} of run {run_id} has succeeded, but the tables hold no value "
            f"of its attempt {step.attempt}: somebody has changed them. "
            f"run.redo({step.name!r}) has it executed again."
        )
    found[key] = text
    return found


def whole(book: Book, run_id: str, step: StepRow) -> StepRow:
    """Return *step* with its value, which may have been left on disk, to be recorded again."""
    if not step.left_on_disk:
        return step
    return step._replace(value=values(book, run_id, step)[step.name, step.attempt])


def artifact(run: Run, name: str, file: str | None) -> Path:
    """See ``Run.artifact``."""
    step = known(run._look(), run.id, name)
    if step.status != SUCCEEDED:
        raise StepNotFoundError(f"the step {name!r} is {step.status}: it has no value yet.")
    files = files_in(run._value(step) if step.value is None else step.value)
    if not files:
        raise ArtifactError(
            f"{name}: its value is small and stands in the record itself: run.do gives it, and "
            "run.steps() shows it."
        )
    if file is None and "$" not in files and len(files) > 1:
        raise ArtifactError(f"{name}: it has several files. Name one: {', '.join(files)}.")
    chosen = file or ("$" if "$" in files else next(iter(files)))
    artifacts = run._codec.artifacts
    if chosen not in files or artifacts is None:
        raise ArtifactError(f"{name}: it has no file {chosen!r}, only {', '.join(files)}.")
    path = artifacts.path(files[chosen])
    if not path.exists():
        raise ArtifactError(f"{name}: its file {path} is missing.")
    return path

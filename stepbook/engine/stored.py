"""The files behind a run's values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ArtifactError, StepNotFoundError
from ..model.rows import SUCCEEDED
from ..values.reader import files_in
from .meant import known

if TYPE_CHECKING:
    from pathlib import Path

    from .opened import OpenRun


def artifact(run: OpenRun, name: str, file: str | None) -> Path:
    """See ``Run.artifact``."""
    step = known(run.look(), run.id, name)
    if step.status != SUCCEEDED:
        raise StepNotFoundError(f"the step {name!r} is {step.status}: it has no value yet.")
    if step.executes_again:
        raise ArtifactError(f"{name}: it has no file, as its value is not stored ({step.policy}).")
    files = files_in(run.value(step) if step.value is None else step.value)
    if not files:
        raise ArtifactError(
            f"{name}: its value is small and stands in the record itself: run.do gives it, and "
            "run.steps() shows it."
        )
    if file is None and "$.parts.files[0]" in files:
        raise ArtifactError(
            f"{name}: its value shares parts with others, and no file holds the whole of it: "
            f"run.do gives it. To have a file with parts of it, name one: {', '.join(files)}."
        )
    if file is None and "$" not in files and len(files) > 1:
        raise ArtifactError(f"{name}: it has several files. Name one: {', '.join(files)}.")
    chosen = file or ("$" if "$" in files else next(iter(files)))
    artifacts = run.codec.artifacts
    if chosen not in files or artifacts is None:
        raise ArtifactError(f"{name}: it has no file {chosen!r}, only {', '.join(files)}.")
    path = artifacts.path(files[chosen])
    if not path.exists():
        raise ArtifactError(f"{name}: its file {path} is missing.")
    return path

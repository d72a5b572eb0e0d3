"""Compares what the witness has seen with what is in the book, when nobody works on it."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING, Any, Final

import duckdb

import stepbook
from stepbook.cli.checks import examine

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from .story import Step, Story

#: How many runs are walked once more after each round.
_WALKED: Final = 6
_STEPS: Final = """
    SELECT r.loop, r.key, s.name, s.status, s.attempt, s."return"::VARCHAR, c.variables::VARCHAR
    FROM steps AS s JOIN runs AS r ON r.id = s.run_id
    LEFT JOIN cells AS c ON c.run_id = s.run_id AND c.step = s.name AND c.attempt = s.attempt
"""
_ATTEMPTS: Final = """
    SELECT r.loop, r.key, a.name, count(*), max(a.attempt), min(a.attempt),
        count(*) FILTER (a.status = 'succeeded'),
        count(*) FILTER (a.status = 'running' AND a.kind <> 'scan')
    FROM attempts AS a JOIN runs AS r ON r.id = a.run_id GROUP BY ALL
"""


def faults(story: Story, path: Path, chance: random.Random) -> list[str]:
    """Return what in the book is not as the witness has it."""
    if not path.exists():
        return [] if not story.steps else ["there is no book"]
    found: list[str] = []
    for check in (
        lambda: _doctor(path, "before the tables were brought up to date"),
        lambda: _folded(path),
        lambda: _tables(story, path),
        lambda: _walks(story, path, chance),
        lambda: _doctor(path, "after all runs were closed"),
    ):
        try:
            with _quietly():
                found += check()
        except (stepbook.StepbookError, duckdb.Error) as error:
            found.append(f"the book cannot be read: {type(error).__name__}: {error}")
    return found


def _folded(path: Path) -> list[str]:
    """Bring the tables up to date."""
    book = stepbook.connect(path)
    book.runs()
    book.close()
    return []


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _doctor(path: Path, when: str) -> Iterator[str]:
    for checked in examine(stepbook.connect(path)._opened):
        for problem in checked.problems:
            yield f"doctor finds, {when}: {problem.where}: {problem.what}"


def _key(loop: str, key: str | None) -> str:
    return loop if loop.startswith("cells") else str(key)


def _tables(story: Story, path: Path) -> Iterator[str]:
    """Compare the tables, read by plain DuckDB."""
    with contextlib.closing(duckdb.connect(str(path), read_only=True)) as tables:
        rows = tables.execute(_STEPS).fetchall()
        attempts = tables.execute(_ATTEMPTS).fetchall()
        runs = tables.execute("SELECT loop, key, status, id FROM runs").fetchall()
    seen: dict[tuple[str, str], tuple[Any, ...]] = {}
    for loop, key, name, *rest in rows:
        if (_key(loop, key), name) in seen:
            yield f"{name} of {_key(loop, key)} is in the tables twice"
        seen[_key(loop, key), name] = tuple(rest)
    for key, steps in story.steps.items():
        for name, step in steps.items():
            yield from _step(f"{name} of {key}", step, seen.get((key, name)))
    for loop, key, name, count, last, first, succeeded, running in attempts:
        of = f"{name} of {_key(loop, key)}"
        if (first, last) != (1, count):
            yield f"{of} has {count} attempts, from {first} to {last}"
        step = story.steps.get(_key(loop, key), {}).get(name)
        if step is not None and succeeded > len(step.ends):
            yield f"{of} has succeeded {succeeded} times, and its body ended {len(step.ends)} times"
        if running > 1:
            yield f"{of} is executing {running} times"
    status = {_key(loop, key): status for loop, key, status, _ in runs}
    for key in story.finished:
        if status.get(key, "pruned" if key.startswith("short") else "missing") not in (
            "succeeded",
            "pruned",
        ):
            yield f"{key} was finished, and is {status.get(key, 'missing')}"


def _step(of: str, step: Step, row: tuple[Any, ...] | None) -> Iterator[str]:
    if row is None:
        if step.acknowledged and not step.void:
            yield f"{of} was acknowledged, and is not in the tables"
        return
    status, _, returned, variables = row
    if status == "succeeded":
        token = _token(returned, variables)
        if token is not None and token not in step.ends:
            yield f"{of} has succeeded with {token}, which no body has returned: {step.ends}"
        if not step.ends:
            yield f"{of} has succeeded, and no body has come to its end"
        if token is not None and step.acknowledged and not step.void and token != step.acknowledged:
            yield f"{of} is {token}, and {step.acknowledged} was acknowledged"
    elif step.acknowledged and not step.void:
        yield f"{of} was acknowledged, and is {status} in the tables"


def _token(returned: str | None, variables: str | None) -> str | None:
    """Return the token in what the tables hold, if it is not in a file."""
    held = json.loads(variables or returned or "null")
    token = held.get("token") if isinstance(held, dict) else None
    return token if isinstance(token, str) else None


def _walks(story: Story, path: Path, chance: random.Random) -> Iterator[str]:
    """Walk some runs once more: what was acknowledged replays, values in files as well."""
    keys = [
        key
        for key in sorted(story.steps)
        if not key.startswith(("cells", "short")) and key in story.opened
    ]
    for key in chance.sample(keys, min(len(keys), _WALKED)):
        book = stepbook.connect(path)
        loop = "scans" if key.startswith("scan") else "work"
        run = book.run(loop, key=key)
        for name, step in story.steps[key].items():
            if not step.acknowledged or step.void:
                continue
            executed: list[str] = []
            try:
                value = run.do(name, lambda executed=executed: executed.append("x"))
            except stepbook.StepbookError as error:
                yield f"{name} of {key} was acknowledged, and raises {error!r}"
                continue
            if executed:
                yield f"{name} of {key} was acknowledged, and was executed again by the check"
            elif value["token"] != step.acknowledged:
                yield f"{name} of {key} replays {value['token']}, not {step.acknowledged}"
        book.close()

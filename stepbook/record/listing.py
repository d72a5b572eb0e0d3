"""Rows for the command line: what ``Book.runs`` and ``Book.steps`` give, without pandas.

Importing pandas takes longer than everything that a command does.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from .tables.columns import TIMES, is_loop, names, order, selected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .records import Records

RUN_COLUMNS: Final = names("runs", without=("folded_seq",))
_OF_RUNS: Final = ("loop", "key", "input")
STEP_COLUMNS: Final = (
    "run_id",
    *_OF_RUNS,
    *names("steps", without=("run_id", "duration")),
)
PASS_COLUMNS: Final = ("executed", "replayed", "seconds_saved")
OUTPUT_COLUMNS: Final = ("step", "attempt", "outputs")
LOG_COLUMNS: Final = ("created_at", "level", "step", "message", "metadata")
Row = dict[str, Any]


def runs(records: Records, loop: str | None) -> list[Row]:
    """Return the runs, newest first.

    Raises:
        BookNotFoundError: there is no book.
    """
    return _rows(
        records,
        RUN_COLUMNS,
        f"SELECT {_select(RUN_COLUMNS)} FROM runs WHERE $1 IS NULL OR {is_loop('$1')} "  # noqa: S608
        f"ORDER BY {order()} DESC, id",
        [loop],
    )


def steps(records: Records, run_id: str | None, loop: str | None) -> list[Row]:
    """Return the steps of a run, of a loop's runs or of all, in the order they ran."""
    columns = ", ".join(selected(name, "r" if name in _OF_RUNS else "s") for name in STEP_COLUMNS)
    return _rows(
        records,
        STEP_COLUMNS,
        f"""SELECT {columns} FROM steps AS s JOIN runs AS r ON r.id = s.run_id
            WHERE ($1 IS NULL OR s.run_id = $1) AND ($2 IS NULL OR {is_loop("$2", "r")})
            ORDER BY {order("r")}, r.id, s.seq""",  # noqa: S608 - names from here
        [run_id, loop],
    )


def logs(records: Records, run_id: str) -> list[Row]:
    """Return the messages of a run, in the order they were said."""
    return _rows(
        records,
        LOG_COLUMNS,
        f"SELECT {_select(LOG_COLUMNS)} FROM logs WHERE run_id = $1 "  # noqa: S608 - as above
        "ORDER BY created_at, rowid",
        [run_id],
    )


def outputs(records: Records, run_id: str) -> list[Row]:
    """Return what the attempts of a run's steps have shown, in the order they ran."""
    columns = ", ".join(selected(name, "c") for name in OUTPUT_COLUMNS)
    return _rows(
        records,
        OUTPUT_COLUMNS,
        f"""SELECT {columns} FROM cells AS c JOIN steps AS s
            ON s.run_id = c.run_id AND s.name = c.step
            WHERE c.run_id = $1 AND c.outputs IS NOT NULL
            ORDER BY s.seq, c.attempt""",  # noqa: S608 - as above
        [run_id],
    )


def passes(records: Records, run_id: str) -> list[Row]:
    """Return what each pass of a run did, in order."""
    return _rows(
        records,
        PASS_COLUMNS,
        f"SELECT {_select(PASS_COLUMNS)} FROM passes WHERE run_id = $1 "  # noqa: S608 - as above
        "ORDER BY started_at",
        [run_id],
    )


def known(records: Records) -> tuple[list[str], list[str]]:
    """Return the ids of all runs and the names of all loops, for completion."""
    with records.store.reading(timeout=0.0) as reader:
        return reader.run_ids(), reader.loops()


def _select(wanted: Sequence[str]) -> str:
    return ", ".join(map(selected, wanted))


def _rows(
    records: Records, columns: Sequence[str], query: str, parameters: Sequence[Any]
) -> list[Row]:
    records.fresh()
    with records.store.reading() as reader:
        found = reader.execute(query, parameters)
    return [
        {name: _value(name, value) for name, value in zip(columns, row, strict=True)}
        for row in found
    ]


def _value(name: str, value: Any) -> Any:
    if name in TIMES and value is not None:
        try:
            return datetime.fromtimestamp(value / 1e6, UTC)
        except (ValueError, OverflowError, OSError):
            return None  # a time of no calendar: somebody has written it
    return value

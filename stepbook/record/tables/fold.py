"""The SQL of folds: how events of a journal get into the tables."""

from __future__ import annotations

from json import dumps
from typing import Final

from ...model.rows import ENDED, PENDING, PHASES, RUN_CREATED
from .columns import TABLES, TIMES, folded, staged

STAGE: Final = f"""
CREATE OR REPLACE TEMP TABLE staged AS
SELECT line.seq AS n, line.type AS type, line.row AS r
FROM (SELECT unnest(from_json($1,
  '[{{"seq": "BIGINT", "type": "VARCHAR", "row": {dumps(staged())}}}]')) AS line)
WHERE line.seq > $2
"""


#: What a run is created with: its first event is not needed to tell it.
_UNCHANGED: Final = {*RUN_CREATED, "id", "folded_seq"}
_CHANGING: Final = tuple(column for column in TABLES["runs"] if column.name not in _UNCHANGED)


def _into(table: str) -> tuple[str, str]:
    """Return the columns of a table and the values that go into them, as SQL lists them."""
    columns = TABLES[table]
    return ", ".join(f'"{c.name}"' for c in columns), ", ".join(map(folded, columns))


def _rank(row: str) -> str:
    """What only grows in the life of a step: its attempt, and how far that is."""
    phases = " ".join(f"WHEN '{status}' THEN {phase}" for status, phase in PHASES.items())
    return f"{row}attempt::BIGINT * 4 + CASE {row}status {phases} ELSE {ENDED} END"


#: Leaves out what comes too late for its step, as ``model.rows.is_late`` says, event by event.
_DROP_LATE: Final = f"""
DELETE FROM staged WHERE n IN (
  SELECT n FROM (
    SELECT n, rank, max(rank) OVER (PARTITION BY name ORDER BY n) AS reached
    FROM (
      SELECT n, r.name AS name, {_rank("r.")} AS rank FROM staged WHERE type = 'step'
      UNION ALL
      SELECT 0, name, {_rank("")} FROM steps
      WHERE run_id = $1 AND name IN (SELECT r.name FROM staged WHERE type = 'step')))
  WHERE rank < reached)
"""


def _latest(kind: str, key: str) -> str:
    """The newest staged event of each *key*."""
    # Numbers are compared, not whole rows: a window over them takes three times as long.
    return f"""
      SELECT r FROM staged
      WHERE n IN (SELECT max(n) FROM staged WHERE type = '{kind}' GROUP BY {key})"""


def _replace(table: str, kind: str, key: tuple[str, ...]) -> tuple[str, ...]:
    """Delete the rows of which *kind* has newer ones of the same *key*, then insert those."""
    of = {column.name: folded(column) for column in TABLES[table]}
    same = " AND ".join(f"{table}.{name} = {of[name]}" for name in key)
    latest = _latest(kind, ", ".join(of[name] for name in key))
    columns, values = _into(table)
    return (
        f"""DELETE FROM {table} USING ({latest}) AS new
            WHERE {table}.run_id = $1 AND {same}""",
        f"INSERT INTO {table} ({columns}) SELECT {values} FROM ({latest}) ORDER BY ALL",
    )


def _add(table: str, kind: str) -> str:
    columns, values = _into(table)
    return f"""INSERT INTO {table} ({columns})
               SELECT {values} FROM staged WHERE type = '{kind}' ORDER BY n"""


#: What moves the staged events of each type of run ``$1`` into the tables.
FOLD: Final[dict[str, tuple[str, ...]]] = {
    "run": (
        f"""UPDATE runs SET {", ".join(f"{c.name} = {folded(c)}" for c in _CHANGING)}
            FROM ({_latest("run", "r.id")}) AS new
            WHERE runs.id = $1""",
    ),
    "step": (
        _DROP_LATE,
        *_replace("steps", "step", ("name",)),
        *_replace("attempts", "step", ("name", "attempt")),
    ),
    "scan": _replace("scans", "scan", ("id",)),
    "pass": _replace("passes", "pass", ("started_at",)),
    "cell": _replace("cells", "cell", ("step", "attempt")),
    "log": (_add("logs", "log"),),
}


def _begin() -> str:
    places = {name: f"${at}" for at, name in enumerate(("id", *RUN_CREATED), start=1)}
    values = [
        f"make_timestamptz({place})" if name in TIMES else place for name, place in places.items()
    ]
    return f"""INSERT INTO runs ({", ".join(places)}, status, folded_seq)
               SELECT {", ".join(values)}, '{PENDING}', 0
               WHERE NOT EXISTS (FROM runs WHERE id = $1)"""


#: Adds the run ``$1``, if it is not there, with the values of :data:`RUN_CREATED`.
BEGIN: Final = _begin()

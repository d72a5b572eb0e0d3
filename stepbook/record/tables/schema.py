"""The tables of a book, as append-only migrations; the SQL of folds.

Each migration runs in one transaction with its record. A published migration never changes: a
later version appends one.

No keys and no indexes: DuckDB would not use a composite one for these queries, and they multiply
the size of the file by four (measured).
"""

from __future__ import annotations

from typing import Final

from ...model.rows import ENDED, PHASES

_ATTEMPT_COLUMNS: Final = """
  run_id VARCHAR NOT NULL,
  seq BIGINT NOT NULL,
  name VARCHAR NOT NULL,
  kind VARCHAR NOT NULL,
  parent VARCHAR,
  item VARCHAR,
  status VARCHAR NOT NULL,
  attempt INTEGER NOT NULL,
  started_at TIMESTAMPTZ,
  completed_at TIMESTAMPTZ,
  duration INTERVAL,
  seconds DOUBLE,
  "return" JSON,
  error JSON,
  fingerprint VARCHAR,
  stale BOOLEAN NOT NULL,
  handled BOOLEAN NOT NULL,
  progress JSON,
  cell_id VARCHAR
"""

#: One entry per schema version, in order; version 1 is the first.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE runs (
          id VARCHAR NOT NULL,
          loop VARCHAR NOT NULL,
          key VARCHAR NOT NULL,
          status VARCHAR NOT NULL,
          trigger_type VARCHAR NOT NULL,
          input JSON,
          output JSON,
          created_at TIMESTAMPTZ NOT NULL,
          started_at TIMESTAMPTZ,
          completed_at TIMESTAMPTZ,
          tags JSON,
          note VARCHAR,
          environment JSON,
          folded_seq BIGINT NOT NULL
        )""",
        f"CREATE TABLE steps ({_ATTEMPT_COLUMNS})",
        f"CREATE TABLE attempts ({_ATTEMPT_COLUMNS})",
        """CREATE TABLE cells (
          run_id VARCHAR NOT NULL,
          step VARCHAR NOT NULL,
          attempt INTEGER NOT NULL,
          source VARCHAR,
          variables JSON,
          outputs JSON
        )""",
        """CREATE TABLE passes (
          run_id VARCHAR NOT NULL,
          started_at TIMESTAMPTZ NOT NULL,
          executed BIGINT NOT NULL,
          replayed BIGINT NOT NULL,
          seconds_saved DOUBLE NOT NULL
        )""",
        """CREATE TABLE scans (
          id VARCHAR NOT NULL,
          run_id VARCHAR NOT NULL,
          step VARCHAR NOT NULL,
          status VARCHAR NOT NULL,
          metadata JSON,
          results JSON,
          created_at TIMESTAMPTZ NOT NULL,
          expires_at TIMESTAMPTZ,
          completed_at TIMESTAMPTZ
        )""",
        """CREATE TABLE logs (
          run_id VARCHAR NOT NULL,
          step VARCHAR,
          level VARCHAR NOT NULL,
          message VARCHAR NOT NULL,
          metadata JSON,
          created_at TIMESTAMPTZ NOT NULL
        )""",
    ),
)

SCHEMA_VERSION: Final = len(MIGRATIONS)

CREATE_META: Final = (
    "CREATE TABLE meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL)",
    "INSERT INTO meta VALUES ('format', 'stepbook'), ('book', $1), ('schema', '0')",
)

# ---- fold -----------------------------------------------------------------------------------

# JSON columns travel as text inside the JSON of a line: DuckDB would rewrite their numbers.
_ROW_STRUCTURE: Final = """{
  "id": "VARCHAR", "loop": "VARCHAR", "key": "VARCHAR", "status": "VARCHAR",
  "trigger_type": "VARCHAR", "input": "VARCHAR", "output": "VARCHAR", "tags": "VARCHAR",
  "note": "VARCHAR", "environment": "VARCHAR", "created_at": "BIGINT",
  "seq": "BIGINT", "name": "VARCHAR", "kind": "VARCHAR", "parent": "VARCHAR", "item": "VARCHAR",
  "attempt": "INTEGER", "started_at": "BIGINT", "completed_at": "BIGINT", "seconds": "DOUBLE",
  "return": "VARCHAR", "error": "VARCHAR", "fingerprint": "VARCHAR", "stale": "BOOLEAN",
  "handled": "BOOLEAN", "progress": "VARCHAR", "cell_id": "VARCHAR",
  "step": "VARCHAR", "metadata": "VARCHAR", "results": "VARCHAR", "expires_at": "BIGINT",
  "level": "VARCHAR", "message": "VARCHAR",
  "executed": "BIGINT", "replayed": "BIGINT", "seconds_saved": "DOUBLE",
  "source": "VARCHAR", "variables": "VARCHAR", "outputs": "VARCHAR"
}"""

STAGE: Final = f"""
CREATE OR REPLACE TEMP TABLE staged AS
SELECT line.seq AS n, line.type AS type, line.row AS r
FROM (SELECT unnest(from_json($1,
  '[{{"seq": "BIGINT", "type": "VARCHAR", "row": {_ROW_STRUCTURE}}}]')) AS line)
WHERE line.seq > $2
"""


def _us(column: str) -> str:
    return f"make_timestamptz(r.{column})"


_RUN_VALUES: Final = f"""
  r.status AS status, r.output AS output, {_us("started_at")} AS started_at,
  {_us("completed_at")} AS completed_at, r.tags AS tags, r.note AS note
"""
_STEP_VALUES: Final = f"""
  $1, r.seq, r.name, r.kind, r.parent, r.item, r.status, r.attempt,
  {_us("started_at")}, {_us("completed_at")},
  to_microseconds(CAST(round(r.seconds * 1000000) AS BIGINT)), r.seconds,
  r."return", r.error, r.fingerprint, coalesce(r.stale, false), coalesce(r.handled, false),
  r.progress, r.cell_id
"""


def _rank(row: str) -> str:
    """What only grows in the life of a step: its attempt, and how far that is."""
    phases = " ".join(f"WHEN '{status}' THEN {phase}" for status, phase in PHASES.items())
    return f"{row}attempt::BIGINT * 4 + CASE {row}status {phases} ELSE {ENDED} END"


#: Leaves out what comes too late for its step, as ``_model.is_late`` says, event by event.
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


def _replace(
    table: str, kind: str, columns: tuple[tuple[str, str], ...], values: str
) -> tuple[str, ...]:
    """Delete the rows of which *kind* has newer ones, then insert those."""
    same = " AND ".join(f"{table}.{column} = {source}" for column, source in columns)
    key = ", ".join(source for _, source in columns)
    latest = _latest(kind, key)
    return (
        f"""DELETE FROM {table} USING ({latest}) AS new
            WHERE {table}.run_id = $1 AND {same}""",
        f"INSERT INTO {table} SELECT {values} FROM ({latest}) ORDER BY ALL",
    )


#: What moves the staged events of each type of run ``$1`` into the tables.
FOLD: Final[dict[str, tuple[str, ...]]] = {
    "run": (
        f"""UPDATE runs SET status = new.status, output = new.output,
              started_at = new.started_at, completed_at = new.completed_at,
              tags = new.tags, note = new.note
            FROM (SELECT {_RUN_VALUES} FROM ({_latest("run", "r.id")})) AS new
            WHERE runs.id = $1""",
    ),
    "step": (
        _DROP_LATE,
        *_replace("steps", "step", (("name", "r.name"),), _STEP_VALUES),
        *_replace("attempts", "step", (("name", "r.name"), ("attempt", "r.attempt")), _STEP_VALUES),
    ),
    "scan": _replace(
        "scans",
        "scan",
        (("id", "r.id"),),
        f"""r.id, $1, r.step, r.status, r.metadata, r.results,
            {_us("created_at")}, {_us("expires_at")}, {_us("completed_at")}""",
    ),
    "pass": _replace(
        "passes",
        "pass",
        (("started_at", _us("started_at")),),
        f"$1, {_us('started_at')}, r.executed, r.replayed, r.seconds_saved",
    ),
    "cell": _replace(
        "cells",
        "cell",
        (("step", "r.step"), ("attempt", "r.attempt")),
        "$1, r.step, r.attempt, r.source, r.variables, r.outputs",
    ),
    "log": (
        f"""INSERT INTO logs
            SELECT $1, r.step, r.level, r.message, r.metadata, {_us("created_at")}
            FROM staged WHERE type = 'log' ORDER BY n""",
    ),
}

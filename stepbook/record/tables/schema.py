"""The tables of a book, as append-only migrations.

Each migration runs in one transaction with its record. A published migration never changes: a
later version appends one. What follows from the columns is in :mod:`.columns`.

No keys and no indexes: DuckDB would not use a composite one for these queries, and they multiply
the size of the file by four (measured).
"""

from __future__ import annotations

from typing import Final

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
    (
        "ALTER TABLE steps ADD COLUMN policy VARCHAR",
        "ALTER TABLE attempts ADD COLUMN policy VARCHAR",
    ),
    tuple(
        f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR"
        for table in ("steps", "attempts")
        for column in ("verdict", "changes", "reason")
    ),
)

SCHEMA_VERSION: Final = len(MIGRATIONS)

CREATE_META: Final = (
    "CREATE TABLE meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL)",
    "INSERT INTO meta VALUES ('format', 'stepbook'), ('book', $1), ('schema', '0')",
)

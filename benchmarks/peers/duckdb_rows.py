"""DuckDB by hand: a connection held open, an INSERT for each step."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from time import perf_counter

import duckdb

from . import Peer, body

SCHEMA = """
CREATE TABLE IF NOT EXISTS steps (
  run_id VARCHAR, seq BIGINT, name VARCHAR, status VARCHAR, started_at TIMESTAMPTZ,
  completed_at TIMESTAMPTZ, seconds DOUBLE, "return" JSON, error JSON)
"""
INSERT = "INSERT INTO steps VALUES (?, ?, ?, 'succeeded', ?, ?, ?, ?, NULL)"
SELECT = 'SELECT "return" FROM steps WHERE run_id = ? AND name = ?'
RUN = "0198f2b0-0000-7000-8000-000000000000"


class DuckDBRows(Peer):
    """One INSERT per step; DuckDB syncs each commit."""

    def open(self) -> None:
        self.connection = duckdb.connect(self.folder / "rows.duckdb")
        self.connection.execute(SCHEMA)
        self.seq = itertools.count(1)

    def close(self) -> None:
        self.connection.close()

    def record(self, name: str) -> object:
        started, clock = datetime.now(UTC), perf_counter()
        value = body()
        seconds = perf_counter() - clock
        row = (RUN, next(self.seq), name, started, datetime.now(UTC), seconds, json.dumps(value))
        self.connection.execute(INSERT, row)
        return value

    def replay(self, name: str) -> object:
        row = self.connection.execute(SELECT, (RUN, name)).fetchone()
        return json.loads(row[0])

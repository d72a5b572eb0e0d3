"""The questions that a book answers with DataFrames, as SQL."""

from __future__ import annotations

from typing import Final

from ...model.rows import RUN_ID
from .columns import is_loop, order

_RUNS: Final = "SELECT * EXCLUDE (folded_seq) FROM runs"

#: All runs, or those of the loop ``$1``, newest first.
RUNS: Final = f"{_RUNS} WHERE $1 IS NULL OR {is_loop('$1')} ORDER BY {order()} DESC, id"

#: Runs that are running or failed, newest first.
UNFINISHED: Final = f"{_RUNS} WHERE status IN ('running', 'failed') ORDER BY {order()} DESC, id"

#: For each step name of the loop ``$1``: the items of a map count as one by their sum in each run.
SUMMARY: Final = f"""
WITH one AS (
  SELECT coalesce(s.parent, s.name) AS name, s.run_id, sum(s.seconds) AS seconds,
    bool_or(s.status = 'failed') AS failed, min(s.seq) AS seq
  FROM steps AS s JOIN runs AS r ON r.id = s.run_id
  WHERE s.kind <> 'map' AND ($1 IS NULL OR {is_loop("$1", "r")})
    AND (s.parent IS NULL OR s.item IS NOT NULL)
  GROUP BY ALL)
SELECT name, count(*) AS runs, count(*) FILTER (failed) AS failures,
  median(seconds) AS median, quantile_cont(seconds, 0.95) AS p95,
  sum(seconds) / nullif(sum(sum(seconds)) OVER (), 0) AS share
FROM one GROUP BY name ORDER BY min(seq), name
"""

#: Succeeded runs of the loop ``$1`` but the newest ``$2`` of each, completed by ``$3`` (µs).
PRUNABLE: Final = f"""
SELECT id, loop, key, status, created_at, completed_at FROM runs
WHERE status = 'succeeded' AND ($1 IS NULL OR {is_loop("$1")}) AND regexp_full_match(id, '{RUN_ID}')
QUALIFY row_number() OVER (PARTITION BY nfc_normalize(loop) ORDER BY {order()} DESC, id) > $2
  AND epoch_us(completed_at) <= $3
ORDER BY {order()}
"""

#: The newest ``$1`` runs as a list shows them, and how many runs there are; times in µs. The items
#: of a map are no steps of their own here.
OVERVIEW: Final = f"""
SELECT r.id, r.loop, r.key, r.status, epoch_us(r.created_at), epoch_us(r.started_at),
  epoch_us(r.completed_at), count(s.seq), count(s.seq) FILTER (s.status = 'succeeded'),
  count(s.seq) FILTER (s.status = 'failed'), any_value(r.total)
FROM (SELECT *, count(*) OVER () AS total, {order()} AS place FROM runs
      ORDER BY place DESC, id DESC LIMIT $1) AS r
LEFT JOIN steps AS s ON s.run_id = r.id AND s.item IS NULL
GROUP BY ALL ORDER BY any_value(r.place) DESC, r.id DESC
"""

#: Seconds of each step in the last run of the loop ``$1`` before the run ``$2``, of which the place
#: among the runs is ``$3``.
PREVIOUS_SECONDS: Final = f"""
SELECT name, seconds FROM steps
WHERE seconds IS NOT NULL AND status = 'succeeded' AND run_id = (
  SELECT id FROM runs WHERE {is_loop("$1")} AND id <> $2 AND {order()} <= $3
  ORDER BY {order()} DESC, id DESC LIMIT 1)
"""

#: The numbers of the steps of the run ``$1`` of which the return holds the text ``$2``.
FOUND: Final = """
SELECT seq FROM steps WHERE run_id = $1 AND contains(lower("return"), $2)
"""

#: All attempts of the step ``$2`` of the run ``$1``, oldest first; times in µs.
ATTEMPTS_OF_STEP: Final = """
SELECT attempt, status, epoch_us(started_at), seconds, "return", error FROM attempts
WHERE run_id = $1 AND name = $2 ORDER BY attempt
"""

#: The step ``$4`` in the last run of the loop ``$1`` before the run ``$2`` that has it; the place
#: of ``$2`` among the runs is ``$3``.
PREVIOUS_OF_STEP: Final = f"""
SELECT s.attempt, s.status, epoch_us(s.started_at), s.seconds, s."return", s.error, r.id
FROM steps AS s JOIN runs AS r ON r.id = s.run_id
WHERE {is_loop("$1", "r")} AND r.id <> $2 AND {order("r")} <= $3 AND s.name = $4
ORDER BY {order("r")} DESC, r.id DESC LIMIT 1
"""


def joined(table: str) -> str:
    """Steps or attempts of runs of the loop ``$1`` created since ``$2`` (µs)."""
    return f"""
SELECT r.loop, r.key, r.input, s.* FROM {table} AS s JOIN runs AS r ON r.id = s.run_id
WHERE ($1 IS NULL OR {is_loop("$1", "r")}) AND ($2 IS NULL OR epoch_us(r.created_at) >= $2)
ORDER BY {order("r")}, r.id, s.seq, s.attempt
"""


def of_run(table: str) -> str:
    """The rows of the run ``$1`` in a table."""
    if table == "logs":
        return """
SELECT level, message, step, metadata, created_at FROM logs
WHERE run_id = $1 ORDER BY created_at, rowid
"""
    return f"SELECT * FROM {table} WHERE run_id = $1 ORDER BY seq, attempt"

"""A book in which somebody has overwritten every column of every table."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import stepbook

if TYPE_CHECKING:
    from pathlib import Path


def record(folder: Path) -> tuple[Path, str]:
    """Record a book with a run that has rows in every table; return its file and the run's id."""
    path = folder / "stepbook.duckdb"
    book = stepbook.connect(path)
    run = book.run("loop", input={"a": 1})
    run.do("Outer", lambda: run.do("Inner", lambda: {"x": 1}))
    with pytest.raises(ValueError, match="down"):
        run.do("Fails", lambda: (_ for _ in ()).throw(ValueError("down")))
    run.do("Scan", lambda ctx: ctx.scan.create(metadata={"m": 1}) and None)
    run.log("said", step="Outer", data=1)
    book.deliver_scan(run.id, {"ok": True})
    run.wait_for_scan()
    run.finish({"out": 1})
    book.close()
    return path, run.id


def shapes(text: str) -> dict[str, Any]:
    """Return values of every shape, with *text* wherever one can stand."""
    thing = {
        text: text, "type": text, "message": text, "stack": text, "notes": text,
        "cause": text, "done": text, "total": text, "until": text, "resolved": text,
        "session": text, "number": text, "notebook": text, "__proto__": {"hacked": 1},
    }  # fmt: skip
    shown = {"name": "stdout", "text": text}
    return {
        "text": text,
        "object": thing,
        "list": [text, [text], thing],
        "number": 1e308,
        "null": None,
        "kind": {"$stepbook": text, "shape": [text, None], "preview": text, "dtypes": 5},
        "kind that is a list": {"$stepbook": [text], "shape": 5},
        "table": {"$stepbook": "pandas.DataFrame", "shape": [2, 2], "dtypes": {text: text},
                  "columns": {"labels": [text]}, "preview": [[text, text]], "data": "x"},
        "file": {"$stepbook": "file", "name": text, "bytes": text, "sha256": text,
                 "file": f"../{text}"},
        "far": {"until": 10**30, "done": 10**400, "message": 10**30},
        "long": {"type": text * 400, "message": text * 400, "stack": text * 4000},
        "outputs": [
            {"output_type": "stream", **shown},
            {"output_type": "stream", **shown, "name": "stderr"},
            {"output_type": "display_data", "data": {text: text}, "metadata": {}},
            {"output_type": "execute_result", "data": {"text/plain": text}, "metadata": {}},
            {"output_type": "error", "ename": "Bad", "evalue": text, "traceback": [text]},
        ],
    }  # fmt: skip


def overwrite(
    recorded: tuple[Path, str],
    folder: Path,
    text: str,
    shape: Any,
    *,
    enums: bool,
    times: str = "infinity",
) -> Path:
    """Copy a recorded book and overwrite it; return its file.

    Args:
        recorded: what :func:`record` returned.
        folder: where to put it.
        text: for columns of text.
        shape: for columns of JSON.
        enums: whether columns of which stepbook knows the words are overwritten, too.
        times: for columns of times.
    """
    path, run_id = folder / "stepbook.duckdb", recorded[1]
    shutil.copytree(recorded[0].parent, folder, dirs_exist_ok=True)
    with duckdb.connect(path) as connection:
        connection.execute("INSERT INTO cells VALUES ($1, 'Outer', 1, 'x', '{}', '[]')", [run_id])
        # A run that stays as it is but for what is shown of it; another with a hostile id.
        connection.execute("INSERT INTO runs SELECT * REPLACE ('run_x' AS id) FROM runs")
        columns = connection.execute(
            """SELECT table_name, column_name, data_type FROM duckdb_columns()
               WHERE table_name <> 'meta' AND NOT internal"""
        ).fetchall()
        for table, column, kind in columns:
            where = "run_id = $1" if table != "runs" else "id = $1"
            if column in ("id", "run_id", "folded_seq") and table in ("runs", "steps", "attempts"):
                continue
            if kind == "JSON":
                value = json.dumps(shape)
            elif kind == "VARCHAR":
                if column in ("status", "kind", "level", "trigger_type") and not enums:
                    continue
                value = text
                if column == "name" or (table, column) == ("cells", "step"):
                    connection.execute(
                        f'UPDATE {table} SET "{column}" = "{column}" || $2 WHERE {where}',
                        [run_id, text],
                    )
                    continue
            elif kind == "DOUBLE":
                value = float("nan")
            elif kind.startswith("TIMESTAMP"):
                value = times
            else:
                continue
            if column == "run_id":
                continue
            connection.execute(f'UPDATE {table} SET "{column}" = $2 WHERE {where}', [run_id, value])
        connection.execute("UPDATE runs SET id = $1, loop = $1 WHERE id = 'run_x'", [text])
    return path

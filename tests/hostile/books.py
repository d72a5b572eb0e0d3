"""The books: each is a good one with one thing changed."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
from crafted import crafted as flipped

import stepbook
from stepbook.record.lines import seal

from . import crafted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    Change = Callable[["Made"], object]
    Nodes = list[dict[str, Any]]

NAME = "stepbook.duckdb"
LOOP, KEY = "review", "k"
#: Steps of a good book that values are put into; a family has no more.
STEPS = 130
BAD = '"><img src=x onerror=hacked()></script><script>hacked()</script>'
TEXTS = {
    "markup": BAD,
    "escapes": "\x1b]0;hacked\x07\x1b[2J\x1b[31m\x9b31m\r\n\x08\x7f",
    "bidi": "a\u202egnp.exe\u2066\u2069\u200f\u2028\u2029\ufeff",
    "a formula": "=cmd|' /C calc'!A0",
    "a row of its own": "x\nrun_0123456789ab  review  k  succeeded",
    "a path": "../../../etc/passwd",
    "long": "x" * 1_000_000,
    "SQL": "'; DROP TABLE steps; --",
}
#: Database files with changed bytes.
FLIPPED = 24
#: A module that would say so if it were imported.
MODULE = "hostile_module"
VICTIM = "a file beside the book"


class Made:
    """A book that is being changed.

    Attributes:
        path: of its database; it is alone in its folder, but for a module that nobody imports.
        home: the folder beside it.
        run: the id of its one run.
    """

    def __init__(self, folder: Path, template: Path) -> None:
        shutil.copytree(template, folder)
        self.path = folder / NAME
        self.home = folder / f"{NAME}.d"
        about = json.loads((folder / "about.json").read_text())
        (folder / "about.json").unlink()
        self.run: str = about["run"]
        self.book: str = json.loads((self.home / "book.json").read_text())["book"]
        (folder / f"{MODULE}.py").write_text("raise SystemExit('hostile_module was imported')\n")
        self.store = crafted.Store(self.home / "artifacts")

    def sql(self, *statements: str, given: list[Any] | None = None) -> None:
        with duckdb.connect(str(self.path)) as connection:
            for statement in statements:
                connection.execute(statement, given or [])

    def returns(self, nodes: dict[str, Any]) -> None:
        """Put a value into each of the first steps."""
        assert len(nodes) <= STEPS, len(nodes)
        texts = [
            (crafted.compact(node), self.run, f"s{i}") for i, node in enumerate(nodes.values())
        ]
        with duckdb.connect(str(self.path)) as connection:
            for text, run, name in texts:
                for table in "steps", "attempts":
                    # DuckDB itself refuses to take in what is no JSON.
                    with contextlib.suppress(duckdb.ConversionException):
                        connection.execute(
                            f'UPDATE {table} SET "return" = $1 WHERE run_id = $2 AND name = $3',
                            [text, run, name],
                        )

    def sealed(self) -> Nodes:
        """Return what is recorded of the first steps, whose values are sealed."""
        with duckdb.connect(str(self.path), read_only=True) as connection:
            texts = connection.execute(
                """SELECT "return" FROM steps WHERE "return" LIKE '%"sealed"%' ORDER BY seq"""
            ).fetchall()
        nodes = [json.loads(text) for (text,) in texts]
        assert len(nodes) == len(SEALED)
        return nodes

    def journal(self, *lines: bytes, run: str = "run_hhhhhhhhhhhh", **header: Any) -> None:
        """Add the journal of another run."""
        about = {
            "book": self.book,
            "run": run,
            "loop": LOOP,
            "key": "other",
            "trigger_type": "user",
            "input": "null",
            "created_at": 1_770_000_000_000_000,
            "environment": None,
            "owner": {"pid": 1, "started_at": 0, "host": "h", "notebook": "n"},
            "format": 1,
            "number": 1,
            "first": 1,
            **header,
        }
        folder = self.home / "journal"
        folder.mkdir(exist_ok=True)
        told = seal(0, 0, "header", about)
        (folder / f"{run}.1.jsonl").write_bytes(told + b"".join(lines))


RUN_ROW = {
    "id": "run_hhhhhhhhhhhh",
    "loop": LOOP,
    "key": "other",
    "status": "running",
    "trigger_type": "user",
    "input": "null",
    "created_at": 1_770_000_000_000_000,
}
STEP_ROW = {
    "seq": 1,
    "name": "s0",
    "kind": "do",
    "status": "succeeded",
    "attempt": 1,
    "started_at": 1_770_000_000_000_000,
    "completed_at": 1_770_000_000_000_001,
    "seconds": 0.1,
    "stale": False,
    "handled": False,
    "return": "1",
}
RUN_LINE = seal(1, 0, "run", RUN_ROW)


def step(seq: int = 2, kind: str = "step", **row: Any) -> bytes:
    return seal(seq, seq - 1, kind, {**STEP_ROW, **row})


def without(name: str) -> bytes:
    return seal(2, 1, "step", {key: item for key, item in STEP_ROW.items() if key != name})


def raw(body: bytes) -> bytes:
    """A line of any bytes, with a right checksum."""
    import zlib

    body = b'{"seq":2,"synced":1,' + body
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


# ---- what is changed -----------------------------------------------------------------------------


def journals() -> Iterator[tuple[str, Change]]:
    lines = {
        "no name": without("name"),
        "no attempt": without("attempt"),
        "no status": without("status"),
        "an unknown type": seal(2, 1, "hostile", {"a": 1}),
        "an unknown status": step(status="hostile"),
        "a status that is a list": step(status=["succeeded"]),
        "a name that is a number": step(name=5),
        "an attempt beyond 64 bits": step(attempt=1 << 70),
        "a time beyond all": step(started_at=1 << 62),
        "a time that is a text": step(started_at="now"),
        "seconds that are none": raw(b'"type":"step","row":{"seconds":NaN}'),
        "no Unicode": raw(b'"type":"step","row":{"name":"\xff\xfe"}'),
        "half a character": raw(b'"type":"step","row":{"name":"\\ud800"}'),
        "nested": raw(b'"type":"step","row":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        "no row": raw(b'"type":"step"'),
        "a row that is a list": raw(b'"type":"step","row":[]'),
        "a number of 10,000 digits": raw(b'"type":"step","row":{"seq":' + b"9" * 10_000 + b"}"),
        "a return that is no text": step(**{"return": {"a": 1}}),
        "a return that is no JSON": step(**{"return": "{"}),
        "a scan with a path": seal(
            2, 1, "scan", {"id": "../../x", "step": "s", "status": "pending"}
        ),
        "a message without words": seal(2, 1, "log", {}),
        "a pass": seal(2, 1, "pass", {"started_at": "x"}),
        "a cell": seal(2, 1, "cell", {"step": 5, "attempt": None, "variables": 7}),
        "another header": seal(2, 1, "header", {"book": "x"}),
    }
    for name, line in lines.items():
        yield f"line: {name}", lambda made, line=line: made.journal(RUN_LINE, line)
    for name, text in TEXTS.items():
        bad = [step(name=text), step(3, name="s1", progress=json.dumps({"message": text}))]
        yield f"line: {name}", lambda made, bad=bad: made.journal(RUN_LINE, *bad)
    yield "header: another book", lambda made: made.journal(RUN_LINE, book="0" * 16)
    yield "header: a path", lambda made: made.journal(RUN_LINE, book="../../x")
    yield "header: a newer form", lambda made: made.journal(RUN_LINE, format=99)
    yield "header: no loop", lambda made: made.journal(RUN_LINE, loop=None)
    yield "header: odd owner", lambda made: made.journal(RUN_LINE, owner=["x"])
    yield "header: first beyond all", lambda made: made.journal(RUN_LINE, first=1 << 60)

    def named(name: str, data: bytes) -> Change:
        return lambda made: (
            (made.home / "journal").mkdir(exist_ok=True)
            or (made.home / "journal" / name).write_bytes(data)
        )

    yield "no line at all", named("run_hhhhhhhhhhhh.1.jsonl", b"\x00" * 5000)
    yield "noise", named("run_hhhhhhhhhhhh.1.jsonl", bytes(range(256)) * 50)
    yield "a long number", named("run_hhhhhhhhhhhh.999999999.jsonl", b"{}\n")
    yield "an odd name", named("run_hhhhhhhhhhhh.1.jsonl\x1b[31m", b"x")
    if hasattr(os, "mkfifo"):
        fifo: Change = lambda made: (  # noqa: E731 - one line
            (made.home / "journal").mkdir(exist_ok=True),
            os.mkfifo(made.home / "journal" / "run_hhhhhhhhhhhh.1.jsonl"),
        )
        yield "a pipe", fifo


def in_tables() -> Iterator[tuple[str, Change]]:
    statements = {
        "a view": ["CREATE VIEW extra AS SELECT * FROM read_csv('/etc/passwd')"],
        "a view for a table": [
            "ALTER TABLE logs RENAME TO hidden",
            "CREATE VIEW logs AS SELECT * FROM hidden",
        ],
        "a macro": ["CREATE MACRO count(x) AS 666", "CREATE MACRO coalesce2(x) AS x"],
        "a macro for a table": ["CREATE MACRO runs() AS TABLE SELECT 1 AS id"],
        "a type": ["CREATE TYPE mood AS ENUM ('a', 'b')"],
        "a schema": ["CREATE SCHEMA hostile", "CREATE TABLE hostile.runs (id INTEGER)"],
        "a sequence": ["CREATE SEQUENCE hostile"],
        "an index": ["CREATE INDEX hostile ON logs (message)"],
        "a table": ["CREATE TABLE hostile (a INTEGER)"],
        "no table": ["DROP TABLE logs"],
        "a newer schema": ["UPDATE meta SET value = '99' WHERE key LIKE '%schema%'"],
        "a schema that is no number": ["UPDATE meta SET value = 'x' WHERE key LIKE '%schema%'"],
        "an id that is a path": ["UPDATE meta SET value = '../../x' WHERE key NOT LIKE '%schema%'"],
        "a run that is a path": [
            *(f"UPDATE {t} SET run_id = '../../x'" for t in ("steps", "attempts", "passes")),
            "UPDATE runs SET id = '../../x'",
        ],
        "an odd status": ["UPDATE runs SET status = 'hostile'", "UPDATE steps SET status = 'x'"],
        "an odd kind": ["UPDATE steps SET kind = 'hostile'", "UPDATE attempts SET kind = 'x'"],
        "times without end": [
            "UPDATE runs SET created_at = 'infinity', started_at = '-infinity'",
            "UPDATE steps SET started_at = 'infinity', completed_at = '-infinity'",
        ],
        "times before all": [
            "UPDATE runs SET created_at = '290000-01-01 (BC) 00:00:00'::TIMESTAMPTZ",
            "UPDATE steps SET started_at = '294000-01-01'::TIMESTAMPTZ",
        ],
        "seconds without end": [
            "UPDATE steps SET seconds = 'inf'::DOUBLE",
            "UPDATE attempts SET seconds = 'nan'::DOUBLE",
        ],
        "folded far beyond": ["UPDATE runs SET folded_seq = 9223372036854775807"],
        "attempts below none": ["UPDATE steps SET attempt = -5, seq = -9223372036854775808"],
    }
    for name, these in statements.items():
        yield name, lambda made, these=these: made.sql(*these)
    odd = {
        "no JSON": "{",
        "a list": "[1]",
        "nested": "[" * 50_000 + "]" * 50_000,
        "a number": "5",
        "a text": json.dumps(BAD),
        "no form of it": json.dumps(
            {"type": 5, "message": [], "stack": {}, "cause": {}, "notes": 1}
        ),
        "another in itself": json.dumps({"cause": 1}).replace(
            "1", '{"cause":' * 400 + "1" + "}" * 400
        ),
    }
    columns = {
        "runs": ("input", "output", "tags", "environment", "note"),
        "steps": ('"return"', "error", "progress", "policy", "cell_id", "fingerprint"),
        "attempts": ('"return"', "error", "progress"),
    }
    for name, text in odd.items():

        def change(made: Made, text: str = text) -> None:
            with duckdb.connect(str(made.path)) as connection:
                for table, names in columns.items():
                    for column in names:
                        with contextlib.suppress(duckdb.ConversionException):
                            connection.execute(f"UPDATE {table} SET {column} = $1", [text])
                connection.execute("UPDATE steps SET status = 'failed' WHERE seq % 2 = 0")

        yield f"columns: {name}", change
    for name, text in TEXTS.items():

        def texts(made: Made, text: str = text) -> None:
            text = text.replace("\ufeff", "")
            with duckdb.connect(str(made.path)) as connection:
                connection.execute("UPDATE runs SET loop = $1, key = $1, note = $1", [text])
                connection.execute("UPDATE logs SET message = $1, level = $1, step = $1", [text])
                for table in "steps", "attempts":
                    connection.execute(
                        f"UPDATE {table} SET name = $1, parent = $1, item = $1, policy = $1 "
                        "WHERE seq = 3",
                        [text],
                    )

        yield f"names: {name}", texts


def around() -> Iterator[tuple[str, Change]]:
    """What stands beside the database."""
    told = {
        "no JSON": b"{",
        "empty": b"",
        "a list": b"[]",
        "nested": b"[" * 50_000 + b"]" * 50_000,
        "a path": b'{"book":"../../x","format":1}',
        "a newer form": b'{"book":"0123456789abcdef","format":99}',
        "another book": b'{"book":"0123456789abcdef","format":1}',
        "a form that is a text": b'{"book":"0123456789abcdef","format":"1"}',
        "noise": bytes(range(256)),
        "64 MB": b'{"book":"' + b"0" * (64 << 20) + b'"}',
    }
    for name, data in told.items():
        yield (
            f"book.json: {name}",
            lambda made, data=data: (made.home / "book.json").write_bytes(data),
        )
    slots = {
        "a payload of noise": ("{run}~scan_hhhhhhhhhhhh", bytes(range(256))),
        "a payload nested": ("{run}~scan_hhhhhhhhhhhh", b"[" * 50_000),
        "a name that is a path": ("..%2f..%2fx", b"{}"),
        "a name of escapes": ("\x1b[31m\u202e", b"{}"),
        "a hidden one": (".x", b"{}"),
    }
    for name, (slot, data) in slots.items():

        def put(made: Made, slot: str = slot, data: bytes = data) -> None:
            folder = made.home / "inbox"
            folder.mkdir(exist_ok=True)
            for ending in "", ".json", ".filled":
                (folder / (slot.format(run=made.run) + ending)).write_bytes(data)

        yield f"inbox: {name}", put
    if os.name != "posix":
        return

    def link(name: str, target: str) -> Change:
        def change(made: Made) -> None:
            path = made.path.parent / name
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            path.parent.mkdir(exist_ok=True)
            path.symlink_to(target)

        return change

    for name in ("artifacts", "locks", "journal", "inbox"):
        yield f"link: {name}", link(f"{NAME}.d/{name}", "../../outside")
    yield "link: book.json", link(f"{NAME}.d/book.json", "../../victim.txt")
    yield "link: the log of the database", link(f"{NAME}.wal", "../victim.txt")
    yield "link: a lock", link(f"{NAME}.d/locks/open.lock", "../../../victim.txt")
    yield "link: an artifact", link(f"{NAME}.d/artifacts/{'0' * 64}.json", "/dev/zero")
    yield "link: the folder", link(f"{NAME}.d", "../outside")


def values() -> Iterator[tuple[str, Change]]:
    for family, make in crafted.FAMILIES.items():
        yield family, lambda made, make=make: made.returns(make(made.store))


def failures() -> Iterator[tuple[str, Change]]:
    states = {
        "a class of the system": {"type": "os._exit", "message": "3", "stack": ""},
        "an exit": {
            "type": "SystemExit",
            "message": "3",
            "stack": "",
            "state": {"args": [{"value": 3}]},
        },
        "a state of any kind": {"type": "ValueError", "message": "m", "stack": "", "state": [1]},
        "a value of 500 million letters": {
            "type": "ValueError",
            "message": "m",
            "stack": "",
            "state": {
                "args": [{"value": crafted.node("numpy.scalar", dtype="<U500000000", value="x")}]
            },
        },
        "a group of groups": {
            "type": "ExceptionGroup",
            "message": "m",
            "stack": "",
            "members": [{}] * 9,
        },
        "escapes": {"type": "\x1b[31mE", "message": TEXTS["escapes"], "stack": TEXTS["escapes"]},
    }
    for name, state in states.items():
        yield (
            f"failure: {name}",
            lambda made, state=state: made.sql(
                "UPDATE steps SET status = 'failed', \"return\" = NULL, error = $1 WHERE seq < 9",
                given=[json.dumps(state)],
            ),
        )


def cells() -> Iterator[tuple[str, Change]]:
    """Cells; one book with a cell for each graph."""

    def change(made: Made) -> None:
        with duckdb.connect(str(made.path)) as connection:
            for number, graph in enumerate(crafted.graphs().values()):
                text = f'{{"x":{{"value":{crafted.compact(graph)}}}}}'
                connection.execute(
                    "UPDATE cells SET variables = $1, outputs = $2 WHERE step = $3",
                    [text, json.dumps(OUTPUTS), f"s{number}"],
                )

    yield "graphs", change


def files() -> Iterator[tuple[str, Change]]:
    """Database files with changed bytes, their checksums right: DuckDB believes them."""
    for number in range(FLIPPED):

        def change(made: Made, number: int = number) -> None:
            made.path.write_bytes(flipped(made.path.read_bytes(), random.Random(number)))

        yield f"flipped {number:02}", change


def seals() -> Iterator[tuple[str, Change]]:
    """Sealed values that somebody without the key has changed; the visitor has the key."""
    pickle = f"c{MODULE}\nhacked\n.".encode()

    def bit(text: str) -> str:
        return text[:-1] + ("0" if text[-1] != "0" else "1")

    def of(data: bytes) -> dict[str, Any]:
        digest, text = hashlib.sha256(data).hexdigest(), base64.b64encode(data).decode()
        return {"bytes": len(data), "sha256": digest, "data": text}

    def flip(part: dict[str, Any]) -> dict[str, Any]:
        data = bytearray(base64.b64decode(part["data"]))
        data[-2] ^= 1
        return of(bytes(data))

    nodes: dict[str, Callable[[Nodes, int], Any]] = {
        "another pickle": lambda all_, i: {**all_[i], "pickle": of(pickle)},
        "the pickle of another value": lambda all_, i: {**all_[i], "pickle": all_[i - 1]["pickle"]},
        "the value of another step": lambda all_, i: all_[i - 1],
        "one bit of the pickle": lambda all_, i: {**all_[i], "pickle": flip(all_[i]["pickle"])},
        "one bit of the seal": lambda all_, i: {**all_[i], "seal": bit(all_[i]["seal"])},
        "a seal cut short": lambda all_, i: {**all_[i], "seal": all_[i]["seal"][:8]},
        "an empty seal": lambda all_, i: {**all_[i], "seal": ""},
        "a seal that is no text": lambda all_, i: {**all_[i], "seal": [all_[i]["seal"]]},
        "no seal": lambda all_, i: {k: v for k, v in all_[i].items() if k not in ("key", "seal")},
        "the id of another key": lambda all_, i: {**all_[i], "key": bit(all_[i]["key"])},
        "an id that is a path": lambda all_, i: {**all_[i], "key": "../../../outside/key"},
        "a newer form": lambda all_, i: {**all_[i], "format": 2},
        "the form of earlier versions": lambda all_, i: {
            "$stepbook": "pickle",
            "format": 1,
            "class": "x",
            **all_[i]["pickle"],
        },
        "one more buffer": lambda all_, i: {**all_[i], "buffers": [*all_[i]["buffers"], of(b"x")]},
        "a buffer that is a file elsewhere": lambda all_, i: {
            **all_[i],
            "buffers": [{**of(b""), "file": "../../../victim.txt", "writable": True}],
        },
        "packages that are code": lambda all_, i: {
            **all_[i],
            "pickle": of(pickle),
            "packages": {MODULE: "1"},
            "missing": [MODULE],
        },
    }
    for name, forge in nodes.items():

        def change(made: Made, forge: Any = forge) -> None:
            sealed = made.sealed()
            made.returns({str(i): forge(sealed, i) for i in range(len(sealed))})

        yield name, change

    def replaced(made: Made) -> None:
        *_, with_file = made.sealed()
        made.returns({"s0": 0, "s1": 1, "s2": with_file})
        for file in (made.home / "artifacts").glob("*.pkl"):
            file.chmod(0o600)
            file.write_bytes(file.read_bytes()[:-1] + b"\xff")

    yield "a file that was replaced", replaced
    yield (
        "another book",
        lambda made: (made.home / "book.json").write_text(
            json.dumps({"book": "0123456789abcdef", "format": 1})
        ),
    )


OUTPUTS = [
    {"output_type": "stream", "name": "stdout", "text": TEXTS["escapes"] + BAD},
    {
        "output_type": "display_data",
        "data": {"application/javascript": "hacked()", "text/html": BAD, "text/plain": BAD},
        "metadata": {},
    },
    {"output_type": "error", "ename": BAD, "evalue": BAD, "traceback": [TEXTS["escapes"]]},
]

PARTS: dict[str, Callable[[], Iterator[tuple[str, Change]]]] = {
    "values": values,
    "failures": failures,
    "tables": in_tables,
    "around": around,
    "journals": journals,
    "cells": cells,
    "files": files,
    "seals": seals,
}
BOOKS: dict[str, tuple[str, Change]] = {
    f"{part}: {name}": (part, change) for part, make in PARTS.items() for name, change in make()
}


# ---- writing them --------------------------------------------------------------------------------


#: What nothing but a pickle holds: with no bytes beside it, with some, and with a file of them.
SEALED: dict[str, Callable[[], Any]] = {
    "s0": lambda: statistics.NormalDist(1),
    "s1": lambda: functools.partial(np.add, np.arange(20)),
    "s2": lambda: functools.partial(np.add, np.arange(40_000)),
}


def good_book(folder: Path, steps: int, first: dict[str, Callable[[], Any]] | None = None) -> None:
    """Write a book that others are made of; *first* says what the first steps return."""
    folder.mkdir()
    book = stepbook.connect(folder / NAME)
    with book.run(LOOP, key=KEY) as run:
        for number in range(steps):
            run.do(f"s{number}", (first or {}).get(f"s{number}", lambda: 1))
        run.log("said", patient="p-17")
    book.close()
    (folder / "about.json").write_text(json.dumps({"run": run.id}))


#: Records a book of cells, in a process that has a shell.
_SHELL = """
import sys, json
from IPython.core.interactiveshell import InteractiveShell
folder, name, loop, key, count = sys.argv[1:]
shell = InteractiveShell.instance()
def do(cell):
    result = shell.run_cell(cell)
    result.raise_error()
do("%load_ext stepbook")
do(f"%stepbook run {loop} --key {key} --book {folder}/{name}")
for number in range(int(count)):
    do(f"%%step s{number}\\nx = 1")
run = shell.user_ns["run"].id
do("%stepbook close")
json.dump({"run": run}, open(f"{folder}/about.json", "w"))
"""


def book_of_cells(folder: Path) -> None:
    folder.mkdir()
    count = str(len(crafted.graphs()))
    home = {"IPYTHONDIR": str(folder.with_name("ipython")), "HOME": str(folder.parent)}
    done = subprocess.run(
        [sys.executable, "-c", _SHELL, str(folder), NAME, LOOP, KEY, count],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def write_all(folder: Path, wanted: Collection[str] = BOOKS) -> dict[str, Path]:
    """Write each book that is wanted into a folder of its own; return where each is."""
    good = {part: folder / f"good-{part}" for part in ("values", "cells", "seals", "others")}
    good_book(good["values"], STEPS)
    good_book(good["others"], 9)
    good_book(good["seals"], 9, SEALED)
    book_of_cells(good["cells"])
    found = {}
    for number, name in enumerate(wanted):
        part, change = BOOKS[name]
        place = folder / f"{number:03}"
        place.mkdir()
        (place / "outside").mkdir()
        for file in place / "victim.txt", place / "outside" / "victim.txt":
            file.write_text(VICTIM)
        made = Made(place / "book", good.get(part, good["others"]))
        change(made)
        found[name] = made.path
    return found

"""A handled failure that is raised again is the exception that was raised: class, fields, text."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import json
import pickle
import socket
import sqlite3
import subprocess
import sys
import types
import urllib.error
import zipfile
from email.message import Message

import duckdb
import numpy as np
import pytest

import stepbook
from stepbook import RecordedError


class Coded(Exception):  # noqa: N818 - the names say what is odd about each
    def __init__(self, code, *, hint):
        super().__init__(f"code {code}")
        self.code, self.hint = code, hint


class Silent(Exception):  # noqa: N818
    def __init__(self, rows):
        self.rows = rows


class Slotted(ValueError):  # noqa: N818
    __slots__ = ("row",)

    def __init__(self, row):
        self.row = row

    def __str__(self):
        return f"row {self.row}"


class Made(ValueError):  # noqa: N818
    def __new__(cls, first, second):
        return super().__new__(cls, first + second)

    def __init__(self, first, second):
        pass


class Level(OSError):  # noqa: N818
    def __init__(self, level):
        super().__init__(5, "low", "dev")
        self.level = level


class Several(ExceptionGroup):
    def __init__(self, *_):
        self.source = "feed"


class Outer:
    class Inner(KeyError):  # noqa: N818
        pass


class Deleted(Exception):  # noqa: N818
    ends: list[str] = []  # noqa: RUF012

    def __del__(self):
        self.ends.append("ended")


class Holder(Exception):  # noqa: N818
    """Holds what cannot be stored, and tells of each subclass."""

    made: list[type] = []  # noqa: RUF012

    def __init_subclass__(cls):
        Holder.made.append(cls)

    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status, self.response = status, open  # a function cannot be stored

    def __getattr__(self, name):
        raise KeyError(name)


def raising(make):
    def body():
        error = make()
        raise error

    return body


def decodes():
    b"caf\xe9".decode("utf-8")


def encodes():
    "caf\udc80 é".encode("ascii")


def opens():
    open("/no/such/file")  # noqa: SIM115, PTH123


def renames():
    import os

    os.rename("/no/such/file", "/no/such/other")  # noqa: PTH104


def parses():
    json.loads('{"a": }')


def imports():
    import no_such_module_at_all  # noqa: F401


def imports_from():
    from json import no_such_name  # noqa: F401


def gets():
    return (5).no_such_attribute


def names():
    return no_such_name  # noqa: F821


def compiles():
    compile("a = (", "cell.py", "exec")


def calls():
    subprocess.run([sys.executable, "-c", "print('out'); exit(3)"], check=True, capture_output=True)


def connects():
    socket.create_connection(("127.0.0.1", 1), timeout=5)


WHOLE = {
    "decode": decodes,
    "encode": encodes,
    "translate": raising(lambda: UnicodeTranslateError("text", 1, 2, "no")),
    "open": opens,
    "rename": renames,
    "permission": raising(lambda: PermissionError(13, "no", "a.csv")),
    "json": parses,
    "import": imports,
    "import from": imports_from,
    "attribute": gets,
    "name": names,
    "syntax": compiles,
    "indentation": raising(lambda: IndentationError("bad", ("a.py", 2, 3, " x"))),
    "process": calls,
    "expired": raising(lambda: subprocess.TimeoutExpired(["a"], 5, output=b"o")),
    "key": raising(lambda: KeyError("k")),
    "key number": raising(lambda: KeyError(7)),
    "key tuple": raising(lambda: KeyError(("a", 1))),
    "stop": raising(lambda: StopIteration(7)),
    "no arguments": raising(ValueError),
    "several arguments": raising(lambda: ValueError("a", 2, None, (1, 2))),
    "a number": raising(lambda: ValueError(5)),
    "an array": raising(lambda: ValueError(np.arange(3))),
    "an error as argument": raising(lambda: RuntimeError(OSError(2, "no", "f"))),
    "timeout": raising(lambda: TimeoutError("late")),
    "asyncio timeout": raising(asyncio.TimeoutError),
    "incomplete": raising(lambda: asyncio.IncompleteReadError(b"ab", 5)),
    "status": raising(lambda: http.client.BadStatusLine("x")),
    "url": raising(lambda: urllib.error.URLError(ConnectionRefusedError(111, "refused"))),
    "sqlite": raising(lambda: sqlite3.OperationalError("no such table")),
    "zip": raising(lambda: zipfile.BadZipFile("not a zip")),
    "duckdb": raising(lambda: duckdb.CatalogException("no table")),
    "own arguments": raising(lambda: Coded(7, hint="later")),
    "only attributes": raising(lambda: Silent([{"id": 1, "at": (1, 2)}])),
    "slots": raising(lambda: Slotted(3)),
    "own new": raising(lambda: Made("a", "b")),
    "own of os": raising(lambda: Level(2)),
    "nested class": raising(lambda: Outer.Inner("k")),
    "group": raising(lambda: ExceptionGroup("g", [OSError(2, "no"), Coded(1, hint=None)])),
    "own group": raising(lambda: Several("g", [KeyError(1)])),
    "base group": raising(lambda: BaseExceptionGroup("g", [KeyError(1)])),
    "ours": raising(lambda: stepbook.ScanTimeout("nothing")),
    "notes": raising(lambda: noted(ValueError("a"), "look at b")),
}


def noted(error, text):
    error.add_note(text)
    return error


def facts(error):
    """All of an exception that code can ask for."""
    if isinstance(error, BaseExceptionGroup):
        rest = [facts(one) for one in error.exceptions]
    else:
        rest = [facts(one) if isinstance(one, BaseException) else repr(one) for one in error.args]
    fields = {}
    for line in type(error).__mro__:
        for name, slot in vars(line).items():
            is_slot = isinstance(slot, types.MemberDescriptorType)
            if is_slot and name not in ("__suppress_context__", "exceptions"):
                fields[name] = repr(getattr(error, name))
    own = {n: repr(v) for n, v in vars(error).items() if not n.startswith("__")}
    notes = [n for n in getattr(error, "__notes__", []) if not n.startswith("stepbook: ")]
    return type(error), str(error), rest, fields, own, notes


def twice(book, body, **options):
    """What two passes catch of a step whose failure is handled; the body is executed once."""
    caught, executed = [], []

    def counted():
        executed.append(1)
        return body()

    for _ in range(2):
        run = book.run("x", **options)
        with pytest.raises(Exception) as info:  # noqa: PT011 - any kind is the subject
            run.do("a", counted)
        caught.append(info.value)
        run.do("b", lambda: 1)
        run.close()
    assert executed == [1]
    return caught


@pytest.mark.parametrize("kind", WHOLE)
def test_a_handled_failure_comes_back_as_itself(book, kind):
    first, again = twice(book, WHOLE[kind])
    assert facts(again) == facts(first)
    assert again is not first
    assert any("is replayed" in note for note in again.__notes__)


def test_the_same_except_catches_it_in_another_process(path, child):
    for outcome in ("executed", "replayed"):
        other = child(
            """
            import sys, stepbook, urllib.error
            from email.message import Message

            class Limit(Exception):
                def __init__(self, seconds):
                    self.seconds = seconds

            run = stepbook.connect(sys.argv[1]).run("x")
            told = "replayed"

            def body(make):
                global told
                told = "executed"
                raise make()

            def decode():
                return b"\\xff".decode()

            seen = []
            try:
                run.do("a", decode)
            except UnicodeDecodeError as error:
                seen.append((error.start, error.reason, error.object))
            try:
                run.do("b", body, lambda: Limit(5))
            except Limit as error:
                seen.append(error.seconds)
            try:
                run.do("c", open, "/no/such/file")
            except FileNotFoundError as error:
                seen.append((error.errno, error.filename))
            try:
                run.do("d", body, lambda: urllib.error.HTTPError("u", 404, "no", Message(), None))
            except urllib.error.HTTPError as error:
                seen.append((error.code, error.reason, str(error), hasattr(error, "x")))
            run.finish()
            print("told", told, seen, flush=True)
            """,
            path,
        )
        said = other.expect("told")
        other.end()
        assert said.startswith(f"{outcome} [(0, 'invalid start byte', b'\\xff'), 5, (2, '/no/such")
        assert said.endswith("(404, 'no', 'HTTP Error 404: no', False)]")


def test_what_cannot_be_rebuilt_is_caught_by_the_same_except(book):
    first, again = twice(book, raising(lambda: Holder(503)))
    assert type(first) is Holder
    assert isinstance(again, Holder)
    assert isinstance(again, RecordedError)
    assert (again.status, str(again), again.args) == (503, "status 503", ("status 503",))
    assert type(again).__name__ == "Holder"
    assert Holder.made == []
    with pytest.raises(AttributeError, match="'response' was not recorded"):
        _ = again.response
    assert "stepbook: not recorded of it: response" in again.__notes__


def test_a_class_with_a_finalizer_comes_back_without_it(book):
    _, again = twice(book, raising(lambda: Deleted("a")))
    assert isinstance(again, Deleted)
    assert isinstance(again, RecordedError)
    before = len(Deleted.ends)
    del again
    assert len(Deleted.ends) == before


def test_a_value_that_is_too_big_is_left_out_and_named(book):
    _, again = twice(book, (b"a" * 1_000_000 + b"\xff").decode)
    assert isinstance(again, UnicodeDecodeError)
    assert isinstance(again, RecordedError)
    assert (again.encoding, again.start, again.reason) == ("utf-8", 1_000_000, "invalid start byte")
    assert "position 1000000" in str(again)
    assert any("not recorded of it" in note and "object" in note for note in again.__notes__)


def test_a_class_that_is_not_imported_comes_back_as_a_plain_recorded_error(book, monkeypatch):
    module = types.ModuleType("gone_module")
    Lost = type("Lost", (ValueError,), {"__module__": "gone_module"})  # noqa: N806
    module.Lost = Lost
    monkeypatch.setitem(sys.modules, "gone_module", module)
    run = book.run("x")
    with pytest.raises(Lost):
        run.do("a", raising(lambda: Lost("m", 5)))
    run.do("b", lambda: 1)
    monkeypatch.delitem(sys.modules, "gone_module")
    run = book.run("x")
    with pytest.raises(RecordedError) as caught:
        run.do("a", lambda: 1)
    assert type(caught.value) is RecordedError
    assert "gone_module" not in sys.modules


def test_an_ordinary_failure_is_recorded_as_before(book):
    run = book.run("x")
    with pytest.raises(ValueError, match="plain"):
        run.do("a", raising(lambda: ValueError("plain")))
    assert set(run.steps()["error"][0]) == {"type", "message", "stack", "notes", "cause"}


def test_nothing_that_an_error_holds_is_pickled(path, monkeypatch):
    monkeypatch.setenv("STEPBOOK_STABLE_REPR", "1")
    book = stepbook.connect(path)
    run = book.run("x")
    with pytest.raises(ValueError):  # noqa: PT011 - as above
        run.do("a", raising(lambda: ValueError("a", Pickled())))
    assert run.steps()["error"][0]["state"]["lost"] == ["args"]
    assert Pickled.called == []
    book.close()


class Pickled:
    called: list[str] = []  # noqa: RUF012

    def __reduce__(self):
        self.called.append("reduce")
        return str, ("x",)


# ---- a stranger's book ---------------------------------------------------------------------------


def stored(path, error):
    """A book of which the one step has failed, handled, with this record."""
    book = stepbook.connect(path)
    run = book.run("loop")
    with pytest.raises(ValueError, match="down"):
        run.do("a", raising(lambda: ValueError("down")))
    run.finish()
    book.close()
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE steps SET error = $1 WHERE handled", [json.dumps(error)])
    return book


def unicode_state(**fields):
    given = {"encoding": "utf-8", "object": {"$stepbook": "bytes", "data": "YWI="}} | {
        "start": 0,
        "end": 1,
        "reason": "r",
    }
    nodes = {name: {"value": value} for name, value in {**given, **fields}.items()}
    return {"args": [], "fields": nodes, "attributes": {}, "lost": []}


class Loaded:
    """Its pickle calls something when it is loaded."""

    def __reduce__(self):
        return Pickled.called.append, ("loaded",)


PICKLE = pickle.dumps(Loaded())

HOSTILE = {
    "object of another type": ("UnicodeDecodeError", unicode_state(object=[1])),
    "start in front": ("UnicodeDecodeError", unicode_state(start=-(10**9), end=-(10**9) + 1)),
    "start is a text": ("UnicodeDecodeError", unicode_state(start="0")),
    "start too big": ("UnicodeDecodeError", unicode_state(start=10**30)),
    "encode an int": ("UnicodeEncodeError", unicode_state(object=5)),
    "unknown slot": ("UnicodeDecodeError", unicode_state(unknown=5)),
    "state is a list": ("ValueError", []),
    "args are a text": ("ValueError", {"args": "abc", "fields": 5, "attributes": [1], "lost": 5}),
    "nodes are numbers": ("ValueError", {"args": [5], "fields": {"a": 5}, "attributes": {"b": 1}}),
    "unknown kind": ("ValueError", {"args": [{"value": {"$stepbook": "no such"}}]}),
    "a file": (
        "ValueError",
        {
            "args": [
                {
                    "value": {
                        "$stepbook": "file",
                        "format": 1,
                        "bytes": 1,
                        "sha256": "0",
                        "file": "/",
                    }
                }
            ]
        },
    ),
    "a pickle": (
        "ValueError",
        {
            "args": [
                {
                    "value": {
                        "$stepbook": "pickle",
                        "format": 1,
                        "class": "int",
                        "bytes": len(PICKLE),
                        "sha256": hashlib.sha256(PICKLE).hexdigest(),
                        "data": base64.b64encode(PICKLE).decode(),
                    }
                }
            ]
        },
    ),
    "an exit inside": (
        "ValueError",
        {"args": [{"error": {"type": "SystemExit", "message": "stop"}}], "lost": []},
    ),
    "a class in the attributes": (
        "ValueError",
        {
            "args": [],
            "attributes": {
                "__class__": {"value": "SystemExit"},
                "__dict__": {"value": 1},
                "__traceback__": {"value": 1},
                "__cause__": {"value": 1},
                "__notes__": {"value": 1},
                "__stepbook_step__": {"value": 1},
                "add_note": {"value": 1},
            },
            "lost": [],
        },
    ),
    "syntax": (
        "SyntaxError",
        {
            "args": [],
            "fields": {
                name: {"value": [1]}
                for name in ("msg", "filename", "lineno", "offset", "text", "end_lineno")
            },
            "lost": [],
        },
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_strangers_state_makes_an_error_of_the_work_and_nothing_else(path, kind):
    name, state = HOSTILE[kind]
    record = {"type": name, "message": "m", "stack": "", "notes": 3, "cause": 5, "state": state}
    book = stored(path, record)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - as above
        book.run("loop").do("a", lambda: 1)
    error = caught.value
    assert Pickled.called == []
    assert isinstance(error, (ValueError, SyntaxError, UnicodeError, RecordedError))
    str(error), repr(error)
    assert error.__cause__ is None
    assert all(type(one).__name__ != "SystemExit" for one in error.args)
    assert any("is replayed" in note for note in error.__notes__)
    book.close()


def test_deeply_nested_state_is_cut(path):
    record = {"type": "ValueError", "message": "m"}
    for _ in range(200):
        state = {"args": [{"error": record}, {"error": record}], "lost": []}
        record = {"type": "ValueError", "message": "m", "state": state}
        if len(json.dumps(record)) > 1 << 20:
            break
    book = stored(path, record)
    with pytest.raises(ValueError):  # noqa: PT011 - as above
        book.run("loop").do("a", lambda: 1)
    book.close()


def test_headers_may_be_missing_and_the_code_is_there(book):
    def body():
        raise urllib.error.HTTPError("http://x/", 429, "slow down", Message(), None)

    _, again = twice(book, body)
    assert isinstance(again, urllib.error.HTTPError)
    assert (again.code, again.reason, str(again)) == (429, "slow down", "HTTP Error 429: slow down")

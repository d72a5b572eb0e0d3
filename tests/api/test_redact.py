"""Secrets are masked before anything is written: no file of the book has one in any form."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import stepbook

TOKEN = "ghp_" + "Z9x" * 12
SECRET = "hunter2-qx"  # noqa: S105 - it is what the tests look for
API_KEY = SECRET
CONSTANT = TOKEN
LEAST = 1_000

pytestmark = pytest.mark.filterwarnings("ignore::stepbook.StepbookWarning")


def leaks(folder):
    """Return the files that hold a secret, in any of the forms that files have."""
    found, looked_at = [], 0
    for path in folder.rglob("*"):
        if not path.is_file() or path.suffix == ".py":
            continue
        data = path.read_bytes()
        looked_at += len(data)
        for secret in (TOKEN, SECRET):
            forms = [secret.encode(code) for code in ("utf-8", "utf-16-le", "utf-32-le")]
            forms += [base64.b64encode(b" " * n + secret.encode())[4:-4] for n in range(3)]
            found += [(path.name, form) for form in forms if form in data]
    assert looked_at > LEAST
    return found


def everything(a, password=SECRET, *, ctx):
    ctx.log(f"using {TOKEN}", token=SECRET, note=f"see {SECRET}")
    ctx.progress(1, 2, f"at {TOKEN}")
    ctx.scan.create(metadata={"token": SECRET, "also": TOKEN}, name="Ask")
    return {
        "headers": {"Authorization": f"Bearer {TOKEN}", "more": (TOKEN, TOKEN.encode())},
        "bytes": {1: TOKEN},
        "used": len(API_KEY + CONSTANT),
    }


def failing():
    password = SECRET
    raise ConnectionError(f"refused {password} for {TOKEN}") from KeyError(TOKEN)


def test_a_secret_that_is_everywhere_is_in_no_file(tmp_path):
    book = stepbook.connect(tmp_path / "book.duckdb", redact=True)
    run = book.run("secret", input={"password": SECRET, "url": f"https://ann:{SECRET}@host/"})
    value = run.do("Everything", everything, TOKEN)
    assert value["headers"] == {"Authorization": "[redacted]", "more": ("[redacted]", "[redacted]")}
    assert value["bytes"] == {1: "[redacted]"}
    with pytest.raises(ConnectionError, match="hunter2"):
        run.do("Fails", failing)
    book.deliver_scan(run.id, {"token": SECRET, "list": [TOKEN]}, name="Ask")
    assert not leaks(tmp_path)  # it is in the inbox, and not taken yet
    assert run.wait_for_scan(name="Ask", timeout=5) == {
        "token": "[redacted]",
        "list": ["[redacted]"],
    }
    run.resolve("Fails", {"api_key": SECRET})
    run.log(f"run {TOKEN}", token=SECRET)
    assert not leaks(tmp_path)
    run.finish({"output": TOKEN, "note": SECRET})
    book.close()
    assert not leaks(tmp_path)
    assert run.output == {"output": "[redacted]", "note": "[redacted]"}


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"password": ["a"]}),
        pd.DataFrame({"text": ["ends here", TOKEN]}),
        pd.DataFrame({"text": [TOKEN] * 200_000, "n": range(200_000)}),
        pd.Series([1], name=TOKEN),
        np.array([TOKEN]),
        pa.table({"text": ["a", TOKEN]}),
        re.compile(TOKEN),
        {TOKEN: 1},
    ],
    ids=["column", "text", "big", "name", "array", "arrow", "pickle", "key"],
)
def test_what_cannot_be_masked_is_refused_and_not_written(tmp_path, value):
    run = stepbook.connect(tmp_path / "book.duckdb", redact=True).run("secret")
    with pytest.raises(stepbook.NotSerializableError, match="secret") as raised:
        run.do("Load", lambda: value)
    assert raised.value.value is value
    run.close()
    assert not leaks(tmp_path)


def test_a_file_with_a_secret_is_not_stored(tmp_path):
    run = stepbook.connect(tmp_path / "book.duckdb", redact=True).run("secret")

    def write(ctx):
        path = ctx.file("notes.txt")
        path.write_text(f"key {TOKEN}")
        return path

    with pytest.raises(stepbook.NotSerializableError, match="secret"):
        run.do("Write", write)
    assert not list((tmp_path / "book.duckdb.d" / "artifacts").glob("*.txt"))


def test_masked_places_are_told_once_and_a_replay_gives_the_same(tmp_path, recwarn):
    run = stepbook.connect(tmp_path / "book.duckdb", redact=["token"]).run("secret")
    first = run.do("Log in", lambda: {"user": {"token": "abc"}, "n": 1})
    (warning,) = [str(one.message) for one in recwarn.list]
    assert "$.user.token" in warning
    run.close()
    assert run.do("Log in", lambda: {"n": 2}) == first == {"user": {"token": "[redacted]"}, "n": 1}


def test_settings_hold_for_other_processes_and_have_no_secret(tmp_path):
    path = tmp_path / "book.duckdb"
    patterns = ["pin*", re.compile("cust-([0-9]{4})", re.IGNORECASE)]
    stepbook.connect(path, redact=patterns).run("a").close()
    settings = json.loads((tmp_path / "book.duckdb.d" / "book.json").read_text())
    assert settings["redact"] == {"names": ["pin*"], "values": [["cust-([0-9]{4})", 2]]}
    code = (
        "import stepbook, sys\n"
        "run = stepbook.connect(sys.argv[1]).run('b')\n"
        "print(run.do('s', lambda: {'pin_code': 1, 'text': 'CUST-1234 paid'}))"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "{'pin_code': '[redacted]', 'text': 'CUST-[redacted] paid'}\n"
    stepbook.connect(path, redact=False).run("a").close()
    assert "redact" not in json.loads((tmp_path / "book.duckdb.d" / "book.json").read_text())


def test_a_killed_process_leaves_no_secret(tmp_path):
    code = (
        "import stepbook, sys, os, signal\n"
        "book = stepbook.connect(sys.argv[1], redact=True)\n"
        "run = book.run('k', input={'password': sys.argv[2]})\n"
        "def body(password, ctx=None):\n"
        "    run.log('log ' + password, token=password)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "run.do('Dies', body, password=sys.argv[2])\n"
    )
    path = tmp_path / "book.duckdb"
    ended = subprocess.run([sys.executable, "-c", code, str(path), SECRET], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not leaks(tmp_path)
    run = stepbook.connect(path).run("k", input={"password": SECRET})
    assert list(run.steps()["name"]) == ["Dies"]
    run.close()
    assert not leaks(tmp_path)


def test_the_key_of_a_run_tells_inputs_with_different_secrets_apart(tmp_path):
    book = stepbook.connect(tmp_path / "book.duckdb", redact=True)
    one = book.run("a", input={"token": "a1"})
    assert book.run("a", input={"token": "a1"}) is one
    assert book.run("a", input={"token": "b2"}) is not one
    assert re.fullmatch("[0-9a-f]{64}", one.key)
    assert one.input == {"token": "[redacted]"}


def test_a_changed_secret_makes_a_step_stale_without_being_shown(tmp_path, recwarn):
    run = stepbook.connect(tmp_path / "book.duckdb", redact=True).run("a")

    def use(api_key):
        return len(api_key)

    run.do("Use", use, "first-key-1")
    run.close()
    assert run.do("Use", use, "first-key-1") == len("first-key-1")
    assert not bool(run.steps()["stale"][0])
    run.close()
    assert run.do("Use", use, "other-key-12") == len("first-key-1")
    assert bool(run.steps()["stale"][0])
    assert not any("-key-" in str(one.message) for one in recwarn.list)


@pytest.mark.parametrize(
    ("patterns", "why"),
    [
        ("password", "list"),
        ([3], "not 3"),
        (["*"], "names"),
        ([re.compile("hunter2")], "the text of one value"),
        ([re.compile(re.escape("a+b/c="))], "the text of one value"),
        ([re.compile("x*")], "empty"),
        ([re.compile(b"x+")], "names"),
    ],
)
def test_patterns_that_cannot_be_used_are_refused(patterns, why):
    with pytest.raises(stepbook.InvalidInputError, match=re.escape(why)):
        stepbook.connect(":memory:", redact=patterns)


def test_names_and_keys_with_secrets_are_refused(tmp_path):
    book = stepbook.connect(tmp_path / "book.duckdb", redact=True)
    run = book.run("a")
    with pytest.raises(stepbook.StepNameError, match="secret in its name"):
        run.do(f"Fetch {TOKEN}", dict)
    with pytest.raises(stepbook.InvalidInputError, match="key"):
        book.run("a", key=TOKEN)
    run.close()
    assert not leaks(tmp_path)


def test_settings_that_cannot_be_read_stop_the_recording(tmp_path):
    path = tmp_path / "book.duckdb"
    stepbook.connect(path, redact=True).run("a").close()
    about = tmp_path / "book.duckdb.d" / "book.json"
    told = json.loads(about.read_text())
    about.write_text(json.dumps({**told, "redact": {"names": 3}}))
    with pytest.raises(stepbook.BookError, match="Nothing is recorded"):
        stepbook.connect(path).run("b")


@pytest.mark.parametrize(
    "make",
    [
        lambda: pd.DataFrame({"password": [SECRET] * 300_000, "x": range(300_000)}),
        lambda: pd.DataFrame({"text": [TOKEN] * 300_000, "x": range(300_000)}),
        lambda: np.array([TOKEN] * 200_000),
    ],
    ids=["column", "text", "array"],
)
def test_what_is_big_enough_to_be_stored_by_parts_is_refused_as_well(tmp_path, make):
    run = stepbook.connect(tmp_path / "book.duckdb", redact=True).run("a")
    with pytest.raises(stepbook.NotSerializableError, match="without a secret"):
        run.do("Load", make)
    run.close()
    assert not leaks(tmp_path)


def test_nothing_of_it_is_loaded_where_nothing_is_masked():
    code = (
        "import sys, stepbook\n"
        "stepbook.connect(':memory:').run('a').do('Step', dict)\n"
        "print(*(name for name in sys.modules if name.startswith('stepbook.values.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "stepbook.values.writer" in loaded
    assert "stepbook.values.redact" not in loaded

"""What the command line writes of a book that somebody has filled with hostile text, in bytes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
import unicodedata
from itertools import pairwise

import nbformat
import pexpect
import pytest
from click.testing import CliRunner
from overwritten import overwrite, record, shapes

import stepbook
from stepbook.cli.main import cli
from stepbook.record.listing import RUN_COLUMNS, STEP_COLUMNS

#: Rows and columns that nobody wrote, colours, a title, the clipboard, a link, a moving cursor, the
#: same with C1, deletions, marks of direction, and characters that nobody sees.
HOSTILE = (
    "=cmd|'/c calc'!A0\nrun_forged\tpaid\tsucceeded\r✓ all is well  \x1b[31;8mred\x1b[2J\x1b[1;1H"
    "\x1b]0;title\x07\x1b]52;c;AAAA\x07\x1b]8;;http://x\x1b\\\x9b31m\x9d0;t\x9c\x00\x08\x7f\x0b\x0c"
    "\x1c\x1d\x1e\x85\u2028\u2029\u202etxt\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u200b\ufeff"
    "\u00ad\u2060a\u200db\U000e0041\u3164\ufff9"
)
ORDINARY = "Ünï 漢字 日本語 שלום עולם مرحبا می‌خواهم नमस्ते ไทย é 👩‍👩‍👧 ❤️‍🔥 1️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 👍🏽 a b 全 角"
SHAPES = {**shapes(HOSTILE), "long": dict.fromkeys(("type", "message", "stack"), HOSTILE * 40)}
SGR = re.compile(r"\x1b\[[0-9;]*m")
ENUMS = [False, True]


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return record(tmp_path_factory.mktemp("recorded"))


def harmless(data: bytes, *, tabs: int = 0, coloured: bool = False) -> list[str]:
    """Return the lines of what was written, in which there is nothing but text."""
    text = data.decode()
    if coloured:
        for sequence in SGR.findall(text):
            assert "8" not in sequence[2:-1].split(";")[:1], sequence
        text = SGR.sub("", text)
    lines = text.split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert line.count("\t") == tabs, line
        for before, character in pairwise(f" {line}"):
            kind = unicodedata.category(character)
            assert character == "\t" or kind not in ("Cc", "Zl", "Zp", "Cs"), (character, line)
            assert kind != "Cf" or (character in "\u200c\u200d" and before > "\x7f"), (before, line)
            assert character != "\u3164"
    return lines


def call(path, *words, **env):
    return CliRunner().invoke(cli, [*words, "--book", str(path)], env=env)


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("enums", ENUMS, ids=["known", "unknown"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_command_writes_text_and_as_many_rows_as_there_are(recorded, tmp_path, shape, enums):
    path = overwrite(recorded, tmp_path, HOSTILE, SHAPES[shape], enums=enums)
    run = recorded[1]

    def lines(*words, tabs=0):
        found = call(path, *words)
        assert found.exit_code == 0, found.output
        assert found.stderr == ""
        return harmless(found.stdout_bytes, tabs=tabs)

    assert len(lines("runs", tabs=4)) == 1 + 2
    assert len(lines("steps", run, tabs=4)) == 1 + 5
    assert len(lines("steps", tabs=6)) == 1 + 5
    assert len(lines("runs", "--format", "csv")) == 1 + 2
    assert len(lines("steps", "--format", "csv")) == 1 + 5
    assert len(lines("diff", run, run, tabs=3)) == 1 + 5
    lines("runs", "--format", "json")
    lines("steps", "--format", "json")
    shown = lines("show", run, "--logs", "--outputs")
    assert sum("Inner" in line for line in shown) == 1
    assert not any(line.startswith(("run_forged", "✓ all")) for line in shown)
    # On a terminal: colours of stepbook's own, and of cells.
    for words in (["runs"], ["steps"], ["show", run, "--logs", "--outputs"]):
        found = call(path, *words, FORCE_COLOR="1")
        assert found.exit_code == 0
        assert "\x1b[" in found.stdout
        harmless(found.stdout_bytes, coloured=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_refusal_and_complaint_is_text(recorded, tmp_path, shape):
    path = overwrite(recorded, tmp_path, HOSTILE, SHAPES[shape], enums=True)
    run = recorded[1]
    for words in (
        ["verify", run],
        ["show", "run_"],
        ["show", f"x{HOSTILE}".replace("\0", "")],
        ["redo", run, HOSTILE],
        ["rewind", run, HOSTILE],
        ["deliver", run, "1", "--name", HOSTILE],
        ["delete", HOSTILE],
        ["prune", "--older-than", HOSTILE],
        ["run", HOSTILE.replace("\0", "")],
        [HOSTILE],
        ["runs", "--format", HOSTILE],
        ["runs", HOSTILE],
        ["runs", f"--{HOSTILE}"],
        ["run", __file__, "--max-age", HOSTILE],
        ["doctor"],
        ["prune", "--keep", "0", "--dry-run"],
    ):
        for env in ({}, {"FORCE_COLOR": "1"}):
            found = call(path, *words, **env)
            assert found.exception is None or isinstance(found.exception, SystemExit), words
            harmless(found.stderr_bytes or b"\n", coloured=bool(env))
            tabs = 1 if words[0] == "prune" and found.stdout_bytes else 0
            harmless(found.stdout_bytes or b"\n" + b"", tabs=tabs, coloured=bool(env))


def test_json_and_the_json_of_a_csv_are_the_recorded_values(recorded, tmp_path):
    path = overwrite(recorded, tmp_path, HOSTILE, SHAPES["object"], enums=False)
    rows = json.loads(call(path, "runs", "--format", "json").stdout)
    assert {row["loop"] for row in rows} == {HOSTILE}
    assert SHAPES["object"] in [row["input"] for row in rows]
    table = list(csv.DictReader(io.StringIO(call(path, "runs", "--format", "csv").stdout)))
    assert SHAPES["object"] in [json.loads(row["input"]) for row in table]
    assert tuple(table[0]) == RUN_COLUMNS


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd", "'+cmd"),
        ("-cmd", "'-cmd"),
        ("-1+1", "'-1+1"),
        ("＝1", "'＝1"),  # noqa: RUF001
        ("  =1", "'  =1"),
        ("\t=1", "\\t=1"),
        ("\r=1", "\\r=1"),
        ("-5", "-5"),
        ("+4.5e-3", "+4.5e-3"),
        ("plain", "plain"),
        ("a=1", "a=1"),
        (ORDINARY, ORDINARY),
    ],
)
def test_no_text_of_a_csv_is_a_formula_and_numbers_stay(tmp_path, text, cell):
    book = stepbook.connect(tmp_path / "b.duckdb")
    with book.run("loop") as run:
        run.do(f"{text}", lambda: -5)
    book.close()
    found = call(tmp_path / "b.duckdb", "steps", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(found.stdout))
    assert tuple(row) == STEP_COLUMNS
    assert (row["name"], row["return"]) == (cell, "-5")


def test_ordinary_text_in_any_script_is_shown_as_it_is(tmp_path):
    path = tmp_path / "b.duckdb"
    book = stepbook.connect(path)
    with book.run(ORDINARY) as run:
        run.do("Name", lambda: ORDINARY)
    assert ORDINARY in repr(run)
    book.close()
    for words in (["runs"], ["show", run.id], ["steps"], ["runs", "--format", "csv"]):
        assert ORDINARY in call(path, *words).stdout


def test_what_cells_have_shown_keeps_its_colours_on_a_terminal_and_nothing_else(recorded, tmp_path):
    text = "\x1b[38;5;208mwarm\x1b[0m \x1b]8;;http://x\x1b\\link \x1b[8mhidden\x1b[2K\rover"
    outputs = [{"output_type": "stream", "name": "stdout", "text": text}]
    path = overwrite(recorded, tmp_path, "x", outputs, enums=False)
    run = recorded[1]
    shown = call(path, "show", run, "--outputs", FORCE_COLOR="1", COLORTERM="truecolor").stdout
    assert "\x1b[38;5;208mwarm" in shown
    assert r"\x1b]8;;http://x\x1b\link \x1b[8mhidden\x1b[2K" in SGR.sub("", shown)
    assert "\x1b]" not in shown
    assert "    warm " in call(path, "show", run, "--outputs").stdout


def test_completion_offers_no_name_in_which_a_shell_or_a_terminal_finds_more(tmp_path):
    path = tmp_path / "b.duckdb"
    book = stepbook.connect(path)
    for name in ("fine", "漢字", "$(touch pwned)", "a;b", "`x`", "e\x1b[31m", "n\nm", "d\u202e"):
        book.run(name).finish()
    book.close()
    done = subprocess.run(
        [sys.executable, "-m", "stepbook"],
        env={
            **os.environ, "STEPBOOK_BOOK": str(path), "_STEPBOOK_COMPLETE": "bash_complete",
            "COMP_WORDS": "stepbook runs --loop ", "COMP_CWORD": "3",
        },
        capture_output=True, check=False,
    )  # fmt: skip
    assert {line.split(",", 1)[1] for line in harmless(done.stdout)} == {"fine", "漢字"}


SCRIPT = f"""
import stepbook, warnings
name = {HOSTILE!r}
run = stepbook.run(name, key=name)
print(run, run.book, repr(run.timeline()))
if run.status == "failed":
    for fails in (
        lambda: run.redo(name), lambda: run.resolve(name, object()), lambda: run.book.get(name),
        lambda: run.options(**{{name.replace(chr(0), ""): 1}}), lambda: run.do("Value", object),
    ):
        try:
            fails()
        except (stepbook.StepbookError, TypeError) as error:
            if isinstance(error, stepbook.StepbookError):
                print(error, *getattr(error, "__notes__", ()))
    warnings.warn(name, stepbook.StepbookWarning)
    changed = [[1]]
    run.do(name + "2", lambda argument: argument.append(name), changed)
    run.options(store=False).do(name + "3", lambda: name)
    run.options(max_size=10).do(name + "4", lambda: name)
    run.wait_for_scan(name=name, timeout=0, default=None)
    run.redo(name + "2")
    raise stepbook.StepError(" ".join(name.split()))
run.do("Fails", lambda ctx: ctx.progress(1, 2, name) or ctx.log(name, name=name) or 1 / 0)
"""


def test_messages_warnings_reprs_and_errors_of_a_script_are_text(tmp_path):
    """Also what it says of who had the run open before: a file with a hostile name."""
    env = {
        **os.environ,
        "STEPBOOK_BOOK": str(tmp_path / f"{HOSTILE[20:].replace(chr(0), '')[:60]}"),
    }
    env["JPY_SESSION_NAME"] = "/" + HOSTILE.replace("\0", "").replace("/", "")
    env["PYTHONIOENCODING"] = "utf-8:backslashreplace"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    for turn in range(2):
        done = subprocess.run([sys.executable, script], env=env, capture_output=True, check=False)
        assert done.returncode == 1
        harmless(done.stdout)
        said = harmless(done.stderr)
        assert any("_forged" in line for line in said)
        assert not any(line.startswith(("n_forged", "run_forged")) for line in said)
        assert any("ZeroDivisionError" in line for line in said) is (turn == 0)
        assert any("another process holds" in line for line in said) is False
        assert any("last opened from" in line for line in said) is (turn == 1)


def test_a_notebook_that_prints_and_raises_hostile_text_is_shown_as_text(tmp_path):
    name = HOSTILE.replace("\0", "").replace("/", "")[-60:] + ".ipynb"
    code = f"print({HOSTILE!r}, '\\x1b[32mgreen\\x1b[0m')\nraise ValueError({HOSTILE!r})"
    cells = [
        nbformat.v4.new_code_cell(f"%%step a{HOSTILE[70:80]}"),
        nbformat.v4.new_code_cell(code),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / name)
    env = {**os.environ, "STEPBOOK_BOOK": str(tmp_path / "b.duckdb"), "TERM": "xterm-256color"}
    words = ["-m", "stepbook", "run", name]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env=env, capture_output=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert any("ValueError" in line for line in harmless(done.stdout))
    harmless(done.stderr or b"\n")
    child = pexpect.spawn(
        sys.executable, words, cwd=str(tmp_path), env=env, dimensions=(40, 100), timeout=120
    )
    shown = child.read().replace(b"\r\n", b"\n").replace(b"\r", b"")
    assert b"\x1b[32mgreen" in shown
    harmless(shown, coloured=True)


def test_shell_lines_that_are_shown_are_one_word_for_each_name(tmp_path):
    """The line that delivers can be copied, if all of it can be seen."""
    script = "import stepbook; stepbook.run('a').wait_for_scan(name='it is; $(x)', timeout=0.1)"
    env = {**os.environ, "STEPBOOK_BOOK": str(tmp_path / "b.duckdb")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False
    )
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("  stepbook deliver")]
    assert shlex.split(line)[5:6] == ["it is; $(x)"]

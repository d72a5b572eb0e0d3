"""``stepbook diff``: two runs, or two attempts of a step, in a terminal and for programs."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from stepbook.cli.main import cli


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in ("STEPBOOK_STABLE_REPR", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


def train(rate):
    return {"auc": 0.9 + rate}


@pytest.fixture
def runs(book):
    """The ids of two runs; the step of the second has three attempts."""
    with book.run("review", key="1") as one:
        one.do("Load", lambda: 1)
        one.do("Train", train, 0.0)
    for rate in (0.01, 0.02, 0.03):
        other = book.run("other")
        if rate > 0.01:
            other.redo("Train")
        other.do("Train", train, rate)
    other.do("Report \x1b[31m", lambda: "\x1b]0;title\x07")
    other.finish()
    return one.id, other.id


@pytest.fixture
def call(path, runs):
    def run(*arguments, **env):
        return CliRunner().invoke(cli, ["diff", *arguments, "--book", str(path)], env=env)

    return run


def table(text):
    return [line.split("\t") for line in text.splitlines()]


def test_two_runs_are_a_table_of_their_steps(call, runs):
    found = call("review", runs[1])
    assert found.exit_code == 0, found.output
    heading, *rows = table(found.stdout)
    assert heading == ["step", "status", "duration", "what changed"]
    assert [row[0] for row in rows] == ["Load", "Train", "Report \\x1b[31m"]
    assert [row[3] for row in rows] == [
        "only in this run",
        "return.auc: 0.9 -> 0.93 (+0.03); code: argument rate: 0.0 -> 0.03",
        "only in the other run",
    ]
    assert " -> " in rows[1][2]


def test_a_terminal_gets_colours_and_no_line_wider_than_it_is(call, runs):
    for width in (60, 100):
        found = call(*runs, FORCE_COLOR="1", COLUMNS=str(width))
        plain = [part.partition("m")[2] for part in found.stdout.split("\x1b[")]
        assert max(map(len, "".join(plain).splitlines())) <= width
        assert "\x1b]" not in found.stdout


def test_programs_get_every_field(call, runs):
    rows = json.loads(call(*runs, "--format", "json").stdout)
    assert [row["name"] for row in rows] == ["Load", "Train", "Report \x1b[31m"]
    assert rows[0]["status_other"] is None
    assert rows[1]["differs"] == "return.auc: 0.9 -> 0.93 (+0.03)"
    assert rows[1]["attempt_other"] == 3
    lines = list(csv.DictReader(io.StringIO(call(*runs, "--format", "csv").stdout)))
    assert [list(line) for line in lines] == [list(rows[0])] * 3


@pytest.mark.parametrize(
    ("attempts", "first", "second", "change"),
    [([], "0.92", "0.93", "+0.01"), (["--attempts", "1,3"], "0.91", "0.93", "+0.02")],
)
def test_two_attempts_of_a_step_are_a_table_of_facts(call, attempts, first, second, change):
    found = call("other", "--step", "Train", *attempts)
    assert found.exit_code == 0, found.output
    heading, *rows = table(found.stdout)
    assert heading == ["what", "where", "first", "second", "change"]
    assert ["return", ".auc", first, second, change] in rows
    assert [row[0] for row in rows] == [
        "attempt", "status", "started_at", "seconds", "return", "fingerprint",
    ]  # fmt: skip
    data = json.loads(call("other", "--step", "Train", *attempts, "--format", "json").stdout)
    assert [list(row.values()) for row in data] == rows


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["review"], 2, "give RUN and OTHER, or RUN and --step NAME"),
        (["review", "other", "--step", "Train"], 2, "give RUN and OTHER, or RUN and --step NAME"),
        (["review", "other", "--attempts", "1,2"], 2, "give --step NAME"),
        (["other", "--step", "Train", "--attempts", "1"], 2, "as in 1,2: not '1'"),
        (["other", "--step", "Train", "--attempts", "1,2,3"], 2, "as in 1,2: not '1,2,3'"),
        (["other", "--step", "Train", "--attempts", "1,9"], 1, "no attempt 9, only 1, 2 and 3"),
        (["review", "--step", "Train"], 1, "nothing to compare, only attempt 1"),
        (["review", "--step", "Trian"], 1, "Did you mean 'Train'?"),
        (["review", "nobody"], 1, "there is no run and no loop 'nobody'"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(call, words, code, said):
    found = call(*words)
    assert (found.exit_code, found.stdout) == (code, "")
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_there_is_no_book(tmp_path):
    place = str(tmp_path / "none.duckdb")
    found = CliRunner().invoke(cli, ["diff", "a", "b", "--book", place])
    assert found.exit_code == 1
    assert found.stderr.startswith("stepbook: there is no book at")
    assert not (tmp_path / "none.duckdb").exists()

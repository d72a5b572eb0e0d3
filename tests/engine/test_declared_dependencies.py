"""What a step was declared to depend on is compared like its code, its arguments, its edits."""

from __future__ import annotations

import asyncio
import json

import pytest

import stepbook
from stepbook import InvalidInputError, StaleStepError

LOOP = """
    import os
    import sys
    from pathlib import Path
    import stepbook

    def helper():
        return 1

    def clean():
        return helper()

    def load():
        print("executed")
        return Path("data.csv").read_text()

    os.chdir(Path(sys.argv[1]).parent)
    book = stepbook.connect(sys.argv[1])
    run = book.run("review", key="k")
    if {again}:
        run.redo("First")
    run.do("First", lambda: Path("data.csv").write_text({data}))
    print(run.options({options}).do("Load", load))
    run.close()
"""


@pytest.fixture
def walk(child, path):
    """Walk the loop in a new process; return what it printed, and what it was told."""

    def walk(options='deps=[clean, "data.csv"]', data="'1'", again=0, old="", new=""):
        text = LOOP.format(options=options, data=data, again=again).replace(old, new)
        code, out, err = child(text, path, name="loop.py").end()
        assert code == 0, err
        told = [line for line in err.splitlines() if "'Load'" in line]
        return out.splitlines(), told

    return walk


def test_unchanged_dependencies_replay_without_a_word(walk):
    assert walk() == (["executed", "1"], [])
    assert walk() == (["1"], [])


def test_changed_code_is_told_and_replays(walk):
    walk()
    out, [told, _] = walk(old="return 1", new="return 2")
    assert out == ["1"]
    assert "dependency helper changed" in told


def test_a_changed_file_is_told_and_replays(walk, path):
    walk()
    (path.parent / "data.csv").write_text("200")
    out, [told, _] = walk()
    assert out == ["1"]
    assert "file data.csv changed: 1 bytes -> 3 bytes" in told
    (path.parent / "data.csv").unlink()
    assert "file data.csv is gone" in walk()[1][0]
    (path.parent / "data.csv").write_text("1")
    assert walk() == (["1"], [])


def test_a_file_that_an_earlier_step_has_written_anew_executes_the_step(walk):
    walk()
    out, told = walk(data="'2'", again=1)
    assert out == ["executed", "2"]
    assert told[-1] == "stepbook: 'Load': file data.csv changed; it is executed again."


def test_rerun_executes_what_has_changed(walk):
    walk("version=1, on_change='rerun'")
    out, told = walk("version=2, on_change='rerun'")
    assert out == ["executed", "1"]
    assert told == ["stepbook: 'Load': version: 1 -> 2; it is executed again."]


def test_a_step_that_is_given_dependencies_is_stale(walk):
    walk("")
    out, [told, _] = walk()
    assert out == ["1"]
    for what in ("dependency clean is new", "dependency data.csv is new"):
        assert what in told


@pytest.fixture
def again(path):
    """Open the same run once more."""
    book = stepbook.connect(path)

    def again():
        run = book.run("review", key="k")
        run.close()
        return book.run("review", key="k")

    return again


def test_error_refuses_and_ignore_does_not_even_read(again, tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("1")
    again().options(deps=[file]).do("Load", int)
    file.write_text("2")
    with pytest.raises(StaleStepError, match=r"data\.csv changed"):
        again().options(deps=[file], on_change="error").do("Load", int)
    assert again().options(deps=[file], on_change="ignore").do("Load", int) == 0
    assert again().steps()["attempt"].tolist() == [1]


def test_a_file_that_the_body_changes_itself_is_no_change(again, tmp_path):
    made = tmp_path / "made.txt"

    def make():
        made.write_text("x")

    for _ in range(2):
        again().options(deps=[made], on_change="error").do("Make", make)
    assert made.read_text() == "x"


def test_coroutine_functions_have_dependencies_too(again):
    async def load(version):
        return await again().options(version=version, on_change="rerun").do("Load", work)

    calls = []

    async def work():
        calls.append(1)

    for version in (1, 1, "2"):
        asyncio.run(load(version))
    assert len(calls) == 2


def test_without_dependencies_nothing_is_recorded_of_them(again):
    run = again()
    run.options(retries=1).do("A", int)
    run.do("B", int)
    run.options(deps=[]).do("C", int)
    found = run.steps()["fingerprint"].tolist()
    assert {*found} == {'{"code":"@int"}'}
    run.options(deps=["no"], version="a").do("D", int)
    text = run.steps()["fingerprint"].tolist()[-1]
    assert json.loads(text) == {
        "code": "@int",
        "files": {"no": "=not there"},
        "given": {"version": "=a"},
    }


WRONG = {
    "deps is a list": {"deps": "data.csv"},
    "deps is a list, as in": {"deps": len},
    "which is no path": {"deps": ["data.csv", ""]},
    "version is a text or a number": {"version": 1.5},
    "not True": {"version": True},
    "version is empty": {"version": ""},
}


@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_be_used_is_refused_with_a_clear_word(again, words):
    with pytest.raises(InvalidInputError, match=words):
        again().options(**WRONG[words])

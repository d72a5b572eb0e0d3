"""Edits of what a step was declared to depend on: code, files, folders, values, a version."""

from __future__ import annotations

import json

import pytest
from edits import Edit, check, verdicts_on

from stepbook.code.fingerprints import of_call

CALL = "def call(): return 1\n"
FILE = {"m.py": CALL + "deps = ['data/a.csv']", "data/a.csv": "1,2"}
FOLDER = {"m.py": CALL + "deps = ['data']", "data/a.csv": "1,2", "data/sub/b.csv": "3"}
EDITS = {
    "function": Edit("def clean(): return 1\ndeps = [clean]\ndef call(): ...", "1", "2"),
    "comment in a function": Edit(
        "def clean():  # one\n    return 1\ndeps = [clean]\ndef call(): ...", "# one", "", "same"
    ),
    "function that a function reaches": Edit(
        "def b(): return 1\ndef a(): return b()\ndeps = [a]\ndef call(): ...", "1", "2"
    ),
    "constant that a function reaches": Edit(
        "K = 1\ndef a(): return K\ndeps = [a]\ndef call(): ...", "1", "2"
    ),
    "list that a function reaches": Edit(
        "K = [1]\ndef a(): return K\ndeps = [a]\ndef call(): ...", "1", "2"
    ),
    "method of a class": Edit(
        "class A:\n    def go(self): return 1\ndeps = [A]\ndef call(): ...", "1", "2"
    ),
    "function that a library wraps": Edit(
        "import functools\n@functools.cache\ndef a(): return 1\ndeps = [a]\ndef call(): ...",
        "1",
        "2",
    ),
    "partial": Edit(
        "import functools\ndef a(k): return 1\ndeps = [functools.partial(a, 3)]\ndef call(): ...",
        "return 1",
        "return 2",
    ),
    "argument of a partial": Edit(
        "import functools\ndef a(k): return 1\ndeps = [functools.partial(a, 3)]\ndef call(): ...",
        "3",
        "4",
    ),
    "module": Edit(
        {"m.py": "import other\ndeps = [other]\ndef call(): ...", "other.py": "K = 1"}, "1", "2"
    ),
    "value": Edit(CALL + "deps = [{'k': 5}]", "5", "6"),
    "array": Edit("import numpy as np\ndeps = [np.arange(5)]\n" + CALL, "5", "6"),
    "attribute of an instance": Edit(
        "class A:\n    def __init__(self): self.k = 5\ndeps = [A()]\n" + CALL, "5", "6"
    ),
    "connection": Edit(
        "import sqlite3\ndeps = [sqlite3.connect('a.db')]\n" + CALL, "a.db", "b.db", "unknown"
    ),
    "file": Edit(FILE, "1,2", "1,3"),
    "file as a path": Edit(
        FILE | {"m.py": CALL + "from pathlib import Path\ndeps = [Path('data', 'a.csv')]"},
        "1,2",
        "1,3",
    ),
    "a text or a path is the same file": Edit(
        {"m.py": "from pathlib import Path\ndeps = ['m.csv']\n" + CALL, "m.csv": ""},
        "'m.csv'",
        "Path('m.csv')",
        "same",
    ),
    "another file": Edit(FILE | {"m.py": FILE["m.py"] + "\nK = 1"}, "K = 1", "K = 2", "same"),
    "file in a folder": Edit(FOLDER, "3", "4"),
    "file beside a folder": Edit(FOLDER | {"other.csv": "5"}, "5", "6", "same"),
    "version": Edit(CALL + "version = 8", "8", "9"),
    "version as a text": Edit(CALL + "version = 8", "8", "'8'", "same"),
    "no version any more": Edit(CALL + "version = 8", "version = 8", ""),
    "first dependency": Edit(CALL + "# deps = ['m.csv']", "# ", ""),
    "no dependency any more": Edit(CALL + "deps = ['m.csv']", "deps", "others"),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return verdicts_on(EDITS, tmp_path_factory.mktemp("edits"))


@pytest.mark.parametrize("name", EDITS)
def test_verdict(name, found):
    check(name, EDITS, found)


def test_without_dependencies_the_fingerprint_is_what_it_always_was():
    assert of_call(abs, (2,), {}) == '{"code":"@abs","arguments":{"0":"=2"}}'
    assert of_call(len, (), {}, None) == '{"code":"@len"}'


def test_each_part_stands_by_itself_and_names_what_has_changed(found):
    assert found["function that a function reaches"][0].changes == ("dependency b changed",)
    assert found["constant that a function reaches"][0].changes == ("dependency K: 1 -> 2",)
    assert found["value"][0].changes == ('deps[0]: {"k":5} -> {"k":6}',)
    assert found["file"][0].changes == ("file data/a.csv changed",)
    assert found["version"][0].changes == ("version: 8 -> 9",)
    assert found["no version any more"][0].changes == ("version: 8 -> none",)
    assert found["first dependency"][0].changes == ("dependency m.csv is new",)
    before = json.loads(found["file"][1])
    assert before.keys() == {"code", "files"}
    assert found["version"][0].in_code
    assert not found["file"][0].in_code

"""What nothing native can store is kept as a pickle that only this user's key makes loadable."""

from __future__ import annotations

import functools
import json
import operator
import os
import re
import stat
import statistics
import sys
from collections import UserDict
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

import stepbook
from stepbook.errors import ArtifactError, NotSerializableError, NotStoredError, SealKeyError

OTHER = "ab" * 32


class Finalised:
    def __init__(self) -> None:
        self.numbers = np.arange(20_000)
        self.name = "kept"

    def __del__(self) -> None:
        pass


class Titled(dict):
    title = "rows"


class Bomb:
    """Leaves a file behind when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def cycle() -> list[object]:
    made: list[object] = [1]
    made.append(made)
    return made


VALUES = {
    "an object of a library": (lambda: {"n": statistics.NormalDist(1, 2)}, lambda v: v["n"].mean),
    "groups of a frame": (
        lambda: pd.DataFrame({"a": [1, 1, 2], "b": [1, 2, 3]}).groupby("a"),
        lambda v: v["b"].sum().tolist(),
    ),
    "a partial": (lambda: functools.partial(operator.add, 4), lambda v: v(1)),
    "a function by its name": (lambda: {"f": [os.path.join]}, lambda v: v["f"][0] is os.path.join),
    "a class with a finaliser": (Finalised, lambda v: (v.name, int(v.numbers.sum()))),
    "a subclass of a dict": (lambda: Titled(a=1), lambda v: (type(v) is Titled, v["a"], v.title)),
    "what contains itself": (cycle, lambda v: v[1] is v),
    "a frozen array": (
        lambda: UserDict(a=np.broadcast_to(np.arange(3), (2, 3)), f=Finalised()),
        lambda v: v["a"].tolist(),
    ),
}


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a key."""
    folder = tmp_path / "user"
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    monkeypatch.delenv("STEPBOOK_KEY", raising=False)
    return folder / "stepbook"


def stored(path: Path, run: str, step: str = "a") -> dict:
    with duckdb.connect(path) as connection:
        [(text,)] = connection.execute(
            'SELECT "return" FROM steps WHERE run_id = $1 AND name = $2', [run, step]
        ).fetchall()
    return json.loads(text)


def change(path: Path, run: str, node: object, step: str = "a", **columns: object) -> None:
    with duckdb.connect(path) as connection:
        for column, value in {"return": json.dumps(node), **columns}.items():
            for table in ("steps", "attempts"):
                connection.execute(
                    f'UPDATE {table} SET "{column}" = $1 WHERE run_id = $2 AND name = $3',
                    [value, run, step],
                )


def never() -> object:
    raise AssertionError("a step that succeeded was executed")


@pytest.mark.parametrize("name", VALUES)
def test_what_nothing_native_stores_comes_back(user, path, name):
    make, look = VALUES[name]
    book = stepbook.connect(path)
    with book.run("x") as run:
        first = run.do("a", make)
        assert first is not make
        assert look(first) == look(make())
    book.close()
    with stepbook.connect(path).run("x") as run:
        assert look(run.do("a", never)) == look(make())


def test_what_has_no_pickle_is_refused_with_both_reasons(user, book):
    run = book.run("x")
    with pytest.raises(NotSerializableError, match=r"\$\.rows\[1\].*cannot be pickled") as caught:
        run.do("a", lambda: {"rows": [1, (i for i in "ab")]})
    assert list(caught.value.value["rows"][1]) == ["a", "b"]


def test_the_key_is_made_with_the_first_sealed_value_and_not_before(user, book):
    run = book.run("x")
    run.do("plain", lambda: {"a": [1, (2,)]})
    run.do("frame", lambda: pd.DataFrame({"a": [1]}))
    assert not (user / "keys").exists()
    run.do("sealed", statistics.NormalDist)
    keys = user / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert stat.S_IMODE(user.stat().st_mode) == 0o700
    assert re.fullmatch(r"[0-9a-f]{64}\n", keys.read_text())
    assert keys.read_text().strip() not in Path(run.book.path).read_bytes().decode("latin-1")


def test_another_user_sees_what_it_is_and_the_step_is_not_executed(user, path, monkeypatch):
    book = stepbook.connect(path)
    run = book.run("x")
    run.do("a", lambda: {"n": statistics.NormalDist(1, 2)})
    book.close()
    monkeypatch.setenv("STEPBOOK_KEY", OTHER)
    (user / "keys").unlink()
    run = stepbook.connect(path).run("x")
    with pytest.raises(NotStoredError) as caught:
        run.do("a", never)
    for part in ("a: ", "dict", "NormalDist(mu=1", "another key", f"trust {run.id}", "redo"):
        assert part in str(caught.value)
    assert run.steps()["status"].tolist() == ["succeeded"]
    shown = run.steps()["return"][0]
    assert shown["$stepbook"] == "sealed"
    assert "pickle" not in shown
    run.redo("a")
    assert stepbook.connect(path).run("x").do("a", statistics.NormalDist, 3).mean == 3


def test_several_keys_verify_and_the_first_signs(user, path, monkeypatch):
    first, second = "11" * 32, "22" * 32
    seen = []
    for keys in (first, f"{second} {first}"):
        monkeypatch.setenv("STEPBOOK_KEY", keys)
        book = stepbook.connect(path)
        run = book.run("x")
        run.do("old", lambda: statistics.NormalDist(1))
        seen.append(run.do(f"new {keys[:2]}", lambda: statistics.NormalDist(2)).mean)
        book.close()
    assert seen == [2, 2]
    assert stored(path, run.id, "old")["key"] != stored(path, run.id, "new 22")["key"]
    monkeypatch.setenv("STEPBOOK_KEY", second)
    run = stepbook.connect(path).run("x")
    with pytest.raises(NotStoredError, match="another key"):
        run.do("old", never)


@pytest.mark.parametrize("text", ["short", "zz" * 32, "ab" * 31, f"{OTHER} 00"])
def test_a_key_that_is_none_is_refused_without_being_shown(user, book, monkeypatch, text):
    monkeypatch.setenv("STEPBOOK_KEY", text)
    with pytest.raises(SealKeyError, match="STEPBOOK_KEY must hold keys of 64") as caught:
        book.run("x").do("a", statistics.NormalDist)
    assert text not in str(caught.value)


def test_a_file_of_keys_that_others_can_read_is_refused(user, path):
    book = stepbook.connect(path)
    book.run("x").do("a", statistics.NormalDist)
    book.close()
    (user / "keys").chmod(0o644)
    with pytest.raises(SealKeyError, match="chmod 600"):
        stepbook.connect(path).run("x").do("a", never)


def test_without_a_folder_a_key_holds_for_the_process(user, path, child):
    user.parent.write_text("no folder")
    script = """
    import statistics, sys, stepbook
    run = stepbook.connect(sys.argv[1]).run("x")
    try:
        for _ in range(2):
            run = stepbook.connect(sys.argv[1]).run("x")
            print(run.do("a", statistics.NormalDist, 7).mean)
            run.close()
    except stepbook.NotStoredError as error:
        print(type(error).__name__)
    """
    code, out, err = child(script, path).end()
    assert (code, out.split()) == (0, ["7.0", "7.0"])
    assert err.count("no folder of this user's own") == 1
    code, out, _ = child(script, path).end()
    assert (code, out.split()) == (0, ["NotStoredError"])


def attack(node: dict, other: dict, bomb: dict) -> dict[str, dict]:
    """Records that somebody without the key can make of one."""
    return {
        "bytes of another pickle": {**node, "pickle": bomb["pickle"]},
        "another pickle, the whole node": {**bomb, "key": node["key"], "seal": node["seal"]},
        "the same in the form of earlier versions": {
            "$stepbook": "pickle",
            "format": 1,
            "class": "x",
            **bomb["pickle"],
        },
        "with the other key's id": {**bomb, "key": other["key"]},
        "without a seal": {k: v for k, v in bomb.items() if k not in ("key", "seal")},
        "a seal cut short": {**node, "pickle": bomb["pickle"], "seal": node["seal"][:8]},
        "an empty seal": {**bomb, "seal": ""},
        "a seal that is no text": {**bomb, "seal": None},
        "a buffer that may be written to": {
            **node,
            "buffers": [{**part, "writable": not part["writable"]} for part in node["buffers"]],
        },
        "no buffers": {**node, "buffers": []},
        "one more buffer": {**node, "buffers": [*node["buffers"], *node["buffers"]]},
    }


ATTACKS = list(
    attack({"key": "", "seal": "", "pickle": {}, "buffers": []}, {"key": ""}, {"pickle": {}})
)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_forged_value_is_never_loaded(user, tmp_path, path, monkeypatch, name):
    left = tmp_path / "left"
    monkeypatch.setenv("STEPBOOK_KEY", OTHER)
    theirs = stepbook.connect(tmp_path / "theirs.duckdb")
    run = theirs.run("x")
    run.do("a", lambda: [Bomb(left)])
    theirs.close()
    left.unlink()  # their own first run has loaded it
    bomb = stored(tmp_path / "theirs.duckdb", run.id)
    monkeypatch.delenv("STEPBOOK_KEY")
    book = stepbook.connect(path)
    run = book.run("x")
    run.do("a", Finalised)
    run.do("b", statistics.NormalDist)
    book.close()
    node = stored(path, run.id)
    change(path, run.id, attack(node, bomb, bomb)[name])
    with pytest.raises((NotStoredError, ArtifactError)):
        stepbook.connect(path).run("x").do("a", never)
    assert not left.exists()


def test_a_sealed_value_cannot_be_moved(user, tmp_path, path):
    book = stepbook.connect(path)
    run = book.run("x")
    run.do("a", statistics.NormalDist, 1)
    run.do("b", statistics.NormalDist, 2)
    run.redo("b")
    old = stored_after(book, path, run.id, "b")
    run = book.run("x")
    run.do("b", statistics.NormalDist, 3)
    other = book.run("y")
    other.do("a", statistics.NormalDist, 4)
    book.close()
    moves = {
        "another step": (run.id, "a", stored(path, run.id, "b")),
        "another run": (run.id, "a", stored(path, other.id, "a")),
        "an earlier attempt": (run.id, "b", old),
    }
    for target, step, node in moves.values():
        before = stored(path, target, step)
        change(path, target, node, step)
        book = stepbook.connect(path)
        with pytest.raises(NotStoredError, match="changed since it was sealed"):
            book.run("x").do(step, never)
        book.close()
        change(path, target, before, step)
    copied = tmp_path / "copy.duckdb"
    theirs = stepbook.connect(copied)
    run = theirs.run("x")
    run.do("a", statistics.NormalDist, 9)
    theirs.close()
    with duckdb.connect(copied) as connection:
        connection.execute("UPDATE steps SET run_id = $1", [other.id])
        connection.execute("UPDATE attempts SET run_id = $1", [other.id])
        connection.execute("UPDATE runs SET id = $1, loop = 'y'", [other.id])
    change(copied, other.id, stored(path, other.id))
    with pytest.raises(NotStoredError, match="changed since it was sealed"):
        stepbook.connect(copied).run("y").do("a", never)


def stored_after(book: stepbook.Book, path: Path, run: str, step: str) -> dict:
    book.close()
    with duckdb.connect(path) as connection:
        rows = connection.execute(
            'SELECT "return" FROM attempts WHERE run_id = $1 AND name = $2 ORDER BY attempt',
            [run, step],
        ).fetchall()
    return json.loads(next(text for (text,) in rows if text))


def test_a_file_that_was_replaced_is_not_loaded(user, path):
    book = stepbook.connect(path)
    run = book.run("x")
    run.do("a", Finalised)
    book.close()
    [part] = stored(path, run.id)["buffers"]
    file = Path(f"{path}.d") / "artifacts" / part["file"]
    data = bytearray(file.read_bytes())
    data[10] ^= 1
    file.chmod(0o600)
    file.write_bytes(data)
    with pytest.raises(ArtifactError, match="a: it cannot be read"):
        stepbook.connect(path).run("x").do("a", never)


def test_a_module_in_the_folder_of_the_book_is_not_imported(user, tmp_path, path, child):
    (tmp_path / "mine.py").write_text(
        "print('imported')\nclass Thing:\n    x = 1\n    def __del__(self): pass\n"
    )
    script = """
    import sys, stepbook
    if len(sys.argv) > 2:
        import mine
        make = mine.Thing
    else:
        make = print
    try:
        print(stepbook.connect(sys.argv[1]).run("x").do("a", make).x)
    except stepbook.NotStoredError as error:
        print(error)
    """
    assert child(script, path, "import").end()[1].split() == ["imported", "1"]
    out = child(script, path).end()[1]
    assert "the module mine is not imported. Import it before the step" in out
    assert "imported\n" not in out
    assert child(script, path, "import").end()[1].split() == ["imported", "1"]


def test_a_value_that_another_version_cannot_load_says_so(user, tmp_path, path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "aging.py").write_text(
        "__version__ = '1.0'\nclass Model:\n    def __del__(self): pass\n"
    )
    import aging

    book = stepbook.connect(path)
    book.run("x").do("a", aging.Model)
    book.close()
    del aging.Model
    aging.__version__ = "2.0"
    with pytest.raises(NotStoredError, match=r"does not load: .*aging 1\.0, now 2\.0.*redo"):
        stepbook.connect(path).run("x").do("a", never)
    sys.modules.pop("aging")


def test_what_a_library_warns_of_when_it_is_loaded_is_told_once(
    user, tmp_path, path, monkeypatch, capsys
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "warning_lib.py").write_text(
        "import warnings\nclass Model:\n    def __del__(self): pass\n"
        "    def __setstate__(self, state): warnings.warn('made by version 0.9')\n"
        "    def __getstate__(self): return {'a': 1}\n"
    )
    import warning_lib

    book = stepbook.connect(path)
    for _ in range(2):
        run = book.run("x")
        run.do("a", warning_lib.Model)
        run.do("b", warning_lib.Model)
        run.close()
    err = capsys.readouterr().err
    assert err.count("made by version 0.9") == 1
    assert "run.redo('a')" in err


def test_resolve_seals_what_it_is_given(user, path):
    book = stepbook.connect(path)
    run = book.run("x")
    with pytest.raises(ZeroDivisionError):
        run.do("a", lambda: 1 / 0)
    run.resolve("a", statistics.NormalDist(5))
    book.close()
    assert stepbook.connect(path).run("x").do("a", never).mean == 5


def test_constants_of_a_module_stay_themselves(user, tmp_path, path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "constants.py").write_text("class Missing: pass\nMISSING = Missing()\n")
    import constants

    for _ in range(2):
        book = stepbook.connect(path)
        assert book.run("x").do("a", lambda: {"m": constants.MISSING})["m"] is constants.MISSING
        book.close()

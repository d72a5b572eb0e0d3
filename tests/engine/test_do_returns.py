"""What ``run.do`` gives: the same on the first run and on every replay, in any process."""

from __future__ import annotations

import dataclasses
import enum
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import catalogue
import numpy as np
import pandas as pd
import pytest
from recorded import files_of
from sameness import assert_same

import stepbook
from stepbook import ArtifactError, NotSerializableError

HERE = Path(__file__).parents[1]


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPBOOK_STABLE_REPR", "1")
    return stepbook.connect(tmp_path / "b.duckdb")


def replay_elsewhere(path, **environment):
    return subprocess.run(
        [sys.executable, HERE / "support" / "replays.py", path],
        env={**os.environ, "PYTHONPATH": str(HERE.parent), "PYTHONHASHSEED": "4711", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_type_comes_back_in_another_process(book):
    given = catalogue.record(book)
    book.close()
    for step in catalogue.STEPS:
        assert_same(step(), given[step.__name__], step.__name__)
    done = replay_elsewhere(book.path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(len(catalogue.STEPS))


@pytest.mark.parametrize("version", [1, 2])  # 2: artifacts have an XXH3
def test_a_book_of_an_earlier_version_can_be_read(tmp_path, version):
    with tarfile.open(HERE / "fixtures" / f"values-{version}.tar.xz") as stored:
        stored.extractall(tmp_path, filter="data")
    done = replay_elsewhere(tmp_path / "values.duckdb")
    assert done.returncode == 0, done.stderr


def test_a_changed_value_never_changes_the_record(book):
    makers = {
        "list": lambda: [1, [2]],
        "array": lambda: np.zeros(20_000),
        "frame": lambda: pd.DataFrame({"a": np.zeros(20_000)}),
    }

    def walk():
        run = book.run("x")
        return {name: run.do(name, make) for name, make in makers.items()}

    for _ in range(3):
        given = walk()
        assert given["list"] == [1, [2]]
        assert given["array"].sum() == 0
        assert given["frame"]["a"].sum() == 0
        given["list"][1].append("changed")
        given["array"][:] = 1
        given["frame"]["a"] = 1.0


def test_the_first_run_gives_a_copy(book):
    kept = np.zeros(20_000)
    table = pd.DataFrame({"a": kept}, copy=False)
    run = book.run("x")
    for name, value in {"array": kept, "frame": table}.items():
        given = run.do(name, lambda value=value: value)
        assert not np.shares_memory(np.asarray(given), kept)
    kept[:] = 1
    assert book.run("x").do("array", len).sum() == 0
    assert book.run("x").do("frame", len)["a"].sum() == 0


def test_equal_values_are_one_file(book):
    run = book.run("x")
    for name in "ab":
        run.do(name, lambda: [np.arange(20_000.0)] * 2)
    assert len(files_of(book)) == 1


def test_the_sample_of_a_frame_has_what_its_rows_are_called(book):
    run = book.run("x")
    frame = pd.DataFrame({"n": range(9)}, index=pd.date_range("2026-11-25", periods=9, name="day"))
    pairs = pd.MultiIndex.from_product([["Rome", "Oslo"], [1, 2]], names=["city", None])
    run.do("dated", lambda: frame)
    run.do("series", lambda: pd.Series([1.5, 2.5], index=["a", "b"]))
    run.do("levels", lambda: pd.DataFrame({"n": [1, 2, 3, 4]}, index=pairs))
    run.do("counted", lambda: pd.DataFrame({"n": [1, 2]}))
    shown = {
        name: node["preview"] for name, node in run.steps().set_index("name")["return"].items()
    }
    assert shown["dated"]["index"][0] == ["2026-11-25 00:00:00"]
    assert shown["dated"]["rows"] == [[0], [1], [2], [3], [4]]
    assert shown["series"] == {"index": [["a"], ["b"]], "rows": [[1.5], [2.5]]}
    assert shown["levels"]["index"] == [["Rome", 1], ["Rome", 2], ["Oslo", 1], ["Oslo", 2]]
    assert shown["counted"] == [[1], [2]]
    run.close()
    again = book.run("x").do("dated", lambda: 1 / 0)
    pd.testing.assert_frame_equal(again, frame)


def test_the_record_shows_shape_types_and_a_small_sample(book):
    run = book.run("x")
    texts = str(pd.DataFrame({"b": ["x"]}).dtypes["b"])  # "object" before pandas 3
    run.do("frame", lambda: pd.DataFrame({"a": range(20_000), "b": "x"}))
    run.do("many", lambda: [np.arange(20_000.0) + i for i in range(200)])
    run.do("list", lambda: list(range(20_000)))
    shown = run.steps().set_index("name")["return"]
    frame = shown["frame"]
    assert frame["shape"] == [20_000, 2]
    assert frame["dtypes"] == {"a": "int64", "b": texts}
    assert frame["preview"][:2] == [[0, "x"], [1, "x"]]
    assert frame["format"] == 1
    assert frame["sha256"] in str(run.artifact("frame"))
    assert frame["bytes"] == run.artifact("frame").stat().st_size
    assert shown["list"]["length"] == 20_000
    assert shown["list"]["preview"].startswith("[0,1,2")
    samples = [node.get("preview") for node in shown["many"]]
    assert samples[0][:2] == [0.0, 1.0]
    assert sum(len(str(sample)) for sample in samples if sample) <= 4096 * 1.2


def test_a_table_file_opens_in_pandas(book):
    run = book.run("x")
    index = pd.date_range("2024", periods=20_000, name="day")
    frame = run.do("frame", lambda: pd.DataFrame({"a": range(20_000)}, index=index))
    pd.testing.assert_frame_equal(pd.read_feather(run.artifact("frame")), frame, check_freq=False)


@dataclasses.dataclass
class Patient:
    name: str


class Colour(enum.Enum):
    RED = 1


def test_a_class_that_nothing_names_is_not_built_from_a_record(book):
    for _ in range(2):
        run = book.run("x")
        assert run.options(returns=Patient).do("a", lambda: Patient("Ada")) == Patient("Ada")
        assert run.do("sealed", lambda: Patient("Ada")) == Patient("Ada")
        run.close()
    assert run.steps()["return"][1]["$stepbook"] == "sealed"
    with pytest.raises(
        ArtifactError, match=r"a: .*test_do_returns\.Patient, which nothing here names"
    ):
        book.run("x").do("a", lambda: Patient("Ada"))


def test_a_class_as_the_body_names_itself(book):
    for _ in range(2):
        assert book.run("x").do("a", Patient, "Ada") == Patient("Ada")


def test_a_class_is_named_within_any_annotation(book):
    def body() -> dict[str, list[Patient | None] | tuple[Colour, ...]]:
        return {"a": [Patient("Ada"), None], "b": (Colour.RED,)}

    for _ in range(2):
        assert book.run("x").do("a", body) == body()


def test_a_class_that_has_changed_is_reported(book):
    @dataclasses.dataclass
    class Old:
        a: int

    @dataclasses.dataclass
    class New:
        a: int
        b: int

    New.__qualname__ = Old.__qualname__
    book.run("x").options(returns=Old).do("a", Old, 1)
    with pytest.raises(ArtifactError, match=r"its field b was not there.*run\.redo"):
        book.run("x").options(returns=New).do("a", New, 1, 2)


def test_a_moved_class_is_found_by_its_name(book):
    @dataclasses.dataclass
    class There:
        a: int

    book.run("x").options(returns=There).do("a", There, 1)
    There.__module__ = "elsewhere"
    assert book.run("x").options(returns=There).do("a", There, 1) == There(1)


def test_no_init_and_no_validator_runs_on_replay(book):
    calls = []

    @dataclasses.dataclass
    class Checked:
        a: int

        def __post_init__(self):
            calls.append(self.a)

    def body():
        return Checked(1)

    run = book.run("x")
    run.options(returns=Checked).do("a", body)
    assert calls == [1]
    book.run("x").options(returns=Checked).do("a", body)
    assert calls == [1]


def test_pydantic_models_come_back_with_what_was_set(book):
    pydantic = pytest.importorskip("pydantic")

    class Inner(pydantic.BaseModel):
        when: pd.Timestamp = pd.Timestamp(0)
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True, extra="allow")

    class Outer(pydantic.BaseModel):
        inner: Inner
        number: int = 5
        _secret: int = pydantic.PrivateAttr(default=1)

    def body() -> Outer:
        made = Outer(inner=Inner(more=(1, 2)))
        made._secret = 2
        return made

    for _ in range(2):
        given = book.run("x").options(returns=Outer).do("a", body)
        assert given == body()
        assert given.model_fields_set == {"inner"}
        assert given.inner.more == (1, 2)
        assert given._secret == 2


def test_a_registered_class_comes_back(book):
    class Token:
        def __init__(self, text):
            self.text = text

    stepbook.register(Token, lambda token: token.text.encode(), lambda data: Token(data.decode()))
    for _ in range(2):
        given = book.run("x").do("a", lambda: {"t": Token("é")})
        assert type(given["t"]) is Token
        assert given["t"].text == "é"


@pytest.mark.parametrize(
    ("encode", "decode", "reason"),
    [
        (lambda _: 1 / 0, lambda _: None, r"encode registered for .*Wrong raised ZeroDivision"),
        (lambda _: 1, lambda _: 1 / 0, r"decode registered for .*Wrong raised ZeroDivision"),
        (lambda _: 1, lambda _: 1, r"decode registered for .*Wrong made a int of it"),
        (lambda _: object(), lambda _: None, r"\$\.w: an object\(\) is nothing but itself"),
    ],
)
def test_a_wrong_registration_is_named(book, encode, decode, reason):
    class Wrong:
        pass

    stepbook.register(Wrong, encode, decode)
    with pytest.raises(NotSerializableError, match=reason):
        book.run("x").do("a", lambda: {"w": Wrong()})


def test_a_registration_that_loses_something_is_named(book):
    class Lossy:
        def __init__(self, a):
            self.a = a

        def __eq__(self, other):
            return self.a == other.a

        __hash__ = None

    stepbook.register(Lossy, lambda _: None, lambda _: Lossy(0))
    with pytest.raises(NotSerializableError, match="does not give an equal value back"):
        book.run("x").do("a", Lossy, 1)


def test_what_cannot_be_stored_is_named_and_kept(book):
    run = book.run("x")
    value = {"rows": [1, 2, 3, {"model": threading.Lock()}], "a b": ()}
    with pytest.raises(NotSerializableError) as caught:
        run.do("a", lambda: value)
    assert caught.value.path == "$.rows[3].model"
    assert caught.value.value is value
    message = str(caught.value)
    for part in ("$.rows[3].model", "lock", "ctx.file", "register", "run.resolve"):
        assert part in message
    assert run.steps()["status"].tolist() == ["failed"]
    run.resolve("a", {"rows": 3})
    assert book.run("x").do("a", lambda: value) == {"rows": 3}


def test_resolve_takes_an_object_whose_class_the_body_names(book):
    def body() -> Patient:
        raise OSError("no answer")

    run = book.run("x")
    with pytest.raises(OSError, match="no answer"):
        run.do("a", body)
    run.resolve("a", Patient("by hand"))
    assert book.run("x").do("a", body) == Patient("by hand")


def test_an_input_and_an_output_keep_their_types(book):
    when = pd.Timestamp("2024", tz="UTC")
    run = book.run("x", input={"when": when, "pair": (1, 2)})
    run.finish({"pair": (1, 2), "frame": pd.DataFrame({"a": range(20_000)})})
    again = book.run("x", input={"when": when, "pair": (1, 2)})
    assert again.id == run.id
    assert_same(again.input, {"when": when, "pair": (1, 2)})
    assert_same(again.output, {"pair": (1, 2), "frame": pd.DataFrame({"a": range(20_000)})})

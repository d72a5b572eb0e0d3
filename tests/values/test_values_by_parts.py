"""Big values by parts: what the store has is referred to, whatever becomes of it later.

``python tests/values/test_values_by_parts.py`` stores a book with such values; a published one
never changes.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from recorded import files_of
from sameness import assert_same

import stepbook
from stepbook import ArtifactError, NotStoredError
from stepbook.record.artifacts import Artifacts
from stepbook.system import platform
from stepbook.values.codec import Codec
from stepbook.values.heap import HeapWriter
from stepbook.values.reader import files_in

ROOT = Path(__file__).parents[2]
FIXTURE = ROOT / "tests" / "fixtures" / "parts-1.tar.xz"
#: Of other processes: this stepbook, and the libraries that are here.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    "STEPBOOK_STABLE_REPR": "1",
}
ROWS = 150_000
MIB = 1 << 20


class Store:
    """A folder of files, and what writes values to it."""

    def __init__(self, folder):
        self.folder = folder
        self.artifacts = Artifacts(folder / "files", folder / "lock")
        self.restart()

    def restart(self):
        """Forget what this process knows, as another one would begin."""
        self.codec = Codec(Artifacts(self.folder / "files", self.folder / "lock"))

    def put(self, value):
        with self.codec.writing() as writer:
            text = writer.encode(value)
        ready = self.codec.decode(text, ready=writer.ready)
        assert_same(_without_strides(value), ready)
        return text

    def get(self, text):
        return self.codec.decode(text)

    def fresh(self, text):
        """Read as another process would."""
        return Codec(self.artifacts).decode(text)

    def files(self):
        folder = self.folder / "files"
        return {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}

    def added(self, value):
        """Store a value; return its text and the bytes that came to the store."""
        before = self.files() if (self.folder / "files").exists() else {}
        text = self.put(value)
        return text, sum(size for name, size in self.files().items() if name not in before)


def _without_strides(value):
    if isinstance(value, np.ndarray) and not (value.flags.c_contiguous or value.flags.f_contiguous):
        return np.ascontiguousarray(value)
    return value


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def noise(rows=ROWS, seed=0):
    return np.random.default_rng(seed).random(rows)


def frame(columns=6, rows=ROWS):
    return pd.DataFrame({f"c{i}": noise(rows, i) for i in range(columns)})


def node(text):
    return json.loads(text)


def written_last(text):
    """How many columns are in the last file of a value."""
    places = node(text)["parts"]["places"]
    return sum(place[0] == places[-1][0] for place in places)


COLUMN = ROWS * 8


# ---- what is written ----------------------------------------------------------------------------


def test_a_new_column_stores_a_column(store):
    df = frame()
    text, first = store.added(df)
    assert "parts" not in node(text)
    assert first > 6 * COLUMN
    for i in range(3):
        df[f"n{i}"] = noise(seed=100 + i)
        text, added = store.added(df)
        assert added < 1.1 * COLUMN
        assert_same(df, store.fresh(text))
    assert len(node(text)["parts"]["files"]) == 4


def test_what_was_written_whole_is_a_plain_file_for_others(store):
    df = frame().set_index("c0")
    text = store.put(df)
    whole = pd.read_feather(store.artifacts.path(node(text)["file"]))
    pd.testing.assert_frame_equal(whole, df)


def test_a_changed_column_stores_a_column_and_a_dropped_or_renamed_one_nothing(store):
    df = frame()
    store.put(df)
    df["c3"] = noise(seed=7)
    assert store.added(df)[1] < 1.1 * COLUMN
    for same in (
        df.drop(columns="c1"),
        df.rename(columns={"c2": "x"}),
        df[["c5", "c1", "c0", "c4"]],
    ):
        text, added = store.added(same)
        assert added == 0
        assert_same(same, store.fresh(text))


def test_the_same_value_once_more_stores_nothing(store):
    df, array = frame(), noise(MIB)
    zeros = np.zeros(MIB)
    labelled = df.set_index("c1").rename_axis(columns="label")
    for value in (df, array, zeros, labelled, {"a": df, "b": [array, df["c0"].to_frame()]}):
        text = store.put(value)
        assert '"parts"' not in text
        assert store.added(value) == (text, 0)
        store.restart()
        assert store.added(store.get(text)) == (text, 0)
        store.restart()


def test_what_has_the_same_parts_and_is_another_value_is_not_that_file(store):
    """The file shows its own labels, shape and order to others."""
    df, array = frame(), noise(MIB)
    for value in (df, array):
        store.put(value)
    renamed = df.rename(columns={"c1": "x"})
    for other in (
        renamed,
        df[[*df.columns[::-1]]],
        df.set_index("c1"),
        array.reshape(2, -1),
        array.reshape(2, -1, order="F"),
        array.view("i8"),
    ):
        text, added = store.added(other)
        assert added == 0
        assert "parts" in node(text)
        assert_same(other, store.fresh(text))


@pytest.mark.parametrize("make", [lambda a: a, lambda a: a.reshape(-1, 4), lambda a: a[::-1]])
def test_a_changed_stretch_of_an_array_stores_a_piece(store, make):
    plain = noise(2 * MIB)
    array = make(plain)
    store.put(array)
    changed = plain.copy()
    changed[500_000:500_100] = 0
    changed = make(changed)
    text, added = store.added(changed)
    assert added <= 2 * MIB + 4096
    assert_same(_without_strides(changed), store.fresh(text))


@pytest.mark.parametrize(
    "dtype", ["f8", ">f4", "c16", "M8[s]", "S7", "U3", "bool", "i4,f8,S5", "u1", "f2"]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_every_kind_come_back_by_parts(store, dtype, order):
    kind = np.dtype(dtype)
    count = 6 * MIB // kind.itemsize // 3 * 3
    raw = np.random.default_rng(1).integers(0, 100, count * kind.itemsize, dtype=np.uint8)
    if kind.kind == "b":
        raw &= 1
    if kind.kind == "U":
        raw = np.full((count, 3), ord("é"), "u4")
        raw[::5, 1] = ord("a")
    array = raw.reshape(-1).view(kind).reshape(3, -1)
    array = np.asarray(array, order=order)
    store.put(array)
    changed = array.copy(order="K")
    changed[1, 5] = changed[1, 6]
    changed[2, 7] = ~changed[2, 7] if kind.kind == "b" else np.zeros((), kind)
    text, added = store.added(changed)
    assert "parts" in node(text)
    assert added < 3 * MIB + 4096
    assert_same(changed, store.fresh(text))
    assert_same(changed, store.get(store.put(store.get(text))))


def test_an_array_that_grows_stores_its_end(store):
    array = noise(MIB)
    store.put(array)
    longer = np.append(array, noise(1000, 5))
    text, added = store.added(longer)
    assert added < 2 * MIB
    assert_same(longer, store.fresh(text))


def test_equal_pieces_within_an_array_come_back(store):
    store.put(np.zeros(MIB))
    text, added = store.added(np.zeros(2 * MIB + 5))
    assert added < 300
    assert_same(np.zeros(2 * MIB + 5), store.fresh(text))
    moved = np.concatenate([noise(MIB, 1), noise(MIB, 2)])
    store.put(moved)
    swapped = np.concatenate([noise(MIB, 2), noise(MIB, 1)])
    assert_same(swapped, store.fresh(store.put(swapped)))


def test_a_small_value_is_as_before(store):
    for value in (frame(2, 20_000), noise(100_000), pd.DataFrame({"a": []}), np.empty(0)):
        text = store.put(value)
        assert store.put(value) == text
        assert "parts" not in text
        assert '"format":1' in text


def test_very_many_narrow_columns_are_no_parts(store):
    wide = pd.DataFrame(np.random.default_rng(0).random((100, 8000)))
    store.put(wide)
    wide["n"] = 1.0
    text = store.put(wide)
    assert "parts" not in node(text)
    assert_same(wide, store.fresh(text))


def test_a_file_is_not_referred_to_for_a_crumb(store):
    df = frame(8)
    first = node(store.put(df))["file"]
    text, added = store.added(
        pd.DataFrame({f"n{i}": noise(seed=50 + i) for i in range(4)} | {"c0": df["c0"]})
    )
    assert added > 5 * COLUMN
    assert first not in text
    used = {}
    for i in range(8):
        df[f"c{i}"] = noise(seed=80 + i)
        text = store.put(df)
        assert_same(df, store.fresh(text))
        found = node(text).get("parts", {"files": [], "places": []})
        for number, file in enumerate(found["files"]):
            count = sum(place[0] == number for place in found["places"])
            used.setdefault(file["file"], []).append(count * COLUMN / file["bytes"])
    assert min(share for shares in used.values() for share in shares) > 0.24
    assert first not in text  # six new columns of eight: the last two were written once more


def test_a_piece_that_is_used_very_often_is_still_a_crumb(store):
    mixed = noise(2 * MIB)
    mixed[: MIB // 8] = 0
    first = node(store.put(mixed))["file"]
    zeros = np.zeros(2 * MIB)
    text = store.put(zeros)
    assert first not in text
    assert_same(zeros, store.fresh(text))


# ---- every kind of column -----------------------------------------------------------------------


def columns_of_every_kind():
    rows = 60_000
    numbers = noise(rows)
    whole = (numbers * 1000).astype("i8")
    some = whole % 7 == 0
    texts = np.array([f"text {n} é" for n in whole], object)
    missing = texts.copy()
    missing[some] = None
    chunked = pa.chunked_array([pa.array(texts[:11]), pa.array(texts[11:])])
    zones = pd.Series(pd.to_datetime(whole, unit="s")).dt.tz_localize("Europe/Berlin")
    stamps = pd.Series(pd.to_datetime(whole * 10**9))
    stamps[some] = pd.NaT
    kinds = {
        "float": numbers,
        "float32": numbers.astype("f4"),
        "half": numbers.astype("f2"),
        "nan": np.where(some, np.nan, numbers),
        "int": whole,
        "bool": some,
        "complex": numbers + 1j,
        "stamps": stamps,
        "deltas": pd.to_timedelta(whole, unit="s"),
        "zoned": zones,
        "periods": pd.PeriodIndex.from_ordinals(whole, freq="D").array,
        "intervals": pd.IntervalIndex.from_arrays(numbers, numbers + 1).array,
        "texts": texts,
        "missing texts": missing,
        "string": pd.array(missing, "string"),
        "masked": pd.array(np.where(some, None, whole), "Int64"),
        "masked bool": pd.array(np.where(some, None, some), "boolean"),
        "arrow": pd.arrays.ArrowExtensionArray(chunked),
        "category": pd.Categorical(texts),
        "ordered": pd.Categorical(whole, ordered=True),
        "objects": np.array([{"n": n} if n % 2 else (n, None) for n in whole.tolist()], object),
    }
    return pd.DataFrame(kinds, copy=False)


def test_columns_of_every_kind_are_shared_and_come_back(store):
    df = columns_of_every_kind()
    assert "parts" not in node(store.put(df))
    df["new"] = np.arange(len(df))
    text = store.put(df)
    assert written_last(text) == 1
    assert_same(df, store.fresh(text))
    store.restart()
    back = store.get(text)
    back["newer"] = np.arange(len(df)) * 2
    text = store.put(back)
    assert written_last(text) == 1
    assert_same(back, store.fresh(text))


def test_a_column_of_another_kind_with_the_same_content_stays_its_kind(store):
    df = pd.DataFrame({i: np.arange(ROWS) + i for i in range(6)})
    store.put(df)
    other = df.astype("Int64")
    text, added = store.added(other)
    assert added == 0
    assert_same(other, store.fresh(text))
    assert_same(df.astype("f8"), store.fresh(store.put(df.astype("f8"))))


def test_labels_index_and_layout_of_a_frame_come_back_by_parts(store):
    block = np.random.default_rng(3).random((ROWS, 6))
    labelled = [
        pd.DataFrame(block),  # strided columns
        pd.DataFrame(np.asfortranarray(block), columns=list("aabbcc")),
        pd.DataFrame(block, columns=pd.MultiIndex.from_product([["x", "y"], [1, 2, 3]])),
        pd.DataFrame(block, columns=[1, "1", None, (2, 3), 2.5, pd.NaT]),
        pd.DataFrame(block, index=pd.date_range("2020", periods=ROWS, freq="s", name="when")),
        pd.DataFrame(
            block, index=pd.MultiIndex.from_arrays([np.arange(ROWS) % 9, np.arange(ROWS)])
        ),
        pd.DataFrame(block[::-1], index=pd.RangeIndex(ROWS, 0, -1)),
    ]
    for df in labelled:
        store.put(df)
        wider = df.copy()
        wider.attrs["note"] = "kept"
        wider.insert(2, df.columns[0], noise(seed=9), allow_duplicates=True)
        text, added = store.added(wider)
        assert added < 3 * COLUMN
        assert "parts" in node(text)
        assert_same(wider, store.fresh(text))
    assert_same(labelled[0].iloc[:0], store.fresh(store.put(labelled[0].iloc[:0])))


def test_series_and_indexes_share_with_each_other(store):
    series = pd.Series(noise(MIB), name="s")
    store.put(series)
    for value in (series.rename("other"), pd.Index(series), series.to_frame()):
        text, added = store.added(value)
        assert added == 0
        assert_same(value, store.fresh(text))


def test_equal_tables_in_one_value_keep_what_is_their_own(store):
    one, two = frame(), frame()
    one.attrs["of"], two.attrs["of"] = "one", "two"
    small, other = frame(1, 7_000), frame(1, 7_000)  # a file without labels and attrs
    small.attrs["of"], other.attrs["of"] = "small", "other"
    store.put([one, two, small, other, one.set_axis(range(6), axis=1)])


def test_what_changes_while_it_is_written_is_not_taken_for_what_it_was(store, monkeypatch):
    """A thread of the person's goes on working on a value that is being recorded."""

    class Working(platform.Disk):
        after = 2

        def pwrite(self, fd, data, at):
            self.after -= 1
            if self.after == 0:
                value[:] = 7
            return super().pwrite(fd, data, at)

    for make in (lambda: noise(MIB), lambda: frame(1, MIB)):
        original, value = make(), make()
        if isinstance(value, pd.DataFrame):
            held = value["c0"].to_numpy()
            held.flags.writeable = True
            value, frame_itself = held, pd.DataFrame({"c0": held}, copy=False)
        else:
            frame_itself = value
        writer = HeapWriter(store.codec.artifacts, None, known=store.codec._known)
        writer.graph = False
        with monkeypatch.context() as patch, writer:
            patch.setattr("stepbook.record.artifacts.disk", Working())
            text = writer.encode(frame_itself)
        assert (value == 7).all()
        store.fresh(text)  # whatever it is, it is whole
        assert_same(original, store.fresh(store.put(original)))
        assert_same(frame_itself, store.fresh(store.put(frame_itself)))


# ---- what becomes of the files ------------------------------------------------------------------


def test_a_restored_value_is_known(store):
    df, array = frame(), noise(MIB)
    df["n"] = noise(seed=44)
    texts = [store.put(df), store.put(array)]
    store.restart()
    df, array = map(store.get, texts)
    df["m"] = noise(seed=45)
    array[5] = 0
    assert store.added(df)[1] < 1.1 * COLUMN
    assert store.added(array)[1] < 1.1 * MIB


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b"\0" * path.stat().st_size),
        lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
    ],
)
def test_a_file_that_is_gone_or_damaged_is_not_referred_to(store, damage, restarted):
    for value, change in (
        (frame(), lambda v: v.assign(n=1.0)),
        (noise(MIB), lambda v: v + (v > 1)),
    ):
        text = store.put(value)
        if restarted:
            store.restart()
            store.get(text)
        damage(store.artifacts.path(node(text)["file"]))
        changed = change(value)
        again = store.put(changed)
        assert_same(changed, store.fresh(again))
        assert_same(value, store.fresh(store.put(value)))


@pytest.mark.parametrize("restarted", [False, True])
def test_a_disk_that_fails_to_read_an_old_file_does_not_fail_a_new_value(
    store, monkeypatch, restarted
):
    df = frame()
    text = store.put(df)
    if restarted:
        store.restart()
        df = store.get(text)
    path = store.artifacts.path(node(text)["file"])
    os.utime(path, (0, 0))  # so that it is looked at again
    changed = df.assign(n=1.0)

    def fails(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        for name in ("hash_file", "fill"):
            patch.setattr(f"stepbook.record.artifacts.{name}", fails)
        writer = HeapWriter(store.codec.artifacts, None, known=store.codec._known)
        writer.graph = False
        with writer:
            text = writer.encode(changed)
    assert_same(changed, store.fresh(text))


def test_a_damaged_file_of_several_is_an_error_that_names_it(store):
    df = frame()
    store.put(df)
    df["n"] = noise(seed=33)
    text = store.put(df)
    for file in files_in(text).values():
        path = store.artifacts.path(file)
        whole = path.read_bytes()
        path.write_bytes(whole[:-9] + b"?" + whole[-8:])
        with pytest.raises(ArtifactError, match=f"{file} has changed"):
            store.fresh(text)
        path.unlink()
        with pytest.raises(ArtifactError, match=f"{file} is missing"):
            store.fresh(text)
        path.write_bytes(whole)
    assert_same(df, store.fresh(text))


def hostile(found):
    """Changes of the record of a value by parts: each must be refused."""
    parts = found["parts"]
    files, places = parts["files"], parts["places"]
    for place in (
        [],
        [0],
        [0, -1],
        [-1, 0],
        [2, 0],
        [0, 10**6],
        [0, 10**30],
        [True, 0],
        [0.0, 0],
        ["0", 0],
        [0, 0, 0, 0],
        None,
        {},
        [[0], 0],
    ):
        yield {**found, "parts": {**parts, "places": [place, *places[1:]]}}
    yield {**found, "parts": {**parts, "places": places[1:]}}
    yield {**found, "parts": {**parts, "places": [*places, places[0]]}}
    yield {**found, "parts": {**parts, "places": []}}
    yield {**found, "parts": {"files": [], "places": places}}
    yield {**found, "parts": {"files": files}}
    yield {**found, "parts": {**parts, "more": 1}}
    yield {**found, "parts": None}
    yield {**found, "parts": {**parts, "files": [*files, files[0]]}}  # one of which nothing is used
    yield {**found, "parts": {**parts, "files": [files[1], files[0]]}}
    yield {**found, "format": 1}
    yield {**found, "format": 3}
    yield {**found, "data": ""}
    yield {**found, **files[0]}
    yield {**found, "$stepbook": "pyarrow.Table"}
    yield {**found, "$stepbook": "json"}
    yield {**found, "$stepbook": "pickle", "class": "x"}
    for change in (
        {"file": "../../etc/passwd"},
        {"bytes": 10**18},
        {"bytes": -1},
        {"sha256": "0" * 64},
        {"xxh3_128": "0" * 32},
        {"xxh3_128": None},
        {"more": 1},
    ):
        yield {**found, "parts": {**parts, "files": [{**files[0], **change}, *files[1:]]}}
    for fact in found.keys() - {"preview", "bytes", "$stepbook", "dtypes"}:
        if fact != "blocks":  # a record of an earlier version has none
            yield {name: item for name, item in found.items() if name != fact}
        yield {**found, fact: [10**12, 10**12]}


@pytest.mark.parametrize("kind", ["frame", "array"])
def test_a_record_that_lies_about_parts_is_refused(store, kind):
    if kind == "frame":
        value = frame()
        store.put(value)
        value["n"] = noise(seed=33)
    else:
        value = noise(2 * MIB)
        store.put(value)
        value[5] = 0
    found = node(store.put(value))
    assert len(found["parts"]["files"]) == 2
    for changed in hostile(found):
        with pytest.raises((ArtifactError, NotStoredError)):
            store.fresh(json.dumps(changed))
    for other in ("json", "npy" if kind == "frame" else "arrow"):  # files of other kinds
        data = json.dumps([1, 2]).encode()
        stored = store.artifacts.write(other, lambda file, data=data: file.write(data))
        place = {"file": stored.file, "bytes": stored.size, "sha256": stored.sha256}
        files = [{**place, "xxh3_128": stored.xxh3}, *found["parts"]["files"][1:]]
        with pytest.raises(ArtifactError):
            store.fresh(json.dumps({**found, "parts": {**found["parts"], "files": files}}))


# ---- books --------------------------------------------------------------------------------------


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPBOOK_STABLE_REPR", "1")
    return stepbook.connect(tmp_path / "b.duckdb")


def test_a_run_that_is_deleted_leaves_the_files_that_others_use(book):
    df = frame()
    first, second, third = (book.run("x", input=n) for n in range(3))
    first.do("load", lambda: df)
    second.do("add", lambda: df.assign(n=1.0))
    third.do("other", lambda: df.assign(n=2.0))
    whole = first.artifact("load")
    for run in (first, second, third):
        run.finish()
    book.delete(first.id)
    assert whole.exists()
    assert_same(df.assign(n=1.0), book.run("x", input=1).do("add", len))
    book.run("x", input=1).close()
    book.delete(second.id)
    assert whole.exists()
    assert len(files_of(book)) == 2
    book.delete(third.id)
    assert files_of(book) == []
    run = book.run("x", input=4)
    assert_same(df, run.do("load", lambda: df))  # known by heart, and gone
    assert_same(df, stepbook.connect(book.path).get(run.id).steps().pipe(lambda _: df))
    run.close()
    assert_same(df, book.run("x", input=4).do("load", len))


def test_the_files_of_a_step_can_be_named(book):
    run = book.run("x")
    df = frame()
    run.do("load", lambda: df)
    run.do("add", lambda: df.assign(n=1.0))
    run.do("drop", lambda: df.drop(columns="c0"))
    run.do("again", lambda: df)
    for name in ("add", "drop"):
        with pytest.raises(ArtifactError, match=r"no file holds the whole.*\$\.parts\.files\[0\]"):
            run.artifact(name)
    assert run.artifact("again") == run.artifact("load")
    new = run.artifact("add", "$.parts.files[1]")
    assert pa.ipc.open_file(new).read_all().column_names == ["n"]


REST = """
import sys
import pandas as pd

def pandas_of(labels, columns, levels):
    frame = pd.concat([column.to_pandas() for column in columns], axis=1) if columns else None
    several = labels and isinstance(labels[0], tuple)
    if columns:
        frame.columns = pd.MultiIndex.from_tuples(labels) if several else pd.Index(labels)
    values = [pd.Index(level.to_pandas()).rename(name) for name, level in levels]
    index = values[0] if len(values) == 1 else pd.MultiIndex.from_arrays(values)
    return index.to_frame() if frame is None else frame.set_axis(index)

book = duckdb.connect(sys.argv[1], read_only=True)
rows = book.execute('SELECT name, "return" FROM steps ORDER BY seq').fetchall()
for name, text in rows:
    node = json.loads(text)
    if "parts" in node:
        found = read(node, sys.argv[1] + ".d/artifacts")
        found = pandas_of(*found) if isinstance(found, tuple) else pd.DataFrame(found)
        found.to_pickle(f"{sys.argv[2]}/{name}")
        print(name)
assert "stepbook" not in sys.modules
"""


def test_anybody_reads_a_value_by_parts_with_plain_pyarrow_and_numpy(book, tmp_path):
    docs = (ROOT / "docs" / "values.md").read_text().partition("## By parts")[2]
    recipe = docs.partition("```python\n")[2].partition("tables = duckdb.connect")[0]
    df, array = frame(), noise(MIB)
    when = pd.date_range("2020-01-01", periods=ROWS, freq="s", name="when")
    pairs = pd.MultiIndex.from_arrays([when, np.arange(ROWS) % 7], names=["when", None])
    twice = df.set_axis(["a", "a", "b", "c", "d", "a"], axis=1).set_axis(when)
    kinds = {
        "add": df.assign(n=np.arange(ROWS)),
        "numbered": df.set_axis(range(6), axis=1),
        "twice": twice,
        "odd": df.set_axis(["a", 3, None, "3", 2.5, "a"], axis=1),
        "levels": df.set_axis(pd.MultiIndex.from_product([["x", "y"], [1, 2, 3]]), axis=1),
        "pairs": df.set_axis(pairs),
        "series": twice["b"].rename("only"),
        "stepped": df.set_axis(pd.RangeIndex(5, 5 + 3 * ROWS, 3, name="at")),
        "words": df.assign(word=[f"w{n % 9}" for n in range(ROWS)]),
    }
    with book.run("x") as run:
        run.do("load", lambda: df)
        for name, made in kinds.items():
            run.do(name, lambda made=made: made)
        run.do("array", lambda: array)
        array[7] = 100
        run.do("changed", lambda: array.reshape(2, -1))
    book.close()
    done = subprocess.run(
        [sys.executable, "-c", recipe + REST, book.path, tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    read = done.stdout.split()
    assert {"add", "twice", "odd", "levels", "pairs", "changed"} <= set(read), done.stderr
    for name in read:
        found = pd.read_pickle(tmp_path / name)
        wanted = pd.DataFrame(array.reshape(2, -1)) if name == "changed" else kinds[name]
        wanted = wanted.to_frame() if isinstance(wanted, pd.Series) else wanted
        assert list(map(repr, found.columns)) == list(map(repr, wanted.columns)), name
        assert found.index.tolist() == wanted.index.tolist(), name
        assert found.index.names == wanted.index.names, name
        for place in range(wanted.shape[1]):
            left, right = found.iloc[:, place], wanted.iloc[:, place]
            assert left.tolist() == right.tolist(), (name, place)
    assert done.returncode == 0, done.stderr


KILLED = """
import os, signal, sys
import numpy as np, pandas as pd, stepbook
from stepbook.system import platform
from stepbook.record import artifacts

book = stepbook.connect(sys.argv[1])
run = book.run("x")
made = {f"c{i}": np.arange(150_000) * (i + 1.5) for i in range(6)}
df = run.do("load", lambda: pd.DataFrame(made))
call, left = sys.argv[2], int(sys.argv[3])
if call != "none":
    class Killing(platform.Disk):
        pass

    def counted(self, *arguments):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return getattr(platform.Disk, call)(self, *arguments)

    setattr(Killing, call, counted)
    artifacts.disk = Killing()
df = run.do("add", lambda: df.assign(n=np.sqrt(np.arange(150_000))))
print(df.shape, df["n"].sum(), df["c3"].sum())
"""


def test_a_process_killed_while_it_writes_parts_leaves_a_book_that_goes_on(book):
    def go(call, left):
        return subprocess.run(
            [sys.executable, "-c", KILLED, book.path, call, str(left)],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )

    for call, left in (("pwrite", 0), ("pwrite", 3), ("sync", 0), ("rename", 0), ("sync_dir", 0)):
        assert go(call, left).returncode == -signal.SIGKILL
    done = go("none", 0)
    assert done.returncode == 0, done.stderr
    wanted = pd.DataFrame({f"c{i}": np.arange(ROWS) * (i + 1.5) for i in range(6)})
    wanted["n"] = np.sqrt(np.arange(ROWS))
    assert_same(wanted, book.run("x").do("add", len))
    book.prune(keep=0)
    assert len(files_of(book)) == 2
    assert_same(wanted, book.run("x").do("add", len))


OTHER = """
import sys
import numpy as np, stepbook
book = stepbook.connect(sys.argv[1])
run = book.run("x", key=sys.argv[2])
df = run.do("load", len)
print("ready", flush=True)
for i, line in enumerate(sys.stdin):
    if line.strip() == "prune":
        book.prune(keep=0, loop="gone")
    else:
        run.do(f"add {i}", lambda: df.assign(n=float(i)))
    print("done", flush=True)
run.close()
"""


def test_two_processes_and_a_prune_between_their_steps_lose_nothing(book):
    df = frame()
    for key in "ab":
        with book.run("x", key=key) as run:
            run.do("load", lambda: df)
        gone = book.run("gone", key=key)
        gone.do("load", lambda key=key: df.assign(gone=noise(seed=ord(key))))
        gone.finish()
    book.close()
    others = [
        subprocess.Popen(
            [sys.executable, "-c", OTHER, book.path, key],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for key in "ab"
    ]
    try:
        for other in others:
            assert other.stdout.readline().strip() == "ready"
        for turn in range(4):
            for other in others:
                other.stdin.write("prune\n" if turn == 2 else "add\n")
                other.stdin.flush()
            for other in others:
                assert other.stdout.readline().strip() == "done"
    finally:
        for other in others:
            other.stdin.close()
            other.wait()
            other.stdout.close()
    for key, i in itertools.product("ab", (0, 1, 3)):
        run = book.run("x", key=key)
        assert_same(df.assign(n=float(i)), run.do(f"add {i}", len))
        run.close()


# ---- stored books -------------------------------------------------------------------------------


def made_table():
    rows = np.arange(200_000)
    table = pd.DataFrame({i: (rows // 1000 * (i + 1)).astype("f8") for i in range(3)})
    return table.set_axis(pd.Index([3, 5, 9], dtype="i8"), axis=1)


def made_array():
    return (np.arange(700_000) // 1000).astype("f8").reshape(-1, 7)


def changed_table():
    table = made_table()
    table[5] = pd.Series("text", table.index, dtype=object)
    table[11] = np.arange(200_000) % 3 == 0
    return table


def changed_array():
    array = made_array()
    array[50_000] = -1
    return array


STEPS = (made_table, made_array, changed_table, changed_array)


def record(path):
    with stepbook.connect(path).run("parts") as run:
        for step in STEPS:
            run.do(step.__name__, step)


def test_a_stored_book_with_values_by_parts_is_read(tmp_path):
    with tarfile.open(FIXTURE) as stored:
        stored.extractall(tmp_path, filter="data")
    with duckdb.connect(tmp_path / "parts.duckdb", read_only=True) as tables:
        ((count,),) = tables.execute(
            """SELECT count(*) FROM steps WHERE contains("return", '"format":2')"""
        ).fetchall()
    assert count == 2
    book = stepbook.connect(tmp_path / "parts.duckdb")
    run = book.run("parts")
    for step in STEPS:
        assert_same(step(), run.do(step.__name__, len))
    run.close()


def store_book():
    """Store a book with values by parts."""
    if FIXTURE.exists():
        raise SystemExit(f"{FIXTURE} is there; a stored book never changes")

    def anonymous(member):
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder) / "parts.duckdb")
        shutil.rmtree(Path(folder) / "parts.duckdb.d" / "locks")
        with tarfile.open(FIXTURE, "w:xz", preset=9) as packed:
            for path in sorted(Path(folder).iterdir()):
                packed.add(path, path.name, filter=anonymous)


if __name__ == "__main__":
    store_book()

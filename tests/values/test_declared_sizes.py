"""What a record declares is compared with what is there, before anything is allocated by it."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import struct
import time
import tracemalloc
import types

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xxhash

from stepbook.errors import ArtifactError, NotSerializableError
from stepbook.notebook.chance import from_parts
from stepbook.record.artifacts import Artifacts
from stepbook.values.budget import Budget, check_hashes
from stepbook.values.codec import Codec

TAG = "$stepbook"
#: The hash of an integer is what is left when it is divided by that.
MODULUS = (1 << 61) - 1
#: What a refusal may take on the way.
MEMORY, SECONDS = 32 << 20, 5


def node(tag, /, **fields):
    return {TAG: tag, **fields}


def inline(tag, data, /, **fields):
    told = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return node(tag, format=1, **fields, **told, data=base64.b64encode(data).decode())


def npy(descr, shape, version):
    head = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<I", len(head)) + head


def ipc(table, compression=None):
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def bomb(declared):
    whole = ipc(pa.table({"a": np.zeros(1000, "i8")}), "lz4")
    return whole.replace(struct.pack("<q", 8000), struct.pack("<q", declared), 1)


def astray():
    whole = ipc(pa.table({"a": pa.array(["abc", "defg", "hijkl"], pa.large_string())}))
    far = struct.pack("<4q", 0, 1 << 40, 2 << 40, 3 << 40)
    return whole.replace(struct.pack("<4q", 0, 3, 7, 12), far, 1)


def series(data, spec, rows):
    index = node("pandas.RangeIndex", start=0, stop=rows, step=1, name=None)
    about = {"shape": [rows], "dtypes": {}, "name": None, "rows": rows, "index": index}
    return inline("pandas.Series", data, **about, arrays=[spec])


NUMBERS = {"is": "numpy", "dtype": "<i8"}
TEXTS = {"is": "object", "missing": "None"}
REFUSED = {
    "a text of 500 million letters": node("numpy.scalar", dtype="<U500000000", value="x"),
    "ten billion numbers": inline(
        "numpy.ndarray", npy("<f8", (10**10,), 3), shape=[10**10], dtype="float64"
    ),
    "none of 2 GB": inline(
        "numpy.ndarray", npy("<U500000000", (0,), 2), shape=[0], dtype="<U500000000"
    ),
    "a terabyte in lz4": inline("pyarrow.Table", bomb(1 << 40), shape=[1000, 1], dtypes={}),
    "3 GB in lz4": inline("polars.DataFrame", bomb(3 << 30), shape=[1000, 1], dtypes={}),
    "a frame of lz4": series(bomb(1 << 40), NUMBERS, 1000),
    "offsets of texts": series(astray(), TEXTS, 3),
    "offsets in a table": inline("pyarrow.Table", astray(), shape=[3, 1], dtypes={}),
    "ten billion rows": series(ipc(pa.table({"a": [1, 2, 3]})), NUMBERS, 10**10),
    "numbers as texts": series(ipc(pa.table({"a": [1, 2, 3]})), TEXTS, 3),
    "a stamp's zone": node(
        "pandas.Timestamp", value=0, unit="ns", shown="", zone="dateutil//etc/hostname"
    ),
    "integers of one hash": node("set", items=[n * MODULUS for n in range(1, 40_000)]),
    "keys of one hash": node("dict", items=[[n * MODULUS, 0] for n in range(1, 40_000)]),
    "a stream far beyond": node("BytesIO", content=node("bytes", data=""), position=1 << 60),
}


@pytest.fixture
def store(tmp_path):
    artifacts = Artifacts(tmp_path / "artifacts", tmp_path / "lock")
    artifacts.folder.mkdir()
    return artifacts


def put(store, data, ext, size=None):
    name = f"{hashlib.sha256(data).hexdigest()}.{ext}"
    (store.folder / name).write_bytes(data)
    told = {"bytes": len(data) if size is None else size, "file": name, "sha256": name[:64]}
    return {**told, "xxh3_128": xxhash.xxh3_128_hexdigest(data)}


def refused(codec, text, world=None):
    """Decode what is refused; return why. It takes neither memory nor time."""
    began = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(ArtifactError) as caught:
            codec.decode(text) if world is None else codec.decode_graph(text, world)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < SECONDS
    return str(caught.value)


def compact(value):
    return json.dumps(value, separators=(",", ":"))


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_text_declares_is_not_believed(name):
    if "polars" in compact(REFUSED[name]):
        pytest.importorskip("polars")
    refused(Codec(None), compact(REFUSED[name]))


def test_the_length_of_a_file_is_compared_before_memory_is_asked_for(store):
    told = put(store, b"x", "bin", 5 << 30)
    assert "has changed" in refused(Codec(store), compact(node("bytes.blob", format=1, **told)))


def test_texts_in_files_do_not_name_each_other(store):
    told = put(store, b'"x"', "json")
    for _ in range(40):
        pair = [node("json", format=1, of="list", **told)] * 2
        told = put(store, compact(pair).encode(), "json")
    text = compact(node("json", format=1, of="list", **told))
    assert "name each other" in refused(Codec(store), text)


def test_one_piece_is_not_an_array_of_20_gigabytes(store):
    file = io.BytesIO()
    np.save(file, np.zeros(1 << 20, np.uint8))
    parts = {"files": [put(store, file.getvalue(), "npy")], "places": [[0, 0, 1 << 20]] * 20_000}
    facts = {"shape": [20_000 << 20], "dtype": "uint8", "descr": "|u1", "order": "C"}
    text = compact(node("numpy.ndarray", format=2, **facts, bytes=20_000 << 20, parts=parts))
    assert "GB" in refused(Codec(store), text)


def test_a_trusted_record_is_bounded_by_memory_only():
    with pytest.raises(ArtifactError, match="not written by stepbook"):
        Budget().allocate(1 << 34)
    with pytest.raises(ArtifactError, match="this machine"):
        Budget(trusted=True).allocate(1 << 60)
    budget = Budget(trusted=True)
    for _ in range(20):
        budget.allocate(1 << 30)


# ---- graphs -------------------------------------------------------------------------------------


def world():
    called = []
    found = types.SimpleNamespace(
        names={},
        called=called,
        referred=lambda _: called.append,
        code_at=lambda _: None,
        missing=lambda _: None,
        made=lambda told: told,
    )
    found.is_own = found.is_open = lambda _: False
    return found


def view(shape, strides, offset=0):
    memory = node("bytearray", data=base64.b64encode(b"x" * 16).decode())
    facts = {"offset": offset, "shape": shape, "strides": strides, "dtype": None}
    return node("numpy.view", base=memory, **facts, writeable=True)


@pytest.mark.parametrize(
    "of", [view([5], [1 << 62]), view([5], [-8]), view([1], [1], 1 << 62), view([-5], [8])]
)
def test_a_view_does_not_leave_the_memory_of_its_array(of):
    refused(Codec(None), compact(of), world())


def test_an_iterator_calls_nothing():
    call = node("partial", function=node("name", name="m:f"), args=["called"], kwargs={})
    for args in [call, 1], [call]:
        here = world()
        for kind in "iter", "zip", "enumerate", "reversed":
            text = compact(node("iterator", kind=kind, args=args, state=None))
            refused(Codec(None), text, here)
        assert here.called == []


@pytest.mark.parametrize("width", [1, 2])
def test_a_key_that_holds_itself_many_times_over_is_not_hashed(width):
    items = [node("shared", id=0, value=node("tuple", items=[1]))]
    for number in range(1, 100 if width == 2 else 20_000):
        inner = node("tuple", items=[node("again", id=number - 1)] * width)
        items.append(node("shared", id=number, value=inner))
    for key in (
        node("set", items=[node("again", id=len(items) - 1)]),
        node("frozenset", items=[node("again", id=len(items) - 1)]),
        node("dict", items=[[node("again", id=len(items) - 1), 1]]),
    ):
        began = time.process_time()
        with pytest.raises(ArtifactError):
            Codec(None).decode_graph(compact([items, key]), world())
        assert time.process_time() - began < SECONDS


@pytest.mark.parametrize(
    "state",
    [
        {"bit_generator": "MT19937", "state": {"key": [1] * 624, "pos": 10**7}},
        {"bit_generator": "Philox", "state": {"counter": [0] * 4}, "buffer_pos": 99},
        {"bit_generator": "rand", "state": {}},
        {"bit_generator": "seed", "state": {}},
    ],
)
def test_a_generator_stays_within_its_numbers(state):
    with pytest.raises(ValueError, match=r"generator"):
        from_parts({"kind": "bits", "seed": 1, "state": state})


# ---- what people really have --------------------------------------------------------------------

HONEST = {
    "100,000 integers": set(range(100_000)),
    "tuples of few numbers": set(itertools.product((-2, -1, 0, 1), repeat=7)),
    "keys": {(n, -n): n for n in range(5000)},
    "an array 500 times": [np.zeros(10_000)] * 500,
    "many files": [np.full(10_000, n) for n in range(50)],
    "a frame of zeros": pd.DataFrame(np.zeros((200_000, 10), bool)),
    "a frame in a frame": pd.DataFrame({"a": [pd.DataFrame({"b": [[1], "x"]})]}),
    "an empty text": np.str_(""),
    "texts with room": np.array(["a", "bc"], "<U5000"),
    "no rows": pd.DataFrame({"a": [], "b": pd.Categorical([])}),
    "no columns": pd.DataFrame(index=range(10**12)),
    "names of fields": np.zeros(3, [("größe ≥", "f8")]),
}


@pytest.mark.parametrize("name", HONEST)
def test_values_of_people_pass(name, store):
    codec = Codec(store)
    with codec.writing() as writer:
        text = writer.encode(HONEST[name])
    found = codec.decode(text)
    if isinstance(found, pd.DataFrame):
        assert found.shape == HONEST[name].shape
        if found.size:
            assert str(found.iloc[0, 0]) == str(HONEST[name].iloc[0, 0])
    else:
        assert type(found) is type(HONEST[name])
        if isinstance(found, set | dict):
            assert found == HONEST[name]
        assert len(str(found)) == len(str(HONEST[name]))


def test_a_pipeline_with_a_folder_of_pickles_is_not_stored(tmp_path):
    pipeline = pytest.importorskip("sklearn.pipeline")
    pytest.importorskip("skops")
    from sklearn.preprocessing import StandardScaler

    made = pipeline.Pipeline([("a", StandardScaler())], memory=str(tmp_path))
    with pytest.raises(NotSerializableError, match="memory=None"):
        Codec(None).encode(made)


def test_equal_hashes_are_counted_only_where_there_are_many():
    check_hashes([n * MODULUS for n in range(1, 65)])
    check_hashes([-1, -2, *range(1000)])
    with pytest.raises(ArtifactError):
        check_hashes([n * MODULUS for n in range(1, 5000)])

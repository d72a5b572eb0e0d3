"""Values as no writer writes them: nodes, and files for them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xxhash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TAG = "$stepbook"
#: The hash of an integer is what is left when it is divided by that.
MODULUS = (1 << 61) - 1
SEED = 20261126
Node = Any


def compact(node: Node) -> str:
    """The text of a node, as graphs need it; of a text itself."""
    return node if isinstance(node, str) else json.dumps(node, separators=(",", ":"))


def node(tag: str, /, **fields: Node) -> Node:
    return {TAG: tag, **fields}


def inline(tag: str, data: bytes, /, **fields: Node) -> Node:
    """A value of which the bytes are in the record, with a right hash."""
    told = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return node(tag, format=1, **fields, **told, data=base64.b64encode(data).decode())


class Store:
    """The folder of a book's artifacts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes, ext: str, *, size: int | None = None) -> Node:
        """Write a file; tell of it, perhaps with another size."""
        name = f"{hashlib.sha256(data).hexdigest()}.{ext}"
        (self.folder / name).write_bytes(data)
        return self.told(name, len(data) if size is None else size, data)

    def told(self, name: str, size: int, data: bytes = b"") -> Node:
        digest = xxhash.xxh3_128_hexdigest(data)
        return {"bytes": size, "sha256": name[:64], "xxh3_128": digest, "file": name}

    def sparse(self, ext: str, size: int) -> Node:
        """A file that says to be big and has nothing on the disk."""
        name = f"{'5' * 64}.{ext}"
        with (self.folder / name).open("wb") as file:
            file.truncate(size)
        return self.told(name, size)


# ---- NumPy --------------------------------------------------------------------------------------


def npy(descr: str, shape: tuple[int, ...], data: bytes = b"", *, version: int = 1) -> bytes:
    head = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes([version, 0]) + length + head + data


def array(data: bytes, shape: list[int], dtype: str) -> Node:
    return inline("numpy.ndarray", data, shape=shape, dtype=dtype)


def by_parts(store: Store, length: int, places: list[list[int]]) -> Node:
    file = store.put(npy("|u1", (1 << 20,), bytes(1 << 20)), "npy")
    parts = {"files": [file], "places": places}
    facts = {"shape": [length], "dtype": "uint8", "descr": "|u1", "order": "C"}
    return node("numpy.ndarray", format=2, **facts, bytes=length, parts=parts)


def arrays(store: Store) -> dict[str, Node]:
    zeros = store.put(npy("|u1", (32 << 20,), bytes(32 << 20)), "npy")
    big = node("numpy.ndarray", format=1, shape=[32 << 20], dtype="uint8", **zeros)
    return {
        "a text of 500 million letters": node("numpy.scalar", dtype="<U500000000", value="x"),
        "bytes of 2 GB": node("numpy.scalar", dtype="|S2000000000", value=node("bytes", data="")),
        "a billion numbers in no bytes": array(npy("<f8", (10**9,)), [10**9], "float64"),
        "the same in the third form": array(npy("<f8", (10**10,), version=3), [10**10], "float64"),
        "none of 2 GB each": array(npy("<U500000000", (0,)), [0], "<U500000000"),
        "fewer than none": array(npy("<f8", (-1,), bytes(8)), [-1], "float64"),
        "a product beyond 64 bits": array(
            npy("<f8", (1 << 32, 1 << 32, 1)), [1 << 32, 1 << 32, 1], "float64"
        ),
        "objects": array(npy("|O", (1,), b"\x80\x05N."), [1], "object"),
        "an evil head": array(
            npy("<f8", (1,), bytes(8)).replace(b"False", b"open('x','w')"), [1], "float64"
        ),
        "one piece 20,000 times": by_parts(store, 20_000 << 20, [[0, 0, 1 << 20]] * 20_000),
        "a piece beyond its file": by_parts(store, 1 << 21, [[0, 0, 1 << 21]]),
        "a piece before its file": by_parts(store, 1 << 20, [[0, -(1 << 20), 1 << 20]]),
        "no places": by_parts(store, 1 << 20, []),
        "one file 2,000 times": [big] * 2_000,
        "a dtype in itself": node("numpy.dtype", descr=["<f8", [1 << 20] * 30]),
        "a shape that is no list": node(
            "numpy.ndarray.items", dtype="object", shape=[1 << 40, 1 << 40], items=[]
        ),
    }


# ---- Arrow --------------------------------------------------------------------------------------


def ipc(table: pa.Table, compression: str | None = "lz4") -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def swapped(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) >= 1
    return data.replace(old, new, 1)


def bomb(declared: int) -> bytes:
    """A thousand numbers that say to be more before they are unpacked."""
    whole = ipc(pa.table({"a": np.zeros(1000, "i8")}))
    frame = b"\x04\x22\x4d\x18"
    return swapped(whole, struct.pack("<q", 8000) + frame, struct.pack("<q", declared) + frame)


def astray() -> bytes:
    """Texts of which the offsets lead far out of the file."""
    whole = ipc(pa.table({"a": pa.array(["abc", "defg", "hijkl"], pa.large_string())}), None)
    far = struct.pack("<4q", 0, 1 << 40, 2 << 40, 3 << 40)
    return swapped(whole, struct.pack("<4q", 0, 3, 7, 12), far)


def no_such_code() -> bytes:
    """A dictionary of two, and codes beyond it."""
    codes = pa.array([0, 1, 0, 1, 0, 1, 0, 1], pa.int32())
    of = pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b"], pa.large_string()))
    whole = ipc(pa.table({"a": of}), None)
    right = struct.pack("<8i", 0, 1, 0, 1, 0, 1, 0, 1)
    return swapped(whole, right, struct.pack("<8i", 0, 1 << 30, -(1 << 30), 1, 2, 3, 4, 5))


def series(data: bytes, spec: Node, rows: int) -> Node:
    index = node("pandas.RangeIndex", start=0, stop=rows, step=1, name=None)
    return inline(
        "pandas.Series",
        data,
        shape=[rows],
        dtypes={},
        name=None,
        rows=rows,
        index=index,
        arrays=[spec],
    )


def numbers(rows: int = 3) -> bytes:
    return ipc(pa.table({"a": np.arange(rows)}))


def tables(store: Store) -> dict[str, Node]:
    objects = {"is": "object", "missing": "None"}
    texts = {"is": "string", "storage": "python", "na": "nan"}
    stamps = ipc(pa.table({"a": pa.array([0], pa.timestamp("ns", "UTC"))}))
    nothing = ipc(pa.table({"a": pa.nulls(1000)}))
    one_long = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(200_000, "i4")), pa.array(["x" * 100_000], pa.large_string())
    )
    two = {"files": [store.put(numbers(), "arrow")], "places": [[0, 0]]}
    index = node("pandas.RangeIndex", start=0, stop=10**10, step=1, name=None)
    code = {"is": "category", "ordered": False, "of": objects}
    found = {
        "declares a terabyte": inline("pyarrow.Table", bomb(1 << 40), shape=[1000, 1], dtypes={}),
        "declares 3 GB": inline("pyarrow.Table", bomb(3 << 30), shape=[1000, 1], dtypes={}),
        "declares less than nothing": inline("pyarrow.Table", bomb(-5), shape=[1000, 1], dtypes={}),
        "polars declares a terabyte": inline(
            "polars.DataFrame", bomb(1 << 40), shape=[1000, 1], dtypes={}
        ),
        "a frame declares a terabyte": series(bomb(1 << 40), {"is": "numpy", "dtype": "<i8"}, 1000),
        "offsets astray in objects": series(astray(), objects, 3),
        "offsets astray in texts": series(astray(), texts, 3),
        "offsets astray in a table": inline("pyarrow.Table", astray(), shape=[3, 1], dtypes={}),
        "offsets astray in polars": inline("polars.DataFrame", astray(), shape=[3, 1], dtypes={}),
        "codes astray": series(no_such_code(), code, 8),
        "codes astray in a table": inline("pyarrow.Table", no_such_code(), shape=[8, 1], dtypes={}),
        "ten billion rows of three": series(numbers(), {"is": "numpy", "dtype": "<i8"}, 10**10),
        "rows by parts": node(
            "pandas.Series",
            format=2,
            shape=[10**10],
            dtypes={},
            name=None,
            rows=10**10,
            index=index,
            arrays=[{"is": "numpy", "dtype": "<i8"}],
            bytes=8,
            parts=two,
        ),
        "numbers as texts": series(numbers(), objects, 3),
        "nothing as texts": series(nothing, objects, 1000),
        "one long text 200,000 times": series(ipc(pa.table({"a": one_long})), objects, 200_000),
        "a zone that is a file": series(
            stamps, {"is": "zoned", "unit": "ns", "zone": "dateutil//etc/hostname"}, 1
        ),
        "a mask with a zone that is a file": series(
            numbers(), {"is": "masked", "dtype": "datetime64[ns, dateutil//etc/hostname]"}, 3
        ),
        "a stamp with a zone that is a file": node(
            "pandas.Timestamp", value=0, unit="ns", shown="", zone="dateutil//etc/hostname"
        ),
        "objects read as memory": series(numbers(), {"is": "numpy", "dtype": "|O"}, 3),
        "items of a megabyte": series(numbers(), {"is": "numpy", "dtype": "V1000000"}, 3),
        "no Arrow file": inline("pyarrow.Table", b"ARROW1" * 9, shape=[1, 1], dtypes={}),
        "an offset of any class": node(
            "pandas.offset", **{"class": "BaseOffset", "arguments": {"n": 1 << 62}}
        ),
        "a frame in a frame in a frame": deeper(store),
    }
    return {**found, **flipped("arrow", flips_of_arrow())}


def deeper(store: Store) -> Node:
    """Tables with two tables in their cells, 30 levels deep: a billion in all."""
    inner: Node = 1
    for _ in range(30):
        data = ipc(pa.table({"a": pa.array([compact(inner)] * 2, pa.large_string())}))
        facts = series(b"", {"is": "json", "files": []}, 2)
        for name in ("bytes", "sha256", "data"):
            del facts[name]
        inner = {**facts, **store.put(data, "arrow")}
    return inner


def flips_of_arrow() -> Iterator[Node]:
    """An Arrow file with a few bytes changed, with a right hash, many times."""
    chance = random.Random(SEED)
    kinds = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), pa.array(["u", "v"]))
    table = pa.table(
        {"a": [1, 2, 3], "b": pa.array(["x", None, "z"], pa.large_string()), "c": kinds}
    )
    lists = pa.table({"d": [[1], [2, 3], []], "e": [{"f": 1}, None, {"f": 2}]})
    for number in range(90):
        whole = bytearray(ipc(lists if number % 3 == 2 else table, None if number % 2 else "lz4"))
        for _ in range(chance.randint(1, 4)):
            whole[chance.randrange(8, len(whole) - 6)] = chance.choice((0, 1, 127, 128, 255))
        kind = "polars.DataFrame" if number % 5 == 4 else "pyarrow.Table"
        yield inline(kind, bytes(whole), shape=[3, 2 if number % 3 == 2 else 3], dtypes={})


def flipped(name: str, nodes: Iterator[Node]) -> dict[str, Node]:
    return {f"{name}, flipped {number}": found for number, found in enumerate(nodes)}


# ---- texts, numbers, containers ------------------------------------------------------------------


def ints(count: int) -> list[int]:
    return [number * MODULUS for number in range(1, count + 1)]


def containers(store: Store) -> dict[str, Node]:
    many = ints(40_000)
    imaginary = [node("complex", real=float(1000003 * k), imag=float(-k)) for k in range(1, 20_001)]
    return {
        "integers of one hash": node("set", items=many),
        "keys of one hash": node("dict", items=[[number, 0] for number in many]),
        "counted, of one hash": node("Counter", items=[[number, 1] for number in many]),
        "ordered, of one hash": node("OrderedDict", items=[[number, 1] for number in many]),
        "frozen, of one hash": node("frozenset", items=many),
        "tuples of one hash": node("set", items=[node("tuple", items=[n]) for n in many]),
        "complex numbers of one hash": node("set", items=imaginary),
        "UUIDs of one hash": node(
            "set",
            items=[
                node("uuid", value=f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}")
                for h in (f"{number:032x}" for number in many)
            ],
        ),
        "decimals of one hash": node("set", items=[node("decimal", value=str(n)) for n in many]),
        "nested 100,000 deep": "[" * 100_000 + "]" * 100_000,
        "tagged 50,000 deep": '{"$stepbook":"tuple","items":[' * 50_000 + "]}" * 50_000,
        "not closed": "[" * 100_000,
        "a number of 100,000 digits": "9" * 100_000,
        "a number of a million hex digits": node("int", hex="0x" + "f" * 1_000_000),
        "NaN": "NaN",
        "1e999": "1e999",
        "half an escape": '"\\ud800"',
        "no text": "",
        "zeros": "\\u0000",
        "a pattern nested 5,000 deep": node("pattern", pattern="(" * 5000 + ")" * 5000, flags=0),
        "a stream far beyond its end": node(
            "BytesIO", content=node("bytes", data=""), position=1 << 60
        ),
        "a zone outside of the zones": node("zoneinfo", key="../../../etc/hostname"),
        "a zone that is a module": node("zoneinfo", key="hostile_module/x"),
        "a closed file of an odd encoding": node(
            "file.closed", name="x", writes=True, mode="w", encoding="hostile_module"
        ),
        "a decimal with a huge exponent": node("decimal", value="1E+999999999999999999"),
        "a fraction over nothing": node("fraction", over=[1, 0]),
        "a range beyond all": node("range", start=0, stop=1 << 200, step=1),
        "a queue with room for all": node("deque", maxlen=1 << 200, items=[]),
        "a factory of any name": node("defaultdict", factory="eval", items=[]),
        "a class of any module": node(
            "dataclass", **{"class": "hostile_module:Evil", "fields": {"a": 1}}
        ),
        "a class of Python": node("enum", **{"class": "os:system", "name": "x", "value": None}),
        "a pickle": inline("pickle", b"cos\nsystem\n(S'touch hacked'\ntR.", **{"class": "x"}),
        "an unknown kind": node("hostile", x=1),
        "a kind that is no text": {TAG: {"a": 1}},
        "registered by nobody": node("registered", **{"class": "os:system", "value": "true"}),
    }


def files(store: Store) -> dict[str, Node]:
    doubled = store.put(b'"x"', "json")
    for _ in range(40):
        pair = [node("json", format=1, of="list", **doubled)] * 2
        doubled = store.put(compact(pair).encode(), "json")
    itself = f"{'7' * 64}.json"
    text = compact(node("json", format=1, of="list", **store.told(itself, 400)))
    (store.folder / itself).write_text(text.ljust(400))
    return {
        "5 GB of one byte": node("bytes.blob", format=1, **store.put(b"x", "bin", size=5 << 30)),
        "more bytes than there are": node(
            "bytes.blob", format=1, **store.put(b"x", "bin", size=1 << 80)
        ),
        "5 GB in the record": {
            **inline("bytes.blob", b"x"),
            "bytes": 5 << 30,
        },
        "a file of holes": node("bytes.blob", format=1, **store.sparse("bin", 1 << 43)),
        "a text of holes": node("json", format=1, of="str", **store.sparse("json", 1 << 43)),
        "texts that name each other": node("json", format=1, of="list", **doubled),
        "a text that names itself": json.loads(text),
        "a name that is a path": node(
            "file", format=1, name="x", **{**store.put(b"x", "bin"), "file": "../../victim.txt"}
        ),
        "an absolute name": node(
            "file", format=1, name="x", **{**store.put(b"x", "bin"), "file": "/etc/passwd"}
        ),
        "a missing file": node("file", format=1, name="x", **store.told(f"{'1' * 64}.bin", 1)),
        "files that are no list": node("files", value=1, files=5),
        "parts that are no parts": node("numpy.ndarray", format=2, bytes=1, parts=[1, 2]),
    }


# ---- models -------------------------------------------------------------------------------------


def models(store: Store) -> dict[str, Node]:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("schema.json", b"[" + b" " * (64 << 20) + b"]")
        file.writestr("a.npy", npy("<f8", (10**10,)))
    raw = json.dumps({"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"})
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as file:
        file.writestr("schema.json", raw)
    secret = {"model_file": "/etc/hostname"}
    return {
        "a booster that is a file": inline(
            "xgboost", b"{}", **{"class": "Booster", "params": secret}
        ),
        "a parameter that is a file": inline(
            "xgboost", b"{}", **{"class": "XGBClassifier", "params": secret}
        ),
        "a class that is none": inline("xgboost", b"{}", **{"class": "train", "params": None}),
        "a model that is none": inline(
            "xgboost", b"{L" + b"\x7f" * 99, **{"class": "Booster", "params": None}
        ),
        "no text of LightGBM": inline(
            "lightgbm", b"tree\nnum_class=2000000000\n", best_iteration=0
        ),
        "a zip that unpacks to more": inline("sklearn", zipped.getvalue(), **{"class": "x"}),
        "a function of Python": inline("sklearn", plain.getvalue(), **{"class": "x"}),
        "no zip": inline("sklearn", b"PK", **{"class": "x"}),
    }


#: What the returns of steps are, by family.
FAMILIES: dict[str, Callable[[Store], dict[str, Node]]] = {
    "arrays": arrays,
    "tables": tables,
    "containers": containers,
    "files": files,
    "models": models,
}


# ---- graphs -------------------------------------------------------------------------------------


def graphs() -> dict[str, Node]:
    """What variables of cells are."""
    memory = node("bytearray", data=base64.b64encode(b"x" * 16).decode())

    def view(shape: list[int], strides: list[int], offset: int = 0) -> Node:
        facts = {"offset": offset, "shape": shape, "strides": strides, "dtype": None}
        return node("numpy.view", base=memory, **facts, writeable=True)

    def call(function: Node, *args: Node) -> Node:
        return node("partial", function=function, args=list(args), kwargs={})

    again = [node("shared", id=0, value=node("tuple", items=[1]))]
    for number in range(1, 60):
        pair = node("tuple", items=[node("again", id=number - 1)] * 2)
        again.append(node("shared", id=number, value=pair))
    nested = [node("shared", id=0, value=node("tuple", items=[1]))]
    for number in range(1, 20_000):
        one = node("tuple", items=[node("again", id=number - 1)])
        nested.append(node("shared", id=number, value=one))
    itself = node("shared", id=1, value=node("tuple", items=[node("again", id=1)]))
    write = call(node("name", name="numpy:save"), "../victim.txt", 1)

    def bits(kind: str, **state: Node) -> Node:
        found = {"bit_generator": kind, "state": state, "has_uint32": 0, "uinteger": 0}
        return node("host.random", kind="bits", seed=1, state={**found, "buffer_pos": 99})

    twister = node("numpy.ndarray.items", dtype="object", shape=[624], items=[1] * 624)
    return {
        "a view that overflows": view([5], [1 << 62]),
        "a view that goes back": view([5], [-8]),
        "a view beyond": view([1], [1], 1 << 62),
        "a view of less": view([-5], [8]),
        "an iterator that calls": node("iterator", kind="iter", args=[write, 1], state=None),
        "a zip that calls": node("iterator", kind="zip", args=[write], state=None),
        "a default that calls": node("defaultdict", factory=write, items=[]),
        "read_pickle": call(node("name", name="pandas:read_pickle"), "../victim.txt"),
        "eval": node("name", name="builtins:eval"),
        "a module of any name": node("name", name="hostile_module:Evil"),
        "a logger of 30,000 names": node("logger", name="a." * 15_000),
        "a key of 2 to the 59 parts": {"a": again, "k": node("set", items=[node("again", id=59)])},
        "a key nested 20,000 deep": {
            "a": nested,
            "k": node("dict", items=[[node("again", id=19_999), 1]]),
        },
        "a tuple in itself": itself,
        "two of one number": [node("shared", id=1, value={}), node("shared", id=1, value={})],
        "again of nothing": [node("again", id=5)],
        "a twister beyond its end": bits("MT19937", key=twister, pos=10**7),
        "a Philox beyond its end": bits("Philox", counter=[0] * 4, key=[0] * 2),
        "a generator that is a function": bits("rand"),
        "a seed with a pool of all": node(
            "host.random",
            kind="seed",
            entropy=1,
            spawn_key=[],
            pool_size=1 << 40,
            n_children_spawned=0,
        ),
        "a book elsewhere": node("host.book", book="../elsewhere.duckdb"),
        "a method of any name": node("method", of="x", name="__class__"),
        "a walk of a billion steps": [
            node(
                "numpy.flat",
                of=node("numpy.ndarray.items", dtype="object", shape=[1], items=[1]),
                index=1 << 40,
            )
        ]
        * 100,
        "a memoryview beyond": node(
            "memoryview", of=memory, offset=1 << 62, format="B", shape=[1], readonly=False
        ),
        "an exception of the system": node("exception", **{"class": "os:_exit", "args": [3]}),
        "an object of the system": node("object", **{"class": "subprocess:Popen", "fields": {}}),
        "integers of one hash": node("set", items=ints(40_000)),
        "a function from nowhere": node("function", place=["x", 1, 2], name="f", qualname="f"),
        "a frame with labels astray": node(
            "pandas.shared@2", **{"is": "DataFrame", "rest": 1, "labels": 2}
        ),
        "nested 10,000 deep": nest(10_000),
    }


def nest(levels: int) -> str:
    return '{"a":[' * levels + '{"$stepbook":"shared","id":1,"value":{}}' + "]}" * levels

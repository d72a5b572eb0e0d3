"""The text that stands for a value: plain where it can be, refused where it must be."""

from __future__ import annotations

import base64
import copy
import hashlib
import inspect
import io
import json
import pickle
import re
import sys
import threading
import time
from pathlib import Path

import catalogue
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sameness import assert_same

from stepbook import ArtifactError, NotSerializableError, StepbookError
from stepbook.values.codec import Codec
from stepbook.values.plain import plain

codec = Codec(None)

PLAIN = [
    (None, "null"),
    (True, "true"),
    (0, "0"),
    (-1.5, "-1.5"),
    ("é\n", '"é\\n"'),
    ([], "[]"),
    ({"a": [1, {"b": None}]}, '{"a":[1,{"b":null}]}'),
]


@pytest.mark.parametrize(("value", "text"), PLAIN)
def test_json_values_are_plain_json(value, text):
    assert codec.encode(value) == text
    assert_same(value, codec.decode(text))


class Text(str):
    __slots__ = ()


class EqualToAll(type):
    """Makes classes that say that they are any other."""

    def __eq__(cls, other):
        return True

    __hash__ = type.__hash__


class Pretender(metaclass=EqualToAll):
    def __len__(self):
        return 0

    def __iter__(self):
        return iter(())

    def items(self):
        return ()


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**640, -(10**640), 10**640 - 1, "$stepbook", Text("a"), b"a", (), 1j]),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
)
KEYS = st.text() | st.sampled_from(["$stepbook", Text("a"), 1, None])
NEARLY_PLAIN = st.recursive(
    ATOMS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20
)


@settings(max_examples=400)
@given(NEARLY_PLAIN)
def test_the_short_way_of_a_plain_value_ends_where_the_long_one_does(value):
    found = plain(value)
    if found is not None:
        text, copied = found
        assert text == codec.encode(value)
        assert_same(copied, codec.decode(text))
        assert json.dumps(copied) == json.dumps(codec.decode(text))  # -0.0, and the order of keys


@pytest.mark.parametrize(
    "value",
    [
        (1,),
        {1: "a"},
        {"$stepbook": "tuple"},
        {Text("a"): 1},
        [Text("a")],
        float("nan"),
        [-float("inf")],
        10**640,
        "\ud800",
        "é",
        [[[[["deep"]]]]],
        [0] * 101,
        "x" * 20_000,
        np.float64(1),
        {1},
        Pretender(),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_what_is_not_small_and_plain_goes_the_long_way(value):
    assert plain(value) is None


@pytest.mark.parametrize("value", [None, True, 1, -0.5, "a", [], {"a": [1, {"b": None}]}])
def test_what_is_small_and_plain_goes_the_short_way(value):
    assert plain(value) == (codec.encode(value), value)


def test_a_value_that_contains_itself_goes_the_long_way_and_is_refused():
    value = []
    value.append({"again": value})
    assert plain(value) is None
    with pytest.raises(NotSerializableError, match="contains itself"):
        codec.encode(value)


def test_the_copy_of_a_plain_value_shares_nothing_that_can_change():
    value = {"a": [1, {"b": []}]}
    _, copied = plain(value)
    value["a"][1]["b"].append(2)
    assert copied == {"a": [1, {"b": []}]}


@pytest.mark.parametrize("step", catalogue.STEPS[:-5], ids=lambda step: step.__name__)
def test_the_text_is_strict_json(step):
    def refuse(constant):
        raise AssertionError(constant)

    text = codec.encode(step())
    json.loads(text, parse_constant=refuse)
    text.encode()


def test_json_written_by_others_is_read():
    assert codec.decode(' {"a" : [1, 2.0, "\\u0041"]}\n') == {"a": [1, 2.0, "A"]}


@pytest.mark.parametrize("text", ["", "NaN", "[1,]", '{"a":NaN}', "1 2", "-Infinity", "{", "nul"])
def test_what_is_not_json_is_an_error(text):
    with pytest.raises(ArtifactError, match="x: "):
        codec.decode(text, where="x")


@pytest.mark.parametrize(
    "value",
    [
        {"$stepbook": 1},
        {"$stepbook": "tuple", "items": [1]},
        [{"a": {"$stepbook": {"$stepbook": "nan"}}}],
        {"$stepbook": {"$stepbook": "dict", "items": []}},
        {"\u0024stepbook": "float", "value": "nan"},
    ],
)
def test_no_dict_can_be_mistaken_for_a_kind(value):
    assert_same(value, codec.decode(codec.encode(value)))


def test_a_tag_cannot_hide_behind_an_escape():
    hidden = '{"\\u0024stepbook":"tuple","items":[1]}'
    assert codec.decode(hidden) == (1,)


def test_big_endian_arrays_keep_their_byte_order():
    for dtype in (">i2", ">M8[s]", ">f8", ">U3"):
        value = np.zeros(2, dtype)
        assert codec.decode(codec.encode(value)).dtype.str == value.dtype.str


def test_a_zone_that_pandas_2_has_told_by_its_name_is_read():
    value = pd.Series(pd.to_datetime([1, 2], unit="s")).dt.tz_localize("Europe/Berlin")
    node = json.loads(codec.encode(value))
    node["arrays"][0]["zone"] = "Europe/Berlin"
    assert_same(value, codec.decode(json.dumps(node)))
    node["arrays"][0]["zone"] = "../../etc/passwd"
    with pytest.raises(ArtifactError):
        codec.decode(json.dumps(node))


# ---- what is refused ----------------------------------------------------------------------------


def _path_of(value):
    with pytest.raises(NotSerializableError) as caught:
        codec.encode(value)
    assert caught.value.value is value
    return caught.value.path


class Unknown:
    pass


def test_the_path_says_where_it_is():
    assert _path_of(Unknown()) == "$"
    assert _path_of([0, {"a": (1, Unknown())}]) == "$[1].a[1]"
    assert _path_of({"a b": {1: {"x": Unknown()}}}) == "$['a b'][1].x"
    assert _path_of({"k": {Unknown}}) == "$.k[0]"
    assert _path_of(pd.DataFrame({"c": [1, Unknown()]})) == "$['c'][1]"
    assert _path_of({"f": [pd.DataFrame({"c": [1]}).astype("Sparse[int]")]}) == "$.f[0]['c']"
    assert _path_of(np.array([1, Unknown()], dtype=object)) == "$[1]"


@pytest.mark.parametrize(
    ("value", "path"),
    [("\ud800", "$"), (["x", {"k": "a\udfff"}], "$[1].k"), ({"\ud800": 1}, "$['\\ud800']")],
)
def test_a_lone_surrogate_is_refused(value, path):
    assert _path_of(value) == path


def test_a_value_that_contains_itself_is_refused():
    loop = []
    loop.append({"again": loop})
    pair = ([],)
    pair[0].append(pair)
    table = {}
    table[1] = table
    for value, path in ((loop, "$[0].again"), (pair, "$[0][0]"), (table, "$[1]")):
        with pytest.raises(NotSerializableError, match="contains itself") as caught:
            codec.encode(value)
        assert caught.value.path == path


def test_the_same_object_twice_is_no_cycle():
    shared = [1]
    assert codec.decode(codec.encode([shared, shared, (shared,)])) == [[1], [1], ([1],)]


def _nested(levels, wrap):
    value = 1
    for _ in range(levels):
        value = wrap(value)
    return value


WRAPS = [lambda v: [v], lambda v: {"a": v}, lambda v: (v,), lambda v: {1: v}, lambda v: {"a": (v,)}]


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_is_nested_too_deep_is_refused(wrap):
    with pytest.raises(NotSerializableError, match="nested") as caught:
        codec.encode(_nested(50_000, wrap))
    assert len(str(caught.value)) < 1000


def _with_little_stack(levels, call):
    return call() if levels <= 0 else _with_little_stack(levels - 1, call)


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_was_stored_is_read_from_everywhere(wrap):
    deepest = next(n for n in range(600, 0, -1) if _is_storable(_nested(n, wrap)))
    assert deepest >= 150
    value = _nested(deepest, wrap)
    text = codec.encode(value)
    room = sys.getrecursionlimit() - 60
    depth = room - len(inspect.stack(0))
    assert _with_little_stack(depth, lambda: codec.encode(value)) == text
    again = _with_little_stack(depth, lambda: codec.decode(text))
    for _ in range(deepest):
        assert type(again) is type(value)
        again, value = (
            next(iter(item.values() if isinstance(item, dict) else item)) for item in (again, value)
        )
    assert again == value


def _is_storable(value):
    try:
        codec.encode(value)
    except NotSerializableError:
        return False
    return True


def test_a_record_that_is_nested_too_deep_is_an_error():
    with pytest.raises(ArtifactError, match="deep"):
        codec.decode("[" * 100_000 + "]" * 100_000)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (np.char.array(["a"]), "numpy.asarray"),
        (np.matrix([[1]]), "numpy.asarray"),
        (np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")]), "Python objects"),
        (pd.DataFrame({"a": [0, 1]}).astype("Sparse[int]"), "to_dense"),
        (pd.Series([1], index=[Unknown()]), "Unknown"),
        (open, "builtin_function_or_method"),
        ((i for i in []), "generator"),
        (threading.Lock(), "lock"),
        (sys, "module"),
    ],
)
def test_types_that_are_not_stored_say_what_to_do(value, hint):
    with pytest.raises(NotSerializableError, match=hint):
        codec.encode(value)


def test_a_subclass_is_not_taken_for_its_base():
    class Names(list):
        pass

    class Table(pd.DataFrame):
        pass

    for value in (Names(), Table(), type("Text", (str,), {})("x"), type("Int", (int,), {})(1)):
        with pytest.raises(NotSerializableError, match=type(value).__name__):
            codec.encode([value])


# ---- damage -------------------------------------------------------------------------------------

TEXTS = [codec.encode(step()) for step in catalogue.STEPS if not step.__annotations__]
#: What is only there to be looked at, and what has a hash that must be right.
ASIDE = {"preview", "shown", "dtypes", "files", "data", "bytes", "sha256"}


def _places(node, path=()):
    yield path
    for key, item in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(item, dict | list):
            yield from _places(item, (*path, key))
        else:
            yield (*path, key)


def _mutated(root, path, how):
    if not path:
        return how
    root = copy.deepcopy(root)
    inner = root
    for key in path[:-1]:
        inner = inner[key]
    if how == "drop":
        del inner[path[-1]]
    elif how == "again" and isinstance(inner, list):
        inner.append(copy.deepcopy(inner[path[-1]]))
    elif how == "more" and isinstance(inner, dict):
        inner["unexpected"] = 1
    else:
        inner[path[-1]] = how
    return root


def _essence(node):
    if isinstance(node, dict):
        kept = {k: _essence(v) for k, v in node.items() if k not in ASIDE}
        if kept.get("$stepbook") in ("set", "frozenset"):
            kept["items"].sort(key=repr)
        # The offset is written for people: a region may have changed its own.
        if kept.get("$stepbook") in ("datetime", "time"):
            kept["value"] = re.sub(r"[+-]\d\d:\d\d(:\d\d)?$", "", kept["value"])
        return kept
    return [_essence(item) for item in node] if isinstance(node, list) else node


HOWS = [
    *("drop", "again", "more", None, True, 5, -1, 1.5, "x", "nan", [], {}, "2024-01-01"),
    *({"$stepbook": kind} for kind in ("float", "tuple", "dict", "numpy.ndarray", "no", None)),
    *("pandas.DataFrame", "tuple", "<i4", "O", [[1, 2]], 2**70),
]


def _parts():
    """Return every node that the texts hold at their top, once each."""
    found = {}
    waiting = [json.loads(text) for text in TEXTS]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict) and "$stepbook" not in node:
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            found[json.dumps(node)] = node
    return list(found.values())


@pytest.mark.by_turns(0.4)
@pytest.mark.parametrize("how", HOWS, ids=repr)
def test_a_damaged_record_is_an_error_or_another_whole_value(how):
    # Every node with every place of it changed: no draw can miss one.
    for root in _parts():
        for path in _places(root):
            damaged = json.dumps(_mutated(root, path, how))
            try:
                value = codec.decode(damaged)
            except StepbookError:
                continue
            # Not noticed: then it must be exactly what the changed record says.
            assert _essence(json.loads(codec.encode(value))) == _essence(json.loads(damaged)), (
                path,
                damaged,
            )


@settings(
    max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(data=st.data())
def test_changed_bytes_inside_the_record_are_noticed(data):
    text = data.draw(st.sampled_from([text for text in TEXTS if '"data":"' in text]))
    starts = [i for i in range(len(text)) if text.startswith('"data":"', i)]
    start = data.draw(st.sampled_from(starts)) + 8
    end = text.index('"', start)
    if end == start or "sha256" not in text[text.rindex("{", 0, start) : start]:
        return  # short bytes have no hash: that text is the value
    at = data.draw(st.integers(start, end - 1))
    with pytest.raises(ArtifactError):
        codec.decode(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])


class Planted:
    """Executes code when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (Path(self.marker),)


def _node(kind, data, **facts):
    return json.dumps(
        {
            "$stepbook": kind,
            "format": 1,
            **facts,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "data": base64.b64encode(data).decode(),
        }
    )


def _evil_npy(marker):
    file = io.BytesIO()
    value = np.empty(1, object)
    value[0] = Planted(marker)
    np.lib.format.write_array(file, value, allow_pickle=True)
    return file.getvalue()


def _evil_arrow(marker):
    meta = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Planted(marker)),
    }
    schema = pa.schema([pa.field("a", pa.int64(), metadata=meta)])
    file = io.BytesIO()
    with pa.ipc.new_file(pa.PythonFile(file, "w"), schema) as writer:
        writer.write_table(pa.table([[1]], schema=schema))
        writer.close()
        return file.getvalue()


def test_planted_code_is_never_executed(tmp_path):
    marker = tmp_path / "executed"
    planted = pickle.dumps(Planted(marker))
    spec = {"labels": ["a"], "dtype": None, "name": None}
    texts = [
        _node("pickle", planted, **{"class": "x"}),
        _node("numpy.ndarray", _evil_npy(marker), shape=[1], dtype="object"),
        _node("numpy.ndarray", planted, shape=[1], dtype="object"),
        _node("pyarrow.Table", _evil_arrow(marker), shape=[1, 1], dtypes={}),
        _node(
            "pandas.DataFrame",
            _evil_arrow(marker),
            shape=[1, 1],
            dtypes={},
            columns=spec,
            rows=1,
            index=json.loads(codec.encode(pd.RangeIndex(1))),
            arrays=[{"is": "numpy", "dtype": "O"}],
        ),
        _node("sklearn", planted, **{"class": "x"}),
        json.dumps({"$stepbook": "numpy.scalar", "dtype": "|O", "value": 1}),
        json.dumps({"$stepbook": "dataclass", "class": "os:system", "fields": {}}),
        json.dumps({"$stepbook": "registered", "class": "os:system", "value": "true"}),
        json.dumps({"$stepbook": "defaultdict", "factory": "eval", "items": []}),
    ]
    for text in texts:
        try:
            codec.decode(text)
        except StepbookError:
            pass
        else:
            assert '"pyarrow.Table"' in text  # a plain column to a reader that ignores the rest
        assert not marker.exists(), text
    pickle.loads(planted)  # the plant is alive
    assert marker.exists()


# ---- speed --------------------------------------------------------------------------------------


def test_a_plain_value_imports_no_heavy_library(tmp_path):
    import subprocess

    script = """
import sys
from stepbook.values.codec import Codec
codec = Codec(None)
assert codec.decode(codec.encode({"a": [1, (2,), None]})) == {"a": [1, (2,), None]}
heavy = {"numpy", "pandas", "pyarrow", "polars", "pydantic", "torch", "sklearn"} & {*sys.modules}
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])


def test_a_plain_value_costs_microseconds():
    value = {"i": 1}

    def best(call):
        return min(_timed(call) for _ in range(50)) / 1000

    text = codec.encode(value)
    assert best(lambda: codec.decode(text)) < 4  # 0.4 here; a machine may be slow or busy
    assert best(lambda: codec.encode(value)) < 20  # 2.4 here


def _timed(call):
    start = time.perf_counter_ns()
    for _ in range(1000):
        call()
    return (time.perf_counter_ns() - start) / 1000

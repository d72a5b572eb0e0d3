"""Graphs of objects are rebuilt with their sharing; nothing that a record names is reached for."""

from __future__ import annotations

import functools
import io
import json
import re
import types
from array import array
from collections import OrderedDict, defaultdict, deque

import numpy as np
import pandas as pd
import pytest

from stepbook.errors import ArtifactError
from stepbook.notebook.digest import look
from stepbook.notebook.sources import Sources
from stepbook.notebook.world import Notebook
from stepbook.values.codec import Codec
from stepbook.values.heap import is_tree


class Node:
    def __init__(self, name):
        self.name = name
        self.to = []


class Slotted:
    __slots__ = ("a", "b")


class Rows(list):
    def total(self):
        return sum(self)


@pytest.fixture
def world(monkeypatch):
    names = {"Node": Node, "Slotted": Slotted, "Rows": Rows}
    made = Notebook(names, Sources())
    made.defined = set(names)
    monkeypatch.setattr(made, "is_own", lambda value: value in (Node, Slotted, Rows))
    return made


def back(world, value):
    codec = Codec(None)
    with codec.writing_graphs(world) as writer:
        text = writer.encode(value, hint=tuple(world.names.values()))
        assert not writer.missing, writer.missing
    return codec.decode_graph(text, world, hint=tuple(world.names.values()))


def test_one_object_in_several_places_is_one_object_again(world):
    inner = [1]
    found = back(world, {"a": inner, "b": (inner, {"c": inner}), "d": [1]})
    assert found == {"a": [1], "b": ([1], {"c": [1]}), "d": [1]}
    assert found["a"] is found["b"][0] is found["b"][1]["c"]
    assert found["d"] is not found["a"]


@pytest.mark.parametrize(
    "make",
    [
        dict,
        lambda: OrderedDict(a=1),
        lambda: defaultdict(list),
        lambda: {(1, 2): "other keys"},
    ],
)
def test_a_container_that_holds_itself_does_so_again(world, make):
    value = make()
    value["self"] = [value]
    found = back(world, value)
    assert found["self"][0] is found
    assert type(found) is type(value)
    assert found.keys() == value.keys()


def test_lists_and_deques_hold_themselves(world):
    for value in ([0], deque([0], maxlen=5)):
        value.append((value,))
        found = back(world, value)
        assert found[0] == 0
        assert found[1][0] is found


def test_instances_that_know_each_other_do_so_again_without_calling_init(world, monkeypatch):
    a, b = Node("a"), Node("b")
    a.to.append(b)
    b.to.append(a)
    monkeypatch.setattr(Node, "__init__", None)
    found = back(world, [a, b])
    assert [type(node) for node in found] == [Node, Node]
    assert found[0].to[0] is found[1]
    assert found[1].to[0] is found[0]


def test_slots_and_subclasses_of_containers_come_back(world):
    one = Slotted()
    one.a = [1]
    rows = Rows([1, 2])
    rows.note = one.a
    found_one, found_rows = back(world, (one, rows))
    assert found_one.a == [1]
    assert not hasattr(found_one, "b")
    assert type(found_rows) is Rows
    assert found_rows.total() == 3
    assert found_rows.note is found_one.a


def test_views_share_their_memory_only_with_what_is_stored(world):
    base = np.arange(6)
    codec = Codec(None)
    with codec.writing_graphs(world) as writer:
        writer.owners = {id(base)}
        text = writer.encode({"base": base, "view": base[1:4], "turned": base.reshape(2, 3).T})
    found = codec.decode_graph(text, world)
    found["view"][0] = 99
    assert found["base"].tolist() == [0, 99, 2, 3, 4, 5]
    assert found["turned"].tolist() == [[0, 3], [99, 4], [2, 5]]


def shared(world, value):
    """Return a value that was written as a graph and read again, with its shared memory."""
    codec = Codec(None)
    with codec.writing_graphs(world) as writer:
        writer.owners = look(value, world.is_own).shared_memory
        text = writer.encode(value)
        assert not writer.missing, writer.missing
    return codec.decode_graph(text, world)


def test_what_pandas_makes_on_an_array_is_on_it_again(world):
    frame = pd.DataFrame({"x": [1.0, 2.0], "i": pd.array([1, None], "Int64")})
    index = pd.Index(numbers := np.array([5, 6]), copy=False)
    found = shared(
        world,
        {
            "frame": frame,
            "array": frame["x"].array,
            "masked": frame["i"].array,
            "mask": frame["i"].array._mask,
            "index": index,
            "numbers": numbers,
        },
    )
    found["array"][0] = 9.0
    found["masked"][0] = 7
    found["mask"][1] = False
    found["numbers"][0] = 50
    assert found["frame"]["x"].tolist() == [9.0, 2.0]
    assert found["frame"]["i"].isna().tolist() == [False, False]
    assert found["frame"]["i"].array is found["masked"]
    assert found["index"].tolist() == [50, 6]


def test_columns_that_are_one_array_in_memory_are_so_again():
    codec = Codec(None)
    frame = pd.DataFrame({"a": [1.0, 2.0], "n": [1, 2], "b": [3.0, 4.0], "o": ["x", "y"]})
    for value in (frame[["a", "b"]], pd.DataFrame(np.ones((3, 2))), frame):
        found = codec.decode(codec.encode(value))
        pd.testing.assert_frame_equal(found, value)
        assert found.to_numpy().strides == value.to_numpy().strides
        numbers = found.to_numpy(), found.iloc[:, 0].to_numpy()
        assert np.shares_memory(*numbers) == (value is not frame)


def test_an_array_of_pandas_is_of_its_class_again(world):
    for value in (pd.date_range("2024", periods=2).array, pd.Series([1.5]).array):
        assert type(back(world, value)) is type(value)
        assert list(back(world, value)) == list(value)


def test_tables_that_share_memory_part_when_one_of_them_is_changed(world):
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    other, array = frame.rename(columns={"x": "z"}), frame["x"].to_numpy()
    found = shared(world, {"frame": frame, "other": other, "array": array})
    found["frame"].loc[0, "x"] = 9.0
    assert found["other"]["z"].tolist() == found["array"].tolist() == [1.0, 2.0]
    found["other"].loc[1, "z"] = 8.0  # now it is alone on that memory
    assert found["array"].tolist() == [1.0, 8.0]


def test_an_index_that_is_held_twice_is_one_object_again(world):
    frame = pd.DataFrame({"x": [1, 2]}, index=[3, 4])
    found = shared(world, [frame, frame.index, frame.columns])
    assert found[0].index is found[1]
    assert found[0].columns is found[2]


def test_a_table_keeps_attributes_of_the_person_and_what_they_share(world):
    frame, meta = pd.DataFrame({"x": [1]}), ["a"]
    with pytest.warns(UserWarning, match="new attribute"):
        frame.attrs["meta"], frame.note = meta, {"of": meta}
    found_frame, found_meta = shared(world, (frame, meta))
    assert found_frame.attrs["meta"] is found_frame.note["of"] is found_meta
    assert found_meta == ["a"]


def test_masked_arrays_records_and_rows_are_on_the_memory_they_share(world):
    masked = np.ma.array([1, 2, 3], mask=[0, 1, 0])
    records = np.rec.array([(1, 2.0), (3, 4.0)], dtype=[("x", "i4"), ("y", "f8")])
    value = [masked, masked.data, masked.mask, records, records["x"], records[1]]
    found_masked, data, mask, found_records, field, row = shared(world, value)
    data[0], mask[2], field[0], row.y = 9, True, 7, 8.0
    assert found_masked.tolist() == [9, None, None]
    assert found_records.tolist() == [(7, 2.0), (3, 8.0)]
    assert type(row) is np.record


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.broadcast_to(np.arange(3.0), (2, 3)),
        lambda: np.lib.stride_tricks.sliding_window_view(np.arange(5), 3, writeable=True),
        lambda: np.arange(6)[::-1],
        lambda: np.zeros((2, 3, 4)).transpose(1, 0, 2),
        lambda: np.arange(12.0).reshape(3, 4)[:, ::-2].T,
    ],
)
def test_an_array_in_an_unusual_order_keeps_it(world, make):
    value = make()
    found = shared(world, [value])[0]
    assert found.tolist() == value.tolist()
    assert found.flags.writeable == value.flags.writeable
    assert np.sign(found.strides).tolist() == np.sign(value.strides).tolist()
    assert np.argsort(found.strides).tolist() == np.argsort(value.strides).tolist()
    if value.flags.writeable:
        for array in (value, found):
            array[(0,) * array.ndim] = 99
        assert found.tolist() == value.tolist()


def test_views_of_buffers_show_what_is_in_them(world):
    numbers, stream = array("d", [1.0, 2.0]), io.BytesIO(b"abcd")
    value = [numbers, np.frombuffer(numbers), memoryview(numbers)[1:], stream, stream.getbuffer()]
    found, on, view, found_stream, shown = shared(world, value)
    on[0], view[0], shown[1] = 7.0, 8.0, ord("z")
    assert found == array("d", [7.0, 8.0])
    assert found_stream.getvalue() == b"azcd"


def test_a_whole_that_cannot_be_made_without_a_part_is_left_out_and_met_again_elsewhere(world):
    inner = [1]
    holder = pd.Index([1, 2])
    holder.note = "x"  # what an index was given is not stored
    frame = pd.DataFrame({"o": [inner, inner]}, index=holder)
    codec = Codec(None)
    with codec.writing_graphs(world) as writer:
        writer.owners = {id(frame.index)}
        text = writer.encode([frame, inner, inner])
        assert len(writer.missing) == 1
    found = codec.decode_graph(text, world)
    assert found[1] == [1]
    assert found[1] is found[2]


def test_what_cannot_be_stored_leaves_everything_around_it(world):
    codec = Codec(None)
    generator = (i for i in "ab")
    with codec.writing_graphs(world) as writer:
        text = writer.encode({"good": [1, 2], "bad": generator})
        assert [part for _, part in writer.missing] == [generator]
    assert codec.decode_graph(text, world)["good"] == [1, 2]


@pytest.mark.parametrize("value", [{"a": [1, {"b": "c"}]}, [], [[1], [1]]])
def test_plain_values_are_trees(value):
    assert is_tree(value)


def test_what_is_shared_or_more_than_json_is_no_tree():
    inner = [1]
    loop = []
    loop.append(loop)
    for value in ([inner, inner], loop, [(1,)], {"a": {1}}, 5):
        assert not is_tree(value)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins:eval",
        "builtins:exec",
        "builtins:open",
        "builtins:str.__class__",
        "builtins:getattr",
        "numpy:os",
        "numpy:ctypeslib.ctypes",
        "collections:_sys.modules",
        "subprocess:run",
        "sklearn.utils:joblib",
        "no_such_name",
        "",
        ":",
    ],
)
def test_a_record_cannot_name_what_the_notebook_does_not_have(world, name):
    text = f'{{"$stepbook":"name","name":"{name}"}}'
    with pytest.raises(ArtifactError):
        Codec(None).decode_graph(text, world)


@pytest.mark.parametrize(
    "text",
    [
        '{"$stepbook":"again","id":1}',
        '[{"$stepbook":"shared","id":1,"value":[]},{"$stepbook":"shared","id":1,"value":[]}]',
        (
            '{"$stepbook":"shared","id":1,"value":{"$stepbook":"tuple",'
            '"items":[{"$stepbook":"again","id":1}]}}'
        ),
        '{"$stepbook":"object","class":"subprocess:Popen","fields":{}}',
        '{"$stepbook":"object","class":"builtins:dict","fields":{}}',
        '{"$stepbook":"method","of":[],"name":"__class__"}',
        '{"$stepbook":"exception","class":"builtins:print","args":[]}',
        '{"$stepbook":"host.nothing"}',
        '{"$stepbook":"iterator","kind":"open","args":["/etc/passwd"],"state":null}',
        (
            '{"$stepbook":"numpy.view","base":5,"offset":0,"shape":[1],"strides":[8],"dtype":null,'
            '"writeable":true}'
        ),
        # Numbers that would be taken for addresses of objects, and the other way round.
        (
            '{"$stepbook":"numpy.view","base":{"$stepbook":"numpy.ndarray.items","dtype":"object",'
            '"shape":[2],"items":[1,2]},"offset":4,"shape":[1],"strides":[8],"dtype":null,'
            '"writeable":true}'
        ),
        (
            '{"$stepbook":"numpy.view","base":{"$stepbook":"numpy.ndarray.items","dtype":"object",'
            '"shape":[2],"items":[1,2]},"offset":0,"shape":[2],"strides":[8],'
            '"dtype":{"$stepbook":"numpy.dtype","descr":"<i8"},"writeable":true}'
        ),
        '{"$stepbook":"numpy.row","of":[]}',
        '{"$stepbook":"bound","kind":"open","function":null}',
        '{"$stepbook":"mappingproxy","of":[]}',
        '{"$stepbook":"array","code":"i","size":3,"items":{"$stepbook":"bytearray","data":""}}',
        (
            '{"$stepbook":"memoryview","of":{"$stepbook":"bytes","data":"YWJj"},"offset":9,'
            '"format":"B","shape":[1],"readonly":true}'
        ),
    ],
)
def test_a_graph_of_another_shape_is_an_error(world, text):
    with pytest.raises(ArtifactError):
        Codec(None).decode_graph(text, world)


def test_a_function_is_never_rebuilt_from_code_of_a_record(world):
    stubs = []
    world.stub = lambda node: stubs.append(node["why"])
    text = '{"$stepbook":"function","place":["cell:0",0,0],"name":"f","qualname":"f"}'
    assert not isinstance(Codec(None).decode_graph(text, world), types.FunctionType)
    assert stubs


@pytest.mark.parametrize(
    "value", [re.compile("a+", re.IGNORECASE), re.compile(b"x"), slice(1, None, 2), slice("a")]
)
def test_patterns_and_slices_are_values_of_steps(book, value):
    found = book.run("r").do("A", lambda: value)
    assert (found, type(found)) == (value, type(value))


def test_streams_in_memory_are_values_of_steps(book):
    text, data = io.StringIO("one\ntwo"), io.BytesIO(b"abc")
    text.readline()
    data.seek(2)
    run = book.run("r")
    found, bits = run.do("A", lambda: [text, data])
    assert (found.read(), bits.read()) == ("two", b"c")
    assert (found.getvalue(), bits.getvalue()) == ("one\ntwo", b"abc")


# ---- functions with caches


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("maxsize", [None, 3, 128])
def test_a_function_with_a_cache_keeps_what_it_remembers(world, maxsize, typed):
    function = functools.lru_cache(maxsize=maxsize, typed=typed)(sorted)
    for word in ("zz", "cb"):
        function(word)
    function((2, 1))
    function((1, 3), reverse=True).append("changed")
    shared = function("ba")
    shared.append("x")
    found, again = back(world, [function, shared])
    assert found.__wrapped__ is sorted
    assert found.cache_parameters() == function.cache_parameters()
    size = found.cache_info().currsize
    assert size == function.cache_info().currsize
    assert found("ba") is again
    assert found((1, 3), reverse=True) == [3, 1, "changed"]
    assert found.cache_info().hits == 2
    assert found("new") == ["e", "n", "w"]
    assert found.cache_info().currsize == (size if maxsize == 3 else size + 1)
    found.cache_clear()
    assert found("ba") == ["a", "b"]


def test_results_that_cannot_be_stored_are_computed_again(world):
    function = functools.cache(iter)
    function((1, 2))
    assert next(function("ab")) == "a"
    made = functools.cache(filter)
    made(None, "ab")
    found, other = back(world, [function, made])
    assert next(found("ab")) == "b"
    assert other.cache_info().currsize == 0


@pytest.mark.parametrize(
    "calls",
    [
        [{"args": [[1]], "keywords": {}, "value": 1}],
        [{"args": [1], "keywords": {"x": {}}, "value": 1}],
        [{"args": [1], "keywords": {}, "value": 1}, {"args": [1], "keywords": {}, "value": 2}],
        [{"args": [1], "value": 1}],
        {"args": [1]},
        [1],
        7,
    ],
)
def test_a_cache_that_was_made_up_is_refused_and_nothing_is_called(world, calls):
    codec = Codec(None)
    with codec.writing_graphs(world) as writer:
        text = writer.encode([functools.cache(print)])
    node = json.loads(text)
    node[0]["calls"] = calls
    with pytest.raises(ArtifactError):
        codec.decode_graph(json.dumps(node, separators=(",", ":")), world)

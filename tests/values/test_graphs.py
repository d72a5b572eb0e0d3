"""Graphs of objects are rebuilt with their sharing; nothing that a record names is reached for."""

from __future__ import annotations

import io
import re
import types
from collections import OrderedDict, defaultdict, deque

import numpy as np
import pytest

from stepbook.errors import ArtifactError
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

"""What a session does to what a function reaches is in its next fingerprint."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import gc
import importlib
import itertools
import pathlib
import sys
import weakref

import numpy as np
import pandas as pd
import pytest

from stepbook.code.fingerprints import of_call
from stepbook.code.verdicts import compare

CLASS = "class M:\n    k = 1\n    def go(self): return 1\n"
CHANGES = {
    "a built-in that is shadowed": ("def call(): return sum([1])", "sum = 5"),
    "an item that is added": ("L = [1]\ndef call(): return L", "L.append(2)"),
    "one item of many": ("L = list(range(5000))\ndef call(): return L", "L[4000] = 0"),
    "an attribute": (f"{CLASS}m = M()\ndef call(): return m.k", "m.k = 2"),
    "an attribute of a class": (f"{CLASS}def call(): return M.k", "M.k = 2"),
    "a method": (f"{CLASS}def call(): return M().go()", "M.go = lambda self: 2"),
    "a method that is added": (f"{CLASS}def call(): return M().x", "M.__getattr__ = max"),
    "an attribute that hides another": (
        f"{CLASS}class N(M): pass\ndef call(): return N.k",
        "N.k = 2",
    ),
    "a list of a class": ("class M:\n    k = []\ndef call(): return M.k", "M.k.append(1)"),
    "code that is replaced, as a reload does": (
        "def f(): return 1\ndef g(): return 2\ndef call(): return f()",
        "f.__code__ = g.__code__",
    ),
    "the code of a method": (
        f"{CLASS}def g(self): 0\ndef call(): M()",
        "M.go.__code__ = g.__code__",
    ),
    "a default": ("def f(a=1): return a\ndef call(): return f()", "f.__defaults__ = (2,)"),
    "a helper behind a dict": (
        "def h(): return 1\ndef f(): return h()\nD = {'f': f}\ndef call(): return D['f']()",
        "def h(): return 2",
    ),
    "a function in a dict": ("def f(): 1\nD = {'f': f}\ndef call(): return D", "D['f'] = max"),
    "an object of another class in a dict": (
        f"{CLASS}class N(M): pass\nD = {{'m': M()}}\ndef call(): return D['m'].go()",
        "D['m'] = N()",
    ),
    "a function in the closure of a helper": (
        """
def make(n):
    def more(f):
        nonlocal n
        n = f
    return more, lambda: n()
more, now = make(lambda: 1)
def call(): return now()
""",
        "more(lambda: 2)",
    ),
    "a module's own function for names that it has not": (
        """
import sys, types
m = sys.modules["m"] = types.ModuleType("m")
m.__file__ = "m.py"
m.__getattr__ = lambda name: 1
def call(): return m.k
""",
        "m.k = 2",
    ),
    "an attribute of a function": (
        "def f(): return f.k\nf.k = 1\ndef call(): return f()",
        "f.k = 2",
    ),
    "a helper of a dataclass's default": (
        """
import dataclasses
def h(): return []
@dataclasses.dataclass
class M:
    a: list = dataclasses.field(default_factory=lambda: h())
def call(): return M()
""",
        "def h(): return [1]",
    ),
    "the default of a method": (
        "class M:\n    def go(self, k=[]): return k\ndef call(): return M().go()",
        "M.go.__defaults__[0].append(1)",
    ),
    "the closure of a helper": (
        """
def make(n):
    def more():
        nonlocal n
        n += 1
    return more, lambda: n
more, now = make(1)
def call(): return now()
""",
        "more()",
    ),
}


#: What brings code that was not there when the function was walked, and a change of that code.
LATER = {
    "a registry": (
        "D = {}\ndef call(): return D['f']()",
        "def h(): return 1\ndef f(): return h()\nD['f'] = f",
    ),
    "an attribute": (
        "class M: pass\nm = M()\ndef call(): return m.f()",
        "def h(): return 1\nm.f = lambda: h()",
    ),
    "a default": (
        "def g(x=[]): return x\ndef call(): return g()",
        "def h(): return 1\ng.__defaults__[0].append(lambda: h())",
    ),
    "a name": ("D = [1]\ndef call(): return D()", "def h(): return 1\ndef D(): return h()"),
}


@pytest.mark.parametrize("name", LATER)
def test_code_that_came_later_is_followed(name):
    names = {"__name__": "__main__"}
    told = []
    for moment, text in enumerate((*LATER[name], "def h(): return 2")):
        exec(compile(text, f"<cell {moment} of {name}>", "exec"), names)
        told.append(of_call(names["call"], (), {}))
    for before, after in itertools.pairwise(told):
        assert compare(before, after).kind == "stale", told


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_in_the_session_is_seen(name):
    before, change = CHANGES[name]
    names = {"__name__": "__main__"}
    exec(compile(before, f"<cell of {name}>", "exec"), names)
    first = of_call(names["call"], (), {})
    assert of_call(names["call"], (), {}) == first
    exec(compile(change, f"<change of {name}>", "exec"), names)
    verdict = compare(first, of_call(names["call"], (), {}))
    assert verdict.kind == "stale", verdict


def test_functions_of_one_code_are_told_apart_by_closures_and_defaults():
    def made(value):
        return lambda: value

    given = [lambda value=value: value for value in (1, 2)]
    assert of_call(made(1), (), {}) == of_call(made(1), (), {})
    assert compare(of_call(made(1), (), {}), of_call(made(2), (), {})).changes == ("value: 1 -> 2",)
    told = [of_call(one, (), {}) for one in given]
    assert compare(*told).changes == ("argument value: 1 -> 2",)


def test_a_table_that_a_function_has_read_is_let_go_with_its_name():
    names = {"__name__": "__main__", "pd": pd, "frame": pd.DataFrame({"a": [1]})}
    exec("def call(): return frame", names)
    first = of_call(names["call"], (), {})
    seen = weakref.ref(names["frame"])
    names["frame"] = None
    gc.collect()
    assert seen() is None
    assert compare(first, of_call(names["call"], (), {})).kind == "stale"


def test_a_proxy_is_not_asked_for_anything():
    class Proxy:
        def __getattr__(self, name):
            raise AssertionError(name)

    names = {"__name__": "__main__", "proxy": Proxy()}
    exec("def call(): return proxy", names)
    assert of_call(names["call"], (), {}) == of_call(names["call"], (), {})
    assert "unknown" not in of_call(names["call"], (), {})


ASKED = []


def _asks(*_, **__):
    ASKED.append(1)
    raise AssertionError


OWN = """
    __eq__ __hash__ __repr__ __str__ __getattr__ __getattribute__ __len__ __iter__ __bool__
    __reduce_ex__ __reduce__ __getstate__ __int__ __float__ __index__ __fspath__ __array__
    __getitem__ __contains__ __bytes__ __complex__
""".split()
ATTRIBUTES = ("__class__", "__dict__", "__wrapped__", "name", "value")
BASES = {
    "object": (object,),
    "dict": (dict,),
    "list": (list,),
    "tuple": (tuple,),
    "set": (set,),
    "str": (str,),
    "int": (int,),
    "float": (float,),
    "bytes": (bytes,),
    "deque": (collections.deque,),
    "Decimal": (decimal.Decimal,),
    "timedelta": (dt.timedelta,),
    "PurePosixPath": (pathlib.PurePosixPath,),
    "Exception": (Exception,),
    "ndarray": (np.ndarray,),
    "DataFrame": (pd.DataFrame,),
}
IN_PYTHON = ("PurePosixPath", "DataFrame")


@pytest.mark.parametrize("base", BASES)
def test_nothing_of_an_object_of_the_person_s_is_called(base):
    own = dict.fromkeys(OWN, _asks) | dict.fromkeys(ATTRIBUTES, property(_asks))
    (extended,) = BASES[base]
    ASKED.clear()
    if base in IN_PYTHON:  # which goes through these itself
        del own["__getattribute__"], own["__getattr__"]
        value = type("Made", (extended,), {})()
        value.__class__ = type("Made", (extended,), {"__module__": "__main__", **own})
    else:
        made = type("Made", (extended,), {"__module__": "__main__", **own})
        value = extended.__new__(made, *[2] * (base == "ndarray"))
    names = {"__name__": "__main__", "value": value}
    exec("def call(given=None): return value", names)
    for told in (
        of_call(names["call"], (), {}),
        of_call(names["call"], ([value],), {}),
        of_call(value, (), {}),
    ):
        assert '"?unknown"' not in told
    assert not ASKED


def test_a_module_that_a_function_imports_counts_as_it_was_loaded(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "tools_of_a_session.py"
    file.write_text("K = 1\n")
    names = {"__name__": "__main__"}
    exec("def call():\n    import tools_of_a_session\n    return tools_of_a_session.K", names)
    first = of_call(names["call"], (), {})
    names["call"]()
    assert of_call(names["call"], (), {}) == first
    file.write_text("K = 20\n")
    assert of_call(names["call"], (), {}) == first
    importlib.reload(sys.modules["tools_of_a_session"])
    verdict = compare(first, of_call(names["call"], (), {}))
    assert verdict.changes == ("import tools_of_a_session changed",)
    del sys.modules["tools_of_a_session"]

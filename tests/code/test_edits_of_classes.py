"""Edits of classes, and of what decorators and libraries make of functions."""

from __future__ import annotations

import pytest
from edits import Edit, check, verdicts_on

EDITS = {
    "class decorator: its __call__, as body": Edit(
        "\nimport functools\nclass count:\n    def __init__(self, f): functools.update_wrapper(self, f); self.f = f\n    def __call__(self, *a): return self.f(*a) + 1\n@count\ndef call(): return 1",
        "+ 1",
        "+ 2",
    ),
    "class decorator: its __call__, as helper": Edit(
        "\nimport functools\nclass count:\n    def __init__(self, f): functools.update_wrapper(self, f); self.f = f\n    def __call__(self, *a): return self.f(*a) + 1\n@count\ndef h(): return 1\ndef call(): return h()",
        "+ 1",
        "+ 2",
    ),
    "two library decorators, helper": Edit(
        "import functools, contextlib\n@functools.lru_cache\n@contextlib.contextmanager\ndef h(): yield 1\ndef call():\n    with h() as x: return x",
        "1",
        "2",
    ),
    "two library decorators, body": Edit(
        "import functools, contextlib\n@functools.lru_cache\n@contextlib.contextmanager\ndef call(): yield 1",
        "1",
        "2",
    ),
    "two caches": Edit(
        "import functools\n@functools.lru_cache\n@functools.lru_cache\ndef h(): return 1\ndef call(): return h()",
        "1",
        "2",
    ),
    "tenacity retry over cache": Edit(
        "import functools, tenacity\n@tenacity.retry\n@functools.lru_cache\ndef h(): return 1\ndef call(): return h()",
        "1",
        "2",
    ),
    "cached method": Edit(
        "import functools\nclass M:\n    @functools.cache\n    def go(self): return 1\ndef call(): return M().go()",
        "1",
        "2",
    ),
    "lru_cached method of self": Edit(
        "import functools\nclass M:\n    def call(self): return self.go()\n    @functools.lru_cache(maxsize=None)\n    def go(self): return 1\ncall = M().call",
        "1",
        "2",
    ),
    "cached staticmethod": Edit(
        "import functools\nclass M:\n    @staticmethod\n    @functools.cache\n    def go(): return 1\ndef call(): return M.go()",
        "1",
        "2",
    ),
    "partialmethod": Edit(
        "import functools\nclass M:\n    def g(self, k): return k\n    go = functools.partialmethod(g, 1)\ndef call(): return M().go()",
        "1",
        "2",
    ),
    "partial in class": Edit(
        "import functools\ndef g(k): return k\nclass M:\n    go = functools.partial(g, 1)\ndef call(): return M.go()",
        "1",
        "2",
    ),
    "partial in class: function": Edit(
        "import functools\ndef g(k): return k\nclass M:\n    go = functools.partial(g, 1)\ndef call(): return M.go()",
        "k): return k",
        "k): return -k",
    ),
    "callable instance in class": Edit(
        "class A:\n    def __init__(self, k): self.k = k\n    def __call__(self): return self.k\nclass M:\n    go = A(1)\ndef call(): return M.go()",
        "1",
        "2",
    ),
    "callable instance in class: code": Edit(
        "class A:\n    def __call__(self): return 1\nclass M:\n    go = A()\ndef call(): return M.go()",
        "1",
        "2",
    ),
    "class decorator on method": Edit(
        "\nclass deco:\n    def __init__(self, f): self.f = f\n    def __get__(self, o, t): return lambda: self.f(o)\n    def __call__(self): pass\nclass M:\n    @deco\n    def go(self): return 1\ndef call(): return M().go()\n",
        "1",
        "2",
    ),
    "singledispatch implementation": Edit(
        "import functools\n@functools.singledispatch\ndef h(x): return 0\n@h.register\ndef _(x: int): return 1\ndef call(): return h(1)",
        "return 1",
        "return 2",
    ),
    "singledispatch body": Edit(
        "import functools\n@functools.singledispatch\ndef h(x): return 0\n@h.register\ndef _(x: int): return 1\ncall = h, 1",
        "return 1",
        "return 2",
    ),
    "__hash__": Edit(
        "class M:\n    def __init__(self, k): self.k = k\n    def __eq__(self, o): return True\n    def __hash__(self): return 1\ndef call(): return len({M(1), M(2)})",
        "return 1",
        "return self.k",
    ),
    "__match_args__": Edit(
        "class M:\n    __match_args__ = ('a', 'b')\n    a = 1\n    b = 2\ndef call():\n    match M():\n        case M(x): return x",
        "a', 'b",
        "b', 'a",
    ),
    "library function in class": Edit(
        "import statistics\nclass M:\n    agg = staticmethod(statistics.mean)\ndef call(): return M.agg([1,2,9])",
        "statistics.mean",
        "statistics.median",
    ),
    "alias of an enum": Edit(
        "import enum\nclass Mode(enum.Enum):\n    FAST = 1\n    SLOW = 2\n    DEFAULT = 1\ndef call(): return Mode.DEFAULT",
        "DEFAULT = 1",
        "DEFAULT = 2",
    ),
    "composite of a flag": Edit(
        "import enum\nclass P(enum.Flag):\n    R = 1\n    W = 2\n    X = 4\n    D = R | W\ndef call(): return P.D",
        "| W",
        "| X",
    ),
    "enum with partial": Edit(
        "import enum, functools\ndef h(): return 1\ndef mean(): return h()\nclass A(enum.Enum):\n    MEAN = functools.partial(mean)\ndef call(): return A.MEAN.value()",
        "1",
        "2",
    ),
    "enum with instances": Edit(
        "import enum\nclass V:\n    def go(self): return 1\nclass A(enum.Enum):\n    MEAN = V()\ndef call(): return A.MEAN.value.go()",
        "1",
        "2",
    ),
    "dataclass order": Edit(
        "from dataclasses import dataclass, field\n@dataclass\nclass M:\n    a: int = 1\ndef call(): return M() < M()",
        "@dataclass",
        "@dataclass(order=True)",
    ),
    "dataclass eq": Edit(
        "from dataclasses import dataclass, field\n@dataclass\nclass M:\n    a: int = 1\ndef call(): return M() == M()",
        "@dataclass",
        "@dataclass(eq=False)",
    ),
    "dataclass frozen": Edit(
        "from dataclasses import dataclass, field\n@dataclass\nclass M:\n    a: int = 1\ndef call(): M().a = 2",
        "@dataclass",
        "@dataclass(frozen=True)",
    ),
    "dataclass compare": Edit(
        "from dataclasses import dataclass, field\n@dataclass\nclass M:\n    a: int\n    b: int = field(default=1)\ndef call(): return M(1,2)==M(1,3)",
        "default=1",
        "default=1, compare=False",
    ),
    "dataclass metadata": Edit(
        "from dataclasses import dataclass, field\nimport dataclasses\n@dataclass\nclass M:\n    a: int = field(default=1, metadata={'unit': 'm'})\ndef call(): return [f.metadata for f in dataclasses.fields(M)]",
        " 'm",
        " 'km",
    ),
    "dataclass init": Edit(
        "from dataclasses import dataclass, field\n@dataclass\nclass M:\n    a: int = field(default=1)\ndef call(): return M()",
        "1",
        "1, repr=False",
    ),
    "default factory reaches": Edit(
        "from dataclasses import dataclass, field\nK = 1\ndef make(): return [K]\n@dataclass\nclass M:\n    a: list = field(default_factory=make)\ndef call(): return M()",
        "1",
        "2",
    ),
    "default factory partial": Edit(
        "from dataclasses import dataclass, field\nimport functools\n@dataclass\nclass M:\n    a: list = field(default_factory=functools.partial(list, [1]))\ndef call(): return M()",
        "1",
        "2",
    ),
    "default factory class": Edit(
        "from dataclasses import dataclass, field\nclass O:\n    x = 1\n@dataclass\nclass M:\n    a: O = field(default_factory=O)\ndef call(): return M().a.x",
        "1",
        "2",
    ),
    "pydantic default": Edit(
        "import pydantic\nfrom pydantic import BaseModel, Field\nclass M(BaseModel):\n    lr: float = 0.1\ndef call(): return M().lr",
        "1",
        "2",
    ),
    "pydantic constraint": Edit(
        "import pydantic\nfrom pydantic import BaseModel, Field\nclass M(BaseModel):\n    lr: float = Field(0.1, gt=0)\ndef call(): return M(lr=.5).lr",
        "gt=0",
        "gt=1",
    ),
    "pydantic Annotated same": Edit(
        "import pydantic\nfrom pydantic import BaseModel, Field\nfrom typing import Annotated\ndef chk(x): return x\nclass M(BaseModel):\n    lr: Annotated[float, pydantic.AfterValidator(chk)]\ndef call(): return M(lr=.5).lr",
        "def call",
        "#c\ndef call",
        "same",
    ),
    "pydantic Annotated validator": Edit(
        "import pydantic\nfrom pydantic import BaseModel, Field\nfrom typing import Annotated\ndef chk(x): return x\nclass M(BaseModel):\n    lr: Annotated[float, pydantic.AfterValidator(chk)]\ndef call(): return M(lr=.5).lr",
        "x): return x",
        "x): return -x",
    ),
    "pydantic default_factory": Edit(
        "import pydantic\nfrom pydantic import BaseModel, Field\nclass M(BaseModel):\n    x: list = Field(default_factory=lambda: [1])\ndef call(): return M().x",
        "1",
        "2",
    ),
    "annotation with address": Edit(
        "from typing import Annotated\nclass Unit: pass\nclass M:\n    a: Annotated[int, Unit()] = 1\ndef call(): return M.a",
        "def",
        "#c\ndef",
        "same",
    ),
    "annotated repr raises": Edit(
        "from typing import Annotated\nclass Unit:\n    def __repr__(self): raise KeyError\nclass M:\n    a: Annotated[int, Unit()] = 1\ndef call(): return M.a, 1",
        "a, 1",
        "a, 2",
    ),
    "generic class alias": Edit(
        "from typing import Generic, TypeVar\nX = TypeVar('X')\nclass Box(Generic[X]):\n    def go(self): return 1\nIntBox = Box[int]\ndef call(): return IntBox().go()",
        "1",
        "2",
    ),
    "class attribute with lock": Edit(
        "import threading\nclass M:\n    cfg = {'lock': threading.Lock(), 'k': 1}\ndef call(): return M.cfg['k']",
        "1",
        "2",
    ),
    "contextmanager method": Edit(
        "import contextlib\nclass M:\n    @contextlib.contextmanager\n    def go(self): yield 1\ndef call():\n    with M().go() as x: return x",
        "1",
        "2",
    ),
    "contextmanager method as body": Edit(
        "import contextlib\nclass M:\n    @contextlib.contextmanager\n    def go(self): yield 1\ncall = M().go",
        "1",
        "2",
    ),
    "retry method": Edit(
        "import tenacity\nclass M:\n    @tenacity.retry\n    def go(self): return 1\ncall = M().go",
        "1",
        "2",
    ),
    "slots dataclass default": Edit(
        "from dataclasses import dataclass\n@dataclass(slots=True)\nclass M:\n    lr: float = 0.1\ndef call(): return M().lr",
        "1",
        "2",
    ),
    "pydantic nested model": Edit(
        "from pydantic import BaseModel\nclass O(BaseModel):\n    k: int = 1\nclass M(BaseModel):\n    o: O\ndef call(): return M(o={}).o.k",
        "1",
        "2",
    ),
    "pydantic optional model": Edit(
        "from pydantic import BaseModel\nfrom typing import Optional\nclass O(BaseModel):\n    k: int = 1\nclass M(BaseModel):\n    o: Optional[O] = None\ndef call(): return M(o={}).o.k",
        "1",
        "2",
    ),
    "pydantic private attr": Edit(
        "from pydantic import BaseModel, PrivateAttr\nclass M(BaseModel):\n    _k: int = PrivateAttr(default=1)\ndef call(): return M()._k",
        "1",
        "2",
    ),
    "pydantic rich, as it was": Edit(
        "from pydantic import BaseModel, PrivateAttr, Field, computed_field, model_validator, ConfigDict\nfrom typing import Literal, Annotated, Any\nclass M(BaseModel):\n    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)\n    _k: int = PrivateAttr(default=1)\n    a: Literal['x', 'y'] = 'x'\n    b: Annotated[list[int], Field(min_length=1)] = Field(default_factory=lambda: [1])\n    c: dict[str, Any] = Field({}, alias='cc', description='d')\n    @computed_field\n    @property\n    def z(self) -> int: return 1\n    @model_validator(mode='after')\n    def v(self): return self\ndef f(m): return M()\ncall = f, M()\n# before",
        "before",
        "after",
        "same",
    ),
    "frozen slots dataclass, as it was": Edit(
        "from dataclasses import dataclass, field\n@dataclass(frozen=True, slots=True, order=True)\nclass M:\n    lr: float = 0.1\n    b: list = field(default_factory=list, metadata={'a': [1]})\ndef f(m): return M().lr\ncall = f, M(2)\n# before",
        "before",
        "after",
        "same",
    ),
    "class whose annotations were asked for": Edit(
        "import typing, sys\nclass M:\n    k = 1\nif hash('x') % 2: M.__annotations__; typing.get_type_hints(M)\ndef call(): return M.k\n# before",
        "before",
        "after",
        "same",
    ),
    "class that was pickled": Edit(
        "import pickle, copy\nclass M:\n    k = 1\nif hash('x') % 2: copy.copy(M()); pickle.dumps(M())\ndef call(): return M.k\n# before",
        "before",
        "after",
        "same",
    ),
    "enum used": Edit(
        "import enum\nclass P(enum.Flag):\n    R = 1\n    W = 2\nif hash('x') % 2: P.R | P.W; P(0); str(P.R)\nclass E(enum.Enum):\n    A = 1\n    def f(self): return 1\nif hash('y') % 2: E(1); E['A'].name; E.A.value\ndef call(): return P.R, E.A\n# before",
        "before",
        "after",
        "same",
    ),
    "library base": Edit(
        "import collections\nclass M(collections.OrderedDict): pass\ndef call(): return M()",
        "OrderedDict",
        "Counter",
    ),
    "pipeline with own function": Edit(
        "from sklearn.preprocessing import FunctionTransformer\ndef g(x): return x\nP = FunctionTransformer(g)\ndef call(): return P.transform([1])",
        "x): return x",
        "x): return -x",
    ),
    "callable instance with wrapped and state": Edit(
        "import functools\nclass D:\n    def __init__(self, f, k): functools.update_wrapper(self, f); self.f, self.k = f, k\n    def __call__(self): return self.f() * self.k\ndef h(): return 1\ncall = D(h, 2)",
        "2",
        "3",
    ),
    "enum nonmember": Edit(
        "import enum\nclass A(enum.Enum):\n    X = 1\n    k = enum.nonmember(5)\ndef call(): return A.k",
        "5",
        "6",
    ),
    "enum ignore / private": Edit(
        "import enum\nclass A(enum.Enum):\n    X = 1\n    __k = 5\n    def go(self): return self.__k\ndef call(): return A.X.go()",
        "5",
        "6",
    ),
    "cached classmethod": Edit(
        "import functools\nclass M:\n    @classmethod\n    @functools.cache\n    def go(cls): return 1\ndef call(): return M.go()",
        "1",
        "2",
    ),
    "cached class in code": Edit(
        "import functools\n@functools.cache\nclass M:\n    def __init__(self): self.k = 1\ndef call(): return M().k",
        "1",
        "2",
    ),
    "cached property stack": Edit(
        "import functools\nclass M:\n    @property\n    @functools.lru_cache\n    def go(self): return 1\ndef call(): return M().go",
        "1",
        "2",
    ),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    return verdicts_on(EDITS, tmp_path_factory.mktemp("edits"))


@pytest.mark.parametrize("name", EDITS)
def test_verdict_of_an_edit(name, verdicts):
    check(name, EDITS, verdicts)

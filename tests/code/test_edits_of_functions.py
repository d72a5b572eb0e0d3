"""What an edit does to the fingerprint of a call: each edit as real source, in two processes."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import NamedTuple

import pytest
from pythons import environment

from stepbook.code.verdicts import compare


class Edit(NamedTuple):
    """A module before and after; ``call`` in it is the function, or the function and arguments."""

    before: str
    after: str
    verdict: str
    words: str = ""
    helper: tuple[str, str] = ("", "")


F = "def call():\n    return clean(1)\n"
EDITS = {
    # ---- how it is written
    "nothing": Edit("def call(): return 1", "def call(): return 1", "same"),
    "comment": Edit("def call():\n    return 1", "def call():\n    # why\n    return 1", "same"),
    "docstring": Edit('def call():\n    "a"\n    return 1', "def call():\n    return 1", "same"),
    "another docstring": Edit(
        'def call():\n    "a"\n    return 1', 'def call():\n    """b"""\n    return 1', "same"
    ),
    "lines": Edit(
        "def call():\n    return [1, 2]",
        "def call():\n\n    return [\n        1,\n        2,\n    ]",
        "same",
    ),
    "quotes": Edit("def call(): return 'a'", 'def call(): return "a"', "same"),
    "brackets": Edit("def call(): return 1 + 2", "def call(): return (1 + 2)", "same"),
    "moved down": Edit("def call(): return 1", "X = 1\n\n\ndef call(): return 1", "same"),
    "renamed": Edit("def f(): return 1\ncall = f", "def g(): return 1\ncall = g", "same"),
    "a number written otherwise": Edit(
        "def call(): return 1000", "def call(): return 1_000", "same"
    ),
    "pass on a line of its own": Edit(
        "def call():\n    if 1: pass\n    return 1",
        "def call():\n    if 1:\n        pass\n    return 1",
        "same",
    ),
    # ---- its own code
    "constant": Edit("def call(): return 1", "def call(): return 2", "stale", "its code changed"),
    "operator": Edit(
        "def call(a=1): return a + 1", "def call(a=1): return a - 1", "stale", "its code"
    ),
    "one more line": Edit(
        "def call():\n    return 1", "def call():\n    print(1)\n    return 1", "stale", "its code"
    ),
    "text in a list of a comprehension": Edit(
        "def call(): return [('a', x) for x in [1]]",
        "def call(): return [('b', x) for x in [1]]",
        "stale",
        "its code",
    ),
    "lambda": Edit("call = lambda: 1", "call = lambda: 2", "stale", "its code"),
    "first of two lambdas on a line": Edit(
        "call, other = lambda: 1, lambda: 2",
        "call, other = lambda: 3, lambda: 2",
        "stale",
        "its code",
    ),
    "second of two lambdas on a line": Edit(
        "call, other = lambda: 1, lambda: 2", "call, other = lambda: 1, lambda: 3", "same"
    ),
    "coroutine": Edit(
        "async def call(): return 1", "async def call(): return 2", "stale", "its code"
    ),
    "made a coroutine": Edit(
        "def call(): return 1", "async def call(): return 1", "stale", "its code"
    ),
    "inner function": Edit(
        "def call():\n    def g(): return 1\n    return g()",
        "def call():\n    def g(): return 2\n    return g()",
        "stale",
        "its code",
    ),
    "docstring of an inner function": Edit(
        "def call():\n    def g():\n        'a'\n        return 1\n    return g()",
        "def call():\n    def g():\n        'b'\n        return 1\n    return g()",
        "same",
    ),
    # ---- what it reaches
    "helper": Edit(
        f"def clean(x): return x\n{F}", f"def clean(x): return -x\n{F}", "stale", "clean changed"
    ),
    "comment in a helper": Edit(
        f"def clean(x): return x\n{F}", f"def clean(x):  # as it is\n    return x\n{F}", "same"
    ),
    "helper of a helper": Edit(
        f"def deep(x): return x\ndef clean(x): return deep(x)\n{F}",
        f"def deep(x): return -x\ndef clean(x): return deep(x)\n{F}",
        "stale",
        "deep changed",
    ),
    "helpers that call each other": Edit(
        f"def a(x): return b(x - 1) if x else 1\ndef b(x): return a(x)\ndef clean(x): return a(x)\n{F}",
        f"def a(x): return b(x - 1) if x else 1\ndef b(x): return a(x) + 1\ndef clean(x): return a(x)\n{F}",
        "stale",
        "b changed",
    ),
    "function that nobody calls": Edit(
        "def other(): return 1\ndef call(): return 1",
        "def other(): return 2\ndef call(): return 1",
        "same",
    ),
    "helper that became a lambda": Edit(
        f"def clean(x): return x\n{F}", f"clean = lambda x: x\n{F}", "stale", "clean"
    ),
    "another helper": Edit(
        "def a(): return 1\ndef b(): return 1\ndef call(): return a()",
        "def a(): return 1\ndef b(): return 1\ndef call(): return b()",
        "stale",
        "its code changed",
    ),
    "global": Edit(
        "K = 2\ndef call(): return K", "K = 10\ndef call(): return K", "stale", "K: 2 -> 10"
    ),
    "global of another type": Edit(
        "K = 1\ndef call(): return K", "K = 1.0\ndef call(): return K", "stale", "K: 1 -> 1.0"
    ),
    "truth and one": Edit(
        "K = 1\ndef call(): return K", "K = True\ndef call(): return K", "stale", "K"
    ),
    "global that it does not read": Edit(
        "K = 2\ndef call(): return 1", "K = 3\ndef call(): return 1", "same"
    ),
    "global that it only writes": Edit(
        "K = 2\ndef call():\n    global K\n    K = 1",
        "K = 3\ndef call():\n    global K\n    K = 1",
        "same",
    ),
    "global that a helper reads": Edit(
        f"K = 2\ndef clean(x): return K\n{F}",
        f"K = 3\ndef clean(x): return K\n{F}",
        "stale",
        "K: 2 -> 3",
    ),
    "settings": Edit(
        "C = {'a': 1}\ndef call(): return C['a']",
        "C = {'a': 2}\ndef call(): return C['a']",
        "stale",
        'C: {"a":1} -> {"a":2}',
    ),
    "settings of many lines": Edit(
        "C = {str(i): i for i in range(99)}\ndef call(): return C['1']",
        "C = {str(i): i + 1 for i in range(99)}\ndef call(): return C['1']",
        "stale",
        "C changed",
    ),
    "set of texts": Edit(
        "C = {'a', 'b', 'c', 'd'}\ndef call(): return C",
        "C = {'d', 'c', 'b', 'a'}\ndef call(): return C",
        "same",
    ),
    "set with one more": Edit(
        "C = {'a', 'b'}\ndef call(): return C",
        "C = {'a', 'b', 'c'}\ndef call(): return C",
        "stale",
        "C changed",
    ),
    "frozen set of texts": Edit(
        "def call(x='a'): return x in {'a', 'b', 'c'}",
        "def call(x='a'): return x in {'a', 'b', 'c'}",
        "same",
    ),
    "dates": Edit(
        "import datetime\nD = datetime.date(2026, 1, 1)\ndef call(): return D",
        "import datetime\nD = datetime.date(2026, 1, 2)\ndef call(): return D",
        "stale",
        "D changed",
    ),
    "pattern": Edit(
        "import re\nP = re.compile('a')\ndef call(): return P",
        "import re\nP = re.compile('b')\ndef call(): return P",
        "stale",
        "P changed",
    ),
    "path": Edit(
        "from pathlib import Path\nP = Path('a')\ndef call(): return P",
        "from pathlib import Path\nP = Path('b')\ndef call(): return P",
        "stale",
        "P changed",
    ),
    "member of an enum": Edit(
        "import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\nC = E.A\ndef call(): return C",
        "import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\nC = E.B\ndef call(): return C",
        "stale",
        "C changed",
    ),
    "value of an enum": Edit(
        "import enum\nclass E(enum.Enum):\n    A = 1\ndef call(): return E.A.value",
        "import enum\nclass E(enum.Enum):\n    A = 2\ndef call(): return E.A.value",
        "stale",
        "E changed",
    ),
    "function of a library": Edit(
        "from math import floor as f\ndef call(): return f(1.5)",
        "from math import ceil as f\ndef call(): return f(1.5)",
        "stale",
        "f changed",
    ),
    "logger": Edit(
        "import logging\nL = logging.getLogger('a')\ndef call(): L.info('x')",
        "import logging\nL = logging.getLogger('b')\ndef call(): L.info('x')",
        "same",
    ),
    "connection": Edit(
        "import sqlite3\nC = sqlite3.connect(':memory:')\ndef call(): return C",
        "import sqlite3\nC = sqlite3.connect(':memory:')\ndef call(): return C",
        "unknown",
        "C",
    ),
    "connection, and an edit": Edit(
        "import sqlite3\nC = sqlite3.connect(':memory:')\ndef call(): return C, 1",
        "import sqlite3\nC = sqlite3.connect(':memory:')\ndef call(): return C, 2",
        "stale",
        "its code changed",
    ),
    "array": Edit(
        "import numpy as np\nA = np.arange(5)\ndef call(): return A",
        "import numpy as np\nA = np.arange(6)\ndef call(): return A",
        "stale",
        "A changed",
    ),
    "array in another order in memory": Edit(
        "import numpy as np\nA = np.arange(6).reshape(2, 3).T\ndef call(): return A.ravel('K')",
        "import numpy as np\nA = np.ascontiguousarray(np.arange(6).reshape(2, 3).T)\ndef call(): return A.ravel('K')",
        "stale",
        "A changed",
    ),
    "array, as it was": Edit(
        "import numpy as np\nA = np.arange(6).reshape(2, 3)\ndef call(): return A",
        "import numpy as np\nA = np.array([[0, 1, 2], [3, 4, 5]])\ndef call(): return A",
        "same",
    ),
    "one cell of a table": Edit(
        "import pandas as pd\nT = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})\ndef call(): return T",
        "import pandas as pd\nT = pd.DataFrame({'a': [1, 2], 'b': ['x', 'z']})\ndef call(): return T",
        "stale",
        "T changed",
    ),
    "table in other blocks": Edit(
        "import pandas as pd\nT = pd.DataFrame({'a': [1, 2], 'b': [3, 4]})\ndef call(): return T",
        "import pandas as pd\nT = pd.DataFrame({'a': [1, 2]}); T['b'] = [3, 4]\ndef call(): return T",
        "same",
    ),
    "order of the columns": Edit(
        "import pandas as pd\nT = pd.DataFrame({'a': [1], 'b': [3]})\ndef call(): return T",
        "import pandas as pd\nT = pd.DataFrame({'b': [3], 'a': [1]})\ndef call(): return T",
        "stale",
        "T changed",
    ),
    "categories": Edit(
        "import pandas as pd\nT = pd.Series(['a'], dtype=pd.CategoricalDtype(['a', 'b']))\ndef call(): return T",
        "import pandas as pd\nT = pd.Series(['a'], dtype=pd.CategoricalDtype(['a', 'c']))\ndef call(): return T",
        "stale",
        "T changed",
    ),
    "name that is not there yet": Edit(
        "def call(): return later()", "def call(): return later()", "same"
    ),
    "more objects than each step can look at": Edit(
        "C = [[i] for i in range(20_000)]\ndef call(): return C",
        "C = [[i] for i in range(20_001)]\ndef call(): return C",
        "unknown",
        "C",
    ),
    "as many as an argument": Edit(
        "def f(p): return p\ncall = f, [[i] for i in range(20_000)]",
        "def f(p): return p\ncall = f, [[i] for i in range(20_001)]",
        "stale",
        "argument p changed",
    ),
    # ---- closures, defaults, decorators
    "closure": Edit(
        "def make(n):\n    return lambda: n\ncall = make(1)",
        "def make(n):\n    return lambda: n\ncall = make(2)",
        "stale",
        "n: 1 -> 2",
    ),
    "function in a closure": Edit(
        "def make():\n    def g(): return 1\n    return lambda: g()\ncall = make()",
        "def make():\n    def g(): return 2\n    return lambda: g()\ncall = make()",
        "stale",
        "g changed",
    ),
    "default": Edit("def call(k=1): return k", "def call(k=2): return k", "stale", "k: 1 -> 2"),
    "default by a name": Edit(
        "K = 1\ndef call(k=K): return k",
        "K = 2\ndef call(k=K): return k",
        "stale",
        "argument k: 1 -> 2",
    ),
    "default by keyword": Edit(
        "K = 1\ndef call(*, k=K): return k",
        "K = 2\ndef call(*, k=K): return k",
        "stale",
        "argument k: 1 -> 2",
    ),
    "default of a helper": Edit(
        f"K = 1\ndef clean(x, k=K): return k\n{F}",
        f"K = 2\ndef clean(x, k=K): return k\n{F}",
        "stale",
        "clean.k: 1 -> 2",
    ),
    "decorated": Edit(
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(): return f()\n    return w\n@d\ndef call(): return 1",
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(): return f()\n    return w\n@d\ndef call(): return 2",
        "stale",
        "call changed",
    ),
    "decorator": Edit(
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(): return f()\n    return w\n@d\ndef call(): return 1",
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(): return -f()\n    return w\n@d\ndef call(): return 1",
        "stale",
        "its code",
    ),
    "cached": Edit(
        "import functools\n@functools.cache\ndef call(): return 1",
        "import functools\n@functools.cache\ndef call(): return 2",
        "stale",
        "its code",
    ),
    "cached helper": Edit(
        f"import functools\n@functools.cache\ndef clean(x): return x\n{F}",
        f"import functools\n@functools.cache\ndef clean(x): return -x\n{F}",
        "stale",
        "clean changed",
    ),
    "partial": Edit(
        "import functools\ndef f(a): return a\ncall = functools.partial(f, 1)",
        "import functools\ndef f(a): return a\ncall = functools.partial(f, 2)",
        "stale",
        "argument a: 1 -> 2",
    ),
    # ---- arguments
    "argument": Edit(
        "def f(p): return p\ncall = f, 'a'",
        "def f(p): return p\ncall = f, 'b'",
        "stale",
        "argument p: 'a' -> 'b'",
    ),
    "one more argument": Edit(
        "def f(*p): return p\ncall = f, 'a'",
        "def f(*p): return p\ncall = f, 'a', 'b'",
        "stale",
        "argument 1 is new",
    ),
    "default, given": Edit(
        "def f(p=1): return p\ncall = f,", "def f(p=1): return p\ncall = f, 1", "same"
    ),
    "list and tuple": Edit(
        "def f(p): return p\ncall = f, [1]", "def f(p): return p\ncall = f, (1,)", "stale", "p"
    ),
    "function as an argument": Edit(
        "def f(p): return p\ndef g(): return 1\ncall = f, g",
        "def f(p): return p\ndef g(): return 2\ncall = f, g",
        "stale",
        "argument p changed",
    ),
    "helper of a function as an argument": Edit(
        "def f(p): return p\ndef h(): return 1\ndef g(): return h()\ncall = f, g",
        "def f(p): return p\ndef h(): return 2\ndef g(): return h()\ncall = f, g",
        "stale",
        "h()",
    ),
    "settings that a function as an argument reads": Edit(
        "def f(p): return p\nC = {'a': 1}\ndef g(): return C\ncall = f, g",
        "def f(p): return p\nC = {'a': 2}\ndef g(): return C\ncall = f, g",
        "stale",
        "C()",
    ),
    "attribute of the class of an argument": Edit(
        "def f(p): return p.k\nclass M:\n    k = 1\ncall = f, M()",
        "def f(p): return p.k\nclass M:\n    k = 2\ncall = f, M()",
        "stale",
        "M.k()",
    ),
    "attribute of the class of a method": Edit(
        "class M:\n    k = [1]\n    def go(self): return self.k\ncall = M().go",
        "class M:\n    k = [2]\n    def go(self): return self.k\ncall = M().go",
        "stale",
        "M.k()",
    ),
    "attribute of a class that is called": Edit(
        "class M:\n    k = 1\ncall = M", "class M:\n    k = 2\ncall = M", "stale", "M.k: 1 -> 2"
    ),
    "library's function": Edit("call = len, 'ab'", "call = len, 'abc'", "stale", "argument 0"),
    "another library's function": Edit("call = len, 'ab'", "call = str, 'ab'", "stale", "its code"),
    "long text": Edit(
        "def f(p): return p\ncall = f, 'a' * 10**6",
        "def f(p): return p\ncall = f, 'a' * 10**6 + 'b'",
        "stale",
        "argument p changed",
    ),
    # ---- classes
    "method": Edit(
        "class M:\n    def go(self): return 1\ncall = M().go",
        "class M:\n    def go(self): return 2\ncall = M().go",
        "stale",
        "its code",
    ),
    "another method": Edit(
        "class M:\n    def go(self): return self.do()\n    def do(self): return 1\ncall = M().go",
        "class M:\n    def go(self): return self.do()\n    def do(self): return 2\ncall = M().go",
        "stale",
        "M()",
    ),
    "state of an instance": Edit(
        "class M:\n    def __init__(self, a): self.a = a\n    def go(self): return self.a\ncall = M(1).go",
        "class M:\n    def __init__(self, a): self.a = a\n    def go(self): return self.a\ncall = M(2).go",
        "stale",
        "argument self changed",
    ),
    "slots": Edit(
        "class M:\n    __slots__ = ('a',)\n    def go(self): return self.a\nm = M(); m.a = 1\ncall = m.go",
        "class M:\n    __slots__ = ('a',)\n    def go(self): return self.a\nm = M(); m.a = 2\ncall = m.go",
        "stale",
        "argument self changed",
    ),
    "instance that holds itself": Edit(
        "class M:\n    def __init__(self): self.me = self\n    def go(self): return 1\ncall = M().go",
        "class M:\n    def __init__(self): self.me = self\n    def go(self): return 1\ncall = M().go",
        "same",
    ),
    "class that it uses": Edit(
        "class M:\n    def go(self): return 1\ndef call(): return M().go()",
        "class M:\n    def go(self): return 2\ndef call(): return M().go()",
        "stale",
        "M changed",
    ),
    "attribute of a class": Edit(
        "class M:\n    k = 1\ndef call(): return M.k",
        "class M:\n    k = 2\ndef call(): return M.k",
        "stale",
        "M.k: 1 -> 2",
    ),
    "base class": Edit(
        "class B:\n    def go(self): return 1\nclass M(B): pass\ndef call(): return M().go()",
        "class B:\n    def go(self): return 2\nclass M(B): pass\ndef call(): return M().go()",
        "stale",
        "B changed",
    ),
    "property": Edit(
        "class M:\n    @property\n    def k(self): return 1\ndef call(): return M().k",
        "class M:\n    @property\n    def k(self): return 2\ndef call(): return M().k",
        "stale",
        "M changed",
    ),
    "static method": Edit(
        "class M:\n    @staticmethod\n    def k(): return 1\ndef call(): return M.k()",
        "class M:\n    @staticmethod\n    def k(): return 2\ndef call(): return M.k()",
        "stale",
        "M changed",
    ),
    "docstring of a class": Edit(
        "class M:\n    'a'\n    k = 1\ndef call(): return M.k",
        "class M:\n    'b'\n    k = 1\ndef call(): return M.k",
        "same",
    ),
    "dataclass, a field": Edit(
        "from dataclasses import dataclass\n@dataclass\nclass M:\n    a: int = 1\ndef call(): return M()",
        "from dataclasses import dataclass\n@dataclass\nclass M:\n    a: int = 2\ndef call(): return M()",
        "stale",
        "M.a: 1 -> 2",
    ),
    "dataclass, the type of a field": Edit(
        "from dataclasses import dataclass\n@dataclass\nclass M:\n    a: int\ndef call(): return M(1)",
        "from dataclasses import dataclass\n@dataclass\nclass M:\n    a: float\ndef call(): return M(1)",
        "stale",
        "M changed",
    ),
    "dataclass, as it was": Edit(
        "from dataclasses import dataclass\n@dataclass\nclass M:\n    a: list\ndef call(): return M([])",
        "from dataclasses import dataclass\n@dataclass\nclass M:\n    # why\n    a: list\ndef call(): return M([])",
        "same",
    ),
    "named tuple": Edit(
        "from typing import NamedTuple\nclass M(NamedTuple):\n    a: int\ndef call(): return M(1)",
        "from typing import NamedTuple\nclass M(NamedTuple):\n    a: int\n    b: int = 2\ndef call(): return M(1)",
        "stale",
        "M changed",
    ),
    "named tuple, as it was": Edit(
        "from collections import namedtuple\nM = namedtuple('M', 'a b')\ndef call(): return M(1, 2)",
        "from collections import namedtuple\nM = namedtuple('M', 'a b')  # pairs\ndef call(): return M(1, 2)",
        "same",
    ),
    "instance that can be called": Edit(
        "class M:\n    def __call__(self): return 1\ncall = M()",
        "class M:\n    def __call__(self): return 2\ncall = M()",
        "stale",
        "its code",
    ),
    "class that is called": Edit(
        "class M:\n    def __init__(self): self.a = 1\ncall = M",
        "class M:\n    def __init__(self): self.a = 2\ncall = M",
        "stale",
        "M changed",
    ),
    # ---- modules of the person's own
    "module": Edit(
        "import tools\ndef call(): return tools.clean()",
        "import tools\ndef call(): return tools.clean()",
        "stale",
        "clean changed",
        ("def clean(): return 1", "def clean(): return 2"),
    ),
    "what a module has besides": Edit(
        "import tools\ndef call(): return tools.clean()",
        "import tools\ndef call(): return tools.clean()",
        "same",
        "",
        ("def clean(): return 1\ndef o(): return 1", "def clean(): return 1\ndef o(): return 2"),
    ),
    "constant of a module": Edit(
        "import tools\ndef call(): return tools.K",
        "import tools\ndef call(): return tools.K",
        "stale",
        "tools.K: 1 -> 2",
        ("K = 1", "K = 2"),
    ),
    "from a module": Edit(
        "from tools import clean\ndef call(): return clean()",
        "from tools import clean\ndef call(): return clean()",
        "stale",
        "K: 1 -> 2",
        ("K = 1\ndef clean(): return K", "K = 2\ndef clean(): return K"),
    ),
    "imported by the function": Edit(
        "def call():\n    import tools\n    return tools.K",
        "def call():\n    import tools\n    return tools.K",
        "stale",
        "import tools changed",
        ("K = 1", "K = 2"),
    ),
    "comment in a module": Edit(
        "def call():\n    import tools\n    return tools.K",
        "def call():\n    import tools\n    return tools.K",
        "same",
        "",
        ("K = 1", "# why\nK = 1"),
    ),
    "moved to a module": Edit(
        f"def clean(x): return x\n{F}",
        f"from tools import clean\n{F}",
        "same",
        "",
        ("", "def clean(x): return x"),
    ),
}

#: Imports each module, of which names are given, in a folder of its own, and prints fingerprints.
PRINTS = """
    import importlib.util, json, pathlib, sys
    from stepbook.code.fingerprints import of_call

    found = {}
    for name in json.load(sys.stdin):
        folder = pathlib.Path(name).parent
        sys.modules.pop("tools", None)
        sys.path.insert(0, str(folder))
        spec = importlib.util.spec_from_file_location(f"edit_{len(found)}", name)
        sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        call = module.call
        fn, *args = call if isinstance(call, tuple) else (call,)
        found[name] = [of_call(fn, tuple(args), {}), of_call(fn, tuple(args), {})]
        sys.path.remove(str(folder))
        importlib.invalidate_caches()
    json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def fingerprints(tmp_path_factory) -> dict[str, list[list[str]]]:
    """The fingerprints of each edit, before and after; each twice in one process."""
    root = tmp_path_factory.mktemp("edits")
    found: dict[str, list[list[str]]] = {name: [] for name in EDITS}
    for moment in range(2):
        paths = {}
        for number, (name, edit) in enumerate(EDITS.items()):
            folder = root / f"{moment}-{number}"
            folder.mkdir()
            (folder / "m.py").write_text(textwrap.dedent(edit[moment]) + "\n")
            (folder / "tools.py").write_text(edit.helper[moment] + "\n")
            paths[str(folder / "m.py")] = name
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PRINTS)],
            input=json.dumps([*paths]),
            capture_output=True,
            text=True,
            check=False,
            env=environment() | {"PYTHONHASHSEED": str(moment + 1)},
        )
        assert done.returncode == 0, done.stderr
        for path, told in json.loads(done.stdout).items():
            found[paths[path]].append(told)
    return found


@pytest.mark.parametrize("name", EDITS)
def test_verdict_of_an_edit(name, fingerprints):
    edit = EDITS[name]
    (before, again), (after, _) = fingerprints[name]
    assert before == again
    verdict = compare(before, after)
    assert verdict.kind == edit.verdict, (before, after)
    told = verdict.changes if edit.verdict == "stale" else verdict.unknown
    assert any(edit.words in words for words in told) or not edit.words, verdict

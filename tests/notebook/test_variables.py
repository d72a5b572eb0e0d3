"""What a cell binds or changes comes back on replay, with its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from driver import Kernel

# ruff: noqa: ISC004 - tuples of three texts

# name: what an ordinary cell does first, the step, the expression that must be the same after.
CASES: dict[str, tuple[str, str, str]] = {
    "assigned": ("", "x = 1; y: int = 2\n(a, *b), c = (1, 2, 3), 4", "(x, y, a, b, c)"),
    "augmented": ("n = 1", "n += 4", "n"),
    "augmented in place": ("xs = [1]", "xs += [2]", "xs"),
    "walrus": ("", "print(m := 3)\n[last := i for i in range(4)]", "(m, last)"),
    "loop variable": ("", "for i in range(5): pass", "i"),
    "comprehensions keep their names": ("", "q = [w for w in 'ab']", "(q, 'w' in globals())"),
    "deleted": ("x = 1; y = 2", "del x\nz = 3", "('x' in globals(), y, z)"),
    "deleted item": ("d = {'a': 1, 'b': 2}", "del d['a']", "d"),
    "item": ("d = {}", "d['k'] = [1]", "d"),
    "nested item": ("d = {'a': {'b': []}}", "d['a']['b'].append(5)", "d"),
    "method": ("results = []", "for i in range(3):\n    results.append(i)", "results"),
    "method with a value": ("stack = [1, 2, 3]", "top = stack.pop()", "(stack, top)"),
    "through a loop": ("rows = [{'a': 1}, {'a': 2}]", "for r in rows: r['b'] = r['a'] * 2", "rows"),
    "given to a function": ("import random\nxs = list(range(9))", "random.shuffle(xs)", "xs"),
    "given to one's own function": ("def f(d): d['n'] = 1\nd = {}", "f(d)", "d"),
    "global in a function": ("def f():\n    global g\n    g = 7", "f()", "g"),
    "list that a function fills": ("seen = []\ndef note(x): seen.append(x)", "note(1)", "seen"),
    "another name of the same": ("a = []\nb = a", "b.append(1)", "(a, b)"),
    "one object, two names": ("", "a = []\nb = a", "(a, b, a is b)"),
    "match": ("v = [1, 2, 3]", "match v:\n    case [first, *rest]: pass", "(first, rest)"),
    "with and except": (
        "import io",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    text = str(e)",
        "(text, 'e' in globals())",
    ),
    "magic line": ("", "%time t = 5", "t"),
    "cell magic inside": ("", "%%time\nt = 6", "t"),
    "shell line": ("", "files = !echo one", "list(files)"),
    "frame column": (
        "import pandas as pd\ndf = pd.DataFrame({'x': [1, 2]})",
        "df['z'] = df['x'] * 2",
        "df.to_dict('list')",
    ),
    "frame columns": (
        "import pandas as pd\ndf = pd.DataFrame({'x': [1, 2]})",
        "df.columns = ['y']",
        "df.to_dict('list')",
    ),
    "frame inplace": (
        "import pandas as pd\ndf = pd.DataFrame({'x': [1, None]})",
        "df.dropna(inplace=True)",
        "df.to_dict('list')",
    ),
    "frame in a function": (
        "import pandas as pd\ndf = pd.DataFrame({'x': [1, 2]})\n"
        "def clean(frame): frame['n'] = len(frame)",
        "clean(df)",
        "df.to_dict('list')",
    ),
    "frame loc": (
        "import pandas as pd\ndf = pd.DataFrame({'x': [1, 2]})",
        "df.loc[0, 'x'] = 9",
        "df.to_dict('list')",
    ),
    "array": (
        "import numpy as np\na = np.zeros(3)\nb = np.arange(3)",
        "a[1] = 5\nnp.add(b, 1, out=b)",
        "(a.tolist(), b.tolist())",
    ),
    "model": (
        "import numpy as np\nfrom sklearn.linear_model import LinearRegression\n"
        "X = np.arange(6.0).reshape(-1, 1)\nmodel = LinearRegression()",
        "model.fit(X, X[:, 0] * 2)",
        "model.predict(X).round(9).tolist()",
    ),
    "dataclass": (
        "",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    n: int\np = P(3)",
        "(p.n, type(p).__name__, p == P(3))",
    ),
    "definitions in order": (
        "",
        "SCALE = 3\ndef f(x, s=SCALE): return x * s\nclass A:\n    k = f(2)\ng = lambda x: x + 1",
        "(f(2), A.k, g(1))",
    ),
    "imports": (
        "",
        "import math as m\nfrom os.path import *\nfrom json import dumps",
        "(m.pi, join('a', 'b'), dumps(1))",
    ),
    "import inside try": (
        "",
        "try:\n    import nothing_like_this as lib\nexcept ImportError:\n    import json as lib",
        "lib.__name__",
    ),
    "one definition of two": (
        "flag = False",
        "if flag:\n    def f(): return 1\nelse:\n    def f(): return 2",
        "f()",
    ),
    "future": ("", "from __future__ import annotations\ndef f(a: 'b' | 3): return 4", "f(1)"),
    "decorated": (
        "",
        "import functools\n@functools.cache\ndef f(x): return x * 2\ny = f(4)",
        "(f(3), y)",
    ),
    "strings keep their lines": ("", 's = """a\n  %%step b\n#| step: c\n"""', "s"),
    "random generators": (
        "import random\nimport numpy as np\nrng = np.random.default_rng(1)\nr = random.Random(2)\n"
        "old = np.random.RandomState(3)",
        "a = rng.normal(), r.random(), old.rand()",
        "(a, rng.normal(), r.random(), old.rand())",
    ),
    "random numbers of the modules": (
        "",
        "import random, numpy as np\nnp.random.seed(4)\nrandom.seed(5)\nx = np.random.rand()",
        "(x, np.random.rand(), random.random())",
    ),
    "await": ("", "import asyncio\nasync def f(): return 8\ny = await f()", "y"),
    "async for": (
        "",
        "async def g():\n    yield 1\n    yield 2\nxs = [x async for x in g()]\n"
        "async for y in g(): pass",
        "(xs, y)",
    ),
}


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("line", ["%%step {}", "#| step: {}"])
def test_variables_come_back(kernel: Kernel, name: str, line: str) -> None:
    if name == "model":
        pytest.importorskip("skops")
    before, step, expression = CASES[name]
    cell = f"{line.format(name)}\n{step}"
    if before:
        kernel.ok(before)
    first = kernel.ok(cell)
    expected = kernel.value(expression)
    kernel.ok("%reset -f")
    kernel.ok("%stepbook run tests")
    if before:
        kernel.ok(before)
    second = kernel.ok(cell)
    assert kernel.value(expression) == expected
    assert kernel.value("list(run.attempts()['attempt'])") == [1]
    assert second.outputs == [
        {**output, "execution_count": new.get("execution_count")}
        if "execution_count" in output
        else output
        for output, new in zip(first.outputs, second.outputs, strict=True)
    ]


def test_a_class_that_namedtuple_makes_comes_back_without_a_warning(kernel: Kernel) -> None:
    cell = "%%step A\nfrom collections import namedtuple\nP = namedtuple('P', 'x y')\np = P(1, 2)"
    assert kernel.ok(cell).text("stderr") == ""
    kernel.ok("%reset -f")
    kernel.ok("%stepbook run tests")
    kernel.ok(cell)
    assert kernel.value("(p.x, p.y, type(p) is P)") == (1, 2, True)

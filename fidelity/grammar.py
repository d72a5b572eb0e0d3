"""What people write in cells, as templates: by the kind of object that a statement is about.

`{x}` is an expression for an object of the kind, `{n}` a fresh name, `{i}` a small number.
"""

from __future__ import annotations

from typing import Final

IMPORTS: Final = """\
import bisect, copy, functools, heapq, itertools, operator, random, types
from collections import Counter, OrderedDict, defaultdict, deque
import numpy as np, pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import LabelEncoder, StandardScaler"""

#: Definitions that other statements need, by the kind of their name.
DEFINE: Final = {
    "class": (
        "class {n}:\n    items = []\n    rate = {i}\n    def __init__(self, n=1):\n"
        "        self.n = n; self.data = [n]\n    def add(self, v):\n"
        "        self.data.append(v); self.items.append(v); self.n += 1\n        return self",
        "class {n}:\n    count = 0\n    items = [{i}]\n    __slots__ = ('n', 'data')\n"
        "    def __init__(self, n=2):\n        self.n = n; self.data = [n, n]\n"
        "        type(self).count += 1\n    def add(self, v):\n        self.data += [v]",
    ),
    "on list": (
        "def {n}(x, seen=[]):\n    x.append({i}); seen.append(len(x))\n    return x",
        "{n} = lambda x: x.extend([{i}, {i}])",
        "def {n}(x):\n    for i in range(2):\n        x += [i]",
    ),
    "counter": (
        "def {n}_maker():\n    n = {i}\n    def step():\n        nonlocal n\n        n += 1\n"
        "        return n\n    return step\n{n} = {n}_maker()",
        "{n} = itertools.count({i}).__next__",
        "def {n}(held=[0]):\n    held[0] += 1\n    return held[0]",
    ),
}

BIND: Final = {
    "int": ("{i}", "True", "len('abc')", "10 ** 20"),
    "str": ("'label{i}'", "'a'"),
    "list": ("[3, 1, {i}]", "[]", "list(range({i}))", "[2] * 3", "sorted([{i}, 1])"),
    "dict": ("{{'k': {i}}}", "dict(k=1, z={i})", "{{}}", "OrderedDict(k={i}, b=2)"),
    "set": ("{{1, {i}}}", "set()"),
    "nested": ("{{'k': [{i}], 'd': {{'k': 1}}}}", "{{'k': [], 'd': {{}}, 't': ([1], {i})}}"),
    "array": ("np.arange(6.0) + {i}", "np.zeros(6)", "np.linspace(0, {i}, 6)"),
    "frame": (
        "pd.DataFrame({{'a': [1, 2, {i}], 'b': list('yxy')}})",
        "pd.DataFrame({{'a': [3, 1, 2], 'b': ['u', 'v', 'u']}}, index=[5, 6, {i}])",
    ),
    "deque": ("deque([1, {i}], maxlen=4)", "deque()"),
    "bag": ("Counter('abca')", "Counter(k={i})"),
    "default": ("defaultdict(list)", "defaultdict(list, k=[{i}])"),
    "space": ("types.SimpleNamespace(v={i}, ref=None)",),
    "scaler": ("StandardScaler()",),
    "line": ("LinearRegression()",),
    "rng": ("np.random.default_rng({i})", "random.Random({i})"),
    "iterator": ("iter([1, 2, {i}, 4])", "iter(range({i}, 9))"),
    "generator": ("(q * {i} for q in range(6))",),
}

#: A statement that changes an object; those of NAMED need something that can be assigned to.
CHANGE: Final = {
    "list": (
        "{x}.append({i})",
        "{x}[:1] = [{i}, {i}]",
        "{x}.extend(range(2))",
        "random.shuffle({x})",
        "{x}.sort(key=str)",
        "heapq.heappush({x}, {i})",
        "bisect.insort({x}, {i})",
        "del {x}[:1]",
        "list.append({x}, {i})",
        "operator.iadd({x}, [{i}])",
        "[{x}.append(q) for q in range(2)]",
        "{x}.clear()",
        "{x} and {x}.pop()",
        "getattr({x}, 'append')({i})",
        "for q in [{x}]: q.insert(0, {i})",
        "exec('q_ = 1'); {x}.append('e')",
        "if len({x}) < 9:\n    {x}.append('w')",
        "try:\n    {x}.append('t'); 1 / 0\nexcept ZeroDivisionError as error:\n    pass",
        "r_ = {x}.append({i})",
        "assert {x}.append({i}) is None",
        "functools.partial({x}.append, {i})()",
        "globals().setdefault('q_', {x}).append('g')",
    ),
    "dict": (
        "{x}['k'] = {i}",
        "{x}.update(z={i})",
        "{x}.setdefault('s', []).append({i})",
        "{x}.pop('k', None)",
        "for d_ in [{x}]: d_['w'] = {i}",
        "for d_ in ({x}, {{}}):\n    d_['v'] = len(d_)",
        "dict.__setitem__({x}, 'm', {i})",
        "{x}['k'] = {x}.get('k', 0)",
        "{x}['self'] = {x}",
        "operator.setitem({x}, 'o', {i})",
    ),
    "set": ("{x}.add({i})", "{x}.discard(1)", "{x}.update([{i}, 'u'])", "{x}.__ior__({{9}})"),
    "nested": (
        "{x}['k'].append({i})",
        "{x}['d']['n'] = {i}",
        "{x}['d'].update(k={i})",
        "{x}['k'] += [{i}]",
        "for v_ in {x}.values(): v_.clear() if isinstance(v_, list) else None",
        "{x}['k'] = {x}['k']",
        "{x}['alias'] = {x}['k']",
    ),
    "array": (
        "{x}[{i} % 6] = 9",
        "{x}[:2] = {i}",
        "np.add({x}, 1, out={x})",
        "np.copyto({x}, {i})",
        "{x}.sort()",
        "{x}.fill({i})",
        "np.put({x}, [0], {i})",
        "{x}[{x} > 2] = 0",
        "np.random.shuffle({x})",
        "{x}.reshape(2, -1)[0, 0] = -{i}",
        "np.multiply.at({x}, [0, 0], {i})",
        "{x}.T[0] = {i}",
    ),
    "frame": (
        "{x}['c'] = {i}",
        "{x}['a'] = {x}['a'] * 2",
        "{x}.loc[{x}.index[0], 'a'] = {i}",
        "{x}.iloc[0, 0] = {i}",
        "{x}.insert(0, 'z{i}', 1)",
        "{x}.pop('b')",
        "{x}.drop(columns='a', inplace=True, errors='ignore')",
        "{x}.sort_values('a', inplace=True)",
        "{x}.columns = [str(q) + '_' for q in {x}.columns]",
        "{x}.attrs['from'] = {i}",
        "{x}.index.name = 'id'",
        "{x}['b'] = {x}['b'].astype('category')",
        "for d_ in [{x}]: d_['f'] = d_.shape[1]",
        "{x}['e'] = LabelEncoder().fit_transform({x}['b'])",
        "{x}.update(pd.DataFrame({{'a': [{i}]}}))",
        "{x}.reset_index(drop=True, inplace=True)",
    ),
    "deque": ("{x}.append({i})", "{x}.appendleft({i})", "{x}.rotate(1)", "{x}.extend('ab')"),
    "bag": ("{x}.update('ab')", "{x}['z'] += {i}", "{x}.subtract('a')"),
    "default": ("{x}['k'].append({i})", "{x}['n']", "{x}[{i}] += [1]"),
    "space": ("{x}.v = {i}", "setattr({x}, 'w', {i})", "vars({x})['u'] = {i}"),
    "scaler": (
        "{x}.fit([[0.0], [1.0], [{i}]])",
        "s_ = {x}.fit_transform([[1.0], [{i}]])",
        "{x}.set_params(with_mean=False)",
    ),
    "line": (
        "{x}.fit([[0.0], [1.0]], [0.0, {i}])",
        "m_ = {x}.fit([[1.0], [2.0]], [1, {i}])",
        "for e_ in ({x},): e_.fit([[0.0], [2.0]], [1, {i}])",
        "{x}.note = [{i}]",
    ),
    "rng": ("d_ = {x}.random()", "{x}.random()", "l_ = [int({x}.random() * 9) for q in range(2)]"),
    "iterator": ("f_ = next({x}, None)", "next({x}, 0)"),
    "generator": ("f_ = next({x}, None)", "p_ = list(itertools.islice({x}, 2))"),
    "class": (
        "{x}.rate = 0.{i}",
        "{x}.items.append({i})",
        "{x}.items = {x}.items + [{i}]",
        "{x}.extra = lambda self: {i}",
        "setattr({x}, 'tag', ['t'])",
    ),
    "instance": (
        "{x}.n += {i}",
        "{x}.data.append({i})",
        "{x}.add({i})",
        "{x}.data = [{i}]",
        "{x}.n = {x}.n",
        "type({x}).items.append({i})",
    ),
    "on list": ("{x}.weight = {i}", "{x}.notes = [{i}]", "{x}([1])"),
    "counter": ("{x}()", "c_ = {x}(); {x}()", "c_ = [{x}() for q in range(2)]"),
}

NAMED: Final = {
    "int": ("{x} += 1", "{x} = {x}", "{x} = {i}"),
    "str": ("{x} += '!'", "{x} = {x}.strip()", "{x} = 'a'"),
    "list": ("{x} += [{i}]", "{x} *= 2", "{x} = {x}", "{x} = list({x})"),
    "set": ("{x} |= {{{i}}}", "{x} = set({x})"),
    "dict": ("{x} |= {{'i': {i}}}", "{x} = dict({x})", "{x} = copy.copy({x})"),
    "array": ("{x} += 1", "{x} *= -1", "{x} = {x} + 0", "{x} = {x}.copy()"),
    "frame": (
        "{x} = {x}.copy()",
        "{x} = {x}.rename(columns={{'a': 'A'}})",
        "{x} = {x}.assign(n=1)",
    ),
    "line": ("{x} = {x}.fit([[0.0], [1.0]], [1, {i}])",),
    "scaler": ("{x} = {x}.fit([[0.0], [{i}]])",),
    "nested": ("{x} = copy.deepcopy({x})",),
}

#: Other ways to an object: the statement, and the expression by which it is then reached.
HOLD: Final = (
    ("{n} = {x}", "{n}"),
    ("{n} = [{x}, {x}]", "{n}[0]"),
    ("{n} = ({x}, {i})", "{n}[0]"),
    ("{n} = {{'p': {x}, 'q': {i}}}", "{n}['p']"),
    ("{n} = types.SimpleNamespace(ref={x})", "{n}.ref"),
    ("{n} = lambda v={x}: v", "{n}()"),
    ("{n} = (lambda held: lambda: held)({x})", "{n}()"),
    ("{n} = functools.partial(lambda v: v, {x})", "{n}.args[0]"),
    ("def {n}(): return None\n{n}.held = {x}", "{n}.held"),
    ("class {n}: held = {x}", "{n}.held"),
    ("{n} = deque([{x}])", "{n}[0]"),
    ("def {n}():\n    return {x}", "{n}()"),
)

#: Views: what is read, what is made, and the expression's kind.
VIEW: Final = {
    "array": (
        ("{n} = {x}[1:4]", "part"),
        ("{n} = {x}.reshape(2, 3)", "matrix"),
        ("{n} = {x}[::-1]", "array"),
        ("{n} = {x}.view()", "array"),
        ("{n} = {x}[::2]", "part"),
        ("{n} = np.asarray({x})", "array"),
    ),
    "matrix": (("{n} = {x}.T", "matrix"), ("{n} = {x}.ravel()", "part"), ("{n} = {x}[0]", "part")),
    "frame": (
        ("{n} = {x}['a']", "series"),
        ("{n} = {x}.iloc[:2]", "frame"),
        ("{n} = {x}.T", "series"),
        ("{n} = {x}.set_index('a')", "series"),
        ("{n} = {x}.groupby('b')['a'].sum()", "series"),
    ),
    "list": (
        ("{n} = iter({x})", "iterator"),
        ("{n} = {x}[:]", "list"),
        ("{n} = reversed({x})", "iterator"),
    ),
    "nested": (
        ("{n} = {x}['k']", "list"),
        ("{n} = {x}['d']", "dict"),
        ("{n} = {x}.keys()", "keys"),
    ),
    "dict": (("{n} = {x}.items()", "keys"), ("{n} = {x}.copy()", "dict")),
    "rng": (("{n} = {x}.spawn(1)[0] if hasattr({x}, 'spawn') else {x}", "rng"),),
    "instance": (("{n} = {x}.data", "list"), ("{n} = {x}.add", "method")),
    "class": (
        ("{n} = {x}()", "instance"),
        ("{n} = {x}({i})", "instance"),
        ("{n} = {x}.items", "list"),
    ),
    "space": (("{n} = vars({x})", "dict"),),
}
CHANGE_MORE: Final = {
    "part": ("{x}[0] = {i}", "{x}[:] = {i}", "{x}.fill(7)"),
    "matrix": ("{x}[0, 0] = {i}", "{x}[1] = {i}", "{x}.flat[1] = {i}"),
    "series": ("{x}.attrs['s'] = {i}", "{x}.iloc[:1] = {x}.iloc[:1].values"),
    "method": ("{x}({i})",),
}

#: Whole statements that need no object.
CHANCE: Final = (
    "random.seed({i})",
    "np.random.seed({i})",
    "{n} = random.random()",
    "{n} = np.random.rand()",
    "{n} = [random.randint(0, 9) for q in range(2)]",
    "{n} = np.random.permutation(3).tolist()",
)

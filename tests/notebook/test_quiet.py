"""Cells that only look are told from those that may change something."""

from __future__ import annotations

import ast

import numpy as np
import pandas as pd
import pytest

from stepbook.notebook.quiet import is_quiet


class Noisy:
    """Does something when it is shown."""


NAMES = {
    "n": 3,
    "text": "abc",
    "rows": [Noisy()],
    "noisy": Noisy(),
    "f": lambda x: x,
    "df": pd.DataFrame({"a": [1, 2], "t": ["x", "y"]}),
    "odd": pd.DataFrame({"a": pd.Series([[1]], dtype=object)}),
    "labels": pd.DataFrame({"a": [1]}, index=pd.Index([Noisy()], dtype=object)),
    "s": pd.Series([1.0]),
    "array": np.zeros(3),
    "objects": np.array([Noisy()], dtype=object),
    "np": np,
}

DEFINE = """seen = []
class Noisy:
    def __repr__(self):
        seen.append(1)
        return "x"
rows = [Noisy()]
n = 2"""
QUIET = [
    "len(rows)",
    "type(rows)",
    "df.head()",
    "df",
    "df.describe().T.round(2)",
    "print(n, text, df.shape)",
    "print(f'{n:.1f} {s.mean()}')",
    "df['a'].value_counts().head(n)",
    "df[df['a'] > 1].groupby('t')['a'].mean()",
    "df.info()\nn + 1\ntext.upper()",
    "array[:2] * n, array.shape",
    "df.loc[0, 'a']",
]
NOT_QUIET = [
    "rows",
    "rows[0]",
    "print(rows)",
    "sum(rows)",
    "noisy",
    "f(n)",
    "odd.head()",
    "labels",
    "objects",
    "df.apply(f)",
    "df.groupby(f)",
    "df.sort_values('a', inplace=True)",
    "df.dropna(inplace=n)",
    "df.pop('a')",
    "df.insert(0, 'z', 1)",
    "array.sort()",
    "array.fill(0)",
    "np.random.seed(1)",
    "n = 4",
    "(m := 4)",
    "print(n, file=noisy)",
    "sorted(text, key=f)",
    "max(n, key=f)",
    "df.describe(**rows)",
    "[x for x in rows]",
    "lambda: n",
    "unknown",
    "del n",
    "df.a = 3",
]


@pytest.mark.parametrize("code", QUIET)
def test_cell_that_only_looks_at_numbers_and_tables_is_quiet(code):
    assert is_quiet(ast.parse(code).body, NAMES)


@pytest.mark.parametrize("code", NOT_QUIET)
def test_cell_that_may_run_code_of_the_person_or_change_something_is_not(code):
    assert not is_quiet(ast.parse(code).body, NAMES)


def test_function_of_python_that_the_notebook_has_replaced_is_not_quiet():
    assert not is_quiet(ast.parse("len(text)").body, {**NAMES, "len": NAMES["f"]})


def test_what_a_noisy_object_changes_when_it_is_shown_comes_back(kernels):
    kernel = kernels()
    cells = [
        "%load_ext stepbook",
        "%stepbook run quiet",
        DEFINE,
        "%%step Look\nn + 1\nlen(rows)",
        "%%step Show\nrows",
    ]
    for cell in cells:
        kernel.ok(cell)
    before = kernel.ok("len(seen)").value
    assert int(before) >= 1
    kernel.restart()
    for cell in cells:
        kernel.ok(cell)
    assert kernel.ok("len(seen)").value == before

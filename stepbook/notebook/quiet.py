"""Cells that provably change nothing: ``len(rows)``, ``df.head()``, ``print(f"{total:.1f}")``.

They are told by their text and by the types of what they name: numbers, texts, arrays and tables
without objects in them, and methods of these that only read. What such a cell reaches need not be
compared, which for a table of a gigabyte takes a tenth of a second.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import types
from typing import Any, Final

_ATOMS: Final = frozenset({type(None), bool, int, float, complex, str, bytes, range})
_CONTAINERS: Final = frozenset({list, tuple, dict, set, frozenset})
#: Functions of Python that only read what is quiet.
_READING: Final = frozenset(
    """
    abs bool complex display divmod float format int len max min print range repr round sorted str
    sum tuple type
    """.split()
)
#: Of these, those that do not look into a container, whatever is in it.
_FROM_OUTSIDE: Final = frozenset({"len", "type"})
_KEYWORDS: Final = frozenset({"inplace", "file", "key", "func", "buf", "out"})
#: What numbers, texts, arrays and tables can be asked for without being changed.
_ASKED: Final = frozenset(
    """
    T all any argmax argmin astype columns copy corr count cov cumsum describe diff dt dtype dtypes
    duplicated empty endswith format groupby head iat idxmax idxmin iloc imag index info isin isna
    isnull item items join loc lower max mean median memory_usage min mode name names nbytes ndim
    nlargest notna notnull nsmallest nunique quantile rank real replace reset_index round shape size
    skew sort_index sort_values split startswith std str strip sum tail title to_frame to_list
    tolist unique upper value_counts values var
    """.split()
)
#: Methods of texts, which take several arguments.
_OF_TEXTS: Final = frozenset({"format", "replace", "split"})
#: Whose methods somebody may have replaced.
_PATCHABLE: Final = (
    ("pandas", "DataFrame"),
    ("pandas", "Series"),
    ("pandas", "Index"),
    ("pandas.core.groupby", "DataFrameGroupBy"),
    ("pandas.core.groupby", "SeriesGroupBy"),
)
_EXPRESSIONS: Final = (
    ast.Tuple,
    ast.List,
    ast.Set,
    ast.Dict,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.Subscript,
    ast.Slice,
    ast.JoinedStr,
    ast.FormattedValue,
    ast.Starred,
)


def is_quiet(body: list[ast.stmt], names: dict[str, Any]) -> bool:
    """Whether the statements of a cell change nothing, whatever is in the tables they name.

    Args:
        body: its statements.
        names: the notebook's names, as they are before it executes.
    """
    reads = all(isinstance(s, ast.Expr) and _reads(s.value, names) for s in body)
    return reads and not _calls_back()


def _reads(node: ast.AST | None, names: dict[str, Any]) -> bool:  # noqa: PLR0911 - one for each kind
    """Whether an expression gives something quiet, and changes nothing."""
    if node is None or isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name):
        return node.id in names and _is_quiet(names[node.id])
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.attr in _fields(names.get(node.value.id)):
            return False  # an attribute of its own instead of the method
        return node.attr in _ASKED and not _is_patched(node.attr) and _reads(node.value, names)
    if isinstance(node, ast.Call):
        return _calls(node, names)
    if isinstance(node, _EXPRESSIONS):
        parts = (part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr))
        return all(_reads(part, names) for part in parts)
    return False


def _calls(node: ast.Call, names: dict[str, Any]) -> bool:
    if any(keyword.arg is None or keyword.arg in _KEYWORDS for keyword in node.keywords):
        return False
    function = node.func
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    if isinstance(function, ast.Name):
        name = function.id
        if name not in _READING or name in names or not _is_pythons(name):
            return False
        if name in _FROM_OUTSIDE and len(given) == 1 and isinstance(given[0], ast.Name):
            return type(names.get(given[0].id)) in _CONTAINERS or _reads(given[0], names)
    elif not (isinstance(function, ast.Attribute) and _reads(function, names)):
        return False
    elif len(node.args) > 1:  # `out` may be among them
        return function.attr in _OF_TEXTS and all(_reads(part, names) for part in given)
    return all(_reads(part, names) for part in given)


def _is_pythons(name: str) -> bool:
    """Whether a function of Python is still the one that it was."""
    found = getattr(builtins, name, None)
    module = getattr(found, "__module__", None)
    return module == "builtins" or (name == "display" and str(module).startswith("IPython."))


def _fields(value: Any) -> Any:
    return getattr(value, "__dict__", ())


def _is_patched(name: str) -> bool:
    """Whether a method of pandas is somebody else's by now."""
    for module, cls in _PATCHABLE:
        made = getattr(sys.modules.get(module), cls, None)
        found = inspect.getattr_static(made, name, None)
        found = getattr(found, "fget", found)
        if isinstance(found, types.FunctionType) and not found.__module__.startswith("pandas."):
            return True
    return False


def _calls_back() -> bool:
    """Whether showing or computing something calls a function of the person's."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and "call" in numpy.geterr().values():
        return True
    return pandas is not None and pandas.get_option("display.float_format") is not None


def _is_quiet(value: Any) -> bool:
    kind = type(value)
    if kind in _ATOMS:
        return True
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and (kind is numpy.ndarray or isinstance(value, numpy.generic)):
        return not value.dtype.hasobject
    if pandas is None:
        return False
    if kind is pandas.DataFrame:
        return all(map(_has_no_objects, (*value.dtypes, *_labels(value))))
    if kind is pandas.Series:
        return all(map(_has_no_objects, (value.dtype, *_labels(value))))
    return isinstance(value, pandas.Index) and all(map(_has_no_objects, _levels(value)))


def _labels(table: Any) -> list[Any]:
    return [dtype for axis in table.axes for dtype in _levels(axis)]


def _levels(index: Any) -> list[Any]:
    return [level.dtype for level in index.levels] if index.nlevels > 1 else [index.dtype]


def _has_no_objects(dtype: Any) -> bool:
    """Whether nothing of a dtype is an object, of which a method might do anything."""
    categories = getattr(dtype, "categories", None)
    if categories is not None:
        return _has_no_objects(categories.dtype)
    return getattr(dtype, "kind", "O") != "O" or type(dtype).__name__ == "StringDtype"

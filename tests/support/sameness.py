"""Equality that looks at types, order, missing values and memory layout, for tests of values."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections import OrderedDict, defaultdict, deque
from decimal import Decimal


def assert_same(left, right, path="$"):
    """Fail unless both are equal and of the same type, all the way down."""
    assert type(left) is type(right), f"{path}: {type(left)} is not {type(right)}"
    library = type(left).__module__.partition(".")[0]
    if library in _LIBRARIES:
        _LIBRARIES[library](left, right, path)
    elif isinstance(left, float):
        assert left.hex() == right.hex(), f"{path}: {left!r} is not {right!r}"
        assert math.copysign(1, left) == math.copysign(1, right) or math.isnan(left), path
    elif isinstance(left, complex):
        assert_same(left.real, right.real, path)
        assert_same(left.imag, right.imag, path)
    elif isinstance(left, dict):
        _same_dicts(left, right, path)
    elif isinstance(left, list | tuple | deque):
        assert len(left) == len(right), path
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            assert_same(a, b, f"{path}[{i}]")
        if isinstance(left, deque):
            assert left.maxlen == right.maxlen, path
    elif isinstance(left, set | frozenset):
        _same_sets(left, right, path)
    elif dataclasses.is_dataclass(left):
        for field in dataclasses.fields(left):
            assert_same(getattr(left, field.name), getattr(right, field.name), path)
    else:
        _same_scalars(left, right, path)


def _same_dicts(left, right, path):
    assert len(left) == len(right), path
    for (k, a), (q, b) in zip(left.items(), right.items(), strict=True):
        assert_same(k, q, f"{path} key")
        assert_same(a, b, f"{path}[{k!r}]")
    if isinstance(left, defaultdict):
        assert left.default_factory is right.default_factory, path
    if isinstance(left, OrderedDict):
        assert vars(left) == vars(right), path


def _same_sets(left, right, path):
    assert len(left) == len(right), path

    def order(item):
        return f"{type(item)}{item!r}"

    for a, b in zip(sorted(left, key=order), sorted(right, key=order), strict=True):
        assert_same(a, b, f"{path} item")


def _same_scalars(left, right, path):
    # A NaN of decimal is not equal to itself, or refuses to be compared: the texts are.
    if not isinstance(left, int):
        assert str(left) == str(right), path
    if not isinstance(left, Decimal) or left.is_finite():
        assert left == right, f"{path}: {left!r} is not {right!r}"
    for name in ("tzinfo", "fold"):
        if hasattr(left, name):
            assert_same(getattr(left, name), getattr(right, name), f"{path}.{name}")


def _same_numpy(left, right, path):
    import numpy as np

    if isinstance(left, np.dtype):
        assert left == right, path
        return
    left_array, right_array = np.asarray(left), np.asarray(right)
    assert left_array.dtype == right_array.dtype, path
    assert left_array.shape == right_array.shape, path
    assert not isinstance(left, np.ndarray) or right.flags.writeable, path
    if left_array.dtype == object:
        assert_same(left_array.ravel().tolist(), right_array.ravel().tolist(), path)
    elif left_array.dtype.kind == "T":
        np.testing.assert_array_equal(left_array, right_array)
    else:
        fortran = left_array.flags.f_contiguous and not left_array.flags.c_contiguous
        assert not fortran or right_array.flags.f_contiguous, path
        assert _bytes(left_array) == _bytes(right_array), f"{path}: {left!r} {right!r}"


def _bytes(array):
    """The bytes of an array, less those of x86's long double that belong to no number."""
    import numpy as np

    if array.dtype.kind in "fc" and np.finfo(array.dtype).nmant == 63:
        return np.frombuffer(array.tobytes(), np.uint8).reshape(-1, 16)[:, :10].tobytes()
    return array.tobytes()


def _same_pandas(left, right, path):
    import pandas as pd
    from pandas import testing

    if isinstance(left, pd.DataFrame):
        testing.assert_frame_equal(left, right, check_exact=True, check_freq=True, obj=path)
        _same_index(left.columns, right.columns, f"{path} columns")
        _same_index(left.index, right.index, f"{path} index")
        assert left.attrs == right.attrs, path
        assert left.flags == right.flags, path
        for i in range(left.shape[1]):
            _same_array(left.iloc[:, i].array, right.iloc[:, i].array, f"{path}[{i}]")
    elif isinstance(left, pd.Series):
        testing.assert_series_equal(left, right, check_exact=True, obj=path)
        _same_index(left.index, right.index, f"{path} index")
        assert_same(left.name, right.name, path)
        _same_array(left.array, right.array, path)
    elif isinstance(left, pd.Index):
        _same_index(left, right, path)
    elif isinstance(left, pd.api.extensions.ExtensionArray):
        _same_array(left, right, path)
    elif left is pd.NaT or left is pd.NA:
        assert left is right, path
    else:
        assert left == right, path
        assert repr(left) == repr(right), path
        assert getattr(left, "unit", None) == getattr(right, "unit", None), path


def _same_index(left, right, path):
    import pandas as pd
    from pandas import testing

    testing.assert_index_equal(left, right, exact=True, check_exact=True, obj=path)
    assert_same(list(left.names), list(right.names), path)
    assert getattr(left, "freq", None) == getattr(right, "freq", None), path
    if isinstance(left, pd.MultiIndex):
        for a, b in zip(left.levels, right.levels, strict=True):
            assert a.dtype == b.dtype, path
    elif not isinstance(left, pd.RangeIndex):
        _same_array(left.array, right.array, path)


def _same_array(left, right, path):
    import pandas as pd
    from pandas import testing

    assert left.dtype == right.dtype, path
    assert str(left.dtype) == str(right.dtype), path
    if left.dtype == object:
        assert_same(list(left), list(right), path)
    elif isinstance(left, pd.api.extensions.ExtensionArray):
        testing.assert_extension_array_equal(left, right, check_exact=True)
    if isinstance(left.dtype, pd.CategoricalDtype):
        _same_array(left.categories.array, right.categories.array, path)
        assert left.ordered == right.ordered, path


def _same_arrow(left, right, path):
    assert left.schema.equals(right.schema, check_metadata=True), path
    right.validate(full=True)
    # NaN is not equal to itself there: their texts are.
    assert left.equals(right) or repr(left.to_pylist()) == repr(right.to_pylist()), path


def _same_polars(left, right, path):
    assert left.equals(right, null_equal=True), path
    for name in ("schema", "dtype", "name"):
        assert getattr(left, name, None) == getattr(right, name, None), path


def _same_torch(left, right, path):
    torch = sys.modules["torch"]
    assert left.dtype == right.dtype, path
    assert left.requires_grad == right.requires_grad, path
    assert torch.equal(left, right), path


_LIBRARIES = {
    "numpy": _same_numpy,
    "pandas": _same_pandas,
    "pyarrow": _same_arrow,
    "polars": _same_polars,
    "torch": _same_torch,
}

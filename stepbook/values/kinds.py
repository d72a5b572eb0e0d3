"""What writing and reading values share: limits, the libraries' modules, a fresh stack."""

from __future__ import annotations

import importlib
from typing import Any, Final, NoReturn

from ..model.compact import compact

#: Version of the nodes that tell of bytes; a reader refuses those that it does not know.
FORMAT: Final = 1
#: That of nodes of which the bytes are in several files; see :mod:`.parts`.
PARTS_FORMAT: Final = 2

#: Which module stores the values of a library. It is imported with the first such value only.
LIBRARIES: Final = {
    "numpy": "arrays",
    "pandas": "frames",
    "pyarrow": "arrow",
    "polars": "arrow",
    "sklearn": "trained",
    "torch": "trained",
    "xgboost": "trained",
    "lightgbm": "trained",
    "collections": "trained",  # an OrderedDict of tensors
}

#: What libraries make of other values: kinds of the module ``composed``.
COMPOSED: Final = frozenset(
    {
        "numpy.masked",
        "numpy.recarray",
        "pandas.offset",
        "pyarrow.Array",
        "pyarrow.ChunkedArray",
        "pyarrow.DataType",
        "pyarrow.Field",
        "pyarrow.RecordBatch",
        "pyarrow.Scalar",
        "pyarrow.Schema",
    }
)

#: Pickles under a seal, and those that earlier versions have written; see :mod:`.sealed`.
SEALED: Final = ("sealed", "pickle")

#: JSON text as this package writes it.
to_text: Final = compact(allow_nan=False)


def no_constant(text: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's parser would take for JSON."""
    raise ValueError(f"{text} is not JSON")


def library(name: str) -> Any:
    """Return the module of this package that stores the values of a library."""
    return importlib.import_module(f".types.{name}", __package__)

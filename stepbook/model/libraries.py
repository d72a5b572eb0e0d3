"""Libraries by what their objects are like."""

from __future__ import annotations

import io
import types
from typing import Any, Final

#: Plots, connections, streams, our own. Using such an object changes it, and means nothing.
OF_THE_MOMENT: Final = frozenset(
    """
    matplotlib mpl_toolkits seaborn plotly bokeh altair sqlite3 _sqlite3 duckdb _duckdb sqlalchemy
    psycopg psycopg2 requests httpx aiohttp urllib3 socket ssl logging tqdm threading _thread
    asyncio _asyncio concurrent queue ipywidgets anywidget IPython ipykernel zmq stepbook
    contextvars _contextvars weakref _weakref multiprocessing subprocess
    """.split()
)
#: Views of what lives in the kernel, and our own: no copy of them could do anything.
ALIVE: Final = frozenset("ipywidgets anywidget IPython ipykernel zmq tqdm stepbook".split())


def library(value: Any) -> str:
    """Return the name of the package that the class of *value* comes from."""
    module = type(value).__module__
    return module.partition(".")[0] if isinstance(module, str) else ""


def is_of_the_moment(value: Any) -> bool:
    """Whether nobody misses a value that is not stored: a module, a plot, a connection."""
    if isinstance(value, io.IOBase) and value.closed:
        return True  # what "with open(...) as file" leaves
    return isinstance(value, types.ModuleType) or library(value) in OF_THE_MOMENT

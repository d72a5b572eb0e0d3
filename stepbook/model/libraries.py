"""Libraries by what their objects are like."""

from __future__ import annotations

from typing import Final

#: Plots, connections, streams, our own. Using such an object changes it, and means nothing.
OF_THE_MOMENT: Final = frozenset(
    """
    matplotlib mpl_toolkits seaborn plotly bokeh altair sqlite3 _sqlite3 duckdb _duckdb sqlalchemy
    psycopg psycopg2 requests httpx aiohttp urllib3 socket ssl logging tqdm threading _thread
    asyncio _asyncio concurrent queue ipywidgets anywidget IPython ipykernel zmq stepbook
    contextvars _contextvars weakref _weakref multiprocessing subprocess
    """.split()
)

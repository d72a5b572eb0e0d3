"""diskcache: a key-value table in SQLite, told to sync each commit."""

from __future__ import annotations

import diskcache

from . import Peer, body

FULL = 2  # what SQLite calls synchronous=FULL
ABSENT = object()


class DiskCache(Peer):
    """Get the step's name, and where that is absent execute and set."""

    def open(self) -> None:
        self.cache = diskcache.Cache(self.folder, sqlite_synchronous=FULL)

    def close(self) -> None:
        self.cache.close()

    def record(self, name: str) -> object:
        value = self.cache.get(name, ABSENT)
        if value is ABSENT:
            value = body()
            self.cache.set(name, value)
        return value

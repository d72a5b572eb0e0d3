"""marimo's persistent_cache, outside a marimo notebook: a pickle per call."""

from __future__ import annotations

import marimo

from . import Peer, body


def step(name: str) -> object:  # noqa: ARG001 - marimo knows a call by its arguments
    return body()


class MarimoCache(Peer):
    """The cached function takes the step's name as its argument."""

    def open(self) -> None:
        self.record = marimo.persistent_cache(save_path=str(self.folder))(step)

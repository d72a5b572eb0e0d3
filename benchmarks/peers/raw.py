"""The floor: bytes appended to a file and synced, and nothing else."""

from __future__ import annotations

import os

from . import Peer

PREALLOCATED_BYTES = 4 << 20


class RawAppend(Peer):
    """Append the bytes of a step to a growing file, then fdatasync."""

    payload = b""

    def open(self) -> None:
        path = self.folder / "append"
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def close(self) -> None:
        os.close(self.file)

    def take(self, payload: str) -> None:
        """Use the bytes of a real step, so that both write the same."""
        self.payload = payload.encode()

    def record(self, name: str) -> None:  # noqa: ARG002 - the bytes carry a name already
        os.write(self.file, self.payload)
        os.fdatasync(self.file)


class RawPreallocated(RawAppend):
    """Write the same bytes into a file that already has its size."""

    def open(self) -> None:
        path = self.folder / "preallocated"
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        self.offset = self.size = 0

    def record(self, name: str) -> None:  # noqa: ARG002 - the bytes carry a name already
        if self.offset + len(self.payload) > self.size:
            os.posix_fallocate(self.file, self.size, PREALLOCATED_BYTES)
            self.size += PREALLOCATED_BYTES
        os.pwrite(self.file, self.payload, self.offset)
        os.fdatasync(self.file)
        self.offset += len(self.payload)

"""Databases that were made to harm: bytes of blocks changed, and their checksums made right again.

DuckDB checks each block's checksum before it believes the block, so damage by chance is noticed.
Whoever wants to harm computes them anew, as here: the three headers of 4 KiB and each block of
256 KiB begin with 8 bytes that are the rest's words, each times a constant, combined by XOR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

HEADER: Final = 4096
BLOCK: Final = 262_144
_FIRST_BLOCK: Final = 3 * HEADER
_SEED: Final = 5381
_FACTOR: Final = np.uint64(0xBF58476D1CE4E5B9)
_MOST_SPOTS: Final = 16


def checksum(data: bytes) -> bytes:
    """Return the 8 bytes that a block begins with of which the rest is *data*."""
    words = np.frombuffer(data, dtype="<u8") * _FACTOR
    return (int(np.bitwise_xor.reduce(words)) ^ _SEED).to_bytes(8, "little")


def areas(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each header and each block begins and ends."""
    for start in range(0, _FIRST_BLOCK, HEADER):
        yield start, start + HEADER
    for start in range(_FIRST_BLOCK, len(content) - BLOCK + 1, BLOCK):
        yield start, start + BLOCK


def crafted(content: bytes, chance: random.Random) -> bytes:
    """Return a database with a few bytes changed in one or two of its areas, checksums right."""
    made = bytearray(content)
    _, *changeable = areas(content)  # the first one is not read but for its magic bytes
    for start, end in chance.sample(changeable, chance.choice([1, 1, 2])):
        used = [at for at in range(start + 8, end) if made[at]]
        for at in chance.sample(used, min(len(used), chance.randint(1, _MOST_SPOTS))):
            how = chance.choice(["bit", "byte", "bytes"])
            if how == "bit":
                made[at] ^= 1 << chance.randrange(8)
            elif how == "byte":
                made[at] = chance.choice([0, 1, 127, 128, 255])
            else:
                width = min(chance.randint(2, 8), end - at)
                made[at : at + width] = chance.randbytes(width)
        made[start : start + 8] = checksum(bytes(made[start + 8 : end]))
    return bytes(made)

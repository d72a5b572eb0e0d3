"""What a file or a folder holds, as a short text, for a fingerprint.

A file counts by its content, a folder by the names and contents of all files below it. A content is
read once in a process, and again when size, times or inode say that it may be another.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Final

import xxhash

from .contents import HASH, NONE, PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Of a path at which there is nothing: a state as any other.
NOT_THERE: Final = PLAIN + "not there"
#: Files and folders below one folder; one that has more is unknown.
MOST_FILES: Final = 10_000
#: Contents that are kept, at most.
_MOST_KEPT: Final = 100_000
_CHUNK: Final = 1 << 20
#: A file that was written within this time may be written again with the same time: FAT counts in
#: steps of two seconds.
_FRESH_NS: Final = 2_000_000_000

#: Says that a file is still the same.
_Stamp = tuple[int, ...]
#: What each file held, and when; by path.
_kept: Final[dict[str, tuple[_Stamp, str]]] = {}


def contents_of(paths: Iterable[str]) -> dict[str, str]:
    """Return what each file or folder holds, by its path.

    Example:
        >>> contents_of(["data/patients.csv", "no/such/file"])
        {'data/patients.csv': '#0c2d… 5,120 bytes', 'no/such/file': '=not there'}
    """
    return {path: _content_of(path) for path in paths}


def _content_of(path: str) -> str:
    try:
        facts = os.stat(path)  # noqa: PTH116 - as quick as can be
        if stat.S_ISREG(facts.st_mode):
            return _of_file(path, facts)
        if stat.S_ISDIR(facts.st_mode):
            return _of_folder(path)
    except (FileNotFoundError, NotADirectoryError):
        return NOT_THERE
    except (OSError, ValueError) as error:
        return NONE + type(error).__name__
    return f"{NONE}neither a file nor a folder"  # a pipe: to read it would wait, or take from it


def _of_file(path: str, facts: os.stat_result) -> str:
    stamp = _stamp(facts)
    known = _kept.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    hashed = xxhash.xxh3_128()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a text
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
        after = _stamp(os.fstat(file.fileno()))
    text = f"{HASH}{hashed.hexdigest()[:20]} {facts.st_size:,} bytes"
    if after == stamp and time.time_ns() - facts.st_mtime_ns > _FRESH_NS:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[path] = stamp, text
    return text


def _stamp(facts: os.stat_result) -> _Stamp:
    # The time of the change of its entry, too: the other one can be set.
    times = facts.st_mtime_ns, facts.st_ctime_ns
    return facts.st_dev, facts.st_ino, facts.st_size, *times


def _of_folder(root: str) -> str:
    """Tell a folder by the files below it, wherever on the disk it is."""
    found: dict[bytes, str] = {}
    left, waiting = MOST_FILES, [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                left -= 1
                if left < 0:
                    return f"{NONE}folder of more than {MOST_FILES:,} files"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                name = os.path.relpath(entry.path, root).replace(os.sep, "/")
                # A link to a folder may lead back into this one.
                is_link = entry.is_dir()
                found[os.fsencode(name)] = (
                    f"link {os.readlink(entry.path)}"  # noqa: PTH115 - a text
                    if is_link
                    else _content_of(entry.path)
                )
    unknown = [text for text in found.values() if text.startswith(NONE)]
    told = xxhash.xxh3_128_hexdigest(repr(sorted(found.items())).encode())[:20]
    count = f"{len(found):,} file{'' if len(found) == 1 else 's'}"
    return f"{NONE}file that cannot be read {HASH}{told}" if unknown else f"{HASH}{told} {count}"

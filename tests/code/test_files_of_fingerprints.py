"""Files and folders count by what is in them, and are read when they may have changed."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from stepbook.code import files
from stepbook.code.files import NOT_THERE, contents_of

if TYPE_CHECKING:
    from pathlib import Path


def told(path: Path) -> str:
    """Return what a path holds."""
    return contents_of([str(path)])[str(path)]


def written(path: Path, text: str, *, age_s: float = 60) -> Path:
    """Write a file that is as old as this."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    then = time.time_ns() - int(age_s * 1e9)
    os.utime(path, ns=(then, then))
    return path


def test_equal_contents_are_told_alike_wherever_they_are(tmp_path):
    first, second = (written(tmp_path / name / "a", "1") for name in ("one", "two"))
    assert told(first) == told(second)
    assert told(first).endswith(" 1 bytes")
    assert told(first.parent) == told(second.parent)
    assert told(first.parent).endswith(" 1 file")


def test_what_is_not_there_is_a_state_and_no_error(tmp_path):
    path = tmp_path / "a"
    assert told(path) == told(path / "below") == NOT_THERE
    assert told(written(path, "")).startswith("#")
    assert told(path / "below a file") == NOT_THERE
    path.unlink()
    assert told(path) == NOT_THERE


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    path = written(tmp_path / "a", "x" * 10_000_000)
    first = told(path)
    with monkeypatch.context() as patch:
        patch.setattr(files, "open", pytest.fail, raising=False)
        assert told(path) == first
    assert told(written(path, "y" * 10_000_000, age_s=59)) != first


def test_a_file_that_is_written_at_once_with_the_same_size_and_time_is_seen(tmp_path):
    path = tmp_path / "a"
    seen = set()
    facts = written(path, "0", age_s=0).stat()
    for number in range(10):
        path.write_text(str(number))
        os.utime(path, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
        seen.add(told(path))
    assert len(seen) == 10


def test_an_old_time_that_is_set_on_a_new_content_hides_nothing(tmp_path):
    path = written(tmp_path / "a", "1")
    facts, first = path.stat(), told(path)
    path.write_text("2")
    os.utime(path, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
    assert told(path) != first


@pytest.mark.parametrize(
    "change",
    [
        lambda root: written(root / "sub" / "b", "3"),
        lambda root: (root / "sub" / "b").unlink(),
        lambda root: (root / "sub" / "b").rename(root / "sub" / "c"),
        lambda root: (root / "sub" / "b").rename(root / "b"),
        lambda root: written(root / "new", ""),
    ],
    ids=["content", "gone", "renamed", "moved", "new"],
)
def test_a_folder_counts_by_the_names_and_contents_below(tmp_path, change):
    root = tmp_path / "data"
    written(root / "a", "1")
    written(root / "sub" / "b", "2")
    before = told(root)
    assert told(root) == before
    change(root)
    assert told(root) != before


def test_links_do_not_lead_round_in_circles(tmp_path):
    root = tmp_path / "data"
    target = written(tmp_path / "target", "1")
    root.mkdir()
    (root / "round").symlink_to(root)
    (root / "file").symlink_to(target)
    (root / "broken").symlink_to(tmp_path / "nothing")
    before = told(root)
    assert before.endswith(" 3 files")
    written(target, "2")
    assert told(root) != before


def test_what_cannot_be_read_is_unknown_and_read_by_nobody(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert told(tmp_path / "pipe") == "?neither a file nor a folder"
    assert told(tmp_path).startswith("?file that cannot be read #")


def test_a_folder_of_too_many_files_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_FILES", 2)
    for number in range(3):
        written(tmp_path / str(number), "")
    assert told(tmp_path) == "?folder of more than 2 files"

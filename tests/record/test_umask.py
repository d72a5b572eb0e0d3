"""Whatever stepbook creates has the mode that the umask leaves it."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest

import stepbook

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs modes of files")


def modes(folder):
    return {
        path.relative_to(folder): (stat.S_ISDIR(found.st_mode), stat.S_IMODE(found.st_mode))
        for path in folder.rglob("*")
        if (found := path.lstat())
    }


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o027, 0o000], ids=oct)
def test_files_and_folders_of_a_book_have_the_modes_that_the_umask_leaves(tmp_path, mask):
    before = os.umask(mask)
    try:
        book = stepbook.connect(tmp_path / "here" / "b.duckdb")
        (tmp_path / "here").mkdir()
        run = book.run("loop", input={"a": 1})
        run.do("Array", lambda: np.arange(100_000))
        run.do("File", lambda ctx: ctx.file("report.txt").write_text("report") and None)
        run.do("Adopted", _given)
        book.deliver_scan(run.id, {"ok": True})
        run.to_html(tmp_path / "here" / "run.html")
        found = modes(tmp_path)
        run.finish()
        book.close()
        found |= modes(tmp_path)
    finally:
        os.umask(before)
    places = {path.parent.name for path in found} | {path.suffix for path in found}
    assert {"journal", "locks", "inbox", "artifacts", ".duckdb", ".html", ".json", ".npy"} <= places
    wrong = {
        path: oct(mode[1]) for path, mode in found.items() if mode[1] != left(path, *mode, mask)
    }
    assert wrong == {}


def left(path, is_folder, _, mask):
    """What the umask leaves; nobody writes to a file that was given to the store."""
    given = path.suffix in (".txt", ".bin")
    return (0o777 if is_folder else 0o444 if given else 0o666) & ~mask


def _given(ctx):
    path = ctx.file("model.bin")
    path.write_bytes(b"model")
    return path


def test_a_file_that_only_its_owner_may_read_stays_so_in_the_store(book):
    def private(ctx):
        path = ctx.file("key.txt")
        path.touch(mode=0o600)
        path.write_text("secret")
        return path

    kept = book.run("loop").do("Private", private)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o400

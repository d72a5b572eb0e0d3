"""Files behind values: written whole, found unchanged, removed when nothing refers to them."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import xxhash

import stepbook
from stepbook import (
    ArtifactError,
    InvalidInputError,
    JournalWriteError,
    NotSerializableError,
    StepNotFoundError,
)
from stepbook.record.artifacts import Artifacts, Digest
from stepbook.system import platform
from stepbook.system.interrupts import section

ROOT = Path(__file__).parents[2]


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPBOOK_STABLE_REPR", "1")
    return stepbook.connect(tmp_path / "b.duckdb")


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(tmp_path / "files", tmp_path / "locks" / "lock")


def folder(book):
    return book.path.with_name("b.duckdb.d") / "artifacts"


def names(where):
    return sorted(path.name for path in where.iterdir() if path.is_file())


def big(number=0):
    return np.arange(20_000.0) + number


def test_a_file_is_synced_before_it_gets_its_name(artifacts, monkeypatch):
    calls = []

    class Recording(platform.Disk):
        def sync(self, fd):
            calls.append("sync")
            super().sync(fd)

        def rename(self, source, target):
            calls.append("rename")
            super().rename(source, target)

        def sync_dir(self, path):
            calls.append("sync_dir")
            super().sync_dir(path)

    monkeypatch.setattr("stepbook.record.artifacts.disk", Recording())
    artifacts.write("bin", lambda file: file.write(b"x" * 10))
    assert calls == ["sync", "rename", "sync_dir"]


@pytest.mark.parametrize("size", [0, 10, 5 << 20])
def test_what_was_written_is_read(artifacts, size):
    data = os.urandom(size)
    stored = artifacts.write("bin", lambda file: file.write(data))
    assert bytes(artifacts.read(stored)) == data
    assert artifacts.path(stored.file).read_bytes() == data


@pytest.mark.parametrize("threaded", [False, True])
def test_hashes_of_many_parts_are_those_of_the_whole(threaded):
    parts = [os.urandom(700_000) for _ in range(9)]
    digest = Digest(threaded=threaded)
    for part in parts:
        digest.update(memoryview(part))
    whole = b"".join(parts)
    stored = digest.stored("bin")
    assert stored.sha256 == hashlib.sha256(whole).hexdigest()
    assert stored.xxh3 == xxhash.xxh3_128_hexdigest(whole)
    assert stored.size == len(whole)


def test_a_failed_write_leaves_nothing(artifacts):
    def fail(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        artifacts.write("bin", fail)
    assert names(artifacts.folder) == []


def test_a_full_disk_keeps_the_value(book, monkeypatch):
    class Full(platform.Disk):
        def pwrite(self, *_):
            raise OSError(28, "No space left on device")

    run = book.run("x")
    value = big()
    monkeypatch.setattr("stepbook.record.artifacts.disk", Full())
    with pytest.raises(JournalWriteError, match="No space left") as caught:
        run.do("a", lambda: value)
    assert caught.value.value is value
    monkeypatch.undo()
    assert book.run("x").do("a", big).sum() == big().sum()


def test_a_missing_file_names_file_and_step(book):
    run = book.run("x")
    run.do("Train", big)
    path = run.artifact("Train")
    path.unlink()
    with pytest.raises(ArtifactError, match=rf"Train: .*{path.name}.*missing.*run\.redo"):
        book.run("x").do("Train", big)
    with pytest.raises(ArtifactError, match="missing"):
        run.artifact("Train")
    run.redo("Train")
    assert book.run("x").do("Train", big).sum() == big().sum()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        lambda _: b"",
    ],
)
def test_a_changed_file_is_never_a_value(book, damage):
    run = book.run("x")
    run.do("Train", big)
    path = run.artifact("Train")
    for _ in range(2):  # also when this process has found it right before
        whole = path.read_bytes()
        path.write_bytes(damage(whole))
        with pytest.raises(ArtifactError, match=rf"Train: .*{path.name} has changed"):
            book.run("x").do("Train", big)
        path.write_bytes(whole)
        assert book.run("x").do("Train", big).sum() == big().sum()


def test_recording_again_mends_a_damaged_file(book):
    run = book.run("x")
    run.do("a", big)
    path = run.artifact("a")
    path.write_bytes(b"damaged")
    run.do("b", big)
    assert run.artifact("b") == path
    assert book.run("x").do("a", big).sum() == big().sum()


@pytest.mark.parametrize("name", ["../../etc/passwd", "x.npy", "a" * 64 + ".npy/..", ""])
def test_a_record_cannot_name_a_file_elsewhere(artifacts, name):
    with pytest.raises(ArtifactError, match="not the name of an artifact"):
        artifacts.path(name)


# ---- files of a body ----------------------------------------------------------------------------


def train(ctx):
    path = ctx.file("model.txt")
    path.write_text("weights")
    return {"path": path, "score": 0.5}


def test_a_file_of_the_body_comes_back_as_its_path(book):
    for _ in range(2):
        run = book.run("x")
        given = run.do("Train", train)
        assert given["path"].read_text() == "weights"
        assert given["path"].suffix == ".txt"
        assert given["path"].parent == folder(book)
        assert given["score"] == 0.5
        assert run.artifact("Train") == given["path"]
    assert names(folder(book)) == [given["path"].name]


def test_a_file_that_is_not_returned_is_recorded_as_well(book):
    def body(ctx):
        for name in ("a.txt", "b.txt"):
            ctx.file(name).write_text(name)
        return 5

    run = book.run("x")
    assert run.do("a", body) == 5
    assert run.artifact("a", "b.txt").read_text() == "b.txt"
    with pytest.raises(ArtifactError, match=r"several files.*a\.txt, b\.txt"):
        run.artifact("a")
    with pytest.raises(ArtifactError, match=r"no file 'c', only a\.txt"):
        run.artifact("a", "c")


def test_a_changed_file_of_the_body_is_reported(book):
    run = book.run("x")
    path = run.do("a", train)["path"]
    path.chmod(0o644)
    path.write_text("Weights")
    with pytest.raises(ArtifactError, match=r"a: .*has changed"):
        book.run("x").do("a", train)


def test_a_file_that_was_not_written_fails_the_step(book):
    run = book.run("x")
    with pytest.raises(NotSerializableError, match=r"ctx\.file\('m'\).*missing"):
        run.do("a", lambda ctx: ctx.file("m"))
    with pytest.raises(NotSerializableError, match="a folder"):
        run.do("b", lambda ctx: ctx.file("m").mkdir())


@pytest.mark.parametrize("name", ["", "a/b", "..", "/x", 5])
def test_a_file_is_called_by_a_plain_name(book, name):
    with pytest.raises(InvalidInputError, match="without folders"):
        book.run("x").do("a", lambda ctx: ctx.file(name))


def test_a_second_attempt_begins_with_an_empty_folder(book):
    def body(ctx):
        path = ctx.file("m.txt")
        assert not path.exists()
        path.write_text("half")
        if ctx.attempt == 1:
            raise OSError("no room")
        return path

    run = book.run("x")
    with pytest.raises(OSError, match="no room"):
        run.do("a", body)
    assert book.run("x").do("a", body).read_text() == "half"


def test_a_small_value_has_no_file(book):
    run = book.run("x")
    run.do("a", lambda: 5)
    with pytest.raises(ArtifactError, match="stands in the record itself"):
        run.artifact("a")
    with pytest.raises(StepNotFoundError):
        run.artifact("b")


def test_a_book_in_memory_keeps_everything_in_the_record():
    book = stepbook.connect(":memory:")
    run = book.run("x")
    assert run.do("a", big).sum() == big().sum()
    with pytest.raises(InvalidInputError, match="memory"):
        run.do("b", lambda ctx: ctx.file("m"))


# ---- removing -----------------------------------------------------------------------------------


def test_delete_removes_what_no_other_run_refers_to(book):
    first, second = book.run("x", input=1), book.run("x", input=2)
    for run in (first, second):
        run.do("shared", big)
        run.do("own", big, run.input)
        run.do("inside", lambda: [{"deep": big(10), "n": i} for i in range(250)])
        run.do("text", lambda: ["long"] * 20_000)
    own = first.artifact("own")
    kept = {run_artifact for run_artifact in names(folder(book)) if run_artifact != own.name}
    first.finish()
    second.finish()
    book.delete(first.id)
    assert set(names(folder(book))) == kept
    again = book.run("x", input=2)
    assert again.do("inside", len)[249]["deep"].sum() == big(10).sum()
    again.close()
    book.delete(second.id)
    assert names(folder(book)) == []


def test_prune_keeps_what_earlier_attempts_and_journals_refer_to(book):
    run = book.run("x")
    run.do("a", big, 1)
    run.redo("a")
    run = book.run("x")
    run.do("a", big, 2)
    assert len(names(folder(book))) == 2
    book.prune(keep=0)
    assert len(names(folder(book))) == 2


def test_prune_removes_what_a_crash_has_left(book):
    book.run("x").do("a", big)
    leftover = folder(book) / ("0" * 32 + ".tmp")
    leftover.write_bytes(b"half")
    strange = folder(book) / "notes.md"
    strange.write_text("not ours")
    book.prune(keep=0)
    assert not leftover.exists()
    assert strange.exists()


def test_prune_waits_for_a_writer_in_this_process(artifacts):
    done = threading.Event()
    with artifacts.writing():
        stored = artifacts.write("bin", lambda file: file.write(b"about to be named"))
        named = []
        thread = threading.Thread(target=lambda: (artifacts.prune(lambda: named), done.set()))
        thread.start()
        assert not done.wait(0.2)
        named.append(f'"{stored.file}"')
    assert done.wait(20)
    thread.join()
    assert artifacts.path(stored.file).exists()


PRUNER = """
import sys, stepbook
book = stepbook.connect(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    book.prune(keep=0)
    print("pruned", flush=True)
"""


def test_prune_in_another_process_never_takes_what_is_about_to_be_named(book):
    run = book.run("x")
    run.do("first", big)
    pruner = subprocess.Popen(
        [sys.executable, "-c", PRUNER, book.path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert pruner.stdout.readline().strip() == "ready"
        for i in range(12):
            pruner.stdin.write("\n")
            pruner.stdin.flush()
            run.do(f"a {i}", big, i)
            run.do(f"b {i}", big, -i)
            assert pruner.stdout.readline().strip() == "pruned"
    finally:
        pruner.stdin.close()
        pruner.wait()
        pruner.stdout.close()
    again = book.run("x")
    for i in range(12):
        assert again.do(f"a {i}", len).sum() == big(i).sum()
        assert again.do(f"b {i}", len).sum() == big(-i).sum()


def test_an_interrupt_arrives_while_a_big_value_is_written(artifacts):
    def produce(sink):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100_000):
            sink.write(b"x" * 100)
        raise AssertionError("it has not arrived")

    with section():
        artifacts.hold()
        try:
            with pytest.raises(KeyboardInterrupt):
                artifacts.write("bin", produce)
        finally:
            artifacts.let_go()
    assert names(artifacts.folder) == []

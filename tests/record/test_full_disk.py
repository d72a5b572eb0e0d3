"""The disk refuses to be written to, at any call: a clear error, nothing lost, the value kept."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import subprocess
import warnings

import pytest

import stepbook
from stepbook.system.platform import Disk, disk

REFUSALS = 60
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
CALLS = (
    "open", "pwrite", "preallocate", "truncate", "sync", "sync_dir", "make_dirs", "link", "rename",
    "unlink", "close",
)  # fmt: skip


class Refusing:
    """Stands in for the disk: counts its calls, and refuses some."""

    def __init__(self, monkeypatch) -> None:
        self.calls: list[str] = []
        self.refuse = range(0)
        self.error = errno.ENOSPC
        for name in CALLS:
            monkeypatch.setattr(disk, name, self._counted(name))

    def _counted(self, name: str):
        real = getattr(Disk(), name)

        def call(*arguments):
            number = len(self.calls)
            self.calls.append(name)
            if name == "close":
                real(*arguments)  # as close(2): the descriptor is gone in any case
            if number in self.refuse:
                raise OSError(self.error, os.strerror(self.error), str(arguments[0]))
            return None if name == "close" else real(*arguments)

        return call


class Life:
    """Records, again and again until it works, and knows what it was told."""

    def __init__(self, path) -> None:
        self.path = path
        self.acknowledged: dict[str, object] = {}
        self.executed: list[str] = []
        self.refused: list[stepbook.StepbookError] = []

    def step(self, run, name, value, body=None):
        ran = []

        def work(ctx):
            assert name not in self.acknowledged, f"{name} is executed again"
            self.executed.append(name)
            ran.append(value if body is None else body(ctx))
            return ran[-1]

        try:
            result = run.do(name, work)
        except stepbook.JournalWriteError as error:
            if ran and error.value is not ran[-1]:
                raise AssertionError("the value is lost") from error
            raise
        self.acknowledged[name] = result if body is None else None

    def once(self, act):
        """Do something; whether it worked. What it raises is one of ours and says what to do."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", stepbook.StepbookWarning)
                act()
        except stepbook.StepbookError as error:
            self.refused.append(error)
            return False
        return True

    def until_it_works(self, act):
        for _ in range(8):
            if self.once(act):
                assert all(str(error).count(". ") for error in self.refused)  # and what to do
                return
        raise AssertionError(str(self.refused[-1]))

    def live(self):
        book = stepbook.connect(self.path)
        runs = []

        def walk():
            run = book.run("loop", max_size="1 GB")  # all is stored on a disk with little room, too
            runs[:] = [run]
            self.step(run, "small", "costly")
            self.step(run, "large", "x" * 100_000)
            self.step(run, "table", list(range(60_000)))
            self.step(run, "file", None, write)
            run.log("said")
            if "scan" not in self.acknowledged:
                if "delivered" not in self.acknowledged:
                    # Delivered already: it was there, and was not known to be safe.
                    with contextlib.suppress(stepbook.ScanAlreadyDelivered):
                        book.deliver_scan(run.id, {"n": 1})
                    self.acknowledged["delivered"] = True
                assert run.wait_for_scan(timeout=60) == {"n": 1}
                self.acknowledged["scan"] = {"n": 1}

        def write(ctx):
            path = ctx.file("model.bin")
            path.write_bytes(b"model" * 1000)
            return path

        self.until_it_works(walk)
        self.until_it_works(lambda: [run.close() for run in runs])
        self.until_it_works(lambda: book.run("loop", max_size="1 GB").finish("x" * 100_000))
        self.until_it_works(book.close)

    def check(self):
        book = stepbook.connect(self.path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", stepbook.StepbookWarning)
            run = book.run("loop", max_size="1 GB")
            for name in ("small", "large", "table"):
                assert run.do(name, never) == self.acknowledged[name]
            assert run.do("file", never).read_bytes() == b"model" * 1000
            assert run.wait_for_scan(timeout=0) == {"n": 1}
            run.finish()
            assert list(run.steps()["status"]) == ["succeeded"] * 5
            assert len(book.runs()) == 1
            book.close()


def never(*_):
    raise AssertionError("an acknowledged step was executed again")


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("name", CALLS)
def test_whichever_call_is_refused_it_is_our_error_and_nothing_is_lost(tmp_path, monkeypatch, name):
    seed = int(os.environ.get("STEPBOOK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    monkeypatch.setattr("stepbook.record.folding.GATHER_S", 3600)
    refusing = Refusing(monkeypatch)
    Life(tmp_path / "stepbook.duckdb").live()
    places = [number for number, call in enumerate(refusing.calls) if call == name]
    for number in chance.sample(places, min(len(places), 1 + REFUSALS // len(CALLS))):
        folder = tmp_path / f"refused-{number}"
        folder.mkdir()
        life = Life(folder / "stepbook.duckdb")
        refusing.calls.clear()
        refusing.error = chance.choice(ERRORS)
        refusing.refuse = range(number, number + chance.choice([1, 1, 3]))
        print(name, "refused:", refusing.refuse, errno.errorcode[refusing.error])
        life.live()
        refusing.refuse = range(0)
        life.check()


def test_the_first_journal_of_a_run_on_a_full_disk_is_a_clear_error(book, path, monkeypatch):
    book.run("first").finish()
    refusing = Refusing(monkeypatch)
    refusing.refuse = range(1000)
    with pytest.raises(stepbook.JournalWriteError, match=r"No space left.*Free some space"):
        book.run("loop", max_size="1 GB")
    refusing.refuse = range(0)
    run = book.run("loop", max_size="1 GB")
    assert run.do("one", lambda: 1) == 1
    run.finish()
    assert sorted(book.runs()["loop"]) == ["first", "loop"]


def test_a_full_disk_is_no_outcome_of_the_work_that_later_passes_would_replay(book, monkeypatch):
    run = book.run("loop", max_size="1 GB")
    refusing = Refusing(monkeypatch)

    def body():
        refusing.refuse = range(len(refusing.calls), len(refusing.calls) + 1)
        return "x" * 100_000

    with pytest.raises(stepbook.JournalWriteError):
        run.do("large", body)
    assert run.do("fallback", lambda: 1) == 1  # the code has gone on
    run.finish()
    assert book.run("loop", max_size="1 GB").do("large", lambda: "y") == "y"


def test_prune_works_again_after_an_artifact_could_not_be_written(book, monkeypatch):
    run = book.run("loop", max_size="1 GB")
    refusing = Refusing(monkeypatch)

    def body():
        refusing.refuse = range(len(refusing.calls), len(refusing.calls) + 3)
        return "x" * 100_000

    with pytest.raises(stepbook.JournalWriteError) as caught:
        run.do("large", body)
    assert caught.value.value == "x" * 100_000
    refusing.refuse = range(0)
    run.finish()
    monkeypatch.setattr("stepbook.record.artifacts.LOCK_TIMEOUT_S", 0.5)
    book.delete(run.id, force=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", stepbook.StepbookWarning)
        book.prune(keep=0)


def test_files_of_a_step_are_there_again_when_one_of_them_cannot_be_recorded(book, monkeypatch):
    run = book.run("loop", max_size="1 GB")
    paths = []

    def two(ctx):
        paths[:] = [ctx.file("a.bin"), ctx.file("b.bin")]
        for path in paths:
            path.write_bytes(path.name.encode() * 100)
        renames = [refuse, disk.rename]

        def rename(source, target):
            renames.pop()(source, target)

        monkeypatch.setattr(disk, "rename", rename)
        return paths

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(stepbook.JournalWriteError) as caught:
        run.do("two", two)
    monkeypatch.undo()
    assert caught.value.value is paths
    assert [path.read_bytes() for path in paths] == [b"a.bin" * 100, b"b.bin" * 100]


# ---- a file system that is really full


@pytest.fixture
def tiny(tmp_path):
    """A file system of 8 MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


class Filler:
    """Leaves as many bytes free as is said."""

    def __init__(self, folder) -> None:
        self.path = folder / "filler"

    def leave(self, free: int) -> None:
        self.path.unlink(missing_ok=True)
        with self.path.open("wb") as file:
            found = os.statvfs(file.fileno())
            size = found.f_bavail * found.f_frsize - free
            if size > 0:
                os.posix_fallocate(file.fileno(), 0, size)

    def gone(self) -> None:
        self.path.unlink(missing_ok=True)


@pytest.mark.parametrize("free", [0, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20])
@pytest.mark.parametrize("book_is_there", [True, False])
def test_a_file_system_that_is_really_full_loses_nothing(tiny, free, book_is_there):
    filler = Filler(tiny)
    life = Life(tiny / "stepbook.duckdb")
    book = stepbook.connect(life.path)
    if book_is_there:
        run = book.run("loop", max_size="1 GB")
        life.step(run, "small", "costly")
        run.close()
    filler.leave(free)
    run = None

    def opened():
        nonlocal run
        run = book.run("loop", max_size="1 GB")

    if life.once(opened):
        for number in range(300):
            if not life.once(lambda n=number: life.step(run, f"more {n}", f"{n}" * 400)):
                break
        life.once(lambda: life.step(run, "large", "x" * 100_000))
        life.once(run.steps)
        life.once(lambda: run.finish("x" * 1000))
        life.once(run.close)
    if free == 0:
        assert any(type(error) is stepbook.JournalWriteError for error in life.refused)
    filler.gone()
    life.live()
    extra = [name for name in life.acknowledged if name.startswith("more")]
    run = book.run("loop", max_size="1 GB")
    for name in extra:
        assert run.do(name, never) == life.acknowledged[name]
    run.close()

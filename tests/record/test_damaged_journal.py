"""A killed process's journal is damaged: its steps are there, or somebody is told."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import warnings

import pytest

import stepbook
from stepbook.cli import doctor as doctor_command
from stepbook.record.lines import parse_line

DAMAGES = 30

KILLED = """
    import os, signal, sys
    import stepbook, stepbook.record.folding

    stepbook.record.folding.GATHER_S = 3600
    book = stepbook.connect(sys.argv[1])
    run = book.run("loop")
    if sys.argv[3] == "known":
        run.do("earlier", lambda: "earlier")
        run.close()
    for i in range(int(sys.argv[2])):
        run.do(f"s{i}", lambda: "ä" * 40 * i)
    print("recorded", run.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """Books of which a process was killed with steps that no table has, by steps and kind."""
    made = {}

    def make(steps: int, kind: str):
        if (steps, kind) not in made:
            folder = tmp_path_factory.mktemp("left")
            script = folder / "killed.py"
            script.write_text(textwrap.dedent(KILLED))
            (folder / "book").mkdir()
            done = subprocess.run(
                [sys.executable, script, folder / "book" / "stepbook.duckdb", str(steps), kind],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == -signal.SIGKILL, done.stderr
            made[steps, kind] = folder / "book"
        return made[steps, kind]

    return make


class Damaged:
    """A copy of a book, its journal damaged, and what those who look at it are told."""

    def __init__(self, original, target, damage) -> None:
        shutil.copytree(original, target)
        self.path = target / "stepbook.duckdb"
        (self.file,) = (target / "stepbook.duckdb.d" / "journal").iterdir()
        before = self.file.read_bytes()
        self.content = damage(before)
        assert self.content != before
        self.file.write_bytes(self.content)
        self.executed: list[str] = []
        self.replayed = False

    def told(self, act) -> str:
        """What is said while *act* happens, by warnings and by an error."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                act()
                error = ""
            except stepbook.StepbookError as raised:
                error = str(raised)
        texts = [str(w.message) for w in caught if w.category is stepbook.StepbookWarning]
        return "\n".join([*texts, error])

    def open(self, steps: int) -> str:
        """Run the loop again; what is said while it opens."""
        book = stepbook.connect(self.path)
        runs = []
        said = self.told(lambda: runs.append(book.run("loop")))
        for run in runs:
            for i in range(steps):
                run.do(f"s{i}", lambda i=i: self.executed.append(f"s{i}"))
            self.replayed = not self.executed
            said += self.told(run.close)
        return said

    def doctor(self) -> str:
        book = stepbook.connect(self.path)
        return "\n".join(
            f"{problem.where} {problem.what}"
            for checked in doctor_command.examine(book._opened)
            for problem in checked.problems
        )

    def kept(self) -> bool:
        """Whether the bytes of the damaged file are still somewhere in the folder."""
        wanted = self.content.rstrip(b"\0")
        return any(file.read_bytes().rstrip(b"\0") == wanted for file in self.file.parent.iterdir())


def zeros(start, length):
    return lambda content: content[:start] + bytes(length) + content[start + length :]


def garbage(start, length, chance):
    filling = bytes(chance.randrange(1, 256) for _ in range(length))
    return lambda content: content[:start] + filling + content[start + length :]


def flip(place, bit):
    return lambda c: c[:place] + bytes([c[place] ^ 1 << bit]) + c[place + 1 :]


def one_bit_a_line(content):
    lines = content.rstrip(b"\0").split(b"\n")
    return b"\n".join(flip(len(line) // 2, 0)(line) if line else line for line in lines)


def nobody_knows(before: bytes, after: bytes) -> bool:
    """Whether a hole of zeros is where no later line tells that something had been synced."""
    kept = [line for line in map(parse_line, after.split(b"\n")) if line]
    lines = [line for line in map(parse_line, before.split(b"\n")) if line]
    lost = [line.seq for line in lines if line not in kept]
    whole_header = lines[0] in kept
    return whole_header and min(lost) > max(line.synced for line in kept)


@pytest.mark.parametrize("kind", ["unknown", "known"])
def test_wherever_a_journal_is_damaged_the_steps_are_there_or_somebody_is_told(
    left, tmp_path, kind
):
    seed = int(os.environ.get("STEPBOOK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    for number in range(DAMAGES):
        steps = chance.choice([3, 12])
        original = left(steps, kind)
        (file,) = (original / "stepbook.duckdb.d" / "journal").iterdir()
        before = file.read_bytes()
        size = len(before.rstrip(b"\0"))
        start = chance.choice([0, chance.randrange(size)])
        length = min(chance.choice([1, 16, 300, 4096]), size - start)
        how = chance.choice(["zeros", "garbage", "flip"])
        damage = {
            "zeros": lambda start=start, length=length: zeros(start, length),
            "garbage": lambda start=start, length=length: garbage(start, max(16, length), chance),
            "flip": lambda start=start: flip(start, chance.randrange(8)),
        }[how]()
        book = Damaged(original, tmp_path / f"damage-{number}", damage)
        about = f"{how} of {length} at {start} of {size}, {steps} steps"
        found = book.doctor()
        said = book.open(steps)
        if how == "zeros" and nobody_knows(before, book.content):
            assert book.executed == [f"s{i}" for i in range(steps)][-len(book.executed) :], about
            continue
        name = book.file.name
        if not book.replayed:
            assert name in said, about
            assert name in found, about
            assert book.kept(), about
        later = book.told(stepbook.connect(book.path).runs)
        assert book.replayed or name in later, about
        shutil.rmtree(book.path.parent)


@pytest.mark.parametrize(
    "damage",
    [
        zeros(0, 4096),
        lambda content: bytes(len(content)),
        lambda _: b"",
        lambda content: random.Random(7).randbytes(len(content)),
        one_bit_a_line,
    ],
    ids=["first 4 KiB", "all zeros", "empty", "garbage", "one bit a line"],
)
def test_a_journal_of_which_nothing_can_be_read_is_kept_and_every_command_tells_of_it(
    left, tmp_path, damage
):
    book = Damaged(left(3, "unknown"), tmp_path / "damaged", damage)
    name = book.file.name
    run_id = name.partition(".")[0]
    assert name in book.doctor()
    connected = stepbook.connect(book.path)
    assert name in book.told(lambda: connected.get(run_id))
    assert name in book.told(lambda: connected.run("loop").close())
    for _ in range(2):
        assert name in book.told(connected.runs)
        assert name in book.told(lambda: connected.run("loop").close())
        assert name in book.told(lambda: connected.get("loop"))
        assert name in book.doctor()
    assert [file.name for file in book.file.parent.iterdir()] == [f"{name}.damaged"]
    assert book.kept()
    # A run may get a damaged journal of the same number again.
    book.file.write_bytes(b"another one")
    assert f"{name}.damaged-2" in book.told(connected.runs)
    assert book.kept()


def test_a_journal_that_is_restored_from_a_backup_is_used_again(left, tmp_path):
    book = Damaged(left(3, "unknown"), tmp_path / "damaged", zeros(0, 4096))
    connected = stepbook.connect(book.path)
    connected.runs()
    (original,) = (left(3, "unknown") / "stepbook.duckdb.d" / "journal").iterdir()
    shutil.copy(original, book.file)
    book.file.with_name(f"{book.file.name}.damaged").unlink()
    assert not book.open(3).strip()
    assert not book.executed


def test_a_file_that_died_before_it_had_its_name_is_removed_without_a_word(left, tmp_path):
    book = Damaged(left(3, "unknown"), tmp_path / "damaged", lambda content: content + b"\0")
    book.file.with_name(".run_aaaaaaaaaaaa.1.jsonl.new").write_bytes(bytes(1 << 16))
    assert not book.told(stepbook.connect(book.path).runs).strip()
    assert not list(book.file.parent.iterdir())

"""Cells of which nothing is stored: each time they are executed, and those behind them replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver import Kernel

LOAD = (
    "%%step Load -- --no-store\nimport threading\nlock = threading.Lock(); rows = [1, 2]\n'loaded'"
)
ADD = "%%step Add\nprint('adding')\ntotal = sum(rows)"
FACTS = "[tuple(row) for row in run.steps()[['name', 'attempt', 'policy']].values.tolist()]"


@pytest.fixture
def session(kernels: Callable[..., Kernel]) -> Callable[[], Kernel]:
    """Make a kernel with the run opened, after the one before has ended."""
    made: list[Kernel] = []

    def make() -> Kernel:
        if made:
            made.pop().stop()
        made.append(kernels())
        made[0].ok("%load_ext stepbook")
        made[0].ok("%stepbook run tests")
        return made[0]

    return make


def test_a_cell_without_store_is_executed_in_each_session_and_those_behind_it_replay(
    session: Callable[[], Kernel],
) -> None:
    for number in (1, 2, 3):
        kernel = session()
        loaded = kernel.ok(LOAD)
        assert (loaded.value, loaded.text()) == ("'loaded'", "")
        assert kernel.ok(ADD).text() == "adding\n"
        assert kernel.value("(total, rows, lock.locked())") == (3, [1, 2], False)
        assert kernel.value(FACTS) == [("Load", number, "no-store"), ("Add", 1, None)]
    assert "1 of 2 steps will replay" in kernel.ok("%stepbook run tests").text()


def test_run_all_twice_in_one_kernel_executes_it_twice(kernel: Kernel) -> None:
    kernel.ok("count = 0")
    for _ in range(2):
        kernel.ok("%%step Count -- --no-store\ncount += 1\nrows = [count]")
        kernel.ok("%%step Add\nrows.append('added')")
    assert kernel.value("count") == 2
    # What it makes is not the same the second time, and so is executed what is made of that.
    assert kernel.value(FACTS) == [("Count", 2, "no-store"), ("Add", 2, None)]


def test_what_it_changes_of_an_earlier_step_is_changed_again(
    session: Callable[[], Kernel],
) -> None:
    for _ in range(2):
        kernel = session()
        kernel.ok("%%step Load\nrows = [1]; other = rows")
        kernel.ok("%%step Grow -- --no-store\nrows.append(2)")
        kernel.ok("%%step Sum\ntotal = sum(rows)")
        assert kernel.value("(rows, other is rows, total)") == ([1, 2], True, 3)


def test_a_later_step_that_changes_what_it_has_bound_brings_back_the_change(
    session: Callable[[], Kernel],
) -> None:
    for _ in range(2):
        kernel = session()
        kernel.ok("%%step Load -- --no-store\nrows = [1]")
        kernel.ok("%%step Grow\nrows.append(2); alias = rows")
        assert kernel.value("(rows, alias is rows)") == ([1, 2], True)


def test_a_cell_that_takes_more_than_max_size_is_executed_in_each_session(
    session: Callable[[], Kernel],
) -> None:
    big = (
        "%%step Make -- --max-size 1MB\nimport numpy as np\nprint('making')\n"
        "a = np.arange(1_000_000)"
    )
    for number in (1, 3):
        kernel = session()
        said = kernel.ok(big).text()
        assert "making\n" in said
        assert (
            "it takes more than 1.0 MB (--max-size). The step is executed again each time." in said
        )
        assert "Give a larger --max-size to have it stored." in said
        kernel.ok("%%step Look\nn = len(a)")
        assert kernel.value("(n, int(a[-1]))") == (1_000_000, 999_999)
        assert kernel.value(FACTS) == [("Make", number, "max-size"), ("Look", 1, None)]
        assert "is not stored" not in kernel.ok(big).text(), "it is told once"


def test_max_size_of_the_run_holds_for_its_cells(session: Callable[[], Kernel]) -> None:
    kernel = session()
    kernel.ok('%stepbook run tests --new --max-size "10 kB"')
    kernel.ok("%%step Big\nbig = list(range(10_000))")
    kernel.ok("%%step Small\nsmall = list(range(10))")
    kernel.ok("%%step Allowed -- --max-size 1MB\nalso = list(range(10_000))")
    assert kernel.value(FACTS) == [("Big", 1, "max-size"), ("Small", 1, None), ("Allowed", 1, None)]


def test_a_recorded_cell_is_executed_once_it_is_not_to_be_stored(kernel: Kernel) -> None:
    cell = "print('executed')\nx = 1"
    for line in ("A", "A", "A -- --no-store"):
        assert kernel.ok(f"%%step {line}\n{cell}").text() == "executed\n"
    assert kernel.value(FACTS) == [("A", 2, "no-store")]
    kernel.ok(f"%%step A\n{cell}")
    kernel.ok(f"%%step A\n{cell}")
    assert kernel.value(FACTS) == [("A", 3, None)]


def test_what_a_cell_without_store_has_shown_is_in_the_record(kernel: Kernel) -> None:
    kernel.ok("%%step Show -- --no-store\nprint('text')\nprint('more')")
    kernel.ok("%stepbook close")
    found = kernel.value(
        "run.id and __import__('stepbook').connect().sql("
        "'SELECT outputs::VARCHAR AS o, variables FROM cells')['o'].tolist()[-1]"
    )
    assert "text" in found


def test_settings_files_and_random_numbers_of_a_cell_without_store_are_its_own(
    session: Callable[[], Kernel],
) -> None:
    for _ in range(2):
        kernel = session()
        kernel.ok("%%step Seed\nimport random, os\nrandom.seed(1)")
        kernel.ok(
            "%%step Draw -- --no-store\nfirst = random.random()\nos.environ['MARK'] = 'set'\n"
            "with open('made.txt', 'w') as file: file.write('x')"
        )
        kernel.ok("%%step Next\nsecond = random.random()")
        third = kernel.value("random.random()")
        found = kernel.value("(first, second, os.environ['MARK'], open('made.txt').read())")
        assert found == (0.13436424411240122, 0.8474337369372327, "set", "x")
        assert third == 0.763774618976614


WRONG = {
    "--no-store=yes": "--no-store takes no value",
    "--no-store --out a": "--no-store stores nothing, so --out and --max-size do not go with it",
    "--no-store --max-size 1MB": "--no-store stores nothing",
    "--max-size": "--max-size takes a size, as in --max-size 500MB",
    "--max-size much": "not 'much'",
    "--max-size 1MB --max-size 2MB": "--max-size is given twice",
}


@pytest.mark.parametrize("options", WRONG)
def test_a_line_that_cannot_be_followed_is_refused(kernel: Kernel, options: str) -> None:
    found = kernel.run(f"%%step A -- {options}\nx = 1")
    assert found.error is not None
    assert WRONG[options] in found.error["evalue"]


@pytest.mark.parametrize("line", ["A --no-store", "A -- no-store"])
def test_a_name_that_ends_like_the_options_is_pointed_out(kernel: Kernel, line: str) -> None:
    assert "%%step A -- --no-store" in kernel.ok(f"%%step {line}\nx = 1").text()


@pytest.mark.parametrize("size", ["100", "100 B", "'100 B'", "=100 bytes", "0.1kB"])
def test_sizes_are_read_with_their_unit_apart(kernel: Kernel, size: str) -> None:
    kernel.ok(f"%%step A -- --max-size {size} --retries 1".replace(" =", "=") + "\nx = 'x' * 200")
    assert kernel.value(FACTS) == [("A", 1, "max-size")]


def test_what_a_step_changes_of_an_object_that_is_made_each_time_is_told(kernel: Kernel) -> None:
    kernel.ok("import tempfile")
    kernel.ok("%%step Open -- --no-store\nf = tempfile.TemporaryFile('w+')\nbox = {'f': f, 'n': 0}")
    said = kernel.ok("%%step Write\n_ = f.write('x'); box['n'] += 1").text("stderr")
    assert "step 'Write' changes" in said
    assert "which 'Open' makes each time and which cannot be stored" in said
    assert "Give it --no-store, too" in said
    said = kernel.ok("%%step Again -- --no-store\n_ = f.write('x')").text("stderr")
    assert said == ""
    said = kernel.ok("%%step Own\nf = tempfile.TemporaryFile('w+')").text("stderr")
    assert "makes each time" not in said
    assert "is recorded without f" in said


@pytest.mark.parametrize(
    ("rest", "policy"),
    [("lock = None; threading.Lock()", None), ("rows = list(range(100_000)); path", "max-size")],
)
def test_a_file_of_a_cell_counts_once_and_is_there_whether_it_is_stored_or_not(
    kernel: Kernel, rest: str, policy: str | None
) -> None:
    kernel.ok(
        "%%step Write -- --max-size 75kB\nimport stepbook, threading\n"
        f"path = stepbook.context().file('a.bin')\npath.write_bytes(b'x' * 50_000)\n{rest}"
    )
    assert kernel.value(FACTS) == [("Write", 1, policy)]
    assert kernel.value("path.stat().st_size") == 50_000


def test_outputs_that_alone_take_more_than_max_size_are_not_recorded_and_it_is_said(
    kernel: Kernel,
) -> None:
    kernel.ok('%stepbook run tests --new --max-size "10 kB"')
    said = kernel.ok("%%step Show -- --no-store\nprint('much ' * 40_000)").text()
    assert "what the step 'Show' has shown is not recorded: it takes more than 10.0 kB" in said
    assert kernel.value(FACTS) == [("Show", 1, "no-store")]

"""Steps that the threads and tasks of a cell execute, and those between cells."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver import Kernel

DEFINE = """
import asyncio, threading, stepbook
from concurrent.futures import ThreadPoolExecutor
%load_ext stepbook
%stepbook run threads
ignoring = run.options(on_change="ignore")  # `bad` is changed from here
calls = []
def item(number):
    calls.append(number)
    if number in bad:
        raise ValueError(f"item {number}")
    return number
def do(number):
    return ignoring.do(f"Item {number}", item, number)
"""
POOL = "with ThreadPoolExecutor({}) as pool:\n    print(list(pool.map(do, range(4))))"
#: Four items, of which those in `bad` fail; the first error leaves the cell.
ALL = {
    "a pool of one": POOL.format(1),
    "a pool of four": POOL.format(4),
    "joblib": """from joblib import Parallel, delayed
print(Parallel(2, backend="threading")(delayed(do)(n) for n in range(4)))""",
    "asyncio.to_thread": """async def work():
    found = await asyncio.gather(*(asyncio.to_thread(do, n) for n in range(4)),
                                 return_exceptions=True)
    for each in found:
        if isinstance(each, Exception):
            raise each
    print(found)
await work()""",
    "one thread after the other": """found = []
def work(n):
    try:
        found.append(do(n))
    except ValueError as error:
        found.append(error)
for n in range(4):
    thread = threading.Thread(target=work, args=(n,))
    thread.start()
    thread.join()
for each in found:
    if isinstance(each, Exception):
        raise each
print(found)""",
}


def define(kernel: Kernel, *bad: int) -> None:
    kernel.ok(f"bad = {set(bad)!r}{DEFINE}", "define")


@pytest.mark.parametrize("way", ALL)
def test_an_item_whose_error_left_the_cell_is_executed_again(
    kernels: Callable[..., Kernel], way: str
) -> None:
    kernel = kernels()
    define(kernel, 0)
    assert kernel.run(ALL[way], "work").error is not None
    assert kernel.value("run.steps()['handled'].tolist()").count(True) == 0
    assert set(kernel.value("run.steps()['parent'].isna().tolist()")) == {True}
    kernel.restart()
    define(kernel)
    result = kernel.ok(ALL[way], "work")
    assert result.text().endswith("[0, 1, 2, 3]\n")
    assert kernel.value("sorted(calls)")[0] == 0
    assert set(kernel.value("run.steps()['status'].tolist()")) == {"succeeded"}


CATCH = """with ThreadPoolExecutor(2) as pool:
    for future in [pool.submit(do, n) for n in range(4)]:
        print(future.exception() or future.result(), end=" ")"""


def test_a_failed_item_that_the_cell_went_on_after_is_not_executed_again(
    kernels: Callable[..., Kernel],
) -> None:
    kernel = kernels()
    define(kernel, 2)
    assert kernel.ok(CATCH, "work").text() == "0 1 item 2 3 "
    kernel.restart()
    define(kernel)
    assert kernel.ok(CATCH, "work").text() == "0 1 item 2 3 "
    assert kernel.value("calls") == []


def test_threads_that_begin_a_cells_first_steps_at_once_share_one_pass(kernel: Kernel) -> None:
    kernel.ok("import threading\nat_once = threading.Barrier(8)\nrefused = []")
    kernel.ok(
        """def call():
    at_once.wait(30)
    try:
        run.do("Same", str)
    except stepbook.errors.DuplicateStepError:
        refused.append(1)
import stepbook.errors
threads = [threading.Thread(target=call) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()"""
    )
    assert kernel.value("(len(refused), run.attempts()['status'].tolist())") == (7, ["succeeded"])


def test_only_threads_that_a_body_has_started_have_it_as_their_parent(kernel: Kernel) -> None:
    kernel.ok(
        """import threading
from concurrent.futures import ThreadPoolExecutor
inside, told = threading.Event(), threading.Event()
def background():
    inside.wait(30)
    run.do("Background", str)
    told.set()
threading.Thread(target=background).start()"""
    )
    kernel.ok(
        """def outer():
    inside.set()
    told.wait(30)
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda n: run.do(f"Part {n}", int), range(2)))
run.do("Outer", outer)"""
    )
    parents = kernel.value("dict(run.steps()[['name', 'parent']].fillna('').values.tolist())")
    assert parents == {"Outer": "", "Background": "", "Part 0": "Outer", "Part 1": "Outer"}


BETWEEN = """done = threading.Event()
def callback():
    try:
        {}
    finally:
        done.set()
_ = get_ipython().kernel.io_loop.call_later(0, callback)"""


def between_cells(kernel: Kernel, code: str) -> None:
    """Have the kernel call something when no cell is executing, as a button does."""
    kernel.ok(BETWEEN.format(code))
    # A request is answered behind what the loop was given before it.
    while not kernel.value("done.is_set()"):
        pass


def test_between_cells_each_call_is_a_pass(kernel: Kernel) -> None:
    kernel.ok("import threading\nseen, fails = [], [True]")
    kernel.ok(
        """def load():
    seen.append("executed")
    if fails[0]:
        raise ValueError("no network")
    return 7
def click():
    try:
        seen.append(run.do("Load", load))
    except ValueError as error:
        seen.append(str(error))"""
    )
    between_cells(kernel, "click(); fails[0] = False; click(); click()")
    assert kernel.value("seen") == ["executed", "no network", "executed", 7, 7]
    between_cells(kernel, "click()")
    assert kernel.value("seen[5:]") == [7]


def test_a_loop_between_cells_is_one_pass(kernel: Kernel) -> None:
    kernel.ok(
        """import stepbook, threading
seen, walked = [], []
def bad():
    seen.append("executed")
    raise ValueError("bad")
@stepbook.loop("nightly")
def nightly(event, run):
    walked.append(run)
    try:
        run.do("Bad", bad)
    except ValueError as error:
        seen.append(str(error))
    run.do("After", seen.append, "after")"""
    )
    between_cells(kernel, "nightly.trigger()")
    assert kernel.value("seen") == ["executed", "bad", "after"]
    assert kernel.value("walked[0].steps()['handled'].tolist()") == [True, False]


def test_a_step_in_a_callbacks_body_has_it_as_its_parent(kernel: Kernel) -> None:
    kernel.ok("import threading\nfrom concurrent.futures import ThreadPoolExecutor")
    kernel.ok(
        """def outer():
    run.do("Inner", int)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: run.do("In a thread", int)).result()"""
    )
    between_cells(kernel, "run.do('Outer', outer)")
    parents = kernel.value("dict(run.steps()[['name', 'parent']].fillna('').values.tolist())")
    assert parents == {"Outer": "", "Inner": "Outer", "In a thread": "Outer"}


# -- schedules by chance ---------------------------------------------------------------------------

SCHEDULES = """
import os, threading
from concurrent.futures import ThreadPoolExecutor
%load_ext stepbook
%stepbook run schedules
ignoring = run.options(on_change="ignore")  # `bad` and `dies` are changed from here
def item(name):
    with open("executed", "a") as file:
        file.write(name + "\\n")
    if name in dies:
        os.kill(os.getpid(), 9)
    if name in bad:
        raise ValueError(name)
    return name
def caught(name):
    try:
        return ignoring.do(name, item, name)
    except ValueError as error:
        return f"! {error}"
"""


@dataclass
class Schedule:
    """One cell with a pool, and a simple model of what its items are.

    Attributes:
        cell: its source.
        names: of its items.
        in_turn: whether the cell's own thread executes them, one after the other.
        leaves: whether the first failure leaves the cell.
        state: of each item: new, failed, handled or succeeded.
    """

    cell: str
    names: list[str]
    in_turn: bool
    leaves: bool
    state: dict[str, str] = field(default_factory=dict)

    def expect(self, bad: set[str]) -> tuple[set[str], list[str], bool]:
        """Walk once; return what may be executed, what is shown, and whether the cell fails."""
        executed, shown, failed = set(), [], False
        before = None
        for name in self.names:
            state = self.state.get(name, "new")
            if before is not None and self.in_turn:
                self.state[before] = "handled"  # another step began after it
                before = None
            if state in ("new", "failed"):
                executed.add(name)
                state = "failed" if name in bad else "succeeded"
                self.state[name] = state
                if state == "failed":
                    before = name
            is_error = state in ("failed", "handled")
            shown.append(f"! {name}" if is_error else name)
            if is_error and self.leaves:
                failed = True
                if self.in_turn:
                    break
        if not failed:
            for name in self.names:
                if self.state[name] == "failed":
                    self.state[name] = "handled"
        return executed, shown, failed


def schedule(number: int, chance: random.Random) -> Schedule:
    names = [f"S{number}.{n}" for n in range(chance.randint(1, 6))]
    way = chance.choice(["map", "caught", "as they are", "in turn", "in turn, caught"])
    size = chance.choice([1, 1, 2, 4])
    call = "lambda name: ignoring.do(name, item, name)"
    cell = {
        "map": f"with ThreadPoolExecutor({size}) as p:\n    print(list(p.map({call}, {names})))",
        "caught": f"with ThreadPoolExecutor({size}) as p:\n    print(list(p.map(caught, {names})))",
        "as they are": f"with ThreadPoolExecutor({size}) as p:\n"
        f"    futures = [p.submit({call}, name) for name in {names}]\n"
        "print([f'! {f.exception()}' if f.exception() else f.result() for f in futures])",
        "in turn": f"print([ignoring.do(name, item, name) for name in {names}])",
        "in turn, caught": f"print([caught(name) for name in {names}])",
    }[way]
    return Schedule(cell, names, way.startswith("in turn"), way in ("map", "in turn"))


def executed(kernel: Kernel) -> list[str]:
    """Return what was executed since the last time."""
    file = kernel.folder / "executed"
    found = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return found


def scheduled(kernel: Kernel) -> tuple[Kernel, random.Random]:
    """Prepare a kernel for schedules by a seed that a failure shows."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    kernel.ok(SCHEDULES, "define")
    return kernel, random.Random(seed)


def walk(kernel: Kernel, one: Schedule, bad: set[str]) -> None:
    """Execute a schedule's cell and compare with the model."""
    may, shown, fails = one.expect(bad)
    kernel.ok(f"bad, dies = {bad!r}, set()")
    result = kernel.run(one.cell, one.names[0])
    found = executed(kernel)
    assert len(found) == len(set(found)), one
    if fails:
        assert result.error is not None, one
        # The pool's `map` cancels what has not begun when the first failure is asked for.
        first = next(n for n, text in zip(one.names, shown, strict=False) if text.startswith("!"))
        assert result.error["evalue"] == first, one
        assert set(found) <= may, one
        for name in may - set(found):
            one.state.pop(name)
    else:
        assert result.error is None, result.traceback
        assert result.text() == f"{shown}\n", one
        assert set(found) == may, one


def test_schedules_by_chance_execute_what_a_simple_model_says(
    kernels: Callable[..., Kernel],
) -> None:
    kernel, chance = scheduled(kernels())
    for number in range(120):
        one = schedule(number, chance)
        for _ in range(3):
            walk(kernel, one, {n for n in one.names if chance.random() < 0.3})


def test_after_a_kill_what_had_failed_or_had_not_ended_is_executed_again(
    kernels: Callable[..., Kernel],
) -> None:
    kernel, chance = scheduled(kernels())
    for number in range(8):
        one = schedule(number, chance)
        bad = {n for n in one.names if chance.random() < 0.3}
        if chance.random() < 0.5:
            walk(kernel, one, bad)
        may, *_ = one.expect(set())
        if not may:
            continue
        killed = chance.choice(sorted(may))
        kernel.ok(f"bad, dies = set(), {{{killed!r}}}")
        kernel.send(one.cell, one.names[0])
        kernel.manager.provisioner.process.wait(60)
        begun = set(executed(kernel))
        assert killed in begun <= may, one
        kernel.restart()
        kernel.ok(SCHEDULES, "define")
        ended = set(kernel.value("run.steps().query('status == \"succeeded\"')['name'].tolist()"))
        assert killed not in ended, one
        for name in may - ended:
            one.state[name] = "new"
        walk(kernel, one, set())

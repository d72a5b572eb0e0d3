"""A process that is killed at random moments, again and again, loses nothing that it was told."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

import stepbook

#: In several processes, as in CI, they would take two minutes.
KILLS = 110 if "PYTEST_XDIST_WORKER" in os.environ else 220
STEPS = 50

# Forks a fresh child for each line of its input: real processes, without 200 starts of Python.
# It opens no book itself, so that a child inherits nothing.
NURSERY = """
import os, sys
import duckdb, pandas, stepbook

path, witness, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
pandas.DataFrame({"warm": [1]})


def work(key, look):
    file = os.open(witness, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(*words):
        os.write(file, (" ".join(map(str, words)) + "\\n").encode())

    def body(i):
        tell("exec", key, i)
        return {"square": i * i}

    run = stepbook.connect(path).run("crash", key=key)
    if look:
        frame = run.steps()
        for name in frame[frame["status"] == "succeeded"]["name"]:
            tell("seen", key, name)
    for i in range(steps):
        assert run.do(str(i), body, i) == {"square": i * i}
        tell("ack", key, i)
    run.finish(steps)
    tell("finished", key, steps)


for line in sys.stdin:
    key, look = line.split()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(key, look == "look")
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    print(pid, flush=True)
    sys.stdin.readline()  # not reaped before: until then the pid is the child's
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.fixture
def nursery(tmp_path, path):
    script = tmp_path / "nursery.py"
    script.write_text(NURSERY)
    witness = tmp_path / "witness"
    with subprocess.Popen(
        [sys.executable, script, path, witness, str(STEPS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "errors").open("w"),
        text=True,
        bufsize=1,
    ) as process:
        yield process, witness
        process.stdin.close()
        process.wait(timeout=60)


def birth(process, key: str, *, look: bool) -> int:
    process.stdin.write(f"{key} {'look' if look else 'work'}\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def death(process) -> int:
    process.stdin.write("reap\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def test_a_killed_process_loses_no_acknowledged_step_and_repeats_no_succeeded_one(
    nursery, path, tmp_path
):
    process, witness = nursery
    seed = int(os.environ.get("STEPBOOK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)

    birth(process, "calibration", look=False)
    assert death(process) == 0, (tmp_path / "errors").read_text()
    began = time.monotonic()
    birth(process, "calibration", look=True)
    assert death(process) == 0, (tmp_path / "errors").read_text()
    whole = time.monotonic() - began

    kills = rounds = 0
    while kills < KILLS:
        rounds += 1
        for attempt in range(1000):
            # Mostly within one pass; the later attempts live longer, so that a run ends.
            life = chance.uniform(0, whole * (1 + attempt / 10))
            pid = birth(process, f"r{rounds}", look=chance.random() < 0.3)
            time.sleep(life)
            os.kill(pid, signal.SIGKILL)
            status = death(process)
            assert status in (0, signal.SIGKILL), (tmp_path / "errors").read_text()
            if status == 0:
                break
            kills += 1

    check_witness(witness.read_text().splitlines())
    check_tables(path, rounds)
    print(f"{kills} kills in {rounds} runs")


def check_witness(lines: list[str]) -> None:
    recorded: set[tuple[str, str]] = set()
    executions: Counter[tuple[str, str]] = Counter()
    for line in lines:
        word, key, name = line.split()
        if word == "exec":
            assert (key, name) not in recorded, f"step {name} of {key} was executed again"
            executions[key, name] += 1
        elif word in ("ack", "seen"):
            recorded.add((key, name))
    assert len({key for key, _ in executions}) * STEPS == len(executions)


def check_tables(path, rounds: int) -> None:
    book = stepbook.connect(path)
    runs = book.runs()
    assert list(runs["status"].unique()) == ["succeeded"]
    assert sorted(runs["key"]) == sorted(["calibration", *(f"r{n + 1}" for n in range(rounds))])
    assert list(runs["output"].unique()) == [STEPS]
    steps = book.steps(parse=True)
    assert len(steps) == STEPS * len(runs)
    assert (steps["status"] == "succeeded").all()
    for name, value in zip(steps["name"], steps["return"], strict=True):
        assert value == {"square": int(name) ** 2}
    attempts = book.attempts(parse=True)
    for (_, name), group in attempts.groupby(["run_id", "name"]):
        assert list(group["attempt"]) == list(range(1, len(group) + 1)), name
        assert list(group["status"]) == ["failed"] * (len(group) - 1) + ["succeeded"]
        assert {error["type"] for error in group["error"][:-1]} <= {"Interrupted"}
    assert not list((path.parent / (path.name + ".d") / "journal").iterdir())
    book.close()

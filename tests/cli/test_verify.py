"""``stepbook verify``: code executed once more beside its record, and what is said of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import nbformat
import pexpect
import pytest
from rich.cells import cell_len

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.by_turns(0.4)

OPEN = "%load_ext stepbook\n%stepbook run review --input dict(pid=1)"


class Project:
    """A folder with notebooks and a book, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.book = folder / "stepbook.duckdb"

    def write(self, *cells: str, name: str = "review.ipynb", kernel: str | None = None) -> None:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        if kernel is not None:
            notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel}
        nbformat.write(notebook, self.folder / name)

    def call(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stepbook", *words],
            cwd=self.folder,
            env={**os.environ, "STEPBOOK_BOOK": str(self.book), **env},
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )

    def record(self, *cells: str, code: int = 0) -> None:
        """Record a notebook."""
        self.write(*cells)
        done = self.call("run", "review.ipynb")
        assert done.returncode == code, done.stdout + done.stderr

    def verify(self, *words: str, code: int, **env: str) -> dict[str, Any]:
        """Return what the command says to programs of the one run that it compares."""
        done = self.call("verify", *words, "--json", **env)
        assert done.returncode == code, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert found["same"] is (code == 0)
        (run,) = found["runs"]
        return {"run": run["run"], **{step["name"]: step for step in run["steps"]}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("STEPBOOK_BOOK", "STEPBOOK_STABLE_REPR", "FORCE_COLOR", "STEPBOOK_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    return Project(tmp_path)


def told(step: dict[str, Any]) -> list[str]:
    return [f"{d['part']}{d['where']}: {d['text']}" for d in step["differences"]]


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a book with its bytes, besides its locks."""
    files = [p for p in folder.rglob("*") if p.is_file() and ".duckdb" in str(p)]
    return {str(p): p.read_bytes() for p in files if "locks" not in p.parts}


# ---- notebooks ------------------------------------------------------------------------------


def test_what_comes_out_the_same_is_the_same_and_the_record_is_untouched(project: Project) -> None:
    project.record(
        OPEN,
        "import pandas as pd\nk = 3",
        "%%step Load\n"
        "df = pd.DataFrame({'Age': [22.0, None, 3.0], 'n': ['a', 'b', None]})\n"
        "print('loaded', object())\ndf",
        "%%step Clean\ndf['Age'] = df['Age'].fillna(k)\n"
        "class P: pass\np = P(); p.me = p; q = [p, {1, 'a', 2.5}, float('nan')]",
        "%stepbook finish len(df)",
    )
    project.call("runs")  # folds what is left
    before = content(project.folder)
    done = project.call("verify", "review.ipynb")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "same: 2 steps"
    assert "executed for real" in done.stdout.splitlines()[0]
    assert "\x1b" not in done.stdout
    assert content(project.folder) == before


def test_random_numbers_differ_name_the_variable_and_say_why(project: Project) -> None:
    project.record(
        OPEN,
        "%%step Draw\nimport random\nx = random.random()",
        "%%step Steady\ny = 1",
        "%%step Use\nz = x > 2; w = x",
    )
    found = project.verify("review.ipynb", code=1)
    assert found["Draw"]["verdict"] == "differs"
    (only,) = told(found["Draw"])
    assert only.startswith("variable x: recorded: 0.")
    assert ", now: 0." in only
    assert found["Draw"]["notes"] == [
        "it draws random numbers, which differ each time unless you set a seed"
    ]
    assert found["Steady"]["verdict"] == "same"
    assert [d["part"] for d in found["Use"]["differences"]] == ["variable w"]


def test_a_table_that_differs_names_the_column_the_row_and_both_values(project: Project) -> None:
    cell = "%%step Load\nimport pandas as pd\ndf = pd.DataFrame({{'Age': [22.0, {}], 'n': [1, 2]}})"
    project.record(OPEN, cell.format("23.0"))
    project.write(OPEN, cell.format("24.0"))
    found = project.verify("review.ipynb", code=1)
    assert told(found["Load"]) == [
        'variable df, column "Age": 1 of 2 values differs; row 1, recorded: 23.0, now: 24.0'
    ]
    assert found["Load"]["notes"] == ["the code has changed since it was recorded"]


def test_an_edited_cell_with_the_same_result_is_the_same_and_noted(project: Project) -> None:
    project.record(OPEN, "%%step A\nx = 1 + 1")
    project.write(OPEN, "%%step A\nx = 2")
    found = project.verify("review.ipynb", code=0)
    assert found["A"]["notes"] == ["the code has changed since it was recorded"]


def test_a_plain_cell_that_changes_a_result_is_found_at_the_step(project: Project) -> None:
    project.record("limit = 3", OPEN, "%%step A\nx = limit + 1")
    project.write("limit = 4", OPEN, "%%step A\nx = limit + 1")
    assert told(project.verify("review.ipynb", code=1)["A"]) == ["variable x: recorded: 4, now: 5"]


def test_steps_of_only_one_side_are_named_in_their_place(project: Project) -> None:
    project.record(OPEN, "%%step A\na = 1", "%%step B\nb = 1", "%%step C\nc = 1")
    project.write(OPEN, "%%step A\na = 1", "%%step New\nn = 1", "%%step C\nc = 1")
    found = project.verify("review.ipynb", code=1)
    del found["run"]
    assert {name: step["verdict"] for name, step in found.items()} == {
        "A": "same",
        "New": "not recorded",
        "B": "not executed",
        "C": "same",
    }


def test_a_failure_that_is_recorded_and_comes_again_is_the_same(project: Project) -> None:
    cells = OPEN, "%%step A\nprint('so far')\nraise ValueError('no ' + repr(object()))"
    project.record(*cells, code=1)
    assert project.verify("review.ipynb", code=0)["A"]["verdict"] == "same"


def test_a_step_that_fails_now_is_named_with_its_error_and_stops_the_rest(project: Project) -> None:
    (project.folder / "data").touch()
    project.record(OPEN, "%%step A\nopen('data').close()", "%%step B\nx = 1")
    (project.folder / "data").unlink()
    found = project.verify("review.ipynb", code=1)
    (only,) = told(found["A"])
    assert "recorded: succeeded, now: failed with FileNotFoundError" in only
    assert found["B"]["verdict"] == "not executed"


def test_what_cannot_be_stored_is_named_and_is_no_difference(project: Project) -> None:
    project.record(OPEN, "%%step A\nimport os\nfile = open(os.devnull)\nx = 1")
    found = project.verify("review.ipynb", code=0)
    (only,) = found["A"]["not_compared"]
    assert only["part"] == "variable file"
    assert "cannot be stored" in only["text"]


def test_output_differs_by_its_first_line_and_can_be_left_out(project: Project) -> None:
    project.record(OPEN, "%%step A\nimport os\nprint('one')\nprint(os.getpid())")
    (only,) = told(project.verify("review.ipynb", code=1)["A"])
    assert only.startswith("output: line 2, recorded: '")
    project.verify("review.ipynb", "--ignore-output", code=0)


def test_a_kernel_that_dies_is_said_and_the_step_has_no_end(project: Project) -> None:
    cell = "%%step A\nimport os\nif os.path.exists('die'): os.kill(os.getpid(), 9)"
    project.record(OPEN, "%%step First\na = 1", cell, "%%step B\nx = 1")
    (project.folder / "die").touch()
    done = project.call("verify", "review.ipynb")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "The kernel died" in done.stdout
    assert "recorded: succeeded, now: did not finish" in done.stdout
    assert "✓ First  same" in done.stdout


def test_the_run_that_a_notebook_opens_by_its_input_is_the_one_compared(project: Project) -> None:
    cells = ("x = 1", "%%step A\ny = x")
    project.write(*cells)
    notebook = nbformat.read(project.folder / "review.ipynb", 4)
    notebook.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, project.folder / "review.ipynb")
    for x in (5, 6):
        project.call("run", "review.ipynb", "--input", json.dumps({"x": x}))
    first = json.loads(project.call("runs", "--format", "json").stdout)[1]["id"]
    assert project.verify("review.ipynb", "--input", '{"x": 5}', code=0)["run"] == first
    assert project.verify("review.ipynb", first, code=0)["run"] == first  # with its input


def test_the_same_idempotency_key_is_sent_again(project: Project) -> None:
    project.record(
        OPEN, "%%step Send\nimport stepbook\nkey = stepbook.context().idempotency_key", "run.id"
    )
    project.verify("review.ipynb", code=0)


def test_processes_that_the_code_starts_leave_the_record_alone_too(project: Project) -> None:
    project.record(
        OPEN,
        "%%step A\nimport stepbook, subprocess, sys\n"
        'code = \'import stepbook; stepbook.run("inner", new=True).do("s", int)\'\n'
        "done = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)\n"
        "done = done.returncode",
    )
    assert len(json.loads(project.call("runs", "--format", "json").stdout)) == 2
    done = project.call("verify", "review.ipynb")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads(project.call("runs", "--format", "json").stdout)) == 2


# ---- what cannot be verified ----------------------------------------------------------------


def test_nothing_recorded_is_said_before_a_step_is_executed(project: Project) -> None:
    project.write(OPEN, "%%step A\nopen('effect', 'w').close()")
    done = project.call("verify", "review.ipynb")
    assert done.returncode == 2
    assert "nothing is recorded of the loop 'review'" in done.stderr
    assert not (project.folder / "effect").exists()
    assert not project.book.exists()


def test_a_missing_kernel_is_one_line(project: Project) -> None:
    project.write(OPEN, kernel="no-such-kernel")
    done = project.call("verify", "review.ipynb")
    assert done.returncode == 2
    assert "asks for the kernel 'no-such-kernel', which is not installed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nowhere.ipynb"], "there is no file"),
        (["no-loop"], "there is no book"),
        (["review.ipynb", "--input", '{"a-b": 1}'], "'a-b' is no name of a variable"),
        (["loop.py"], "which run?"),
        (["a", "b"], "is no notebook"),
        (["broken.ipynb"], "is not a notebook"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_2(
    project: Project, words: list[str], why: str
) -> None:
    (project.folder / "loop.py").touch()
    (project.folder / "broken.ipynb").write_text("{")
    done = project.call("verify", *words)
    assert done.returncode == 2
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("cell", "why"), [("x = 1", "has opened no run"), (OPEN, "has a step")])
def test_a_notebook_without_a_step_is_2(project: Project, cell: str, why: str) -> None:
    project.record(cell)
    done = project.call("verify", "review.ipynb")
    assert done.returncode == 2
    assert why in done.stderr


def test_a_damaged_book_is_2_and_stays_as_it_is(project: Project) -> None:
    project.record(OPEN, "%%step A\nx = 1")
    project.call("runs")
    project.book.write_bytes(b"no database" * 1000)
    before = content(project.folder)
    done = project.call("verify", "review.ipynb")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"stepbook: {project.book} is not a " in done.stderr
    assert content(project.folder) == before


def test_a_value_whose_file_is_gone_is_not_compared(project: Project) -> None:
    cell = "%%step A\nimport numpy as np\na = np.arange(20_000) + {}"
    project.record(OPEN, cell.format(0))
    for file in (project.folder / "stepbook.duckdb.d" / "artifacts").iterdir():
        file.unlink()
    project.write(OPEN, cell.format(1))
    found = project.verify("review.ipynb", code=0)
    assert "cannot be read" in found["A"]["not_compared"][0]["text"]


def test_a_verification_inside_of_a_verification_does_nothing(project: Project) -> None:
    project.record(
        OPEN,
        "%%step A\nx = 1",
        "import subprocess, sys, os",
        "%%step B\n"
        "code, words = None, [sys.executable, '-m', 'stepbook', 'verify', 'review.ipynb']\n"
        "if os.environ.get('STEPBOOK_VERIFY'):\n"
        "    code = subprocess.run(words, capture_output=True, timeout=30).returncode",
    )
    assert told(project.verify("review.ipynb", code=1)["B"]) == [
        "variable code: recorded: null, now: 2"
    ]


def left_behind(folder: Path) -> list[str]:
    """What verifications have left in their folder for temporary files."""
    return [p.name for p in folder.iterdir() if p.name.startswith("stepbook-")]


def test_a_run_of_another_loop_is_refused_before_anything_is_executed(project: Project) -> None:
    project.record(OPEN, "open('effect', 'w').close()", "%%step A\nx = 1")
    (project.folder / "effect").unlink()
    other = "import stepbook\nstepbook.run('nightly').do('B', int)\n"
    (project.folder / "other.py").write_text(other)
    env = {**os.environ, "STEPBOOK_BOOK": str(project.book)}
    subprocess.run([sys.executable, "other.py"], cwd=project.folder, env=env, check=True)
    for words in (["review.ipynb", "nightly"], ["review", "--file", "other.py"]):
        done = project.call("verify", *words)
        assert done.returncode == 2
        assert "is a run of the loop" in done.stderr
        assert "Nothing was executed." in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (project.folder / "effect").exists()


def test_a_run_with_another_key_is_refused_where_the_notebook_opens_its_own(
    project: Project,
) -> None:
    """Whatever the cell makes of the error, and whatever its tags: nothing is executed after."""
    cell = (
        "try:\n    import stepbook; run = stepbook.run('review', input={})\n"
        "except Exception:\n    pass\nopen('effect', 'w').close()"
    )
    project.record(cell.format(1), "%%step A\nx = 1")
    (project.folder / "effect").unlink()
    project.write(cell.format(2), "%%step A\nx = 1")
    notebook = nbformat.read(project.folder / "review.ipynb", 4)
    notebook.cells[0].metadata["tags"] = ["raises-exception"]
    nbformat.write(notebook, project.folder / "review.ipynb")
    done = project.call("verify", "review.ipynb", "review")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "is a run with the key 1, but the code opens one with the key 2" in done.stderr
    assert "A  " not in done.stdout
    assert not (project.folder / "effect").exists()


def test_an_input_that_the_notebook_does_not_take_is_said(project: Project) -> None:
    project.record(OPEN, "%%step A\nx = 1")
    for command in ("verify", "run"):
        done = project.call(command, "review.ipynb", "--input", '{"pid": 7}')
        assert done.returncode == 0
        assert "--input is not the input of the run" in done.stderr
    project.record("%load_ext stepbook\n%stepbook run review", "%%step A\nx = 1")
    done = project.call("verify", "review.ipynb", "--input", "null")
    assert "--input" not in done.stderr


def test_a_book_in_memory_is_said(project: Project) -> None:
    project.write("%load_ext stepbook\n%stepbook run review --book :memory:", "%%step A\nx = 1")
    done = project.call("verify", "review.ipynb")
    assert done.returncode == 2
    assert "review.ipynb records 'review' in memory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


SLOW = (
    "import os, time\nif os.path.exists('slow'):\n"
    "    try:\n        open('at work', 'w').write(str(os.getpid()))\n"
    "        for _ in range(600): time.sleep(0.1)\n"
    "    finally:\n        open('cleaned up', 'w').close()"
)


@pytest.mark.parametrize("source", ["review.ipynb", "loop.py"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_code_and_leaves_nothing_behind(
    project: Project, source: str, number: signal.Signals
) -> None:
    indented = SLOW.replace("\n", "\n        ")
    (project.folder / "loop.py").write_text(
        "import stepbook\n@stepbook.loop('loop')\ndef loop(event, step):\n    def body():\n"
        f"        {indented}\n    step.do('A', body)\n"
        "if __name__ == '__main__': loop.trigger()\n"
    )
    if source == "loop.py":
        env = {**os.environ, "STEPBOOK_BOOK": str(project.book)}
        subprocess.run([sys.executable, source], cwd=project.folder, env=env, check=True)
    else:
        project.record(OPEN, f"%%step A\n{SLOW}")
    (project.folder / "slow").touch()
    temporary = project.folder / "temporary"
    temporary.mkdir()
    words = [source] if source.endswith(".ipynb") else ["loop", "--file", source]
    child = subprocess.Popen(
        [sys.executable, "-m", "stepbook", "verify", *words, "--json"], cwd=project.folder,
        env={**os.environ, "STEPBOOK_BOOK": str(project.book), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    at_work = project.folder / "at work"
    ends = time.monotonic() + 120
    while not (at_work.exists() and at_work.read_text()):
        assert time.monotonic() < ends
        assert child.poll() is None
        time.sleep(0.02)
    assert left_behind(temporary) != []
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 128 + number
    assert out == ""
    word = "interrupted" if number == signal.SIGINT else "terminated"
    assert err.splitlines()[-1] == f"stepbook: {word}"
    assert "Traceback" not in err
    assert left_behind(temporary) == []
    assert (project.folder / "cleaned up").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(at_work.read_text()), 0)


# ---- loops ----------------------------------------------------------------------------------

LOOP = """
import sys, threading, time
from dataclasses import dataclass

import stepbook


@dataclass
class Profile:
    region: str


def load(pid) -> Profile:
    return Profile(open("region").read())


@stepbook.loop("health-review")
def health_review(event, step):
    profile = step.do("Load", load, event.body["pid"])
    step.sleep("Cool down", "0.2 s")
    step.do("Order", lambda ctx: ctx.scan.create(expires_in="1 hour", metadata={"a": 1}))
    scan = step.wait_for_scan(timeout="1 minute")
    try:
        step.wait_for_scan(name="Archive", timeout="0.2 s")
        archived = True
    except stepbook.ScanTimeout:
        archived = False
    late = step.wait_for_scan(name="Late", timeout="0.2 s", default="none")
    try:
        step.wait_for_scan(name="Broken", timeout="1 minute")
    except stepbook.ScanFailed as error:
        why = str(error)
    return {"scan": scan, "region": profile.region, "archived": archived, "late": late, "why": why}


if __name__ == "__main__":
    book = stepbook.connect()

    def deliver():
        for name, how in (("Wait for scan", {"payload": {"g": 97}}), ("Broken", {"error": "off"})):
            while True:
                try:
                    run = book.get(book.runs().iloc[0]["id"])
                    if any(run.steps()["name"] == name):
                        break
                except (stepbook.StepbookError, IndexError):
                    pass
                time.sleep(0.05)
            book.deliver_scan(run.id, how.get("payload"), name=name, error=how.get("error"))

    threading.Thread(target=deliver, daemon=True).start()
    health_review.trigger({"pid": 3})
"""


@pytest.fixture
def loop(project: Project) -> Project:
    (project.folder / "loop.py").write_text(LOOP)
    (project.folder / "region").write_text("north")
    env = {**os.environ, "STEPBOOK_BOOK": str(project.book)}
    done = subprocess.run(
        [sys.executable, "loop.py"], cwd=project.folder, env=env, timeout=60, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return project


@pytest.mark.parametrize("source", ["loop.py", "loop", "loop:health_review"])
def test_a_loop_is_repeated_with_what_it_had_waited_for(loop: Project, source: str) -> None:
    found = loop.verify("health-review", "--file", source, code=0)
    del found["run"]
    assert {step["verdict"] for step in found.values()} == {"same"}
    assert list(found) == [
        "Load", "Cool down", "Order", "Wait for scan", "Archive", "Late", "Broken"
    ]  # fmt: skip


def test_a_loop_that_reads_other_data_differs_in_its_step_and_its_output(loop: Project) -> None:
    (loop.folder / "region").write_text("south")
    found = loop.verify("health-review", "--file", "loop.py", code=1)
    assert told(found["Load"]) == ["value.region: recorded: 'north', now: 'south'"]
    assert told(found[None]) == ["output of the run['region']: recorded: 'north', now: 'south'"]


@pytest.mark.parametrize(
    ("source", "why", "traced"),
    [
        ("empty.py", "empty.py has no loop and opens no run. Nothing was executed.", 0),
        ("other.py", "other.py opens 'other'. Nothing was executed.", 0),
        ("nowhere:loop", "there is no module nowhere.", 0),
        ("loop:nothing", "the module has no loop called nothing. It has 'health-review'.", 0),
        ("hidden.py", "hidden.py has no loop 'health-review'; it has none at all.", 0),
        ("broken.py", "has opened no run: it ended with SyntaxError", 4),
        ("failing.py", "has opened no run: it ended with ZeroDivisionError", 5),
    ],
)
def test_a_wrong_file_is_one_clear_line_without_frames_of_stepbook(
    loop: Project, source: str, why: str, traced: int
) -> None:
    loop.folder.joinpath("empty.py").write_text("x = 1\n")
    loop.folder.joinpath("other.py").write_text("import stepbook\nstepbook.run('other')\n")
    loop.folder.joinpath("hidden.py").write_text("exec('x = 1')\n")
    loop.folder.joinpath("broken.py").write_text("x = = 1\n")
    loop.folder.joinpath("failing.py").write_text("import loop\n1 / 0\n")
    done = loop.call("verify", "health-review", "--file", source)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert why in lines[-1]
    assert len(lines) <= 1 + traced
    assert "stepbook/" not in done.stderr.replace(str(loop.folder), "")


def test_a_file_that_a_step_writes_differs_by_its_name_size_and_hash(project: Project) -> None:
    cell = (
        "%%step A\nimport stepbook\nctx = stepbook.context()\n"
        "for name in {}:\n    ctx.file(name).write_text({!r})\nctx.file('a.txt')"
    )
    project.record(OPEN, cell.format(["a.txt", "b.txt", "old.txt"], "abc"))
    project.write(OPEN, cell.format(["a.txt", "b.txt", "new.txt"], "abcd"))
    recorded, now = (hashlib.sha256(text).hexdigest()[:12] for text in (b"abc", b"abcd"))
    contents = f"3 bytes, SHA-256 {recorded}…", f"4 bytes, SHA-256 {now}…"
    found = told(project.verify("review.ipynb", code=1)["A"])
    assert [line for line in found if line.startswith("value")] == [
        "value: recorded: a.txt ({}), now: a.txt ({})".format(*contents),
        "value, file b.txt: recorded: {}, now: {}".format(*contents),
        "value, file old.txt: in the record, but missing now",
        "value, file new.txt: new, not in the record",
    ]


def test_a_file_that_only_the_book_names_is_not_executed(loop: Project) -> None:
    done = loop.call("verify", "health-review")
    assert done.returncode == 2
    assert "is not executed because a book names it" in done.stderr
    assert f"--file {loop.folder / 'loop.py'}" in done.stderr


def test_a_wait_without_an_end_in_the_record_is_not_waited_for(project: Project) -> None:
    project.write(OPEN, "%%step A\nx = 1", "%%step Wait\nrun.wait_for_scan()")
    env = {**os.environ, "STEPBOOK_BOOK": str(project.book)}
    words = [sys.executable, "-m", "stepbook", "run", "review.ipynb"]
    child = subprocess.Popen(words, cwd=project.folder, env=env, stdout=subprocess.PIPE, text=True)
    import stepbook

    book = stepbook.connect(project.book)
    while not (book.path.exists() and "Wait for scan" in _names(book)):
        assert child.poll() is None
    child.kill()
    child.wait()
    found = project.verify("review.ipynb", code=0)
    assert found["A"]["verdict"] == "same"
    assert found["Wait for scan"]["verdict"] == "not compared"


def _names(book: Any) -> list[str]:
    import stepbook

    try:
        return list(book.get("review").steps()["name"])
    except stepbook.StepbookError:
        return []


# ---- terminals ------------------------------------------------------------------------------

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def on_terminal(project: Project, columns: int, *words: str) -> pexpect.spawn[str]:
    env = {**os.environ, "STEPBOOK_BOOK": str(project.book), "TERM": "xterm-256color"}
    env.pop("COLUMNS", None)
    command = ["-m", "stepbook", "verify", *words]
    child: pexpect.spawn[str] = pexpect.spawn(
        sys.executable, command, cwd=str(project.folder), env=env, encoding="utf-8",
        dimensions=(40, columns), timeout=60,
    )  # fmt: skip
    return child


def test_on_a_narrow_terminal_every_line_fits_and_steps_that_are_the_same_are_counted(
    project: Project,
) -> None:
    name = "A step with a name that is longer than a narrow terminal is wide"
    project.record(
        OPEN,
        "for i in range(20): run.do(f'Item {i}', int, i)",
        f"%%step {name}\nimport random\nx = [random.random() for _ in range(9)]",
        "%%step Same\ny = 1",
    )
    child = on_terminal(project, 44, "review.ipynb")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    report = ANSI.sub("", child.before or "").replace("\r\n", "\n").split("\n\n", 1)[1]
    assert [line for line in report.splitlines() if cell_len(line) > 44] == []
    assert "⋮ 20 steps, all the same" in report
    assert "≠ A step with" in report
    assert "and 4 more differences; --json lists all" in " ".join(report.split()).replace("│ ", "")


def test_a_file_that_the_book_names_is_executed_when_the_person_agrees(loop: Project) -> None:
    for answer, words, code in (("n", "nothing was executed", 2), ("y", "same: 7 steps", 0)):
        child = on_terminal(loop, 100, "health-review")
        child.expect_exact("Execute that file?")
        child.sendline(answer)
        child.expect_exact(words)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == code


def test_ctrl_c_on_a_terminal_stops_with_one_plain_line(project: Project) -> None:
    project.record(OPEN, "%%step First\na = 1", f"%%step A\n{SLOW}")
    (project.folder / "slow").touch()
    child = on_terminal(project, 100, "review.ipynb")
    child.expect_exact("[3/3]")
    # A kernel that has not begun with a cell ignores interrupts.
    ends = time.monotonic() + 60
    while not (project.folder / "at work").exists():
        assert time.monotonic() < ends
        time.sleep(0.02)
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    lines = ANSI.sub("", child.before or "").split()
    assert lines[-2:] == ["stepbook:", "interrupted"]
    assert "differs" not in lines


def test_the_kernel_works_where_it_is_told_to(project: Project) -> None:
    project.record(OPEN, "%%step A\nimport os\nfound = os.path.exists('data')")
    (project.folder / "other").mkdir()
    (project.folder / "other" / "data").touch()
    found = project.verify("review.ipynb", "--folder", "other", code=1)
    assert told(found["A"])[0] == "variable found: recorded: false, now: true"

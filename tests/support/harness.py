"""Kill any notebook at a random cell, run it again, and compare with an undisturbed run.

``test_kills.py`` does so once with each notebook of ``varied.py``. As a program, with any notebooks
and more often: ``python tests/support/harness.py [NOTEBOOK.ipynb ...] [--kills N] [--seed S]``.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driver import Kernel, Result
from varied import NOTEBOOKS

SETUP = "%load_ext stepbook\n%stepbook run crash"
#: What each variable is at the end, as text: by the codec where it can store it.
DESCRIBE = """
def _describe():
    import json, types
    import random
    from stepbook.notebook.memory import is_hidden as _is_own
    codec = run._opened.codec
    classes = tuple(v for v in globals().values() if isinstance(v, type))

    def text(value, deep=0):
        if isinstance(value, (type, types.FunctionType, types.ModuleType, types.CoroutineType)):
            return type(value).__name__
        if type(value).__module__.startswith("sklearn") and deep < 4:
            return {k: text(v, deep + 1) for k, v in sorted(vars(value).items())}
        if type(value).__module__.startswith("pandas") and hasattr(value, "to_json"):
            types_ = str(getattr(value, "dtypes", ""))
            return [value.to_json(orient="split", double_precision=15, date_unit="ns"), types_]
        if isinstance(value, (list, tuple)) and len(value) < 50:
            return [type(value).__name__, *(text(v, deep + 1) for v in value)]
        if isinstance(value, random.Random):
            return repr(value.getstate())
        if type(value).__name__ == "Generator":
            return repr(value.bit_generator.state)
        if type(value).__name__ == "RandomState":
            return repr(value.get_state(legacy=False))
        try:
            return codec.encode(value, hint=classes)
        except Exception:  # whatever it is: both sides say the same
            return "not storable"

    names = [n for n in list(globals()) if not _is_own(n) and n not in ("run", "_describe")]
    print(json.dumps({n: text(globals()[n]) for n in names}))
_describe(); del _describe
"""


@dataclass
class Report:
    """What killing a notebook once has shown.

    Attributes:
        killed: the number of the cell at which the kernel was killed.
        after: how many seconds after that cell was sent.
        twice: the numbers of the cells of which the body was executed more than once.
        differences: what is not as in the undisturbed run.
    """

    killed: int
    after: float
    twice: list[int] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether only the killed cell was executed twice, and everything is as it would be."""
        return not self.differences and set(self.twice) <= {self.killed}

    def __str__(self) -> str:
        found = "".join(f"\n  {difference[:600]}" for difference in self.differences)
        where = f"killed at cell {self.killed} after {self.after:.3f} s"
        return f"{where}, executed twice: {self.twice}{found}"


def cells_of(text: str) -> list[str]:
    """Return the cells of a notebook, each a step of its own."""
    bodies = [body.strip("\n") for body in text.split("# %%\n")]
    # An imported module is a name of its own in no notebook: this leaves no trace in variables.
    log = '__import__("pathlib").Path("executed").open("a").write("{}\\n")'
    return [
        f"%%step cell {number}\n{log.format(number)}\n{body}" for number, body in enumerate(bodies)
    ]


def read(path: Path) -> str:
    """Return the code cells of a notebook file."""
    found = json.loads(path.read_text("utf-8"))["cells"]
    return "\n# %%\n".join("".join(c["source"]) for c in found if c["cell_type"] == "code")


def shown(result: Result) -> dict[str, Any]:
    """Return what a cell has shown, without what differs in any two executions."""
    # The kernel sends the two streams independently of each other.
    found: dict[str, Any] = {"stdout": "", "stderr": "", "displays": []}
    for output in result.outputs:
        if "data" not in output:
            found[output["name"]] += output["text"]
            continue
        data = output["data"]
        if "widget-view" in str(data) or "100%" in str(data.get("text/plain")):
            data = {"text/plain": "a progress bar, live or as text"}
        found["displays"].append(data)
    for name in ("stdout", "stderr"):
        text = re.sub(r"(?m)^[^\n]*\r(?!\n|$)", "", found[name]).replace("\r", "")
        text = re.sub(r"(?m)^.*StepbookWarning.*\n.*\n", "", text)  # is not replayed
        found[name] = re.sub(r"ipykernel_\d+|0x[0-9a-f]{8,}", "", text)
    return found


def final(kernel: Kernel) -> dict[str, Any]:
    """Return what the variables are."""
    found: dict[str, Any] = json.loads(kernel.ok(DESCRIBE).text())
    return found


def undisturbed(cells: list[str]) -> tuple[list[Any], dict[str, Any], list[float]]:
    """Run a notebook; return what each cell shows, the variables, and the seconds of each."""
    with tempfile.TemporaryDirectory() as folder:
        kernel = Kernel(Path(folder))
        try:
            kernel.ok(SETUP)
            outputs, seconds = [], []
            for cell in cells:
                began = time.perf_counter()
                outputs.append(shown(kernel.ok(cell)))
                seconds.append(time.perf_counter() - began)
            return outputs, final(kernel), seconds
        finally:
            kernel.kill()


def disturb(
    cells: list[str], expected: tuple[list[Any], dict[str, Any], list[float]], chance: random.Random
) -> Report:
    """Run a notebook, kill it at a random moment of a random cell, and run it again."""
    outputs, variables, seconds = expected
    killed = chance.randrange(len(cells))
    report = Report(killed, chance.uniform(0, 1.1 * seconds[killed]))
    with tempfile.TemporaryDirectory() as folder:
        kernel = Kernel(Path(folder))
        try:
            kernel.ok(SETUP)
            for cell in cells[: report.killed]:
                kernel.ok(cell)
            kernel.send(cells[report.killed])
            time.sleep(report.after)
            kernel.restart()
            kernel.ok(SETUP)
            for number, cell in enumerate(cells):
                found = shown(kernel.ok(cell))
                if found != outputs[number]:
                    report.differences += [
                        f"cell {number} {part} is {found[part]}, not {outputs[number][part]}"
                        for part in found
                        if found[part] != outputs[number][part]
                    ]
            now = final(kernel)
            report.differences += [
                f"{name} is {str(now.get(name))[:300]}, not {str(variables.get(name))[:300]}"
                for name in sorted(now.keys() | variables.keys())
                if now.get(name) != variables.get(name)
            ]
        finally:
            kernel.kill()
        executed = [int(line) for line in (Path(folder) / "executed").read_text().split()]
    report.twice = sorted({n for n in executed if executed.count(n) > 1})
    if set(executed) != set(range(len(cells))):
        report.differences.append(f"bodies executed: {sorted(set(executed))}")
    return report


def main() -> int:
    """Run the program; return how many kills went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    books = {str(p): read(p) for p in options.notebooks} or NOTEBOOKS
    bad = kills = repeated = 0
    for name, text in books.items():
        cells = cells_of(text)
        expected = undisturbed(cells)
        for round_ in range(options.kills):
            report = disturb(cells, expected, random.Random(f"{options.seed} {name} {round_}"))
            kills += 1
            repeated += bool(report.twice)
            bad += not report.good
            print(f"{'ok' if report.good else 'WRONG'}: {name}, {report}")
    print(f"{len(books)} notebooks, {kills} kills, {repeated} bodies executed twice, {bad} wrong")
    return bad


if __name__ == "__main__":
    sys.exit(main())

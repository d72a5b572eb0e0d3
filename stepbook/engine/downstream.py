"""Which steps have inputs that come from a step, as far as the record tells.

Cells record which attempt of which step each of their inputs comes from. ``run.do`` records its
arguments by their content alone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from ..code.verdicts import makers_of, parts_of

if TYPE_CHECKING:
    from ..model.rows import StepRow
    from ..record.ledger import State


class Downstream(NamedTuple):
    """What comes from some steps.

    Attributes:
        steps: those with inputs that do, directly or through others.
        untold: names of later steps of which it is not recorded where their inputs come from.
        told: whether it is recorded of any step of the run.
    """

    steps: list[StepRow]
    untold: list[str]
    told: bool


def of_steps(state: State, steps: list[StepRow]) -> Downstream:
    """Return what comes from *steps*, without these."""
    users = defaultdict(list)
    rows = list(state.steps.values())
    for row in rows:
        for maker in makers_of(row.fingerprint, state.run.id):
            users[maker].append(row)
    chosen = {step.name for step in steps}
    found = _reached(chosen, users)
    first = min(step.seq for step in steps)
    untold = [
        row.name
        for row in rows
        # What is nested is asked for by its outer step.
        if row.seq > first and row.parent is None and not tells(row)
        if row.name not in chosen and row.name not in found
    ]
    return Downstream([r for r in rows if r.name in found], untold, any(map(tells, rows)))


def _reached(chosen: set[str], users: dict[str, list[StepRow]]) -> set[str]:
    found: set[str] = set()
    waiting = list(chosen)
    while waiting:
        for user in users.get(waiting.pop(), ()):
            if user.name not in found and user.name not in chosen:
                found.add(user.name)
                waiting.append(user.name)
    return found


def tells(row: StepRow) -> bool:
    """Whether it is recorded of a step where its inputs come from."""
    parts = parts_of(row.fingerprint) if row.kind == "cell" else None
    # Earlier versions have recorded only the code of a cell.
    return parts is not None and not (row.fingerprint or "").startswith("cell:")

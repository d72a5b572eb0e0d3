"""What was measured, beside what must be reached, as one plain table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._harness import Samples


@dataclass(frozen=True)
class Goal:
    """A limit on a row's ratio, or on its value where *on* says so."""

    limit: float
    at_least: bool = False
    on: str = "ratio"

    def is_reached(self, figure: float) -> bool:
        return figure >= self.limit if self.at_least else figure <= self.limit

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}"


@dataclass(frozen=True)
class Row:
    """One figure: what it is of, its value in *unit*, and its ratio to another figure."""

    work: str
    what: str
    synced: str = ""
    value: float | None = None
    unit: str = ""
    mean: float | None = None
    p99: float | None = None
    ratio: float | None = None
    times: str = ""  # the figure that *ratio* is a multiple of
    goal: Goal | None = None
    note: str = ""  # why there is no figure

    @property
    def verdict(self) -> str:
        """Say whether the goal is reached; empty without one."""
        if self.goal is None:
            return ""
        figure = self.ratio if self.goal.on == "ratio" else self.value
        if figure is None:
            return "NOT MEASURED"
        return "reached" if self.goal.is_reached(figure) else "NOT REACHED"

    @classmethod
    def of_samples(cls, work: str, what: str, samples: Samples, **more: object) -> Row:
        """Return a row of timings."""
        figures = {"value": samples.median, "mean": samples.mean, "p99": samples.p99}
        return cls(work, what, unit="µs", **{**figures, **more})

    def as_json(self) -> dict[str, object]:
        """Return the row with its verdict, as plain values."""
        goal = None if self.goal is None else str(self.goal)
        return {**asdict(self), "goal": goal, "verdict": self.verdict}


def text(rows: Iterable[Row]) -> str:
    """Return the table."""
    head = ("work", "what", "synced", "median", "mean", "p99", "ratio", "times", "goal", "")
    lines = [head]
    seen = None
    for row in rows:
        if seen not in (None, row.work):
            lines.append(("",) * len(head))
        lines.append(_cells(row, named=row.work != seen))
        seen = row.work
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    right = {3, 4, 5, 6}  # numbers
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: Row, *, named: bool) -> tuple[str, ...]:
    return (
        row.work if named else "",
        row.what,
        row.synced,
        _quantity(row.value, row.unit),
        _quantity(row.mean, row.unit),
        _quantity(row.p99, row.unit),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        row.times if row.ratio is not None else "",
        ""
        if row.goal is None
        else str(row.goal) + (f" {row.unit}" if row.goal.on == "value" else ""),
        " ".join(filter(None, (row.verdict, row.note))),
    )


def _quantity(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "µs" and value >= 10_000:
        value, unit = value / 1000, "ms"
    return f"{value:,.{0 if value >= 100 else 1}f} {unit}"

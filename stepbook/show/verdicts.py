"""Two executions of one loop side by side, step by step: the same, or what differs.

Rows in, verdicts out. What a cell leaves is compared as the notebook then stands: a variable that
only one side has stored at a step, to be on the safe side, is compared with what the other side has
stored of it before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from json import loads
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from ..code.verdicts import code_of
from ..errors import ArtifactError
from ..model import failures
from ..model.rows import FAILED, SUCCEEDED
from ..values.nodes import TAG
from .compare import Compared, Difference, Value, compare, in_python
from .words import Contrast, contrast, counts, one_sided, texts, unstored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from ..model.rows import CellRow, RunRow, StepRow
    from ..values.codec import Codec

#: How a step compares: ``gone`` was not executed now, ``new`` is not recorded.
Kind = Literal["same", "differs", "skipped", "gone", "new"]

#: Where the variables of a cell tell of something else than a name; see ``notebook.variables``.
_GROUPS: Final = "$groups"
_AROUND: Final = "$around"
_RANDOM: Final = "$random"
#: How far numpy's generator is when nobody has drawn from it: seeded by the system, or by a number.
_FRESH: Final = (623, 624)
#: What comes of a record that is not as stepbook writes it.
_DAMAGED: Final = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    ArtifactError,
)
_ENDS: Final = {"running": "did not finish", "pending": "not executed"}
_ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]{6,}|(?<=ipykernel_)\d+(?=[\\/])")
#: Where `ctx.file` keeps what a step writes: in another book while it is verified.
_KEPT: Final = re.compile(
    r"[^\s'\"()]*\.d[\\/]artifacts[\\/](?:work[\\/]\w+[\\/][0-9a-f]{16}[\\/])?"
)
#: The message of a scan's timeout tells how long it has waited.
_WAITED: Final = re.compile(r"(?<=' in )[\d.,:]+ ?[a-zµ]+( [\d.,:]+ ?[a-z]+)?")
#: What stepbook itself tells: of times and ids.
_OWN: Final = re.compile(
    r"^(?:Waiting for scan .*\n(?:  stepbook deliver .*\n)?|stepbook: .*\n)", re.MULTILINE
)
#: Types of a display that libraries write alike each time; the others hold random ids.
_COMPARED_TYPES: Final = ("text/plain", "text/markdown", "text/latex", "image/png", "image/jpeg")


class Side(NamedTuple):
    """One execution of a loop.

    Attributes:
        run: its row.
        steps: its steps in the order they first started, with their values.
        cells: what its cells have left, by the names of the steps.
        codec: reads its values.
        unread: why the value of a step could not be read, by its name.
    """

    run: RunRow
    steps: Sequence[StepRow]
    cells: dict[str, CellRow]
    codec: Codec
    unread: dict[str, str]


class Finding(NamedTuple):
    """A part of a step, and what is to be said of it.

    Attributes:
        part: ``value``, ``variable df``, ``output``, ``error``; empty for the step as a whole.
        where: the place in it, as in ``["Age"]``.
        text: what differs, or why it was not compared.
    """

    part: str
    where: str
    text: str | Contrast

    def __str__(self) -> str:
        return f"{self.part}{self.where}: {self.text}" if self.part else str(self.text)


@dataclass(slots=True)
class Verdict:
    """How one step compares.

    Attributes:
        name: of the step; empty for the run as a whole.
        kind: how it compares.
        differences: what differs.
        skipped: what was not compared, and why.
        notes: what helps to understand it.
        more: how many further differences there are.
    """

    name: str
    kind: Kind = "same"
    differences: list[Finding] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    more: int = 0

    def take(self, part: str, found: Compared) -> None:
        """Take in how a part of the step compares."""
        self.differences += [Finding(part, *one) for one in found.differences]
        self.skipped += [Finding(part, *one) for one in found.skipped]
        self.more += found.more

    def settled(self) -> Verdict:
        """Return this, with the kind that its findings make it."""
        if self.differences:
            self.kind = "differs"
        elif not all(finding.part for finding in self.skipped):
            self.kind = "skipped"
        return self


@dataclass(frozen=True, slots=True)
class Report:
    """How two executions compare.

    Attributes:
        run: the recorded run.
        verdicts: one for each step, in the order of the record, and for the run's input and output
            where there is something to say.
    """

    run: RunRow
    verdicts: tuple[Verdict, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs; what was not compared does not count."""
        return all(verdict.kind in ("same", "skipped") for verdict in self.verdicts)


def judge(
    recorded: Side,
    now: Side,
    *,
    outputs: bool = True,
    place: Callable[[Any], str] = in_python,
) -> Report:
    """Compare two executions.

    Args:
        recorded: the one that is the measure.
        now: the other.
        outputs: whether what cells have shown counts.
        place: writes the part of a place in a value that stands for the key of a dict.
    """
    names = _Names(recorded.codec), _Names(now.codec)
    before, after = ({step.name: step for step in side.steps} for side in (recorded, now))
    verdicts: dict[str, Verdict] = {}
    for name in _in_order(before, after):
        if name not in before:
            verdicts[name] = Verdict(name, "new")
        elif name not in after:
            verdicts[name] = Verdict(name, "gone")
        else:
            pair = _Pair(before[name], recorded), _Pair(after[name], now)
            try:
                verdicts[name] = _step(pair, names, outputs=outputs, place=place)
            except _DAMAGED as error:
                why = Finding("", "", _damaged(error))
                verdicts[name] = Verdict(name, "skipped", skipped=[why])
    return Report(recorded.run, (*verdicts.values(), *_whole(recorded, now)))


def _damaged(error: Exception) -> str:
    return f"its record is damaged: {type(error).__name__}: {error}"


def _in_order(recorded: Collection[str], now: Iterable[str]) -> list[str]:
    """Return the names of the record in their order, each new one behind the one before it."""
    behind: dict[str | None, list[str]] = {None: []}
    last = None
    for name in now:
        if name in recorded:
            last = name
        else:
            behind.setdefault(last, []).append(name)
    return [*behind[None], *(n for name in recorded for n in (name, *behind.get(name, ())))]


# ---- one step -------------------------------------------------------------------------------


class _Pair(NamedTuple):
    """One side of a step."""

    step: StepRow
    side: Side

    @property
    def cell(self) -> CellRow | None:
        return self.side.cells.get(self.step.name)

    @property
    def value(self) -> Value:
        return Value(loads(self.step.value or "null"), self.side.codec)

    @property
    def outputs(self) -> Any:
        cell = self.cell
        text = None if cell is None else cell.outputs
        return [] if text is None else self.side.codec.decode(text, where=self.step.name)


def _step(
    pair: tuple[_Pair, _Pair],
    names: tuple[_Names, _Names],
    *,
    outputs: bool,
    place: Callable[[Any], str],
) -> Verdict:
    recorded, now = pair
    verdict = Verdict(recorded.step.name)
    before, after = code_of(recorded.step.fingerprint), code_of(now.step.fingerprint)
    if before and after and before != after:
        verdict.notes.append("the code has changed since it was recorded")
    drawn = _variables(verdict, pair, names, place)
    if recorded.step.status not in (SUCCEEDED, FAILED):
        why = "nothing to compare with: the recorded step did not finish, or is to run again"
        verdict.skipped.append(Finding("", "", why))
    elif recorded.step.status != now.step.status or now.step.status == FAILED:
        _ends(verdict, recorded.step, now.step)
    elif recorded.step.executes_again or now.step.executes_again:
        verdict.skipped.append(Finding("value", "", unstored(recorded.step.policy)))
    else:
        _value(verdict, pair, place)
    # With too little room for its value there may have been none for what it has shown.
    if outputs and not any(one.step.executes_again and not one.outputs for one in pair):
        _outputs(verdict, *pair)
    if verdict.differences and drawn:
        verdict.notes.append(
            "it draws random numbers, which differ each time unless you set a seed"
        )
    return verdict.settled()


def _value(verdict: Verdict, pair: tuple[_Pair, _Pair], place: Callable[[Any], str]) -> None:
    recorded, now = pair
    unread = [one.side.unread[one.step.name] for one in pair if one.step.name in one.side.unread]
    if unread:
        verdict.skipped.append(Finding("value", "", unread[0]))
    elif recorded.step.value != now.step.value:
        verdict.take("value", compare(recorded.value, now.value, place))


def _ends(verdict: Verdict, recorded: StepRow, now: StepRow) -> None:
    """Compare how two steps have ended, at least one of which has not succeeded."""
    errors = [failures.read(row.error) if row.error else None for row in (recorded, now)]
    told = [
        _ENDS.get(row.status, row.status)
        if error is None
        else f"failed with {failures.summary(error)}"
        for row, error in zip((recorded, now), errors, strict=True)
    ]
    before, after = errors
    same = recorded.status == now.status
    if same and before is not None and after is not None:
        same = _bare(before) == _bare(after)
        if same:
            same = _calm(str(before.get("message"))) == _calm(str(after.get("message")))
    if not same:
        verdict.differences.append(Finding("", "", contrast(*told)))


def _bare(error: dict[str, Any]) -> str:
    """Return the name of an error's class; the module that is executed may have another name."""
    return str(error.get("type")).rpartition(".")[2]


# ---- variables ------------------------------------------------------------------------------


class _Names:
    """The variables of one side, as its cells have stored them so far."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._known: dict[str, dict[str, Any]] = {}
        self.drawn: dict[str, Any] = {}

    def take(self, cell: CellRow | None) -> list[str]:
        """Take in what a cell has left; return the names of it."""
        entries = loads((cell and cell.variables) or "{}")
        self.drawn = _drawn(entries.pop(_RANDOM, None))
        around = entries.pop(_AROUND, None)
        groups = entries.pop(_GROUPS, [])
        found = {n: e for n, e in entries.items() if not n.startswith("$")}
        for group in groups:
            whole = group["value"]
            for name in group["names"]:
                if TAG in whole:  # the whole could not be stored
                    found[name] = {"missing": whole.get("why", "it cannot be stored")}
                else:
                    found[name] = {"value": whole[name], "graph": whole}
        if isinstance(around, dict):
            for room, settings in around.items():
                if isinstance(settings, dict):
                    found |= {f"{room}.{n} (a setting)": {"value": v} for n, v in settings.items()}
        self._known |= found
        return list(found)

    def entry(self, name: str) -> dict[str, Any] | None:
        return self._known.get(name)

    def value(self, entry: dict[str, Any]) -> Value:
        node = entry["value"] if "value" in entry else entry.get("class", entry)
        return Value(node, self._codec, entry.get("graph"))


def _drawn(states: Any) -> dict[str, Any]:
    """Return the states of the generators from which a cell has drawn.

    That of numpy is recorded when it is imported, too; before the first draw it is at its end.
    """
    found = dict(states) if isinstance(states, dict) else {}
    numpy = found.get("numpy")
    state = numpy.get("state") if isinstance(numpy, dict) else None
    if isinstance(state, dict) and state.get("pos") in _FRESH:
        del found["numpy"]
    return found


def _variables(
    verdict: Verdict,
    pair: tuple[_Pair, _Pair],
    names: tuple[_Names, _Names],
    place: Callable[[Any], str],
) -> bool:
    """Compare what two cells have left; return whether random numbers were drawn otherwise."""
    before, after = names
    changed = [side.take(one.cell) for side, one in zip(names, pair, strict=True)]
    if any(one.step.status != SUCCEEDED or one.step.executes_again for one in pair):
        return False
    for name in dict.fromkeys([*changed[0], *changed[1]]):
        part = f"variable {name}"
        recorded, now = before.entry(name), after.entry(name)
        if recorded is None or now is None:
            if name.endswith(" (a setting)"):
                continue  # set before, elsewhere: nothing is known of the other side
            text = one_sided("", is_new=recorded is None)
            verdict.differences.append(Finding(part, "", text))
        elif "missing" in recorded or "missing" in now:
            why = recorded.get("missing") or now.get("missing")
            verdict.skipped.append(Finding(part, "", str(why)))
        elif ("deleted" in recorded) != ("deleted" in now):
            words = ["deleted" if "deleted" in entry else "defined" for entry in (recorded, now)]
            text = contrast(*words)
            verdict.differences.append(Finding(part, "", text))
        elif recorded != now:
            verdict.take(part, compare(before.value(recorded), after.value(now), place))
    return bool(before.drawn != after.drawn)


# ---- outputs --------------------------------------------------------------------------------


def _outputs(verdict: Verdict, recorded: _Pair, now: _Pair) -> None:
    before, after = recorded.outputs, now.outputs
    for name in ("stdout", "stderr"):
        streams = [_calm(_stream(outputs, name)) for outputs in (before, after)]
        if streams[0] != streams[1]:
            part = "output" if name == "stdout" else "output to stderr"
            verdict.differences.append(Finding(part, "", texts(*streams)))
    shown = [[o for o in outputs if "data" in o] for outputs in (before, after)]
    if len(shown[0]) != len(shown[1]):
        text = counts(len(shown[0]), len(shown[1]), "display")
        verdict.differences.append(Finding("output", "", text))
        return
    for number, (left, right) in enumerate(zip(*shown, strict=True), start=1):
        part = "output" if len(shown[0]) == 1 else f"display {number}"
        verdict.differences += [Finding(part, "", text) for text in _display(left, right)]


def _stream(outputs: Any, name: str) -> str:
    found = "".join(o["text"] for o in outputs if o.get("name") == name and "text" in o)
    return _OWN.sub("", found)


def _display(recorded: dict[str, Any], now: dict[str, Any]) -> Iterator[str | Contrast]:
    before, after = recorded["data"], now["data"]
    if before.keys() != after.keys():
        yield contrast(*(" and ".join(sorted(side)) for side in (before, after)))
        return
    for kind in _COMPARED_TYPES:
        left, right = before.get(kind), after.get(kind)
        if left == right:
            continue
        if kind.startswith("image/"):
            yield f"the picture differs ({kind})"
        elif _calm(str(left)) != _calm(str(right)):
            yield texts(_calm(str(left)), _calm(str(right)))


def _calm(text: str) -> str:
    """Return a text without addresses of objects and places of files: each process has others."""
    return _WAITED.sub("…", _KEPT.sub("…/", _ADDRESS.sub("…", text)))


# ---- the run --------------------------------------------------------------------------------


def _whole(recorded: Side, now: Side) -> Iterator[Verdict]:
    """Yield what is to be said of the run itself: its input, and what it came to."""
    verdict = Verdict("")
    for part in ("input", "output"):
        left, right = getattr(recorded.run, part), getattr(now.run, part)
        if part == "output" and not recorded.run.status == now.run.status == SUCCEEDED:
            continue
        if left != right:
            try:
                before, after = (loads(text or "null") for text in (left, right))
                found = compare(Value(before, recorded.codec), Value(after, now.codec))
            except _DAMAGED as error:
                found = Compared(skipped=(Difference("", _damaged(error)),))
            verdict.take(f"{part} of the run", found)
    if verdict.differences or verdict.skipped:
        yield verdict.settled()

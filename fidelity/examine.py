"""A case from its sessions to its verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .compare import Difference, differences, is_own
from .pool import scratch
from .sessions import Seen, Session, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .cases import Case
    from .kinds import Chain
    from .pool import Pool, Scenario


@dataclass
class Verdict:
    """What a case has come to.

    Attributes:
        case: the case.
        found: what differs.
        sessions: what each compared session has shown, by its label, with what plain has shown.
    """

    case: Case
    found: list[Difference] = field(default_factory=list)
    sessions: list[tuple[str, Seen, Seen]] = field(default_factory=list)

    kinds: dict[str, str] = field(default_factory=dict)  # of the sessions, by label

    def kind_of(self, difference: Difference) -> str:
        """Return the kind of scenario in which something differs."""
        return self.kinds.get(difference.label, "replay")

    @property
    def silent(self) -> list[Difference]:
        """Return what differs without a word."""
        return [difference for difference in self.found if not difference.told]

    @property
    def holds(self) -> bool:
        """Whether the case passes."""
        return not (self.silent or (self.found and not self.case.told))


@dataclass
class _Open:
    """A case that has sessions to go."""

    verdict: Verdict
    chains: list[Chain]
    left: int
    truths: dict[tuple[bool, tuple[Turn, ...]], Seen] = field(default_factory=dict)
    seen: dict[int, list[Seen]] = field(default_factory=dict)


def examine(
    pool: Pool, cases: Iterable[Case], plan: Callable[[Case], list[Chain]]
) -> Iterator[Verdict]:
    """Run cases, several sessions at once, and give their verdicts as they are ready."""
    waiting: dict[int, tuple[_Open, Any]] = {}

    def scenarios() -> Iterator[Scenario]:
        number = 0
        for case in cases:
            chains = plan(case)
            # In the order of the chains: sets of turns would differ from process to process.
            truths = dict.fromkeys((c.kernel, s.truth) for c in chains for s in c.stages)
            opened = _Open(Verdict(case), chains, len(truths) + len(chains))
            for kernel, turns in truths:
                waiting[number] = opened, (kernel, turns)
                number += 1
                yield _plain(turns, case.look, kernel=kernel)
            for index, chain in enumerate(chains):
                waiting[number] = opened, index
                number += 1
                yield _recorded(chain, case.look)

    for number, result in pool.run(scenarios()):
        opened, key = waiting.pop(number)
        (opened.seen if isinstance(key, int) else opened.truths)[key] = result
        opened.left -= 1
        if not opened.left:
            _judge(opened)
            yield opened.verdict


def _plain(turns: tuple[Turn, ...], look: tuple[str, ...], *, kernel: bool) -> Scenario:
    with scratch() as work:
        return (yield Session(work, turns, look, recorded=False, kernel=kernel))


def _recorded(chain: Chain, look: tuple[str, ...]) -> Scenario:
    seen = []
    with scratch() as work:
        for stage in chain.stages:
            session = Session(work, stage.turns, look, kernel=chain.kernel, folds=stage.folds)
            seen.append((yield session))
    return seen


def _judge(opened: _Open) -> None:
    verdict, any_word = opened.verdict, opened.verdict.case.told
    for index, chain in enumerate(opened.chains):
        said: list[str] = []
        for stage, seen in zip(chain.stages, opened.seen[index], strict=True):
            said += seen.said + [error for error in seen.errors if is_own(error)]
            if stage.label is None:
                verdict.found += _late(seen)
                continue
            truth = opened.truths[chain.kernel, stage.truth]
            if stage.settled and truth.errors:
                continue
            label = f"kernel, {stage.label}" if chain.kernel else stage.label
            verdict.kinds[stage.label] = chain.kind
            verdict.sessions.append((label, seen, truth))
            verdict.found += differences(stage, seen, truth, said, any_word=any_word)


def _late(seen: Seen) -> list[Difference]:
    """Return what is wrong with a session that is not compared: it may die, but not hang."""
    if seen.died and "longer" in seen.died:
        return [Difference("a session that is killed", seen.died, told=False)]
    return []


def screened(pool: Pool, case: Case) -> set[int]:
    """Return the numbers of the cells that fail when the case runs plain."""
    turns = tuple(Turn(number, text) for number, text in enumerate(case.cells))
    [(_, seen)] = pool.run([_plain(turns, (), kernel=False)])
    return {int(error.split()[1].rstrip(":")) for error in seen.errors}

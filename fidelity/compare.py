"""What differs from a plain session, and whether stepbook has said so."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .kinds import Stage
    from .sessions import Seen

#: Errors of stepbook's own name the step and what to do.
_OWN = re.compile(r"\b(NotStoredError|ArtifactError|StaleStepError|NotSerializableError)\b")
_NAMED = re.compile(r"""['"`](\w+)['"`]|\b(\w+) \(""")
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")


@dataclass(frozen=True)
class Difference:
    """Something that a session has shown and a plain one has not.

    Attributes:
        label: of the session.
        text: what it is.
        told: whether stepbook has said it.
    """

    label: str
    text: str
    told: bool

    def __str__(self) -> str:
        return f"{'told  ' if self.told else 'SILENT'} {self.label}: {self.text}"


def differences(
    stage: Stage, seen: Seen, truth: Seen, said: list[str], *, any_word: bool
) -> list[Difference]:
    """Compare a session with a plain one.

    Args:
        stage: what the session was to do.
        seen: what it has shown.
        truth: what the plain session has shown.
        said: what stepbook has told in this session and those before it.
        any_word: whether any word of stepbook's tells of any difference.
    """
    label = stage.label or ""
    if truth.died:
        return [Difference(label, f"the plain session failed: {truth.died}", told=False)]
    if seen.died:
        return [Difference(label, seen.died, told=False)]
    stopped = any(map(is_own, said))  # what comes after it follows from it
    told_all = stopped or (any_word and bool(said))
    found = [
        *(
            Difference(label, error, told=told_all or is_own(error))
            for error in _more(seen.errors, truth.errors)
        ),
        *(
            Difference(label, f"only plain: {error}", told=told_all)
            for error in _more(truth.errors, seen.errors)
        ),
    ]
    for look, wanted in truth.looks.items():
        for names, here, there in _unequal(look, seen.looks.get(look, ""), wanted):
            told = told_all or is_own(here) or _names(said, names)
            found.append(Difference(label, f"{look}: {here}, plain {there}", told))
    expected = stage.executes
    if expected is not None and stage.on_from:
        why = {int(number): words for number, words in seen.because.items() if number.isdecimal()}
        also = [n for n, words in why.items() if words.startswith("input") and n > min(expected)]
        expected = (*expected, *also)
    if expected is not None and not truth.errors and set(seen.executed) != set(expected):
        text = f"the cells {seen.executed} executed, expected {list(expected)}"
        found.append(Difference(label, text, told=stopped))
    return found


def is_own(text: str) -> bool:
    """Whether an error of stepbook's own, which names the step and what to do, is in a text."""
    return bool(_OWN.search(text))


def _more(these: list[str], those: list[str]) -> list[str]:
    known = {_ADDRESS.sub("0x", text) for text in those}
    return [text for text in these if _ADDRESS.sub("0x", text) not in known]


def _unequal(look: str, here: str, there: str) -> Iterator[tuple[set[str], str, str]]:
    """Give what differs, and the variables that it is about."""
    here, there = _ADDRESS.sub("0x", here), _ADDRESS.sub("0x", there)
    if here == there:
        return
    if not look.startswith("describe(") or here.startswith("!") or there.startswith("!"):
        yield _variables(look), here, there
        return
    lines = [dict(line.partition(" = ")[::2] for line in t.split("\n")) for t in (here, there)]
    for name in sorted(lines[0].keys() | lines[1].keys()):
        one, other = (of.get(name, "undefined") for of in lines)
        if one != other:
            yield {name}, f"{name} = {one}", other


def _variables(look: str) -> set[str]:
    try:
        tree = ast.parse(look, mode="eval")
    except SyntaxError:
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _names(said: list[str], names: set[str]) -> bool:
    """Whether a message names one of the variables: in quotes, or with the reason in brackets."""
    text = " ".join(said)
    found = {word for pair in _NAMED.findall(text) for word in pair if word}
    return bool(found & names)

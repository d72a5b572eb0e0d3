"""Tab completion of ``%stepbook`` and ``%%step``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from IPython.core.completer import SimpleCompletion, context_matcher

from ..engine import runs
from ..errors import StepbookError
from .magics import COMMANDS, DOWNSTREAM, RUN_OPTIONS
from .requests import ON_CHANGE, OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .session import Session

_STEP: Final = re.compile(r"(?:%%step[ \t]+|#\|[ \t]*step:[ \t]*)(.*)$")
_STEPBOOK: Final = re.compile(r"%stepbook(?:[ \t]+(.*))?$")
_NAMES_A_STEP: Final = re.compile(r"(?:redo|rewind|accept)[ \t]+(.*)$")
_NAMES_A_LOOP: Final = re.compile(r"run[ \t]+([^-].*|)$")
_VALUES: Final = {"--reopen": ("unfinished",), "--on-change": ON_CHANGE}


def add(session: Session) -> None:
    """Complete for a session's shell."""
    completer = session.shell.Completer

    @context_matcher()  # type: ignore[untyped-decorator] # IPython has no types for it
    def matcher(context: Any) -> Any:
        line = context.line_with_cursor[: context.cursor_position]
        typed, found = _complete(session, line)
        return {
            "completions": [SimpleCompletion(text, type="stepbook") for text in found],
            "matched_fragment": typed,
            "suppress": bool(found),
            "ordered": True,
        }

    session.matcher = matcher
    completer.custom_matchers.append(matcher)


def remove(session: Session) -> None:
    """Complete no more."""
    matchers = session.shell.Completer.custom_matchers
    if session.matcher in matchers:
        matchers.remove(session.matcher)


def _complete(session: Session, line: str) -> tuple[str, list[str]]:
    """Return what was typed of a word, and the words that begin so."""
    found = _STEP.match(line)
    if found:
        _, mark, options = found[1].rpartition(" -- ")
        return _option(options, OPTIONS) if mark else _beginning(found[1], _steps(session))
    found = _STEPBOOK.match(line)
    if not found:
        return "", []
    text = found[1] or ""
    before, _, word = text.rpartition(" ")
    if text.startswith("run ") and (word.startswith("-") or before.endswith(tuple(_VALUES))):
        return _option(text, RUN_OPTIONS)
    if text.startswith("redo ") and word.startswith("-"):
        return _beginning(word, [DOWNSTREAM])
    for pattern, names in ((_NAMES_A_STEP, _steps), (_NAMES_A_LOOP, _loops)):
        inner = pattern.match(text)
        if inner:
            return _beginning(inner[1], names(session))
    return _beginning(text, COMMANDS)


def _option(text: str, options: Iterable[str]) -> tuple[str, list[str]]:
    """Complete the last word of *text*: an option, or the value of one."""
    before, _, word = text.rpartition(" ")
    return _beginning(word, _VALUES.get(before.rpartition(" ")[2], options))


def _beginning(typed: str, words: Iterable[str]) -> tuple[str, list[str]]:
    return typed, [word for word in words if word.startswith(typed)]


def _steps(session: Session) -> list[str]:
    run = session.last()
    return [] if run is None else list(run.look().steps)


def _loops(session: Session) -> list[str]:
    run = session.last()
    try:
        return (runs.book_at() if run is None else run.book).loops()
    except StepbookError:
        return []

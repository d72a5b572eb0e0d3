"""Which recorded steps somebody means by a name, or by a pattern for names."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from ..errors import StepNotFoundError
from ..model.patterns import is_pattern, matching
from ..model.spelling import spelled
from .attempt import shorten

if TYPE_CHECKING:
    from ..model.rows import StepRow
    from ..record.ledger import State

_SHOWN: Final = 5


def known(state: State, run_id: str, name: str) -> StepRow:
    """Return the row of a step.

    Raises:
        StepNotFoundError: the run has no such step.
    """
    found = _exact(state, name)
    if found is None:
        raise _unknown(state, run_id, f"no step {shorten(name)}", name)
    return found


def meant(state: State, run_id: str, name: str) -> list[StepRow]:
    """Return the rows of the steps that a name or a pattern means, in their order.

    A name that exists is that name, whatever characters it has.

    Raises:
        StepNotFoundError: the run has no such step.
    """
    if not is_several(state, name):
        return [known(state, run_id, name)]
    found = [state.steps[one] for one in matching(name, state.steps)]
    if not found:
        raise _unknown(state, run_id, f"no step that matches {shorten(name)}", name)
    return found


def is_several(state: State, name: object) -> bool:
    """Whether a name is a pattern, and not the name of a step."""
    return isinstance(name, str) and is_pattern(name) and _exact(state, name) is None


def listed(names: list[str]) -> str:
    """Return the first of some names, for a message."""
    more = f", … ({len(names):,} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _exact(state: State, name: object) -> StepRow | None:
    return state.steps.get(spelled(name, state.steps)) if isinstance(name, str) else None


def _unknown(state: State, run_id: str, lacks: str, name: object) -> StepNotFoundError:
    close = difflib.get_close_matches(str(name), state.steps, n=3, cutoff=0.5)
    if close:
        hint = f"Did you mean {' or '.join(map(repr, close))}?"
    elif state.steps:
        hint = f"It has {listed(list(map(repr, state.steps)))}."
    else:
        hint = "It has none yet."
    return StepNotFoundError(f"run {run_id} has {lacks}. {hint}")

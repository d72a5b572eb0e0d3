"""When a body that failed is executed again: one policy, for ``run.do`` and for cells."""

from __future__ import annotations

from typing import Any, Final

from ..errors import JournalWriteError, NotSerializableError, StepFunctionError

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 60.0
_SPREAD_S: Final = 0.1
_MOST_DOUBLINGS: Final = 10  # more of them than the longest pause has


def worth_retrying(error: BaseException) -> bool:
    """Whether another attempt may end otherwise."""
    # Executing the body again would neither make its value storable nor the disk larger.
    return isinstance(error, Exception) and not isinstance(
        error, (NotSerializableError, JournalWriteError, StepFunctionError)
    )


def pause(failed: int) -> float:
    """Return how many seconds to wait after so many failed attempts, one at least."""
    import random  # noqa: PLC0415 - only where something has failed

    grown = _FIRST_PAUSE_S * float(2 ** min(failed - 1, _MOST_DOUBLINGS))
    # From a generator of its own: what the notebook draws is the same, however often a step fails.
    return min(_LONGEST_PAUSE_S, grown) + random.Random().uniform(0, _SPREAD_S)  # noqa: S311


def policy(retries: int) -> dict[str, Any]:
    """Return the policy as tenacity takes it."""
    import tenacity  # noqa: PLC0415 - imports tornado where it is installed

    return {
        "stop": tenacity.stop_after_attempt(retries + 1),
        "wait": lambda state: pause(state.attempt_number),
        "retry": tenacity.retry_if_exception(worth_retrying),
        "reraise": True,
    }

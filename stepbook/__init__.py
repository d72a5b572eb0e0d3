"""Named, recorded, replayable steps for notebooks and scripts.

>>> import stepbook
>>> run = stepbook.run("health-review", input={"patient_id": "p-17"})
>>> profile = run.do("Load profile", load_profile, "p-17")
>>> run.finish(profile["region"])
"""

from __future__ import annotations

import sys
import typing
from typing import Any

from . import errors
from .engine import hooks
from .errors import *  # noqa: F403 - every error class, listed in __all__ below
from .system.console import in_ipython
from .system.interrupts import load as _load

if typing.TYPE_CHECKING:
    from collections.abc import Callable

    from .api.book import Book, connect, loop
    from .api.loop import Loop
    from .api.run import Run
    from .engine.context import StepContext, context
    from .engine.hooks import Live
    from .values.redact import SECRETS
    from .values.types.classes import register

#: Where the other public names are: each is imported when somebody asks for the first of them, so
#: that a notebook or a script that only mentions stepbook does not wait for all of it.
_HOMES = {
    "Book": "api.book",
    "connect": "api.book",
    "Loop": "api.loop",
    "loop": "api.book",
    "Run": "api.run",
    "StepContext": "engine.context",
    "context": "engine.context",
    "SECRETS": "values.redact",
    "register": "values.types.classes",
}

_ERRORS = sorted(
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, (errors.StepbookError, UserWarning))
)

__all__ = [  # noqa: PLE0604, F405 - the errors' names are strings; __getattr__ has __version__
    "SECRETS",
    "Book",
    "Loop",
    "Run",
    "StepContext",
    "__version__",
    "connect",
    "context",
    "loop",
    "register",
    "run",
    *_ERRORS,
]


# As people write them: stepbook.StepError. The other public classes say so themselves.
for _name in _ERRORS:
    getattr(errors, _name).__module__ = __name__
del _name


def run(loop: str, **options: Any) -> Run:
    """Open or create a run on the default book; see :meth:`Book.run` for the options.

    Example:
        >>> run = stepbook.run("health-review", input={"patient_id": "p-17"})
    """
    opened: Run = __getattr__("connect")().run(loop, **options)
    return opened


def _follow_cells() -> None:
    """Have each execution of a cell be a pass, where there is an IPython shell."""
    if "IPython" in sys.modules:
        from .notebook.bodies import attach  # noqa: PLC0415 - only with IPython

        attach()


def _show_made(make: Callable[[], Live]) -> None:
    """Show what *make* gives in an output of the notebook."""
    _only_in_ipython()
    from .notebook.show import show_made  # noqa: PLC0415 - only with IPython

    show_made(make)


def _show(live: Live) -> None:
    """Show a widget in an output of the notebook."""
    _only_in_ipython()
    from .notebook.show import show  # noqa: PLC0415 - only with IPython

    show(live)


def _only_in_ipython() -> None:
    if not in_ipython():
        raise NotImplementedError  # IPython's word for "show it some other way"


hooks.HOOKS.before_open = _follow_cells
hooks.HOOKS.made = _show_made
hooks.HOOKS.live = _show


def load_ipython_extension(shell: Any) -> None:
    """Make ``%stepbook`` and ``%%step`` work: what ``%load_ext stepbook`` calls."""
    from .notebook.extension import load  # noqa: PLC0415 - only with IPython

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics out again: what ``%unload_ext stepbook`` calls."""
    from .notebook.extension import unload  # noqa: PLC0415 - only with IPython

    unload(shell)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        # Whole, whatever comes meanwhile: what is imported in pieces registers its hooks twice.
        value = getattr(_load(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name == "__version__":
        from importlib import metadata  # noqa: PLC0415 - on demand

        return metadata.version("stepbook")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

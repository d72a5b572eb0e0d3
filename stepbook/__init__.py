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
from .api.book import Book, connect
from .api.loop import Loop, loop
from .api.run import Run
from .engine import hooks, process
from .engine.context import StepContext, context
from .errors import *  # noqa: F403 - every error class, listed in __all__ below
from .system.console import in_ipython
from .values.types.classes import register

if typing.TYPE_CHECKING:
    from collections.abc import Callable

    from .engine.hooks import Live

_ERRORS = sorted(
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, (errors.StepbookError, UserWarning))
)

__all__ = [  # noqa: PLE0604, F405 - the errors' names are strings; __getattr__ has __version__
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


# As people write them: stepbook.Book, wherever the module is that defines it.
for _name in __all__:
    if isinstance(_public := globals().get(_name), type):
        _public.__module__ = __name__
del _name, _public


def run(loop: str, **options: Any) -> Run:
    """Open or create a run on the default book; see :meth:`Book.run` for the options.

    Example:
        >>> run = stepbook.run("health-review", input={"patient_id": "p-17"})
    """
    return connect().run(loop, **options)


def _follow_cells() -> None:
    """Have each execution of a cell be a pass, where there is an IPython shell."""
    if "IPython" in sys.modules:
        from .notebook.hooks import attach  # noqa: PLC0415 - only with IPython

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


process.follow()
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
    if name == "__version__":
        from importlib import metadata  # noqa: PLC0415 - on demand

        return metadata.version("stepbook")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""What a cell changes around the notebook's names, and a replay must set again.

The working folder, the environment, where modules are searched for, filters of warnings, loggers,
and the options of the libraries that are loaded. What a cell has changed is stored with its
variables.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final

from . import loggers, settings
from .stub import NotStored

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..values.redact import Redaction

    Snapshot = dict[str, dict[str, Any]]

_GONE: Final = None
#: The area of what can only be read.
REGISTERED: Final = "registered"
#: Parameters of matplotlib that belong to the front end.
_OF_FRONT_END: Final = frozenset({"backend", "backend_fallback", "interactive", "toolbar"})


# ---- reading ------------------------------------------------------------------------------------


def snapshot() -> Snapshot:
    """Return how things are around the notebook: for each area a flat dict."""
    found: Snapshot = {
        "environ": dict(os.environ),
        "python": _python(),
        "logging": loggers.read(),
        REGISTERED: settings.registered(),
    }
    for name, (read, _) in _LIBRARIES.items():
        module = sys.modules.get(name)
        if module is not None:
            # One that is half imported, or another version.
            with contextlib.suppress(AttributeError, TypeError):
                found[name] = read(module)
    return found


def _python() -> dict[str, Any]:
    found: dict[str, Any] = {
        **settings.read(),
        "path": list(sys.path),
        "warnings": [_filter(item) for item in warnings.filters],
    }
    with contextlib.suppress(OSError):  # it was removed
        found["folder"] = os.getcwd()  # noqa: PTH109 - a text
    return found


def _filter(item: Any) -> list[Any]:
    action, message, category, module, line = item
    return [
        action,
        getattr(message, "pattern", message),
        f"{category.__module__}:{category.__qualname__}",
        getattr(module, "pattern", module),
        line,
    ]


def _pandas(module: Any) -> dict[str, Any]:
    found = {}
    waiting = [("", module._config.config._global_config)]  # noqa: SLF001 - reading each by name takes a millisecond
    while waiting:
        prefix, options = waiting.pop()
        for name, value in options.items():
            if isinstance(value, dict):
                waiting.append((f"{prefix}{name}.", value))
            else:
                found[f"{prefix}{name}"] = value
    return found


def _numpy(module: Any) -> dict[str, Any]:
    shown = {f"print.{name}": value for name, value in module.get_printoptions().items()}
    return {**shown, **{f"error.{name}": value for name, value in module.geterr().items()}}


def _matplotlib(module: Any) -> dict[str, Any]:
    params = module.rcParams
    return {
        name: value
        for name, value in dict.items(params)
        if name not in _OF_FRONT_END and isinstance(value, bool | int | float | str | list | tuple)
    }


def changes(before: Snapshot, after: Snapshot) -> Snapshot:
    """Return what differs: the new values, None for what is gone."""
    found: Snapshot = {}
    for area, values in after.items():
        old = before.get(area)
        if old is None:  # loaded meanwhile, and never seen before
            continue
        new = {name: value for name, value in values.items() if not _same(old, name, value)}
        new.update(dict.fromkeys(old.keys() - values.keys(), _GONE))
        if new:
            found[area] = new
    return found


def _same(old: dict[str, Any], name: str, value: Any) -> bool:
    if name not in old:
        return False
    try:
        return bool(old[name] is value or old[name] == value)
    except (TypeError, ValueError):
        return False


# ---- setting again ------------------------------------------------------------------------------


def without_secrets(changed: Snapshot, redaction: Redaction) -> tuple[Snapshot, list[str]]:
    """Return changes without the variables of the environment that hold secrets, and these."""
    environ = changed.get("environ", {})
    lost = sorted(
        name
        for name, value in environ.items()
        if isinstance(value, str) and (redaction.hides(name) or redaction.text(value) != value)
    )
    redaction.learn([environ[name] for name in lost])
    left = {name: value for name, value in environ.items() if name not in lost}
    return ({**changed, "environ": left} if lost else changed), lost


def apply(stored: Any, source: str, told: set[str]) -> list[str]:
    """Set what a cell has changed; return what could not be set, in words.

    Args:
        stored: what :meth:`Surroundings.end` has given.
        told: kinds of what can only be read that were told of already; the others are added.
        source: the text of the cell, as it is here. Where programs, modules and files are searched
            for is set only to what stands in it: a book must not say where code comes from.
    """
    failed = []
    for area, values in stored.items():
        if area == REGISTERED:
            failed += _missing(values, told)
            continue
        write = _WRITERS.get(area)
        for name, value in values.items():
            try:
                if isinstance(value, NotStored):
                    failed.append(f"{area} {name}: it could not be stored")
                    continue
                if area == "environ" and os.environ.get(name) == value:
                    continue  # an import has set it again
                if write is None or not _is_named(area, name, value, source):
                    failed.append(f"{area} {name}: the cell does not name it")
                    continue
                write(name, value)
            except Exception as error:  # noqa: BLE001 - a library's own check of an option
                failed.append(f"{area} {name}: {error}")
    return failed


def _missing(recorded: dict[str, Any], told: set[str]) -> list[str]:
    """Return what was registered when a cell was recorded, and is not here; each kind once."""
    now = settings.registered()
    found = []
    for name, value in recorded.items():
        here = now.get(name)
        if isinstance(value, list):
            lost = [one for one in value if one not in (here or [])]
        else:
            lost = [] if here == value else [value]
        if lost and name not in told:
            told.add(name)
            found.append(f"{name} ({', '.join(map(str, lost[:5]))})")
    return found


def _is_named(area: str, name: str, value: Any, source: str) -> bool:
    if area == "environ":
        return name in source
    if name == "folder" and area == "python":
        return "chdir" in source or "cd" in source
    if name == "umask" and area == "python":
        return "umask" in source
    if name == "path" and area == "python":
        return all(str(item) in source for item in value if item not in sys.path)
    return True


def _set_environ(name: str, value: Any) -> None:
    if value is _GONE:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _set_python(name: str, value: Any) -> None:
    if name == "folder":
        os.chdir(value)
    elif name == "path":
        sys.path[:] = [str(item) for item in value]
    elif name == "warnings":
        _set_filters(value)
    else:
        settings.write(name, value)


def _set_filters(items: Any) -> None:
    made = []
    for action, message, category, module, line in items:
        owner, _, name = category.partition(":")
        space = builtins if owner == "builtins" else sys.modules.get(owner)
        cls = getattr(space, name, None)
        if isinstance(cls, type) and issubclass(cls, Warning):
            made.append((action, _pattern(message, re.IGNORECASE), cls, _pattern(module, 0), line))
    warnings.filters[:] = made  # type: ignore[index]
    with contextlib.suppress(AttributeError):
        warnings._filters_mutated()  # type: ignore[attr-defined] # noqa: SLF001 - as catch_warnings does


def _pattern(text: str | None, flags: int) -> re.Pattern[str] | None:
    return None if text is None else re.compile(text, flags)


def _set_pandas(name: str, value: Any) -> None:
    import pandas as pd  # noqa: PLC0415 - the cell had it

    pd.set_option(name, value)


def _set_numpy(name: str, value: Any) -> None:
    import numpy as np  # noqa: PLC0415 - the cell had it

    kind, _, option = name.partition(".")
    if kind == "error":
        np.seterr(**{option: value})
    else:
        np.set_printoptions(**{option: value})


def _set_matplotlib(name: str, value: Any) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - the cell had it

    parameters: Any = mpl.rcParams
    parameters[name] = value


_LIBRARIES: Final[dict[str, tuple[Callable[[Any], dict[str, Any]], Callable[[str, Any], None]]]] = {
    "pandas": (_pandas, _set_pandas),
    "numpy": (_numpy, _set_numpy),
    "matplotlib": (_matplotlib, _set_matplotlib),
    **settings.LIBRARIES,
}
_WRITERS: Final[dict[str, Callable[[str, Any], None]]] = {
    "environ": _set_environ,
    "python": _set_python,
    "logging": loggers.write,
    **{name: write for name, (_, write) in _LIBRARIES.items()},
}


class Surroundings:
    """Follows what is around one notebook.

    An attempt that follows another of its step at once is compared with what the first of them has
    found, for a replay has that there.
    """

    def __init__(self) -> None:
        self._step = ""
        self._found: dict[str, Snapshot] = {}
        self._left: dict[str, Snapshot] = {}

    def begin(self, step: str) -> None:
        """Note how things are when an attempt of *step* begins."""
        now, left = snapshot(), self._left.get(step)
        self._step = step
        if left is None or changes(left, now):
            self._found[step] = now
        else:
            self._found[step] = {**now, **self._found[step]}

    def loaded(self) -> None:
        """Note that a library was imported: its options as they are now are how it comes."""
        self._found[self._step] = {**snapshot(), **self._found[self._step]}

    def end(self) -> Snapshot:
        """Return what the attempt has changed; it has succeeded or failed."""
        now = self._left[self._step] = snapshot()
        return changes(self._found.get(self._step, now), now)

"""Settings that calls change inside Python, libraries and the shell.

Most can be read and set again. What is registered with a library, such as a signal's handler, can
only be read: it is told by a text, and a replay that does not have the same says so.
"""

from __future__ import annotations

import abc
import contextlib
import csv
import decimal
import functools
import gc
import locale
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..system.console import shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2")
_STATUS: Final = Path("/proc/self/status")
_DIALECT: Final = (
    "delimiter",
    "quotechar",
    "doublequote",
    "escapechar",
    "lineterminator",
    "quoting",
    "skipinitialspace",
)
#: Who registers something in the shell by being imported.
_SHELLS: Final = (
    "IPython",
    "ipykernel",
    "matplotlib",
    "matplotlib_inline",
    "stepbook",
    "traitlets",
)
#: Calls of which nothing can be read: the module and the function.
_UNSEEN: Final = (
    ("atexit", "register"),
    ("codecs", "register"),
    ("codecs", "register_error"),
    ("sqlite3", "register_adapter"),
    ("sqlite3", "register_converter"),
)


# ---- Python -------------------------------------------------------------------------------------


def read() -> dict[str, Any]:
    """Return the settings of Python that can be set again."""
    context = decimal.getcontext()
    found: dict[str, Any] = {
        "recursion": sys.getrecursionlimit(),
        "decimal": [
            context.prec,
            context.rounding,
            context.Emin,
            context.Emax,
            context.capitals,
            context.clamp,
            sorted(trap.__name__ for trap, on in context.traps.items() if on),
        ],
        "locale": locale.setlocale(locale.LC_ALL),
        "timezone": [*time.tzname, time.timezone],
        "garbage": [gc.isenabled(), *gc.get_threshold()],
        "switching": sys.getswitchinterval(),
        "digits": sys.get_int_max_str_digits(),
        "field size": csv.field_size_limit(),
    }
    for name in csv.list_dialects():
        dialect = csv.get_dialect(name)
        found[f"dialect {name}"] = [getattr(dialect, field) for field in _DIALECT]
    for module, function in (
        ("socket", "getdefaulttimeout"),
        ("multiprocessing", "get_start_method"),
    ):
        loaded = sys.modules.get(module)
        if loaded is not None:
            args = (True,) if module == "multiprocessing" else ()
            found[module] = getattr(loaded, function)(*args)
    with contextlib.suppress(OSError, StopIteration):
        lines = _STATUS.read_text().splitlines()
        found["umask"] = int(next(line for line in lines if line.startswith("Umask")).split()[1], 8)
    return found


def write(name: str, value: Any) -> None:
    """Set a setting of Python.

    Raises:
        ValueError: it is not one of these, or could not be set.
    """
    kind, _, rest = name.partition(" ")
    if kind == "dialect":
        csv.unregister_dialect(rest) if value is None else csv.register_dialect(
            rest, **dict(zip(_DIALECT, value, strict=True))
        )
        return
    writer = _WRITERS.get(name)
    if writer is None:
        raise ValueError("it is not known here")
    writer(value)


def _set_decimal(value: list[Any]) -> None:
    context = decimal.getcontext()
    context.prec, context.rounding, *rest = value
    if rest:  # earlier versions have stored only these two
        context.Emin, context.Emax, context.capitals, context.clamp, traps = rest
        for trap in context.traps:
            context.traps[trap] = trap.__name__ in traps


def _set_timezone(value: list[Any]) -> None:
    time.tzset()  # from TZ in the environment, which was set before
    if [*time.tzname, time.timezone] != value:
        raise ValueError(f"it is {time.tzname[0]} here, and was {value[0]}")


def _set_garbage(value: list[Any]) -> None:
    (gc.enable if value[0] else gc.disable)()
    gc.set_threshold(*value[1:])


def _set_start_method(value: Any) -> None:
    import multiprocessing  # noqa: PLC0415 - the cell had it

    multiprocessing.set_start_method(value, force=True)


def _set_timeout(value: Any) -> None:
    import socket  # noqa: PLC0415 - the cell had it

    socket.setdefaulttimeout(value)


def _set_umask(value: Any) -> None:
    import os  # noqa: PLC0415 - only here

    os.umask(value)


_WRITERS: Final[dict[str, Callable[[Any], Any]]] = {
    "recursion": sys.setrecursionlimit,
    "decimal": _set_decimal,
    "locale": lambda value: locale.setlocale(locale.LC_ALL, value),
    "timezone": _set_timezone,
    "garbage": _set_garbage,
    "switching": sys.setswitchinterval,
    "digits": sys.set_int_max_str_digits,
    "field size": csv.field_size_limit,
    "socket": _set_timeout,
    "multiprocessing": _set_start_method,
    "umask": _set_umask,
}


# ---- libraries ----------------------------------------------------------------------------------


def _read_mimetypes(module: Any) -> dict[str, Any]:
    if not module.inited:
        module.init()  # else what it finds by itself would look like the cell's
    return dict(module.types_map)


def _write_mimetypes(extension: str, kind: Any) -> None:
    import mimetypes  # noqa: PLC0415 - the cell had it

    if kind is None:
        mimetypes.types_map.pop(extension, None)
    else:
        mimetypes.add_type(kind, extension)


def _write_sklearn(name: str, value: Any) -> None:
    import sklearn  # type: ignore[import-untyped] # noqa: PLC0415 - the cell had it

    sklearn.set_config(**{name: value})


def _write_namespace(uri: str, prefix: Any) -> None:
    import xml.etree.ElementTree as ET  # noqa: PLC0415 - the cell had it

    if prefix is not None:
        ET.register_namespace(prefix, uri)


#: How the settings of a library are read and set, by its module.
LIBRARIES: Final[dict[str, tuple[Callable[[Any], dict[str, Any]], Callable[[str, Any], None]]]] = {
    "sklearn": (lambda module: dict(module.get_config()), _write_sklearn),
    "mimetypes": (_read_mimetypes, _write_mimetypes),
    "xml.etree.ElementTree": (lambda module: dict(module._namespace_map), _write_namespace),  # noqa: SLF001
}


# ---- what can only be read ----------------------------------------------------------------------


def registered() -> dict[str, Any]:
    """Return, in words, what was given to Python, libraries and the shell to be called by them."""
    found: dict[str, Any] = {}
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is not None:
            found[f"the handler of {name}"] = _named(signal.getsignal(number))
    found["sys.excepthook"] = _named(sys.excepthook)
    for name, read_names in _REGISTRIES.items():
        with contextlib.suppress(KeyError, AttributeError, TypeError):
            found[name] = read_names()
    return found


def unseen(words: Iterable[str], reached: Iterable[Any]) -> dict[str, Any]:
    """Return the calls in a cell's code that register what cannot be read, each with "called".

    Args:
        words: the names in the code.
        reached: the objects of these names.
    """
    words = frozenset(words)
    found = {f"{m}.{f}": "called" for m, f in _UNSEEN if m in words and f in words}
    if "register" in words:
        for cls in reached:
            if isinstance(cls, abc.ABCMeta) and any(map(_is_of_notebook, _registry(cls))):
                found[f"{cls.__qualname__}.register"] = "called"
    return found


def _registry(cls: Any) -> list[Any]:
    data = abc._get_dump(cls) if hasattr(abc, "_get_dump") else ((),)  # noqa: SLF001
    return [reference() for reference in data[0]]


def _is_of_notebook(cls: Any) -> bool:
    return getattr(cls, "__module__", None) == "__main__"


def _named(value: Any) -> str:
    module = getattr(value, "__module__", "") or ""
    return f"{module}.{getattr(value, '__qualname__', value)}"


def _new_in(*classes: str) -> list[str]:
    """Return what others have put into classes of pandas."""
    pandas = sys.modules["pandas"]
    return [
        f"{name}.{method}"
        for name in classes
        for method in sorted(vars(getattr(pandas, name)).keys() - _came_with(getattr(pandas, name)))
        if not method.startswith("_")
    ]


@functools.cache
def _came_with(cls: type) -> frozenset[str]:
    def is_its_own(value: Any) -> bool:
        module = getattr(value, "__module__", None)
        return not (callable(value) and isinstance(module, str)) or module.startswith("pandas")

    return frozenset(name for name, value in vars(cls).items() if is_its_own(value))


def _foreign(functions: Iterable[Any]) -> list[str]:
    """Return the names of functions that neither the shell nor stepbook has brought."""
    named = (_named(f) for f in functions)
    return [name for name in named if name.partition(".")[0] not in _SHELLS]


def _events() -> list[str]:
    callbacks = shell().events.callbacks
    return [f"{event} {name}" for event in callbacks for name in _foreign(callbacks[event])]


def _transformers() -> list[str]:
    here = shell()
    found = (*here.input_transformers_cleanup, *here.input_transformers_post)
    return _foreign(f for f in (*found, *map(type, here.ast_transformers)))


def _magics() -> list[str]:
    kinds = shell().magics_manager.magics
    return [n for kind in kinds.values() for n, f in kind.items() if _is_of_notebook(f)]


def _printers() -> list[str]:
    formatters = shell().display_formatter.formatters.values()
    return sorted({_named(t) for f in formatters for t in f.type_printers if _is_of_notebook(t)})


_REGISTRIES: Final[dict[str, Callable[[], list[str]]]] = {
    "callbacks of copyreg": lambda: sorted(
        _named(cls) for cls in sys.modules["copyreg"].dispatch_table if _is_of_notebook(cls)
    ),
    "maps of colours": lambda: sorted(sys.modules["matplotlib"].colormaps),
    "open figures": lambda: list(map(str, sys.modules["matplotlib.pyplot"].get_fignums())),
    "methods of pandas": lambda: _new_in("DataFrame", "Series"),
    "the function of np.seterrcall": lambda: [_named(sys.modules["numpy"].geterrcall())],
    "events of the shell": _events,
    "transformers of the shell": _transformers,
    "magics of the shell": _magics,
    "printers of the shell": _printers,
    "handlers of errors of the shell": lambda: [_named(e) for e in shell().custom_exceptions],
}

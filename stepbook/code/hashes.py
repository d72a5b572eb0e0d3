"""What stands for the code of one function: a hash of its syntax tree, or of its bytecode."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from typing import Any, Final

from .shapes import hash_of, short_hash
from .sources import node_of

#: Begins what stands for code.
CODE: Final = "@"
#: Begins the hash of bytecode; what follows up to the colon is the version of Python.
BYTECODE: Final = CODE + "b"
THIS_BYTECODE: Final = f"{BYTECODE}{sys.version_info.major}{sys.version_info.minor}:"
_MOST: Final = 4096
#: Modules that stand for another one, on one system or the other.
_PARTS: Final = {"posix": "os", "nt": "os", "posixpath": "os.path", "ntpath": "os.path"}
#: The flags of functions that take any number of arguments.
_TAKES: Final = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
#: The flag of functions of which the first constant is the docstring; it is of later Pythons.
_HAS_DOCSTRING: Final = getattr(inspect, "CO_HAS_DOCSTRING", inspect.CO_NEWLOCALS)


class _Alone:
    """A code object that is equal to itself only: comparing two of them takes microseconds."""

    __slots__ = ("code",)

    def __init__(self, code: types.CodeType) -> None:
        self.code = code

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Alone) and other.code is self.code

    def __hash__(self) -> int:
        return id(self.code)


def code_hash(code: types.CodeType) -> str:
    """Return what stands for the code of one function, its name and docstring left out."""
    return _hash(_Alone(code))


@functools.lru_cache(maxsize=_MOST)
def _hash(alone: _Alone) -> str:
    node = node_of(alone.code)
    if node is not None:
        return CODE + hash_of(node)
    return THIS_BYTECODE + short_hash(repr(_bytecode(alone.code)))


def _bytecode(code: types.CodeType) -> tuple[Any, ...]:
    constants = [*map(_constant, code.co_consts)]
    # Of a function it is the docstring, or nothing; comprehensions and lambdas have none.
    if code.co_flags & _HAS_DOCSTRING and not code.co_name.startswith("<"):
        constants = constants[1:]
    takes = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    flags = code.co_flags & _TAKES
    return (
        *(code.co_code, code.co_exceptiontable, takes, flags),
        *(code.co_names, code.co_varnames, code.co_freevars, constants),
    )


def _constant(part: Any) -> Any:
    if isinstance(part, types.CodeType):
        return _bytecode(part)
    # The order of a set is not the same each time it is compiled.
    return sorted(map(repr, part)) if isinstance(part, frozenset) else part


def name_of(value: Any) -> str:
    """Return what a function or class of a library counts by: its package and its name there.

    Where in the package it stands is left out: that is another place in another version.
    """
    module = getattr(value, "__module__", None)
    package = name_of_module(module).partition(".")[0] if isinstance(module, str) else ""
    name = str(value.__qualname__)
    return name if package in ("", "builtins") else f"{package}.{name}"


def name_of_module(name: str) -> str:
    """Return the name of a module of a library, whichever part of it this system has."""
    package, dot, rest = name.partition(".")
    return _PARTS.get(package, package.lstrip("_")) + dot + rest


def is_of_bytecode(told: str) -> bool:
    """Whether a text holds a hash of bytecode."""
    return f"'{THIS_BYTECODE}" in told


def python_of(part: str) -> str:
    """Return the Python that a hash of bytecode is of; nothing for a hash of source."""
    version, colon, _ = part.partition(":")
    return version if colon and version.startswith(BYTECODE) else ""

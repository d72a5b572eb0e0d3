"""What the line that names a step asks for: its name, and its options behind ``--``."""

from __future__ import annotations

import re
import shlex
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from ..engine.options import OnChange
from ..errors import InvalidInputError
from ..model.sizes import size_in_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

_ONCE: Final = re.compile(r"#\|[ \t]*once(?::[ \t]*true)?[ \t]*$")
_OPTIONS: Final = re.compile(r"(.*?)(?:^|\s+)--(?:\s+(-.*))?$")
#: A size with its unit apart.
_SIZE: Final = re.compile(r"(--max-size[ =]\s*[\d.]+)\s+([a-zA-Z]+)(?=\s|$)")
ON_CHANGE: Final[tuple[OnChange, ...]] = get_args(OnChange)
#: Options that take no value.
_ALONE: Final = ("--once", "--no-store")
OPTIONS: Final = (
    *("--out", "--retries", "--on-change", "--once", "--deps", "--version", "--ignore"),
    *("--no-store", "--max-size"),
)
USAGE: Final = (
    "%%step NAME [-- --out a,b] [--retries N] [--on-change warn|rerun|error|ignore] [--once] "
    "[--deps NAME,FILE] [--version V] [--ignore a,b] [--no-store] [--max-size SIZE], "
    "or as the first line of a cell that stays plain Python: #| step: NAME"
)
_LIKE_OPTIONS: Final = re.compile(rf"\s--\s*(?=(?:{'|'.join(o[2:] for o in OPTIONS)})\b)")


@dataclass
class Request:
    """What the first line of a cell asks for.

    Attributes:
        line: the line itself.
        name: the name of the step.
        out: the names that must be stored, and only they; None for what is found.
        retries: how often to execute the body again after an exception.
        on_change: what to do when the code has changed; None for what the run says.
        once: whether it is not executed again, whatever changes.
        deps: names, files and folders that it depends on and its code does not show.
        version: of its code, as it was given; empty without one.
        ignore: the names that it reads and that are not compared.
        store: whether what it makes is stored; else it is executed in each pass.
        max_size: how many bytes may be stored of it; None for what the run says.
        problem: why the line cannot be followed.
        hint: what may be meant otherwise.
        source: the text of the cell below the line.
    """

    line: str
    name: str = ""
    out: tuple[str, ...] | None = None
    retries: int = 0
    on_change: OnChange | None = None
    once: bool = False
    deps: tuple[str, ...] = ()
    version: str = ""
    ignore: tuple[str, ...] = ()
    store: bool = True
    max_size: int | None = None
    problem: str = ""
    hint: str = ""
    source: str = ""


def parse(line: str, text: str) -> Request:
    """Return what *text*, the first line behind its marker, asks for."""
    request = Request(line)
    found = _OPTIONS.fullmatch(text.strip())
    name = (found[1] if found else text).strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1]
    request.name = name
    if not name:
        request.problem = f"a step needs a name. {USAGE}"
    elif _LIKE_OPTIONS.search(name) and not (found and found[2]):
        request.hint = (
            f"the name of this step is {name!r}. Options stand behind ` -- `: "
            f"%%step {_LIKE_OPTIONS.sub(r' -- --', name, count=1)}"
        )
    elif found and found[2]:
        try:
            _options(request, shlex.split(_SIZE.sub(r"\1\2", found[2])))
        except ValueError as error:
            request.problem = f"{error}. {USAGE}"
    return request


def _options(request: Request, words: list[str]) -> None:
    rest, given = iter(words), set()
    for word in rest:
        option, equals, value = word.partition("=")
        if option not in OPTIONS:
            raise ValueError(f"unknown option {word!r}")
        if option in given:
            raise ValueError(f"{option} is given twice")
        given.add(option)
        if option in _ALONE:
            if equals:
                raise ValueError(f"{option} takes no value, not {value!r}")
            request.store &= option != "--no-store"
            request.once |= option == "--once"
            continue
        if not equals:
            value = next(rest, "")
        setattr(request, option[2:].replace("-", "_"), _READS[option](value))
    _settle(request)


def _settle(request: Request) -> None:
    """Refuse options that contradict each other; take ``--once`` for what it is short for."""
    if not request.store and (request.out is not None or request.max_size is not None):
        raise ValueError("--no-store stores nothing, so --out and --max-size do not go with it")
    both = [name for name in request.deps if name in request.ignore]
    if both:
        raise ValueError(f"--deps and --ignore both name {both[0]}; leave it out of one of them")
    if not request.once:
        return
    if not request.store:
        raise ValueError("--no-store executes the cell each time, so once does not go with it")
    if request.on_change not in (None, "ignore"):
        raise ValueError(
            f"once is --on-change ignore, so --on-change {request.on_change} does not go with it"
        )
    request.on_change = "ignore"


def _names(option: str, text: str) -> tuple[str, ...]:
    # As Python reads them: the cell binds μ where it says µ.
    wanted = (unicodedata.normalize("NFKC", name.strip()) for name in text.split(","))
    names = tuple(filter(None, wanted))
    if not names or not all(map(str.isidentifier, names)):
        raise ValueError(f"{option} takes names, as in {option} a,b, not {text!r}")
    return names


def _deps(text: str) -> tuple[str, ...]:
    found = tuple(filter(None, map(str.strip, text.split(","))))
    if not found:
        raise ValueError(
            f"--deps takes names and files, as in --deps clean,data/patients.csv, not {text!r}"
        )
    return found


def _version(text: str) -> str:
    if not text or text.startswith("--"):
        raise ValueError(f"--version takes a text, as in --version 2, not {text!r}")
    return text


def _retries(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"--retries takes a number, not {text!r}")
    return int(text)


def _on_change(text: str) -> OnChange:
    if text not in ON_CHANGE:
        raise ValueError(f"--on-change takes one of {', '.join(ON_CHANGE)}, not {text!r}")
    return text


def _max_size(text: str) -> int:
    try:
        return size_in_bytes(text)
    except InvalidInputError:
        raise ValueError(
            f'--max-size takes a size, as in --max-size 500MB or "2 GiB", not {text!r}'
        ) from None


#: What reads the value of each option.
_READS: Final[dict[str, Callable[[str], Any]]] = {
    "--out": lambda text: _names("--out", text),
    "--retries": _retries,
    "--on-change": _on_change,
    "--deps": _deps,
    "--version": _version,
    "--ignore": lambda text: _names("--ignore", text),
    "--max-size": _max_size,
}


def take_once(request: Request, lines: list[str]) -> None:
    """Take in ``#| once``, which may stand in a line of its own.

    Args:
        request: what the line that names the step asks for.
        lines: of the cell.
    """
    if request.problem or not _says_once(lines):
        return
    request.once = True
    try:
        _settle(request)
    except ValueError as error:
        request.problem = f"{error}. {USAGE}"


def _says_once(lines: list[str]) -> bool:
    """Whether ``#| once`` stands among the first lines of a cell, beside the one that names it."""
    for line in lines:
        if _ONCE.match(line.rstrip("\n")):
            return True
        if not line.startswith(("#", "%%step")) and line.strip():
            return False
    return False

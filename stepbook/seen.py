r"""Text as it may be shown: what a terminal would obey, or nobody would see, stands there as text.

A book can come from anybody, and everything in it is text that somebody chose: names, messages,
errors. A terminal obeys escape sequences, a carriage return overwrites what stands there, a line
end makes a row that nobody wrote, and marks of direction turn a line around. :func:`seen` writes
them as Python does: ``\x1b``, ``\n``, ``\u202e``. It is called where something is printed, last.

Ordinary text in any script stays as it is: joiners within emoji and words, combining marks, wide
letters and spaces.

Pure, and below every other module, so that errors can use it.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A stretch of text in which there is something to look at.
_UNUSUAL: Final = re.compile(r"[^ -~]+")
#: Joins letters and emoji, or keeps them apart: part of ordinary text, seldom within ASCII.
_JOINERS: Final = "\u200c\u200d"
#: Letters and marks that show nothing, though Python calls them printable.
_HOLLOW: Final = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
#: Marks for numbers and verses, which are seen, though Python does not call them printable.
_SIGNS: Final = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"
#: Spaces of other widths than ASCII's.
_SPACES: Final = (
    "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)
#: The flags of regions, as England's: a black flag, and invisible letters up to a last one.
_FLAG: Final = re.compile("\U0001f3f4[\U000e0030-\U000e007a]{3,6}\U000e007f")
#: Choose the form of the character before them.
_VARIANTS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
#: What depends on the characters around it.
_JOINED: Final = re.compile(f"[{_JOINERS}\U0001f3f4]|{_VARIANTS.pattern}")
#: What sets colours and weight; the longest that real ones are, with some room.
_STYLE: Final = re.compile(r"\x1b\[([0-9;]{0,40})m")
#: Parameters that are followed by a colour: of letters, of what is behind and below them.
_COLOUR: Final = ("38", "48", "58")
_CONCEALED: Final = "8"


def seen(text: str, keep: str = "") -> str:
    """Return *text* on one line, with everything that must be seen written as Python writes it.

    What it returns comes back unchanged from a second call.

    Args:
        text: any text.
        keep: control characters that stay, such as line ends.
    """
    return _each(text, _as_python(keep))


def seen_in_json(text: str) -> str:
    """Return a JSON text that holds the same values and shows everything; its line ends stay."""
    return _each(text, _as_json)


def in_colour(text: str) -> str:
    """Return *text* as :func:`seen` does, but with its colours, as a cell has printed them.

    Only what sets colours and weight stays; nothing that hides text, moves, links, or names a
    window.
    """
    pieces: list[str] = []
    end = 0
    for found in _STYLE.finditer(text):
        if _is_style(found[1]):
            pieces += seen(text[end : found.start()]), found[0]
            end = found.end()
    if pieces:
        return "".join([*pieces, seen(text[end:]), "\x1b[0m"])
    return seen(text)


def _is_style(parameters: str) -> bool:
    """Whether these parameters do not hide text."""
    todo = iter(parameters.split(";"))
    for one in todo:
        if one in _COLOUR:
            for _ in range({"5": 1, "2": 3}.get(next(todo, ""), 0)):
                next(todo, None)
        elif one.lstrip("0") == _CONCEALED:
            return False
    return True


class _Table(dict[int, str]):
    """How each character is shown by itself; filled as characters come.

    Args:
        keep: control characters that stay.
        written: returns what stands for one that is not seen.
    """

    def __init__(self, keep: str, written: Callable[[str], str]) -> None:
        super().__init__()
        self._keep, self.written = keep, written

    def __missing__(self, code: int) -> str:
        character = chr(code)
        stays = (
            character in self._keep
            or character in _SIGNS
            or character in _SPACES
            or (character.isprintable() and character not in _HOLLOW)
        )
        self[code] = shown = character if stays else self.written(character)
        return shown


@functools.cache
def _as_python(keep: str) -> _Table:
    return _Table(keep, lambda character: ascii(character)[1:-1])


def _in_json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))


_as_json: Final = _Table("\n", _in_json)


def _each(text: str, table: _Table) -> str:
    if text.isascii() and text.isprintable():
        return text

    def shown(found: re.Match[str]) -> str:
        stretch = found[0]
        if _JOINED.search(stretch) is None:
            return stretch.translate(table)
        return "".join(_joined(stretch, table))

    return _UNUSUAL.sub(shown, text)


def _joined(stretch: str, table: _Table) -> Iterator[str]:
    """Yield the characters of a stretch without ASCII's printable ones, each as it is shown."""
    before = ""  # the character before, if something can be joined to it
    flag_ends = 0
    for place, character in enumerate(stretch):
        if place < flag_ends:
            yield character
            continue
        flag = _FLAG.match(stretch, place)
        if flag is not None:
            flag_ends = flag.end()
        if character in _JOINERS:
            yield character if before else table.written(character)
            before = ""
        elif _VARIANTS.match(character):
            # One behind a character chooses its form; more of them can hide any message.
            yield table.written(character) if _VARIANTS.match(before) else character
            before = character
        else:
            shown = table[ord(character)]
            yield shown
            before = character if shown == character and not character.isspace() else ""

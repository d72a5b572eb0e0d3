"""Secrets, masked before anything is written: which names have them, and what they look like.

Pure: what is masked, and where. Values are masked as nodes (:mod:`.masking`), right before they
become text. Other text (:meth:`Redaction.text`) is searched for what looks like a secret, and for
what is assigned to a name that has one.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import html
import pickletools
import re
from dataclasses import dataclass, field
from fnmatch import translate
from json import dumps, loads
from typing import Any, Final

from ..errors import InvalidInputError
from .mask import MASK, SecretError
from .secrets_in_code import without_literals
from .secrets_in_files import in_arrow, in_npy, texts_in

#: The patterns of ``redact=True``: names that have secrets, and what well-known ones look like.
SECRETS: Final[tuple[str | re.Pattern[str], ...]] = (
    "*password*",
    "*passwd*",
    "*passphrase*",
    "pwd",
    "secret",
    "secrets",
    "*_secret",
    "*secret_key*",
    "*access_key*",
    "*private_key*",
    "*api_key*",
    "*apikey*",
    "token",
    "*_token",
    "*authorization",
    "credentials",
    "*_credentials",
    "cookie",
    "set_cookie",
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),  # AWS
    re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,}|glpat-[\w-]{20,})"),
    re.compile(r"\b(?:xox[abprs]-[\w-]{10,}|sk-[\w-]{20,}|hf_[A-Za-z0-9]{30,}|AIza[\w-]{35})"),
    re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"),  # a JSON web token
    re.compile(r"\b[Bb]earer\s+([\w.~+/=-]{12,})"),
    re.compile(r"://([^/\s:@\"']*:[^/\s@\"']+)@"),  # user:password in a URL
    re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
    ),
)

_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
#: The flags that a pattern may have: what they do can be told in the settings.
_FLAGS: Final = re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.ASCII

# What may be assigned to a name, in code or in the text of an object: quoted, also within another
# text or in HTML, or a number.
_LITERAL: Final = r"""
    (?: [rRbBuUfF]{0,2} (?: \"\"\".*?(?:\"\"\"|\Z) | '''.*?(?:'''|\Z)
        | "(?:[^"\\\n]|\\.)*(?:"|\n|\Z) | '(?:[^'\\\n]|\\.)*(?:'|\n|\Z) )
      | \\+"(?:(?!\\+").)*\\+" | \\+'(?:(?!\\+').)*\\+'
      | &(?:quot|\#34|\#39|\#x27);.*?&(?:quot|\#34|\#39|\#x27);
      | \d[\w.]* )"""
#: A name, and what says that a value follows.
_ASSIGNS: Final = re.compile(
    r"""(?<![\w-])(?P<name>[A-Za-z_][\w-]*)
        (?:\\*["']|&(?:quot|\#34|\#39|\#x27);)?\]?
        (?:\s*:\s*[\w.\[\]| ]+?(?=\s*=))?
        \s*(?P<sign>[:=!]?=|:)\s*
        (?:[\w.]+\(\s*)*""",
    re.VERBOSE,
)
_LITERALS: Final = re.compile(_LITERAL, re.VERBOSE | re.DOTALL)
#: Stands between literals that are given to several names, or that are one text.
_BETWEEN: Final = re.compile(r"\s*,?\s*")
_INSIDE: Final = re.compile(
    r"""(?P<open>[rRbBuUfF]{0,2}(?:\"\"\"|'''|\\*["']|&\#?\w+;))(?P<text>.*?)
        (?P<close>\"\"\"|'''|\\*["']|&\#?\w+;|\n|\Z)\Z""",
    re.VERBOSE | re.DOTALL,
)
#: As it stands in messages and addresses: password=hunter2.
_BARE: Final = re.compile(
    r"""(?<![\w-])(?P<name>[A-Za-z_][\w-]*)=(?P<held>[^\s"'\\&,;)}\]=(\[{<>]+)"""
)


#: What may be learned: no word and no number, which texts have for other reasons.
_SECRETIVE: Final = re.compile(r"(?=.*[^\W_])(?=.*[^A-Za-z\s])(?!\d+\Z)\S(?:.{4,}\S)", re.DOTALL)
_MOST_LEARNED: Final = 400


@dataclass(frozen=True)
class Redaction:
    """What is masked.

    Args:
        names: globs of names.
        values: what secrets look like; of a pattern with a group only the first group is masked.

    Example:
        >>> Redaction.of(["*password*"]).text("login(password='hunter2')")
        "login(password='[redacted]')"
    """

    names: tuple[str, ...] = ()
    values: tuple[re.Pattern[str], ...] = ()
    _known: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)
    _learned: dict[str, None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, patterns: object) -> Redaction | None:
        """Return what *patterns* ask for; None if nothing is to be masked.

        Args:
            patterns: True for :data:`SECRETS`, False for nothing, or texts and compiled patterns.

        Raises:
            InvalidInputError: one cannot be used.
        """
        if patterns is True:
            patterns = SECRETS
        if patterns is False:
            return None
        if isinstance(patterns, str | re.Pattern) or not isinstance(patterns, list | tuple | set):
            raise InvalidInputError(
                "redact is True, False, or a list of names and of compiled patterns, such as "
                f'["*password*", re.compile("sk-[a-z0-9]+")], not a {type(patterns).__name__}.'
            )
        names: dict[str, None] = {}
        values: dict[re.Pattern[str], None] = {}
        for one in patterns:
            if isinstance(one, str) and _spelled(one).strip("*?"):
                names[_spelled(one)] = None
            elif isinstance(one, re.Pattern) and isinstance(one.pattern, str):
                values[_checked(one)] = None
            else:
                raise InvalidInputError(
                    "redact takes names, in which * stands for anything else, and patterns of text "
                    f'from re.compile("..."), not {"an empty name" if one == "" else repr(one)}.'
                )
        return cls(tuple(names), tuple(values)) if names or values else None

    @property
    def settings(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "names": list(self.names),
            "values": [[one.pattern, int(one.flags & _FLAGS)] for one in self.values],
        }

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Redaction | None:
        """Return what :attr:`settings` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            values = [re.compile(text, flags) for text, flags in settings["values"]]
            return cls.of([*map(str, settings["names"]), *values])
        except (KeyError, TypeError, ValueError, re.error, RecursionError) as error:
            raise ValueError(str(error)) from error
        except InvalidInputError as error:
            raise ValueError(str(error)) from error

    # ---- names and text -------------------------------------------------------------------------

    def hides(self, name: object) -> bool:
        """Whether what has this name is a secret."""
        if type(name) is not str:
            return False
        known = self._known.get(name)
        if known is None:
            if len(self._known) > 4096:  # noqa: PLR2004 - keys can be data
                self._known.clear()
            known = self._known[name] = _globs(self.names).fullmatch(_spelled(name)) is not None
        return known

    def text(self, text: str) -> str:
        """Return a text without the secrets in it: what looks like one, or is named as one."""
        return self._masked(text, bare=True)

    def source(self, text: str) -> str:
        """Return code without the literals that are assigned to names with secrets."""
        return self._masked(without_literals(text, self.hides, self.learn), bare=False)

    def learn(self, value: Any) -> None:
        """Take in what was found under the name of a secret: from here on it is masked anywhere.

        Not what may be a word, for that would be masked in every text. Kept in memory only.
        """
        for text in texts_in(value):
            if text not in self._learned and _SECRETIVE.fullmatch(text):
                if len(self._learned) >= _MOST_LEARNED:
                    return
                if text != MASK:
                    self._learned[text] = None
                    # As it stands in the text of an object, in JSON and in HTML.
                    self._learned[repr(text)[1:-1]] = None
                    self._learned[dumps(text)[1:-1]] = None
                    self._learned[html.escape(text)] = None

    def _masked(self, text: str, *, bare: bool) -> str:
        if "\x1b[" in text:  # colours stand between a name and its value
            plain = _ANSI.sub("", text)
            masked = self._masked(plain, bare=bare)
            return text if masked == plain else masked
        if self._learned:
            text = _any_of(tuple(self._learned)).sub(MASK, text)
        seeks = _union(self.values)
        if seeks is None or seeks.search(text) is not None:
            for pattern in self.values:
                text = pattern.sub(_mask_match, text)
        if self.names and ("=" in text or ":" in text):
            text = self._without_assigned(text)
            if bare and "=" in text:
                text = _BARE.sub(self._mask_bare, text)
        return text

    def _without_assigned(self, text: str) -> str:
        made: list[str] = []
        done = 0
        for match in _ASSIGNS.finditer(text):
            if match.start() < done or not self.hides(match["name"]):
                continue
            place = match.end()
            while (literal := _LITERALS.match(text, place)) is not None:
                if place != match.end() and literal.group()[1:2] in ("", "\n"):
                    break  # a quote that ends the text in which all this stands
                made += [text[done:place], _mask_literal(literal.group(), self.hides)]
                done = literal.end()
                more = _BETWEEN.match(text, done)
                place = done if more is None else more.end()
                if match["sign"] == ":" and "," in text[done:place]:
                    break  # in a dict it is the next key
        return "".join(made) + text[done:]

    def _mask_bare(self, match: re.Match[str]) -> str:
        return f"{match['name']}={MASK}" if self.hides(match["name"]) else match.group()

    def fingerprint(self, text: str | None) -> str | None:
        """Return a fingerprint in which a hash stands for what would show a secret.

        Equal for equal ones, and the same when it is done again.
        """
        try:
            told = loads(text or "")
        except (ValueError, RecursionError):
            return text
        if not isinstance(told, dict):
            return text
        changed = False
        for kind, parts in told.items():
            if isinstance(parts, dict):
                told[kind] = hidden = self.parts(parts)
                changed |= hidden != parts
        return dumps(told, separators=(",", ":")) if changed else text

    def parts(self, parts: dict[str, str]) -> dict[str, str]:
        """Return parts of a fingerprint by name, as :meth:`fingerprint` has them."""
        return {name: self._part(name, part) for name, part in parts.items()}

    def _part(self, name: str, part: str) -> str:
        content, mark, origin = part.partition("\n")
        if not content.startswith("="):
            return part
        last = name.rpartition(": ")[2].rpartition(".")[2].strip("*")
        if self.hides(last):
            with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                self.learn(ast.literal_eval(content[1:]))
        if self.hides(last) or self.text(content) != content:
            return f"#{hashlib.sha256(content.encode()).hexdigest()[:20]}{mark}{origin}"
        return part

    def check_facts(self, facts: Any) -> None:
        """Refuse what a node tells of bytes, such as the names of columns.

        Raises:
            SecretError: a name in it is that of a secret, or a text looks like one.
        """
        for name in texts_in(facts):
            if self.hides(name):
                raise SecretError(f"{name!r} is a name that this book redacts", path="")
            self.check_text(name)

    def check_bytes(self, data: Any) -> None:
        """Refuse bytes that hold a secret: those of tables and arrays by what is in them.

        Raises:
            SecretError: they do.
        """
        data = bytes(data)
        if data.startswith(b"ARROW1"):
            self.check_facts(list(in_arrow(data)))
        elif data.startswith(b"\x93NUMPY"):
            self.check_facts(list(in_npy(data)))
        else:
            self.check_text(data.decode("utf-8", "replace"))
            if b"\0" in data:  # UTF-16, or UTF-32 as NumPy has it
                self.check_text(data.replace(b"\0", b"").decode("utf-8", "replace"))

    def check_pickle(self, data: Any) -> None:
        """Refuse a pickle with a text that is a secret, or the name of one.

        Raises:
            SecretError: it has one.
        """
        for _, argument, _ in pickletools.genops(bytes(data)):
            if isinstance(argument, str):
                self.check_facts(argument)
            elif isinstance(argument, bytes | bytearray):
                self.check_bytes(argument)

    def check_text(self, text: str) -> None:
        """Refuse a text that holds a secret.

        Raises:
            SecretError: it does.
        """
        if self.text(text) != text:
            raise SecretError("it holds what this book redacts", path="")


# ---- names --------------------------------------------------------------------------------------


def _spelled(name: str) -> str:
    """Return a name as all spellings of it are compared: X-Api-Key, apiKey and API_KEY are one."""
    return re.sub(r"[-.\s]+", "_", _WORDS.sub("_", name.strip())).lower()


_LETTERS: Final = {
    re.IGNORECASE: "i",
    re.MULTILINE: "m",
    re.DOTALL: "s",
    re.VERBOSE: "x",
    re.ASCII: "a",
}


@functools.lru_cache(maxsize=8)
def _any_of(texts: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))))


@functools.lru_cache(maxsize=64)
def _union(values: tuple[re.Pattern[str], ...]) -> re.Pattern[str] | None:
    """Return one pattern that finds what any of several does; None if there is none."""
    parts = []
    for one in values:
        if one.groupindex or re.search(r"\\\d|\(\?", one.pattern.replace("(?:", "")):
            return None  # groups are called otherwise in the whole
        flags = "".join(letter for flag, letter in _LETTERS.items() if one.flags & flag)
        end = "\n" if one.flags & re.VERBOSE else ""  # it may end in a comment
        parts.append(f"(?{flags}:{one.pattern}{end})")
    return re.compile("|".join(parts) or r"(?!)")


@functools.lru_cache(maxsize=64)
def _globs(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{translate(name)})" for name in names) or r"(?!)")


def _checked(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """Return a pattern that can be kept in the settings."""
    bare = re.sub(r"\\(\W)", r"\1", pattern.pattern)
    if pattern.pattern in (bare, re.escape(bare)) and not re.search(r"[][.^$*+?{}()|\\]", bare):
        is_literal = True
    else:
        is_literal = pattern.pattern == re.escape(bare)
    if is_literal:
        raise InvalidInputError(
            "a pattern of redact is the text of one value and not a form. The settings of the book "
            "keep patterns, so they would keep the secret itself. Say what it looks like, as in "
            're.compile("sk-[a-z0-9]{20,}"), or give the name that it has.'
        )
    if pattern.search("") is not None:
        raise InvalidInputError(
            f"the pattern {pattern.pattern!r} of redact matches an empty text, so it would match "
            "everywhere. Have it match one character at least."
        )
    if pattern.flags & ~(_FLAGS | re.UNICODE):
        raise InvalidInputError(
            f"the pattern {pattern.pattern!r} of redact has flags that the settings of a book "
            "cannot keep. Use IGNORECASE, MULTILINE, DOTALL, VERBOSE and ASCII only."
        )
    return re.compile(pattern.pattern, pattern.flags & _FLAGS)


# ---- text ---------------------------------------------------------------------------------------


def _mask_match(match: re.Match[str]) -> str:
    if not match.re.groups or match[1] is None:
        return MASK
    (start, end), first = match.span(1), match.start()
    whole = match.group()
    return whole[: start - first] + MASK + whole[end - first :]


def _mask_literal(literal: str, hides: Any) -> str:
    inside = _INSIDE.fullmatch(literal)
    if inside is None:
        return MASK
    if hides(inside["text"]):  # where the secret is found: os.getenv("API_KEY")
        return literal
    return inside["open"] + MASK + inside["close"]

"""Secrets, masked before anything is written: which names have them, and what they look like.

Pure: what is masked, and where. Values are masked as nodes (:meth:`Redaction.node`), right before
they become text. Other text (:meth:`Redaction.text`) is searched for what looks like a secret, and
for what is assigned to a name that has one.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import functools
import hashlib
import html
import io
import pickletools
import re
from dataclasses import dataclass, field
from fnmatch import translate
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidInputError, NotSerializableError
from .nodes import TAG, step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: What stands in the place of a secret, everywhere.
MASK: Final = "[redacted]"

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

#: Nodes of which the items are pairs of a key and a value.
_PAIRS: Final = frozenset({"dict", "defaultdict", "OrderedDict", "Counter"})
#: What a node tells of an object by the names of its attributes.
_ATTRIBUTES: Final = frozenset({"fields", "slots", "notes", "attributes"})
_TEXTS: Final = frozenset({"bytes", "bytearray", "str"})


#: What may be learned: no word and no number, which texts have for other reasons.
_SECRETIVE: Final = re.compile(r"(?=.*[^\W_])(?=.*[^A-Za-z\s])(?!\d+\Z)\S(?:.{4,}\S)", re.DOTALL)
_MOST_LEARNED: Final = 400


class SecretError(NotSerializableError):
    """What holds a secret cannot be stored without it."""


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
    def from_settings(cls, settings: Any) -> Redaction | None:
        """Return what :attr:`settings` gave.

        Raises:
            ValueError: it is something else.
        """
        if settings is None:
            return None
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
        return self._masked(_without_literals(text, self.hides, self.learn), bare=False)

    def learn(self, value: Any) -> None:
        """Take in what was found under the name of a secret: from here on it is masked anywhere.

        Not what may be a word, for that would be masked in every text. Kept in memory only.
        """
        for text in _texts_in(value):
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

    # ---- values ---------------------------------------------------------------------------------

    def node(self, node: Any, found: list[str], *, names: bool = True, lossy: bool = False) -> Any:
        """Return the node of a value without the secrets in it.

        Args:
            node: see :mod:`.nodes`.
            found: takes in where something was masked.
            names: whether keys are looked at, or only texts.
            lossy: whether the whole object is masked where a part of it cannot be.

        Raises:
            SecretError: it can be masked only as a whole, and not *lossy*.
        """
        return _Walk(self, found, names=names, lossy=lossy).node(node, None)

    def json(self, text: str | None, *, names: bool = True) -> str | None:
        """Return JSON text without secrets, as :meth:`node` does; never raises."""
        if text is None:
            return None
        try:
            node = loads(text)
        except (ValueError, RecursionError):
            return self.text(text)
        found: list[str] = []
        masked = self.node(node, found, names=names, lossy=True)
        return dumps(masked, ensure_ascii=False, separators=(",", ":")) if found else text

    def check_facts(self, facts: Any) -> None:
        """Refuse what a node tells of bytes, such as the names of columns.

        Raises:
            SecretError: a name in it is that of a secret, or a text looks like one.
        """
        for name in _texts_in(facts):
            if self.hides(name):
                raise SecretError(f"{name!r} is a name that this book redacts", path="")
            self._check_text(name)

    def check_bytes(self, data: Any) -> None:
        """Refuse bytes that hold a secret: those of tables and arrays by what is in them.

        Raises:
            SecretError: they do.
        """
        data = bytes(data)
        if data.startswith(b"ARROW1"):
            self.check_facts(list(_in_arrow(data)))
        elif data.startswith(b"\x93NUMPY"):
            self.check_facts(list(_in_npy(data)))
        else:
            self._check_text(data.decode("utf-8", "replace"))
            if b"\0" in data:  # UTF-16, or UTF-32 as NumPy has it
                self._check_text(data.replace(b"\0", b"").decode("utf-8", "replace"))

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

    def _check_text(self, text: str) -> None:
        if self.text(text) != text:
            raise SecretError("it holds what this book redacts", path="")


#: Where something stands: in what, and by which key or at which place there.
_Path = tuple[Any, Any] | None


def _shown(path: _Path) -> str:
    told = ""
    while path is not None:
        path, key = path
        told = (f"[{key}]" if type(key) is int else step(key)) + told
    return f"${told}"


class _Walk:
    """One walk through a node; one frame for each level."""

    def __init__(self, redaction: Redaction, found: list[str], *, names: bool, lossy: bool) -> None:
        self._redaction = redaction
        self._found = found
        self._names = names
        self._lossy = lossy

    def node(self, node: Any, path: _Path) -> Any:
        kind = type(node)
        if kind is str:
            masked = self._redaction.text(node)
            if masked != node:
                self._found.append(_shown(path))
            return masked
        if kind is list:
            items = []
            for place, item in enumerate(node):
                items.append(self.node(item, (path, place)))
            return items
        if kind is not dict:
            return node
        if type(node.get(TAG)) is not str:
            return self._fields(node, path)
        before = len(self._found)
        try:
            return self._tagged(node, path)
        except SecretError:
            if not self._lossy:
                raise
            del self._found[before:]
            self._found.append(_shown(path))
            return MASK

    def _fields(self, node: dict[str, Any], path: _Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, item in node.items():
            made[self._key(key)] = self._named(key, item, (path, key))
        return made

    def _named(self, key: Any, item: Any, path: _Path) -> Any:
        if item is not None and self._names and self._redaction.hides(key):
            if item != MASK:
                self._found.append(_shown(path))
                self._redaction.learn(item)
            return MASK
        return self.node(item, path)

    def _key(self, key: Any) -> Any:
        masked = self._redaction.text(key) if type(key) is str else key
        if masked != key:
            if not self._lossy:
                raise SecretError("a key of a dict is what this book redacts", path="")
            self._found.append(masked)
        return masked

    def _tagged(self, node: dict[str, Any], path: _Path) -> Any:
        made: dict[str, Any] = {}
        kind = node[TAG]
        for name, item in node.items():
            if name == TAG:
                made[name] = item
            elif name == "data" and type(item) is str:
                if self._is_secret(item):
                    if kind not in _TEXTS:
                        raise SecretError("it holds what this book redacts", path="")
                    self._found.append(_shown(path))
                    return MASK
                made[name] = item
            elif type(item) is str:
                self._redaction._check_text(item)  # noqa: SLF001 - of this module
                made[name] = item
            elif name == "items" and kind in _PAIRS and type(item) is list:
                made[name] = self._pairs(item, path)
            elif name in _ATTRIBUTES and type(item) is dict and TAG not in item:
                made[name] = self._attributes(item, path)
            else:
                made[name] = self.node(item, path if name == "items" else (path, name))
        return made

    def _pairs(self, items: list[Any], path: _Path) -> list[Any]:
        made: list[Any] = []
        for pair in items:
            if type(pair) is not list or len(pair) != 2:  # noqa: PLR2004 - a key and a value
                made.append(self.node(pair, path))
                continue
            key, item = pair
            key = self._key(key) if type(key) is str else self.node(key, path)
            made.append([key, self._named(pair[0], item, (path, pair[0]))])
        return made

    def _attributes(self, item: dict[str, Any], path: _Path) -> dict[str, Any]:
        for name, part in item.items():
            hidden = self._names and part is not None and self._redaction.hides(name)
            if hidden and type(part) is not str:  # its class may take nothing but what it was
                raise SecretError(f"{name!r} is a name that this book redacts", path="")
        return self._fields(item, path)

    def _is_secret(self, data: str) -> bool:
        try:
            self._redaction.check_bytes(base64.b64decode(data, validate=True))
        except SecretError:
            return True
        except ValueError:  # it is no base64
            return self._redaction.text(data) != data
        return False


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


def _without_literals(
    source: str, hides: Callable[[object], bool], learn: Callable[[object], None]
) -> str:
    """Return the code of a cell with the literals masked that names with secrets get."""
    tree = _parsed(source)
    if tree is None:
        return source
    spans: set[tuple[int, int, int, int]] = set()
    for node in ast.walk(tree):
        for value in _given(node, hides):
            spans.update(_literals(value, hides, learn))
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    for first, start, last, end in sorted(spans, reverse=True):
        whole = lines[first - 1][:start] + f'"{MASK}"'.encode() + lines[last - 1][end:]
        lines[first - 1 : last] = [whole]
    return b"".join(lines).decode()


def _parsed(source: str) -> ast.Module | None:
    magic = re.compile(r"^([ \t]*)[%!?].*$", re.MULTILINE)
    for text in (source, magic.sub(r"\1pass", source)):
        try:
            # Lines as ast counts them, and not as texts are split.
            if len(text.splitlines()) == len(text.split("\n")) - text.endswith("\n"):
                return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _given(node: ast.AST, hides: Any) -> Iterator[ast.AST]:
    """Yield what a node of code gives to names with secrets."""
    match node:
        case ast.Assign(targets=targets, value=value):
            if any(hides(name) for target in targets for name in _names(target)):
                yield value
        case (
            ast.AnnAssign(target=target, value=ast.expr() as value)
            | ast.AugAssign(target=target, value=value)
            | ast.NamedExpr(target=target, value=value)
        ):
            if any(map(hides, _names(target))):
                yield value
        case ast.keyword(arg=str(name), value=value) if hides(name):
            yield value
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and hides(key.value):
                    yield value
        case _:
            yield from _beside(node, hides)


def _beside(node: ast.AST, hides: Any) -> Iterator[ast.AST]:
    """Yield what stands beside names with secrets, where they are told or compared."""
    match node:
        case ast.Call(args=args) if any(
            isinstance(one, ast.Constant) and hides(one.value) for one in args
        ):
            yield from args
        case ast.Compare(left=left, comparators=right):
            if any(hides(name) for one in (left, *right) for name in _names(one)):
                yield from (left, *right)


def _names(target: ast.AST) -> Iterator[str]:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            yield name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            yield name
        case ast.Tuple(elts=items) | ast.List(elts=items):
            for item in items:
                yield from _names(item)
        case ast.Starred(value=item):
            yield from _names(item)


def _literals(node: ast.AST, hides: Any, learn: Any) -> Iterator[tuple[int, int, int, int]]:
    if isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant)
        and type(node.value) in (str, bytes, int, float, complex)
        and not hides(node.value)
    ):
        assert node.end_lineno is not None  # noqa: S101 - of parsed text
        assert node.end_col_offset is not None  # noqa: S101
        if isinstance(node, ast.Constant):
            learn(node.value)
        yield node.lineno, node.col_offset, node.end_lineno, node.end_col_offset
        return
    for inner in ast.iter_child_nodes(node):
        yield from _literals(inner, hides, learn)


# ---- in files -----------------------------------------------------------------------------------


def _texts_in(facts: Any) -> Iterator[str]:
    waiting = [facts]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, bytes):
            yield one.decode("utf-8", "replace")
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += one


def _in_arrow(data: bytes) -> Iterable[Any]:
    """Yield the names of columns, and what is in those with text."""
    import pyarrow as pa  # noqa: PLC0415 - there is a table

    table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    for name, column in zip(table.column_names, table.columns, strict=True):
        yield name
        kind = column.type
        if not (pa.types.is_primitive(kind) or pa.types.is_null(kind)):
            yield column.to_pylist()
    yield [*(table.schema.metadata or {}).values()]


def _in_npy(data: bytes) -> Iterable[Any]:
    import numpy as np  # noqa: PLC0415 - there is an array

    array = np.load(io.BytesIO(data), allow_pickle=False)
    yield [*(array.dtype.names or ())]
    if array.dtype.kind in "USV":
        yield array.tolist()
    elif array.dtype.itemsize == 1:
        yield array.tobytes()

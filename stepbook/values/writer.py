"""Values to JSON text and artifacts."""

from __future__ import annotations

import functools
import hashlib
import io
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Self

from ..errors import ArtifactError, JournalWriteError, NotSerializableError
from ..model.blobs import TooBig
from ..model.libraries import ALIVE
from ..system.interrupts import allowed, in_thread, section
from ..system.platform import not_plain
from .kinds import FORMAT, LIBRARIES, PARTS_FORMAT, library, to_text
from .mask import SecretError
from .masking import masked_node
from .nodes import TAG, Encoder, b64, is_odd, name_of, step, unstorable
from .parts import LEAST_BYTES, Known, listed
from .types import classes
from .types.builtin import ENCODERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ..model.blobs import Blobs, Limit, Stored
    from .parts import Divided, Reading
    from .pickling import Pickled
    from .redact import Redaction
    from .seals import Address

#: Text longer than this is kept in an artifact.
INLINE_BYTES: Final = 64 << 10
#: Bytes of which the base64 text is no longer than that.
_INLINE_RAW: Final = INLINE_BYTES // 4 * 3
#: What all samples in one text may take together.
PREVIEW_BYTES: Final = 4 << 10
_PREVIEW_TEXT: Final = 400
_LONGEST_EXT: Final = 16
_LONGEST_PATH: Final = 200

_WAYS_OUT: Final = (
    "Return something else, write a file with ctx.file(name), teach stepbook the class with "
    "stepbook.register(cls, encode, decode), or give the value to store with "
    "run.resolve(name, value). The object is in this error's .value."
)


class OddTextError(NotSerializableError):
    """A text holds a lone surrogate."""


class _BareObjectError(NotSerializableError):
    """An ``object()``: it has nothing but its identity, which no copy keeps."""


class Writer(Encoder):
    """Encodes values, writing artifacts as needed.

    Args:
        artifacts: where big ones go; None keeps everything in the text.
        known: the parts of values that are in the store.
        limit: how much all that it encodes may take; None for any amount. Parts that are in the
            store already take nothing.
        address: where the values will stand; what nothing else can store is stored as a pickle that
            is sealed for there. Without it, such values are refused.
        redaction: what is masked in all of them.

    Attributes:
        masks: whether secrets are masked; else a value that holds one is refused.
        masked: where something was masked in the value that was encoded last.
        secret: why the value that was encoded last was refused, if that was for a secret in it.
        ready: what reading these files would give, in the order of the text, once each; None where
            they must be read. See :meth:`.codec.Codec.decode`.
        unpickled: packages of which no object is pickled.
        named: whether a value is only there to hold several, by their names.
    """

    def __init__(
        self,
        artifacts: Blobs | None,
        *,
        known: Known | None = None,
        limit: Limit | None = None,
        address: Address | None = None,
        redaction: Redaction | None = None,
    ) -> None:
        super().__init__(ENCODERS)
        self.redaction = redaction
        self.masks = True
        self.masked: list[str] = []
        self.secret = ""
        self._limit = limit
        self._most: int | None = None if limit is None else limit.most
        self._taken = 0
        self._files_take = 0
        self._adopted: dict[Path, Stored] = {}
        self._adopted_before: dict[Path, Stored] = {}
        self._given_back: list[Path] = []
        #: The files that were wanted, by what is being encoded and by all before it, and in vain.
        self._wanted: list[str] = []
        self._wanted_before: list[str] = []
        self._in_vain: list[str] = []
        self._known_parts = known or Known()
        self._artifacts = artifacts
        self._address = address
        self._slot = ""
        self.unpickled = ALIVE
        self.named = False
        self._own: dict[str, dict[str, Any]] = {}
        self._refused: JournalWriteError | None = None
        self._section: section | None = None  # begun with the artifact lock
        self._holds = False
        self._hint: Any = None
        self._classes: classes.Classes | None = None
        self._room = PREVIEW_BYTES
        self.ready: dict[str, list[Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        here, self._section = self._section, None
        if here is None or self._artifacts is None:
            return
        try:
            # An event that waits to be written names what was stored: prune stays away for good.
            waits = isinstance(error, JournalWriteError) and error is not self._refused
            if isinstance(error, TooBig):
                self._in_vain += self._wanted_before
                self._adopted = self._adopted_before
                self._give_back()
            elif error is None:
                for folder in {path.parent for path in self._adopted_before}:
                    with suppress(OSError):  # what else is there stays until the run goes
                        folder.rmdir()
            if self._holds and not waits:
                self._artifacts.let_go()
            self._holds = False
            if self._in_vain:
                self._artifacts.drop(self._in_vain)
            for path in self._given_back:
                self._artifacts.part(path)
        finally:
            here.__exit__(None, None, None)

    def encode(
        self,
        value: Any,
        *,
        hint: Any = None,
        files: Mapping[str, Path] | None = None,
        slot: str = "",
    ) -> str:
        """Return the JSON text of *value*; see :meth:`Codec.encode`.

        Args:
            value: what to store.
            hint: names classes that may be stored.
            files: files that belong to the value, by name; they are moved into the store, and
                their paths in *value* stand for them.
            slot: which value of the step it is, for its seal; without it nothing is sealed.

        Raises:
            NotSerializableError: it holds something that cannot be stored.
            JournalWriteError: a file of it cannot be written; *value* is in ``value``.
            TooBig: it takes more than the limit; nothing of it is needed.
        """
        before, self._slot, self.secret = self._taken, slot, ""
        try:
            text = self._encode_all(value, hint, files)
            self._check_secret()
            self._take(len(text) if text.isascii() else len(text.encode(errors="replace")))
        except BaseException as error:
            self._give_back()
            self._in_vain += self._wanted
            self._wanted, self._taken = [], before
            if isinstance(error, JournalWriteError):
                error.value = value  # type: ignore[attr-defined]
                self._refused = error
            if self.secret and isinstance(error, NotSerializableError):
                raise _with_secret(self.secret, value) from None
            raise
        self._adopted_before |= self._adopted
        self._wanted_before += self._wanted
        self._adopted, self._wanted = {}, []
        return text

    def _encode_all(self, value: Any, hint: Any, files: Mapping[str, Path] | None) -> str:
        about: list[dict[str, Any]] = []
        try:
            if files:
                about = self._adopt_all(files)
            self._files_take = self._taken
            return self._encode(value, hint, about)
        except NotSerializableError as error:
            return self._sealed_or(error, value, files)
        except (JournalWriteError, TooBig):
            raise
        except RecursionError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, hours of work may be in the value
            refused = unstorable(f"{type(error).__name__}: {error}")
            refused.__cause__ = error
            return self._sealed_or(refused, value, files)
        try:
            return in_thread(lambda: self._encode(value, hint, about))  # type: ignore[no-any-return]
        except NotSerializableError as error:
            return self._sealed_or(error, value, files)
        except RecursionError as error:
            raise _refusal("", "nested too deep", value) from error

    def _sealed_or(
        self, error: NotSerializableError, value: Any, files: Mapping[str, Path] | None
    ) -> str:
        """Return the text of a value as a sealed pickle; without one, raise why it is refused.

        Files that belong to it move into the store, and a pickle would name where they were.
        """
        from .pickling import CannotPickleError  # noqa: PLC0415 - few values need it

        reason = str(error)
        if self.secret:
            raise error
        if self._seals and not files and not isinstance(error, OddTextError | _BareObjectError):
            try:
                return self._sealed(value, self._pickled(value))
            except CannotPickleError as failed:
                reason = f"{reason}; {failed}"
            except RecursionError:
                reason = f"{reason}; it is nested too deep to be pickled"
        raise _refusal(error.path, reason, value) from error.__cause__

    @property
    def _seals(self) -> bool:
        """Whether what is encoded may be stored as a sealed pickle."""
        return self._address is not None and bool(self._slot)

    def _pickled(self, value: Any) -> Pickled:
        from .pickling import dumps  # noqa: PLC0415 - as above

        return dumps(value, refuses=self.unpickled)

    def _sealed(self, value: Any, pickled: Pickled, missing: Sequence[tuple[str, Any]] = ()) -> str:
        """Return the text of a value that was pickled: nothing else of it is needed."""
        from .sealed import node_of  # noqa: PLC0415 - as above

        if self.redaction is not None:
            with self._refusing_secrets():
                self.redaction.check_pickle(pickled.data)
                for part in pickled.buffers:
                    self.redaction.check_bytes(part)
        self._in_vain += self._wanted
        self._wanted, self._taken, self.ready = [], self._files_take, {}
        address = self._address
        assert address is not None  # noqa: S101 - self._seals was asked
        given = value, pickled, missing, address, self._slot, self._kept
        return to_text(node_of(*given, named=self.named))

    def _kept(self, data: Any) -> dict[str, Any]:
        """Return what tells of bytes, in the text or in a file of their own."""
        if self._artifacts is None or len(data) <= _INLINE_RAW:
            digest = hashlib.sha256(data).hexdigest()
            return {"bytes": len(data), "sha256": digest, "data": b64(data)}
        return _location(self._store("pkl", lambda file: file.write(data)))

    def _adopt_all(self, files: Mapping[str, Path]) -> list[dict[str, Any]]:
        """Move files into the store and return what is recorded of them."""
        if self._artifacts is None:
            raise unstorable("a book in memory has no files")
        for name, path in files.items():
            if not path.is_file():
                what = "a folder; write one file, such as a zip" if path.exists() else "missing"
                raise unstorable(
                    f"ctx.file({name!r}) gave a path at which the step has left {what}"
                )
            link = not_plain(path)
            if link is not None:
                raise unstorable(
                    f"ctx.file({name!r}) gave a path for a file, and what the step has left there "
                    f"cannot be stored: {link.strerror}; copy the file itself there"
                )
            if self.redaction is not None:
                with self._refusing_secrets():
                    self.redaction.check_bytes(path.read_bytes())
        found = []
        for name, path in files.items():
            self._adopted[path] = stored = self._adopt(path)
            about = {"name": name, **_location(stored)}
            self._own[str(path)] = {TAG: "file", "format": FORMAT, **about}
            found.append(about)
        return found

    def _give_back(self) -> None:
        """Put the files of a value that is not stored back to where the body had written them."""
        adopted, self._adopted = self._adopted, {}
        for path, stored in adopted.items():
            self._store_of_files().give_back(stored, path)
            self._given_back.append(path)

    def _adopt(self, path: Path) -> Stored:
        ext = path.suffix.lstrip(".").lower()
        if not (ext.isascii() and ext.isalnum() and len(ext) <= _LONGEST_EXT):
            ext = "bin"
        if self._limit is not None and self._limit.most is not None:
            self._take(path.stat().st_size)  # of the room on the disk it takes no more than now
        stored = self._locked(lambda artifacts: artifacts.adopt(path, ext))
        self._wanted.append(stored.file)
        return stored

    def own_file(self, path: str) -> dict[str, Any] | None:
        """Return the node of a file that the step has written."""
        return self._own.get(path)

    def _encode(self, value: Any, hint: Any, files: list[dict[str, Any]]) -> str:
        self.restart()
        self._taken = self._files_take  # it may be the second time, in another way
        self._hint, self._classes, self._room, self.ready = hint, None, PREVIEW_BYTES, {}
        text = self._text(self.node(value), value)
        if files:
            text = f'{{"{TAG}":"files","value":{text},"files":{to_text(files)}}}'
        return text

    def _check_secret(self) -> None:
        """Refuse the whole of a value of which a part with a secret was left out."""
        if self.secret:
            raise SecretError(self.secret, path="")

    @contextmanager
    def _refusing_secrets(self) -> Iterator[None]:
        """Note that the whole value is refused, whoever would leave a part of it out."""
        try:
            yield
        except SecretError as error:
            self.secret = error.reason or str(error)
            raise

    def _without_secrets(self, node: Any) -> Any:
        """Return a node with its secrets masked, or refuse it."""
        if self.redaction is None:
            return node
        found: list[str] = []
        self.masked = found
        with self._refusing_secrets():
            masked = masked_node(self.redaction, node, found)
            if found and not self.masks:
                raise SecretError(f"{found[0]} is what this book redacts", path="")
        return masked

    def _text(self, node: Any, value: Any) -> str:
        node = self._without_secrets(node)
        text = to_text(node)
        if len(text) <= INLINE_BYTES and text.isascii():
            return text
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise OddTextError(
                "a lone surrogate, which is not Unicode text", path=_path_of_surrogate(node) or ""
            ) from None
        if len(data) <= INLINE_BYTES or self._artifacts is None:
            return text
        stored = self._store("json", lambda file: file.write(data))
        facts: dict[str, Any] = {"of": name_of(type(value))}
        if isinstance(value, list | tuple | dict | str | set | frozenset):
            facts["length"] = len(value)
        about = {TAG: "json", "format": FORMAT, **facts, **_location(stored)}
        return to_text({**about, "preview": text[:_PREVIEW_TEXT]})

    def other(self, value: Any) -> Any:
        """Return the node of a value of a class of the user's own, or of a library."""
        found = classes.encode(self, value, self._named)
        if found is not None:
            return found
        module = LIBRARIES.get(type(value).__module__.partition(".")[0])
        if module is not None:
            found = library("composed").encode(self, value)
            if found is None:
                found = library(module).encode(self, value)
            if found is not None:
                return found
        if type(value) is object:
            raise _BareObjectError(
                "an object() is nothing but itself, and a copy another one", path=""
            )
        raise unstorable(f"values of the type {name_of(type(value))} cannot be stored")

    def _named(self) -> classes.Classes:
        if self._classes is None:
            self._classes = classes.named_classes(self._hint)
        return self._classes

    def blob(
        self,
        kind: str,
        ext: str,
        produce: Callable[[Any], object],
        *,
        size: int,
        facts: dict[str, Any],
        preview: Callable[[], Any],
        always_file: bool = False,
        ready: Any = None,
        parts: Divided | None = None,
    ) -> dict[str, Any]:
        """Return the node of a value that is kept as bytes; see :meth:`Encoder.blob`."""
        node = {TAG: kind, "format": FORMAT, **facts}
        if self.redaction is not None:  # before anything of it is written
            produce = self._checked(produce, facts)
        inline = self._artifacts is None
        if inline or (size <= _INLINE_RAW and not always_file):
            memory = _Memory()
            produce(memory)
            data = memory.getvalue()
            if inline or len(data) <= _INLINE_RAW:
                digest = hashlib.sha256(data).hexdigest()
                node |= {"bytes": len(data), "sha256": digest, "data": b64(data)}
                return self._sampled(node, preview)
            produce = lambda file: file.write(data)  # noqa: E731 - what was made is not made again
        if parts is None:
            node |= _location(self._store(ext, produce))
        else:
            node |= self._by_parts(ext, parts)
        self.ready.setdefault(place_of(node), []).append(ready)
        return self._sampled(node, preview)

    def _checked(self, produce: Callable[[Any], object], facts: Any) -> Callable[[Any], object]:
        """Return what writes the same bytes, which were found to hold no secret."""
        assert self.redaction is not None  # noqa: S101 - it was asked
        memory = _Memory()
        produce(memory)
        data = memory.getvalue()
        with self._refusing_secrets():
            self.redaction.check_facts(facts)
            self.redaction.check_bytes(data)
        return lambda file: file.write(data)

    def _by_parts(self, ext: str, parts: Divided) -> dict[str, Any]:
        """Write the parts that are not in the store yet; return what tells of all of them."""
        found = self._known_parts.put(
            parts, self._reading, self._is_there, lambda produce: self._store(ext, produce)
        )
        if not isinstance(found, list):
            return _location(found)
        return {"format": PARTS_FORMAT, **parts.facts, **listed(parts, found, _location)}

    def _reading(self, stored: Stored) -> Reading:
        return functools.partial(self._store_of_files().read, stored)

    def _store_of_files(self) -> Blobs:
        if self._artifacts is None:
            raise TypeError("this writer has nowhere to write to")
        return self._artifacts

    def _is_there(self, stored: Stored) -> bool:
        """Whether a file is in the store as it was recorded; from here on prune leaves it."""
        self._locked(lambda _: stored)
        try:
            with allowed():  # it may be big, and not looked at yet
                self._store_of_files().check(stored)
        except (ArtifactError, OSError):
            return False
        self._wanted.append(stored.file)
        return True

    def divides(self, size: int) -> bool:
        """Whether a value of *size* bytes is worth being told by parts."""
        return self._artifacts is not None and size >= LEAST_BYTES

    def knows(self, parts: Divided) -> bool:
        """Whether some of the parts are in the store and will be referred to."""
        found, new = self._known_parts.usable(parts, self._reading, self._is_there)
        return len(new) < len(found)

    def wants_copy(self, size: int) -> bool:
        """Whether a private copy of a value of *size* bytes spares reading its file back."""
        return self._artifacts is not None and size > _INLINE_RAW

    def _store(self, ext: str, produce: Callable[[Any], object]) -> Stored:
        left = self._allowed()
        try:
            stored = self._locked(lambda artifacts: artifacts.write(ext, produce, left))
        except TooBig:
            raise self._too_big() from None
        self._taken += stored.size
        self._wanted.append(stored.file)
        return stored

    def _allowed(self) -> int | None:
        """Return how many more bytes may be written; None for any number."""
        if self._limit is None:
            return None
        if self._most is None:
            free = self._store_of_files().free()
            if free is None:
                self._limit = None
                return None
            self._most = free // 2
        return max(0, self._most - self._taken)

    def _take(self, size: int) -> None:
        """Count what is stored elsewhere than in a file of its own."""
        self._taken += size
        if self._most is not None and self._taken > self._most:
            raise self._too_big()

    def _too_big(self) -> TooBig:
        asked = self._limit is not None and self._limit.most is not None
        return TooBig(self._most or 0, is_asked=asked)

    def _locked(self, use: Callable[[Blobs], Stored]) -> Stored:
        """Write with the artifact lock.

        It is taken at the first time, and held until the block ends: in a section from here on.
        """
        artifacts = self._store_of_files()
        try:
            if self._section is None:
                self._section = section().__enter__()
            if not self._holds:
                artifacts.hold()
                self._holds = True
            return use(artifacts)
        except JournalWriteError:
            raise
        except OSError as error:
            raise NotSerializableError(
                f"its file cannot be written to {artifacts.folder}: {error}", path=""
            ) from error

    def _sampled(self, node: dict[str, Any], preview: Callable[[], Any]) -> dict[str, Any]:
        """Add a sample, as long as there is room for it."""
        try:
            sample = preview()
            size = len(to_text(sample).encode())
        except Exception:  # noqa: BLE001 - it is only for the eye
            return node
        if sample is not None and size <= self._room:
            self._room -= size
            node["preview"] = sample
        return node


class _Memory(io.BytesIO):
    """A file in memory that stays readable when its writer closes it."""

    def close(self) -> None:
        """Do nothing."""


def _location(stored: Stored) -> dict[str, Any]:
    return {
        "bytes": stored.size,
        "sha256": stored.sha256,
        "xxh3_128": stored.xxh3,
        "file": stored.file,
    }


def place_of(node: dict[str, Any]) -> str:
    """Return a text that is equal for equal bytes of a node in files."""
    return node["file"] if "file" in node else to_text(node["parts"])


def _refusal(path: str, reason: str, value: Any) -> NotSerializableError:
    whole = f"${path}"
    shown = whole if len(whole) <= _LONGEST_PATH else f"{whole[:120]}…{whole[-60:]}"
    return NotSerializableError(
        f"The value cannot be stored: {shown}: {reason}. {_WAYS_OUT}",
        path=whole,
        reason=reason,
        value=value,
    )


def _with_secret(reason: str, value: Any) -> NotSerializableError:
    return NotSerializableError(
        f"The value cannot be stored without a secret: {reason}. Leave that out of it, or have the "
        "step hand it on unrecorded: run.options(store=False), in a cell --no-store. What the book "
        "redacts is set by stepbook.connect(path, redact=...). The object is in this error's "
        ".value.",
        path="$",
        reason=reason,
        value=value,
    )


def _path_of_surrogate(node: Any) -> str | None:
    """Return where in *node* a text is that is not Unicode."""
    if isinstance(node, str):
        return "" if is_odd(node) else None
    parts: Any = ()
    if isinstance(node, list):
        parts = ((f"[{i}]", item) for i, item in enumerate(node))
    elif isinstance(node, dict):
        parts = (("" if TAG in node else step(key), [key, item]) for key, item in node.items())
        parts = ((name, item) for name, pair in parts for item in pair)
    for name, item in parts:
        found = _path_of_surrogate(item)
        if found is not None:
            return f"{name}{found}"
    return None

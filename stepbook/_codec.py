"""Values and the JSON text that stands for them in the column ``return``.

The text is plain JSON where JSON holds the value exactly; see :mod:`._nodes` for what is done
otherwise. Tables, arrays, models and long texts are kept as bytes: up to 64 KiB in the text, above
in an artifact of which the text tells type, shape, hash and a small sample. Reading a record
executes no code and unpickles nothing, unless ``allow_pickle`` was asked for in this session.
"""

from __future__ import annotations

import _thread
import hashlib
import importlib
import io
import json
import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from . import _models
from ._artifacts import NAME, Artifacts, Stored
from ._errors import ArtifactError, JournalWriteError, NotSerializableError, StepbookError
from ._nodes import TAG, Encoder, b64, expect, name_of, refuse, step, unb64
from ._values import DECODERS, ENCODERS

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: Text longer than this is kept in an artifact.
INLINE_BYTES: Final = 64 << 10
#: Bytes of which the base64 text is no longer than that.
_INLINE_RAW: Final = INLINE_BYTES // 4 * 3
#: What all samples in one text may take together.
PREVIEW_BYTES: Final = 4 << 10
_LONGEST_EXT: Final = 16
#: Version of the nodes that tell of bytes; a reader refuses those that it does not know.
FORMAT: Final = 1

#: Which module stores the values of a library. It is imported with the first such value only.
_LIBRARIES: Final = {
    "numpy": "_arrays",
    "pandas": "_pandas",
    "pyarrow": "_tables",
    "polars": "_tables",
    "sklearn": "_ml",
    "torch": "_ml",
    "xgboost": "_ml",
    "lightgbm": "_ml",
    "collections": "_ml",  # an OrderedDict of tensors
}

_WAYS_OUT: Final = (
    "Return something else, write a file with ctx.file(name), teach stepbook the class with "
    "stepbook.register(cls, encode, decode), or give the value to store with "
    "run.resolve(name, value). The object is in this error's .value."
)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_dumps: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode
_scan: Final = json.JSONDecoder(parse_constant=_no_constant).scan_once


class Codec:
    """Turns values into JSON text and back, the same value of the same type.

    Args:
        artifacts: where big values go; None keeps everything in the text.
        allow_pickle: store as pickle what nothing else can store, and read what was stored so.

    Example:
        >>> codec = Codec(None)
        >>> codec.decode(codec.encode({"a": (1, 2)}))
        {'a': (1, 2)}
    """

    def __init__(self, artifacts: Artifacts | None, *, allow_pickle: bool = False) -> None:
        self.artifacts = artifacts
        self.allow_pickle = allow_pickle

    def writing(self) -> Writer:
        """Return what encodes values in a ``with`` block.

        From the first artifact on, prune is kept away until the block ends: end it when what names
        the value is on the disk.
        """
        return Writer(self, self.artifacts)

    def encode(self, value: Any, *, hint: Any = None) -> str:
        """Return the JSON text of *value*, everything in it.

        For inputs and other small values; what a step returns goes through :meth:`writing`.

        Args:
            value: what to store.
            hint: names classes that may be stored: a class, an annotation, or a function, of which
                the return annotation counts.

        Raises:
            NotSerializableError: it holds something that cannot be stored; ``path`` says where.
        """
        return Writer(self, None).encode(value, hint=hint)

    def decode(self, text: str, *, hint: Any = None, where: str = "") -> Any:
        """Return a fresh value from *text*, which :meth:`encode` has written.

        Args:
            text: JSON.
            hint: as in :meth:`encode`; only classes that it names are rebuilt.
            where: whose value it is, such as a step's name, for errors.

        Raises:
            ArtifactError: a file is missing or has changed, the text is damaged, or it tells of a
                class that is not named here.
        """
        # A text with neither holds nothing but itself: no object in it can have the tag as a key.
        if '"$stepbook"' not in text and "\\u" not in text:
            try:
                value, end = _scan(text, 0)
                if end == len(text):
                    return value
            except (ValueError, StopIteration, RecursionError):
                pass  # damaged, or deep: told apart below
        try:
            return Reader(self, hint).decode(text)
        except RecursionError:
            return _with_fresh_stack(lambda: self._decode_whole(text, hint, where))
        except ArtifactError as error:
            raise _explained(error, where) from error.__cause__

    def show(self, text: str) -> Any:
        """Return *text* parsed for people, reading no files and rebuilding no classes.

        Scalars and containers are rebuilt; tables, arrays, models and objects stay what the
        record tells of them, a dict with ``$stepbook``. Never raises for what is recorded.
        """
        try:
            return json.loads(text, object_hook=_shown)
        except (ValueError, RecursionError):
            return text

    def _decode_whole(self, text: str, hint: Any, where: str) -> Any:
        try:
            return Reader(self, hint).decode(text)
        except RecursionError as error:
            raise _explained(ArtifactError("nested too deep to be read"), where) from error
        except ArtifactError as error:
            raise _explained(error, where) from error.__cause__


def _explained(error: ArtifactError, where: str) -> ArtifactError:
    return ArtifactError(f"{where or 'a value'}: it cannot be read back: {error}")


def _shown(node: dict[str, Any]) -> Any:
    known = DECODERS.get(node.get(TAG, ""))
    if known is not None:
        try:
            return known(node)
        except Exception:  # noqa: BLE001 - what is inside may be shown as a dict
            return node
    return {name: item for name, item in node.items() if name != "data"} if TAG in node else node


def files_in(text: str) -> dict[str, str]:
    """Return the files that a text tells of: names of artifacts by where they stand.

    Those that a step has written by ``ctx.file`` stand under their names, the others under their
    path in the text, a value that is a file itself under ``$``.
    """
    found: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [("$", json.loads(text))]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, dict):
            if "file" in node and "sha256" in node:
                found[node.get("name", path) if node.get(TAG, "file") == "file" else path] = node[
                    "file"
                ]
            parts = [(f"{path}{step(key)}", item) for key, item in node.items()]
        elif isinstance(node, list):
            parts = [(f"{path}[{i}]", item) for i, item in enumerate(node)]
        else:
            continue
        waiting.extend(reversed(parts))
    return found


def references(text: str) -> list[str]:
    """Return the names of the artifacts that a text tells of, in order, each once."""
    return list(dict.fromkeys(match.group() for match in NAME.finditer(text)))


def _with_fresh_stack(call: Callable[[], Any]) -> Any:
    """Return what *call* returns, called in a thread of its own, at the bottom of a stack.

    With the low-level module, as starting a Thread takes frames that may not be there any more.
    """
    outcome: list[tuple[bool, Any]] = []
    done = _thread.allocate_lock()
    done.acquire()

    def work() -> None:
        try:
            outcome.append((True, call()))
        except BaseException as error:  # noqa: BLE001 - raised again where it belongs
            outcome.append((False, error))
        finally:
            done.release()

    _thread.start_new_thread(work, ())
    done.acquire()
    succeeded, result = outcome[0]
    if succeeded:
        return result
    raise result


class Writer(Encoder):
    """Encodes values, writing artifacts as needed.

    Args:
        codec: whose values.
        artifacts: where big ones go; None keeps everything in the text.
    """

    def __init__(self, codec: Codec, artifacts: Artifacts | None) -> None:
        super().__init__(ENCODERS)
        self._codec = codec
        self._artifacts = artifacts
        self._own: dict[str, dict[str, Any]] = {}
        self._lock: contextlib.AbstractContextManager[None] | None = None
        self._hint: Any = None
        self._classes: _models.Classes | None = None
        self._room = PREVIEW_BYTES

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        lock, self._lock = self._lock, None
        # An event that waits to be written names what was stored: prune stays away for good.
        if lock is not None and not isinstance(error, JournalWriteError):
            lock.__exit__(None, None, None)

    def encode(
        self, value: Any, *, hint: Any = None, files: Mapping[str, Path] | None = None
    ) -> str:
        """Return the JSON text of *value*; see :meth:`Codec.encode`.

        Args:
            value: what to store.
            hint: names classes that may be stored.
            files: files that belong to the value, by name; they are moved into the store, and
                their paths in *value* stand for them.

        Raises:
            NotSerializableError: it holds something that cannot be stored, or its file cannot be
                written.
        """
        try:
            if files:
                return self._encode_with_files(value, hint, files)
            return self._encode(value, hint)
        except NotSerializableError as error:
            raise _refusal(error.path, str(error), value) from error.__cause__
        except RecursionError:
            pass
        except Exception as error:
            # Whatever it is, hours of work may be in the value.
            raise _refusal("", f"{type(error).__name__}: {error}", value) from error
        try:
            return _with_fresh_stack(lambda: self._encode(value, hint))  # type: ignore[no-any-return]
        except NotSerializableError as error:
            raise _refusal(error.path, str(error), value) from error.__cause__
        except RecursionError as error:
            raise _refusal("", "nested too deep", value) from error

    def _encode_with_files(self, value: Any, hint: Any, files: Mapping[str, Path]) -> str:
        self._begin(hint)
        if self._artifacts is None:
            refuse("a book in memory has no files")
        for name, path in files.items():
            if not path.is_file():
                what = "a folder; write one file, such as a zip" if path.exists() else "missing"
                refuse(f"ctx.file({name!r}) gave a path at which the step has left {what}")
        adopted = {name: self._adopt(path) for name, path in files.items()}
        for folder in {path.parent for path in files.values()}:
            with suppress(OSError):  # what else the body has left there stays until the run goes
                folder.rmdir()
        for name, stored in adopted.items():
            self._own[str(files[name])] = {
                TAG: "file", "format": FORMAT, "name": name, **_location(stored)
            }
        about = [{"name": name, **_location(stored)} for name, stored in adopted.items()]
        inside = self._finish(self.node(value), value)
        return f'{{"{TAG}":"files","value":{inside},"files":{_dumps(about)}}}'

    def _adopt(self, path: Path) -> Stored:
        ext = path.suffix.lstrip(".").lower()
        if not (ext.isascii() and ext.isalnum() and len(ext) <= _LONGEST_EXT):
            ext = "bin"
        return self._locked(lambda artifacts: artifacts.adopt(path, ext))

    def own_file(self, path: str) -> dict[str, Any] | None:
        """Return the node of a file that the step has written."""
        return self._own.get(path)

    def _encode(self, value: Any, hint: Any) -> str:
        self._begin(hint)
        return self._finish(self.node(value), value)

    def _begin(self, hint: Any) -> None:
        self.restart()
        self._hint, self._classes, self._room = hint, None, PREVIEW_BYTES

    def _finish(self, node: Any, value: Any) -> str:
        text = _dumps(node)
        if len(text) <= INLINE_BYTES and text.isascii():
            return text
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise NotSerializableError(
                "a lone surrogate, which is not Unicode text", path=_path_of_surrogate(node) or ""
            ) from None
        if len(data) <= INLINE_BYTES or self._artifacts is None:
            return text
        stored = self._store("json", lambda file: file.write(data))
        facts: dict[str, Any] = {"of": name_of(type(value))}
        if hasattr(value, "__len__"):
            facts["length"] = len(value)
        about = {TAG: "json", "format": FORMAT, **facts, **_location(stored)}
        return _dumps({**about, "preview": text[:400]})

    def other(self, value: Any) -> Any:
        """Return the node of a value of a class of the user's own, or of a library."""
        found = _models.encode(self, value, self._named)
        if found is not None:
            return found
        module = _LIBRARIES.get(type(value).__module__.partition(".")[0])
        if module is not None:
            found = _import(module).encode(self, value)
            if found is not None:
                return found
        if self._codec.allow_pickle:
            return self._pickle(value)
        refuse(f"values of the type {name_of(type(value))} cannot be stored")

    def _named(self) -> _models.Classes:
        if self._classes is None:
            self._classes = _models.named_classes(self._hint)
        return self._classes

    def _pickle(self, value: Any) -> dict[str, Any]:
        try:
            data = pickle.dumps(value, 5)
        except Exception as error:  # noqa: BLE001 - pickling runs the user's own code
            refuse(f"a {name_of(type(value))} cannot be pickled either: {error}")
        return self.blob(
            "pickle",
            "pkl",
            lambda file: file.write(data),
            size=len(data),
            facts={"class": name_of(type(value))},
            preview=lambda: None,
        )

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
    ) -> dict[str, Any]:
        """Return the node of a value that is kept as bytes; see :meth:`Encoder.blob`."""
        node = {TAG: kind, "format": FORMAT, **facts}
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
        return self._sampled({**node, **_location(self._store(ext, produce))}, preview)

    def _store(self, ext: str, produce: Callable[[Any], object]) -> Stored:
        return self._locked(lambda artifacts: artifacts.write(ext, produce))

    def _locked(self, use: Callable[[Artifacts], Stored]) -> Stored:
        """Write with the artifact lock, taken at the first time and held until the block ends."""
        artifacts = self._artifacts
        if artifacts is None:
            raise TypeError("this writer has nowhere to write to")
        try:
            if self._lock is None:
                lock = artifacts.writing()
                lock.__enter__()
                self._lock = lock
            return use(artifacts)
        except OSError as error:
            raise NotSerializableError(
                f"its file cannot be written to {artifacts.folder}: {error}", path=""
            ) from error

    def _sampled(self, node: dict[str, Any], preview: Callable[[], Any]) -> dict[str, Any]:
        """Add a sample, as long as there is room for it."""
        try:
            sample = preview()
            size = len(_dumps(sample).encode())
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
    return {"bytes": stored.size, "sha256": stored.sha256, "file": stored.file}


def _refusal(path: str, reason: str, value: Any) -> NotSerializableError:
    whole = f"${path}"
    shown = whole if len(whole) <= 200 else f"{whole[:120]}…{whole[-60:]}"  # noqa: PLR2004
    return NotSerializableError(
        f"The value cannot be stored: {shown}: {reason}. {_WAYS_OUT}", path=whole, value=value
    )


def _path_of_surrogate(node: Any) -> str | None:
    """Return where in *node* a text is that is not Unicode."""
    if isinstance(node, str):
        return None if _is_unicode(node) else ""
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


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _import(module: str) -> Any:
    return importlib.import_module(f".{module}", __package__)


class Reader:
    """Rebuilds one value.

    Args:
        codec: whose value.
        hint: names the classes that may be rebuilt.
    """

    def __init__(self, codec: Codec, hint: Any) -> None:
        self._codec = codec
        self._hint = hint
        self._classes: _models.Classes | None = None
        self._decoder = json.JSONDecoder(object_hook=self._hook, parse_constant=_no_constant)

    def decode(self, text: str) -> Any:
        """Return the value that *text* stands for.

        Raises:
            ArtifactError: it cannot be rebuilt.
        """
        try:
            return self._decoder.decode(text)
        except (ArtifactError, RecursionError):
            raise
        except StepbookError as error:
            raise ArtifactError(str(error)) from error
        except ImportError as error:
            raise ArtifactError(f"it needs a package that is not installed: {error}") from error
        except Exception as error:
            raise ArtifactError(
                f"the record is damaged: {type(error).__name__}: {error}"
            ) from error

    def _hook(self, node: dict[str, Any]) -> Any:
        # Called for each object, the innermost first: what is inside is rebuilt already.
        if TAG not in node:
            return node
        kind = node[TAG]
        known = DECODERS.get(expect(kind, str))
        if known is not None:
            return known(node)
        if kind in _models.KINDS:
            return _models.decode(kind, node, self._named)
        return self._decode_bytes(kind, node)

    def _named(self) -> _models.Classes:
        if self._classes is None:
            self._classes = _models.named_classes(self._hint)
        return self._classes

    def _decode_bytes(self, kind: str, node: dict[str, Any]) -> Any:
        rest = {name: item for name, item in node.items() if name not in _BLOB_FIELDS}
        if node.get("format", FORMAT) != FORMAT:
            raise ArtifactError(f"{kind!r} has a format of a newer stepbook")

        def content(allocate: Callable[[int], Any] = bytearray) -> memoryview:
            return self._content(node, allocate)

        if kind == "json":
            return self.decode(str(content(), "utf-8"))
        if kind in ("bytes.blob", "bytearray.blob"):
            return (bytes if kind == "bytes.blob" else bytearray)(content())
        if kind == "pickle":
            return self._unpickle(node, content)
        if kind == "files":
            return rest["value"]
        if kind == "file":
            return self._artifacts().check(_stored(node))
        module = _LIBRARIES.get(kind.partition(".")[0])
        if module is None or kind not in (family := _import(module)).KINDS:
            raise ArtifactError(
                f"{kind!r} is unknown: recorded by a newer stepbook, or the record is damaged"
            )
        if module == "_pandas":
            return family.decode(kind, rest, content, self.decode)
        return family.decode(kind, rest, content)

    def _content(self, node: dict[str, Any], allocate: Callable[[int], Any]) -> memoryview:
        """Return the bytes of a node in a fresh buffer, after its hash was found right."""
        size, sha256 = expect(node["bytes"], int), expect(node["sha256"], str)
        if "data" in node:
            data = unb64(node["data"])
            if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
                raise ArtifactError("its bytes are not those that were recorded")
            view = memoryview(allocate(size)).cast("B")
            view[:] = data
            return view
        return self._artifacts().read(_stored(node), allocate)

    def _artifacts(self) -> Artifacts:
        if self._codec.artifacts is None:
            raise ArtifactError("it is in a file, and this book has none")
        return self._codec.artifacts

    def _unpickle(self, node: dict[str, Any], content: Callable[[], memoryview]) -> Any:
        if not self._codec.allow_pickle:
            raise ArtifactError(
                f"it is a pickle of {node.get('class')}, and loading one executes what it says; if "
                "you trust whoever wrote this book, connect(path, allow_pickle=True) loads it"
            )
        return pickle.loads(content())  # noqa: S301 - asked for in this session, with a warning


def _stored(node: dict[str, Any]) -> Stored:
    stored = Stored(expect(node["file"], str), expect(node["bytes"], int))
    if stored.sha256 != node["sha256"] or stored.size < 0:
        raise ArtifactError("the record contradicts itself")
    return stored


_BLOB_FIELDS: Final = frozenset({TAG, "format", "bytes", "sha256", "file", "data", "preview"})

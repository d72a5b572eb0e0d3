"""Values and the JSON text that stands for them in the column ``return``.

The text is plain JSON where JSON holds the value exactly; see :mod:`._nodes` for what is done
otherwise. Tables, arrays, models and long texts are kept as bytes: up to 64 KiB in the text, above
in an artifact of which the text tells type, shape, hash and a small sample. Reading a record
executes no code and unpickles nothing, except what a key of this user has sealed; see
:mod:`.sealed`.
"""

from __future__ import annotations

from json import JSONDecoder, loads
from typing import TYPE_CHECKING, Any, Final

from ..errors import ArtifactError, NotStoredError
from ..system.interrupts import in_thread
from .kinds import no_constant
from .parts import Known
from .reader import Reader, shown
from .writer import Writer

if TYPE_CHECKING:
    from ..model.blobs import Blobs, Limit
    from .heap import HeapWriter
    from .redact import Redaction
    from .seals import Address
    from .world import World

    _Unread = ArtifactError | NotStoredError

_scan: Final = JSONDecoder(parse_constant=no_constant).scan_once  # type: ignore[attr-defined]


class Codec:
    """Turns values into JSON text and back, the same value of the same type.

    Args:
        artifacts: where big values go; None keeps everything in the text.

    Attributes:
        redaction: what is masked in all that is written; None for nothing.

    Example:
        >>> codec = Codec(None)
        >>> codec.decode(codec.encode({"a": (1, 2)}))
        {'a': (1, 2)}
    """

    def __init__(self, artifacts: Blobs | None) -> None:
        self.artifacts = artifacts
        self.redaction: Redaction | None = None
        self._known = Known()

    def writing(self, limit: Limit | None = None, address: Address | None = None) -> Writer:
        """Return what encodes values in a ``with`` block.

        From the first artifact on, prune is kept away until the block ends: end it when what names
        the value is on the disk.

        Args:
            limit: how much all of it may take; None for any amount.
            address: where the values will stand: what nothing else can store is sealed for there.
        """
        return Writer(
            self.artifacts,
            known=self._known,
            limit=limit,
            address=address,
            redaction=self.redaction,
        )

    def writing_graphs(
        self, world: World, limit: Limit | None = None, address: Address | None = None
    ) -> HeapWriter:
        """Return what encodes object graphs, and values, as :meth:`writing` does."""
        from .heap import HeapWriter  # noqa: PLC0415 - only cells have graphs

        return HeapWriter(
            self.artifacts,
            world,
            known=self._known,
            limit=limit,
            address=address,
            redaction=self.redaction,
        )

    def decode_graph(
        self,
        text: str,
        world: World,
        *,
        hint: Any = None,
        where: str = "",
        only: str | None = None,
        address: Address | None = None,
        slot: str = "",
    ) -> Any:
        """Return a fresh graph from *text*, which a writer of graphs has written.

        Args:
            text: JSON.
            world: what the host knows of its code.
            hint: as in :meth:`encode`.
            where: whose value it is, for errors.
            only: the one member of a dict that is asked for, as far as its classes are here.
            address: as for :meth:`decode`.
            slot: the same.

        Raises:
            ArtifactError: as :meth:`decode`.
            NotStoredError: the same.
        """
        from .heap import EarlyReader, HeapReader  # noqa: PLC0415 - only cells have graphs

        given = self.artifacts, world, hint
        options: Any = {"known": self._known, "address": address, "slot": slot}

        def read() -> Any:
            if only is not None:
                return EarlyReader(only, *given, **options).decode(text)
            return HeapReader(*given, **options).decode(text)

        try:
            try:
                return read()
            except RecursionError:
                return in_thread(read)
        except RecursionError as error:
            raise _explained(ArtifactError("it is nested too deep"), where) from error
        except (ArtifactError, NotStoredError) as error:
            raise _explained(error, where) from error.__cause__

    def encode(
        self,
        value: Any,
        *,
        hint: Any = None,
        unmasked: bool = False,
        masked: list[str] | None = None,
    ) -> str:
        """Return the JSON text of *value*, everything in it.

        For inputs and other small values; what a step returns goes through :meth:`writing`.

        Args:
            value: what to store.
            hint: names classes that may be stored: a class, an annotation, or a function, of which
                the return annotation counts.
            unmasked: whether secrets are left in it: it is not to be written anywhere.
            masked: takes in where something was masked.

        Raises:
            NotSerializableError: it holds something that cannot be stored; ``path`` says where.
        """
        writer = Writer(None, redaction=None if unmasked else self.redaction)
        text = writer.encode(value, hint=hint)
        if masked is not None:
            masked += writer.masked
        return text

    def decode(
        self,
        text: str,
        *,
        hint: Any = None,
        where: str = "",
        ready: dict[str, list[Any]] | None = None,
        address: Address | None = None,
        slot: str = "return",
    ) -> Any:
        """Return a fresh value from *text*, which :meth:`encode` has written.

        Args:
            text: JSON.
            hint: as in :meth:`encode`; only classes that it names are rebuilt.
            where: whose value it is, such as a step's name, for errors.
            ready: the writer's, right after it has written *text*: spares reading files back.
            address: where it stands: a sealed pickle is loaded only there.
            slot: which value of the step it is, as it was given to the writer.

        Raises:
            ArtifactError: a file is missing or has changed, the text is damaged, or it tells of a
                class that is not named here.
            NotStoredError: it is a sealed pickle, and its seal is not accepted or it does not load.
        """
        # A text with neither holds nothing but itself: no object in it can have the tag as a key.
        if '"$stepbook"' not in text and "\\u" not in text:
            try:
                value, end = _scan(text, 0)
                if end == len(text):
                    return value
            except (ValueError, StopIteration, RecursionError):
                pass  # damaged, or deep: told apart below

        def read(ready: dict[str, list[Any]] | None) -> Any:
            given: Any = {"known": self._known, "address": address, "slot": slot}
            return Reader(self.artifacts, hint, ready=ready, **given).decode(text)

        try:
            try:
                return read(ready)
            except RecursionError:
                return in_thread(lambda: read(None))
        except RecursionError as error:
            raise _explained(ArtifactError("it is nested too deep"), where) from error
        except (ArtifactError, NotStoredError) as error:
            raise _explained(error, where) from error.__cause__

    def content(self, node: dict[str, Any]) -> memoryview:
        """Return the bytes that a node tells of, after their hash was found right.

        Raises:
            ArtifactError: they are missing or have changed.
        """
        return Reader(self.artifacts, None).content(node)()

    def show(self, text: str) -> Any:
        """Return *text* parsed for people, reading no files and rebuilding no classes.

        Scalars and containers are rebuilt; tables, arrays, models and objects stay what the
        record tells of them, a dict with ``$stepbook``. Never raises for what is recorded.
        """
        try:
            return loads(text, object_hook=shown)
        except (ValueError, RecursionError):
            return text


def _explained(error: _Unread, where: str) -> _Unread:
    if isinstance(error, NotStoredError):
        told = f"{where or 'a value'}: the {error.about} is not loaded: {error.advice}"
        return NotStoredError(told, **vars(error))
    return ArtifactError(f"{where or 'a value'}: it cannot be read back: {error}")

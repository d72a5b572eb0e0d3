"""The random generators of the modules ``random`` and ``numpy.random``: a body may draw from them.

A replay does not execute the body, so code behind it would draw the numbers again that the body had
drawn. So how a body has left the generators is recorded with its attempt, and a replay sets them.

Whether a body has drawn is seen in a few bytes of a generator's memory, the place in its numbers
and one or two of these: 0.3 us, where asking for the state takes 15 and 67. Both generators are a
Mersenne Twister (Matsumoto and Nishimura, 1998), and a draw or a seed changes one or the other. Not
so the second of two normal numbers, which are made as a pair: it is kept beside, and looked at too.
"""

from __future__ import annotations

import ctypes
import itertools
import random
import secrets
import sys
from array import array
from base64 import b64decode, b64encode
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

from ..errors import ArtifactError
from ..model.rows import DREW

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model.rows import StepRow
    from .attempt import Attempt
    from .opened import OpenRun
    from .passes import Pass

#: Where a cell keeps the same, among its variables.
_STATES: Final = "$random"
_WORDS: Final = 624
_BYTES: Final = 4 * _WORDS
#: What :func:`look` tells of a generator that is not there, or of another kind.
_NOTHING: Final = -1

#: How the generators look, Python's and NumPy's, and when: a number that grows.
Look = tuple[object, object, int]

#: Of what order such numbers tell: within this process, whatever the clock does.
_HERE: Final = secrets.token_hex(4)
_times: Final = itertools.count(1)


#: The words of a generator, its place in them, and the normal number that it keeps.
_State = tuple[bytes, int, float | None]


class _OfPython:
    """Where Python's generator is looked at: in CPython behind the head of the object."""

    def __init__(self) -> None:
        self._generator: Any = getattr(random, "_inst")  # noqa: B009 - it has no public name
        self._kept = vars(self._generator)
        self._at = 0
        at = id(self._generator) + object.__basicsize__
        if sys.implementation.name == "cpython":
            words = self._generator.getstate()[1]
            if array("I", ctypes.string_at(at, 4 + _BYTES)).tolist() == [words[-1], *words[:-1]]:
                self._at = at
                # The place, and the first word, which every seed leaves the same.
                self._place = ctypes.c_uint64.from_address(at)
                self._second = ctypes.c_uint64.from_address(at + 8)

    def look(self) -> object:
        if not self._at:
            return self._generator.getstate()
        return self._place.value, self._second.value, self._kept["gauss_next"]

    def state(self) -> _State:
        if not self._at:
            _, words, gauss = self._generator.getstate()
            return array("I", words[:-1]).tobytes(), words[-1], gauss
        place = ctypes.c_int.from_address(self._at).value
        return ctypes.string_at(self._at + 4, _BYTES), place, self._kept["gauss_next"]


class _OfNumPy:
    """Where NumPy's generator is looked at, for as long as it is the same one."""

    def __init__(self) -> None:
        self._bits: object = None
        self._memory: Any = None
        self._at = 0
        self._gauss: Callable[[], float] = float

    def look(self) -> object:
        module: Any = sys.modules.get("numpy.random.mtrand")
        generator = getattr(module, "_rand", None)  # None while it is being imported
        if generator is None:
            return _NOTHING
        bits = generator._bit_generator  # noqa: SLF001 - what set_bit_generator sets
        if bits is not self._bits:
            self._bits, self._memory = bits, None
            if _is_followed(bits):  # its place comes last
                self._at = bits.ctypes.state_address
                self._gauss = _gauss_of(generator)
                self._memory = ctypes.c_uint64.from_address(self._at + _BYTES - 4)
        return _NOTHING if self._memory is None else (self._memory.value, self._gauss())

    def state(self) -> _State:
        place = ctypes.c_int.from_address(self._at + _BYTES).value
        return ctypes.string_at(self._at, _BYTES), place, self._gauss() or None

    def is_fresh(self) -> bool:
        """Whether nobody has drawn or seeded since it was imported."""
        bits: Any = self._bits
        if bits.seed_seq is None:  # somebody has given a seed
            return False
        first, now = type(bits)(bits.seed_seq).state["state"], bits.state["state"]
        return bool(first["pos"] == now["pos"] and (first["key"] == now["key"]).all())


def _is_followed(bits: object) -> bool:
    return type(bits).__name__ == "MT19937"


def _gauss_of(generator: Any) -> Callable[[], float]:
    """Return what reads the normal number that a generator of NumPy keeps, 0.0 for none.

    It stands two words behind the one word of the object that points into the object itself.
    """
    like = type(generator)(1)
    like.standard_normal()
    start, end = id(like), id(like) + type(like).__basicsize__ - 16
    for at in range(start, end, 8):
        if start < ctypes.c_uint64.from_address(at).value < end:
            if ctypes.c_double.from_address(at + 16).value != like.get_state(legacy=False)["gauss"]:
                break
            number = ctypes.c_double.from_address(id(generator) + at - start + 16)
            return lambda: number.value
    return lambda: float(generator.get_state(legacy=False)["gauss"])


_python: Final = _OfPython()
_numpy: Final = _OfNumPy()


def look() -> Look:
    """Return how the generators look."""
    return _python.look(), _numpy.look(), next(_times)


def drawn(attempt: Attempt) -> str | None:
    """Return the text of how a body has left the generators; None if it has not used them.

    The row of the attempt tells from here on that there is such a text, in its ``progress``.
    """
    if attempt.draws is None:
        return None
    python, numpy, began = attempt.draws
    states: dict[str, Any] = {}
    if _python.look() != python:
        states["random"] = _written(*_python.state())
    now = _numpy.look()
    if now not in (numpy, _NOTHING) and not (numpy == _NOTHING and _numpy.is_fresh()):
        states["numpy"] = _written(*_numpy.state())
    if not states:
        return None
    attempt.row = attempt.row.noting({DREW: True})
    states["when"] = [_HERE, began, next(_times)]
    return dumps({_STATES: states})


def _written(words: bytes, place: int, gauss: float | None) -> dict[str, Any]:
    return {"words": b64encode(_little(words)).decode(), "place": place, "gauss": gauss}


def _little(words: bytes) -> bytes:
    if sys.byteorder == "little":
        return words
    swapped = array("I", words)
    swapped.byteswap()
    return swapped.tobytes()


def bring_back(run: OpenRun, step: StepRow) -> None:
    """Set the generators as the recorded body of a step has left them.

    Of bodies that were executed at the same time the one that ended last has left them so, and not
    the one that is replayed last.

    Raises:
        ArtifactError: what is recorded of them is not as stepbook writes it.
    """
    cell = run.cell(step) if step.has_drawn else None
    if cell is None:
        return
    try:
        states = loads(cell.variables or "{}").get(_STATES, {})
        if not isinstance(states, dict):
            raise TypeError("not the states of generators")  # noqa: TRY301 - as what else is wrong
        if not _is_last(run.walking(), *states.get("when", ("", 0, 0))):
            return
        if "random" in states:
            words, place, gauss = _read(states["random"])
            random.setstate((3, (*words, place), gauss))
        if "numpy" in states:
            _set_numpy(*_read(states["numpy"]))
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise ArtifactError(
            f"the step {step.name!r} has drawn random numbers, and what is recorded of that is "
            f"damaged: {error}. run.redo({step.name!r}) executes it again."
        ) from error


def _is_last(walk: Pass, where: str, began: int, ended: int) -> bool:
    """Whether no body was replayed that was executed around the end of this one."""
    first, last = walk.drew.get(where, (0, 0))
    if first < ended < last:
        return False
    if ended > last:
        walk.drew[where] = began, ended
    return True


def _set_numpy(words: list[int], place: int, gauss: float | None) -> None:
    import numpy as np  # noqa: PLC0415 - the body has used it

    random: Any = np.random
    if not _is_followed(random.mtrand._rand._bit_generator):  # noqa: SLF001 - as in look()
        return
    state = {"key": np.array(words, np.uint32), "pos": place}
    whole = {"bit_generator": "MT19937", "state": state}
    random.set_state({**whole, "has_gauss": int(gauss is not None), "gauss": gauss or 0.0})


def _read(state: dict[str, Any]) -> tuple[list[int], int, float | None]:
    words = array("I", _little(b64decode(state["words"], validate=True))).tolist()
    place, gauss = state["place"], state["gauss"]
    if len(words) != _WORDS or type(place) is not int or not 0 <= place <= _WORDS:
        raise ValueError("not the state of a Mersenne Twister")
    if gauss is not None and type(gauss) is not float:
        raise ValueError("not a number")
    return words, place, gauss

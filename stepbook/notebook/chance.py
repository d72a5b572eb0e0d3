"""Random generators: their states are stored, so that a replayed notebook draws the same numbers.

Also the states of the two generators that nobody names, of the modules random and numpy.random.
"""

from __future__ import annotations

import random
import sys
from typing import Any, Final

#: Where a generator stands in the numbers that it has made at once; behind them is other memory.
_LAST_PLACE: Final = {"pos": 624, "buffer_pos": 4}
_LARGEST_POOL: Final = 1 << 10


def parts_of(value: Any) -> dict[str, Any] | None:  # noqa: PLR0911 - one for each kind
    """Return what a random generator is made of; None for anything else.

    Its parts, a bit generator and a seed, may be held by others, too.
    """
    if type(value) is random.Random:
        return {"kind": "random.Random", "state": value.getstate()}
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if type(value) is numpy.random.Generator:
        return {"kind": "Generator", "bits": value.bit_generator}
    if type(value) is numpy.random.RandomState:
        return {"kind": "RandomState", "state": value.get_state(legacy=False)}
    if isinstance(value, numpy.random.BitGenerator):
        return {"kind": "bits", "state": value.state, "seed": value.seed_seq}
    if type(value) is numpy.random.SeedSequence:
        return {
            "kind": "seed",
            "entropy": value.entropy,
            "spawn_key": value.spawn_key,
            "pool_size": value.pool_size,
            "n_children_spawned": value.n_children_spawned,
        }
    return None


def from_parts(parts: dict[str, Any]) -> Any:
    """Return the generator, or the part of one, that is made of *parts*."""
    kind = parts["kind"]
    if kind in ("random.Random", "RandomState"):
        return from_state(parts)
    import numpy as np  # noqa: PLC0415 - where it was used before

    if kind == "Generator":
        return np.random.Generator(parts["bits"])
    if kind == "bits":
        state = parts["state"]
        bits = _bit_generator(state)(parts["seed"])
        bits.state = state
        return bits
    if not 0 < parts["pool_size"] <= _LARGEST_POOL:
        raise ValueError("a pool of another size than any that is made")
    return np.random.SeedSequence(
        **{name: value for name, value in parts.items() if name not in ("kind", "$stepbook")}
    )


def from_state(stored: dict[str, Any]) -> Any:
    """Return a generator in a stored state, as earlier versions have stored it."""
    kind, state = stored["kind"], stored["state"]
    if kind == "random.Random":
        generator = random.Random()  # noqa: S311 - as the person has chosen it
        generator.setstate(state)
        return generator
    import numpy as np  # noqa: PLC0415 - where it was used before

    if kind == "RandomState":
        legacy = np.random.RandomState()
        _bit_generator(state)
        legacy.set_state(state)
        return legacy
    bits = _bit_generator(state)()
    bits.state = state
    return np.random.Generator(bits)


def _bit_generator(state: dict[str, Any]) -> Any:
    """Return the class of a bit generator, of which NumPy does not check all of the state."""
    import numpy as np  # noqa: PLC0415 - where it was used before

    found = getattr(np.random, str(state["bit_generator"]), None)
    if not (isinstance(found, type) and issubclass(found, np.random.BitGenerator)):
        raise ValueError("not a bit generator")  # noqa: TRY004 - the record is damaged
    places = {"pos": state["state"].get("pos", 0), "buffer_pos": state.get("buffer_pos", 0)}
    if any(not 0 <= place <= _LAST_PLACE[name] for name, place in places.items()):
        raise ValueError("a generator that stands behind the end of its numbers")
    return found


def hidden() -> dict[str, Any]:
    """Return the states of the generators that modules keep."""
    found: dict[str, Any] = {"random": random.getstate()}
    if "numpy.random" in sys.modules:
        found["numpy"] = sys.modules["numpy.random"].get_state(legacy=False)
    return found


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return those states of *after* that differ from *before*."""
    return {name: state for name, state in after.items() if not _same(before.get(name), state)}


def _same(left: Any, right: Any) -> bool:
    if isinstance(right, dict):
        return isinstance(left, dict) and all(_same(left.get(k), v) for k, v in right.items())
    if hasattr(right, "tobytes"):
        return hasattr(left, "tobytes") and left.tobytes() == right.tobytes()
    return bool(left == right)


def set_hidden(states: dict[str, Any]) -> None:
    """Set the states of the generators that modules keep."""
    if "random" in states:
        random.setstate(states["random"])
    if "numpy" in states:
        import numpy as np  # noqa: PLC0415 - where it was used before

        _bit_generator(states["numpy"])
        np.random.set_state(states["numpy"])  # noqa: NPY002 - as the person has used it


class Draws:
    """How each step found the generators of the modules, and how it left them.

    An attempt that follows another of its step at once draws the same numbers. That the states are
    those with which the step has ended is not enough: another may have drawn as many since.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        #: The step that has drawn last, or was brought back with its draws.
        self._drew = ""

    def begin(self, step: str) -> dict[str, Any]:
        """Return the states with which a step begins, having set them."""
        now = hidden()
        start, end = self._seen.get(step, (None, None))
        is_here = start is not None and end is not None and not changed(end, now)
        if start is not None and is_here and self._drew == step:
            set_hidden(start)
            return start
        return now

    def end(self, step: str, start: dict[str, Any]) -> dict[str, Any]:
        """Return the states with which a step ends."""
        now = hidden()
        self._seen[step] = start, now
        if changed(start, now):
            self._drew = step
        return now

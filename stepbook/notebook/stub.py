"""What stands for a variable that could not be stored."""

from __future__ import annotations

from typing import Any, Final

from ..errors import NotStoredError
from ..seen import seen

#: How stubs were shown as text since somebody has begun to listen: their names and steps.
shown: Final[dict[str, tuple[str, str]]] = {}


def refuse(stub: NotStored, *_: Any, **__: Any) -> Any:
    """Say that what a stub stands for was not stored.

    Raises:
        NotStoredError: always.
    """
    name, step, _, reason = object.__getattribute__(stub, "_facts")
    if isinstance(stub, NotLoaded):
        raise NotStoredError(reason)
    raise NotStoredError(
        f"{name!r} could not be stored when the step {step!r} was recorded ({reason}), and the "
        f"step was replayed. To have it again, execute the step: %stepbook redo {step}"
    )


class NotStored:
    """Stands for a variable that could not be stored; raises NotStoredError when it is used."""

    __slots__ = ("_facts",)

    def __init__(self, name: str, step: str, kind: str, reason: str) -> None:
        object.__setattr__(self, "_facts", (name, step, kind, reason))

    def __repr__(self) -> str:
        name, step, kind, _ = object.__getattribute__(self, "_facts")
        how = "not loaded from" if isinstance(self, NotLoaded) else "not stored by"
        text = seen(f"<{name}: a {kind}, {how} step {step!r}>")
        shown[text] = name, step
        return text

    def __getattr__(self, _name: str) -> Any:
        refuse(self)

    __hash__ = refuse


class NotLoaded(NotStored):
    """Stands for a variable that is sealed and was not loaded."""

    __slots__ = ()


_REFUSED: Final = """
    setattr delattr call len iter next contains getitem setitem delitem bool int float complex
    index str bytes format eq ne lt le gt ge neg pos abs invert enter exit await aiter anext
    reversed round trunc floor ceil add sub mul matmul truediv floordiv mod divmod pow lshift
    rshift and or xor radd rsub rmul rmatmul rtruediv rfloordiv rmod rdivmod rpow rlshift rrshift
    rand ror rxor iadd isub imul imatmul itruediv ifloordiv imod ipow ilshift irshift iand ior ixor
"""
for _method in _REFUSED.split():
    setattr(NotStored, f"__{_method}__", refuse)

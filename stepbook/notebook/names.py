"""Which cell of this kernel uses which name, so that two cells cannot share one unseen."""

from __future__ import annotations

import inspect
import types
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..code.hashes import code_hash
from ..code.walk import defaults_of
from ..engine.attempt import shorten
from ..engine.changed import unwrapped
from ..engine.hooks import HOOKS
from ..errors import DuplicateStepError, NotSerializableError
from ..model.rows import PENDING

if TYPE_CHECKING:
    from ..engine.opened import OpenRun
    from ..values.codec import Codec

#: Parts of the arguments of one call that are compared, in all.
_MOST_PARTS: Final = 1_000
_MOST_CHARACTERS: Final = 100_000
#: Begins what stands for a function; a cell's code is a bare hash.
_CALL: Final = "do:"
#: Types of defaults that count as code: their reprs say all.
_PLAIN: Final = (str, bytes, int, float, complex, bool, type(None))


class Use(NamedTuple):
    """The cell that has used a name last, and what for.

    Attributes:
        cell_id: of the cell; None if its front end gives no ids.
        number: the cell's number, as in ``In [4]``; None if it has none.
        code: stands for the cell's code, or for the function.
        arguments: of the function, each as text; None for one that is not compared.
        source: the cell's whole text.
    """

    cell_id: str | None
    number: int | None
    code: str
    arguments: tuple[tuple[str, str | None], ...] = ()
    source: str = ""

    @property
    def cell(self) -> str:
        """The cell, for a message."""
        number = "" if self.number is None else f" ([{self.number}])"
        return f"cell {self.cell_id}{number}"


_uses: Final[dict[tuple[str, str], Use]] = {}


def cell_id() -> str | None:
    """Return the id of the cell that is executing, if its front end gives one to each cell."""
    found: Any = getattr(HOOKS.cell, "cell_id", None)
    if not isinstance(found, str) or not found:
        return None
    scheme, _, fragment = found.partition("#")
    # The address of a document without a place in it says nothing about the cell.
    return found if fragment or ":" not in scheme else None


def forget() -> None:
    """Begin a new session: no cell has used a name."""
    _uses.clear()


def claim_cell(run: OpenRun, name: str, code: str) -> bool:
    """Note that the executing cell is a step, and return whether its code is new for the name.

    Raises:
        DuplicateStepError: another cell of this session has used the name for something else.
    """
    before = _claim(run, name, code, (), f"%stepbook redo {name}")
    return before is not None and before.code != code


def claim_call(
    run: OpenRun, name: str, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str:
    """Note that the executing cell calls ``run.do``.

    Returns:
        Why the record of the step is not to be used: the function, or the call, was edited in this
        session. Empty if it is.

    Raises:
        DuplicateStepError: another cell of this session has used the name for something else.
    """
    # A loop is one piece of code, whichever cells trigger and resume it; so is a callback.
    if run.in_loop or HOOKS.between_cells:
        return ""
    fn, args, kwargs = unwrapped(fn, args, kwargs)
    given = [(str(place), value) for place, value in enumerate(args)] + list(kwargs.items())
    parts = [_MOST_PARTS]
    texts = tuple((place, _text(run.codec, value, parts)) for place, value in given)
    before = _claim(run, name, _code_of(fn), texts, f"run.redo({name!r})")
    return "" if before is None else _edit(before, _uses[run.id, name])


def _edit(before: Use, use: Use) -> str:
    if before.code != use.code:
        by_cell = not before.code.startswith(_CALL)
        return "a cell was this step before" if by_cell else "the function was edited"
    return "the call was edited" if _difference(before, use) and before.source != use.source else ""


def _claim(
    run: OpenRun, name: str, code: str, arguments: tuple[tuple[str, str | None], ...], release: str
) -> Use | None:
    """Note a use and return the one before."""
    number, source = getattr(HOOKS.cell, "number", None), getattr(HOOKS.cell, "source", "")
    use = Use(cell_id(), number, code, arguments, source)
    before = _uses.get((run.id, name))
    step = run.state().steps.get(name)
    if step is not None and step.status == PENDING:  # to be executed again: the name is free
        before = None
    if before is not None and None not in (use.cell_id, before.cell_id):
        other = _difference(before, use) if use.cell_id != before.cell_id else ""
        if other:
            raise DuplicateStepError(
                f"the step name {shorten(name)} is used by another cell with other {other}: by "
                f"{before.cell}, and now by {use.cell}. Give one of them a name of its own. If the "
                f"other cell is gone: {release} releases the name, and the cell that is executed "
                "next has it."
            )
    _uses[run.id, name] = use
    return before


def _difference(before: Use, use: Use) -> str:
    """Return what another use does otherwise; what is not compared is taken for the same."""
    if before.code != use.code:
        return "code"
    places = [place for place, _ in use.arguments]
    if [place for place, _ in before.arguments] != places:
        return "arguments"
    pairs = zip(before.arguments, use.arguments, strict=True)
    differs = any(old != new for (_, old), (_, new) in pairs if old is not None and new is not None)
    return "arguments" if differs else ""


# ---- functions and arguments ----------------------------------------------------------------


def _code_of(fn: Any) -> str:
    """Return what stands for a function's code and plain defaults, however it is written."""
    if hasattr(fn, "__wrapped__"):
        fn = inspect.unwrap(fn)
    function = fn.__func__ if isinstance(fn, types.MethodType) else fn
    if not isinstance(function, types.FunctionType):
        named = fn if hasattr(fn, "__qualname__") else type(fn)
        return f"{_CALL}{named.__module__}.{named.__qualname__}"
    plain = [(place, value) for place, value in defaults_of(function) if isinstance(value, _PLAIN)]
    return f"{_CALL}{code_hash(function.__code__)}{plain!r}"


def _text(codec: Codec, value: Any, parts: list[int]) -> str | None:
    """Return an argument as text; None for one that is not compared."""
    if type(value) in _PLAIN and (not hasattr(value, "__len__") or len(value) <= _MOST_CHARACTERS):
        return repr(value)  # a twentieth of what encoding takes
    if isinstance(value, types.FunctionType):
        return _code_of(value)
    if not _is_small(value, parts):
        return None
    try:
        return codec.encode(value)
    except NotSerializableError:
        return None


def _is_small(value: Any, parts: list[int]) -> bool:
    if isinstance(value, str | bytes | bytearray):
        return len(value) <= _MOST_CHARACTERS
    if getattr(value, "size", 1) != 1:  # an array, a table: telling them apart takes too long
        return False
    parts[0] -= 1
    if isinstance(value, dict | list | tuple | set | frozenset) and parts[0] >= 0:
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return all(_is_small(part, parts) for part in inner)
    return parts[0] >= 0

"""What ``_``, ``__`` and ``Out`` hold after a replay: what they hold after the cell itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .memory import is_hidden
from .stub import NotStored

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from .page import Output

#: Names that are IPython's until a cell binds them.
LAST: Final = frozenset({"_", "__", "___"})
_ATOMS: Final = frozenset({type(None), bool, int, float, complex, str, bytes})


def tell_value(output: Output, value: Any, names: dict[str, Any], refusal: str) -> None:
    """Note in a result what ``_`` is after it: the variable of that value, or that it is missing.

    Args:
        output: the result.
        value: its value.
        names: the notebook's names.
        refusal: why the value could not be stored; empty if it was.
    """
    name = None
    if type(value) not in _ATOMS:
        name = next((n for n, held in names.items() if held is value and not is_hidden(n)), None)
    if name is not None:
        output["value"] = {"name": name}
    if refusal:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        output["value"] = {**output.get("value", {}), "missing": refusal, "type": kind}


def variables_behind(reads: set[str], names: dict[str, Any]) -> set[str]:
    """Return the variables of which the values are reached through ``_``, ``_7`` or ``Out``.

    Args:
        reads: the names that a cell reads.
        names: the notebook's names.
    """
    values: list[Any] = []
    for name in reads:
        if is_hidden(name) and name in names:
            value = names[name]
            values += [*value.values()] if name in ("Out", "_oh") else [value]
    ids = {id(value) for value in values if type(value) not in _ATOMS}
    return (
        {n for n, value in names.items() if id(value) in ids and not is_hidden(n)} if ids else set()
    )


def held(shell: InteractiveShell) -> dict[str, Any]:
    """Return the variables of which ``_`` or ``Out`` hold the value."""
    return {name: shell.user_ns[name] for name in variables_behind({*LAST, "_oh"}, shell.user_ns)}


def follow(shell: InteractiveShell, before: dict[str, Any], changed: set[str]) -> None:
    """Have ``_`` and ``Out`` hold what variables hold now that a replay has given new objects.

    Args:
        shell: of the notebook.
        before: what :func:`held` gave before.
        changed: names of which the object was changed; what was bound anew is another value.
    """
    names, hook = shell.user_ns, shell.displayhook
    moved: dict[int, Any] = {}
    for name in changed:
        old, new = before.get(name), names.get(name)
        if old is not new and type(old) not in _ATOMS and type(new) not in _ATOMS:
            moved[id(old)] = new
    if not moved:
        return
    for number, value in list(names.get("_oh", {}).items()):
        if id(value) in moved:
            names["_oh"][number] = names[f"_{number}"] = moved[id(value)]
    for name in LAST:
        held = getattr(hook, name, None)
        if id(held) in moved:
            if names.get(name) is held:
                names[name] = moved[id(held)]
            setattr(hook, name, moved[id(held)])


def value_in(
    output: Output,
    names: dict[str, Any],
    step: str,
    stored: Callable[[], Any],
    alive: Callable[[str], Any],
) -> Any:
    """Return what ``_`` is after a recorded result.

    Args:
        output: the result.
        names: the notebook's names.
        step: the name of the step.
        stored: returns the step's stored value.
        alive: returns an object that could not be stored and still lives in this kernel, or None.
    """
    about = output.get("value", {})
    name = about.get("name")
    if isinstance(name, str) and name in names and not isinstance(names[name], NotStored):
        return names[name]
    if "missing" in about:
        found = alive(VALUE)
        why, kind = str(about["missing"]), str(about.get("type"))
        return NotStored("_", step, kind, why) if found is None else found
    return about["of"] if "of" in about else stored()


#: The key under which a value that could not be stored is remembered while the kernel lives.
VALUE: Final = "_#0"

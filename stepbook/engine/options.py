"""How a step is executed, where the defaults are not wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from ..code.deps import Deps, declared
from ..errors import InvalidInputError
from ..model.durations import Duration, seconds
from ..model.sizes import Size, size_in_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

OnChange = Literal["warn", "rerun", "error", "ignore"]


@dataclass(frozen=True, slots=True)
class Options:
    """How steps are executed; see :meth:`Run.options`."""

    retries: int = 0
    timeout_s: float | None = None
    on_change: OnChange = "warn"
    returns: Any = None
    store: bool = True
    max_size: int | None = None
    deps: Deps | None = None


DEFAULTS: Final = Options()


def checked(
    *,
    retries: int,
    timeout: Duration | None,
    on_change: OnChange | None,
    returns: Any,
    store: bool,
    max_size: Size | None,
    deps: Sequence[Any],
    version: str | int | None,
) -> Options:
    """Return the options that a user has given; see :meth:`Run.options`.

    Raises:
        InvalidInputError: one of them cannot be used.
    """
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
        raise InvalidInputError(f"retries is a number of 0 or more, not {retries!r}.")
    if on_change not in (None, *get_args(OnChange)):
        raise InvalidInputError(
            f"on_change={on_change!r} is unknown; use one of {', '.join(get_args(OnChange))}."
        )
    limit = None if timeout is None else seconds(timeout, "timeout")
    if limit == 0:
        raise InvalidInputError("a timeout of 0 lets no step succeed; leave it out for none.")
    if not isinstance(store, bool):
        raise InvalidInputError(f"store is True or False, not {store!r}.")
    if not store and max_size is not None:
        raise InvalidInputError("store=False stores nothing, so max_size does not go with it.")
    most = None if max_size is None else size_in_bytes(max_size, "max_size")
    return Options(
        retries,
        limit,
        on_change or DEFAULTS.on_change,
        returns,
        store,
        most,
        declared(deps, version),
    )

"""Secrets that a book masks: rows without them, and what the person is told of it."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any, Final

from ..errors import BookError, InvalidInputError, StepbookWarning, StepNameError
from ..model.rows import CellRow, LogRow, RunRow, ScanRow, StepRow
from ..system.interrupts import in_thread
from ..values.mask import MASK
from ..values.masking import masked_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..model.rows import Row
    from ..values.redact import Redaction

#: Places that a message names.
_MOST_TOLD: Final = 5


def asked() -> type[Redaction]:
    """Return the class, which takes 30 ms to load: few books mask something."""
    from ..values.redact import Redaction  # noqa: PLC0415 - see above

    return Redaction


def masker(redaction: Redaction | None) -> Callable[[Row], Row] | None:
    """Return what takes the secrets out of a row; None if there are none.

    It is asked for every row, right before that is queued for the journal. So what is in the
    journal, in memory, in the tables and on the timeline is masked, whoever has made it.
    """
    return None if redaction is None else functools.partial(_masked, redaction)


def _masked(redaction: Redaction, row: Row) -> Row:
    try:
        return _without(redaction, row)
    except RecursionError:  # a value that is nested deep
        found: Row = in_thread(lambda: _without(redaction, row))
        return found


def _without(redaction: Redaction, row: Row) -> Row:
    json, text = functools.partial(masked_json, redaction), redaction.text
    if isinstance(row, StepRow):
        check_name(redaction, row.name)
        return row._replace(
            item=None if row.item is None else text(row.item),
            changes=None if row.changes is None else text(row.changes),
            reason=None if row.reason is None else text(row.reason),
            value=json(row.value),
            error=json(row.error),
            fingerprint=redaction.fingerprint(row.fingerprint),
            progress=json(row.progress),
        )
    if isinstance(row, LogRow):
        return row._replace(message=text(row.message), metadata=json(row.metadata))
    if isinstance(row, CellRow):
        # Names in the column are those of variables, whose values the codec has looked at.
        return row._replace(
            source=redaction.source(row.source),
            variables=json(row.variables, names=False),
            outputs=json(row.outputs),
        )
    if isinstance(row, ScanRow):
        return row._replace(metadata=json(row.metadata), results=json(row.results))
    if isinstance(row, RunRow):
        return row._replace(
            input=json(row.input) or "null",
            output=json(row.output),
            tags=json(row.tags),
            note=None if row.note is None else text(row.note),
            environment=json(row.environment),
        )
    return row


def check_name(redaction: Redaction, name: str) -> None:
    """Refuse the name of a step with a secret in it: names are how steps are found again.

    Raises:
        StepNameError: it has one.
    """
    if redaction.text(name) != name:
        raise StepNameError(
            f"the step {redaction.text(name)!r} has a secret in its name. Names are recorded, and "
            "steps are found by them: name it by something that anybody may read."
        )


def check_run(redaction: Redaction | None, loop: str, key: str | None) -> None:
    """Refuse a loop or a key with a secret in it, for the same reason.

    Raises:
        InvalidInputError: one has.
    """
    for what, given in (("name of the loop", loop), ("key", key)):
        if redaction is not None and given is not None and redaction.text(given) != given:
            raise InvalidInputError(
                f"the {what}, {redaction.text(given)!r}, has a secret in it. It is recorded, and "
                "runs are found by it: use something that anybody may read."
            )


def learn_from(redaction: Redaction | None, error: BaseException) -> None:
    """Learn what stands under the names of secrets where an error comes from.

    Its message may have it without the name, as in ``no access with 'hunter-2'``.
    """
    waiting, seen = [error], set()
    while redaction is not None and waiting:
        one = waiting.pop()
        seen.add(id(one))
        trace = one.__traceback__
        while trace is not None:
            for name, value in [*trace.tb_frame.f_locals.items()]:
                if type(value) in (str, bytes) and redaction.hides(name):
                    redaction.learn(value)
            trace = trace.tb_next
        inner = (one.__cause__, one.__context__, *getattr(one, "exceptions", ()))
        waiting += [e for e in inner if isinstance(e, BaseException) and id(e) not in seen]


def read(settings: Any, path: Path | None) -> Redaction | None:
    """Return what the settings of a book ask for.

    Raises:
        BookError: they cannot be read.
    """
    if settings is None:
        return None
    try:
        return asked().from_settings(settings)
    except ValueError as error:
        raise BookError(
            f"the settings in {path}.d/book.json say of secrets what cannot be read ({error}). "
            "Nothing is recorded, since it could not be masked. Set them again: "
            "stepbook.connect(path, redact=...)."
        ) from error


def tell_step(told: set[tuple[object, ...]], name: str, places: Sequence[str]) -> None:
    """Tell, once for each step, what of its value is masked."""
    key = "redacted", name
    if places and key not in told:
        told.add(key)
        _warn(
            f"the step {name!r} returned secrets: {_shown(places)} {_are(places)} recorded "
            f"as {MASK!r}, and that is what run.do returns, now and on replay. To hand them on "
            "unrecorded: run.options(store=False)."
        )


def tell_cell(name: str, what: str) -> None:
    """Tell what of a cell is masked."""
    _warn(f"the step {name!r} is recorded with {what} masked, since that has secrets.")


def tell_given(what: str, places: Sequence[str]) -> None:
    """Tell what of an input or a payload is masked."""
    if places:
        _warn(
            f"the {what} has secrets: {_shown(places)} {_are(places)} recorded as {MASK!r}, and "
            "that is what the run gets. Give it where the secret is found, such as the name of an "
            "environment variable."
        )


def _warn(text: str) -> None:
    warnings.warn(f"stepbook: {text}", StepbookWarning, stacklevel=5)


def _shown(places: Sequence[str]) -> str:
    more = len(places) - _MOST_TOLD
    return ", ".join(places[:_MOST_TOLD]) + (f" and {more} more" if more > 0 else "")


def _are(places: Sequence[str]) -> str:
    return "are" if len(places) > 1 else "is"

"""Opening a run: the latest of its loop and key, or a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from ..errors import InputChangedError, InvalidInputError
from ..model.durations import Duration, seconds
from ..model.rows import SUCCEEDED, RunRow, TriggerType, now_us
from ..model.sizes import Size, size_in_bytes
from ..model.spelling import spellings
from ..show import text as show_text
from ..system.console import asks_new, stable, tell
from ..system.interrupts import section
from ..values.keys import checked_text, run_key
from . import redacting, repeating, runs
from .environment import environment
from .hooks import HOOKS
from .wishes import UNSET, Wishes

if TYPE_CHECKING:
    from ..record.lookup import Found
    from .books import OpenBook
    from .opened import OpenRun

_MOST_SHOWN: Final = 80
_NONE: Final = Wishes()


def open_run(
    book: OpenBook,
    loop: str,
    *,
    input: Any = UNSET,  # noqa: A002 - as the public API has it
    key: str | None = None,
    new: bool = False,
    reopen: Literal["unfinished"] | None = None,
    max_age: Duration | None = None,
    retry_handled: bool = False,
    max_size: Size | None = None,
    trigger_type: TriggerType = "user",
) -> OpenRun:
    """See ``Book.run``."""
    book.check_fork()
    book.secure()
    most = _most(max_size)
    if HOOKS.before_open is not None:
        HOOKS.before_open()
    loop = _checked(loop, reopen, trigger_type)
    wishes = HOOKS.wishes or _NONE
    if input is UNSET:
        input = wishes.take_input()  # noqa: A001 - as above
    reopen = wishes.reopen or reopen
    max_age = max_age if wishes.max_age is None else wishes.max_age
    age = None if max_age is None else seconds(max_age, "max_age")
    text, whole = _texts(book, None if input is UNSET else input)
    # What an input holds is data and stays as it is; what is given as a key is a name.
    keys = spellings(run_key(key, text)) if key is not None else [run_key(None, whole)]
    if text != whole and key is None:  # a hash of all of it, which shows none of it
        keys.insert(0, run_key(None, whole, hashed=True))
    redacting.check_run(book.codec.redaction, loop, key)
    new = wishes.begins(book.path, loop, keys[0]) or new
    records = book.records
    with section(records.lock, patient=False), records.store.kept_open():
        created = records.ensure()
        book.secure()
        found = None if new else _find(book, loop, keys, age)
        run = None if found is None else runs.take(book, found.id)
        if run is None or reopen is not None:
            records.look_for_order()
    if created and book.path is not None and not stable() and not repeating.goes_on():
        tell(f"stepbook: recording to {book.path}")
    create: Any = {"reopen": reopen, "most": most}
    if run is None:
        return _create(book, loop, keys, text, age, trigger_type, new=new, **create)
    row = run.state().run
    if reopen == "unfinished" and row.status == SUCCEEDED:
        run.close()
        return _create(book, loop, keys, text, age, trigger_type, new=True, **create)
    same = {run_key(None, text), run_key(None, whole)}
    if key is not None and input is not UNSET and run_key(None, row.input) not in same:
        run.close()
        raise InputChangedError(
            f"run {run.id} of loop {loop!r} with key {key!r} has another input: "
            f"{_shown(row.input)}, now {_shown(text)}. Use another key for other input, "
            f"or {asks_new.get()} to start a fresh run of this key."
        )
    return _walk_again(run, most, retry_handled=retry_handled)


def _texts(book: OpenBook, value: Any) -> tuple[str, str]:
    """Return the text of an input as it is recorded, and with its secrets, for the key."""
    masked: list[str] = []
    text = book.codec.encode(value, masked=masked)
    if not masked:
        return text, text
    redacting.tell_given("input", masked)
    return text, book.codec.encode(value, unmasked=True)


def _most(max_size: Size | None) -> int | None:
    wished = (HOOKS.wishes or _NONE).max_size
    given = max_size if wished is None else wished
    return None if given is None else size_in_bytes(given, "max_size")


def _checked(loop: object, reopen: object, trigger_type: object) -> str:
    """Return the loop's name as it is recorded, once all three can be used."""
    if not isinstance(loop, str) or not loop.strip():
        raise InvalidInputError(f"a loop is named by a text, not {loop!r}.")
    if reopen not in (None, "unfinished"):
        raise InvalidInputError(f'reopen is "unfinished" or None, not {reopen!r}.')
    if trigger_type not in ("user", "api_token", "system"):
        raise InvalidInputError(f"unknown trigger_type {trigger_type!r}.")
    return spellings(checked_text(loop, "name of the loop"))[0]


def reopen(
    book: OpenBook, run_id: str, *, retry_handled: bool = False, max_size: Size | None = None
) -> OpenRun:
    """Open a run that is known by its id; see :func:`open_run`."""
    most = _most(max_size)
    return _walk_again(runs.take(book, run_id), most, retry_handled=retry_handled)


def _walk_again(run: OpenRun, most: int | None, *, retry_handled: bool) -> OpenRun:
    """Say which run was opened again, and begin a pass."""
    run.max_size = most
    wishes = HOOKS.wishes or _NONE
    retried = run.unhandle() if wishes.retries(run.id) or retry_handled else 0
    if not stable():
        ledger = run.owned()
        state = ledger.state
        tell(show_text.opened_again(state.run, state.steps.values(), ledger.previous, retried))
    run.begin_pass()
    return run


def _find(book: OpenBook, loop: str, keys: list[str], age: float | None) -> Found | None:
    found = book.records.latest(loop, keys)
    # Of one from the future nobody knows how old it is; a clock was wrong by that much.
    if found is not None and age is not None and abs(now_us() - found.created_at) > age * 1e6:
        return None
    return found


def _create(
    book: OpenBook,
    loop: str,
    keys: list[str],
    text: str,
    age: float | None,
    trigger_type: TriggerType,
    *,
    new: bool,
    reopen: Literal["unfinished"] | None,
    most: int | None,
) -> OpenRun:
    key = keys[0]
    with book.records.open_lock():
        found = None if new else _find(book, loop, keys, age)
        if found is None:
            row = RunRow(
                id=repeating.id_of(book.path, loop, key),
                loop=loop,
                key=key,
                status="pending",
                trigger_type=trigger_type,
                input=text,
                created_at=now_us(),
                environment=environment(),
            )
            row = book.records.ordered(row)
            book.records.create(row)
            run = runs.the(book, row)
    if found is not None:  # somebody else has created it just now
        how: Any = {"key": key, "reopen": reopen, "max_size": most}
        return open_run(book, loop, input=book.codec.decode(text), **how)
    run.max_size = most
    run.owned()
    run.begin_pass()
    return run


def _shown(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"

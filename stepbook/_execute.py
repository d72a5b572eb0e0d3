"""Replay or execute: the order of decisions for one step (design, section 4)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import time
from typing import TYPE_CHECKING, Any, Final

from . import _failure, _pass
from ._context import StepContext, current, log_row
from ._errors import (
    DuplicateStepError,
    JournalWriteError,
    NotSerializableError,
    StepFunctionError,
    StepNameError,
    StepTimeout,
)
from ._heartbeat import heartbeat
from ._model import FAILED, PENDING, RUNNING, SUCCEEDED, Kind, StepRow, now_us
from ._pass import same_flow
from ._timeout import interrupt_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from ._model import Row
    from ._options import Options
    from ._run import Run

_SPECIAL: Final = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_MAX_SHOWN: Final = 60


def perform(
    run: Run,
    options: Options,
    name: str,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Replay or execute one step; for a coroutine function return an awaitable that does."""
    code = getattr(fn, "__code__", None)
    if (code is None or code.co_flags & _SPECIAL) and _is_async(name, fn):
        return _perform_async(run, options, name, fn, args, kwargs)
    value, ready = enter(run, name, _hint(fn, options), (fn, args, kwargs))
    if not ready:
        return value
    if not options.retries:
        return _execute(run, options, name, fn, args, kwargs)
    import tenacity  # noqa: PLC0415 - imports tornado where it is installed

    for attempt in tenacity.Retrying(**_retrying(options)):
        with attempt:
            return _execute(run, options, name, fn, args, kwargs)
    raise AssertionError("the last attempt raises")  # pragma: no cover


async def _perform_async(
    run: Run,
    options: Options,
    name: str,
    fn: Callable[..., Coroutine[Any, Any, Any]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    value, ready = enter(run, name, _hint(fn, options), (fn, args, kwargs))
    if not ready:
        return value
    if not options.retries:
        return await _execute_async(run, options, name, fn, args, kwargs)
    import tenacity  # noqa: PLC0415 - as above

    async for attempt in tenacity.AsyncRetrying(**_retrying(options)):
        with attempt:
            return await _execute_async(run, options, name, fn, args, kwargs)
    raise AssertionError("the last attempt raises")  # pragma: no cover


def _hint(fn: Any, options: Options) -> Any:
    """Return what names the classes that the value may be rebuilt as."""
    return fn if options.returns is None else (options.returns, fn)


def _retrying(options: Options) -> dict[str, Any]:
    import tenacity  # noqa: PLC0415 - as above

    return {
        "stop": tenacity.stop_after_attempt(options.retries + 1),
        "wait": tenacity.wait_exponential(multiplier=0.1, max=60) + tenacity.wait_random(0, 0.1),
        "retry": tenacity.retry_if_exception(worth_retrying),
        "reraise": True,
    }


def worth_retrying(error: BaseException) -> bool:
    """Whether another attempt may end otherwise."""
    # Executing the body again would neither make its value storable nor the disk larger.
    return isinstance(error, Exception) and not isinstance(
        error, (NotSerializableError, JournalWriteError, StepFunctionError)
    )


def _is_async(name: str, fn: Any) -> bool:
    """Whether *fn* is a coroutine function.

    Raises:
        StepFunctionError: it cannot be the body of a step.
    """
    if not callable(fn):
        hint = " Give the function itself, without calling it." if fn is not None else ""
        raise StepFunctionError(
            f"step {shorten(name)}: {type(fn).__name__} is not callable, so it cannot be the body "
            f"of a step.{hint}"
        )
    target = fn
    while isinstance(target, functools.partial):
        target = target.func
    for candidate in (target, getattr(target, "__call__", None)):  # noqa: B004 - an async __call__
        if inspect.isgeneratorfunction(candidate) or inspect.isasyncgenfunction(candidate):
            raise StepFunctionError(
                f"step {shorten(name)}: {getattr(fn, '__qualname__', fn)!r} is a generator "
                "function; its items come after the step has ended and would not be recorded. "
                "Return a list, or name a step for each item."
            )
        if inspect.iscoroutinefunction(candidate):
            return True
    return False


def shorten(name: object) -> str:
    """Return the repr of a name, shortened for a message."""
    text = repr(name)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 2] + "…" + text[-1]


def check_name(name: object) -> str:
    """Return *name* as a plain string.

    Raises:
        StepNameError: it is not a string, empty, or not Unicode text.
    """
    if not isinstance(name, str):
        raise StepNameError(
            f"the name of a step is a string, not {type(name).__name__}: {shorten(name)}. "
            'The name comes first: run.do("Load profile", load_profile).'
        )
    if not name:
        raise StepNameError('a step needs a name: run.do("Load profile", load_profile).')
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise StepNameError(
            f"the step name {shorten(name)} holds a lone surrogate, which is not Unicode text."
        ) from error
    return str(name)


# ---- decisions 1 to 3 -----------------------------------------------------------------------


def enter(run: Run, name: str, hint: Any = None, call: Any = None) -> tuple[Any, bool]:
    """Decide about a step that the code asks for.

    Args:
        run: the run.
        name: the step.
        hint: names the classes that its value may be rebuilt as; see :meth:`Codec.decode`.
        call: the function and its arguments, to tell two uses of a name apart in a notebook.

    Returns:
        The replayed value and False, or None and True: it is to be executed.

    Raises:
        DuplicateStepError: the name was used before in this pass, or is executing right now.
        BaseException: a recorded failure that was handled, again.
    """
    if type(name) is not str or not name or not name.isascii():
        name = check_name(name)
    state = run._state()
    walk = run._walk()
    if call is not None and _pass.claim is not None:
        _pass.claim(run, name, *call)
    walk.use(name, current.get() or walk.body_of(run))
    if walk.failures:
        went_on(run)
    step = state.steps.get(name)
    if step is None or step.status == RUNNING:
        step = run._owned().settled(name)
        if step is None:
            return None, True
    if step.status == SUCCEEDED:
        text = step.value
        if text is None:
            text = run._value(step)
        return run._codec.decode(text, hint=hint, where=name), False
    if step.status == FAILED and step.handled and step.error is not None:
        raise replayed_failure(run, step)
    return None, True


def replayed_failure(run: Run, step: StepRow) -> BaseException:
    """Return the recorded failure of *step*, which was handled, to be raised again."""
    error = _failure.rebuild(json.loads(step.error or "{}"))
    _failure.mark(error, run.id, step.name, step.attempt)
    error.add_note(
        "stepbook: this failure was handled in an earlier pass and is replayed; "
        f"run.redo({step.name!r}) executes the step again"
    )
    return error


def went_on(run: Run) -> None:
    """Record that failures were handled: the code has gone on after them."""
    handle(run, run._walk().gone_on())


def handle(run: Run, names: list[str]) -> None:
    """Mark failed steps as handled."""
    ledger = run._owned()
    for name in names:
        row = ledger.state.steps.get(name)
        if row is not None and row.status == FAILED and not row.handled:
            ledger.note(row._replace(handled=True))


# ---- decisions 4 to 6 -----------------------------------------------------------------------


def start(run: Run, name: str, kind: Kind, **fields: Any) -> StepContext:
    """Record that a step begins; the next attempt, or the first.

    Raises:
        DuplicateStepError: its body is executing right now.
        JournalWriteError: the journal cannot be written.
    """
    ledger = run._owned()
    with run._lock:
        parent = current.get() or run._walk().body_of(run)
        if executing(run, name):
            raise DuplicateStepError(
                f"the step {shorten(name)} is executing right now, in another thread or task. "
                "Wait for it, or give this piece of work a name of its own."
            )
        old = ledger.settled(name)
        if old is not None and old.status == RUNNING:
            # Two interrupts in a row: the second one fell into the recording of the first.
            ledger.note(interrupted_row(old, "it was interrupted"))
        row = StepRow(
            seq=len(ledger.state.steps) + 1 if old is None else old.seq,
            name=name,
            kind=kind,
            status=RUNNING,
            attempt=1 if old is None else old.attempt + (old.status != PENDING),
            parent=parent.name if parent is not None and parent.run_id == run.id else None,
            started_at=now_us(),
            **fields,
        )
        context = StepContext(run, row, current.get())
        try:
            run._executing[name] = context
            run._executes(name)
            ledger.note(row)
        except BaseException:
            leave(run, context)
            raise
    return context


def executing(run: Run, name: str) -> bool:
    """Whether the body of a step is executing right now.

    After two interrupts in a row it may only look so: its frame is gone.
    """
    busy = run._executing.get(name)
    if busy is None or not same_flow(busy):
        return busy is not None
    here = current.get()
    while here is not None and here is not busy:
        here = here._parent
    return here is busy


def interrupted_row(row: StepRow, reason: str) -> StepRow:
    """Return *row* as a failed attempt of type ``Interrupted``."""
    record: dict[str, Any] = {
        "type": "Interrupted",
        "message": f"the step was running when {reason}",
        "stack": "",
        "notes": [],
        "cause": None,
    }
    text = json.dumps(record, ensure_ascii=False)
    return row._replace(status=FAILED, completed_at=now_us(), seconds=None, error=text)


def _arguments(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], context: StepContext
) -> dict[str, Any]:
    """Return *kwargs*, with ctx if *fn* has a parameter ctx that the call leaves unbound."""
    code = getattr(fn, "__code__", None)
    if code is not None and not hasattr(fn, "__wrapped__"):
        named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if "ctx" not in named:
            return kwargs
    try:
        signature = inspect.signature(fn)
        parameter = signature.parameters.get("ctx")
        if parameter is None or parameter.kind in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
            parameter.POSITIONAL_ONLY,
        ):
            return kwargs
        if "ctx" in signature.bind_partial(*args, **kwargs).arguments:
            return kwargs
    except (TypeError, ValueError):
        return kwargs  # no signature, or wrong arguments: the call itself says it best
    return {**kwargs, "ctx": context}


@contextlib.contextmanager
def _recorded(run: Run, name: str) -> Iterator[StepContext]:
    """Record the attempt that a block executes: its start, and its failure if one escapes."""
    context: StepContext | None = None
    try:
        context = start(run, name, "do")
        token = current.set(context)
        try:
            yield context
        finally:
            current.reset(token)
    except BaseException as error:
        if context is not None:
            fail(run, context, error)
        raise


def _execute(
    run: Run,
    options: Options,
    name: str,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    with _recorded(run, name) as context:
        given = _arguments(fn, args, kwargs, context)
        context._began = time.perf_counter()
        if options.timeout_s is None:
            value = fn(*args, **given)
        else:
            with interrupt_after(options.timeout_s, lambda: _timed_out(name, options)):
                value = fn(*args, **given)
        if hasattr(type(value), "__await__"):
            if inspect.iscoroutine(value):
                value.close()
            raise StepFunctionError(
                f"step {shorten(name)}: the function returned an awaitable, which cannot be "
                "recorded. Give the coroutine function itself: "
                f"await run.do({shorten(name)}, fetch, ...)."
            )
        return succeed(run, context, value, _hint(fn, options))


async def _execute_async(
    run: Run,
    options: Options,
    name: str,
    fn: Callable[..., Coroutine[Any, Any, Any]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    with _recorded(run, name) as context:
        context._task = asyncio.current_task()
        given = _arguments(fn, args, kwargs, context)
        context._began = time.perf_counter()
        with heartbeat():
            async with _time_limit(name, options):
                value = await fn(*args, **given)
        return succeed(run, context, value, _hint(fn, options))


def _timed_out(name: str, options: Options) -> StepTimeout:
    return StepTimeout(
        f"step {shorten(name)} took longer than its timeout, {options.timeout_s:g} s."
    )


@contextlib.asynccontextmanager
async def _time_limit(name: str, options: Options) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(options.timeout_s) as limit:
            yield
    except TimeoutError as error:
        if limit.expired():
            raise _timed_out(name, options) from error
        raise


def succeed(run: Run, context: StepContext, value: Any, hint: Any = None) -> Any:
    """Record a success and return the value as a replay would.

    Args:
        run: the run.
        context: the step.
        value: what its body returned.
        hint: names the classes that it may be rebuilt as; see :meth:`Codec.decode`.

    Raises:
        NotSerializableError: the value cannot be stored.
        JournalWriteError: the journal cannot be written; the value is in ``value``.
    """
    seconds = time.perf_counter() - context._began
    codec = run._codec
    with codec.writing() as writer:
        text = writer.encode(value, hint=hint, files=context._files)
        complete(run, context, value, text, seconds)
    return codec.decode(text, hint=hint, where=context.name, ready=writer.ready)


def complete(
    run: Run, context: StepContext, value: Any, text: str, seconds: float, *rows: Row
) -> None:
    """Record a success, with what else belongs to it.

    Args:
        run: the run.
        context: the step.
        value: what its body returned.
        text: the same as it is recorded.
        seconds: how long the body took.
        *rows: what is recorded together with the end of the step.

    Raises:
        JournalWriteError: the journal cannot be written; the value is in ``value``.
    """
    row = context._row
    assert row.started_at is not None  # noqa: S101 - it was started
    end = row._replace(
        status=SUCCEEDED,
        completed_at=max(now_us(), row.started_at + int(seconds * 1e6)),
        seconds=seconds,
        value=text,
    )
    context._end_row = end
    try:
        run._owned().commit(*rows, end)
    except JournalWriteError as error:
        error.value = value  # type: ignore[attr-defined]
        raise
    leave(run, context)


def fail(run: Run, context: StepContext, error: BaseException) -> None:
    """Record a failure; of a step that had succeeded already, make sure of that instead."""
    ledger, row = run._owned(), context._row
    rows: list[Any] = []
    if context._end_row is None:
        seconds = max(0.0, time.perf_counter() - context._began) if context._began else 0.0
        record = _failure.describe(error)
        started = row.started_at or now_us()
        context._end_row = row._replace(
            status=FAILED,
            completed_at=max(now_us(), started + int(seconds * 1e6)),
            seconds=seconds,
            error=json.dumps(record, ensure_ascii=False),
        )
        context._failed = True
        message = f"step {row.name!r} failed: {_failure.summary(record)}"
        metadata = json.dumps(
            {"attempt": row.attempt, "stack": record["stack"]}, ensure_ascii=False
        )
        rows.append(log_row(message, "error", row.name, metadata))
    try:
        for log in rows:
            ledger.note(log)
        ledger.commit(context._end_row)
    except JournalWriteError as unwritten:
        error.add_note(f"stepbook: not recorded yet: {unwritten}")
    finally:
        leave(run, context)
    if context._failed:
        walk, steps = run._walk(), ledger.state.steps
        inner = [step for step in walk.failures if steps[step].parent == row.name]
        # An interrupt or a full disk is no outcome of the work: it is never handled for good.
        outcome = isinstance(error, Exception) and not isinstance(error, JournalWriteError)
        walk.fail(row.name if outcome else None, inner)
        _failure.mark(error, run.id, row.name, row.attempt)


def leave(run: Run, context: StepContext) -> None:
    """Note that the body is no longer executing."""
    if run._executing.get(context.name) is context:
        run._executing.pop(context.name, None)

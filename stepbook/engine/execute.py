"""Replay or execute: the order of decisions for one step (``docs/steps-and-replay.md``)."""

from __future__ import annotations

import contextlib
import functools
import inspect
import time
from typing import TYPE_CHECKING, Any, Final

from ..code.fingerprints import of_call
from ..code.verdicts import without_own_changes
from ..errors import StepFunctionError, StepTimeout
from ..model import failures
from ..system.console import tell
from ..system.timeouts import await_within, call_within
from ..values.nodes import TAG
from . import changed, draws
from .attempt import Attempt, check_name, current, shorten
from .context import face
from .decide import EXECUTE, REPLAY, decide, settled
from .heartbeat import heartbeat
from .hooks import HOOKS
from .kept import rebuilt
from .recording import fail, start, succeed
from .retries import policy
from .validity import outdated

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from ..model.rows import StepRow
    from .opened import OpenRun
    from .options import Options

_SPECIAL: Final = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


#: What a fingerprint has of values that a body can change.
_CHANGEABLE: Final = ('":"#', '":"=[', '":"={')


class Call:
    """A function and its arguments, as they are given to ``run.do``.

    Attributes:
        parts: the function, its positional arguments, and the others.
        on_change: what to do if they are not what was recorded.
        reason: why it is executed though its success is recorded.
        deps: what was declared to be part of the fingerprint, too.
    """

    __slots__ = ("_fingerprint", "deps", "on_change", "parts", "reason")

    def __init__(
        self, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
    ) -> None:
        self.parts = fn, args, kwargs
        self.on_change, self.deps = options.on_change, options.deps
        self.reason: str | None = None
        self._fingerprint: str | None = None

    @property
    def fingerprint(self) -> str:
        """The fingerprint as it was when it was first asked for: before the body."""
        if self._fingerprint is None:
            self._fingerprint = of_call(*self.parts, self.deps)
        return self._fingerprint

    def is_outdated(self, run: OpenRun, step: StepRow, edit: str) -> bool:
        """Whether it is executed though its success is recorded, and keep why.

        Args:
            run: the run.
            step: what is recorded.
            edit: what was edited in this session, if anything.
        """
        if edit:
            tell(f"stepbook: {step.name!r}: {edit}; it is executed again.")
            self.reason = edit
        elif self.on_change != "ignore":
            self.reason = outdated(run, step, self.fingerprint, self.on_change)
        return bool(self.reason)

    def take_reason(self) -> str | None:
        """Return, once, why it is executed: its next attempt follows a failure."""
        reason, self.reason = self.reason, None
        return reason

    def settle(self, attempt: Attempt) -> None:
        """Leave out of the fingerprint what the body itself has changed, or one before it."""
        before = self.fingerprint
        may_change = '"reached"' in before or any(mark in before for mark in _CHANGEABLE)
        if may_change or self.deps is not None:
            after = of_call(*self.parts, self.deps)
            changed_so_far = attempt.run.changed
            if after != before or changed_so_far:
                text = without_own_changes(before, after, changed_so_far)
                attempt.row = attempt.row._replace(fingerprint=text)

    def settle_failed(self, attempt: Attempt, error: BaseException) -> None:
        """Do the same where the body has failed; an interrupt is not kept waiting."""
        if attempt.end_row is None and isinstance(error, Exception):
            self.settle(attempt)


def perform(
    run: OpenRun,
    options: Options,
    name: str,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Replay or execute one step; for a coroutine function return an awaitable that does."""
    name = named(run, name)
    code = getattr(fn, "__code__", None)
    if (code is None or code.co_flags & _SPECIAL) and _is_async(name, fn):
        return _perform_async(run, options, name, fn, args, kwargs)
    call = Call(fn, args, kwargs, options)
    value, ready = enter(run, name, _hint(fn, options), call, stores=options.store)
    if not ready:
        return value
    if not options.retries:
        return _execute(run, options, name, call)
    import tenacity  # noqa: PLC0415 - imports tornado where it is installed

    before = draws.look()  # a failed attempt may have drawn, too
    for trial in tenacity.Retrying(**policy(options.retries)):
        with trial:
            return _execute(run, options, name, call, before)
    raise AssertionError("the last attempt raises")  # pragma: no cover


async def _perform_async(
    run: OpenRun,
    options: Options,
    name: str,
    fn: Callable[..., Coroutine[Any, Any, Any]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    call = Call(fn, args, kwargs, options)
    value, ready = enter(run, name, _hint(fn, options), call, stores=options.store)
    if not ready:
        return value
    if not options.retries:
        return await _execute_async(run, options, name, call)
    import tenacity  # noqa: PLC0415 - as above

    before = draws.look()
    async for trial in tenacity.AsyncRetrying(**policy(options.retries)):
        with trial:
            return await _execute_async(run, options, name, call, before)
    raise AssertionError("the last attempt raises")  # pragma: no cover


def _hint(fn: Any, options: Options) -> Any:
    """Return what names the classes that the value may be rebuilt as."""
    return fn if options.returns is None else (options.returns, fn)


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


# ---- decisions 1 to 3 -----------------------------------------------------------------------


def named(run: OpenRun, name: object) -> str:
    """Return the name of a step as it is recorded.

    Raises:
        StepNameError: it is no name.
    """
    if type(name) is str and name and name.isascii():
        return name
    return check_name(name, run.state().steps)


def enter(
    run: OpenRun, name: str, hint: Any = None, call: Call | None = None, *, stores: bool = True
) -> tuple[Any, bool]:
    """Decide about a step that the code asks for.

    Args:
        run: the run.
        name: the step, from :func:`named`.
        hint: names the classes that its value may be rebuilt as; see :meth:`Codec.decode`.
        call: the function and its arguments, for a step that executes one.
        stores: whether its value is to be stored; else what was stored before is not used.

    Returns:
        The replayed value and False, or None and True: it is to be executed.

    Raises:
        DuplicateStepError: the name was used before in this pass, or is executing right now.
        BaseException: a recorded failure that was handled, again.
    """
    state = run.state()
    walk, scope = run.entering()
    edit = "" if call is None or HOOKS.claim is None else HOOKS.claim(run, name, *call.parts)
    walk.use(name, scope)
    if walk.failures:
        went_on(run)
    step = settled(run, state, name)
    decision = decide(step, stores=stores)
    if step is None or decision == EXECUTE:
        return None, True
    if call is not None and call.is_outdated(run, step, edit):
        return None, True
    if step.progress is not None:
        draws.bring_back(run, step)
    if decision == REPLAY:
        text = step.value
        if text is None:
            text = run.value(step)
        if TAG not in text:  # plain JSON
            return run.codec.decode(text, where=name), False
        address = run.address(name, step.made_by)
        return run.codec.decode(text, hint=hint, where=name, address=address), False
    raise replayed_failure(run, step)


def replayed_failure(run: OpenRun, step: StepRow) -> BaseException:
    """Return the recorded failure of *step*, which was handled, to be raised again."""
    error = rebuilt(failures.read(step.error))
    failures.mark(error, run.id, step.name, step.attempt)
    failures.note(
        error,
        "stepbook: this failure was handled in an earlier pass and is replayed; "
        f"run.redo({step.name!r}) executes the step again",
    )
    return error


def went_on(run: OpenRun) -> None:
    """Record that failures were handled: the code has gone on after them."""
    run.handle(run.walking().gone_on())


# ---- decisions 4 to 6 -----------------------------------------------------------------------


def _arguments(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], attempt: Attempt
) -> dict[str, Any]:
    """Return *kwargs*, with ctx if *fn* has a parameter ctx that the call leaves unbound."""
    code = getattr(fn, "__code__", None)
    if code is not None and not hasattr(fn, "__wrapped__"):
        count = code.co_argcount + code.co_kwonlyargcount
        if not count or "ctx" not in code.co_varnames[:count]:
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
    return {**kwargs, "ctx": face(attempt)}


@contextlib.contextmanager
def _recorded(run: OpenRun, name: str, call: Call) -> Iterator[Attempt]:
    """Record the attempt that a block executes: its start, and its failure if one escapes."""
    attempt: Attempt | None = None
    try:
        attempt = start(run, name, "do", call.fingerprint, call.take_reason())
        token = current.set(attempt)
        try:
            yield attempt
        finally:
            current.reset(token)
    except BaseException as error:
        if attempt is not None:
            call.settle_failed(attempt, error)
            fail(run, attempt, error)
        raise


def _execute(
    run: OpenRun,
    options: Options,
    name: str,
    call: Call,
    drawn_before: draws.Look | None = None,
) -> Any:
    fn, args, kwargs = call.parts
    attempt: Attempt | None = None
    try:  # as _recorded, which costs 1 us
        attempt = start(run, name, "do", call.fingerprint, call.take_reason())
        token = current.set(attempt)
        try:
            given = _arguments(fn, args, kwargs, attempt)
            before = changed.look(fn, args, kwargs)
            attempt.draws = drawn_before or draws.look()
            attempt.began = time.perf_counter()
            if options.timeout_s is None:
                value = fn(*args, **given)
            else:
                late = functools.partial(_timed_out, name, options)
                value = call_within(options.timeout_s, late, lambda: fn(*args, **given))
            if hasattr(type(value), "__await__"):
                raise _unawaited(name, value)
            result = succeed(run, attempt, value, _hint(fn, options), options, call.settle)
            if before is not None:
                changed.warn(run, name, fn, before, value)
            return result
        finally:
            current.reset(token)
    except BaseException as error:
        if attempt is not None:
            call.settle_failed(attempt, error)
            fail(run, attempt, error)
        raise


def _unawaited(name: str, value: Any) -> StepFunctionError:
    if inspect.iscoroutine(value):
        value.close()
    return StepFunctionError(
        f"step {shorten(name)}: the function returned an awaitable, which cannot be recorded. "
        f"Give the coroutine function itself: await run.do({shorten(name)}, fetch, ...)."
    )


async def _execute_async(
    run: OpenRun,
    options: Options,
    name: str,
    call: Call,
    drawn_before: draws.Look | None = None,
) -> Any:
    fn, args, kwargs = call.parts
    with _recorded(run, name, call) as attempt:
        import asyncio  # noqa: PLC0415 - 14 ms, and who awaits this has it

        attempt.task = asyncio.current_task()
        given = _arguments(fn, args, kwargs, attempt)
        before = changed.look(fn, args, kwargs)
        attempt.draws = drawn_before or draws.look()
        attempt.began = time.perf_counter()
        with heartbeat():
            if options.timeout_s is None:
                value = await fn(*args, **given)
            else:
                late = functools.partial(_timed_out, name, options)
                value = await await_within(options.timeout_s, late, lambda: fn(*args, **given))
        result = succeed(run, attempt, value, _hint(fn, options), options, call.settle)
        if before is not None:
            changed.warn(run, name, fn, before, value)
        return result


def _timed_out(name: str, options: Options) -> StepTimeout:
    return StepTimeout(
        f"step {shorten(name)} took longer than its timeout, {options.timeout_s:g} s."
    )

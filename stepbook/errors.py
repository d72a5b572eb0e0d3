"""Every error of stepbook, in one tree.

::

    StepbookError
    ├── BookError                     the book as a whole
    │   ├── BookNotFoundError         reading a book that does not exist
    │   ├── NotABookError             the path holds something else
    │   ├── BookVersionError          written by a newer stepbook
    │   ├── BookBusyError             another process holds the database
    │   ├── BookMismatchError         database and journals do not belong together
    │   ├── JournalDamagedError       a synced line of a journal cannot be read
    │   ├── JournalWriteError         the journal could not be written (disk full, ...)
    │   └── ForkedError               a forked child used its parent's book
    ├── RunError                      one run
    │   ├── NoRunError                a step was asked for without a run
    │   ├── RunNotFoundError          no run with this id
    │   ├── RunInUseError             another live process holds the run
    │   ├── InputChangedError         the same key with another input
    │   └── InvalidInputError         an argument that cannot be used (also a ValueError)
    ├── StepError                     one step
    │   ├── StepNameError             empty or not a string (also a ValueError)
    │   ├── StepFunctionError         not a callable, a generator, ... (also a TypeError)
    │   ├── DuplicateStepError        one name twice in one pass
    │   ├── StepNotFoundError         redo, rewind or resolve of an unknown name
    │   ├── StaleStepError            the code of a recorded step has changed
    │   ├── StepTimeout               the body took longer than its timeout (also a TimeoutError)
    │   ├── NoStepError               stepbook.context() outside of a step
    │   ├── NotSerializableError      a value that cannot be stored (also a TypeError)
    │   ├── NotStoredError            a value that was not stored, or may not be loaded, is used
    │   ├── ArtifactError             an artifact is missing or changed
    │   ├── RecordedError             a recorded failure whose class cannot be rebuilt
    │   └── Interrupted               the process died while the step was running
    ├── SealKeyError                  the keys of this user cannot be used
    └── ScanError                     a scan
        ├── ScanTimeout               nothing arrived in time (also a TimeoutError)
        ├── ScanFailed                the sender reported an error
        ├── ScanNotFoundError         no such wait, or several to choose from
        └── ScanClosed                the session has ended
            └── ScanAlreadyDelivered  a payload was delivered before

    StepbookWarning (UserWarning)     nothing is lost, but somebody should know

Messages name the thing, the reason and the next step. Names and values in them come from books:
whatever prints a message, a terminal gets nothing from it that it would obey.
"""

from __future__ import annotations

from typing import Any

from .seen import seen


def _rebuild(cls: type[StepbookError], args: tuple[Any, ...], fields: dict[str, Any]) -> Any:
    error = cls.__new__(cls, *args)
    error.args = args  # an OSError sets them later
    error.__dict__.update(fields)
    return error


class StepbookError(Exception):
    """Root of all errors that stepbook raises itself.

    Extra facts about the error are attributes; they survive pickling.
    """

    def __init__(self, message: str, /, **fields: Any) -> None:
        super().__init__(seen(message, keep="\n\t"))
        self.__dict__.update(fields)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class StepbookWarning(UserWarning):
    """Nothing is lost, but somebody should know."""

    def __init__(self, message: str, /) -> None:
        super().__init__(seen(message))


class BookError(StepbookError):
    """Something is wrong with the book as a whole."""


class BookNotFoundError(BookError, FileNotFoundError):
    """The book to be read does not exist."""


class NotABookError(BookError):
    """The path holds something that is not a book; it was left untouched."""


class BookVersionError(BookError):
    """The book was written by a newer stepbook; it was left untouched."""


class BookBusyError(BookError):
    """Another process, or a connection of another kind in this one, holds the database.

    Attributes:
        pid: the process that holds it, or None if unknown.
    """

    pid: int | None = None


class BookMismatchError(BookError):
    """The database and the journals beside it do not belong together."""


class JournalDamagedError(BookError):
    """A line of a journal that had been synced cannot be read any more.

    Attributes:
        path: the journal file.
        line: number of the damaged line, from 1.
    """

    path: str = ""
    line: int = 0


class JournalWriteError(BookError, OSError):
    """The journal could not be written; what was pending is written with the next append."""


class ForkedError(BookError):
    """A forked child process used its parent's book."""


class RunError(StepbookError):
    """Something is wrong with a run."""


class NoRunError(RunError):
    """A step was asked for, but no run is open."""


class RunNotFoundError(RunError, LookupError):
    """There is no run with this id."""


class RunInUseError(RunError):
    """Another live process holds the run.

    Attributes:
        pid: the process that holds it, or None if unknown.
    """

    pid: int | None = None


class InputChangedError(RunError):
    """A run of the same key has another input."""


class InvalidInputError(RunError, ValueError):
    """An argument that cannot be used."""


class StepError(StepbookError):
    """Something is wrong with a step."""


class StepNameError(StepError, ValueError):
    """The name of a step is empty or not a string."""


class StepFunctionError(StepError, TypeError):
    """What was given as a step's body cannot be one."""


class DuplicateStepError(StepError):
    """The same name was used twice in one pass, or is executing right now."""


class StepNotFoundError(StepError, LookupError):
    """The run has no step of this name."""


class StaleStepError(StepError):
    """The code of a recorded step has changed and ``on_change="error"`` was asked for."""


class StepTimeout(StepError, TimeoutError):  # noqa: N818 - named like its twin ScanTimeout
    """The body of a step took longer than its timeout."""


class NoStepError(StepError):
    """``stepbook.context()`` was called outside of a step."""


class NotSerializableError(StepError, TypeError):
    """A value that cannot be stored.

    Attributes:
        path: where in the value, for example ``$.rows[3].model``.
        reason: what cannot be stored there, and why.
        value: the whole object that the step returned, so that no work is lost.
    """

    path: str = "$"
    reason: str = ""
    value: Any = None


class NotStoredError(StepError):
    """A recorded value is not here: it could not be stored, or its seal was not accepted.

    Attributes:
        reason: why it was not loaded; empty if it was not stored.
        about: of a sealed value, its class, shape and representation, as they were recorded.
        advice: the reason, with what to do.
    """

    reason: str = ""
    about: str = ""
    advice: str = ""


class ArtifactError(StepError):
    """The file of a stored value is missing or has changed, or its record cannot be read."""


class RecordedError(StepError):
    """A recorded failure, raised again, whose class cannot be rebuilt.

    Attributes:
        type: name of the class that was raised.
        message: its text.
        stack: the recorded traceback.
    """

    type: str = ""
    message: str = ""
    stack: str = ""


class Interrupted(StepError):  # noqa: N818 - the name that the record shows
    """The process that executed the step is gone; recorded, never raised by a body."""


class SealKeyError(StepbookError):
    """The keys with which this user seals values cannot be read, or are not keys."""


class ScanError(StepbookError):
    """Something is wrong with a scan."""


class ScanTimeout(ScanError, TimeoutError):  # noqa: N818 - fixed by the public API
    """Nothing arrived before the deadline of a wait."""


class ScanFailed(ScanError):  # noqa: N818 - fixed by the public API
    """The sender of a scan reported an error instead of a payload."""


class ScanNotFoundError(ScanError, LookupError):
    """There is no such wait, or there are several and none was named."""


class ScanClosed(ScanError):  # noqa: N818 - fixed by the public API
    """The session of the scan has ended; nothing can be delivered to it any more."""


class ScanAlreadyDelivered(ScanClosed):
    """Something was delivered to this session before."""

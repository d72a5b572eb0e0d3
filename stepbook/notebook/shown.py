"""The outputs of a step that is a cell: as text in its record, and back on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import NotSerializableError, NotStoredError
from ..system.console import tell
from . import active, history, outputs
from .calm import warn
from .stub import NotLoaded
from .variables import classes_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from ..engine.opened import OpenRun
    from ..model.rows import StepRow
    from ..values.seals import Address
    from ..values.writer import Writer
    from .outputs import Recorder
    from .page import Output


class StepOutputs:
    """What one step shows.

    Args:
        shell: the shell.
        step: the name of the step.
    """

    def __init__(self, shell: InteractiveShell, step: str) -> None:
        self._shell = shell
        self._names: dict[str, Any] = shell.user_ns
        self._step = step

    def stored(
        self, writer: Writer, address: Address, recorder: Recorder, value: Any, refusal: str
    ) -> str | None:
        """Return the text of what was shown; what cannot be stored of it is left out and told.

        Args:
            writer: encodes it.
            address: where it will stand.
            recorder: has heard it.
            value: the value of the step.
            refusal: why that could not be stored; empty if it was.
        """
        hint = classes_in(self._names)
        for output, result in recorder.results:
            why = refusal
            if result is not value:  # one of several
                try:
                    writer.encode(result, hint=hint)
                    why, output["value"] = "", {"of": result}
                except NotSerializableError as error:
                    why = error.reason or str(error)
            history.tell_value(output, result, self._names, why)
        shown, stubs = outputs.without_stubs(recorder.outputs())
        if writer.redaction is not None:
            shown = outputs.redacted(shown, writer.redaction)
        for name, step in sorted(stubs):
            warn(
                f"step {self._step!r} has shown {name}, which step {step!r} could not store: that "
                f"output is not recorded. %stepbook redo {step} makes it again.",
                stacklevel=4,
            )
        try:
            return writer.encode(active.with_seal(shown, address), hint=hint) if shown else None
        except NotSerializableError:
            kept, reasons = outputs.storable(shown, lambda one: writer.encode(one, hint=hint))
            warn(
                f"step {self._step!r} is recorded without some of its outputs: "
                f"{'; '.join(reasons)}. They are not shown again on replay.",
                stacklevel=4,
            )
            return writer.encode(active.with_seal(kept, address), hint=hint) if kept else None

    def show_again(
        self,
        run: OpenRun,
        step: StepRow,
        text: str,
        heard: list[Output],
        alive: Callable[[str], Any],
    ) -> None:
        """Show what was recorded.

        Args:
            run: the run.
            step: the row of the step.
            text: what :meth:`stored` gave.
            heard: what the replay has shown already.
            alive: returns an object that could not be stored and still lives in this kernel.
        """
        hint, address = classes_in(self._names), run.address(step.name, step.made_by)

        def stored() -> Any:
            value = run.value(step) if step.value is None else step.value
            try:
                return run.codec.decode(value, hint=hint, where=step.name, address=address)
            except NotStoredError as error:
                return NotLoaded("_", step.name, "value", str(error))

        recorded = run.codec.decode(text, hint=hint, where=step.name)
        why = active.refusal(recorded, address)
        recorded, _ = active.split(recorded)
        if why:
            recorded = active.passive(recorded)
            key = "passive", run.id
            if key not in run.told:
                run.told.add(key)
                tell(
                    f"stepbook: outputs of run {run.id} are shown as text and images only: the "
                    f"first that is not, of step {step.name!r}, could hold scripts, and {why}. "
                    f"%stepbook trust {run.id} shows them as they were."
                )
        if not outputs.show(
            self._shell,
            outputs.without(recorded, heard),
            lambda output: history.value_in(output, self._names, step.name, stored, alive),
        ):
            tell(
                f"stepbook: of the outputs recorded for {step.name!r} some are not as stepbook "
                f"writes them, and are left out. %stepbook redo {step.name} makes them again."
            )

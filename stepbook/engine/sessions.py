"""The sessions of scans: what is waited for, and by when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ..model import failures
from ..model.durations import Duration, seconds
from ..model.rows import (
    FAILED,
    SUCCEEDED,
    ScanRow,
    ScanStatus,
    fields_of,
    now_us,
)
from ..system.interrupts import section
from . import repeating
from .attempt import check_name

if TYPE_CHECKING:
    from ..record.ledger import Ledger, State
    from ..record.ports import Inbox
    from .attempt import Holder

_OPEN: Final = ("pending", "ready")


def open_session(sessions: list[ScanRow]) -> ScanRow | None:
    """Return the session that has not ended; only the newest can be it."""
    return sessions[-1] if sessions and sessions[-1].status in _OPEN else None


def close_sessions(state: State, inbox: Inbox) -> list[ScanRow]:
    """Return the ends of sessions that were lost with their process: their steps have ended.

    Args:
        state: the run's rows.
        inbox: has the payload still, where memory has no room for it.
    """
    ends = []
    for name, sessions in state.scans.items():
        session, step = open_session(sessions), state.steps.get(name)
        if session is None or step is None or step.status not in {SUCCEEDED, FAILED}:
            continue
        if fields_of(step.progress).get("session") == session.id:
            status: ScanStatus = "completed"
            if step.status == FAILED:
                failed = failures.read(step.error)["type"]
                status = "timeout" if failed == "ScanTimeout" else "failed"
            results = step.value
            if step.left_on_disk:
                found = inbox.read(state.run.id, name, len(sessions))
                results = None if found is None else found.payload
            ends.append(
                session._replace(status=status, results=results, completed_at=step.completed_at)
            )
    return ends


def create_scan(
    run: Holder, ledger: Ledger, name: str, expires_in: Duration | None, metadata: Any
) -> dict[str, Any]:
    """Create the session of a scan, or make the one that waits ready; see ``ScanConnector``."""
    name = check_name(name, ledger.state.steps, ledger.state.scans)
    lifetime = None if expires_in is None else seconds(expires_in, "lifetime of a scan session")
    text = None if metadata is None else run.codec.encode(metadata)
    with section(run.lock):
        session, start = open_session(ledger.state.scans.get(name, [])), now_us()
        if session is None:
            session = repeating.session(run.book.path, run.id, name)
            start = session.created_at
        expires = session.expires_at
        if lifetime is not None:
            until = start + int(lifetime * 1e6)
            expires = until if expires is None else min(expires, until)
        session = session._replace(status="ready", metadata=text, expires_at=expires)
        ledger.commit(session)
    return {
        "id": session.id,
        "name": name,
        "status": session.status,
        "metadata": metadata,
        "expires_at": None if expires is None else iso(expires),
    }


def iso(at: int) -> str:
    """Return a moment as ISO 8601, in UTC."""
    return datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="seconds")

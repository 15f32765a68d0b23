"""Run one session so that its driver always hears of its end."""

from __future__ import annotations

from orchestrator.domain.conversation import Report, SessionEnded
from orchestrator.domain.errors import WorkerFailed
from orchestrator.execution.base import Emit, Session


def run_guarded(session: Session, device: str, emit: Emit) -> None:
    """Run a session to its end; an error that nobody expected becomes the report that the driver waits for."""
    ended = False

    def watch(report: Report) -> None:
        nonlocal ended
        ended = ended or isinstance(report, SessionEnded)
        emit(report)

    try:
        session.run(watch)
    except Exception as error:
        if ended:
            raise
        name, words = type(error).__name__, str(error).strip().partition("\n")[0]
        failure = WorkerFailed(
            f"unexpected {name}: {words}", "this is a defect of benchfleet: please report it", device=device
        )
        failure.__cause__ = error
        emit(SessionEnded(device, failure))

"""Look at the queue: what waits and why, when it may begin, and who works at it; and change what waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.queue_forecast import expected_starts
from orchestrator.domain.queue_order import Standing, in_order, reasons
from orchestrator.domain.submission import DaemonRecord, QueueEntry, QueueView, Submission, checked_priority
from orchestrator.services.history.reasons import stated

if TYPE_CHECKING:
    from orchestrator.services.base import FleetWiring
    from orchestrator.store.base import Roles


def look(store: Roles, over: int = 0) -> QueueView:
    """Return the queue in the order in which submissions are to begin, then the newest `over` that are over."""
    submissions = store.submissions.open_submissions()
    daemons = store.daemons.live_daemons()
    standing = _standing(submissions, daemons, store)
    ordered = in_order(submissions, standing)
    # What runs stands first.
    ordered.sort(key=lambda one: not one.is_claimed)
    why = reasons(ordered, daemons, standing)
    starts: Mapping[int, datetime | None] = expected_starts(ordered, standing) if daemons else {}
    entries = [QueueEntry(one, why[one.id], starts.get(one.id)) for one in ordered]
    entries += [QueueEntry(one, None, None) for one in (store.submissions.newest_over(over) if over else ())]
    return QueueView(standing.now, tuple(daemons), standing.shares, tuple(entries))


def _standing(submissions: Sequence[Submission], daemons: Sequence[DaemonRecord], store: Roles) -> Standing:
    names = sorted({name for one in submissions for name in one.device_s or ()})
    holdings = store.leases.holdings(names) if names else {}
    barred = store.recovery.quarantines(names) if names else {}
    # Of two daemons that differ, the one that has worked longer is believed.
    windows = {window.name: window for daemon in reversed(daemons) for window in daemon.windows}
    return Standing(store.daemons.now(), store.daemons.shares(), holdings, barred, windows)


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """Ask for another place in the queue: another priority, or before or behind all others of one's own."""

    run: str
    priority: int | None = None
    first: bool = False
    last: bool = False


def move(request: MoveRequest, wiring: FleetWiring) -> Submission:
    """Move a submission. Raise ConfigError for a wrong request, and for a submission that runs or is over."""
    if request.first and request.last:
        raise ConfigError("--first and --last contradict each other", "leave one of them out")
    if request.priority is None and not request.first and not request.last:
        raise ConfigError("where to?", "--priority N, --first or --last")
    one = require_submission(request.run, wiring.store)
    if request.priority is not None:
        one = wiring.store.submissions.set_priority(one.id, checked_priority(request.priority))
    if request.first or request.last:
        one = wiring.store.submissions.move_to_end(one.id, first=request.first)
    return one


def hold(run: str, reason: str | None, wiring: FleetWiring) -> Submission:
    """Keep a submission from beginning until it is released."""
    why = None if reason is None else stated(reason)
    return wiring.store.submissions.hold(require_submission(run, wiring.store).id, why)


def release(run: str, wiring: FleetWiring) -> Submission:
    """Let a held submission wait again."""
    return wiring.store.submissions.release(require_submission(run, wiring.store).id)


def cancel(run: str, wiring: FleetWiring) -> Submission:
    """Cancel a submission, or have its daemon end the run."""
    one = require_submission(run, wiring.store)
    return wiring.store.submissions.cancel(one.id, wiring.identity().holder)


def require_submission(run: str, store: Roles) -> Submission:
    """Return a submission by the run's id, name or unique beginning. Raise ConfigError for an unknown one."""
    found = store.submissions.find_submission(run)
    if found is None:
        raise ConfigError(f"nothing in the queue is called {run!r}", "benchfleet queue list --over 20 shows more")
    return found

"""Delete raw samples of old runs. Summaries, histograms and outputs stay, and so do figures and verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.domain.duration import parse_duration_s
from orchestrator.domain.pruning import PrunedRun, Pruning, RawSamples

if TYPE_CHECKING:
    from orchestrator.services.base import FleetWiring


@dataclass(frozen=True, slots=True)
class PruneRequest:
    """Ask for the raw samples of runs that began longer ago than `keep_raw` (such as 90d) to be deleted.

    `vacuum`: give the room back to the disk.
    """

    keep_raw: str
    dry_run: bool = False
    vacuum: bool = False


def prune(request: PruneRequest, wiring: FleetWiring, agreed: Callable[[Pruning], bool]) -> Pruning | None:
    """Delete raw samples of old runs once `agreed` says so. Return what went, or None without agreement.

    Old runs of baselines and regressions, and runs under way, keep their samples.
    """
    before = datetime.now(UTC) - timedelta(seconds=parse_duration_s(request.keep_raw, "--keep-raw"))
    expected = _expected(before, wiring)
    if request.dry_run:
        return expected
    if (expected.runs or expected.contents.blocks) and not agreed(expected):
        return None
    retention, who = wiring.store.retention, wiring.identity().holder
    runs = [PrunedRun(one.run, one.started_at, retention.prune(one.run, who)) for one in expected.runs]
    contents = sum((retention.drop(one) for one in retention.abandoned()), RawSamples())
    if request.vacuum:
        retention.vacuum()
    again = f"benchfleet db prune --keep-raw {request.keep_raw} --vacuum"
    advice = None if request.vacuum or not (runs or contents.blocks) else f"{_ADVICE}: {again}"
    return Pruning(before, False, tuple(runs), expected.kept, contents, advice)


_ADVICE = "new rows will use the room; this gives it back to the disk, and is best done while nothing runs"


def _expected(before: datetime, wiring: FleetWiring) -> Pruning:
    retention = wiring.store.retention
    free, kept = retention.old_runs(before)
    found = (PrunedRun(run, began, retention.raw_samples(run)) for run, began in free.items())
    contents = sum((retention.stored(one) for one in retention.abandoned()), RawSamples())
    return Pruning(before, True, tuple(one for one in found if one.raw.blocks), kept, contents, None)

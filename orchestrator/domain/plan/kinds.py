"""Say which cells of a plan may run on fast processors or on slow ones: their figures are then of either, by chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.domain.cpus import parse_cpus
from orchestrator.domain.device import CPUS_SETTING
from orchestrator.domain.plan.values import Job, PlanInputs
from orchestrator.domain.processors import ProcessorKind, Processors


def mixed_kinds(jobs: Sequence[Job], inputs: PlanInputs) -> Iterator[str]:
    """Yield a sentence about unpinned cells, and one for each pinning that takes in several kinds of processors."""
    processors = inputs.facts.processors
    pinnings = dict.fromkeys(None if (cpus := job.settings.get(CPUS_SETTING)) is None else str(cpus) for job in jobs)
    for listed in pinnings:
        if listed is None:
            yield from _unpinned(processors, may_pin=CPUS_SETTING in inputs.device.allow)
        elif kinds := processors.of_several_kinds(frozenset(parse_cpus(listed))):
            yield f"cells of cpus={listed} run on processors of several kinds: {_list(kinds)}"


def _unpinned(processors: Processors, *, may_pin: bool) -> Iterator[str]:
    remedy = "; pin them by cpus" if may_pin else ""
    if kinds := processors.of_several_kinds(None):
        yield f"cells without cpus run on processors of either kind, as its kernel likes: {_list(kinds)}{remedy}"
    elif (kept := processors.kept_from_unpinned()) and len(kept) < len(processors.kinds):
        yield f"cells without cpus may not run on its processors {_list(kept)}{remedy}"


def _list(kinds: Sequence[ProcessorKind]) -> str:
    return ", ".join(kind.words for kind in kinds)

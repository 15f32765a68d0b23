"""Blame the device or its environment, not the build, for a difference between the same bytes at two times."""

from __future__ import annotations

from orchestrator.domain.build import environment_difference, same_bytes, same_environment
from orchestrator.domain.comparison import Kind, Verdict
from orchestrator.domain.measurement import CellResult
from orchestrator.services.results.pairing import Pair

_OF_A_BUILD = frozenset({Verdict.REGRESSED, Verdict.IMPROVED, Verdict.DIFFERENT})
SAME_BYTES = "the same artifact, runtime and worker on both sides"
SAME_FACTS = (
    f"{SAME_BYTES}, and no recorded fact of the device differs: "
    "look at the device and at what the sweep asks for, not at the build"
)


def blamed(verdict: Verdict, pair: Pair, kind: Kind) -> Verdict:
    """Return `environment-changed` for a difference over time between the same bytes, and else the verdict."""
    if kind is not Kind.OVER_TIME or verdict not in _OF_A_BUILD or pair.base is None:
        return verdict
    return Verdict.ENVIRONMENT_CHANGED if same_bytes(pair.base.builds, pair.other.builds) else verdict


def mixed_environments(cell: CellResult, kind: Kind) -> tuple[str, ...]:
    """Return the changes of a device between the trials of a run, such as a new kernel before an extension.

    A comparison over time has the changes of both runs in `environment_notes`.
    """
    if kind is Kind.OVER_TIME or len(cell.environments) < 2:
        return ()
    changes = ", ".join(environment_difference(cell.environments[:1], cell.environments[1:]))
    return (f"the environment changed while the run was under way, so that its trials are not alike: {changes}",)


def environment_notes(pair: Pair, verdict: Verdict, kind: Kind) -> tuple[str, ...]:
    """Return the changes around the bytes, for a pair over time with values on both sides."""
    if kind is not Kind.OVER_TIME or pair.base is None or not pair.comparable:
        return ()
    base, other = pair.base, pair.other
    changes = ", ".join(environment_difference(base.environments, other.environments))
    if not same_bytes(base.builds, other.builds):
        known = base.builds and other.builds
        what = "the environment changed as well as the build" if known else "the environment changed"
        return (f"{what}: {changes}",) if changes else ()
    if verdict is not Verdict.ENVIRONMENT_CHANGED:
        return (f"the environment changed: {changes}",) if changes else ()
    if changes:
        return (f"{changes}: {SAME_BYTES}",)
    if same_environment(base.environments, other.environments):
        return (SAME_FACTS,)
    return (f"{SAME_BYTES}, and the facts of a side are not on record",)

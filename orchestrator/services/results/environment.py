"""Blame the device or its environment, not the build, for a difference between the same bytes at two times.

The same bytes also say how far a device has moved as a whole: what other bytes differ by is judged beyond that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from orchestrator.analysis.movement import Movement, movement_of
from orchestrator.analysis.ratio import RatioEstimate
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


Movements = Mapping[object, Movement]
"""What devices have moved by since each run of the base side, by `moved_since`."""


def movements(pairs: Iterable[Pair], ratios: Mapping[int, RatioEstimate], min_effect: float) -> Movements:
    """Return the movement of each device since each base run, by the cells of the same bytes.

    `ratios` is keyed by `id()` of a pair.
    """
    unchanged: dict[object, list[RatioEstimate]] = {}
    for pair in pairs:
        if pair.base is not None and id(pair) in ratios and same_bytes(pair.base.builds, pair.other.builds):
            unchanged.setdefault(moved_since(pair), []).append(ratios[id(pair)])
    found = {key: movement_of(estimates, min_effect) for key, estimates in unchanged.items()}
    return {key: movement for key, movement in found.items() if movement is not None}


def moved_since(pair: Pair) -> object:
    """Return the key of a pair's movement: device and base run."""
    return pair.other.cell.device, pair.base.cell.run if pair.base else None


def blamed(
    verdict: Verdict, pair: Pair, kind: Kind, estimate: RatioEstimate, movement: Movement | None = None
) -> Verdict:
    """Return `environment-changed` for what no build has shown to have done, and else the verdict.

    Over time that is a difference between the same bytes. Where the device has moved, it is also what other bytes
    differ by no further than the device has moved, and their being equal.
    """
    if kind is not Kind.OVER_TIME or pair.base is None:
        return verdict
    if same_bytes(pair.base.builds, pair.other.builds):
        return Verdict.ENVIRONMENT_CHANGED if verdict in _OF_A_BUILD else verdict
    if movement is None:
        return verdict
    # Equal values of a device that has become faster are those of a slower build, for all that is known.
    explained = verdict is Verdict.EQUIVALENT or (verdict in _OF_A_BUILD and movement.explains(estimate))
    return Verdict.ENVIRONMENT_CHANGED if explained else verdict


def mixed_environments(cell: CellResult, kind: Kind) -> tuple[str, ...]:
    """Return the changes of a device between the trials of a run, such as a new kernel before an extension.

    A comparison over time has the changes of both runs in `environment_notes`.
    """
    if kind is Kind.OVER_TIME or len(cell.environments) < 2:
        return ()
    changes = ", ".join(environment_difference(cell.environments[:1], cell.environments[1:]))
    return (f"the environment changed while the run was under way, so that its trials are not alike: {changes}",)


def environment_notes(pair: Pair, verdict: Verdict, kind: Kind, movement: Movement | None = None) -> tuple[str, ...]:
    """Return the changes around the bytes, for a pair over time with values on both sides."""
    if kind is not Kind.OVER_TIME or pair.base is None or not pair.comparable:
        return ()
    if movement is not None and not same_bytes(pair.base.builds, pair.other.builds):
        return (_moved(pair, movement, verdict), *_changes(pair, verdict))
    return _changes(pair, verdict)


def _moved(pair: Pair, movement: Movement, verdict: Verdict) -> str:
    far = f"x{movement.factor:.3g}" if movement.is_common else f"x{math.exp(movement.size):.3g} either way"
    cells = "1 cell" if movement.cells == 1 else f"{movement.cells} cells"
    words = (
        f"{pair.other.cell.device} itself has moved: {far} in the median of {cells} of the same "
        f"bytes, {movement.moved} of them clearly"
    )
    if verdict is Verdict.ENVIRONMENT_CHANGED:
        return f"{words}; this is no more than that: measure both builds in one run"
    return words


def _changes(pair: Pair, verdict: Verdict) -> tuple[str, ...]:
    if pair.base is None:
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

"""Read the operator profiles of a run's cells, and set two cells side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.cell_details import CellDetails, RunJob
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.operator_profile import CellProfile, ProfilePair, pair_profiles
from orchestrator.domain.plan.values import TrialKind
from orchestrator.services.runs.cell import CELLS_MAX, in_words, named_cells
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.services.base import HasRecords
    from orchestrator.store.base import Cells, Roles

ABSENT_METRIC = "operator_ns"
"""The absent metric whose reason a profile trial gives where a runtime tells nothing of its operators."""

_NOT_ASKED = "the run has no profile of the cell"
_HINT = "a sweep with `profile: operators` profiles each cell once, after its trials"


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """Ask for the profiles of a run's cells. `cell` is a rule of names and globs, or a cell in words."""

    run: str
    cell: str


def show_profiles(request: ProfileRequest, wiring: HasRecords) -> Sequence[CellProfile]:
    """Return the profiles of the cells that a rule names.

    Raise ConfigError for an unknown run, for no cell or too many, and where no cell has a profile.
    """
    picked = named_cells(request.run, request.cell, wiring.store)
    if len(picked) > CELLS_MAX:
        hint = "narrow the rule, such as by device=NAME"
        raise ConfigError(f"--cell matches {len(picked)} cells, of which one call shows {CELLS_MAX}", hint)
    run = require_run(wiring.store.runs, request.run).header.run
    found = [_profile(run, one, wiring.store) for one in picked]
    if all(one.reason == _NOT_ASKED for one in found):
        raise ConfigError(f"run {run}: no profile of {', '.join(map(in_words, picked))}", _HINT)
    return found


def compare_profiles(request: ProfileRequest, against: str, wiring: HasRecords) -> ProfilePair:
    """Return the profiles of two cells side by side; `against` is the base.

    Raise ConfigError for an unknown run, for a rule of no cell or of several, and for a cell without a profile.
    """
    run = require_run(wiring.store.runs, request.run).header.run
    return pair_profiles(
        _require_profile(run, "--against", against, wiring.store),
        _require_profile(run, "--cell", request.cell, wiring.store),
    )


def _require_profile(run: str, option: str, rule: str, store: Roles) -> CellProfile:
    try:
        picked = named_cells(run, rule, store)
    except ConfigError as error:
        raise ConfigError(str(error).replace("--cell", option), error.hint) from None
    if len(picked) > 1:
        names = "; ".join(map(in_words, picked[:CELLS_MAX]))
        raise ConfigError(f"{option} matches {len(picked)} cells: {names}", "name one of them in full")
    found = _profile(run, picked[0], store)
    if found.reason is not None:
        raise ConfigError(f"{in_words(picked[0])}: {found.reason}", _HINT if found.reason == _NOT_ASKED else None)
    return found


def profile_of(cell: CellDetails, cells: Cells) -> CellProfile:
    """Return the profile of a cell read in full, or one without operators and with the reason."""
    operators = tuple(cells.operators(cell.job))
    reason = None if operators else _reason(cell)
    return CellProfile(cell.cell.run, cell.cell.device, cell.label, operators, reason)


def _profile(run: str, job: RunJob, store: Roles) -> CellProfile:
    cell = store.cells.cell(job.job)
    if cell is None:  # deleted since the rule was read
        return CellProfile(run, job.device, job.label, (), _NOT_ASKED)
    return profile_of(cell, store.cells)


def _reason(cell: CellDetails) -> str:
    """Return why a cell has no profile: in the words of its profile trial, or since nobody asked for one."""
    attempts = [one for one in cell.attempts if one.kind == TrialKind.PROFILE.value]
    for one in reversed(attempts):
        reason = one.absent.get(ABSENT_METRIC) or one.failure
        if reason:
            return reason
        if one.invalid:
            return f"its profile trial is invalid: {', '.join(one.invalid)}"
    return "its profile trial has not ended" if attempts else _NOT_ASKED

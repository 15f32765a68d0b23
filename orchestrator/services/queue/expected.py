"""Expect how long a sweep takes on a device, by what trials of the same cells have taken there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.expansion import expand, is_in_grid, rule_against
from orchestrator.domain.runtimes import artifact_for
from orchestrator.domain.sweep import setting_texts

if TYPE_CHECKING:
    from orchestrator.specs.sweep import SweepFile
    from orchestrator.store.base import Roles


def expected_s(file: SweepFile, devices: Sequence[str], store: Roles) -> Mapping[str, float | None]:
    """Return by device the expected seconds of all trials, None where a cell of the sweep was never measured.

    Around trials a device takes as long as in its newest run: connecting, conditions, idle power. A cell that an
    earlier plan of the device left out is taken to be left out again. With a stop rule, and for the missing cells of a
    sweep, the time is the longest: all trials of each cell.
    """
    measured = store.submissions.trial_seconds(devices, [model.name for model in file.models])
    overheads, left_out = store.submissions.overheads_s(devices), store.submissions.left_out(devices)
    return {
        name: _on(file, name, measured, left_out.get(name, frozenset()), overheads[name]) if name in overheads else None
        for name in devices
    }


def _on(
    file: SweepFile,
    device: str,
    measured: Mapping[tuple[str, ...], float],
    left_out: frozenset[str],
    overhead_s: float,
) -> float | None:
    models = {model.name: model for model in file.models}
    total = 0.0
    for cell in expand(file.sweep):
        model = models[cell.model or file.model.name]
        if not is_in_grid(file.sweep, device, cell) or rule_against(file.sweep, device, cell):
            continue
        if artifact_for(model.variants[cell.variant], cell.runtime) is None:
            continue
        key = (device, model.name, cell.variant, cell.runtime.label, *setting_texts(sorted(cell.settings.items())))
        seconds = measured.get(key)
        if seconds is None:
            if cell.label in left_out:
                continue
            return None
        # The preflight takes about as long as a trial.
        total += (seconds + overhead_s) * (file.sweep.trials + 1)
    return total

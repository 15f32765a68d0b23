"""Name commands for settling the inconclusive rows of a comparison, probably."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.domain.comparison import Comparison, ComparisonGroup, Kind
from orchestrator.domain.measurement import COORDINATES
from orchestrator.domain.sweep import setting_text

COMMANDS_MAX = 4
"""Name no more devices than fit below a table."""


@dataclass(slots=True)
class _Need:
    """Collect the lack of a device: the most trials, and the rules of the cells, without repetition."""

    trials: int = 0
    cells: dict[str, None] = field(default_factory=dict)


def settling_commands(comparison: Comparison) -> tuple[str, ...]:
    """Return a command line for each device with inconclusive rows. Two runs are not extended.

    Trials added to an older run would be measured tonight: between two runs only a rerun of both settles anything.
    """
    if comparison.kind is Kind.OVER_TIME:
        return ()
    needs: dict[str, _Need] = {}
    for group in comparison.groups:
        for device, trials, rule in _lacking(comparison, group):
            need = needs.setdefault(device, _Need())
            need.trials = max(need.trials, trials)
            need.cells[rule] = None
    commands = [_command(comparison.run, device, need) for device, need in needs.items()]
    return tuple(commands[:COMMANDS_MAX])


def _lacking(comparison: Comparison, group: ComparisonGroup) -> Iterator[tuple[str, int, str]]:
    """Yield device, number of trials and rule of each side of each inconclusive row."""
    for row in group.rows:
        if row.trials_more is None or group.base is None:
            continue
        for side in (group.base, row.side):
            coordinates = {name: setting_text(value) for name, value in group.fixed.items()}
            coordinates[comparison.by] = setting_text(side.at)
            device = coordinates.pop("device", str(group.device))
            yield device, row.trials_more, _rule(coordinates)


def _rule(coordinates: Mapping[str, str]) -> str:
    """Return a rule for --cells, with a glob for each character that a rule cannot hold."""
    names = [name for name in (*COORDINATES, *coordinates) if name in coordinates]
    return ",".join(f"{name.removeprefix('settings.')}={_globbed(coordinates[name])}" for name in dict.fromkeys(names))


def _globbed(value: str) -> str:
    # A comma would end the value, and a bracket begin a glob of its own.
    return "".join("?" if character in ",[" else character for character in value)


def _command(run: str, device: str, need: _Need) -> str:
    cells = " ".join(f"--cells {shlex.quote(rule)}" for rule in need.cells)
    return f"benchfleet runs resume {run} --trials +{need.trials} --select {shlex.quote(device)} {cells}"

"""Say which conditions disturbed the cells of a night that have no value for that reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator.domain.condition import BUSY_WORDS
from orchestrator.domain.night import NightReport
from orchestrator.services.nights.absent import DISTURBED

if TYPE_CHECKING:
    from orchestrator.store.base import ConditionAccounts


def disturbances(report: NightReport, accounts: ConditionAccounts) -> Iterator[str]:
    """Yield a note for each device with a cell whose trials were all disturbed: the conditions, and a remedy."""
    devices = dict.fromkeys(one.cell.device for one in report.cells if DISTURBED in one.reason)
    if not devices:
        return
    breaches: dict[str, Counter[str]] = {device: Counter() for device in devices}
    for run in dict.fromkeys(one.run for one in report.runs):
        for use in accounts.condition_uses(run):
            if use.device in breaches:
                breaches[use.device].update(use.breaches)
    for device, words in breaches.items():
        counted = ", ".join(f"{count} {word}" for word, count in words.items())
        remedy = f"end other work on {device}" if BUSY_WORDS & words.keys() else f"look after {device}"
        yield f"{device}: attempts that broke a condition: {counted or 'none on record'}; {remedy}, then run --again"

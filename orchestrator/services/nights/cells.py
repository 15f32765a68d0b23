"""Compose the cells of a night's report: conclusions with values, runs, and commands to look closer."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.analysis.nights.subjects import Finding, Key, Subject
from orchestrator.domain.measurement import Cell
from orchestrator.domain.night import CellMemory, NightCell
from orchestrator.domain.sweep import setting_text
from orchestrator.services.nights.contents import content_of
from orchestrator.services.nights.pairing import BASELINE_MARK
from orchestrator.services.nights.values import TonightCell

NO_CONTENT = "none"
_TRIALS = "SELECT run, variant, runtime, settings, trial_index, value FROM v_history"


@dataclass(frozen=True, slots=True)
class CellRuns:
    """Hold the runs behind a cell: baseline, candidate, and the sweep file for measuring the cell again."""

    baseline: tuple[str, ...]
    candidate: tuple[str, ...]
    sweep: Path | None


def compose(
    subject: Subject, cell: Cell, tonight: TonightCell | None, finding: Finding, extra: tuple[CellRuns, float]
) -> NightCell:
    """Return the cell of a report. `extra` is the cell's runs, and the canaries' drift as a logarithm."""
    runs, drift = extra
    opened = subject.opened
    return NightCell(
        cell=cell,
        metric=subject.key.metric,
        sweep=subject.key.slot.partition(" · ")[0],
        slot=subject.key.slot,
        verdict=finding.verdict,
        reason=finding.reason,
        # The stages decide without the device's drift. People are shown what was measured.
        value=None if finding.value is None else math.exp(finding.value + drift),
        expected=None if finding.expected is None else math.exp(finding.expected + drift),
        estimate=finding.estimate,
        baseline_trials=finding.baseline_trials,
        candidate_trials=finding.candidate_trials,
        set_aside=finding.set_aside,
        detectable=finding.detectable,
        baseline_runs=runs.baseline,
        candidate_runs=runs.candidate,
        regression=opened.id if opened is not None else None,
        since=opened.since if opened is not None else subject.quarantined_since,
        known=opened is not None and opened.known and not finding.reopens,
        sql=sql_of(cell, subject.key, (*runs.baseline, *runs.candidate)),
        rerun=_rerun(cell, runs.sweep),
        memory=_memory(subject, tonight, finding),
    )


def _memory(subject: Subject, tonight: TonightCell | None, finding: Finding) -> CellMemory:
    job = None if tonight is None else tonight.job
    result = None if tonight is None else tonight.results.get(subject.key.metric)
    environment = result.environments[-1].environment_hash if result is not None and result.environments else None
    return CellMemory(
        value=finding.value,
        variance=finding.variance,
        freedom=max(0.0, (len(result.trial_values) if result is not None else 0) - 1.0),
        threshold=finding.threshold if finding.threshold is not None else subject.threshold,
        spent=finding.spent,
        content=NO_CONTENT if job is None else content_of(job),
        environment=environment,
        new_segment=finding.new_segment,
        unruly=finding.unruly,
        suspected=finding.suspected,
        change=finding.change,
    )


def sql_of(cell: Cell, key: Key, runs: Iterable[str]) -> str:
    """Return the statement for the trials behind a cell, for `benchfleet sql` on both databases."""
    names = ", ".join(_quoted(run) for run in dict.fromkeys(runs))
    wanted = [
        f"run IN ({names})",
        f"device = {_quoted(cell.device)}",
        f"model = {_quoted(cell.model)}",
        # A rerun gives the baseline's artifact a name of its own.
        f"(variant = {_quoted(cell.variant)} OR variant LIKE {_quoted(f'{cell.variant}{BASELINE_MARK}%')})",
        f"metric = {_quoted(key.metric)}",
        "kind = 'measure'",
        *(
            f"settings ->> {_quoted(name)} = {_quoted(setting_text(value))}"
            for name, value in sorted(cell.settings.items())
            # Texts alone: `->>` gives SQLite a number and PostgreSQL a text, and no literal of a number suits both.
            if isinstance(value, str)
        ),
    ]
    return f"{_TRIALS} WHERE {' AND '.join(wanted)}"


def _quoted(text: str) -> str:
    # A statement for people to paste has no parameters.
    return "'" + text.replace("'", "''") + "'"


def _rerun(cell: Cell, sweep: Path | None) -> str:
    if sweep is None:
        return ""
    return shlex.join(["benchfleet", "run", str(sweep), "--select", cell.device])


def lines_of_contents(cells: Sequence[TonightCell]) -> tuple[str, ...]:
    """Describe each measured artifact and program by its hash, without repetition."""
    found: dict[str, None] = {}
    for one in cells:
        if one.job is not None:
            files = ", ".join(f"{file.name} {file.sha256[:12]}" for file in (one.job.model, *one.job.files))
            found[f"{one.cell.model} · {one.cell.variant} · {one.cell.runtime}: {files}"] = None
    return tuple(found)

"""Search a list of candidates for the first bad one. The same command finds the run of each step again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.analysis.confirmation import LOOKS, Level, PairOfSides, figures_of, is_moved, level_of, usual_noise
from orchestrator.analysis.prior import Prior
from orchestrator.analysis.ratio import usable
from orchestrator.domain.bisection import Answer, Bisection, Outcome, Replaces, Step, next_index
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.metric import is_accuracy, metric_named
from orchestrator.domain.regression import Direction, Regression
from orchestrator.services.bisect.candidates import Candidate, read_candidates
from orchestrator.services.bisect.sides import Sides, StepFolder, cell_under_test
from orchestrator.services.history.regressions import require_regression
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.services.base import RerunWiring, Shows

OnStep = Callable[[Bisection], None]
"""Hears of the search before the first step, and after each step."""


@dataclass(frozen=True, slots=True)
class BisectRequest:
    """Ask for the first bad candidate. `candidates` is the list's file. `replaces` None follows from the list.

    `waits` and `reservation` mean the same as in `StartRequest`.
    """

    regression: int
    candidates: Path
    replaces: Replaces | None = None
    waits: bool = False
    reservation: int | None = None


def bisect(request: BisectRequest, wiring: RerunWiring, shows: Shows, on_step: OnStep) -> Bisection:
    """Search for the first bad candidate on the regression's device, by interleaved reruns beside the first candidate.

    An interrupted search goes on with the runs on record. Raise ConfigError for an unknown regression, a regression of
    accuracy, a wrong list, or a missing sweep. A step without results ends the search, as a value in the result.
    """
    regression = require_regression(request.regression, wiring.store)
    if is_accuracy(regression.metric):
        raise ConfigError(
            f"regression {regression.id} is of {regression.metric}, which one preflight settles: no search is needed",
            "run a sweep with the candidates as variants, and compare them",
        )
    header = require_run(wiring.store.runs, regression.candidate_run).header
    plan = wiring.store.plans.plan_document(header.run, regression.series.device)
    cell = cell_under_test(regression.series, wiring.recorded_sweep(header), plan)
    found = read_candidates(request.candidates, cell.runtime, request.replaces, wiring.reach())
    folder = StepFolder(request.candidates.resolve().parent, wiring.cache(), cell, found.replaces)
    measuring = _Measuring(request, regression, folder, wiring, shows)
    names = tuple(one.name for one in found.candidates)
    search = Bisection(regression, found.replaces, names, (), Outcome.CUT_OFF)
    on_step(search)
    while (index := next_index(len(names), search.answers)) is not None:
        step = _known(index, found.candidates, search.steps) or measuring.step(index, found.candidates, search.steps)
        if isinstance(step, str):
            return replace(search, reason=step)
        search = replace(search, steps=(*search.steps, step))
        on_step(search)
    return _ended(search)


def _ended(search: Bisection) -> Bisection:
    last = search.steps[0]
    if last.answer is Answer.BAD:
        return replace(search, outcome=Outcome.FOUND)
    return replace(search, outcome=Outcome.NOT_REPRODUCED, reason=last.reason)


def _known(index: int, candidates: Sequence[Candidate], steps: Sequence[Step]) -> Step | None:
    """Return the step of a candidate with the bytes of an earlier candidate, or None for new bytes."""
    content = candidates[index].content
    if content == candidates[0].content:
        return Step(index, Answer.GOOD, f"the same as {candidates[0].name}")
    for step in steps:
        if candidates[step.index].content == content:
            return replace(step, index=index, reason=f"the same as {candidates[step.index].name}", run=None)
    return None


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Say why a step has no values. `of_candidate`: the candidate cannot be judged, and the search goes on."""

    reason: str
    of_candidate: bool


@dataclass(frozen=True, slots=True)
class _Measuring:
    """Measure a run for each step, extended look by look."""

    request: BisectRequest
    regression: Regression
    folder: StepFolder
    wiring: RerunWiring
    shows: Shows

    def step(self, index: int, candidates: Sequence[Candidate], steps: Sequence[Step]) -> Step | str:
        """Return the finished step, or the reason of a step without results."""
        sides = self.folder.sides(candidates[0], candidates[index])
        change = _change(steps)
        noise = self._noise()
        for look, trials in enumerate(LOOKS):
            run = self._measured(sides, trials)
            values = self._values(run, sides, trials)
            if isinstance(values, _Obstacle):
                if not values.of_candidate:
                    return values.reason
                # The regression was the loss of every value: a candidate without a value shows that same regression.
                return Step(index, Answer.BAD if self._is_of_loss() else Answer.UNJUDGED, values.reason, run)
            pair = values
            level = Level.SAME if self._is_of_loss() else self._level(pair, noise, change, look)
            if level is not Level.OPEN:
                break
        return _step(index, level, pair, noise, run)

    def _level(self, pair: PairOfSides, noise: Prior, change: float | None, look: int) -> Level:
        if change is not None:
            return level_of(pair, noise, change, look)
        figures = self.regression.figures
        side = 1 if self.regression.direction is Direction.ROSE else -1
        # Half the change that was confirmed: a smaller one is another matter.
        confirmed = math.expm1(abs(math.log(figures.ratio)) / 2) if figures else 0.0
        return is_moved(pair, noise, side, look, max(confirmed, metric_named(self.regression.metric).min_effect))

    def _measured(self, sides: Sides, trials: int) -> str:
        """Return the run of a step with so many trials a side: begun, gone on with, or extended."""
        # Here, since the driver takes long to import, and a complete search needs no run.
        from orchestrator.services.runs.extend import MoreTrials
        from orchestrator.services.runs.pick_up import PickUpRequest, resume
        from orchestrator.services.runs.start import StartRequest, start

        request, device = self.request, self.regression.series.device
        # By name alone: the sweep's name holds a hash of the question, so that only the same question finds the run.
        found = self.wiring.store.runs.newest_of_sweep(sides.sweep)
        if found is None:
            asked = StartRequest(sides.path, device, waits=request.waits, reservation=request.reservation)
            return start(asked, self.wiring, self.shows).record.header.run
        run = found.header.run
        if self._lacks(run, sides, trials):
            # A total, since a number of further trials would be added once more by a repeated command.
            more = MoreTrials(trials, is_more=False)
            resume(PickUpRequest(run, device, False, request.waits, request.reservation, more), self.wiring, self.shows)
        return run

    def _lacks(self, run: str, sides: Sides, trials: int) -> bool:
        cells = [cell for cell in self._results(run) if sides.of(cell.cell) is not None]
        planned = [len(one.trial_values) + one.invalid + one.failed + one.without_metric for one in cells]
        return not planned or any(
            count < trials and one.rejected is None for one, count in zip(cells, planned, strict=True)
        )

    def _results(self, run: str) -> Sequence[CellResult]:
        return self.wiring.store.results.cell_results(run, self.regression.metric)

    def _values(self, run: str, sides: Sides, trials: int) -> PairOfSides | _Obstacle:
        """Return the values of both sides, or the obstacle in the way."""
        cells = {sides.of(one.cell): one for one in self._results(run)}
        good, other = cells.get(True), cells.get(False)
        errors = [f"{one.device}: {one.error}" for one in require_run(self.wiring.store.runs, run).devices if one.error]
        if errors or good is None or good.missing or (other is not None and other.missing):
            why = errors[0] if errors else self._excluded(run) or "some trials have not run"
            return _Obstacle(f"run {run} has no results of both sides: {why}", of_candidate=False)
        if other is None:
            return _Obstacle(f"does not run here: {self._excluded(run) or 'not planned'}", of_candidate=True)
        for cell, is_candidate in ((good, False), (other, True)):
            if not usable(cell.trial_values):
                words = f"{self.regression.metric} has no value above zero: {_why(cell)}"
                return _Obstacle(
                    words if is_candidate else f"run {run}: the good one: {words}", of_candidate=is_candidate
                )
        # An interrupted search may have measured more already. Each look has a bound for its own number of trials.
        return PairOfSides(good.trial_values[:trials], other.trial_values[:trials])

    def _excluded(self, run: str) -> str | None:
        excluded = self.wiring.store.results.excluded_cells(run)
        return f"{excluded[0].label}: {excluded[0].reason}" if excluded else None

    def _is_of_loss(self) -> bool:
        """Return True if the regression was the loss of every value."""
        series, run = self.regression.series.id, self.regression.candidate_run
        return not any(one.trial_values for one in self._results(run) if one.series == series)

    def _noise(self) -> Prior:
        """Return the usual noise of the series, by the two runs behind the regression."""
        runs = dict.fromkeys(filter(None, (self.regression.baseline_run, self.regression.candidate_run)))
        series = self.regression.series.id
        return usual_noise([one.trial_values for run in runs for one in self._results(run) if one.series == series])


def _why(cell: CellResult) -> str:
    return cell.rejected or "; ".join(cell.failures) or "no trial counts"


def _change(steps: Sequence[Step]) -> float | None:
    """Return the logarithm of the last candidate's ratio, or None before the first step."""
    figures = steps[0].figures if steps else None
    return None if figures is None else math.log(figures.ratio)


def _step(index: int, level: Level, pair: PairOfSides, noise: Prior, run: str) -> Step:
    answers = {Level.MOVED: Answer.BAD, Level.SAME: Answer.GOOD, Level.OPEN: Answer.UNJUDGED}
    reasons = {
        Level.MOVED: "confirmed beside the good one",
        Level.SAME: "at the level of the good one",
        Level.OPEN: f"{LOOKS[-1]} trials a side leave it open",
    }
    return Step(index, answers[level], reasons[level], run, figures_of(pair, noise))

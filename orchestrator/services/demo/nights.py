"""Let made-up nights pass: runs, suspicions, reruns, verdicts, and the decisions of people the next morning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from statistics import median

from orchestrator.domain.annotation import Note
from orchestrator.domain.errors import ExitCode
from orchestrator.domain.measurement import Cell
from orchestrator.domain.night import (
    Basis,
    LostDevice,
    NightCell,
    NightEstimate,
    NightReport,
    NightRun,
    NightStage,
    NightState,
    NightVerdict,
)
from orchestrator.domain.night_document import to_document
from orchestrator.domain.regression import Actor, Direction, Figures, Move, RegressionState, Suspicion
from orchestrator.services.demo.lab import PREFIX, DemoCell, DemoDevice, DemoModel
from orchestrator.services.demo.runs import NOTE, Asked, RunMaker, StoredRun
from orchestrator.services.demo.story import Rebuild, Story
from orchestrator.store.base import Roles

NIGHTLY = f"{PREFIX}nightly"
LAST_NIGHT = datetime(2026, 9, 30, 22, 0, tzinfo=UTC)
"""When the last night begins: stated, so that equal seeds give equal databases on every day."""

METRIC = "latency_ns"
_CONTROLLER = f"nightly@{PREFIX}controller"
_PEOPLE = (f"ann@{PREFIX}desk", f"ben@{PREFIX}desk", f"chris@{PREFIX}laptop")
_NIGHTS_BETWEEN_GUESTS = 6  # people measure by hand, too: pages meet runs that belong to no night
_DISMISSED_SHARE = 0.05
_MORNING = time(7, 30, tzinfo=UTC)
S = RegressionState
Key = tuple[str, DemoCell]


@dataclass(slots=True)
class _Standing:
    """Hold a standing regression: the id, the rebuild behind the regression, and whether a person knows both."""

    regression: int
    rebuild: Rebuild
    since: str
    known: bool = False


@dataclass(slots=True)
class _Night:
    """Gather one night."""

    number: int
    name: str
    began_at: datetime
    runs: list[tuple[NightStage, StoredRun]]
    verdicts: dict[Key, tuple[NightVerdict, str, int | None, float | None]]


class NightMaker:
    """Let nights pass. Each night is compared with levels that follow the nights before."""

    def __init__(self, story: Story, store: Roles, maker: RunMaker) -> None:
        self._story, self._store, self._maker = story, store, maker
        self._standing: dict[Key, _Standing] = {}
        self._levels: dict[Key, float] = {}
        self._last_runs: dict[DemoModel, str] = {}
        self._series: dict[Key, int] = {}

    def pass_all(self, on_night: Callable[[int], None]) -> None:
        """Let all nights pass. `on_night` gets the number of nights passed."""
        for number in range(self._story.nights):
            self._morning(number)
            self._pass(number)
            on_night(number + 1)

    def _began(self, number: int) -> datetime:
        return LAST_NIGHT - timedelta(days=self._story.nights - 1 - number)

    def _morning(self, number: int) -> None:
        """Let people note, quarantine and measure before a night."""
        story, clock = self._story, self._maker.clock
        clock.moment = datetime.combine(self._began(number).date(), _MORNING)
        if number == 0:
            today = clock.moment.date()
            self._store.annotations.annotate(Note(today, LAST_NIGHT.date(), NOTE, _PEOPLE[0]))
        for device in story.lab.devices:
            self._care(device, number)
        if number % _NIGHTS_BETWEEN_GUESTS == _NIGHTS_BETWEEN_GUESTS - 1:
            dice = story.dice("guest", number)
            clock.moment += timedelta(hours=dice.randint(2, 8))
            model, device = dice.choice(list(story.lab.models)), dice.choice(story.lab.devices)
            if not story.is_absent(device, number):
                self._maker.make(Asked(number, model, [device], dice.choice(_PEOPLE)))
        # However far a person's run has moved the clock.
        clock.moment = self._began(number)

    def _care(self, device: DemoDevice, number: int) -> None:
        fate, who = self._story.fates[device.name], _PEOPLE[1]
        if fate.absent and number == fate.absent.first:
            self._store.recovery.quarantine(device.declared, fate.quarantine, who)
        if fate.absent and number == fate.absent.last + 1:
            self._store.recovery.readmit(device.name, who)
            day = self._maker.clock.moment.date()
            self._store.annotations.annotate(Note(day, day, f"back: {fate.quarantine}", who, device.name))

    def _pass(self, number: int) -> None:
        name = f"{self._began(number):%Y-%m-%d}-demo"
        began_at = self._store.nights.begin_night(name, NIGHTLY).began_at
        night = _Night(number, name, began_at, [], {})
        for model in self._story.lab.models:
            run = self._measure(
                night, NightStage.FIRST_LOOK, Asked(number, model, self._story.lab.devices, _CONTROLLER)
            )
            self._learn_series(run)
            self._judge(night, run)
            # Only now: a confirmation of tonight names the run of the night before as its baseline.
            self._last_runs[model] = run.run
        self._people_decide(night)
        self._end(night)

    def _measure(self, night: _Night, stage: NightStage, asked: Asked) -> StoredRun:
        run = self._maker.make(asked)
        look = int(stage is NightStage.CONFIRMATION)
        self._store.nights.add_run(night.name, NightRun(stage, run.sweep, run.run, look))
        night.runs.append((stage, run))
        return run

    def _learn_series(self, run: StoredRun) -> None:
        wanted = {(name, cell) for name, cell, _job in _cells_of(run)}
        # A series is the same in all nights: after the first night there is nothing to ask.
        if wanted <= self._series.keys():
            return
        by_place = {(cell.variant, cell.runtime.label, cell.threads): cell for _name, cell, _job in _cells_of(run)}
        for one in self._store.results.cell_results(run.run, METRIC):
            threads = one.cell.settings.get("threads")
            cell = by_place.get((one.cell.variant, one.cell.runtime, int(threads or 0)))
            if cell is not None and one.series is not None:
                self._series[one.cell.device, cell] = one.series

    def _judge(self, night: _Night, run: StoredRun) -> None:
        """Compare each cell with its level, and rerun cells of slower looks."""
        suspects: list[tuple[Key, Rebuild | None]] = []
        dice = self._story.dice("doubt", run.run)
        # Of runs, not of cells: a large lab has no more false suspicions than a small one.
        doubt = _DISMISSED_SHARE / len(self._story.lab.devices) / len(run.cells)
        for name, cell, job in _cells_of(run):
            key = (name, cell)
            values = run.measured[name][1].medians.get(job, ())
            rebuild = self._story.rebuild_of(cell)
            if values and rebuild and rebuild.night == night.number and rebuild.factor > 1 and key in self._levels:
                suspects.append((key, rebuild))
            elif dice.random() < doubt and values and key in self._levels and key not in self._standing:
                suspects.append((key, None))
            self._conclude(night, key, values)
        if suspects:
            self._confirm(night, run, suspects)

    def _conclude(self, night: _Night, key: Key, values: Sequence[float]) -> None:
        """Decide on a cell without a suspicion tonight."""
        value, standing = (median(values) if values else None), self._standing.get(key)
        if value is None:
            device = next(one for one in self._story.lab.devices if one.name == key[0])
            loads = self._story.loads(device, key[1], night.number)
            verdict = NightVerdict.MISSING if loads else NightVerdict.DOES_NOT_LOAD
            night.verdicts[key] = (verdict, "no trial has a usable result", None, None)
            return
        if standing is None:
            level = self._levels.setdefault(key, value)
            if self._story.is_updated(key[0], night.number):
                night.verdicts[key] = (NightVerdict.ENVIRONMENT_CHANGED, "the device has another system", None, value)
                self._levels[key] = value
                return
            improved = value < 0.95 * level
            verdict = NightVerdict.IMPROVED if improved else NightVerdict.CLEAN
            night.verdicts[key] = (verdict, "within what is usual" if not improved else "a faster build", None, value)
            # The level follows slowly, as the history of a real nightly does.
            self._levels[key] = value if improved else 0.9 * level + 0.1 * value
            return
        if standing.rebuild.end is S.FIXED and night.number >= standing.rebuild.settled:
            self._night_moves(standing.regression, S.FIXED, night, standing.rebuild.reason)
            night.verdicts[key] = (NightVerdict.FIXED, standing.rebuild.reason, standing.regression, value)
            self._standing.pop(key)
            return
        night.verdicts[key] = (NightVerdict.CONFIRMED, f"since {standing.since}", standing.regression, value)

    def _confirm(self, night: _Night, first: StoredRun, suspects: Sequence[tuple[Key, Rebuild | None]]) -> None:
        baseline = self._last_runs.get(first.model)
        rules = [{"device": name, **cell.rule} for (name, cell), _rebuild in suspects]
        names = {name for (name, _cell), _rebuild in suspects}
        devices = [device for device in self._story.lab.devices if device.name in names]
        asked = Asked(night.number, first.model, devices, _CONTROLLER, rules)
        rerun = self._measure(night, NightStage.CONFIRMATION, asked)
        found = {(name, cell): rerun.measured[name][1].medians.get(job, ()) for name, cell, job in _cells_of(rerun)}
        for key, rebuild in suspects:
            value = median(found[key]) if found.get(key) else None
            suspicion = Suspicion(
                NIGHTLY, night.name, self._series[key], METRIC, Direction.ROSE, first.run, baseline_run=baseline
            )
            regression = self._store.regressions.suspect(suspicion, _CONTROLLER).id
            if rebuild is None or value is None:
                self._night_moves(regression, S.DISMISSED, night, "the rerun shows no change")
                continue
            ratio = value / self._levels[key]
            figures = Figures(ratio, ratio * 0.975, ratio * 1.025, 3, len(found[key]))
            confirmed = Move(S.CONFIRMED, Actor.NIGHT, _CONTROLLER, None, night.name, figures, baseline, rerun.run)
            self._store.regressions.move(regression, confirmed)
            self._standing[key] = _Standing(regression, rebuild, night.name)
            reason = f"slower by {100 * (ratio - 1):.0f} % in the rerun"
            night.verdicts[key] = (NightVerdict.CONFIRMED, reason, regression, value)

    def _people_decide(self, night: _Night) -> None:
        """Let people settle due regressions."""
        for key, standing in list(self._standing.items()):
            rebuild = standing.rebuild
            # A fix comes by the next build, and nobody decides on a regression that stays confirmed.
            if night.number < rebuild.settled or rebuild.end in (S.FIXED, S.CONFIRMED) or standing.known:
                continue
            who = _PEOPLE[standing.regression % len(_PEOPLE)]
            self._store.regressions.move(standing.regression, Move(rebuild.end, Actor.PERSON, who, rebuild.reason))
            if rebuild.end is S.ACKNOWLEDGED:
                standing.known = True
                continue
            self._standing.pop(key)
            # Accepted or invalid: the next value is the level.
            self._levels.pop(key, None)

    def _night_moves(self, regression: int, to: RegressionState, night: _Night, reason: str) -> None:
        self._store.regressions.move(regression, Move(to, Actor.NIGHT, _CONTROLLER, reason, night.name))

    def _end(self, night: _Night) -> None:
        cells = tuple(self._cells(night))
        failing = any(cell.fails for cell in cells)
        code = ExitCode.REGRESSION if failing else ExitCode.FINE
        extra_s = sum(run.device_time_s for stage, run in night.runs if stage is NightStage.CONFIRMATION)
        report = NightReport(
            night=night.name,
            nightly=NIGHTLY,
            began_at=night.began_at,
            ended_at=self._maker.clock.moment,
            state=NightState.COMPLETE,
            exit_code=code,
            candidate=(f"the builds of {night.began_at:%Y-%m-%d}",),
            baseline=("the nights before",),
            devices=tuple(device.name for device in self._story.lab.devices),
            device_time_s=sum(run.device_time_s for _stage, run in night.runs),
            extra_s=extra_s,
            allowance=0.25,
            cells=cells,
            lost=tuple(self._lost(night)),
            runs=tuple(
                NightRun(stage, run.sweep, run.run, int(stage is NightStage.CONFIRMATION)) for stage, run in night.runs
            ),
            notes=(NOTE,),
        )
        self._store.nights.end_night(night.name, int(code), to_document(report))

    def _cells(self, night: _Night) -> Iterator[NightCell]:
        runs = {run.model: run for stage, run in night.runs if stage is NightStage.FIRST_LOOK}
        for (name, cell), (verdict, reason, regression, value) in night.verdicts.items():
            run, expected, standing = runs[cell.model], self._levels.get((name, cell)), self._standing.get((name, cell))
            named = Cell(run.run, name, cell.model.name, cell.variant, cell.runtime.label, {"threads": cell.threads})
            estimate = None
            if value is not None and expected:
                estimate = NightEstimate(Basis.HISTORY, value / expected)
            yield NightCell(
                cell=named,
                metric=METRIC,
                sweep=run.sweep,
                slot=cell.slot,
                verdict=verdict,
                reason=reason,
                value=value,
                expected=expected,
                estimate=estimate,
                candidate_runs=(run.run,),
                regression=regression,
                since=standing.since if standing else None,
                known=bool(standing and standing.known),
            )

    def _lost(self, night: _Night) -> Iterator[LostDevice]:
        for device in self._story.lab.devices:
            if self._story.is_absent(device, night.number):
                reason = f"in quarantine: {self._story.fates[device.name].quarantine}"
                hint = f"benchfleet devices readmit {device.name}"
                count = sum(map(len, self._story.lab.models.values()))
                yield LostDevice(device.name, NightStage.FIRST_LOOK, reason, hint, count)


def _cells_of(run: StoredRun) -> Iterator[tuple[str, DemoCell, str]]:
    """Yield device, cell and key of each job of a run."""
    for name, (plan, _measured) in run.measured.items():
        for job in plan.jobs:
            yield name, run.cells[f"{run.model.name} {job.key}"], job.key

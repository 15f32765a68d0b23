"""Whether identical builds are left in peace, and changed ones found, by real trials on this machine.

The same cells run again and again, with other work on the machine that comes and goes, and with drops from the page
cache and `devices clean` between the runs. Each pair of runs compares identical builds. Then ten things change, and
are confirmed as nights do, beside pairs that did not change.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.confirming import MIN_EFFECT, Change, Outcome, confirm_changes, trials_of
from benchmarks.figures import Figure
from benchmarks.real_lab import NEW, OLD, Cell, Program, RealLab, name_of
from orchestrator.analysis.accuracy import accuracy_test
from orchestrator.analysis.movement import movement_of
from orchestrator.analysis.nightly import THRESHOLD_START
from orchestrator.analysis.ratio import RatioEstimate, measured, ratios, spreads
from orchestrator.analysis.verdict import judge
from orchestrator.domain.comparison import Verdict
from orchestrator.domain.metric import Direction

ROUNDS, TRIALS, SEED = 15, 5, 20_261_129
ROUNDS_S, CONFIRMED_S = 480.0, 780.0
"""When no further round, and no further look, begins: a busy machine must not keep the benchmark for hours."""
ACCURACY_MARGIN = 0.01
_MEDIAN_VARIANCE = 0.839
"""The median of a variance of five trials, over its mean."""


def _program(kind: int, slower_percent: int = 0) -> Cell:
    return Cell("fp32", Program(kind, slower_percent))


IDENTICAL = (
    *(Cell("fp32", OLD), Cell("fp32", NEW), Cell("int8", OLD), Cell("int8", NEW)),
    *(_program(kind) for kind in range(6)),
)
Trials = Mapping[str, list[float]]
"""The values of trials by cell."""


_OTHER_WORK = """\
import random, sys, time
draw = random.Random(int(sys.argv[1]))
while True:
    share, end = draw.choice((0.0, 0.0, 0.1, 0.5, 1.0)), time.monotonic() + draw.uniform(2, 12)
    while time.monotonic() < end:
        until = time.monotonic() + 0.05 * share
        while time.monotonic() < until:
            pass
        time.sleep(0.05 * (1 - share) + 0.0001)
"""


def measure(*, quick: bool = False) -> Iterator[Figure]:
    """Run everything. `quick` tries the paths with few runs, and its figures say little."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="benchfleet-repeats-") as folder, RealLab(Path(folder)) as lab:
        with _other_work():
            runs = list(_rounds(lab, 2 if quick else ROUNDS, begin + ROUNDS_S))
        rounds = [trials_of(lab, run) for run in runs]
        yield from _disturbances(lab, runs)
        yield from _identical("identical", rounds)
        noise = _noise(rounds)
        yield from _again(lab, rounds, noise, begin + CONFIRMED_S)
        yield from _changed(lab, rounds, noise, begin + CONFIRMED_S)
    yield Figure("took", time.monotonic() - begin, "s", at_most=900)


@contextmanager
def _other_work() -> Iterator[None]:
    """Let a process work now and then, by phases of chance."""
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", _OTHER_WORK, str(SEED)]) as process:
        try:
            yield
        finally:
            process.kill()


def _rounds(lab: RealLab, rounds: int, until_s: float) -> Iterator[str]:
    draw = random.Random(SEED)
    for number in range(rounds):
        if number > 1 and time.monotonic() > until_s:
            break
        if number:
            draw.choice((lab.clean, lab.drop, lambda: None))()
        yield lab.run(IDENTICAL, TRIALS, SEED + number)


def _disturbances(lab: RealLab, runs: Sequence[str]) -> Iterator[Figure]:
    """Compare what would count with the usual limits, and say how much would not."""
    kept = [lab.undisturbed(run) for run in runs]
    refused, trials = sum(one.refused for one in kept), sum(one.trials for one in kept)
    yield Figure("trials that the usual limits refuse", 100 * refused / trials, "%")
    yield from _identical("undisturbed", [one.values for one in kept], promised=True)


def _identical(name: str, rounds: Sequence[Trials], *, promised: bool = False) -> Iterator[Figure]:
    """Compare each pair of rounds, all cells of a pair in view of each other. `promised`: the figures have bounds."""
    families = [_compare(*pair) for pair in itertools.combinations(rounds, 2)]
    found = [one for family in families for one in family]
    yield Figure(f"{name}: comparisons", len(found), "", at_least=1000 if promised else None)
    if not found:
        return
    bounds = (97.0, 93.0) if promised else (None, None)
    inside = [one.low <= 1 <= one.high for one in found if one.low is not None and one.high is not None]
    verdicts = [judge(one, Direction.LOWER, MIN_EFFECT) for one in found]
    false = sum(verdict in (Verdict.REGRESSED, Verdict.IMPROVED) for verdict in verdicts)
    yield Figure(f"{name}: coverage of 95 % intervals", 100 * statistics.fmean(inside), "%", *bounds)
    yield Figure(f"{name}: false verdicts per 1,000", 1000 * false / len(found), "", 1.0 if promised else None)
    blamed = sum(_blamed(family, place) for family in families for place in range(len(family)))
    label = f"{name}: false verdicts per 1,000, each as another build beside the rest"
    yield Figure(label, 1000 * blamed / len(found), "", 1.0 if promised else None)
    noisy = sum(verdict is Verdict.NOISY for verdict in verdicts)
    yield Figure(f"{name}: noisy", 100 * noisy / len(found), "%")
    width = statistics.median((one.high - one.low) / 2 for one in found if one.low is not None and one.high is not None)
    yield Figure(f"{name}: median half width of the intervals", 100 * width, "%")


def _compare(base: Trials, other: Trials) -> list[RatioEstimate]:
    """Compare the cells that have two trials or more on both sides, in the order of the names."""
    names = _comparable(base, other)
    values = [one[name] for one in (base, other) for name in names]
    cells = measured(values, ["this machine"] * len(values))
    return ratios(cells, [(place, len(names) + place) for place in range(len(names))]) if names else []


def _blamed(family: Sequence[RatioEstimate], place: int) -> bool:
    """Return True if `compare` would blame a cell's difference on a build, were all other cells the same bytes."""
    own = family[place]
    movement = movement_of([*family[:place], *family[place + 1 :]], MIN_EFFECT)
    differs = judge(own, Direction.LOWER, MIN_EFFECT) in (Verdict.REGRESSED, Verdict.IMPROVED)
    return differs and (movement is None or not movement.explains(own))


def _comparable(base: Trials, other: Trials) -> list[str]:
    return sorted(name for name in base if len(base[name]) > 1 and len(other.get(name, ())) > 1)


def _noise(rounds: Sequence[Trials]) -> dict[str, float]:
    """Return the variance of a trial of each cell, from the median over the rounds."""
    variances: dict[str, list[float]] = {}
    for one in rounds:
        names = _comparable(one, one)
        found = spreads(measured([one[name] for name in names], ["this machine"] * len(names)))
        for name, spread in zip(names, found, strict=True):
            if spread.log_variance is not None:
                variances.setdefault(name, []).append(spread.log_variance)
    return {name: statistics.median(values) / _MEDIAN_VARIANCE for name, values in variances.items()}


def _again(lab: RealLab, rounds: Sequence[Trials], noise: Mapping[str, float], until_s: float) -> Iterator[Figure]:
    """Measure again what looked suspicious between one round and the next, beside a copy of the same bytes."""
    sides: dict[str, int] = {}
    for base, other in itertools.pairwise(rounds):
        for name, one in zip(_comparable(base, other), _compare(base, other), strict=True):
            if one.error and abs(math.log(one.ratio)) > THRESHOLD_START * one.error:
                sides[name] = 1 if one.ratio > 1 else -1
    suspects = [Change(cell.name, cell, _copy(cell), sides[cell.name]) for cell in IDENTICAL if cell.name in sides]
    outcomes = confirm_changes(lab, suspects, noise, SEED + 100, until_s)
    yield Figure("identical: cells that the first look suspects", len(suspects), "")
    confirmed = sum(outcome.confirmed for outcome in outcomes.values())
    yield Figure("identical: confirmed regressions", confirmed, "", at_most=0)


def _copy(cell: Cell) -> Cell:
    """Return a cell of the same bytes under another name."""
    if isinstance(cell.runtime, Program):
        return replace(cell, runtime=replace(cell.runtime, copy=1))
    return replace(cell, variant=f"{cell.variant}-copy")


def _changed(lab: RealLab, rounds: Sequence[Trials], noise: Mapping[str, float], until_s: float) -> Iterator[Figure]:
    """Confirm ten changes, and nothing else."""
    changes = _changes(rounds)
    controls = [Change(f"no change: {cell.name}", cell, _copy(cell)) for cell in IDENTICAL[::3]]
    outcomes = confirm_changes(lab, [*changes, *controls], noise, SEED + 200, until_s)
    outcomes.update(_outputs(lab))
    names = [*(change.name for change in changes), *_OUTPUTS]
    for name in names:
        outcome = outcomes[name]
        end = ", undecided when the time was up" if outcome.is_open else ""
        label = f"changed: {name}, x{outcome.ratio:.3f}, {outcome.trials} trials a side{end}"
        yield Figure(label, outcome.confirmed, "confirmed", at_least=1)
    yield Figure("changed: confirmed, of ten", sum(outcomes[name].confirmed for name in names), "", at_least=10)
    wrong = sum(outcomes[control.name].confirmed for control in controls)
    yield Figure(f"changed: confirmed of {len(controls)} pairs without a change", wrong, "", at_most=0)


_OUTPUTS = ("a worse calibration", "a model that does not load")


def _changes(rounds: Sequence[Trials]) -> list[Change]:
    """Return the eight changes of time. A runtime is slower than another by what the rounds have shown."""
    fp32 = Cell("fp32", OLD)
    versions = max((_by_speed(rounds, variant) for variant in ("fp32", "int8")), key=lambda pair: _ratio(rounds, *pair))
    return [
        *(
            Change(f"a wait of {percent} % in a program", _program(kind), _program(kind, percent))
            for kind, percent in enumerate((5, 8, 12, 20, 30))
        ),
        Change("2 threads for a model of microseconds", fp32, replace(fp32, threads=2)),
        Change("hybrid kernels in place of float", fp32, replace(fp32, variant="dynamic")),
        Change(f"{versions[1].runtime} in place of {versions[0].runtime}", *versions),
    ]


def _by_speed(rounds: Sequence[Trials], variant: str) -> tuple[Cell, Cell]:
    """Return a variant on the faster and on the slower runtime."""
    older, newer = Cell(variant, OLD), Cell(variant, NEW)
    return (older, newer) if _ratio(rounds, older, newer) > 1 else (newer, older)


def _ratio(rounds: Sequence[Trials], base: Cell, other: Cell) -> float:
    medians = [statistics.median(value for one in rounds for value in one[cell.name]) for cell in (base, other)]
    return medians[1] / medians[0]


def _outputs(lab: RealLab) -> dict[str, Outcome]:
    """Confirm what two runs say alike: an accuracy that fell, and a model that does not load."""
    cells = [Cell(variant, OLD) for variant in ("int8", "int8-coarse", "int8-broken")]
    sound, coarse, broken = (cell.name for cell in cells)
    fell, refused, shares = [], [], []
    for seed in (SEED + 300, SEED + 301):
        run = lab.run(cells, 1, seed)
        inputs, results = lab.inputs(run), {name_of(result.cell): result for result in lab.results(run)}
        test = accuracy_test(inputs[sound], inputs[coarse], ACCURACY_MARGIN)
        fell.append(test.verdict is Verdict.REGRESSED)
        shares.append(1 + (test.difference or 0.0))
        refused.append(results[broken].rejected is not None and results[sound].rejected is None)
    return {
        _OUTPUTS[0]: Outcome(all(fell), shares[0], len(fell)),
        _OUTPUTS[1]: Outcome(all(refused), math.nan, len(refused)),
    }

"""Describe the views, the public SQL interface, and the meaning of each column.

The SQL of a view is in `migrations/views/NAME.VERSION.sql` and never changes. A changed view gets a new version and a
migration from the old to the new version. A test compares the columns with real databases.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """Describe a column of a view."""

    name: str
    doc: str


@dataclass(frozen=True, slots=True)
class ViewVersion:
    """Describe the present version of a view."""

    name: str
    version: int
    doc: str
    columns: tuple[ViewColumn, ...]


def _view(name: str, version: int, doc: str, columns: str) -> ViewVersion:
    """Return a view. `columns` has a line for each column: the name, then the meaning."""
    # One line each, so that the columns read like the table in docs/schema.md.
    lines = (line.split(None, 1) for line in columns.strip().splitlines())
    return ViewVersion(name, version, doc, tuple(ViewColumn(column, meaning) for column, meaning in lines))


_COORDINATES = """
device          The device's name.
model           The model's name.
variant         The variant's name.
runtime         The runtime's label.
settings        The job's settings (`settings ->> 'threads'`).
"""
_CELL = f"""{_COORDINATES.strip()}
kind            `measure`, or `preflight` for a metric of preflights alone (accuracy).
metric          The metric's name.
unit            The unit of the values.
"""
_RUN = """
run             The run.
run_started_at  When the run began.
"""
_VALUES = """
trials          Number of counted trials with a value.
value           The median of the trials' values. A sampled metric's trial value is the median of its samples.
value_min       The smallest value of a trial.
value_max       The largest value of a trial.
"""

_BETTER = """
better          The better direction, `lower` or `higher`; NULL where neither is better.
"""
_SOURCE = """
source          The power source of the values: `rapl`, …; `several` if trials differ; NULL without one.
"""

V_CELL = _view(
    "v_cell",
    6,
    "One row per run, cell and metric: the median over counted trials. `benchfleet compare` and `runs show` give the "
    "geometric mean of the trials instead, as intervals need it. With few or scattered trials the two differ.",
    f"{_RUN.strip()}\n{_CELL.strip()}\n{_VALUES.strip()}"
    """
parent          The variant that this variant was made from.
base            The first variant of its ancestry.
model_sha256    Hash of the artifact.
size_bytes      Size of the artifact.
"""
    f"{_SOURCE.strip()}"
    """
format          Format of the artifact; NULL for an artifact recorded by an older release.
job_id          The job; joins `job` and `trial`. Jobs are numbered in the sweep's order.
"""
    f"{_BETTER.strip()}",
)
V_HISTORY = _view(
    "v_history",
    5,
    "Every measurement of every counted attempt, with dates, and with the hashes of device, worker, runtime and model.",
    f"""{_RUN.strip()}
{_COORDINATES.strip()}
trial             The trial's key.
kind              `measure` or `preflight`.
trial_index       1, 2, 3 … for measure trials, 0 for the preflight.
attempt_id        The attempt; joins `attempt`, `sample_block` and `sample_hist`.
finished_at       By the device's clock, which may jump.
stored_at         By the controller's clock.
metric            The metric's name.
unit              The unit of every number of the row.
value             The headline: the median of samples, or the one number.
n                 Number of samples.
batch             Number of calls averaged in each sample.
p50               Median.
p50_ci_low        Distribution-free 95 % interval of the median, lower end.
p50_ci_high       Upper end.
p90               90th percentile.
p99               99th percentile.
p99_9             99.9th percentile.
mean              Mean of the samples.
sd                Standard deviation of the samples.
mad               Median absolute deviation.
min               Smallest sample.
max               Largest sample.
runtime_sha256    Hash of the runtime, planned and reported.
model_sha256      Hash of the artifact.
worker_sha256     Hash of the worker.
identity_hash     Changes with the device's hardware.
environment_hash  Changes with the device's system, kernel, governor, Python.
source            The power source of the value: `rapl`, `hwmon …`; NULL for a value reported by the trial itself.
better            The better direction, `lower` or `higher`; NULL where neither is better.
""",
)
V_LATEST = _view(
    "v_latest",
    4,
    "The newest value of each cell and metric, from the newest run with a value: the median over counted trials. "
    "`benchfleet compare`, `runs show`, `history` and `report` give the geometric mean of the trials instead, and all "
    "but `runs show` set far trials aside. With few or scattered trials the two differ.",
    f"{_CELL.strip()}\n{_RUN.strip()}\n{_VALUES.strip()}"
    """
model_sha256    Hash of the artifact.
size_bytes      Size of the artifact.
"""
    f"{_SOURCE.strip()}\n{_BETTER.strip()}",
)
V_VARIANT_COMPARE = _view(
    "v_variant_compare",
    9,
    "Each variant beside parent and base on the same runtime, and beside itself on the sweep's first runtime, with the "
    "same run, device, settings and metric. Ratios are of medians, without intervals. If trials scatter, a ratio may "
    "even point the other way than the ratio of geometric means. `benchfleet compare` judges.",
    f"""{_RUN.strip()}
device           The device's name.
model            The model's name.
runtime          The runtime's label.
settings         The job's settings.
kind             `measure` or `preflight`.
metric           The metric's name.
unit             The unit of the values.
variant          The variant.
trials           Number of counted trials with a value.
value            The median of the trials' values.
parent           The variant that this variant was made from; NULL for the first.
parent_trials    The parent's counted trials.
parent_value     The parent's median; NULL if the parent was not measured.
ratio_to_parent  value / parent_value; NULL where the two come from different power sources, or beyond all numbers.
base             The first variant of the ancestry; the variant itself without a parent.
base_trials      The base's counted trials.
base_value       The base's median.
ratio_to_base    value / base_value; NULL where the two come from different power sources, or beyond all numbers.
source           The power source of the values: `rapl`, …; `several` if trials differ; NULL without one.
parent_source    The power source of the parent's values.
base_source      The power source of the base's values.
format           Format of the artifact; NULL for an artifact recorded by an older release.
first_runtime    The first runtime in the plan's jobs of this variant and settings, measured or not.
first_runtime_trials    The first runtime's counted trials.
first_runtime_value     The first runtime's median; NULL if the first runtime has no value of the metric.
ratio_to_first_runtime  value / first_runtime_value; NULL without one, with different sources, or beyond all numbers.
better           The better direction, `lower` or `higher`; NULL where neither is better.
""",
)

V_POWER = _view(
    "v_power",
    3,
    "How the power of every counted measure trial was measured, or why not.",
    f"""{_RUN.strip()}
{_COORDINATES.strip()}
trial            The trial's key.
trial_index      1, 2, 3 … for measure trials.
attempt_id       The attempt; joins `v_history`.
source           The power source: `rapl`, or `hwmon` with its chip and rail; NULL without one.
kind             `energy-counter` or `power-gauge`.
period_s         The time between two readings, as the source asks.
samples          Readings taken while the trial ran.
rate_hz          The true rate of readings.
idle_w           The device's idle power during the attempt; NULL if unknown.
idle_u95_w       Half the width of the 95 % interval of idle power.
idle_before_w    Idle power before the attempt.
idle_after_w     Idle power after the attempt; NULL if it was not measured then.
invoked_ratio    The share of the window that the inferences took; what was besides is subtracted.
is_estimate      Whether the source derives power from something else.
accuracy_ratio   The source's largest error as a share of the reading; NULL where nobody states one.
overhead_cpu_ns  CPU time spent on the readings by the device.
window_ns        How long the measured part of the trial was.
reason           Why there is no figure at all.
energy_reason    Why there is no energy above idle, though there is mean power.
caution          Why the figures may be off.
""",
)

V_OPEN_REGRESSIONS = _view(
    "v_open_regressions",
    1,
    "Every confirmed regression that nobody has accepted, fixed or found invalid. What is suspected alone is left out.",
    f"""
regression                The regression's id: `benchfleet regressions show` takes it.
nightly                   The name in the nightly file.
state                     `confirmed` or `acknowledged`.
{_COORDINATES.strip()}
metric                    The metric's name.
direction                 `rose` or `fell`: where the metric's value went.
ratio                     Candidate over baseline.
ratio_low                 95 % interval of the ratio, lower end.
ratio_high                Upper end.
baseline_trials           Number of trials of the baseline behind the ratio.
candidate_trials          Number of trials of the candidate behind the ratio.
baseline_run              The run of the baseline's trials.
candidate_run             The run of the candidate's trials.
first_night               The night that suspected the series first.
first_night_began_at      When that night began.
confirmed_night           The night of the confirmation.
confirmed_night_began_at  When that night began.
series_id                 The series; joins `series` and `job`.
""",
)

V_NOISE = _view(
    "v_noise",
    3,
    "How much the trials of a cell scatter: one row per run, cell and metric of measure trials. The noise of a device "
    "is the usual noise of its cells.",
    f"""{_RUN.strip()}
{_COORDINATES.strip()}
metric          The metric's name.
unit            The unit of the values.
{_VALUES.strip()}
noise           Standard deviation of the trials over their median, from the range of 2 to 25 trials (Tippett 1925).
noise_reason    Why there is no noise; NULL if there is one.
source          The power source of the values: `rapl`, …; `several` if trials differ; NULL without one.
job_id          The job; joins `job`, `trial` and `v_cell`.
""",
)
V_MISSING = _view(
    "v_missing",
    4,
    "Every planned measure trial without a usable result, and why. Trials of a device that still runs are among them, "
    "and trials that a stop rule has spared are not. "
    "Cells that a sweep excludes are not: nobody asked for them. A device without a plan has one row without a trial, "
    "for each model of the run.",
    f"""{_RUN.strip()}
device          The device's name.
model           The model's name.
variant         The variant's name; NULL for a device without a plan, as are all columns of the cell.
runtime         The runtime's label.
settings        The job's settings.
trial           The trial's key.
trial_index     1, 2, 3 … within the cell.
state           The trial's state: `planned`, `running`, `invalid`, `failed` or `skipped`.
device_state    Where the device of the run stands: `planned` and `running` may still bring the trial.
reason          Why there is no result: the failure, the broken conditions, the reason of a skip, or the device's error.
job_id          The job; joins `job` and `trial`.
""",
)
V_INVALID = _view(
    "v_invalid",
    2,
    "Every attempt that finished under a condition that makes the number unfit: one row for each broken condition. "
    "Failed attempts are no part.",
    f"""{_RUN.strip()}
{_COORDINATES.strip()}
trial           The trial's key.
kind            `measure` or `preflight`.
trial_index     1, 2, 3 … for measure trials, 0 for the preflight.
trial_state     The trial's state now: `measured` if a later attempt was fit.
attempt_id      The attempt; joins `attempt`.
ordinal         1, 2, 3 … within the trial.
finished_at     By the device's clock, which may jump.
stored_at       By the controller's clock.
duration_ns     Lifetime of the trial process: the device time that was lost.
reason          The broken condition: `too-hot`, `throttled` …; at most eight of an attempt.
""",
)
V_ATTEMPT = _view(
    "v_attempt",
    1,
    "Every attempt of every trial, also those that do not count, and why.",
    f"""{_RUN.strip()}
{_COORDINATES.strip()}
trial              The trial's key.
kind               `measure`, `preflight` or `profile`.
trial_index        1, 2, 3 … for measure trials, 0 for any other.
trial_state        The trial's state now: `measured` if an attempt counts.
attempt_id         The attempt; joins `attempt`, `measurement` and `v_history`.
ordinal            1, 2, 3 … within the trial.
result             `counted`, `invalid`, `failed`, `interrupted`, `running`, or `surplus` beside a counted attempt.
reason             Why the attempt does not count: the broken conditions, or the failure. NULL for a counted one.
started_at         By the device's clock, which may jump.
finished_at        By the device's clock; NULL without an end on record.
stored_at          By the controller's clock.
duration_ns        Lifetime of the trial process.
failure_kind       The kind of failure: `timeout`, `killed-by-signal` …; NULL for an attempt that did not fail.
failure_signal     The name of the signal that ended the trial process.
failure_exit_code  The exit status of the trial process.
job_id             The job; joins `job` and `v_cell`.
""",
)
V_ENVIRONMENT_CHANGE = _view(
    "v_environment_change",
    1,
    "Every fact of a device that changed between two snapshots, and changes what figures mean: hardware, system, "
    "kernel, governor, Python.",
    """
device              The device's name.
run                 The run that the new facts were taken for; NULL if they were only looked at.
key                 The fact's name, as docs/worker-protocol.md has it.
was                 The fact of before as text; NULL if the device did not say.
now                 The fact since as text; NULL if the device does not say.
last_seen_at        When the facts of before were last seen.
changed_at          When the new facts were first seen.
kind                `identity` for hardware, `environment` for what an upgrade or a setting changes.
key_reason          Why no fact is named, though a hash changed; NULL otherwise. `kind` is NULL too then.
environment_before  The hash of the environment of before.
environment_after   The hash since.
identity_before     The hash of the hardware of before.
identity_after      The hash since.
snapshot_before     Joins `device_snapshot`.
snapshot_after      Joins `device_snapshot` and `run_device`.
""",
)
V_PARETO = _view(
    "v_pareto",
    1,
    "The newest latency of each cell beside accuracy, size and energy of the same run, and whether another cell of the "
    "device and the model is at least as fast and as accurate. Medians are compared without intervals: noise may move "
    "a cell. A cell with several metrics of accuracy has a row for each.",
    f"""{_COORDINATES.strip()}
latency_ns       The median of the trials.
trials           Number of counted trials behind the latency.
accuracy_metric  The metric of accuracy; NULL without one.
accuracy         The accuracy, of the same run and artifact.
size_bytes       Size of the artifact.
energy_mj        Energy per inference above idle; NULL if the run has none: `v_power` says why.
source           The power source of the energy.
better           Number of cells that beat the cell in one, and are no worse in the other; NULL without accuracy.
on_front         Whether no cell does; NULL without accuracy.
on_front_reason  Why nothing is said; NULL otherwise.
run              The run of all figures.
run_started_at   When the run began: a cell that is measured no more keeps its last figures.
series_id        The series; joins `series` and `job`.
""",
)

VIEWS = (
    V_LATEST,
    V_HISTORY,
    V_VARIANT_COMPARE,
    V_CELL,
    V_POWER,
    V_OPEN_REGRESSIONS,
    V_NOISE,
    V_MISSING,
    V_INVALID,
    V_ATTEMPT,
    V_ENVIRONMENT_CHANGE,
    V_PARETO,
)

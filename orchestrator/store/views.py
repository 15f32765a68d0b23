"""The views, which are the public SQL interface: what each is for and what its columns mean.

Their SQL is in `migrations/views/NAME.VERSION.sql` and never changes: a view that must change gets a new version and a
migration that replaces it. A test compares the columns with those of real databases.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a view."""

    name: str
    doc: str


@dataclass(frozen=True, slots=True)
class View:
    """A view at its present version."""

    name: str
    version: int
    doc: str
    columns: tuple[ViewColumn, ...]


def _view(name: str, version: int, doc: str, columns: str) -> View:
    """Return a view whose columns are written one a line: name, then what it means."""
    lines = (line.split(None, 1) for line in columns.strip().splitlines())
    return View(name, version, doc, tuple(ViewColumn(column, meaning) for column, meaning in lines))


_COORDINATES = """
device          The device's name.
model           The model's name.
variant         The variant's name.
runtime         The runtime's label.
settings        The job's settings (`settings ->> 'threads'`).
"""
_CELL = f"""{_COORDINATES.strip()}
kind            `measure`, or `preflight` for what only preflights tell (accuracy).
metric          The metric's name.
unit            The unit of the values.
"""
_RUN = """
run             The run.
run_started_at  When it began.
"""
_VALUES = """
trials          How many counted trials have a value.
value           The median of the trials' values: of their medians, for a sampled metric.
value_min       The smallest value of a trial.
value_max       The largest value of a trial.
"""

V_CELL = _view(
    "v_cell",
    1,
    "One row per run, cell and metric: the median over counted trials. `benchfleet compare` and `runs show` give their "
    "geometric mean instead, the value that its intervals belong to: with few or scattered trials the two differ.",
    f"{_RUN.strip()}\n{_CELL.strip()}\n{_VALUES.strip()}"
    """
parent          The variant that this one was made from.
base            The first variant of its ancestry.
model_sha256    Hash of the artifact.
size_bytes      Size of the artifact.
""",
)
V_HISTORY = _view(
    "v_history",
    1,
    "Every measurement of every counted attempt, with its dates and with the hashes of what it was measured with.",
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
batch             Calls that each sample is the mean of.
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
environment_hash  Changes with its system, kernel, governor, Python.
""",
)
V_LATEST = _view(
    "v_latest",
    1,
    "The newest value of each cell and metric: of the newest run that has one.",
    f"{_CELL.strip()}\n{_RUN.strip()}\n{_VALUES.strip()}"
    """
model_sha256    Hash of the artifact.
size_bytes      Size of the artifact.
""",
)
V_VARIANT_COMPARE = _view(
    "v_variant_compare",
    2,
    "Each variant beside its parent and its base: same run, device, runtime, settings and metric. Ratios of medians, "
    "without intervals, which may even point the other way than the ratio of geometric means where trials scatter: "
    "`benchfleet compare` judges.",
    f"""{_RUN.strip()}
device           The device's name.
model            The model's name.
runtime          The runtime's label.
settings         The job's settings.
kind             `measure` or `preflight`.
metric           The metric's name.
unit             The unit of the values.
variant          The variant.
trials           How many counted trials have a value.
value            The median of the trials' values.
parent           The variant that this one was made from; NULL for the first.
parent_trials    The parent's counted trials.
parent_value     The parent's median; NULL where it was not measured.
ratio_to_parent  value / parent_value.
base             The first variant of the ancestry; the variant itself where it has no parent.
base_trials      The base's counted trials.
base_value       The base's median.
ratio_to_base    value / base_value.
""",
)

VIEWS = (V_LATEST, V_HISTORY, V_VARIANT_COMPARE, V_CELL)

"""Declare the tables of measurements: attempts, measurements, samples, outputs and power."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from orchestrator.store.schema.columns import attempt_key, key, metadata, metric_key, number, reference, sha256, text
from orchestrator.store.sql.column_types import Json, UtcTime

attempt = Table(
    "attempt",
    metadata,
    key(),
    reference("trial_id", "trial"),
    Column("ordinal", Integer, nullable=False, doc="1, 2, 3 … within the trial, over all logs."),
    text("log_id", "The event log of the attempt."),
    Column("log_attempt", Integer, nullable=False, doc="The attempt's number in the log."),
    Column("started_seq", BigInteger, doc="The record of the start."),
    Column("finished_seq", BigInteger, doc="The record of the end; NULL for a running or interrupted attempt."),
    Column("started_at", UtcTime, doc="By the device's clock, which may jump."),
    Column("finished_at", UtcTime, doc="By the device's clock, which may jump."),
    Column("stored_at", UtcTime, nullable=False, doc="When the last record was stored, by the controller's clock."),
    text("outcome", "ok or failed; NULL for a running or interrupted attempt.", nullable=True),
    Column("counted", Boolean, nullable=False, doc="True for the first attempt of the trial that is ok and valid."),
    Column("invalid", Json, doc="The list of broken conditions; NULL before the end."),
    text("failure_kind", "The kind of failure: timeout, killed-by-signal… (docs/worker-protocol.md).", nullable=True),
    text("failure_message", "The failure in words.", nullable=True),
    text("failure_signal", "The name of the signal that ended the trial process.", nullable=True),
    Column("failure_exit_code", Integer, doc="The exit status of the trial process."),
    text("failure_stderr_tail", "The end of the trial process's standard error.", nullable=True),
    Column("duration_ns", BigInteger, doc="Lifetime of the trial process."),
    Column("conditions_before", Json, doc="Temperature, clock, load … before the attempt."),
    Column("conditions_after", Json, doc="Temperature, clock, load … after the attempt."),
    Column("window_begin_mono_ns", BigInteger, doc="When the measured part began, by the device's CLOCK_MONOTONIC."),
    Column("window_end_mono_ns", BigInteger, doc="When the measured part ended; NULL if the trial reported no window."),
    Column(
        "exclusive",
        Boolean,
        doc="Whether nobody else measured on the machine; NULL before the end, and for workers of older releases.",
    ),
    Column("runtime_reported", Json, doc="The runtime reported by the trial: name, version, kernels, delegates."),
    UniqueConstraint("trial_id", "ordinal"),
    info={"doc": "An attempt at a trial. Retries append, and nothing is overwritten."},
)

measurement = Table(
    "measurement",
    metadata,
    attempt_key(),
    metric_key(),
    text("unit", "The unit of all numbers of the row; NULL if the name does not tell.", nullable=True),
    number("value", "The headline: the median of the samples, or the one reported number."),
    Column("n", Integer, doc="Number of samples; NULL for a metric of one number."),
    Column("batch", Integer, doc="Number of calls averaged in each sample; NULL for a metric of one number."),
    number("p50", "Median; NULL below 6 samples."),
    number("p50_ci_low", "Distribution-free 95 % interval of the median, lower end."),
    number("p50_ci_high", "Upper end."),
    number("p90", "90th percentile; NULL below 29 samples."),
    number("p90_ci_low", "Distribution-free 95 % interval, lower end."),
    number("p90_ci_high", "Upper end."),
    number("p99", "99th percentile; NULL below 299 samples."),
    number("p99_ci_low", "Distribution-free 95 % interval, lower end."),
    number("p99_ci_high", "Upper end."),
    number("p99_9", "99.9th percentile; NULL below 2995 samples."),
    number("p99_9_ci_low", "Distribution-free 95 % interval, lower end."),
    number("p99_9_ci_high", "Upper end."),
    number("mean", "Mean of the samples."),
    number("sd", "Standard deviation of the samples (n - 1); NULL below 2 samples."),
    number("mad", "Median absolute deviation from the median, unscaled."),
    number("min", "Smallest sample."),
    number("max", "Largest sample."),
    sha256("runtime_sha256", "Hash of the planned runtime, of the reported name and version, and of files of inputs."),
    sha256("model_sha256", "Hash of the artifact."),
    sha256("worker_sha256", "Hash of the measuring worker."),
    text(
        "source",
        "The power source of the value: rapl, hwmon …; NULL for values reported by the trial itself, and for values "
        "stored by release 0.1.",
        nullable=True,
    ),
    # Rows are sought by their key alone: without a rowid SQLite keeps the row in the key's own tree.
    sqlite_with_rowid=False,
    info={"doc": "The summary of one metric over one attempt. Percentiles interpolate linearly between samples."},
)

absent_metric = Table(
    "absent_metric",
    metadata,
    attempt_key(),
    metric_key(),
    text("reason", "Why the attempt has no value of the metric."),
    sqlite_with_rowid=False,
    info={
        "doc": "The metrics that an attempt could not measure, with the reasons. An older worker gives no reason: its "
        "metric has a row neither here nor in `measurement`."
    },
)

metric = Table(
    "metric",
    metadata,
    Column("name", Text, primary_key=True, doc="The metric's name."),
    text("unit", "The unit; `1` is a plain number."),
    text("better", "The better direction, lower or higher; NULL where neither is better.", nullable=True),
    Column("min_effect", Double, nullable=False, doc="The smallest relative change that counts."),
    text("about", "What the metric is; NULL for a metric of a user's program.", nullable=True),
    info={
        "doc": "The metrics that have a value in some cell, written with the first value. Values name the metric, also "
        "as a column `metric`."
    },
)

cell_value = Table(
    "cell_value",
    metadata,
    Column("job_id", ForeignKey("job.id"), primary_key=True, doc="The job."),
    Column("kind", Text, primary_key=True, doc="preflight or measure."),
    metric_key(),
    text("unit", "The unit of the values.", nullable=True),
    Column("trials", Integer, nullable=False, doc="Number of counted trials with a value."),
    number("value", "The median of the trials' values."),
    number("value_min", "The smallest value of a trial."),
    number("value_max", "The largest value of a trial."),
    text("source", "The power source of the values; several if trials differ; NULL without one.", nullable=True),
    sqlite_with_rowid=False,
    info={
        "doc": "One metric over the counted trials of a job, written in the same transaction as the measurements that "
        "the values follow from."
    },
)

latest_value = Table(
    "latest_value",
    metadata,
    Column("series_id", ForeignKey("series.id"), primary_key=True, doc="The series."),
    Column("kind", Text, primary_key=True, doc="preflight or measure."),
    metric_key(),
    reference("job_id", "job", "The job in the newest run with a value of the metric; joins `cell_value`."),
    reference("run_id", "run", "The run of the job."),
    Column("run_started_at", UtcTime, nullable=False, doc="When the run began. Of equal times the greater run wins."),
    sqlite_with_rowid=False,
    info={"doc": "Where the newest value of each metric of a series is."},
)

sample_block = Table(
    "sample_block",
    metadata,
    attempt_key(),
    metric_key(),
    text("codec", "How `data` is packed: u32-shuffle-zlib or u64-shuffle-zlib."),
    Column("batch", Integer, nullable=False, doc="Number of calls averaged in each sample."),
    Column("count", Integer, nullable=False, doc="Number of samples."),
    # Integer has 31 bits without a sign on PostgreSQL. A CRC-32 has 32.
    Column("crc32", BigInteger, nullable=False, doc="Checksum of `data`."),
    Column("data", LargeBinary, nullable=False, doc="All raw samples in order, as packed by the device."),
    # With a rowid, unlike its neighbours: SQLite keeps rows of many kilobytes badly in a tree of keys.
    info={"doc": "All raw samples of one metric of one attempt."},
)

sample_hist = Table(
    "sample_hist",
    metadata,
    attempt_key(),
    metric_key(),
    Column(
        "bin_low",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        doc="Inclusive, in the metric's unit (ns for *_ns).",
    ),
    Column("bin_high", BigInteger, nullable=False, doc="Exclusive."),
    Column("count", Integer, nullable=False, doc="Samples in this bin; empty bins have no row."),
    sqlite_with_rowid=False,
    info={"doc": "A coarse histogram of the samples: 16 bins per power of two, fewer for samples far apart."},
)

preflight_output = Table(
    "preflight_output",
    metadata,
    Column("attempt_id", ForeignKey("attempt.id"), primary_key=True, doc="The preflight's attempt."),
    text("inputs", "The kind of inputs: dataset, file or random."),
    Column("count", Integer, nullable=False, doc="Number of inputs."),
    Column("values_per_output", Integer, nullable=False, doc="Number of output values per input."),
    Column("data", LargeBinary, nullable=False, doc="The output values as little-endian float32, dequantised."),
    Column("top1", Json, doc="Index of the largest value of each output, if that has a meaning."),
    text("reason", "Why no output is kept: strings, a varying number of values …; NULL where some are.", nullable=True),
    Column("layout", Json, doc="Name and shape of each output, in the order of the values; NULL from older workers."),
    Column(
        "input_ranges",
        Json,
        doc="What each quantised input holds (low, high, scale), what it was given (data_low, data_high), and the "
        "share of numbers that it clipped (saturated_ratio); NULL where none is quantised, and from older workers.",
    ),
    info={"doc": "The outputs of a preflight for the first inputs."},
)

input_result = Table(
    "input_result",
    metadata,
    Column("attempt_id", ForeignKey("attempt.id"), primary_key=True, doc="The attempt, usually a preflight's."),
    text("metric", "The metric that the results make: accuracy_top1, accuracy_mean_iou …"),
    sha256("dataset_sha256", "Hash of the data set. Results of the same hash are paired input by input."),
    text("encoding", "bits: right or wrong, input 0 in the lowest bit of byte 0. f4: scores, little-endian float32."),
    Column("count", Integer, nullable=False, doc="Number of inputs, in the order of the data set."),
    Column("data", LargeBinary, nullable=False, doc="The results."),
    info={
        "doc": "What an attempt got for each input of a data set. None for attempts of workers that reported the share "
        "alone."
    },
)

operator_profile = Table(
    "operator_profile",
    metadata,
    attempt_key(),
    Column("position", Integer, primary_key=True, autoincrement=False, doc="1, 2, 3 …, the largest share first."),
    text("operator", "The kind of operator: Conv, CONV_2D …"),
    text("name", "The operator's name in the model, unique or not."),
    text("placed_on", "The execution provider or delegate; NULL where the runtime does not say.", nullable=True),
    Column("calls", Integer, nullable=False, doc="Number of calls in all profiled inferences."),
    Column("runs", Integer, nullable=False, doc="Number of profiled inferences."),
    number("mean_ns", "Mean time of a call, without operators inside."),
    number("share", "The share of the time of all operators, from 0 to 1."),
    sqlite_with_rowid=False,
    info={
        "doc": "The operators of a model, from a profile trial. Profiling costs time of its own: these times are to be "
        "compared with each other, and never with `latency_ns`."
    },
)

power_account = Table(
    "power_account",
    metadata,
    attempt_key(),
    text("source", "The power source: rapl, or hwmon with its chip and rail; NULL without one.", nullable=True),
    text("kind", "energy-counter or power-gauge; NULL without a source.", nullable=True),
    number("period_s", "The time between two readings, as the source asks."),
    Column("samples", Integer, nullable=False, doc="Readings taken while the trial ran."),
    number("rate_hz", "The true rate of readings; NULL for fewer than two readings."),
    number("idle_w", "The device's idle power during the attempt; NULL if unknown."),
    number("idle_u95_w", "Half the width of the 95 % interval of idle power."),
    number("idle_before_w", "Idle power before the attempt."),
    number("idle_after_w", "Idle power after the attempt; NULL if it was not measured then."),
    Column(
        "idle_windows",
        Json,
        doc="When nothing ran before and after, by the device's CLOCK_MONOTONIC, for a meter of the controller.",
    ),
    Column("clock_offset_ns", BigInteger, doc="What the device's monotonic time lacks to that of the meter."),
    Column("clock_uncertainty_ns", BigInteger, doc="By how much that may be wrong; NULL for the device's own source."),
    number("invoked_ratio", "The share of the window that the inferences took; what was besides is subtracted."),
    Column("is_estimate", Boolean, doc="Whether the source derives power from something else; NULL without a source."),
    number("accuracy_ratio", "The source's largest error as a share of the reading; NULL where nobody states one."),
    Column("overhead_cpu_ns", BigInteger, nullable=False, doc="CPU time spent on the readings by the device."),
    text("reason", "Why there is no figure at all; NULL if there is one.", nullable=True),
    text("energy_reason", "Why there is no energy above idle, though there is mean power.", nullable=True),
    text("caution", "Why the figures may be off.", nullable=True),
    info={
        "doc": "How the power of an attempt was measured, or why not: a row for each good attempt at a measure trial, "
        "none for attempts stored by release 0.1."
    },
)

power_trace = Table(
    "power_trace",
    metadata,
    attempt_key(),
    Column("source", Text, primary_key=True, doc="The power source."),
    text("kind", "energy-counter or power-gauge."),
    Column("begin_mono_ns", BigInteger, nullable=False, doc="The first reading, by the device's CLOCK_MONOTONIC."),
    Column("count", Integer, nullable=False, doc="Number of readings."),
    text("intervals_codec", "How `intervals_data` is packed, as in `sample_block`."),
    Column("intervals_crc32", BigInteger, nullable=False, doc="Checksum of `intervals_data`."),
    Column("intervals_data", LargeBinary, nullable=False, doc="Nanoseconds since the reading before, 0 at first."),
    text("values_codec", "How `values_data` is packed, as in `sample_block`."),
    Column("values_crc32", BigInteger, nullable=False, doc="Checksum of `values_data`."),
    Column(
        "values_data",
        LargeBinary,
        nullable=False,
        doc="Microwatts of a gauge, or microjoules of a counter since the reading before, 0 at first.",
    ),
    # With a rowid, as `sample_block`.
    info={"doc": "All readings of a power source over the lifetime of an attempt's process."},
)

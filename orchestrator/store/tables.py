"""The schema, once: tables as SQLAlchemy Core knows them; docs/schema.md is written from here.

Units are in column names; what was not measured is NULL, never 0. Change a table together with a migration: a test
compares the two on both databases. The one partial index is in `partial_indexes`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from orchestrator.store.column_types import Id, Json, UtcTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _key() -> Column[int]:
    return Column("id", Id, primary_key=True)


def _reference(name: str, target: str, doc: str = "", **options: Any) -> Column[Any]:
    return Column(name, ForeignKey(f"{target}.id"), doc=doc or f"The {target}.", **{"nullable": False, **options})


def _text(name: str, doc: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable, doc=doc)


def _sha256(name: str, doc: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, String(64), nullable=nullable, doc=doc)


def _number(name: str, doc: str) -> Column[float]:
    return Column(name, Double, doc=doc)


device = Table(
    "device",
    metadata,
    _key(),
    Column("name", Text, nullable=False, unique=True, doc="Its name in the inventory."),
    _text("transport", "How it was last reached: local or ssh."),
    Column("tags", Json, nullable=False, doc="Its tags in the inventory, as last seen."),
    Column("first_seen_at", UtcTime, nullable=False, doc="When this database first heard of it."),
    Column("lease_token", BigInteger, nullable=False, server_default="0", doc="The last token given for it; 0: none."),
    info={"doc": "What is measured."},
)

device_snapshot = Table(
    "device_snapshot",
    metadata,
    _key(),
    _reference("device_id", "device"),
    Column("taken_at", UtcTime, nullable=False, doc="When the controller asked."),
    Column("identity_hash", String(16), nullable=False, doc="Hash of what only other hardware changes."),
    Column("environment_hash", String(16), nullable=False, doc="Hash of what an upgrade or a setting changes."),
    Column("facts", Json, nullable=False, doc="What the device says of itself (docs/worker-protocol.md)."),
    Index(None, "device_id", "taken_at"),
    info={"doc": "What a device said of itself, dated; one each time that it is asked."},
)

model = Table(
    "model",
    metadata,
    _key(),
    Column("name", Text, nullable=False, unique=True, doc="Its name in model.yaml."),
    _text("task", "What it is for."),
    _text("description", "What model.yaml says of it."),
    _text("license", "Its licence, where declared.", nullable=True),
    info={"doc": "A family of variants."},
)

model_variant = Table(
    "model_variant",
    metadata,
    _key(),
    _reference("model_id", "model"),
    _text("name", "fp32, int8, pruned…"),
    _sha256("sha256", "Hash of the artifact: a variant that is rebuilt differently is another row."),
    Column("size_bytes", BigInteger, doc="Size of the artifact; NULL until a plan ships it."),
    _text("precision", "What model.yaml says of its numbers."),
    _text("made", "How it was made."),
    _text("parent", "The variant that it was made from; NULL for the first one.", nullable=True),
    _text("base", "The first variant of its ancestry; itself where it has no parent."),
    Column("declared_accuracy", Json, nullable=False, doc="Accuracy that its maker measured, by metric name."),
    UniqueConstraint("model_id", "name", "sha256"),
    info={"doc": "One artifact of a model."},
)

runtime = Table(
    "runtime",
    metadata,
    _key(),
    _text("label", "As the sweep names it: `tflite-runtime==2.14.0`, `system/tflite`, `exec/NAME`."),
    _text("source", "bundle, system or exec."),
    _text("name", "Its name without the version."),
    _text("version", "Its pinned version; NULL where the device or the program decides.", nullable=True),
    _sha256("bundle_sha256", "The bundle that brings it; NULL where none is shipped.", nullable=True),
    Column("sha256", String(64), nullable=False, unique=True, doc="Hash of label, bundles, command and shipped files."),
    info={"doc": "An inference stack as it was planned."},
)

sweep = Table(
    "sweep",
    metadata,
    _key(),
    _text("name", "Its name."),
    _sha256("sha256", "Hash of the document."),
    _text("document", "The sweep file's text."),
    UniqueConstraint("name", "sha256"),
    info={"doc": "A declared grid; one row per wording."},
)

run = Table(
    "run",
    metadata,
    Column("id", String(64), primary_key=True, doc="The run's name."),
    _reference("sweep_id", "sweep"),
    _text("sweep_source", "The file that it was read from."),
    _reference("model_id", "model"),
    _text("model_directory", "Where the model was read from."),
    Column("seed", BigInteger, nullable=False, doc="What drew the order of trials and random inputs."),
    Column("started_at", UtcTime, nullable=False, doc="By the controller's clock."),
    Column("finished_at", UtcTime, doc="When its last device ended; NULL while one is planned or running."),
    _text("controller", "Who ran it: host and version."),
    Column("settings", Json, nullable=False, doc="What the flags said."),
    Index(None, "started_at"),
    info={"doc": "One execution of a sweep."},
)

run_device = Table(
    "run_device",
    metadata,
    _key(),
    _reference("run_id", "run"),
    _reference("device_id", "device"),
    _text("state", "planned, running, complete, cancelled, stopped or failed."),
    _text("error", "Why it failed.", nullable=True),
    _text("hint", "What to do about it.", nullable=True),
    _sha256("plan_sha256", "Hash of the plan; NULL until there is one.", nullable=True),
    _text("plan_document", "The plan, byte for byte as it was shipped.", nullable=True),
    _sha256("worker_sha256", "The worker that was shipped with the plan.", nullable=True),
    _reference("snapshot_id", "device_snapshot", "What the device said when it was planned.", nullable=True),
    Column("log_id", Text, doc="The event log that was last followed; NULL before the first record."),
    UniqueConstraint("run_id", "device_id"),
    Index(None, "device_id"),
    info={"doc": "One device of a run."},
)

lease = Table(
    "lease",
    metadata,
    _key(),
    _reference("device_id", "device"),
    _text("holder", "Who: user@host."),
    _text("controller", "The very process of the holder."),
    _reference("run_id", "run", "The run that it is for; NULL for a reservation.", nullable=True),
    _text("reason", "What a reservation is for.", nullable=True),
    Column("exclusive", Boolean, nullable=False, doc="False where a run is only collected or cancelled under it."),
    Column("requested_at", UtcTime, nullable=False, doc="By the database's clock, as all times of this table."),
    Column("granted_at", UtcTime, doc="NULL while it queues; the queue is served in the order of ids."),
    Column("expires_at", UtcTime, nullable=False, doc="When it ends by itself, unless it is renewed."),
    Column("ended_at", UtcTime, doc="When it was given back, taken over or found expired; NULL before."),
    Column("token", BigInteger, doc="Grows with each grant for the device; NULL while it queues."),
    Index(None, "device_id", "token"),
    info={"doc": "One claim on a device: by a run, or by a person who reserves it."},
)

recovery_event = Table(
    "recovery_event",
    metadata,
    _key(),
    _reference("device_id", "device"),
    _reference("run_id", "run"),
    _text("rung", "retry, reconnect, restart, reboot, power-cycle or quarantine."),
    _text("reason", "What had gone wrong."),
    Column("began_at", UtcTime, nullable=False, doc="By the database's clock, as all times of this table."),
    Column("ended_at", UtcTime, doc="When it was known whether it helped; NULL where the controller ended before."),
    Column("succeeded", Boolean, doc="Whether the device was back after it; NULL where that is not known."),
    Index(None, "device_id"),
    Index(None, "run_id"),
    info={"doc": "One rung of the recovery ladder, climbed for a device that failed in a run."},
)

quarantine = Table(
    "quarantine",
    metadata,
    _key(),
    _reference("device_id", "device"),
    _reference("run_id", "run", "The run whose recovery failed; NULL where a person decided.", nullable=True),
    _text("reason", "Why."),
    _text("holder", "Who, or whose run: user@host."),
    Column("since", UtcTime, nullable=False, doc="By the database's clock, as all times of this table."),
    Column("ended_at", UtcTime, doc="When the device was admitted again; NULL before."),
    _text("ended_by", "Who admitted it: user@host.", nullable=True),
    info={"doc": "A device that no run may use; one row that has not ended, at most, per device."},
)

database_identity = Table(
    "database_identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, doc="1: there is one."),
    Column("uuid", String(36), nullable=False, doc="What devices know this database by."),
    info={"doc": "Which database this is, made when a controller first needs it."},
)

excluded_cell = Table(
    "excluded_cell",
    metadata,
    Column("run_device_id", ForeignKey("run_device.id"), primary_key=True, doc="The device of the run."),
    Column("label", Text, primary_key=True, doc="The cell, as people read it."),
    _text("reason", "Why it was not planned."),
    info={"doc": "A cell of the sweep that a device was not asked to run."},
)

event_offset = Table(
    "event_offset",
    metadata,
    Column("run_device_id", ForeignKey("run_device.id"), primary_key=True, doc="The device of the run."),
    Column("log_id", Text, primary_key=True, doc="A device that lost its log begins another."),
    Column("last_seq", BigInteger, nullable=False, doc="The last record that is in this database."),
    _sha256("worker_sha256", "The worker that opened the log."),
    _text("outcome", "How the log says that it ended: complete, cancelled or disk-full; NULL before.", nullable=True),
    info={"doc": "How far each event log is ingested; moves in the transaction that stores the records."},
)

job = Table(
    "job",
    metadata,
    _key(),
    _reference("run_device_id", "run_device"),
    _text("key", "Its name in the plan; the same cell has the same key in every plan."),
    _text("label", "The cell, as people read it."),
    _reference("variant_id", "model_variant"),
    _reference("runtime_id", "runtime"),
    Column("settings", Json, nullable=False, doc="Its values of the sweep's matrix."),
    UniqueConstraint("run_device_id", "key"),
    info={"doc": "One cell on one device of a run: variant x runtime x settings."},
)

trial = Table(
    "trial",
    metadata,
    _key(),
    _reference("run_device_id", "run_device"),
    _reference("job_id", "job"),
    _text("key", "Its name in the plan."),
    _text("kind", "preflight or measure."),
    Column("trial_index", Integer, nullable=False, doc="0 for the preflight, 1, 2, 3 … for measure trials."),
    Column("position", Integer, nullable=False, doc="Its place in the plan's order, from 0."),
    _text(
        "state", "planned, running, measured, invalid, failed or skipped: the counted attempt, else the last, decides."
    ),
    _text("skip_reason", "Why it was skipped.", nullable=True),
    UniqueConstraint("run_device_id", "key"),
    Index(None, "job_id"),
    info={"doc": "One process launch of a job: the unit of replication."},
)

attempt = Table(
    "attempt",
    metadata,
    _key(),
    _reference("trial_id", "trial"),
    Column("ordinal", Integer, nullable=False, doc="1, 2, 3 … within the trial, over all logs."),
    _text("log_id", "The event log that tells of it."),
    Column("log_attempt", Integer, nullable=False, doc="Its number in that log."),
    Column("started_seq", BigInteger, doc="The record that began it."),
    Column("finished_seq", BigInteger, doc="The record that ended it; NULL for one that runs or was interrupted."),
    Column("started_at", UtcTime, doc="By the device's clock, which may jump."),
    Column("finished_at", UtcTime, doc="By the device's clock, which may jump."),
    Column("stored_at", UtcTime, nullable=False, doc="When its last record came in, by the controller's clock."),
    _text("outcome", "ok or failed; NULL for one that runs or was interrupted.", nullable=True),
    Column("counted", Boolean, nullable=False, doc="The first attempt of its trial that is ok and valid."),
    Column("invalid", Json, doc="Conditions that it broke, a list; NULL until finished."),
    _text("failure_kind", "timeout, killed-by-signal… (docs/worker-protocol.md).", nullable=True),
    _text("failure_message", "In words.", nullable=True),
    _text("failure_signal", "The signal that ended it, by name.", nullable=True),
    Column("failure_exit_code", Integer, doc="The exit status of the trial process."),
    _text("failure_stderr_tail", "The end of its standard error.", nullable=True),
    Column("duration_ns", BigInteger, doc="Lifetime of the trial process."),
    Column("conditions_before", Json, doc="Temperature, clock, load … before it."),
    Column("conditions_after", Json, doc="The same after it."),
    Column("runtime_reported", Json, doc="What executed, as the trial says: name, version, kernels, delegates."),
    UniqueConstraint("trial_id", "ordinal"),
    info={"doc": "One try at a trial; retries append, nothing is overwritten."},
)


def _attempt_key() -> Column[Any]:
    return Column("attempt_id", ForeignKey("attempt.id"), primary_key=True, doc="The attempt.")


def _metric_key() -> Column[str]:
    return Column("metric", Text, primary_key=True, doc="The metric's name, which ends in its unit.")


measurement = Table(
    "measurement",
    metadata,
    _attempt_key(),
    _metric_key(),
    _text("unit", "The unit of every number of this row; NULL where the name does not tell.", nullable=True),
    _number("value", "The headline: the median of samples, or the one number that was reported."),
    Column("n", Integer, doc="Number of samples; NULL for a metric that is one number."),
    Column("batch", Integer, doc="Calls that each sample is the mean of; NULL for a metric that is one number."),
    _number("p50", "Median; NULL below 6 samples."),
    _number("p50_ci_low", "Distribution-free 95 % interval of the median, lower end."),
    _number("p50_ci_high", "Upper end."),
    _number("p90", "90th percentile; NULL below 29 samples."),
    _number("p90_ci_low", "Distribution-free 95 % interval, lower end."),
    _number("p90_ci_high", "Upper end."),
    _number("p99", "99th percentile; NULL below 299 samples."),
    _number("p99_ci_low", "Distribution-free 95 % interval, lower end."),
    _number("p99_ci_high", "Upper end."),
    _number("p99_9", "99.9th percentile; NULL below 2995 samples."),
    _number("p99_9_ci_low", "Distribution-free 95 % interval, lower end."),
    _number("p99_9_ci_high", "Upper end."),
    _number("mean", "Mean of the samples."),
    _number("sd", "Standard deviation of the samples (n - 1); NULL below 2 samples."),
    _number("mad", "Median absolute deviation from the median, unscaled."),
    _number("min", "Smallest sample."),
    _number("max", "Largest sample."),
    _sha256("runtime_sha256", "Hash of the planned runtime and of the name and version that the trial reported."),
    _sha256("model_sha256", "Hash of the artifact."),
    _sha256("worker_sha256", "Hash of the worker that measured."),
    sqlite_with_rowid=False,
    info={"doc": "The summary of one metric over one attempt. Percentiles interpolate linearly between samples."},
)

sample_block = Table(
    "sample_block",
    metadata,
    _attempt_key(),
    _metric_key(),
    _text("codec", "How `data` is packed: u32-shuffle-zlib or u64-shuffle-zlib."),
    Column("batch", Integer, nullable=False, doc="Calls that each sample is the mean of."),
    Column("count", Integer, nullable=False, doc="Number of samples."),
    Column("crc32", BigInteger, nullable=False, doc="Checksum of `data`."),
    Column("data", LargeBinary, nullable=False, doc="Every raw sample, in order, as the device packed them."),
    info={"doc": "All raw samples of one metric of one attempt."},
)

sample_hist = Table(
    "sample_hist",
    metadata,
    _attempt_key(),
    _metric_key(),
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
    info={"doc": "A coarse histogram of the samples: 16 bins per power of two."},
)

preflight_output = Table(
    "preflight_output",
    metadata,
    Column("attempt_id", ForeignKey("attempt.id"), primary_key=True, doc="The preflight's attempt."),
    _text("inputs", "What went in: dataset or random."),
    Column("count", Integer, nullable=False, doc="Number of inputs."),
    Column("values_per_output", Integer, nullable=False, doc="Numbers that each input gave."),
    Column("data", LargeBinary, nullable=False, doc="The numbers as little-endian float32, dequantised."),
    Column("top1", Json, doc="Index of the largest number of each output, where that means something."),
    info={"doc": "What a preflight computed for the first inputs."},
)

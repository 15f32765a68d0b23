"""Declare the tables of runs: models, runtimes, sweeps, runs and the plans of devices."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from orchestrator.store.schema.columns import key, metadata, reference, sha256, text
from orchestrator.store.sql.column_types import Json, UtcTime

model = Table(
    "model",
    metadata,
    key(),
    Column("name", Text, nullable=False, unique=True, doc="The model's name in model.yaml."),
    text("task", "The model's task, as model.yaml says."),
    text("description", "The description in model.yaml."),
    text("license", "The model's licence, if declared.", nullable=True),
    info={"doc": "A model: a family of variants."},
)

model_variant = Table(
    "model_variant",
    metadata,
    key(),
    reference("model_id", "model"),
    text("name", "The variant's name: fp32, int8, pruned…"),
    sha256("sha256", "Hash of the artifact. A rebuilt variant with other content is another row."),
    Column("size_bytes", BigInteger, doc="Size of the artifact; NULL before a plan ships the artifact."),
    text("format", "Format of the artifact: tflite, onnx, …; NULL for a row of an older release.", nullable=True),
    text("precision", "The precision of the numbers, as model.yaml says."),
    text("made", "How the variant was made."),
    text("parent", "The variant that this variant was made from; NULL for the first.", nullable=True),
    text("base", "The first variant of the ancestry; the variant itself without a parent."),
    Column("declared_accuracy", Json, nullable=False, doc="The accuracy measured by the maker, by metric name."),
    # With the hash, so that results stay with the artifact that was measured.
    UniqueConstraint("model_id", "name", "sha256"),
    info={
        "doc": "A variant in one format: one artifact of a model. A variant has a row for each format and each rebuild."
    },
)

runtime = Table(
    "runtime",
    metadata,
    key(),
    text(
        "label",
        "The runtime as sweeps name it: `tflite-runtime==2.14.0`, `system/tflite`, `exec/…`, `endpoint/…`.",
    ),
    text("source", "bundle, system, exec or endpoint."),
    text("name", "The runtime's name without the version."),
    text("version", "The pinned version; NULL if the device or the program decides.", nullable=True),
    sha256("bundle_sha256", "Hash of the runtime's bundle; NULL if none is shipped.", nullable=True),
    Column(
        "sha256",
        String(64),
        nullable=False,
        unique=True,
        doc="Hash of label, bundles, command, files, endpoint.",
    ),
    info={"doc": "A runtime as planned."},
)

sweep = Table(
    "sweep",
    metadata,
    key(),
    text("name", "The sweep's name."),
    sha256("sha256", "Hash of the document."),
    text("document", "The sweep file's text."),
    UniqueConstraint("name", "sha256"),
    info={"doc": "A sweep file. A changed text is another row."},
)

run = Table(
    "run",
    metadata,
    Column("id", String(64), primary_key=True, doc="The run's name."),
    reference("sweep_id", "sweep"),
    text("sweep_source", "The file of the sweep."),
    reference("model_id", "model", "The first model: `run_model` has all."),
    text("model_directory", "The folder of the first model."),
    Column("seed", BigInteger, nullable=False, doc="The seed of the order of trials and of random inputs."),
    Column("started_at", UtcTime, nullable=False, doc="By the controller's clock."),
    Column("finished_at", UtcTime, doc="When the run's last device ended; NULL while a device is planned or running."),
    text("controller", "The controller: host and version."),
    Column("settings", Json, nullable=False, doc="The settings given by flags."),
    text(
        "started_by",
        "The person who started or submitted the run: user@host; NULL for runs of older releases.",
        nullable=True,
    ),
    text("name", "The name given by a person; NULL without one. Several runs may have the same name.", nullable=True),
    text("note", "The note of a person; NULL without one.", nullable=True),
    text("noted_by", "The writer of the note: user@host; NULL without a note.", nullable=True),
    Column("noted_at", UtcTime, doc="When the note was written, by the database's clock; NULL without a note."),
    text("git_commit", "The git commit of the sweep's folder; NULL if the folder has none.", nullable=True),
    Column("git_dirty", Boolean, doc="Whether tracked files differed from the commit; NULL without a commit."),
    Column("excluded_at", UtcTime, doc="When a person excluded the run from every view; NULL for a run that counts."),
    text("excluded_by", "The person who excluded the run: user@host; NULL for a run that counts.", nullable=True),
    text("excluded_reason", "The reason of the exclusion; NULL for a run that counts.", nullable=True),
    Index(None, "started_at"),
    info={"doc": "One execution of a sweep. A run with `excluded_at` is in tables, and in no view of measurements."},
)

run_model = Table(
    "run_model",
    metadata,
    Column("run_id", ForeignKey("run.id"), primary_key=True, doc="The run."),
    Column("position", Integer, primary_key=True, autoincrement=False, doc="The place in the sweep, from 0."),
    reference("model_id", "model"),
    text("directory", "The folder of the model."),
    UniqueConstraint("run_id", "model_id"),
    info={"doc": "A model of a run. A sweep may have several, each measured and compared by itself."},
)

run_tag = Table(
    "run_tag",
    metadata,
    Column("run_id", ForeignKey("run.id"), primary_key=True, doc="The run."),
    Column("key", Text, primary_key=True, doc="The tag's key."),
    text("value", "The tag's value."),
    text("set_by", "The person: user@host."),
    Column("set_at", UtcTime, nullable=False, doc="By the database's clock."),
    info={"doc": "A tag of a run, given by a person."},
)

deleted_run = Table(
    "deleted_run",
    metadata,
    # No reference: the run is gone. Until the last row is gone too, the run is excluded.
    Column("run_id", String(64), primary_key=True, doc="The id of the run."),
    text("name", "The run's name; NULL without one.", nullable=True),
    text("sweep", "The sweep's name."),
    Column("started_at", UtcTime, nullable=False, doc="When the run began."),
    text("deleted_by", "The person: user@host."),
    Column("deleted_at", UtcTime, nullable=False, doc="When the deletion began, by the database's clock."),
    info={"doc": "A run that a person has deleted, with all measurements."},
)

raw_pruning = Table(
    "raw_pruning",
    metadata,
    Column("run_id", ForeignKey("run.id"), primary_key=True, doc="The run."),
    text("pruned_by", "The person: user@host."),
    Column("pruned_at", UtcTime, nullable=False, doc="When the pruning began, by the database's clock."),
    Column("finished_at", UtcTime, doc="When the last sample was gone; NULL after an interruption."),
    Column("blocks", BigInteger, nullable=False, doc="Number of blocks that went from `sample_block`, `power_trace`."),
    Column("size_bytes", BigInteger, nullable=False, doc="Bytes of these blocks."),
    info={"doc": "A run whose raw samples a person has deleted. Everything that follows from the samples stays."},
)

run_device = Table(
    "run_device",
    metadata,
    key(),
    reference("run_id", "run"),
    reference("device_id", "device"),
    text("state", "planned, running, complete, cancelled, stopped or failed."),
    text("error", "The reason of a bad state.", nullable=True),
    text("hint", "The remedy.", nullable=True),
    sha256("plan_sha256", "Hash of the plan; NULL before there is a plan.", nullable=True),
    text("plan_document", "The plan, byte for byte as shipped.", nullable=True),
    sha256("worker_sha256", "Hash of the worker shipped with the plan.", nullable=True),
    reference("snapshot_id", "device_snapshot", "The facts that the plan was made by.", nullable=True),
    Column("log_id", Text, doc="The event log followed last; NULL before the first record."),
    UniqueConstraint("run_id", "device_id"),
    Index(None, "device_id"),
    Index(None, "snapshot_id"),
    info={"doc": "One device of a run."},
)

database_identity = Table(
    "database_identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, doc="Always 1: there is a single row."),
    Column("uuid", String(36), nullable=False, doc="Devices remember tokens by this identity."),
    info={"doc": "The identity of the database, made at the first need."},
)

excluded_cell = Table(
    "excluded_cell",
    metadata,
    Column("run_device_id", ForeignKey("run_device.id"), primary_key=True, doc="The device of the run."),
    Column("label", Text, primary_key=True, doc="The cell in words."),
    text("reason", "Why the cell was not planned."),
    info={"doc": "A cell of the sweep that a device was not asked to run."},
)

event_offset = Table(
    "event_offset",
    metadata,
    Column("run_device_id", ForeignKey("run_device.id"), primary_key=True, doc="The device of the run."),
    # Part of the key: `seq` of another log says nothing about this one (docs/decisions/0004).
    Column("log_id", Text, primary_key=True, doc="The id of the log. A device that lost its log begins another."),
    Column("last_seq", BigInteger, nullable=False, doc="The last record in this database."),
    sha256("worker_sha256", "Hash of the worker that opened the log."),
    text(
        "outcome",
        "How the log ended: complete, cancelled or disk-full; NULL before the end, and for ends stored by release 0.1.",
        nullable=True,
    ),
    info={"doc": "The last stored record of each event log, written in the same transaction as the records."},
)

series = Table(
    "series",
    metadata,
    key(),
    reference("device_id", "device"),
    reference("model_id", "model"),
    text("variant", "The variant's name."),
    text("runtime", "The runtime's label."),
    Column("settings", Json, nullable=False, doc="The values of the sweep's matrix."),
    sha256("setup_sha256", "Hash of device, model, runtime and settings: variants of equal setup are compared."),
    UniqueConstraint("setup_sha256", "variant"),
    Index(None, "device_id", "model_id"),
    Index(None, "variant"),
    info={"doc": "A series: the same cell in all runs of a device."},
)

job = Table(
    "job",
    metadata,
    key(),
    reference("run_device_id", "run_device"),
    text("key", "The job's name in the plan. The same cell has the same key in every plan."),
    text("label", "The cell in words."),
    reference("variant_id", "model_variant"),
    reference("runtime_id", "runtime"),
    Column("settings", Json, nullable=False, doc="The job's values of the sweep's matrix."),
    # Nullable only because SQLite adds no other reference to a table with rows.
    reference("series_id", "series", "The series that the job goes on with; always given.", nullable=True),
    reference(
        "first_series_id",
        "series",
        "The series of the first job in the plan with this variant and these settings; always given.",
        nullable=True,
    ),
    # Kept, because seeking three relatives of each cell took half of the time of a comparison over all runs.
    reference("parent_job_id", "job", "The job of the variant's parent; NULL without one in the plan.", nullable=True),
    reference("base_job_id", "job", "The job of the variant's base; NULL without one in the plan.", nullable=True),
    reference("first_job_id", "job", "The job of the first series in the plan; always given.", nullable=True),
    UniqueConstraint("run_device_id", "key"),
    # Unique: databases then leave out the relatives of a cell that a query does not ask for.
    Index("uq_job_series_id_run_device_id", "series_id", "run_device_id", unique=True),
    info={"doc": "A job: variant x runtime x settings on a device of a run."},
)

trial = Table(
    "trial",
    metadata,
    key(),
    # The job has the device too. Here the column makes keys unique within a device's plan.
    reference("run_device_id", "run_device"),
    reference("job_id", "job"),
    text("key", "The trial's name in the plan."),
    text("kind", "preflight, measure or profile."),
    Column("trial_index", Integer, nullable=False, doc="1, 2, 3 … for measure trials, 0 for any other."),
    Column("position", Integer, nullable=False, doc="The trial's place in the plan's order, from 0."),
    text(
        "state",
        "planned, running, measured, invalid, failed, skipped or spared (by the stop rule): the counted attempt, else "
        "the last, decides.",
    ),
    text("skip_reason", "Why the trial was skipped or spared.", nullable=True),
    UniqueConstraint("run_device_id", "key"),
    Index(None, "job_id"),
    info={"doc": "A trial: one process launch of a job, the unit of replication."},
)

"""The spine: devices, models, sweeps, runs, trials, attempts and what they measured, with the views over them.

Revision 0001 is the first.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id, Json, UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

VIEWS = ("v_cell.1", "v_history.1", "v_latest.1", "v_variant_compare.1")
TABLES = (
    "device",
    "device_snapshot",
    "model",
    "model_variant",
    "runtime",
    "sweep",
    "run",
    "run_device",
    "excluded_cell",
    "event_offset",
    "job",
    "trial",
    "attempt",
    "measurement",
    "sample_block",
    "sample_hist",
    "preflight_output",
)


def upgrade() -> None:
    _create_catalogue()
    _create_runs()
    _create_trials()
    _create_numbers()
    if op.get_context().dialect.name == "postgresql":
        # samples are compressed already: PostgreSQL need not try again
        op.execute("ALTER TABLE sample_block ALTER COLUMN data SET STORAGE EXTERNAL")
    folder = Path(__file__).resolve().parents[1] / "views"
    for view in VIEWS:
        op.execute((folder / f"{view}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    for view in reversed(VIEWS):
        op.execute(f"DROP VIEW {view.split('.')[0]}")
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_catalogue() -> None:
    op.create_table(
        "device",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("transport", sa.Text(), nullable=False),
        sa.Column("tags", Json(), nullable=False),
        sa.Column("first_seen_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_device"),
        sa.UniqueConstraint("name", name="uq_device_name"),
    )
    op.create_table(
        "device_snapshot",
        sa.Column("id", Id, nullable=False),
        sa.Column("device_id", Id, nullable=False),
        sa.Column("taken_at", UtcTime(), nullable=False),
        sa.Column("identity_hash", sa.String(length=16), nullable=False),
        sa.Column("environment_hash", sa.String(length=16), nullable=False),
        sa.Column("facts", Json(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_device_snapshot_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_device_snapshot"),
    )
    op.create_index("ix_device_snapshot_device_id_taken_at", "device_snapshot", ["device_id", "taken_at"], unique=False)
    op.create_table(
        "model",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("license", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
        sa.UniqueConstraint("name", name="uq_model_name"),
    )
    op.create_table(
        "model_variant",
        sa.Column("id", Id, nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("precision", sa.Text(), nullable=False),
        sa.Column("made", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("declared_accuracy", Json(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_model_variant_model_id"),
        sa.PrimaryKeyConstraint("id", name="pk_model_variant"),
        sa.UniqueConstraint("model_id", "name", "sha256", name="uq_model_variant_model_id_name_sha256"),
    )
    op.create_table(
        "runtime",
        sa.Column("id", Id, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runtime"),
        sa.UniqueConstraint("sha256", name="uq_runtime_sha256"),
    )


def _create_runs() -> None:
    op.create_table(
        "sweep",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sweep"),
        sa.UniqueConstraint("name", "sha256", name="uq_sweep_name_sha256"),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("sweep_id", Id, nullable=False),
        sa.Column("sweep_source", sa.Text(), nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("model_directory", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.Column("controller", sa.Text(), nullable=False),
        sa.Column("settings", Json(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_run_model_id"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweep.id"], name="fk_run_sweep_id"),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
    )
    op.create_index("ix_run_started_at", "run", ["started_at"], unique=False)
    op.create_table(
        "run_device",
        sa.Column("id", Id, nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("device_id", Id, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("hint", sa.Text(), nullable=True),
        sa.Column("plan_sha256", sa.String(length=64), nullable=True),
        sa.Column("plan_document", sa.Text(), nullable=True),
        sa.Column("worker_sha256", sa.String(length=64), nullable=True),
        sa.Column("snapshot_id", Id, nullable=True),
        sa.Column("log_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_run_device_device_id"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_run_device_run_id"),
        sa.ForeignKeyConstraint(["snapshot_id"], ["device_snapshot.id"], name="fk_run_device_snapshot_id"),
        sa.PrimaryKeyConstraint("id", name="pk_run_device"),
        sa.UniqueConstraint("run_id", "device_id", name="uq_run_device_run_id_device_id"),
    )
    op.create_index("ix_run_device_device_id", "run_device", ["device_id"], unique=False)
    op.create_table(
        "excluded_cell",
        sa.Column("run_device_id", Id, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_device_id"], ["run_device.id"], name="fk_excluded_cell_run_device_id"),
        sa.PrimaryKeyConstraint("run_device_id", "label", name="pk_excluded_cell"),
    )
    op.create_table(
        "event_offset",
        sa.Column("run_device_id", Id, nullable=False),
        sa.Column("log_id", sa.Text(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("worker_sha256", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_device_id"], ["run_device.id"], name="fk_event_offset_run_device_id"),
        sa.PrimaryKeyConstraint("run_device_id", "log_id", name="pk_event_offset"),
    )


def _create_trials() -> None:
    op.create_table(
        "job",
        sa.Column("id", Id, nullable=False),
        sa.Column("run_device_id", Id, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("variant_id", Id, nullable=False),
        sa.Column("runtime_id", Id, nullable=False),
        sa.Column("settings", Json(), nullable=False),
        sa.ForeignKeyConstraint(["run_device_id"], ["run_device.id"], name="fk_job_run_device_id"),
        sa.ForeignKeyConstraint(["runtime_id"], ["runtime.id"], name="fk_job_runtime_id"),
        sa.ForeignKeyConstraint(["variant_id"], ["model_variant.id"], name="fk_job_variant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.UniqueConstraint("run_device_id", "key", name="uq_job_run_device_id_key"),
    )
    op.create_table(
        "trial",
        sa.Column("id", Id, nullable=False),
        sa.Column("run_device_id", Id, nullable=False),
        sa.Column("job_id", Id, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("trial_index", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("skip_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_trial_job_id"),
        sa.ForeignKeyConstraint(["run_device_id"], ["run_device.id"], name="fk_trial_run_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_trial"),
        sa.UniqueConstraint("run_device_id", "key", name="uq_trial_run_device_id_key"),
    )
    op.create_index("ix_trial_job_id", "trial", ["job_id"], unique=False)
    op.create_table(
        "attempt",
        sa.Column("id", Id, nullable=False),
        sa.Column("trial_id", Id, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("log_id", sa.Text(), nullable=False),
        sa.Column("log_attempt", sa.Integer(), nullable=False),
        sa.Column("started_seq", sa.BigInteger(), nullable=True),
        sa.Column("finished_seq", sa.BigInteger(), nullable=True),
        sa.Column("started_at", UtcTime(), nullable=True),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.Column("stored_at", UtcTime(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("invalid", Json(), nullable=True),
        sa.Column("failure_kind", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_signal", sa.Text(), nullable=True),
        sa.Column("failure_exit_code", sa.Integer(), nullable=True),
        sa.Column("failure_stderr_tail", sa.Text(), nullable=True),
        sa.Column("duration_ns", sa.BigInteger(), nullable=True),
        sa.Column("conditions_before", Json(), nullable=True),
        sa.Column("conditions_after", Json(), nullable=True),
        sa.Column("runtime_reported", Json(), nullable=True),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"], name="fk_attempt_trial_id"),
        sa.PrimaryKeyConstraint("id", name="pk_attempt"),
        sa.UniqueConstraint("trial_id", "ordinal", name="uq_attempt_trial_id_ordinal"),
    )
    op.create_index(
        "uq_attempt_counted",
        "attempt",
        ["trial_id"],
        unique=True,
        sqlite_where=sa.text("counted"),
        postgresql_where=sa.text("counted"),
    )


def _create_numbers() -> None:
    op.create_table(
        "measurement",
        sa.Column("attempt_id", Id, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=True),
        sa.Column("batch", sa.Integer(), nullable=True),
        sa.Column("p50", sa.Double(), nullable=True),
        sa.Column("p50_ci_low", sa.Double(), nullable=True),
        sa.Column("p50_ci_high", sa.Double(), nullable=True),
        sa.Column("p90", sa.Double(), nullable=True),
        sa.Column("p90_ci_low", sa.Double(), nullable=True),
        sa.Column("p90_ci_high", sa.Double(), nullable=True),
        sa.Column("p99", sa.Double(), nullable=True),
        sa.Column("p99_ci_low", sa.Double(), nullable=True),
        sa.Column("p99_ci_high", sa.Double(), nullable=True),
        sa.Column("p99_9", sa.Double(), nullable=True),
        sa.Column("p99_9_ci_low", sa.Double(), nullable=True),
        sa.Column("p99_9_ci_high", sa.Double(), nullable=True),
        sa.Column("mean", sa.Double(), nullable=True),
        sa.Column("sd", sa.Double(), nullable=True),
        sa.Column("mad", sa.Double(), nullable=True),
        sa.Column("min", sa.Double(), nullable=True),
        sa.Column("max", sa.Double(), nullable=True),
        sa.Column("runtime_sha256", sa.String(length=64), nullable=False),
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("worker_sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_measurement_attempt_id"),
        sa.PrimaryKeyConstraint("attempt_id", "metric", name="pk_measurement"),
        info={"doc": "The summary of one metric over one attempt. Percentiles interpolate linearly between samples."},
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sample_block",
        sa.Column("attempt_id", Id, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("codec", sa.Text(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("crc32", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_sample_block_attempt_id"),
        sa.PrimaryKeyConstraint("attempt_id", "metric", name="pk_sample_block"),
    )
    op.create_table(
        "sample_hist",
        sa.Column("attempt_id", Id, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("bin_low", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bin_high", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_sample_hist_attempt_id"),
        sa.PrimaryKeyConstraint("attempt_id", "metric", "bin_low", name="pk_sample_hist"),
        info={"doc": "A coarse histogram of the samples: 16 bins per power of two."},
        sqlite_with_rowid=False,
    )
    op.create_table(
        "preflight_output",
        sa.Column("attempt_id", Id, nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("values_per_output", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("top1", Json(), nullable=True),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_preflight_output_attempt_id"),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_preflight_output"),
    )

"""Declare the tables, as SQLAlchemy Core tables, a file for each subject. docs/schema.md has the tables' texts.

Units are in column names. A value not measured is NULL, never 0. Change a table together with a migration: a test
compares the two on both databases. Partial indexes are in `partial_indexes`.
"""

from __future__ import annotations

from orchestrator.store.schema.columns import metadata as metadata
from orchestrator.store.schema.tables.fleet import device as device
from orchestrator.store.schema.tables.fleet import device_snapshot as device_snapshot
from orchestrator.store.schema.tables.fleet import lease as lease
from orchestrator.store.schema.tables.fleet import quarantine as quarantine
from orchestrator.store.schema.tables.fleet import recovery_event as recovery_event
from orchestrator.store.schema.tables.nights import annotation as annotation
from orchestrator.store.schema.tables.nights import baseline as baseline
from orchestrator.store.schema.tables.nights import night as night
from orchestrator.store.schema.tables.nights import night_run as night_run
from orchestrator.store.schema.tables.nights import regression as regression
from orchestrator.store.schema.tables.nights import regression_event as regression_event
from orchestrator.store.schema.tables.queue import blob_chunk as blob_chunk
from orchestrator.store.schema.tables.queue import daemon as daemon
from orchestrator.store.schema.tables.queue import stored_blob as stored_blob
from orchestrator.store.schema.tables.queue import submission as submission
from orchestrator.store.schema.tables.queue import submission_file as submission_file
from orchestrator.store.schema.tables.results import absent_metric as absent_metric
from orchestrator.store.schema.tables.results import attempt as attempt
from orchestrator.store.schema.tables.results import cell_value as cell_value
from orchestrator.store.schema.tables.results import input_result as input_result
from orchestrator.store.schema.tables.results import latest_value as latest_value
from orchestrator.store.schema.tables.results import measurement as measurement
from orchestrator.store.schema.tables.results import metric as metric
from orchestrator.store.schema.tables.results import operator_profile as operator_profile
from orchestrator.store.schema.tables.results import power_account as power_account
from orchestrator.store.schema.tables.results import power_trace as power_trace
from orchestrator.store.schema.tables.results import preflight_output as preflight_output
from orchestrator.store.schema.tables.results import sample_block as sample_block
from orchestrator.store.schema.tables.results import sample_hist as sample_hist
from orchestrator.store.schema.tables.runs import database_identity as database_identity
from orchestrator.store.schema.tables.runs import deleted_run as deleted_run
from orchestrator.store.schema.tables.runs import event_offset as event_offset
from orchestrator.store.schema.tables.runs import excluded_cell as excluded_cell
from orchestrator.store.schema.tables.runs import job as job
from orchestrator.store.schema.tables.runs import model as model
from orchestrator.store.schema.tables.runs import model_variant as model_variant
from orchestrator.store.schema.tables.runs import raw_pruning as raw_pruning
from orchestrator.store.schema.tables.runs import run as run
from orchestrator.store.schema.tables.runs import run_device as run_device
from orchestrator.store.schema.tables.runs import run_model as run_model
from orchestrator.store.schema.tables.runs import run_tag as run_tag
from orchestrator.store.schema.tables.runs import runtime as runtime
from orchestrator.store.schema.tables.runs import series as series
from orchestrator.store.schema.tables.runs import sweep as sweep
from orchestrator.store.schema.tables.runs import trial as trial
from orchestrator.store.schema.tables.schedules import schedule as schedule
from orchestrator.store.schema.tables.schedules import schedule_file as schedule_file

"""Declare the tables of verdicts over time: baselines, nights, regressions and annotations."""

from __future__ import annotations

from sqlalchemy import Column, Date, ForeignKey, Index, Integer, String, Table, Text

from orchestrator.store.schema.columns import key, metadata, number, reference, text
from orchestrator.store.sql.column_types import Json, UtcTime

baseline = Table(
    "baseline",
    metadata,
    key(),
    text("name", "The name to compare with. A nightly reads the baseline of its own name."),
    reference("run_id", "run", "The run whose values are the level."),
    reference("series_id", "series", "The series of the level; NULL for every cell of the run.", nullable=True),
    text("metric", "The metric of the level; NULL for every metric.", nullable=True),
    text("kind", "pinned, or accepted: an accepted level begins a new segment of the history too."),
    text("reason", "The reason."),
    text("pinned_by", "The person: user@host."),
    Column("pinned_at", UtcTime, nullable=False, doc="By the database's clock."),
    Column("superseded_at", UtcTime, doc="When a later row of the name took its place; NULL for a present level."),
    Index(None, "name"),
    info={"doc": "A level to compare with, chosen by a person. Earlier choices stay, superseded."},
)

night = Table(
    "night",
    metadata,
    Column("id", String(64), primary_key=True, doc="The night's name."),
    text("nightly", "The name in the nightly file."),
    Column("began_at", UtcTime, nullable=False, doc="When the night began, by the database's clock."),
    Column("ended_at", UtcTime, doc="When the night ended; NULL while it is under way, and if it was cut off."),
    Column("exit_code", Integer, doc="The exit code of the night; NULL before the end."),
    Column("report", Json, doc="The night's report, as docs/json.md names its keys; NULL before the end."),
    Index(None, "nightly", "began_at"),
    info={"doc": "One night of a nightly: runs in stages, and the verdicts on them."},
)

night_run = Table(
    "night_run",
    metadata,
    Column("night_id", ForeignKey("night.id"), primary_key=True, doc="The night."),
    # No reference: a night names a run before the run is on record, so that a night cut off between finds it again.
    Column("run_id", String(64), primary_key=True, doc="The run; joins `run`."),
    text("stage", "canary, first-look, second-look or confirmation."),
    text("sweep", "The sweep's name."),
    Column("look", Integer, nullable=False, doc="1, 2, 3 … for the looks of a confirmation, 0 in other stages."),
    info={"doc": "A run of a night."},
)

regression = Table(
    "regression",
    metadata,
    key(),
    text("nightly", "The name in the nightly file."),
    reference("series_id", "series"),
    text("metric", "The metric's name."),
    text("direction", "rose or fell: where the metric's value went."),
    text("state", "detected, confirmed, acknowledged, accepted, fixed, invalid or dismissed."),
    number("ratio", "Candidate over baseline; NULL before a figure is known."),
    number("ratio_low", "95 % interval of the ratio, lower end."),
    number("ratio_high", "Upper end."),
    Column("baseline_trials", Integer, doc="Number of trials of the baseline behind the ratio."),
    Column("candidate_trials", Integer, doc="Number of trials of the candidate behind the ratio."),
    reference("baseline_run_id", "run", "The run of the baseline's trials; NULL for a history alone.", nullable=True),
    reference("candidate_run_id", "run", "The run of the candidate's trials."),
    Column("first_night_id", ForeignKey("night.id"), nullable=False, doc="The night that suspected the series first."),
    Column("confirmed_night_id", ForeignKey("night.id"), doc="The night of the confirmation; NULL before."),
    Index(None, "series_id", "metric"),
    info={
        "doc": "A change of one metric of one series for the worse, from the first suspicion to its end. A series has "
        "at most one open row for each nightly, metric and direction."
    },
)

regression_event = Table(
    "regression_event",
    metadata,
    key(),
    reference("regression_id", "regression"),
    Column("at", UtcTime, nullable=False, doc="By the database's clock."),
    text("state", "The state that the regression came to."),
    text("who", "The person, or the controller of the night: user@host."),
    text("reason", "The reason given by a person, or by the night.", nullable=True),
    Column("night_id", ForeignKey("night.id"), doc="The night that moved the regression; NULL for a person."),
    Index(None, "regression_id"),
    info={"doc": "A step in the life of a regression."},
)

annotation = Table(
    "annotation",
    metadata,
    key(),
    Column("first_day", Date, nullable=False, doc="The first day that the text is about, in UTC."),
    Column("last_day", Date, nullable=False, doc="The last day; the first day again for a single day."),
    reference("device_id", "device", "The device that the text is about; NULL for all.", nullable=True),
    reference("series_id", "series", "The series that the text is about; NULL for all.", nullable=True),
    reference("run_id", "run", "The run that the text is about; NULL for none in particular.", nullable=True),
    Column("text", Text, nullable=False, doc="The text."),
    text("who", "The writer: user@host."),
    Column("at", UtcTime, nullable=False, doc="When the text was written, by the database's clock."),
    Index(None, "first_day"),
    info={"doc": "What a person knows about a date, a device, a series or a run: `fan replaced`."},
)

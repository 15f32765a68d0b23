"""One report of every shape, made of the samples; `golden/NAME.json` has the JSON of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.checkup import Checkup, Finding, Health
from orchestrator.domain.demo import DemoFilled, DemoRequest
from orchestrator.domain.device import Device, Limits, TransportKind
from orchestrator.domain.enrollment import Enrollment
from orchestrator.domain.errors import ConfigError, Unreachable
from orchestrator.domain.lease import Holding, Lease
from orchestrator.domain.model import Format
from orchestrator.domain.model_files import BuiltDataset, BuiltModel, BuiltVariant, FileCheck
from orchestrator.domain.night import NightState, NightSummary
from orchestrator.domain.pruning import Keeping, PrunedRun, Pruning, RawSamples
from orchestrator.domain.recovery import PowerCycle, Recovery
from orchestrator.domain.run import ExcludedCell
from orchestrator.domain.run_details import RunDetails
from orchestrator.domain.run_words import Deletion
from orchestrator.domain.schema_status import CopiedTable, DatabaseCopy, SchemaStatus
from orchestrator.domain.written_file import WrittenFile
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.annotations import annotations_report
from orchestrator.reporting.reports.baselines import levels_report
from orchestrator.reporting.reports.bisection import bisection_report
from orchestrator.reporting.reports.cell_details import cells_report
from orchestrator.reporting.reports.checkup import checkup_report
from orchestrator.reporting.reports.cleaning import cleaning_report
from orchestrator.reporting.reports.comparison import comparison_report
from orchestrator.reporting.reports.database import copy_report, demo_report, pruning_report, schema_report
from orchestrator.reporting.reports.devices import devices_report
from orchestrator.reporting.reports.enrollment import enrollment_report, shelf_report
from orchestrator.reporting.reports.lab import NewLab, lab_report
from orchestrator.reporting.reports.leases import reservation_report
from orchestrator.reporting.reports.model_files import build_report, checks_report
from orchestrator.reporting.reports.models import models_report
from orchestrator.reporting.reports.night import night_report
from orchestrator.reporting.reports.night_list import night_list_report
from orchestrator.reporting.reports.operator_profile import profile_pair_report, profiles_report
from orchestrator.reporting.reports.plans import plan_report
from orchestrator.reporting.reports.probes import probe_report
from orchestrator.reporting.reports.quarantines import quarantine_report
from orchestrator.reporting.reports.queue import queue_report, submission_report
from orchestrator.reporting.reports.regressions import regression_report, regressions_report
from orchestrator.reporting.reports.run_details import run_details_report
from orchestrator.reporting.reports.run_difference import difference_report
from orchestrator.reporting.reports.run_list import run_list_report
from orchestrator.reporting.reports.run_words import deletion_report, said_report
from orchestrator.reporting.reports.schedules import moments_report, schedule_report, schedules_report
from orchestrator.reporting.reports.series_history import history_report
from orchestrator.reporting.reports.written_files import written_report
from orchestrator.reporting.tables.plans import SweepPlans
from tests.unit.reporting import decided, nights, queued, samples

LATER = samples.BEGAN + timedelta(hours=2)
GATE = Device("gate", TransportKind.SSH, host="1.2.3.4")
FAR = Device(
    "far",
    TransportKind.SSH,
    jump="gate",
    jump_device=GATE,
    limits=Limits(temperature_c_max=60.0),
    recovery=Recovery(reboot=("sudo", "reboot"), power_cycle=PowerCycle(("sw", "on"), ("sw", "off")), quarantine=True),
)
RESERVATION = Lease(
    3, "pi-03", "ann@ws1", "pid 7", None, "bisecting " + samples.HOSTILE, True, samples.BEGAN, samples.BEGAN, LATER, 4
)
RUNNING = Lease(4, "pi-03", "bob@ws2", "pid 8", "20240601-k3f9", None, True, samples.BEGAN, samples.BEGAN, LATER, 5)
BAD = ConfigError("bad " + samples.HOSTILE)
EXCLUDED = (ExcludedCell("pi-03", "int8", "no wheel " + samples.HOSTILE),)
DIGEST, OTHER_DIGEST, DATA_DIGEST = "0" * 64, "1" * 64, "2" * 64

REPORTS: Mapping[str, Report] = {
    "init": lab_report(NewLab(Path("lab"), (Path("lab/a"), Path("lab/b")))),
    "plan": plan_report(
        SweepPlans(
            "digits-variants",
            7,
            samples.PLANS,
            {
                "coral-01": Unreachable("connection refused", "is it on?").at("coral-01", "connect"),
                "x": ConfigError("bad"),
            },
            (("pi-03", "pi-04"),),
            {"pi-03": frozenset({"b" * 64})},
        )
    ),
    "run": run_details_report(
        RunDetails(
            samples.RUN,
            samples.MISSING,
            samples.RESULTS,
            EXCLUDED,
            samples.RECOVERY,
            samples.POWER,
            conditions=samples.CONDITIONS,
        )
    ),
    "runs": run_list_report(samples.SUMMARIES),
    "said": said_report(replace(samples.RUN, words=samples.WORDS)),
    "queue": queue_report(queued.QUEUE, 50),
    "submitted": submission_report(queued.WAITING),
    "schedule": schedule_report(queued.SCHEDULE),
    "schedules": schedules_report((queued.SCHEDULE, queued.PAUSED), samples.BEGAN),
    "schedule-next": moments_report(queued.NEXT),
    "deleted": deletion_report(Deletion("20240601-k3f9", "before " + samples.HOSTILE, 2, 24, 26, 80, 1)),
    "night": night_report(nights.REPORT),
    "nights": night_list_report(
        (
            NightSummary("digits-20240602", "digits", NightState.UNDER_WAY, samples.BEGAN, None, None, 0, 0, 0, 2),
            NightSummary("digits-20240601", "digits", NightState.COMPLETE, samples.BEGAN, LATER, 1, 2, 24, 3, 5),
        )
    ),
    "compare": comparison_report(samples.COMPARISON),
    "cell": cells_report((decided.CELL, decided.UNSAMPLED)),
    "profile": profiles_report((decided.FP32_PROFILE, decided.NO_PROFILE), limit=1),
    "profile-pair": profile_pair_report(decided.PROFILE_PAIR),
    "written": written_report(
        (WrittenFile(Path("out/run.html"), "html", 49_854), WrittenFile(Path(f"e {samples.HOSTILE}"), "csv", 7, 3))
    ),
    "env-diff": difference_report(decided.DIFFERENCE),
    "history": history_report((decided.HISTORY, decided.SHORT)),
    "devices": devices_report(
        (*samples.DEVICES, FAR),
        {"pi-03": (samples.PI_FACTS, samples.BEGAN)},
        {"pi-03": Holding((RESERVATION, RUNNING), 2), "coral-01": Holding((), 0, (RUNNING,))},
        samples.QUARANTINED,
    ),
    "probe": probe_report(
        {
            "pi-03": samples.PI_FACTS,
            "old": samples.BARE_FACTS,
            "coral-01": Unreachable("no route", "is it on?").at("coral-01", "connect"),
            "x": BAD,
        },
        {"pi-03": Limits(temperature_c_max=40.0), "old": Limits()},
    ),
    "clean": cleaning_report(samples.CLEANED, dry_run=False),
    "reserve": reservation_report(RESERVATION),
    "quarantined": quarantine_report(samples.QUARANTINED["pi-03"]),
    "enroll": enrollment_report(Enrollment("pi-03", "[1.2.3.4]:22", "ED25519 SHA256:abc", "/h/known_hosts:3")),
    "shelf": shelf_report(
        {"pi-03": Enrollment("pi-03", "[1.2.3.4]:22", "ED25519 SHA256:abc", "/h/known_hosts:3"), "x": BAD}
    ),
    "models": models_report([samples.MODEL]),
    "verify": checks_report(
        (
            FileCheck("digits", BlobKind.MODEL, "fp32", "/m/fp32", DIGEST, DIGEST),
            FileCheck("digits", BlobKind.DATASET, "t", "/m/d", DATA_DIGEST, None),
        )
    ),
    "build": build_report(
        BuiltModel(
            "digits",
            "/m",
            (BuiltVariant("fp32", Format.TFLITE, "/m/f", DIGEST, OTHER_DIGEST, {"top1": 0.9}, {"top1": 0.91}),),
            (BuiltDataset("t", "/m/d", DATA_DIGEST, DATA_DIGEST, 360, 360),),
        )
    ),
    "baseline": levels_report(decided.LEVELS),
    "regressions": regressions_report([decided.REGRESSION, decided.SUSPECTED]),
    "regression": regression_report(decided.LIFE),
    "bisect": bisection_report(decided.BISECTION),
    "annotate": annotations_report(decided.ANNOTATIONS),
    "db": schema_report(SchemaStatus("sqlite:///a.db", None, "0009")),
    "copied": copy_report(
        DatabaseCopy("/srv/a.db", "postgresql://lab@db/lab", (CopiedTable("device", 2), CopiedTable("run", 0)))
    ),
    "checkup": checkup_report(
        Checkup(
            [
                Finding("python", Health.FINE, "Python 3.11.2"),
                Finding("database", Health.WRONG, samples.HOSTILE, "benchfleet db upgrade"),
            ]
        )
    ),
    "pruning": pruning_report(
        Pruning(
            samples.BEGAN,
            False,
            (PrunedRun("20240601-k3f9", samples.BEGAN, RawSamples(24, 60_000)),),
            {"20240602-aaaa": Keeping.BASELINE},
            RawSamples(3, 3_000_000),
            "vacuum it",
        )
    ),
    "demo": demo_report(DemoFilled("sqlite:///a.db", DemoRequest(2, 3, 4, 5), 12, 96)),
}

"""Name the shape of each command's result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.reporting.reports.annotations import ANNOTATED
from orchestrator.reporting.reports.baselines import LEVELS
from orchestrator.reporting.reports.bisection import BISECTED
from orchestrator.reporting.reports.cell import CELL_SHOWN, POWER_CURVES, SAMPLES
from orchestrator.reporting.reports.cell_details import CELLS
from orchestrator.reporting.reports.checkup import CHECKUP
from orchestrator.reporting.reports.cleaning import CLEAN
from orchestrator.reporting.reports.comparison import COMPARE
from orchestrator.reporting.reports.database import COPY, DATABASE, DEMO, PRUNE
from orchestrator.reporting.reports.devices import DEVICES
from orchestrator.reporting.reports.enrollment import ENROLL, SHELF
from orchestrator.reporting.reports.fleet import FLEET
from orchestrator.reporting.reports.lab import LAB
from orchestrator.reporting.reports.leases import RESERVED
from orchestrator.reporting.reports.lineages import LINEAGES
from orchestrator.reporting.reports.model_files import BUILT, VERIFIED
from orchestrator.reporting.reports.models import MODELS
from orchestrator.reporting.reports.night import NIGHT
from orchestrator.reporting.reports.night_list import NIGHT_LIST
from orchestrator.reporting.reports.operator_profile import PROFILE_PAIR, PROFILES
from orchestrator.reporting.reports.plans import PLAN
from orchestrator.reporting.reports.probes import PROBE
from orchestrator.reporting.reports.quarantines import QUARANTINED
from orchestrator.reporting.reports.queue import QUEUE, SUBMITTED
from orchestrator.reporting.reports.regressions import REGRESSION_LIST, REGRESSION_SHOWN
from orchestrator.reporting.reports.run_details import RUN
from orchestrator.reporting.reports.run_difference import DIFFERENCES
from orchestrator.reporting.reports.run_glance import GLANCE
from orchestrator.reporting.reports.run_list import RUN_LIST
from orchestrator.reporting.reports.run_words import DELETED, SAID
from orchestrator.reporting.reports.schedules import NEXT, SCHEDULED, SCHEDULES
from orchestrator.reporting.reports.series_history import HISTORIES
from orchestrator.reporting.reports.written_files import WRITTEN
from orchestrator.reporting.shape import Shape

COMMANDS: Mapping[str, Shape[Any]] = {
    "init": LAB,
    "plan": PLAN,
    "run": RUN,
    "compare": COMPARE,
    "history": HISTORIES,
    "env-diff": DIFFERENCES,
    "report": WRITTEN,
    "replay": WRITTEN,
    "plot latency": WRITTEN,
    "plot power": WRITTEN,
    "plot pareto": WRITTEN,
    "plot history": WRITTEN,
    "devices list": DEVICES,
    "devices probe": PROBE,
    "devices clean": CLEAN,
    "devices reserve": RESERVED,
    "devices release": RESERVED,
    "devices quarantine": QUARANTINED,
    "devices readmit": QUARANTINED,
    "devices enroll": ENROLL,
    "devices enroll --select": SHELF,
    "models add": WRITTEN,
    "models list": MODELS,
    "models tree": MODELS,
    "models verify": VERIFIED,
    "models build": BUILT,
    "runs list": RUN_LIST,
    "runs show": RUN,
    "runs show --cell": CELLS,
    "runs profile": PROFILES,
    "runs profile --against": PROFILE_PAIR,
    "runs follow": RUN,
    "runs resume": RUN,
    "power import": RUN,
    "runs score": RUN,
    "submit": SUBMITTED,
    "queue list": QUEUE,
    "queue move": SUBMITTED,
    "queue hold": SUBMITTED,
    "queue release": SUBMITTED,
    "queue cancel": SUBMITTED,
    "schedule add": SCHEDULED,
    "schedule list": SCHEDULES,
    "schedule remove": SCHEDULED,
    "schedule pause": SCHEDULED,
    "schedule resume": SCHEDULED,
    "schedule next": NEXT,
    "runs cancel": RUN,
    "runs note": SAID,
    "runs tag": SAID,
    "runs exclude": SAID,
    "runs include": SAID,
    "runs delete": DELETED,
    "baseline pin": LEVELS,
    "baseline accept": LEVELS,
    "baseline list": LEVELS,
    "baseline show": LEVELS,
    "regressions list": REGRESSION_LIST,
    "regressions show": REGRESSION_SHOWN,
    "regressions acknowledge": REGRESSION_SHOWN,
    "regressions accept": REGRESSION_SHOWN,
    "regressions invalid": REGRESSION_SHOWN,
    "annotate": ANNOTATED,
    "nightly run": NIGHT,
    "nightly list": NIGHT_LIST,
    "nightly show": NIGHT,
    "bisect": BISECTED,
    "db upgrade": DATABASE,
    "db current": DATABASE,
    "doctor": CHECKUP,
    "db copy": COPY,
    "db prune": PRUNE,
    "db demo": DEMO,
}
"""Every command but `sql`. An SQL statement names its own columns."""

PAGES: Mapping[str, Shape[Any]] = {
    "fleet": FLEET,
    "runs/{run}/glance": GLANCE,
    "cells/{job}": CELL_SHOWN,
    "cells/{job}/samples": SAMPLES,
    "cells/{job}/profile": PROFILES,
    "cells/{job}/power": POWER_CURVES,
    "models": LINEAGES,
}
"""What the page's interface answers beyond the results of commands, by path below /api/v1."""

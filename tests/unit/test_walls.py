"""Break every wall in a copy of the house, and see the import contracts refuse it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system  # the contracts are checked in a process of their own, which takes seconds

REPOSITORY = Path(__file__).parents[2]

BREACHES = {
    "the controller's floors": ("orchestrator/domain/run.py", "orchestrator.services.runs.start"),
    "a floor beside": ("orchestrator/analysis/ratio.py", "orchestrator.reporting.text"),
    "the worker's floors": ("device_worker/protocol/records.py", "device_worker.system.mounts"),
    "the worker's top": ("device_worker/state/runs.py", "device_worker.serving.conversation"),
    "the worker and the controller": ("device_worker/main.py", "orchestrator.domain.run"),
    "the controller and a trial's attempts": ("orchestrator/services/devices/probe.py", "device_worker.runner.attempt"),
    "the controller and the worker's leases": ("orchestrator/services/devices/probe.py", "device_worker.state.leases"),
    "the controller and the worker's conversation": (
        "orchestrator/services/devices/probe.py",
        "device_worker.serving.conversation",
    ),
    "services and the runs of the store": ("orchestrator/services/devices/probe.py", "orchestrator.store.records.runs"),
    "services and the leases of the store": (
        "orchestrator/services/devices/probe.py",
        "orchestrator.store.records.leases",
    ),
    "services and bundles": ("orchestrator/services/devices/probe.py", "orchestrator.blobs.bundles"),
    "driving and the store": ("orchestrator/driving/inbox.py", "orchestrator.store.sql.engine"),
    "driving and a transport": ("orchestrator/driving/inbox.py", "orchestrator.transport.local"),
    "driving and an executor": ("orchestrator/driving/inbox.py", "orchestrator.execution.threads"),
    "sessions and a switch": ("orchestrator/session/answers.py", "orchestrator.power.command_switch"),
    "services and a messenger": ("orchestrator/services/devices/probe.py", "orchestrator.messages.apprise_messenger"),
    "services and apprise": ("orchestrator/services/devices/probe.py", "apprise"),
    "services and pyarrow": ("orchestrator/services/devices/probe.py", "pyarrow"),
    "services and matplotlib": ("orchestrator/services/devices/probe.py", "matplotlib"),
    "services and jinja2": ("orchestrator/services/devices/probe.py", "jinja2"),
    "reporting and sqlalchemy": ("orchestrator/reporting/text.py", "sqlalchemy"),
    "commands and sqlalchemy": ("orchestrator/cli/sql.py", "sqlalchemy"),
    "commands and paramiko": ("orchestrator/cli/sql.py", "paramiko"),
    "sessions and fabric": ("orchestrator/session/link.py", "fabric"),
    "transports and asyncssh": ("orchestrator/transport/local.py", "asyncssh"),
    "blobs and ray": ("orchestrator/blobs/cache.py", "ray"),
    "transports and ray": ("orchestrator/transport/local.py", "ray"),
    "services and the cluster": ("orchestrator/services/devices/probe.py", "orchestrator.cluster.nodes"),
    "the store and rich": ("orchestrator/store/base.py", "rich"),
    "transports and typer": ("orchestrator/transport/local.py", "typer"),
    "the composition root and alembic": ("orchestrator/bootstrap.py", "alembic"),
    "driving and pydantic": ("orchestrator/driving/inbox.py", "pydantic"),
    "reporting and YAML": ("orchestrator/reporting/text.py", "yaml"),
    "domain and numpy": ("orchestrator/domain/metric.py", "numpy"),
    "services and scipy": ("orchestrator/services/results/compare.py", "scipy"),
    "fakes at run time": ("orchestrator/bootstrap.py", "orchestrator.testing.event_logs"),
}
"""What would be wrong: a file of the product, and a module that it must not import."""


def import_of(module: str) -> str:
    package, _, name = module.rpartition(".")
    return f"from {package} import {name} as _breach\n" if package else f"import {module} as _breach\n"


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what the contracts say of a copy in which every breach has been made at once."""
    copy = tmp_path_factory.mktemp("house")
    for package in ("orchestrator", "device_worker"):
        shutil.copytree(REPOSITORY / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / ".importlinter", copy)
    for file, module in BREACHES.values():
        with (copy / file).open("a", encoding="utf-8") as text:
            text.write(import_of(module))
    # The interpreter of the tests, since the copy must be found before the installed package.
    program = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "400", "PYTHONPATH": str(copy)}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("wall", BREACHES)
def test_an_import_through_a_wall_is_refused(refusals: str, wall: str) -> None:
    file, module = BREACHES[wall]
    importer = file.removesuffix(".py").replace("/", ".")
    assert re.search(rf"{re.escape(importer)} -> {re.escape(module)}\b", refusals), refusals
